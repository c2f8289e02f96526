"""The inner loop of pairs taken apart into three, for processors that do not look far ahead.

An exponential is some twenty operations, each of which waits for the one before. A processor can
hold only so many operations that wait: those of two or three vectors of pairs, too few to keep it
busy. So the operations before the exponential's polynomial, the polynomial, and those after it get
a loop each over a block of points, whose numbers stay in the first cache between the loops. Every
number is computed as in one loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(r"\b[a-z]\d+\b")
_EXPONENTIAL = re.compile(r"(t\d+) = fastmath\.exp_moderate\((.*)\)")

HELD = 4  # numbers a pair that are held from one loop to the next, at most


def stages(
    given: Sequence[str], inner: Sequence[str], ends: Sequence[str], block: int
) -> list[list[str]] | None:
    """The bodies of three loops that do what one with the lines given, inner, ends does, or None.

    There are three where one exponential alone is asked of pairs. They hand on numbers in an array
    `held` of HELD rows of `block` numbers: two of the exponential, and what else is used on both
    sides of it, but for what is given.
    """
    calls = [k for k, line in enumerate(inner) if "math." in line]
    match = _EXPONENTIAL.fullmatch(inner[calls[0]]) if len(calls) == 1 else None
    if match is None:
        return None
    name, argument = match.groups()
    others = [line for line in inner if line != match.string]
    before = _needed(others, _NAME.findall(argument))
    after = [line for line in _needed(others, _used(ends)) if line not in before]
    both = sorted({_made(line) for line in before} & {*_used([*after, *ends])})
    if len(both) > HELD - 2:
        return None
    rows = [f"held[{k * block} + i]" for k in range(HELD)]
    places = dict(zip(both, rows[2:], strict=False))
    first = [
        *before,
        f"{rows[0]}, {rows[1]} = fastmath.exp_begun({argument})",
        *(f"{place} = {one}" for one, place in places.items()),
    ]
    last = [
        f"{name} = {rows[0]}",
        *(f"{one} = {place}" for one, place in places.items()),
        *after,
        *ends,
    ]
    return [
        [*_needed(given, _used(first)), *first],
        [f"{rows[0]} = fastmath.exp_ended({rows[0]}, {rows[1]})"],
        [*_needed(given, _used(last)), *last],
    ]


def _made(line: str) -> str:
    return line.partition(" = ")[0]


def _used(lines: Iterable[str]) -> list[str]:
    """What lines read."""
    return [n for line in lines for n in _NAME.findall(line.partition(" = ")[2])]


def _needed(lines: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of the lines by which the names, directly or not, are computed."""
    wanted, found = set(names), list[str]()
    for line in reversed(lines):
        if _made(line) in wanted:
            found.append(line)
            wanted.update(_used([line]))
    return found[::-1]
