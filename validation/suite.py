"""Running claims: parts are computed once and stored, verdicts and pictures are made from what is
stored.

A claim is a module of this folder:

    its docstring       the title, then the statement with its equation
    Settings            a frozen dataclass of plain numbers; QUICK and FULL are two of them
    parts(s)            {name: functools.partial(function of this module, *plain arguments)}: each
                        returns arrays
    judge(s, data)      list[Verdict] from {part: {array name: array}}
    draw(s, data)       {picture name: matplotlib Figure} from the same
    SABOTAGES           {what is broken: Settings} under which the claim must fail
    note(data)          where there is one: what a reader of the verdicts must know, such as a check
                        left out

Parts are independent of one another, so that they run in several processes, and a stopped run goes
on with the parts that are missing. A change of the module's code other than `judge` and `draw`
makes its parts anew; after a change of the package within a version they are kept, and the report
says which: ask for --fresh.
"""

from __future__ import annotations

import ast
import importlib
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import active_children, get_context
from pathlib import Path
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np

from meanfield.executors import Given, WorkerLost, Workers, spread
from meanfield.progress import bar
from meanfield.studies.stored import Data, held, keep, key, package, package_of
from meanfield.studies.verdicts import FAILS, Verdict, overall

CLAIMS = (
    "theorem1_fixed_point",
    "theorem1_epsilon",
    "theorem1_if",
    "temperature",
    "theorem2",
    "theorem3",
    "plain_flow",
    "transport_speed",
    "discretisation",
    "distance_and_dimension",
    # the package's own
    "equilibria",
    "cures",
    "partial_curvature",
    "w2_circle",
    "exact_answers",
    "w2_surfaces",
    "schemes",
    "schemes_surfaces",
    "concentration",
    "coverage",
    "kills",
)

FRAME = "validation.suite"
Part = Callable[[], Mapping[str, Any]]


@dataclass
class Outcome:
    """What became of one claim. `failed` holds the tracebacks of parts that could not be computed;
    `older` names parts that were stored by another state of the package."""

    name: str
    settings: Any
    verdicts: list[Verdict] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    older: list[str] = field(default_factory=list)
    sabotages: dict[str, Outcome] = field(default_factory=dict)
    note: str = ""

    @property
    def outcome(self) -> str:
        if self.failed:
            return FAILS
        return "not computed" if self.missing else overall(self.verdicts)

    @property
    def caught(self) -> bool:
        """Whether every broken input makes the claim fail by a number, not by an exception or a
        NaN.
        """
        return all(broken.fails_by_a_number for broken in self.sabotages.values())

    @property
    def fails_by_a_number(self) -> bool:
        return not self.failed and any(
            v.outcome == FAILS and np.isfinite(v.measured) for v in self.verdicts
        )


@dataclass(frozen=True)
class Task:
    """One part of a claim and the file of its data."""

    path: Path
    key: str
    compute: Part


def module(name: str) -> Any:
    """The claim's module."""
    return importlib.import_module(f"validation.{name}")


@cache
def source(name: str) -> str:
    """A stamp of what a module computes with: its code and its helpers', without `judge`, `draw`
    and `note`.
    """
    tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text(encoding="utf-8"))
    kept = [
        node for node in tree.body[1:] if getattr(node, "name", "") not in ("judge", "draw", "note")
    ]
    helpers = [
        str(n.module)
        for n in kept
        if isinstance(n, ast.ImportFrom) and str(n.module).startswith("validation.")
    ]
    used = [source(helper) for helper in helpers if helper != FRAME]
    return f"{crc32(''.join([*map(ast.dump, kept), *used]).encode()):08x}"


def tasks(parts: Mapping[str, Part], folder: Path) -> dict[str, Task]:
    """The parts with their files; a part is its function and arguments, and the code around it."""
    found = {}
    for name, part in parts.items():
        assert isinstance(part, partial), (
            f"part {name} must be a functools.partial of a function with plain arguments"
        )
        func = part.func
        made_with = [
            f"{func.__module__}.{func.__qualname__}",
            part.args,
            part.keywords,
            source(func.__module__),
        ]
        made = key(made_with)
        found[name] = Task(folder / f"{name}-{crc32(made.encode()):08x}.npz", made, part)
    return found


def timed(part: Part) -> tuple[dict[str, np.ndarray], float]:
    """A part's arrays and the seconds they took."""
    clock = perf_counter()
    data = {name: np.asarray(value) for name, value in part().items()}
    return data, perf_counter() - clock


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started within use one thread for linear algebra: they fill the cores already."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def tried(part: Part) -> tuple[tuple[Data, float] | None, str]:
    """A part's arrays and seconds, or the traceback of its failure."""
    try:
        return timed(part), ""
    except Exception:
        return None, traceback.format_exc()


