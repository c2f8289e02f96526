"""Products of a small matrix with a block of lanes, held in registers.

The compiler's own vectors add one row at a time and wait for memory. Here a tile of rows times 16 lanes
stays in registers while the columns pass by, written in the compiler's vector language so that it cannot
decide otherwise: one vector load serves four rows. Each entry is one sum, first column to last, whatever
the sizes; two replicas in two threads share nothing, unlike a BLAS with threads of its own.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meanfield.checks import Array
from meanfield.jit import apart, kernel

TILE = 16  # lanes come in multiples of it
_WIDTH = 8
_DOUBLES = ir.VectorType(ir.DoubleType(), _WIDTH)


def _emit(rows: int, context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """out[k + q, i : i + TILE] = sum_m A[k + q, m] F[m, i : i + TILE] for q < rows; rows past the last repeat it."""
    A, F, out = (context.make_array(t)(context, builder, v) for t, v in zip(signature.args[:3], args[:3], strict=True))
    k, i = args[3:]
    one = ir.Constant(k.type, 1)
    height, columns = cgutils.unpack_tuple(builder, A.shape)
    lanes = cgutils.unpack_tuple(builder, F.shape)[1]
    last = builder.sub(height, one)
    own = []
    for q in range(rows):
        row = builder.add(k, ir.Constant(k.type, q))
        own.append(builder.select(builder.icmp_signed("<", row, last), row, last))
    zero = ir.Constant(_DOUBLES, [0.0] * _WIDTH)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(0, TILE, _WIDTH)] for _ in own]

    def place(base: Any, row: Any, v: int) -> Any:
        index = builder.add(builder.mul(row, lanes), builder.add(i, ir.Constant(k.type, v * _WIDTH)))
        return builder.bitcast(builder.gep(base, [index]), _DOUBLES.as_pointer())

    with cgutils.for_range(builder, columns) as loop:
        vectors = [builder.load(place(F.data, loop.index, v), align=8) for v in range(TILE // _WIDTH)]
        for row, kept in zip(own, sums, strict=True):
            number = builder.load(builder.gep(A.data, [builder.add(builder.mul(row, columns), loop.index)]))
            everywhere = _everywhere(builder, number)
            for vector, held in zip(vectors, kept, strict=True):
                builder.store(_fused(builder, everywhere, vector, builder.load(held)), held)
    for row, kept in zip(own, sums, strict=True):
        for v, held in enumerate(kept):
            builder.store(builder.load(held), place(out.data, row, v), align=8)
    return context.get_dummy_value()


def _everywhere(builder: Any, number: Any) -> Any:
    """A vector of one number."""
    none = ir.Constant(_DOUBLES, ir.Undefined)
    first = builder.insert_element(none, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), [0] * _WIDTH))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c of vectors, in one rounding."""
    module = builder.module
    kind = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
    return builder.call(cgutils.get_or_insert_function(module, kind, f"llvm.fma.v{_WIDTH}f64"), [a, b, c])


def _signature(A: Any, F: Any, out: Any, k: Any, i: Any) -> Any:
    if any(t.layout != "C" or t.ndim != 2 or t.dtype != types.float64 for t in (A, F, out)):
        return None
    return types.none(A, F, out, types.int64, types.int64)


@intrinsic  # type: ignore[untyped-decorator]
def _four(_: Any, A: Any, F: Any, out: Any, k: Any, i: Any) -> Any:
    return _signature(A, F, out, k, i), lambda *given: _emit(4, *given)


@intrinsic  # type: ignore[untyped-decorator]
def _one(_: Any, A: Any, F: Any, out: Any, k: Any, i: Any) -> Any:
    return _signature(A, F, out, k, i), lambda *given: _emit(1, *given)


@intrinsic  # type: ignore[untyped-decorator]
def times(_: Any, U: Any, u: Any, t: Any, sign: Any, V: Any, v: Any, s: Any, W: Any, w: Any, r: Any, i: Any) -> Any:
    """W[w] + i W[r] = (U[u] + i sign U[t]) (V[v] + i V[s]) on lanes i, ..., i + TILE - 1.

    By itself the compiler would first compare the nine pairs of rows for overlap, and gives up at eight.
    """
    if any(a.layout != "C" or a.ndim != 2 or a.dtype != types.float64 for a in (U, V, W)):
        return None
    word = types.int64
    return types.none(U, word, word, types.float64, V, word, word, W, word, word, word), _emit_times


def _emit_times(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    arrays = {k: context.make_array(signature.args[k])(context, builder, args[k]) for k in (0, 4, 7)}
    lanes = cgutils.unpack_tuple(builder, arrays[0].shape)[1]

    def place(array: int, row: int, v: int) -> Any:
        start = builder.add(builder.mul(args[row], lanes), builder.add(args[10], ir.Constant(lanes.type, v * _WIDTH)))
        return builder.bitcast(builder.gep(arrays[array].data, [start]), _DOUBLES.as_pointer())

    sign = _everywhere(builder, args[3])
    for v in range(TILE // _WIDTH):
        a, b, c, d = (builder.load(place(*where, v), align=8) for where in ((0, 1), (0, 2), (4, 5), (4, 6)))
        b = builder.fmul(b, sign)
        real = _fused(builder, a, c, builder.fneg(builder.fmul(b, d)))
        imaginary = _fused(builder, b, c, builder.fmul(a, d))
        builder.store(real, place(7, 8, v), align=8)
        builder.store(imaginary, place(7, 9, v), align=8)
    return context.get_dummy_value()


@kernel(counted=False)
def product(A: Array, F: Array, out: Array) -> None:
    """out = A F for A (r, K), F (K, lanes), lanes a multiple of TILE; all in C order."""
    apart()
    r = A.shape[0]
    whole = 4 * ((r + 1) // 4)  # three rows left over are done as four
    for i in range(0, F.shape[1], TILE):
        for k in range(0, whole, 4):
            _four(A, F, out, k, i)
        for k in range(whole, r):
            _one(A, F, out, k, i)


# A sum over columns may be reordered, or it would run one addition at a time.
@kernel(counted=False, fastmath={"reassoc", "nsz", "contract"})
def apply(M: Array, m: Array, out: Array) -> None:
    """out = M m; spelled out, so that no linear algebra library is loaded for a few numbers."""
    apart()
    for i in range(M.shape[0]):
        total = 0.0
        for j in range(M.shape[1]):
            total += M[i, j] * m[j]
        out[i] = total
