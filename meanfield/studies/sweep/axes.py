"""What a sweep goes over: axes of values, and the grid of their points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from meanfield.packing import digest

MOST = 100_000  # points of a sweep


@dataclass(frozen=True)
class Axis:
    """One direction of the grid: parameters that change together, and their values in each place.

    names: usually one; values (places, names).
    """

    names: tuple[str, ...]
    values: list[tuple[Any, ...]]


def axis(key: str, values: Iterable[Any]) -> Axis:
    """The axis of a key; "a, b" takes rows of values. ValueError for no or repeated ones."""
    names = tuple(name.strip() for name in key.split(","))
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise ValueError(f"must be a list of values, got {values!r}")
    rows = [_row(names, plain(value)) for value in values]
    if not rows:
        raise ValueError("must hold at least one value")
    seen: set[str] = set()
    for row in rows:
        if (mark := digest(row)) in seen:
            raise ValueError(f"holds {shown(row[0] if len(row) == 1 else row)} twice")
        seen.add(mark)
    return Axis(names, rows)


def _row(names: tuple[str, ...], value: Any) -> tuple[Any, ...]:
    if len(names) == 1:
        return (value,)
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        raise ValueError(f"must hold rows of {len(names)} values, got {value!r}")
    return tuple(value)


def plain(value: Any) -> Any:
    """numpy's numbers and arrays as Python's."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value


def points(axes: list[Axis]) -> list[dict[str, Any]]:
    """The grid's points by name, the last axis fastest; ValueError for too many."""
    names = [name for a in axes for name in a.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{twice[0]} is swept twice")
    check_number([len(a.values) for a in axes])
    rows = product(*(a.values for a in axes))
    return [dict(zip(names, (v for part in row for v in part), strict=True)) for row in rows]


def check_number(lengths: list[int]) -> None:
    """ValueError where a grid of these lengths has more than `MOST` points."""
    if prod(lengths) > MOST:
        raise ValueError(
            f"the sweep has {prod(lengths):.3g} points, more than {MOST:,}; take fewer values"
        )


def shown(value: Any) -> str:
    """A value as a label: numbers in six digits, the rest as it is written."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {shown(item)}" for key, item in value.items()) + "}"
    return str(value)
