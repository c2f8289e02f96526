"""Tables of several sweeps as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.storage.files import load
from meanfield.studies.sweep.axes import shown
from meanfield.studies.sweep.folder import Folder
from meanfield.studies.sweep.table import STATUS, Sweep, tabulated_outcomes


def merge_sweeps(sweeps: Sequence[Sweep]) -> Sweep:
    """One table of all tasks, each once: done where it is done in any of them.

    Raises ValueError where the sweeps are of different calls or parameters, where two say different
    things of one task, and where tasks of the same labels differ in something that is not swept.
    """
    first = sweeps[0]
    for other in sweeps[1:]:
        if other.call != first.call:
            raise ValueError(f"one sweep is of {first.call}, another of {other.call}")
        if set(other.labels) != set(first.labels):
            ours, theirs = (", ".join(s.labels) for s in (first, other))
            raise ValueError(f"one sweep goes over {ours}, another over {theirs}")
    best: dict[str, tuple[Sweep, int]] = {}
    for sweep in sweeps:
        for k, key in enumerate(sweep.keys):
            if key in best:
                _check_same(*best[key], sweep, k)
            if key not in best or _rank(sweep, k) < _rank(*best[key]):
                best[key] = sweep, k
    _check_labels(list(best.items()))
    return _in_grid_order(_table(first, list(best.values())))


def _check_labels(rows: list[tuple[str, tuple[Sweep, int]]]) -> None:
    seen: dict[str, str] = {}
    for key, (sweep, k) in rows:
        labels = "\0".join(str(values[k]) for values in sweep.labels.values())
        if seen.setdefault(labels, key) != key:
            raise ValueError(
                f"two sweeps have different tasks at {sweep.label(k)}: they differ in something "
                "that is not swept; sweep over it, or merge parts of one sweep"
            )


def _rank(sweep: Sweep, k: int) -> int:
    return STATUS.index(sweep.status[k])


def _check_same(a: Sweep, i: int, b: Sweep, j: int) -> None:
    if a.status[i] == b.status[j] == "done":
        for name in a.numbers.keys() & b.numbers.keys():
            if not np.array_equal(a.numbers[name][i], b.numbers[name][j], equal_nan=True):
                raise ValueError(
                    f"two sweeps disagree on {name} at {a.label(i)}: {a.numbers[name][i]!r} and "
                    f"{b.numbers[name][j]!r}; one of them is wrong, or of another processor"
                )


def _table(first: Sweep, rows: list[tuple[Sweep, int]]) -> Sweep:
    """The rows of several tables as one table."""
    names = sorted({name for s, _ in rows for name in s.numbers})
    curves = sorted({name for s, _ in rows for name in s.curves})
    nan, none = float("nan"), np.zeros(0)
    keys = [s.keys[k] for s, k in rows]
    told = [s.provenance for s in {id(s): s for s, _ in rows}.values()]
    about = {
        name: text for name, text in first.provenance.get("about", {}).items()
        if all(p.get("about", {}).get(name) == text for p in told)
    }  # fmt: skip
    processors = sorted({name for p in told for name in p.get("processors", [])})
    return replace(
        first,
        labels={name: [s.labels[name][k] for s, k in rows] for name in first.labels},
        status=[s.status[k] for s, k in rows],
        numbers={n: np.array([s.numbers[n][k] if n in s.numbers else nan for s, k in rows])
                 for n in names},
        curves={n: [s.curves[n][k] if n in s.curves else none for s, k in rows] for n in curves},
        seconds=np.array([s.seconds[k] for s, k in rows]),
        keys=keys,
        errors={key: s.errors[key] for key, (s, _) in zip(keys, rows, strict=True)
                if key in s.errors},
        warnings={key: s.warnings[key] for key, (s, _) in zip(keys, rows, strict=True)
                  if key in s.warnings},
        provenance={**first.provenance, "about": about, "processors": processors},
    )  # fmt: skip


def _in_grid_order(table: Sweep) -> Sweep:
    """The rows by their values, the last parameter fastest: a grid again where they fill one."""

    def place(k: int) -> tuple[Any, ...]:
        values = (held[k] for held in table.labels.values())
        return tuple(
            (0, v, "") if isinstance(v, (int, float)) else (1, 0, shown(v)) for v in values
        )

    order = sorted(range(len(table)), key=place)
    return _table(table, [(table, k) for k in order])


def of_folder(path: Path) -> Sweep:
    """What a sweep's folder holds: the whole sweep, or tasks of one that is not finished."""
    folder = Folder(path)
    if folder.gathered.is_file():
        found: Sweep = load(folder.gathered)
        return found
    rows = list(folder.outcomes().values())
    if not rows:
        raise ValueError(f"{path} holds no task of a sweep")
    return _in_grid_order(tabulated_outcomes(rows))
