"""A lower bound on the Nikaido-Isoda error of mixtures of GANs, where the paper has none.

NI(mu_x, mu_y) = sup_y L(mu_x, y) - inf_x L(x, mu_y). Any critic bounds the first term from below,
any generator the second from above. Critics of the game's class are trained against the mixture of
generators, chosen on one sample and judged on another. Against the mixture of critics a generator
answers best by a point mass where sum_j v_j f_j is largest: generators whose last layer has a bias
can give it, and on a grid of the plane it is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array, real, whole
from meanfield.gan.mixture import values
from meanfield.gan.needs import torch
from meanfield.gan.particles import Particles, new_networks
from meanfield.gan.recipes import Maker, Network, Ring
from meanfield.gan.running import using
from meanfield.shown import Shown
from meanfield.storage.results import Result

BOX = 2.0  # half the side of the square in which a generator looks for its answer
GRID = 401  # points an axis


@dataclass(frozen=True)
class Certificate(Result, Shown):
    """NI is at least `lower` = best_critic - best_generator - 2 standard_error.

    best_critic: L of the mixture of generators against the best critic found, by `samples` samples
    that it was not trained on. best_generator: L of the best point mass in the box against the
    mixture of critics. The bound holds with the probability of two standard errors; the error
    itself may be larger, for better critics may exist.
    """

    lower: float
    standard_error: float
    best_critic: float
    best_generator: float
    samples: int
    restarts: int

    def __repr__(self) -> str:
        return (
            f"NI >= {self.lower:.4g}: a critic gains {self.best_critic:.4g} and a point mass "
            f"{-self.best_generator:.4g}, less two standard errors of {self.standard_error:.2g}"
        )


def nikaido_isoda(
    run: Any,
    generator: Maker | None = None,
    critic: Maker | None = None,
    samples: int = 20_000,
    restarts: int = 3,
    steps: int = 1000,
    seed: int = 0,
    box: float | None = None,
) -> Certificate:
    """A lower bound on the Nikaido-Isoda error of a trained run, in the plane.

    Parameters
    ----------
    run : GanRun
        Of a game on a Ring whose critics are clipped; without it a critic could gain any amount.
    generator, critic : Network or function
        What made the networks, where the file knows its name only.
    samples : int
        On which the best critic is judged.
    restarts, steps : int
        Fresh critics, and steps of Adam for each.
    seed : int
        Of critics and samples.
    box : float, optional
        Generators of the class can put all mass on any point of [-box, box]^2. By default the bound
        of `mlp(..., bound=)`, or 2; give it where generators are yours and reach less.
    """
    game = run.game
    if not isinstance(game.data, Ring) or game.clip is None:
        raise ValueError(
            "the certificate needs data in the plane, where the best generator is found on a grid, "
            "and clipped critics, without which the supremum over critics is infinite"
        )
    whole("samples", samples, 2)
    fakes, critics = run.mixture(generator), run.critics(critic)
    make = game.critic if critic is None else critic

    def sample(count: int, number: int) -> Array:
        return np.asarray(fakes.sample(count, number)[0])

    ring, clip = game.data, game.clip
    gain, its_error = critic_gain(ring, make, clip, sample, samples, restarts, steps, seed)
    reach = _reach(game.generator if generator is None else generator) if box is None else box
    loss, other_error = point_mass(ring, critics, samples, seed, real("box", reach, 0.0))
    error = float(np.hypot(its_error, other_error))
    return Certificate(gain - loss - 2 * error, error, gain, loss, samples, restarts)


def critic_gain(
    ring: Ring,
    make: Maker,
    clip: float,
    sample: Callable[[int, int], Array],
    samples: int = 20_000,
    restarts: int = 3,
    steps: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """E f(a) - E f(b) of the best of several fresh critics f, and its standard error.

    Parameters of critics stay in [-clip, clip].
    sample(count, seed) gives b; where it gives the data's own law, the gain is 0 up to its error.
    """
    with using(1):
        found = Particles(new_networks(make, whole("restarts", restarts), seed, 7))
        rng = np.random.default_rng((seed, 8))
        pool = torch.from_numpy(sample(samples, _other(rng)).astype(np.float32))
        for k in range(whole("steps", steps)):
            a = torch.from_numpy(ring.sample(256, rng).astype(np.float32))
            b = pool[torch.from_numpy(rng.integers(len(pool), size=256))]
            found.slope.zero_()
            gains = [f(a).mean() - f(b).mean() for f in found.networks]
            torch.stack(gains).sum().backward()
            found.at.add_(found.adam((0.5, 0.99)), alpha=5e-3 * (1 - k / steps))
            found.at.clamp_(-clip, clip)
        trials = [_judged(ring, f, sample, samples, _other(rng)) for f in found.networks]
        best = found.networks[int(np.argmax([gain for gain, _ in trials]))]
        return _judged(ring, best, sample, samples, _other(rng))


def _other(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 62))


def _judged(ring: Ring, f: Any, sample: Any, count: int, seed: int) -> tuple[float, float]:
    """What a critic gains on fresh samples, and the standard error of that."""
    a = ring.sample(count, np.random.default_rng((seed, 9)))
    of_a, of_b = (values(f, points) for points in (a, sample(count, seed)))
    error = np.sqrt((of_a.var(ddof=1) + of_b.var(ddof=1)) / count)
    return float(of_a.mean() - of_b.mean()), float(error)


def _reach(generator: Any) -> float:
    """Half the side of the square in which generators of a kind put point masses."""
    bound = generator.options.get("bound") if isinstance(generator, Network) else None
    return BOX if bound is None else min(BOX, float(bound))


def point_mass(
    ring: Ring, critics: Any, samples: int, seed: int, box: float = BOX
) -> tuple[float, float]:
    """E fbar(a) - max fbar over a grid of the box, fbar = sum_j v_j f_j, and its standard error."""
    axis = np.linspace(-box, box, GRID)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    a = ring.sample(samples, np.random.default_rng((seed, 10)))
    of_grid, of_a = np.zeros(len(grid)), np.zeros(samples)
    for f, weight in zip(critics.networks, critics.weights, strict=True):
        of_grid += weight * values(f, grid)
        of_a += weight * values(f, a)
    return float(of_a.mean() - of_grid.max()), float(of_a.std(ddof=1) / np.sqrt(samples))
