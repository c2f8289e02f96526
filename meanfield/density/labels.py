"""Labels: the quadrature nodes of one player's start, and where the flow has carried them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.density.equation import reaction, velocity
from meanfield.density.inputs import given_measure, mesh_for
from meanfield.flows import Rates
from meanfield.games.base import Game
from meanfield.games.view import Jet
from meanfield.laws import Law
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Index, Mesh

# Where labels part, a mean errs by about the mass that stands at the edge of the gap times the gap.
# The thresholds are measured in docs/explanation/engines.md.
PARTED = 1 / 8  # a gap over the manifold's reach
TRUSTED_GAP_MASS = 5e-4
TRUSTED_MASS_STEP = 0.2
TRUSTED_JUMP = 1.0


class Cloud(NamedTuple):
    """A player's nodes as they stand: points (n, a) and masses (n,)."""

    points: Array
    masses: Array


@dataclass(frozen=True, eq=False)
class Labels:
    """One player's labels: what stays fixed while the nodes move.

    points (n, a) and log_masses (n,) are those of the start. A start from a density has
    log_density0 (n,) as well, its mesh, and `occupied`: the cells of the mesh with mass, as no node
    stands for others. The state z holds, one after the other, positions (if they move), log(w/w_0)
    (if they react) and log J (if they move a density).
    """

    manifold: Manifold
    rates: Rates
    points: Array
    log_masses: Array
    log_density0: Array | None
    mesh: Mesh | None
    occupied: NDArray[np.bool_]

    @property
    def stretches(self) -> bool:
        """Whether log J is part of the state."""
        return self.rates.gamma > 0 and self.log_density0 is not None

    def start(self) -> list[Array]:
        """The parts of the state at time 0."""
        zeros = np.zeros(len(self.points))
        parts = [self.points.ravel()] if self.rates.gamma > 0 else []
        parts += [zeros] if self.rates.alpha > 0 else []
        return parts + ([zeros] if self.stretches else [])

    @cached_property
    def size(self) -> int:
        """The length of the state."""
        return sum(part.size for part in self.start())

    def split(self, z: Array) -> tuple[Array, Array | float, Array | float]:
        """Positions as integrated (angles unwrapped), log(w/w_0), log J."""
        n, a = self.points.shape
        used = n * a if self.rates.gamma > 0 else 0
        x = z[:used].reshape(n, a) if used else self.points
        gain: Array | float = 0.0
        if self.rates.alpha > 0:
            gain, used = z[used : used + n], used + n
        return x, gain, z[used:] if self.stretches else 0.0

    def cloud(self, z: Array) -> Cloud:
        """Canonical points and normalised masses of a state."""
        x, gain, _ = self.split(z)
        points = self.manifold.retract(x, np.zeros_like(x)) if self.rates.gamma > 0 else self.points
        log_w = self.log_masses + gain
        w = np.exp(log_w - log_w.max())
        return Cloud(points, w / w.sum())

    def velocity(self, cloud: Cloud, jet: Jet) -> list[Array]:
        """Time derivatives of the parts of the state."""
        U, gradient, laplacian = jet
        player, parts = self.rates, []
        if gradient is not None and player.gamma > 0:
            parts.append(velocity(player, gradient.ravel()))
        if player.alpha > 0:
            parts.append(reaction(player, U, None, cloud.masses))
        if laplacian is not None and self.stretches:
            parts.append(velocity(player, laplacian))
        return parts

    def measure(self, z: Array) -> Measure:
        cloud = self.cloud(z)
        if self.rates.gamma > 0 or self.mesh is None:
            return Measure(cloud.points, cloud.masses, self.manifold)
        masses = np.zeros(len(self.mesh))
        masses[self.occupied] = cloud.masses
        return Density(masses, self.mesh)

    def log_density(self, z: Array) -> Array | None:
        if self.log_density0 is None:
            return None
        _, gain, stretch = self.split(z)
        return self.log_density0 + gain - stretch - self._excess(gain)

    def _excess(self, gain: Array | float) -> float:
        """log of the sum of the weights: zero but for the error of the time steps."""
        log_w = self.log_masses + gain
        return float(log_w.max() + np.log(np.exp(log_w - log_w.max()).sum()))

    # -- labels that are refined, see `panels` ----------------------------------------------------

    def refined(self, z: Array) -> tuple[Labels, Array]:
        """These labels, or more of them where the flow needs more, and the state z on them."""
        return self, z

    def refinement(self) -> dict[str, Any] | None:
        """What `restored` makes the present labels of; None where they stay as they begin."""
        return None

    def restored(self, refinement: Any) -> Labels:
        """The labels of the same start with a saved refinement."""
        return self

    # -- how far sums over labels can be trusted --------------------------------------------------

    def watch(self, z: Array) -> dict[str, float]:
        """The numbers of `diagnostics`."""
        _, gain, _ = self.split(z)
        p = self.log_density(z)
        with np.errstate(over="ignore"):  # a Dirac mass in the making soon has no finite density
            peak = float("nan") if p is None else float(np.exp(p.max()))
        finite = np.isfinite(self.log_masses)
        lightest = np.min(self.log_masses + gain, where=finite, initial=np.inf)
        return {
            "peak": peak,
            "log_weight": float(lightest - self._excess(gain)),
            "labels": len(self.points),
            "separation": self.separation(z),
            "jump": self.jump(z),
        }

    def distrust(self, jump: float) -> str:
        """What to say of the nodes where `jump` exceeds TRUSTED_JUMP."""
        return (
            "stand so far apart, or differ so much in weight, that means over them are no longer "
            f"trusted (jump {jump:.2g} > {TRUSTED_JUMP:g}); raise `cells`, or leave it out for "
            "labels that are refined"
        )

    def separation(self, z: Array) -> float:
        """Largest gap of neighbours on the mesh, over its first value; NaN without a mesh."""
        if self.mesh is None or not len(self._first_gaps):
            return float("nan")
        return float((self._gaps(self.split(z)[0]) / self._first_gaps).max())

    def _gaps(self, x: Array) -> Array:
        i, j = self._pairs
        if isinstance(self.manifold, Torus):
            # Unwrapped: two nodes that part further than half a period stay far apart.
            return np.linalg.norm(x[j] - x[i] - self._turns, axis=1)
        return self.manifold.distance(x[i], x[j])

    @cached_property
    def _pairs(self) -> tuple[Index, Index]:
        """Numbers, among the nodes with mass, of neighbours on the mesh."""
        assert self.mesh is not None
        number = np.full(len(self.mesh), -1)
        number[self.occupied] = np.arange(len(self.points))
        i, j = number[self.mesh.pairs].T
        both = (i >= 0) & (j >= 0)
        return i[both], j[both]

    @cached_property
    def _turns(self) -> Array:
        here, there = (self.points[side] for side in self._pairs)
        return there - here - self.manifold.difference(here, there)

    @cached_property
    def _first_gaps(self) -> Array:
        return self._gaps(self.points)

    def jump(self, z: Array) -> float:
        """How far the sum over labels is from a smooth one: about the error of moments over 1e-3.

        The larger of (mass at a parted pair) * gap / reach / 5e-4 and of the largest step of mass
        between neighbours / 0.2; NaN for atoms, which are exact.
        """
        if self.mesh is None:
            return float("nan")
        i, j = self._pairs
        masses = self.cloud(z).masses
        gaps = self._gaps(self.split(z)[0]) / self.manifold.reach
        torn = 0.5 * (masses[i] + masses[j]) * np.where(gaps > PARTED, gaps, 0.0) / TRUSTED_GAP_MASS
        # The gaps of a coarse mesh are wide from the start: only what has grown has parted.
        torn[gaps * self.manifold.reach < 2 * self._first_gaps] = 0.0
        steps = np.abs(masses[i] - masses[j]) / TRUSTED_MASS_STEP
        return float(max(torn.max(initial=0.0), steps.max(initial=0.0)))


