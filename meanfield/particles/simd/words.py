"""The random words of `meanfield.particles.noise`, many at a time.

Four 32-bit words for every counter under a 64-bit key. Rows of particles are done by jobs: `LANES`
particles of one row, or of two that share their words.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from meanfield.particles.simd.vectors import (
    BITS,
    INT,
    WORD,
    constant,
    everywhere,
    joined,
    pick,
    place,
    vector,
)

LANES = 16  # particles of a job
# Jobs whose words are made at a time: two vectors or more, which hide the delays of one another and
# fit in the registers. No word depends on it.
GROUP = 4 if BITS == 512 else 1
_PAIRS = LANES // 2
_FACTORS, _KEYS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)

Job = tuple[Any, Any]  # its first row and the place in it where it begins


def places(b: Any, size: tuple[Any, Any], rows: int, at: Job, count: int) -> tuple[list[Job], Job]:
    """So many jobs of `rows` rows, in an array of `size` = (its rows, lanes), and the one after
    them. Past the end the last rows' are named once more.
    """
    (height, lanes), (k, i), found = size, at, []
    last = b.sub(height, ir.Constant(WORD, rows))
    for _ in range(count):
        found.append((b.select(b.icmp_signed("<", k, last), k, last), i))
        i = b.add(i, ir.Constant(WORD, LANES))
        inside = b.icmp_signed("<", i, lanes)
        i = b.select(inside, i, ir.Constant(WORD, 0))
        k = b.select(inside, k, b.add(k, ir.Constant(WORD, rows)))
    return found, (k, i)


def spread(b: Any, Z: Any, jobs: list[Job], row: int, values: Any) -> None:
    """Store a vector of several jobs, in parts, in one of the rows of each."""
    width, none = cgutils.unpack_tuple(b, Z.shape)[1], ir.Constant(values.type, ir.Undefined)
    for n, (k, i) in enumerate(jobs):
        part = pick(b, values, none, range(LANES * n, LANES * (n + 1)))
        there = b.add(b.mul(b.add(k, ir.Constant(WORD, row)), width), i)
        b.store(part, place(b, Z.data, there, part.type), align=8)


def _philox(b: Any, counter: list[Any], key: Any) -> list[Any]:
    """Ten rounds on words that stand in the lower halves of 64 bits; what is above them is of no
    account.
    """
    wide = counter[0].type
    shift, low = constant(wide, 32), constant(wide, 0xFFFFFFFF)
    keys = [b.and_(key, ir.Constant(WORD, 0xFFFFFFFF)), b.lshr(key, ir.Constant(WORD, 32))]
    c0, c1, c2, c3 = counter
    for r in range(10):
        k, m = (
            everywhere(b, b.add(v, ir.Constant(WORD, r * w % 2**32)), wide.count)
            for v, w in zip(keys, _KEYS, strict=True)
        )
        # So the compiler sees products of 32 bits, and takes nothing away.
        p, q = (
            b.mul(b.and_(c, low), constant(wide, f))
            for c, f in zip((c0, c2), _FACTORS, strict=True)
        )
        c0, c1, c2, c3 = (
            b.xor(b.xor(b.lshr(q, shift), c1), k),
            q,
            b.xor(b.xor(b.lshr(p, shift), c3), m),
            p,
        )
    return [c0, c1, c2, c3]


def drawn(
    b: Any, size: tuple[Any, Any], rows: int, numbers: tuple[Any, ...]
) -> tuple[list[Job], list[Any], Job]:
    """GROUP jobs from row k and place i on, four vectors of their words, and the next job.

    numbers: k, i, first, tick, player, replica and key. The stream of coordinate j is 2 j + player;
    two rows stand for two of these.
    """
    k, i, first, tick, player, replica, key = numbers
    jobs, after = places(b, size, rows, (k, i), GROUP)
    steps, one = constant(vector(WORD, _PAIRS), range(_PAIRS)), ir.Constant(WORD, 1)
    pairs, streams = [], []
    for row, at in jobs:
        pairs.append(b.add(everywhere(b, b.lshr(b.add(first, at), one), _PAIRS), steps))
        stream = b.add(b.mul(row, ir.Constant(WORD, 2 // rows)), player)
        streams.append(everywhere(b, stream, _PAIRS))
    same = [everywhere(b, number, _PAIRS * GROUP) for number in (tick, replica)]
    return jobs, _philox(b, [joined(b, pairs), same[0], joined(b, streams), same[1]], key), after


def woven(b: Any, u: Any, v: Any) -> Any:
    """The lower halves of two vectors of 64 bits in turn."""
    both, count = vector(INT, 2 * u.type.count), 2 * u.type.count
    turns = [i if i % 2 == 0 else count + i - 1 for i in range(count)]
    return pick(b, b.bitcast(u, both), b.bitcast(v, both), turns)
