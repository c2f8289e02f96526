"""Pair loops of formulas for a graphics processor, from the same graph as those of `loops`.

One thread an own point. The threads of a block take the opponent's points in tiles: each of them
computes what depends on one of these points alone, and leaves it in the memory that they share;
then all run over the tile. Functions are those of the device's library, products are added in one
rounding: costs and gradients agree with the processor's to a few roundings, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meanfield.games.base import SIGNS
from meanfield.games.formulas.codegen import Dialect, filled, parts
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.separation import separated

FORMAT = 3  # raise when the meaning of generated source changes
SHARED = 48 * 1024  # bytes that the threads of a block share on every device
# Points of a tile that are looked at between two tests for its end. Four neighbours are read at
# once; eight are too many for LLVM to write out one after the other.
ABREAST = 4
DOUBLE = Dialect(own="points[own", fused="{} * {} + {}", known=frozenset(), moderate=0.0)
SINGLE = DOUBLE._replace(constant="F({})")


def device_source(game: Formula, p: int, single: bool = False) -> str:
    """The module's text: a kernel `look` of player p's cost and gradient, THREADS of them a block.

    look(points (n, a), nodes (m, b), masses (m,), share, out (parts, 1 + a, n)): block (., k) sums
    over the nodes from k share to (k + 1) share; the parts are to be added up. `single`: pairs and
    the sums over a tile in single precision, the rest in double.

    Raises ValueError for a formula too long.
    """
    separate = separated(game, p, game.jet(p))
    if separate is None:
        raise ValueError(f'{game.name[:60]} is too long for device="cuda"; leave device at "cpu"')
    graph, sums = separate
    dialect = SINGLE if single else DOUBLE
    lines = parts(game, p, graph, sums, dialect=DOUBLE)
    inner = parts(game, p, graph, sums, dialect=dialect).inner
    own_read, table = lines.own_read, lines.other_read
    threads = _threads(game, len(table), single)
    names = [dialect.name(graph, i) for i in sums]
    return filled(
        _MODULE.format(
            format=FORMAT,
            bits=32 if single else 64,
            threads=threads,
            mass=len(table),
            rows=len(table) + 1,
            abreast=ABREAST,
        ),
        own=lines.own,
        rounded=[f"t{i} = F(t{i})" for i in own_read if single],
        sums=[f"s{k} = 0.0" for k in range(len(sums))],
        other=lines.other,
        stored=[f"tile[{k}, lane] = t{i}" for k, i in enumerate(table)],
        zeros=[f"c{k} = F(0.0)" for k in range(len(sums))],
        table=[f"t{i} = tile[{k}, q]" for k, i in enumerate(table)],
        inner=inner,
        added=[f"c{k} += tile[{len(table)}, q] * {name}" for k, name in enumerate(names)],
        totals=[f"s{k} += c{k}" for k in range(len(sums))],
        out=[f"out[part, {k}, i] = {SIGNS[p]!r} * s{k}" for k in range(len(sums))],
    )


def _threads(game: Formula, numbers: int, single: bool) -> int:
    """Threads a block: what they share holds a tile with so many numbers, and a mass, a node."""
    threads = min(128, SHARED // ((4 if single else 8) * (numbers + 1)) // 32 * 32)
    if threads == 0:
        raise ValueError(
            f"{game.name[:60]} asks for {numbers} numbers of every point of the opponent, more "
            'than the threads of a block can share; leave device at "cpu"'
        )
    return threads


_MODULE = """\
\"\"\"Pair loops of a meanfield game for graphics processors, generated; format {format}.\"\"\"

import math

from numba import cuda, float{bits} as F, uint64 as U

THREADS = {threads}


def look(points, nodes, masses, share, out):
    tile = cuda.shared.array(({rows}, {threads}), F)
    lane, part = cuda.threadIdx.x, cuda.blockIdx.y
    n, m = points.shape[0], nodes.shape[0]
    i = cuda.blockIdx.x * {threads} + lane
    own = i if i < n else n - 1  # threads beyond the last point fill tiles too
    $own
    $rounded
    $sums
    end = (part + 1) * share if (part + 1) * share < m else m
    for first in range(part * share, end, {threads}):
        # Beyond the end stands the last point, without mass.
        j = first + lane if first + lane < end else end - 1
        $other
        $stored
        tile[{mass}, lane] = masses[j] if first + lane < end else 0.0
        cuda.syncthreads()
        $zeros
        # Places count without signs: others might count from the end of the tile.
        stop = {threads} if first + {threads} < end else end - first
        for group in range(U(0), U(stop), U({abreast})):
            for k in range(U({abreast})):
                q = group + k
                $table
                $inner
                $added
        $totals
        cuda.syncthreads()  # before the next tile takes its place
    if i < n:
        $out
"""


def device_kernel(game: Formula, p: int, single: bool = False) -> tuple[Callable[..., Any], int]:
    """(look, threads a block), not compiled; RuntimeError where no folder can hold the module."""
    from meanfield.games.formulas.kernels import load

    source = device_source(game, p, single)
    look, threads = load(source, "look"), load(source, "THREADS")
    if look is None or threads is None:
        raise RuntimeError(
            'device="cuda" needs a folder for compiled kernels; set MEANFIELD_CACHE to one of '
            "your own"
        )
    return look, threads  # type: ignore[return-value]
