"""Files that appear whole: written under another name, flushed to the disk, and renamed.

A process killed at any instant leaves the file that was there before or the new one, never a part
of one. What a killed writer leaves beside it is removed by the next one (`sweep`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from socket import gethostname
from threading import get_ident

_swept: set[tuple[int, Path]] = set()  # folders that each process has looked through


def replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a file beside `target`, flush it to the disk and rename it to `target`.

    An OSError says which file could not be written.
    """
    target = target.resolve()  # what a link points to, so that the link stays
    if (here := (os.getpid(), target.parent)) not in _swept:
        sweep(target.parent)
        _swept.add(here)
    name = f".{short(target.name)}.{_here()}.{os.getpid()}.{get_ident()}.partial"
    partial = target.with_name(name)
    try:
        fill(partial)
        _flush(partial)
        if target.exists():
            _copy_owner_and_mode(target, partial)
        os.replace(partial, target)
    except OSError as error:
        raise _told(error, target, "cannot be written") from None
    finally:
        partial.unlink(missing_ok=True)
    try:
        _flush(target.parent)
    except OSError as error:
        what = "is written, but a crash may still undo that, as its folder cannot be flushed"
        raise _told(error, target, what) from None


def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder, those of this machine."""
    for left in folder.glob(f".*.{_here()}.*.partial"):
        owner = left.name.rpartition(f".{_here()}.")[2].split(".")[0]
        if owner.isdigit() and not _alive(int(owner)):
            left.unlink(missing_ok=True)


def stamp(target: Path) -> tuple[int, ...]:
    """Inode, time and size, which change whenever a file is written; () where there is none."""
    try:
        now = target.stat()
    except OSError:
        return ()
    return now.st_ino, now.st_mtime_ns, now.st_size


def short(name: str) -> str:
    """A file's name, or its digest where a longer name around it would exceed 255 bytes."""
    return name if len(os.fsencode(name)) <= 190 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _told(error: OSError, target: Path, what: str) -> OSError:
    """The error with the file's name and what became of it, where it does not say so itself."""
    if error.errno is None or str(target) in str(error):
        return error
    return OSError(error.errno, f"{target} {what}: {error.strerror}")


def _copy_owner_and_mode(old: Path, new: Path) -> None:
    """Give the new file the mode of the old one and, as far as this process may, its owner."""
    before, now = old.stat(), new.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        with suppress(PermissionError):
            os.chown(new, before.st_uid, before.st_gid)
    os.chmod(new, stat.S_IMODE(before.st_mode))


@cache
def _here() -> str:
    """A name for where process numbers are unique: machine, its last start, and container."""
    parts = [gethostname()]
    for source in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        with suppress(OSError):
            parts.append(os.readlink(source) if source.is_symlink() else source.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
