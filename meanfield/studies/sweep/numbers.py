"""What a sweep keeps of a result: numbers that can stand in a table, and curves over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.metrics import nikaido_isoda
from meanfield.studies.verdicts import FAILS, HOLDS

Numbers = dict[str, float]
Curves = dict[str, Array]
# What a picture shows unless it is told otherwise: the first of these that a result has.
MAIN = ("ni", "exponent", "error", "value")


def numbers_of(result: Any) -> tuple[Numbers, Curves]:
    """Numbers and curves of a trajectory, comparison, Gibbs point or equilibrium."""
    kind = {
        "Trajectory": _trajectory, "Comparison": _comparison, "GibbsPoint": _gibbs,
        "Equilibrium": _equilibrium, "CheckResult": _check,
    }  # fmt: skip
    numbers, curves = kind[type(result).__name__](result)
    return {name: float(v) for name, v in numbers.items()}, curves


def _trajectory(run: Any) -> tuple[dict[str, Any], Curves]:
    """The last value of every diagnostic; all of them over time."""
    curves = {"time": np.asarray(run.times)}
    for name, values in run.diagnostics.items():
        flat = np.reshape(np.asarray(values, dtype=float), (len(run), -1))
        names = [name] if flat.shape[1] == 1 else [f"{name}[{j}]" for j in range(flat.shape[1])]
        curves |= dict(zip(names, np.ascontiguousarray(flat.T), strict=True))
    last = {"end" if name == "time" else name: values[-1] for name, values in curves.items()}
    return last, curves


def _comparison(found: Any) -> tuple[dict[str, Any], Curves]:
    """Exponents and suprema with their intervals, a curve for each number of particles."""
    numbers: dict[str, Any] = {}
    for name in ("exponent", "ni_exponent", "step_bias"):
        numbers |= _interval(name, getattr(found, name))
    curves = {"time": np.asarray(found.times), "field_ni": np.asarray(found.field_ni)}
    for k, n in enumerate(found.particles):
        numbers |= _interval(f"w2_squared_sup[{n}]", found.sup[k])
        numbers |= _interval(f"ni_error_sup[{n}]", found.ni_sup[k])
        for name in ("w2_squared", "w2_squared_low", "w2_squared_high", "ni"):
            curves[f"{name}[{n}]"] = np.asarray(getattr(found, name)[k])
    return numbers, curves


def _interval(name: str, held: Any) -> dict[str, Any]:
    if held is None:
        return {}
    return {name: held.value, f"{name}_low": held.low, f"{name}_high": held.high}


def _gibbs(point: Any) -> tuple[dict[str, Any], Curves]:
    error = nikaido_isoda(point.game, point.x, point.y)
    numbers = {"value": point.game.value(point.x, point.y), "ni": error.value}
    return {**numbers, "ni_upper": error.upper, "residual": point.residual}, {}


def _check(found: Any) -> tuple[dict[str, Any], Curves]:
    """For every verdict what was measured, its error and the outcome; for every theorem one more.

    Outcomes are 1 where it holds, 0 where it fails, 1/2 in between.
    """
    worth, numbers = {HOLDS: 1.0, FAILS: 0.0}, {}
    for theorem in found.rows:
        numbers[f"theorem {theorem} holds"] = worth.get(found.outcome(theorem), 0.5)
        for verdict in found.verdicts(theorem):
            name = f"theorem {theorem}, {verdict.claim}"
            numbers |= {name: verdict.measured, f"{name}: error": verdict.error}
            numbers[f"{name}: holds"] = worth.get(verdict.outcome, 0.5)
    return numbers, {}


def _equilibrium(found: Any) -> tuple[dict[str, Any], Curves]:
    names = ("value", "lower", "upper", "error", "rounds", "certified")
    numbers = {name: getattr(found, name) for name in names}
    return {**numbers, "atoms_x": len(found.x), "atoms_y": len(found.y)}, {}
