"""Data of the figures: computed in parts that are kept, so that a stopped figure goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
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
    folder: Path, settings: Mapping[str, Any], parts: Parts, say: Callable[[str], None],
    jobs: int = 1,
) -> dict[str, dict[str, np.ndarray]]:  # fmt: skip
    """What each part gives, taken from `folder` where it was computed before; says what it does.

    Several parts are computed at once by `jobs` processes.
    """
    made_with, found, n = key(settings), {}, len(parts)
    paths = {name: folder / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.npz" for name in parts}
    if jobs > 1:
        todo = {name: p for name, p in parts.items() if held(paths[name], made_with) is None}
        for k, (name, data, seconds) in enumerate(_at_once(todo, jobs), n - len(todo) + 1):
            keep(paths[name], made_with, data, seconds)
            say(f"{k} of {n} are done: {name}")
    for k, (name, part) in enumerate(parts.items(), 1):
        got = held(paths[name], made_with)
        if jobs == 1:
            say(f"{k} of {n}: {name}" + (" (kept from before)" if got else ""))
        if got is None:
            got = _timed(part)
            keep(paths[name], made_with, *got)
        found[name] = got[0]
    return found


def _timed(part: Callable[[], Mapping[str, Any]]) -> tuple[dict[str, np.ndarray], float]:
    """A part's arrays and the seconds they took."""
    clock = perf_counter()
    data = {name: np.asarray(value) for name, value in part().items()}
    return data, perf_counter() - clock


def _at_once(parts: Parts, jobs: int) -> Iterator[tuple[str, dict[str, np.ndarray], float]]:
    """Names, arrays and seconds of parts as they are finished by `jobs` processes."""
    if not parts:
        return
    with ProcessPoolExecutor(min(jobs, len(parts)), get_context("spawn")) as pool:
        names = {pool.submit(_timed, part): name for name, part in parts.items()}
        try:
            for future in as_completed(names):
                yield names[future], *future.result()
        except BaseException:  # else the others would finish their parts, for minutes
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.terminate()
            raise


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
