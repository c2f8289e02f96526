"""Kernels inside kernels are compiled once, in whatever Python calls.

This rests on inner workings of numba that its versions 0.60 to 0.68 share; see
`meanfield.jit.PARTS`.
"""

from __future__ import annotations

import copy
import gc
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder, Flags
from numba.core.registry import CPUDispatcher, cpu_target


class Part(JITCodeLibrary):
    """The code of a kernel inside others, left as it is until it is taken into one of them.

    numba would optimise it, function by function and as a whole, and make machine code of it, and
    of a wrapper by which Python could call it: more than half of all the time that compiling took.
    """

    # What is not in memory holds no Python objects.
    codegen = SimpleNamespace(set_env=lambda name, env: None)
    reorders = inlined = False

    def _optimize_functions(self, module: Any) -> None:
        pass

    def finalize(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
                if self.inlined:
                    function.add_function_attribute("alwaysinline")
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """With all its own parts, for code that is no `Whole`."""
        module = self._final_module.clone()
        _link(module, self)
        return module


def _link(module: Any, library: Any) -> set[Any]:
    """Take in what a library calls, directly or not, each part of it once; all of them and it."""
    seen, called = {library}, list(library._linking_libraries)
    while called:
        if (one := called.pop()) not in seen:
            seen.add(one)
            if hasattr(library, "_reload_init"):  # what is called when the code is loaded
                library._reload_init.update(one._reload_init)
            part = isinstance(one, Part)
            module.link_in(
                one._final_module if part else one._get_module_for_linking(), preserve=True
            )
            called += one._linking_libraries if part else []
    return seen


class Whole(JITCodeLibrary):
    """The code of what Python calls, optimised once, with all its parts.

    The wrapper that takes arguments out of Python's objects, the longest function of many kernels,
    is left as it is. Where sums over numbers may be reordered all functions are first simplified,
    each by itself as numba does it: the order that is found otherwise is another one.
    """

    reorders = False

    def add_ir_module(self, module: Any) -> None:
        if module.name == "wrapper":
            for function in module.functions:
                if not function.is_declaration:
                    function.attributes.update({"noinline", "optnone"})
        super().add_ir_module(module)

    def add_llvm_module(self, module: Any) -> None:
        self._final_module.link_in(module)

    def finalize(self) -> None:
        linked = _link(self._final_module, self)
        self._linking_libraries.clear()
        if any(getattr(library, "reorders", False) for library in linked):
            self._optimize_functions(self._final_module)
        super().finalize()


class Settled(Flags):  # type: ignore[misc]
    """numba's settings of a compilation that goes on, one object for equal ones: by them it looks
    up what it has compiled, and would compare all values every time.
    """

    __hash__, __eq__ = object.__hash__, object.__eq__


class Chosen(Flags):  # type: ignore[misc]
    """Settings that become `Settled` when a compilation begins, for which numba copies them."""

    def copy(self) -> Settled:
        return _settled.setdefault(Flags(self), Settled(self))


_settled: dict[Flags, Settled] = {}


# What numba does for closures, `with`, functions that take literals and expressions of whole arrays,
# none of which stand in kernels: each goes through every line of a function.
UNUSED = {
    "DumpParforDiagnostics", "FindLiterallyCalls", "InlineClosureLikes", "InlineInlinables",
    "InlineOverloads", "LiteralPropagationSubPipelinePass", "LiteralUnroll",
    "MakeFunctionToJitFunction", "NopythonRewrites", "WithLifting",
}  # fmt: skip


@contextmanager
def undisturbed(context: Any) -> Iterator[None]:
    """While a function is compiled to machine code by numba's context of it.

    The many objects that a compiler makes all stay: a tenth of its time went into looking for those
    that could go. And numba looks whether there are new functions, in all its tables, at every
    operation with a number that stands in the text; here it counts them.
    """
    if "refresh" in vars(context):  # inside another one
        yield
        return
    collects, refresh, known, busy = gc.isenabled(), context.refresh, 0, False

    def where_new() -> None:
        nonlocal known, busy
        tables = (len(r.functions) + len(r.getattrs) for r in context._registries)
        if not busy and (found := len(sys.modules) + sum(tables)) != known:
            known, busy = found, True
            refresh()
            busy = False

    gc.disable()
    context.refresh = where_new
    try:
        yield
    finally:
        del context.refresh
        if collects:
            gc.enable()


class Plain(Compiler):  # type: ignore[misc]
    """numba's compiler without what kernels have no use for."""

    def __init__(self, typing: Any, target: Any, *rest: Any) -> None:
        with undisturbed(target):
            super().__init__(remembering(typing), target, *rest)
        self.machine = target

    def compile_extra(self, function: Any) -> Any:
        with undisturbed(self.machine):
            self.state.targetctx.refresh = self.machine.refresh
            return super().compile_extra(function)

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [p for p in pipeline.passes if p[0].__name__ not in UNUSED]
        pipeline.finalize()
        return [pipeline]


OPERATORS = {bool, *(f for f in vars(operator).values() if callable(f))}


@cache
def remembering(context: Any) -> Any:
    """numba's context of types, which looks up once what an operator gives for arguments of some
    types: by itself it asks all that know the operator, in turn, at every line.
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
    found = copy.copy(context)  # the same tables, used otherwise
    found.__class__ = Remembering
    return found


class PartCompiler(Plain):
    """Its library is a `Part`."""

    def __init__(
        self, typing: Any, target: Any, _: Any, given: Any, back: Any, flags: Flags, names: Any
    ) -> None:
        part = Part(target.codegen(), "part")
        part.reorders = flags.fastmath and not any(isinstance(t, types.Array) for t in given)
        super().__init__(typing, target, part, given, back, Chosen(flags), names)


class InlinedCompiler(PartCompiler):
    """The same for a short function, which is copied into its callers: to hand over its arguments
    would cost more than its few lines do.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.state.library.inlined = True


class WholeCompiler(Plain):
    """Its library is a `Whole`."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        whole = Whole(target.codegen(), "whole")
        super().__init__(typing, target, whole, *rest)
        self.state.library.enable_object_caching()
        self.state.library.reorders = bool(self.state.flags.fastmath)


def part_of(function: Any, settings: dict[str, Any]) -> Any:
    """A kernel as others take it into themselves, made with numba's settings `njit(...)`."""
    plain = njit(**{**settings, "cache": False}, no_cfunc_wrapper=True)(function)
    options = {**plain.targetoptions, "no_cpython_wrapper": True}
    return CPUDispatcher(function, targetoptions=options, pipeline_class=PartCompiler)


@cache
def load_numba() -> None:
    """Load what numba knows, without scipy's linear algebra.

    numba imports that, a fifth of all that a process imports, to see whether it is there; what
    needs it imports it when it is compiled.
    """
    from numba.np import linalg

    asked: Any = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = asked
    with undisturbed(cpu_target.target_context):
        cpu_target.target_context.refresh()
