"""Compiled kernels as the Python that they are written in, for checks of their parts: in kernels
that are compiled these cannot be called, and each on its own would take seconds to compile.
"""

from __future__ import annotations

from types import ModuleType

import pytest

from meanfield.jit import Kernel, larger, smaller

# What stands for the intrinsics of which compiled code alone has a meaning.
PLAIN = {smaller: min, larger: max}


def plainly(patch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Until the patch ends, kernels in these modules are Python functions."""
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, Kernel):
                patch.setattr(module, name, value.py_func)
            elif any(value is intrinsic for intrinsic in PLAIN):
                patch.setattr(module, name, PLAIN[value])
