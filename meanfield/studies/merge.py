"""`merge`: comparisons of one problem, each with replicas of its own, as one comparison."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.describe import describe, same
from meanfield.studies.compare import Comparison, judge

# What comparisons that are merged have in common; the rest follows from it.
COMMON = ("game", "flow", "start", "scheme", "step", "seed")
# Samples that do not belong to replicas.
SHARED = ("energy_means",)


def merge(*comparisons: Comparison) -> Comparison:
    """One comparison of all replicas, to the bits of a single run of them.

    Parameters
    ----------
    comparisons : Comparison
        Of the same game, flow, start, numbers n, times, scheme, step and seed, whose replicas
        follow one another: the first replica of each (`first_replica` of `compare`) is that after
        the last of another. Their order does not matter. The confidence is the first's.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        For fewer than two, for what is no comparison, and for those that differ or leave a gap.
    """
    if len(comparisons) < 2:
        raise ValueError(f"merge needs two comparisons or more, got {len(comparisons)}")
    for k, part in enumerate(comparisons):
        if not isinstance(part, Comparison):
            raise TypeError(
                f"argument {k + 1} must be a meanfield.Comparison, got {type(part).__name__}"
            )
    first, *others = sorted(comparisons, key=first_of)
    for other in others:
        _check_alike(first, other)
    _check_follow([first, *others])
    samples = {name: _joined(name, [first, *others]) for name in first.samples}
    provenance = {**first.provenance, "confidence": comparisons[0].provenance["confidence"]}
    return judge(
        first.particles, first.field, first.field_ni, samples, provenance, first.field_ni_average
    )


def first_of(part: Comparison) -> int:
    """The number of a comparison's first replica."""
    return int(part.provenance.get("first_replica", 0))


def _joined(name: str, parts: list[Comparison]) -> list[Array]:
    """One kind of samples of all parts, for each n."""
    if name in SHARED:
        return parts[0].samples[name]
    pairs = zip(*(part.samples[name] for part in parts), strict=True)
    return [np.concatenate(rows) for rows in pairs]


def _check_alike(a: Comparison, b: Comparison) -> None:
    """ValueError, which names the difference, unless both compare the same with the same."""
    differ = [key for key in COMMON if not same(*(describe(c.provenance[key]) for c in (a, b)))]
    given: dict[str, tuple[Any, Any]] = {
        "particles": (a.particles, b.particles),
        "times": (a.times, b.times),
        "what is measured (control, average)": (sorted(a.samples), sorted(b.samples)),
        "the mean field (cells, engine, tol)": (a.field_ni, b.field_ni),
    }
    differ += [name for name, (p, q) in given.items() if not np.array_equal(p, q)]
    if differ:
        raise ValueError(f"these comparisons differ in {', '.join(differ)}; merge like with like")


def _check_follow(parts: list[Comparison]) -> None:
    """ValueError where replicas are missing, or in two parts, for some n."""
    for before, after in pairwise(parts):
        for n, R in zip(before.particles, before.replicas, strict=True):
            if first_of(before) + R != first_of(after):
                raise ValueError(
                    f"replicas {first_of(before)} to {first_of(before) + R - 1} of n = {n:,} are "
                    f"followed by those from {first_of(after)} on: give "
                    f"first_replica={first_of(before) + R} to the second"
                )
