"""Generated modules on disk, so that numba's compiled code outlives the process.

They live in a folder of the user's own: $MEANFIELD_CACHE, else $XDG_CACHE_HOME/meanfield, else
~/.cache/meanfield. Compiled code is loaded from there, so a folder that somebody else owns or may
write to is not used: a private temporary one serves then, and numpy where there is none either.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from meanfield.checks import warn

_LOCK = threading.RLock()


class _Given(SourceFileLoader):
    """Imports the text it was given, never what the file may have become since it was compared."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.source.encode(), self.path)


def load(source: str, function: str) -> Callable[..., Any] | None:
    """A function of a generated module; None, with a warning, where no folder can hold it."""
    with _LOCK:
        name = "meanfield_kernel_" + hashlib.sha256(source.encode()).hexdigest()[:32]
        if name not in sys.modules:
            try:
                sys.modules[name] = _imported(name, _stored(name, source), source)
            except (OSError, RuntimeError) as error:  # numba says RuntimeError for no access
                what = f"no folder for compiled kernels ({error}); numpy is used instead"
                warn(what, UserWarning)
                return None
        return getattr(sys.modules[name], function)


def _imported(name: str, path: Path, source: str) -> ModuleType:
    spec = spec_from_file_location(name, path, loader=_Given(name, str(path), source))
    if spec is None or spec.loader is None:
        raise ImportError(f"the kernel at {path} cannot be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stored(name: str, source: str) -> Path:
    """The module's file, its content equal to the source, in the user's folder or a private one."""
    try:
        return _written(_private(cache_folder()), name, source)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return _written(_temporary(), name, source)


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    if own := os.environ.get("MEANFIELD_CACHE"):
        return Path(own).expanduser() / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "meanfield" / "kernels"


@cache
def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="meanfield-kernels-")
    atexit.register(shutil.rmtree, folder, True)
    return Path(folder)


def _private(folder: Path) -> Path:
    """The folder, made if missing; PermissionError unless we alone own it and may write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise PermissionError(f"{folder} is no plain folder")
    if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        raise PermissionError(f"{folder} belongs to, or can be written by, somebody else")
    return folder


def _written(folder: Path, name: str, source: str) -> Path:
    path = folder / f"{name}.py"
    if not _holds(path, source):
        handle, draft = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(draft, path)
    return path


def _holds(path: Path, source: str) -> bool:
    try:
        return not path.is_symlink() and path.read_text(encoding="utf-8") == source
    except (OSError, UnicodeDecodeError):
        return False
