"""A periodic solution of (7) followed in a parameter, through the folds where two of them meet.

Pseudo-arclength continuation (Keller 1977): the parameter is an unknown like the state and the
period, and a step is as long along the curve. Where its tangent has no part in the parameter, the
curve turns back: a stable and an unstable orbit meet and vanish.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, allow_underflow, real, whole
from meanfield.equilibria.orbit import Complex, Orbit, multipliers, phase
from meanfield.equilibria.returns import ReturnMap, newton, solve_linear
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.progress import bar
from meanfield.shown import Shown
from meanfield.storage.results import Result

Family = Callable[[float], tuple[Game, Flow]]

REACH = 1e-4  # of difference quotients in the parameter, relative to the range
ACCURATE = 1e-7  # relative error of a state after one period that its steps may leave
SHORTEST, LONGEST, LONGER = 1e-3, 20.0, 1.4  # steps in units of the first; growth after a good one
STRAIGHT, BENT = 0.98, 0.8  # cosines between tangents: after a good step, after one too long
FOLD_TOL = 1e-5  # part of the tangent along the parameter at a fold; its value is off by the square
FOLD_ROUNDS = 30  # secant steps to a fold
SHRUNK = 1e-2  # size, in units of the first orbit's, below which one has shrunk to a fixed point
LONGEST_PERIOD = 20.0  # factor by which a period may grow: beyond, the branch goes to infinity


@dataclass(frozen=True, eq=False)
class Branch(Shown, Result):
    """Orbits along a curve in a parameter.

    name: of the parameter. values, periods, sizes (P,): its values, the periods, and by how much
    the densities change over one (the largest distance of coefficients from the first state).
    multipliers (P, k): of each, but that of a shift in time. folds (F, 2): parameter and period
    where the branch turns back, at which the leading multiplier is 1. end: why it ends. x, y: the
    densities of each orbit at its phase zero.
    """

    name: str
    values: Array
    periods: Array
    sizes: Array
    multipliers: Complex = field(repr=False)
    folds: Array
    end: str
    x: list[Density] = field(repr=False)
    y: list[Density] = field(repr=False)

    @property
    def stable(self) -> Any:
        """Which of the orbits are stable, (P,)."""
        return (np.abs(self.multipliers) < 1).all(axis=1)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw periods and sizes over the parameter as `meanfield.plotting.plot_branch` does."""
        from meanfield.plotting import plot_branch

        return plot_branch(self, ax, **options)

    def __repr__(self) -> str:
        folds = ", ".join(f"{value:.10g}" for value in self.folds[:, 0]) or "none"
        return (
            f"Branch: {len(self.values)} orbits, {self.name} from {self.values.min():.6g} to "
            f"{self.values.max():.6g}, folds at {folds}; {self.end}"
        )


@allow_underflow
def branch(
    family: Family,
    near: Orbit,
    at: float,
    between: tuple[float, float],
    step: float | None = None,
    points: int = 100,
    folds: int | None = None,
    name: str = "parameter",
    tol: float = 1e-10,
    progress: bool | None = None,
) -> Branch:
    """The periodic solutions of (7) that an orbit belongs to, as a parameter changes.

    Parameters
    ----------
    family : function of a number
        Gives the pair (game, flow) at a value of the parameter; both may depend on it.
    near : Orbit
        The orbit to begin from, one of `family(at)`.
    at : float
    between : pair of floats
        The branch ends where the parameter leaves this range.
    step : float, optional
        The first step in the parameter, towards the far end when positive; by default a fiftieth of
        the range, towards its nearer end.
    points : int, optional
        The most orbits.
    folds : int, optional
        End at the fold of this number, the first being 1.
    name : str, optional
        What the parameter is called in pictures and tables.
    tol : float, optional
        The residual wanted of each orbit.
    progress : bool, optional

    Returns
    -------
    Branch

    Raises
    ------
    NotConverged
        Where not even one further orbit is found.
    """
    low, high = sorted(real("between", b) for b in between)
    at, points = real("at", at), whole("points", points, 2)
    if not low <= at <= high:
        raise ValueError(f"at is {at:g}, outside the range from {low:g} to {high:g}")
    if not isinstance(near, Orbit):
        raise TypeError(f"near must be a meanfield Orbit, got {type(near).__name__}")
    away = (low - at if at - low < high - at else high - at) / 50 if step is None else step
    most = None if folds is None else whole("folds", folds)
    curve = _Curve(family, near, high - low, real("tol", tol, 0.0, strict=True))
    with bar(points, f"branch in {name}", progress) as shown:
        return _walked(curve, at, away, (low, high), points, most, name, shown)


