"""The Gibbs fixed point, equation (9): each strategy is the Gibbs measure of its potential.

    mu_x proportional to exp(-beta_x V_x[mu_y]),   mu_y proportional to exp(beta_y V_y[mu_x]).

It is the unique saddle point of L_beta (Theorem 1). On a mesh it is found by Newton's method on
both players' moments z: with g_p(z_q) the moments of p's Gibbs measure, F_p(z) = z_p - g_p(z_q).
Elimination of one player leaves I + beta_x beta_y S_1 C' S_0 C, S the covariances of the features:
its eigenvalues are at least 1, so that Newton's direction exists and descends everywhere.
Continuation in beta keeps the steps few. (Newton on the composed map g_1(g_0(z)) has the same
matrix, but rounding enters its residual beta^2 times, and that of F beta times.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import (
    Array,
    NotConverged,
    allow_underflow,
    known_keywords,
    real,
    warn,
    whole,
)
from meanfield.density.coupling import both
from meanfield.density.harmonics import Degrees
from meanfield.density.inputs import per_player
from meanfield.flows import Number
from meanfield.games.base import Game, a_game
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, total_variation
from meanfield.meshes import Mesh, mesh, quadrature_mesh
from meanfield.meshes.harmonics import of_values
from meanfield.metrics.energy import gibbs_masses, gibbs_measures, temperatures
from meanfield.shown import Shown
from meanfield.storage.results import Result

DENSE = 2000  # moments up to which Newton's matrix is formed and factored
ROUNDS = 60
ON_THE_WAY = 1e-6  # residual wanted at the continuation's earlier values of beta
SETTLED = 1e-9  # residual from which Newton's method has found its root, but for rounding
USUAL_ON_SPHERE = 2592  # cells of S^2, on 36 parallels
MOST = 1 << 16  # nodes of a mesh that is chosen here
RESOLVED, COARSE = 2e-3, 5e-2  # share of outer modes that is refined for, and warned of
SHORTEST = 1e-3  # step of log beta below which the continuation gives up

Row = tuple[float, float, float]
Moments = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class GibbsPoint(Shown, Result):
    """The fixed point (9) on a mesh: x and y, each the Gibbs measure of the other's potential.

    residual: the larger total variation between a player's density and the Gibbs measure of its
    current potential. beta: (beta_x, beta_y). path: rows (fraction of beta, Newton steps,
    residual).
    """

    x: Density
    y: Density
    residual: float
    beta: tuple[float, float]
    path: Array = field(repr=False)
    game: Game = field(repr=False)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw both densities as `meanfield.plotting.plot_gibbs` does; returns the figure."""
        from meanfield.plotting import plot_gibbs

        return plot_gibbs(self, ax, **options)


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
class _Player:
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


Players = tuple[_Player, _Player]


def _player(game: Game, p: int, meshes: tuple[Mesh, Mesh], beta: float) -> _Player:
    return _Player(meshes[p], beta, LinearMaps.of(game, p, meshes))


@known_keywords()
@allow_underflow
def gibbs(
    game: Game,
    beta: Number,
    cells: Any = None,
    tol: float = 1e-12,
    start: tuple[Density, Density] | None = None,
) -> GibbsPoint:
    """The discrete Gibbs fixed point (9) at inverse temperature beta: dmu_x ~ exp(-beta V_x) dx.

    On tori and on spheres (S^2: by the product quadrature whose number of nodes 2 n^2 is nearest)
    integrals converge exponentially in the cells; on Voronoi cells they are of second order.

    Parameters
    ----------
    game : Game
    beta : float or pair
        One number, or one a player.
    cells : int, tuple, Mesh or a pair of these, optional
        As in `solve`: nodes per axis (the number of cells on spheres). Default 256 on the circle;
        on T^2 64 for low-rank games, 32 for others; on S^2 2592; for low-rank games the meshes of
        `start`, if it is given, and more nodes where the density asks.
    tol : float
        Bounds the residual, a total variation; the iteration goes on to rounding whatever tol is.
    start : pair of Density, optional
        To begin from at the full beta, instead of the continuation from small beta.

    Returns
    -------
    GibbsPoint

    Raises
    ------
    ValueError
        For manifolds without mesh.
    NotConverged
        With what was reached.

    Warns
    -----
    UnderResolved
        Where the nodes of a torus, of S^1, S^3 or of a quadrature of S^2 are too few.

    Examples
    --------
    >>> import meanfield as mf
    >>> point = mf.gibbs(mf.games.oscillator(), beta=5.0)
    >>> bool(point.residual < 1e-12), len(point.x)
    (True, 256)
    """
    a_game(game)
    cold = temperatures(beta)
    tol = real("tol", tol, 0.0, strict=True)
    asked = per_player(cells)
    free = [one is None and game.bases is not None for one in asked]
    begun = _checked(start)
    meshes = both(lambda p: begun[p].mesh if begun and free[p] else _mesh(game, p, asked[p]))
    z: Moments | None = None
    path: list[Row] = []
    while True:
        players = _player(game, 0, meshes, 1 / cold[0]), _player(game, 1, meshes, 1 / cold[1])
        z, rows = _continuation(players, tol, _starting(players, begun) if z is None else z)
        path += rows
        x, y = (Density(players[p].respond(z[1 - p], 1.0), meshes[p]) for p in (0, 1))
        residual = max(map(total_variation, (x, y), gibbs_measures(game, beta, x, y)))
        if not residual <= tol:
            raise NotConverged(
                f"the Gibbs fixed point stopped at residual {residual:.2e}, above tol = {tol:.1e}; "
                "rounding allows about eps beta |U|: raise tol, or lower beta"
            )
        finer = _finer(x, free[0], "x"), _finer(y, free[1], "y")
        if finer == meshes:
            return GibbsPoint(x, y, residual, (1 / cold[0], 1 / cold[1]), np.array(path), game)
        meshes = finer


