"""Kernels inside kernels are compiled once, in whatever Python calls.

This rests on inner workings of numba that its versions 0.60 to 0.68 share; see
`meanfield.jit.PARTS`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from llvmlite import ir
from llvmlite.binding import Linkage
from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Flags
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, cpu_target

from meanfield.compiler import Plain, undisturbed
from meanfield.registers import SCALABLE, scale


class Part(JITCodeLibrary):
    """The code of a kernel inside others, left as it is until it is taken into one of them.

    numba would optimise it, function by function and as a whole, and make machine code of it, and
    of a wrapper by which Python could call it: more than half of all the time that compiling took.
    """

    # What is not in memory holds no Python objects.
    codegen = SimpleNamespace(set_env=lambda name, env: None)
    reorders = inlined = False

    def add_ir_module(self, module: Any) -> None:
        _widen(module)
        for function in module.functions:
            if self.inlined and not function.is_declaration:
                function.attributes.add("alwaysinline")
        super().add_ir_module(module)

    def _optimize_functions(self, module: Any) -> None:
        pass

    def finalize(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
        self._finalized = True

    def _get_module_for_linking(self) -> Any:
        """With all its own parts, for code that is no `Whole`."""
        module = self._final_module.clone()
        _link(module, self)
        return module


_WHOLE = re.compile(r"<\d+ x i64>")


def _know_width(function: Any) -> None:
    """Tell LLVM how wide SVE's registers are, by which it makes vectors of loops that it leaves
    alone otherwise; not where numbers of 64 bits are whole, whose products are slower there.
    """
    if not (function.is_declaration or _WHOLE.search(str(function))):
        # One that llvmlite does not know of.
        set.add(function.attributes, f"vscale_range({scale()},{scale()})")


def _widen(module: Any) -> None:
    """Say of the loops whose bodies call `meanfield.jit.together` how wide their vectors are; with
    SVE, LLVM finds that out.
    """
    for function in module.functions if scale() else ():
        _know_width(function)
    for body, numbers in () if SCALABLE else vars(module).pop("together", ()):
        hints = [
            module.add_metadata([f"llvm.loop.{what}", ir.Constant(ir.IntType(32), count)])
            for what, count in (("vectorize.width", numbers), ("interleave.count", 1))
        ]
        loop = ir.MDValue(module, hints, name=str(len(module.metadata)))
        loop.operands = (loop, *hints)  # by which LLVM tells one loop from another
        # numba's blocks stand in the order of the text, and what it splits off after them all: only
        # the end of the loop leads back.
        places = {block: i for i, block in enumerate(body.function.blocks)}
        inside = [body]
        for block in inside:
            for to in set(block.terminator.operands) & set(places):
                if places[to] < places[body]:
                    block.terminator.set_metadata("llvm.loop", loop)
                elif to not in inside:
                    inside.append(to)


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

    Nobody else calls its parts: what they do not use of their arguments is not handed over. The
    wrapper that takes arguments out of Python's objects, the longest function of many kernels, is
    left as it is. Where sums over numbers may be reordered all functions are first simplified,
    each by itself as numba does it: the order that is found otherwise is another one.
    """

    reorders = False

    def add_ir_module(self, module: Any) -> None:
        _widen(module)
        if module.name == "wrapper":
            for function in module.functions:
                if not function.is_declaration:
                    function.attributes.update({"noinline", "optnone"})
        super().add_ir_module(module)

    def add_llvm_module(self, module: Any) -> None:
        self._final_module.link_in(module)

    def _get_compiled_object(self) -> Any:
        """LLVM hands the machine code to a Python callback, which cannot raise. Where there is no
        code, the callback was interrupted by the user.
        """
        if self._object_caching_enabled and self._compiled_object is None:
            raise KeyboardInterrupt
        return super()._get_compiled_object()

    def finalize(self) -> None:
        linked = _link(self._final_module, self)
        self._linking_libraries.clear()
        for function in self._final_module.functions:
            own = function.linkage == Linkage.linkonce_odr and not function.is_declaration
            # By their names NRT_incref and NRT_decref are found, of which numba takes out pairs.
            if own and not function.name.startswith("NRT_"):
                function.linkage = Linkage.internal
                # The loader looks for functions by name, in all modules: under its own name others
                # would be led to this one, which has no address for them.
                function.name += ".inside"
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


class PartDispatcher(CPUDispatcher):  # type: ignore[misc]
    """Numbers that stand in a caller's text are given as any others are: numba would compile the
    part once more for them.
    """

    def get_call_template(self, given: Any, named: Any) -> Any:
        return super().get_call_template([*map(types.unliteral, given)], named)


def part_of(function: Any, settings: dict[str, Any]) -> Any:
    """A kernel as others take it into themselves, made with numba's settings `njit(...)`."""
    plain = njit(**{**settings, "cache": False}, no_cfunc_wrapper=True)(function)
    options = {**plain.targetoptions, "no_cpython_wrapper": True}
    return PartDispatcher(function, targetoptions=options, pipeline_class=PartCompiler)


@cache
@global_compiler_lock  # type: ignore[untyped-decorator]
def load_numba() -> None:
    """Load numba's functions, without scipy's linear algebra, while no other thread compiles.

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
