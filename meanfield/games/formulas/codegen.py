"""What of a formula is computed once a point, once a point of the opponent and once a pair.

Sines and cosines of a sum of both players' parts are split by the addition theorem, which puts two
products in the place of a call. Signs are taken out of products and odd functions, so that both
players' gradients share more. Sums of products of one player's part and the other's need no loop
over pairs: they are split off (`Split`). The loops around these lines are written by `loops` and
`cuda`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np

from meanfield.games.formulas.calculus import Graph, applied
from meanfield.games.formulas.formula import Formula
from meanfield.manifolds import Sphere

LINES = 3000  # longer kernels take too long to compile; numpy serves them
PRODUCTS = 16  # split off from one sum at most
OWN, OTHER = 1, 2
BOTH = OWN | OTHER


class Dialect(NamedTuple):
    """How lines are written: coordinates, constants, a b + c, and calls.

    known: the functions of `meanfield.fastmath`, called as `ours` says; its `exp_moderate` serves
    arguments up to `moderate` in size.
    """

    own: str = "points[low + i"
    other: str = "nodes[j"
    constant: str = "({})"
    fused: str = "fma({}, {}, {})"
    ours: str = "fastmath.{}"
    known: frozenset[str] = frozenset({"sin", "cos", "exp", "log", "tanh", "sinh", "cosh", "power"})
    moderate: float = 700.0


PROCESSOR = Dialect()

_ODD, _EVEN = {"sin", "sinh", "tanh", "asin", "atan"}, {"cos", "cosh", "abs"}


# -- the graph of a pair --------------------------------------------------------------------------


def prepared(formula: Formula, p: int, roots: Sequence[int]) -> tuple[Graph, list[int]] | None:
    """A graph of the roots with both players' parts taken apart, and the roots in it.

    None for a formula that is too long.
    """
    graph = Graph()
    made = _separated(formula.graph, roots, formula.variables(p), graph)
    order = graph.needed(made)
    constants = [graph.entries[i][2] for i in order if graph.entries[i][0] == "const"]
    fits = len(order) <= LINES and all(map(math.isfinite, constants))
    return (graph, made) if fits else None


def sides(graph: Graph, order: Sequence[int], own: Container[int]) -> dict[int, int]:
    """Whose coordinates an operation depends on: OWN, OTHER, BOTH, or 0 for a constant."""
    found: dict[int, int] = {}
    for i in order:
        op, args, value = graph.entries[i]
        found[i] = (OWN if value in own else OTHER) if op == "var" else 0
        for a in args:
            found[i] |= found[a]
    return found


def _separated(graph: Graph, roots: Sequence[int], own: Container[int], into: Graph) -> list[int]:
    """The roots with sin(A + B) and cos(A + B) split, A the player's part, B the opponent's."""
    order = graph.needed(roots)
    side = sides(graph, order, own)
    made: dict[int, int] = {}
    halves: dict[int, tuple[int, int] | None] = {}
    for i in order:
        op, args, value = graph.entries[i]
        made[i] = _unsigned(into, op, tuple(made[a] for a in args), value)
        halves[i] = _halves(into, op, args, made, halves, side[i], made[i], graph)
        if op in ("sin", "cos") and side[i] == BOTH and (parts := halves[args[0]]) is not None:
            made[i] = _addition(into, op, *parts)
    return [made[r] for r in roots]


def _unsigned(g: Graph, op: str, args: tuple[int, ...], value: Any = None) -> int:
    """The operation, its arguments' signs taken out where exact; of constants, its value."""
    numbers = [g._number(a) for a in args]
    if args and None not in numbers:
        with np.errstate(all="ignore"):
            return g.constant(float(applied(op, numbers, value, ())))
    inner = [_negated(g, a) for a in args]
    if op == "add" and None not in inner:
        return g.neg(g._rebuild("add", tuple(inner), None))  # type: ignore[arg-type]
    if op in ("mul", "div") and any(a is not None for a in inner):
        bare = tuple(a if b is None else b for a, b in zip(args, inner, strict=True))
        product = g._rebuild(op, bare, None)
        return product if None not in inner else g.neg(product)
    if op in _ODD | _EVEN and inner[0] is not None:
        called = g.call(op, inner[0])
        return called if op in _EVEN else g.neg(called)
    return g._rebuild(op, args, value)


