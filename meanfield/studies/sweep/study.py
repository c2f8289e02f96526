"""`sweep`: a computation at every point of a grid of its parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from meanfield.checks import known_name, refuse_unknown, truth
from meanfield.executors import Given, Workers
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.packing import check_findable, threads_for
from meanfield.start import Start
from meanfield.storage.files import write_file
from meanfield.storage.lock import Lock
from meanfield.studies.sweep.axes import Axis, axis, points
from meanfield.studies.sweep.costs import weight
from meanfield.studies.sweep.folder import Folder
from meanfield.studies.sweep.running import compute
from meanfield.studies.sweep.table import Sweep, tabulated
from meanfield.studies.sweep.tasks import CALLS, Outcome, Task

KEEP = ("numbers", "all")


def sweep(
    call: str | Callable[..., Any],
    game: Game | Callable[..., Game],
    flow: Flow | Callable[..., Flow] | None = None,
    start: Start | Callable[..., Start] | None = None,
    *,
    over: Mapping[str, Iterable[Any]],
    folder: str | os.PathLike[str] | None = None,
    part: tuple[int, int] | None = None,
    only_failed: bool = False,
    keep: str = "numbers",
    threads: int | None = None,
    executor: Given = None,
    progress: bool | None = None,
    **options: Any,
) -> Sweep:
    """Compute at every point of a grid of parameters, by any executor, and gather the results.

        mf.sweep(mf.solve, mf.games.oscillator, mf.Langevin, start, time=20.0, record=["ni"],
                 over={"game.coupling": [1.0, 2.0, 3.0], "flow.beta": [5.0, 10.0, 25.0]})

    Parameters
    ----------
    call : simulate, solve, compare, check, gibbs or nash, or their names
    game, flow, start
        What is given to each, or functions that make them of the parameters "game.NAME",
        "flow.NAME", "start.NAME". A game of the catalogue may be given itself: it is made again
        with the swept arguments in place of its own.
    over : mapping from names to values
        A grid: every value of each with every value of the others. Names without a dot are options
        of the call. "a, b" takes rows of values that change together. "replica" and "seed" make
        replicas.
    folder : path, optional
        Keeps every finished task at once. Called again, the sweep computes only what is missing, in
        this or another process: a task is known by a digest of all that decides its result.
        Several processes may share a folder. Without a folder nothing is kept.
    part : (i, n), optional
        Compute the i-th of n parts, i = 1, ..., n, as one job of an array of n.
    only_failed : bool
        Compute again those that failed before, and nothing else. Otherwise they stay as they are.
    keep : "numbers" or "all"
        "all" keeps whole results in folder/results, each as `save` writes it.
    threads, executor
        As in `compare`. A task whose worker dies is computed again.
    options
        Those of the call, the same for all points; record=["ni"] for the Nikaido-Isoda error of
        runs at every saved time.

    Returns
    -------
    Sweep
        The table of what became of every task; a task that fails has its traceback there, and does
        not stop the others.

    Raises
    ------
    ValueError, TypeError
        For parameters that do not fit, before anything is computed. Errors in a task are part of
        the result.
    """
    name = call if isinstance(call, str) else getattr(call, "__name__", repr(call))
    known_name("call", name, CALLS)
    if not CALLS[name][1] and (flow is not None or start is not None):
        raise ValueError(f"{name} does not depend on a flow or start; leave them out")
    axes = [_axis(key, values) for key, values in over.items()]
    tasks = [_task(name, (game, flow, start), options, labels) for labels in points(axes)]
    return run(
        tasks, axes, None if folder is None else Folder(folder), part, only_failed, keep, threads,
        executor, progress,
    )  # fmt: skip


def _axis(key: str, values: Iterable[Any]) -> Axis:
    try:
        return axis(key, values)
    except ValueError as error:
        raise ValueError(f"over[{key!r}] {error}") from None


PARTS = ("game", "flow", "start")


def _task(
    call: str, given: tuple[Any, Any, Any], options: dict[str, Any], labels: dict[str, Any]
) -> Task:
    """The task of one point."""
    own: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    how = dict(options)
    for name, value in labels.items():
        part, _, rest = name.rpartition(".")
        if part and part not in PARTS:
            raise ValueError(f"over[{name!r}]: names begin with game., flow. or start., or no dot")
        (own[part] if part else how)[rest] = value
    played, moved, begun = (
        _made(part, what, own[part]) for part, what in zip(PARTS, given, strict=True)
    )
    return Task(call, played, moved, begun, how, labels)


def _made(part: str, given: Any, arguments: dict[str, Any]) -> Any:
    """A game, flow or start with the swept arguments."""
    known = {"game": Game, "flow": Flow, "start": Start}[part]
    if given is None or isinstance(given, known):
        if not arguments:
            return given
        names, recipe = ", ".join(arguments), getattr(given, "recipe", None)
        if recipe is None:
            raise ValueError(
                f"over: {part}.{names} needs {part}= as a function of {names} that makes one"
            )
        from meanfield import games

        make = getattr(games, recipe[0])
        _check_names(make, arguments)
        return make(**{**recipe[1], **arguments})
    if not callable(given):
        raise TypeError(f"{part} must be a {known.__name__} or make one, got {given!r}")
    _check_names(given, arguments)
    made = given(**arguments)
    if not isinstance(made, known):
        raise TypeError(f"{part} must make a {known.__name__}, it made {made!r}")
    return made


def _check_names(make: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """TypeError for swept arguments that a function has not, with what was meant."""
    takes = signature(make).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in takes):
        refuse_unknown(getattr(make, "__name__", repr(make)), arguments, [p.name for p in takes])


def run(
    tasks: list[Task], axes: list[Axis], folder: Folder | None, part: tuple[int, int] | None = None,
    only_failed: bool = False, keep: str = "numbers", threads: int | None = None,
    executor: Given = None, progress: bool | None = None,
) -> Sweep:  # fmt: skip
    """Compute tasks, those done before apart, and gather; the same for the command line."""
    known_name("keep", keep, KEEP)
    truth("only_failed", only_failed)
    if folder is None and (keep == "all" or part is not None or only_failed):
        raise ValueError("keep, part and only_failed need a folder")
    keyed = [task.keyed() for task in tasks]
    found: dict[str, Outcome] = {}
    if folder is not None:
        folder.make()
        found = dict(folder.outcomes())
    todo = missing(keyed, found, part, only_failed)
    if todo:
        held = {id(part): part for task in todo for part in (task.game, task.start)}
        with Workers(executor, threads_for(threads, *held.values())) as workers:
            if workers.remote:
                for task in todo:
                    check_findable(task.game, workers.pool)
                    check_findable(task.start, workers.pool)
            weights = {task.key: weight(task) for task in todo}
            found |= compute(todo, weights, workers, folder, keep == "all", progress)
    return gather(keyed, axes, folder, found)


def missing(
    tasks: list[Task], found: dict[str, Outcome], part: tuple[int, int] | None = None,
    only_failed: bool = False,
) -> list[Task]:  # fmt: skip
    """Tasks to compute, each key once: those of the part without an outcome, or those failed."""
    unique = list({task.key: task for task in tasks}.values())
    if part is not None:
        i, n = part
        if not 1 <= i <= n:
            raise ValueError(f"part must be (i, n) with 1 <= i <= n, got {part}")
        unique = unique[i - 1 :: n]
    if only_failed:
        return [task for task in unique if task.key in found and found[task.key].error]
    return [task for task in unique if task.key not in found]


def gather(
    tasks: list[Task], axes: list[Axis], folder: Folder | None, found: dict[str, Outcome]
) -> Sweep:
    """The table of all tasks; in the folder's sweep.h5 as well once none is missing."""
    if folder is not None:
        found = {**found, **folder.outcomes()}
    table = tabulated(tasks, axes, found)
    if folder is not None and not table.missing:
        with _alone(folder.gathered):
            write_file(folder.gathered, table.described())
        folder.set_aside()
    return table


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """The lock of a file, waited for up to a minute: whoever has it writes the same."""
    lock, end = Lock(target), perf_counter() + 60
    while perf_counter() < end:
        with suppress(ValueError):
            lock.take()
            break
        sleep(0.05)
    else:
        lock.take()
    try:
        yield
    finally:
        lock.release()
