"""Arrays that begin where a line of the cache does: no vector of a kernel lies across two lines,
which would take it up to half as long again. numpy's own arrays begin anywhere, so that the same
run would be fast or slow by chance.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from meanfield.checks import Array

LINE = 64  # bytes; longer lines hold several


def zeros(shape: int | tuple[int, ...], dtype: Any = np.float64) -> Array:
    """`np.zeros` so aligned."""
    kind = np.dtype(dtype)
    size = (prod(shape) if isinstance(shape, tuple) else shape) * kind.itemsize
    memory = np.zeros(size + LINE, np.uint8)
    begin = -memory.__array_interface__["data"][0] % LINE
    found: Array = memory[begin : begin + size].view(kind).reshape(shape)
    return found


def copied(a: Array) -> Array:
    """A copy so aligned, in C order."""
    found = zeros(a.shape, a.dtype)
    found[:] = a
    return found
