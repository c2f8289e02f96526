"""Results for other programs: CSV tables, npz archives, xarray datasets."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import Array, known_name
from meanfield.describe import Described, describe
from meanfield.measures import Density, Measure
from meanfield.storage.files import as_path, replace

BANDS = ("w2_squared", "w2_squared_low", "w2_squared_high", "ni", "ni_low", "ni_high")
AVERAGES = ("ni_average", "ni_average_low", "ni_average_high")


def curves_of(comparison: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a comparison's curves: for each n, and of the mean field."""
    if comparison.ni_average is None:
        return BANDS, ("field_ni",)
    return (*BANDS, *AVERAGES), ("field_ni", "field_ni_average")


def _target(path: str | os.PathLike[str], suffix: str) -> Path:
    target = as_path(path)
    if target.suffix != suffix:
        raise ValueError(f"{target} must end in {suffix}")
    if not target.parent.is_dir():
        raise ValueError(f"the folder {target.parent} does not exist; make it first")
    return target


def arrays(result: Any) -> dict[str, Array]:
    """Every array of a result under its path, such as "x/points"."""
    found: dict[str, Array] = {}

    def walk(plain: Any, path: str) -> None:
        if isinstance(plain, Described):
            plain = plain.content
        if isinstance(plain, np.ndarray):
            found[path] = plain
        elif isinstance(plain, dict):
            for key, item in plain.items():
                walk(item, f"{path}/{key}" if path else key)
        elif isinstance(plain, (list, tuple)):
            for k, item in enumerate(plain):
                walk(item, f"{path}/{k}")

    walk(describe(result), "")
    return found


def to_npz(result: Any, path: str | os.PathLike[str]) -> Path:
    """See `Result.to_npz`."""
    target, held = _target(path, ".npz"), arrays(result)

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez_compressed(file, **held)  # type: ignore[arg-type]

    replace(target, fill)
    return target


def to_csv(result: Any, path: str | os.PathLike[str], what: str) -> Path:
    """See `Result.to_csv`."""
    known_name("what", what, ("curves", "measures"))
    table = columns(result)
    if table is not None and what == "measures":
        raise TypeError(
            f"a {type(result).__name__} holds curves, no pair of measures; export its points"
        )
    if table is not None:
        rows: Iterable[list[Any]] = _table_rows(table)
    else:
        rows = (
            measure_rows(result)
            if what == "measures" or not hasattr(result, "times")
            else curve_rows(result)
        )
    return write_csv(path, rows)


def write_csv(path: str | os.PathLike[str], rows: Iterable[list[Any]]) -> Path:
    """A table, whole or not at all."""
    target = _target(path, ".csv")

    def fill(partial: Path) -> None:
        with partial.open("w", newline="") as file:
            csv.writer(file).writerows(rows)

    replace(target, fill)
    return target


def columns(result: Any) -> dict[str, Array] | None:
    """The table of a Gibbs path, by its beta, of a branch, by its parameter, or of a stability
    analysis, by its modes; None for other results.
    """
    if hasattr(result, "hopf"):
        lead = result.eigenvalues[:, 0]
        about = {"value": result.game_values, "residual": result.residuals, "stable": result.stable}
        return {result.name: result.values, **about, "real": lead.real, "imag": lead.imag}
    if hasattr(result, "eigenvalues"):
        values = result.eigenvalues
        table = {"mode": np.arange(len(values)), "real": values.real, "imag": values.imag}
        residuals = getattr(result, "residuals", None)
        return table if residuals is None else {**table, "residual": residuals}
    if hasattr(result, "game_values"):
        table = {result.name: result.values, "value": result.game_values, "error": result.errors}
        lead = result.leading
        return table if lead is None else {**table, "real": lead.real, "imag": lead.imag}
    if hasattr(result, "periods"):
        about = {"period": result.periods, "size": result.sizes, "stable": result.stable}
        return {result.name: result.values, **about}
    if not hasattr(result, "free_energy"):
        return None
    names = ("beta", "value", "free_energy", "ni", "ni_upper", "residual", "rate", "frequency")
    found = {name: getattr(result, name) for name in names if getattr(result, name) is not None}
    return found | {f"entropy_{name}": result.entropy[:, p] for p, name in enumerate("xy")}


