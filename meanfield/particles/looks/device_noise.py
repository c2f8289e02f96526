"""The normals of `meanfield.particles.noise` and `meanfield.particles.simd.singles`, by the same
counters, on a graphics processor.

Doubles agree to rounding, for the device has sines and logarithms of its own; single normals to the
bit, for sums, products, quotients and roots in single precision are rounded alike everywhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda
from numba.core import config

F: Any = np.float32
_WORD, _SIGN = 0xFFFFFFFF, 0x80000000
_HALF_ROOT, _SPLIT = F(math.sqrt(0.5)), 2.0**-53

device = cuda.jit(device=True)


@device
def philox(q: int, tick: int, stream: int, replica: int, k0: int, k1: int) -> Any:
    """`simd.words` in 64-bit numbers, whose upper halves are cleared."""
    a, b, c, d = q & _WORD, tick & _WORD, stream, replica
    for _ in range(10):
        p, s = a * 0xD2511F53, c * 0xCD9E8D57
        a, b = ((s >> 32) & _WORD) ^ b ^ k0, s & _WORD
        c, d = ((p >> 32) & _WORD) ^ d ^ k1, p & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return a, b, c, d


@device
def box_muller(a: int, b: int, c: int, d: int) -> Any:
    """The normals of a pair of particles, as `noise` has them."""
    u = ((a >> 5) * 67108864.0 + ((b >> 6) + 1.0)) * _SPLIT
    angle = (2.0 * math.pi) * (((c >> 5) * 67108864.0 + (d >> 6)) * _SPLIT)
    radius = math.sqrt(-2.0 * math.log(u))
    return radius * math.cos(angle), radius * math.sin(angle)


if config.ENABLE_CUDASIM:  # whose fma rounds the product, too

    def fused(a: Any, b: Any, c: Any) -> Any:
        """a b + c in one rounding, in single precision; a product of two is exact in double."""
        return F(float(a) * float(b) + float(c))

else:

    @device
    def fused(a: Any, b: Any, c: Any) -> Any:
        """a b + c in one rounding, in single precision."""
        return cuda.fma(a, b, c)


@device
def single(word: int, turns: int) -> Any:
    """Two normals from a radius and an angle, to the bits of `simd.singles`."""
    u = fused(F(word), F(2.0**-32), F(2.0**-33))
    m, e = math.frexp(u)
    if F(m) < _HALF_ROOT:
        m, e = m + m, e - 1
    f = (F(m) - F(1.0)) / (F(m) + F(1.0))
    z = f * f
    s = fused(F(-4 / 9), z, F(-4 / 7))
    s = fused(fused(fused(s, z, F(-4 / 5)), z, F(-4 / 3)), z, F(-4.0))
    square = fused(F(e), F(-2 * math.log(2.0)), f * s)
    radius = math.sqrt(square if square > F(0.0) else F(0.0))
    turn = (turns << 2) & _WORD
    r = F(turn - 2 * (turn & _SIGN)) * F(math.pi / 4 * 2.0**-31)
    z = r * r
    s = fused(fused(F(1 / 362880), z, F(-1 / 5040)), z, F(1 / 120))
    s = r * fused(fused(s, z, F(-1 / 6)), z, F(1.0))
    c = fused(fused(F(1 / 40320), z, F(-1 / 720)), z, F(1 / 24))
    c = fused(fused(c, z, F(-1 / 2)), z, F(1.0))
    if turns & 0x40000000:
        s, c = c, s
    c = -c if (turns + 0x40000000) & _SIGN else c
    s = -s if turns & _SIGN else s
    return float(c * F(radius)), float(s * F(radius))
