"""How the kernels of this room are compiled, and when what is kept on disk is out of date."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

SOURCES = ("jit.py", "kernels.py", "lowrank.py", "noise.py", "pairwise.py")


def _library() -> str:
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()


LIBRARY = _library()


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`njit`, kept on disk, outside Python's lock, with IEEE division.

    fastmath is set to False by name: left out, a function takes the setting of whichever function compiles
    it first, and reordered sums would undo the rounding in `noise.sincos`. numba looks only at a function's
    own file to see whether its compiled form is out of date, although the functions it calls are compiled
    into it; here an edit of any kernel outdates them all.
    """
    if function is None:
        return lambda f: kernel(f, **options)
    settings = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": False, **options}
    compiled = njit(**settings)(function)
    index: Any = getattr(compiled._cache, "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = LIBRARY
    return compiled
