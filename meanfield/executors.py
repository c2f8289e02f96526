"""Tasks for any `concurrent.futures.Executor`: sent in batches, and again when a worker has died.

Threads of this process by default; spawned processes, loky, Dask, executorlib, Parsl and MPI by
their own executors. There is no scheduler here: who works, where and for how long is theirs.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from inspect import signature
from itertools import islice
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any

from meanfield.checks import warn, whole
from meanfield.cores import cores, work_for_another

BATCH = 0.2  # seconds of work that are sent at once where single tasks are shorter
LARGEST = 500  # tasks in a batch
TRIES = 3  # losses of a task before it is sent alone; one more and it is given up
# Other executors' names for a worker that is gone, and what each says of the task it had.
GONE = {"KilledWorker": 2, "ManagerLost": 1, "WorkerLost": 1, "ExecutorlibSocketError": 1}

Given = Executor | Callable[[], Executor] | None


class WorkerLost(RuntimeError):
    """Every worker that was given this task died, the last one with nothing else to do."""


class Workers:
    """An executor and how many tasks it can work on at a time.

    given: an executor, which stays the caller's; a function that makes one; or None for `threads`
    threads of this process. Used as a context, it ends the executors that it made itself.
    """

    def __init__(self, given: Given, threads: int | None = None) -> None:
        if given is not None and not callable(given):
            _check("executor", given, " or a function that makes one")
        self.threads = whole("threads", cores() if threads is None else threads)
        # An executor's class makes executors, although it has their methods.
        makes = isinstance(given, type) or (callable(given) and not hasattr(given, "submit"))
        self.maker: Any = given if makes else None
        self.own = given is None or self.maker is not None
        self.pool: Any = self._made() if self.own else given
        # Threads of this process share its objects; to all others tasks go as plain data.
        self.remote = type(self.pool) is not ThreadPoolExecutor

    def _made(self) -> Executor:
        if self.maker is None:
            return ThreadPoolExecutor(self.threads)
        return _check("what executor makes", self.maker())

    @property
    def count(self) -> int:
        """Tasks that it works on at a time, as far as it tells; otherwise our cores."""
        client: Any = getattr(self.pool, "_client", None)
        if hasattr(client, "ncores"):
            return max(1, sum(client.ncores().values()))
        for name in ("_max_workers", "num_workers"):
            if isinstance(found := getattr(self.pool, name, None), int) and found > 0:
                return found
        return cores()

    def renew(self) -> None:
        """Another executor of the same kind in place of one that broke, or threads of our own."""
        old, again = self.pool, self.maker
        if again is None:
            again = _like(old)
        if self.own:
            _shut_down(old, False)
        if again is None:
            warn(
                f"{type(old).__name__} broke and cannot be made again: the rest is computed by "
                "threads of this process; give executor= as a function that makes one",
                RuntimeWarning,
            )
            again = self._made
        self.pool, self.own = again(), True

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self.own:
            _shut_down(self.pool, kind is None)


def _check(name: str, pool: Any, others: str = "") -> Any:
    """The executor; TypeError for what is none."""
    if not hasattr(pool, "submit"):
        raise TypeError(
            f"{name} must be a concurrent.futures.Executor{others}, got {type(pool).__name__}"
        )
    return pool


def _shut_down(pool: Executor, wait: bool) -> None:
    """Shut a pool down and drop what waits, where it can: Dask's takes no `cancel_futures`."""
    known = signature(pool.shutdown).parameters
    more = {"cancel_futures": True} if "cancel_futures" in known else {}
    pool.shutdown(wait=wait, **more)


def shared(given: Given | Workers, threads: int | None = None) -> AbstractContextManager[Workers]:
    """The workers of a larger job as they are, or those of this one."""
    return nullcontext(given) if isinstance(given, Workers) else Workers(given, threads)


def _like(old: Any) -> Callable[[], Executor] | None:
    """How to make another executor like one that broke, where that is known."""
    if type(old) is ProcessPoolExecutor:
        names = ("_max_workers", "_mp_context", "_initializer", "_initargs")
        given = [getattr(old, name) for name in names]
        return lambda: ProcessPoolExecutor(*given)
    loky = sys.modules.get("loky")
    if loky is not None and type(old).__module__.startswith("loky."):
        return lambda: loky.get_reusable_executor(max_workers=old._max_workers)
    return None


@dataclass
class Batch:
    """Tasks that are sent together: their numbers and what they are; lost: how often already."""

    numbers: list[int]
    items: list[Any]
    lost: int = 0
    alone: bool = False


@dataclass
class Done:
    """What a worker made of a batch: results, seconds a task, and the error that ended it early."""

    results: list[Any] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    error: BaseException | None = None


def work(call: Callable[[Any], Any], items: list[Any], remote: bool) -> Done:
    """A batch, in the worker."""
    if remote:
        work_for_another()
    done = Done()
    for item in items:
        clock = perf_counter()
        try:
            done.results.append(call(item))
        except Exception as error:
            if remote:  # which does not send tracebacks
                error.add_note(f"in a worker:\n{traceback.format_exc()}")
            done.error = error
            return done
        done.seconds.append(perf_counter() - clock)
    return done


def spread(
    call: Callable[[Any], Any],
    items: Iterable[Any],
    workers: Workers,
    total: int | None = None,
    ordered: bool = False,
    beat: float | None = None,
) -> Iterator[tuple[int, Any] | None]:
    """Yield (number, call(item)) of items 0, 1, ..., as they come back or in order.

    total: how many items there are, so that the last ones are shared out. beat: yield None when
    nothing came back for so many seconds. A task whose workers all died is yielded as a
    `WorkerLost`. Raises what `call` raises, after all results before it where `ordered`.
    """
    return _Spread(call, iter(items), workers, total, ordered, beat).run()


