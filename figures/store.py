"""Data of the figures: computed once, kept with the settings they were made with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from meanfield.studies.stored import held, keep, key

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


def stored(
    path: Path, settings: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]
) -> Path:
    """`path`, computed unless it holds the data of these very settings.

    Appears whole or not at all.
    """
    made_with = key(settings)
    if held(path, made_with) is None:
        keep(path, made_with, compute())
    return path


def settings_of(data: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The settings that loaded data were made with."""
    return dict(json.loads(str(data["key"]))["settings"])


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def pack(comparison: Any, prefix: str) -> dict[str, np.ndarray]:
    """The curves of a comparison as arrays, to be stored under names with a prefix."""
    exponent = comparison.exponent
    arrays = {name: getattr(comparison, name) for name in CURVES}
    arrays["particles"] = np.array(comparison.particles)
    arrays["sup"] = np.array([[s.value, s.low, s.high] for s in comparison.sup])
    arrays["exponent"] = np.array([exponent.value, exponent.low, exponent.high])
    bias = comparison.step_bias
    arrays["step_bias"] = np.array([bias.value, bias.low, bias.high])
    return {f"{prefix}_{name}": np.asarray(value) for name, value in arrays.items()}


def unpack(data: Mapping[str, np.ndarray], prefix: str) -> SimpleNamespace:
    """What `pack` stored, as the drawing functions of meanfield.plotting take it."""
    c = SimpleNamespace(**{name: data[f"{prefix}_{name}"] for name in CURVES})
    c.particles = tuple(int(n) for n in data[f"{prefix}_particles"])
    c.sup = [interval(row) for row in data[f"{prefix}_sup"]]
    c.exponent, c.step_bias = (
        interval(data[f"{prefix}_exponent"]),
        interval(data[f"{prefix}_step_bias"]),
    )
    return c


def interval(row: np.ndarray) -> SimpleNamespace:
    value, low, high = (float(v) for v in row)
    return SimpleNamespace(value=value, low=low, high=high)


def save_png(figure: Any, path: Path) -> Path:
    """The picture beside its data."""
    png = path.with_suffix(".png")
    figure.savefig(png, dpi=160)
    return png
