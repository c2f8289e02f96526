"""Means and forces of modes 0, 1, ... or 1, 2, ... in one angle t, without a table of features.

Both come from z = e^{it}: the means of its powers by multiplying, forces by Horner's rule. Either
keeps a few rows of lanes alone. To write a table of all cosines and sines, and to read it for means
and for forces, takes longer than to compute them twice.
"""

from __future__ import annotations

import math

from meanfield.checks import Array
from meanfield.jit import apart, kernel
from meanfield.lanes import Lanes, fused, load, nothing, store, total
from meanfield.particles.looks.features import EIGHT, circle
from meanfield.particles.players import Flag
from meanfield.particles.simd.product import complex_product
from meanfield.registers import BITS

# Lanes at a time of forces: two sums and the square, complex numbers, stay in registers.
WIDTH = 16 if BITS == 512 else 8


@kernel
def is_ladder(sphere: Flag, modes: Array, top: Array, P: Array) -> bool:
    """Whether modes are such and more than one, of which `looks.modes.modes` keeps no powers P."""
    return len(sphere) == 0 and len(modes) > 1 and len(P) == 0 and top[0] >= 0


@kernel
def on_circle(period: float, x: Array, c: Array, s: Array) -> None:
    """Cosine and sine of t = 2 pi x / period."""
    wave = 2 * math.pi / period
    for i in range(len(x)):
        c[i] = wave * x[i]
    circle(c, s)


@kernel
def add_powers(
    c: Array, s: Array, w: Array, first: int, h: Array, u: Array, v: Array, m: Array
) -> None:
    """m[j], m[J + j] += sum of w cos(k t), of w sin(k t), k = first + j, for J modes.

    Two powers at a time: h (2, lanes) holds w z^k and is multiplied by z^2 = u + i v. The error of
    the power k is below (k/2 + 4) 4e-16.
    """
    apart()
    J, lanes = len(m) // 2, len(c)
    for i in range(0, lanes, EIGHT):
        a, p, weights = load(EIGHT, c, 0, i), load(EIGHT, s, 0, i), load(EIGHT, w, 0, i)
        squared, doubled = complex_product(a, p, a, p)
        store(squared, u, 0, i)
        store(doubled, v, 0, i)
        store(weights if first == 0 else weights * a, h, 0, i)
        store(nothing(EIGHT) if first == 0 else weights * p, h, 1, i)
    for j in range(0, J, 2):
        f = g = y = z = nothing(EIGHT)  # real and imaginary parts of one power and of the next
        for i in range(0, lanes, EIGHT):
            a, p = load(EIGHT, h, 0, i), load(EIGHT, h, 1, i)
            b, q = complex_product(a, p, load(EIGHT, c, 0, i), load(EIGHT, s, 0, i))
            f, g, y, z = f + a, g + p, y + b, z + q
            a, p = complex_product(a, p, load(EIGHT, u, 0, i), load(EIGHT, v, 0, i))
            store(a, h, 0, i)
            store(p, h, 1, i)
        m[j] += total(f)
        m[J + j] += total(g)
        if j + 1 < J:
            m[j + 1] += total(y)
            m[J + j + 1] += total(z)


@kernel
def series(a: Array, first: int, c: Array, s: Array, out: Array) -> None:
    """out = sum over j of a[j] cos(k t) + a[J + j] sin(k t), k = first + j, for J > 1 modes.

    The real part of sum (a[j] + i a[J + j]) y^k, y = c - i s, by Horner's rule in y^2 = u + i v for
    the j of either parity, two chains that hide each other's delays.
    """
    apart()
    J = len(a) // 2
    for i in range(0, len(out), WIDTH):
        x, y = load(WIDTH, c, 0, i), -load(WIDTH, s, 0, i)
        u, v = complex_product(x, y, x, y)
        p, q = nothing(WIDTH) + a[J - 1], nothing(WIDTH) + a[2 * J - 1]
        r, t = nothing(WIDTH) + a[J - 2], nothing(WIDTH) + a[2 * J - 2]
        for j in range(J - 3, 0, -2):
            p, q = _next(p, q, u, v, a[j], a[J + j])
            r, t = _next(r, t, u, v, a[j - 1], a[J + j - 1])
        if J % 2 == 1:
            p, q = _next(p, q, u, v, a[0], a[J])
            p, q, r, t = r, t, p, q
        p, q = fused(p, x, fused(-q, y, r)), fused(p, y, fused(q, x, t))
        store(p if first == 0 else fused(p, x, -(q * y)), out, 0, i)


@kernel(forceinline=True)
def _next(p: Lanes, q: Lanes, u: Lanes, v: Lanes, a: float, b: float) -> tuple[Lanes, Lanes]:
    """(p + i q) (u + i v) + a + i b."""
    return fused(p, u, fused(-q, v, a)), fused(p, v, fused(q, u, b))
