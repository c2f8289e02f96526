"""Compiled pair loops of formulas: source text generated from the checked graph alone.

One pass over the pairs gives player p's cost and its gradient, or both players' at once. The inner
loop runs over a block of own points, one processor lane each, so that no sum over the opponent's
points is reordered and every line is a vector operation; functions are those of
`meanfield.fastmath`. What it reads lies in one row a value: an array given from outside would be
read number by number, for its index might count from the end.

In single precision the inner loop alone is single, twice as many pairs at a time; what depends on
one player alone is computed in double precision and rounded once. Sums run over SHORT pairs in
single precision and then go on in double, so that their rounding does not grow with the number of
particles. Formulas that ask a pair for a function that has no single form here are refused: nothing
would be gained (1.01 times as fast through the C library).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from meanfield.games.base import SIGNS
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.codegen import PROCESSOR, Dialect, Parts, filled, parts
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.separation import Split, separated, splits

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

Kernel = Callable[..., Any] | None


def kernel(game: Formula, p: int, roots: Sequence[int]) -> Kernel:
    """forces(points, nodes, masses) of player p, compiled; None where numpy has to do."""
    return _loaded(forces_source(game, p, roots))


def pair_kernel(game: Formula) -> Kernel:
    """forces(x, y, masses_x, masses_y) of both players from one look at each pair, or None."""
    return _loaded(pair_source(game))


def pair_kernel32(game: Formula) -> Kernel:
    """`pair_kernel`, its inner loop in single precision.

    Raises ValueError for a game too long, or one that gains nothing.
    """
    found: Kernel = game.kernel("single", lambda: _loaded(_single_source(game)))
    return found


def _single_source(game: Formula) -> str:
    source = pair_source(game, SINGLE)
    if source is None:
        what = f'{game.name[:60]} is too long for precision="float32"'
        raise ValueError(f'{what}; leave precision at "float64"')
    return source


def forces_source(game: Formula, p: int, roots: Sequence[int] | None = None) -> str | None:
    """The module's text: a function `forces` (n, a), (m, b), (m,) -> (n,), (n, R - 1).

    It averages R operations over the opponent's atoms: `roots`, or the loss and its gradient. None
    for a game too long.
    """
    return _source(game, p, roots or game.jet(p), [], PROCESSOR)


def pair_source(game: Formula, dialect: Dialect = PROCESSOR) -> str | None:
    """The same for both players at once, with the masses of x as a third argument."""
    return _source(game, 0, game.jet(0), game.jet(1), dialect)


def _loaded(source: str | None) -> Kernel:
    from meanfield.games.formulas.kernels import load

    return None if source is None else load(source, "forces")


def _source(
    game: Formula, p: int, roots: Sequence[int], facing: Sequence[int], dialect: Dialect
) -> str | None:
    found = separated(game, p, [*roots, *facing])
    if found is None:
        return None
    graph, made = found
    split = splits(graph, made, game.variables(p))
    pairs = [s.pair for s in split if s.pair is not None]
    products = [i for s in split for product in s.products for i in product]
    lines = parts(game, p, graph, pairs, products)
    if dialect is SINGLE:
        inner = parts(game, p, graph, pairs, dialect=SINGLE).inner
        if slow := _SLOW.search("\n".join(inner)):
            what = "a broken power" if slow[1] == "pow" else slow[1]
            raise ValueError(
                f'precision="float32" gains nothing for {game.name[:60]}: {what} of both players '
                'together has no form in single precision here; leave precision at "float64"'
            )
        lines = lines._replace(inner=inner)
    return _module(graph, split[: len(roots)], split[len(roots) :], lines, SIGNS[p], dialect)


def _module(
    graph: Graph,
    mine: list[Split],
    facing: list[Split],
    lines: Parts,
    sign: float,
    dialect: Dialect,
) -> str:
    """The module that sums the operations for either side.

    m and n are means of products' parts over the opponent's points and over the own ones.
    """
    R, S, single = len(mine), len(facing), dialect is SINGLE
    given = len(lines.given) * BLOCK
    means, far = (sorted({b for s in side for _, b in s.products}) for side in (mine, facing))
    near = sorted({a for s in facing for a, _ in s.products})
    named = partial(PROCESSOR.name, graph)
    shares = [_sum((named(a), f"m{b}") for a, b in s.products) for s in mine]
    of_facing = [_sum((f"n{a}", f"far[j, {far.index(b)}]") for a, b in s.products) for s in facing]
    opponents = ["against[j]", *(f"push[j, {k}]" for k in range(S - 1))]
    extra = "weights, " if S else ""
    work = "cost, slope, against, push, table, far, given, sums" + ", short" * single
    pairs = [
        [(k, dialect.name(graph, s.pair)) for k, s in enumerate(side) if s.pair is not None]
        for side in (mine, facing)
    ]
    look = filled(
        f"""\