def labels(manifold: Manifold, law: Law, rates: Rates, cells: Any) -> Labels:
    """The nodes of a start: the atoms of a measure, else the nodes of a mesh with their masses."""
    measure = given_measure(law)
    if measure is not None and not isinstance(measure, Density):
        some = measure.masses > 0
        log_w = np.log(measure.masses[some])
        return Labels(manifold, rates, measure.points[some], log_w, None, None, some)
    onto = mesh_for(manifold, law, cells)
    masses = law.on(onto).masses
    some = masses > 0
    log_w = np.log(masses[some] / masses.sum())
    log_density = log_w - np.log(onto.volumes[some])
    return Labels(manifold, rates, onto.nodes[some], log_w, log_density, onto, some)


def jets(game: Game, players: Sequence[Labels], clouds: Sequence[Cloud]) -> list[Jet]:
    """Each player's cost at its nodes, with gradient where it moves and Laplacian where log J is
    wanted.
    """
    views = [game.view(p, clouds[p].points, clouds[1 - p].points) for p in (0, 1)]
    moments = [view.moments(cloud.masses) for view, cloud in zip(views, clouds, strict=True)]
    return [
        views[p].jet(moments[1 - p], players[p].rates.gamma > 0, players[p].stretches)
        for p in (0, 1)
    ]
