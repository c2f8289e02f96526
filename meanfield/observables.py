"""What users' functions say of a run: checked, recorded at saves, and held against what is recorded
where a run is gone on with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np

from meanfield.checks import read_only, unmasked
from meanfield.measures import Measure
from meanfield.trajectory import Trajectory

Pair = tuple[Measure, Measure]
Diagnostics = Mapping[str, Callable[[Measure, Measure], Any]]
RELATIVE, ABSOLUTE = 1e-9, 1e-12  # what rounding may change, of the largest recorded and of all


def shown(pair: Pair) -> Pair:
    """Both measures as functions of users see them: of the same numbers, which cannot be written
    to.
    """
    x, y = (_read_only(mu) for mu in pair)
    return x, y


def _read_only(mu: Measure) -> Measure:
    seen = copy(mu)
    for name in ("points", "masses"):
        object.__setattr__(seen, name, read_only(getattr(mu, name)))
    return seen


def recorded(name: str, value: Any, before: list[Any]) -> Any:
    """What a diagnostic returned; ValueError unless it is numbers, in the shape of those before."""
    try:
        array = unmasked(value)
        fits = array.dtype.kind in "biufc" and (not before or array.shape == np.shape(before[0]))
    except (TypeError, ValueError):  # a masked array, rows of different lengths
        fits = False
    if not fits:
        raise ValueError(
            f"diagnostics[{name!r}] must return numbers, in one shape at all times, got {value!r}"
        )
    # A function may fill one buffer of its own at every call.
    return array.copy() if array.ndim else value


class Observables:
    """The functions of (mu_x, mu_y) that a user wants recorded, by name.

    Raises TypeError for what is no mapping to functions.
    """

    def __init__(self, diagnostics: Diagnostics | None = None) -> None:
        if not isinstance(diagnostics or {}, Mapping):
            raise TypeError(
                "diagnostics must be a mapping from names to functions of (mu_x, mu_y), got "
                f"{diagnostics!r}"
            )
        self.functions = dict(diagnostics or {})
        for key, f in self.functions.items():
            if not callable(f):
                raise TypeError(
                    f"diagnostics[{key!r}] must be a function of (mu_x, mu_y), got {f!r}"
                )

    @property
    def names(self) -> list[str]:
        return sorted(self.functions)

    def of(self, pair: Pair, row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
        """What they say of a pair beside the `row` that every run records; first: the first row of
        all.
        """
        # "ni" is what best responses have anyhow.
        if taken := row.keys() & (self.functions.keys() - {"ni"}):
            names = " and ".join(sorted(taken))
            raise ValueError(f"diagnostics: every run records {names} itself; choose other names")
        return {
            name: recorded(name, f(*shown(pair)), [first[name]] if name in first else [])
            for name, f in self.functions.items()
        }

    def check(self, run: Trajectory, where: str) -> None:
        """ValueError unless they say of the last saved state what the run recorded there.

        Two functions may share a name. Nothing is said of those whose answers differ from call to
        call, as they draw or remember something.
        """
        for name, f in self.functions.items():
            if name not in run.diagnostics:
                held = ", ".join(run.diagnostics)
                raise ValueError(f"{where} recorded {held}, no {name!r}; leave {name!r} out")
            column, now = np.asarray(run.diagnostics[name]), f(*shown(run[-1]))
            if not _agree(now, column[-1], column):
                f(*shown(run[0]))  # so that what remembers the last pair it saw tells it
                if _agree(f(*shown(run[-1])), now, column):
                    raise ValueError(
                        f"diagnostics[{name!r}] is {now} at t={run.times[-1]:g}, where {where} "
                        f"recorded {column[-1]}; give the function that it was made with, or begin "
                        "a run of another name"
                    )


def _agree(a: Any, b: Any, column: Any) -> bool:
    """Whether two values of a diagnostic agree but for rounding, on the scale of its column."""
    a, b = unmasked(a), unmasked(b)
    if a.shape != b.shape or not {a.dtype.kind, b.dtype.kind} <= set("biufc"):
        return False
    if a.dtype.kind == b.dtype.kind == "b":
        return bool((a == b).all())
    sizes = np.abs(column[np.isfinite(column)])
    within = ABSOLUTE + RELATIVE * (float(sizes.max()) if sizes.size else 0.0)
    return bool(np.allclose(a, b, RELATIVE, within, equal_nan=True))
