"""One result, one HDF5 file: it appears whole, and is read with suspicion.

A file is written under a name of its own, flushed to the disk and renamed: a process killed at any
instant leaves the file that was there before or the new one, never a part of one. HDF5 writes
through Python (`Written`), since it does not always tell that a write has failed. Behind HDF5's
last byte, where HDF5 does not look, stand a mark and the SHA-256 digest of all bytes before: a
reader compares it before HDF5 sees the file, so that a changed byte is told and never becomes
another number.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from glob import escape
from pathlib import Path
from socket import gethostname
from threading import get_ident
from typing import Any

import numpy as np

from meanfield.checks import warn
from meanfield.describe import Described, describe, rebuild, same
from meanfield.games.base import Game, a_game
from meanfield.games.missing import MissingFunction, MissingGame
from meanfield.start import Start
from meanfield.storage import tree

FORMAT, VERSION = "meanfield", 1
SUFFIXES = (".h5", ".hdf5")
SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of every HDF5 file
MARK = b"meanfield sha256"  # the digest follows it and ends the file
SEAL = len(MARK) + hashlib.sha256().digest_size


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

    The file appears whole or not at all. Raises ValueError when it exists already (unless
    `overwrite`) or when its name does not end in .h5, TypeError for what cannot be stored.
    """
    target = checked_path(path)
    if target.exists() and not overwrite:
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
            length = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = _digest(file, length)
            file.seek(length)
            file.write(MARK + digest)
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


class Written:
    """The file that HDF5 writes to, through Python: it never fails, and keeps the first error for
    us.

    HDF5 does not always tell that a write has failed, and may crash when it closes a file after
    one.
    """

    def __init__(self, file: Any) -> None:
        self.error: BaseException | None = None
        self._file = file

    def write(self, data: Any) -> int:
        return self._try(self._file.write, data, done=len(data))

    def readinto(self, buffer: Any) -> int:
        return self._try(self._file.readinto, buffer, done=len(buffer))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self._file.seek, offset, whence, done=offset)

    def tell(self) -> int:
        return self._try(self._file.tell, done=0)

    def truncate(self, size: int) -> int:
        return self._try(self._file.truncate, size, done=size)

    def flush(self) -> None:
        """What is in Python's buffer is written at the end, once."""

    def _try(self, call: Callable[..., Any], *given: Any, done: int) -> int:
        """What the call returns, `done` once any has failed: Ctrl-C, too, must not end up in
        HDF5.
        """
        if self.error is None:
            try:
                return int(call(*given))
            except BaseException as error:
                self.error = error
        return done


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


def replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a file beside `target`, flush it to the disk and rename it to `target`."""
    target = target.resolve()  # what a link points to, so that the link stays
    name = f".{short(target.name)}.{_here()}.{os.getpid()}.{get_ident()}.partial"
    partial = target.with_name(name)
    try:
        fill(partial)
        _flush(partial)
        if target.exists():
            _keep_owner_and_mode(target, partial)
        os.replace(partial, target)
        _flush(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _keep_owner_and_mode(old: Path, new: Path) -> None:
    """Give the new file the owner, as far as this process may, and the mode of the one it
    replaces.
    """
    before, now = old.stat(), new.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        with suppress(PermissionError):
            os.chown(new, before.st_uid, before.st_gid)
    os.chmod(new, stat.S_IMODE(before.st_mode))


@cache
def _here() -> str:
    """A name for where process numbers are unique: this machine, since it started, in this
    container.
    """
    parts = [gethostname()]
    for source in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        with suppress(OSError):
            parts.append(os.readlink(source) if source.is_symlink() else source.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def stamp(target: Path) -> tuple[int, ...]:
    """What changes whenever a file is written; () where there is none."""
    try:
        found = target.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def short(name: str) -> str:
    """A file's name, or its digest where what stands around it would make it longer than systems
    allow (255 bytes).
    """
    return name if len(os.fsencode(name)) <= 190 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(target: Path) -> None:
    """Remove what writers of this file that were killed have left beside it, those of this
    machine.
    """
    begin = f".{short(target.name)}.{_here()}."
    for left in target.parent.glob(f"{escape(begin)}*.partial"):
        owner = left.name.removeprefix(begin).split(".")[0]
        if owner.isdigit() and not _alive(int(owner)):
            left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The HDF5 file of a result, open for reading; ValueError says why a file is none."""
    import h5py

    file = as_path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    _check_seal(file)
    try:
        with h5py.File(file, "r") as held:
            _check_format(held, file)
            yield held
    except (OSError, KeyError, RuntimeError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged: {str(error).splitlines()[0]}") from None


def _check_seal(file: Path) -> None:
    """ValueError unless the file ends with the digest of the bytes before it."""
    try:
        with file.open("rb") as stream:
            length = os.fstat(stream.fileno()).st_size - SEAL
            begin = stream.read(len(SIGNATURE))
            stream.seek(max(length, 0))
            end = stream.read()
            stream.seek(0)
            digest = _digest(stream, length)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    if begin != SIGNATURE:
        raise ValueError(
            f"{file} cannot be read as HDF5: it is a file of another kind, or its beginning is "
            "damaged"
        )
    if not end.startswith(MARK):
        raise ValueError(
            f"{file} does not end with the digest that meanfield writes: it was cut short, "
            "changed by another program, "
            "or is not one of meanfield's"
        )
    if end != MARK + digest:
        raise ValueError(
            f"{file} is damaged: its bytes are not those that were written (their digest differs)"
        )


def _digest(stream: Any, length: int) -> bytes:
    """SHA-256 of the first `length` bytes."""
    found = hashlib.sha256()
    while length > 0 and (block := stream.read(min(length, 1 << 20))):
        found.update(block)
        length -= len(block)
    return found.digest()


def _check_format(held: Any, file: Path) -> None:
    if held.attrs.get("format") != FORMAT:
        raise ValueError(f"{file} is an HDF5 file, but not one of meanfield's")
    version = int(held.attrs.get("format_version", -1))
    if version != VERSION:
        raise ValueError(
            f"{file} has format version {version}, this meanfield reads version {VERSION}; "
            "upgrade it"
        )


def read_header(path: str | os.PathLike[str]) -> Header:
    """What a file holds, without reading its arrays."""
    with opened(path) as held:
        kind = str(held["result"].attrs["@kind"])
        job = tree.read(held["job"]) if "job" in held else None
        return Header(kind, bool(held.attrs["finished"]), str(held.attrs["written_by"]), job)


def load_plain(path: str | os.PathLike[str]) -> Any:
    """The plain data of a file's result."""
    with opened(path) as held:
        return tree.read(held["result"])


def load(path: str | os.PathLike[str], game: Game | None = None, start: Start | None = None) -> Any:
    """What was saved: a trajectory, comparison, Gibbs point, equilibrium or measure, equal to the
    original.

    Nothing in the file is evaluated or unpickled. A game or a start that was a Python function is
    in the file by name only: give it again as `game`, `start`; without it, what needs it says so.
    An unfinished run loads as far as it got; `meanfield.resume` finishes it. Raises ValueError for
    a file that is cut short, of another kind, or of a version that this reader does not know.
    """
    if game is not None:
        a_game(game)
    if start is not None and not isinstance(start, Start):
        raise TypeError(f"start must be a meanfield.Start(x=..., y=...), got {start!r}")
    found = rebuild(load_plain(path))
    fill_in(found, game, start, str(path))
    return found


def fill_in(found: Any, game: Game | None, start: Start | None, where: str) -> None:
    """Put the functions that a file could only name in their places, through nested records."""
    held = getattr(found, "game", None)
    if isinstance(held, MissingGame) and game is None:
        warn(
            f"the game {held.name!r} of {where} was a function, of which a file holds the name "
            "only: give it as "
            "load(path, game=...) to compute with it",
            UserWarning,
        )
    if isinstance(held, Game) and game is not None:
        object.__setattr__(found, "game", agreed(held, game))
    provenance = getattr(found, "provenance", None)
    if start is not None and isinstance(provenance, dict) and "start" in provenance:
        provenance["start"] = start
    if hasattr(found, "field") and hasattr(found.field, "game"):
        fill_in(found.field, game, start, where)


def agreed(held: Game, game: Game) -> Game:
    """The given game, if it is the stored one as far as a file can tell."""
    if game.manifolds != held.manifolds:
        raise ValueError(
            f"game lives on {game.X} x {game.Y}, the stored one on {held.X} x {held.Y}"
        )
    if not isinstance(held, MissingGame) and not same(describe(held), describe(game)):
        raise ValueError(
            f"game is {game!r}, but the file holds {held!r}, which it can rebuild; leave game out"
        )
    return game


def by_name(start: Start) -> bool:
    """Whether a file can only name this start."""
    return missing(rebuild(describe(start)))


def missing(start: Any) -> bool:
    """Whether a start holds a function that a file could only name."""
    return isinstance(start, Start) and any(
        isinstance(law, MissingFunction) for law in (start.x, start.y)
    )
