"""Compiled code on disk, in numba's files, each with a digest of its bytes.

A full disk or a machine that goes down leaves files cut off, of which numba would read what it can:
it fails in words of pickle or LLVM, or runs what is no code any more. Here damaged files count as
absent, so that the kernel is compiled and written anew.
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

    def _dump(self, what: Any) -> bytes:
        written: bytes = super()._dump(what)
        return written + hashlib.sha256(written).digest()

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
        if hashlib.sha256(written[:-DIGEST]).digest() != written[-DIGEST:]:
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
