"""Fourier coefficients of many atoms, as products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array

Complex = NDArray[np.complex128]
ENTRIES = 1 << 21  # numbers that are held at a time: 32 MB


def sums_of_waves(angles: Array, masses: Array, first: int, rest: list[int]) -> Complex:
    """sum_i masses_i e^(-i k.angles_i) at 0 <= k_1 <= first and |k_j| <= rest_j for the others.

    A wave is the product of one along the first axis and one along the others, or, where there is
    one axis, of one of few short and one of few long steps: the sum over atoms is a product of two
    matrices, which are made for some of the atoms at a time.
    """
    short = math.isqrt(first) + 1 if not rest else 1  # k = short * a + b
    long = np.arange(first // short + 1) * short
    others = math.prod(2 * r + 1 for r in rest) * short
    step = max(1, ENTRIES // (len(long) + others))
    total: Any = np.zeros((len(long), others), dtype=complex)
    for i in range(0, len(angles), step):
        x, m = angles[i : i + step], masses[i : i + step]
        along: Any = _waves(x[:, 0], np.arange(short)) if not rest else np.ones((len(x), 1))
        for r, column in zip(rest, x.T[1:], strict=True):
            along = (along[:, :, None] * _waves(column, np.arange(-r, r + 1))[:, None, :]).reshape(
                len(x), -1
            )
        total += (m[:, None] * _waves(x[:, 0], long)).T @ along
    if not rest:
        return total.ravel()[: first + 1]  # type: ignore[no-any-return]
    return total.reshape(first + 1, *(2 * r + 1 for r in rest))  # type: ignore[no-any-return]


def _waves(x: Array, k: Any) -> Complex:
    """e^(-i k x), (atoms, k)."""
    return np.exp(-1j * np.outer(x, k))