w = {"F(masses[j])" if single else "masses[j]"}
$table
$zeros
for i in range(size):
    $given
    $inner
    $sums
    $facing
$kept""",
        table=[f"t{i} = table[j, {k}]" for k, i in enumerate(lines.table)],
        zeros=[f"a{k} = F(0.0)" for k, _ in pairs[1]],
        given=[f"t{i} = given[{k * BLOCK} + i]" for k, i in enumerate(lines.given)],
        inner=lines.inner,
        sums=[
            "{0}[{1} + i] = fma(w, {2}, {0}[{1} + i])".format(
                "short" if single else "sums", k * BLOCK, t
            )
            for k, t in pairs[0]
        ],
        facing=[f"a{k} = summed(a{k}, given[{given} + i], {t})" for k, t in pairs[1]],
        kept=[f"{opponents[k]} -= {sign!r} * a{k}" for k, _ in pairs[1]],
    )
    return _header(single) + filled(
        f"""\
def forces(points, nodes, {extra}masses):
    n, m = points.shape[0], nodes.shape[0]
    cost, slope, against, push = np.zeros(n), np.zeros((n, {R - 1})), np.zeros(m), \
np.zeros((m, {max(S - 1, 0)}))
    table, far = np.zeros((m, {max(len(lines.table), 1)}), F), np.zeros((m, {max(len(far), 1)}))
    given, sums = np.zeros({given + BLOCK}, F), np.zeros({R * BLOCK})
    $short
    fill(points, nodes, {extra}masses, {work})
    return {"(cost, slope), (against, push)" if S else "cost, slope"}


@kernel
def fill(points, nodes, {extra}masses, {work}):
    n, m = points.shape[0], nodes.shape[0]
    $means
    for j in range(m):
        $of_node
    $near
    for low in range(0, n, {BLOCK}):
        size = min({BLOCK}, n - low)
        for i in range(size):
            $of_point
        $of_pairs
        for i in range(size):
            cost[low + i] = {sign!r} * sums[i]
            $slopes
    $of_products
""",
        short=[f"short = np.zeros({R * BLOCK}, F)"] * single,
        means=[f"m{b} = 0.0" for b in means],
        of_node=[
            *lines.other,
            *(f"table[j, {k}] = t{i}" for k, i in enumerate(lines.table)),
            *(f"far[j, {k}] = {named(b)}" for k, b in enumerate(far)),
            *(f"m{b} = summed(m{b}, masses[j], {named(b)})" for b in means),
        ],
        near=[f"n{a} = 0.0" for a in near],
        of_point=[
            *lines.own,
            *(f"given[{k * BLOCK} + i] = t{i}" for k, i in enumerate(lines.given)),
            *[f"given[{given} + i] = weights[low + i]"] * bool(S),
            *(f"sums[{k * BLOCK} + i] = {share}" for k, share in enumerate(shares)),
            *(f"n{a} = summed(n{a}, weights[low + i], {named(a)})" for a in near),
        ],
        of_pairs=_blocks(look, [k for k, _ in pairs[0]], single) if any(pairs) else [],
        slopes=[f"slope[low + i, {k - 1}] = {sign!r} * sums[{k * BLOCK} + i]" for k in range(1, R)],
        of_products=["for j in range(m):"] * bool(far)
        + [
            f"    {kept} -= {sign!r} * ({share})"
            for kept, share in zip(opponents, of_facing, strict=False)
            if share != "0.0"
        ],
    )


def _blocks(look: str, sums: list[int], single: bool) -> list[str]:
    """The loop over the opponent's points around the inner one."""
    if not single:
        return filled("for j in range(m):\n    $look", look=look.splitlines()).splitlines()
    return filled(
        f"""\
for first in range(0, m, {SHORT}):
    $begin
    for j in range(first, min(m, first + {SHORT})):
        $look
    for i in range(size):
        $end""",
        begin=[f"short[{k * BLOCK} : {k * BLOCK} + size] = F(0.0)" for k in sums],
        look=look.splitlines(),
        end=[f"sums[{k * BLOCK} + i] += short[{k * BLOCK} + i]" for k in sums] or ["pass"],
    ).splitlines()


def _sum(products: Iterable[tuple[str, str]]) -> str:
    return " + ".join(f"{a} * {b}" for a, b in products) or "0.0"


def _header(single: bool) -> str:
    import numba

    from meanfield import fastmath
    from meanfield.jit import stamp

    made = f"format {FORMAT}, numba {numba.__version__}"
    return f'''"""Pair loops of a meanfield game, generated; {made},
functions {stamp(Path(fastmath.__file__))}."""

import math

import numpy as np

from meanfield import fastmath
from meanfield.jit import fma, kernel

F = np.float{32 if single else 64}


@kernel(fastmath={{"reassoc", "nsz", "contract"}})
def summed(total, a, b):
    return total + a * b


'''
