"""What still reads of a damaged result file, and how far it can be trusted.

HDF5 may crash or hang on a damaged file, so that it is read in a process of its own. An array
counts as written when the file's structure and the array's own bytes are unchanged by the digests
of `storage.seal`; where the structure is changed, or the digests are lost, nothing can be vouched
for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.storage.atomic import replace
from meanfield.storage.seal import BLOCK, Seal, read_seal

WRITTEN, CHANGED, UNKNOWN = "as written", "damaged", "not vouched for"
PATIENCE = 600.0  # seconds until the reading process is ended
MOST = 1 << 40  # bytes that a file can claim to have had


@dataclass(frozen=True)
class Salvage:
    """What was found in a file: a summary, and each array's name, shape, type and trust."""

    summary: str
    arrays: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        rows = [
            f"  {row['trust']:16} {row['name']}  {tuple(row['shape'])} {row['type']}"
            for row in self.arrays
        ]
        return "\n".join([self.summary, *rows])


def salvage(path: Path, into: Path | None = None) -> Salvage:
    """List the arrays of a file, damaged or not; write those that read to an .npz file `into`.

    Arrays that cannot be vouched for get "unsure/" before their names, damaged ones are left out.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "meanfield.storage.salvage", str(path.resolve()), folder]
        end = ""
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            lines = child.stdout.splitlines()
            if child.returncode:
                end = "; reading ended early: HDF5 failed on the damaged part"
        except subprocess.TimeoutExpired as late:
            lines = (late.stdout or b"").decode().splitlines()
            end = f"; reading was given up after {PATIENCE:g} s"
        said = [json.loads(line) for line in lines]
        rows = [line for line in said if isinstance(line, dict)]
        head = "; ".join(line for line in said if isinstance(line, str))
        if into is not None:
            _export(into, rows, Path(folder))
    return Salvage(f"{path}: {head}{end}", tuple(rows))


def _export(into: Path, rows: list[dict[str, Any]], folder: Path) -> None:
    arrays: dict[str, Array] = {}
    for k, row in enumerate(rows):
        if row["trust"] != CHANGED:
            name = row["name"] if row["trust"] == WRITTEN else f"unsure/{row['name']}"
            arrays[name] = np.load(folder / f"{k}.npy", allow_pickle=False)

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    replace(into, fill)


# -- the process that reads -----------------------------------------------------------------------


def _read(path: Path, folder: Path) -> None:
    """Print lines of JSON, text on the file and a record for each array; store the arrays."""
    import h5py

    try:
        seal = read_seal(path)
        blocks = f"{len(seal.damaged)} of {-(-seal.length // BLOCK)} blocks of 16 KiB are damaged"
        _say(blocks if seal.damaged else "every byte is as it was written")
    except ValueError as error:
        seal = None
        _say(str(error).removeprefix(f"{path} "))
    with h5py.File(_filled_up(path, folder), "r") as file:
        datasets = list(_datasets(file, ""))
        sound = seal is not None and _structure_is_whole(seal, [d for _, d in datasets])
        if seal is not None and seal.damaged:
            _say("they hold numbers only" if sound else "the file's structure is among them")
        shown = 0
        for name, dataset in datasets:
            trust = UNKNOWN
            try:
                value = np.asarray(dataset[()])
                if value.dtype.kind not in "biufc":
                    continue
                np.save(folder / f"{shown}.npy", value, allow_pickle=False)
                if seal is not None and sound:
                    trust = WRITTEN if seal.intact(*_bytes_of(dataset)) else CHANGED
            except Exception:  # whatever damaged bytes make of it, the others are still read
                continue
            _say({"name": name, "shape": value.shape, "type": str(value.dtype), "trust": trust})
            shown += 1


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def _filled_up(path: Path, folder: Path) -> Path:
    """A copy of a file that was cut short, with zeros for what is missing; HDF5 reads no other."""
    with path.open("rb") as file:
        begin = file.read(48)
    wanted = int.from_bytes(begin[40:48], "little")  # "end of file" of HDF5's superblock 0
    size = path.stat().st_size
    if size >= wanted or begin[8:9] != b"\0" or wanted > MOST:
        return path
    copy = folder / "filled.h5"
    shutil.copyfile(path, copy)
    os.truncate(copy, wanted)
    return copy


def _datasets(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The arrays that stand in the file itself: links and other files are not followed."""
    import h5py

    try:
        keys = list(group)
    except (OSError, RuntimeError, UnicodeDecodeError):
        return
    for key in keys:
        try:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            member = group[key]
        except (KeyError, OSError, RuntimeError, UnicodeDecodeError):
            continue
        inner = f"{name}/{key}".lstrip("/")
        if isinstance(member, h5py.Group) and inner.count("/") < 30:
            yield from _datasets(member, inner)
        elif isinstance(member, h5py.Dataset) and not (member.is_virtual or member.external):
            yield inner, member


def _bytes_of(dataset: Any) -> tuple[int, int]:
    """Where an array's numbers stand in the file; (0, 0) for those within the structure."""
    begin = dataset.id.get_offset()
    return (0, 0) if begin is None else (begin, dataset.id.get_storage_size())


def _structure_is_whole(seal: Seal, datasets: list[Any]) -> bool:
    """Whether all damaged blocks hold numbers of arrays and nothing else."""
    spans = sorted((begin, begin + size) for begin, size in map(_bytes_of, datasets))
    for block in seal.damaged:
        at, end = block * BLOCK, min((block + 1) * BLOCK, seal.length)
        for begin, stop in spans:
            if begin <= at < stop:
                at = stop
        if at < end:
            return False
    return True


if __name__ == "__main__":
    _read(Path(sys.argv[1]), Path(sys.argv[2]))