class _Curve:
    """The equations of the orbits of a family, and their solutions one after the other.

    A point is u = (v, T, p): state, period, and parameter in units of the range.
    """

    def __init__(self, family: Family, near: Orbit, unit: float, tol: float) -> None:
        self.family, self.near, self.unit, self.tol = family, near, unit, tol
        self._maps: dict[float, ReturnMap] = {}
        self.steps = 0

    def maps(self, p: float) -> ReturnMap:
        """The return map at a parameter; the last few are kept."""
        if p not in self._maps:
            game, flow = self.family(p * self.unit)
            made = ReturnMap(game, flow, self.near.start, self.near.cells)
            made.steps = self.steps or made.steps
            if len(self._maps) > 4:
                del self._maps[next(iter(self._maps))]
            self._maps[p] = made
        return self._maps[p]

    def solved(self, guess: Array, row: Array, tangent: Array) -> Array:
        """The point of the curve on the plane through a guess, across `tangent`."""
        rows = np.stack([row, tangent])
        return newton(self.maps, guess, rows, rows @ guess, self.tol, REACH)[0]

    def first(self, at: float) -> tuple[Array, Array]:
        """The point at a value of the parameter, and the row that fixes its phase."""
        p = at / self.unit
        here = self.maps(p)
        here.refine(here.state, self.near.period, ACCURATE)
        self.steps = here.steps
        u = np.concatenate([here.state, [self.near.period, p]])
        row = phase(here, here.state)
        return self.solved(u, row, np.eye(len(u))[-1]), row

    def tangent(self, u: Array, row: Array, before: Array) -> Array:
        """The direction (n + 2,) of the curve at u, of length one, on the side of `before`."""
        right = np.zeros(len(u))
        right[-1] = 1.0
        found = solve_linear(self.maps, u, np.stack([row, before]), right, REACH)
        return found / np.linalg.norm(found)

    def row(self, u: Array) -> Array:
        """The row that fixes the phase of points near u."""
        return phase(self.maps(float(u[-1])), u[:-2])

    def after(self, here: _Point, length: float) -> _Point:
        """The point a length further along the curve; NotConverged where none is found."""
        u = self.solved(here.u + length * here.tangent, here.row, here.tangent)
        row = self.row(u)
        return _Point(u, row, self.tangent(u, row, here.tangent))

    def fold(self, here: _Point, length: float, there: _Point) -> _Point:
        """The fold between two points, by regula falsi in the length (Illinois)."""
        a, b, at_a, at_b, last = 0.0, length, here.tangent[-1], there.tangent[-1], 0
        for _ in range(FOLD_ROUNDS):
            s = b - at_b * (b - a) / (at_b - at_a)
            there = self.after(here, s)
            slope = there.tangent[-1]
            if abs(slope) <= FOLD_TOL:
                break
            if slope * at_a > 0:
                a, at_a, at_b = s, slope, at_b / 2 if last == 1 else at_b
                last = 1
            else:
                b, at_b, at_a = s, slope, at_a / 2 if last == -1 else at_a
                last = -1
        return there

    def watch(self, points: Array) -> None:
        """Warn where the coefficients do not resolve the least smooth of the points."""
        worst = max(points, key=lambda u: self.maps(u[-1]).tail(u[:-2]))
        self.maps(worst[-1]).check(worst[:-2])

    def size(self, u: Array) -> float:
        """The largest distance from the first of eight states at equal parts of the period."""
        here, v, T = self.maps(float(u[-1])), u[:-2], float(u[-2])
        states, count = [v], here.steps // 8
        for _ in range(7):
            states.append(here(states[-1], T / 8, count))
        return float(np.linalg.norm(np.array(states) - v, axis=1).max())

    def multipliers(self, u: Array, count: int = 4) -> Complex:
        """The leading multipliers, but that of a shift in time."""
        here = self.maps(float(u[-1]))
        found = multipliers(here.along, u[:-2], float(u[-2]), count)
        return np.delete(found, np.argmin(np.abs(found - 1)))


@dataclass(frozen=True, eq=False)
class _Point:
    """A point of the curve, the row that fixes the phase near it, and the curve's direction."""

    u: Array
    row: Array
    tangent: Array


def _walked(
    curve: _Curve, at: float, away: float, between: tuple[float, float], points: int,
    most: int | None, name: str, shown: Any,
) -> Branch:  # fmt: skip
    u, row = curve.first(at)
    along = np.sign(away) * np.eye(len(u))[-1]
    here = _Point(u, row, curve.tangent(u, row, along))
    found, folds, end = [here], [], f"ends after {points} orbits"
    first = length = abs(away) / curve.unit / abs(here.tangent[-1])
    size = curve.size(u)
    while len(found) < points:
        try:
            there = curve.after(here, length)
            straight = float(there.tangent @ here.tangent)
        except NotConverged:
            straight = -1.0
        if straight < BENT:
            length /= 2
            if length < SHORTEST * first:
                end = f"no orbit was found beyond {name} = {here.u[-1] * curve.unit:.6g}"
                break
            continue
        if there.tangent[-1] * here.tangent[-1] < 0:
            folds.append(curve.fold(here, length, there).u)
            if len(folds) == most:
                end = f"ends at fold {most}"
                break
        value = there.u[-1] * curve.unit
        if not between[0] <= value <= between[1]:
            end = f"leaves the range at {name} = {value:.6g}"
            break
        found.append(there)
        shown.update(1)
        if curve.size(there.u) < SHRUNK * size:
            end = f"shrinks to a fixed point at {name} = {value:.6g}"
            break
        if there.u[-2] > LONGEST_PERIOD * curve.near.period:
            end = f"its period grows without bound towards {name} = {value:.6g}"
            break
        if straight > STRAIGHT:
            length = min(LONGER * length, LONGEST * first)
        here = there
    return _gathered(curve, found, folds, name, end)


def _gathered(
    curve: _Curve, found: list[_Point], folds: list[Array], name: str, end: str
) -> Branch:
    points = np.array([point.u for point in found])
    curve.watch(points)
    states = [curve.maps(u[-1]).densities(u[:-2]) for u in points]
    turned = np.array([(u[-1] * curve.unit, u[-2]) for u in folds]).reshape(-1, 2)
    return Branch(
        name, points[:, -1] * curve.unit, points[:, -2], np.array([curve.size(u) for u in points]),
        np.array([curve.multipliers(u) for u in points]), turned, end,
        [x for x, _ in states], [y for _, y in states],
    )  # fmt: skip
