"""Replicas of a run, in threads, to the bits of the same runs one after another."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from meanfield.checks import whole
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.particles.simulate import simulate
from meanfield.progress import bar
from meanfield.start import Start
from meanfield.trajectory import Trajectory


def ensemble(
    game: Game,
    flow: Flow,
    start: Start,
    time: float,
    *,
    replicas: int | Iterable[int],
    threads: int | None = None,
    reduce: Callable[[Trajectory], Any] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Yield, in order, the trajectories of replicas 0, 1, ..., or what `reduce` makes of each.

    replicas: how many, or their numbers. A replica's number enters its starting points and its
    noise and nothing else does, so results are the same for any number of `threads` (default: all
    processors) and equal simulate(..., replica=r). `reduce` runs in the worker, which then drops
    the trajectory; few are under way at a time. Low-rank games run outside Python's lock; others
    take turns. `options` are those of `simulate`. The arguments are checked when the first replica
    is asked for.

    Raises what `simulate` raises, at the replica it happened to.
    """
    numbers = (
        list(range(whole("replicas", replicas))) if isinstance(replicas, int) else list(replicas)
    )
    numbers = [whole("replicas", r, 0) for r in numbers]
    for key in ("replica", "resume", "checkpoint"):
        if key in options:
            raise TypeError(f"{key} belongs to one run; it is no option of an ensemble")
    workers = whole("threads", os.cpu_count() or 1 if threads is None else threads)

    def one(replica: int) -> Any:
        run = simulate(game, flow, start, time, replica=replica, progress=False, **options)
        return run if reduce is None else reduce(run)

    return _in_order(one, numbers, workers, progress)


def _in_order(
    one: Callable[[int], Any], numbers: list[int], workers: int, progress: bool | None
) -> Iterator[Any]:
    """Results in order, at most two a worker computed or waiting to be taken."""
    with ThreadPoolExecutor(workers) as pool, bar(len(numbers), "replicas", progress) as shown:
        waiting: deque[Future[Any]] = deque()
        left = iter(numbers)
        try:
            while True:
                while len(waiting) < 2 * workers and (r := next(left, None)) is not None:
                    waiting.append(pool.submit(one, r))
                if not waiting:
                    return
                result = waiting.popleft().result()
                shown.update(1)
                yield result
        finally:
            for future in waiting:
                future.cancel()
