"""One writer at a time: the lock that a run holds on its output file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from meanfield.storage.atomic import short

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]


class Lock:
    """Held by the run that writes `target`; a second run is told so, not let overwrite the first's.

    A file beside the target, locked by the operating system: a process that is killed lets it go.
    Where the file system has no locks (some network disks), and on systems other than POSIX's,
    nothing is held.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.path = target, target.with_name(f".{short(target.name)}.lock")
        self._handle: int | None = None

    def take(self) -> None:
        """Raises ValueError, with who holds it, while another run has it."""
        while fcntl is not None and self._handle is None:
            try:
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                why = f"{self.target} cannot be written: {error.strerror}"
                raise OSError(error.errno, why) from None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 1000).decode(errors="replace").strip()
                os.close(handle)
                raise ValueError(
                    f"{self.target} is being written by another run ({holder or 'just started'}); "
                    "wait for it, or give another file name"
                ) from None
            except OSError:  # no locks here
                os.close(handle)
                return
            if self._is(handle):
                self._handle = handle
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            else:  # its holder let it go and removed it in between
                os.close(handle)

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()

    def _is(self, handle: int) -> bool:
        """Whether the file locked is the one that has the name still."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None
