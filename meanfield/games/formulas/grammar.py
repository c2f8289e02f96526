"""The grammar of losses given as text: checked operations, or an error that points at the place.

    sum   = term {("+" | "-") term}       power = atom ["**" unary]
    term  = unary {("*" | "/") unary}     atom  = number | name | [function] "(" sum ")"
    unary = ("+" | "-") unary | power

Text is never evaluated. What leaves this module is a graph of whitelisted operations with every
constant folded, finite and of bounded size.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from meanfield.checks import real
from meanfield.games.formulas.calculus import Graph

LENGTH, DEPTH, DIGITS, EXPONENT, LARGEST = 10_000, 40, 40, 64, 1e100

# name -> the same function in `math`, which folds constants and stands in generated code.
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "log": math.log,
    "sqrt": math.sqrt, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "asin": math.asin,
    "acos": math.acos, "atan": math.atan, "abs": math.fabs,
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
    """A loss given as text was refused; the message shows the text with the place marked.

    Parameters
    ----------
    message : str
    text : str
    at : (int, int), optional
        Where the place begins and ends.
    """

    def __init__(self, message: str, text: str = "", at: tuple[int, int] | None = None) -> None:
        super().__init__(message if at is None else f"{message}\n{_marked(text, *at)}")


P = ParamSpec("P")
Made = TypeVar("Made")


def at_the_call(build: Callable[P, Made]) -> Callable[P, Made]:
    """The function, whose errors in a formula show the call alone, not the way through the parser.

    A notebook prints some ten lines of code for every call on that way.
    """

    @wraps(build)
    def called(*args: P.args, **kwargs: P.kwargs) -> Made:
        try:
            return build(*args, **kwargs)
        except ExpressionError as error:
            raise error.with_traceback(None) from None

    return called


def _marked(text: str, start: int, end: int) -> str:
    """A window of the text with carets under [start, end)."""
    end = max(start + 1, min(end, start + 60))
    low, high = max(0, start - 60), min(len(text), end + 60)
    shown = "".join(c if " " <= c <= "~" else " " if c.isspace() else "?" for c in text[low:high])
    lead, tail = ("..." if low else ""), ("..." if high < len(text) else "")
    return f"    {lead}{shown}{tail}\n    {' ' * (len(lead) + start - low)}{'^' * (end - start)}"


Place = tuple[int, int]
Variable = tuple[int, int]  # player, index from 0
Token = tuple[str, str, int]


@dataclass(frozen=True)
class Parsed:
    """A formula as the operation `root` of a graph whose variables are (player, index).

    Operation i stands at text[slice(*places[i])]; `names` are the variables as they occur.
    """

    text: str
    graph: Graph
    root: int
    places: list[Place]
    names: list[tuple[Variable, Place]]


def variable(name: str) -> Variable | None:
    """x, y, x3, ... -> (player, index from 0); x is x1, y is y1. None for another name."""
    match = _VARIABLE.match(name)
    return (int(match[1] == "y"), int(match[2] or 1) - 1) if match else None


def parse(
    text: str, constants: Mapping[str, float] | None = None, options: Sequence[str] = ()
) -> Parsed:
    """The checked operations of a loss; `constants` are named numbers besides pi.

    Raises TypeError when `text` is no string and ExpressionError, a ValueError, for what is outside
    the grammar and for constants that the text does not use; `options` are the caller's other
    names, one of which such a constant may have meant.
    """
    if not isinstance(text, str):
        raise TypeError(f"an expression must be a string, got {type(text).__name__}")
    if len(text) > LENGTH:
        raise ExpressionError(
            f"the expression has {len(text)} characters, at most {LENGTH} are read; use function()"
        )
    numbers = _constants(constants or {})
    parser = _Parser(text, {"pi": math.pi, **numbers})
    parsed = parser.whole()
    for name in numbers:
        if name not in parser.used:
            near = difflib.get_close_matches(name, options, 1)
            hint = f"did you mean {near[0]}?" if near else "leave it out"
            raise ExpressionError(f"{name!r} does not occur in the formula; {hint}")
    return parsed


def _constants(named: Mapping[str, Any]) -> dict[str, float]:
    for name in named:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise ExpressionError(
                f"a constant cannot be called {name!r}; use letters, digits and _"
            )
        if name in FUNCTIONS or name in _ALIASES or name == "pi" or variable(name):
            raise ExpressionError(
                f"a constant cannot be called {name!r}, which already has a meaning"
            )
    return {name: real(f"constant {name}", value) for name, value in named.items()}


# An operation and where it stands.
Piece = tuple[int, Place]


class _Parser:
    """Recursive descent over the tokens; `depth` bounds the recursion."""

    def __init__(self, text: str, constants: Mapping[str, float]) -> None:
        self.text, self.constants = text, constants
        self.tokens, self.i, self.depth = _tokens(text), 0, 0
        self.used: set[str] = set()
        self.graph, self.places = Graph(), list[Place]()
        self.names: list[tuple[Variable, Place]] = []

    def whole(self) -> Parsed:
        root, _ = self.sum()
        kind, lexeme, at = self.peek()
        if kind != "end":
            raise self.error(_misplaced(lexeme), (at, at + len(lexeme)))
        return Parsed(self.text, self.graph, root, self.places, self.names)

    def error(self, message: str, at: Place) -> ExpressionError:
        return ExpressionError(message, self.text, at)

    def peek(self) -> Token:
        return self.tokens[self.i]

    def next(self) -> Token:
        self.i += 1
        return self.tokens[self.i - 1]

    def accept(self, *ops: str) -> Token | None:
        return self.next() if self.peek()[0] == "op" and self.peek()[1] in ops else None

    def deeper(self, part: Callable[[], Piece]) -> Piece:
        self.depth += 1
        if self.depth > DEPTH:
            at = self.peek()[2]
            raise self.error(f"the expression is nested more than {DEPTH} deep here", (at, at + 1))
        piece = part()
        self.depth -= 1
        return piece

    def number(self, i: int) -> float | None:
        return self.graph.number(i)

    def placed(self, i: int, at: Place) -> Piece:
        """An operation just added to the graph; a constant must be finite and of bounded size."""
        self.places += [at] * (len(self.graph.entries) - len(self.places))
        value = self.number(i)
        if value is not None and not abs(value) <= LARGEST:
            what = f"this is {value:g}; numbers must be finite and at most {LARGEST:g} in size"
            raise self.error(what, at)
        return i, at

    def folded(self, at: Place, f: Callable[..., float], *args: float) -> Piece:
        """f of constants."""
        try:
            value = f(*args)
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            what = f"this constant has no finite real value ({error})"
            raise self.error(what, at) from None
        return self.placed(self.graph.constant(value), at)

    def sum(self) -> Piece:
        first, at = self.term()
        parts = [first]
        while op := self.accept("+", "-"):
            part, (_, end) = self.term()
            parts.append(part if op[1] == "+" else self.graph.neg(part))
            at = at[0], end
        return self.placed(self.graph.sum(parts) if len(parts) > 1 else first, at)

    def term(self) -> Piece:
        total, at = self.unary()
        while op := self.accept("*", "/"):
            part, there = self.unary()
            at = at[0], there[1]
            if op[1] == "/" and (value := self.number(part)) is not None:
                part, _ = self.folded(there, lambda v=value: 1.0 / v)
            elif op[1] == "/":
                total, _ = self.placed(self.graph.div(total, part), there)
                continue
            total = self.graph.mul(total, part)
        return self.placed(total, at)

    def unary(self) -> Piece:
        op = self.accept("+", "-")
        if not op:
            return self.power()
        part, at = self.deeper(self.unary)
        if op[1] == "+":
            return part, at
        return self.placed(self.graph.neg(part), (op[2], at[1]))

    def power(self) -> Piece:
        base, at = self.atom()
        if not self.accept("**"):
            return base, at
        exponent, there = self.deeper(self.unary)
        at, a, n = (at[0], there[1]), self.number(base), self.number(exponent)
        if n is None:
            if a is None or a <= 0:
                what = "the exponent must be a constant, or the base a positive one; exp(b*log(a))"
                raise self.error(what, there)
            product = self.graph.mul(self.graph.constant(math.log(a)), exponent)
            return self.placed(self.graph.call("exp", product), at)
        if abs(n) > EXPONENT:
            what = f"the exponent must lie between -{EXPONENT} and {EXPONENT}"
            raise self.error(what, there)
        if a is not None:
            return self.folded(at, math.pow, a, n)
        return self.placed(self.graph.power(base, n), at)

    def atom(self) -> Piece:
        kind, lexeme, start = self.next()
        at = start, start + len(lexeme)
        if kind == "number":
            if len(lexeme) > DIGITS:
                raise self.error(f"numbers have at most {DIGITS} characters", at)
            return self.placed(self.graph.constant(float(lexeme)), at)
        if kind == "name":
            return self.name(lexeme, at)
        if lexeme == "(":
            return self.deeper(self.sum)[0], (start, self.close(start))
        what = "the expression ends" if kind == "end" else f"there is {lexeme!r}"
        raise self.error(f"{what} where a number, a name or '(' is needed", at)

    def close(self, opened: int) -> int:
        kind, lexeme, at = self.peek()
        if not self.accept(")"):
            if kind == "end":
                raise self.error("this '(' is never closed", (opened, opened + 1))
            raise self.error(_misplaced(lexeme), (at, at + len(lexeme)))
        return at + 1

    def name(self, name: str, at: Place) -> Piece:
        known = _ALIASES.get(name, name)
        if known in FUNCTIONS:
            opened = self.accept("(")
            if not opened:
                raise self.error(f"{name} is a function: write {name}(...)", at)
            part, _ = self.deeper(self.sum)
            at, value = (at[0], self.close(opened[2])), self.number(part)
            if value is not None:
                return self.folded(at, FUNCTIONS[known], value)
            return self.placed(self.graph.call(known, part), at)
        if name in self.constants:
            self.used.add(name)
            return self.placed(self.graph.constant(self.constants[name]), at)
        if (which := variable(name)) is None:
            raise self.error(_unknown(name, self.constants, self.peek()[1] == "("), at)
        self.names.append((which, at))
        return self.placed(self.graph.variable(which), at)


def _misplaced(lexeme: str) -> str:
    if lexeme == ")":
        return "this ')' closes nothing"
    return f"an operator (+ - * / **) is missing before {lexeme!r}; products are written 2*x"


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ExpressionError(_stray(text[at]), text, (at, at + 1))
        if match.lastgroup != "space":
            tokens.append((str(match.lastgroup), match[0], at))
        at = match.end()
    return [*tokens, ("end", "", len(text))]


def _stray(c: str) -> str:
    if c in _HINTS:
        return f"{c!r} is not allowed: {_HINTS[c]}"
    if c.isascii() and c.isprintable():
        return f"{c!r} is not allowed; a loss is made of numbers, names, + - * / ** and ( )"
    name = unicodedata.name(c, "a control character or unassigned")
    return f"character U+{ord(c):04X} ({name}) is not allowed; only ASCII text is read"


def _unknown(name: str, constants: Mapping[str, float], called: bool) -> str:
    """What is wrong with a name that stands for nothing; called: whether "(" follows it."""
    shown = name if len(name) <= 30 else name[:30] + "..."
    if name in _KINKED:
        return (
            f"{shown} is not smooth, so it has no gradient everywhere; "
            "use a smooth form such as sqrt(u**2 + 0.01)"
        )
    if not called and len(name) <= 30:
        near = difflib.get_close_matches(name, [*FUNCTIONS, *_ALIASES, *constants], 1, 0.6)
        guess = f", or did you mean {near[0]}?" if near and len(name) > 2 else ""
        return (
            f"{name!r} is not known; give {name}=... if it is a constant{guess} "
            "(variables are x, y or x1, x2, ..., y1, y2, ...)"
        )
    near = difflib.get_close_matches(name[:30], [*FUNCTIONS, *_ALIASES], 1, 0.5)
    guess = f"did you mean {near[0]}? Names" if near else "names"
    own = ", ".join(sorted(set(constants) - {"pi"})) or "none here"
    return (
        f"{shown!r} is not known; {guess} are x, y or x1, x2, ..., y1, y2, ..., pi, constants "
        f"given as keywords ({own}) and the functions {', '.join(FUNCTIONS)}"
    )
