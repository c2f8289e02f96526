"""numba's compiler without what kernels have no use for, in three quarters of its time.

The same code comes out. This rests on inner workings of numba that its versions 0.60 to 0.68 share;
see `meanfield.jit.PARTS`.
"""

from __future__ import annotations

import gc
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partialmethod
from typing import Any

from numba import types
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.datamodel import default_manager, models
from numba.core.postproc import PostProcessor, VariableLifetime
from numba.core.transforms import canonicalize_cfg

# What numba does for closures, comprehensions, `with` and functions that take literals, which do
# not stand in kernels, and to fuse operations on whole arrays, of which few do: each goes through
# every line of a function.
UNUSED = {
    "DumpParforDiagnostics", "FindLiterallyCalls", "InlineClosureLikes", "InlineInlinables",
    "InlineOverloads", "LiteralPropagationSubPipelinePass", "LiteralUnroll",
    "MakeFunctionToJitFunction", "NoPythonSupportedFeatureValidation", "NopythonRewrites",
    "WithLifting",
}  # fmt: skip


@contextmanager
def undisturbed(context: Any) -> Iterator[None]:
    """While numba compiles, with `context` its description of the processor.

    All objects that a compiler makes stay, and a tenth of its time went into looking for garbage:
    collection pauses, and passes over what was made meanwhile when it goes on. At every operation
    with a constant numba reads all its tables of functions again; here it does so only where their
    size has changed. For the size of a type it compiles a module that holds one; here once for each
    type. After most passes it finds out where variables are last used; here where that is asked
    for.
    """
    if "refresh" in vars(context):  # inside another one
        yield
        return
    collects, refresh, busy = gc.isenabled(), context.refresh, False

    def where_new() -> None:
        nonlocal busy
        tables = (len(r.functions) + len(r.getattrs) for r in context._registries)
        if not busy and (found := len(sys.modules) + sum(tables)) != _read.get(context):
            _read[context], busy = found, True
            try:
                refresh()
            finally:
                busy = False

    gc.disable()
    context.refresh, context.get_abi_sizeof = where_new, cache(context.get_abi_sizeof)
    process = PostProcessor.run
    PostProcessor.run = partialmethod(_lifetimes_when_asked, process)
    try:
        yield
    finally:
        del context.refresh, context.get_abi_sizeof
        PostProcessor.run = process
        if collects:
            _put_off_collection()
            gc.enable()


_read: dict[Any, int] = {}  # modules and functions that there were when tables were read last


def _lifetimes_when_asked(
    self: Any, process: Any, emit_dels: bool = False, extend_lifetimes: bool = False
) -> None:
    """What numba does after a pass, which is `process`; of generators it does more."""
    code = self.func_ir
    if code.is_generator:
        process(self, emit_dels, extend_lifetimes)
        return
    code.blocks = canonicalize_cfg(code.blocks)
    code.variable_lifetime, code.generator_info = VariableLifetime(code.blocks), None
    if emit_dels:
        self._insert_var_dels(extend_lifetimes=extend_lifetimes)


def _put_off_collection() -> None:
    """Move all objects to the oldest generation, which is rarely collected: Python would look
    through what the compiler has just made at once.
    """
    if not gc.get_freeze_count():  # or what others have set apart would come back
        gc.freeze()
        gc.unfreeze()


class Plain(Compiler):  # type: ignore[misc]
    """numba's compiler without the passes in `UNUSED`, undisturbed."""

    def __init__(self, typing: Any, target: Any, *rest: Any) -> None:
        with undisturbed(target):
            super().__init__(remembering(typing), target, *rest)
        self.machine = target

    def compile_extra(self, function: Any) -> Any:
        with undisturbed(self.machine):
            for name in ("refresh", "get_abi_sizeof"):
                setattr(self.state.targetctx, name, getattr(self.machine, name))
            self.state.targetctx.typing_context = answering(self.state.typingctx)
            return super().compile_extra(function)

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [p for p in pipeline.passes if p[0].__name__ not in UNUSED]
        pipeline.finalize()
        return [pipeline]


# Functions whose results' types are looked up once: those that signs in the text stand for.
OPERATORS = {bool, *(f for f in vars(operator).values() if callable(f))}


@cache
def remembering(context: Any) -> Any:
    """numba's typing context, which finds the type of an operator's result once for each types of
    its arguments. By itself it tries all rules for the operator in turn, at every line.
    """

    class Remembering(type(context)):  # type: ignore[misc]
        def resolve_function_type(self, function: Any, given: Any, named: Any) -> Any:
            if named or getattr(function, "typing_key", None) not in OPERATORS:
                return super().resolve_function_type(function, given, named)
            # Numbers and slices that stand in the text are given as they are.
            key = function, tuple(g if isinstance(g, types.Type) else repr(g) for g in given)
            if key not in known:
                known[key] = super().resolve_function_type(function, given, named)
            return known[key]

    known: dict[Any, Any] = {}
    return _as(Remembering, context)


@cache
def answering(context: Any) -> Any:
    """The same for lowering, which takes the operator's function first and asks that."""

    class Answering(type(context)):  # type: ignore[misc]
        def resolve_value_type(self, value: Any) -> Any:
            found = super().resolve_value_type(value)
            if getattr(found, "typing_key", None) not in OPERATORS:
                return found
            answers = _as(Known, found)
            answers.itself = found
            return answers

    class Known(types.Function):  # type: ignore[misc]
        def get_call_type(self, _: Any, given: Any, named: Any) -> Any:
            return context.resolve_function_type(self.itself, given, named)

    # Operators of whole arrays are put into variables, whose contents numba asks for.
    default_manager.register(Known, models.OpaqueModel)
    return _as(Answering, context)


def _as(kind: type, one: Any) -> Any:
    """A copy of another class. `copy.copy` gives numba's types themselves back."""
    found: Any = object.__new__(kind)
    vars(found).update(vars(one))
    return found
