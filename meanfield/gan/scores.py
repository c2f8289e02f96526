"""How good a mixture is: no number alone, since each is blind to something.

The log-likelihood of samples under the true law, the paper's metric, cannot see collapse: one mode
of the right width scores -0.309 on the ring, the truth -0.311. Beside it stand the modes covered,
the error of their masses, W2 with its floor for n samples, and who makes what, in bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.gan.mixture import Mixture
from meanfield.gan.recipes import GanGame, Ring
from meanfield.gan.run import ALWAYS

SAMPLES = 10_000
PAIRS = 1000  # of exact transport
REACH = 3.0  # deviations within which a point belongs to a mode
SHARE = 0.2  # of its fair mass that a mode needs to count as covered


def log_likelihood(mixture: Mixture) -> float:
    """The mean log-density of the true law at samples of the mixture, natural logarithm."""
    ring = _ring(mixture.game)
    points, _ = mixture.sample(SAMPLES)
    return float(ring.log_density(points).mean())


def modes(mixture: Mixture) -> int:
    """Modes with at least a fifth of their fair mass within three deviations of their mean."""
    points, _ = mixture.sample(SAMPLES)
    return modes_of(_ring(mixture.game), points)


def modes_of(ring: Ring, points: Array) -> int:
    """`modes` of given points (n, 2)."""
    which, apart = ring.nearest(points)
    near = which[apart <= REACH * ring.std]
    counts = np.bincount(near, minlength=ring.modes)
    return int((counts >= SHARE * len(points) / ring.modes).sum())


def mass_error(mixture: Mixture) -> float:
    """Total variation between the masses nearest to each mean and equal ones, in [0, 1]."""
    ring = _ring(mixture.game)
    points, _ = mixture.sample(SAMPLES)
    masses = np.bincount(ring.nearest(points)[0], minlength=ring.modes) / len(points)
    return float(0.5 * np.abs(masses - 1 / ring.modes).sum())


def w2(mixture: Mixture) -> float:
    """W2 between 1000 samples of the mixture and 1000 data, by exact assignment.

    Two samples of the truth are apart as well: 0.124 +- 0.024 on the usual ring (`w2_floor`).
    """
    ring, rng = _ring(mixture.game), np.random.default_rng(1)
    return assignment(mixture.sample(PAIRS)[0], ring.sample(PAIRS, rng))


@cache
def w2_floor(ring: Ring, pairs: int = 20) -> tuple[float, float]:
    """The mean and the deviation of `w2` where the mixture is the truth itself."""
    rng = np.random.default_rng(2)
    found = [assignment(ring.sample(PAIRS, rng), ring.sample(PAIRS, rng)) for _ in range(pairs)]
    return float(np.mean(found)), float(np.std(found, ddof=1))


def assignment(a: Array, b: Array) -> float:
    """W2 between equally many points (n, d) of equal masses."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    costs = cdist(a, b, "sqeuclidean")
    return float(np.sqrt(costs[linear_sum_assignment(costs)].mean()))


def information(mixture: Mixture) -> float:
    """I(generator; nearest mode) in bits: 0 where all make the same, log2 p where none share."""
    ring, held = _ring(mixture.game), []
    for row in mixture.each(SAMPLES // len(mixture)):
        held.append(np.bincount(ring.nearest(row)[0], minlength=ring.modes) / len(row))
    return information_of(np.array(held), mixture.weights)


def information_of(labels: Array, weights: Array) -> float:
    """I(generator; label) in bits, from the laws of labels of each generator (p, labels)."""
    joint = weights[:, None] * labels / labels.sum(axis=1, keepdims=True)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / apart[some])).sum())


def _ring(game: GanGame) -> Ring:
    if not isinstance(game.data, Ring):
        raise ValueError(
            "this score needs a known law, a Ring; images have meanfield.gan.features.distances"
        )
    return game.data


NAMED: dict[str, Callable[[Mixture], Any]] = {
    "log_likelihood": log_likelihood, "modes": modes, "mass_error": mass_error, "w2": w2,
    "information": information,
}  # fmt: skip


def named(scores: Sequence[str] | Mapping[str, Any], game: GanGame) -> dict[str, Any]:
    """Scores by their names, functions as they are; TypeError or ValueError for what is neither.

    log_likelihood brings `modes` along, without which it cannot be read.
    """
    if isinstance(scores, Mapping):
        for name, score in scores.items():
            if not (isinstance(name, str) and callable(score)):
                raise TypeError(f"scores must be functions by their names, got {name!r}: {score!r}")
        if taken := set(scores) & {*ALWAYS, "time"}:
            raise ValueError(f"every run records {' and '.join(sorted(taken))}; choose other names")
        return dict(scores)
    if isinstance(scores, str) or (unknown := [s for s in scores if s not in NAMED]):
        wrong = scores if isinstance(scores, str) else ", ".join(map(str, unknown))
        raise ValueError(f"scores are a list of {', '.join(NAMED)}, or functions; got {wrong}")
    if scores and not isinstance(game.data, Ring):
        raise ValueError("scores by name need a Ring; give functions for images")
    beside = ["modes"] if "log_likelihood" in scores else []
    return {name: NAMED[name] for name in dict.fromkeys([*scores, *beside])}
