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
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array, whole, within_memory
from meanfield.density import spherical
from meanfield.density.equation import diffusion, transport
from meanfield.density.etd import SpectralPlayer
from meanfield.density.inputs import given_measure
from meanfield.density.parallels import on_quadrature
from meanfield.density.spectral import Spectral
from meanfield.flows import Rates
from meanfield.games.bases import QuadraticBasis
from meanfield.laws import Law
from meanfield.measures import Density
from meanfield.meshes import Index, Mesh, harmonics, quadrature_mesh

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

    dtype = np.float64
    unit = "degree"
    plural = "degrees"

    @classmethod
    def fits(cls, basis: Any) -> bool:
        """Whether a player's features are of the kind that harmonics serve."""
        return isinstance(basis, QuadraticBasis) and basis.manifold.d == 2

    @classmethod
    def given(cls, basis: QuadraticBasis, cells: Any) -> Degrees:
        """The degree asked for, 2 or more."""
        L = whole("cells (the degree of harmonics)", cells, 2)
        within_memory(
            f"the harmonics up to degree {L} (cells={L}) on the parallels of shown densities",
            16.0 * (L + 1.0) ** 3,
            'ask for a lower degree, or for cells of engine="finite-volume"',
        )
        return cls(L)

    @classmethod
    def ladder(cls, basis: QuadraticBasis) -> Iterator[Degrees]:
        """The degrees tried for a start, ever higher, up to the usual one."""
        return (cls(L) for L in _LADDER if L <= _USUAL)

    def finer(self) -> Degrees | None:
        """The next degree of the ladder; None at its end."""
        return next((Degrees(L) for L in _LADDER if L > self.L), None)

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
    def number(self) -> int:
        """How many harmonics there are."""
        return (self.L + 1) ** 2

    @property
    def rows(self) -> spherical.Rows:
        """Where they stand in the work arrays, as complex numbers of orders m >= 0."""
        return spherical.rows(self.L)

    @property
    def places(self) -> Index:
        """Where these stand in a row, `centre` further on."""
        return self.centre + self.rows.places

    @property
    def centre(self) -> int:
        """Places for zeros in front and behind."""
        return self.rows.centre

    @property
    def span(self) -> int:
        """The places between them."""
        return self.rows.span

    def packed(self, c: Array) -> Array:
        """The complex numbers c_lm - i c_l(-m), m >= 0, that stand at `places`."""
        l, m = self.rows.degree, self.rows.order
        return c[l * l + l + m] - 1j * np.where(m > 0, c[l * l + l - m], 0.0)

    def unpacked(self, z: Array) -> Array:
        """The coefficients of these complex numbers."""
        l, m = self.rows.degree, self.rows.order
        c = np.empty((*z.shape[:-1], self.number))
        c[..., l * l + l - m], c[..., l * l + l + m] = -z.imag, z.real
        return c

    @cached_property
    def outer(self) -> Array:
        """1 for the harmonics of the outer third of degrees, 0 for the others."""
        return (3 * harmonics.degrees(self.L) > 2 * self.L).astype(float)

    def tail(self, c: Array) -> Array:
        """The outer degrees' share of the l1 norm, of coefficients (..., J)."""
        size = np.abs(c)
        return (size * self.outer).sum(axis=-1) / size.sum(axis=-1)  # type: ignore[no-any-return]

    def coarser(self) -> Degrees | None:
        """The degree before, of those above the usual; None elsewhere."""
        return next((Degrees(L) for L in _LADDER[::-1] if _USUAL <= L < self.L), None)

    def diffused(self, rates: Rates, time: float) -> Array:
        """What diffusion alone multiplies the coefficients by in this time."""
        l = harmonics.degrees(self.L)
        return np.exp(time * diffusion(rates, -l * (l + 1.0)))  # type: ignore[no-any-return]

    def extended(self, c: Array, finer: Degrees) -> Array:
        """The same coefficients up to a higher degree."""
        return np.concatenate([c, np.zeros(finer.number - len(c))])

    def restricted(self, c: Array, coarser: Degrees) -> Array:
        """The coefficients up to a lower degree."""
        return c[: coarser.number]

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
        """Density at the mesh's nodes times cell area (S, N), of sum one to rounding."""
        n = grid.shape[0]  # type: ignore[index]
        return on_quadrature(c, n) * grid.volumes

    def player(self, game: Any, p: int, rates: Rates) -> SpectralPlayer:
        """What the compiled steps of player p read."""
        own, other = (_features(game.bases[q]) for q in (p, 1 - p))  # type: ignore[arg-type]
        U = np.asarray(game.coefficients(p, np.eye(game.bases[1 - p].size)))
        cost = spherical.gradients() @ transport(rates, own[1:]) @ U @ other.T
        rows, l = self.rows, np.arange(self.L + 1.0)
        # Harmonics of one degree have squares that sum to (2l + 1)/4 pi, which bounds a
        # probability's coefficients; of the two of an order the sum is root 2 as large at most.
        most = 1.1 * np.sqrt((2 * l + 1) / (2 * np.pi))
        level, tail = np.full(self.span, self.L + 1), np.zeros(self.span)
        level[rows.places], tail[rows.places] = rows.degree, 3 * rows.degree > 2 * self.L
        few = rows.degree <= 2
        k, m, signs = rows.degree[few], rows.order[few], np.repeat([2.0, -2.0], 6)[:, None]
        moments = np.concatenate([cost[:, k * k + k + m], cost[:, k * k + k - m] * (m > 0)], 1)
        return SpectralPlayer(
            np.append(diffusion(rates, -l) * (l + 1.0), -np.inf), level, tail,
            np.append(most, np.inf)[level], (True,), self.centre, 4 * np.pi,
            rows.places[few], signs * moments, rows.starts, np.zeros((0, 2)), (), rows.factors,
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
    points, projection = _low()
    return projection @ basis.values(points)


@lru_cache
def _low() -> tuple[Array, Array]:
    """A quadrature's points, and the map from values there to coefficients up to degree 2."""
    points, weights = harmonics.quadrature(4)
    return points, (weights[:, None] * harmonics.values(points, 2)).T
