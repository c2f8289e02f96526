"""Kernels inside kernels are compiled once, in whatever Python calls.

This rests on inner workings of numba that its versions 0.60 to 0.68 share; see `meanfield.jit.PARTS`.
"""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import Any

from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher


class Part(JITCodeLibrary):
    """The code of a kernel inside others: neither optimised nor made machine code before it is taken into one.

    numba would do both for every kernel that a kernel calls, and for the wrapper by which Python could call it:
    half of all the time that compiling took.
    """

    codegen = SimpleNamespace(
        set_env=lambda name, env: None
    )  # what is not in memory holds no Python objects

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


class PartCompiler(Compiler):  # type: ignore[misc]
    """numba's compiler, its library a `Part`."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, Part(target.codegen(), "part"), *rest)


class Kernel(CPUDispatcher):  # type: ignore[misc]
    """What Python calls; kernels that name it call its `part`."""

    @cached_property
    def part(self) -> Any:
        options = {**self.targetoptions, "no_cpython_wrapper": True}
        return CPUDispatcher(self.py_func, targetoptions=options, pipeline_class=PartCompiler)

    @property
    def _numba_type_(self) -> Any:
        return types.Dispatcher(self.part)
