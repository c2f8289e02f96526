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
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from meanfield.aligned import LINE
from meanfield.checks import Array
from meanfield.fastmath import ROUND, minus_log, turned
from meanfield.jit import apart, kernel, separate, smaller, together
from meanfield.particles.simd.vectors import BITS, DOUBLE, constant, place, room, vector
from meanfield.particles.simd.words import GROUP, LANES, drawn

PAIRS = 512  # done at a time, a multiple of the pairs of GROUP jobs
# Of these at once: one vector of 256 or 512 bits, more would stand on the stack; or four of 128.
AHEAD = 4 if BITS == 256 else 8


@intrinsic  # type: ignore[untyped-decorator]
def _uniforms(
    _: Any, u: Any, v: Any, n: Any, height: Any, lanes: Any, k: Any, i: Any, first: Any, tick: Any,
    player: Any, replica: Any, key: Any,
) -> Any:  # fmt: skip
    """Two uniforms for each pair of GROUP jobs from row k and place i on, into u and v from place n
    on; where the next job begins.
    """

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        *arrays, n, height, lanes = args[:5]
        _, w, after = drawn(b, (height, lanes), 1, args[5:])
        # 53 bits each; one is added to the first, so that it lies in (0, 1] and has a logarithm.
        uniforms = _uniform(b, w[0], w[1], 1.0), _uniform(b, w[2], w[3], 0.0)
        for kind, array, values in zip(signature.args, arrays, uniforms, strict=False):
            there = context.make_array(kind)(context, b, array).data
            b.store(values, place(b, there, n, values.type), align=LINE)
        return context.make_tuple(b, signature.return_type, after)

    word = types.int64
    return types.UniTuple(word, 2)(u, v, *[word] * 9, types.uint64), emit


def _uniform(b: Any, high: Any, low: Any, more: float) -> Any:
    """(high >> 5) 2^-27 + ((low >> 6) + more) 2^-53 for vectors of words.

    Bits of a word are those of a number that begins with the power of two which is taken away.
    """
    numbers = vector(DOUBLE, high.type.count)

    def digits(words: Any, mask: int, power: float, less: float) -> Any:
        begins = int(np.float64(power).view(np.int64))
        kept = b.and_(words, constant(words.type, mask))
        number = b.bitcast(b.or_(kept, constant(words.type, begins)), numbers)
        return b.fsub(number, constant(numbers, less))

    upper = digits(high, 0xFFFFFFE0, 2.0**20, 2.0**20)
    return b.fadd(upper, digits(low, 0xFFFFFFC0, 2.0**-7, 2.0**-7 - more * 2.0**-53))


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
    rows, lanes = Z.shape
    out, u, v, k, i = _flat(Z), room(PAIRS), room(PAIRS), 0, 0
    for begin in range(0, Z.size // 2, PAIRS):
        count = smaller(PAIRS, Z.size // 2 - begin)
        for n in range(0, count, LANES // 2 * GROUP):
            k, i = _uniforms(u, v, n, rows, lanes, k, i, first, tick, player, replica, key)
        _radii(u[:count])
        _turns(u[:count], v[:count], out[2 * begin :])


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
