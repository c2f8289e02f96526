"""Periodic solutions of (7): what it may settle on where it does not converge.

Newton's method on the return map finds stable and unstable ones alike. Small perturbations grow or
decay by the Floquet multipliers, the eigenvalues of the map's derivative over one period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, NotConverged, allow_underflow, real, whole
from meanfield.equilibria.returns import MOST_STEPS, ReturnMap, newton, settled
from meanfield.flows import Flow
from meanfield.games.base import Game, a_game
from meanfield.measures import Density, total_variation
from meanfield.shown import Shown
from meanfield.start import Start
from meanfield.storage.results import Result

Complex = NDArray[np.complex128]

PHASES = 64  # states that are kept of a period
PERIOD_TOL = 1e-12  # relative change of the period from which steps are not halved any more
LOOKS = 400  # states between which the first return is looked for
NEAR = 0.1  # share of the farthest distance within which a return is near
GUESS_TOL = 1e-3  # relative error of a state that is good enough to begin Newton's method with
AT_REST = 1e-6  # distance within which a solution does not move


@dataclass(frozen=True, eq=False)
class Orbit(Shown, Result):
    """A periodic solution of (7), by its states at equal parts of a period.

    x, y: the densities at `times` (S,), the first at 0. period, and period_error: the estimated
    error that is left in it. residual: the Euclidean norm of what the coefficients miss after one
    period. multipliers (k,): the leading Floquet multipliers, largest modulus first; one is 1, that
    of a shift in time.
    """

    game: Game = field(repr=False)
    flow: Flow
    period: float
    period_error: float
    residual: float
    multipliers: Complex
    times: Array = field(repr=False)
    x: list[Density] = field(repr=False)
    y: list[Density] = field(repr=False)
    cells: tuple[Any, Any] = field(repr=False)

    @property
    def others(self) -> Complex:
        """The multipliers but that of a shift in time, the one nearest to 1."""
        return np.delete(self.multipliers, np.argmin(np.abs(self.multipliers - 1)))

    @property
    def stable(self) -> bool:
        """Whether small perturbations decay: all other multipliers lie inside the unit circle."""
        return bool(np.abs(self.others).max(initial=0.0) < 1)

    @property
    def size(self) -> float:
        """The largest total variation between a player's density and its mean over the period."""
        return max(_farthest(self.x), _farthest(self.y))

    @property
    def start(self) -> Start:
        """The state at time 0, to start `solve` or `simulate` from."""
        return Start(x=self.x[0], y=self.y[0])

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw one period and the multipliers as `meanfield.plotting.plot_orbit` does."""
        from meanfield.plotting import plot_orbit

        return plot_orbit(self, ax, **options)

    def __repr__(self) -> str:
        largest = self.others[np.argmax(np.abs(self.others))] if len(self.others) else 0.0
        kind = "stable" if self.stable else "unstable"
        return (
            f"Orbit: {kind}, period {self.period:.11g} +- {self.period_error:.1e}, residual "
            f"{self.residual:.1e}, leading multiplier {largest:.6g}"
        )


def _farthest(states: list[Density]) -> float:
    mean = np.mean([mu.masses for mu in states], axis=0)
    return max(total_variation(mu, Density(mean, mu.mesh)) for mu in states)


@allow_underflow
def orbit(
    game: Game,
    flow: Flow,
    near: Start | Orbit,
    settle: float = 0.0,
    within: float = 20.0,
    period: float | None = None,
    cells: Any = None,
    tol: float = 1e-11,
    count: int = 6,
) -> Orbit:
    """A periodic solution of (7) near a state, with its period and Floquet multipliers.

    Solves phi_T(mu) = mu for the state mu and the period T, phi the flow of (7) in Fourier modes
    (tori) or spherical harmonics (S^2) by ETDRK4, its phase fixed by <velocity, mu - guess> = 0.

    Parameters
    ----------
    near : Start or Orbit
        What to begin from. A stable orbit is found from any start that settles on it; an unstable
        one from a state near to it, such as another orbit at a neighbouring parameter.
    settle : float, optional
        A time for which (7) is run first.
    within : float, optional
        The longest period that is looked for; the guess is the first near return.
    period : float, optional
        A guess of the period, if you have one.
    cells : int, tuple or a pair of these, optional
        Nodes per axis or degrees as in `solve`; by default as many as the run takes.
    tol : float, optional
        The residual wanted, in the coefficients' Euclidean norm.
    count : int, optional
        How many Floquet multipliers, 2 or more, as one of them is that of a shift in time.

    Returns
    -------
    Orbit

    Raises
    ------
    ValueError
        For games and flows that have no spectral engine.
    NotConverged
        Where the state comes to rest, does not return, or Newton's method does not converge.

    Examples
    --------
    The cycle that (7) settles on in the oscillator, instead of on the Gibbs point.

    >>> import meanfield as mf
    >>> game = mf.games.oscillator(coupling=3.0)
    >>> cycle = mf.orbit(game, mf.Langevin(beta=25.0), game.answers["start"], settle=20.0)
    >>> print(f"{cycle.period:.8f}", cycle.stable)
    4.03419486 True
    """
    a_game(game)
    tol, count = real("tol", tol, 0.0, strict=True), whole("count", count, 2)
    settle, within = real("settle", settle, 0.0), real("within", within, 0.0, strict=True)
    if isinstance(near, Orbit):
        begin, cells = near.start, near.cells if cells is None else cells
    elif isinstance(near, Start):
        begin = near
    else:
        raise TypeError(f"near must be a meanfield.Start or Orbit, got {type(near).__name__}")
    rest = settled(game, flow, begin, settle, cells)
    x, y = rest.measures()
    resolution = tuple(basis.cells for basis in rest.bases) if cells is None else cells
    here = ReturnMap(game, flow, Start(x=x, y=y), resolution)
    v = here.state
    if period is None:
        period = near.period if isinstance(near, Orbit) else first_return(here, v, within)
    return closed(here, v, real("period", period, 0.0, strict=True), tol, count)


def first_return(here: ReturnMap, v: Array, within: float) -> float:
    """When the solution from v first comes back near to v; NotConverged where it does not."""
    h, states = within / LOOKS, [v]
    here.refine(v, within, GUESS_TOL)
    for _ in range(LOOKS):
        states.append(here(states[-1], h, -(-here.steps // LOOKS)))
    d = np.linalg.norm(np.array(states) - v, axis=1)
    if d.max() < AT_REST:
        raise NotConverged(
            f"(7) does not move from here (by {d.max():.1e} within time {within:g}): it has "
            "settled on the Gibbs point; begin elsewhere, or settle for a shorter time"
        )
    back = 1 + np.flatnonzero((d[1:-1] < d[:-2]) & (d[1:-1] <= d[2:]))
    back = back[d[back] < max(NEAR * d.max(), 2 * d[back].min(initial=np.inf))]
    if not len(back):
        raise NotConverged(
            f"the solution does not come back within time {within:g}; settle for longer, or raise "
            "within"
        )
    k = int(back[0])
    curve = np.polyfit([-1, 0, 1], d[k - 1 : k + 2] ** 2, 2)
    return float(h * (k - curve[1] / (2 * curve[0])))


def closed(here: ReturnMap, v: Array, T: float, tol: float, count: int) -> Orbit:
    """The orbit through a guess (v, T), in as many steps as the period takes to stand still."""
    here.refine(v, T, GUESS_TOL)
    v, T, residual = on_cycle(here, v, T, tol)
    while True:
        here.steps, before = 2 * here.steps, T
        v, T, residual = on_cycle(here, v, T, tol)
        error = abs(T - before) / 15  # of order 4
        if error <= PERIOD_TOL * T or here.steps >= MOST_STEPS:
            return described(here, v, T, error, residual, count)


def on_cycle(here: ReturnMap, v: Array, T: float, tol: float) -> tuple[Array, float, float]:
    """Newton's method at the present number of steps: state, period and residual."""
    u = np.concatenate([v, [T, 0.0]])
    rows = np.stack([phase(here, v), np.eye(len(u))[-1]])
    u, residual = newton(lambda p: here, u, rows, rows @ u, tol, 0.0)
    return u[:-2], float(u[-2]), residual


