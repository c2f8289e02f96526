"""A Nash equilibrium of atoms followed in a parameter, through changes of its support."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.equilibria.atoms import atom_stability
from meanfield.equilibria.curve import BENT, LONGER, SHORTEST, STRAIGHT
from meanfield.equilibria.nash import Equilibrium
from meanfield.equilibria.nash_curve import CLOSE, NashCurve, Point, close
from meanfield.equilibria.spectrum import Complex
from meanfield.equilibria.support import LIGHT, NEAR
from meanfield.games.base import SIGNS, Game
from meanfield.manifolds import unit
from meanfield.measures import Measure
from meanfield.responses import Response
from meanfield.shown import Shown
from meanfield.storage.results import Result

LONGEST = 4.0  # steps in units of the first
BETTER = 1e-9  # gain by a response, relative to the losses, from which on it counts
NASH = 1e-6  # the same, up to which a pair counts as an equilibrium to begin from
TURNED = 1e-6  # part of the tangent along the parameter that has a sign
BENDS = 1e-7  # curvature, relative to the losses, that counts as none
# How far along a step something lies, where, what it is, and how the curve goes on, if it does.
Event = tuple[float, Point, str, Callable[[Point], Point] | None]


@dataclass(frozen=True, eq=False)
class NashBranch(Shown, Result):
    """Nash equilibria along a curve in a parameter.

    name: of the parameter. values, game_values (P,): its values, and those of the games. errors
    (P,): bounds of the Nikaido-Isoda errors, proven ones where `certified`. x, y: the equilibria.
    leading (P,): the leading eigenvalue of the flow linearised at each, nan where
    nothing can move, None without a flow.
    changes (C,): the parameter where an atom leaves or joins, and `what` happens there. end: why
    the branch ends. state: of an unfinished branch, how to go on.
    """

    name: str
    values: Array
    game_values: Array
    errors: Array
    certified: bool
    x: list[Measure] = field(repr=False)
    y: list[Measure] = field(repr=False)
    changes: Array
    what: list[str]
    end: str
    leading: Complex | None = field(repr=False, default=None)
    state: dict[str, Any] = field(repr=False, default_factory=dict)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw values and weights over the parameter as `plotting.plot_nash_branch` does."""
        from meanfield.plotting import plot_nash_branch

        return plot_nash_branch(self, ax, **options)

    def __repr__(self) -> str:
        told = [f"{w} at {v:.10g}" for v, w in zip(self.changes, self.what, strict=True)]
        return (
            f"NashBranch: {len(self.values)} equilibria, {self.name} from {self.values.min():.6g} "
            f"to {self.values.max():.6g}, NI up to {self.errors.max():.1e}"
            f"{'' if self.certified else ' (not certified)'}; "
            f"{', '.join(told) or 'the same atoms throughout'}; {self.end}"
        )


