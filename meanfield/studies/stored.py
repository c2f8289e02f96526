"""Data of parts and figures: plain arrays in one file each, which knows what it was made with and
how long it took.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from meanfield import __version__
from meanfield.storage.atomic import replace

Data = dict[str, np.ndarray]
ABOUT = ("key", "seconds", "package")


def key(settings: Any) -> str:
    """The name of the settings that data were made with; the package's version belongs to it."""
    return json.dumps({"settings": settings, "version": __version__}, sort_keys=True, default=str)


@cache
def package() -> str:
    """A stamp of the package's source."""
    root = Path(__file__).parent.parent
    return f"{crc32(b''.join(path.read_bytes() for path in sorted(root.rglob('*.py')))):08x}"


def package_of(path: Path) -> str:
    """The stamp of the package that made a file."""
    with np.load(path, allow_pickle=False) as file:
        return str(file["package"]) if "package" in file.files else ""


def keep(path: Path, key: str, data: Mapping[str, Any], seconds: float = 0.0) -> None:
    """Store arrays; the file appears whole or not at all."""
    arrays = {name: np.asarray(value) for name, value in data.items()}
    if odd := [name for name, value in arrays.items() if value.dtype == object]:
        raise TypeError(f"{path.name}: {', '.join(odd)} would need pickle; store plain arrays")
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"key": np.array(key), "seconds": np.array(seconds), "package": np.array(package())}

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez_compressed(file, **about, **arrays)  # type: ignore[arg-type]

    replace(path, fill)


def held(path: Path, key: str) -> tuple[Data, float] | None:
    """The arrays in `path` and the seconds they took, or None unless they were made with the
    settings `key`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            return {name: file[name] for name in file.files if name not in ABOUT}, float(
                file["seconds"]
            )
    except (
        Exception
    ):  # whatever zip, zlib and numpy's own parser say of a damaged file: it is made anew
        return None
