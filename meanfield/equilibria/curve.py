"""The curve of orbits of a family in the space of states, periods and the parameter, and a walk on
it (Keller 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.equilibria.orbit import Complex, Orbit, multipliers, phase
from meanfield.equilibria.returns import ReturnMap, newton, solve_linear
from meanfield.flows import Flow
from meanfield.games.base import Game

Family = Callable[[float], tuple[Game, Flow]]

REACH = 1e-4  # of difference quotients in the parameter, relative to the range
ACCURATE = 1e-7  # relative error of a state after one period that its steps may leave
SHORTEST, LONGEST, LONGER = 1e-3, 20.0, 1.4  # steps in units of the first; growth after a good one
STRAIGHT, BENT = 0.98, 0.8  # cosines between tangents: after a good step, after one too long
FOLD_TOL = 1e-5  # part of the tangent along the parameter at a fold; its value is off by the square
FOLD_ROUNDS = 30  # secant steps to a fold
SHRUNK = 1e-2  # size, in units of the first orbit's, below which one has shrunk to a fixed point
PARTS = ("u", "row", "tangent")  # of a point
LONGEST_PERIOD = 20.0  # factor by which a period may grow: beyond, the branch goes to infinity


class Curve:
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

    def after(self, here: Point, length: float) -> Point:
        """The point a length further along the curve; NotConverged where none is found."""
        u = self.solved(here.u + length * here.tangent, here.row, here.tangent)
        row = self.row(u)
        return Point(u, row, self.tangent(u, row, here.tangent))

    def at_parameter(self, near: Point, p: float) -> Point:
        """The point at a parameter from one that is near, with the direction there."""
        guess = np.append(near.u[:-1], p)
        return replace(near, u=self.solved(guess, near.row, np.eye(len(guess))[-1]))

    def fold(self, here: Point, length: float, there: Point) -> Point:
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
class Point:
    """A point of the curve, the row that fixes the phase near it, and the curve's direction."""

    u: Array
    row: Array
    tangent: Array


class Walk:
    """Points of a curve one after the other, until it ends.

    A step that bends too much is halved, one that hardly bends lengthened. `state` is all that
    `restore` needs to walk on to the same bits.
    """

    def __init__(
        self, curve: Curve, between: tuple[float, float], points: int, most: int | None, name: str
    ) -> None:
        self.curve, self.between, self.points = curve, between, points
        self.most, self.name, self.end = most, name, ""
        self.found: list[Point] = []
        self.folds: list[Array] = []
        self.sizes: list[float] = []
        self.multipliers: list[Complex] = []
        self.length = self.first = 0.0

    def begin(self, at: float, away: float) -> None:
        """The first point, and the first step's length and direction."""
        u, row = self.curve.first(at)
        along = np.sign(away) * np.eye(len(u))[-1]
        self.keep(Point(u, row, self.curve.tangent(u, row, along)))
        self.first = abs(away) / self.curve.unit / abs(self.found[0].tangent[-1])
        self.length = self.first

    def keep(self, point: Point) -> None:
        """Another point of the curve, and what is told of its orbit."""
        self.found.append(point)
        self.sizes.append(self.curve.size(point.u))
        self.multipliers.append(self.curve.multipliers(point.u))

    def value(self, u: Array) -> float:
        """The parameter at a point."""
        return float(u[-1] * self.curve.unit)

    def step(self) -> None:
        """One step, which may find a point, halve the next, or end the walk."""
        here = self.found[-1]
        if len(self.found) >= self.points:
            self.end = f"ends after {self.points} orbits"
            return
        try:
            there = self.curve.after(here, self.length)
            straight = float(there.tangent @ here.tangent)
        except NotConverged:
            straight = -1.0
        if straight < BENT:
            self.length /= 2
            if self.length < SHORTEST * self.first:
                self.end = f"no orbit was found beyond {self.name} = {self.value(here.u):.6g}"
            return
        if there.tangent[-1] * here.tangent[-1] < 0:
            self.folds.append(self.curve.fold(here, self.length, there).u)
            if len(self.folds) == self.most:
                self.end = f"ends at fold {self.most}"
                return
        value = self.value(there.u)
        if not self.between[0] <= value <= self.between[1]:
            self.end_at_range(there)
            return
        self.keep(there)
        if self.sizes[-1] < SHRUNK * self.sizes[0]:
            self.end = f"shrinks to a fixed point at {self.name} = {value:.6g}"
        elif there.u[-2] > LONGEST_PERIOD * self.curve.near.period:
            self.end = f"its period grows without bound towards {self.name} = {value:.6g}"
        elif straight > STRAIGHT:
            self.length = min(LONGER * self.length, LONGEST * self.first)

    def end_at_range(self, there: Point) -> None:
        """End at the end of the range, which the step to `there` passes."""
        last = min(max(self.value(there.u), self.between[0]), self.between[1])
        self.end = f"leaves the range at {self.name} = {last:.6g}"
        with suppress(NotConverged):
            self.keep(self.curve.at_parameter(there, last / self.curve.unit))

    def state(self) -> dict[str, Any]:
        """Plain arrays and numbers."""
        points = {n: np.array([getattr(point, n) for point in self.found]) for n in PARTS}
        folds = np.array(self.folds).reshape(-1, self.found[0].u.size)
        about = {"sizes": np.array(self.sizes), "multipliers": np.array(self.multipliers)}
        step = {"length": self.length, "first": self.first, "steps": self.curve.steps}
        return {**points, "folds": folds, **about, **step}

    def restore(self, held: Any) -> None:
        """Go to where a stored branch was stopped."""
        state = held.state
        self.found = [Point(*one) for one in zip(*(state[n] for n in PARTS), strict=True)]
        self.folds, self.sizes = list(state["folds"]), state["sizes"].tolist()
        self.multipliers = list(state["multipliers"])
        self.length, self.first = state["length"], state["first"]
        self.curve.steps = int(state["steps"])