def _negated(g: Graph, i: int) -> int | None:
    """The operation whose negative this one is, None if it carries no sign."""
    op, args, _ = g.entries[i]
    if op == "neg":
        return args[0]
    factor = g._number(args[0]) if op == "mul" else None
    return g.mul(g.constant(-factor), args[1]) if factor is not None and factor < 0 else None


def _halves(
    into: Graph,
    op: str,
    args: tuple[int, ...],
    made: dict[int, int],
    halves: dict[int, tuple[int, int] | None],
    side: int,
    new: int,
    graph: Graph,
) -> tuple[int, int] | None:
    """An operation as a sum of an own part and an opponent's part, where it is one."""
    if side != BOTH:
        zero = into.constant(0.0)
        return (zero, new) if side == OTHER else (new, zero)
    parts = [halves[a] for a in args]
    if op == "add" and None not in parts:
        (a, b), (c, d) = parts  # type: ignore[misc]
        return into.add(a, c), into.add(b, d)
    if op == "neg" and parts[0] is not None:
        return into.neg(parts[0][0]), into.neg(parts[0][1])
    if op == "mul" and graph.entries[args[0]][0] == "const" and parts[1] is not None:
        return into.mul(made[args[0]], parts[1][0]), into.mul(made[args[0]], parts[1][1])
    return None


def _addition(g: Graph, op: str, a: int, b: int) -> int:
    """sin(a + b) or cos(a + b) by the addition theorem."""
    (sin_a, cos_a), (sin_b, cos_b) = (
        [_unsigned(g, name, (i,)) for name in ("sin", "cos")] for i in (a, b)
    )
    factors = [(sin_a, cos_b), (cos_a, sin_b)] if op == "sin" else [(cos_a, cos_b), (sin_a, sin_b)]
    first, second = (_unsigned(g, "mul", pair) for pair in factors)
    return _unsigned(g, "add", (first, second if op == "sin" else g.neg(second)))


# -- what needs no loop over pairs ----------------------------------------------------------------


class Split(NamedTuple):
    """An operation as pair + sum of own * other over `products`; pair is None where it is zero."""

    pair: int | None
    products: tuple[tuple[int, int], ...]


def splits(g: Graph, roots: Sequence[int], own: range) -> list[Split]:
    """Every root split; adds operations to the graph."""
    order = g.needed(roots)
    side, found = sides(g, order, own), dict[int, Split]()
    one = g.constant(1.0)
    for i in order:
        if side[i] == BOTH:
            found[i] = _split(g, i, [(found[a], side[a], a) for a in g.entries[i][1]])
        else:
            found[i] = Split(None, ((one, i) if side[i] == OTHER else (i, one),))
    return [found[r] for r in roots]


def _split(g: Graph, i: int, args: list[tuple[Split, int, int]]) -> Split:
    """An operation of both players, of arguments (split, side, operation)."""
    op, whole = g.entries[i][0], Split(i, ())
    unsplit = all(s.pair is not None and not s.products for s, _, _ in args)
    if unsplit or op not in ("add", "neg", "mul"):
        return whole
    first, last = args[0][0], args[-1][0]
    if op == "neg":
        pair = None if first.pair is None else g.neg(first.pair)
        return Split(pair, tuple((g.neg(a), b) for a, b in first.products))
    if op == "add":
        pairs = [s.pair for s in (first, last) if s.pair is not None]
        pair = g.add(*pairs) if len(pairs) == 2 else pairs[0] if pairs else None
        found = Split(pair, first.products + last.products)
    elif first.pair is None and last.pair is None:
        every = [(g.mul(a, c), g.mul(b, d)) for a, b in first.products for c, d in last.products]
        found = Split(None, tuple(every))
    else:
        found = _scaled(g, *(args if args[0][1] != BOTH else args[::-1])) or whole
    return found if len(found.products) <= PRODUCTS else whole


def _scaled(
    g: Graph, factor: tuple[Split, int, int], split: tuple[Split, int, int]
) -> Split | None:
    """A split times a factor of one player alone."""
    (_, side, f), (pair, products) = factor, split[0]
    if side == BOTH or pair is None or not products:
        return None
    return Split(
        g.mul(f, pair),
        tuple((a, g.mul(f, b)) if side == OTHER else (g.mul(f, a), b) for a, b in products),
    )


