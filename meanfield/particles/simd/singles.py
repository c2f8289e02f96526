"""Normals in single precision, four from each block of random words, for games on spheres.

The generator is that of `meanfield.particles.noise`, with the counter

    (number of the pair of particles, tick, 2 k + player, replica),

where one block of four words now makes the normals of two particles in the coordinates 2k and 2k +
1: words a, b give the radii r = sqrt(-2 log((a + 1/2) 2^-32)) of the two, c and d their angles.
Rounding changes r^2 by less than 2e-7 (1 + r^2) and angles by less than 3e-7, no normal exceeds
6.77: as if the temperature were off in its seventh digit. Each normal is a double afterwards, as is
all that follows. Half the words and half the width make these more than three times as fast as
normals in double precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meanfield.checks import Array
from meanfield.jit import apart, kernel
from meanfield.particles.simd.vectors import (
    DOUBLE,
    FLOAT,
    INT,
    LARGE,
    WORD,
    called,
    constant,
    everywhere,
    fused,
    joined,
    pick,
    place,
    vector,
)

LANES = 16  # particles at a time, of one pair of coordinates: a job
# Jobs at a time, to hide the delays of one another; with small registers they would stand on the
# stack. The normals do not depend on it.
JOBS = 4 if LARGE else 1
_WIDTH = JOBS * LANES
_WORDS, _INTS, _FLOATS = vector(WORD, _WIDTH // 2), vector(INT, _WIDTH), vector(FLOAT, _WIDTH)
_HALF_ROOT = int(np.float32(math.sqrt(0.5)).view(np.int32))
_KEYS = (0x9E3779B9, 0xBB67AE85)


def _philox(b: Any, counter: list[Any], key: Any) -> list[Any]:
    """Ten rounds on words that stand in the lower halves of 64 bits; what is above them is of no
    account.
    """
    narrow = vector(INT, _WIDTH // 2)
    low, shift = ir.Constant(WORD, 0xFFFFFFFF), constant(_WORDS, 32)
    keys = [b.and_(key, low), b.lshr(key, ir.Constant(WORD, 32))]
    c0, c1, c2, c3 = counter
    for r in range(10):
        k, m = (
            everywhere(b, b.add(v, ir.Constant(WORD, r * w % 2**32)), _WIDTH // 2)
            for v, w in zip(keys, _KEYS, strict=True)
        )
        # Taken apart and put together, so that the compiler sees products of 32 bits.
        p = b.mul(b.zext(b.trunc(c0, narrow), _WORDS), constant(_WORDS, 0xD2511F53))
        q = b.mul(b.zext(b.trunc(c2, narrow), _WORDS), constant(_WORDS, 0xCD9E8D57))
        c0, c1, c2, c3 = (
            b.xor(b.xor(b.lshr(q, shift), c1), k),
            q,
            b.xor(b.xor(b.lshr(p, shift), c3), m),
            p,
        )
    return [c0, c1, c2, c3]


def _woven(b: Any, u: Any, v: Any) -> Any:
    """The lower halves of two vectors of 64 bits in turn."""
    return pick(
        b,
        b.bitcast(u, _INTS),
        b.bitcast(v, _INTS),
        [i if i % 2 == 0 else _WIDTH + i - 1 for i in range(_WIDTH)],
    )


def _series(b: Any, z: Any, coefficients: list[float]) -> Any:
    found = constant(_FLOATS, _single(coefficients[0]))
    for c in coefficients[1:]:
        found = fused(b, found, z, constant(_FLOATS, _single(c)))
    return found


def _single(value: float) -> float:
    return float(np.float32(value))


def _radii(b: Any, words: Any) -> Any:
    """sqrt(-2 log u), u = (words + 1/2) 2^-32 = 2^e m, log m = 2 artanh((m - 1)/(m + 1))."""
    u = fused(b, b.uitofp(words, _FLOATS), constant(_FLOATS, 2.0**-32), constant(_FLOATS, 2.0**-33))
    bits, root, one = b.bitcast(u, _INTS), constant(_INTS, _HALF_ROOT), constant(_FLOATS, 1.0)
    bits = b.sub(bits, root)
    e = b.sitofp(b.ashr(bits, constant(_INTS, 23)), _FLOATS)
    m = b.bitcast(b.add(b.and_(bits, constant(_INTS, (1 << 23) - 1)), root), _FLOATS)
    f = b.fdiv(b.fsub(m, one), b.fadd(m, one))
    t = b.fmul(f, _series(b, b.fmul(f, f), [-4 / 9, -4 / 7, -4 / 5, -4 / 3, -4.0]))
    square = fused(b, e, constant(_FLOATS, _single(-2 * math.log(2.0))), t)
    return called(b, "sqrt", called(b, "maxnum", square, constant(_FLOATS, 0.0)))


def _normals(b: Any, words: Any, angles: Any) -> tuple[Any, Any]:
    """Radii times cosine and sine of q pi/2 + r: two bits of an angle are its quarter q, the others
    r.
    """
    radius = b.bitcast(_radii(b, words), _INTS)
    turn = b.sitofp(b.shl(angles, constant(_INTS, 2)), _FLOATS)
    r = b.fmul(turn, constant(_FLOATS, _single(math.pi / 4 * 2.0**-31)))
    z = b.fmul(r, r)
    s = b.fmul(r, _series(b, z, [1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1.0]))
    c = _series(b, z, [1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1.0])
    quarter, top = constant(_INTS, 1 << 30), constant(_INTS, 1 << 31)
    odd = b.icmp_signed("!=", b.and_(angles, quarter), constant(_INTS, 0))
    cosine, sine = b.select(odd, s, c), b.select(odd, c, s)
    minus_cosine, minus_sine = b.and_(b.add(angles, quarter), top), b.and_(angles, top)
    return tuple(
        b.fmul(v, b.bitcast(b.xor(radius, sign), _FLOATS))
        for v, sign in ((cosine, minus_cosine), (sine, minus_sine))
    )  # type: ignore[return-value]


@intrinsic  # type: ignore[untyped-decorator]
def _jobs(
    _: Any, Z: Any, k: Any, i: Any, lanes: Any, first: Any, tick: Any, player: Any, replica: Any,
    key: Any,
) -> Any:  # fmt: skip
    """Normals of JOBS jobs from row k and place i on; where the next ones begin.

    Those of a job stand in Z[k, i : i + LANES] and Z[k + 1, i : i + LANES], k even. Past the end
    the last row's are made once more.
    """
    if Z.layout != "C" or Z.ndim != 2 or Z.dtype != types.float64:
        return None
    word = types.int64
    given = Z, word, word, word, word, word, word, word, types.uint64
    return types.UniTuple(word, 2)(*given), _emit


def _emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
    Z = context.make_array(signature.args[0])(context, b, args[0])
    k, i, lanes, first, tick, player, replica, key = args[1:]
    (height, width), half = cgutils.unpack_tuple(b, Z.shape), LANES // 2
    last, jobs = b.sub(height, ir.Constant(WORD, 2)), []
    for _ in range(JOBS):
        jobs.append((b.select(b.icmp_signed("<", k, last), k, last), i))
        i = b.add(i, ir.Constant(WORD, LANES))
        inside = b.icmp_signed("<", i, lanes)
        i = b.select(inside, i, ir.Constant(WORD, 0))
        k = b.select(inside, k, b.add(k, ir.Constant(WORD, 2)))
    steps = constant(vector(WORD, half), range(half))
    pairs = [
        b.add(everywhere(b, b.lshr(b.add(first, at), ir.Constant(WORD, 1)), half), steps)
        for _, at in jobs
    ]
    streams = [everywhere(b, b.add(row, player), half) for row, _ in jobs]
    counter = [joined(b, pairs), everywhere(b, tick, _WIDTH // 2), joined(b, streams)]
    w = _philox(b, [*counter, everywhere(b, replica, _WIDTH // 2)], key)
    both = _normals(b, _woven(b, w[0], w[1]), _woven(b, w[2], w[3]))
    none = ir.Constant(_FLOATS, ir.Undefined)
    for j, (row, at) in enumerate(jobs):
        for r, values in enumerate(both):
            part = pick(b, values, none, range(LANES * j, LANES * (j + 1)))
            part = b.fpext(part, vector(DOUBLE, LANES))
            there = b.add(b.mul(b.add(row, ir.Constant(WORD, r)), width), at)
            b.store(part, place(b, Z.data, there, part.type), align=8)
    return context.make_tuple(b, signature.return_type, (k, i))


@kernel
def _once(Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int) -> None:
    """Normals of particles first, ..., first + lanes - 1 (first even) in Z (rows, >= lanes), rows
    even.
    """
    apart()
    k, i = 0, 0
    for _ in range(0, len(Z) // 2 * (lanes // LANES), JOBS):
        k, i = _jobs(Z, k, i, lanes, first, tick, player, replica, key)


@kernel
def singles(
    Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int, refine: int
) -> None:
    """Standard normals of `lanes` particles (a multiple of LANES) from `first` (even) in the rows
    of Z.

    With refine = 1 all rows are coordinates, an even number; otherwise the upper half is, the lower
    one is room.
    """
    if refine == 1:
        _once(Z, lanes, first, tick, player, replica, key)
        return
    rows = len(Z) // 2
    _once(Z[:rows], lanes, first, tick * refine, player, replica, key)
    for j in range(1, refine):
        _once(Z[rows:], lanes, first, tick * refine + j, player, replica, key)
        for k in range(rows):
            for i in range(lanes):
                Z[k, i] += Z[rows + k, i]
    for k in range(rows):
        for i in range(lanes):
            Z[k, i] /= math.sqrt(refine)


def rows(coordinates: int, refine: int) -> int:
    """Rows of Z that `singles` needs."""
    even = coordinates + coordinates % 2
    return even if refine == 1 else 2 * even
