"""Compiled pair loops of expression games: source text generated from the checked graph alone.

One pass over the pairs gives player p's cost and its gradient. What depends on one player only is
taken out of the inner loop; sines and cosines of a sum of both players' parts are split by the
addition theorem, which leaves two products in the place of a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from meanfield.games.base import SIGNS
from meanfield.games.calculus import Graph

if TYPE_CHECKING:
    from meanfield.games.expressions import Expression

FORMAT = 2  # raise when the meaning of generated source changes
LINES = 3000  # longer kernels take too long to compile; numpy serves them
OWN, OTHER = 1, 2

_CALLS = {"abs": "fabs", **{name: name for name in ("sin", "cos", "exp", "log", "sqrt", "sinh", "cosh", "tanh")}}
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
    graph = Graph()
    roots = _separated(game.graph, roots or game.jet(p), set(game.variables(p)), graph)
    order = graph.needed(roots)
    constants = [graph.entries[i][2] for i in order if graph.entries[i][0] == "const"]
    if len(order) > LINES or not all(math.isfinite(c) for c in constants):
        return None
    return _module(graph, roots, order, game.variables(p), game.variables(1 - p), SIGNS[p])


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


def _module(graph: Graph, roots: Sequence[int], order: Sequence[int], own: range, other: range, sign: float) -> str:
    sides = _sides(graph, order, set(own))
    lines: dict[int, list[str]] = {OWN: [], OTHER: [], OWN | OTHER: []}
    for i in order:
        if sides[i]:
            lines[sides[i]] += _statement(graph, i, own, other)
    # Values of the opponent's side that the inner loop reads are tabulated once.
    readers = [i for i in order if sides[i] == OWN | OTHER]
    read = {a for i in readers for a in graph.entries[i][1]} | set(roots)
    table = sorted(i for i in read if sides[i] == OTHER)
    sums = range(len(roots))
    body = [
        "def forces(points, nodes, masses):",
        "    n, m = points.shape[0], nodes.shape[0]",
        f"    cost, slope, table = np.empty(n), np.empty((n, {len(roots) - 1})), np.empty((m, {max(len(table), 1)}))",
        "    for j in range(m):",
        *(f"        {line}" for line in lines[OTHER]),
        *(f"        table[j, {k}] = {_name(graph, i)}" for k, i in enumerate(table)),
        "    for i in range(n):",
        *(f"        {line}" for line in lines[OWN]),
        *(f"        s{k} = 0.0" for k in sums),
        "        for j in range(m):",
        "            w = masses[j]",
        *(f"            {_name(graph, i)} = table[j, {k}]" for k, i in enumerate(table)),
        *(f"            {line}" for line in lines[OWN | OTHER]),
        *(f"            s{k} += w * {_name(graph, roots[k])}" for k in sums),
        f"        cost[i] = {sign!r} * s0",
        *(f"        slope[i, {k - 1}] = {sign!r} * s{k}" for k in sums if k),
        "    return cost, slope",
    ]
    return "\n".join([*_header(), *body, ""])


def _header() -> list[str]:
    import numba

    return [
        f'"""Pair loops of a meanfield game, generated; format {FORMAT}, numba {numba.__version__}."""',
        "",
        "import math",
        "",
        "import numpy as np",
        "from meanfield.jit import kernel",
        "",
        "",
        "@kernel",
    ]


def _name(graph: Graph, i: int) -> str:
    op, _, value = graph.entries[i]
    return f"({value!r})" if op == "const" else f"t{i}"


def _statement(graph: Graph, i: int, own: range, other: range) -> list[str]:
    """The line(s) that compute an operation."""
    op, args, value = graph.entries[i]
    names = [_name(graph, a) for a in args]
    if op == "var":
        mine = value in own
        return [f"t{i} = {'points[i' if mine else 'nodes[j'}, {value - (own if mine else other).start}]"]
    if op in ("add", "mul", "div"):
        return [f"t{i} = {names[0]} {dict(add='+', mul='*', div='/')[op]} {names[1]}"]
    if op == "neg":
        return [f"t{i} = -{names[0]}"]
    if op == "sign":
        return [f"t{i} = math.copysign(1.0, {names[0]})"]
    if op == "pow":
        return _whole_power(i, names[0], value) if isinstance(value, int) else [f"t{i} = {names[0]} ** {value!r}"]
    return [f"t{i} = math.{_CALLS[op]}({names[0]})"]


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
