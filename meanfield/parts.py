"""Kernels inside kernels are compiled once, in whatever Python calls.

This rests on inner workings of numba that its versions 0.60 to 0.68 share; see
`meanfield.jit.PARTS`.
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
    """The code of a kernel inside others, left as it is until it is taken into one of them.

    numba would optimise it and make machine code of it, and of a wrapper by which Python could
    call it: half of all the time that compiling took.
    """

    # What is not in memory holds no Python objects.
    codegen = SimpleNamespace(set_env=lambda name, env: None)

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
