"""Compiled pair loops of formulas: source text generated from the checked graph alone.

One pass over the pairs gives player p's cost and its gradient, or both players' at once. The inner
loop runs over a block of own points, one processor lane each: every line is a vector operation, and
no sum over the opponent's points is reordered. Functions are those of `meanfield.fastmath`. What
the loop reads lies in one row a value, because an array from outside would be read number by
number: its index might count from the end.

In single precision the inner loop alone is single; what depends on one player alone is computed in
double precision and rounded once. Sums run over SHORT pairs in single precision and go on in
double, so that their rounding does not grow with the number of particles. Formulas that ask a pair
for a function without a single form here are refused, for nothing would be gained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from meanfield.games.base import SIGNS
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.codegen import PROCESSOR, Dialect, Parts, filled, parts
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.separation import Split, separated, splits
from meanfield.games.formulas.stages import HELD, stages

FORMAT = 9  # raise when the meaning of generated source changes
BLOCK = 256  # own points at a time: their numbers and sums stay in the first cache
TOGETHER = 16  # of them, four registers of 256 bits or two of 512, for the inner loop's every line
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

    def make() -> Kernel:
        source = pair_source(game, SINGLE)
        if source is None:
            what = f'{game.name[:60]} is too long for precision="float32"'
            raise ValueError(f'{what}; leave precision at "float64"')
        return _loaded(source)

    return game.kernel("single", make)  # type: ignore[no-any-return]


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
    separate = separated(game, p, [*roots, *facing])
    if separate is None:
        return None
    graph, made = separate
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
    text = _Text(graph, split[: len(roots)], split[len(roots) :], lines, repr(SIGNS[p]), dialect)
    return _header(dialect is SINGLE) + text.forces() + text.fill()


def apart() -> bool:
    """Whether inner loops are taken apart (`stages`): not with registers of 512 bits, whose
    processors look farther ahead and gain nothing.
    """
    from meanfield.registers import BITS  # which loads numba

    return BITS < 512


class _Text:
    """The text of a module that sums operations for one side, and for the side facing it.

    Variables of the generated code: table and given hold the values of the opponent's points and of
    the own ones that pairs read, the own weights last; m and n are means of products' parts over
    the opponent's points and over the own ones; far holds the parts that n are multiplied with.
    """

    def __init__(
        self,
        graph: Graph,
        mine: list[Split],
        facing: list[Split],
        lines: Parts,
        sign: str,
        dialect: Dialect,
    ) -> None:
        self.graph, self.mine, self.facing, self.lines = graph, mine, facing, lines
        self.sign, self.dialect, self.single = sign, dialect, dialect is SINGLE
        self.weights = len(lines.own_read) * BLOCK
        self.means = sorted({b for s in mine for _, b in s.products})
        self.far = sorted({b for s in facing for _, b in s.products})
        self.near = sorted({a for s in facing for a, _ in s.products})
        self.opponents = ["against[j]", *(f"push[j, {k}]" for k in range(len(facing) - 1))]
        self.points = "points, nodes, " + "weights, " * bool(facing) + "masses"
        self.bodies = self.inner()
        self.work = "cost, slope, against, push, table, far, given, sums"
        self.work += ", short" * self.single + ", held" * (len(self.bodies) > 1)

    def name(self, i: int) -> str:
        """What an operation of one player alone is called."""
        return PROCESSOR.name(self.graph, i)

    def pairs(self, side: list[Split]) -> list[tuple[int, str]]:
        """The numbers and names of the operations that need a look at pairs."""
        name = self.dialect.name
        return [(k, name(self.graph, s.pair)) for k, s in enumerate(side) if s.pair is not None]

    def forces(self) -> str:
        """What is called: it makes the arrays and fills them."""
        R, S, rows = len(self.mine), len(self.facing), max(len(self.lines.other_read), 1)
        return filled(
            f"""\
def forces({self.points}):
    n, m = points.shape[0], nodes.shape[0]
    cost, slope, against, push = np.zeros(n), np.zeros((n, {R - 1})), np.zeros(m), \
np.zeros((m, {max(S - 1, 0)}))
    table, far = np.zeros((m, {rows}), F), np.zeros((m, {max(len(self.far), 1)}))
    given, sums = np.zeros({self.weights + BLOCK}, F), np.zeros({R * BLOCK})
    $more
    fill({self.points}, {self.work})
    return {"(cost, slope), (against, push)" if S else "cost, slope"}


