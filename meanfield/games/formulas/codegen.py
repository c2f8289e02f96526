"""The lines of pair loops: what is computed once a point, once an opponent's point, once a pair.

`loops` beside this puts them into loops for processors, `cuda` for graphics processors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.separation import BOTH, OTHER, OWN, sides
from meanfield.manifolds import Sphere


class Dialect(NamedTuple):
    """How lines are written.

    own, other: coordinates; fused: a b + c; ours: a function of `fastmath` among the known ones;
    moderate: the size of its argument up to which exp is `exp_moderate`.
    """

    own: str = "points[low + i"
    other: str = "nodes[j"
    constant: str = "({})"
    fused: str = "fma({}, {}, {})"
    ours: str = "fastmath.{}"
    known: frozenset[str] = frozenset({"sin", "cos", "exp", "log", "tanh", "sinh", "cosh", "power"})
    moderate: float = 700.0

    def name(self, graph: Graph, i: int) -> str:
        """What an operation's value is called."""
        op, _, value = graph.entries[i]
        return self.constant.format(repr(value)) if op == "const" else f"t{i}"


PROCESSOR = Dialect()


class Parts(NamedTuple):
    """Lines by whose coordinates they look at, and the operations of one side that pairs read."""

    own: list[str]
    other: list[str]
    inner: list[str]
    own_read: list[int]
    other_read: list[int]


def parts(
    game: Formula,
    p: int,
    graph: Graph,
    roots: Sequence[int],
    more: Sequence[int] = (),
    dialect: Dialect = PROCESSOR,
) -> Parts:
    """What of the roots is computed once an own point, once a point of the opponent's, once a pair.

    `more`: operations of one player alone that are needed as well.
    """
    own, other = game.variables(p), game.variables(1 - p)
    order = graph.needed([*roots, *more])
    side, size = sides(graph, order, own), _sizes(game, graph, order)
    products = _fused(graph, order, roots, side)
    lines: dict[int, list[str]] = {OWN: [], OTHER: [], BOTH: []}
    for i in order:
        op, args, value = graph.entries[i]
        if op == "var":
            start, side_of = (other, dialect.other) if side[i] == OTHER else (own, dialect.own)
            lines[side[i]].append(f"t{i} = {side_of}, {value - start.start}]")
        elif side[i] and i not in products.values():
            mild = op == "exp" and size[args[0]] <= dialect.moderate
            lines[side[i]] += _statement(graph, i, dialect, products.get(i), mild)
    # Values of one side that the inner loop reads are tabulated once.
    read = {a for i in order if side[i] == BOTH for a in graph.entries[i][1]} | {*roots}
    own_read, other_read = (sorted(i for i in read if side[i] == s) for s in (OWN, OTHER))
    return Parts(lines[OWN], lines[OTHER], lines[BOTH], own_read, other_read)


def filled(template: str, **blocks: Sequence[str]) -> str:
    """The template with lines such as `$name` replaced by the block's lines, indented alike."""
    lines: list[str] = []
    for line in template.split("\n"):
        indent, dollar, name = line.partition("$")
        lines += [indent + inner for inner in blocks[name]] if dollar else [line]
    return "\n".join(lines)


def _fused(
    graph: Graph, order: Sequence[int], roots: Sequence[int], side: dict[int, int]
) -> dict[int, int]:
    """Sums of pairs, and the product in each that nothing else reads: they become one a b + c."""
    uses = Counter([*roots, *(a for i in order for a in graph.entries[i][1])])
    fused = {}
    for i in order:
        op, args, _ = graph.entries[i]
        if op == "add":
            for a in args[::-1]:
                if graph.entries[a][0] == "mul" and side[a] == BOTH and uses[a] == 1:
                    fused[i] = a
    return fused


def _sizes(game: Formula, graph: Graph, order: Sequence[int]) -> dict[int, float]:
    """Bounds of absolute values.

    Coordinates on spheres count as 2, so that points a little off do no harm.
    """
    reach = [
        2.0 if isinstance(M, Sphere) else math.inf
        for M in (game.X, game.Y)
        for _ in range(M.ambient)
    ]
    size: dict[int, float] = {}
    for i in order:
        op, args, value = graph.entries[i]
        u = [size[a] for a in args]
        bound = math.inf
        if op in ("const", "var"):
            bound = abs(value) if op == "const" else reach[value]
        elif op in ("sin", "cos", "tanh", "sign"):
            bound = 1.0
        elif op in ("add", "mul"):
            bound = sum(u) if op == "add" else math.prod(u)
        elif op in ("neg", "abs", "atan"):
            bound = u[0]
        elif op == "sqrt":
            bound = math.sqrt(u[0])
        elif op == "pow" and value > 0 and value * math.log(1.0 + u[0]) < 700.0:
            bound = u[0] ** value
        elif op == "exp" and u[0] < 700.0:
            bound = math.exp(u[0])
        size[i] = bound
    return size


def _statement(
    graph: Graph, i: int, dialect: Dialect, product: int | None, mild: bool
) -> list[str]:
    """The line(s) of an operation; `product` is an argument that a sum takes in unrounded."""
    op, args, value = graph.entries[i]
    names = [dialect.name(graph, a) for a in args]
    if product is not None:
        rest = names[1] if args[0] == product else names[0]
        factors = [dialect.name(graph, a) for a in graph.entries[product][1]]
        return [f"t{i} = {dialect.fused.format(*factors, rest)}"]
    if op in ("add", "mul", "div"):
        return [f"t{i} = {names[0]} {dict(add='+', mul='*', div='/')[op]} {names[1]}"]
    if op == "neg":
        return [f"t{i} = -{names[0]}"]
    if op == "sign":
        return [f"t{i} = math.copysign({dialect.constant.format('1.0')}, {names[0]})"]
    if op == "pow" and isinstance(value, int):
        return _whole_power(i, names[0], value)
    if op == "pow":
        op, names = "power", [names[0], dialect.constant.format(repr(value))]
    if op in dialect.known:
        return [f"t{i} = {dialect.ours.format('exp_moderate' if mild else op)}({', '.join(names)})"]
    return [f"t{i} = math.{dict(abs='fabs', power='pow').get(op, op)}({', '.join(names)})"]


def _whole_power(i: int, base: str, n: int) -> list[str]:
    """Repeated squaring, in the order of `calculus`."""
    lines, total, square = [], "", base
    while n:
        if n & 1:
            lines.append(f"t{i} = {total} * {square}" if total else f"t{i} = {square}")
            total = f"t{i}"
        n >>= 1
        if n:
            lines.append(f"q{i} = {square} * {square}")
            square = f"q{i}"
    return lines
