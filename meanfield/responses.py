"""Best responses: minimisers of a player's cost U_p over its manifold, with what is proven of them.

A search looks at a grid (tori of dimension up to 3) or at many starts (elsewhere), then polishes the
best points by Newton's method on the manifold, never ending above where it began. The value found
bounds min U from above; a proof from below exists for trigonometric games (Ehlich & Zeller 1964).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.games.bases import Basis, TrigBasis
from meanfield.games.lowrank import LowRank
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure
from meanfield.meshes import mesh

STARTS = 2048  # points looked at where there is no mesh
POLISHED = 32  # of them, the best ones to be polished
NEWTON_ROUNDS = 60
UNPROVEN = "lower bound only"


@dataclass(frozen=True, eq=False)
class Response:
    """The least cost found: at `point` (a,) it is `value`; min U_p lies in [floor, value]."""

    point: Array
    value: float
    floor: float
    method: str


class Cost(Protocol):
    """A function on a manifold with derivatives, batched over points (n, a)."""

    def values(self, points: Array) -> Array: ...
    def gradient(self, points: Array) -> Array: ...
    def hessian(self, points: Array) -> Array: ...


@dataclass(frozen=True, eq=False)
class FeatureCost:
    """U = sum_k c_k f_k: a low-rank game's cost, once the opponent's moments are taken."""

    basis: Basis
    c: Array

    def values(self, points: Array) -> Array:
        return self.basis.values(points) @ self.c

    def gradient(self, points: Array) -> Array:
        return self.basis.gradient(points, self.c)

    def hessian(self, points: Array) -> Array:
        return self.basis.hessian(points, self.c)


@dataclass(frozen=True, eq=False)
class OpponentCost:
    """U_p against a measure, by the game's own sums over its atoms."""

    game: Game
    p: int
    opponent: Measure

    def values(self, points: Array) -> Array:
        return self.game.cost(self.p, points, self.opponent)

    def gradient(self, points: Array) -> Array:
        return self.game.gradient(self.p, points, self.opponent)

    def hessian(self, points: Array) -> Array:
        return self.game.hessian(self.p, points, self.opponent)


class Search:
    """The search for player p's best responses in one game, its grid and features kept for many calls."""

    def __init__(self, game: Game, p: int) -> None:
        self.manifold: Manifold = game.manifolds[p]
        self.basis = game.bases[p] if isinstance(game, LowRank) else None
        self.degree = int(np.abs(self.basis.modes).max()) if isinstance(self.basis, TrigBasis) else 0
        self.side = 0
        if isinstance(self.manifold, Torus) and self.manifold.d <= 3:
            self.side = _side(self.manifold.d, self.degree)
            self.points = mesh(self.manifold, self.side).nodes
        else:
            self.points = self.manifold.sample(STARTS, np.random.default_rng(0))
        self.features = None if self.basis is None else self.basis.values(self.points)

    def __call__(self, cost: Cost, extra: Array | None = None) -> Response:
        """The best response to a cost; `extra` (m, a) are more points to start from."""
        seen = self.features @ cost.c if isinstance(cost, FeatureCost) else cost.values(self.points)
        floor, slack = self._proof(seen)
        starts = self.points[self._candidates(seen, slack)]
        if extra is not None and len(extra):
            starts = np.concatenate([starts, _best(cost, extra, POLISHED)])
        points, values = polish(cost, self.manifold, starts)
        k = int(np.argmin(values))
        # Rounding may leave the proven floor a few units above the value found at the minimiser.
        return Response(points[k], float(values[k]), min(floor, float(values[k])), self._method(floor))

    def _proof(self, seen: Array) -> tuple[float, float]:
        """A proven lower bound of min U, and how far a local minimum can lie below its node.

        Ehlich-Zeller: a trigonometric polynomial of degree K per angle, seen on N > 2K points per
        axis with midrange c and half range g, stays within c +- g / cos(pi K/N)^d. Bernstein:
        each second derivative is at most K^2 times that.
        """
        N, K, d = self.side, self.degree, self.manifold.dim
        if not K or N <= 2 * K:
            return -np.inf, np.inf
        low, high = float(seen.min()), float(seen.max())
        reach = 0.5 * (high - low) / np.cos(np.pi * K / N) ** d
        return 0.5 * (high + low) - reach, 0.5 * (d * np.pi * K / N) ** 2 * reach

    def _candidates(self, seen: Array, slack: float) -> Array:
        """Numbers of the points to polish: a grid's local minima within slack of the least, or the best."""
        if not self.side:
            return np.argsort(seen, kind="stable")[:POLISHED]
        field = seen.reshape((self.side,) * self.manifold.dim)
        dip = np.ones(field.shape, dtype=bool)
        for axis in range(field.ndim):
            dip &= (field <= np.roll(field, 1, axis)) & (field <= np.roll(field, -1, axis))
        found = np.flatnonzero(dip.ravel() & (seen <= seen.min() + slack))
        return found[np.argsort(seen[found], kind="stable")[:POLISHED]]

    def _method(self, floor: float) -> str:
        where = f"grid of {self.side} points per axis" if self.side else f"{len(self.points)} starts"
        proof = "Ehlich-Zeller bound" if np.isfinite(floor) else UNPROVEN
        return f"{where}, Newton polish, {proof}"


