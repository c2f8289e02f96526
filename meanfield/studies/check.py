"""`check`: the paper's theorems put to the test on any game."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import allow_underflow, known_keywords, real, truth, whole
from meanfield.density.solve import build
from meanfield.executors import Given
from meanfield.flows import Flow
from meanfield.games.base import Game, a_game
from meanfield.shown import Shown
from meanfield.start import Start
from meanfield.storage.export import write_csv
from meanfield.storage.lock import Lock
from meanfield.storage.results import Result
from meanfield.studies.computing import Done, Part, Store
from meanfield.studies.stored import Data
from meanfield.studies.theorems import one, three, two
from meanfield.studies.theorems.problem import Problem, without_mesh
from meanfield.studies.verdicts import HOLDS, INCONCLUSIVE, Observation, Verdict, overall
from meanfield.trajectory import versions

THEOREMS: dict[str, Any] = {"1": one, "2": two, "3": three}
Row = Verdict | Observation


@dataclass(frozen=True, eq=False)
class CheckResult(Shown, Result):
    """What the theorems said of a game, and what was measured.

    Attributes
    ----------
    game, flow, start
    rows : dict
        For each theorem that applies, "1" to "3", its verdicts and what was observed besides.
    refused : dict
        For each theorem that does not, why.
    missing, failed : dict
        Parts that were not computed, and those that could not be, with the reason.
    data : dict
        For each part by name its arrays; pictures are drawn from these alone.
    seconds : dict
        What each part took.
    provenance : dict
        Sizes, seed, versions.
    """

    game: Game
    flow: Flow
    start: Start
    rows: dict[str, list[Row]]
    refused: dict[str, str]
    missing: dict[str, str]
    failed: dict[str, str]
    data: dict[str, dict[str, Data]] = field(repr=False)
    seconds: dict[str, float] = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)

    def verdicts(self, theorem: str | None = None) -> list[Verdict]:
        """The verdicts on a theorem, "1" to "3", or on all."""
        chosen = self.rows.values() if theorem is None else [self.rows.get(theorem, [])]
        return [row for rows in chosen for row in rows if isinstance(row, Verdict)]

    def outcome(self, theorem: str) -> str:
        """ "holds", "fails", "inconclusive", or "not applicable"."""
        if theorem not in self.rows:
            return "not applicable"
        found = overall(self.verdicts(theorem))
        gaps = any(part.startswith(f"theorem {theorem},") for part in (*self.missing, *self.failed))
        return INCONCLUSIVE if gaps and found == HOLDS else found

    @property
    def holds(self) -> bool:
        """Whether every theorem that applies holds."""
        return all(self.outcome(theorem) == HOLDS for theorem in self.rows)

    def __repr__(self) -> str:
        return table(self)

    def _repr_html_(self) -> str:
        from meanfield.studies.page import section

        return "".join(section(self, theorem) for theorem in THEOREMS)

    def plot(
        self, theorem: str | None = None, ax: Any = None, *, title: str | None = None,
        figsize: Any = None,
    ) -> Any:  # fmt: skip
        """Draw what was measured, a row for each theorem or one alone; returns the figure.

        ax, title, figsize: as of `plotting.plot_trajectory`.
        """
        from meanfield.plotting.style import stage, styled
        from meanfield.plotting.words import of_flow, of_game, wrapped
        from meanfield.studies.theorems.pictures import DRAWN

        chosen = [t for t in self.rows if theorem in (None, t) and self.data.get(t)]
        if not chosen:
            raise ValueError("nothing was computed that could be drawn")
        with styled():
            if title is None:
                title = wrapped(f"{of_game(self.game)}, {of_flow(self.flow)}", 140)
            figure = stage(10.8, 3.4 * len(chosen) + 0.3, ax, title, figsize)
            places = figure.subfigures(len(chosen), 1, squeeze=False)[:, 0]
            for place, t in zip(places, chosen, strict=True):
                DRAWN[t](place, self.data[t])
        return figure.figure

    def page(self, path: str | os.PathLike[str]) -> Path:
        """Write one HTML page with verdicts, pictures and equations, which needs no network."""
        from meanfield.studies.page import write

        return write(self, path)

    def to_csv(self, path: str | os.PathLike[str], what: str = "verdicts") -> Path:
        """Write the verdicts as a table. A file of that name is replaced."""
        rows = [["theorem", "outcome", "claim", "measured", "error", "expected"]]
        for theorem, held in self.rows.items():
            for row in held:
                wanted = row.allowed if isinstance(row, Verdict) else ""
                line = [theorem, row.outcome, row.claim, repr(row.measured), repr(row.error)]
                rows.append([*line, wanted])
        return write_csv(path, rows)


def table(result: CheckResult) -> str:
    """What `print` shows."""
    lines = [f"Check of {result.game.name}, {result.flow!r}, {result.provenance['sizes']}"]
    for name, theorem in THEOREMS.items():
        if name in result.refused:
            lines.append(f"{theorem.TITLE}: not applicable; {result.refused[name]}")
        elif name in result.rows:
            lines.append(f"{theorem.TITLE}: {result.outcome(name)}")
            lines += [str(row) for row in result.rows[name]]
    for part, why in {**result.missing, **result.failed}.items():
        lines.append(f"  {part}: {why}")
    spent = sum(result.seconds.values())
    return "\n".join([*lines, f"in {spent:.0f} s"])


@known_keywords()
@allow_underflow
def check(
    game: Game,
    flow: Flow,
    start: Start | None = None,
    theorems: Iterable[int] | None = None,
    time: float | None = None,
    particles: Iterable[int] | None = None,
    replicas: Any = None,
    step: float | None = None,
    cells: Any = None,
    quick: bool = True,
    seed: int = 0,
    threads: int | None = None,
    executor: Given = None,
    progress: bool | None = None,
    out: str | os.PathLike[str] | None = None,
) -> CheckResult:
    """Put the paper's theorems to the test on a game: verdicts with intervals, and pictures.

    Theorem 1, for Langevin flows: whether (7) converges from several starts, and if so to the
    Gibbs pair (9); whether that is stable, and nearly an equilibrium. Theorem 2, for
    Wasserstein-Fisher-Rao flows: the Nikaido-Isoda error of time averages of (8) against a bound,
    and its rate in gamma/alpha. Theorem 3, for both: the distance of n particles from the mean
    field and its exponent in n; without a mesh from many more particles, by exact transport.

    Parameters
    ----------
    theorems : of 1, 2 and 3, optional
        Those asked for; by default all that apply.
    time, particles, replicas, step
        Of theorem 3's comparison; by default a time in which the flow moves a unit of length a few
        times, and numbers that the dimension allows.
    cells
        Of the mean field and the Gibbs pair, as in `solve`.
    quick : bool
        Small sizes, a minute for games on the circle; False: larger ones, for hours if need be.
    threads, executor
        Who runs the particles, as in `compare`.
    out : folder, optional
        Where finished parts are kept, so that the same call goes on after an interruption.

    Returns
    -------
    CheckResult
        On Ctrl-C with what is done so far; the rest is `missing`.

    Raises
    ------
    ValueError
        Where no theorem that was asked for speaks of the flow, with what each is about; for sizes
        that cannot be run, before anything is.
    """
    start = Start() if start is None else start
    _inputs(game, flow, start)
    asked = _asked(theorems)
    why = {t: THEOREMS[t].refusal(game, flow, start) for t in asked}
    if all(why.values()):
        told = "; ".join(f"theorem {t}: {reason}" for t, reason in why.items())
        raise ValueError(f"flow {flow.name!r} is not what the theorems speak of: {told}")
    given = {"time": time, "step": step, "particles": particles, "replicas": replicas}
    given |= {"cells": cells, "quick": truth("quick", quick), "seed": seed, "threads": threads}
    p = Problem(game, flow, start, **_sizes(**given), progress=progress, executor=executor)
    if cells is not None and not without_mesh(game):
        build(game, flow, start, cells=cells)
    if "3" in why and not why["3"]:
        three.checked(p)
    store = None if out is None else Store(Path(out), p)
    parts = {(t, n): part for t in asked if not why[t] for n, part in _parts(t, p, store).items()}
    done = Done()
    with nullcontext() if store is None else Lock(store.folder):
        done.compute(parts, store, progress)
    refused = {t: reason for t, reason in why.items() if reason}
    return judged(done, p, refused, list(parts))


def _inputs(game: Any, flow: Any, start: Any) -> None:
    a_game(game)
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta), got {type(flow).__name__}"
        )
    if not isinstance(start, Start):
        raise TypeError(
            f"start must be a meanfield.Start(x=..., y=...), got {type(start).__name__}"
        )
    start.laws(game.X, game.Y)


def _sizes(
    time: Any, step: Any, particles: Any, replicas: Any, threads: Any, seed: Any, **others: Any
) -> dict[str, Any]:
    """What a check is asked to run; errors for what is no number, or none that can be run."""
    asked = {"time": time, "step": step}
    found = {k: None if v is None else real(k, v, 0.0, strict=True) for k, v in asked.items()}
    found |= {"seed": whole("seed", seed, 0), **others}
    if particles is not None:
        particles = tuple(whole("particles", n) for n in np.ravel(particles))
        if not particles:
            raise ValueError("particles must hold a number of particles, got none")
    if replicas is not None:
        counts = tuple(whole("replicas", R, 2) for R in np.ravel(replicas))
        replicas = counts[0] if np.ndim(replicas) == 0 else counts
    threads = None if threads is None else whole("threads", threads)
    return {**found, "particles": particles, "replicas": replicas, "threads": threads}


def _asked(theorems: Any) -> list[str]:
    numbers = (1, 2, 3) if theorems is None else np.atleast_1d(theorems).tolist()
    odd = [t for t in numbers if isinstance(t, bool) or t not in (1, 2, 3)]
    if odd or not numbers:
        raise ValueError(
            f"theorems must be of 1, 2 and 3, got {odd[0]!r}"
            if odd
            else "theorems are none; leave them out for all that apply"
        )
    return [str(int(t)) for t in sorted(set(numbers))]


def _parts(theorem: str, p: Problem, store: Store | None) -> dict[str, Part]:
    if theorem == "3":
        return three.parts(p, None if store is None else store.folder)
    parts: dict[str, Part] = THEOREMS[theorem].parts(p)
    return parts


def judged(
    done: Done, p: Problem, refused: dict[str, str], parts: list[tuple[str, str]]
) -> CheckResult:
    """The result of what is done."""
    applies = list(dict.fromkeys(theorem for theorem, _ in parts))
    names = {f"theorem {t}, {n}" for t, n in parts} - set(done.seconds) - set(done.failed)
    missing = {name: "not computed" for name in sorted(names)}
    rows = {t: THEOREMS[t].judge(p, done.data.get(t, {})) for t in applies}
    about = {
        "sizes": sizes(p, applies), "seed": p.seed, "quick": p.quick, "versions": versions(),
    }  # fmt: skip
    return CheckResult(
        p.game, p.flow, p.start, rows, refused, missing, done.failed, done.data, done.seconds, about
    )


def sizes(p: Problem, applies: list[str]) -> str:
    """What was run, in words."""
    mode = "quick sizes" if p.quick else "full sizes"
    if "3" not in applies:
        return mode
    s = three.sizes(p)
    n = ", ".join(f"{k:,}" for k in s["particles"])
    counts = ", ".join(map(str, np.broadcast_to(s["replicas"], len(s["particles"]))))
    return f"{mode}: n = {n} with {counts} replicas, T = {s['time']:g}, steps of {s['step']:.3g}"
