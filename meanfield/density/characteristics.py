"""Flows without diffusion, (8), (6) and mirror descent, along their characteristics.

A player's nodes move and gain weight with their cost U (V_x for x, -V_y for y):

    dx/dt = -gamma grad U,   d log w/dt = -alpha (U - mean),   d log J/dt = -gamma Lap U,

J the volume of a small piece of the manifold carried along, over its first volume. The log-density
follows: log p = log p_0 + log(w / w_0) - log J, so that d log p/dt = gamma Lap U - alpha (U - mean)
along a path. A mean is a sum over labels of a function as smooth as the flow, which on tensor grids
is the trapezoid rule of a periodic function: spectrally accurate while the flow is resolved. Where paths
part (exponentially fast, along the ridges of U) it soon is not; `panels` then puts new labels there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, real, warn
from meanfield.density.inputs import given_measure, later, refuse_temperature
from meanfield.density.labels import TRUSTED_JUMP, jets, labels, slices
from meanfield.density.panels import PanelLabels, has_panels, panel_labels
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.manifolds import Manifold
from meanfield.measures import Measure
from meanfield.start import Law

# The largest error (relative and absolute, of positions and log-weights) that a given step may make.
GIVEN_STEP_ERROR = 1e-3
REFINE = 1e-5


def refinable(manifold: Manifold, law: Law, cells: Any, rates: Rates) -> bool:
    """Whether labels are to be refined: a density to start from, a player who moves, and no cells asked for."""
    return cells is None and given_measure(law) is None and rates.gamma > 0 and has_panels(manifold)


class Characteristics:
    """Quadrature nodes of the two starts, carried by the flow. An `Engine`.

    cells: nodes per axis (a number, a tuple per axis or a Mesh), one for each player; a start from
    atoms has its atoms for nodes. Left out, a player on T^1, T^2, S^1 or S^2 who starts from a density
    and moves gets Gauss nodes on panels that are halved, down to `refine` (mass in the last Legendre
    coefficients, 1e-5 by default), where paths part; others get the manifold's usual mesh. step: None for
    DOP853 (order 8) with steps controlled to `tol`, or a step. Raises ValueError for temperatures above 0, a
    mesh of another manifold, tol below 1e-13, and for a given step whose error exceeds 1e-3.

    To be trusted for moments, NI and W2 at all times, `refine` telling how far; for densities, point by point
    along the paths (`log_densities`), as long as they are finite. `Muscl` on fixed cells is the second opinion,
    and the density as a picture, while every peak stands on a few cells.
    """

    name = "characteristics"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        laws: tuple[Law, Law],
        cells: tuple[Any, Any] = (None, None),
        step: float | None = None,
        tol: float = 1e-10,
        refine: float = REFINE,
    ) -> None:
        refuse_temperature(flow, self.name)
        if not 1e-13 <= tol < 1:
            raise ValueError(
                f"tol must be in [1e-13, 1) for {self.name}, whose numbers carry 16 digits; got {tol:g}"
            )
        self.game, self.flow, self.step, self.tol = game, flow, step, tol
        limit = real("refine", refine, 0.0, strict=True)
        self.nodes = [
            panel_labels(M, law, rates, limit)
            if refinable(M, law, c, rates)
            else labels(M, law, c, rates)
            for M, law, c, rates in zip(game.manifolds, laws, cells, flow.players, strict=True)
        ]
        self._slices = list(slices(self.nodes))
        self.time = 0.0
        self.steps = 0
        self._proposed = 0.0
        self._warned = False
        self._z = np.concatenate([part for nodes in self.nodes for part in nodes.start()])

    def advance(self, until: float) -> None:
        """Move to `until`; warns UnderResolved, once, when the nodes no longer carry the moments."""
        until = later(until, self.time)
        if until > self.time:
            (self._controlled if self.step is None else self._fixed)(until)
        self._watch()

    def _controlled(self, until: float) -> None:
        from scipy.integrate import DOP853

        while self.time < until:
            first = min(self._proposed, until - self.time) or None
            solver = DOP853(
                self._rates,
                self.time,
                self._z,
                until,
                first_step=first,
                rtol=self.tol,
                atol=self.tol,
            )
            self._proposed = max(self._proposed, solver.h_abs)
            grown = False
            while solver.status == "running" and not grown:
                self._take(solver)
                # A step cut short by `until` says nothing against the longer one that was proposed.
                cut = solver.status == "finished" and solver.step_size < self._proposed
                self._proposed = max(solver.h_abs, self._proposed) if cut else solver.h_abs
                grown = self._refine(solver.y)
            # New labels need a solver of their own.
            self.time = until if solver.status == "finished" else float(solver.t)
            self._z = self._z if grown else solver.y

    def _refine(self, z: Array) -> bool:
        """New labels where panels ask for them; whether there are any. The state is then their own."""
        found = [
            nodes.refined(z[s]) if isinstance(nodes, PanelLabels) else (nodes, z[s])
            for nodes, s in zip(self.nodes, self._slices, strict=True)
        ]
        if all(new is old for (new, _), old in zip(found, self.nodes, strict=True)):
            return False
        self.nodes = [nodes for nodes, _ in found]
        self._slices = list(slices(self.nodes))
        self._z = np.concatenate([part for _, part in found])
        return True

    def _fixed(self, until: float) -> None:
        from scipy.integrate import DOP853

        assert self.step is not None
        count = max(1, int(np.ceil((until - self.time) / self.step - 1e-9)))
        for end in np.linspace(self.time, until, count + 1)[1:]:
            h = end - self.time
            e = GIVEN_STEP_ERROR
            solver = DOP853(self._rates, self.time, self._z, end, first_step=h, rtol=e, atol=e)
            self._take(solver)
            if solver.status == "running":
                raise ValueError(
                    f"step = {self.step:g} makes an error above {e:g} at t = {self.time:g}; "
                    f"a step of {solver.step_size:.2g} would do, or leave it out"
                )
            self.time, self._z = float(end), solver.y
            self._refine(solver.y)

    def _take(self, solver: Any) -> None:
        problem = solver.step()
        if solver.status == "failed":
            raise ValueError(
                f"no step is small enough at t = {solver.t:g} ({problem}); is the loss smooth there?"
            )
        self.steps += 1

    def _rates(self, time: float, z: Array) -> Array:
        """The right-hand side; both players' moments are formed once."""
        clouds = [nodes.cloud(z[s]) for nodes, s in zip(self.nodes, self._slices, strict=True)]
        found = jets(self.game, self.nodes, clouds)
        parts = [
            part
            for nodes, cloud, jet in zip(self.nodes, clouds, found, strict=True)
            for part in nodes.velocity(cloud, jet)
        ]
        return np.concatenate(parts)

    def measures(self) -> tuple[Measure, Measure]:
        """Weighted points; a Density for a player who started from one and does not move (gamma = 0)."""
        x, y = (
            nodes.measure(self._z[s]) for nodes, s in zip(self.nodes, self._slices, strict=True)
        )
        return x, y

    def log_densities(self) -> tuple[Array | None, Array | None]:
        """log of the density at the points of `measures()`; None for a player who started from atoms."""
        x, y = (
            nodes.log_density(self._z[s]) for nodes, s in zip(self.nodes, self._slices, strict=True)
        )
        return x, y

    def diagnostics(self) -> dict[str, float]:
        """Steps taken; for each player the peak density, the smallest log-weight, the number of labels, the
        separation (largest gap of neighbouring nodes over its first value; NaN on panels) and the
        quadrature's jump (see `Labels.jump`). NaN where atoms have no density and no neighbours."""
        found: dict[str, float] = {"steps": self.steps}
        for player, nodes, s in zip("xy", self.nodes, self._slices, strict=True):
            for key, value in nodes.watch(self._z[s]).items():
                found[f"{key}_{player}"] = value
        return found

    def _watch(self) -> None:
        if self._warned:
            return
        for player, nodes, s in zip("xy", self.nodes, self._slices, strict=True):
            jump = nodes.jump(self._z[s])
            if jump > TRUSTED_JUMP:
                self._warned = True
                warn(f"at t = {self.time:g} neighbouring nodes of {player} {nodes.distrust(jump)}")
                return

    def state(self) -> dict[str, Any]:
        return {
            "time": self.time,
            "z": self._z.copy(),
            "steps": self.steps,
            "proposed": self._proposed,
            "warned": self._warned,
            "panels": [
                nodes.kept() if isinstance(nodes, PanelLabels) else None for nodes in self.nodes
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        z = np.array(state["z"], dtype=np.float64)
        kept = state.get("panels", (None, None))
        if [one is None for one in kept] != [
            not isinstance(nodes, PanelLabels) for nodes in self.nodes
        ]:
            raise ValueError(
                "the state was kept with other cells; resume with those, flow and start of the first run"
            )
        self.nodes = [
            nodes.restored(one) if isinstance(nodes, PanelLabels) else nodes
            for nodes, one in zip(self.nodes, kept, strict=True)
        ]
        self._slices = list(slices(self.nodes))
        if len(z) != self._slices[-1].stop:
            raise ValueError(
                f"the state holds {z.size} numbers, these nodes need {self._slices[-1].stop}; resume with the cells, "
                "flow and start of the first run"
            )
        self.time, self._z = float(state["time"]), z
        self.steps, self._proposed, self._warned = (
            int(state["steps"]),
            float(state["proposed"]),
            bool(state["warned"]),
        )
