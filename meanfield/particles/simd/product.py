"""Products of a small matrix with a block of lanes, held in registers.

The compiler's own vectors add one row at a time and wait for memory. Here a tile of rows times 16
lanes stays in registers while the columns pass by, written in the compiler's vector language so
that it cannot decide otherwise: one vector load serves several rows. Each entry is one sum, first
column to last, whatever the sizes; two replicas in two threads share nothing, unlike a BLAS with
threads of its own.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel, together
from meanfield.particles.simd.vectors import (
    BITS,
    DOUBLE,
    WORD,
    constant,
    everywhere,
    fused,
    place,
    vector,
)

TILE = 16  # lanes come in multiples of it
_WIDTH = 8
# Rows at a time: their sums and what these take in must fit in 16 registers of 4 lanes (AVX2), in
# 32 of 8 (AVX-512) or in 32 of 2 (ARM). With 2 rows a Zen 3 does 40 Gflop/s, with 3 or more 19. No
# sum depends on it.
_ROWS = 4 if BITS == 512 else 2
_DOUBLES = vector(DOUBLE, _WIDTH)


def _emit(rows: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    A, F, out = (
        context.make_array(t)(context, builder, v)
        for t, v in zip(signature.args[:3], args[:3], strict=True)
    )
    k, i, j = args[3:]
    height, columns = cgutils.unpack_tuple(builder, A.shape)
    lanes, width = (cgutils.unpack_tuple(builder, a.shape)[1] for a in (F, out))
    last = builder.sub(height, ir.Constant(WORD, 1))
    own = []
    for q in range(rows):
        row = builder.add(k, ir.Constant(WORD, q))
        own.append(builder.select(builder.icmp_signed("<", row, last), row, last))
    zero = constant(_DOUBLES, 0.0)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(0, TILE, _WIDTH)] for _ in own]

    def at(array: Any, row: Any, long: Any, first: Any, v: int) -> Any:
        offset = builder.add(
            builder.mul(row, long), builder.add(first, ir.Constant(WORD, v * _WIDTH))
        )
        return place(builder, array.data, offset, _DOUBLES)

    with cgutils.for_range(builder, columns) as loop:
        vectors = [
            builder.load(at(F, loop.index, lanes, i, v), align=8) for v in range(TILE // _WIDTH)
        ]
        for row, kept in zip(own, sums, strict=True):
            number = builder.load(
                builder.gep(A.data, [builder.add(builder.mul(row, columns), loop.index)])
            )
            factor = everywhere(builder, number, _WIDTH)
            for part, held in zip(vectors, kept, strict=True):
                builder.store(fused(builder, factor, part, builder.load(held)), held)
    for row, kept in zip(own, sums, strict=True):
        for v, held in enumerate(kept):
            builder.store(builder.load(held), at(out, row, width, j, v), align=8)
    return context.get_dummy_value()


def _signature(A: Any, F: Any, out: Any) -> Any:
    if any(t.layout != "C" or t.ndim != 2 or t.dtype != types.float64 for t in (A, F, out)):
        return None
    return types.none(A, F, out, types.int64, types.int64, types.int64)


@intrinsic  # type: ignore[untyped-decorator]
def _rows(_: Any, A: Any, F: Any, out: Any, k: Any, i: Any, j: Any) -> Any:
    """out[q, j : j + TILE] = sum_m A[q, m] F[m, i : i + TILE] for q = k, ..., k + _ROWS - 1; rows
    past the last repeat it.
    """
    return _signature(A, F, out), lambda *given: _emit(_ROWS, *given)


@intrinsic  # type: ignore[untyped-decorator]
def times(
    _: Any,
    U: Any,
    u: Any,
    t: Any,
    sign: Any,
    V: Any,
    v: Any,
    s: Any,
    W: Any,
    w: Any,
    r: Any,
    i: Any,
) -> Any:
    """W[w] + i W[r] = (U[u] + i sign U[t]) (V[v] + i V[s]) on lanes i, ..., i + TILE - 1.

    By itself the compiler would first compare the nine pairs of rows for overlap, and gives up at
    eight.
    """
    if any(a.layout != "C" or a.ndim != 2 or a.dtype != types.float64 for a in (U, V, W)):
        return None
    word = types.int64
    return types.none(U, word, word, types.float64, V, word, word, W, word, word, word), _emit_times


def _emit_times(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    arrays = {
        k: context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 4, 7)
    }
    lanes = cgutils.unpack_tuple(builder, arrays[0].shape)[1]

    def at(array: int, row: int, v: int) -> Any:
        start = builder.add(
            builder.mul(args[row], lanes), builder.add(args[10], ir.Constant(WORD, v * _WIDTH))
        )
        return place(builder, arrays[array].data, start, _DOUBLES)

    sign = everywhere(builder, args[3], _WIDTH)
    for v in range(TILE // _WIDTH):
        a, b, c, d = (
            builder.load(at(*where, v), align=8) for where in ((0, 1), (0, 2), (4, 5), (4, 6))
        )
        b = builder.fmul(b, sign)
        real = fused(builder, a, c, builder.fneg(builder.fmul(b, d)))
        imaginary = fused(builder, b, c, builder.fmul(a, d))
        builder.store(real, at(7, 8, v), align=8)
        builder.store(imaginary, at(7, 9, v), align=8)
    return context.get_dummy_value()


@kernel
def product(A: Array, F: Array, out: Array) -> None:
    """out = A F for A (r, K), F (K, lanes), lanes a multiple of TILE; all in C order."""
    apart()
    if len(A) == 1:
        combine(A[0], F, out[0])
        return
    for i in range(0, F.shape[1], TILE):
        for k in range(0, len(A), _ROWS):
            _rows(A, F, out, k, i, i)


@kernel
def combine(a: Array, F: Array, out: Array) -> None:
    """out = a F for a (K,), where `product` would compute several copies of the one row. The sums
    are the same, term by term.
    """
    for i in range(len(out)):
        out[i] = 0.0
    whole = len(a) // 4 * 4
    for k in range(0, whole, 4):
        for i in range(len(out)):
            two = fma(a[k + 1], F[k + 1, i], fma(a[k], F[k, i], out[i]))
            out[i] = fma(a[k + 3], F[k + 3, i], fma(a[k + 2], F[k + 2, i], two))
    for k in range(whole, len(a)):
        for i in range(len(out)):
            out[i] = fma(a[k], F[k, i], out[i])


@kernel
def products(A: Array, x: Array, out: Array) -> None:
    """The product with every block of x (blocks, K, lanes)."""
    for b in range(len(x)):
        product(A, x[b], out[b])


@kernel
def strip(A: Array, F: Array, i: int, out: Array) -> None:
    """out (r, TILE) = A F[:, i : i + TILE]."""
    for k in range(0, len(A), _ROWS):
        _rows(A, F, out, k, i, 0)


# A sum over columns may be reordered, or it would run one addition at a time.
@kernel(fastmath={"reassoc", "nsz", "contract"})
def apply(M: Array, m: Array, out: Array) -> None:
    """out = M m; spelled out, so that no linear algebra library is loaded for a few numbers."""
    apart()
    for i in range(M.shape[0]):
        total = 0.0
        for j in range(M.shape[1]):
            together(8)
            total += M[i, j] * m[j]
        out[i] = total
