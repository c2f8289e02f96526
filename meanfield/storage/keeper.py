"""Checkpoints: a long run keeps its file up to date, so that a kill at any instant loses minutes,
not days.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

from meanfield.checks import real
from meanfield.describe import describe, same
from meanfield.games.base import Game
from meanfield.storage import files
from meanfield.storage.atomic import stamp, sweep
from meanfield.storage.lock import Lock
from meanfield.storage.named import fill_in

EVERY = 30.0  # seconds between checkpoints, where nothing else is asked for
# Ctrl-C, the end asked for by a system or a scheduler, and a terminal that was closed.
STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
SHARE = 0.005  # of a run's time that writing may then take: slow disks and large states wait longer


def checked_pause(every: float | None) -> float | None:
    """Seconds between checkpoints as a user gives them; TypeError or ValueError for none."""
    return None if every is None else real("checkpoint_every", every, 0.0)


class Keeps(Protocol):
    """What a run asks of its checkpoint: a snapshot is offered at every state that a run can go on
    from.
    """

    def offer(self, snapshot: Callable[[], Any]) -> None: ...


class Keeper:
    """The file of one job, written every `every` seconds (0: at every chance) and at the end.

    By default it is written every 30 seconds, and less often where that would take more than half a
    percent of the run's time.

    job: plain data that say what is run (see `describe`); a file that holds another job is refused
    with ValueError. Used as a context it locks the file's name, and turns Ctrl-C, SIGTERM and
    SIGHUP into one last checkpoint at the next state that a run can go on from; a second Ctrl-C
    does not wait for it.
    """

    def __init__(
        self, path: str | os.PathLike[str], job: dict[str, Any], every: float | None = None
    ) -> None:
        self.path = files.checked_path(
            path
        ).resolve()  # whatever the run does to the working directory
        self.job = describe(job)
        self.every = checked_pause(every)
        self.written, self.cost, self.caught = -float("inf"), 0.0, 0
        self._before: dict[int, Any] = {}
        self._lock = Lock(self.path)
        self._seen = stamp(self.path)
        sweep(self.path.parent)

    def held(self, game: Game | None = None) -> tuple[Any, bool]:
        """What the file holds of this job and whether it is finished; (None, False) without a file.

        `game` takes the place of the stored one, which may be a function known by name only.

        Raises ValueError when it holds something else.
        """
        if not self.path.exists():
            return None, False
        header = files.read_header(self.path)
        if header.job is None or not same(header.job, self.job):
            raise ValueError(
                f"{self.path} holds another run{_difference(header.job, self.job)}; give another "
                "file name, or move it"
            )
        found = files.load_object(self.path)
        fill_in(found, game, None, str(self.path))
        return found, header.finished

    def offer(self, snapshot: Callable[[], Any]) -> None:
        """Write the snapshot if it is time, or if the run was asked to stop: then stop it."""
        now = perf_counter()
        pause = max(EVERY, self.cost / SHARE) if self.every is None else self.every
        if self.caught or now - self.written >= pause:
            self._write(snapshot(), finished=False)
        self.obey()

    def finish(self, result: Any) -> None:
        """Write the finished result; then stop what comes after it, if that was asked for."""
        self._write(result, finished=True)
        self.obey()

    def obey(self) -> None:
        """Stop what runs, where that was asked for."""
        if self.caught == signal.SIGINT:
            raise KeyboardInterrupt
        if self.caught:
            raise SystemExit(128 + self.caught)

    def _write(self, result: Any, finished: bool) -> None:
        clock = perf_counter()
        files.write_file(self.path, describe(result), finished, self.job)
        self.written = perf_counter()
        self.cost = self.written - clock

    def __enter__(self) -> Keeper:
        self._lock.take()
        if stamp(self.path) != self._seen:
            self._lock.release()
            raise ValueError(
                f"{self.path} was written by another run just now; start this one again, or give "
                "another file name"
            )
        if threading.current_thread() is threading.main_thread():
            for number in STOPS:
                if signal.getsignal(number) is signal.SIG_IGN:  # by nohup, say
                    continue
                self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._lock.release()

    def _catch(self, number: int, _: Any) -> None:
        if self.caught:
            raise KeyboardInterrupt
        self.caught = number


class Part:
    """The checkpoint of a run within a larger one: its snapshots are wrapped before they are
    offered.
    """

    def __init__(self, keeper: Keeps, wrap: Callable[[Any], Any]) -> None:
        self.keeper, self.wrap = keeper, wrap

    def offer(self, snapshot: Callable[[], Any]) -> None:
        self.keeper.offer(lambda: self.wrap(snapshot()))

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: Any) -> None:
        """The larger run ends it."""


class StopsWith(Part):
    """The checkpoint of a run that serves another one: nothing of it is written, and it stops when
    the other one is asked to.
    """

    def __init__(self, keeper: Keeper) -> None:
        self.keeper: Keeper = keeper

    def offer(self, snapshot: Callable[[], Any]) -> None:
        self.keeper.obey()


def _difference(held: Any, wanted: dict[str, Any]) -> str:
    """Which part of the job differs, in words."""
    if not isinstance(held, dict):
        return ""
    names = [key for key in wanted if key not in held or not same(held[key], wanted[key])]
    inner = [
        f"{k}: {held[key].get(k)!r} there, {wanted[key].get(k)!r} here"
        for key in names
        if isinstance(wanted[key], dict) and isinstance(held.get(key), dict)
        for k in {**wanted[key], **held[key]}
        if not same(held[key].get(k), wanted[key].get(k))
    ]
    return f" (it differs in {', '.join(inner or names)})" if names else ""
