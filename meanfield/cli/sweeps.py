"""`meanfield sweep FILE.toml`: a run, comparison, nash or gibbs over a grid of the file's keys."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from meanfield.cli import build, jobs
from meanfield.cli.grid import axes_of, settings_of, substituted
from meanfield.cli.schema import BadInput
from meanfield.cli.spec import Spec, read
from meanfield.cli.workers import executor
from meanfield.cores import cores
from meanfield.packing import digest
from meanfield.studies.sweep import costs, study
from meanfield.studies.sweep.axes import points, shown
from meanfield.studies.sweep.folder import Claims, Folder
from meanfield.studies.sweep.running import duration, two_digits
from meanfield.studies.sweep.table import Sweep
from meanfield.studies.sweep.tasks import Task


def sweep(options: Any) -> int:
    """Compute what is missing, and gather: meanfield sweep FILE.toml."""
    spec = read(options.file, options.set)
    settings, axes = settings_of(spec), axes_of(spec)
    folder = Folder(options.out or settings.get("folder") or f"{Path(options.file).stem}-sweep")
    part = part_of(options.part)
    tasks = [task.keyed() for task in _tasks(spec, settings["command"], axes, folder)]
    say = (lambda *_: None) if options.quiet else partial(print, sep="\n", flush=True)
    say(f"{spec.path}: {len(tasks)} tasks, {settings['command']} over {_over(axes)}")
    if options.status:
        print(status(tasks, folder))
        return 0
    if options.dry_run:
        print(needs(tasks, settings["keep"], folder, say))
        return 0
    clock = perf_counter()
    found = study.run(
        tasks, axes, folder, part, options.only_failed, settings["keep"], options.workers,
        executor(options), False if options.quiet else None,
    )  # fmt: skip
    say(*(f"  {line}" for line in repr(found).splitlines()))
    say(*finished(found, folder, perf_counter() - clock, options))
    return 1 if found.failed else 0


def _over(axes: list[Any]) -> str:
    return ", ".join(f"{', '.join(a.names)} ({len(a.values)})" for a in axes)


def part_of(written: str | None) -> tuple[int, int] | None:
    """--part i/n."""
    if written is None:
        return None
    i, _, n = written.partition("/")
    if not (i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n)):
        raise BadInput(f"--part {written!r} must be i/n with i from 1 to n, such as 3/8")
    return int(i), int(n)


def _tasks(spec: Spec, command: str, axes: list[Any], folder: Folder) -> Iterator[Task]:
    """The task of every point, its values checked as if they stood in the file."""
    made: dict[str, Any] = {}

    def once(what: str, of: Any, make: Any) -> Any:
        """Objects that several points share are made once."""
        mark = what + digest(of)
        if mark not in made:
            made[mark] = make()
        return made[mark]

    for labels in points(axes):
        here = substituted(spec, labels)
        parts = [here.content.get(name, {}) for name in ("game", "flow", "start")]
        game = once("game", parts[0], partial(build.game, here))
        flow = None
        if command in ("run", "compare", "check") or "flow" in here.content:
            flow = once("flow", parts[1], partial(build.flow, here))
        start = once("start", parts[::2], partial(build.start, here, game))
        p = jobs.Problem(here, game, flow, start, folder.path, None, True, command)
        call, how = _call(p)
        yield Task(call, game, flow, start, how, labels)


def _call(p: jobs.Problem) -> tuple[str, dict[str, Any]]:
    """What the command calls, and with what."""
    if p.command == "run":
        given = jobs.run_options(p)
        particles = given.pop("level") == "particles"
        if particles:
            with build.placed(p.spec, "run"):
                jobs.particles_need(p, {key: v for key, v in given.items() if key != "record"})
        return "simulate" if particles else "solve", given
    if p.command == "gibbs":
        return "gibbs", jobs.gibbs_options(p)
    given = p.spec.section(p.command)
    if p.command == "compare":
        p.need(given, "time", "the length of the runs", "2.0")
    given.pop("threads", None)
    return p.command, given


def status(tasks: list[Task], folder: Folder) -> str:
    """How far the sweep is, by what its folder holds."""
    found, keys = folder.outcomes(), list({task.key: None for task in tasks})
    held = [found[key] for key in keys if key in found]
    failed = [outcome for outcome in held if outcome.error]
    left = [key for key in keys if key not in found]
    running = 0
    if folder.path.is_dir() and left:
        with Claims(folder.path) as claims:
            for key in left:
                if claims.take(key):
                    claims.release(key)
                else:
                    running += 1
    work = sum(outcome.seconds for outcome in held)
    lines = [
        f"{folder.path}: {len(held) - len(failed)} done, {len(failed)} failed, {running} under "
        f"way, {len(left) - running} to do; {duration(work)} of work so far"
    ]
    weights = {task.key: costs.weight(task) for task in tasks}
    # The first task of a process waits for kernels: the median passes over it.
    done = [key for key in keys if key in found and not found[key].error]
    paces = [found[key].seconds / weights[key] for key in done]
    if left and len(paces) >= 5:
        rest = median(paces) * sum(weights[key] for key in left)
        lines.append(f"  left: about {duration(rest)} of work")
    for outcome in failed[:5]:
        where = ", ".join(f"{name} = {shown(v)}" for name, v in outcome.labels.items())
        lines.append(f"  failed: {where}: {outcome.error.strip().splitlines()[-1]}")
    return "\n".join(lines)


def needs(tasks: list[Task], keep: str, folder: Folder, say: Any) -> str:
    """What the tasks need that are not done, by a short run of the smallest."""
    found = folder.outcomes()
    todo = study.missing(tasks, found)
    if not todo:
        return f"  nothing is left to compute: {len(tasks)} tasks are in {folder.path}"
    say("  timing a short run of the smallest task; the first in an installation compiles for it")
    e, here = costs.estimate(todo, keep == "all"), cores()
    whole = "the smallest task" if e.share >= 1 else f"{e.share:.2g} of the smallest task"
    return "\n".join([
        f"  {len(todo)} of {len(tasks)} tasks are to do",
        f"  {two_digits(e.seconds / 3600)} core-hours, about {duration(e.seconds / here)} on the "
        f"{here} cores here, by a run of {whole} ({e.timed:.2g} s), the others in proportion",
        f"  {jobs.bytes_of(e.memory)} of memory a worker, {jobs.bytes_of(e.disk)} of disk",
    ])  # fmt: skip


def finished(found: Sweep, folder: Folder, seconds: float, options: Any) -> list[str]:
    """Write what a whole sweep gives; lines that say what is there and what to do next."""
    said = []
    if found.failed:
        said.append(
            f"{len(found.failed)} tasks failed; their tracebacks are in the results; again: "
            f"meanfield sweep {options.file} --only-failed"
        )
    if found.missing:
        said.append(f"{found.missing} tasks of the sweep are still to come, in other parts")
        return said
    table = found.to_csv(folder.path / "sweep.csv")
    said.append(f"wrote {folder.gathered} and {table} after {duration(seconds)}")
    picture = _picture(found, folder) if not options.no_plot else ""
    return [*said, *([picture] if picture else []), f"next: meanfield show {folder.gathered}"]


def stopped(options: Any, code: int) -> int:
    """Say, after Ctrl-C or SIGTERM, how to go on; returns the exit code."""
    said = "finished tasks are kept; the same command goes on with the others"
    print(f"\nstopped; {said}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    if any(t.name.startswith("ThreadPoolExecutor") for t in threading.enumerate()):
        # Tasks under way in threads would keep the process alive, for nothing: whoever writes has
        # ended already.
        os._exit(code)
    return code


def _picture(found: Sweep, folder: Folder) -> str:
    from meanfield.storage.atomic import replace

    try:
        figure = found.plot()
    except ValueError as error:
        return f"no picture: {error}"
    target = folder.path / "sweep.png"
    replace(target, lambda partial: figure.savefig(partial, dpi=160, format="png"))
    return f"drew {target}"
