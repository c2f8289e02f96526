"""Features of a block of lanes: cosines and sines of all modes on a torus, S x on a sphere.

One sine and one cosine an angle, and then multiplications: the powers of e^{iwx} four at a time
from the four before, and a mode in several angles as the product of one power an angle. The error
of the power m is below (m/4 + 4) 4e-16, that of rounding the phase w m x itself being m x 1e-16.
"""

from __future__ import annotations

import math

from meanfield.checks import Array
from meanfield.fastmath import sincos
from meanfield.jit import apart, fma, kernel, separate, smaller, together
from meanfield.lanes import fused, load, nothing, store, total
from meanfield.particles.players import Flag
from meanfield.particles.simd.product import TILE, complex_product, product, times
from meanfield.registers import BITS

# Angles at once: two vectors of 128 or 256 bits hide each other's delays, more do not fit.
AHEAD = 4 if BITS == 128 else 8
# Lanes of which five powers, and what a product of two needs, fit in registers.
HELD = 8 if BITS == 512 else 4


@kernel
def features(
    sphere: Flag,
    matrix: Array,
    period: float,
    modes: Array,
    top: Array,
    x: Array,
    P: Array,
    F: Array,
) -> None:
    """F (2J, lanes): cosines, then sines of the modes at a block x (a, lanes); F = S x on a sphere.

    P (rows, lanes) is for the powers up to top (a,). Where it has no rows the modes are a ladder 0,
    1, ... or 1, 2, ... in one angle, powers themselves (top[0] >= 0), or too high and too few for
    powers: then every phase is taken by itself.
    """
    apart()
    if len(sphere) > 0:
        if len(matrix) > 1:
            product(matrix, x, F)
            return
        for k in range(len(x)):
            for i in range(x.shape[1]):
                F[k, i] = matrix[0, k] * x[k, i]
        return
    wave = 2 * math.pi / period
    J = len(modes)
    if len(P) == 0 and top[0] >= 0:
        powers(wave, modes[0, 0], J, x[0], F)
        return
    if len(P) == 0:
        for j in range(J):
            phases(matrix, j, x, F[j], F[J + j])
        return
    base = 0
    for a in range(len(x)):
        powers(wave, 0, top[a] + 1, x[a], P[base : base + 2 * (top[a] + 1)])
        base += 2 * (top[a] + 1)
    for j in range(J):
        base = 0
        for a in range(len(x)):
            k, rows = modes[j, a], top[a] + 1
            size, sign = base + abs(k), 1.0 if k >= 0 else -1.0
            for i in range(0, x.shape[1], TILE):
                if a == 0:
                    times(
                        P, size, size + rows, sign, P, 0, rows, F, j, J + j, i
                    )  # row 0 of cosines is 1
                else:
                    times(P, size, size + rows, sign, F, j, J + j, F, j, J + j, i)
            base += 2 * rows


@kernel
def phases(matrix: Array, j: int, x: Array, c: Array, s: Array) -> None:
    """Cosine and sine of waves_j . x for a block x (a, lanes)."""
    for i in range(len(c)):
        c[i] = 0.0
    for a in range(len(x)):
        for i in range(len(c)):
            c[i] = fma(matrix[j, a], x[a, i], c[i])
    circle(c, s)


@kernel
def circle(c: Array, s: Array) -> None:
    """Cosines of angles c, in their place, and their sines."""
    separate()
    for i in range(len(c)):
        together(AHEAD)
        s[i], c[i] = sincos(c[i])


@kernel
def powers(wave: float, first: int, count: int, x: Array, P: Array) -> None:
    """Cosines of m wave x for m = first (0 or 1), first + 1, ... in `count` rows of P, then their
    sines.
    """
    apart()
    n, R = len(x), count
    if first == 0:
        for i in range(n):
            P[0, i], P[R, i] = 1.0, 0.0
    one = 1 - first
    if one >= R:
        return
    for i in range(n):
        together(8)
        P[one, i] = wave * x[i]
    circle(P[one], P[R + one])
    done = one + 1
    if R - one >= 4:
        done += (R - one) // 4 * 4 - 1
        climb(P, one, R, done)
    for r in range(done, R):
        h = 4 if r >= one + 4 else (r - one + 1) // 2  # the power m = r - one + 1 from m - h
        for i in range(0, n, TILE):
            times(P, one + h - 1, R + one + h - 1, 1.0, P, r - h, R + r - h, P, r, R + r, i)


