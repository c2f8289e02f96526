"""Formulas taken apart by player: what depends on the own point, on the opponent's, or on both.

The addition theorem splits sines and cosines of a sum of both players' parts, which leaves two
products in the place of a call. Signs are taken out of products and odd functions, so that the two
players' gradients share more. Sums of products of one player's part and the other's need no look at
pairs and are split off (`Split`).
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np

from meanfield.games.formulas.calculus import Graph, applied
from meanfield.games.formulas.formula import Formula

LINES = 3000  # longer kernels take too long to compile; numpy serves them
PRODUCTS = 16  # split off from one sum at most
OWN, OTHER = 1, 2
BOTH = OWN | OTHER

_ODD, _EVEN = {"sin", "sinh", "tanh", "asin", "atan"}, {"cos", "cosh", "abs"}

Halves = tuple[int, int]


def separated(game: Formula, p: int, roots: Sequence[int]) -> tuple[Graph, list[int]] | None:
    """A graph of the roots with both players' parts taken apart, and the roots in it.

    None for a game too long to compile.
    """
    graph = Graph()
    made = _separated(game.graph, roots, game.variables(p), graph)
    order = graph.needed(made)
    constants = [graph.entries[i][2] for i in order if graph.entries[i][0] == "const"]
    fine = len(order) <= LINES and all(map(math.isfinite, constants))
    return (graph, made) if fine else None


def sides(graph: Graph, order: Sequence[int], own: Container[int]) -> dict[int, int]:
    """Whose coordinates an operation depends on: OWN, OTHER, BOTH, or 0 for a constant."""
    side: dict[int, int] = {}
    for i in order:
        op, args, value = graph.entries[i]
        side[i] = (OWN if value in own else OTHER) if op == "var" else 0
        for a in args:
            side[i] |= side[a]
    return side


def _separated(graph: Graph, roots: Sequence[int], own: Container[int], into: Graph) -> list[int]:
    """The roots rebuilt with sin(A + B) and cos(A + B) split, A the own part, B the opponent's."""
    order = graph.needed(roots)
    side = sides(graph, order, own)
    made: dict[int, int] = {}
    halves: dict[int, Halves | None] = {}
    for i in order:
        op, args, value = graph.entries[i]
        made[i] = _unsigned(into, op, [made[a] for a in args], value)
        if side[i] == BOTH:
            factor = made[args[0]] if op == "mul" and side[args[0]] == 0 else None
            halves[i] = _halves(into, op, [halves[a] for a in args], factor)
            if op in ("sin", "cos") and (parts := halves[args[0]]) is not None:
                made[i] = _addition(into, op, *parts)
        else:
            zero = into.constant(0.0)
            halves[i] = (zero, made[i]) if side[i] == OTHER else (made[i], zero)
    return [made[r] for r in roots]


def _unsigned(g: Graph, op: str, args: Sequence[int], value: Any = None) -> int:
    """The operation with the signs of its arguments taken out where that is exact; folded."""
    numbers = [g.number(a) for a in args]
    if args and None not in numbers:
        with np.errstate(all="ignore"):
            return g.constant(float(applied(op, numbers, value, ())))
    inner = [_negated(g, a) for a in args]
    if op == "add" and None not in inner:
        return g.neg(g.rebuilt("add", inner))  # type: ignore[arg-type]
    if op in ("mul", "div") and any(a is not None for a in inner):
        product = g.rebuilt(op, [a if b is None else b for a, b in zip(args, inner, strict=True)])
        return product if None not in inner else g.neg(product)
    if op in _ODD | _EVEN and inner[0] is not None:
        called = g.call(op, inner[0])
        return called if op in _EVEN else g.neg(called)
    return g.rebuilt(op, args, value)


def _negated(g: Graph, i: int) -> int | None:
    """The operation whose negative this one is, None if it carries no sign."""
    op, args, _ = g.entries[i]
    if op == "neg":
        return args[0]
    factor = g.number(args[0]) if op == "mul" else None
    return g.mul(g.constant(-factor), args[1]) if factor is not None and factor < 0 else None


def _halves(g: Graph, op: str, parts: Sequence[Halves | None], factor: int | None) -> Halves | None:
    """An operation of both players as a sum of an own part and an opponent's part, if it is one."""
    last = parts[-1]
    if last is None:
        return None
    if op == "add" and parts[0] is not None:
        return g.add(parts[0][0], last[0]), g.add(parts[0][1], last[1])
    if op == "neg":
        return g.neg(last[0]), g.neg(last[1])
    return None if factor is None else (g.mul(factor, last[0]), g.mul(factor, last[1]))


def _addition(g: Graph, op: str, a: int, b: int) -> int:
    """sin or cos of a + b by the addition theorem."""
    (sin_a, cos_a), (sin_b, cos_b) = (
        [_unsigned(g, name, [i]) for name in ("sin", "cos")] for i in (a, b)
    )
    if op == "sin":
        first = _unsigned(g, "mul", [sin_a, cos_b])
        return _unsigned(g, "add", [first, _unsigned(g, "mul", [cos_a, sin_b])])
    first = _unsigned(g, "mul", [cos_a, cos_b])
    return _unsigned(g, "add", [first, g.neg(_unsigned(g, "mul", [sin_a, sin_b]))])


class Split(NamedTuple):
    """An operation as pair + sum of own * other over `products`; pair is None for none."""

    pair: int | None
    products: tuple[tuple[int, int], ...] = ()


def splits(g: Graph, roots: Sequence[int], own: range) -> list[Split]:
    """Every root split; adds operations to the graph."""
    order = g.needed(roots)
    side, split = sides(g, order, own), dict[int, Split]()
    one = g.constant(1.0)
    for i in order:
        if side[i] == BOTH:
            split[i] = _split(g, i, [(split[a], side[a], a) for a in g.entries[i][1]])
        else:
            split[i] = Split(None, ((one, i) if side[i] == OTHER else (i, one),))
    return [split[r] for r in roots]


def _split(g: Graph, i: int, args: list[tuple[Split, int, int]]) -> Split:
    """An operation of both players, of arguments (split, side, operation)."""
    op, whole = g.entries[i][0], Split(i)
    plain = all(s.pair is not None and not s.products for s, _, _ in args)
    if plain or op not in ("add", "neg", "mul"):
        return whole
    first, last = args[0][0], args[-1][0]
    if op == "neg":
        pair = None if first.pair is None else g.neg(first.pair)
        return Split(pair, tuple((g.neg(a), b) for a, b in first.products))
    if op == "add":
        left, right = first.pair, last.pair
        pair = right if left is None else left if right is None else g.add(left, right)
        made = Split(pair, first.products + last.products)
    elif first.pair is None and last.pair is None:
        every = [(g.mul(a, c), g.mul(b, d)) for a, b in first.products for c, d in last.products]
        made = Split(None, tuple(every))
    else:
        (_, side, f), (split, _, _) = args if args[0][1] != BOTH else args[::-1]
        if side == BOTH or split.pair is None or not split.products:
            return whole
        pair = g.mul(f, split.pair)
        products = [
            (a, g.mul(f, b)) if side == OTHER else (g.mul(f, a), b) for a, b in split.products
        ]
        made = Split(pair, tuple(products))
    return made if len(made.products) <= PRODUCTS else whole
