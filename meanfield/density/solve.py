"""`solve`: a flow run at the level of the mean field, by the engine that suits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from meanfield.checks import Array, allow_underflow, as_tuple, known_keywords, real
from meanfield.density.choice import ENGINES, Options, build, default_engine
from meanfield.density.coupling import Value
from meanfield.density.engine import Engine
from meanfield.density.on_meshes import OnMeshes
from meanfield.describe import describe, same
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.run import Run, Saved, Watch, warn_if_at_rest
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.storage.keeper import Part
from meanfield.storage.named import missing
from meanfield.trajectory import Trajectory, check_goes_on, check_same_start, check_same_state

__all__ = ["ENGINES", "build", "default_engine", "solve"]

MOST_STEPS = 1e10  # which take days
Diagnostic = Callable[[Measure, Measure], Any]


@known_keywords(Options.__annotations__)
@allow_underflow
def solve(
    game: Game,
    flow: Flow,
    start: Start | None = None,
    time: float = 1.0,
    cells: Any = None,
    engine: str | None = None,
    step: float | None = None,
    tol: float | None = None,
    save_every: float | None = None,
    diagnostics: Mapping[str, Diagnostic] | None = None,
    stop: Callable[[float, Measure, Measure], bool] | None = None,
    callback: Callable[[float, Measure, Measure], None] | None = None,
    progress: bool | None = None,
    resume: Trajectory | None = None,
    checkpoint: str | os.PathLike[str] | Part | None = None,
    checkpoint_every: float | None = None,
    **options: Unpack[Options],
) -> Trajectory:
    """Solve the mean-field equation of a flow: (7), (8), (6) or mirror descent, by its numbers.

    With U_x the cost of the minimiser against the other player's measure (V_x in the paper, and
    -V_y for the maximiser), gamma, alpha and T = 1/beta the flow's numbers,

        d_t mu = gamma div(mu grad U + T grad mu) - alpha mu (U - int U dmu)

    for both players at once: (7) with alpha = 0, (8) with T = 0, (6) with both zero.

    Parameters
    ----------
    start : Start, optional
        Uniform for both players by default.
    time : float
        The final time.
    cells : int, tuple, Mesh or a pair of these, optional
        Nodes per axis (Fourier modes |k| <= (cells - 1) // 2 for Galerkin, the degree for
        harmonics, the number of cells on S^2), for both players or (for x, for y).
    engine : str, optional
        "galerkin", "harmonics", "staggered", "finite-volume", "characteristics", "muscl",
        "best-response", "splitting" or "primal-dual"; by default from the game and the flow.
    step : float, optional
        A given time step; by default it is controlled to `tol`.
    tol : float, optional
    save_every : float, optional
        Time between saved states (default time / 50, or as the resumed run has it); no step is
        longer.
    diagnostics : mapping, optional
        name -> f(mu_x, mu_y), recorded at every saved time beside the value L and what the engine
        watches.
    stop, callback : function of (t, mu_x, mu_y), optional
        Called at saves; the run ends early when `stop` returns true.
    progress : bool, optional
        Whether to show a bar; by default when standard error is a terminal.
    resume : Trajectory, optional
        A run of an earlier call, continued to the same bits up to `time`. It keeps its settings
        (cells, engine, step, tol, options), and the result holds its saved states too.
    checkpoint, checkpoint_every : path and seconds, optional
        A file (.h5) kept up to date every `checkpoint_every` seconds, by default as in `simulate`,
        and holding the result at the end. Killed or interrupted, the same call goes on from the
        last state saved in it to the same bits, as does `meanfield.resume`; a file of another run
        is refused.
    **options
        What an engine takes besides, such as weights="sg" of finite volumes, limiter="van Leer" of
        muscl, order=8 of staggered, refine=1e-4 of characteristics, extrapolation=0.9 of
        primal-dual.

    Returns
    -------
    Trajectory

    Raises
    ------
    TypeError, ValueError
        For input that makes no sense or that the engine cannot do (and says which can).

    Warns
    -----
    UnderResolved
        When mesh, modes or step are too coarse.

    Notes
    -----
    Without diffusion solutions concentrate. "characteristics" with `cells` left out (labels refined
    where paths part) gives moments, NI and W2 at all times, to about ten times `refine`; "muscl"
    gives densities on cells, and a second opinion on moments, while peaks are wider than cells (its
    diagnostic "held_cells" tells). Where refining the cells does not bring the two together at
    order 2, believe the labels, and no L1.

    Examples
    --------
    Without a game the density of Brownian motion on the circle: mode k falls as exp(-k^2 t/beta).

    >>> import numpy as np
    >>> import meanfield as mf
    >>> start = mf.Start(x=mf.games.density("1 + cos(x)"))
    >>> run = mf.solve(mf.games.free(), mf.Langevin(beta=2.0), start, time=2.0, cells=32)
    >>> mode = run.x[-1].integrate(lambda x: 2 * np.cos(x[:, 0]))
    >>> print(f"{mode:.6f}, exactly {np.exp(-1.0):.6f}")
    0.367879, exactly 0.367879
    """
    asked: dict[str, Any] = {
        "engine": engine,
        "cells": as_tuple(cells),
        "step": step,
        "tol": tol,
        **options,
    }
    if resume is not None:
        check_goes_on(resume, game, flow)
        if "positions" in resume.state:
            raise ValueError("resume is a run of particles; `meanfield.simulate` goes on with it")
        asked = _completed(resume, asked)
    same_start = resume is not None and start is not None
    if start is None:
        start = Start() if resume is None else _start_of(resume)
    count = len(saved_times(time, save_every))
    built = build(game, flow, start, **asked, saves=count, file=checkpoint is not None)
    if resume is None:
        warn_if_at_rest(game, flow, start, built.measures)
    settings = {**asked, **built.options, "engine": built.name}
    dt = settings["step"]
    about = {"game": game.name, "flow": flow, "start": start, **settings}
    run = Run(game, flow, _EngineRun(game, flow, built, settings, same_start), about, diagnostics)
    names = run.observables.names
    clock = {"time": real("time", time), "save_every": save_every}
    job = {"call": "solve", "game": game, "flow": flow, "start": start}
    job["options"] = {**settings, "diagnostics": names, **clock}
    if resume is not None and save_every is None and len(resume) > 1:
        save_every = float(resume.times[1] - resume.times[0])

    def saves(now: float) -> Array:
        times = saved_times(time, save_every, now)
        if dt is not None and not times[-1] / dt < MOST_STEPS:
            raise ValueError(
                f"step = {dt:g} is {times[-1] / dt:.3g} steps to time {time:g}; choose a "
                "longer step"
            )
        return times

    watch = Watch(stop, callback, progress, checkpoint, checkpoint_every)
    return run.complete(saves, watch, job, start, resume)


def _completed(run: Trajectory, asked: dict[str, Any]) -> dict[str, Any]:
    """The settings asked for; those left at their defaults as the run has them."""
    names = [*asked, *(key for key in Options.__annotations__ if key not in asked)]
    recorded = {key: run.provenance[key] for key in names if key in run.provenance}
    settings = {**recorded, **{key: value for key, value in asked.items() if value is not None}}
    if settings.get("engine") == "finite-volume" and "weights" not in settings:
        raise ValueError(
            "resume is a finite-volume run that does not record its weights, whose default has "
            'changed; give those it was made with, weights="sg" or weights="face"'
        )
    return settings


def _start_of(run: Trajectory) -> Start:
    """The start that a run began from; ValueError for a function, of which files have the name."""
    start = run.provenance.get("start")
    if not isinstance(start, Start) or missing(start):
        raise ValueError("resume began from a start that no file holds: give it as start=...")
    return start


class _EngineRun:
    """An engine as a `Run` moves it; it goes on only from runs with the same settings.

    same_start: whether it goes on only from runs that began where it stands now.
    """

    def __init__(
        self, game: Game, flow: Flow, engine: Engine, settings: dict[str, Any], same_start: bool
    ) -> None:
        self.engine, self.settings = engine, settings
        self.value = Value(game, engine.coupling if isinstance(engine, OnMeshes) else None)
        self.same_start = same_start
        self.measures, self.diagnostics = engine.measures, engine.diagnostics
        self.label = f"{flow.name} ({engine.name})"

    @property
    def time(self) -> float:
        return self.engine.time

    def through(self, times: Array, pause: Callable[[], None] | None = None) -> list[Saved]:
        return self.engine.through(times)

    def state(self) -> dict[str, Any]:
        return {"engine": self.engine.name, **self.engine.state()}

    def restore(self, old: Trajectory) -> None:
        for key, asked in self.settings.items():
            earlier = old.provenance.get(key, asked)
            if not same(describe(earlier), describe(asked)):
                raise ValueError(
                    f"resume was made with {key}={earlier!r}, not {asked!r}; "
                    "give the settings of the first run"
                )
        name = self.engine.name
        if old.state.get("engine") != name:
            raise ValueError(
                f"resume holds a state of {old.state.get('engine', 'particles')!r}, this run uses "
                f"{name!r}; resume with the settings of the first run"
            )
        if self.same_start:
            check_same_start(old, self.engine.measures(), "resume")
        self.engine.restore({key: value for key, value in old.state.items() if key != "engine"})
        check_same_state(old, self.time, self.engine.measures())
