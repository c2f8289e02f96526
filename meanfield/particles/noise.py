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
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from meanfield.checks import Array
from meanfield.fastmath import ROUND, minus_log, turned
from meanfield.jit import apart, kernel
from meanfield.particles.simd.vectors import INT, WORD

Word = np.uint32
_U32, _U64 = np.uint32, np.uint64
_32 = _U64(32)
_FACTORS, _KEYS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)


@intrinsic  # type: ignore[untyped-decorator]
def _philox(_: Any, c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    return types.UniTuple(types.uint32, 4)(*[types.uint32] * 6), _rounds


def _rounds(context: Any, b: Any, signature: Any, args: Any) -> Any:
    c0, c1, c2, c3 = args[:4]
    for r in range(10):
        k0, k1 = (
            b.add(k, ir.Constant(INT, r * w % 2**32)) for k, w in zip(args[4:], _KEYS, strict=True)
        )
        p, q = (
            b.mul(b.zext(c, WORD), ir.Constant(WORD, m))
            for c, m in zip((c0, c2), _FACTORS, strict=True)
        )
        high, higher = (b.trunc(b.lshr(v, ir.Constant(WORD, 32)), INT) for v in (p, q))
        c0, c1 = b.xor(b.xor(higher, c1), k0), b.trunc(q, INT)
        c2, c3 = b.xor(b.xor(high, c3), k1), b.trunc(p, INT)
    return context.make_tuple(b, signature.return_type, [c0, c1, c2, c3])


@kernel(forceinline=True)
def philox(
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """Ten rounds of Philox4x32 on uint32 words, written out: compilers do not vectorise over a loop
    of rounds.
    """
    return _philox(c0, c1, c2, c3, k0, k1)  # type: ignore[no-any-return]


@kernel
def _uniforms(out: Array, first: int, tick: int, stream: int, replica: int, key: int) -> None:
    """Two uniforms for each of the pairs first, first + 1, ... in `out`, whose length is even."""
    apart()
    k0, k1 = _U32(key), _U32(_U64(key) >> _32)
    c0, c1, c2, c3 = np.int32(first), _U32(tick), _U32(stream), _U32(replica)
    for q in range(len(out) // 2):
        a, b, c, d = philox(_U32(c0 + q), c1, c2, c3, k0, k1)
        # 53 bits each; one is added to the first, so that it lies in (0, 1] and has a logarithm.
        out[2 * q] = (np.int32(a >> 5) * 67108864.0 + (np.int32(b >> 6) + 1.0)) * 2.0**-53
        out[2 * q + 1] = (np.int32(c >> 5) * 67108864.0 + np.int32(d >> 6)) * 2.0**-53


@kernel
def _box_muller(out: Array) -> None:
    """Pairs of uniforms to pairs of normals."""
    apart()
    # One loop: written by itself every other number would go to memory one by one.
    for q in range(len(out) // 2):
        radius, quarters = math.sqrt(2.0 * minus_log(out[2 * q])), 4.0 * out[2 * q + 1]
        whole = (quarters + ROUND) - ROUND
        sine, cosine = turned((quarters - whole) * (math.pi / 2), whole)
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
    apart()
    for k in range(len(Z)):
        _uniforms(Z[k], first // 2, tick, 2 * k + player, replica, key)
    _box_muller(_flat(Z))


@kernel
def fill(Z: Array, first: int, tick: int, player: int, replica: int, key: int, refine: int) -> None:
    """Standard normals of particles first, first + 1, ... in all coordinates, the rows of Z.

    `first` and the length of rows are even; rows are short, so what can is done over all of them at
    once. With refine > 1 coordinates are the upper half of the rows, the lower one is room.
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
