"""The commands that compute: what they announce, run, write and say at the end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

from meanfield.cli import build
from meanfield.cli.schema import FIELD, OPTIONS, PARTICLES, RUN, BadInput
from meanfield.cli.spec import Spec, read
from meanfield.describe import describe, same
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.needs import Needs
from meanfield.start import Start
from meanfield.storage.files import checked_path, read_header, write_file
from meanfield.storage.keeper import EVERY
from meanfield.storage.lock import Lock


@dataclass(frozen=True)
class Problem:
    """A file's game, flow and start, and where its result goes."""

    spec: Spec
    game: Game
    flow: Flow | None
    start: Start
    out: Path
    every: float | None
    quiet: bool
    command: str

    def say(self, *lines: str) -> None:
        """Print lines, unless the command is quiet."""
        if not self.quiet:
            print(*lines, sep="\n", flush=True)

    def need(self, given: dict[str, Any], key: str, what: str, example: str) -> None:
        """BadInput unless the command's section, which has its name, gives this key."""
        if key not in given:
            message = f"{key} is missing: {what}, for example {key} = {example}"
            raise self.spec.fail((self.command,), message)


def problem(options: Any, needs_flow: bool = True) -> Problem:
    """Everything checked that can be checked before a run; BadInput says what is wrong where."""
    spec, command = read(options.file, options.set), options.command
    game = build.game(spec)
    flow = build.flow(spec) if needs_flow or "flow" in spec.content else None
    start = build.start(spec, game)
    output = spec.section("output")
    for name in ("run", "compare", "gibbs", "nash"):
        spec.section(name)
    usual = Path(options.file).stem + ("" if command == "run" else f"-{command}") + ".h5"
    named = output.get("file") if command == "run" else None
    out = checked_path(options.out or named or usual)
    every = output.get("checkpoint_every")
    return Problem(spec, game, flow, start, out, every, options.quiet, command)


def run(options: Any) -> int:
    """Follow a flow: meanfield run FILE.toml."""
    from meanfield.density.solve import solve
    from meanfield.particles.simulate import simulate
    from meanfield.studies.resume import diagnostics_of

    p = problem(options)
    given = run_options(p)
    particles = given.pop("level") == "particles"
    diagnostics = diagnostics_of(given.pop("record", []), p.game)
    with build.placed(p.spec, "run"):
        takes, plan = (particles_need if particles else _field_need)(p, given)
    p.say(f"{p.spec.path}: {p.flow.name} on {p.game.name}" if p.flow else "")
    _announce(p, takes, plan)
    return _checkpointed(p, simulate if particles else solve, {**given, "diagnostics": diagnostics})


def run_options(p: Problem) -> dict[str, Any]:
    given = p.spec.section("run")
    level = given.setdefault("level", "field")
    p.need(given, "time", "how long to follow the flow", "10.0")
    own, other = (FIELD, "particles") if level == "field" else (PARTICLES, "field")
    for key in given:
        if key not in RUN and key not in own:
            message = f'belongs to level = "{other}"; this run has level = "{level}"'
            raise p.spec.fail(("run", key), message)
    return {**given, **p.spec.section("run", {**RUN, **own})}


def particles_need(p: Problem, given: dict[str, Any]) -> tuple[Needs, str]:
    """What a run of particles takes, and the plan in words."""
    from meanfield.particles.plan import DEFAULTS, check_memory, make_plan
    from meanfield.particles.schemes import check_flow

    check_flow(p.game, p.flow, given.get("scheme", "euler"), given.get("bandwidth"))
    plan = make_plan(**{**DEFAULTS, **given})
    takes = check_memory(p.game, plan, p.flow, True)  # type: ignore[arg-type]
    n, m = plan.particles
    steps = f"{plan.steps:,} steps of {plan.step:g} ({plan.scheme})"
    return takes, f"{n:,} and {m:,} particles, {steps}, seed {plan.seed}"


