"""Kernels of graphics processors, compiled without one."""

from __future__ import annotations

import pytest


def compiled_to_ptx(function, signature):
    """PTX for compute capability 8.0, which asks for no device; the test is skipped where the
    compiler is missing.
    """
    from numba import cuda

    try:
        cuda.compile_ptx(lambda x: None, (signature[0],), cc=(8, 0))
    except Exception as error:
        if type(error).__name__ in (
            "NvvmSupportError",
            "CudaSupportError",
            "DynamicLibNotFoundError",
        ):
            pytest.skip(f"the CUDA compiler is missing: {error}".splitlines()[0])
        raise
    return cuda.compile_ptx(function, signature, cc=(8, 0))[0]
