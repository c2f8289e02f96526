"""Newton's method for the Gibbs fixed point (9) on a mesh.

Its unknowns are both players' moments z: with g_p(z_q) the moments of p's Gibbs measure,
F_p(z) = z_p - g_p(z_q). Elimination of one player leaves I + beta_x beta_y S_1 C' S_0 C, S the
covariances of the features: its eigenvalues are at least 1, so that Newton's direction exists and
descends everywhere. Continuation in beta keeps the steps few. (Newton on the composed map
g_1(g_0(z)) has the same matrix, but rounding enters its residual beta^2 times, and that of F beta
times.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.density.coupling import both
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.meshes import Mesh
from meanfield.metrics.energy import gibbs_masses

DENSE = 2000  # moments up to which Newton's matrix is formed and factored
ROUNDS = 60
ON_THE_WAY = 1e-6  # residual wanted at the continuation's earlier values of beta
SETTLED = 1e-9  # residual from which Newton's method has found its root, but for rounding
SHORTEST = 1e-3  # step of log beta below which the continuation gives up

Row = tuple[float, float, float]
Moments = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class LinearMaps:
    """One player's two linear maps on its mesh: opponent's moments -> costs, masses -> moments."""

    costs: Array  # (N, K_opponent)
    features: Array | None  # (K, N); None: the masses are the moments

    @classmethod
    def of(cls, game: Game, p: int, meshes: tuple[Mesh, Mesh]) -> LinearMaps:
        """The maps of player p."""
        own, other = meshes[p].nodes, meshes[1 - p].nodes
        return cls(game.cost_matrix(p, own, other), game.moment_matrix(p, own))

    def moments(self, masses: Array) -> Array:
        """Moments (K,) or (K, k) of masses (N,) or of their changes (N, k)."""
        return masses if self.features is None else self.features @ masses


@dataclass(frozen=True, eq=False)
class Player:
    """One player's Gibbs response on its mesh."""

    mesh: Mesh
    beta: float
    maps: LinearMaps

    def respond(self, z: Array, fraction: float) -> Array:
        """Gibbs masses (N,) against moments z at `fraction` of beta."""
        return gibbs_masses(fraction * self.beta * (self.maps.costs @ z), self.mesh)

    def slope(self, masses: Array, fraction: float, direction: Array) -> Array:
        """Derivative of the response's moments along `direction`, (K_opponent,) or with columns."""
        costs = self.maps.costs @ direction
        weighted = (masses if costs.ndim == 1 else masses[:, None]) * (costs - masses @ costs)
        return -fraction * self.beta * self.maps.moments(weighted)


Players = tuple[Player, Player]


def player_of(game: Game, p: int, meshes: tuple[Mesh, Mesh], beta: float) -> Player:
    return Player(meshes[p], beta, LinearMaps.of(game, p, meshes))


def starting(players: Players, start: tuple[Density, Density] | None) -> Moments | None:
    """Moments of the starting pair; None without one."""
    if start is None:
        return None
    for mu, player, name in zip(start, players, "xy", strict=True):
        if not mu.mesh.same(player.mesh):
            raise ValueError(
                f"start's {name} must be a density on {player.mesh}, got {mu!r}; pass cells to "
                "match"
            )
    return moments_of(players, (start[0].masses, start[1].masses))


def moments_of(players: Players, masses: Moments) -> Moments:
    return both(lambda p: players[p].maps.moments(masses[p]))


def continued(players: Players, tol: float, z: Moments | None) -> tuple[Moments, list[Row]]:
    """Follow z from small beta to the full one, in steps of log beta that grow, or are halved on
    failure.
    """
    path: list[Row] = []
    if z is not None:
        solved, steps, residual = newton(players, z, 1.0, tol)
        path.append((1.0, steps, residual))
        if residual <= max(tol, SETTLED):
            return solved, path
    uniform = both(lambda p: players[p].mesh.volumes / players[p].mesh.volumes.sum())
    guess = moments_of(players, uniform)
    target, stride = -np.log(strength(players)), np.log(2.0)
    done: list[tuple[float, Moments]] = []  # log of beta's fraction, and the solution there
    while True:
        wanted = tol if target == 0 else max(tol, ON_THE_WAY)
        solved, steps, residual = newton(players, guess, float(np.exp(target)), wanted)
        if residual <= max(wanted, SETTLED):
            path.append((float(np.exp(target)), steps, residual))
            if target == 0:
                return solved, path
            done = [*done[-1:], (target, solved)]
            stride *= 1.5 if steps <= 6 else 1.0
        else:
            stride *= 0.5
            if stride < SHORTEST or not done:
                reached = np.exp(done[-1][0]) if done else 0.0
                raise NotConverged(
                    f"the Gibbs fixed point was followed up to {reached:.3g} of beta; at "
                    f"{np.exp(target):.3g} Newton's method ends at residual {residual:.2e}: use "
                    "more cells or a smaller beta"
                )
        target = min(0.0, done[-1][0] + stride)
        guess = extrapolated(done, target)


