"""The pair loops of formulas for a graphics processor, written from the same lines as `loops`.

One thread an own point. The threads of a block take the opponent's points in tiles: each computes
what depends on one of these points alone, and leaves it in the memory that they share; then all run
over the tile. Functions are those of the device's library, products are added in one rounding:
costs and gradients agree with the processor's to a few roundings, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meanfield.games.base import SIGNS
from meanfield.games.formulas.codegen import Dialect, name, parts, prepared
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.modules import load

FORMAT = 2  # raise when the meaning of generated source changes
SHARED = 48 * 1024  # bytes that the threads of a block share on every device
DOUBLE = Dialect(own="points[own", fused="{} * {} + {}", known=frozenset(), moderate=0.0)
SINGLE = DOUBLE._replace(constant="F({})")


def device_source(formula: Formula, p: int, single: bool = False) -> str:
    """The module's text: THREADS, and a kernel `look` of player p's cost and gradient.

    look(points (n, a), nodes (m, b), masses (m,), share, out (parts, 1 + a, n)), in blocks of
    THREADS threads: block (., k) sums over the nodes from k share to (k + 1) share; the parts are
    to be added up. single: as in `loops`, pairs and the sums over a tile in single precision, the
    rest in double. Raises ValueError for a formula too long.
    """
    found = prepared(formula, p, formula.jet(p))
    if found is None:
        raise ValueError(
            f'{formula.name[:60]} is too long for device="cuda"; leave device at "cpu"'
        )
    graph, made = found
    dialect = SINGLE if single else DOUBLE
    own, other, _, given, table = parts(formula, p, graph, made, dialect=DOUBLE)
    inner = parts(formula, p, graph, made, dialect=dialect).inner
    threads = min(128, SHARED // ((4 if single else 8) * (len(table) + 1)) // 32 * 32)
    if threads == 0:
        raise ValueError(
            f"{formula.name[:60]} asks for {len(table)} numbers of every point of the opponent, "
            "more "
            'than the threads of a block can share; leave device at "cpu"'
        )
    lines = [
        f'"""Pair loops of a meanfield game for graphics processors, generated; format {FORMAT}."""',
        "",
        "import math",
        "",
        f"from numba import cuda, float{32 if single else 64} as F",
        "",
        f"THREADS = {threads}",
        "",
        "",
        "def look(points, nodes, masses, share, out):",
        f"    tile = cuda.shared.array(({len(table) + 1}, {threads}), F)",
        "    lane, part = cuda.threadIdx.x, cuda.blockIdx.y",
        "    n, m = points.shape[0], nodes.shape[0]",
        f"    i = cuda.blockIdx.x * {threads} + lane",
        "    own = i if i < n else n - 1  # threads beyond the last point fill tiles too",
        *(f"    {line}" for line in own),
        *(f"    t{i} = F(t{i})" for i in given if single),
        *(f"    s{k} = 0.0" for k in range(len(made))),
        "    end = (part + 1) * share if (part + 1) * share < m else m",
        f"    for first in range(part * share, end, {threads}):",
        "        j = first + lane",
        "        if j < end:",
        *(f"            {line}" for line in other),
        *(f"            tile[{k}, lane] = t{i}" for k, i in enumerate(table)),
        f"            tile[{len(table)}, lane] = masses[j]",
        "        cuda.syncthreads()",
        *(f"        c{k} = F(0.0)" for k in range(len(made))),
        f"        for q in range({threads} if first + {threads} < end else end - first):",
        *(f"            t{i} = tile[{k}, q]" for k, i in enumerate(table)),
        *(f"            {line}" for line in inner),
        *(
            f"            c{k} += tile[{len(table)}, q] * {name(graph, r, dialect)}"
            for k, r in enumerate(made)
        ),
        *(f"        s{k} += c{k}" for k in range(len(made))),
        "        cuda.syncthreads()  # before the next tile takes its place",
        "    if i < n:",
        *(f"        out[part, {k}, i] = {SIGNS[p]!r} * s{k}" for k in range(len(made))),
    ]
    return "\n".join([*lines, ""])


def device_kernel(formula: Formula, p: int, single: bool = False) -> tuple[Callable[..., Any], int]:
    """(look, threads a block), not compiled; RuntimeError where no folder can hold the module."""
    source = device_source(formula, p, single)
    look, threads = load(source, "look"), load(source, "THREADS")
    if look is None or threads is None:
        raise RuntimeError(
            'device="cuda" needs a folder for compiled kernels; '
            "set MEANFIELD_CACHE to one of your own"
        )
    return look, threads  # type: ignore[return-value]