class NashWalk:
    """Equilibria of a curve one after the other, until it ends.

    `state` is all that `restore` needs to walk on to the same bits.
    """

    def __init__(
        self, family: Callable[[float], Any], near: Equilibrium, between: tuple[float, float],
        points: int, name: str,
    ) -> None:  # fmt: skip
        self.family = family
        self.curve = NashCurve(self.game, between[1] - between[0])
        self.near, self.between, self.points, self.name = near, between, points, name
        self.end = ""
        self.found: list[Point] = []
        self.errors: list[float] = []
        self.certified: list[bool] = []
        self.changes: list[float] = []
        self.what: list[str] = []
        self.length = self.first = 0.0

    def game(self, p: float) -> Game:
        """The game at a value of the parameter."""
        given = self.family(p)
        return given[0] if isinstance(given, tuple) else given

    def begin(self, at: float, away: float) -> None:
        """The first equilibrium, and the first step's length and direction."""
        point = self.curve.first((self.near.x, self.near.y), at / self.curve.unit)
        if away < 0:
            point = self.curve.directed(point, lambda t: -t[-1])
        self.keep(point, self.curve.responses(point))
        if self.errors[0] > NASH * self.curve.scale:
            raise ValueError(
                f"near is no equilibrium of the game at {self.name} = {at:g}: a player gains "
                f"{self.errors[0]:.2g}; begin from mf.nash(family({at:g}))"
            )
        self.first = abs(away) / self.curve.unit / abs(point.tangent[-1])
        self.length = self.first

    def keep(self, point: Point, responses: tuple[Response, Response]) -> None:
        """Another equilibrium, and the bound of its error."""
        proven = all(np.isfinite(r.floor) for r in responses)
        self.found.append(point)
        self.errors.append(max(0.0, -sum(r.floor if proven else r.value for r in responses)))
        self.certified.append(proven)

    def value(self, point: Point) -> float:
        """The parameter at a point."""
        return point.p * self.curve.unit

    def step(self) -> None:
        """One step, which may find an equilibrium, halve the next, or end the walk."""
        here, length = self.found[-1], self.length
        if len(self.found) >= self.points:
            self.end = f"ends after {self.points} equilibria"
            return
        try:
            there = self.curve.after(here, length)
            straight = float(there.tangent @ here.tangent)
            # Equilibria do not turn back: they are convex sets. Where equations do, atoms have met.
            if straight < BENT or there.tangent[-1] * np.sign(here.tangent[-1]) < -TURNED:
                raise NotConverged("too long a step")
            responses = self.curve.responses(there)
            if self.met(here, there, length, responses):
                return
        except NotConverged:
            self.length /= 2
            if self.length < SHORTEST * self.first:
                self.end = f"no equilibrium was found beyond {self.name} = {self.value(here):.6g}"
            return
        if not self.between[0] <= self.value(there) <= self.between[1]:
            self.end_at_range(there)
            return
        self.keep(there, responses)
        if straight > STRAIGHT:
            self.length = min(LONGER * self.length, LONGEST * self.first)

    def end_at_range(self, there: Point) -> None:
        """End at the end of the range, which the step to `there` passes."""
        last = min(max(self.value(there), self.between[0]), self.between[1])
        self.end = f"leaves the range at {self.name} = {last:.6g}"
        with suppress(NotConverged):
            at = self.curve.at_parameter(there, last / self.curve.unit)
            self.keep(at, self.curve.responses(at))

    def met(
        self, here: Point, there: Point, length: float, responses: tuple[Response, Response]
    ) -> bool:
        """Whether the step meets a change of support or an end, which is gone to then."""
        changed, lost = self.changed(here, there, responses)
        found = [*self.ends(here, there, length), *changed]
        if not found and not lost:
            return False
        if not found:
            raise NotConverged("where an atom joins was not found")
        far, at, told, goes_on = min(found, key=lambda one: one[0])
        if not -NEAR * length <= far <= (1 + NEAR) * length:
            raise NotConverged("what the step meets was not found on it")
        # Beyond a change there may be better responses that are none before it.
        if lost and any(self.better(at, p, r) for p, r in enumerate(self.curve.responses(at))):
            raise NotConverged("where an atom joins was not found")
        if not self.between[0] <= self.value(at) <= self.between[1]:
            return False
        if goes_on is None:
            self.end = f"{told} at {self.name} = {self.value(at):.10g}"
            self.keep(at, self.curve.responses(at))
            return True
        self.changes.append(self.value(at))
        self.what.append(told)
        try:
            point = goes_on(at)
        except NotConverged as error:
            self.end = f"{told}, and {error}: {self.name} = {self.value(at):.10g}"
            return True
        self.keep(point, self.curve.responses(point))
        self.length = self.first
        return True

    def ends(self, here: Point, there: Point, length: float) -> list[Event]:
        """Where an atom splits, or two of them meet."""
        found: list[Event] = []
        for player, name in enumerate("xy"):
            bends = self.curve.bend(there, player)
            for i in np.flatnonzero(bends < -BENDS * self.curve.scale):
                at = self.curve.splitting(here, length, player, int(i))
                found.append((self.curve.along(here, at), at, f"an atom of {name} splits", None))
            M = self.curve.manifolds[player]
            before, (d, which) = close(M, here.atoms[player])[0], close(M, there.atoms[player])
            if not d < min(before, CLOSE):
                continue
            try:
                at = self.curve.meeting(here, there, player, which)
            except NotConverged:
                continue  # they pass each other
            # The parameter changes with the square of the distance.
            ahead = (there.p - here.p) * d**2 / (before**2 - d**2)
            if abs(at.p - there.p - ahead) < abs(ahead):
                found.append((length, at, f"two atoms of {name} meet", None))
        return found

    def changed(
        self, here: Point, there: Point, responses: tuple[Response, Response]
    ) -> tuple[list[Event], bool]:
        """Where an atom leaves or joins, and how the curve goes on; whether one was not found."""
        curve, found, lost = self.curve, list[Event](), False
        for player, name in enumerate("xy"):
            for i in np.flatnonzero(there.weights[player] < -LIGHT):
                at = curve.leaving(here, there, player, int(i))
                goes_on = partial(curve.left, player=player, i=int(i))
                found.append((curve.along(here, at), at, f"an atom of {name} leaves", goes_on))
            for point in self.better(there, player, responses[player]):
                try:
                    at = curve.joining(there, player, point)
                except NotConverged:
                    lost = True
                    continue
                goes_on = partial(curve.joined, player=player)
                found.append((curve.along(here, at), at, f"an atom of {name} joins", goes_on))
        return found, lost

    def better(self, there: Point, player: int, response: Response) -> list[Array]:
        """The points that are better responses than the player's atoms, and none of them."""
        M, level = self.curve.manifolds[player], SIGNS[player] * there.value
        gain = response.values < level - BETTER * self.curve.scale
        near = NEAR * unit(M)
        return [q for q in response.minimisers[gain]
                if M.distance(there.atoms[player], q).min() > near]  # fmt: skip

    def result(self) -> NashBranch:
        """The branch so far."""
        curve, points = self.curve, self.found
        pairs = [curve.pair(point) for point in points]
        values = [point.value + curve.game(point.p).constant for point in points]
        return NashBranch(
            self.name, np.array([self.value(point) for point in points]), np.array(values),
            np.array(self.errors), all(self.certified), [x for x, _ in pairs],
            [y for _, y in pairs], np.array(self.changes), list(self.what),
            self.end or "not finished", self.leading(pairs), {} if self.end else self.state(),
        )  # fmt: skip

    def leading(self, pairs: list[tuple[Measure, Measure]]) -> Complex | None:
        """The leading eigenvalues at the end of a walk, where the family gives flows."""
        values = [self.value(point) for point in self.found]
        if not self.end or not isinstance(self.family(values[0]), tuple):
            return None
        found = []
        for p, (x, y) in zip(values, pairs, strict=True):
            game, flow = self.family(p)
            spectrum = atom_stability(game, flow, replace(self.near, x=x, y=y))
            found.append(spectrum.eigenvalues[0] if len(spectrum.eigenvalues) else np.nan)
        return np.array(found)

    def state(self) -> dict[str, Any]:
        """Plain arrays and numbers."""
        packed = [
            np.concatenate([*(x.ravel() for x in point.atoms), *point.weights,
                            [point.value, point.p], point.tangent])
            for point in self.found
        ]  # fmt: skip
        counts = np.array([[len(w) for w in point.weights] for point in self.found])
        told = {name: np.array(getattr(self, name)) for name in ("errors", "certified", "changes")}
        step = {"length": self.length, "first": self.first, "scale": self.curve.scale}
        return {"counts": counts, "points": np.concatenate(packed), "what": list(self.what),
                **told, **step}  # fmt: skip

    def restore(self, held: NashBranch) -> None:
        """Go to where a stored branch was stopped."""
        state = held.state
        Ms, left = (self.near.x.manifold, self.near.y.manifold), state["points"]
        for n in state["counts"].tolist():
            sizes = [*(k * M.ambient for k, M in zip(n, Ms, strict=True)), *n, 1, 1]
            sizes.append(sum(sizes))
            *parts, left = np.split(left, np.cumsum(sizes))
            x, y = (part.reshape(k, -1) for k, part in zip(n, parts[:2], strict=True))
            value, p = float(parts[4][0]), float(parts[5][0])
            self.found.append(Point((x, y), (parts[2], parts[3]), value, p, parts[6]))
        self.errors, self.certified = state["errors"].tolist(), state["certified"].tolist()
        self.changes, self.what = state["changes"].tolist(), list(state["what"])
        self.length, self.first = state["length"], state["first"]
        self.curve.manifolds, self.curve.scale = Ms, state["scale"]
