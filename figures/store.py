"""Data of the figures: computed in parts that are kept, so that a stopped figure goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from zlib import crc32

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


Parts = Mapping[str, Callable[[], Mapping[str, Any]]]


def folder_of(path: Path, settings: Mapping[str, Any]) -> Path:
    """Where the parts of a figure with these settings are kept."""
    return path.parent / "parts" / f"{path.stem}-{crc32(key(settings).encode()):08x}"


def computed(
    folder: Path, settings: Mapping[str, Any], parts: Parts, say: Callable[[str], None]
) -> dict[str, dict[str, np.ndarray]]:
    """What each part gives, taken from `folder` where it was computed before; says what it does."""
    made_with, found = key(settings), {}
    for k, (name, part) in enumerate(parts.items(), 1):
        path = folder / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.npz"
        got = held(path, made_with)
        say(f"{k} of {len(parts)}: {name}" + (" (kept from before)" if got else ""))
        if got is None:
            clock = perf_counter()
            data = part()
            keep(path, made_with, data, perf_counter() - clock)
            got = {name: np.asarray(value) for name, value in data.items()}, 0.0
        found[name] = got[0]
    return found


def merged(found: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of all parts, whose names differ."""
    return {name: value for part in found.values() for name, value in part.items()}


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


def save_png(figure: Any, path: Path, caption: str) -> Path:
    """The picture beside its data, and its caption in a text file of the same name."""
    png = path.with_suffix(".png")
    figure.savefig(png, dpi=160)
    path.with_suffix(".txt").write_text(" ".join(caption.split()) + "\n", encoding="utf-8")
    return png
