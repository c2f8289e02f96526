"""Fourier modes and values at the nodes of grids, by fast Fourier transforms.

Modes are those of `fourier.FourierModes`: of each pair +-k one is kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.meshes import Index

Complex = NDArray[np.complex128]
Places = tuple[Index, ...]


def coefficients(modes: Any, values: Array) -> Complex:
    """Coefficients (J,) of values on a grid; modes that it does not have are zero."""
    inside, there = _places(modes, values.shape)
    return np.where(inside, np.fft.fftn(values)[there], 0.0)


def values(modes: Any, z: Complex, shape: tuple[int, ...]) -> Array:
    """Values at the nodes of a grid (S, N), from coefficients z (S, J)."""
    # One at a time: bits of several may depend on how many there are (numpy on ARM).
    if len(shape) == 1:  # modes 0, 1, ...: in half the time of what follows
        return np.array([np.fft.irfft(c, shape[0]) for c in z])
    half = np.zeros((*shape[:-1], shape[-1] // 2 + 1), dtype=complex)
    (right, there), (left, mirrored) = _half_places(modes, shape)
    found = []
    for c in z:
        half[mirrored] = c[left].conj()
        half[there] = c[right]
        found.append(np.fft.irfftn(half, s=shape, axes=range(len(shape))).reshape(1, -1))
    return found[0] if len(z) == 1 else np.concatenate(found)


@lru_cache(maxsize=16)
def _places(modes: Any, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], Places]:
    """Which modes a grid of this shape has, and where they stand in its transform."""
    inside = np.all(2 * np.abs(modes.k) < np.array(shape), axis=1)
    return inside, tuple((modes.k % np.array(shape)).T)


@lru_cache(maxsize=16)
def _half_places(
    modes: Any, shape: tuple[int, ...]
) -> tuple[tuple[Index, Places], tuple[Index, Places]]:
    """Of the half of a real function's transform: which modes stand there, and where; those whose
    mirror images do, and where.
    """
    right, left = np.flatnonzero(modes.k[:, -1] >= 0), np.flatnonzero(modes.k[:, -1] <= 0)
    places = (k % np.array(shape) for k in (modes.k[right], -modes.k[left]))
    there, mirrored = (tuple(place.T) for place in places)
    return (right, there), (left, mirrored)
