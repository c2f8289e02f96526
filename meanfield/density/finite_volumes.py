"""Equation (7) by finite volumes on any mesh: masses jump between cells (`rates`), CF4 in time
(`commutator_free`).

Exponentials act by uniformisation, so masses stay nonnegative and sum to one at any step.
"""

from __future__ import annotations

from meanfield.checks import known_name
from meanfield.density.commutator_free import CommutatorFree
from meanfield.density.inputs import only_langevin
from meanfield.density.rates import PECLET, WEIGHTS, FaceRates, too_wide


class FiniteVolumes(CommutatorFree):
    """The mean field of (7) in cell masses on two meshes.

    game: any game. flow: alpha = 0 and temperature > 0 for both players. cells: per player a number
    of cells per axis, one for each axis, or a Mesh. step: a fixed step; None for steps controlled
    so that the estimated L1 error committed per unit of time stays below `tol`. weights: "curved",
    "sg", "face" or "sqrt", see `rates`.
    """

    name = "finite-volume"
    cure = "use more cells, weights='sg' or a larger tol"
    rates: tuple[FaceRates, FaceRates]

    def begin(self, weights: str = "curved") -> None:
        """Masses, and the rates with the weights asked for."""
        only_langevin(self.flow, self.name, moves=False)
        known_name("weights", weights, WEIGHTS)
        meshes = self.asked_meshes()
        self.start(meshes, lambda p: FaceRates(meshes[p], self.players[p], weights))

    def check_cells(self, peclet: float) -> None:
        """Warn where cells are too wide for the drift."""
        if peclet > PECLET:
            self.warn_once(too_wide(peclet, self.time))
