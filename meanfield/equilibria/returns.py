"""The map of (7) over a time T, in coefficients, and Newton's method on its fixed points.

A periodic solution is a fixed point of that map whose T is not known. Its derivative is met only
along given directions: diffusion damps all but a few of them, so that GMRES needs few.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, warn
from meanfield.density.choice import build, default_engine
from meanfield.density.coupling import both
from meanfield.density.spectral import Spectral
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.start import Start

ENGINES = ("galerkin", "harmonics")
SETTLING_TOL = 1e-10  # tol of the run that finds how many coefficients a solution has
RESOLVED = 1e-6  # share of the outer coefficients: an error of about its power 3/2
NUDGE = 1e-4  # of a difference quotient, in units of the state
FEWEST_STEPS, MOST_STEPS = 64, 2**17  # of the time that is mapped
INEXACT = 1e-6  # relative residual of linear equations
ROUNDS, SHORTEST = 30, 1e-3  # steps of Newton's method, and the least share of one
LARGEST_FACTOR = 4.0  # factor that a period may change by in one step


class ReturnMap:
    """State v of a mean field to its state a time T later, in `steps` steps of ETDRK4.

    v (n,): the real coefficients of both players' densities, that of their mass left out.
    """

    def __init__(
        self, game: Game, flow: Flow, start: Start, cells: Any, steps: int = FEWEST_STEPS
    ) -> None:
        self.engine = spectral(game, flow, start, cells)
        self.engine.warned = True  # of states that Newton's method only passes; see `check`
        self.steps, self.bases = steps, self.engine.bases
        self._cuts = np.cumsum([self._pack(p).size for p in (0, 1)])[:1]

    @property
    def cells(self) -> tuple[Any, Any]:
        """The resolution, as `solve` takes it."""
        return both(lambda p: self.bases[p].cells)

    @property
    def state(self) -> Array:
        """The engine's present state."""
        return np.concatenate(both(self._pack))

    def _pack(self, p: int) -> Array:
        return self.engine.coefficients(p)[1:].view(float)

    def _place(self, v: Array) -> None:
        """Make v the engine's state at time 0."""
        players = []
        for p, part in enumerate(np.split(v, self._cuts)):
            first = self.engine.coefficients(p)[:1]  # of mass one
            players.append(np.concatenate([first, part.view(first.dtype)]))
        self.engine.place(*players)
        self.engine.time = 0.0

    def __call__(self, v: Array, T: float, steps: int | None = None) -> Array:
        """The state (n,) a time T after v; infinite where there is none."""
        count = self.steps if steps is None else steps
        if not 0 < T < np.inf or not np.isfinite(v).all():
            return np.full_like(v, np.inf)
        self._place(v)
        self.engine.step = T / count
        try:
            self.engine.advance(T)
        except ValueError:  # left the probability measures
            return np.full_like(v, np.inf)
        return self.state

    def refine(self, v: Array, T: float, tol: float) -> None:
        """Double the steps until the state a time T after v stands still to the relative tol."""
        coarse = self(v, T)
        while self.steps < MOST_STEPS:
            self.steps *= 2
            fine = self(v, T)
            there = np.isfinite(coarse).all() and np.isfinite(fine).all()
            if there and np.linalg.norm(fine - coarse) <= tol * np.linalg.norm(fine):
                return
            coarse = fine
        raise NotConverged(f"{self.steps} steps are too few for a time of {T:g}: give more cells")

    def along(self, v: Array, T: float, w: Array, reach: float = NUDGE) -> Array:
        """The derivative of the map along w (n,), by central differences over `reach`."""
        size = float(np.linalg.norm(w))
        if size == 0:
            return np.zeros_like(w)
        d = reach * w / size
        return size * (self(v + d, T) - self(v - d, T)) / (2 * reach)

    def along_exactly(self, v: Array, T: float, w: Array) -> Array:
        """The same by differences of order 4, to about ten digits."""
        near, far = (self.along(v, T, w, s * NUDGE) for s in (10, 20))
        return (4 * near - far) / 3

    def speed(self, v: Array, T: float) -> Array:
        """The derivative (n,) of the state a time T after v with respect to T."""
        d = NUDGE * T
        return (self(v, T + d) - self(v, T - d)) / (2 * d)

    def velocity(self, v: Array) -> Array:
        """The velocity (n,) of (7) at v, by a short step."""
        d = NUDGE * NUDGE
        return (self(v, d, 1) - v) / d

    def densities(self, v: Array) -> tuple[Density, Density]:
        """Both players' densities at a state."""
        self._place(v)
        return self.engine.on_nodes(0), self.engine.on_nodes(1)

    def tail(self, v: Array) -> float:
        """The outer coefficients' share of a state, the larger of both players'."""
        self._place(v)
        return max(self.bases[p].tail(self.engine.coefficients(p)) for p in (0, 1))

    def check(self, v: Array) -> None:
        """Warn of a state that the coefficients do not resolve."""
        if (tail := self.tail(v)) > RESOLVED:
            warn(
                f"the outer third of {self.bases[0].plural} holds a share of {tail:.1e} of the "
                f"orbit; raise `cells`, now {self.cells}"
            )

    def cycle(self, v: Array, T: float, phases: int) -> list[tuple[Density, Density]]:
        """The densities at `phases` equal parts of the time T from v on."""
        states, count = [v], max(1, self.steps // phases)
        for _ in range(phases - 1):
            states.append(self(states[-1], T / phases, count))
        return [self.densities(state) for state in states]


def spectral(game: Game, flow: Flow, start: Start, cells: Any, **options: Any) -> Spectral:
    """The engine in coefficients for a flow of a game; ValueError where there is none."""
    name = default_engine(game, flow)
    if name not in ENGINES:
        raise ValueError(
            f"periodic solutions are followed in Fourier modes or spherical harmonics, which serve "
            f"(7) of trigonometric games on tori and of quadratic games on S^2; got {game!r} and "
            f"the flow {flow.name!r}"
        )
    built = build(game, flow, start, cells, name, **options)
    assert isinstance(built, Spectral)
    return built


def settled(game: Game, flow: Flow, start: Start, time: float, cells: Any) -> Spectral:
    """(7) run for a time from a start, with as many coefficients as that takes."""
    engine = spectral(game, flow, start, cells, tol=SETTLING_TOL)
    engine.advance(time)
    return engine


def newton(
    maps: Callable[[float], ReturnMap],
    u: Array,
    rows: Array,
    wanted: Array,
    tol: float,
    reach: float,
) -> tuple[Array, float]:
    """Solve phi_T(v; p) = v and rows u = wanted for u = (v, T, p); returns u and its residual.

    maps: the map at each value of the parameter p. rows (2, n + 2), wanted (2,): what fixes the
    phase, and p or a point of a branch. reach: of difference quotients in p; 0 where p is fixed.
    Raises NotConverged.
    """
    F = equations(maps, u, rows, wanted)
    for _ in range(ROUNDS):
        size = float(np.linalg.norm(F))
        if size <= tol:
            return u, size
        step = solve_linear(maps, u, rows, -F, reach)
        share, T = 1.0, u[-2]
        while share >= SHORTEST:
            trial = u + share * step
            if T / LARGEST_FACTOR < trial[-2] < T * LARGEST_FACTOR:
                F = equations(maps, trial, rows, wanted)
                if np.linalg.norm(F) < (1 - 0.1 * share) * size:
                    break
            share /= 2
        else:
            if size <= 30 * tol:  # rounding
                return u, size
            raise NotConverged(
                f"Newton's method on the return map ends at residual {size:.1e}, period {T:.6g}: "
                "begin nearer to a periodic solution, or settle for longer"
            )
        u = trial
    raise NotConverged(f"Newton's method on the return map is still at residual {size:.1e}")


def equations(maps: Callable[[float], ReturnMap], u: Array, rows: Array, wanted: Array) -> Array:
    """phi_T(v; p) - v and rows u - wanted, (n + 2,)."""
    v, T, p = u[:-2], float(u[-2]), float(u[-1])
    return np.concatenate([maps(p)(v, T) - v, rows @ u - wanted])


def solve_linear(
    maps: Callable[[float], ReturnMap], u: Array, rows: Array, right: Array, reach: float
) -> Array:
    """The solution of the linearised equations with a right-hand side (n + 2,), by GMRES."""
    from scipy.sparse.linalg import LinearOperator, gmres

    v, T, p = u[:-2], float(u[-2]), float(u[-1])
    here = maps(p)
    by_time = here.speed(v, T)
    by_parameter = np.zeros_like(v)
    if reach > 0:
        by_parameter = (maps(p + reach)(v, T) - maps(p - reach)(v, T)) / (2 * reach)

    def apply(w: Array) -> Array:
        moved = here.along(v, T, w[:-2]) - w[:-2] + by_time * w[-2] + by_parameter * w[-1]
        return np.concatenate([moved, rows @ w])

    n = len(u)
    found, _ = gmres(
        LinearOperator((n, n), matvec=apply, dtype=float),
        right,
        rtol=INEXACT,
        restart=100,
        maxiter=4,
    )
    return np.asarray(found, dtype=float)
