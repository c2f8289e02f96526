"""A sweep's folder: finished tasks in files, and claims on tasks by the processes that run them.

tasks/*.h5 hold what became of tasks, those that came back together in one file; results/KEY.h5
their whole results where these are kept; damaged/*.h5 what could not be read once its tasks were
computed again. A file appears whole (`storage`) and is written by the process that gave the tasks
out, so that any number of such processes may share a folder.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from meanfield.checks import warn
from meanfield.describe import Described, describe, rebuild
from meanfield.packing import digest
from meanfield.storage.files import load_plain, write_file
from meanfield.studies.sweep.tasks import Outcome, Outcomes

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]


class Folder:
    """See above; the folder is made when something is written to it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; a sweep needs a folder")
        self.tasks, self.results = self.path / "tasks", self.path / "results"
        self.gathered = self.path / "sweep.h5"
        self.damaged: list[Path] = []
        self._files: set[str] = set()
        self._found: dict[str, Outcome] = {}
        self._stamp = -1

    def make(self) -> None:
        try:
            self.tasks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                error.errno, f"the folder {self.path} cannot be made: {error.strerror}"
            ) from None

    def outcomes(self) -> dict[str, Outcome]:
        """What became of every task in the folder: done where it ever was, else the last failure.

        A file is read once: it never changes.
        """
        try:
            stamp = self.tasks.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if stamp != self._stamp:
            for path in sorted(self.tasks.glob("*.h5")):
                if path.name not in self._files:
                    if (rows := _rows(path)) is None:
                        self.damaged.append(path)
                    self._add(path.name, rows or [])
            self._stamp = stamp
        return self._found

    def _add(self, name: str, rows: list[Outcome]) -> None:
        self._files.add(name)
        for row in rows:
            held = self._found.get(row.key)
            if held is None or (held.error and (not row.error or _date(row) >= _date(held))):
                self._found[row.key] = row

    def write(self, rows: list[Outcome]) -> None:
        """Store what became of tasks; on return it is on the disk."""
        if rows:
            # Tasks that fail again together take a name of their own, too.
            name = f"{digest([[row.key, _date(row)] for row in rows])[:32]}.h5"
            if self.tasks / name in self.damaged:  # within the same second
                self.set_aside()
            write_file(self.tasks / name, describe(Outcomes(rows)))
            self._add(name, rows)

    def set_aside(self) -> None:
        """Move damaged files, whose tasks are done again, to where nobody is told of them twice."""
        for path in self.damaged:
            (self.path / "damaged").mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # another process was first
                path.rename(self.path / "damaged" / path.name)
        self.damaged.clear()

    def keep(self, key: str, result: Described, job: dict[str, Any]) -> None:
        """Store a whole result under its task's key, as `save` does."""
        self.results.mkdir(exist_ok=True)
        write_file(self.results / f"{key[:32]}.h5", result, job=job)


def _rows(path: Path) -> list[Outcome] | None:
    """The outcomes in a file; None for a damaged one, whose tasks are computed again."""
    try:
        held = rebuild(load_plain(path))
    except ValueError as error:
        warn(f"{error}; its tasks count as not yet computed", UserWarning)
        return None
    return held.rows if isinstance(held, Outcomes) else []


def _date(row: Outcome) -> str:
    return str(row.made.get("date", ""))


_open: set[str] = set()
_opening = threading.Lock()


class Claims:
    """Which tasks of a folder some process is computing just now.

    Each is a lock on one byte of a file that all share, at a place that the task's key says: a
    process that is killed lets go of all. Where the file system has no locks, nothing is claimed,
    and only the parts of --part keep processes apart.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".claims"
        self.held: set[str] = set()
        self._handle: int | None = None

    def __enter__(self) -> Claims:
        where = str(self.path.resolve())
        with _opening:
            if where in _open:  # such locks do not keep threads of one process apart
                raise ValueError(f"this process computes a sweep in {self.path.parent} already")
            if fcntl is not None:
                self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            _open.add(where)
        return self

    def take(self, key: str) -> bool:
        """Whether the task is ours now; False where another process computes it."""
        if self._handle is not None and key not in self.held:
            try:
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
            except (BlockingIOError, PermissionError):
                return False
            except OSError:  # no locks here
                os.close(self._handle)
                self._handle = None
        self.held.add(key)
        return True

    def release(self, key: str) -> None:
        self.held.discard(key)
        if self._handle is not None:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _place(key))

    def __exit__(self, *_: Any) -> None:
        with _opening:  # closing lets go of all locks that this process has on the file
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
            _open.discard(str(self.path.resolve()))


def _place(key: str) -> int:
    return int(key[:15], 16)
