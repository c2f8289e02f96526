"""The curves of a comparison as plain arrays, and back as drawings take them."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.studies.statistics import Interval

CURVES = (
    "times",
    "w2_squared",
    "w2_squared_low",
    "w2_squared_high",
    "ni",
    "ni_low",
    "ni_high",
    "field_ni",
)
BY_PARTICLES = ("sliced", "bounds")
AVERAGES = ("ni_average", "ni_average_low", "ni_average_high", "field_ni_average")


def pack(comparison: Any, prefix: str = "") -> dict[str, Array]:
    """The curves of a comparison as arrays, to be stored under names with a prefix."""
    names: tuple[str, ...] = CURVES
    if getattr(comparison, "ni_average", None) is not None:
        names = (*names, *AVERAGES)
    if getattr(comparison, "bounds", None) is not None:
        names = (*names, *BY_PARTICLES, "dim")
    arrays = {name: getattr(comparison, name) for name in names}
    if "bounds" in arrays:
        arrays["reference"] = comparison.provenance["reference"]
    arrays["particles"] = np.array(comparison.particles)
    arrays["sup"] = np.array([_row(s) for s in comparison.sup])
    if comparison.exponent is not None:
        arrays["exponent"] = np.array(_row(comparison.exponent))
    arrays["step_bias"] = np.array(_row(comparison.step_bias))
    before = f"{prefix}_" if prefix else ""
    return {f"{before}{name}": np.asarray(value) for name, value in arrays.items()}


def unpack(data: Mapping[str, Array], prefix: str = "") -> SimpleNamespace:
    """What `pack` stored, as the drawing functions of meanfield.plotting take it."""
    before = f"{prefix}_" if prefix else ""
    names = (*CURVES, *AVERAGES, *BY_PARTICLES)
    c = SimpleNamespace(**{n: data[f"{before}{n}"] for n in names if f"{before}{n}" in data})
    if hasattr(c, "bounds"):
        c.dim = int(data[f"{before}dim"])
        c.provenance = {"reference": int(data[f"{before}reference"])}
    c.particles = tuple(int(n) for n in data[f"{before}particles"])
    c.sup = [Interval(*map(float, row)) for row in data[f"{before}sup"]]
    exponent = data.get(f"{before}exponent")
    c.exponent = None if exponent is None else Interval(*map(float, exponent))
    c.step_bias = Interval(*map(float, data[f"{before}step_bias"]))
    return c


def _row(v: Any) -> list[float]:
    return [v.value, v.low, v.high]
