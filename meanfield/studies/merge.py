"""Comparisons that go on: `merge` puts several of one problem together, `Known` lets one extend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.describe import describe, same
from meanfield.studies.comparison import Comparison, judge
from meanfield.trajectory import Trajectory

# What comparisons that are merged have in common; the rest follows from it.
COMMON = ("game", "flow", "start", "scheme", "step", "seed", "streams", "reference")
# Samples that do not belong to replicas.
SHARED = ("energy_means", "apart")
HALVED = "_half_step"  # samples of the largest n alone end so
Row = tuple[Array, ...]


def merge(*comparisons: Comparison) -> Comparison:
    """One comparison of all replicas at all numbers n, to the bits of a single run of them.

    Parameters
    ----------
    comparisons : Comparison
        Of the same game, flow, start, times, scheme, step, seed and mean field, at the same or at
        other numbers n. Replicas of one n follow one another: the first of each (`first_replica` of
        `compare`) is that after the last of another. Their order does not matter. The confidence is
        the first's.

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
    sizes = sorted({n for part in comparisons for n in part.particles})
    of_n = {n: [c for c in [first, *others] if n in c.particles] for n in sizes}
    _check_follow(of_n)
    samples = {name: _joined(name, of_n) for name in first.samples}
    provenance = {**first.provenance, "confidence": comparisons[0].provenance["confidence"]}
    return judge(sizes, first.field, first.field_ni, samples, provenance, first.field_ni_average)


def first_of(part: Comparison) -> int:
    """The number of a comparison's first replica."""
    return int(part.provenance.get("first_replica", 0))


def _joined(name: str, of_n: dict[int, list[Comparison]]) -> list[Array]:
    """One kind of samples of all parts, for each n."""
    largest = max(of_n)
    if name.endswith(HALVED):
        return [np.concatenate([c.samples[name][0] for c in of_n[largest]])]
    if name == "apart":
        return of_n[largest][0].samples[name]
    found = []
    for n, parts in of_n.items():
        rows = [c.samples[name][c.particles.index(n)] for c in parts]
        found.append(rows[0] if name in SHARED else np.concatenate(rows))
    return found


def _check_alike(a: Comparison, b: Comparison) -> None:
    """ValueError, which names the difference, unless both compare the same with the same."""
    differ = [key for key in COMMON if not same(*(describe(c.provenance.get(key)) for c in (a, b)))]
    given: dict[str, tuple[Any, Any]] = {
        "times": (a.times, b.times),
        "what is measured (control, average)": (sorted(a.samples), sorted(b.samples)),
        "the mean field (cells, engine, tol)": (a.field_ni, b.field_ni),
    }
    differ += [name for name, (p, q) in given.items() if not np.array_equal(p, q)]
    if differ:
        raise ValueError(f"these comparisons differ in {', '.join(differ)}; merge like with like")


def _check_follow(of_n: dict[int, list[Comparison]]) -> None:
    """ValueError where replicas are missing, or in two parts, for some n."""
    begin = first_of(min((part for parts in of_n.values() for part in parts), key=first_of))
    for n, parts in of_n.items():
        if first_of(parts[0]) != begin:
            raise ValueError(
                f"replicas of n = {n:,} begin with {first_of(parts[0])}, others with {begin}: give "
                f"first_replica={begin}"
            )
        for before, after in pairwise(parts):
            R = before.replicas[before.particles.index(n)]
            if first_of(before) + R != first_of(after):
                raise ValueError(
                    f"replicas {first_of(before)} to {first_of(before) + R - 1} of n = {n:,} are "
                    f"followed by those from {first_of(after)} on: give "
                    f"first_replica={first_of(before) + R} to the second"
                )


# -- extending ------------------------------------------------------------------------------------


def series(n: int, step: float) -> str:
    """The name of a series of replicas."""
    return f"n = {n}, step {step:.17g}"


@dataclass(frozen=True)
class Known:
    """What an earlier comparison measured: rows by series, up to time number `since`."""

    rows: dict[str, list[Row]]
    since: int
    whole: bool

    @classmethod
    def of(
        cls, part: Comparison, names: tuple[str, ...], controlled: bool, times: Array, step: float
    ) -> Known:
        drawn = (*names, "energies") if controlled else names
        rows = {
            series(n, step): _rows([part.samples[name][k] for name in drawn])
            for k, n in enumerate(part.particles)
        }
        halved = [part.samples[f"{name}{HALVED}"][0] for name in names]
        rows[series(part.particles[-1], step / 2)] = _rows(halved)
        return cls(rows, len(part.times), len(part.times) == len(times))

    def continues(
        self, measure: Callable[..., Row], name: str, done: list[Row], first: int
    ) -> Callable[[Trajectory], Row]:
        """The measure of one series; what is known of it whole is done."""
        held = self.rows.get(name, [])
        if self.whole:
            done += held[len(done) :]
            return measure
        return Continued(measure, held, self.since, first)


def _rows(columns: list[Array]) -> list[Row]:
    return list(zip(*columns, strict=True))


@dataclass(frozen=True)
class Continued:
    """What is known of a replica, and what its later times add."""

    measure: Callable[..., Row]
    held: list[Row]
    since: int
    first: int

    def __call__(self, run: Trajectory) -> Row:
        r = int(run.provenance["replica"]) - self.first
        if r >= len(self.held):
            return self.measure(run)
        late = self.measure(run, self.since)
        return tuple(np.concatenate(pair) for pair in zip(self.held[r], late, strict=True))


def check_extends(part: Comparison, about: dict[str, Any], times: Array, found: Any) -> None:
    """ValueError unless a comparison of `about` at `times` begins as `part`; found: its distances
    from the mean field.
    """
    differ = [
        key for key in (*COMMON, "first_replica")
        if not same(describe(part.provenance.get(key)), describe(about.get(key)))
    ]  # fmt: skip
    names = {*found.names, *(("energies",) if found.drive is not None else ())}
    K = len(part.times)
    if not np.array_equal(part.times, times[:K]):
        differ.append("times (save_every, or a shorter time)")
    elif not np.array_equal(part.field_ni, found.field_ni[:K]):
        differ.append("the mean field (cells, engine, tol)")
    held = {name for name in part.samples if not name.endswith(HALVED) and name not in SHARED}
    if held != names:
        differ.append("what is measured (control, average)")
    if differ:
        raise ValueError(f"resume differs from this comparison in {', '.join(differ)}")
