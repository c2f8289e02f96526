"""Several numbers that stand side by side in registers, as values that kernels compute with.

A kernel that keeps its sums in registers cannot be left to the compiler's own vectors. It is
written with these: `a + b`, `a * b` and so on, where one number stands for as many of the same.
What is wider than a register is split into several, which hide each other's delays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import populate_array

from meanfield.aligned import LINE

_INT, _WORD = ir.IntType(32), ir.IntType(64)
# What lanes are made of, as numba and LLVM call it: real numbers, whole ones of 32 bits with a
# sign and of 64 bits without.
_KINDS = {
    types.float64: ir.DoubleType(), types.float32: ir.FloatType(),
    types.uint64: _WORD, types.int32: _INT,
}  # fmt: skip


class Lanes(types.Type):  # type: ignore[misc]
    """numba's type of `count` numbers of the type `of`."""

    def __init__(self, of: Any, count: int) -> None:
        super().__init__(name=f"Lanes({of} x {count})")
        self.of, self.count, self.vector = of, count, ir.VectorType(_KINDS[of], count)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


def _picked(b: Any, u: Any, v: Any, places: Sequence[int]) -> Any:
    """The numbers with these places in u followed by v."""
    return b.shuffle_vector(u, v, ir.Constant(ir.VectorType(_INT, len(places)), list(places)))


def _common(given: Sequence[Any]) -> Lanes | None:
    """The type of lanes among what is given, if it is one, beside single numbers alone."""
    found = {t for t in given if isinstance(t, Lanes)}
    fits = all(isinstance(t, (Lanes, types.Number)) for t in given)
    return found.pop() if fits and len(found) == 1 else None


def _of_each(emit: Callable[..., Any]) -> Callable[..., Any]:
    """How numba lowers what takes lanes and single numbers, rounded to the lanes' type."""

    def lowered(context: Any, b: Any, kinds: Any, given: Sequence[Any]) -> Any:
        lanes: Any = _common(kinds.args)

        def widened(t: Any, value: Any) -> Any:
            if isinstance(t, Lanes):
                return value
            number, none = context.cast(b, value, t, lanes.of), ir.Constant(lanes.vector, None)
            first = b.insert_element(none, number, ir.Constant(_INT, 0))
            return _picked(b, first, none, [0] * lanes.count)

        return emit(b, *map(widened, kinds.args, given))

    return lowered


def _sign(sign: Any, count: int, method: Callable[[Any], str | None]) -> None:
    """A sign of Python's with so many sides; its meaning is a method of llvmlite's, by the type of
    the numbers.
    """

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, given: Any, _: Any) -> Any:
            lanes = _common(given)
            return signature(lanes, *given) if lanes and method(lanes.of) else None

    def lowered(context: Any, b: Any, kinds: Any, given: Sequence[Any]) -> Any:
        name: Any = method(kinds.return_type.of)
        return _of_each(lambda b, *sides: getattr(b, name)(*sides))(context, b, kinds, given)

    infer_global(sign)(Template)
    pairs = (Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)
    for kinds in pairs if count == 2 else ((Lanes,),):
        lower_builtin(sign, *kinds)(lowered)


def _is_real(of: Any) -> bool:
    return isinstance(of, types.Float)


for _of, _real, _whole in (
    (operator.add, "fadd", "add"), (operator.sub, "fsub", "sub"), (operator.mul, "fmul", "mul"),
    (operator.truediv, "fdiv", None), (operator.and_, None, "and_"), (operator.or_, None, "or_"),
    (operator.xor, None, "xor"), (operator.lshift, None, "shl"),
):  # fmt: skip
    _sign(_of, 2, lambda of, names=(_whole, _real): names[_is_real(of)])  # type: ignore[misc]
_sign(operator.rshift, 2, {types.uint64: "lshr", types.int32: "ashr"}.get)
_sign(operator.neg, 1, lambda of: "fneg" if _is_real(of) else "neg")


def _called(name: str) -> Callable[..., Any]:
    """A function of LLVM's that takes and gives lanes."""

    def emit(b: Any, *given: Any) -> Any:
        of = given[0].type
        short = {"float": "f32", "double": "f64"}[str(of.element)]
        kind, full = ir.FunctionType(of, [of] * len(given)), f"llvm.{name}.v{of.count}{short}"
        return b.call(cgutils.get_or_insert_function(b.module, kind, full), given)

    return _of_each(emit)


@intrinsic  # type: ignore[untyped-decorator]
def fused(_: Any, u: Any, v: Any, w: Any) -> Any:
    """u v + w in one rounding."""
    lanes = _common((u, v, w))
    return lanes and (lanes(u, v, w), _called("fma"))


@intrinsic  # type: ignore[untyped-decorator]
def root(_: Any, v: Any) -> Any:
    """Square roots."""
    return v(v), _called("sqrt")


@intrinsic  # type: ignore[untyped-decorator]
def greater(_: Any, u: Any, v: Any) -> Any:
    """The greater of two in each lane."""
    lanes = _common((u, v))
    return lanes and (lanes(u, v), _called("maxnum"))


@intrinsic  # type: ignore[untyped-decorator]
def chosen(_: Any, signs: Any, u: Any, v: Any) -> Any:
    """u in lanes where a number is negative, v in the others."""

    def emit(b: Any, signs: Any, *given: Any) -> Any:
        return b.select(b.icmp_signed("<", signs, ir.Constant(signs.type, None)), *given)

    return u(signs, u, v), lambda _, b, __, given: emit(b, *given)


