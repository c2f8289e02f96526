"""Best responses: minimisers of a player's cost U_p over its manifold, with what is proven of them.

Costs that are quadratic on a sphere are minimised exactly. Elsewhere a search looks at a grid (tori of
dimension up to 3) or at many starts, then polishes the best points by Newton's method on the manifold,
never ending above where it began. The value found bounds min U from above; a proof from below exists
for trigonometric games (Ehlich & Zeller 1964).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin
from typing import Protocol

import numpy as np

from meanfield.checks import Array, finite_array
from meanfield.games.base import Game
from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis
from meanfield.games.lowrank import LowRank
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure
from meanfield.meshes import mesh
from meanfield.trust_region import minimise_on_sphere

STARTS = 2048  # points looked at where there is no mesh
POLISHED = 32  # of them, the best ones to be polished
NEWTON_ROUNDS = 60
UNPROVEN = "lower bound only"


@dataclass(frozen=True, eq=False)
class Response:
    """The best points found: minimisers (k, a) with their costs `values` (k,), the best first.

    min U_p lies in [floor, value], value = values[0]; floor is -inf where nothing is proven.
    """

    minimisers: Array
    values: Array
    floor: float
    method: str

    @property
    def point(self) -> Array:
        return self.minimisers[0]

    @property
    def value(self) -> float:
        return float(self.values[0])


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


class Searches:
    """Best responses in one game for many opponents: grids and features are computed once."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.of = (_search(game, 0), _search(game, 1))

    def best_response(self, p: int, opponent: Measure | Array, own: Measure | Array | None = None) -> Response:
        """Player p's best response to a measure or, in a low-rank game, to its feature means (K,).

        p = 0 minimises V_x over X, p = 1 minimises -V_y over Y. The atoms of `own`, the player's
        measure, are further places to start from where no grid covers the manifold.
        """
        cost = self._cost(p, opponent)
        search = self.of[p]
        if isinstance(search, SphereSearch):
            return search(cost)  # type: ignore[arg-type]
        extra = own.points if isinstance(own, Measure) and not search.side else None
        return search(cost, extra)

    def _cost(self, p: int, opponent: Measure | Array) -> Cost:
        name, game = ("mu_y", "mu_x")[p], self.game
        if isinstance(opponent, Measure):
            if opponent.manifold != game.manifolds[1 - p]:
                raise ValueError(f"{name} lives on {opponent.manifold}, but the game has {game.manifolds[1 - p]} there")
            if not isinstance(game, LowRank):
                return OpponentCost(game, p, opponent)
            moments = game.moments(1 - p, opponent.points, opponent.masses)
        elif isinstance(opponent, np.ndarray) and isinstance(game, LowRank):
            moments = finite_array(f"{name} moments", opponent, (game.bases[1 - p].size,))
        else:
            also = " or its feature means" if isinstance(game, LowRank) else ""
            raise TypeError(f"{name} must be a meanfield.Measure{also}, got {type(opponent).__name__}")
        return FeatureCost(game.bases[p], game.coefficients(p, moments))


def _search(game: Game, p: int) -> SphereSearch | Search:
    if isinstance(game, LowRank) and isinstance(game.bases[p], QuadraticBasis):
        return SphereSearch(game.bases[p])  # type: ignore[arg-type]
    return Search(game, p)


class SphereSearch:
    """Costs const + c'x + x'Qx on a sphere: the trust-region subproblem, exact in any dimension."""

    side = 0

    def __init__(self, basis: QuadraticBasis) -> None:
        self.basis = basis

    def __call__(self, cost: FeatureCost) -> Response:
        linear, squares, form = self.basis.split(cost.c)
        found = minimise_on_sphere(np.diag(squares) + form * self.basis.S, linear)
        values = float(cost.c[0]) + np.array([found.value, found.twin_value])
        floor = min(float(cost.c[0]) + found.lower, float(values[0]))
        return Response(np.stack([found.x, found.twin]), values, floor, "trust-region subproblem, dual certificate")


class Search:
    """The search for player p's best responses in one game: its grid, or its starts, and their features."""

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
        if isinstance(cost, FeatureCost) and isinstance(cost.basis, TrigBasis) and self.manifold.dim == 1:
            points, values = polish_on_circle(cost.basis.waves[:, 0], cost.c, starts)
            points = self.manifold.retract(points, np.zeros_like(points))
        else:
            points, values = polish(cost, self.manifold, starts)
        order = np.argsort(values, kind="stable")
        # Rounding may leave the proven floor a few units above the value found at the minimiser.
        return Response(points[order], values[order], min(floor, float(values.min())), self._method(floor))

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
        return float(0.5 * (high + low) - reach), 0.5 * (d * np.pi * K / N) ** 2 * reach

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


def best_response(game: Game, p: int, opponent: Measure | Array, own: Measure | None = None) -> Response:
    """Player p's best response to one opponent; for many, build `Searches`."""
    return Searches(game).best_response(p, opponent, own)


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


def polish_on_circle(waves: Array, c: Array, points: Array) -> tuple[Array, Array]:
    """`polish` for sum_j c_j cos(w_j x) + c_{J+j} sin(w_j x), points (m, 1), in plain numbers.

    A few modes at a few points: there array calls would take twenty times as long as the sums.
    """
    J = len(waves)
    modes = list(zip(waves.tolist(), c[:J].tolist(), c[J:].tolist(), strict=True))
    turn = np.pi / 4 / max(1.0, float(np.abs(waves).max()))
    found = [_descend(modes, x, turn) for x in points[:, 0].tolist()]
    return np.array([[x] for x, _ in found]), np.array([value for _, value in found])


def _descend(modes: list[tuple[float, float, float]], x: float, longest: float) -> tuple[float, float]:
    value, slope, bend = _jet(modes, x)
    for _ in range(NEWTON_ROUNDS):
        step = -slope / max(abs(bend), 1e-8 * abs(slope) + 1e-300)
        step = min(max(step, -longest), longest)
        for _ in range(12):
            there = _jet(modes, x + step)
            if there[0] < value or abs(step) < 1e-9:
                break
            step *= 0.5
        if not there[0] < value:
            break
        gain = value - there[0]
        x += step
        value, slope, bend = there
        if gain <= 1e-15 * abs(value):
            break
    return x, value


def _jet(modes: list[tuple[float, float, float]], x: float) -> tuple[float, float, float]:
    """Value and two derivatives of sum p cos(w x) + q sin(w x)."""
    value = slope = bend = 0.0
    for w, p, q in modes:
        c, s = cos(w * x), sin(w * x)
        u = p * c + q * s
        value += u
        slope += w * (q * c - p * s)
        bend -= w * w * u
    return value, slope, bend


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
