"""The registers for several numbers of the processor that kernels are compiled for: this one, or
what NUMBA_CPU_FEATURES says.
"""

from __future__ import annotations

import sys
from ctypes import CDLL
from functools import cache

from numba.core import config
from numba.core.codegen import get_host_cpu_features

_FEATURES = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
# Of a register: there are 32 of 512 (AVX-512) or of 128 (ARM), 16 of 256 (AVX).
BITS = 512 if "+avx512f" in _FEATURES else 256 if "+avx," in f"{_FEATURES}," else 128
# Whether registers are as wide as the processor likes (ARM's SVE), in units of 128 bits.
SCALABLE = "+sve" in _FEATURES.split(",")
_PR_SVE_GET_VL, _BYTES = 51, 0xFFFF  # Linux's call, and the bits of its answer that are the width


@cache
def scale() -> int:
    """How many times 128 bits SVE's registers hold; 0 where there are none, or none can say."""
    if not (SCALABLE and sys.platform == "linux"):
        return 0
    said = int(CDLL(None).prctl(_PR_SVE_GET_VL))
    return max(said, 0) % (_BYTES + 1) // 16
