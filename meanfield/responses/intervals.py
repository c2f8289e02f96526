"""Proofs from below for losses given by formulas: intervals for the Hessian over boxes of a torus.

Every operation of the formula's second derivatives is bounded over a box by interval arithmetic
(Moore 1966). With g the gradient at the box's centre and H the Hessian's interval,

    U >= U(centre) + sum_i min over |s| <= r of (g_i s + l_i s^2/2),
    l_i = min H_ii - sum_{j != i} max |H_ij|,

and boxes are cut as in `bounds`. Bounds are widened by 1e-12 of their size in place of directed
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import SIGNS
from meanfield.games.formulas.calculus import NUMPY, Graph
from meanfield.games.formulas.expressions import Expression
from meanfield.responses.bounds import cut_cells, least_on_interval
from meanfield.responses.costs import OpponentCost

TIGHT = 1e-9  # gap wanted, relative to the largest size of cost and loss
PAIRS = 1 << 25  # boxes times atoms looked at in all
BLOCK = 1 << 16
FIRST = {1: 64, 2: 24}  # boxes per axis to begin with, by dimension
WIDER = 1e-12
RISING = {"exp", "log", "sqrt", "sinh", "tanh", "asin", "atan", "sign"}

Interval = tuple[Any, Any]


def floor_by_intervals(cost: OpponentCost, best: float, scale: float) -> float:
    """A lower bound of min U within 1e-9 scale of `best`, a value of U, if PAIRS suffice."""
    game, p, mu = cost.game, cost.p, cost.opponent
    assert isinstance(game, Expression)
    torus = game.manifolds[p]
    n = FIRST[torus.dim]
    r = 0.5 * torus.period / n  # type: ignore[attr-defined]
    x = np.array(list(product((np.arange(n) + 0.5) * 2 * r, repeat=torus.dim)))

    def bound(x: Array, r: float) -> Array:
        bends = curvatures(game, p, x, r, mu.points, mu.masses)
        low = cost.values(x) + least_on_interval(cost.gradient(x), bends, r).sum(axis=1)
        # NaN, from operations outside their domain somewhere in a box, proves nothing.
        return np.where(np.isnan(low), -np.inf, low)

    low, budget = np.full(len(x), -np.inf), PAIRS // len(mu)
    return cut_cells(bound, x, low, r, best - TIGHT * scale, budget)


def curvatures(game: Expression, p: int, x: Array, r: float, nodes: Array, masses: Array) -> Array:
    """l (n, d) of the boxes of half width r around x (n, d), for player p's cost against atoms."""
    H = game.curvatures(p)
    low = np.zeros(x.shape)
    step = max(1, BLOCK // len(nodes))
    for i in range(0, len(x), step):
        box = [(c[:, None] - r, c[:, None] + r) for c in x[i : i + step].T]
        atoms = [(c[None, :], c[None, :]) for c in nodes.T]
        bounds = enclose(game.graph, list(H.values()), [*box, *atoms] if p == 0 else [*atoms, *box])
        for (a, b), (bottom, top) in zip(H, bounds, strict=True):
            first, second = (
                np.broadcast_to(v, (len(box[0][0]), len(nodes))) @ masses for v in (bottom, top)
            )
            if SIGNS[p] < 0:
                first, second = -second, -first
            if a == b:
                low[i : i + step, a] += first - WIDER * np.abs(first)
            else:
                size = np.maximum(np.abs(first), np.abs(second)) * (1 + WIDER)
                low[i : i + step, a] -= size
                low[i : i + step, b] -= size
    return low


def enclose(graph: Graph, roots: Sequence[int], variables: Sequence[Interval]) -> list[Interval]:
    """Intervals that hold the roots' values when each variable is anywhere in its interval."""
    values: dict[int, Interval] = {}
    for i in graph.needed(roots):
        op, args, value = graph.entries[i]
        with np.errstate(all="ignore"):
            values[i] = _apply(op, [values[a] for a in args], value, variables, args)
    return [values[r] for r in roots]


def _apply(
    op: str, args: list[Interval], value: Any, variables: Sequence[Interval], who: tuple[int, ...]
) -> Interval:
    if op == "const":
        return value, value
    if op == "var":
        return variables[value]
    (a, b) = args[0]
    if op == "neg":
        return -b, -a
    if op == "add":
        return a + args[1][0], b + args[1][1]
    if op == "mul":
        return _power(a, b, 2) if who[0] == who[1] else _product((a, b), args[1])
    if op == "div":
        c, d = args[1]
        ends = _product((a, b), (1 / d, 1 / c))
        whole = (c > 0) | (d < 0)
        return np.where(whole, ends[0], -np.inf), np.where(whole, ends[1], np.inf)
    if op == "pow":
        return _power(a, b, value)
    return _call(op, a, b)


def _product(u: Interval, v: Interval) -> Interval:
    ends = [a * b for a in u for b in v]
    low, high = np.minimum(ends[0], ends[1]), np.maximum(ends[0], ends[1])
    for e in ends[2:]:
        low, high = np.minimum(low, e), np.maximum(high, e)
    # 0 times an infinite bound says nothing.
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _power(a: Any, b: Any, n: float) -> Interval:
    ends = np.power(a, n), np.power(b, n)
    low, high = np.minimum(*ends), np.maximum(*ends)
    if isinstance(n, int) and n % 2 == 0:
        low = np.where((a < 0) & (b > 0), 0.0, low)
    return low, high


def _call(op: str, a: Any, b: Any) -> Interval:
    f = NUMPY[op]
    if op in RISING:
        return f(a), f(b)
    if op == "acos":
        return f(b), f(a)
    low, high = np.minimum(f(a), f(b)), np.maximum(f(a), f(b))
    if op in ("sin", "cos"):
        # cos is 1 at even multiples of pi and -1 at odd ones, sin a quarter later.
        shift = 0.0 if op == "cos" else 0.5 * np.pi
        up, down = (
            np.floor((b - shift - o) / (2 * np.pi)) >= np.ceil((a - shift - o) / (2 * np.pi))
            for o in (0, np.pi)
        )
        return np.where(down, -1.0, low), np.where(up, 1.0, high)
    # cosh and abs: even, rising away from zero.
    return np.where((a < 0) & (b > 0), f(0.0), low), high
