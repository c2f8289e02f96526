"""What a sweep found: one labelled table, for files, tables of other programs, and pictures."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as hidden
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import Array, known_name
from meanfield.describe import Described, describe
from meanfield.shown import Shown
from meanfield.storage.atomic import replace
from meanfield.storage.export import _target
from meanfield.storage.results import Result
from meanfield.studies.sweep.axes import Axis, shown
from meanfield.studies.sweep.numbers import MAIN
from meanfield.studies.sweep.tasks import Outcome, Task

STATUS = ("done", "failed", "missing")


@dataclass(frozen=True, eq=False)
class Sweep(Shown, Result):
    """A table of tasks, a row a point of the grid.

    Attributes
    ----------
    call : what was computed: "simulate", "solve", "compare", "check", "gibbs" or "nash".
    axes : the names of each axis of the grid, in order; those of an axis change together.
    labels : name -> values of the swept parameters, a row a task.
    status : "done", "failed" or "missing" for every row.
    numbers : name -> (N,), NaN where a task is not done or has no such number.
    curves : name -> an array a row, empty where there is none; "time" is their abscissa.
    seconds : (N,) of every task in its worker.
    keys : the digests that tell tasks apart.
    errors, warnings : key -> traceback, key -> warnings, where there are any.
    provenance : about: what was given to all tasks; made: where and with what the first was made;
        processors: all kinds that computed tasks, on which the last bits may differ.
    """

    call: str
    axes: list[list[str]]
    labels: dict[str, list[Any]]
    status: list[str]
    numbers: dict[str, Array] = hidden(repr=False)
    curves: dict[str, list[Array]] = hidden(repr=False)
    seconds: Array = hidden(repr=False)
    keys: list[str] = hidden(repr=False)
    errors: dict[str, str] = hidden(repr=False)
    warnings: dict[str, list[str]] = hidden(repr=False)
    provenance: dict[str, Any] = hidden(repr=False)

    def __post_init__(self) -> None:
        """Files keep no order of names: axes go as in the grid, the rest by the alphabet."""
        labels = {name: self.labels[name] for names in self.axes for name in names}
        object.__setattr__(self, "labels", labels)
        for name in ("numbers", "curves"):
            object.__setattr__(self, name, dict(sorted(getattr(self, name).items())))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def missing(self) -> int:
        """Tasks that were not computed yet."""
        return self.status.count("missing")

    @property
    def failed(self) -> dict[str, str]:
        """The values of the swept parameters of every failed task, and its error's last line."""
        return {
            self.label(k): self.errors[key].strip().splitlines()[-1]
            for k, key in enumerate(self.keys)
            if self.status[k] == "failed"
        }

    def label(self, k: int) -> str:
        """Row k's swept parameters in words."""
        return ", ".join(f"{name} = {shown(values[k])}" for name, values in self.labels.items())

    @property
    def main(self) -> str:
        """The number that pictures show by default."""
        return next((n for n in MAIN if n in self.numbers), next(iter(self.numbers), ""))

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.status.count(s)} {s}" for s in STATUS if s in self.status)
        lines = [f"Sweep: {len(self)} x {self.call}; {counts}; {self.seconds.sum():.3g} s of work"]
        for name, values in self.labels.items():
            different = list(dict.fromkeys(shown(v) for v in values))
            some = different if len(different) <= 6 else [*different[:3], "...", different[-1]]
            lines.append(f"  |-- {name}: {', '.join(some)} ({len(different)})")
        for name, found in self.numbers.items():
            if np.isfinite(found).any():
                low, high = np.nanmin(found), np.nanmax(found)
                lines.append(f"  |-- {name}: {low:.6g} to {high:.6g}")
        lines += [f"  |-- failed: {label}: {why}" for label, why in list(self.failed.items())[:5]]
        if len(self.failed) > 5:
            lines.append(f"  |-- and {len(self.failed) - 5} more in .failed")
        if self.warnings:
            first = next(iter(self.warnings.values()))[0]
            lines.append(f"  |-- {len(self.warnings)} tasks warned, the first: {first}")
        return "\n".join([*lines, f"  '-- curves: {', '.join(self.curves) or 'none'}"])

    def described(self) -> Described:
        """Plain data for a file."""
        held: Described = describe(self)
        return held

    def table(self, what: str = "numbers") -> Iterable[list[Any]]:
        """The tidy table, names first: "numbers", a row a task; "curves", a row a task and time."""
        if what == "numbers":
            yield [*self.labels, "status", "seconds", *self.numbers, "key"]
            for k in range(len(self)):
                numbers = [values[k] for values in self.numbers.values()]
                yield [*self._labels(k), self.status[k], self.seconds[k], *numbers, self.keys[k]]
            return
        yield [*self.labels, *self.curves, "key"]
        for k in range(len(self)):
            columns = [curves[k] for curves in self.curves.values()]
            times = max(map(len, columns), default=0)
            # A task has no curve for another's number of particles.
            filled = [c if len(c) else np.full(times, np.nan) for c in columns]
            for row in zip(*filled, strict=True):
                yield [*self._labels(k), *row, self.keys[k]]

    def _labels(self, k: int) -> list[Any]:
        values = (held[k] for held in self.labels.values())
        return [v if isinstance(v, (bool, int, float, str)) else shown(v) for v in values]

    def to_csv(self, path: str | os.PathLike[str], what: str = "numbers") -> Path:
        """Write the tidy table: "numbers", a row a task, or "curves", a row a task and time.

        A file of that name is replaced.
        """
        target = _target(path, ".csv")
        _check_what(what)

        def fill(partial: Path) -> None:
            with partial.open("w", newline="") as file:
                for row in self.table(what):
                    csv.writer(file).writerow(map(_written, row))

        replace(target, fill)
        return target

    def to_parquet(self, path: str | os.PathLike[str], what: str = "numbers") -> Path:
        """The same table as a Parquet file. Raises ImportError without pyarrow."""
        target = _target(path, ".parquet")
        _check_what(what)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ImportError(
                "to_parquet needs pyarrow, which is not installed: pip install pyarrow"
            ) from None
        names, *rows = self.table(what)
        columns = [_column([row[j] for row in rows]) for j in range(len(names))]
        table = pyarrow.table(dict(zip(names, columns, strict=True)))
        replace(target, lambda partial: pyarrow.parquet.write_table(table, str(partial)))
        return target

    def to_xarray(self) -> Any:
        """The numbers, and curves of one length, over the grid's axes as an xarray.Dataset.

        A sweep that is no whole grid, such as several merged, has one axis "task". Raises
        ImportError without xarray.
        """
        try:
            import xarray
        except ImportError:
            raise ImportError(
                "to_xarray needs xarray, which is not installed: pip install xarray"
            ) from None
        shape, dims, coordinates = self.grid()
        data: dict[str, Any] = {
            name: (dims, values.reshape(shape)) for name, values in self.numbers.items()
        }
        data["status"] = dims, np.array(self.status, dtype=object).reshape(shape)
        data["seconds"] = dims, self.seconds.reshape(shape)
        along = "time"
        if (times := self._one_time()) is not None:
            coordinates["time"] = "time", times
        elif "time" in self.curves:
            along = "save"
        for name, held in self.curves.items():
            longest = max(map(len, held))
            if all(len(c) in (0, longest) for c in held) and not (name == along == "time"):
                filled = [c if len(c) else np.full(longest, np.nan) for c in held]
                data[f"{name}_curve"] = (*dims, along), np.reshape(filled, (*shape, longest))
        return xarray.Dataset(data, coordinates)

    def _one_time(self) -> Array | None:
        """The times of all curves, where they are the same."""
        held = [c for c in self.curves.get("time", []) if len(c)]
        return held[0] if held and all(np.array_equal(c, held[0]) for c in held) else None

    def grid(self) -> tuple[tuple[int, ...], tuple[str, ...], dict[str, Any]]:
        """The grid's shape, the names of its axes, and the coordinates along them."""
        lengths, coordinates, dims = [], {}, []
        for names in self.axes:
            rows = list(zip(*(self.labels[name] for name in names), strict=True))
            distinct = list({tuple(map(shown, row)): row for row in rows}.values())
            dims.append(names[0] if len(names) == 1 else ", ".join(names))
            lengths.append(len(distinct))
            for name, values in zip(names, zip(*distinct, strict=True), strict=True):
                coordinates[name] = dims[-1], _coordinate(values)
        if not self.axes or int(np.prod(lengths)) != len(self) or not self._in_order(lengths):
            every = {name: ("task", _coordinate(values)) for name, values in self.labels.items()}
            return (len(self),), ("task",), every
        return tuple(lengths), tuple(dims), coordinates

    def _in_order(self, lengths: list[int]) -> bool:
        """Whether the rows are those of the grid, the last axis fastest."""
        at = np.unravel_index(np.arange(len(self)), lengths)
        for names, index, length in zip(self.axes, at, lengths, strict=True):
            for name in names:
                texts = [shown(v) for v in self.labels[name]]
                first = [texts[int(np.argmax(index == i))] for i in range(length)]
                if [first[i] for i in index] != texts:
                    return False
        return True

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it as `meanfield.plotting.plot_sweep` does; returns the figure."""
        from meanfield.plotting import plot_sweep

        return plot_sweep(self, ax, **options)


def tabulated(tasks: Sequence[Task], axes: list[Axis], found: dict[str, Outcome]) -> Sweep:
    """The table of tasks and of what became of them."""
    labels = {name: [task.labels[name] for task in tasks] for name in tasks[0].labels}
    keys, names = [task.key for task in tasks], [list(a.names) for a in axes]
    return _filled(tasks[0].call, names, labels, keys, found, about(tasks))


def tabulated_outcomes(rows: list[Outcome]) -> Sweep:
    """The table of tasks of which nothing is known but what became of them."""
    first = rows[0]
    if odd := [row for row in rows if set(row.labels) != set(first.labels)]:
        raise ValueError(
            f"the tasks go over different keys, {', '.join(first.labels)} and "
            f"{', '.join(odd[0].labels)}: the folder holds several sweeps"
        )
    labels = {name: [row.labels[name] for row in rows] for name in first.labels}
    found = {row.key: row for row in rows}
    return _filled(first.call, [[name] for name in labels], labels, list(found), found, {})


def _filled(
    call: str, axes: list[list[str]], labels: dict[str, list[Any]], keys: list[str],
    found: dict[str, Outcome], about: dict[str, str],
) -> Sweep:  # fmt: skip
    held = [found.get(key) for key in keys]
    done = [None if o is None or o.error else o for o in held]
    numbers = {name for o in done if o for name in o.numbers}
    curves = {name for o in done if o for name in o.curves}
    nan, none = float("nan"), np.zeros(0)
    some = {o.key: o for o in held if o is not None}.values()
    return Sweep(
        call=call,
        axes=axes,
        labels=labels,
        status=["missing" if o is None else "failed" if o.error else "done" for o in held],
        numbers={n: np.array([o.numbers.get(n, nan) if o else nan for o in done]) for n in numbers},
        curves={n: [o.curves.get(n, none) if o else none for o in done] for n in curves},
        seconds=np.array([o.seconds if o else 0.0 for o in held]),
        keys=keys,
        errors={o.key: o.error for o in some if o.error},
        warnings={o.key: o.warnings for o in some if o.warnings},
        provenance={"about": about, "made": dict(next(iter(some)).made) if some else {}}
        | {"processors": sorted({o.made.get("processor", "unknown") for o in some})},
    )


def about(tasks: Sequence[Task]) -> dict[str, str]:
    """What is the same in all tasks, in words."""
    parts: dict[str, list[Any]] = {"game": [t.game for t in tasks], "flow": [t.flow for t in tasks]}
    parts["start"] = [t.start for t in tasks]
    told = {name: {repr(v) for v in values} for name, values in parts.items()}
    return {name: next(iter(texts)) for name, texts in told.items() if len(texts) == 1}


def _check_what(what: str) -> None:
    known_name("what", what, ("numbers", "curves"))


def _written(value: Any) -> Any:
    return repr(float(value)) if isinstance(value, float) else value


def _column(values: list[Any]) -> list[Any]:
    """Values of one type, as a column needs them: text where they are mixed."""
    kinds = {type(v) for v in values}
    if kinds <= {int, float, np.float64, bool} and not (bool in kinds and len(kinds) > 1):
        return [v.item() if isinstance(v, np.generic) else v for v in values]
    return [str(v) for v in values]


def _coordinate(values: Sequence[Any]) -> Any:
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return np.array(values) if plain else np.array([shown(v) for v in values], dtype=object)
