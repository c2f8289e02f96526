"""Equation (7) on tori by staggered differences of order 4, 6 or 8 (`stencils`), CF4 in time.

For smooth losses of any kind. Mass and the discrete Gibbs state are exact. The sign is not: masses
can fall below zero where a density is not resolved, which is watched and warned of.

The error in space is watched as well. What the generator A_p of order p misses of dm/dt is seen
from that of two orders more, and added up over the run:

    E = int max over the players of |A_(p+2) m - A_p m|_1 dt.

How E compares with the error is measured in docs/explanation/engines.md.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import NotConverged, whole
from meanfield.density.commutator_free import CommutatorFree, Trial
from meanfield.density.coupling import both
from meanfield.density.inputs import only_langevin
from meanfield.density.stencils import StencilRates
from meanfield.manifolds import Torus
from meanfield.measures import Density, density_on
from meanfield.meshes import Mesh, torus_mesh

ORDERS = (4, 6, 8)
HOPELESS = 0.5  # of a mass of one, below zero
LOOKS = 16  # steps from one look at the error in space to the next: a look is a tenth of a step
UNRESOLVED = 1e-3  # the estimated L1 error in space beyond which a run warns


class Staggered(CommutatorFree):
    """The mean field of (7) in nodal masses on two tori.

    game: any game with a smooth loss on tori. flow: alpha = 0 and temperature > 0 for both players.
    cells: per player a number of cells per axis, one for each axis, or a Mesh of the equidistant
    grid; at least `order` of them. step: a fixed step; None for steps controlled so that the
    estimated L1 error committed per unit of time stays below `tol`. order: 4, 6 or 8.

    Raises ValueError for other manifolds, meshes and flows. Warns UnderResolved, once, when masses
    below zero add up to more than max(1e-8, tol), or the error in space E, which is the diagnostic
    "space_error", to more than 1e-3.
    """

    name = "staggered"
    usual_tol = 1e-8
    saved = (*CommutatorFree.saved, "looked")
    cure = 'use more cells, a larger tol or engine="finite-volume"'

    def begin(self, order: int = 8) -> None:
        """Masses, and the differences of the order asked for."""
        only_langevin(self.flow, self.name, moves=False)
        if whole("order", order) not in ORDERS:
            raise ValueError(f"order must be 4, 6 or 8, got {order!r}")
        for player, manifold in zip("xy", self.game.manifolds, strict=True):
            if not isinstance(manifold, Torus):
                raise ValueError(
                    f"staggered differences live on tori, but {player} moves on {manifold}; "
                    'use engine="finite-volume"'
                )
        meshes = self.asked_meshes()
        for mesh in meshes:
            _check_grid(mesh, order)
        self.finer = both(lambda p: StencilRates(meshes[p], self.players[p], order + 2))
        self._warned_negative: set[str] = set()
        self.start(meshes, lambda p: StencilRates(meshes[p], self.players[p], order))
        self.watched["space_error"] = 0.0
        self.looked = 0.0, 0.0  # what was missed a unit of time at the last look, its step

    def accept(self, trial: Trial, dt: float) -> None:
        """Make the trial the present state, and add up what is watched, the error in space too."""
        super().accept(trial, dt)
        rate, longest = self.looked
        # Steps grow while a state comes to rest, where the error made in space ends.
        if self.counts["steps"] % LOOKS == 0 or dt > 1.1 * longest:
            rate = max(self._missed(p, trial) for p in (0, 1))
            self.looked = rate, dt
        self.watched["space_error"] += dt * rate
        if not self.watched["space_error"] <= UNRESOLVED:
            self.warn_once(
                f"the cells' error adds up to about {self.watched['space_error']:.1e} in L1 at "
                f"time {self.time + dt:g}: raise `cells` ({self.meshes[0].shape} for x, "
                f"{self.meshes[1].shape} for y)"
            )

    def _missed(self, p: int, trial: Trial) -> float:
        """|A_(p+2) m - A_p m| in L1 for one player; infinite where exponentials overflow."""
        nodes, faces = self.coupling.costs(p, trial.knot.tables[1 - p][:, :1])
        flow = self.finer[p].apply(self.finer[p](nodes, faces)[0][0], trial.masses[p])
        missed = float(np.abs(flow - trial.knot.flows[p]).sum())
        return missed if missed < np.inf else np.inf

    def check_cells(self, peclet: float) -> None:
        """Warn where masses fall below zero; NotConverged where they make up half of the mass."""
        lost = max(-float(np.minimum(m, 0.0).sum()) for m in self.masses)
        if not lost <= HOPELESS:
            raise NotConverged(
                f"masses below zero add up to {lost:.2g} at time {self.time:g}: these cells cannot "
                'carry the density; raise `cells`, or use engine="finite-volume", which keeps the '
                "sign"
            )
        if lost > max(1e-8, self.tol):
            self.warn_once(
                f"masses below zero add up to {lost:.1e} at time {self.time:g}: the density is not "
                'resolved; raise `cells`, or use engine="finite-volume", which keeps the sign'
            )

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their grids; masses below zero are cut, above 1e-10 with a
        warning.
        """

        def density(p: int) -> Density:
            what, warned = f"the masses of {'xy'[p]}", self._warned_negative
            return density_on(self.masses[p], self.meshes[p], what, told=warned)

        return both(density)


def _check_grid(mesh: Mesh, order: int) -> None:
    """ValueError unless the mesh is the equidistant grid with room for the stencil."""
    torus, shape = mesh.manifold, mesh.shape
    if not (shape and isinstance(torus, Torus) and mesh.same(torus_mesh(torus, shape))):
        raise ValueError(
            f"staggered differences need the equidistant grid of a torus (torus_mesh), got {mesh!r}"
        )
    if min(shape) < order:
        raise ValueError(f"cells must be at least {order} per axis for order {order}, got {shape}")
