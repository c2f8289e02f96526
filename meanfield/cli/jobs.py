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
from meanfield.cli.schema import FIELD, OPTIONS, PARTICLES, RUN, BadInput, Spec, read
from meanfield.describe import describe, same
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.start import Start
from meanfield.storage.files import checked_path, read_header, write_file
from meanfield.storage.keeper import EVERY


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

    def say(self, *lines: str) -> None:
        if not self.quiet:
            print(*lines, sep="\n", flush=True)


def problem(options: Any, command: str, needs_flow: bool = True) -> Problem:
    """Everything checked that can be checked before a run; BadInput says what is wrong where."""
    spec = read(options.file, options.set)
    game = build.game(spec)
    flow = build.flow(spec) if needs_flow or "flow" in spec.content else None
    start = build.start(spec, game)
    output = spec.section("output")
    for name in ("run", "compare", "gibbs", "nash"):
        spec.section(name)
    usual = Path(options.file).stem + ("" if command == "run" else f"-{command}") + ".h5"
    named = output.get("file") if command == "run" else None
    out = checked_path(options.out or named or usual)
    return Problem(spec, game, flow, start, out, output.get("checkpoint_every"), options.quiet)


def run(options: Any) -> int:
    """meanfield run FILE.toml"""
    p = problem(options, "run")
    given = _run_options(p.spec)
    level, call = given.pop("level"), given.pop("call")
    record = given.pop("record", [])
    from meanfield.studies.resume import diagnostics_of

    diagnostics = diagnostics_of(record, p.game)
    with build.placed(p.spec, "run"):
        size, plan = _particles_need(p, given) if level == "particles" else _field_need(p, given)
    p.say(f"{p.spec.path}: {p.flow.name} on {p.game.name}" if p.flow else "", f"  {plan}")
    _announce(p, size)
    how = {**given, "diagnostics": diagnostics, "progress": False if p.quiet else None}
    return _computed(
        p,
        "run",
        lambda: call(p.game, p.flow, p.start, **how, checkpoint=p.out, checkpoint_every=p.every),
    )


def _run_options(spec: Spec) -> dict[str, Any]:
    from meanfield.density.solve import solve
    from meanfield.particles.simulate import simulate

    given = spec.section("run")
    given.setdefault("level", "field")
    if "time" not in given:
        raise spec.fail(
            ("run",), "time is missing: how long to follow the flow, for example time = 10.0"
        )
    own, other = (FIELD, "particles") if given["level"] == "field" else (PARTICLES, "field")
    for key in given:
        if key not in RUN and key not in own:
            raise spec.fail(
                ("run", key),
                f'belongs to level = "{other}"; this run has level = "{given["level"]}"',
            )
    given |= spec.section("run", {**RUN, **own})
    return {**given, "call": solve if given["level"] == "field" else simulate}


def _particles_need(p: Problem, given: dict[str, Any]) -> tuple[float, str]:
    """Bytes of the saved states, and the plan in words."""
    from meanfield.particles.plan import DEFAULTS, check_flow, check_memory, make_plan

    check_flow(p.game, p.flow, given.get("scheme", "euler"))
    plan = make_plan(**{**DEFAULTS, **given})
    size = check_memory(p.game, plan, p.flow)  # type: ignore[arg-type]
    n, m = plan.particles
    return (
        size,
        f"{n:,} and {m:,} particles, {plan.steps:,} steps of {plan.step:g} ({plan.scheme}), seed {plan.seed}",
    )


def _field_need(p: Problem, given: dict[str, Any]) -> tuple[float, str]:
    """Bytes of the saved states, and the plan in words."""
    from meanfield.density.solve import build as engine
    from meanfield.density.solve import default_engine
    from meanfield.schedule import saved_times
    from meanfield.studies.gauge import state_bytes

    if p.flow is not None:
        _check_engine(p, given.get("engine") or default_engine(p.game, p.flow), given)
    keys = ("cells", "engine", "step", "tol", *OPTIONS)
    moving = engine(p.game, p.flow, p.start, **{key: given[key] for key in keys if key in given})  # type: ignore[arg-type]
    x, y = moving.measures()
    saves = len(saved_times(given["time"], given.get("save_every")))
    return saves * state_bytes(
        x, y
    ), f"{moving.name}: {len(x):,} and {len(y):,} nodes, {saves} saved states"


def _check_engine(p: Problem, used: str, given: dict[str, Any]) -> None:
    """That no option of [run] belongs to another engine than the one that runs."""
    for key, (owner, _) in OPTIONS.items():
        if key in given and used != owner:
            raise p.spec.fail(
                ("run", key), f'belongs to engine = "{owner}"; this run uses "{used}"'
            )


def compare(options: Any) -> int:
    """meanfield compare FILE.toml"""
    from meanfield.studies.compare import compare as study
    from meanfield.studies.settled import settled

    p = problem(options, "compare")
    given = p.spec.section("compare")
    if "time" not in given:
        raise p.spec.fail(
            ("compare",), "time is missing: the length of the runs, for example time = 2.0"
        )
    if options.threads is not None:
        given["threads"] = options.threads
    asked = signature(study).bind(p.game, p.flow, p.start, **given)  # type: ignore[arg-type]
    asked.apply_defaults()
    with build.placed(p.spec, "compare"):
        s = settled(**asked.arguments)
        size, plan = _field_need(p, {**s.field, "time": given["time"], "save_every": s.gap})
    p.say(
        f"{p.spec.path}: particles against the mean field, {p.flow.name} on {p.game.name}"
        if p.flow
        else "",
        f"  {plan}",
    )
    _announce(p, size)
    how = {**given, "progress": False if p.quiet else None}
    how |= {"checkpoint": p.out, "checkpoint_every": p.every}
    return _computed(p, "compare", lambda: study(p.game, p.flow, p.start, **how))  # type: ignore[arg-type]


