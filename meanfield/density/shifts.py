"""The drift of Fourier modes: shifted rows of coefficients, added up.

-gamma w^2 sum_m (k.m) U_m mu_(k-m) at the modes k kept, over the pairs +-m of a cost, of which one
is given. The modes k stand in a row at flat offsets k.strides (see `fourier`), so that k - m and
k + m are the same row read elsewhere.
"""

from __future__ import annotations

import numpy as np

from meanfield.density.stages import use
from meanfield.jit import kernel, separate

# Pairs taken at a time, fewer where a cost has one or two: half of what one at a time takes is
# reading and writing the sums.
TOGETHER = 4


@kernel
def mirror(v, centre):
    """Modes -k from modes k: conj."""
    for i in range(1, centre + 1):
        v[0, centre - i] = v[0, centre + i]
        v[1, centre - i] = -v[1, centre + i]


@kernel
def _pair(m, centre, shifts, waves, U):
    """Where the modes -k and k of pair m stand, m along two axes, and U there."""
    low, high = np.uint64(centre - shifts[m]), np.uint64(centre + shifts[m])
    return low, high, waves[0, m], waves[1, m], U[0, m], U[1, m]


@kernel
def _pairs(together, m, centre, shifts, waves, U):
    """Pairs m, m + 1, ..., as many as `together` has places."""
    a = _pair(m, centre, shifts, waves, U)
    if len(together) == 1:
        return (a,)
    elif len(together) == 2:
        return a, _pair(m + 1, centre, shifts, waves, U)
    else:
        b, c = _pair(m + 1, centre, shifts, waves, U), _pair(m + 2, centre, shifts, waves, U)
        return a, b, c, _pair(m + 3, centre, shifts, waves, U)


@kernel(fastmath={"contract"})
def _pull(pair, k, l, v, j):
    """(k.m) (U mu_low - conj(U) mu_high), real and imaginary part, along two axes of k."""
    low, high, m, n, ur, ui = pair
    ar, ai, br, bi = v[0, low + j], v[1, low + j], v[0, high + j], v[1, high + j]
    speed = k * m + l * n
    return speed * (ur * (ar - br) - ui * (ai + bi)), speed * (ur * (ai - bi) + ui * (ar + br))


@kernel(fastmath={"contract"})
def _pull_all(pairs, k, l, v, j):
    ar, ai = _pull(pairs[0], k, l, v, j)
    if len(pairs) > 1:
        br, bi = _pull(pairs[1], k, l, v, j)
        ar, ai = ar + br, ai + bi
    if len(pairs) > 2:
        cr, ci = _pull(pairs[2], k, l, v, j)
        dr, di = _pull(pairs[3], k, l, v, j)
        ar, ai = ar + (cr + dr), ai + (ci + di)
    return ar, ai


@kernel(fastmath={"contract"})
def _add(pairs, k, l, v, sums):
    separate()
    for j in range(np.uint64(len(k))):
        r, i = _pull_all(pairs, k[j], l[j], v, j)
        sums[0, j] += r
        sums[1, j] += i


@kernel(fastmath={"contract"})
def pull(together, k, waves, shifts, U, v, centre, sums, of_a, c, u, n1, to, end):
    """The drift of v at all places: kept in `to` or, where v is a, made b there by `use`.

    k (2A, n) are the velocities along the axes, two at a time, waves (2A, M) the pairs' modes m
    along them. M is a multiple of the length of `together`, of pairs that are taken at a time. The
    last are taken with what the others give, in sums, which are zeros where there are no others.
    """
    separate()
    last, axis = len(shifts) - len(together), len(k) - 2
    if last > 0 or axis > 0:
        sums[:] = 0.0
    for a in range(0, len(k), 2):
        for m in range(0, last if a == axis else last + 1, len(together)):
            _add(_pairs(together, m, centre, shifts, waves[a:], U), k[a], k[a + 1], v, sums)
    # Unsigned indices spare the test for negative ones, without which loops vectorise.
    shift, pairs = np.uint64(centre), _pairs(together, last, centre, shifts, waves[axis:], U)
    if of_a:
        for j in range(np.uint64(k.shape[1])):
            r, i = _pull_all(pairs, k[axis, j], k[axis + 1, j], v, j)
            use(c, u, n1, to, end, 0, j, shift + j, sums[0, j] + r)
            use(c, u, n1, to, end, 1, j, shift + j, sums[1, j] + i)
    else:
        for j in range(np.uint64(k.shape[1])):
            r, i = _pull_all(pairs, k[axis, j], k[axis + 1, j], v, j)
            to[0, j], to[1, j] = sums[0, j] + r, sums[1, j] + i