class _Spread:
    def __init__(
        self, call: Callable[[Any], Any], items: Iterator[Any], workers: Workers,
        total: int | None, ordered: bool, beat: float | None,
    ) -> None:  # fmt: skip
        self.call, self.items, self.workers = call, items, workers
        self.total, self.ordered, self.beat = total, ordered, beat
        self.back: SimpleQueue[Future[Any]] = SimpleQueue()
        self.running: dict[Future[Any], Batch] = {}
        self.again: deque[Batch] = deque()
        self.taken = self.first = 0  # items taken so far; number of the first not yet yielded
        self.fastest = float("inf")  # seconds a task
        self.held: dict[int, Any] = {}

    def run(self) -> Iterator[tuple[int, Any] | None]:
        try:
            while self._send():
                try:
                    future = self.back.get(timeout=self.beat)
                except Empty:
                    yield None
                    continue
                if future in self.running:  # not one of an executor that broke since
                    self._take(future)
                    yield from self._ready()
        finally:
            for future in self.running:
                future.cancel()

    def _send(self) -> bool:
        """Keep all workers busy; whether anything is under way."""
        room = 2 * self.workers.count
        while len(self.running) < room:
            batch = self._next(room)
            if batch is None:
                break
            self._submit(batch)
        return bool(self.running)

    def _next(self, room: int) -> Batch | None:
        if any(b.alone for b in self.running.values()):
            return None
        if self.again:
            if self.again[0].alone and self.running:
                return None
            return self.again.popleft()
        size = self._size()
        if self.ordered and self.taken - self.first >= room * size:
            return None  # results that wait for an earlier one would pile up
        items = list(islice(self.items, size))
        if not items:
            return None
        numbers = list(range(self.taken, self.taken + len(items)))
        self.taken += len(items)
        return Batch(numbers, items)

    def _size(self) -> int:
        """Tasks in the next batch: enough for `BATCH` seconds, and no worker goes without."""
        if not self.fastest < BATCH:
            return 1
        size = min(LARGEST, int(BATCH / max(self.fastest, 1e-6)))
        if self.total is not None:
            size = min(size, -(-(self.total - self.taken) // self.workers.count))
        return max(1, size)

    def _submit(self, batch: Batch) -> None:
        given = (work, self.call, batch.items, self.workers.remote)
        try:
            future = self.workers.pool.submit(*given)
        except (BrokenExecutor, RuntimeError):  # broken or shut down
            self._broken()
            future = self.workers.pool.submit(*given)
        self.running[future] = batch
        future.add_done_callback(self.back.put)

    def _take(self, future: Future[Any]) -> None:
        batch = self.running.pop(future)
        try:
            done: Done = future.result()
        except (Exception, CancelledError, KeyboardInterrupt) as error:
            if not (found := lost(error)):
                self._explain(error)
                raise
            self._lose(batch, found)
            if isinstance(error, BrokenExecutor):
                self._broken()
            return
        if done.seconds:
            self.fastest = min(self.fastest, sum(done.seconds) / len(done.seconds))
        self.held.update(zip(batch.numbers, done.results, strict=False))
        if done.error is not None:
            self.held[batch.numbers[len(done.results)]] = done.error

    def _explain(self, error: BaseException) -> None:
        """Raise TypeError, in our words, where the task could not be sent."""
        if "Pickl" not in type(error).__name__ and not re.search("pickl|serializ", str(error)):
            return
        name = type(self.workers.pool).__name__
        raise TypeError(
            f"the task cannot be sent to another process by {name}: {error}. Functions must stand "
            "at the top of a module that can be imported; loky and Dask send others too"
        ) from error

    def _lose(self, batch: Batch, found: int) -> None:
        """Send the tasks of a batch again, one by one; alone, and at last no more."""
        if batch.alone:
            self.held[batch.numbers[0]] = WorkerLost(
                f"every worker that was given this task died, {batch.lost + 1} in all; the last "
                "had no other task: it may need more memory than a worker has"
            )
            return
        times = batch.lost + found
        for number, item in zip(batch.numbers, batch.items, strict=True):
            self.again.append(Batch([number], [item], times, times >= TRIES))
        self.again = deque(sorted(self.again, key=lambda b: b.alone))

    def _broken(self) -> None:
        """All that the executor had is lost with it; what came back already is taken first."""
        for future in list(self.running):
            if future.done() and not future.cancelled() and future.exception() is None:
                self._take(future)
        for batch in self.running.values():
            self._lose(batch, 1)
        self.running.clear()
        self.workers.renew()

    def _ready(self) -> Iterator[tuple[int, Any]]:
        """What can be yielded; an error of `call` is raised."""
        order = sorted(self.held) if not self.ordered else iter(lambda: self.first, None)
        for number in order:
            if number not in self.held:
                return
            result = self.held.pop(number)
            self.first += 1
            if isinstance(result, Exception) and not isinstance(result, WorkerLost):
                raise result
            yield number, result


def lost(error: BaseException) -> int:
    """How many workers this error says are gone; 0 where it is an error of the task itself."""
    if isinstance(error, (BrokenExecutor, CancelledError, KeyboardInterrupt)):
        return 1
    return GONE.get(type(error).__name__, 0)