def _table_rows(table: dict[str, Array]) -> Iterable[list[Any]]:
    yield list(table)
    for i in range(len(next(iter(table.values())))):
        yield [repr(column[i].item()) for column in table.values()]


def curve_rows(result: Any) -> Iterable[list[Any]]:
    """A row a time: diagnostics of a trajectory, or the bands of a comparison for each n."""
    if hasattr(result, "samples"):
        each, exact = curves_of(result)
        yield ["particles", "replicas", "time", *each, *exact]
        for k, n in enumerate(result.particles):
            for i, t in enumerate(result.times):
                bands = [repr(float(getattr(result, name)[k, i])) for name in each]
                field = [repr(float(getattr(result, name)[i])) for name in exact]
                yield [n, result.replicas[k], repr(float(t)), *bands, *field]
        return
    table = {"time": result.times}
    for name, values in result.diagnostics.items():
        flat = np.reshape(values, (len(result.times), -1))
        table |= {
            name if flat.shape[1] == 1 else f"{name}[{j}]": flat[:, j] for j in range(flat.shape[1])
        }
    yield from _table_rows(table)


def measure_rows(result: Any) -> Iterable[list[Any]]:
    """A row an atom or a cell, with its time where the result has times."""
    owner = result.field if hasattr(result, "samples") else result
    pairs = list(owner) if hasattr(owner, "times") else [(owner.x, owner.y)]
    times = owner.times if hasattr(owner, "times") else [0.0]
    width = max(m.points.shape[1] for m in pairs[0])
    yield ["time", "player", *(f"point[{j}]" for j in range(width)), "mass", "density"]
    for t, pair in zip(times, pairs, strict=True):
        for name, measure in zip("xy", pair, strict=True):
            yield from _rows(float(t), name, measure, width)


def _rows(t: float, name: str, measure: Measure, width: int) -> Iterable[list[Any]]:
    densities = measure.values if isinstance(measure, Density) else None
    blank = [""] * (width - measure.points.shape[1])
    for i, (point, mass) in enumerate(
        zip(measure.points.tolist(), measure.masses.tolist(), strict=True)
    ):
        yield [
            repr(t),
            name,
            *map(repr, point),
            *blank,
            repr(mass),
            "" if densities is None else repr(densities[i].item()),
        ]


def to_xarray(result: Any) -> Any:
    """See `Result.to_xarray`."""
    try:
        import xarray
    except ImportError:
        raise ImportError(
            "to_xarray needs xarray, which is not installed: pip install xarray"
        ) from None
    if hasattr(result, "samples"):
        each, exact = curves_of(result)
        data: dict[str, Any]
        data = {name: (("particles", "time"), getattr(result, name)) for name in each}
        data |= {name: (("time",), getattr(result, name)) for name in exact}
        return xarray.Dataset(data, {"particles": list(result.particles), "time": result.times})
    if (table := columns(result)) is not None:
        axis, *names = table
        return xarray.Dataset({name: ((axis,), table[name]) for name in names}, {axis: table[axis]})
    return xarray.Dataset(*_variables(result))


def _variables(result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and coordinates of a trajectory or of a pair of measures, for an xarray.Dataset."""
    timed = hasattr(result, "times")
    coordinates: dict[str, Any] = {"time": result.times} if timed else {}
    data: dict[str, Any] = {}
    for name in "xy":
        many = getattr(result, name) if timed else [getattr(result, name)]
        if len({len(m) for m in many}) > 1:
            raise ValueError(
                f"the number of points of {name} changes over time, which no dataset holds; use "
                "to_npz"
            )
        lead, node, axis = ("time",) if timed else (), f"node_{name}", f"coordinate_{name}"
        pick = np.stack if timed else (lambda rows: rows[0])
        data[f"masses_{name}"] = ((*lead, node), pick([m.masses for m in many]))
        if isinstance(many[0], Density):
            coordinates[f"nodes_{name}"] = ((node, axis), many[0].points)
            data[f"density_{name}"] = ((*lead, node), pick([m.values for m in many]))
        else:
            data[f"points_{name}"] = ((*lead, node, axis), pick([m.points for m in many]))
    for key, values in getattr(result, "diagnostics", {}).items():
        data[key] = (("time", *(f"{key}_{j}" for j in range(1, values.ndim))), values)
    return data, coordinates
