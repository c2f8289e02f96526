"""`solve`: a flow run at the level of the mean field, by the engine that suits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.checks import real
from meanfield.density.engine import Engine
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.progress import bar
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.trajectory import Trajectory, versions

# name -> (module, class, tolerance of a step by default)
ENGINES = {
    "galerkin": ("galerkin", "Galerkin", 1e-8),
    "finite-volume": ("finite_volumes", "FiniteVolumes", 1e-6),
    "characteristics": ("characteristics", "Characteristics", 1e-10),
    "muscl": ("muscl", "Muscl", 1e-6),
    "best-response": ("best_response", "FictitiousPlay", 1e-3),
}

Diagnostic = Callable[[Measure, Measure], Any]


def default_engine(game: Game, flow: Flow) -> str:
    """Galerkin for Langevin flows of trigonometric games, finite volumes for those of any other loss,
    characteristics for flows without diffusion, and the best-response flow's own engine."""
    if flow.responds:
        return "best-response"
    if not flow.diffuses:
        return "characteristics"
    from meanfield.games.bases import TrigBasis

    trigonometric = all(isinstance(basis, TrigBasis) for basis in getattr(game, "bases", (None,)))
    small = all(isinstance(M, Torus) and M.d <= 2 for M in game.manifolds)
    return "galerkin" if trigonometric and small and not flow.reacts else "finite-volume"


def build(
    game: Game, flow: Flow, start: Start, cells: Any = None, engine: str | None = None,
    step: float | None = None, tol: float | None = None,
) -> Engine:  # fmt: skip
    """The engine at t = 0, for those who want to drive it themselves. Arguments as in `solve`."""
    if not isinstance(game, Game):
        raise TypeError(f"game must be a meanfield game, got {type(game).__name__}; see meanfield.games")
    if not isinstance(flow, Flow):
        raise TypeError(f"flow must be a meanfield flow such as Langevin(beta), got {type(flow).__name__}")
    if not isinstance(start, Start):
        raise TypeError(f"start must be a meanfield.Start(x=..., y=...), got {type(start).__name__}")
    name = engine or default_engine(game, flow)
    if name not in ENGINES:
        raise ValueError(f"engine is {name!r}; known are {', '.join(ENGINES)}")
    if flow.responds != (name == "best-response"):
        raise ValueError(f"engine {name!r} does not run the flow {flow.name!r}; leave engine out, or see its docstring")
    module, kind, usual = ENGINES[name]
    return getattr(import_module(f"meanfield.density.{module}"), kind)(  # type: ignore[no-any-return]
        game, flow, start.laws(game.X, game.Y),
        cells=_per_player(cells),
        step=None if step is None else real("step", step, 0.0, strict=True),
        tol=real("tol", usual if tol is None else tol, 0.0, strict=True),
    )  # fmt: skip


def _per_player(cells: Any) -> tuple[Any, Any]:
    """One number, a tuple a player, or what an engine takes (a Mesh) -> a pair."""
    return tuple(cells) if isinstance(cells, (tuple, list)) and len(cells) == 2 else (cells, cells)  # type: ignore[return-value]


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
) -> Trajectory:
    """Solve the mean-field equation of a flow: (7), (8), (6) or mirror descent, by its numbers.

    cells: nodes per axis (Fourier modes |k| <= (cells - 1) // 2 for Galerkin), one number or a pair
    (for x, for y), each a number, a tuple per axis or a Mesh. engine: "galerkin", "finite-volume",
    "characteristics", "muscl" or "best-response"; by default from the game and the flow. step: a given time step;
    by default it is controlled to `tol`. save_every: time between saved states (default time / 100).
    diagnostics: name -> f(mu_x, mu_y), recorded at every saved time beside the value L and what the
    engine watches. stop(t, mu_x, mu_y) ends the run when true; callback sees the same. resume: a
    trajectory of an earlier call with the same settings, continued to the same bits up to `time`.

    Raises TypeError and ValueError for input that makes no sense or that the engine cannot do (and
    says which can); warns UnderResolved when mesh, modes or step are too coarse.
    """
    moving = build(game, flow, start or Start(), cells, engine, step, tol)
    if resume is not None:
        moving.restore(_state_of(resume, moving))
    record = _Record(game, diagnostics or {})
    times = saved_times(time, save_every, moving.time)
    clock = perf_counter()
    with bar(times[-1] - times[0], f"{flow.name} ({moving.name})", progress) as progressed:
        for previous, t in zip([times[0], *times[:-1]], times, strict=True):
            if t > moving.time:
                moving.advance(float(t))
            pair = record(moving)
            progressed.update(t - previous)
            if callback is not None:
                callback(float(t), *pair)
            if stop is not None and stop(float(t), *pair):
                break
    provenance = {
        "game": game.name, "flow": flow, "start": start or Start(), "engine": moving.name, "cells": cells,
        "step": step, "tol": tol, "wall_time": perf_counter() - clock, "versions": versions(),
    }  # fmt: skip
    return record.trajectory(game, flow, provenance, {"engine": moving.name, **moving.state()})


class _Record:
    """What is kept of a run at its saved times."""

    def __init__(self, game: Game, functions: Mapping[str, Diagnostic]) -> None:
        self.game, self.functions = game, functions
        self.times: list[float] = []
        self.pairs: list[tuple[Measure, Measure]] = []
        self.values: list[dict[str, Any]] = []

    def __call__(self, moving: Engine) -> tuple[Measure, Measure]:
        pair = moving.measures()
        self.times.append(moving.time)
        self.pairs.append(pair)
        asked = {name: f(*pair) for name, f in self.functions.items()}
        self.values.append({"value": self.game.value(*pair), **moving.diagnostics(), **asked})
        return pair

    def trajectory(self, game: Game, flow: Flow, provenance: dict[str, Any], state: dict[str, Any]) -> Trajectory:
        gathered = {name: np.array([row[name] for row in self.values]) for name in self.values[0]}
        xs, ys = (list(measures) for measures in zip(*self.pairs, strict=True))
        return Trajectory(np.array(self.times), xs, ys, game, flow, gathered, provenance, state)


def _state_of(run: Trajectory, engine: Engine) -> dict[str, Any]:
    if run.state.get("engine") != engine.name:
        raise ValueError(
            f"resume holds a state of {run.state.get('engine', 'particles')!r}, this run uses {engine.name!r}; "
            "resume with the settings of the first run"
        )
    return {key: value for key, value in run.state.items() if key != "engine"}
