"""One result, one HDF5 file: it appears whole, and is read with suspicion.

A file is written under another name and renamed (`storage.atomic`), and ends with digests of its
bytes that are compared before it is read (`storage.seal`).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import truth
from meanfield.describe import Described, describe, rebuild
from meanfield.games.base import Game, a_game
from meanfield.start import Start
from meanfield.storage import tree
from meanfield.storage.atomic import replace
from meanfield.storage.named import fill_in
from meanfield.storage.seal import Written, check_heaps, check_seal, seal

FORMAT, VERSION = "meanfield", 1
SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Header:
    """What a file says of itself: kind of result, whether finished, versions, and the job that
    makes it.
    """

    kind: str
    finished: bool
    written_by: str
    job: dict[str, Any] | None


def save(result: Any, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a trajectory, comparison, Gibbs point, equilibrium or measure to one HDF5 file.

    The file appears whole or not at all.

    Parameters
    ----------
    result
    path : path
        Ends in .h5.
    overwrite : bool
        Whether a file of that name is replaced.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        When the file exists already, unless `overwrite`, or its name does not end in .h5.
    TypeError
        For what cannot be stored.
    """
    target = checked_path(path)
    if not truth("overwrite", overwrite) and target.exists():
        raise ValueError(
            f"{target} exists already; choose another name, or save with overwrite=True"
        )
    write_file(target, describe(result))
    return target


def as_path(path: str | os.PathLike[str]) -> Path:
    """TypeError for what names no file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be the name of a file, got {path!r}")
    return Path(path)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """A file name to write to; TypeError or ValueError when it cannot be one."""
    target = as_path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{target} must end in .h5: results are HDF5 files")
    if not target.parent.is_dir():
        raise ValueError(
            f"the folder {target.parent} of {target.name} does not exist; make it first"
        )
    if target.is_dir():
        raise ValueError(f"{target} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        raise ValueError(
            f"{target} is a device or a pipe, which must not be replaced; give the name of a file"
        )
    return target


def write_file(target: Path, plain: Any, finished: bool = True, job: Any = None) -> None:
    """A described result into a file, durably: on return a crash of the machine does not lose
    it.
    """
    if not isinstance(plain, Described):
        raise TypeError(
            f"only results are saved as files, got {type(plain).__name__}; numpy.savez keeps arrays"
        )

    _check_room(target, plain)

    def fill(partial: Path) -> None:
        with partial.open("w+b") as file:
            into = Written(file)
            _fill_hdf5(into, plain, finished, job)
            if into.error is not None:
                raise into.error
            seal(file)
            file.flush()
            os.fsync(file.fileno())

    replace(target, fill)


def _fill_hdf5(into: Written, plain: Described, finished: bool, job: Any) -> None:
    import h5py

    from meanfield import __version__

    with h5py.File("result", "w", driver="fileobj", fileobj=into) as file:
        file.attrs["format"], file.attrs["format_version"] = FORMAT, VERSION
        file.attrs["finished"], file.attrs["written_by"] = finished, f"meanfield {__version__}"
        tree.write(file.create_group("result"), plain)
        _axes(file["result"])
        if job is not None:
            tree.write(file.create_group("job"), job)


def _check_room(target: Path, plain: Any) -> None:
    """OSError, before the file is built in memory, where the disk is too full for it."""
    needed, free = size_of(plain) + 100_000, shutil.disk_usage(target.resolve().parent).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{target} needs {needed / 1e6:.3g} MB of disk, {free / 1e6:.3g} MB are free",
        )


def size_of(plain: Any) -> int:
    """Bytes of the arrays in a described result, and some for each other item."""
    if isinstance(plain, np.ndarray):
        return int(plain.nbytes)
    items = plain.content if isinstance(plain, Described) else plain
    items = list(items.values()) if isinstance(items, dict) else items
    return 64 + (sum(map(size_of, items)) if isinstance(items, (list, tuple)) else 0)


def _axes(group: Any) -> None:
    """HDF5's dimension scales: the saved times beside what was recorded at them."""
    if "times" not in group:
        return
    times = group["times"]
    times.make_scale("time")
    places = [group.get(name) for name in ("diagnostics", "x", "y")]
    datasets = [
        d for place in places if place is not None for d in place.values() if hasattr(d, "dims")
    ]
    for dataset in datasets:
        if dataset.ndim and dataset.shape[0] == len(times):
            dataset.dims[0].attach_scale(times)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The HDF5 file of a result, open for reading; ValueError says why a file is none."""
    import h5py

    file = as_path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    check_seal(file)
    check_heaps(file)
    try:
        with h5py.File(file, "r") as held:
            _check_format(held, file)
            yield held
    except Exception as error:  # whatever HDF5 and h5py make of what stands there
        raise _damaged(file, error) from None


def _damaged(file: str | os.PathLike[str], error: Exception) -> Exception:
    said = " ".join(str(error).split()) or type(error).__name__
    return error if said.startswith(f"{file} ") else ValueError(f"{file} is damaged: {said}")


def _check_format(held: Any, file: Path) -> None:
    if tree.attribute(held, "format") != FORMAT:
        raise ValueError(f"{file} is an HDF5 file, but not one of meanfield's")
    version = int(tree.attribute(held, "format_version", -1))
    if version != VERSION:
        raise ValueError(
            f"{file} has format version {version}, this meanfield reads version {VERSION}; "
            "upgrade it"
        )


def read_header(path: str | os.PathLike[str]) -> Header:
    """What a file holds, without reading its arrays."""
    with opened(path) as held:
        kind, finished, by = (
            tree.attribute(*place)
            for place in ((held["result"], "@kind"), (held, "finished"), (held, "written_by"))
        )
        job = tree.read(held["job"]) if "job" in held else None
        return Header(str(kind), bool(finished), str(by), job)


def load_plain(path: str | os.PathLike[str]) -> Any:
    """The plain data of a file's result."""
    with opened(path) as held:
        return tree.read(held["result"])


def load(path: str | os.PathLike[str], game: Game | None = None, start: Start | None = None) -> Any:
    """What was saved, equal to the original.

    Nothing in the file is evaluated or unpickled. An unfinished run loads as far as it got;
    `meanfield.resume` finishes it.

    Parameters
    ----------
    path : path
    game, start : Game, Start, optional
        What was a Python function is in the file by name only: give it again; without it, what
        needs it says so.

    Returns
    -------
    Trajectory, Comparison, GibbsPoint, Equilibrium or Measure

    Raises
    ------
    FileNotFoundError
        Where there is no file.
    ValueError
        For one that is cut short, of another kind, or of a version that this reader does not know;
        for a game whose values are not the recorded ones.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import meanfield as mf
    >>> point = mf.gibbs(mf.games.oscillator(), beta=2.0, cells=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = mf.load(point.save(Path(folder) / "point.h5"))
    >>> bool((again.x.masses == point.x.masses).all()), again.beta
    (True, (2.0, 2.0))
    """
    if game is not None:
        a_game(game)
    if start is not None and not isinstance(start, Start):
        raise TypeError(f"start must be a meanfield.Start(x=..., y=...), got {start!r}")
    result = load_object(path)
    fill_in(result, game, start, str(path))
    return result


def load_object(path: str | os.PathLike[str]) -> Any:
    """What a file holds, as objects; ValueError where its parts do not make one."""
    plain = load_plain(path)
    try:
        return rebuild(plain)
    except Exception as error:  # of whichever constructor was given what does not fit
        raise _damaged(path, error) from None
