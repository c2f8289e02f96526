"""The tasks of a sweep computed: claimed, spread over workers, stored, and told about."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.executors import WorkerLost, Workers, spread
from meanfield.machine import made
from meanfield.progress import bar
from meanfield.storage.keeper import STOPS
from meanfield.studies.sweep.folder import Claims, Folder
from meanfield.studies.sweep.tasks import Compute, Outcome, Task, packer

BEAT = 0.25  # seconds between looks at what was asked for meanwhile
AGAIN = 1.0  # seconds between looks at tasks that other processes compute


class Halted(BaseException):
    """Ends a run in a thread of ours whose sweep was stopped."""


class Stops:
    """Ctrl-C, SIGTERM and SIGHUP, noted while a sweep runs: it ends where nothing is lost."""

    def __init__(self) -> None:
        self.caught = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stops:
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup, say
                    self._before[number] = signal.signal(number, self._catch)
        return self

    def _catch(self, number: int, _: Any) -> None:
        if self.caught:
            raise KeyboardInterrupt
        self.caught = number

    def halt(self, *_: Any) -> None:
        """Called by runs in threads of this process at their saved times."""
        if self.caught:
            raise Halted

    def obey(self) -> None:
        if self.caught == signal.SIGINT:
            raise KeyboardInterrupt
        if self.caught:
            raise SystemExit(128 + self.caught)

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@dataclass
class Pace:
    """How long tasks take, and what that says of those left.

    weights: what each task to do is expected to cost, in any unit.
    """

    weights: dict[str, float]
    begun: float = field(default_factory=perf_counter)
    ratios: list[float] = field(default_factory=list)
    left: float = 0.0
    done: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self.left = sum(self.weights.values())
        self.whole = self.left

    def skip(self, outcome: Outcome) -> None:
        """Another process has computed this one."""
        self.left, self.done = self.left - self.weights[outcome.key], self.done + 1
        self.failed += bool(outcome.error)
        self.whole -= self.weights[outcome.key]

    def note(self, outcome: Outcome) -> None:
        weight = self.weights[outcome.key]
        self.left, self.done = self.left - weight, self.done + 1
        self.failed += bool(outcome.error)
        if not outcome.error:
            self.ratios.append(outcome.seconds / weight)

    def remaining(self) -> tuple[float, float] | None:
        """Seconds left, at best and at worst; None before five tasks are done.

        By the wall clock: what is left over what was done in the time since the start. The range is
        two standard errors of the tasks' own seconds.
        """
        finished = self.whole - self.left
        if len(self.ratios) < 5 or finished <= 0:
            return None
        rest = (perf_counter() - self.begun) * max(self.left, 0.0) / finished
        spread = 2 * np.std(self.ratios) / np.mean(self.ratios) / np.sqrt(len(self.ratios))
        return rest / (1 + spread), rest * (1 + spread)

    def __str__(self) -> str:
        total = len(self.weights)
        said = f"{self.done} of {total} tasks"
        said += f", {self.failed} failed" if self.failed else ""
        if self.done == total:
            return said
        rest = self.remaining()
        if rest is None:
            return f"{said}, time left not known yet"
        low, high = (duration(r) for r in rest)
        return f"{said}, about {low if low == high else f'{low} to {high}'} left"


def duration(seconds: float) -> str:
    """Seconds in words, to two digits below 100 hours and whole hours above."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{two_digits(seconds / size)} {unit}"
    return f"{two_digits(max(seconds, 1))} s"


def two_digits(number: float) -> str:
    """A number to two digits, or whole where it has more."""
    return f"{number:.2g}" if number < 99.5 else f"{number:,.0f}"


