"""Linear stability of the Gibbs point (9) under the flows for which it is at rest.

With masses m_p (1 + f_p), g = sqrt(m) f and B_p g_q what the opponent's change exerts,

    dg_p/dt = -G_p (T_p g_p + B_p h_q),    G_p = gamma_p S_p + (alpha_p + rho_p / T_p) P,

S_p of transport (`meanfield.equilibria.linear`), P the projection that keeps mass: reaction and
response relax every mode alike. h_q is g_q, or with a discounting memory dh_q/dt = r (g_q - h_q). A
player with response infinite has T_p g_p = -P B_p h_q at all times.

Zero-sum games have B_y = -B_x'. Without memory the flow is hence -G (T + K), K antisymmetric, and
g' G^{-1} g falls: no eigenvalue reaches the imaginary axis, whatever the rates and temperatures.
With memory pairs may cross it; zero itself is never an eigenvalue, as T + K is invertible.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from meanfield.checks import Array, allow_underflow, real, whole
from meanfield.density.coupling import both
from meanfield.density.inputs import per_player
from meanfield.equilibria.atoms import AtomStability, atom_stability
from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.linear import Reduced, coupling, even, missed, side_of, widened
from meanfield.equilibria.nash import Equilibrium
from meanfield.equilibria.spectrum import Complex, Spectrum
from meanfield.flows import Flow, Langevin, Number, pair
from meanfield.games.base import Game, a_game
from meanfield.measures import Density, total_variation
from meanfield.metrics.energy import gibbs_measures

SAME = 1e-12  # relative difference of temperatures that are one
ITS_OWN = 1e-8  # total variation between a Gibbs point and the Gibbs measures of its own game


@dataclass(frozen=True, eq=False)
class Stability(Spectrum):
    """Leading spectrum of a flow linearised at the Gibbs point.

    eigenvalues (k,): largest real part first, the two zeros of conserved mass left out. residuals
    (k,): |L v - lambda v| / |v| on the meshes, which tells what the truncation to `modes` misses.
    modes_x (k, N), modes_y (k, M): the eigenvectors as changes of the cell masses.
    """

    eigenvalues: Complex
    residuals: Array
    modes_x: Complex = field(repr=False)
    modes_y: Complex = field(repr=False)
    point: GibbsPoint = field(repr=False)
    flow: Flow

    @property
    def stable(self) -> bool:
        return self.rate > 0

    def perturbed(self, amplitude: float, k: int = 0) -> tuple[Density, Density]:
        """The Gibbs point moved along mode k, so that the largest relative change of a density is
        `amplitude`.
        """
        real("amplitude", amplitude)
        moves = (self.point.x, self.modes_x[k].real), (self.point.y, self.modes_y[k].real)
        charged = ((v[mu.masses > 0], mu.masses[mu.masses > 0]) for mu, v in moves)
        size = max(float(np.abs(v / m).max()) for v, m in charged)

        def moved(mu: Density, v: Array) -> Density:
            masses = mu.masses + amplitude / size * v
            return Density(masses / masses.sum(), mu.mesh)

        return moved(*moves[0]), moved(*moves[1])

    def __repr__(self) -> str:
        return (
            f"Stability of {self.flow.name} at beta = {self.point.beta}: rate {self.rate:.6g}, "
            f"frequency {self.frequency:.6g}; leading eigenvalues {self.leading} (residuals up to "
            f"{self.residuals.max():.1e})"
        )


@overload
def stability(
    game: Game,
    beta: Number | GibbsPoint,
    cells: Any = None,
    count: int = 6,
    gamma: Number = 1.0,
    modes: int = 40,
) -> Stability: ...
@overload
def stability(game: Game, beta: Flow, *, near: Equilibrium) -> AtomStability: ...
@overload
def stability(
    game: Game, beta: Flow, *, count: int = 6, modes: int = 40, near: GibbsPoint
) -> Stability: ...
@overload
def stability(
    game: Game, beta: Flow, cells: Any = None, count: int = 6, *, modes: int = 40
) -> Any: ...
@allow_underflow
def stability(
    game: Game,
    beta: Number | GibbsPoint | Flow,
    cells: Any = None,
    count: int = 6,
    gamma: Number = 1.0,
    modes: int = 40,
    near: Equilibrium | GibbsPoint | None = None,
) -> Stability | AtomStability:
    """How a flow returns to the Gibbs point (9): leading eigenvalues and modes, linearised.

    With a number in the place of a flow it is (7). A flow may transport, react and respond at any
    rates, also at an infinite one for one of the players, and discount past gradients; each player
    has its temperature.

    For a flow with weights and no noise, such as (8), the spectrum of its linearisation at the
    equilibrium `near` (by default that of `nash`), as `meanfield.equilibria.AtomStability`
    describes it.

    Differences are of order 8 on tori with 16 cells or more an axis, and of order 2 elsewhere.

    Parameters
    ----------
    game : Game
    beta : float, pair, GibbsPoint or Flow
        An inverse temperature, one or one a player, or a Gibbs point that is known already, for
        (7); or a flow.
    cells
        As for `gibbs`.
    count : int
        How many eigenvalues.
    gamma : float or pair
        The players' transport rates, where no flow is given.
    modes : int
        How many eigenvectors of each player's own generator carry the coupled modes on meshes of
        more than 320 cells; raise it when `residuals` are large.
    near : GibbsPoint or Equilibrium, optional
        With a flow alone: where its spectrum is wanted, a Gibbs point at its temperatures, or for
        a flow without noise an equilibrium.

    Returns
    -------
    Stability, or AtomStability with a flow without noise

    Raises
    ------
    ValueError, NotConverged
        What `gibbs` raises; for flows that have no such spectrum.

    Warns
    -----
    UnderResolved
        Where beta |dU| over one cell exceeds 6.

    Examples
    --------
    Under discounted gradients uniform laws are left once the c of c cos(x - y) exceeds 2 (r + T)
    sqrt(T / r), with T = 1/beta and r the rate of the discount: here 5.

    >>> import meanfield as mf
    >>> flow = mf.DiscountedLangevin(beta=1.0, rate=4.0)
    >>> for c in (4.9, 5.1):
    ...     game = mf.games.uniform_equilibrium(c)
    ...     print(f"{mf.stability(game, flow, cells=32).eigenvalues[0]:.5f}")
    -0.01958+1.97547j
    0.01945+2.02425j
    """
    a_game(game)
    count, modes = whole("count", count), whole("modes", modes, 2)
    if isinstance(beta, Flow):
        if gamma != 1.0:
            raise TypeError("with a flow, stability takes no gamma: the flow has its own gamma")
        if min(beta.temperature) == 0:
            if (cells, count, modes) != (None, 6, 40):
                raise TypeError("at atoms stability takes near= alone: it has all eigenvalues")
            return atom_stability(game, beta, near)
        _at_rest(beta)
        flow, given = beta, near
    else:
        if near is not None:
            raise TypeError("near= is for flows, given in the place of beta")
        given = beta if isinstance(beta, GibbsPoint) else None
        flow = Langevin(given.beta if given else beta, pair("gamma", gamma, strict=True))  # type: ignore[arg-type]
    if given is not None and cells is not None:
        raise ValueError(
            "a Gibbs point has its cells already; give an inverse temperature, or leave cells out"
        )
    if given is None:
        on = tuple(map(even, game.manifolds, per_player(cells)))
        return linearised(gibbs(game, betas(flow), on), flow, count, modes)
    return linearised(_checked(given, game, flow), flow, count, modes)


def betas(flow: Flow) -> tuple[float, float]:
    """Both players' inverse temperatures."""
    return 1 / flow.temperature[0], 1 / flow.temperature[1]


