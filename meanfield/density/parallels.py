"""Sums of spherical harmonics on the parallels of a quadrature, where densities are shown.

Around each parallel such a sum is a Fourier series, and harmonics are even or odd in x_3: of each
order the even and the odd ones are added up from the north pole to the equator, their sum is the
wave on a northern parallel, their difference on the southern one.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, separate
from meanfield.meshes.harmonics import by_order


def on_quadrature(c: Array, n: int) -> Array:
    """sum c_lm Y_lm at the points of `quadrature(n)`, n > L, shape (S, 2 n^2), of S sets of
    coefficients c (S, (L + 1)^2). Undoes `of_values`.
    """
    L = round(c.shape[1] ** 0.5) - 1
    table, starts, up, down = by_order(n, L)
    waves, sums = np.zeros((len(c), n, n + 1), dtype=complex), np.empty((2, 2, table.shape[1]))
    _add_up(table, starts, up, down, c, sums, waves)
    # One at a time: bits of several may depend on how many there are (numpy on ARM).
    return np.array([np.fft.irfft(one, 2 * n, axis=1).ravel() for one in waves])


@kernel(fastmath={"contract"})
def _add_part(table, up, down, c, real, imag):
    """The sums of c_up and of c_down times their rows of the table."""
    separate()
    real[:], imag[:] = 0.0, 0.0
    for p in range(len(up)):
        a, b = c[up[p]], c[down[p]]
        for i in range(np.uint64(table.shape[1])):
            real[i] += a * table[p, i]
            imag[i] += b * table[p, i]


@kernel
def _add_up(table, starts, up, down, c, sums, waves):
    """The waves on all parallels, (S, n, n + 1), as `irfft` wants them."""
    n, last = waves.shape[1], len(starts) // 2
    for s in range(len(c)):
        for m in range(last):
            for odd in range(2):
                k, end = starts[2 * m + odd], starts[2 * m + odd + 1]
                _add_part(table[k:end], up[k:end], down[k:end], c[s], sums[odd, 0], sums[odd, 1])
            # Each wave but the first, which has no sines, stands for a pair, +-m.
            cosines, sines = (2.0 * n, 0.0) if m == 0 else (1.0 * n, -1.0 * n)
            for i in range(table.shape[1]):
                e, f, o, d = sums[0, 0, i], sums[0, 1, i], sums[1, 0, i], sums[1, 1, i]
                waves[s, n - 1 - i, m] = complex(cosines * (e + o), sines * (f + d))
                waves[s, i, m] = complex(cosines * (e - o), sines * (f - d))
