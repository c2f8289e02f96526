"""The best-response flow d_t mu = rho (delta_best - mu) on a mesh: fictitious play in continuous time."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import Coupling, Pair, both
from meanfield.density.equation import responded
from meanfield.density.inputs import mesh_for
from meanfield.density.stepper import Stepper
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.start import Law


class FictitiousPlay(Stepper):
    """Both players move towards the node of least cost, at rate rho, by exact relaxation over steps.

    m <- exp(-rho dt) m + (1 - exp(-rho dt)) delta_best, `best` taken at the step's beginning: first
    order in dt, positive and conservative for every dt. Without a given step, dt = tol / rho.
    Best responses and errors are those of the game restricted to the mesh's nodes.
    """

    name = "best-response"
    saved = ("masses",)

    def __init__(
        self, game: Game, flow: Flow, laws: tuple[Law, Law], cells: tuple[Any, Any] = (None, None),
        step: float | None = None, tol: float = 1e-3,
    ) -> None:  # fmt: skip
        if flow.transports or flow.reacts:
            raise ValueError(
                "the best-response engine moves by response alone; set gamma and alpha to zero"
            )
        super().__init__(tol / max(flow.response) if step is None else step, tol)
        self.players = flow.players
        self.meshes = both(lambda p: mesh_for(game.manifolds[p], laws[p], cells[p]))
        self.coupling = Coupling(game, self.meshes, (False, False))
        self.masses: Pair = both(lambda p: laws[p].on(self.meshes[p]).masses.copy())

    def costs(self, p: int) -> Array:
        """U_p at the nodes of p's mesh, shape (N,)."""
        return self.coupling.cost(p, self.masses[1 - p])

    def attempt(self, dt: float) -> Pair:
        """Both players' masses after relaxing towards their present best responses."""
        return both(lambda p: responded(self.players[p], self.masses[p], self._best(p), dt))

    def _best(self, p: int) -> Array:
        """All mass where p's cost is least."""
        costs = self.costs(p)
        best = np.zeros(len(costs))
        best[costs.argmin()] = 1.0
        return best

    def accept(self, trial: Pair, dt: float) -> None:
        """Take over the masses."""
        self.masses = trial

    def measures(self) -> tuple[Density, Density]:
        """Both players' masses on their meshes."""
        return both(lambda p: Density(self.masses[p] / self.masses[p].sum(), self.meshes[p]))

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, and the Nikaido-Isoda error of the game on the nodes."""
        ni = -float(self.costs(0).min() + self.costs(1).min())
        return {"steps": self.counts["steps"], "ni": ni}
