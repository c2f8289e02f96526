"""The random words of `meanfield.particles.noise`, many at a time.

Philox4x32-10 makes four 32-bit words for every counter of four, under a 64-bit key. The words of a
counter and of its random ones stand in the lower halves of 64 bits: what is above is of no account.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, separate
from meanfield.particles.simd.lanes import Lanes, load
from meanfield.registers import BITS

LANES = 16  # rows of particles come in multiples of it
# Counters at a time: two vectors or more, which hide the delays of one another and fit in the
# registers. No word depends on it.
WIDE = 32 if BITS == 512 else 8
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@kernel
def number(pair: int, half: int, rows: int, counters: Array) -> None:
    """Number `half` pairs of particles, from `pair` on, in each of so many rows: counters (2, half
    * rows or more) are a pair and how far its row's stream is from the first row's.
    """
    separate()
    n = 0
    for k in range(rows):
        for i in range(half):
            counters[0, n + i], counters[1, n + i] = pair + i, 2 * k
        n += half


@kernel(forceinline=True)
def words(counters: Array, n: int, tick: Any, stream: Any, replica: Any, key: Any) -> Any:
    """The four words of WIDE pairs, from number n on; `stream` is the first row's. All but n are
    without sign.
    """
    first, third = load(WIDE, counters, 0, n), load(WIDE, counters, 1, n) + stream
    none = first ^ first
    w = _round((first, none + tick, third, none + replica), key, np.uint64(0))
    w = _round(_round(w, key, np.uint64(1)), key, np.uint64(2))
    w = _round(_round(w, key, np.uint64(3)), key, np.uint64(4))
    w = _round(_round(w, key, np.uint64(5)), key, np.uint64(6))
    w = _round(_round(w, key, np.uint64(7)), key, np.uint64(8))
    return _round(w, key, np.uint64(9))


@kernel(forceinline=True)
def _round(w: tuple[Lanes, ...], key: Any, r: Any) -> Any:
    a, b, c, d = w
    k, m = (key & _LOW) + r * _STEPS[0], (key >> _HALF) + r * _STEPS[1]
    # So the compiler sees products of 32 bits, and takes nothing away.
    p, q = (a & _LOW) * _FACTORS[0], (c & _LOW) * _FACTORS[1]
    return (q >> _HALF) ^ b ^ k, q, (p >> _HALF) ^ d ^ m, p
