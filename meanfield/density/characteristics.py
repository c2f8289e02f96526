"""Flows without diffusion, (8), (6) and mirror descent, along their characteristics.

A player's nodes move and gain weight with their cost U (V_x for x, -V_y for y):

    dx/dt = -gamma grad U,   d log w/dt = -alpha (U - mean),   d log J/dt = -gamma Lap U

(`equation.velocity` and `equation.reaction`), J the volume of a small piece of the manifold carried
along, over its first volume. The log-density is log p = log p_0 + log(w / w_0) - log J.

A mean is a sum over labels of a function as smooth as the flow, which on tensor grids is the
trapezoid rule of a periodic function: spectrally accurate while the flow is resolved. Where paths
part, exponentially fast along the ridges of U, it soon is not; `panels` then puts new labels there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, real
from meanfield.density.coupling import both
from meanfield.density.engine import Controlled
from meanfield.density.inputs import given_measure, refuse_temperature
from meanfield.density.labels import TRUSTED_JUMP, Labels, jets, labels
from meanfield.density.panels import has_panels, panel_labels
from meanfield.measures import Measure

# The largest error, relative and absolute, of positions and log-weights in one given step.
GIVEN_STEP_ERROR = 1e-3
REFINE = 1e-5


class Characteristics(Controlled):
    """Quadrature nodes of the two starts, carried by the flow.

    cells: nodes per axis (a number, a tuple per axis or a Mesh), one for each player; a start from
    atoms has its atoms for nodes. Left out, a player on T^1, T^2, S^1 or S^2 who starts from a
    density and moves gets Gauss nodes on panels that are halved where paths part, down to `refine`
    (mass in the last Legendre coefficients, 1e-5 by default); others get the manifold's usual mesh.
    step: None for DOP853 (order 8) with steps controlled to `tol`, or a step. Raises ValueError for
    temperatures above 0, a mesh of another manifold, tol below 1e-13, and for a given step whose
    error exceeds 1e-3.

    To be trusted for moments, NI and W2 at all times, `refine` telling how far; for densities point
    by point along the paths (`log_densities`), as long as they are finite. `Muscl` on fixed cells
    is the second opinion, and the density as a picture, while every peak stands on a few cells.
    """

    name = "characteristics"
    usual_tol, smallest_tol = 1e-10, 1e-13
    cure = "is the loss smooth there, and its size what it should be? A larger tol may do"

    def begin(self, refine: float = REFINE) -> None:
        """The labels of both players."""
        refuse_temperature(self.flow, self.name)
        if self.tol >= 1:
            raise ValueError(f"tol must be below 1 for {self.name}, got {self.tol:g}")
        limit = real("refine", refine, 0.0, strict=True)
        self.nodes = both(lambda p: self._labels(p, limit))
        self._z = np.concatenate([part for nodes in self.nodes for part in nodes.start()])
        self._solver: Any = None

    def _labels(self, p: int, limit: float) -> Labels:
        """Labels that are refined where player p starts from a density and moves, without cells."""
        manifold, law, player = self.game.manifolds[p], self.laws[p], self.players[p]
        free = self.cells[p] is None and given_measure(law) is None and has_panels(manifold)
        if free and player.gamma > 0:
            return panel_labels(manifold, law, player, limit)
        return labels(manifold, law, player, self.cells[p])

    def _split(self, z: Array) -> tuple[Array, Array]:
        """Either player's part of the state."""
        size = self.nodes[0].size
        return z[:size], z[size:]

    def _each(self) -> Iterator[tuple[str, Labels, Array]]:
        """The players' names, labels and states."""
        return zip("xy", self.nodes, self._split(self._z), strict=True)

    def advance(self, until: float) -> None:
        """Move to the time `until` exactly; see `Engine.advance`."""
        self._solver = None
        super().advance(until)

    def move(self, until: float) -> float:
        """One step: a given one by `attempt`, or a controlled one of scipy's DOP853."""
        if self.step is not None:
            return super().move(until)
        if self._solver is None:
            first = min(self.proposal, until - self.time) or None
            self._solver = self._dop853(until, first, self.tol)
            self.proposal = max(self.proposal, self._solver.h_abs)
        solver = self._solver
        self._solve(solver)
        # A step cut short to land on `until` says nothing against the longer one proposed before.
        landed = solver.status == "finished" and solver.step_size < self.proposal
        self.proposal = max(solver.h_abs, self.proposal) if landed else solver.h_abs
        self.counts["steps"] += 1
        self.accept(solver.y, solver.step_size)
        return float(solver.t)

    def attempt(self, dt: float) -> Array:
        """One step of a given length; raises ValueError where it errs by more than 1e-3."""
        end = self.time + dt
        solver = self._dop853(end, end - self.time, GIVEN_STEP_ERROR)
        self._solve(solver)
        if solver.status == "running":
            raise ValueError(
                f"step = {self.step:g} makes an error above {GIVEN_STEP_ERROR:g} at t = "
                f"{self.time:g}; a step of {solver.step_size:.2g} would do, or leave it out"
            )
        return solver.y  # type: ignore[no-any-return]

    def _dop853(self, until: float, first: float | None, tol: float) -> Any:
        from scipy.integrate import DOP853

        return DOP853(self._rates, self.time, self._z, until, first_step=first, rtol=tol, atol=tol)

    def _solve(self, solver: Any) -> None:
        problem = solver.step()
        if solver.status == "failed":
            raise NotConverged(
                f"no step is small enough at t = {solver.t:g} ({problem}): {self.cure}"
            )

    def accept(self, trial: Array, dt: float) -> None:
        """Make the trial the present state, with new labels where panels ask for them."""
        self._z = trial
        x, y = (nodes.refined(z) for _, nodes, z in self._each())
        if (x[0], y[0]) != self.nodes:
            self.nodes, self._z = (x[0], y[0]), np.concatenate([x[1], y[1]])
            self._solver = None  # new labels need a solver of their own

    def _rates(self, time: float, z: Array) -> Array:
        """The right-hand side; both players' moments are formed once."""
        states = self._split(z)
        clouds = both(lambda p: self.nodes[p].cloud(states[p]))
        jet = jets(self.game, self.nodes, clouds)
        x, y = both(lambda p: self.nodes[p].velocity(clouds[p], jet[p]))
        return np.concatenate([*x, *y])

    def measures(self) -> tuple[Measure, Measure]:
        """Weighted points; a Density for a player who starts from one and has gamma = 0."""
        x, y = (nodes.measure(z) for _, nodes, z in self._each())
        return x, y

    def log_densities(self) -> tuple[Array | None, Array | None]:
        """log of the density at the points of `measures()`; None for a start from atoms."""
        x, y = (nodes.log_density(z) for _, nodes, z in self._each())
        return x, y

    def diagnostics(self) -> dict[str, float]:
        """Steps taken; for each player the peak density, the smallest log-weight, the number of
        labels, the separation (largest gap of neighbouring nodes over its first value; NaN on
        panels) and the quadrature's jump (see `Labels.jump`). NaN where atoms have no density and
        no neighbours.
        """
        recorded: dict[str, float] = {"steps": self.counts["steps"]}
        for player, nodes, z in self._each():
            recorded |= {f"{key}_{player}": value for key, value in nodes.watch(z).items()}
        return recorded

    def watch(self) -> None:
        """Warns, once, where the nodes no longer carry the moments."""
        for player, nodes, z in self._each():
            if not self.warned and (jump := nodes.jump(z)) > TRUSTED_JUMP:
                self.warn_once(
                    f"at t = {self.time:g} neighbouring nodes of {player} {nodes.distrust(jump)}"
                )

    def state(self) -> dict[str, Any]:
        """A copy of all that `restore` needs: the panels of the labels too."""
        panels = [nodes.refinement() for nodes in self.nodes]
        return {**super().state(), "z": self._z.copy(), "panels": panels}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine with the same game, flow, start and cells."""
        z, panels = np.array(state["z"], dtype=np.float64), state["panels"]
        fits = [one is None for one in panels] == [n.refinement() is None for n in self.nodes]
        nodes = both(lambda p: self.nodes[p].restored(panels[p])) if fits else self.nodes
        size = nodes[0].size + nodes[1].size
        if not fits or len(z) != size:
            raise ValueError(
                f"the state holds {z.size} numbers, these nodes need {size}; resume with the "
                "cells, flow and start of the first run"
            )
        self.nodes = nodes
        super().restore(state)
        self._z = z
