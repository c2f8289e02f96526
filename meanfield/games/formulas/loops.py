"""Compiled pair loops of formulas: source text generated from the checked graph alone.

One pass over the pairs gives player p's cost and its gradient, or both players' at once. The inner
loop runs over a block of own points, one processor lane each, so that no sum over the opponent's
points is reordered and every line is a vector operation; functions are those of
`meanfield.fastmath`. What it reads lies in one row a value: an array given from outside would be
read number by number, for its index might count from the end.

In single precision the inner loop alone is single, twice as many pairs at a time; what depends on
one player alone is computed in double precision and rounded once. Sums run over SHORT pairs in
single precision and then go on in double, so that their rounding does not grow with the number of
particles. Formulas that ask a pair for a function without a single form here are refused: nothing
would be gained (1.01 times as fast through the C library).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from meanfield.games.base import SIGNS
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.codegen import (
    PROCESSOR,
    Dialect,
    Parts,
    Split,
    name,
    parts,
    prepared,
    splits,
)
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.modules import load

FORMAT = 7  # raise when the meaning of generated source changes
BLOCK = 256  # own points at a time: their numbers and sums stay in the first cache
SHORT = 64  # the opponent's points in one single-precision sum
SINGLE = Dialect(
    constant="F({})",
    ours="fastmath.{}32",
    known=frozenset({"sin", "cos", "exp", "log", "tanh"}),
    moderate=80.0,
)
_SLOW = re.compile(r"\bmath\.(sinh|cosh|asin|acos|atan|pow)\(")


def kernel(formula: Formula, p: int, roots: Sequence[int]) -> Callable[..., Any] | None:
    """forces(points, nodes, masses) of player p, compiled; None where numpy has to do."""
    return _loaded(forces_source(formula, p, roots))


def forces_source(formula: Formula, p: int, roots: Sequence[int] | None = None) -> str | None:
    """The module's text: a function `forces` (n, a), (m, b), (m,) -> (n,), (n, R - 1).

    It averages R operations over the opponent's atoms: `roots`, or the loss and its gradient. None
    for a formula too long.
    """
    return _source(formula, p, roots or formula.jet(p), [])


def pair_kernel(formula: Formula, single: bool = False) -> Callable[..., Any] | None:
    """forces(x, y, masses_x, masses_y) of both players, compiled; None where numpy has to do.

    single: the inner loop in single precision; ValueError for a formula that gains nothing by it.
    """
    dialect = SINGLE if single else PROCESSOR
    source = _source(formula, 0, formula.jet(0), formula.jet(1), dialect)
    if single and source is None:
        raise ValueError(
            f'{formula.name[:60]} is too long for precision="float32"; leave precision at "float64"'
        )
    return _loaded(source)


def _loaded(source: str | None) -> Callable[..., Any] | None:
    return None if source is None else load(source, "forces")


class _Loop(NamedTuple):
    """What a module is written from: the operations summed for either side, and their lines."""

    graph: Graph
    mine: list[Split]
    facing: list[Split]
    parts: Parts
    inner: list[str]
    sign: float
    single: bool

    def called(self, i: int) -> str:
        return name(self.graph, i, SINGLE if self.single else PROCESSOR)


def _source(
    formula: Formula,
    p: int,
    roots: Sequence[int],
    facing: Sequence[int],
    dialect: Dialect = PROCESSOR,
) -> str | None:
    found = prepared(formula, p, [*roots, *facing])
    if found is None:
        return None
    graph, made = found
    split = splits(graph, made, formula.variables(p))
    pairs = [s.pair for s in split if s.pair is not None]
    factors = [i for s in split for product in s.products for i in product]
    wide = parts(formula, p, graph, pairs, factors)
    inner = wide.inner
    if dialect is SINGLE:
        inner = parts(formula, p, graph, pairs, dialect=SINGLE).inner
        if slow := _SLOW.search("\n".join(inner)):
            what = "a broken power" if slow[1] == "pow" else slow[1]
            raise ValueError(
                f'precision="float32" gains nothing for {formula.name[:60]}: {what} of both '
                "players together has no form in single precision here; "
                'leave precision at "float64"'
            )
    mine, other = split[: len(roots)], split[len(roots) :]
    return _module(_Loop(graph, mine, other, wide, inner, SIGNS[p], dialect is SINGLE))


def _module(loop: _Loop) -> str:
    R, S = len(loop.mine), len(loop.facing)
    far = _different(b for s in loop.facing for _, b in s.products)
    extra = "weights, " if S else ""
    arrays = "cost, slope, against, push, table, far, given, sums"
    arrays += ", short" if loop.single else ""
    body = [
        f"def forces(points, nodes, {extra}masses):",
        "    n, m = points.shape[0], nodes.shape[0]",
        f"    cost, slope, against, push = np.zeros(n), np.zeros((n, {R - 1})), np.zeros(m), "
        f"np.zeros((m, {max(S - 1, 0)}))",
        f"    table, far = np.zeros((m, {max(len(loop.parts.table), 1)}), F), "
        f"np.zeros((m, {max(len(far), 1)}))",
        f"    given, sums = np.zeros({(len(loop.parts.given) + 1) * BLOCK}, F), "
        f"np.zeros({R * BLOCK})",
        *([f"    short = np.zeros({R * BLOCK}, F)"] if loop.single else []),
        f"    fill(points, nodes, {extra}masses, {arrays})",
        "    return (cost, slope), (against, push)" if S else "    return cost, slope",
        "",
        "",
        "@kernel",
        f"def fill(points, nodes, {extra}masses, {arrays}):",
        "    n, m = points.shape[0], nodes.shape[0]",
        *_indented(_of_nodes(loop, far)),
        f"    for low in range(0, n, {BLOCK}):",
        f"        size = min({BLOCK}, n - low)",
        *_indented(_of_points(loop), 2),
        *_indented(_of_pairs(loop), 2),
        "        for i in range(size):",
        f"            cost[low + i] = {loop.sign!r} * sums[i]",
        *(
            f"            slope[low + i, {k - 1}] = {loop.sign!r} * sums[{k * BLOCK} + i]"
            for k in range(1, R)
        ),
        *_indented(_of_products(loop, far)),
    ]
    return "\n".join([*_header(loop.single), *body, ""])


def _of_nodes(loop: _Loop, far: list[int]) -> list[str]:
    """What the opponent's points give: the table that pairs read, means m... of products' parts."""
    means = _different(b for s in loop.mine for _, b in s.products)
    return [
        *(f"m{b} = 0.0" for b in means),
        "for j in range(m):",
        *(f"    {line}" for line in loop.parts.other),
        *(f"    table[j, {k}] = t{i}" for k, i in enumerate(loop.parts.table)),
        *(f"    far[j, {k}] = {name(loop.graph, b)}" for k, b in enumerate(far)),
        *(f"    m{b} = summed(m{b}, masses[j], {name(loop.graph, b)})" for b in means),
        *(f"n{a} = 0.0" for a in _near(loop)),
        *(["pass"] if not (loop.parts.other or far or means) else []),
    ]


def _of_points(loop: _Loop) -> list[str]:
    """What own points give: the values that pairs read, the products' share of sums, means n..."""
    shares = [_sum((name(loop.graph, a), f"m{b}") for a, b in s.products) for s in loop.mine]
    weigh = (
        [f"given[{len(loop.parts.given) * BLOCK} + i] = weights[low + i]"] if loop.facing else []
    )
    return [
        "for i in range(size):",
        *(f"    {line}" for line in loop.parts.own),
        *(f"    given[{k * BLOCK} + i] = t{i}" for k, i in enumerate(loop.parts.given)),
        *(f"    {line}" for line in weigh),
        *(f"    sums[{k * BLOCK} + i] = {share}" for k, share in enumerate(shares)),
        *(f"    n{a} = summed(n{a}, weights[low + i], {name(loop.graph, a)})" for a in _near(loop)),
    ]