# -- lines ----------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """Lines of text by whose coordinates they read: the player's, the opponent's, both.

    given, table: the player's and the opponent's operations that lines of pairs read.
    """

    own: list[str]
    other: list[str]
    inner: list[str]
    given: list[int]
    table: list[int]


def parts(
    formula: Formula,
    p: int,
    graph: Graph,
    roots: Sequence[int],
    more: Sequence[int] = (),
    dialect: Dialect = PROCESSOR,
) -> Parts:
    """What of the roots is computed once an own point, once a point of the opponent, once a pair.

    more: operations of one player alone that are needed too.
    """
    own, other = formula.variables(p), formula.variables(1 - p)
    order = graph.needed([*roots, *more])
    side, size = sides(graph, order, own), _sizes(formula, graph, order)
    fused = _fused(graph, order, roots, side)
    lines: dict[int, list[str]] = {OWN: [], OTHER: [], BOTH: []}
    for i in order:
        if side[i] and i not in fused.values():
            mild = graph.entries[i][0] == "exp" and size[graph.entries[i][1][0]] <= dialect.moderate
            lines[side[i]] += _statement(graph, i, own, other, dialect, fused.get(i), mild)
    # Values of one side that the inner loop reads are tabulated once.
    read = {a for i in order if side[i] == BOTH for a in graph.entries[i][1]} | {*roots}
    given, table = (sorted(i for i in read if side[i] == s) for s in (OWN, OTHER))
    return Parts(lines[OWN], lines[OTHER], lines[BOTH], given, table)


def _fused(
    graph: Graph, order: Sequence[int], roots: Sequence[int], side: dict[int, int]
) -> dict[int, int]:
    """Sums of pairs -> the product in each that nothing else reads: they become one a b + c."""
    uses = Counter([*roots, *(a for i in order for a in graph.entries[i][1])])
    found: dict[int, int] = {}
    for i in order:
        op, args, _ = graph.entries[i]
        for a in args if op == "add" else ():
            if graph.entries[a][0] == "mul" and side[a] == BOTH and uses[a] == 1:
                found.setdefault(i, a)
    return found


def _sizes(formula: Formula, graph: Graph, order: Sequence[int]) -> dict[int, float]:
    """Bounds of absolute values; coordinates on spheres count as 2: points may be a little off."""
    manifolds = [m for m in (formula.X, formula.Y) for _ in range(m.ambient)]
    reach = [2.0 if isinstance(m, Sphere) else math.inf for m in manifolds]
    size: dict[int, float] = {}
    for i in order:
        op, args, value = graph.entries[i]
        u = [size[a] for a in args]
        if op in ("const", "var"):
            size[i] = abs(value) if op == "const" else reach[value]
        elif op in ("sin", "cos", "tanh", "sign"):
            size[i] = 1.0
        elif op in ("add", "mul"):
            size[i] = u[0] + u[1] if op == "add" else u[0] * u[1]
        elif op == "pow" and value > 0 and value * math.log(1.0 + u[0]) < 700.0:
            size[i] = u[0] ** value
        elif op in ("neg", "abs", "atan"):
            size[i] = u[0]
        elif op == "sqrt":
            size[i] = math.sqrt(u[0])
        else:
            size[i] = math.exp(u[0]) if op == "exp" and u[0] < 700.0 else math.inf
    return size


def name(graph: Graph, i: int, dialect: Dialect = PROCESSOR) -> str:
    """What an operation's value is called."""
    op, _, value = graph.entries[i]
    return dialect.constant.format(repr(value)) if op == "const" else f"t{i}"


def _statement(
    graph: Graph,
    i: int,
    own: range,
    other: range,
    dialect: Dialect,
    product: int | None,
    mild: bool,
) -> list[str]:
    """The lines that compute an operation; `product` is the argument that a sum takes unrounded."""
    op, args, value = graph.entries[i]
    names = [name(graph, a, dialect) for a in args]
    if op == "var":
        point, first = (dialect.own, own) if value in own else (dialect.other, other)
        return [f"t{i} = {point}, {value - first.start}]"]
    if product is not None:
        rest = args[1] if args[0] == product else args[0]
        factors = [name(graph, a, dialect) for a in graph.entries[product][1]]
        return [f"t{i} = {dialect.fused.format(*factors, name(graph, rest, dialect))}"]
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
