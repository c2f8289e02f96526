"""Kernels inside kernels are compiled once, in whatever Python calls.

This rests on inner workings of numba that its versions 0.60 to 0.68 share; see
`meanfield.jit.PARTS`.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from numba import njit
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


def part_of(function: Any, settings: dict[str, Any]) -> Any:
    """A kernel as others take it into themselves, made with numba's settings `njit(...)`."""
    plain = njit(**{**settings, "cache": False}, no_cfunc_wrapper=True)(function)
    options = {**plain.targetoptions, "no_cpython_wrapper": True}
    return CPUDispatcher(function, targetoptions=options, pipeline_class=PartCompiler)


def load_arrays() -> None:
    """Load numba's functions of arrays, without scipy's linear algebra.

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
