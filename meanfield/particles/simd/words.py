"""The random words of `meanfield.particles.noise`, many at a time.

Philox4x32-10 makes four 32-bit words for every counter of four, under a 64-bit key. The words of a
counter and of its random ones stand in the lower halves of 64 bits: what is above is of no account.

Of the four words of a counter the first says which pair of particles, the third which coordinate,
and the other two are the same for both. A round multiplies the first and the third alone, so that
what comes before the third round is made once for a pair and once for a coordinate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, separate
from meanfield.lanes import load

LANES = 16  # rows of particles come in multiples of it
WIDE = 8  # pairs at a time, by which rows can be divided; no word depends on it
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@kernel
def pair_rounds(pair: int, count: int, replica: Any, key: Any, begun: Array) -> None:
    """The first two rounds of what depends on pairs alone, count of them from number `pair` on:
    begun (3, count or more).
    """
    separate()
    for n in range(count):
        product = (np.uint64(pair + n) & _LOW) * _FACTORS[0]
        _, m = keys(key, np.uint64(0))
        third = ((product >> _HALF) ^ replica ^ m) & _LOW
        k, m = keys(key, np.uint64(1))
        second = third * _FACTORS[1]
        begun[0, n], begun[1, n], begun[2, n] = (second >> _HALF) ^ k, second, product ^ m


@kernel
def coordinate_rounds(coordinate: Any, tick: Any, key: Any) -> tuple[Any, Any]:
    """The first two rounds of what depends on a coordinate alone, given as 2 k + player."""
    product = (coordinate & _LOW) * _FACTORS[1]
    k, _ = keys(key, np.uint64(0))
    return product, (((product >> _HALF) ^ tick ^ k) & _LOW) * _FACTORS[0]


@kernel(forceinline=True)
def words(begun: Array, n: int, coordinate: tuple[Any, Any], key: Any) -> Any:
    """The four words of WIDE pairs, from number n on: the other eight rounds, after `pair_rounds`
    and `coordinate_rounds`. All but n are without sign.
    """
    second, fourth = coordinate
    a, b, c = load(WIDE, begun, 0, n), load(WIDE, begun, 1, n), load(WIDE, begun, 2, n)
    w = _round((a ^ second, b, c ^ (fourth >> _HALF), fourth), key, np.uint64(2))
    w = _round(_round(w, key, np.uint64(3)), key, np.uint64(4))
    w = _round(_round(w, key, np.uint64(5)), key, np.uint64(6))
    w = _round(_round(w, key, np.uint64(7)), key, np.uint64(8))
    return _round(w, key, np.uint64(9))


@kernel(forceinline=True)
def keys(key: Any, r: Any) -> tuple[Any, Any]:
    """The two halves of the key in round r."""
    return (key & _LOW) + r * _STEPS[0], (key >> _HALF) + r * _STEPS[1]


@kernel(forceinline=True)
def _round(w: Any, key: Any, r: Any) -> Any:
    a, b, c, d = w
    k, m = keys(key, r)
    # So the compiler sees products of 32 bits, and takes nothing away.
    p, q = (a & _LOW) * _FACTORS[0], (c & _LOW) * _FACTORS[1]
    return (q >> _HALF) ^ (b ^ k), q, (p >> _HALF) ^ (d ^ m), p