def spaced(wanted: list[Task]) -> list[Task]:
    """The same tasks in van der Corput's order, which puts neighbours far apart. Neighbours need
    the same compiled kernels; processes that began with them would all compile these.
    """
    bits = len(wanted).bit_length()
    order = sorted(range(len(wanted)), key=lambda k: f"{k:0{bits}b}"[::-1])
    return [wanted[k] for k in order]


def compute(
    wanted: list[Task], jobs: int, show: bool | None = None, executor: Given = None
) -> dict[Path, str]:
    """Compute and store tasks, in processes of ours or by any executor; the tracebacks of those
    that failed. This process alone writes.
    """
    failed: dict[Path, str] = {}
    wanted = spaced(wanted)

    def finish(task: Task, found: tuple[Data, float] | None, error: str) -> None:
        if found is None:
            failed[task.path] = error
            return
        try:
            keep(task.path, task.key, *found)
        except Exception:
            failed[task.path] = traceback.format_exc()

    with bar(len(wanted), "parts", show) as progress:

        def told(task: Task) -> None:
            # The claim and the part, without the stamp of its settings.
            name = task.path.stem.rpartition("-")[0].replace("_", " ")
            progress.set_description(f"{task.path.parent.name}: {name}")
            progress.update()

        if executor is None and (jobs == 1 or len(wanted) < 2):
            for task in wanted:
                finish(task, *tried(task.compute))
                told(task)
            return failed
        spawned = partial(ProcessPoolExecutor, min(jobs, len(wanted)) or 1, get_context("spawn"))
        with one_thread_each(), Workers(executor or spawned) as workers:
            try:
                for found in spread(tried, [t.compute for t in wanted], workers, len(wanted)):
                    assert found is not None
                    task, result = wanted[found[0]], found[1]
                    lost = (None, str(result)) if isinstance(result, WorkerLost) else result
                    finish(task, *lost)
                    told(task)
            except KeyboardInterrupt:
                for worker in active_children():  # else they would finish their parts, for minutes
                    worker.terminate()
                raise
    return failed


def collect(
    name: str, settings: Any, folder: Path, failed: Mapping[Path, str], pictures: Path | None
) -> Outcome:
    """Judge a claim from what is stored in `folder`, and draw it to `pictures`."""
    claim, outcome = module(name), Outcome(name, settings)
    data: dict[str, Data] = {}
    for part, task in tasks(claim.parts(settings), folder).items():
        if task.path in failed:
            outcome.failed[part] = failed[task.path]
        elif (found := held(task.path, task.key)) is None:
            outcome.missing.append(part)
        else:
            data[part], outcome.seconds[part] = found
            if package_of(task.path) != package():
                outcome.older.append(part)
    if not outcome.failed and not outcome.missing:
        try:
            outcome.verdicts = claim.judge(settings, data)
            outcome.note = claim.note(data) if hasattr(claim, "note") else ""
            if pictures is not None:
                from validation.pictures import styled

                with styled():
                    outcome.pictures = save(name, claim.draw(settings, data), pictures)
        except Exception:
            outcome.failed["judging and drawing"] = traceback.format_exc()
    return outcome


def save(name: str, figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """The pictures as PNG files, their formulas typeset."""
    from validation.pictures import typeset

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for picture, figure in figures.items():
        paths.append(folder / f"{name}-{picture}.png")
        typeset(figure)
        figure.savefig(paths[-1], dpi=120)
    return paths


def run(
    names: Sequence[str],
    quick: bool,
    out: Path,
    *,
    jobs: int = 1,
    stored: bool = False,
    fresh: bool = False,
    sabotage: bool = False,
    show: bool | None = None,
    executor: Given = None,
) -> list[Outcome]:
    """Compute what is missing (all with `fresh`, nothing with `stored`), then judge and draw every
    claim. Parts are computed in `jobs` processes, or by any `concurrent.futures.Executor`.
    """
    plan: list[tuple[str, str, Any]] = []
    for name in names:
        claim = module(name)
        plan.append((name, "", claim.QUICK if quick else claim.FULL))
        if sabotage:
            plan += [(name, what, settings) for what, settings in claim.SABOTAGES.items()]
    wanted = {
        task.path: task
        for name, _, settings in plan
        for task in tasks(module(name).parts(settings), out / name).values()
        if not stored and (fresh or held(task.path, task.key) is None)
    }
    failed = compute(list(wanted.values()), jobs, show, executor)
    outcomes: dict[str, Outcome] = {}
    for name, what, settings in plan:
        pictures = None if what else out / ("quick" if quick else "full")
        outcome = collect(name, settings, out / name, failed, pictures)
        if what:
            outcomes[name].sabotages[what] = outcome
        else:
            outcomes[name] = outcome
    return list(outcomes.values())
