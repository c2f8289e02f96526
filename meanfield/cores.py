"""How many cores one computation may fill, and the threads that fill them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from itertools import pairwise
from multiprocessing import parent_process
from threading import current_thread, main_thread
from typing import Any

_for_another = False  # whether this process works for another one


def work_for_another() -> None:
    """From now on this process leaves other cores to those that work beside it."""
    global _for_another
    _for_another = True


def cores() -> int:
    """How many cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not everywhere
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def free_cores() -> int:
    """How many cores one computation may fill: one in a worker, process or thread, beside which
    others work, and no more than OMP_NUM_THREADS says.
    """
    if _for_another or parent_process() is not None or current_thread() is not main_thread():
        return 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), max(1, int(asked))) if asked.isdecimal() else cores()


def by_threads(function: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    """The results of a function for all items, computed by so many threads, this one among them.

    The others take part as soon as they get a core; nobody waits for one that has not begun. After
    an error or an interruption nobody begins another item.
    """
    helpers = min(threads, len(items)) - 1
    if helpers < 1:
        return [function(item) for item in items]
    found, numbers = [None] * len(items), iter(range(len(items)))

    def take() -> None:
        try:
            for k in numbers:
                found[k] = function(items[k])
        except BaseException:
            deque(numbers, maxlen=0)
            raise

    others = []
    for _ in range(helpers):
        # With the caller's context: numpy keeps there what it does about invalid numbers.
        there = copy_context()
        others.append(_helpers(helpers, os.getpid()).submit(there.run, take))
    try:
        take()
    finally:
        begun = [one for one in others if not one.cancel()]
        for one in begun:
            one.result()
    return found


def shares(blocks: int, size: int) -> list[slice]:
    """So many blocks in `size` consecutive parts of nearly equal length."""
    ends = [blocks * r // size for r in range(size + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def threads_worth(work: int, least: int) -> int:
    """How many threads to use for so much work: no more than there are free cores, and each with at
    least `least` of it.
    """
    most = work // least
    return 1 if most <= 1 else min(free_cores(), most)


@cache
def _helpers(count: int, _process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a process made from this one by `fork` has none of them."""
    return ThreadPoolExecutor(count)
