"""Flows without diffusion, (8), (6) and mirror descent, on fixed cells: a second opinion.

Masses m of cells under d_t mu = gamma div(mu grad U) - alpha mu (U - mean), U the player's cost: transport
by upwind fluxes with limited slopes (MUSCL, van Leer 1979), Runge-Kutta of order 3 that keeps
positivity (Shu & Osher 1988), between two half steps of the reaction (Strang), which is exact in log
space for a given cost, log m <- log m - alpha dt (U - mean), at the cost of the middle of its step.
Nonnegative under the step that `reconstruction.transport` states; mass is kept to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, warn
from meanfield.density.inputs import later, mesh_for, refuse_temperature
from meanfield.density.reconstruction import LIMITERS, stencil, transport
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.start import Law

SAFETY = 0.8
# Errors of moments on the circle game of `reconstruction` pass 1e-3 to 5e-3 where 1/sum m^2 falls below 8.
RESOLVED_CELLS = 8
COARSE_REACTION = 1e-2
KEPT = 1 << 26  # entries of one player's cost matrix that are kept (512 MB)
Pair = tuple[Array, Array]


class Muscl:
    """Cell masses of both players. An `Engine`.

    cells: cells per axis (a number, a tuple per axis or a Mesh), one for each player. step: None for the
    longest steps that keep masses nonnegative, and the reaction's error per step below `tol`; or a step,
    refused with ValueError when it does not keep them nonnegative. limiter: "positive" (smallest errors),
    "van Leer" or "monotonized central" (no new extrema). Raises ValueError for temperatures above 0, a mesh of another
    manifold, an unknown limiter.

    To be trusted for densities, L1 and moments, at order 2, while every peak stands on several cells a side
    (`held_cells`). Once peaks are narrower, moments and NI are still right at order about 1 in the cells' width
    h: on the problems of T^2 and S^2, gamma = alpha = 1, at t = 4, to 1.3e-2 at 80x80 and 5e-3 at 5762 cells,
    where labels (`Characteristics`, refine=1e-4) have 7e-4 and 3e-5; on one thread in 0.5 and 1.8 s against
    1.9 and 2.4 s. W2 then goes like h where peaks are only as wide as cells (S^2), and like h^(1/2) where cells
    let mass over a ridge to another peak (T^2). L1 says nothing.
    """

    name = "muscl"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        laws: tuple[Law, Law],
        cells: tuple[Any, Any] = (None, None),
        step: float | None = None,
        tol: float = 1e-6,
        limiter: str = "positive",
    ) -> None:
        refuse_temperature(flow, self.name)
        if limiter not in LIMITERS:
            raise ValueError(f"limiter is {limiter!r}; known are {', '.join(map(repr, LIMITERS))}")
        self.game, self.flow, self.step, self.tol = game, flow, step, tol
        self._limiter = LIMITERS[limiter]
        meshes = [
            mesh_for(M, law, c) for M, law, c in zip(game.manifolds, laws, cells, strict=True)
        ]
        self.stencils = [stencil(mesh) for mesh in meshes]
        nodes = [mesh.nodes for mesh in meshes]
        self._moments = [game.moment_matrix(p, nodes[p]) for p in (0, 1)]
        self._costs = [self._matrix(p, nodes[p], nodes[1 - p]) for p in (0, 1)]
        self._m: Pair = (laws[0].on(meshes[0]).masses.copy(), laws[1].on(meshes[1]).masses.copy())
        self.time = 0.0
        self.steps = 0
        # The longest steps for transport (by the last step's bound) and for the reaction (found by trial).
        self._stable = self._flow_rates(self._m)[1]
        self._calm = np.inf
        self._warned = False

    def _matrix(self, p: int, points: Array, opponent: Array) -> Array | None:
        """Moments of the opponent -> costs of p at its nodes; None where it would fill the memory."""
        moments = self._moments[1 - p]
        if len(points) * (len(opponent) if moments is None else len(moments)) > KEPT:
            return None
        return np.ascontiguousarray(self.game.cost_matrix(p, points, opponent))

    def advance(self, until: float) -> None:
        """Move to `until`; warns UnderResolved, once, when a few cells hold everything, or when a given
        step is too long for the reaction."""
        until = later(until, self.time)
        if self.step is not None and until > self.time:
            count = max(1, int(np.ceil((until - self.time) / self.step - 1e-9)))
            for end in np.linspace(self.time, until, count + 1)[1:]:
                self._given(float(end))
        while self.time < until:
            self._controlled(until)
        self._watch()

    def _given(self, end: float) -> None:
        dt = end - self.time
        m, bound, error = self._strang(self._m, dt)
        if dt > bound:
            raise ValueError(
                f"step = {self.step:g} would make masses negative at t = {self.time:g}; "
                f"a step of {SAFETY * bound:.2g} would do, or leave it out"
            )
        self._m, self.time, self.steps = m, end, self.steps + 1
        if error > COARSE_REACTION:
            self._warn(f"step = {self.step:g} errs by about {error:.1g} in log-masses; shorten it")

    def _controlled(self, until: float) -> None:
        """One step: shortened and repeated where it breaks a bound."""
        left = until - self.time
        dt = min(left, self._calm, SAFETY * self._stable)
        while True:
            m, bound, error = self._strang(self._m, dt)
            if dt <= bound and error <= self.tol:
                break
            dt = min(0.5 * dt, SAFETY * bound)
            if self.time + dt == self.time:
                raise ValueError(
                    f"no step is short enough at t = {self.time:g}; is the loss finite everywhere?"
                )
        # The estimate falls with the third power of the step.
        growth = 2.0 if error == 0 else min(2.0, 0.9 * (self.tol / error) ** (1 / 3))
        if dt < left or growth < 1:
            self._calm = growth * dt if self.flow.reacts else np.inf
        self._m, self._stable, self.steps = m, bound, self.steps + 1
        self.time = until if dt == left else self.time + dt

    def _cost(self, p: int, m: Pair) -> Array:
        matrix, moments = self._costs[p], self._moments[1 - p]
        if matrix is None:
            return self.game.cost(
                p, self.stencils[p].mesh.nodes, Density(m[1 - p], self.stencils[1 - p].mesh)
            )
        return matrix @ (m[1 - p] if moments is None else moments @ m[1 - p])

    def _strang(self, m: Pair, dt: float) -> tuple[Pair, float, float]:
        """(masses after dt, longest step that keeps them nonnegative, estimate of the reaction's error)."""
        m, first = self._react(m, 0.5 * dt)
        m, bound = self._shu_osher(m, dt)
        m, second = self._react(m, 0.5 * dt)
        return m, bound, first + second

    def _react(self, m: Pair, dt: float) -> tuple[Pair, float]:
        """Reaction over dt with the costs of its middle, found with those of its start.

        What the middle changes, c = alpha dt max|U_mid - U|, is of order dt^2; the error of the step, of
        order dt^3, is estimated by c^(3/2).
        """
        if not self.flow.reacts:
            return m, 0.0
        now = self._cost(0, m), self._cost(1, m)
        half = self._weigh(m, now, 0.5 * dt)
        mid = self._cost(0, half), self._cost(1, half)
        change = max(
            rates.alpha * dt * float(np.abs(b - a).max())
            for rates, a, b in zip(self.flow.players, now, mid, strict=True)
        )
        return self._weigh(m, mid, dt), change**1.5

    def _weigh(self, m: Pair, U: Pair, dt: float) -> Pair:
        """m exp(-alpha dt U), normalised."""
        x, y = (
            _normalised(one * np.exp(-rates.alpha * dt * (u - u.min()))) if rates.alpha > 0 else one
            for one, u, rates in zip(m, U, self.flow.players, strict=True)
        )
        return x, y

    def _flow_rates(self, m: Pair) -> tuple[Pair, float]:
        """Both players' d m/dt by transport and the longest nonnegative Euler step."""
        bound, rates = np.inf, []
        for p, (s, player) in enumerate(zip(self.stencils, self.flow.players, strict=True)):
            rate = np.zeros(len(m[p]))
            if player.gamma > 0:
                g = s.mesh
                reached = transport(
                    m[p], self._cost(p, m), player.gamma, g.volumes, g.pairs, g.transmissibilities,
                    s.others, s.weights, s.ahead, s.back, self._limiter, rate,
                )  # fmt: skip
                bound = min(bound, float(reached))
            rates.append(rate)
        return (rates[0], rates[1]), bound

    def _shu_osher(self, m: Pair, dt: float) -> tuple[Pair, float]:
        """Three Euler steps, averaged: what keeps the sign in one keeps it in all."""
        if not self.flow.transports:
            return m, np.inf
        bound = np.inf
        stage = m
        for kept in (0.0, 0.75, 1 / 3):
            rates, reached = self._flow_rates(stage)
            bound = min(bound, reached)
            x, y = (
                kept * start + (1 - kept) * (now + dt * rate)
                for start, now, rate in zip(m, stage, rates, strict=True)
            )
            stage = (x, y)
        return stage, bound

    def measures(self) -> tuple[Density, Density]:
        x, y = (
            Density(_normalised(m), s.mesh) for m, s in zip(self._m, self.stencils, strict=True)
        )
        return x, y

    def diagnostics(self) -> dict[str, float]:
        """Steps; the smallest mass of a cell; for each player the peak density and the number of cells
        that would hold everything if they held equal masses, 1 / sum m^2."""
        found: dict[str, float] = {
            "steps": self.steps,
            "min_mass": float(min(m.min() for m in self._m)),
        }
        for player, m, s in zip("xy", self._m, self.stencils, strict=True):
            found[f"peak_{player}"] = float((m / s.mesh.volumes).max())
            found[f"held_cells_{player}"] = float(1 / np.sum(m**2))
        return found

    def _watch(self) -> None:
        for player, m, s in zip("xy", self._m, self.stencils, strict=True):
            held, trusted = 1 / np.sum(m**2), RESOLVED_CELLS**s.mesh.manifold.dim
            if held < trusted:
                self._warn(
                    f"the density of {player} stands on {held:.1f} cells, fewer than {trusted:g}: its shape is the "
                    'mesh\'s, and means may err by 1e-3 and more; raise `cells` or use engine="characteristics"'
                )

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warn(f"at t = {self.time:g} {what}")

    def state(self) -> dict[str, Any]:
        x, y = self._m
        return {"time": self.time, "x": x.copy(), "y": y.copy(), "steps": self.steps, "calm": self._calm,
                "stable": self._stable, "warned": self._warned}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        x, y = (np.array(state[key], dtype=np.float64) for key in "xy")
        if x.shape != self._m[0].shape or y.shape != self._m[1].shape:
            raise ValueError(
                f"the state holds {len(x)} and {len(y)} cells, this run has {len(self._m[0])} and {len(self._m[1])}; "
                "resume with the cells of the first run"
            )
        self._m, self.time, self.steps = (x, y), float(state["time"]), int(state["steps"])
        self._calm, self._stable = float(state["calm"]), float(state["stable"])
        self._warned = bool(state["warned"])


def _normalised(m: Array) -> Array:
    return m / m.sum()
