"""Normals in single precision, four from each block of random words, for games on spheres.

The generator is that of `meanfield.particles.noise`, with the counter

    (number of the pair of particles, tick, 2 k + player, replica),

where one block of four words now makes the normals of two particles in the coordinates 2k and 2k +
1: words a, b give the radii r = sqrt(-2 log((a + 1/2) 2^-32)) of the two, c and d their angles q
pi/2 + s pi 2^-31, q the upper two bits of a word and s the others, as a number with a sign.
Rounding changes r^2 by less than 3e-7 (1 + r^2) and angles by less than 3e-7, no normal exceeds
6.77: as if the temperature were off in its seventh digit. Each normal is a double afterwards, as is
all that follows. Half the words and half the width make these more than twice as fast as
normals in double precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.jit import apart, kernel, smaller
from meanfield.lanes import (
    Lanes,
    bits,
    chosen,
    counts,
    from_bits,
    fused,
    greater,
    load,
    reals,
    room,
    root,
    store,
    woven,
)
from meanfield.particles.simd.words import LANES, WIDE, coordinate_rounds, pair_rounds, words

BLOCK = 512  # numbers whose words stay in the first cache, a multiple of 2 WIDE
_COUNTERS = BLOCK // 2
_HALF_ROOT, _MANTISSA = int(np.float32(math.sqrt(0.5)).view(np.int32)), (1 << 23) - 1
_TOP = -(1 << 31)  # the sign's bit


@kernel(forceinline=True)
def _quotient(words: Lanes) -> tuple[Lanes, Lanes]:
    """(m - 1)/(m + 1) and e for u = (words + 1/2) 2^-32 = 2^e m, m in [sqrt(1/2), sqrt 2)."""
    shifted = bits(fused(counts(words), 2.0**-32, 2.0**-33)) - _HALF_ROOT
    e, m = reals(shifted >> 23), from_bits((shifted & _MANTISSA) + _HALF_ROOT)
    return (m - 1.0) / (m + 1.0), e


@kernel(forceinline=True)
def _radius(f: Lanes, e: Lanes) -> Lanes:
    """sqrt(-2 log u), log m = 2 artanh f."""
    z = f * f
    series = fused(fused(fused(fused(-4 / 9, z, -4 / 7), z, -4 / 5), z, -4 / 3), z, -4.0)
    return root(greater(fused(e, -2 * math.log(2.0), f * series), 0.0))


@kernel(forceinline=True)
def _pair(radii: Lanes, angles: Lanes) -> tuple[Lanes, Lanes]:
    """Radii, given by their bits, times cosine and sine of q pi/2 + r: two bits of an angle are its
    quarter q, the others r.
    """
    doubled = angles << 1
    r = reals(doubled << 1) * (math.pi / 4 * 2.0**-31)
    z = r * r
    s = fused(fused(fused(1 / 362880, z, -1 / 5040), z, 1 / 120), z, -1 / 6)
    c = fused(fused(fused(1 / 40320, z, -1 / 720), z, 1 / 24), z, -1 / 2)
    s, c = r * fused(s, z, 1.0), fused(c, z, 1.0)
    cosine = chosen(doubled, s, c) * from_bits(radii ^ ((angles ^ doubled) & _TOP))
    return cosine, chosen(doubled, c, s) * from_bits(radii ^ (angles & _TOP))


@kernel
def _quotients(made: Array, quotients: Array, count: int) -> None:
    """What `_quotient` makes of words."""
    apart()
    for n in range(0, count, LANES):
        f, e = _quotient(load(LANES, made, 0, n))
        store(f, quotients, 0, n)
        store(e, quotients, 1, n)


@kernel
def _radii(quotients: Array, made: Array, count: int) -> None:
    """Radii, by their bits, in the place of their words."""
    apart()
    for n in range(0, count, LANES):
        radii = _radius(load(LANES, quotients, 0, n), load(LANES, quotients, 1, n))
        store(bits(radii), made, 0, n)


@kernel
def _turns(made: Array, Z: Array, i: int, width: int) -> None:
    """Normals from these radii and the words of angles, into Z[:, i : i + width]."""
    apart()
    n = 0
    for row in range(0, len(Z), 2):
        for j in range(i, i + width, LANES):
            u, v = _pair(load(LANES, made, 0, n), load(LANES, made, 1, n))
            store(u, Z, row, j)
            store(v, Z, row + 1, j)
            n += LANES


@kernel
def _words(
    begun: Array, pairs: int, rows: int, stream: Any, tick: Any, key: Any, made: Array
) -> None:
    """Words of radii and of angles, made (2, 2 * rows * pairs or more); `stream` is the first
    row's.
    """
    apart()
    for r in range(rows):
        coordinate = coordinate_rounds(stream + np.uint64(2 * r), tick, key)
        for n in range(0, pairs, WIDE):
            a, b, c, d = words(begun, n, coordinate, key)
            store(woven(a, b), made, 0, 2 * (r * pairs + n))
            store(woven(c, d), made, 1, 2 * (r * pairs + n))


@kernel
def normals(
    Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int
) -> None:
    """Normals of particles first, ..., first + lanes - 1 (first even) in Z (rows, >= lanes), rows
    even. Short loops, as in `doubles`.
    """
    apart()
    made, begun = room(np.int32, 2, BLOCK), room(np.uint64, 3, _COUNTERS)
    quotients = room(np.float32, 2, BLOCK)
    for i in range(0, lanes, BLOCK):  # once, but for rows longer than any block
        width = smaller(BLOCK, lanes - i)
        rows = 2 if width < lanes else smaller(len(Z), BLOCK // width * 2)
        pair_rounds((first + i) // 2, width // 2, np.uint64(replica), key, begun)
        for k in range(0, len(Z), rows):
            end = smaller(k + rows, len(Z))
            twos = (end - k) // 2
            _words(begun, width // 2, twos, np.uint64(k + player), np.uint64(tick), key, made)
            _quotients(made, quotients, twos * width)
            _radii(quotients, made, twos * width)
            _turns(made, Z[k:end], i, width)
