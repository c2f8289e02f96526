"""Normals in single precision, four from each block of random words, for games on spheres.

The generator is that of `meanfield.particles.noise`, with the counter

    (number of the pair of particles, tick, 2 k + player, replica),

where one block of four words now makes the normals of two particles in the coordinates 2k and 2k +
1: words a, b give the radii r = sqrt(-2 log((a + 1/2) 2^-32)) of the two, c and d their angles.
Rounding changes r^2 by less than 2e-7 (1 + r^2) and angles by less than 3e-7, no normal exceeds
6.77: as if the temperature were off in its seventh digit. Each normal is a double afterwards, as is
all that follows. Half the words and half the width make these more than twice as fast as
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

from meanfield.aligned import LINE
from meanfield.checks import Array
from meanfield.jit import apart, kernel, smaller
from meanfield.particles.simd.vectors import (
    DOUBLE,
    FLOAT,
    INT,
    WORD,
    called,
    constant,
    fused,
    room,
    vector,
)
from meanfield.particles.simd.words import GROUP, LANES, drawn, places, spread, woven

JOBS = 64  # whose words stand in the first cache, a multiple of GROUP
_ROOM = JOBS * LANES  # doubles, each of which holds two words
_INTS, _FLOATS = vector(INT, LANES), vector(FLOAT, LANES)
_HALF_ROOT = int(np.float32(math.sqrt(0.5)).view(np.int32))


def _series(b: Any, z: Any, coefficients: list[float]) -> Any:
    found = constant(_FLOATS, _single(coefficients[0]))
    for c in coefficients[1:]:
        found = fused(b, found, z, constant(_FLOATS, _single(c)))
    return found


def _single(value: float) -> float:
    return float(np.float32(value))


def _lengths(b: Any, words: Any) -> Any:
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


def _normals(b: Any, radius: Any, angles: Any) -> tuple[Any, Any]:
    """Radii, given by their bits, times cosine and sine of q pi/2 + r: two bits of an angle are its
    quarter q, the others r.
    """
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


def _memory(context: Any, b: Any, signature: Any, words: Any, n: Any) -> tuple[Any, Any]:
    """Where the words of radii of job n stand, and those of angles."""
    data = context.make_array(signature.args[0])(context, b, words).data
    base, at = b.bitcast(data, INT.as_pointer()), b.mul(n, ir.Constant(WORD, LANES))
    return b.gep(base, [at]), b.gep(base, [b.add(at, ir.Constant(WORD, _ROOM))])


def _of(b: Any, memory: Any, kind: Any = _INTS) -> Any:
    """A pointer to a vector there."""
    return b.bitcast(memory, kind.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def _draw(
    _: Any, words: Any, n: Any, height: Any, lanes: Any, k: Any, i: Any, first: Any, tick: Any,
    player: Any, replica: Any, key: Any,
) -> Any:  # fmt: skip
    """Words of the jobs n, ..., n + GROUP - 1, which begin at row k and place i; where the next one
    begins.
    """

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        words, n, height, lanes, *numbers = args
        _, w, after = drawn(b, (height, lanes), 2, tuple(numbers))
        places = _memory(context, b, signature, words, n)
        for there, values in zip(places, (woven(b, *w[:2]), woven(b, *w[2:])), strict=True):
            b.store(values, _of(b, there, values.type), align=LINE)
        return context.make_tuple(b, signature.return_type, after)

    word = types.int64
    return types.UniTuple(word, 2)(words, *[word] * 9, types.uint64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _radii(_: Any, words: Any, n: Any) -> Any:
    """Radii of job n, in the place of their words."""

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        there = _of(b, _memory(context, b, signature, *args)[0])
        b.store(b.bitcast(_lengths(b, b.load(there, align=LINE)), _INTS), there, align=LINE)
        return context.get_dummy_value()

    return types.none(words, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def _turned(_: Any, words: Any, n: Any, Z: Any, lanes: Any, k: Any, i: Any) -> Any:
    """Normals of job n into Z[k, i : i + LANES] and Z[k + 1, i : i + LANES], k even; where the next
    job begins.
    """
    if Z.layout != "C" or Z.ndim != 2 or Z.dtype != types.float64:
        return None

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        words, n, Z, lanes, k, i = args
        Z = context.make_array(signature.args[2])(context, b, Z)
        height = cgutils.unpack_tuple(b, Z.shape)[0]
        jobs, after = places(b, (height, lanes), 2, (k, i), 1)
        both = (b.load(_of(b, at), align=LINE) for at in _memory(context, b, signature, words, n))
        for row, values in enumerate(_normals(b, *both)):
            spread(b, Z, jobs, row, b.fpext(values, vector(DOUBLE, LANES)))
        return context.make_tuple(b, signature.return_type, after)

    word = types.int64
    return types.UniTuple(word, 2)(words, word, Z, word, word, word), emit


@kernel
def _once(Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int) -> None:
    """Normals of particles first, ..., first + lanes - 1 (first even) in Z (rows, >= lanes), rows
    even.
    """
    apart()
    words, k, i, jobs = room(_ROOM), 0, 0, len(Z) // 2 * (lanes // LANES)
    for begin in range(0, jobs, JOBS):
        r, j, count = k, i, smaller(JOBS, jobs - begin)
        for n in range(0, count, GROUP):
            r, j = _draw(words, n, len(Z), lanes, r, j, first, tick, player, replica, key)
        for n in range(count):
            _radii(words, n)
        for n in range(count):
            k, i = _turned(words, n, Z, lanes, k, i)


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
