"""Several numbers that stand side by side in registers, as values that kernels compute with.

A kernel that keeps its sums in registers cannot be left to the compiler's own vectors. It is
written with these: `a + b`, `a * b` and so on, where numbers stand for as many of the same. What is
wider than a register is split into several, which hide each other's delays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from meanfield.particles.simd.vectors import DOUBLE, called, constant, everywhere, place, vector
from meanfield.particles.simd.vectors import total as halved


class Lanes(types.Type):  # type: ignore[misc]
    """numba's type of so many doubles."""

    def __init__(self, count: int) -> None:
        super().__init__(name=f"Lanes({count})")
        self.count, self.kind = count, vector(DOUBLE, count)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Lanes) -> None:
        super().__init__(manager, of, of.kind)


def _widest(given: Sequence[Any]) -> Lanes | None:
    """The type of what is made of vectors and numbers."""
    found = {t for t in given if isinstance(t, Lanes)}
    fits = all(isinstance(t, Lanes) or t == types.float64 for t in given)
    return found.pop() if fits and len(found) == 1 else None


def _of_all(emit: Callable[..., Any]) -> Callable[..., Any]:
    """How numba lowers what takes vectors and numbers."""

    def lowered(_: Any, b: Any, kinds: Any, given: Sequence[Any]) -> Any:
        count = kinds.return_type.count
        return emit(
            b,
            *(
                v if isinstance(t, Lanes) else everywhere(b, v, count)
                for t, v in zip(kinds.args, given, strict=True)
            ),
        )

    return lowered


_TWO = (Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)


def _sign(of: Any, emit: Callable[..., Any], kinds: Sequence[Any] = _TWO) -> None:
    """Give a sign of Python's a meaning for vectors."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, given: Any, _: Any) -> Any:
            lanes = _widest(given)
            return lanes and signature(lanes, *given)

    infer_global(of)(Template)
    for given in kinds:
        lower_builtin(of, *given)(_of_all(emit))


_sign(operator.add, lambda b, u, v: b.fadd(u, v))
_sign(operator.sub, lambda b, u, v: b.fsub(u, v))
_sign(operator.mul, lambda b, u, v: b.fmul(u, v))
_sign(operator.truediv, lambda b, u, v: b.fdiv(u, v))
_sign(operator.neg, lambda b, v: b.fneg(v), [(Lanes,)])


@intrinsic  # type: ignore[untyped-decorator]
def fused(_: Any, u: Any, v: Any, w: Any) -> Any:
    """u v + w in one rounding."""
    lanes = _widest((u, v, w))
    return lanes and (lanes(u, v, w), _of_all(lambda b, *given: called(b, "fma", *given)))


@intrinsic  # type: ignore[untyped-decorator]
def root(_: Any, v: Any) -> Any:
    """Square roots."""
    return v(v), _of_all(lambda b, v: called(b, "sqrt", v))


@intrinsic  # type: ignore[untyped-decorator]
def total(_: Any, v: Any) -> Any:
    """The sum of all numbers, halves added to each other."""
    return types.float64(v), lambda _, b, __, given: halved(b, *given)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def nothing(_: Any, count: Any) -> Any:
    """So many zeros."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    lanes = Lanes(count.literal_value)
    return lanes(count), lambda *_: constant(lanes.kind, 0.0)


def _plain(*arrays: Any) -> bool:
    return all(a.layout == "C" and a.ndim == 2 and a.dtype == types.float64 for a in arrays)


def _place(context: Any, b: Any, kind: Any, lanes: Lanes, A: Any, k: Any, i: Any) -> Any:
    """Where the lanes A[k, i], A[k, i + 1], ... begin."""
    rows = context.make_array(kind)(context, b, A)
    width = cgutils.unpack_tuple(b, rows.shape)[1]
    return place(b, rows.data, b.add(b.mul(k, width), i), lanes.kind)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def load(_: Any, count: Any, A: Any, k: Any, i: Any) -> Any:
    """A[k, i : i + count] of rows in C order."""
    if not _plain(A) or not isinstance(count, types.IntegerLiteral):
        return None
    lanes = Lanes(count.literal_value)

    def emit(context: Any, b: Any, kinds: Any, given: Any) -> Any:
        return b.load(_place(context, b, kinds.args[1], lanes, *given[1:]), align=8)

    return lanes(count, A, types.int64, types.int64), emit


@intrinsic  # type: ignore[untyped-decorator]
def store(_: Any, v: Any, A: Any, k: Any, i: Any) -> Any:
    """A[k, i : i + len(v)] = v."""
    if not _plain(A):
        return None

    def emit(context: Any, b: Any, kinds: Any, given: Any) -> Any:
        b.store(given[0], _place(context, b, kinds.args[1], v, *given[1:]), align=8)
        return context.get_dummy_value()

    return types.none(v, A, types.int64, types.int64), emit
