"""The drift of quadratic costs on spherical harmonics of S^2, degree by degree.

With U = u.x + x'Sx, S of trace 0, and g = u + 2 S x,

    div(mu grad U) = sum_a E_a (mu g_a),    E = grad - 2 x,

as the part of g along x drops out. Multiplying by a coordinate takes a harmonic of degree l to the
degrees l + 1 and l - 1, and E takes it to the same ones, -(l + 2) and l - 1 times as large. The
coordinates are taken as x_1 + i x_2, x_1 - i x_2, which raise and lower the order m, and x_3.

A real function with the coefficients c_lm (see `meanfield.meshes.harmonics`) stands as the complex
numbers c_lm - i c_l(-m), 0 <= m <= l, in rows of one degree each: a step to another degree is one
to another row. Rows are whole lanes long, and what lies beyond m = l has the factor 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from meanfield.aligned import zeros
from meanfield.checks import Array
from meanfield.density.stages import LANES, use
from meanfield.jit import kernel, separate
from meanfield.meshes import Index
from meanfield.meshes.harmonics import factors


@dataclass(frozen=True, eq=False)
class Rows:
    """Where degrees up to L stand, and the factors of the three coordinates.

    starts (L + 4,): the rows of degree -1 to L + 2, from the place of degree 0 on; those of -1, L +
    1 and L + 2 hold zeros. The first `span` places are kept, with `centre` zeros before and behind
    them. order, degree (J,): the numbers 0 <= m <= l, and `places` (J,) where they stand.

    factors (6, n): what x_1 + i x_2 takes to (l, m) from (l - 1, m - 1) and (l + 1, m - 1), then
    x_1 - i x_2 from (l - 1, m + 1) and (l + 1, m + 1), then x_3 from (l - 1, m) and (l + 1, m).
    """

    starts: Index
    span: int
    centre: int
    degree: Index
    order: Index
    places: Index
    factors: Array


@lru_cache(maxsize=8)
def rows(L: int) -> Rows:
    """The rows of degrees up to L."""
    l = np.arange(L + 2)
    lengths = (l + LANES + 1) // LANES * LANES  # with a place to spare in front of the next row
    ends = np.cumsum(lengths)
    centre, span = int(lengths[-1]) + 2 * LANES, int(ends[-2])
    starts = np.concatenate([[LANES - centre, 0], ends[:-1], [span]])
    degree = np.repeat(l, l + 1)
    order = np.arange(len(degree)) - degree * (degree + 1) // 2
    places = starts[degree + 1] + order
    table = zeros((6, int(ends[-1])))
    table[:, places] = _factors(degree.astype(float), order)
    kept = degree <= L
    return Rows(starts, span, centre, degree[kept], order[kept], places[kept], table)


def _factors(l: Array, m: Index) -> Array:
    """See `Rows`. Real harmonics with m > 0 are sqrt(2) times the real or imaginary part."""
    above, below = 1 / np.sqrt((2 * l + 1) * (2 * l + 3)), 1 / np.sqrt(np.abs(4 * l * l - 1))
    from_zero, to_zero = np.where(m == 1, 2**0.5, 1.0), np.where(m == 0, 0.5**0.5, 1.0)
    raised = below * np.sqrt(np.abs((l + m - 1) * (l + m))) * from_zero
    fallen = -above * np.sqrt((l - m + 1) * (l - m + 2)) * from_zero
    lowered = -below * np.sqrt(np.abs((l - m - 1) * (l - m))) * to_zero
    lifted = above * np.sqrt((l + m + 1) * (l + m + 2)) * to_zero
    # To m = 0 come the mirror images (l, -1), on which both act as the other does on (l, 1).
    raised, fallen = np.where(m == 0, lowered, raised), np.where(m == 0, lifted, fallen)
    a, d = factors(int(l[-1]) + 1), l.astype(int)
    return np.stack([raised, fallen, lowered, lifted, a[d, m], a[d + 1, m]])


def gradients() -> Array:
    """From coefficients of degree 1 and 2 of a cost to what `fluxes` takes, (12, 8).

    That are for a = 1, 2, 3 the factors of 1, of the sums and the differences that x_1 +- i x_2
    give, and of x_3 in mu g_a, for a = 1 and 2 halved.
    """
    one, two = (3 / (4 * np.pi)) ** 0.5, 0.5 * (15 / np.pi) ** 0.5
    u, S = np.zeros((3, 8)), np.zeros((3, 3, 8))
    u[[1, 2, 0], [0, 1, 2]] = one
    for k, a, b in ((3, 0, 1), (4, 1, 2), (6, 0, 2)):
        S[a, b, k] = S[b, a, k] = two / 2
    S[[0, 1, 2], [0, 1, 2], 5] = two / 12**0.5 * np.array([-1, -1, 2])
    S[[0, 1], [0, 1], 7] = two / 2 * np.array([1, -1])
    found = np.concatenate([u[:, None], S[:, :2], 2 * S[:, 2:]], axis=1)
    return (np.array([0.5, 0.5, 1.0])[:, None, None] * found).reshape(12, 8)


@kernel
def mirror(v, starts, centre):
    """Orders -1 from orders 1: conj, in front of each row."""
    for row in range(2, len(starts) - 2):
        at = centre + starts[row]
        v[0, at - 1] = v[0, at + 1]
        v[1, at - 1] = -v[1, at + 1]


@kernel(fastmath={"contract"})
def _from(v, low, high, a, b):
    """a v_low + b v_high, real and imaginary part."""
    return a * v[0, low] + b * v[0, high], a * v[1, low] + b * v[1, high]


@kernel(fastmath={"contract"})
def fluxes(table, starts, centre, U, v, raised, lowered, upright):
    """mu g, its first two components as (mu g_1 -+ i mu g_2)/2: what raises and what lowers m."""
    separate()
    u, a, b, c = U[0, 0], U[0, 1], U[0, 2], U[0, 3]
    w, d, e, f = U[0, 4], U[0, 5], U[1, 0], U[1, 1]
    t, g, h, k = U[1, 2], U[1, 3], U[1, 4], U[1, 5]
    for row in range(1, len(starts) - 1):
        at, here, one = np.uint64(starts[row]), np.uint64(centre + starts[row]), np.uint64(1)
        low, high = np.uint64(centre + starts[row - 1]), np.uint64(centre + starts[row + 1])
        for m in range(np.uint64((row + LANES) // LANES * LANES)):
            j = at + m
            before, after = m - one, m + one
            pr, pi = _from(v, low + before, high + before, table[0, j], table[1, j])
            qr, qi = _from(v, low + after, high + after, table[2, j], table[3, j])
            zr, zi = _from(v, low + m, high + m, table[4, j], table[5, j])
            vr, vi = v[0, here + m], v[1, here + m]
            # 2 x_1 mu and 2 x_2 mu
            xr, xi, yr, yi = pr + qr, pi + qi, pi - qi, qr - pr
            fr, fi = u * vr + a * xr + b * yr + c * zr, u * vi + a * xi + b * yi + c * zi
            gr, gi = w * vr + d * xr + e * yr + f * zr, w * vi + d * xi + e * yi + f * zi
            raised[0, here + m] = fr + gi
            raised[1, here + m] = fi - gr
            lowered[0, here + m] = fr - gi
            lowered[1, here + m] = fi + gr
            upright[0, here + m] = t * vr + g * xr + h * yr + k * zr
            upright[1, here + m] = t * vi + g * xi + h * yi + k * zi
        raised[0, here - one] = lowered[0, here + one]
        raised[1, here - one] = -lowered[1, here + one]


@kernel(fastmath={"contract"})
def _diverged(table, row, m, at, low, high, raised, lowered, upright):
    """sum_a E_a (mu g_a) of these fluxes at order m of a row, real and imaginary part."""
    up, down, j = float(-row), float(row - 1), at + m
    before, after = m - np.uint64(1), m + np.uint64(1)
    ar, ai = _from(raised, low + before, high + before, up * table[0, j], down * table[1, j])
    br, bi = _from(lowered, low + after, high + after, up * table[2, j], down * table[3, j])
    cr, ci = _from(upright, low + m, high + m, up * table[4, j], down * table[5, j])
    return ar + br + cr, ai + bi + ci


@kernel(fastmath={"contract"})
def diverge(table, starts, centre, raised, lowered, upright, of_a, c, u, n1, to, end):
    """The drift of these fluxes at all places: kept in `to` or, where it is that at a, made b there
    by `use`.
    """
    separate()
    shift = np.uint64(centre)
    for row in range(1, len(starts) - 2):
        at = np.uint64(starts[row])
        low, high = np.uint64(centre + starts[row - 1]), np.uint64(centre + starts[row + 1])
        orders = np.uint64((row + LANES - 1) // LANES * LANES)
        if of_a:
            for m in range(orders):
                r, i = _diverged(table, row, m, at, low, high, raised, lowered, upright)
                use(c, u, n1, to, end, 0, at + m, shift + at + m, r)
                use(c, u, n1, to, end, 1, at + m, shift + at + m, i)
        else:
            for m in range(orders):
                to[0, at + m], to[1, at + m] = _diverged(
                    table, row, m, at, low, high, raised, lowered, upright
                )