def gibbs(options: Any) -> int:
    """meanfield gibbs FILE.toml"""
    from meanfield.equilibria import gibbs as fixed_point

    p = problem(options, "gibbs", needs_flow=False)
    given = p.spec.section("gibbs")
    if "beta" not in given and p.flow is not None and min(p.flow.temperature) > 0:
        given["beta"] = tuple(1 / t for t in p.flow.temperature)
    if "beta" not in given:
        raise p.spec.fail(
            ("gibbs",), "beta is missing: the inverse temperature, for example beta = 10.0"
        )
    return _once(
        p, {"call": "gibbs", "game": p.game, "options": given}, lambda: fixed_point(p.game, **given)
    )


def nash(options: Any) -> int:
    """meanfield nash FILE.toml"""
    from meanfield.equilibria import nash as equilibrium

    p = problem(options, "nash", needs_flow=False)
    given = p.spec.section("nash")
    return _once(
        p, {"call": "nash", "game": p.game, "options": given}, lambda: equilibrium(p.game, **given)
    )


def _once(p: Problem, job: dict[str, Any], compute: Callable[[], Any]) -> int:
    """A result that is computed in one go: written when it is there, kept where it is there already."""
    described = describe(job)
    if p.out.exists():
        if not same(read_header(p.out).job, described):
            raise BadInput(
                f"{p.out} holds another result; give another name with --out, or move it"
            )
        p.say(f"{p.out} holds this result already", f"next: meanfield show {p.out}")
        return 0
    p.say(f"{p.spec.path}: {job['call']} of {p.game.name}")

    def computed() -> Any:
        result = compute()
        write_file(p.out, describe(result), job=described)
        p.say(*(f"  {line}" for line in repr(result).splitlines()))
        return result

    return _computed(p, job["call"], computed)


def _announce(p: Problem, size: float) -> None:
    """What the run needs, and what becomes of it when it is stopped."""
    free = shutil.disk_usage(p.out.resolve().parent).free
    # The file that is being replaced and the new one stand side by side for a moment.
    if 2.2 * size > free:
        raise BadInput(
            f"{p.out} needs up to {bytes_of(2.2 * size)} of disk, {bytes_of(free)} are free: save less often"
        )
    every = EVERY if p.every is None else p.every
    p.say(
        f"  needs about {bytes_of(2 * size + 2e8)} of memory, {bytes_of(size + 1e5)} of disk ({bytes_of(free)} free)",
        f"  keeps {p.out} up to date about every {every:g} s; after Ctrl-C: meanfield resume {p.out}",
    )
    if p.out.exists():
        header = read_header(p.out)
        p.say(
            f"  {p.out} is there already, {'finished' if header.finished else 'unfinished: going on from it'}"
        )


def _computed(p: Problem, command: str, compute: Callable[[], Any]) -> int:
    clock, there = perf_counter(), _is_finished(p.out)
    with build.placed(p.spec, command):
        result = compute()
    if there:
        p.say(f"{p.out} stays as it is; next: meanfield show {p.out}")
    else:
        finished(p.out, result, clock, p.quiet)
    return 0


def finished(out: Path, result: Any, clock: float, quiet: bool) -> None:
    """What was written, and what to do next."""
    if quiet:
        return
    if hasattr(result, "samples"):
        print(*(f"  {line}" for line in repr(result).splitlines()), sep="\n")
    print(f"wrote {out} ({bytes_of(out.stat().st_size)}) in {perf_counter() - clock:.1f} s")
    print(f"next: meanfield show {out}", flush=True)


def bytes_of(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.3g} {unit}" if size < 1000 else f"{size:,.0f} {unit}"
        size /= 1000
    raise AssertionError


def resume(options: Any) -> int:
    """meanfield resume RUN.h5"""
    from meanfield.studies.resume import resume as go_on

    out = Path(options.file)
    header = read_header(out)
    if header.finished:
        if not options.quiet:
            print(f"{out} is finished ({header.kind}); look at it with: meanfield show {out}")
        return 0
    clock = perf_counter()
    if not options.quiet:
        print(f"{out}: going on", flush=True)
    # A warning about functions that a file cannot hold becomes go_on's own error.
    result = go_on(out, progress=False if options.quiet else None)
    finished(out, result, clock, options.quiet)
    return 0


def stopped(out: str | None, code: int) -> int:
    """After Ctrl-C or SIGTERM: what is there and how to go on."""
    if out and _is_finished(Path(out)):
        print(
            f"\nstopped; {out} holds the finished run. Look at it with: meanfield show {out}",
            file=sys.stderr,
        )
    elif out and Path(out).is_file():
        print(
            f"\nstopped; {out} holds the run so far. Go on with: meanfield resume {out}",
            file=sys.stderr,
        )
    else:
        print("\nstopped; nothing was written", file=sys.stderr)
    return code


def _is_finished(out: Path) -> bool:
    try:
        return read_header(out).finished
    except (ValueError, OSError):
        return False  # not ours