def _changed(method: str, to: dict[Any, Any], meaning: str) -> Any:
    """Lanes of one type made into lanes of another, by a method of llvmlite's."""

    def typed(_: Any, v: Any) -> Any:
        if getattr(v, "of", None) not in to:
            return None
        lanes = Lanes(to[v.of], v.count)
        return lanes(v), lambda _, b, __, given: getattr(b, method)(given[0], lanes.vector)

    typed.__doc__ = meaning
    return intrinsic(typed)


_SAME_BITS = {
    types.float64: types.uint64, types.uint64: types.float64,
    types.float32: types.int32, types.int32: types.float32,
}  # fmt: skip
_WIDER = {types.float32: types.float64}
bits = from_bits = _changed("bitcast", _SAME_BITS, "The bits of real numbers, and back.")
reals = _changed("sitofp", {types.int32: types.float32}, "Whole numbers as real ones.")
counts = _changed("uitofp", {types.int32: types.float32}, "The same of numbers without a sign.")


def _doubled(b: Any, v: Any) -> Any:
    double = ir.VectorType(ir.DoubleType(), v.type.count)
    return v if v.type == double else b.fpext(v, double)


@intrinsic  # type: ignore[untyped-decorator]
def doubles(_: Any, v: Any) -> Any:
    """Real numbers in double precision."""
    lanes = Lanes(types.float64, v.count)
    return lanes(v), lambda _, b, __, given: _doubled(b, given[0])


@intrinsic  # type: ignore[untyped-decorator]
def woven(_: Any, u: Any, v: Any) -> Any:
    """The lower halves of numbers of 64 bits, in turn."""
    lanes = Lanes(types.int32, 2 * u.count)
    turns = [i if i % 2 == 0 else lanes.count + i - 1 for i in range(lanes.count)]

    def emit(_: Any, b: Any, __: Any, given: Any) -> Any:
        low, high = (b.bitcast(v, lanes.vector) for v in given)
        return _picked(b, low, high, turns)

    return lanes(u, v), emit


@intrinsic  # type: ignore[untyped-decorator]
def total(_: Any, v: Any) -> Any:
    """The sum of all, halves added to each other."""

    def emit(_: Any, b: Any, __: Any, given: Any) -> Any:
        found, n = given[0], v.count
        while n > 1:
            n //= 2
            low, high = (_picked(b, found, found, range(k, k + n)) for k in (0, n))
            found = b.fadd(low, high)
        return b.extract_element(found, ir.Constant(_INT, 0))

    return v.of(v), emit


def _number(given: Any) -> int | None:
    """A whole number that stands in the text."""
    return given.literal_value if isinstance(given, types.IntegerLiteral) else None


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def nothing(_: Any, count: Any) -> Any:
    """So many zeros."""
    if (n := _number(count)) is None:
        return None
    lanes = Lanes(types.float64, n)
    return lanes(count), lambda *_: ir.Constant(lanes.vector, None)


def _place(context: Any, b: Any, kind: Any, lanes: Lanes, A: Any, k: Any, i: Any) -> Any:
    """Where the lanes A[k, i], A[k, i + 1], ... begin."""
    rows = context.make_array(kind)(context, b, A)
    width = cgutils.unpack_tuple(b, rows.shape)[-1]
    return b.bitcast(b.gep(rows.data, [b.add(b.mul(k, width), i)]), lanes.vector.as_pointer())


def _rows_of(A: Any) -> bool:
    return A.layout == "C" and A.ndim in (1, 2) and A.dtype in _KINDS


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def load(_: Any, count: Any, A: Any, k: Any, i: Any) -> Any:
    """A[k, i : i + count] of rows in C order; of a single row (lanes,) k is 0."""
    n = _number(count)
    if n is None or not _rows_of(A):
        return None
    lanes, size = Lanes(A.dtype, n), A.dtype.bitwidth // 8

    def emit(context: Any, b: Any, kinds: Any, given: Any) -> Any:
        return b.load(_place(context, b, kinds.args[1], lanes, *given[1:]), align=size)

    return lanes(count, A, types.int64, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, v: Any, A: Any, k: Any, i: Any) -> Any:
    """A[k, i : i + len(v)] = v; numbers in single precision may go into an array of doubles."""
    if not _rows_of(A) or A.dtype not in (v.of, _WIDER.get(v.of)):
        return None
    lanes = Lanes(A.dtype, v.count)

    def emit(context: Any, b: Any, kinds: Any, given: Any) -> Any:
        there = _place(context, b, kinds.args[1], lanes, *given[1:])
        numbers = given[0] if lanes == v else _doubled(b, given[0])
        b.store(numbers, there, align=A.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(v, A, types.int64, types.int64), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def room(_: Any, of: Any, rows: Any, count: Any) -> Any:
    """An array of numbers of this type, at the beginning of a line of the cache, that lasts as long
    as the kernel which asks for it.
    """
    height, width = _number(rows), _number(count)
    if height is None or width is None:
        return None
    kind = types.Array(of.instance_type, 2, "C")
    size = kind.dtype.bitwidth // 8

    def emit(context: Any, b: Any, *_: Any) -> Any:
        memory = cgutils.alloca_once(b, context.get_data_type(kind.dtype), height * width)
        memory.align = LINE
        h, w, row, one = (ir.Constant(_WORD, n) for n in (height, width, size * width, size))
        found = context.make_array(kind)(context, b)
        populate_array(found, memory, [h, w], [row, one], one, None)
        return found._getvalue()

    return kind(of, rows, count), emit
