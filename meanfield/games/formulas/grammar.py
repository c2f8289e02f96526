"""The grammar of losses given as text: a checked tree, or an error that points at the place.

    sum    = term {("+" | "-") term}
    term   = unary {("*" | "/") unary}
    unary  = ("+" | "-") unary | power
    power  = atom ["**" unary]
    atom   = number | name | function "(" sum ")" | "(" sum ")"

Nothing outside it is ever looked at: text is never evaluated, and what leaves this module is a
tree of whitelisted operations with every constant folded, finite and of bounded size.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LENGTH, DEPTH, DIGITS, EXPONENT, LARGEST = 10_000, 40, 40, 64, 1e100

# name -> the same function in `math`, which folds constants and stands in generated code.
FUNCTIONS = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "log": math.log,
    "sqrt": math.sqrt, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
    "asin": math.asin, "acos": math.acos, "atan": math.atan, "abs": math.fabs,
}  # fmt: skip
_ALIASES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "ln": "log"}
_KINKED = ("max", "min", "sign", "floor", "ceil", "round", "mod", "heaviside", "relu", "fabs")
_VARIABLE = re.compile(r"([xy])([1-9][0-9]{0,2})?\Z")
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<op>\*\*|[-+*/()])"
)
_HINTS = {
    "^": "powers are written **", ".": "attributes cannot be reached from here",
    ",": "every function takes one argument",
    "=": "assignments and comparisons are not part of a loss",
    ":": "assignments and slices are not part of a loss", "[": "write x1, x2, ... for coordinates",
    "]": "write x1, x2, ... for coordinates", "'": "strings are not part of a loss",
    '"': "strings are not part of a loss", "%": "the remainder is not a smooth function",
}  # fmt: skip


class ExpressionError(ValueError):
    """A loss given as text was refused; the message shows the text with the place marked."""

    def __init__(self, message: str, text: str = "", at: tuple[int, int] | None = None) -> None:
        super().__init__(message if at is None else f"{message}\n{_marked(text, *at)}")


def _marked(text: str, start: int, end: int) -> str:
    """A window of the text with carets under [start, end)."""
    end = max(start + 1, min(end, start + 60))
    low, high = max(0, start - 60), min(len(text), end + 60)
    shown = "".join(
        c if " " <= c <= "~" else (" " if c in "\t\r\n" else "?") for c in text[low:high]
    )
    lead, tail = ("..." if low else ""), ("..." if high < len(text) else "")
    return f"    {lead}{shown}{tail}\n    {' ' * (len(lead) + start - low)}{'^' * (end - start)}"


@dataclass(frozen=True)
class Node:
    """A checked operation on its args, standing at text[at[0]:at[1]].

    op, value: "number" its float; "variable" (player, index); "power" its constant exponent;
    "call" the function's name; "sum", "product", "negative", "inverse" none.
    """

    op: str
    at: tuple[int, int]
    args: tuple[Node, ...] = ()
    value: Any = None


Token = tuple[str, str, int]


def variable(name: str) -> tuple[int, int] | None:
    """x, y, x3, ... -> (player, index from 0), x and y the first; None for another name."""
    found = _VARIABLE.match(name)
    return (int(found[1] == "y"), int(found[2] or 1) - 1) if found else None


def parse(
    text: str, constants: Mapping[str, float] | None = None, options: Sequence[str] = ()
) -> Node:
    """The checked tree of a loss; `constants` are named numbers besides pi.

    Raises TypeError when `text` is no string and ExpressionError, a ValueError, for anything that
    the grammar above does not have and for constants that the text does not use. options: other
    names of the caller's, one of which may have been meant by such a constant.
    """
    if not isinstance(text, str):
        raise TypeError(f"an expression must be a string, got {type(text).__name__}")
    if len(text) > LENGTH:
        raise ExpressionError(
            f"the expression has {len(text)} characters, at most {LENGTH} are read; use function()"
        )
    given = _constants(constants or {})
    parser = _Parser(text, {"pi": math.pi, **given})
    tree = parser.whole()
    for name in given:
        if name not in parser.used:
            near = difflib.get_close_matches(name, options, 1)
            raise ExpressionError(
                f"{name!r} does not occur in the formula; "
                f"{f'did you mean {near[0]}?' if near else 'leave it out'}"
            )
    return tree


def _constants(given: Mapping[str, Any]) -> dict[str, float]:
    from meanfield.checks import real

    for name in given:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise ExpressionError(
                f"a constant cannot be called {name!r}; use letters, digits and _"
            )
        if name in FUNCTIONS or name in _ALIASES or name == "pi" or variable(name):
            raise ExpressionError(
                f"a constant cannot be called {name!r}, which already has a meaning"
            )
    return {name: real(f"constant {name}", value) for name, value in given.items()}


class _Parser:
    """Recursive descent over the tokens; `depth` bounds the recursion of parser and tree alike."""

    def __init__(self, text: str, constants: Mapping[str, float]) -> None:
        self.text, self.constants = text, constants
        self.tokens, self.i, self.depth = _tokens(text), 0, 0
        self.used: set[str] = set()

    def whole(self) -> Node:
        node = self.sum()
        kind, lexeme, at = self.peek()
        if kind != "end":
            raise self.error(_misplaced(lexeme), at, at + len(lexeme))
        return node

    def error(self, message: str, start: int, end: int) -> ExpressionError:
        return ExpressionError(message, self.text, (start, end))

    def peek(self) -> Token:
        return self.tokens[self.i]

    def next(self) -> Token:
        self.i += 1
        return self.tokens[self.i - 1]

    def accept(self, *ops: str) -> Token | None:
        return self.next() if self.peek()[0] == "op" and self.peek()[1] in ops else None

    def deeper(self, part: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEPTH:
            at = self.peek()[2]
            raise self.error(f"the expression is nested more than {DEPTH} deep here", at, at + 1)
        node = part()
        self.depth -= 1
        return node

    def sum(self) -> Node:
        parts = [self.term()]
        while op := self.accept("+", "-"):
            part = self.term()
            parts.append(part if op[1] == "+" else self.fold(Node("negative", part.at, (part,))))
        return self.join("sum", parts)

    def term(self) -> Node:
        parts = [self.unary()]
        while op := self.accept("*", "/"):
            part = self.unary()
            parts.append(part if op[1] == "*" else self.fold(Node("inverse", part.at, (part,))))
        return self.join("product", parts)

    def join(self, op: str, parts: list[Node]) -> Node:
        if len(parts) == 1:
            return parts[0]
        return self.fold(Node(op, (parts[0].at[0], parts[-1].at[1]), tuple(parts)))

    def unary(self) -> Node:
        op = self.accept("+", "-")
        if not op:
            return self.power()
        node = self.deeper(self.unary)
        if op[1] == "+":
            return node
        return self.fold(Node("negative", (op[2], node.at[1]), (node,)))

    def power(self) -> Node:
        base = self.atom()
        if not self.accept("**"):
            return base
        exponent = self.deeper(self.unary)
        at = (base.at[0], exponent.at[1])
        if exponent.op != "number":
            return self._exponential(base, exponent, at)
        if abs(exponent.value) > EXPONENT:
            raise self.error(
                f"the exponent must lie between -{EXPONENT} and {EXPONENT}", *exponent.at
            )
        return self.fold(Node("power", at, (base,), exponent.value))

    def _exponential(self, base: Node, exponent: Node, at: tuple[int, int]) -> Node:
        if base.op != "number" or base.value <= 0:
            raise self.error(
                "the exponent must be a constant, or the base a positive one; exp(b*log(a))",
                *exponent.at,
            )
        log = Node("number", base.at, value=math.log(base.value))
        return Node("call", at, (Node("product", at, (log, exponent)),), "exp")

    def atom(self) -> Node:
        kind, lexeme, start = self.next()
        end = start + len(lexeme)
        if kind == "number":
            return self._number(lexeme, start, end)
        if kind == "name":
            return self._name(lexeme, start, end)
        if lexeme == "(":
            node = self.deeper(self.sum)
            return Node(node.op, (start, self.close(start)), node.args, node.value)
        what = "the expression ends" if kind == "end" else f"there is {lexeme!r}"
        raise self.error(f"{what} where a number, a name or '(' is needed", start, end)

    def close(self, opened: int) -> int:
        kind, lexeme, at = self.peek()
        if not self.accept(")"):
            if kind == "end":
                raise self.error("this '(' is never closed", opened, opened + 1)
            raise self.error(_misplaced(lexeme), at, at + len(lexeme))
        return at + 1

    def _number(self, lexeme: str, start: int, end: int) -> Node:
        if len(lexeme) > DIGITS:
            raise self.error(f"numbers have at most {DIGITS} characters", start, end)
        return self.bounded(float(lexeme), (start, end))

    def _name(self, name: str, start: int, end: int) -> Node:
        known = _ALIASES.get(name, name)
        if known in FUNCTIONS:
            opened = self.accept("(")
            if not opened:
                raise self.error(f"{name} is a function: write {name}(...)", start, end)
            argument = self.deeper(self.sum)
            return self.fold(Node("call", (start, self.close(opened[2])), (argument,), known))
        if name in self.constants:
            self.used.add(name)
            return self.bounded(self.constants[name], (start, end))
        if (which := variable(name)) is not None:
            return Node("variable", (start, end), value=which)
        raise self.error(_unknown(name, self.constants), start, end)

    def bounded(self, value: float, at: tuple[int, int]) -> Node:
        if not abs(value) <= LARGEST:
            raise self.error(
                f"this is {value:g}; numbers must be finite and at most {LARGEST:g} in size", *at
            )
        return Node("number", at, value=value)

    def fold(self, node: Node) -> Node:
        """A node of constants becomes its number."""
        if any(arg.op != "number" for arg in node.args):
            return node
        values = [arg.value for arg in node.args]
        try:
            value = constant(node, values)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            raise self.error(
                f"this constant has no finite real value ({error})", *node.at
            ) from None
        return self.bounded(value, node.at)


def constant(node: Node, values: list[float]) -> float:
    """The operation of a node on floats."""
    if node.op == "sum":
        return sum(values)
    if node.op == "product":
        return math.prod(values)
    if node.op == "negative":
        return -values[0]
    if node.op == "inverse":
        return 1.0 / values[0]
    if node.op == "power":
        return math.pow(values[0], node.value)
    return FUNCTIONS[node.value](values[0])


def _misplaced(lexeme: str) -> str:
    if lexeme == ")":
        return "this ')' closes nothing"
    return f"an operator (+ - * / **) is missing before {lexeme!r}; products are written 2*x"


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise ExpressionError(_stray(text[at]), text, (at, at + 1))
        if found.lastgroup != "space":
            tokens.append((str(found.lastgroup), found[0], at))
        at = found.end()
    return [*tokens, ("end", "", len(text))]


def _stray(c: str) -> str:
    if c in _HINTS:
        return f"{c!r} is not allowed: {_HINTS[c]}"
    if c.isascii() and c.isprintable():
        return f"{c!r} is not allowed; a loss is made of numbers, names, + - * / ** and ( )"
    name = unicodedata.name(c, "a control character or unassigned")
    return f"character U+{ord(c):04X} ({name}) is not allowed; only ASCII text is read"


def _unknown(name: str, constants: Mapping[str, float]) -> str:
    shown = name if len(name) <= 30 else name[:30] + "..."
    if name in _KINKED:
        smooth = "use a smooth form such as sqrt(u**2 + 0.01)"
        return f"{shown} is not smooth, so it has no gradient everywhere; {smooth}"
    pool = [*FUNCTIONS, *_ALIASES, *constants, "x", "y", "x1", "x2", "y1", "y2"]
    near = difflib.get_close_matches(name[:30], pool, 1, 0.5)
    guess = f"did you mean {near[0]}? Names" if near else "names"
    return (
        f"{shown!r} is not known; {guess} are x, y or x1, x2, ..., y1, y2, ..., pi, constants "
        f"given as keywords ({', '.join(sorted(set(constants) - {'pi'})) or 'none here'}) and the "
        f"functions {', '.join(FUNCTIONS)}"
    )
