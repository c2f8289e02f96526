"""The search for best responses: exact on spheres, a grid or many starts elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array, within_memory
from meanfield.games.base import SIGNS, Game
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.games.formulas.expressions import Expression
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure
from meanfield.meshes import Index, mesh
from meanfield.responses.bounds import branch_and_bound, ehlich_zeller
from meanfield.responses.cells import can_be_cut
from meanfield.responses.costs import (
    Cost,
    FeatureCost,
    OpponentCost,
    Response,
    cost_against,
    loss_size,
)
from meanfield.responses.curvature import floor_by_curvature
from meanfield.responses.polish import polish, polish_on_circle

STARTS = 2048  # points looked at where there is no mesh
NUMBERS = 14  # that are held for each point and axis of a grid while it is made, measured
POLISHED = 32  # of them, the best ones to be polished
FEATURES = 1 << 24  # numbers of a grid's features that are stored (128 MiB)
SPHERE = "trust-region subproblem, dual certificate"
UNPROVEN = "lower bound only"


class Searches:
    """Best responses in one game for many opponents: grids and features are computed once.

    tight: prove floors to 1e-10 for trigonometric costs, by branch and bound instead of Ehlich and
    Zeller's bound on the grid alone, and to 1e-9 for formulas, by intervals, and for functions with
    a curvature.
    """

    def __init__(self, game: Game, tight: bool = True) -> None:
        self.game = game
        self.of = (_search(game, 0, tight), _search(game, 1, tight))

    def best_response(
        self, p: int, opponent: Measure | Array, own: Measure | Array | None = None
    ) -> Response:
        """Player p's best response to a measure or, in a low-rank game, to its feature means (K,).

        own: the player's measure, whose atoms are further starts where no grid covers the manifold.
        Errors as in `cost_against`.
        """
        return self.without_constant(p, opponent, own).raised(SIGNS[p] * self.game.constant)

    def without_constant(
        self, p: int, opponent: Measure | Array, own: Measure | Array | None = None
    ) -> Response:
        """The same for the cost less the game's constant, which would take digits from it."""
        cost, search = cost_against(self.game, p, opponent), self.of[p]
        if isinstance(search, SphereSearch):
            return search(cost)  # type: ignore[arg-type]
        return search(cost, own.points if isinstance(own, Measure) else None)


def _search(game: Game, p: int, tight: bool) -> SphereSearch | Search:
    basis = game.bases[p] if game.bases else None
    return SphereSearch(basis) if isinstance(basis, QuadraticBasis) else Search(game, p, tight)


class SphereSearch:
    """Costs const + c'x + x'Qx on a sphere: the trust-region subproblem, exact in any dimension.

    Where Q is always a multiple of one matrix, that is made tridiagonal once: then O(d^2) a call.
    """

    def __init__(self, basis: QuadraticBasis) -> None:
        self.basis = basis

    @cached_property
    def _forms(self) -> tuple[Any, Any]:
        """S and -S, made tridiagonal."""
        from meanfield.trust_region import tridiagonal

        return tridiagonal(self.basis.S), tridiagonal(-self.basis.S)

    def __call__(self, cost: FeatureCost) -> Response:
        from meanfield.trust_region import least as minimise
        from meanfield.trust_region import tridiagonal

        linear, squares, form = self.basis.split(cost.c)
        Q = form * self.basis.S
        if squares.any():
            Q.ravel()[:: len(Q) + 1] += squares
            T = tridiagonal(Q)
        else:
            T = self._forms[int(form < 0)].scaled(abs(form))
        x, value, lower, twin, other = minimise(Q, linear, T)
        c = float(cost.c[0])
        return Response(np.array([x, twin]), np.array([c + value, c + other]), c + lower, SPHERE)


