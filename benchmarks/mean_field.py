"""Rows of the mean field: equation (7) on the circle, T^2 and S^2, engines and other software to
equal errors.

A contestant is tuned first: of its candidate settings, the fastest whose error is within the
target, else the most accurate. What it then runs is timed like every other row. The compilation is
counted apart: the longest that preparing a setting and its first run took beyond a later one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import process_time
from typing import Any

from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.peers import Run, Setting
from benchmarks.problems import PROBLEMS, Problem
from benchmarks.race import Row, Work
from benchmarks.references import error, reference
from meanfield.checks import UnderResolved

TARGETS = (1e-4, 1e-6)
NAMES = {"circle": "the circle", "torus": "T^2", "sphere": "S^2"}
# Ratios to the best peer that the design asks for.
WANTED = {("circle", 1e-4): 8.0, ("circle", 1e-6): 14.0, ("torus", 1e-4): 15.0,
          ("torus", 1e-6): 18.0,
          ("sphere", 1e-4): 500.0, ("sphere", 1e-6): 500.0}  # fmt: skip
TRIALS = 0.02  # seconds over which a candidate is timed


@dataclass
class Tuned:
    """A contestant's best setting for one target."""

    setting: Setting
    error: float
    reached: bool
    seconds: float
    run: Run = field(repr=False)
    compiled: float = 0.0

    def __call__(self) -> Any:
        return self.run()

    @property
    def about(self) -> dict[str, Any]:
        return {
            "setting": self.setting,
            "error": self.error,
            "reached": self.reached,
            "first_s": self.compiled,
        }


def _clock(run: Run) -> tuple[float, Any]:
    begun = process_time()
    found = run()
    return process_time() - begun, found


def _tried(contestant: Contestant, problem: Problem, target: float, setting: Setting) -> Tuned:
    begun = process_time()
    run = contestant.prepare(problem, setting)
    run()
    first = process_time() - begun
    least, found = _clock(run)
    for _ in range(min(20, math.floor(TRIALS / least))):
        least = min(least, _clock(run)[0])
    off = error(problem, found, contestant.where)
    return Tuned(setting, off, off <= target, least, run, first - least)


def tune(contestant: Contestant, problem: Problem, target: float) -> Tuned:
    """The fastest candidate within the target, else the most accurate one."""
    best: Tuned | None = None
    compiled = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UnderResolved
        )  # candidates that are too coarse are part of the search
        for setting in contestant.candidates(problem, target):
            now = _tried(contestant, problem, target, setting)
            compiled = max(compiled, now.compiled)
            if best is None or _before(now, best):
                best = now
    assert best is not None, f"{contestant.name} has no setting for {target:g}"
    best.compiled = compiled
    return best


def _before(a: Tuned, b: Tuned) -> bool:
    if a.reached and b.reached:
        return a.seconds < b.seconds
    return a.reached or (not b.reached and a.error < b.error)


def _title(name: str) -> str:
    return f"(7) on {NAMES[name]}"


def _row(name: str, target: float) -> Row:
    def tuned(contestant: Contestant) -> Callable[[], Work]:
        return lambda: tune(contestant, PROBLEMS[name], target)

    ready = {c.name: tuned(c) for c in CONTESTANTS[name]}
    return Row(f"{_title(name)}, to {target:.0e}", "solve", 1.0, ready, WANTED[name, target])


def rows() -> Iterator[Row]:
    for name in CONTESTANTS:
        for target in TARGETS:
            yield _row(name, target)


def gaps(entries: list[dict[str, Any]]) -> dict[str, float]:
    """How far the reference of each problem that was raced is from a coarser one, in L1."""
    return {
        name: reference(name)[1]
        for name in NAMES
        if any(e["row"].startswith(_title(name)) for e in entries)
    }
