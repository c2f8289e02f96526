"""What tasks cost: weights to tell long from short ones, and estimates before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.density.choice import needs as of_field
from meanfield.needs import PROCESS, Needs
from meanfield.packing import Packed
from meanfield.particles.plan import DEFAULTS, check_memory, make_plan
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.storage.files import size_of
from meanfield.studies.plan import needs as of_comparison
from meanfield.studies.plan import plan as make_comparison
from meanfield.studies.plan import usual_replicas
from meanfield.studies.sweep.tasks import Compute, Outcome, Sent, Task

LONG_ENOUGH = 0.5  # seconds that the timed task should take


def weight(task: Task) -> float:
    """What a task costs in any unit: particles times steps (pairs times steps where all pairs are
    looked at), the time of a mean field, 1 for what has no length.
    """
    try:
        found = _weight(task)
    except (TypeError, ValueError, ArithmeticError):  # the task itself will say what is wrong
        return 1.0
    return found if isfinite(found) else 1.0


def _weight(task: Task) -> float:
    if task.call not in ("simulate", "solve", "compare"):
        return 1.0
    given = task.all_options()
    time = float(given["time"])
    if task.call == "solve":
        return max(time, 1e-9)
    sizes = np.atleast_1d(np.asarray(given["particles"], dtype=float))
    pairs = task.game.bases is None
    if task.call == "simulate":
        n, m = sizes[0], sizes[-1]
        one = n * m if pairs else n + m
    else:
        R = usual_replicas(sizes) if given["replicas"] is None else given["replicas"]
        one = float(np.sum((sizes**2 if pairs else 2 * sizes) * np.asarray(R, dtype=float)))
    return max(one * max(time / float(given["step"]), 1.0), 1.0)


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
    share = 1.0 if _shortened(small, 1e-3) is small else 1e-3
    while True:
        seconds, outcome, size = _timed(_shortened(small, share))
        if outcome.error:
            raise ValueError(f"the task with {small.labels} fails:\n{outcome.error}")
        if seconds >= LONG_ENOUGH or share >= 1:
            break
        share = min(1.0, share * min(max(2.0, 1.2 * LONG_ENOUGH / max(seconds, 1e-9)), 100.0))
    per = seconds / weight(_shortened(small, share))
    of = [per * weight(task) for task in tasks]
    takes = [_needs(task, size, whole) for task in tasks]
    rows = 8_000 + 40 * len(outcome.numbers) + size_of(outcome.curves)
    disk = 2.0 * rows * len(tasks) + sum(one.disk for one in takes if whole)
    return Estimate(sum(of), max(one.memory for one in takes), disk, seconds, share)


def _needs(task: Task, size: float, file: bool) -> Needs:
    """What a task takes; that of a call without a length as the timed one, whose result has this
    size.
    """
    game, flow, start = task.game, task.flow, task.start or Start()
    try:
        given = task.all_options()
        if task.call == "simulate":
            plan = make_plan(**{key: given[key] for key in ("time", *DEFAULTS)})
            return check_memory(game, plan, flow, file)  # type: ignore[arg-type]
        if task.call == "solve":
            saves = len(saved_times(given["time"], given["save_every"]))
            return of_field(game, flow, start, saves=saves, file=file, **given)  # type: ignore[arg-type]
        if task.call == "compare":
            asked = {**given, "game": game, "flow": flow, "start": start}
            return of_comparison(game, flow, make_comparison(**asked), given["time"], 1)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):  # the task itself will say what is wrong
        return Needs(PROCESS, 0.0)
    return Needs(PROCESS + 2 * size, size)


def _shortened(task: Task, share: float) -> Task:
    """The same task over a share of its time, in whole steps and with as many saves."""
    if share >= 1 or task.call not in ("simulate", "solve", "compare"):
        return task
    given = task.all_options()
    time, step = float(given["time"]), given["step"]
    short = time * share
    if step is not None:
        short = min(time, float(step) * max(1, round(short / float(step))))
    how: dict[str, Any] = {**task.options, "time": short}
    if given["save_every"] is not None and given["save_every"] > short:
        how["save_every"] = None
    return replace(task, options=how)


def _timed(task: Task) -> tuple[float, Outcome, float]:
    """Seconds, outcome and bytes of the whole result."""
    game, flow, start = (Packed("", part) for part in (task.game, task.flow, task.start))
    clock = perf_counter()
    outcome, result = Compute(whole=True)(Sent(task.call, game, flow, start, task.options))
    return perf_counter() - clock, outcome, float(size_of(result) if result else 0)
