"""Replicas of a run, by threads or any executor, to the bits of the same runs one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from threading import Lock
from typing import Any

from meanfield.checks import refuse_unknown, whole
from meanfield.executors import Given, WorkerLost, Workers, shared, spread
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.packing import Packed, check_findable, pack, threads_for
from meanfield.particles.on_device import DeviceReplicas
from meanfield.particles.simulate import simulate, simulated
from meanfield.particles.state import compiled
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
    executor: Given | Workers = None,
    reduce: Callable[[Trajectory], Any] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Yield, in order, the trajectories of replicas 0, 1, ..., or what `reduce` makes of each.

    replicas: how many, or their numbers. A replica's number enters its starting points and its
    noise and nothing else does, so results are the same for any number of `threads` (default: all
    processors) and any executor, and equal simulate(..., replica=r). `reduce` runs in the worker,
    which then drops the trajectory; few are under way at a time. Low-rank games run outside
    Python's lock; others take turns. A function of yours is never called by two threads at once
    unless `threads` or `executor` is given: one thread runs games and starts that hold some.
    `options` are those of `simulate`. The arguments are checked when the first replica is asked
    for.

    executor: any `concurrent.futures.Executor`, or a function that makes one, in place of threads
    (`meanfield.executors`). Replicas that take less than 0.2 s are sent several at a time, those of
    a worker that died again. Functions, `reduce` among them, must be such as the executor can send.

    device="cuda": a graphics processor moves replicas of low-rank games together, as many as 2 GB
    of saved states hold; each has the bits of its own simulate(..., device="cuda"), and agrees with
    the processor's to rounding. `threads` and `executor` are then left out.

    Raises what `simulate` raises, at the replica it happened to; `WorkerLost` for a replica that
    no worker survived.
    """
    numbers = (
        list(range(whole("replicas", replicas))) if isinstance(replicas, int) else list(replicas)
    )
    numbers = [whole("replicas", r, 0) for r in numbers]
    for key in ("replica", "resume", "checkpoint"):
        if key in options:
            raise TypeError(f"{key} belongs to one run; it is no option of an ensemble")
    on_device = None
    if options.get("device") == "cuda" and compiled(game):
        if (executor, threads) != (None, None):
            raise ValueError(
                'device="cuda" moves replicas of low-rank games together: leave threads and '
                "executor out"
            )
        on_device, threads = DeviceReplicas(numbers), 1
    if executor is None and threads is None:
        reduce, options = _in_turn(reduce, options)
        threads = threads_for(None, game, flow, start)
    with shared(executor, threads) as workers, bar(len(numbers), "replicas", progress) as shown:
        if workers.remote:
            for held in (game, start):
                check_findable(held, workers.pool)
            one: Any = _Sent(pack(game), pack(flow), pack(start), time, options, reduce)
        else:
            one = _Replica(game, flow, start, time, options, reduce, on_device)
        for found in spread(one, numbers, workers, len(numbers), ordered=True):
            assert found is not None
            result = found[1]
            if isinstance(result, WorkerLost):
                raise result
            shown.update(1)
            whole_run = workers.remote and reduce is None
            yield replace(result, game=game) if whole_run else result


def _in_turn(reduce: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The same functions, no two of which are called at once."""
    lock = Lock()

    def alone(function: Any) -> Any:
        if isinstance(function, Mapping):
            return {name: alone(f) for name, f in function.items()}
        if not callable(function) or str(function.__module__).startswith("meanfield."):
            return function

        def call(*given: Any) -> Any:
            with lock:
                return function(*given)

        return call

    named = ("diagnostics", "stop", "callback")
    return alone(reduce), {k: alone(f) if k in named else f for k, f in options.items()}


@dataclass(frozen=True)
class _Replica:
    """Replicas of one run: called with a replica's number."""

    game: Game
    flow: Flow
    start: Start
    time: float
    options: dict[str, Any]
    reduce: Callable[[Trajectory], Any] | None
    on_device: DeviceReplicas | None = None

    def __call__(self, replica: int) -> Any:
        given = self.game, self.flow, self.start, self.time
        options = {"replica": replica, "progress": False, **self.options}
        if self.on_device is None:
            run = simulate(*given, **options)
        else:
            refuse_unknown("simulate", options, vars(simulate)["keywords"])
            asked = signature(simulate).bind(*given, **options)
            asked.apply_defaults()
            run = simulated(asked.arguments, self.on_device)
        return run if self.reduce is None else self.reduce(run)


@dataclass(frozen=True)
class _Sent:
    """The same on its way to another process, from where a trajectory returns without its game."""

    game: Packed
    flow: Packed
    start: Packed
    time: float
    options: dict[str, Any]
    reduce: Callable[[Trajectory], Any] | None

    def __call__(self, replica: int) -> Any:
        game, flow, start = (part.open() for part in (self.game, self.flow, self.start))
        found = _Replica(game, flow, start, self.time, self.options, self.reduce)(replica)
        return replace(found, game=None) if self.reduce is None else found
