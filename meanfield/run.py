"""A run: particles or densities followed through the times to be saved, kept in a file, gone on
with.

`simulate`, `copies` and `solve` differ in what moves. Everything around it is here, once: the
clock, what is saved and recorded, when a run ends, its checkpoint, and how it goes on from an
earlier one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Set
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from meanfield.checks import Array, unmasked, warn
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.machine import made
from meanfield.measures import Measure
from meanfield.observables import Diagnostics, Observables, Pair, shown
from meanfield.progress import bar
from meanfield.start import Start
from meanfield.storage.keeper import Keeper, Keeps, Part, StopsWith, checked_pause
from meanfield.trajectory import Trajectory, check_held, versions

ROUNDING = 1e-13  # of the largest loss
Observer = Callable[[float, Measure, Measure], Any]


class Saved(NamedTuple):
    """What is saved at a time."""

    time: float
    pair: Pair
    diagnostics: dict[str, Any]

    @classmethod
    def now(cls, moving: Any) -> Saved:
        """What is saved of the present state of an engine or of particles."""
        return cls(moving.time, moving.measures(), moving.diagnostics())


class Moving(Protocol):
    """A state of both players that can be moved, read, stored and restored: particles or an
    engine.
    """

    @property
    def time(self) -> float:
        """The time at which the state stands."""

    @property
    def label(self) -> str:
        """What the progress bar says."""

    def through(self, times: Array, pause: Callable[[], None] | None = None) -> list[Saved]:
        """Move on to the first of these times exactly, or to as many as are reached at once: what
        is saved at each. Calls `pause` now and then at a state that a run can go on from.
        """

    def measures(self) -> Pair:
        """Both players' measures now."""

    def value(self, mu_x: Measure, mu_y: Measure) -> float:
        """L(mu_x, mu_y), the expected loss."""

    def diagnostics(self) -> dict[str, Any]:
        """What is worth recording beside the value, by name."""

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs to go on to the same bits."""

    def restore(self, old: Trajectory) -> None:
        """Go to the state that an earlier run ended with; ValueError where its settings differ."""


@dataclass(frozen=True)
class Watch:
    """Who looks on while a run goes, and where it is kept.

    stop(t, mu_x, mu_y) ends the run when true; callback(t, mu_x, mu_y) sees every saved state.
    progress: whether a bar is shown, None on terminals alone. checkpoint: a file, or the part of a
    larger job's file; checkpoint_every: seconds between writes.
    """

    stop: Observer | None = None
    callback: Observer | None = None
    progress: bool | None = None
    checkpoint: str | os.PathLike[str] | Part | None = None
    checkpoint_every: float | None = None

    def __post_init__(self) -> None:
        for name in ("stop", "callback"):
            asked = getattr(self, name)
            if asked is not None and not callable(asked):
                raise TypeError(f"{name} must be a function of (t, mu_x, mu_y), got {asked!r}")
        checked_pause(self.checkpoint_every)

    def keeper(self, job: dict[str, Any]) -> Keeper | Part | None:
        """The checkpoint of this job and of no other."""
        if self.checkpoint is None or isinstance(self.checkpoint, Part):
            return self.checkpoint
        stops = {} if self.stop is None else {"stops": True}
        options = {**job["options"], **stops}
        return Keeper(self.checkpoint, {**job, "options": options}, self.checkpoint_every)


def warn_if_at_rest(game: Game, flow: Flow, start: Start, pair: Callable[[], Pair]) -> None:
    """Warn when nothing will move: the run begins with uniform laws, and against them (`pair`) both
    players' costs are constant.

    Nothing is said of best responses without entropy, which constant costs leave undetermined.
    """
    if not start.uniform:
        return
    if any(of.response > 0 and of.temperature == 0 for of in flow.players):
        return
    mu_x, mu_y = pair()
    x, y = mu_x.points, mu_y.points
    few = (at[:: max(1, len(at) // 64)] for at in (x, y))
    rounding = ROUNDING * np.abs(game.moving_loss(*few)).max()
    if np.ptp(game.cost(0, x, mu_y)) <= rounding and np.ptp(game.cost(1, y, mu_x)) <= rounding:
        warn(
            f"{game.name} does not move uniform laws: against them all strategies cost the same. "
            "Give another start: Start(x=concentrated(...)), or [start] in a file",
            UserWarning,
        )


def _truth(said: Any) -> bool:
    """What `stop` returned, as a truth value."""
    try:
        return bool(unmasked(said))
    except (TypeError, ValueError):  # a masked array, or one of several
        raise ValueError(
            f"stop must return true or false, got {said!r}; reduce it by all() or any()"
        ) from None


class Run:
    """What moves, and what was saved of it.

    about: what provenance says beside versions and wall time. diagnostics: name -> f(mu_x, mu_y).
    """

    def __init__(
        self,
        game: Game,
        flow: Flow,
        moving: Moving,
        about: dict[str, Any],
        diagnostics: Diagnostics | None = None,
    ) -> None:
        self.game, self.flow, self.moving, self.about = game, flow, moving, dict(about)
        self.observables = Observables(diagnostics)
        self.times: list[float] = []
        self.pairs: list[Pair] = []
        self.rows: list[dict[str, Any]] = []  # of the diagnostics, one a saved time
        self.spent, self.clock = 0.0, perf_counter()

    def complete(
        self,
        saves: Callable[[float], Array],
        watch: Watch,
        job: dict[str, Any],
        start: Start | None,
        resume: Trajectory | None,
        afterwards: Callable[[Trajectory, Part | None], Mapping[str, Array]] | None = None,
    ) -> Trajectory:
        """Run to the end, from the start, from `resume`, or from what the checkpoint has of this
        job.

        saves: the time now -> the times to be saved from then on, itself first. afterwards:
        diagnostics of the finished run, which may take runs of their own; these get the checkpoint
        that it is given, so that they end when this run is asked to stop.
        """
        keeper, named = watch.keeper(job), "resume"
        if isinstance(keeper, Keeper):
            found, finished = keeper.held(self.game)
            if found is not None:
                first = self.moving.measures
                check_held(found, self.game, self.flow, start, first, keeper.path)
                if finished:
                    self.observables.check(found, str(keeper.path))
                    return found  # type: ignore[no-any-return]
                resume, named = found, str(keeper.path)
        if resume is not None:
            self.restore(resume, named)
        with keeper or nullcontext():
            self.follow(saves(self.moving.time), watch, keeper)
            result = self.trajectory()
            if afterwards is not None:
                part = StopsWith(keeper) if isinstance(keeper, Keeper) else None
                result.diagnostics.update(afterwards(result, part))
            if isinstance(keeper, Keeper):
                keeper.finish(result)
        return result

    def restore(self, old: Trajectory, named: str = "resume") -> None:
        """Go on from an earlier run: its state moves on, and its saved times stay."""
        self.moving.restore(old)
        self.times, self.pairs = [float(t) for t in old.times], list(old)
        columns = old.diagnostics.items()
        self.rows = [{name: rows[k] for name, rows in columns} for k in range(len(old))]
        self._same_names({"value", *self.moving.diagnostics(), *self.observables.names})
        self.observables.check(old, named)
        self.spent = float(old.provenance.get("wall_time", 0.0))
        if "start" in old.provenance:
            self.about["start"] = old.provenance["start"]

    def follow(self, times: Array, watch: Watch, keeper: Keeps | None) -> None:
        """Through `times`, the first of which is now and was saved already by the run gone on
        with.
        """
        # Who looks on sees the run stand at each time.
        watched = keeper is not None or watch.stop is not None or watch.callback is not None
        with bar(times[-1], self.moving.label, watch.progress, initial=times[0]) as shown:

            def pause() -> None:
                if not shown.disable:
                    shown.update(self.moving.time - shown.n)
                if keeper is not None:
                    keeper.offer(self.trajectory)

            if not self.times and self._over(Saved.now(self.moving), watch):
                return
            done, pausing = 1, None if keeper is None else pause
            while done < len(times):
                # What ends a run is written as finished only: nothing would be left to go on with.
                pause()
                ahead = times[done : done + 1] if watched else times[done:]
                several = self.moving.through(ahead, pausing)
                done += len(several)
                for one in several:
                    if self._over(one, watch):
                        return

    def _over(self, saved: Saved, watch: Watch) -> bool:
        """Save and show a state; whether it ends the run."""
        self.save(saved)
        time, pair, _ = saved
        if watch.callback is not None:
            watch.callback(time, *shown(pair))
        if watch.stop is None or not _truth(watch.stop(time, *shown(pair))):
            return False
        self.about["ended"] = f"stopped at t={time:g}"
        return True

    def save(self, saved: Saved) -> None:
        """Record a state."""
        time, pair, diagnostics = saved
        row = {"value": self.moving.value(*pair), **diagnostics}
        row |= self.observables.of(pair, row, self.rows[0] if self.rows else {})
        self._same_names(row.keys())
        self.times.append(time)
        self.pairs.append(pair)
        self.rows.append(row)

    def _same_names(self, names: Set[str]) -> None:
        if self.rows and self.rows[0].keys() != names:
            held, asked = ", ".join(self.rows[0]), ", ".join(sorted(names))
            raise ValueError(f"resume recorded {held}; give the same, not {asked}")

    def trajectory(self) -> Trajectory:
        """What has been saved so far, with all that is needed to go on from the present state."""
        xs, ys = (list(measures) for measures in zip(*self.pairs, strict=True))
        columns = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        spent = self.spent + perf_counter() - self.clock
        about = {**self.about, "wall_time": spent, "versions": versions(), "made": made()}
        state = self.moving.state()
        return Trajectory(np.array(self.times), xs, ys, self.game, self.flow, columns, about, state)