def _at_rest(flow: Flow) -> None:
    """ValueError for flows with noise whose linearisation at (9) changes with time."""
    averages = flow.memory is not None and flow.memory.rate is None
    if averages or flow.scheduled:
        what = "weights of the past" if averages else "schedules"
        raise ValueError(
            f"{flow.name!r} has no spectrum: its {what} change with time; ask for that of the flow "
            "without them, or of DiscountedLangevin"
        )


def _checked(point: Any, game: Game, flow: Flow) -> GibbsPoint:
    """The point; TypeError or ValueError for what is no Gibbs point of the game and the flow."""
    if not isinstance(point, GibbsPoint):
        raise TypeError(
            f"near must be what gibbs returns, for a flow with noise; got {type(point).__name__}"
        )
    if point.game.manifolds != game.manifolds:
        raise ValueError(f"the Gibbs point is one of {point.game!r}, not of {game!r}")
    if not np.allclose(point.beta, betas(flow), rtol=SAME, atol=0):
        raise ValueError(
            f"near is the Gibbs point at beta = {point.beta}, and the flow has {betas(flow)}: give "
            "that of its temperatures, or leave near out"
        )
    if point.game is game:
        return point
    answers = gibbs_measures(game, point.beta, point.x, point.y)
    off = max(map(total_variation, (point.x, point.y), answers))
    if off > max(ITS_OWN, 2 * point.residual):
        raise ValueError(
            f"near is the Gibbs point of {point.game!r}, not of {game!r}: there a player's Gibbs "
            f"measure is {off:.2g} away in total variation; leave near out, or give "
            "gibbs(game, beta)"
        )
    return replace(point, game=game)


def linearised(point: GibbsPoint, flow: Flow, count: int, modes: int = 40) -> Stability:
    """The leading spectrum of a flow that rests at the Gibbs point."""
    sides = both(lambda p: side_of(point, p, modes))
    pushed = both(lambda p: coupling(sides, p, sides[1 - p].basis))
    sides = both(lambda p: widened(sides[p], pushed[p]))
    reduced = Reduced(point, sides, flow)
    values, vectors = reduced.spectrum()
    order = np.lexsort((-values.imag, -values.real))[:count]
    values, vectors = values[order], vectors[:, order]
    g, seen = reduced.on_meshes(vectors)
    left = np.concatenate(both(lambda p: missed(point, sides, flow, p, g, seen, values)))
    errors = np.linalg.norm(left, axis=0) / np.linalg.norm(np.concatenate(g), axis=0)
    x, y = both(lambda p: (sides[p].root[:, None] * g[p]).T.astype(complex))
    return Stability(values.astype(complex), errors, x, y, point, flow)