""",
            more=[
                *[f"short = np.zeros({R * BLOCK}, F)"] * self.single,
                *[f"held = np.zeros({HELD * BLOCK})"] * (len(self.bodies) > 1),
            ],
        )

    def fill(self) -> str:
        """The loops: over the opponent's points, and over blocks of own points."""
        return filled(
            f"""\
@kernel
def fill({self.points}, {self.work}):
    n, m = points.shape[0], nodes.shape[0]
    $means
    for j in range(m):
        $of_node
    $near
    for low in range(0, n, {BLOCK}):
        size = min({BLOCK}, n - low)
        for i in range(size):
            $of_point
        whole = size + -size % {TOGETHER}
        for i in range(size, whole):
            $of_none
        $of_pairs
        for i in range(size):
            cost[low + i] = {self.sign} * sums[i]
            $slopes
    $of_products
""",
            means=[f"m{b} = 0.0" for b in self.means],
            of_node=self.once_a_node(),
            near=[f"n{a} = 0.0" for a in self.near],
            of_point=self.once_a_point(),
            of_none=self.past_the_end(),
            of_pairs=self.once_a_pair(),
            slopes=[
                f"slope[low + i, {k - 1}] = {self.sign} * sums[{k * BLOCK} + i]"
                for k in range(1, len(self.mine))
            ],
            of_products=self.facing_products(),
        )

    def once_a_node(self) -> list[str]:
        name = self.name
        return [
            *self.lines.other,
            *(f"table[j, {k}] = t{i}" for k, i in enumerate(self.lines.other_read)),
            *(f"far[j, {k}] = {name(b)}" for k, b in enumerate(self.far)),
            *(f"m{b} = summed(m{b}, masses[j], {name(b)})" for b in self.means),
        ]

    def once_a_point(self) -> list[str]:
        name = self.name
        shares = [_sum((name(a), f"m{b}") for a, b in s.products) for s in self.mine]
        return [
            *self.lines.own,
            *(f"given[{k * BLOCK} + i] = t{i}" for k, i in enumerate(self.lines.own_read)),
            *[f"given[{self.weights} + i] = weights[low + i]"] * bool(self.facing),
            *(f"sums[{k * BLOCK} + i] = {share}" for k, share in enumerate(shares)),
            *(f"n{a} = summed(n{a}, weights[low + i], {name(a)})" for a in self.near),
        ]

    def past_the_end(self) -> list[str]:
        """The last point once more, without a weight, to fill the vectors of the inner loop."""
        return [
            *(
                f"given[{k * BLOCK} + i] = given[{k * BLOCK} + size - 1]"
                for k in range(len(self.lines.own_read))
            ),
            f"given[{self.weights} + i] = 0.0",
        ]

    def once_a_pair(self) -> list[str]:
        """The loop over the opponent's points around the inner ones, where pairs are looked at."""
        mine, facing = self.pairs(self.mine), self.pairs(self.facing)
        if not (mine or facing):
            return []
        together = [f"    together({TOGETHER})"] * (not self.single)
        look = [
            f"w = {'F(masses[j])' if self.single else 'masses[j]'}",
            *(f"t{i} = table[j, {k}]" for k, i in enumerate(self.lines.other_read)),
            *(f"a{k} = F(0.0)" for k, _ in facing),
            *(
                line
                for body in self.bodies
                for line in ("for i in range(whole):", *together, *("    " + one for one in body))
            ),
            *(f"{self.opponents[k]} -= {self.sign} * a{k}" for k, _ in facing),
        ]
        return self.over_nodes(look, [k for k, _ in mine])

    def inner(self) -> list[list[str]]:
        """The bodies of the innermost loops over own points: one, or several one after another."""
        sums = "short" if self.single else "sums"
        given = [f"t{i} = given[{k * BLOCK} + i]" for k, i in enumerate(self.lines.own_read)]
        ends = [
            *(
                f"{sums}[{k * BLOCK} + i] = fma(w, {t}, {sums}[{k * BLOCK} + i])"
                for k, t in self.pairs(self.mine)
            ),
            *(
                f"a{k} = summed(a{k}, given[{self.weights} + i], {t})"
                for k, t in self.pairs(self.facing)
            ),
        ]
        whole = [[*given, *self.lines.inner, *ends]]
        if self.single or not apart():
            return whole
        return stages(given, self.lines.inner, ends, BLOCK) or whole

    def over_nodes(self, look: list[str], sums: list[int]) -> list[str]:
        """In single precision SHORT points at a time, whose sums are then added in double."""
        if not self.single:
            return ["for j in range(m):", *("    " + line for line in look)]
        return filled(
            f"""\
for first in range(0, m, {SHORT}):
    $begin
    for j in range(first, min(m, first + {SHORT})):
        $look
    for i in range(size):
        $end""",
            begin=[f"short[{k * BLOCK} : {k * BLOCK} + size] = F(0.0)" for k in sums],
            look=look,
            end=[f"sums[{k * BLOCK} + i] += short[{k * BLOCK} + i]" for k in sums] or ["pass"],
        ).splitlines()

    def facing_products(self) -> list[str]:
        """What the facing side gains from products, once all own points are summed."""
        shares = (
            _sum((f"n{a}", f"far[j, {self.far.index(b)}]") for a, b in s.products)
            for s in self.facing
        )
        return ["for j in range(m):"] * bool(self.far) + [
            f"    {total} -= {self.sign} * ({share})"
            for total, share in zip(self.opponents, shares, strict=False)
            if share != "0.0"
        ]


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
from meanfield.jit import fma, kernel, summed, together

F = np.float{32 if single else 64}


'''
