"""Data of the figures: computed in parts that are kept, so that a stopped figure goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np

from meanfield.studies.stored import held, keep, key


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


def save_png(figure: Any, path: Path, caption: str) -> Path:
    """The picture beside its data, and its caption in a text file of the same name."""
    png = path.with_suffix(".png")
    figure.savefig(png, dpi=160)
    path.with_suffix(".txt").write_text(" ".join(caption.split()) + "\n", encoding="utf-8")
    return png
