"""Spherical harmonics on S^2: the basis in which quadratic games make equation (7) exact.

With U the player's cost and c the coefficients of its measure,

    dc/dt = gamma T lam c + gamma sum_k U_k D_k c,
    D_k c = (Lap(mu Y_k) + mu Lap Y_k - Y_k Lap mu)/2,

lam = -l(l + 1), k over the eight harmonics of degrees 1 and 2 that a quadratic cost has, and D_k c
the coefficients of div(mu grad Y_k). Multiplication by coordinates is sparse; products are formed
exactly and cut at the degree kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, whole, within_memory
from meanfield.density import spherical
from meanfield.density.equation import diffusion, transport
from meanfield.density.etd import SpectralPlayer
from meanfield.density.inputs import given_measure
from meanfield.density.spectral import Spectral
from meanfield.flows import Rates
from meanfield.games.bases import QuadraticBasis
from meanfield.measures import Density
from meanfield.meshes import Index, Mesh, harmonics, quadrature_mesh
from meanfield.start import Law

_LADDER = (6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192)
_USUAL = 64  # degree up to which a start is looked at when degrees are free
_FEWEST = 36  # parallels that measures are shown on at least


def parallels(L: int | None) -> int:
    """How many the quadrature has on which densities of degree L are shown (None: the usual L)."""
    return max(_FEWEST, (_USUAL if L is None else L) + 1)


@dataclass(frozen=True)
class Degrees:
    """All harmonics of degree up to L, number l^2 + l + m (see `spherical`)."""

    L: int

    parts = 1
    unit = "degree"
    plural = "degrees"
    centre = 0

    @classmethod
    def fits(cls, basis: Any) -> bool:
        """Whether a player's features are of the kind that harmonics serve."""
        return isinstance(basis, QuadraticBasis) and basis.manifold.d == 2

    @classmethod
    def given(cls, basis: QuadraticBasis, cells: Any) -> Degrees:
        """The degree asked for, 2 or more."""
        L = whole("cells (the degree of harmonics)", cells, 2)
        number = (L + 1.0) ** 2
        within_memory(
            f"the harmonics up to degree {L} (cells={L}) at the nodes where densities are shown",
            8.0 * number * max(2562, 2 * number),
            'ask for a lower degree, or for cells of engine="finite-volume"',
        )
        return cls(L)

    @classmethod
    def ladder(cls, basis: QuadraticBasis) -> Iterator[Degrees]:
        """The degrees tried for a start, ever higher, up to the usual one."""
        return (cls(L) for L in _LADDER if L <= _USUAL)

    def finer(self, law: Law) -> Degrees | None:
        """The next degree of the ladder; None at its end, which for measures is the usual one."""
        most = _USUAL if self.rough(law) else _LADDER[-1]
        return next((Degrees(L) for L in _LADDER if self.L < L <= most), None)

    @classmethod
    def rough(cls, law: Law) -> bool:
        """Whether the coefficients of a law do not decay: those of measures, taken as atoms."""
        return given_measure(law) is not None and _on_quadrature(law) is None

    def __str__(self) -> str:
        return f"degree {self.L}"

    @property
    def cells(self) -> int:
        """What `given` takes: the degree."""
        return self.L

    resolution = cells

    @property
    def span(self) -> int:
        """The number of harmonics."""
        return (self.L + 1) ** 2

    @cached_property
    def places(self) -> Index:
        """Where they stand in a row of the work arrays."""
        return np.argsort(spherical.drifts(self.L).order)

    @cached_property
    def outer(self) -> NDArray[np.bool_]:
        """Which harmonics are of the outer third of degrees."""
        return np.asarray(3 * harmonics.degrees(self.L) > 2 * self.L)

    def tail(self, c: Array) -> float:
        """The outer degrees' share of the l1 norm."""
        return float(np.abs(c[self.outer]).sum() / np.abs(c).sum())

    def extended(self, c: Array, finer: Degrees) -> Array:
        """The same coefficients up to a higher degree."""
        return np.concatenate([c, np.zeros(finer.span - len(c))])

    def restricted(self, c: Array, coarser: Degrees) -> Array:
        """The coefficients up to a lower degree."""
        return c[: coarser.span]

    # -- measures in and out ----------------------------------------------------------------------

    def project(self, law: Law, free: bool) -> Array:
        """Coefficients of a law, of mass one: by Gauss-Legendre quadrature, those of atoms exactly.

        A density on a quadrature of n parallels is the sum of harmonics of degree below n through
        its values. One on another mesh is taken as atoms at its N nodes, up to degree sqrt(N)/2,
        beyond which sums over nodes mean nothing.
        """
        measure, shown = given_measure(law), _on_quadrature(law)
        if shown is not None:
            low = min(self.L, shown.mesh.shape[0] - 1)  # type: ignore[index]
            c = Degrees(low).extended(harmonics.of_values(shown.values, low), self)
        elif measure is None:
            points, _ = harmonics.quadrature(max(128, 2 * self.L))
            c = harmonics.of_values(law.density(points), self.L)
        else:
            on_mesh = isinstance(measure, Density)
            low = min(self.L, max(2, int(len(measure) ** 0.5 / 2))) if on_mesh else self.L
            c = harmonics.of_atoms(measure.points, measure.masses, low)
            c = Degrees(low).extended(c, self)
        mass = c[0] * (4 * np.pi) ** 0.5
        if not mass > 0:
            raise ValueError(
                f"the start has the mass {mass:g}; a density must be positive somewhere"
            )
        c = c / mass
        c[0] = (4 * np.pi) ** -0.5
        return c

    def grid(self, free: bool) -> Mesh:
        """The quadrature on which a density is shown: sums over it are integrals, to rounding."""
        return quadrature_mesh(parallels(self.L))

    def masses(self, c: Array, grid: Mesh) -> Array:
        """Density at the mesh's nodes times cell area, of sum one to rounding."""
        return harmonics.on_quadrature(c, grid.shape[0]) * grid.volumes  # type: ignore[index]

    def player(self, game: Any, p: int, rates: Rates) -> SpectralPlayer:
        """What the compiled steps of player p read."""
        drift, l = spherical.drifts(self.L), harmonics.degrees(self.L)
        own, other = (_features(game.bases[q]) for q in (p, 1 - p))  # type: ignore[arg-type]
        U = np.asarray(game.coefficients(p, np.eye(game.bases[1 - p].size)))
        # Harmonics of one degree have squares that sum to (2l + 1)/4 pi, which bounds a
        # probability's coefficients.
        largest = 1.1 * np.sqrt((2 * l + 1) / (4 * np.pi))
        lam = diffusion(rates, -l) * (l + 1.0)
        lam, tail, largest = (v[drift.order] for v in (lam, self.outer.astype(float), largest))
        cost = np.ascontiguousarray(transport(rates, own[1:]) @ U @ other.T)
        return SpectralPlayer(
            lam, tail, largest, self.span, (True,), 0, 4 * np.pi,
            self.places[:9], cost, drift.runs, drift.values[None],
        )  # fmt: skip


class Harmonics(Spectral):
    """Equation (7) in real spherical harmonics, for quadratic games on S^2 and S^2.

    These are `polynomial` and `polynomial_from`. cells: for each player the degree L (2 or more);
    None adapts it to the solution. The rest is as in `Spectral`.
    """

    name = "harmonics"
    kind = Degrees
    serves = "a quadratic game on S^2 and S^2"

    def density(self, p: int, points: Array) -> Array:
        """The density of player p at points (n, 3), shape (n,)."""
        return harmonics.evaluate(self.coefficients(p), points)


def _on_quadrature(law: Law) -> Density | None:
    """The density on a quadrature mesh that a law was given as, or None."""
    given = given_measure(law)
    return given if isinstance(given, Density) and given.mesh.by_parallels else None


def _features(basis: QuadraticBasis) -> Array:
    """Features in harmonics of degree 0, 1 and 2, shape (9, K), as polynomials of degree 2 are."""
    points, weights = harmonics.quadrature(4)
    return (weights[:, None] * harmonics.values(points, 2)).T @ basis.values(points)
