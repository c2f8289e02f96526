"""`meanfield merge A B ...`: several results of one kind put together in one file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from meanfield.cli.schema import BadInput
from meanfield.storage.files import checked_path, load, save
from meanfield.studies.comparison import Comparison
from meanfield.studies.merge import merge as merge_comparisons
from meanfield.studies.sweep.merging import merge_sweeps, of_folder
from meanfield.studies.sweep.table import Sweep

# How results of a kind are put together.
KINDS: dict[type, Callable[[list[Any]], Any]] = {
    Sweep: merge_sweeps,
    Comparison: lambda parts: merge_comparisons(*parts),
}


def merge(options: Any) -> int:
    """Put files or sweep folders together: meanfield merge A B ... --out C.h5."""
    out = checked_path(options.out)
    if out.exists():
        raise BadInput(f"{out} exists already; give another name with --out")
    results = [_read(Path(name)) for name in options.files]
    first = type(results[0])
    if other := [n for n, r in zip(options.files, results, strict=True) if type(r) is not first]:
        raise BadInput(f"{other[0]} holds another kind of result than {options.files[0]}")
    if first not in KINDS:
        raise BadInput(f"{options.files[0]} holds a {first.__name__}, which is not merged")
    merged = KINDS[first](results)
    save(merged, out)
    if not options.quiet:
        print(*(f"  {line}" for line in repr(merged).splitlines()), sep="\n")
        print(f"wrote {out}", f"next: meanfield show {out}", sep="\n")
    return 0


def _read(path: Path) -> Any:
    """A file's result, or what a sweep's folder holds."""
    return of_folder(path) if path.is_dir() else load(path)
