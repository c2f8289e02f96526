"""Normals in double precision, two from each block of random words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from meanfield.checks import Array
from meanfield.fastmath import ROUND, log_begun, minus_log_ended, sincos_near_zero, turned
from meanfield.jit import apart, kernel, separate, smaller, together
from meanfield.lanes import Lanes, from_bits, room, store
from meanfield.particles.simd.words import WIDE, coordinate_rounds, pair_rounds, words
from meanfield.registers import BITS

PAIRS = 512  # done at a time, a multiple of WIDE
# Of these at once: more than a vector of 256 bits or two of 128 would not stay in registers.
AHEAD = 8 if BITS == 512 else 4


# What the first bits of a number are that begins with this power of two.
_UPPER, _LOWER = (np.float64(2.0**k).view(np.uint64) for k in (20, -7))
_HIGH, _LOW = np.uint64(0xFFFFFFE0), np.uint64(0xFFFFFFC0)


@kernel(forceinline=True)
def _uniform(high: Lanes, low: Lanes, more: float) -> Lanes:
    """(high >> 5) 2^-27 + ((low >> 6) + more) 2^-53 for vectors of words.

    Bits of a word are those of a number that begins with the power of two which is taken away.
    """
    upper, lower = from_bits(high & _HIGH | _UPPER), from_bits(low & _LOW | _LOWER)
    return (upper - 2.0**20) + (lower - (2.0**-7 - more * 2.0**-53))


@kernel
def _quotients(u: Array, e: Array) -> None:
    """For u = 2^e m, m in [sqrt(1/2), sqrt 2): (m - 1)/(m + 1) in the place of u, and e."""
    separate()
    for q in range(len(u)):
        together(AHEAD)
        u[q], e[q] = log_begun(u[q])


@kernel
def _radii(f: Array, e: Array) -> None:
    """Radii sqrt(-2 log u) in the place of the quotients."""
    separate()
    for q in range(len(f)):
        together(AHEAD)
        f[q] = math.sqrt(2.0 * minus_log_ended(f[q], e[q]))


@kernel
def _angles(v: Array, r: Array) -> None:
    """For uniforms of angles 2 pi v = q pi/2 + r: r, and q in the place of v as `turned` has it."""
    separate()
    for q in range(len(v)):
        together(AHEAD)
        quarters = 4.0 * v[q]
        v[q] = quarters + ROUND
        r[q] = (quarters - (v[q] - ROUND)) * (math.pi / 2)


@kernel
def _circle(s: Array, c: Array) -> None:
    """Sines of small angles, in their place, and cosines."""
    separate()
    for q in range(len(s)):
        together(AHEAD)
        s[q], c[q] = sincos_near_zero(s[q])


@kernel
def _turns(radii: Array, v: Array, s: Array, c: Array, out: Array) -> None:
    """Pairs of normals, one after another."""
    separate()
    for q in range(len(v)):
        together(AHEAD)
        sine, cosine = turned(s[q], c[q], v[q])
        out[2 * q] = radii[q] * cosine
        out[2 * q + 1] = radii[q] * sine


@intrinsic  # type: ignore[untyped-decorator]
def _flat(_: Any, Z: Any) -> Any:
    """All rows of Z as one. numba's reshape is another kernel."""
    if Z.layout != "C":
        return None

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        rows = context.make_array(signature.args[0])(context, b, args[0])
        found = context.make_array(signature.return_type)(context, b)
        sizes = {"shape": [rows.nitems], "strides": [rows.itemsize], "itemsize": rows.itemsize}
        held = {"meminfo": rows.meminfo, "parent": rows.parent}
        populate_array(found, data=rows.data, **sizes, **held)
        return found._getvalue()

    return Z.copy(ndim=1)(Z), emit


@kernel
def _uniforms(
    begun: Array, pairs: int, rows: int, stream: Any, tick: Any, key: Any, made: Array
) -> None:
    """Two uniforms for each pair in so many rows, made (2 or more, rows * pairs or more); `stream`
    is the first row's.
    """
    apart()
    for r in range(rows):
        coordinate = coordinate_rounds(stream + np.uint64(2 * r), tick, key)
        for n in range(0, pairs, WIDE):
            a, b, c, d = words(begun, n, coordinate, key)
            # One is added to the first, so that it lies in (0, 1] and has a logarithm.
            store(_uniform(a, b, 1.0), made, 0, r * pairs + n)
            store(_uniform(c, d, 0.0), made, 1, r * pairs + n)


@kernel
def normals(Z: Array, first: int, tick: int, player: int, replica: int, key: int) -> None:
    """Normals of particles first, first + 1, ... (first even) in all coordinates, the rows of Z.

    Box-Muller in short loops over pairs that stay in the first cache: in one, what a number waits
    for is longer than what a processor looks ahead. Rows are short, so what can is done over
    several of them at once.
    """
    apart()
    out, half = _flat(Z), Z.shape[1] // 2
    begun, made = room(np.uint64, 3, PAIRS), room(np.float64, 4, PAIRS)
    for i in range(0, half, PAIRS):  # once, but for rows longer than any block
        pairs = smaller(PAIRS, half - i)
        rows = 1 if pairs < half else smaller(len(Z), PAIRS // pairs)
        pair_rounds(first // 2 + i, pairs, np.uint64(replica), key, begun)
        for k in range(0, len(Z), rows):
            several = smaller(rows, len(Z) - k)
            stream, count = np.uint64(2 * k + player), several * pairs
            _uniforms(begun, pairs, several, stream, np.uint64(tick), key, made)
            u, v, s, c = made[0, :count], made[1, :count], made[2, :count], made[3, :count]
            _quotients(u, s)
            _radii(u, s)
            _angles(v, s)
            _circle(s, c)
            _turns(u, v, s, c, out[2 * (k * half + i) :])
