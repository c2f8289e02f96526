"""Compiled code on disk, in numba's files, each with a digest of its bytes and of its own name.

A full disk or a machine that goes down leaves files cut off, of which numba would read what it can:
it fails in words of pickle or LLVM, or runs what is no code any more. Of a file that was copied
over another one it would run the wrong kernel. Here such files count as absent, so that the kernel
is compiled and written anew.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.caching import IndexDataCacheFile

from meanfield.checks import warn

DIGEST = 32  # bytes at the end


class Sealed(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one kernel; see numba's class, of which this is one more."""

    def _digest(self, name: str, written: bytes) -> bytes:
        """Of what a file of this name holds, made from the source as it is."""
        return hashlib.sha256(f"{name} {self._source_stamp}".encode() + written).digest()

    def _save_data(self, name: str, what: Any) -> None:
        written: bytes = self._dump(what)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(written + self._digest(name, written))

    def _load_index(self) -> dict[Any, str]:
        try:
            found: dict[Any, str] = super()._load_index()
        except OSError:
            raise
        except Exception:  # whatever damaged bytes lead to
            return {}
        return found

    def _load_data(self, name: str) -> Any:
        written = Path(self._data_path(name)).read_bytes()
        if self._digest(name, written[:-DIGEST]) != written[-DIGEST:]:
            raise OSError(f"{name} is damaged")  # what numba takes for a file that is not there
        return super()._load_data(name)

    def save(self, key: Any, data: Any) -> None:
        """Write a kernel's code; where that fails, say so once and go on without."""
        try:
            super().save(key, data)
        except OSError as error:
            _warn_once(str(error))


@cache
def _warn_once(why: str) -> None:
    warn(
        f"compiled code could not be written ({why}); other processes compile anew", RuntimeWarning
    )
