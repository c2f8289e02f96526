"""The Gibbs fixed point, equation (9): each strategy is the Gibbs measure of its potential.

    mu_x proportional to exp(-beta_x V_x[mu_y]),   mu_y proportional to exp(beta_y V_y[mu_x]).

It is the unique saddle point of L_beta (Theorem 1). On a mesh
`meanfield.equilibria.fixed_point` solves for it; here meshes are chosen, and made finer where the
densities ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
from meanfield.density.between_nodes import warn_of_waves
from meanfield.density.coupling import both
from meanfield.density.harmonics import Degrees
from meanfield.density.inputs import per_player
from meanfield.equilibria.fixed_point import Moments, Row, continued, player_of, starting
from meanfield.flows import Number
from meanfield.games.base import Game, a_game
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, total_variation
from meanfield.meshes import Mesh, mesh, quadrature_mesh
from meanfield.meshes.harmonics import of_values
from meanfield.metrics.energy import gibbs_measures, temperatures
from meanfield.shown import Shown
from meanfield.storage.results import Result

USUAL_ON_SPHERE = 2592  # cells of S^2, on 36 parallels
MOST = 1 << 16  # nodes of a mesh that is chosen here
SAME = 1e-9  # residuals beyond are another game's, not rounding
RESOLVED, COARSE = 2e-3, 5e-2  # share of outer modes that is refined for, and warned of


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

    def check_game(self, game: Game, where: str) -> None:
        """ValueError unless these are Gibbs measures of this game, of which a file may hold the
        name only.
        """
        again = gibbs_measures(game, self.beta, self.x, self.y)
        apart = max(map(total_variation, (self.x, self.y), again))
        if not apart <= max(10 * self.residual, SAME):
            raise ValueError(
                f"{where} holds no Gibbs measures of {game!r} as it is now: they miss (9) by "
                f"{apart:.2g}, where they missed it by {self.residual:.2g}; give the game that "
                "they were made with"
            )


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
        Where the nodes of a torus, of S^1, S^3 or of a quadrature of S^2 are too few, or the loss
        changes faster than they follow.

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
    for p in (0, 1):
        if not free[p]:
            warn_of_waves(game, p, meshes[p])
    z: Moments | None = None
    path: list[Row] = []
    while True:
        players = player_of(game, 0, meshes, 1 / cold[0]), player_of(game, 1, meshes, 1 / cold[1])
        z, rows = continued(players, tol, starting(players, begun) if z is None else z)
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
        return float(Degrees(L).tail(of_values(mu.values, L)))
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
