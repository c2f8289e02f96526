"""The best-response flow d_t mu = rho (delta_best - mu) on a mesh: fictitious play in continuous time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.inputs import later
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh
from meanfield.start import Law


class FictitiousPlay:
    """Both players move towards the node of least cost, at rate rho, by exact relaxation over steps.

    m <- exp(-rho dt) m + (1 - exp(-rho dt)) delta_best, `best` taken at the step's beginning: first
    order in dt, positive and conservative for every dt. Without a given step, dt = tol / rho.
    Best responses and errors are those of the game restricted to the mesh's nodes.
    """

    name = "best-response"

    def __init__(
        self, game: Game, flow: Flow, laws: tuple[Law, Law], cells: tuple[Any, Any] = (None, None),
        step: float | None = None, tol: float = 1e-3,
    ) -> None:  # fmt: skip
        if flow.transports or flow.reacts:
            raise ValueError(
                "the best-response engine moves by response alone; set gamma and alpha to zero"
            )
        self.rates = np.array([p.response for p in flow.players])
        self.step = tol / self.rates.max() if step is None else step
        self.meshes = [
            c if isinstance(c, Mesh) else mesh(M, c)
            for c, M in zip(cells, game.manifolds, strict=True)
        ]
        self.masses = [
            law.on(grid).masses.copy() for law, grid in zip(laws, self.meshes, strict=True)
        ]
        nodes = [grid.nodes for grid in self.meshes]
        self._moments = [game.moment_matrix(p, nodes[p]) for p in (0, 1)]
        self._costs = [game.cost_matrix(p, nodes[p], nodes[1 - p]) for p in (0, 1)]
        self.time = 0.0
        self.steps = 0

    def costs(self, p: int) -> Array:
        """U_p at the nodes of p's mesh, shape (N,)."""
        m, B = self.masses[1 - p], self._moments[1 - p]
        return self._costs[p] @ (m if B is None else B @ m)

    def advance(self, until: float) -> None:
        until = later(until, self.time)
        count = max(1, int(np.ceil((until - self.time) / self.step - 1e-9)))
        kept = np.exp(-self.rates * (until - self.time) / count)
        for _ in range(count):
            best = [int(np.argmin(self.costs(p))) for p in (0, 1)]
            for p in (0, 1):
                self.masses[p] *= kept[p]
                self.masses[p][best[p]] += 1 - kept[p]
        self.steps += count
        self.time = until

    def measures(self) -> tuple[Measure, Measure]:
        a, b = (
            Density(m / m.sum(), grid) for m, grid in zip(self.masses, self.meshes, strict=True)
        )
        return a, b

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, and the Nikaido-Isoda error of the game on the nodes."""
        return {"steps": self.steps, "ni": -float(self.costs(0).min() + self.costs(1).min())}

    def state(self) -> dict[str, Any]:
        return {"time": self.time, "steps": self.steps, "masses": [m.copy() for m in self.masses]}

    def restore(self, state: Mapping[str, Any]) -> None:
        found = [np.array(m) for m in state["masses"]]
        if any(a.shape != b.shape for a, b in zip(found, self.masses, strict=True)):
            raise ValueError(
                "state's masses have other shapes than this engine's: other game or cells?"
            )
        self.time, self.steps, self.masses = float(state["time"]), int(state["steps"]), found
