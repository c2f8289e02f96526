"""The inner loops of `meanfield.particles.looks.forms`: means over lanes, and the step of a tile of
particles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meanfield.particles.simd.product import TILE
from meanfield.particles.simd.vectors import (
    BITS,
    DOUBLE,
    WORD,
    called,
    constant,
    everywhere,
    fused,
    place,
    total,
    vector,
)

_LANES = 8  # of a vector; a tile is two
_VECTOR = vector(DOUBLE, _LANES)
# Of so many rows, and of the vectors that begin there in a tile, sums are kept at a time: those of
# all would not fit in 16 registers of 4 lanes (AVX2) or 32 of 2 (ARM).
_ROWS = (slice(4),) if BITS == 512 else (slice(2), slice(2, 4))
_TOGETHER = ((0, 8),) if BITS == 512 else ((0,), (8,))


def _weigh(power: int) -> Any:
    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        A, w, out = (
            context.make_array(t)(context, b, v)
            for t, v in zip(signature.args, args[:3], strict=False)
        )
        at, k = args[3:]
        height, width = cgutils.unpack_tuple(b, A.shape)
        last = b.sub(height, ir.Constant(WORD, 1))
        picked = []
        for q in range(4):
            row = b.add(k, ir.Constant(WORD, q))
            picked.append(b.select(b.icmp_signed("<", row, last), row, last))
        zero = constant(_VECTOR, 0.0)
        sums = [
            [cgutils.alloca_once_value(b, zero) for _ in range(0, TILE, _LANES)] for _ in picked
        ]
        for rows in _ROWS:
            begin, step = ir.Constant(WORD, 0), ir.Constant(WORD, TILE)
            with cgutils.for_range_slice(b, begin, width, step) as (i, _):
                for part in range(TILE // _LANES):
                    j = b.add(i, ir.Constant(WORD, part * _LANES))
                    weights = b.load(place(b, w.data, j, _VECTOR), align=8)
                    for row, held in zip(picked[rows], sums[rows], strict=True):
                        x = b.load(place(b, A.data, b.add(b.mul(row, width), j), _VECTOR), align=8)
                        scaled = b.fmul(x, weights) if power == 2 else weights
                        b.store(fused(b, x, scaled, b.load(held[part])), held[part])
        found = [total(b, b.fadd(b.load(u), b.load(v))) for u, v in sums]
        places = [b.gep(out.data, [b.add(at, row)]) for row in picked]
        # All are read before one is written: the last row may stand here more than once.
        for where, value in zip(
            places, [b.fadd(b.load(p), v) for p, v in zip(places, found, strict=True)], strict=True
        ):
            b.store(value, where)
        return context.get_dummy_value()

    return emit


def _weigh_signature(A: Any, w: Any, out: Any) -> Any:
    if any(t.layout != "C" or t.dtype != types.float64 for t in (A, w, out)):
        return None
    return types.none(A, w, out, types.int64, types.int64)


@intrinsic  # type: ignore[untyped-decorator]
def add_means(_: Any, A: Any, w: Any, out: Any, at: Any, k: Any) -> Any:
    """out[at + q] += sum_i A[q, i] w[i] for q = k, ..., k + 3 as far as there are rows."""
    return _weigh_signature(A, w, out), _weigh(1)


@intrinsic  # type: ignore[untyped-decorator]
def add_squares(_: Any, A: Any, w: Any, out: Any, at: Any, k: Any) -> Any:
    """out[at + q] += sum_i A[q, i]^2 w[i] likewise."""
    return _weigh_signature(A, w, out), _weigh(2)


def _drive(dense: bool, costs: bool) -> Any:
    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds, given = (
            (signature.args[0], *signature.args[1].types),
            (args[0], *cgutils.unpack_tuple(b, args[1])),
        )
        x, Z, v, c, h, W, U = (
            context.make_array(t)(context, b, a) for t, a in zip(kinds, given, strict=True)
        )
        i, j, numbers, moved = args[2:]
        d, lanes = cgutils.unpack_tuple(b, x.shape)
        drawn = cgutils.unpack_tuple(b, Z.shape)[1]
        zero, one, two = (constant(_VECTOR, value) for value in (0.0, 1.0, 2.0))
        noise, q, half = (
            everywhere(b, number, _LANES) for number in cgutils.unpack_tuple(b, numbers)
        )

        def at(array: Any, width: Any, row: Any, column: Any, part: int) -> Any:
            offset = b.add(b.add(b.mul(row, width), column), ir.Constant(WORD, part))
            return place(b, array.data, offset, _VECTOR)

        def number(array: Any, row: Any) -> Any:
            return everywhere(b, b.load(b.gep(array.data, [row])), _LANES)

        tile, none, first = (ir.Constant(WORD, value) for value in (TILE, 0, 1))
        names = ("xW", "WW", "xx", "xc")
        for parts in _TOGETHER:
            sums = [{name: cgutils.alloca_once_value(b, zero) for name in names} for _ in parts]

            def forces(k: Any, parts: Any = parts) -> Any:
                """c, and for each part x and W."""
                slope, linear, found = number(h, k), number(c, k), []
                for part in parts:
                    z = b.load(at(x, lanes, k, i, part), align=8)
                    w = fused(b, slope, z, linear)
                    if dense:
                        w = fused(b, q, b.load(at(v, tile, k, none, part), align=8), w)
                    if not costs:
                        w = fused(b, noise, b.load(at(Z, drawn, k, j, part), align=8), w)
                    found.append((z, w))
                return linear, found

            with cgutils.for_range(b, d) as loop:
                linear, found = forces(loop.index)
                for part, (z, w), held in zip(parts, found, sums, strict=True):
                    if not costs:
                        b.store(w, at(W, tile, loop.index, none, part), align=8)
                    products = [("xW", z, w), ("WW", w, w), ("xx", z, z)] + (
                        [("xc", z, linear)] if costs else []
                    )
                    for name, left, right in products:
                        b.store(fused(b, left, right, b.load(held[name])), held[name])
            scales = []
            for part, held in zip(parts, sums, strict=True):
                dot, square, norm, own = (b.load(held[name]) for name in names)
                if costs:
                    b.store(b.fmul(half, b.fadd(dot, own)), at(U, tile, none, none, part), align=8)
                    slope = fused(b, b.fneg(b.fmul(dot, dot)), b.fsub(two, norm), square)
                    b.store(slope, at(U, tile, first, none, part), align=8)
                left = b.fsub(one, dot)
                norm = fused(b, left, fused(b, left, norm, b.fadd(dot, dot)), square)
                scale = b.fdiv(one, called(b, "sqrt", norm))
                scales.append((scale, b.fmul(left, scale)))
            with cgutils.for_range(b, moved) as loop:
                # Forces without noise are taken once more: that is quicker than to keep them.
                again = forces(loop.index)[1] if costs else [(None, None) for _ in parts]
                for part, (z, w), (scale, left) in zip(parts, again, scales, strict=True):
                    here = at(x, lanes, loop.index, i, part)
                    z = b.load(here, align=8) if z is None else z
                    w = b.load(at(W, tile, loop.index, none, part), align=8) if w is None else w
                    b.store(fused(b, left, z, b.fmul(scale, w)), here, align=8)
        return context.get_dummy_value()

    return emit


def _drive_signature(x: Any, room: Any, numbers: Any) -> Any:
    if any(t.layout != "C" or t.dtype != types.float64 for t in (x, *room.types)):
        return None
    word = types.int64
    return types.none(x, room, word, word, numbers, word)


# The step of one tile, lanes i, ..., i + TILE - 1 of x (d, lanes) and j, ... of the noise Z, with
# the arrays Z, v, c, h, W, U and the numbers noise, q, half: W = h x + c [+ q v] [+ noise Z] and [U
# = half (x.W + x.c), then |W - (x.W) x|^2]; then the first `moved` coordinates (all or none) go to
# their new place.


@intrinsic  # type: ignore[untyped-decorator]
def noisy(_: Any, x: Any, room: Any, i: Any, j: Any, numbers: Any, moved: Any) -> Any:
    """With noise, for a diagonal S."""
    return _drive_signature(x, room, numbers), _drive(dense=False, costs=False)


@intrinsic  # type: ignore[untyped-decorator]
def noisy_dense(_: Any, x: Any, room: Any, i: Any, j: Any, numbers: Any, moved: Any) -> Any:
    """With noise, v = S x."""
    return _drive_signature(x, room, numbers), _drive(dense=True, costs=False)


@intrinsic  # type: ignore[untyped-decorator]
def costly(_: Any, x: Any, room: Any, i: Any, j: Any, numbers: Any, moved: Any) -> Any:
    """With costs, for a diagonal S."""
    return _drive_signature(x, room, numbers), _drive(dense=False, costs=True)


@intrinsic  # type: ignore[untyped-decorator]
def costly_dense(_: Any, x: Any, room: Any, i: Any, j: Any, numbers: Any, moved: Any) -> Any:
    """With costs, v = S x."""
    return _drive_signature(x, room, numbers), _drive(dense=True, costs=True)
