"""Compiled pair loops of expression games: source text generated from the checked graph alone.

One pass over the pairs gives player p's cost and its gradient, or both players' at once. What depends
on one player only is taken out of the inner loop; sines and cosines of a sum of both players' parts are
split by the addition theorem, which leaves two products in the place of a call. The inner loop runs over
a block of own points, one processor lane each, so that no sum is reordered and every line is a vector
operation; functions are those of `meanfield.fastmath`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from meanfield.games.base import SIGNS
from meanfield.games.calculus import Graph

if TYPE_CHECKING:
    from meanfield.games.expressions import Expression

FORMAT = 3  # raise when the meaning of generated source changes
LINES = 3000  # longer kernels take too long to compile; numpy serves them
OWN, OTHER = 1, 2

BLOCK = 256  # own points at a time: their numbers and sums stay in the first cache


class Dialect(NamedTuple):
    """How the lines of a loop are written: where coordinates stand, constants, and the functions that are ours."""

    own: str = "points[low + i"
    other: str = "nodes[j"
    constant: str = "({})"
    ours: str = "fastmath.{}"


PROCESSOR = Dialect()

_OURS = {"sin", "cos", "exp", "log"}
_CALLS = {"abs": "fabs", **{name: name for name in ("sqrt", "sinh", "cosh", "tanh")}}
_CALLS |= {"asin": "asin", "acos": "acos", "atan": "atan"}


def kernel(game: Expression, p: int, roots: Sequence[int]) -> Callable[..., Any] | None:
    """forces(points, nodes, masses) of player p, compiled; None where numpy has to do."""
    from meanfield.games.kernels import load

    source = forces_source(game, p, roots)
    return None if source is None else load(source, "forces")


def forces_source(game: Expression, p: int, roots: Sequence[int] | None = None) -> str | None:
    """The module's text: a function `forces` (n, a), (m, b), (m,) -> (n,), (n, R - 1). None for a game too long.

    It averages R operations over the opponent's atoms: `roots`, or the loss and its gradient.
    """
    return _source(game, p, roots or game.jet(p), [])


def pair_kernel(game: Expression) -> Callable[..., Any] | None:
    """forces(x, y, masses_x, masses_y) of both players from one look at each pair; None where numpy has to do."""
    from meanfield.games.kernels import load

    source = _source(game, 0, game.jet(0), game.jet(1))
    return None if source is None else load(source, "forces")


def _source(game: Expression, p: int, roots: Sequence[int], facing: Sequence[int]) -> str | None:
    found = prepared(game, p, [*roots, *facing])
    if found is None:
        return None
    graph, made, order = found
    sums = made[: len(roots)], made[len(roots) :]
    return _module(graph, sums, order, game.variables(p), game.variables(1 - p), SIGNS[p])


def prepared(game: Expression, p: int, roots: Sequence[int]) -> tuple[Graph, list[int], list[int]] | None:
    """A graph of the roots with both players' parts taken apart, the roots in it, all that they need in order.

    None for a game too long.
    """
    graph = Graph()
    made = _separated(game.graph, roots, set(game.variables(p)), graph)
    order = graph.needed(made)
    constants = [graph.entries[i][2] for i in order if graph.entries[i][0] == "const"]
    return None if len(order) > LINES or not all(math.isfinite(c) for c in constants) else (graph, made, order)


def _sides(graph: Graph, order: Sequence[int], own: set[int]) -> dict[int, int]:
    """Whose coordinates an operation depends on: OWN, OTHER, both bits, or 0 for a constant."""
    sides: dict[int, int] = {}
    for i in order:
        op, args, value = graph.entries[i]
        sides[i] = (OWN if value in own else OTHER) if op == "var" else 0
        for a in args:
            sides[i] |= sides[a]
    return sides


def _separated(graph: Graph, roots: Sequence[int], own: set[int], into: Graph) -> list[int]:
    """The roots rebuilt with sin(A + B) and cos(A + B) split, A the player's own part, B the opponent's."""
    order = graph.needed(roots)
    sides = _sides(graph, order, own)
    made: dict[int, int] = {}
    halves: dict[int, tuple[int, int] | None] = {}
    for i in order:
        op, args, value = graph.entries[i]
        made[i] = into._rebuild(op, tuple(made[a] for a in args), value)
        halves[i] = _halves(into, op, args, value, made, halves, sides[i], made[i], graph)
        if op in ("sin", "cos") and sides[i] == OWN | OTHER and (parts := halves[args[0]]) is not None:
            made[i] = _addition(into, op, *parts)
    return [made[r] for r in roots]


def _halves(
    into: Graph,
    op: str,
    args: tuple[int, ...],
    value: Any,
    made: dict[int, int],
    halves: dict[int, tuple[int, int] | None],
    side: int,
    new: int,
    graph: Graph,
) -> tuple[int, int] | None:
    """An operation as a sum of an own part and an opponent's part, where it is one."""
    if side != OWN | OTHER:
        zero = into.constant(0.0)
        return (zero, new) if side == OTHER else (new, zero)
    parts = [halves[a] for a in args]
    if op == "add" and None not in parts:
        return tuple(into.add(u, v) for u, v in zip(*parts, strict=True))  # type: ignore[arg-type, return-value]
    if op == "neg" and parts[0] is not None:
        return into.neg(parts[0][0]), into.neg(parts[0][1])
    if op == "mul" and graph.entries[args[0]][0] == "const" and parts[1] is not None:
        return into.mul(made[args[0]], parts[1][0]), into.mul(made[args[0]], parts[1][1])
    return None