def _finer(mu: Density, free: bool, player: str) -> Mesh:
    """The mesh of a Gibbs density, or a finer one of its kind where it is not resolved.

    Warns of a mesh that is not resolved and not `free` to be finer.
    """
    on, share = mu.mesh, _outer_share(mu)
    if free and share > RESOLVED and len(on) * 1.5**on.manifold.dim <= MOST:
        if on.by_parallels:
            return quadrature_mesh(3 * on.shape[0] // 2)  # type: ignore[index]
        if on.by_hopf or on.shape is None:
            return mesh(on.manifold, len(on) * 27 // 8 if on.by_hopf else len(on) * 2)
        return mesh(on.manifold, tuple(3 * n // 2 for n in on.shape))
    if share > COARSE:
        warn(
            f"player {player}: the outer third of modes or degrees holds a share of {share:.1e} of "
            f"the Gibbs density on {on}; raise `cells`"
        )
    return on


def _outer_share(mu: Density) -> float:
    """The outer third of modes or degrees' share of a density's l1 norm; 0 where there are none.

    Where coefficients fall geometrically, integrals are off by about its third power.
    """
    on = mu.mesh
    if on.by_parallels:
        L = on.shape[0] - 1  # type: ignore[index]
        return Degrees(L).tail(of_values(mu.values, L))
    if on.by_hopf:
        return _outer_share_by_hopf(mu)
    shape = (len(on),) if on.manifold == Sphere(1) else on.shape
    if shape is None or not isinstance(on.manifold, Torus | Sphere):
        return 0.0
    sizes = np.abs(np.fft.fftn(mu.masses.reshape(shape)))
    outer = np.zeros(shape, dtype=bool)
    for along in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"):
        outer |= np.abs(along) > 1 / 3
    return float(sizes[outer].sum() / sizes.sum())


def _outer_share_by_hopf(mu: Density) -> float:
    """The same on S^3, by Legendre polynomials of the height and waves of both angles.

    Where a wave's number is odd its part is no polynomial of the height, but a root times one: of
    high degrees the parts with even numbers tell.
    """
    m, n, _ = mu.mesh.shape  # type: ignore[misc]
    heights, weights = np.polynomial.legendre.leggauss(m)
    onto = np.polynomial.legendre.legvander(heights, m - 1) * weights[:, None]
    waves = np.fft.fft2(mu.values.reshape(m, n, n))
    sizes = np.abs(np.tensordot(onto * (np.arange(m) + 0.5), waves, (0, 0)))
    far, even = np.abs(np.fft.fftfreq(n)) > 1 / 3, np.arange(n) % 2 == 0
    high = (np.arange(m) >= 2 * m / 3)[:, None, None] & even[:, None] & even
    outer = high | far[:, None] | far
    return float(sizes[outer].sum() / sizes.sum())


def _mesh(game: Game, p: int, cells: Any) -> Mesh:
    """The mesh of player p; by default with fewer cells where costs are not low-rank."""
    manifold = game.manifolds[p]
    if isinstance(cells, Mesh) and cells.manifold != manifold:
        raise ValueError(f"cells for {'xy'[p]} must be a mesh of {manifold}, got {cells!r}")
    if cells is None and isinstance(manifold, Torus) and game.bases is None:
        cells = {1: 256, 2: 32, 3: 12}.get(manifold.d)
    if manifold == Sphere(2) and not isinstance(cells, Mesh):
        n = whole("cells", USUAL_ON_SPHERE if cells is None else cells, 8)
        return quadrature_mesh(round((n / 2) ** 0.5))
    return mesh(manifold, cells)


def _checked(start: Any) -> tuple[Density, Density] | None:
    if start is not None and not (isinstance(start, (tuple, list)) and len(start) == 2):
        raise TypeError(f"start must be a pair of densities (for x, for y), got {start!r}")
    for name, mu in zip("xy", start or (), strict=False):
        if not isinstance(mu, Density):
            raise ValueError(f"start's {name} must be a density, got {mu!r}")
    return (start[0], start[1]) if start is not None else None


def _starting(players: Players, start: tuple[Density, Density] | None) -> Moments | None:
    """Moments of the starting pair; None without one."""
    if start is None:
        return None
    for mu, player, name in zip(start, players, "xy", strict=True):
        if not mu.mesh.same(player.mesh):
            raise ValueError(
                f"start's {name} must be a density on {player.mesh}, got {mu!r}; pass cells to "
                "match"
            )
    return _moments(players, (start[0].masses, start[1].masses))


def _moments(players: Players, masses: Moments) -> Moments:
    return both(lambda p: players[p].maps.moments(masses[p]))


def _continuation(players: Players, tol: float, z: Moments | None) -> tuple[Moments, list[Row]]:
    """Follow z from small beta to the full one, in steps of log beta that grow, or are halved on
    failure.
    """
    path: list[Row] = []
    if z is not None:
        solved, steps, residual = _newton(players, z, 1.0, tol)
        path.append((1.0, steps, residual))
        if residual <= max(tol, SETTLED):
            return solved, path
    uniform = both(lambda p: players[p].mesh.volumes / players[p].mesh.volumes.sum())
    guess = _moments(players, uniform)
    target, stride = -np.log(_strength(players)), np.log(2.0)
    done: list[tuple[float, Moments]] = []  # log of beta's fraction, and the solution there
    while True:
        wanted = tol if target == 0 else max(tol, ON_THE_WAY)
        solved, steps, residual = _newton(players, guess, float(np.exp(target)), wanted)
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
        guess = _extrapolated(done, target)


def _extrapolated(done: list[tuple[float, Moments]], target: float) -> Moments:
    """Moments at log beta = target, linear through the last two solutions."""
    at, z = done[-1]
    if len(done) == 1:
        return z
    before, previous = done[0]
    ahead = (target - at) / (at - before)
    return both(lambda p: z[p] + ahead * (z[p] - previous[p]))


def _strength(players: Players) -> float:
    """Beta times the range of costs against single points, at least 1: how sharp responses are."""
    sharp = 1.0
    for player, opponent in (players, players[::-1]):
        sample = slice(None, None, max(1, len(opponent.mesh) // 32))
        costs, features = player.maps.costs, opponent.maps.features
        against = costs[:, sample] if features is None else costs @ features[:, sample]
        sharp = max(sharp, player.beta * float(np.ptp(against, axis=0).max()))
    return sharp


def _newton(
    players: Players, z: Moments, fraction: float, tol: float
) -> tuple[Moments, int, float]:
    """Damped Newton on F: the moments reached, the steps taken and the residual there."""
    now = _state(players, z, fraction)
    for step in range(ROUNDS):
        if now.residual <= 0.01 * tol:
            return now.z, step, now.residual
        a, b = now.z
        da, db = _direction(players, now, fraction)
        scale = 1.0
        while scale > 1e-4:
            trial = _state(players, (a - scale * da, b - scale * db), fraction)
            if trial.size < (1 - 0.1 * scale) * now.size:
                break
            scale *= 0.5
        else:
            return now.z, step, now.residual  # nothing is gained any more: at rounding, or lost
        now = trial
    return now.z, ROUNDS, now.residual


@dataclass(frozen=True, eq=False)
class _State:
    """Moments z, the Gibbs masses against them, F(z) with its norm, and the residual.

    The residual is the total variation between the Gibbs masses and those against their moments.
    """

    z: Moments
    masses: Moments
    F: Moments
    size: float
    residual: float


def _state(players: Players, z: Moments, fraction: float) -> _State:
    masses = both(lambda p: players[p].respond(z[1 - p], fraction))
    moments = _moments(players, masses)
    F = z[0] - moments[0], z[1] - moments[1]
    size = float(np.hypot(np.linalg.norm(F[0]), np.linalg.norm(F[1])))
    again = both(lambda p: players[p].respond(moments[1 - p], fraction))
    residual = max(0.5 * float(np.abs(m - a).sum()) for m, a in zip(masses, again, strict=True))
    return _State(z, masses, F, size, residual)


def _direction(players: Players, now: _State, fraction: float) -> Moments:
    """F'(z)^{-1} F(z), the player with more moments eliminated."""
    a = 0 if len(now.z[0]) <= len(now.z[1]) else 1
    b = 1 - a
    slope_a = partial(players[a].slope, now.masses[a], fraction)
    slope_b = partial(players[b].slope, now.masses[b], fraction)
    # dz_a - slope_a dz_b = F_a and dz_b - slope_b dz_a = F_b, hence (1 - slope_a slope_b) dz_a =
    # F_a + slope_a F_b.
    right = now.F[a] + slope_a(now.F[b])
    move_a = _solve(lambda d: d - slope_a(slope_b(d)), right)
    move_b = now.F[b] + slope_b(move_a)
    return (move_a, move_b) if a == 0 else (move_b, move_a)


def _solve(apply: Callable[[Array], Array], right: Array) -> Array:
    """A dense factorisation for few moments, GMRES for many."""
    K = len(right)
    if K <= DENSE:
        return np.asarray(np.linalg.solve(apply(np.eye(K)), right), dtype=float)
    from scipy.sparse.linalg import LinearOperator, gmres

    # An inexact direction is judged, like any other, by the decrease that it brings.
    matrix = LinearOperator((K, K), matvec=apply, dtype=float)
    solution: Array = gmres(matrix, right, rtol=1e-8, atol=0.0, restart=60, maxiter=10)[0]
    return solution
