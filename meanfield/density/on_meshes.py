"""Engines whose state is the masses of the cells of two meshes."""

from __future__ import annotations

from meanfield.density.between_nodes import warn_of_waves
from meanfield.density.coupling import Coupling, Pair, both
from meanfield.density.engine import Engine
from meanfield.density.inputs import mesh_for
from meanfield.measures import Density
from meanfield.meshes import Mesh


class OnMeshes(Engine):
    """An engine whose state is the masses of cells; `cells` are taken as `mesh_for` says."""

    masses: Pair
    saved: tuple[str, ...] = ("masses",)

    def set_up(self, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool] = (False, False)) -> None:
        """The masses of the laws on these meshes, and how the players act on each other there."""
        self.meshes, self.coupling = meshes, Coupling(self.game, meshes, faces)
        self.masses = both(lambda p: self.laws[p].on(meshes[p]).masses.copy())
        for p in (0, 1):
            warn_of_waves(self.game, p, meshes[p], Density(self.masses[1 - p], meshes[1 - p]))

    def asked_meshes(self) -> tuple[Mesh, Mesh]:
        """The meshes that `cells` asks for."""
        return both(lambda p: mesh_for(self.game.manifolds[p], self.laws[p], self.cells[p]))

    def smallest_mass(self) -> float:
        """The smallest mass of any cell."""
        return min(float(m.min()) for m in self.masses)

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their meshes."""
        return both(lambda p: Density(self.masses[p], self.meshes[p]))
