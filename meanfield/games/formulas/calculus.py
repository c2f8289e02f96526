"""Formulas as graphs with every common part stored once, their derivatives and their values.

In a graph arguments stand before the operations on them, so that every pass over it is a loop.
Equal operations are one entry; constants are folded, zeros and ones disappear.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

LIMIT = 50_000  # operations, derivatives included

# Entry: (op, arguments, value). "const" and "var" have a value, "pow" its constant exponent.
Entry = tuple[str, tuple[int, ...], Any]

NUMPY: dict[str, Any] = {
    "add": np.add, "mul": np.multiply, "div": np.divide, "neg": np.negative, "sin": np.sin,
    "cos": np.cos, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "abs": np.abs, "sign": np.sign,
}  # fmt: skip


class Graph:
    """Operations `entries`, and constructors that add to them; variables have names or numbers."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._known: dict[Entry, int] = {}
        self._slopes: dict[tuple[int, int], int] = {}
        self._courses: dict[tuple[int, ...], list[tuple[int, list[int]]]] = {}

    def _add(self, op: str, args: tuple[int, ...], value: Any = None) -> int:
        entry = (op, args, value)
        if entry not in self._known:
            if len(self.entries) >= LIMIT:
                what = f"the loss and its derivatives take more than {LIMIT} operations"
                raise ValueError(f"{what}; use function()")
            self._known[entry] = len(self.entries)
            self.entries.append(entry)
        return self._known[entry]

    def constant(self, value: float) -> int:
        return self._add("const", (), float(value) + 0.0)

    def variable(self, name: Any) -> int:
        return self._add("var", (), name)

    def number(self, i: int) -> float | None:
        """The value of a constant, None for any other operation."""
        op, _, value = self.entries[i]
        return value if op == "const" else None

    def add(self, a: int, b: int) -> int:
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.constant(u + v)
        if u == 0:
            return b
        if v == 0:
            return a
        return self._add("add", (min(a, b), max(a, b)))

    def mul(self, a: int, b: int) -> int:
        u, v = self.number(a), self.number(b)
        if u is not None and v is not None:
            return self.constant(u * v)
        if u is None and v is not None:
            return self.mul(b, a)
        if u == 0:
            return a
        if u == 1:
            return b
        if u == -1:
            return self.neg(b)
        op, args, _ = self.entries[b]
        if u is not None and op == "neg":
            return self.mul(self.constant(-u), args[0])
        if u is not None and op == "mul" and (w := self.number(args[0])) is not None:
            return self.mul(self.constant(u * w), args[1])
        return self._add("mul", (a, b) if u is not None else (min(a, b), max(a, b)))

    def neg(self, a: int) -> int:
        op, args, value = self.entries[a]
        if op == "const":
            return self.constant(-value)
        if op == "neg":
            return args[0]
        if op == "mul" and (w := self.number(args[0])) is not None:
            return self.mul(self.constant(-w), args[1])
        return self._add("neg", (a,))

    def div(self, a: int, b: int) -> int:
        u, v = self.number(a), self.number(b)
        if v and math.frexp(v)[0] in (0.5, -0.5):  # the inverse is exact
            return self.mul(self.constant(1 / v), a)
        if u is not None and v:
            return self.constant(u / v)
        return a if u == 0 else self._add("div", (a, b))

    def power(self, a: int, n: float) -> int:
        if n == 0:
            return self.constant(1.0)
        if n == 1:
            return a
        if n == 0.5:
            return self.call("sqrt", a)
        if n < 0 and float(n).is_integer():
            return self.div(self.constant(1.0), self.power(a, -n))
        return self._add("pow", (a,), int(n) if float(n).is_integer() else float(n))

    def call(self, name: str, a: int) -> int:
        if name == "tan":
            return self.div(self.call("sin", a), self.call("cos", a))
        return self._add(name, (a,))

    def sum(self, parts: Iterable[int]) -> int:
        total = self.constant(0.0)
        for part in parts:
            total = self.add(total, part)
        return total

    def without_constant(self, root: int) -> tuple[int, float]:
        """An operation less the constants that are added to it, and their sum."""
        op, args, value = self.entries[root]
        if op == "const":
            return self.constant(0.0), value
        if op == "add":
            (a, c), (b, d) = (self.without_constant(i) for i in args)
            return self.add(a, b), c + d
        factor = -1.0 if op == "neg" else self.number(args[0]) if op == "mul" else None
        if factor is None:
            return root, 0.0
        part, c = self.without_constant(args[-1])
        return self.mul(self.constant(factor), part), factor * c

    def slope(self, root: int, var: int) -> int:
        """The derivative of an operation with respect to a variable."""
        for i in self.needed([root]):
            if (i, var) not in self._slopes:
                self._slopes[i, var] = self._slope(i, var)
        return self._slopes[root, var]

    def _slope(self, i: int, var: int) -> int:
        op, args, value = self.entries[i]
        d = [self._slopes[a, var] for a in args]
        if op == "const":
            return i if value == 0 else self.constant(0.0)
        if op == "var":
            return self.constant(1.0 if value == var else 0.0)
        if op == "add":
            return self.add(*d)
        if op == "mul":
            return self.add(self.mul(d[0], args[1]), self.mul(args[0], d[1]))
        if op == "div":
            # (a/b)' = (a' - (a/b) b')/b uses the quotient again.
            return self.div(self.add(d[0], self.neg(self.mul(i, d[1]))), args[1])
        if self.number(d[0]) == 0:
            return d[0]
        return self.mul(self._outer(i), d[0])

    def _outer(self, i: int) -> int:
        """f'(u) for the operation f(u) of one argument."""
        op, (u,), value = self.entries[i]
        one = self.constant(1.0)
        if op == "neg":
            return self.constant(-1.0)
        if op == "pow":
            return self.mul(self.constant(value), self.power(u, value - 1))
        if op == "sqrt":
            return self.div(self.constant(0.5), i)
        if op == "log":
            return self.div(one, u)
        if op == "tanh":
            return self.add(one, self.neg(self.power(i, 2)))
        if op == "atan":
            return self.div(one, self.add(one, self.power(u, 2)))
        if op in ("asin", "acos"):
            slope = self.div(one, self.call("sqrt", self.add(one, self.neg(self.power(u, 2)))))
            return slope if op == "asin" else self.neg(slope)
        if op == "cos":
            return self.neg(self.call("sin", u))
        if op == "sign":
            return self.constant(0.0)
        derivative = {"sin": "cos", "exp": "exp", "sinh": "cosh", "cosh": "sinh", "abs": "sign"}
        return self.call(derivative[op], u)

    def needed(self, roots: Sequence[int]) -> list[int]:
        """The operations that the roots are made of, arguments first."""
        seen, stack = set(), list(roots)
        while stack:
            i = stack.pop()
            if i not in seen:
                seen.add(i)
                stack.extend(self.entries[i][1])
        return sorted(seen)

    def evaluate(self, roots: Sequence[int], variables: Any) -> list[Any]:
        """Values of the roots where variable k is the array variables[k]; arrays broadcast.

        Each intermediate value is dropped after its last use.
        """
        values = dict[int, Any]()
        for i, done in self._course(tuple(roots)):
            op, args, value = self.entries[i]
            values[i] = applied(op, [values[a] for a in args], value, variables)
            for a in done:
                del values[a]
        return [values[r] for r in roots]

    def _course(self, roots: tuple[int, ...]) -> list[tuple[int, list[int]]]:
        """The operations that roots are made of in order, and with each what it uses last."""
        if roots not in self._courses:
            order = self.needed(roots)
            last = {a: i for i in order for a in self.entries[i][1] if a not in roots}
            done: dict[int, list[int]] = {i: [] for i in order}
            for a, i in last.items():
                done[i].append(a)
            self._courses[roots] = list(done.items())
        return self._courses[roots]

    def copy_into(self, other: Graph, roots: Sequence[int], names: Mapping[Any, Any]) -> list[int]:
        """The roots rebuilt in another graph with variables renamed."""
        made: dict[int, int] = {}
        for i in self.needed(roots):
            op, args, value = self.entries[i]
            new = [made[a] for a in args]
            made[i] = other.rebuilt(op, new, names[value] if op == "var" else value)
        return [made[r] for r in roots]

    def rebuilt(self, op: str, args: Sequence[int], value: Any = None) -> int:
        """An operation on arguments of this graph, without simplification."""
        if op in ("add", "mul") and self.number(args[0]) is None:
            args = sorted(args)
        return self._add(op, tuple(args), value)


def applied(op: str, args: Sequence[Any], value: Any, variables: Any) -> Any:
    """The value of an operation; its arguments are numbers or arrays."""
    if op == "const":
        return value
    if op == "var":
        return variables[value]
    if op == "pow":
        return (_integer_power if isinstance(value, int) else np.power)(args[0], value)
    return NUMPY[op](*args)


def _integer_power(u: Any, n: int) -> Any:
    """u**n by repeated squaring, as the compiled code does it."""
    total: Any = None
    while n:
        if n & 1:
            total = u if total is None else total * u
        n >>= 1
        if n:
            u = u * u
    return total


def tangent(graph: Graph, slopes: Sequence[int], variables: Sequence[int]) -> list[int]:
    """The part of an ambient vector tangent to the unit sphere: g - (x.g) x."""
    along = dot(graph, slopes, variables)
    return [
        graph.add(g, graph.neg(graph.mul(along, graph.variable(v))))
        for v, g in zip(variables, slopes, strict=True)
    ]


def dot(graph: Graph, parts: Sequence[int], variables: Sequence[int]) -> int:
    """sum_k x_k g_k for the variables x_k and operations g_k."""
    return graph.sum(graph.mul(graph.variable(v), g) for v, g in zip(variables, parts, strict=True))
