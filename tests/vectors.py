"""Whether compiled loops run in vectors, read from their machine code on any processor.

How many instructions there are depends on the width of the vectors and on how far the compiler
unrolls for the processor at hand; which of them take several numbers at once does not.
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from llvmlite import binding

# x86: vmulpd, addps, vfmadd213pd, ... against vmulsd, ...; ARM: fmla v0.2d, ... and, with SVE, fmad
# z0.d, ... against fmadd d0, ...
X86 = re.compile(r"^\s*v?(?:mul|add|sub|div|fn?m(?:add|sub)\d{3})([ps])[sd]\b")
ARM = re.compile(r"^\s*(?:fn?m(?:add?|sub|sb|la|ls|ul)|fadd|fsubr?|fdivr?)(\.\d+[sd])?\s+(\S+)")


def has_vectors() -> bool:
    """Whether the processor adds products in one rounding, many at a time.

    Where it does not, the C library is called for each product, and no loop runs in vectors.
    """
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    features = binding.get_host_cpu_features()
    return bool(features.get("fma")) and bool(features.get("avx"))


needs_vectors = pytest.mark.skipif(
    not has_vectors(), reason="this processor has no vectors of fused multiplications and additions"
)
x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="for processors of this kind"
)


def use_fresh_kernels(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let kernels of formulas be compiled by this process: one that another test has found on disk
    has no machine code to be read.
    """
    patch.setenv("MEANFIELD_CACHE", str(folder))
    for name in [name for name in sys.modules if name.startswith("meanfield_kernel_")]:
        patch.delitem(sys.modules, name)


def arithmetic(function: Any) -> tuple[int, int]:
    """How many additions, multiplications and divisions take several numbers, and how many one."""
    packed = scalar = 0
    for text in function.inspect_asm().values():
        for line in text.splitlines():
            if found := X86.match(line):
                several = found[1] == "p"
            elif found := ARM.match(line):
                several = bool(found[1]) or found[2].startswith(("v", "z"))
            else:
                continue
            packed, scalar = packed + several, scalar + (not several)
    return packed, scalar