def _of_pairs(loop: _Loop) -> list[str]:
    """The inner loop, over a block of own points; in single precision SHORT of the opponent's."""
    mine = [(k, loop.called(s.pair)) for k, s in enumerate(loop.mine) if s.pair is not None]
    facing = [(k, loop.called(s.pair)) for k, s in enumerate(loop.facing) if s.pair is not None]
    if not mine and not facing:
        return []
    total = "short" if loop.single else "sums"
    look = [
        "w = F(masses[j])" if loop.single else "w = masses[j]",
        *(f"t{i} = table[j, {k}]" for k, i in enumerate(loop.parts.table)),
        *(f"a{k} = F(0.0)" for k, _ in facing),
        "for i in range(size):",
        *(f"    t{i} = given[{k * BLOCK} + i]" for k, i in enumerate(loop.parts.given)),
        *(f"    {line}" for line in loop.inner),
        *(f"    {total}[{k * BLOCK} + i] = fma(w, {t}, {total}[{k * BLOCK} + i])" for k, t in mine),
        *(
            f"    a{k} = summed(a{k}, given[{len(loop.parts.given) * BLOCK} + i], {t})"
            for k, t in facing
        ),
        *(
            f"{f'push[j, {k - 1}]' if k else 'against[j]'} -= {loop.sign!r} * a{k}"
            for k, _ in facing
        ),
    ]
    if not loop.single:
        return ["for j in range(m):", *_indented(look)]
    return [
        f"for first in range(0, m, {SHORT}):",
        *(f"    short[{k * BLOCK} : {k * BLOCK} + size] = F(0.0)" for k, _ in mine),
        f"    for j in range(first, min(m, first + {SHORT})):",
        *_indented(look, 2),
        "    for i in range(size):",
        *(f"        sums[{k * BLOCK} + i] += short[{k * BLOCK} + i]" for k, _ in mine),
        *(["        pass"] if not mine else []),
    ]