def compute(
    tasks: list[Task], weights: dict[str, float], workers: Workers, folder: Folder | None,
    whole: bool, progress: bool | None,
) -> dict[str, Outcome]:  # fmt: skip
    """Compute tasks that have different keys; those that other processes compute are waited for.

    Each is stored before the next is looked at. After Ctrl-C, SIGTERM or SIGHUP what came back is
    stored, and KeyboardInterrupt or SystemExit raised.
    """
    pace = Pace(weights)
    store, left = Store(folder, whole), tasks
    with Stops() as stops, store, bar(1.0, "", progress) as shown:
        # Whose guess does not know how long tasks are.
        shown.bar_format = getattr(shown, "bar_format", "").replace("<{remaining}", "")
        send = packer(workers.remote)
        call = Compute(whole, None if workers.remote else stops.halt)
        while left and not stops.caught:
            ours: list[Task] = []
            theirs: list[Task] = []
            items = (send(task) for task in store.free(left, ours, theirs, pace))
            for found in _until_halted(spread(call, items, workers, len(left), beat=BEAT)):
                if found is not None:
                    pace.note(store.take(ours[found[0]], found[1]))
                if stops.caught:  # what is under way is left to itself
                    break
                store.flush(idle=found is None)
                shown.set_description_str(str(pace), refresh=False)
                shown.update(1 - pace.left / max(pace.whole, 1e-300) - shown.n)
            store.flush(idle=True)
            if (left := theirs) and not stops.caught:
                waiting = f"waiting for {len(left)} tasks of other processes"
                shown.set_description_str(waiting, refresh=False)
                shown.update(0)
                time.sleep(AGAIN)
    stops.obey()
    return store.found


def _until_halted(results: Iterator[Any]) -> Iterator[Any]:
    """The results up to the first run that was halted."""
    with suppress(Halted), closing(results):  # type: ignore[type-var]
        yield from results


class Store:
    """Where finished tasks go: to memory and, where there is one, to the folder."""

    def __init__(self, folder: Folder | None, whole: bool) -> None:
        self.folder, self.whole = folder, whole
        self.found: dict[str, Outcome] = {}
        self.waiting: list[tuple[Outcome, Any]] = []
        self.since = perf_counter()
        self.claims = Claims(folder.path) if folder is not None else None
        self.before = {} if folder is None else dict(folder.outcomes())
        self.made = made()

    def __enter__(self) -> Store:
        if self.claims is not None:
            self.claims.__enter__()
        return self

    def __exit__(self, *rest: Any) -> None:
        try:
            self.flush(idle=True)
        finally:
            if self.claims is not None:
                self.claims.__exit__(*rest)

    def free(
        self, tasks: list[Task], ours: list[Task], theirs: list[Task], pace: Pace
    ) -> Iterator[Task]:
        """Tasks to compute, claimed and noted as ours; those that other processes compute as
        theirs.
        """
        for task in tasks:
            if self.claims is not None and not self.claims.take(task.key):
                theirs.append(task)
            elif self._done_meanwhile(task):
                pace.skip(self.found[task.key])
            else:
                ours.append(task)
                yield task

    def _done_meanwhile(self, task: Task) -> bool:
        """Whether another process has finished the task, or seen it fail, since we began."""
        if self.folder is None:
            return False
        outcome = self.folder.outcomes().get(task.key)
        if outcome is None or (outcome.error and outcome is self.before.get(task.key)):
            return False
        self.found[task.key] = outcome
        if self.claims is not None:
            self.claims.release(task.key)
        return True

    def take(self, task: Task, found: Any) -> Outcome:
        """Note what became of a task; a worker's death is its failure."""
        if isinstance(found, WorkerLost):
            found = Outcome("", {}, error=f"WorkerLost: {found}\n"), None
        outcome, result = found
        outcome.key, outcome.labels, outcome.call = task.key, task.labels, task.call
        outcome.made = outcome.made or self.made
        self.found[task.key] = outcome
        self.waiting.append((outcome, (task, result)))
        return outcome

    def flush(self, idle: bool) -> None:
        """Write what is waiting: when nothing else is to be done, or it has waited for a moment."""
        if not self.waiting or (not idle and perf_counter() - self.since < BEAT):
            return
        if self.folder is not None and self.claims is not None:
            for outcome, (task, result) in self.waiting:
                if result is not None:
                    self.folder.keep(outcome.key, result, task.job())
            self.folder.write([outcome for outcome, _ in self.waiting])
            for outcome, _ in self.waiting:
                self.claims.release(outcome.key)
        self.waiting, self.since = [], perf_counter()