@kernel
def climb(P: Array, one: int, R: int, end: int) -> None:
    """The powers in rows one + 1, ..., end - 1 from those in row one, four at a time, which stay in
    registers and are multiplied by the fourth: what a product reads were stored a moment ago.
    """
    for i in range(0, P.shape[1], HELD):
        a, p = load(HELD, P, one, i), load(HELD, P, R + one, i)
        b, q = complex_product(a, p, a, p)
        c, r = complex_product(a, p, b, q)
        d, s = complex_product(b, q, b, q)
        f, g = d, s
        for k in range(one, end, 4):
            if k > one:
                a, p = complex_product(f, g, a, p)
                b, q = complex_product(f, g, b, q)
                c, r = complex_product(f, g, c, r)
                d, s = complex_product(f, g, d, s)
            store(a, P, k, i)
            store(p, P, R + k, i)
            store(b, P, k + 1, i)
            store(q, P, R + k + 1, i)
            store(c, P, k + 2, i)
            store(r, P, R + k + 2, i)
            store(d, P, k + 3, i)
            store(s, P, R + k + 3, i)


# Sums over lanes are eight sums side by side, then halves added to each other, however wide a
# register is; by itself the compiler may not reorder them, and would add one number at a time.
EIGHT = 8


@kernel
def add_means(F: Array, w: Array, m: Array) -> None:
    """m (K,) += F w for F (K, lanes), four rows at a time; rows past the last repeat it."""
    apart()
    last = len(F) - 1
    for k in range(0, len(F), 4):
        l, n, q = smaller(k + 1, last), smaller(k + 2, last), smaller(k + 3, last)
        r = s = t = u = nothing(EIGHT)
        for i in range(0, F.shape[1], EIGHT):
            v = load(EIGHT, w, 0, i)
            r, s = fused(v, load(EIGHT, F, k, i), r), fused(v, load(EIGHT, F, l, i), s)
            t, u = fused(v, load(EIGHT, F, n, i), t), fused(v, load(EIGHT, F, q, i), u)
        a, b, c, d = m[k] + total(r), m[l] + total(s), m[n] + total(t), m[q] + total(u)
        m[k], m[l], m[n], m[q] = a, b, c, d


@kernel
def add_coordinates(squares: bool, x: Array, w: Array, m: Array) -> None:
    """m += means of the coordinates of a block x (d, lanes) and, where asked for, of their squares,
    two rows at a time.
    """
    apart()
    if not squares:
        add_means(x, w, m)
        return
    d = len(x)
    for k in range(0, d, 2):
        l = smaller(k + 1, d - 1)
        r = s = t = u = nothing(EIGHT)
        for i in range(0, x.shape[1], EIGHT):
            v, a, b = load(EIGHT, w, 0, i), load(EIGHT, x, k, i), load(EIGHT, x, l, i)
            r, s = fused(v, a, r), fused(v, b, s)
            t, u = fused(v, a * a, t), fused(v, b * b, u)
        p, q, g, h = m[k] + total(r), m[l] + total(s), m[d + k] + total(t), m[d + l] + total(u)
        m[k], m[l], m[d + k], m[d + l] = p, q, g, h


@kernel
def dot(u: Array, v: Array) -> float:
    """sum of u v over lanes."""
    s = nothing(EIGHT)
    for i in range(0, len(u), EIGHT):
        s = fused(load(EIGHT, u, 0, i), load(EIGHT, v, 0, i), s)
    return total(s)  # type: ignore[no-any-return]