def extrapolated(done: list[tuple[float, Moments]], target: float) -> Moments:
    """Moments at log beta = target, linear through the last two solutions."""
    at, z = done[-1]
    if len(done) == 1:
        return z
    before, previous = done[0]
    ahead = (target - at) / (at - before)
    return both(lambda p: z[p] + ahead * (z[p] - previous[p]))


def strength(players: Players) -> float:
    """Beta times the range of costs against single points, at least 1: how sharp responses are."""
    sharp = 1.0
    for player, opponent in (players, players[::-1]):
        sample = slice(None, None, max(1, len(opponent.mesh) // 32))
        costs, features = player.maps.costs, opponent.maps.features
        against = costs[:, sample] if features is None else costs @ features[:, sample]
        sharp = max(sharp, player.beta * float(np.ptp(against, axis=0).max()))
    return sharp


def newton(players: Players, z: Moments, fraction: float, tol: float) -> tuple[Moments, int, float]:
    """Damped Newton on F: the moments reached, the steps taken and the residual there."""
    now = state_at(players, z, fraction)
    for step in range(ROUNDS):
        if now.residual <= 0.01 * tol:
            return now.z, step, now.residual
        a, b = now.z
        da, db = direction_at(players, now, fraction)
        scale = 1.0
        while scale > 1e-4:
            trial = state_at(players, (a - scale * da, b - scale * db), fraction)
            if trial.size < (1 - 0.1 * scale) * now.size:
                break
            scale *= 0.5
        else:
            return now.z, step, now.residual  # nothing is gained any more: at rounding, or lost
        now = trial
    return now.z, ROUNDS, now.residual


@dataclass(frozen=True, eq=False)
class State:
    """Moments z, the Gibbs masses against them, F(z) with its norm, and the residual.

    The residual is the total variation between the Gibbs masses and those against their moments.
    """

    z: Moments
    masses: Moments
    F: Moments
    size: float
    residual: float


def state_at(players: Players, z: Moments, fraction: float) -> State:
    masses = both(lambda p: players[p].respond(z[1 - p], fraction))
    moments = moments_of(players, masses)
    F = z[0] - moments[0], z[1] - moments[1]
    size = float(np.hypot(np.linalg.norm(F[0]), np.linalg.norm(F[1])))
    again = both(lambda p: players[p].respond(moments[1 - p], fraction))
    residual = max(0.5 * float(np.abs(m - a).sum()) for m, a in zip(masses, again, strict=True))
    return State(z, masses, F, size, residual)


def direction_at(players: Players, now: State, fraction: float) -> Moments:
    """F'(z)^{-1} F(z), the player with more moments eliminated."""
    a = 0 if len(now.z[0]) <= len(now.z[1]) else 1
    b = 1 - a
    slope_a = partial(players[a].slope, now.masses[a], fraction)
    slope_b = partial(players[b].slope, now.masses[b], fraction)
    # dz_a - slope_a dz_b = F_a and dz_b - slope_b dz_a = F_b, hence (1 - slope_a slope_b) dz_a =
    # F_a + slope_a F_b.
    right = now.F[a] + slope_a(now.F[b])
    move_a = solution(lambda d: d - slope_a(slope_b(d)), right)
    move_b = now.F[b] + slope_b(move_a)
    return (move_a, move_b) if a == 0 else (move_b, move_a)


def solution(apply: Callable[[Array], Array], right: Array) -> Array:
    """A dense factorisation for few moments, GMRES for many."""
    K = len(right)
    if K <= DENSE:
        return np.asarray(np.linalg.solve(apply(np.eye(K)), right), dtype=float)
    from scipy.sparse.linalg import LinearOperator, gmres

    # An inexact direction is judged, like any other, by the decrease that it brings.
    matrix = LinearOperator((K, K), matvec=apply, dtype=float)
    found: Array = gmres(matrix, right, rtol=1e-8, atol=0.0, restart=60, maxiter=10)[0]
    return found
