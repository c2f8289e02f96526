"""What tasks cost: weights to tell long from short ones, and estimates before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.packing import Packed
from meanfield.particles.plan import DEFAULTS, make_plan
from meanfield.schedule import saved_times
from meanfield.storage.files import size_of
from meanfield.studies.sweep.tasks import Compute, Outcome, Sent, Task

LONG_ENOUGH = 0.5  # seconds that the timed task should take
BASE = 250e6  # bytes of a process with numpy, numba and compiled kernels


def weight(task: Task) -> float:
    """What a task costs in any unit: particles times steps (pairs times steps where all pairs are
    looked at), the time of a mean field, 1 for what has no length.
    """
    given = task.options
    time = float(given.get("time", 1.0) or 0.0)
    if task.call == "solve":
        return max(time, 1e-9)
    if task.call not in ("simulate", "compare"):
        return 1.0
    step = float(given.get("step") or (1e-3 if task.call == "simulate" else 1e-2))
    sizes = np.atleast_1d(np.asarray(given.get("particles", 1000), dtype=float))
    pairs = task.game.bases is None
    if task.call == "simulate":
        n, m = sizes[0], sizes[-1]
        one = n * m if pairs else n + m
    else:
        counts = given.get("replicas")
        R = np.clip(400_000 // sizes, 24, 400) if counts is None else np.asarray(counts, float)
        one = float(np.sum((sizes**2 if pairs else 2 * sizes) * R))
    return max(one * max(time / step, 1.0), 1.0)


@dataclass(frozen=True)
class Estimate:
    """What a sweep needs: processor seconds, bytes of memory a worker, bytes of disk.

    timed: the seconds of the task that was run for it, share: how much of it.
    """

    seconds: float
    memory: float
    disk: float
    timed: float
    share: float


def estimate(tasks: list[Task], whole: bool) -> Estimate:
    """Time the task of least weight, a short run of it where it is long, and scale by weights."""
    small = min(tasks, key=weight)
    _timed(_shortened(small, 1e-3))  # compiles
    share = 1.0 if weight(small) == 1.0 else 1e-3
    while True:
        seconds, outcome, size = _timed(_shortened(small, share))
        if outcome.error:
            raise ValueError(f"the task with {small.labels} fails:\n{outcome.error}")
        if seconds >= LONG_ENOUGH or share >= 1:
            break
        share = min(1.0, share * min(max(2.0, 1.2 * LONG_ENOUGH / max(seconds, 1e-9)), 100.0))
    per = seconds / weight(_shortened(small, share))
    of = [per * weight(task) for task in tasks]
    largest = max(size * _states(task) / _states(_shortened(small, share)) for task in tasks)
    rows = 8_000 + 40 * len(outcome.numbers) + size_of(outcome.curves)
    disk = len(tasks) * (2.0 * rows + (largest if whole else 0.0))
    return Estimate(sum(of), BASE + 2 * largest, disk, seconds, share)


def _states(task: Task) -> float:
    """How much a run saves: its times, times particles where it has some."""
    given = task.options
    if task.call == "simulate":
        plan = make_plan(**{**DEFAULTS, "time": given["time"], **_settings(given)})
        return float(len(plan.saves(0.0)) * sum(plan.particles))
    if task.call == "solve":
        return float(len(saved_times(given.get("time", 1.0), given.get("save_every"))))
    return 1.0


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key in DEFAULTS}


def _shortened(task: Task, share: float) -> Task:
    """The same task over a share of its time, in whole steps and with as many saves."""
    given = task.options
    if share >= 1 or "time" not in given or task.call not in ("simulate", "solve", "compare"):
        return task
    time, step = float(given["time"]), given.get("step")
    if step is None and task.call != "solve":
        step = 1e-3 if task.call == "simulate" else 1e-2
    short = time * share
    if step is not None:
        short = min(time, float(step) * max(1, round(short / float(step))))
    how: dict[str, Any] = {**given, "time": short}
    if how.get("save_every") is not None and how["save_every"] > short:
        how["save_every"] = None
    return replace(task, options=how)


def _timed(task: Task) -> tuple[float, Outcome, float]:
    """Seconds, outcome and bytes of the whole result."""
    game, flow, start = (Packed("", part) for part in (task.game, task.flow, task.start))
    clock = perf_counter()
    outcome, result = Compute(whole=True)(Sent(task.call, game, flow, start, task.options))
    return perf_counter() - clock, outcome, float(size_of(result) if result else 0)