class Search:
    """The search for player p's best responses in one game: its grid or starts, their features."""

    def __init__(self, game: Game, p: int, tight: bool = True) -> None:
        self.tight = tight
        self.manifold: Manifold = game.manifolds[p]
        basis = game.bases[p] if game.bases else None
        self.trig = basis if isinstance(basis, TrigBasis) else None
        torus = self.manifold.d if isinstance(self.manifold, Torus) else 0
        self.prove = _prover(game) if can_be_cut(self.manifold) else None
        self.size = loss_size(game) if self.prove else 0.0
        self.degree = int(np.abs(self.trig.modes).max()) if self.trig else 0
        self.side = _side(torus, self.degree) if 1 <= torus <= 3 else 0
        if self.side:
            within_memory(
                f"best responses among modes up to {self.degree}, on {self.side} points per axis,",
                8.0 * NUMBERS * torus * self.side**torus,
                "take a game of lower modes",
            )
            self.points = mesh(self.manifold, self.side).nodes
        else:
            self.points = self.manifold.sample(STARTS, np.random.default_rng(0))
        stored = basis is not None and len(self.points) * basis.size <= FEATURES
        self.features = basis.values(self.points) if stored and basis else None

    def __call__(self, cost: Cost, own: Array | None = None) -> Response:
        """The best response to a cost; own (m, a): further starts where there is no grid."""
        if self.features is not None and isinstance(cost, FeatureCost):
            on_points = self.features @ cost.c
        else:
            on_points = cost.values(self.points)
        floor, slack = -np.inf, np.inf
        if self.trig and self.side:
            floor, slack = ehlich_zeller(on_points, self.side, self.degree, self.manifold.dim)
        starts = self.points[self._candidates(on_points, slack)]
        if own is not None and len(own) and not self.side:
            starts = np.concatenate([starts, _best(cost, own, POLISHED)])
        if self.trig and self.manifold.dim == 1:
            c = cost.c  # type: ignore[attr-defined]
            points, values = polish_on_circle(self.trig.waves[:, 0], c, starts)
            points = self.manifold.retract(points, np.zeros_like(points))
        else:
            points, values = polish(cost, self.manifold, starts)
        order = np.argsort(values, kind="stable")
        best = float(values.min())
        floor = max(floor, self._proven(cost, on_points, floor, best)) if self.tight else floor
        # Rounding may leave the proven floor a few units above the value at the minimiser.
        return Response(points[order], values[order], min(floor, best), self._method(floor))

    def _proven(self, cost: Cost, on_points: Array, floor: float, best: float) -> float:
        """The tight floor, -inf where there is none; best: a value that the cost takes."""
        if self.trig and np.isfinite(floor):
            c = cost.c  # type: ignore[attr-defined]
            return branch_and_bound(self.trig, c, self.points, on_points, self.side, best)
        if self.prove and isinstance(cost, OpponentCost):
            return self.prove(cost, best, max(float(np.abs(on_points).max()), self.size))
        return -np.inf

    def _candidates(self, on_points: Array, slack: float) -> Index:
        """The points to polish: the best or, on a grid, local minima within slack of the least."""
        if not self.side:
            return np.argsort(on_points, kind="stable")[:POLISHED]
        field = on_points.reshape((self.side,) * self.manifold.dim)
        dip = np.ones(field.shape, dtype=bool)
        for axis in range(field.ndim):
            dip &= (field <= np.roll(field, 1, axis)) & (field <= np.roll(field, -1, axis))
        dips = np.flatnonzero(dip.ravel() & (on_points <= on_points.min() + slack))
        return dips[np.argsort(on_points[dips], kind="stable")[:POLISHED]]

    def _method(self, floor: float) -> str:
        where = f"{len(self.points)} starts"
        if self.side:
            where = f"grid of {self.side} points per axis"
        proof = UNPROVEN
        if np.isfinite(floor):
            proof = "Ehlich-Zeller bound" + (" and branch and bound" if self.tight else "")
            by = "the curvature given" if self.prove is floor_by_curvature else "interval Hessians"
            proof = f"branch and bound by {by}" if self.prove else proof
        return f"{where}, Newton polish, {proof}"


def _prover(game: Game) -> Callable[[OpponentCost, float, float], float] | None:
    """Lower bounds of min U from a cost, a value that it takes, and what a relative gap is of."""
    if isinstance(game, Expression):
        from meanfield.responses.intervals import floor_by_intervals  # loads numba

        return floor_by_intervals
    return floor_by_curvature if getattr(game, "curvature", None) else None


def _side(d: int, degree: int) -> int:
    """Grid points per axis, in proportion to the degree; the proof needs more than 2 degree."""
    if not degree:
        return {1: 512, 2: 96, 3: 32}[d]
    finest = {1: 1 << 13, 2: 1 << 9, 3: 1 << 6}[d]
    wanted = {1: 64, 2: 16, 3: 8}[d] * degree
    return int(np.clip(wanted, {1: 64, 2: 48, 3: 24}[d], max(finest, 2 * degree + 1)))


def _best(cost: Cost, points: Array, count: int) -> Array:
    """The `count` best of at most STARTS of the points, picked evenly."""
    some = points[:: max(1, -(-len(points) // STARTS))]
    return some[np.argsort(cost.values(some), kind="stable")[:count]]
