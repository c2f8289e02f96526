"""Vectors in the compiler's own language, for kernels that must not be left to its loop vectoriser.

A vector wider than the processor's registers is split into several, which then hide each other's
delays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from meanfield.aligned import LINE

# Bits of a register on what numba compiles for, this processor or what NUMBA_CPU_FEATURES says:
# there are 32 of 512 (AVX-512) or of 128 (ARM), 16 of 256 (AVX).
_FEATURES = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
BITS = 512 if "+avx512f" in _FEATURES else 256 if "+avx," in f"{_FEATURES}," else 128
WORD, INT, FLOAT, DOUBLE = ir.IntType(64), ir.IntType(32), ir.FloatType(), ir.DoubleType()


def vector(kind: Any, lanes: int) -> Any:
    """The type of `lanes` numbers."""
    return ir.VectorType(kind, lanes)


def constant(of: Any, value: Any) -> Any:
    """A vector of one number, or of the numbers given."""
    return ir.Constant(of, list(value) if isinstance(value, Sequence) else [value] * of.count)


def everywhere(builder: Any, number: Any, lanes: int) -> Any:
    """A vector of one number known only when it runs."""
    none = ir.Constant(vector(number.type, lanes), ir.Undefined)
    return pick(
        builder, builder.insert_element(none, number, ir.Constant(INT, 0)), none, [0] * lanes
    )


def pick(builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    """The numbers with these places in a followed by b."""
    return builder.shuffle_vector(a, b, constant(vector(INT, len(lanes)), lanes))


def joined(builder: Any, parts: list[Any]) -> Any:
    """Vectors of one length, as many as a power of two, one after another."""
    while len(parts) > 1:
        both = range(2 * parts[0].type.count)
        parts = [pick(builder, a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def called(builder: Any, name: str, *given: Any) -> Any:
    """One of the compiler's functions of vectors of one type, such as fma or sqrt."""
    of = given[0].type
    short = {"float": "f32", "double": "f64"}[str(of.element)]
    kind = ir.FunctionType(of, [of] * len(given))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{of.count}{short}"),
        given,
    )


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c in one rounding."""
    return called(builder, "fma", a, b, c)


def place(builder: Any, base: Any, offset: Any, of: Any) -> Any:
    """A pointer to the vector that begins `offset` numbers after `base`."""
    return builder.bitcast(builder.gep(base, [offset]), of.as_pointer())


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def room(_: Any, numbers: Any) -> Any:
    """An array of so many doubles, at the beginning of a line of the cache, that lasts as long as
    the kernel which asks for it.
    """
    if not isinstance(numbers, types.IntegerLiteral):
        return None
    kind, count = types.Array(types.float64, 1, "C"), numbers.literal_value

    def emit(context: Any, b: Any, *_: Any) -> Any:
        memory = cgutils.alloca_once(b, DOUBLE, count)
        memory.align = LINE
        found, size = context.make_array(kind)(context, b), ir.Constant(WORD, 8)
        populate_array(found, memory, [ir.Constant(WORD, count)], [size], size, None)
        return found._getvalue()

    return kind(numbers), emit


def total(builder: Any, v: Any) -> Any:
    """The sum of a vector's numbers, halves added to each other."""
    n = v.type.count
    while n > 1:
        n //= 2
        none = ir.Constant(v.type, ir.Undefined)
        low, high = pick(builder, v, none, range(n)), pick(builder, v, none, range(n, 2 * n))
        v = builder.fadd(low, high)
    return builder.extract_element(v, ir.Constant(INT, 0))
