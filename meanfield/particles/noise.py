"""Counter-based noise: any normal of any run can be had by its number alone.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
maps a counter of four 32-bit words to four random ones under a 64-bit key, the seed. Here

    counter = (number of the pair of particles, tick, 2 * coordinate + player, replica),

and Box-Muller makes its two 53-bit uniforms into the normals of particles 2q and 2q + 1. A tick is
one step of the Euler scheme or half a step of the Strang scheme. So the noise of a particle depends
neither on threads, nor on what was run before, nor on how many other particles there are.

With `refine` = r the normal of tick t is (sum_{j < r} xi_{r t + j}) / sqrt(r): a run with step h
and refine 2 follows the Brownian path of a run with step h/2 and refine 1, and an Euler run with
refine 2r that of a Strang run with refine r. What differs between them is the bias of the time
step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from meanfield.checks import Array
from meanfield.fastmath import ROUND, minus_log, turned
from meanfield.jit import apart, kernel, separate, smaller, together
from meanfield.particles.simd.lanes import BITS, Lanes, from_bits, room, store
from meanfield.particles.simd.words import WIDE, number, words

PAIRS = 512  # done at a time, a multiple of WIDE
# Of these at once: one vector of 256 or 512 bits, more would stand on the stack; or four of 128.
AHEAD = 4 if BITS == 256 else 8


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
def _radii(u: Array) -> None:
    """Radii for uniforms, in their place."""
    apart()
    for q in range(len(u)):
        together(AHEAD)
        u[q] = math.sqrt(2.0 * minus_log(u[q]))


@kernel
def _turns(radii: Array, v: Array, out: Array) -> None:
    """Pairs of normals, one after another, for radii and uniforms, of which angles are made."""
    separate()
    for q in range(len(v)):
        together(AHEAD)
        radius, quarters = radii[q], 4.0 * v[q]
        shifted = quarters + ROUND
        sine, cosine = turned((quarters - (shifted - ROUND)) * (math.pi / 2), shifted)
        out[2 * q] = radius * cosine
        out[2 * q + 1] = radius * sine


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
def _rows(Z: Array, first: int, tick: int, player: int, replica: int, key: int) -> None:
    """Box-Muller in three loops over pairs that stay in the first cache: in one, what a number
    waits for is longer than what a processor looks ahead.
    """
    apart()
    out, half = _flat(Z), Z.shape[1] // 2
    counters, uniforms = room(np.uint64, 2, PAIRS), room(np.float64, 2, PAIRS)
    u, v = uniforms[0], uniforms[1]
    for i in range(0, half, PAIRS):  # once, but for rows longer than any block
        pairs = smaller(PAIRS, half - i)
        rows = 1 if pairs < half else smaller(len(Z), PAIRS // pairs)
        number(first // 2 + i, pairs, rows, counters)
        for k in range(0, len(Z), rows):
            count = pairs * smaller(rows, len(Z) - k)
            stream = np.uint64(2 * k + player)
            for n in range(0, count, WIDE):
                a, b, c, d = words(counters, n, np.uint64(tick), stream, np.uint64(replica), key)
                # One is added to the first, so that it lies in (0, 1] and has a logarithm.
                store(_uniform(a, b, 1.0), uniforms, 0, n)
                store(_uniform(c, d, 0.0), uniforms, 1, n)
            _radii(u[:count])
            _turns(u[:count], v[:count], out[2 * (k * half + i) :])


@kernel
def fill(Z: Array, first: int, tick: int, player: int, replica: int, key: int, refine: int) -> None:
    """Standard normals of particles first, first + 1, ... in all coordinates, the rows of Z.

    `first` is even, the length of rows a multiple of LANES; rows are short, so what can is done
    over all of them at once. With refine > 1 coordinates are the upper half of the rows, the lower
    one is room.
    """
    if refine == 1:
        _rows(Z, first, tick, player, replica, key)
        return
    rows = len(Z) // 2
    _rows(Z[:rows], first, tick * refine, player, replica, key)
    for j in range(1, refine):
        _rows(Z[rows:], first, tick * refine + j, player, replica, key)
        for k in range(rows):
            for i in range(Z.shape[1]):
                Z[k, i] += Z[rows + k, i]
    for k in range(rows):
        for i in range(Z.shape[1]):
            Z[k, i] /= math.sqrt(refine)


def initial_generator(seed: int, replica: int, player: int) -> np.random.Generator:
    """numpy's generator for the starting points of one player of one replica (Philox4x64, so no
    overlap).
    """
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, 2 * replica + player], dtype=np.uint64))
    )