def _of_products(loop: _Loop, far: list[int]) -> list[str]:
    """The products' share of the opponent's sums."""
    if not far:
        return []
    shares = [
        _sum((f"n{a}", f"far[j, {far.index(b)}]") for a, b in s.products) for s in loop.facing
    ]
    names = ["against[j]", *(f"push[j, {k}]" for k in range(len(loop.facing) - 1))]
    lines = [
        f"    {t} -= {loop.sign!r} * ({share})"
        for t, share in zip(names, shares, strict=True)
        if share != "0.0"
    ]
    return ["for j in range(m):", *lines]


def _sum(products: Iterable[tuple[str, str]]) -> str:
    return " + ".join(f"{a} * {b}" for a, b in products) or "0.0"


def _near(loop: _Loop) -> list[int]:
    """The own parts whose means the opponent's sums ask for."""
    return _different(a for s in loop.facing for a, _ in s.products)


def _different(numbers: Iterable[int]) -> list[int]:
    return sorted({*numbers})


def _indented(lines: Iterable[str], steps: int = 1) -> list[str]:
    return ["    " * steps + line for line in lines]


def _header(single: bool) -> list[str]:
    import numba

    from meanfield import fastmath
    from meanfield.jit import stamp

    functions = stamp(Path(fastmath.__file__))
    made = f"format {FORMAT}, numba {numba.__version__}"
    return [
        f'"""Pair loops of a meanfield game, generated; {made},',
        f'functions {functions}."""',
        "",
        "import math",
        "",
        "import numpy as np",
        "",
        "from meanfield import fastmath",
        "from meanfield.jit import fma, kernel",
        "",
        f"F = np.float{32 if single else 64}",
        "",
        "",
        '@kernel(fastmath={"reassoc", "nsz", "contract"})',
        "def summed(total, a, b):",
        "    return total + a * b",
        "",
        "",
    ]