def _addition(g: Graph, op: str, a: int, b: int) -> int:
    if op == "sin":
        return g.add(g.mul(g.call("sin", a), g.call("cos", b)), g.mul(g.call("cos", a), g.call("sin", b)))
    return g.add(g.mul(g.call("cos", a), g.call("cos", b)), g.neg(g.mul(g.call("sin", a), g.call("sin", b))))


class Parts(NamedTuple):
    """Lines of text by whose coordinates they look at, and the values of one side that the inner loop reads."""

    own: list[str]
    other: list[str]
    inner: list[str]
    given: list[int]
    table: list[int]


def parts(
    graph: Graph, roots: Sequence[int], order: Sequence[int], own: range, other: range, dialect: Dialect = PROCESSOR
) -> Parts:
    """What of the roots is computed once an own point, once a point of the opponent's, and once a pair."""
    sides = _sides(graph, order, set(own))
    lines: dict[int, list[str]] = {OWN: [], OTHER: [], OWN | OTHER: []}
    for i in order:
        if sides[i]:
            lines[sides[i]] += _statement(graph, i, own, other, dialect)
    # Values of one side that the inner loop reads are tabulated once.
    read = {a for i in order if sides[i] == OWN | OTHER for a in graph.entries[i][1]} | {*roots}
    given, table = (sorted(i for i in read if sides[i] == side) for side in (OWN, OTHER))
    return Parts(lines[OWN], lines[OTHER], lines[OWN | OTHER], given, table)


