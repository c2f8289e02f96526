"""Where Fourier modes lie in memory, and the ways in and out of them.

Coefficients are mu_k = int exp(-i w k.x) dmu, w = 2 pi / period, so that mu_0 = 1. Of each pair
+-k one is kept: those whose flat offset k.strides is not negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Index

Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes |k_a| <= reach_a, reach = (nodes - 1) // 2, of a torus, for games of modes |m_a| <= margin_a.

    The flat offset of k is k.strides; rows are `margin` apart, so that k + m outside falls on zeros.
    """

    torus: Torus
    nodes: tuple[int, ...]
    margin: tuple[int, ...]

    @cached_property
    def reach(self) -> Index:
        return (np.array(self.nodes) - 1) // 2

    @cached_property
    def strides(self) -> Index:
        widths = 2 * self.reach + 1 + np.array(self.margin)
        return np.append(np.cumprod(widths[:0:-1])[::-1], 1).astype(np.int64)

    @cached_property
    def span(self) -> int:
        """Length n of the flat range that holds the kept modes."""
        return int(self.reach @ self.strides) + 1

    @cached_property
    def centre(self) -> int:
        """Room for the mirror image in front, and for zeros behind."""
        return int(np.array(self.margin) @ self.strides)

    @cached_property
    def k(self) -> Index:
        """The kept modes (J, d)."""
        axes = [np.arange(-r, r + 1) for r in self.reach]
        every = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, self.torus.d)
        return every[every @ self.strides >= 0]

    @cached_property
    def offsets(self) -> Index:
        return self.k @ self.strides

    @cached_property
    def outer(self) -> Array:
        """Flat mask (n,) of the outer third of modes, along any axis."""
        mask = np.zeros(self.span)
        mask[self.offsets] = (3 * np.abs(self.k) > 2 * self.reach).any(axis=1)
        return mask

    def of(self, mu: Measure) -> Complex:
        """Coefficients of a measure at the kept modes (J,).

        Exact for atoms. A density on a grid is taken as the trigonometric polynomial through its
        nodal values, which has no modes beyond its grid's.
        """
        if isinstance(mu, Density) and mu.mesh.shape is not None:
            held, there, _ = _places(self, mu.mesh.shape)
            return np.where(held, np.fft.fftn(mu.masses.reshape(mu.mesh.shape))[there], 0.0)
        turn = 2 * np.pi / self.torus.period
        waves = [
            np.exp(-1j * turn * np.outer(np.arange(-r, r + 1), x))
            for r, x in zip(self.reach, mu.points.T, strict=True)
        ]
        letters = "abc"[: self.torus.d]
        rule = "z," + ",".join(f"{c}z" for c in letters) + "->" + letters
        full = np.einsum(rule, mu.masses, *waves, optimize=True)
        return full[tuple((self.k + self.reach).T)]

    def masses(self, z: Complex, shape: tuple[int, ...]) -> Array:
        """Nodal value times cell volume on the grid of `shape`, flat, from coefficients z (J,)."""
        full = np.zeros(shape, dtype=complex)
        _, there, mirrored = _places(self, shape)
        full[mirrored] = z.conj()
        full[there] = z
        return np.fft.irfftn(
            full[..., : shape[-1] // 2 + 1], s=shape, axes=range(len(shape))
        ).ravel()

    def onto(self, other: Modes, z: Complex) -> Complex:
        """The same coefficients in a larger set of modes."""
        held = np.zeros(other.span, dtype=complex)
        held[self.k @ other.strides] = z
        return held[other.offsets]


@lru_cache(maxsize=16)
def _places(
    modes: Modes, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], tuple[Index, ...], tuple[Index, ...]]:
    """Which modes a grid of this shape holds, and where they and their mirror images stand in its transform."""
    held = np.all(2 * np.abs(modes.k) < np.array(shape), axis=1)
    return held, tuple((modes.k % np.array(shape)).T), tuple((-modes.k % np.array(shape)).T)


@lru_cache(maxsize=16)
def modes(torus: Torus, nodes: tuple[int, ...], margin: tuple[int, ...]) -> Modes:
    """The modes for these numbers, whose index tables are worth keeping from one run to the next."""
    return Modes(torus, nodes, margin)
