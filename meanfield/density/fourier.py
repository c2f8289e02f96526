"""Fourier modes on tori: the basis in which trigonometric games make equation (7) exact.

Coefficients are mu_k = int exp(-i w k.x) dmu, w = 2 pi / period, so that mu_0 = 1. With U the
player's cost,

    d mu_k / dt = -gamma w^2 |k|^2 T mu_k - gamma w^2 sum_m (k.m) U_m mu_(k-m),

which is exact in the modes kept: U has the game's few modes m, so the drift is a short sum of
shifted coefficients, with no transform and no aliasing. Of each pair +-k one is kept: those whose
flat offset k.strides is not negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.aligned import zeros
from meanfield.checks import Array, whole
from meanfield.density import grids
from meanfield.density.equation import diffusion, velocity
from meanfield.density.etd import SpectralPlayer
from meanfield.density.inputs import given_measure
from meanfield.density.shifts import TOGETHER
from meanfield.density.spectral import Spectral
from meanfield.density.stages import LANES
from meanfield.density.sums_of_waves import sums_of_waves
from meanfield.flows import Rates
from meanfield.games.bases import TrigBasis
from meanfield.laws import Law
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Index, Mesh, mesh

Complex = NDArray[np.complex128]

# Nodes per axis that free modes may have, 16, 24, 32, 48, ...; the most of them, by dimension; and
# how many a density is shown on at least.
_LADDER = tuple(s * 2**e for e in range(3, 12) for s in (2, 3))
_MOST = {1: 16384, 2: 1024, 3: 128}
_NODES = {1: 256, 2: 64, 3: 24}
_LARGEST = 1.5  # coefficients of a probability measure have |re| + |im| <= sqrt 2


@dataclass(frozen=True, eq=False)
class FourierModes:
    """The modes |k| <= reach = (nodes - 1) // 2 of a torus, for games of modes |m| <= margin.

    The flat offset of k is k.strides; rows are `margin` apart, so that k + m outside falls on
    zeros.
    """

    torus: Torus
    nodes: tuple[int, ...]
    margin: tuple[int, ...]

    dtype = np.complex128
    unit = "cells"
    plural = "modes"

    @classmethod
    def fits(cls, basis: Any) -> bool:
        """Whether a player's features are of the kind that these modes serve."""
        return isinstance(basis, TrigBasis) and basis.manifold.dim <= 3

    @classmethod
    def given(cls, basis: TrigBasis, cells: Any) -> FourierModes:
        """The modes asked for by nodes per axis or a grid's Mesh; ValueError for too few."""
        torus, margin = basis.manifold, _margin(basis)
        if isinstance(cells, Mesh):
            if cells.shape is None or cells.manifold != torus:
                raise ValueError(
                    f"cells is {cells}, but the Galerkin engine needs nodes on a grid of {torus}"
                )
            cells = cells.shape
        nodes = tuple(cells) if np.ndim(cells) else (cells,) * torus.d
        nodes = tuple(whole("cells", n, 3) for n in nodes)
        if len(nodes) != torus.d:
            raise ValueError(
                f"cells must be one number or {torus.d} of them for {torus}, got {cells!r}"
            )
        if any(n < 2 * m + 1 for n, m in zip(nodes, margin, strict=True)):
            raise ValueError(
                f"cells {nodes} are too few for the game's modes; use at least "
                f"{2 * max(margin) + 1} per axis"
            )
        return _modes(torus, nodes, margin)

    @classmethod
    def ladder(cls, basis: TrigBasis) -> Iterator[FourierModes]:
        """The modes tried for a start, ever more, up to those of the usual mesh."""
        torus, margin = basis.manifold, _margin(basis)
        rungs = _rungs(torus, margin)
        if not rungs:
            raise ValueError(
                f"the game's modes up to {max(margin)} are too many to adapt cells to; give cells"
            )
        return (_modes(torus, (n,) * torus.d, margin) for n in rungs)

    def coarser(self) -> FourierModes | None:
        """The rung before, of nodes above the usual; None elsewhere."""
        n, usual = self.nodes[0], _rungs(self.torus, self.margin)[-1]
        fewer = max((c for c in _LADDER if usual <= c < n), default=None)
        return None if fewer is None else _modes(self.torus, (fewer,) * self.torus.d, self.margin)

    def finer(self) -> FourierModes | None:
        """The next rung of nodes; None where there is none."""
        n = self.nodes[0]
        bigger = next((c for c in _LADDER if c > n), 2 * n)
        if bigger > _MOST[self.torus.d]:
            return None
        return _modes(self.torus, (bigger,) * self.torus.d, self.margin)

    @classmethod
    def rough(cls, law: Law) -> bool:
        """Whether the coefficients of a law do not decay: those of atoms."""
        measure = given_measure(law)
        return measure is not None and not isinstance(measure, Density)

    def __str__(self) -> str:
        return f"cells = {self.nodes}"

    @property
    def cells(self) -> tuple[int, ...]:
        """What `given` takes: the nodes per axis."""
        return self.nodes

    @property
    def resolution(self) -> int:
        """The largest number of nodes along an axis."""
        return max(self.nodes)

    # -- where modes lie in memory ----------------------------------------------------------------

    @cached_property
    def reach(self) -> Index:
        return (np.array(self.nodes) - 1) // 2

    @cached_property
    def strides(self) -> Index:
        widths = 2 * self.reach + 1 + np.array(self.margin)
        return np.append(np.cumprod(widths[:0:-1])[::-1], 1).astype(np.int64)

    @cached_property
    def span(self) -> int:
        """Length n of the flat range that holds the kept modes, in whole lanes of a processor."""
        return int(self.reach @ self.strides) // LANES * LANES + LANES

    @cached_property
    def centre(self) -> int:
        """Places for the mirror image in front, and for zeros behind."""
        return -(int(np.array(self.margin) @ self.strides) // -LANES) * LANES

    @cached_property
    def k(self) -> Index:
        """The kept modes (J, d)."""
        axes = [np.arange(-r, r + 1) for r in self.reach]
        every = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, self.torus.d)
        return every[every @ self.strides >= 0]

    @property
    def number(self) -> int:
        """How many modes are kept."""
        return len(self.k)

    @cached_property
    def offsets(self) -> Index:
        return self.k @ self.strides

    @cached_property
    def places(self) -> Index:
        """Where the kept modes stand in a row of the work arrays."""
        return self.centre + self.offsets

    @cached_property
    def outer(self) -> Array:
        """1 for the kept modes (J,) in the outer third along any axis, 0 for the others."""
        return (3 * np.abs(self.k) > 2 * self.reach).any(axis=1).astype(float)

    def tail(self, z: Complex) -> Array:
        """The outer modes' share of the l1 norm, of coefficients (..., J)."""
        size = np.abs(z.real) + np.abs(z.imag)
        return (size * self.outer).sum(axis=-1) / size.sum(axis=-1)  # type: ignore[no-any-return]

    def extended(self, z: Complex, finer: FourierModes) -> Complex:
        """The same coefficients among more modes."""
        row = np.zeros(finer.span, dtype=complex)
        row[self.k @ finer.strides] = z
        return row[finer.offsets]

    def restricted(self, z: Complex, coarser: FourierModes) -> Complex:
        """The coefficients of fewer modes."""
        return z[(np.abs(self.k) <= coarser.reach).all(axis=1)]

    # -- measures in and out ----------------------------------------------------------------------

    def project(self, law: Law, free: bool) -> Complex:
        """Coefficients (J,) of a law, of mass one: of its measure, or of its nodal masses."""
        measure = given_measure(law)
        z = self.of(law.on(self.grid(free)) if measure is None else measure)
        z[self.offsets == 0] = 1.0
        return z

    def of(self, mu: Measure) -> Complex:
        """Coefficients of a measure at the kept modes (J,).

        Exact for atoms. A density on a grid is taken as the trigonometric polynomial through its
        nodal values, which has no modes beyond its grid's.
        """
        if isinstance(mu, Density) and mu.mesh.shape is not None:
            return grids.coefficients(self, mu.masses.reshape(mu.mesh.shape))
        angles = mu.points * (2 * np.pi / self.torus.period)
        first, *rest = self.reach.tolist()
        full = sums_of_waves(angles, mu.masses, first, rest)
        return full[tuple((self.k + np.array([0, *rest])).T)]

    def grid(self, free: bool) -> Mesh:
        """The mesh on which a density is shown: at least the usual one where modes are free."""
        n, d = self.nodes, self.torus.d
        return _mesh(self.torus, (max(n[0], _NODES[d]),) * d if free else n)

    def masses(self, z: Complex, grid: Mesh) -> Array:
        """Nodal value times cell volume on a grid (S, N), from coefficients z (S, J)."""
        return grids.values(self, z, grid.shape or ())

    @cached_property
    def levels(self) -> tuple[Array, Index]:
        """The distinct values of |k|^2, infinite where no mode stands; which of them, by place."""
        squares = np.full(self.span, np.inf)
        squares[self.offsets] = np.sum(self.k**2, axis=1)
        return np.unique(squares, return_inverse=True)

    @cached_property
    def rows(self) -> tuple[Array, Array, Array]:
        """By place: the modes along an even number of axes; 1 for the outer ones; what no
        coefficient can pass.
        """
        d = self.torus.d
        axes, tail = np.zeros((d + d % 2, self.span)), np.zeros(self.span)
        largest = np.full(self.span, np.inf)
        axes[:d, self.offsets] = self.k.T
        tail[self.offsets], largest[self.offsets] = self.outer, _LARGEST
        return axes, tail, largest

    def _turning(self, rates: Rates) -> Rates:
        """In angles w x derivatives are whole numbers, and gamma is w^2 times as large."""
        return replace(rates, gamma=rates.gamma * (2 * np.pi / self.torus.period) ** 2)

    def diffused(self, rates: Rates, time: float) -> Array:
        """What diffusion alone multiplies the coefficients (J,) by in this time."""
        squares = np.sum(self.k**2, axis=1)
        return np.exp(time * diffusion(self._turning(rates), -squares))  # type: ignore[no-any-return]

    def packed(self, z: Complex) -> Complex:
        """The complex numbers that stand at `places`."""
        return z

    unpacked = packed

    def player(self, game: Any, p: int, rates: Rates) -> SpectralPlayer:
        """What the compiled steps of player p read."""
        (m, A, acts), other = _cost(game, p), _cost(game, 1 - p)
        M, most = acts.sum(), max(acts.sum(), other[2].sum())
        together = next(t for t in (1, 2, TOGETHER) if most <= t or t == TOGETHER)
        padded = max(-(-M // together), 1) * together
        turning = self._turning(rates)
        (squares, level), (axes, tail, largest) = self.levels, self.rows
        k, waves, offsets = zeros(axes.shape), np.zeros((len(axes), padded)), np.zeros(padded)
        k[:] = velocity(turning, axes)
        waves[: self.torus.d, :M], offsets[:M] = m[acts].T, m[acts] @ self.strides
        return SpectralPlayer(
            diffusion(turning, -squares), level, tail, largest, (), self.centre, 2.0,
            m @ self.strides, A[:, acts].reshape(2 * M, A.shape[2]), offsets.astype(np.int64),
            waves, (True,) * together, k,
        )  # fmt: skip


class Galerkin(Spectral):
    """Equation (7) in Fourier modes, for trigonometric games on tori of dimension 1 to 3.

    The players' tori may differ. cells: for each player the nodes per axis N (a number, one an
    axis, or a grid's Mesh), which keep the modes |k| <= (N - 1) // 2 along each axis; None adapts
    them to the solution. Atoms enter by their exact coefficients. The rest is as in `Spectral`.
    """

    name = "galerkin"
    kind = FourierModes
    serves = "a trigonometric game on tori of dimension 1 to 3"

    def modes(self, p: int) -> Complex:
        """Coefficients int exp(-i w k.x) dmu (J,) of player p at the modes `wave_numbers(p)`."""
        return self.coefficients(p)  # type: ignore[return-value]

    def wave_numbers(self, p: int) -> Index:
        """The modes kept for player p, one of each pair +-k, shape (J, d)."""
        return self.bases[p].k.copy()


def _cost(game: Any, p: int) -> tuple[Index, Array, NDArray[np.bool_]]:
    """The modes (K, d) of player p's cost, one of each pair; the map (2, K, J) from the opponent's
    means to its coefficients; and which of them (K,) move the player at all.
    """
    basis = game.bases[p]
    assert isinstance(basis, TrigBasis)
    m = np.rint(basis.modes).astype(np.int64)
    A = np.asarray(game.coefficients(p, np.eye(game.bases[1 - p].size))).reshape(2, len(m), -1)
    return m, A, (m != 0).any(axis=1) & A.any(axis=(0, 2))


def _margin(basis: TrigBasis) -> tuple[int, ...]:
    return tuple(int(m) for m in np.abs(basis.modes).max(axis=0, initial=1))


def _rungs(torus: Torus, margin: tuple[int, ...]) -> list[int]:
    """The nodes per axis tried for a start, up to those of the usual mesh."""
    rungs = [n for n in _LADDER if n >= 4 * max(margin) + 3]
    return [n for n in rungs if n <= max(_NODES[torus.d], rungs[0])]


@lru_cache(maxsize=16)
def _mesh(torus: Torus, nodes: tuple[int, ...]) -> Mesh:
    return mesh(torus, nodes)


@lru_cache(maxsize=32)
def _modes(torus: Torus, nodes: tuple[int, ...], margin: tuple[int, ...]) -> FourierModes:
    """The modes for these numbers, with index tables worth keeping from one run to the next."""
    return FourierModes(torus, nodes, margin)
