"""The curve of a family's equilibria with given numbers of atoms, and where it changes or ends.

Positions and weights of both players' atoms, the value and the parameter solve the equations of
`support`: as many as unknowns, one of which follows from the others at a solution (both players'
atoms give the same mean loss), so that solutions are a curve. They stay Nash equilibria until a
weight reaches zero or another point becomes as good a response; there the curve goes on with an
atom less or more, on the side where nobody gains by going back. Or an atom's cost becomes flat: it
splits, or two of them have met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.equilibria.support import NEAR, Signed, Unknowns, losses
from meanfield.games.base import SIGNS, Game, a_game
from meanfield.manifolds import unit
from meanfield.measures import Measure
from meanfield.responses import Response, Searches, cost_against
from meanfield.responses.polish import polish

Family = Callable[[float], Game]

ROUNDS, RESIDUAL = 40, 1e-10  # of Newton's method, relative to the losses
SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)  # of its steps
NUDGE = 1e-7  # of difference quotients in the parameter, in units of the range
ISOLATED = 1e-7  # relative singular value of equations that leave more than a curve
AHEAD = 1e-5  # how far slopes along the curve look
CLOSE = 0.1  # distance from which on two atoms may be about to meet, in the manifold's unit
FLAT = 1e-12  # change of the parameter up to which a flat cost is sought


@dataclass(frozen=True, eq=False)
class Point:
    """An equilibrium on the curve: atoms (n, a) and weights (n,) of both players, the value without
    the game's constant, the parameter in units of the range, and the curve's direction: a row of
    displacement and change of weight for each atom, changes of the value and of the parameter.
    """

    atoms: tuple[Array, Array]
    weights: tuple[Array, Array]
    value: float
    p: float
    tangent: Array

    def rows(self) -> tuple[Array, Array]:
        """The tangent's part of each player's atoms, (n, a + 1)."""
        sizes = [len(x) * (x.shape[1] + 1) for x in self.atoms]
        x, y = np.split(self.tangent[:-2], [sizes[0]])
        return _two([t.reshape(len(a), -1) for t, a in zip((x, y), self.atoms, strict=True)])

    def without(self, player: int, i: int) -> Point:
        """The same without an atom; its tangent is no longer one."""
        atoms, weights = list(self.atoms), list(self.weights)
        atoms[player] = np.delete(atoms[player], i, axis=0)
        weights[player] = np.delete(weights[player], i)
        return replace(self, atoms=_two(atoms), weights=_two(weights))

    def with_atom(self, player: int, point: Array) -> Point:
        """The same with an atom without weight, the last one."""
        atoms, weights = list(self.atoms), list(self.weights)
        atoms[player] = np.concatenate([atoms[player], point[None]])
        weights[player] = np.append(weights[player], 0.0)
        return replace(self, atoms=_two(atoms), weights=_two(weights))


class System:
    """The equations about a point, for its changes u = (z, dp), of `Unknowns` and the parameter."""

    def __init__(self, curve: NashCurve, base: Point) -> None:
        self.curve, self.base = curve, base
        game, Ms = curve.game(base.p), curve.manifolds
        x, y = (Signed(x, w, M) for x, w, M in zip(base.atoms, base.weights, Ms, strict=True))
        self.unknowns = Unknowns(game, x, y, base.value, curve.scale)
        self.size = self.unknowns.size + 1
        self.frames = [M.basis(x) for M, x in zip(Ms, base.atoms, strict=True)]

    def residual(self, u: Array) -> Array:
        self.unknowns.game = self.curve.game(self.base.p + float(u[-1]))
        return self.unknowns.residual(u[:-1])

    def jacobian(self, u: Array, at: Array) -> Array:
        self.unknowns.game = self.curve.game(self.base.p + float(u[-1]))
        by_z = self.unknowns.jacobian(u[:-1])
        ahead = self.residual(u + NUDGE * self.along_parameter())
        return np.column_stack([by_z, (ahead - at) / NUDGE])

    def along_parameter(self) -> Array:
        return np.eye(self.size)[-1]

    def weight(self, player: int, i: int) -> Array:
        """The row that picks the weight of an atom."""
        sizes = [M.dim + 1 for M in self.curve.manifolds]
        before = player * len(self.base.atoms[0]) * sizes[0]
        return np.eye(self.size)[before + (i + 1) * sizes[player] - 1]

    def inside(self, tangent: Array) -> Array:
        """A direction in the space around the manifolds, as one of u."""
        rows = replace(self.base, tangent=tangent).rows()
        parts = [
            np.column_stack([np.einsum("nia,na->ni", frame, r[:, :-1]), r[:, -1]]).ravel()
            for frame, r in zip(self.frames, rows, strict=True)
        ]
        return np.concatenate([*parts, tangent[-2:]])

    def outside(self, u: Array) -> Array:
        """A direction of u in the space around the manifolds."""
        ends = [int(e) for e in self.unknowns.ends]
        parts = []
        for frame, part in zip(self.frames, np.split(u[:-2], [ends[0]]), strict=True):
            r = part.reshape(len(frame), -1)
            displaced = np.einsum("nia,ni->na", frame, r[:, :-1])
            parts.append(np.column_stack([displaced, r[:, -1]]).ravel())
        return np.concatenate([*parts, u[-2:]])

    def solved(self, row: Array, wanted: float = 0.0) -> Point:
        """The solution with row u = wanted, without its direction; NotConverged where none is."""
        u = np.zeros(self.size)
        F = np.append(self.residual(u), row @ u - wanted)
        for _ in range(ROUNDS):
            step = np.linalg.lstsq(np.vstack([self.jacobian(u, F[:-1]), row]), -F, rcond=1e-12)[0]
            size = np.linalg.norm(F)
            for share in SHARES:
                after = np.append(
                    self.residual(u + share * step), row @ (u + share * step) - wanted
                )
                if np.linalg.norm(after) < (1 - share / 4) * size:
                    break
            else:
                break
            u, F = u + share * step, after
        if not np.linalg.norm(F) <= RESIDUAL:
            raise NotConverged(f"no equilibrium was found here: residual {np.linalg.norm(F):.1e}")
        (x, w), (y, v) = self.unknowns.atoms(u[:-1], 0), self.unknowns.atoms(u[:-1], 1)
        value = self.unknowns.value + self.curve.scale * float(u[-2])
        return Point((x, y), (w, v), value, self.base.p + float(u[-1]), np.empty(0))

    def direction(self) -> Array:
        """The curve's direction at the base, of length one, up to its sign; NotConverged where the
        equations leave more than a curve.
        """
        u = np.zeros(self.size)
        _, s, V = np.linalg.svd(self.jacobian(u, self.residual(u)))
        if s[-2] < ISOLATED * s[0]:
            raise NotConverged("the equilibrium is one of a continuum at this parameter")
        return self.outside(V[-1])


class NashCurve:
    """The equilibria of a family, atoms given; `unit` is that of the parameter."""

    def __init__(self, family: Family, unit: float) -> None:
        self.family, self.unit, self.scale = family, unit, 1.0
        self._games: dict[float, Game] = {}
        self.manifolds: tuple[Any, Any] = (None, None)

    def game(self, p: float) -> Game:
        """The game at a parameter in units of the range; the last few are kept."""
        if p not in self._games:
            if len(self._games) > 4:
                del self._games[next(iter(self._games))]
            self._games[p] = a_game(self.family(p * self.unit))
        return self._games[p]

    def first(self, pair: tuple[Measure, Measure], p: float) -> Point:
        """The equilibrium at a parameter from one that is near; towards larger parameters."""
        game = self.game(p)
        self.manifolds = game.manifolds
        self.scale = losses(game, *(mu.points for mu in pair))
        (x, y), value = pair, game.moving_value(*pair)
        guess = Point((x.points, y.points), (x.masses, y.masses), value, p, np.empty(0))
        return self.directed(self.at_parameter(guess, p), lambda t: t[-1])

    def directed(self, at: Point, slope: Callable[[Array], float]) -> Point:
        """The point with the direction along which `slope` of it is positive."""
        t = System(self, at).direction()
        rise = float(slope(t))
        if not abs(rise) > ISOLATED:
            raise NotConverged("the equilibrium is degenerate at this parameter")
        return replace(at, tangent=np.sign(rise) * t)

    def predicted(self, here: Point, length: float) -> Point:
        """The point a length along the tangent."""
        atoms, weights = [], []
        for M, x, w, r in zip(self.manifolds, here.atoms, here.weights, here.rows(), strict=True):
            atoms.append(M.retract(x, length * unit(M) * r[:, :-1]))
            weights.append(w + length * r[:, -1])
        value = here.value + length * self.scale * here.tangent[-2]
        p = here.p + length * float(here.tangent[-1])
        return replace(here, atoms=_two(atoms), weights=_two(weights), value=value, p=p)

    def after(self, here: Point, length: float) -> Point:
        """The point a length further along the curve; NotConverged where none is found."""
        system = System(self, self.predicted(here, length))
        there = system.solved(system.inside(here.tangent))
        t = System(self, there).direction()
        return replace(there, tangent=t if t @ here.tangent > 0 else -t)

    def at_parameter(self, near: Point, p: float) -> Point:
        """The point at a parameter from one that is near, without its direction."""
        system = System(self, near)
        return replace(system.solved(system.along_parameter(), p - near.p), p=p)

    def pair(self, at: Point) -> tuple[Measure, Measure]:
        """Both players' measures, atoms without weight left out."""
        measures = []
        for M, x, w in zip(self.manifolds, at.atoms, at.weights, strict=True):
            m = np.maximum(w, 0.0)
            measures.append(Measure(x[m > 0], m[m > 0] / m.sum(), M))
        return measures[0], measures[1]

    def responses(self, at: Point) -> tuple[Response, Response]:
        """Both players' best responses, as tightly bounded as can be."""
        searches, (x, y) = Searches(self.game(at.p), tight=True), self.pair(at)
        return searches.without_constant(0, y, x), searches.without_constant(1, x, y)

    def bend(self, at: Point, player: int) -> Array:
        """The least curvature of the cost at each of a player's atoms, in units, (n,)."""
        M, game, other = self.manifolds[player], self.game(at.p), self.pair(at)[1 - player]
        hessians = game.hessian(player, at.atoms[player], other)
        return np.asarray(np.linalg.eigvalsh(hessians)[:, 0] * unit(M) ** 2)

    def slack(self, at: Point, player: int, point: Array) -> float:
        """By how much a point is worse a response than the player's atoms."""
        cost = self.game(at.p).cost(player, point[None], self.pair(at)[1 - player])
        return float(cost[0] - SIGNS[player] * at.value)

    def along(self, here: Point, there: Point) -> float:
        """How far along the tangent a point with the same first atoms lies."""
        total = here.tangent[-2] * (there.value - here.value) / self.scale
        total += here.tangent[-1] * (there.p - here.p)
        for k, (M, r) in enumerate(zip(self.manifolds, here.rows(), strict=True)):
            n = len(r)
            moved = M.difference(here.atoms[k], there.atoms[k][:n]) / unit(M)
            total += float((moved * r[:, :-1]).sum())
            total += float(r[:, -1] @ (there.weights[k][:n] - here.weights[k]))
        return float(total)

    def leaving(self, here: Point, there: Point, player: int, i: int) -> Point:
        """Where the weight of an atom reaches zero."""
        before, after = here.weights[player][i], there.weights[player][i]
        base = self.predicted(here, self.along(here, there) * before / (before - after))
        system = System(self, base)
        return system.solved(system.weight(player, i), -base.weights[player][i])

    def left(self, at: Point, player: int, i: int) -> Point:
        """How the curve goes on without an atom: on the side where it is the worse response."""
        gone, without = at.atoms[player][i], at.without(player, i)

        def rise(t: Array) -> float:
            ahead, back = (
                self.slack(self.predicted(replace(without, tangent=s * t), AHEAD), player, gone)
                for s in (1, -1)
            )
            return (ahead - back) / (2 * AHEAD * self.scale)

        return self.directed(without, rise)

    def joining(self, there: Point, player: int, point: Array) -> Point:
        """Where a point becomes as good a response as the atoms: there it is one, of weight 0."""
        M = self.manifolds[player]
        cost = cost_against(self.game(there.p), player, self.pair(there)[1 - player])
        point = polish(cost, M, point[None])[0][0]
        system = System(self, there.with_atom(player, point))
        found = system.solved(system.weight(player, len(there.atoms[player])))
        x = found.atoms[player]
        if M.distance(x[:-1], x[-1]).min() < NEAR * unit(M):
            raise NotConverged("the point is one of the atoms")
        return found

    def joined(self, at: Point, player: int) -> Point:
        """How the curve goes on with the last atom: on the side where its weight grows."""
        size = self.manifolds[0].ambient + 1
        end = len(at.atoms[0]) * size
        end += player * len(at.atoms[1]) * (self.manifolds[1].ambient + 1)
        return self.directed(at, lambda t: t[end - 1])

    def splitting(self, here: Point, length: float, player: int, i: int) -> Point:
        """Where the cost at an atom becomes flat."""
        from scipy.optimize import brentq

        def least(s: float) -> float:
            return float(self.bend(self.after(here, s), player)[i])

        if least(0.0) <= 0:
            return here
        return self.after(here, brentq(least, 0.0, length, xtol=FLAT))

    def meeting(self, here: Point, there: Point, player: int, pair: tuple[int, int]) -> Point:
        """Where two atoms meet: where the cost at the one that has both weights becomes flat."""
        i, j = pair
        M, x, w = self.manifolds[player], here.atoms[player], list(here.weights)
        w[player] = w[player].copy()
        w[player][i] += w[player][j]
        atoms, shift = list(here.atoms), M.difference(x[i : i + 1], x[j : j + 1])
        atoms[player] = x.copy()
        atoms[player][i] = M.retract(x[i : i + 1], shift * w[player][j] / w[player][i])[0]
        one = replace(here, atoms=_two(atoms), weights=_two(w)).without(player, j)
        i -= j < i
        p, last, bent = here.p, here.p, 0.0
        for k in range(ROUNDS):
            system = System(self, replace(one, p=p))
            one = system.solved(system.along_parameter())
            bends = float(self.bend(one, player)[i])
            slope = (bends - bent) / (p - last) if k else -bends / (there.p - here.p)
            p, last, bent = p - bends / slope, p, bends
            if abs(p - last) < FLAT:
                return one
        raise NotConverged("two atoms come near to each other and do not meet")


def _two(parts: list[Array]) -> tuple[Array, Array]:
    return parts[0], parts[1]


def close(M: Any, x: Array) -> tuple[float, tuple[int, int]]:
    """The least distance between two of the points (n, a), in units, and which they are."""
    best, which = np.inf, (0, 0)
    for i in range(1, len(x)):
        d = M.distance(x[:i], x[i]) / unit(M)
        if d.min() < best:
            best, which = float(d.min()), (int(np.argmin(d)), i)
    return best, which