def _field_need(p: Problem, given: dict[str, Any]) -> tuple[Needs, str]:
    """What a mean field takes, and the plan in words."""
    from meanfield.density.choice import build as engine
    from meanfield.density.choice import default_engine, needs
    from meanfield.schedule import saved_times

    if p.flow is not None:
        used = given.get("engine") or default_engine(p.game, p.flow)
        for key, (owner, _) in OPTIONS.items():
            if key in given and used != owner:
                message = f'belongs to engine = "{owner}"; this run uses "{used}"'
                raise p.spec.fail(("run", key), message)
    how = {key: value for key, value in given.items() if key in FIELD}
    saves = len(saved_times(given["time"], given.get("save_every")))
    kept: Any = {**how, "saves": saves, "file": True}
    moving = engine(p.game, p.flow, p.start, **kept)  # type: ignore[arg-type]
    x, y = moving.measures()
    plan = f"{moving.name}: {len(x):,} and {len(y):,} nodes, {saves} saved states"
    return needs(p.game, p.flow, p.start, **kept), plan  # type: ignore[arg-type]


def compare(options: Any) -> int:
    """Compare particles with the mean field: meanfield compare FILE.toml."""
    from meanfield.studies.compare import compare as study
    from meanfield.studies.plan import needs
    from meanfield.studies.plan import plan as make_plan
    from meanfield.studies.reference import REPLICAS

    p = problem(options)
    given = p.spec.section("compare")
    p.need(given, "time", "the length of the runs", "2.0")
    if options.threads is not None:
        given["threads"] = options.threads
    asked = signature(study).bind(p.game, p.flow, p.start, **given)  # type: ignore[arg-type]
    asked.apply_defaults()
    with build.placed(p.spec, "compare"):
        s = make_plan(**asked.arguments)
        takes = needs(p.game, p.flow, s, given["time"], given.get("threads"))  # type: ignore[arg-type]
        if s.reference:
            words = f"{REPLICAS} runs of {s.reference:,} particles and {REPLICAS} of half as many"
            plan = f"{words} in the mean field's place"
        else:
            plan = _field_need(p, {**s.field, "time": given["time"], "save_every": s.gap})[1]
    if p.flow:
        what = f"particles against the mean field, {p.flow.name} on {p.game.name}"
        p.say(f"{p.spec.path}: {what}")
    _announce(p, takes, plan)
    return _checkpointed(p, study, given)


def gibbs(options: Any) -> int:
    """Find the Gibbs fixed point: meanfield gibbs FILE.toml."""
    from meanfield.equilibria import gibbs as fixed_point

    p = problem(options, needs_flow=False)
    return _once(p, gibbs_options(p), fixed_point)


def gibbs_options(p: Problem) -> dict[str, Any]:
    """What [gibbs] says; the inverse temperature is the flow's where it says none."""
    given = p.spec.section("gibbs")
    if "beta" not in given and p.flow is not None and min(p.flow.temperature) > 0:
        given["beta"] = tuple(1 / t for t in p.flow.temperature)
    p.need(given, "beta", "the inverse temperature", "10.0")
    return given


def nash(options: Any) -> int:
    """Find a mixed Nash equilibrium: meanfield nash FILE.toml."""
    from meanfield.equilibria import nash as equilibrium

    p = problem(options, needs_flow=False)
    return _once(p, p.spec.section("nash"), equilibrium)


def _once(p: Problem, given: dict[str, Any], compute: Callable[..., Any]) -> int:
    """A result without checkpoints: computed and written unless the file holds it already."""
    with Lock(p.out.resolve()):
        return _once_locked(p, given, compute)


def _once_locked(p: Problem, given: dict[str, Any], compute: Callable[..., Any]) -> int:
    job = describe({"call": p.command, "game": p.game, "options": given})
    if p.out.exists():
        if not same(read_header(p.out).job, job):
            raise BadInput(
                f"{p.out} holds another result; give another name with --out, or move it"
            )
        p.say(f"{p.out} holds this result already", f"next: meanfield show {p.out}")
        return 0
    p.say(f"{p.spec.path}: {p.command} of {p.game.name}")

    def computed() -> Any:
        result = compute(p.game, **given)
        write_file(p.out, describe(result), job=job)
        p.say(*(f"  {line}" for line in repr(result).splitlines()))
        return result

    return _computed(p, computed)