def _side(d: int, degree: int) -> int:
    """Grid points per axis: fine for the degree, within a budget that still carries the proof if it can."""
    if not degree:
        return {1: 512, 2: 96, 3: 32}[d]
    finest = {1: 1 << 13, 2: 1 << 9, 3: 1 << 6}[d]
    wanted = {1: 64, 2: 16, 3: 8}[d] * degree
    return int(np.clip(wanted, {1: 64, 2: 48, 3: 24}[d], max(finest, 2 * degree + 1)))


def best_response(game: Game, p: int, opponent: Measure, extra: Array | None = None) -> Response:
    """Player p's best response to an opponent: the least U_p found, and its proven lower bound.

    p = 0 minimises V_x over X, p = 1 minimises -V_y over Y. extra (m, a): more points to start from.
    """
    cost: Cost = OpponentCost(game, p, opponent)
    if isinstance(game, LowRank):
        cost = feature_cost(game, p, game.moments(1 - p, opponent.points, opponent.masses))
    return Search(game, p)(cost, extra)


def feature_cost(game: LowRank, p: int, opponent_moments: Array) -> FeatureCost:
    """U_p from the opponent's feature means (K,)."""
    return FeatureCost(game.bases[p], game.coefficients(p, opponent_moments))


def _best(cost: Cost, points: Array, count: int) -> Array:
    """The `count` best of at most STARTS of the points, picked evenly."""
    some = points[:: max(1, -(-len(points) // STARTS))]
    return some[np.argsort(cost.values(some), kind="stable")[:count]]


def polish(cost: Cost, manifold: Manifold, points: Array, rounds: int = NEWTON_ROUNDS) -> tuple[Array, Array]:
    """Newton descent from points (m, a): the points reached and their values, none above its start.

    Curvatures enter by absolute value, so that every step descends; steps are cut to an eighth of
    the manifold's reach and halved until the value falls.
    """
    x, value = points.copy(), cost.values(points)
    active = np.arange(len(x))
    for _ in range(rounds):
        step = _newton_step(cost, manifold, x[active])
        moved, fallen = _backtrack(cost, manifold, x[active], value[active], step)
        gain = value[active] - fallen
        x[active], value[active] = moved, fallen
        active = active[gain > 1e-15 * np.abs(fallen)]
        if not len(active):
            break
    return x, value


def _newton_step(cost: Cost, manifold: Manifold, x: Array) -> Array:
    frame = manifold.basis(x)
    slope = np.einsum("nia,na->ni", frame, cost.gradient(x))
    bend, axes = np.linalg.eigh(cost.hessian(x))
    bend = np.maximum(np.abs(bend), 1e-8 * np.abs(bend).max(axis=1, keepdims=True) + 1e-300)
    inside = -np.einsum("nij,nj->ni", axes, np.einsum("nij,ni->nj", axes, slope) / bend)
    length = np.linalg.norm(inside, axis=1, keepdims=True)
    inside *= np.minimum(1.0, manifold.reach / 8 / np.maximum(length, 1e-300))
    return np.einsum("ni,nia->na", inside, frame)


def _backtrack(cost: Cost, manifold: Manifold, x: Array, value: Array, step: Array) -> tuple[Array, Array]:
    """Each point moved along its step, halved up to 12 times; it stays where nothing is gained."""
    best, least = x.copy(), value.copy()
    left, scale = np.arange(len(x)), 1.0
    for _ in range(12):
        trial = manifold.retract(x[left], scale * step[left])
        at = cost.values(trial)
        down = at < value[left]
        best[left[down]], least[left[down]] = trial[down], at[down]
        left, scale = left[~down], 0.5 * scale
        # A step within rounding of the stationary point gains nothing at any length.
        left = left[np.linalg.norm(step[left], axis=1) * scale > 1e-9]
        if not len(left):
            break
    return best, least