def _module(
    graph: Graph, roots: tuple[list[int], list[int]], order: Sequence[int], own: range, other: range, sign: float
) -> str:
    of_own, of_other, inner, given, table = parts(graph, [*roots[0], *roots[1]], order, own, other)
    mine, facing = roots
    extra = ", weights" if facing else ""
    body = [
        f"def forces(points, nodes, {'weights, ' if facing else ''}masses):",
        "    n, m = points.shape[0], nodes.shape[0]",
        f"    cost, slope, table = np.zeros(n), np.zeros((n, {len(mine) - 1})), np.zeros((m, {max(len(table), 1)}))",
        f"    against, push = np.zeros(m), np.zeros((m, {max(len(facing) - 1, 0)}))",
        f"    given, sums = np.zeros({max(len(given), 1) * BLOCK}), np.zeros({len(mine) * BLOCK})",
        f"    fill(points, nodes, masses{extra}, cost, slope, against, push, table, given, sums)",
        "    return (cost, slope), (against, push)" if facing else "    return cost, slope",
        "",
        "",
        "@kernel(counted=False)",
        f"def fill(points, nodes, masses{extra}, cost, slope, against, push, table, given, sums):",
        "    n, m = points.shape[0], nodes.shape[0]",
        "    for j in range(m):",
        *(f"        {line}" for line in of_other),
        *(f"        table[j, {k}] = {name(graph, i)}" for k, i in enumerate(table)),
        f"    for low in range(0, n, {BLOCK}):",
        f"        size = min({BLOCK}, n - low)",
        "        for i in range(size):",
        *(f"            {line}" for line in of_own),
        *(f"            given[{k * BLOCK} + i] = {name(graph, i)}" for k, i in enumerate(given)),
        *(f"            sums[{k * BLOCK} + i] = 0.0" for k in range(len(mine))),
        "        for j in range(m):",
        "            w = masses[j]",
        *(f"            {name(graph, i)} = table[j, {k}]" for k, i in enumerate(table)),
        *(f"            a{k} = 0.0" for k in range(len(facing))),
        "            for i in range(size):",
        *(f"                {name(graph, i)} = given[{k * BLOCK} + i]" for k, i in enumerate(given)),
        *(f"                {line}" for line in inner),
        *(
            f"                sums[{k * BLOCK} + i] = fma(w, {name(graph, r)}, sums[{k * BLOCK} + i])"
            for k, r in enumerate(mine)
        ),
        *(f"                a{k} = summed(a{k}, weights[low + i] * {name(graph, r)})" for k, r in enumerate(facing)),
        *(f"            against[j] -= {sign!r} * a0" for _ in facing[:1]),
        *(f"            push[j, {k - 1}] -= {sign!r} * a{k}" for k in range(1, len(facing))),
        "        for i in range(size):",
        f"            cost[low + i] = {sign!r} * sums[i]",
        *(f"            slope[low + i, {k - 1}] = {sign!r} * sums[{k * BLOCK} + i]" for k in range(1, len(mine))),
    ]
    return "\n".join([*header(), *body, ""])


def header() -> list[str]:
    import numba

    from meanfield import fastmath
    from meanfield.jit import stamp

    functions = stamp(Path(fastmath.__file__))
    return [
        f'"""Pair loops of a meanfield game, generated; format {FORMAT}, numba {numba.__version__},',
        f'functions {functions}."""',
        "",
        "import math",
        "",
        "import numpy as np",
        "",
        "from meanfield import fastmath",
        "from meanfield.jit import fma, kernel",
        "",
        "",
        '@kernel(counted=False, fastmath={"reassoc", "nsz"})',
        "def summed(total, more):",
        "    return total + more",
        "",
        "",
        "@kernel",
    ]


def name(graph: Graph, i: int, dialect: Dialect = PROCESSOR) -> str:
    """What an operation's value is called."""
    op, _, value = graph.entries[i]
    return dialect.constant.format(repr(value)) if op == "const" else f"t{i}"


def _statement(graph: Graph, i: int, own: range, other: range, dialect: Dialect = PROCESSOR) -> list[str]:
    """The line(s) that compute an operation."""
    op, args, value = graph.entries[i]
    names = [name(graph, a, dialect) for a in args]
    if op == "var":
        mine = value in own
        return [f"t{i} = {dialect.own if mine else dialect.other}, {value - (own if mine else other).start}]"]
    if op in ("add", "mul", "div"):
        return [f"t{i} = {names[0]} {dict(add='+', mul='*', div='/')[op]} {names[1]}"]
    if op == "neg":
        return [f"t{i} = -{names[0]}"]
    if op == "sign":
        return [f"t{i} = math.copysign({dialect.constant.format('1.0')}, {names[0]})"]
    if op == "pow":
        power = dialect.constant.format(repr(value))
        return _whole_power(i, names[0], value) if isinstance(value, int) else [f"t{i} = {names[0]} ** {power}"]
    return [f"t{i} = {dialect.ours.format(op) if op in _OURS else f'math.{_CALLS[op]}'}({names[0]})"]


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
