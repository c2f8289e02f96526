"""Interval arithmetic (Moore 1966) of a formula's operations, averaged over atoms, compiled.

Operations are known only when a game is made, so one kernel reads them from a tape: each is done
for many atoms before the next is looked at. Ends are rounded outwards, operation by operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.games.formulas.calculus import Graph
from meanfield.jit import apart, kernel, larger, smaller

LANES = 64  # atoms an operation is done for at a time
EPS = 2.0**-52
ULPS = 8 * EPS  # twice what functions of the mathematical libraries may err
SUMS = {"reassoc", "contract", "nsz"}  # sums over atoms in any order: their error is allowed for

OPS = ("const", "var", "neg", "add", "mul", "div", "pow", "exp", "log", "sqrt", "sinh", "tanh",
       "asin", "atan", "sign", "acos", "sin", "cos", "cosh", "abs")  # fmt: skip
(CONST, VAR, NEG, ADD, MUL, DIV, POW, EXP, LOG, SQRT, SINH, TANH,
 ASIN, ATAN, SIGN, ACOS, SIN, COS, COSH, ABS) = range(len(OPS))  # fmt: skip
FIXED, OWN, OTHERS = 0, 1, 2  # an operation depends on nothing, the box, the atoms, or (3) on both


class Tape(NamedTuple):
    """Operations in the order of evaluation, and which of them are the roots.

    codes, first and second argument, dependence: (N,) integers; numbers (N,): constants, exponents
    and the places of variables among a player's coordinates; roots (R,).
    """

    codes: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    dependence: NDArray[np.int64]
    numbers: Array
    roots: NDArray[np.int64]


def tape(graph: Graph, roots: Sequence[int], own: range) -> Tape:
    """The operations that the roots are made of; own: the variables that boxes are given for."""
    order = graph.needed(roots)
    row = {i: k for k, i in enumerate(order)}
    whole = np.zeros((4, len(order)), np.int64)
    numbers = np.zeros(len(order))
    for k, i in enumerate(order):
        op, args, value = graph.entries[i]
        places = [row[a] for a in args] or [0]
        on = FIXED
        if op == "var":
            on = OWN if value in own else OTHERS
            # The opponent's variables stand behind the own ones or before them.
            value -= own.start if value in own else 0 if own.start else own.stop
        for a in args:
            on |= whole[3, row[a]]
        whole[:, k] = OPS.index(op), places[0], places[-1], on
        numbers[k] = 0.0 if value is None else value
    return Tape(whole[0], whole[1], whole[2], whole[3], numbers, np.array([row[i] for i in roots]))


def enclosed(
    steps: Tape, low: Array, high: Array, atoms: Array, masses: Array
) -> tuple[Array, Array]:
    """Bounds (n, R) of the roots in boxes from low to high (n, a), averaged over atoms (m, b).

    They are infinite where an operation may be outside its domain.
    """
    rounding = 2 * (len(masses) + 4) * EPS
    columns, masses = np.ascontiguousarray(atoms.T), np.ascontiguousarray(masses)

    means = np.zeros((2, len(low), len(steps.roots)))
    rows = np.empty((2, len(steps.codes), LANES))
    _sweep(*steps, np.stack([low, high]), columns, masses, rounding, rows, means)
    return means[0], means[1]


@kernel
def _sweep(codes, first, second, dependence, numbers, roots, ends, atoms, masses, rounding, rows, means):  # type: ignore[no-untyped-def]  # fmt: skip # noqa: E501
    for start in range(0, len(masses), LANES):
        lanes = smaller(LANES, len(masses) - start)
        for k in range(len(codes)):
            if dependence[k] == OTHERS and codes[k] == VAR:
                for j in range(lanes):
                    rows[0, k, j] = rows[1, k, j] = atoms[int(numbers[k]), start + j]
            elif dependence[k] == FIXED or dependence[k] == OTHERS:
                _operation(codes[k], first[k], second[k], numbers[k], k, lanes, rows)
        for i in range(ends.shape[1]):
            for k in range(len(codes)):
                if dependence[k] == OWN:
                    if codes[k] == VAR:
                        rows[0, k, 0] = ends[0, i, int(numbers[k])]
                        rows[1, k, 0] = ends[1, i, int(numbers[k])]
                    else:
                        _operation(codes[k], first[k], second[k], numbers[k], k, 1, rows)
                    for side in range(2):
                        for j in range(1, lanes):
                            rows[side, k, j] = rows[side, k, 0]
                elif dependence[k] > OTHERS:
                    _operation(codes[k], first[k], second[k], numbers[k], k, lanes, rows)
            for r in range(len(roots)):
                for side in range(2):
                    total, size = _mean(rows[side, roots[r]], masses, start, lanes)
                    means[side, i, r] += total + (2 * side - 1) * rounding * size


@kernel(fastmath=SUMS)
def _mean(row: Array, masses: Array, start: int, lanes: int) -> tuple[float, float]:
    total = size = 0.0
    for j in range(lanes):
        part = row[j] * masses[start + j]
        total += part
        size += abs(part)
    return total, size


@kernel
def _operation(code: int, a: int, b: int, number: float, k: int, lanes: int, rows: Array) -> None:
    """Row k, the operation on rows a and b, for the first `lanes` atoms."""
    apart()
    low, high = rows[0], rows[1]
    if code == CONST:
        for j in range(lanes):
            low[k, j] = high[k, j] = number
    elif code == NEG:
        for j in range(lanes):
            low[k, j], high[k, j] = -high[a, j], -low[a, j]
    elif code == ADD:
        for j in range(lanes):
            low[k, j] = _down(low[a, j] + low[b, j])
            high[k, j] = _up(high[a, j] + high[b, j])
    elif code == MUL and a != b:
        for j in range(lanes):
            least, most = _product(low[a, j], high[a, j], low[b, j], high[b, j])
            low[k, j], high[k, j] = _down(least), _up(most)
    elif code == DIV:
        for j in range(lanes):
            least, most = -np.inf, np.inf
            if low[b, j] > 0 or high[b, j] < 0:
                under, over = _down(1 / high[b, j]), _up(1 / low[b, j])
                least, most = _product(low[a, j], high[a, j], under, over)
            low[k, j], high[k, j] = _down(least), _up(most)
    elif code in (MUL, POW):
        for j in range(lanes):
            least, most = _power(low[a, j], high[a, j], 2.0 if code == MUL else number)
            low[k, j], high[k, j] = _down(least), _up(most)
    else:
        for j in range(lanes):
            least, most = _called(code, low[a, j], high[a, j])
            low[k, j], high[k, j] = _down(least), _up(most)


@kernel
def _down(v: float) -> float:
    """Below v by what an operation may err; what is no number bounds nothing."""
    v -= ULPS * abs(v) + 1e-300
    return v if v == v else -np.inf


@kernel
def _up(v: float) -> float:
    v += ULPS * abs(v) + 1e-300
    return v if v == v else np.inf


@kernel
def _product(a: float, b: float, c: float, d: float) -> tuple[float, float]:
    """[a, b] times [c, d]; zero times an infinite bound is zero or, at worst, no number."""
    p, q, r, s = a * c, a * d, b * c, b * d
    least = most = p
    least, most = (q if q < least else least), (q if q > most else most)
    least, most = (r if r < least else least), (r if r > most else most)
    least, most = (s if s < least else least), (s if s > most else most)
    return least, most


@kernel
def _power(a: float, b: float, n: float) -> tuple[float, float]:
    """[a, b]^n; both ends are no numbers where a broken power has a negative base."""
    p, q = a**n, b**n
    if not (p == p and q == q):
        return np.nan, np.nan
    if a < 0 and b > 0 and n % 2 == 0:
        return 0.0, larger(p, q)
    return (p, q) if p < q else (q, p)


@kernel
def _called(code: int, a: float, b: float) -> tuple[float, float]:
    """f([a, b]); both ends are no numbers where f is not defined on all of it."""
    p, q = _value(code, a), _value(code, b)
    if not (p == p and q == q):
        return np.nan, np.nan
    if code == ACOS:
        return q, p
    if code in (SIN, COS):
        # cos is 1 at even multiples of pi and -1 at odd ones, sin a quarter later.
        shift = 0.5 * np.pi if code == SIN else 0.0
        least, most = (p, q) if p < q else (q, p)
        if _passes(a - shift - np.pi, b - shift - np.pi):
            least = -1.0
        if _passes(a - shift, b - shift):
            most = 1.0
        return least, most
    if code in (COSH, ABS):  # even, rising away from zero
        return _value(code, 0.0) if a < 0 and b > 0 else smaller(p, q), larger(p, q)
    return p, q


@kernel
def _passes(a: float, b: float) -> bool:
    """Whether [a, b] may hold a multiple of 2 pi."""
    slack = ULPS * (abs(a) + abs(b) + 8)
    return np.floor((b + slack) / (2 * np.pi)) >= np.ceil((a - slack) / (2 * np.pi))


@kernel
def _value(code: int, v: float) -> float:
    if code == EXP:
        return np.exp(v)
    if code == LOG:
        return np.log(v)
    if code == SQRT:
        return np.sqrt(v)
    if code == SINH:
        return np.sinh(v)
    if code == TANH:
        return np.tanh(v)
    if code == ASIN:
        return np.arcsin(v)
    if code == ATAN:
        return np.arctan(v)
    if code == SIGN:
        return np.sign(v)
    if code == ACOS:
        return np.arccos(v)
    if code == SIN:
        return np.sin(v)
    if code == COS:
        return np.cos(v)
    if code == COSH:
        return np.cosh(v)
    return abs(v)