def _announce(p: Problem, takes: Needs, plan: str) -> None:
    """Say what the run needs, and what becomes of it when it is stopped."""
    free = shutil.disk_usage(p.out.resolve().parent).free
    # The file that is being replaced and the new one stand side by side for a moment.
    if 2 * takes.disk > free:
        raise BadInput(
            f"{p.out} needs up to {bytes_of(2 * takes.disk)} of disk, {bytes_of(free)} are free: "
            "save less often"
        )
    every = EVERY if p.every is None else p.every
    memory, disk = bytes_of(takes.memory), bytes_of(takes.disk)
    p.say(
        f"  {plan}",
        f"  needs about {memory} of memory, {disk} of disk ({bytes_of(free)} free)",
        f"  keeps {p.out} up to date about every {every:g} s; after Ctrl-C: "
        f"meanfield resume {p.out}",
    )
    if p.out.exists():
        done = read_header(p.out).finished
        state = "finished" if done else "unfinished: going on from it"
        p.say(f"  {p.out} is there already, {state}")


def _checkpointed(p: Problem, call: Callable[..., Any], how: dict[str, Any]) -> int:
    """A run or comparison that keeps its file up to date."""
    how = {**how, "progress": False if p.quiet else None}
    how |= {"checkpoint": p.out, "checkpoint_every": p.every}
    return _computed(p, lambda: call(p.game, p.flow, p.start, **how))


def _computed(p: Problem, compute: Callable[[], Any]) -> int:
    clock, there = perf_counter(), _is_finished(p.out)
    with build.placed(p.spec, p.command):
        result = compute()
    if there:
        p.say(f"{p.out} stays as it is; next: meanfield show {p.out}")
    else:
        finished(p.out, result, clock, p.quiet)
    return 0


def finished(out: Path, result: Any, clock: float, quiet: bool) -> None:
    """Say what was written, and what to do next."""
    if quiet:
        return
    if hasattr(result, "samples"):
        print(*(f"  {line}" for line in repr(result).splitlines()), sep="\n")
    print(f"wrote {out} ({bytes_of(out.stat().st_size)}) in {perf_counter() - clock:.1f} s")
    print(f"next: meanfield show {out}", flush=True)


def bytes_of(size: float) -> str:
    """A number of bytes in words, such as 3.5 MB."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB" if size < 1000 else f"{size:,.0f} GB"


def resume(options: Any) -> int:
    """Finish a run that was stopped or killed: meanfield resume RUN.h5."""
    from meanfield.studies.resume import resume as go_on

    out, say = Path(options.file), (lambda *_, **__: None) if options.quiet else print
    header = read_header(out)
    if header.finished:
        say(f"{out} is finished ({header.kind}); look at it with: meanfield show {out}")
        return 0
    clock = perf_counter()
    say(f"{out}: going on", flush=True)
    result = go_on(out, progress=False if options.quiet else None)
    finished(out, result, clock, options.quiet)
    return 0


def target(options: Any) -> Path | None:
    """The file that a stopped command was writing."""
    if options.command == "resume":
        return Path(options.file)
    if options.command not in ("run", "compare"):
        return None
    try:
        return problem(options).out
    except ValueError:
        return None


def stopped(out: Path | None, code: int, again: str = "") -> int:
    """Say, after Ctrl-C or SIGTERM, what is there and how to go on; returns the exit code.

    again: the command that goes on, `meanfield resume` by default.
    """
    said = "nothing was written"
    if out and _is_finished(out):
        said = f"{out} holds the finished run. Look at it with: meanfield show {out}"
    elif out and out.is_file():
        said = f"{out} holds the run so far. Go on with: {again or f'meanfield resume {out}'}"
    print(f"\nstopped; {said}", file=sys.stderr)
    return code


def _is_finished(out: Path) -> bool:
    try:
        return read_header(out).finished
    except (ValueError, OSError):
        return False  # not ours