def phase(here: ReturnMap, v: Array) -> Array:
    """The row (n + 2,) that fixes the phase: along the velocity at v, of size one."""
    along = here.velocity(v)
    return np.concatenate([along / np.linalg.norm(along), [0.0, 0.0]])


def described(
    here: ReturnMap, v: Array, T: float, error: float, residual: float, count: int
) -> Orbit:
    """The orbit through v with all that is known of it."""
    here.check(v)
    states = here.cycle(v, T, PHASES)
    x, y = ([mu[p] for mu in states] for p in (0, 1))
    times = T * np.arange(PHASES) / PHASES
    leading = multipliers(here.along_exactly, v, T, count)
    game, flow = here.engine.game, here.engine.flow
    return Orbit(game, flow, T, error, residual, leading, times, x, y, here.cells)


def multipliers(
    along: Callable[[Array, float, Array], Array], v: Array, T: float, count: int
) -> Complex:
    """The leading eigenvalues of the return map's derivative at v, largest modulus first."""
    from scipy.sparse.linalg import LinearOperator, eigs

    n = len(v)
    M = LinearOperator((n, n), matvec=lambda w: along(v, T, np.ravel(w)), dtype=float)
    first = np.random.default_rng(0).standard_normal(n)
    found = eigs(M, k=min(count, n - 2), v0=first, return_eigenvectors=False)
    return np.asarray(found[np.argsort(-np.abs(found))], dtype=complex)
