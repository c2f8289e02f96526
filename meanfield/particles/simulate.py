"""`simulate`: a game, a flow and a start, followed with particles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.particles import later, lowrank, pairwise, spheres, tones
from meanfield.particles.agreed import agreed
from meanfield.particles.state import compiled, flat, place, player, state
from meanfield.particles.looks.choose import field
from meanfield.particles.eigenbasis import Frame, frame
from meanfield.particles.primitives import State
from meanfield.particles.plan import SETTINGS, Plan, check_flow, check_memory, make_plan
from meanfield.progress import bar
from meanfield.start import Start
from meanfield.storage.keeper import Keeper
from meanfield.trajectory import Trajectory, check_goes_on, check_held, recorded, versions

Observer = Callable[[float, Measure, Measure], Any]


def simulate(
    game: Game,
    flow: Flow,
    start: Start | None,
    time: float,
    step: float = 1e-3,
    particles: int | tuple[int, int] = 1000,
    seed: int = 0,
    scheme: str = "euler",
    save_every: float | None = None,
    replica: int = 0,
    refine: int = 1,
    placement: str = "iid",
    device: str = "cpu",
    precision: str = "float64",
    diagnostics: Mapping[str, Callable[[Measure, Measure], Any]] | None = None,
    stop: Observer | None = None,
    callback: Observer | None = None,
    progress: bool | None = None,
    resume: Trajectory | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
) -> Trajectory:
    """Particles of `flow` on `game` from `start` up to `time`.

    With U_p the cost of player p against the other's atoms, w the weights and dt the step, "euler" is

        x <- R(x - gamma dt grad U + sqrt(2 gamma T dt) xi),   log w <- log w - alpha dt U - log of the sum,

    both players at once: Algorithm 1 (alpha = 0, (3) and (4)) and Algorithm 2 (T = 0, (5)). "strang" is
    of weak order two on every manifold: noise over dt/2, one midpoint step of positions and log-weights of
    both players together, noise over dt/2; without noise it is a second-order Runge-Kutta step. "mirror-prox"
    is the extragradient step of flows without noise; it, flows with memory, schedules or Gibbs responses are
    described in `meanfield.particles.later`.

    particles: a number or (n_x, n_y). placement: "iid" draws from the start, "quantile" puts circle
    particles at equal-mass quantiles, "atoms" takes the start's atoms and masses as they stand.
    save_every: time between saves (default: 50 to 100 saves); the end is always saved. refine: see
    `meanfield.particles.noise`. diagnostics: name -> f(mu_x, mu_y), recorded at saves beside "value" (L)
    and "displacement" (S, 2), the farthest that a particle of either player has got since the save before.
    stop(t, mu_x, mu_y) ends the run early when true; callback(t, mu_x, mu_y) looks on. progress: a bar,
    by default when standard error is a terminal. device: "cuda" sums over pairs on a graphics processor, for
    losses given by a formula that are not low-rank; the rest of the step stays as it is (`meanfield.particles.looks.cuda`).
    precision: "float32" looks at the pairs of such losses in single precision, about 2.5 times as fast, and at
    the modes of trigonometric games on circles, for Langevin flows alone, whose noise covers the rounding
    (`meanfield.particles.looks.choose`); states stay double.

    resume: a trajectory to go on from, up to the final time `time`, to the bits of an uninterrupted run. It
    keeps its step, particles, seed, scheme, ...; `start` is not looked at. The result holds its saves too.

    checkpoint: a file (.h5) kept up to date every `checkpoint_every` seconds (default 30) and holding the
    result at the end. Killed or interrupted, the same call goes on from it to the same bits, as does
    `meanfield.resume`; a file of another run is refused.

    The trajectory's state has "step" (steps done), "positions", "log_weights", "weight_sums" and, when a
    weight moves, "mean_weights": at each save the weights averaged over the steps before it, each step
    counting with the weights it started from (at time zero the weights themselves). Runs that move along other
    axes than the game's (see `meanfield.particles.eigenbasis`) keep these and the positions along them: "axes_x",
    "axes_y", "framed".

    Raises ValueError for numbers that do not fit, for a flow with temperature and reaction in one player,
    and for an unstable step: gamma dt max |grad U| or the noise sqrt(2 gamma T dt) above half the
    manifold's reach, looked at before the first step and at each save.
    """
    given = {key: value for key, value in locals().items() if key in SETTINGS}
    check_flow(game, flow, scheme)
    if resume is not None:
        check_goes_on(resume, game, flow)
        given = agreed(given, resume)
    plan = make_plan(time=time, **given)
    later.check(game, flow, plan.scheme)
    run = _Run(game, flow, plan, check_memory(game, plan, flow), diagnostics)
    run.field = field(game, flow, plan)
    keeper = None if checkpoint is None else _keeper(run, start, checkpoint, checkpoint_every, stop)
    if keeper is not None:
        held, finished = keeper.held(game)
        if held is not None:
            check_held(held, game, flow, start, lambda: run.first(start), keeper.path)
            if finished:
                return held  # type: ignore[no-any-return]
            agreed(plan.settings(), held)
            resume = held
    if resume is None:
        run.begin(start)
    else:
        run.restore(resume)
    with keeper or nullcontext():
        run.follow(stop, callback, progress, keeper, resume is None)
        if keeper is not None:
            keeper.finish(run.trajectory())
    return run.trajectory()


def _keeper(run: _Run, start: Any, path: Any, every: float | None, stop: Observer | None) -> Keeper:
    """The checkpoint of this run and no other."""
    plan = run.plan
    options = {
        "time": plan.steps * plan.step,
        **plan.settings(),
        "diagnostics": sorted(run.observables),
    }
    options |= {} if stop is None else {"stops": True}
    return Keeper(
        path,
        {
            "call": "simulate",
            "game": run.game,
            "flow": run.flow,
            "start": start,
            "options": options,
        },
        every,
    )


class _Run:
    """One replica on its way: the state that moves and what was saved of it."""

    def __init__(self, game: Game, flow: Flow, plan: Plan, memory: float, diagnostics: Any) -> None:
        self.game, self.flow, self.plan, self.memory = game, flow, plan, memory
        self.observables = dict(diagnostics or {})
        if taken := {"value", "displacement"} & set(self.observables):
            raise ValueError(
                f"diagnostics: every run records {' and '.join(sorted(taken))} itself; choose other names"
            )
        self.field: Any = game  # what gives the forces
        self.compiled = compiled(game)
        self.turn(frame(game, flow))
        self.done = 0
        self.states: list[State] = []
        self.times: list[float] = []
        self.saved: tuple[list[Measure], list[Measure]] = ([], [])
        self.means: list[tuple[Array, Array]] = []
        self.records: dict[str, list[Any]] = {
            key: [] for key in ("value", "displacement", *self.observables)
        }
        self.ended = ""
        self.start = ""
        self.piece = 1  # steps at a time while a checkpoint is kept

    def turn(self, to: Frame) -> None:
        """Move in this frame."""
        self.frame, plan, rates = to, self.plan, self.flow.players
        shared = (plan.step, plan.seed, plan.replica, plan.refine)
        self.players = player(to.game, 0, rates[0], *shared), player(to.game, 1, rates[1], *shared)
        self.loop = (
            later.Loop(to.game, self.flow, plan, self.players)
            if later.needed(self.flow, plan.scheme)
            else None
        )
        self.fused = self.compiled and plan.scheme == "euler" and spheres.quadratic(to.game)

    def begin(self, start: Start | None) -> None:
        if not isinstance(start, Start):
            raise TypeError(f"start must be a meanfield.Start, got {type(start).__name__}")
        self.start, plan = repr(start), self.plan
        placed = place(self.game, start, plan.particles, plan.placement, plan.seed, plan.replica)
        self.states = [s._replace(x=self.frame.into(p, s.x)) for p, s in enumerate(placed)]
        self.check_step()
        self.save(placed)

    def first(self, start: Any) -> tuple[Measure, Measure]:
        """The measures that a run from this start begins with."""
        plan = self.plan
        placed = place(self.game, start, plan.particles, plan.placement, plan.seed, plan.replica)
        x, y = (
            Measure(flat(s.x, n), s.w.ravel()[:n].copy(), M)
            for s, n, M in zip(placed, plan.particles, self.game.manifolds, strict=True)
        )
        return x, y

    def restore(self, old: Trajectory) -> None:
        self.start = old.provenance["start"]
        self.turn(frame(self.game, self.flow, old.state))
        points = old.state.get("framed", old.state["positions"])
        rows = zip(points, old.state["log_weights"], old.state["weight_sums"], strict=True)
        self.states = [state(*(np.asarray(r, dtype=np.float64) for r in three)) for three in rows]
        self.done = int(old.state["step"])
        if self.loop is not None and "averaged_moments" in old.state:
            self.loop.seen = [
                np.asarray(z, dtype=np.float64) for z in old.state["averaged_moments"]
            ]
        if self.done > self.plan.steps:
            raise ValueError(
                f"resume already stands at t={old.times[-1]:g}, past time={self.plan.steps * self.plan.step:g}"
            )
        if set(old.diagnostics) != set(self.records):
            raise ValueError(
                f"resume recorded {', '.join(old.diagnostics)}; give the same, not {', '.join(self.records)}"
            )
        self.times, self.saved = list(old.times), (list(old.x), list(old.y))
        self.means = list(old.state.get("mean_weights", []))
        self.records = {key: list(values) for key, values in old.diagnostics.items()}
        self.check_step()

    def follow(
        self, stop: Observer | None, callback: Observer | None, progress: bool | None, keeper: Keeper | None,
        begun: bool,
    ) -> None:  # fmt: skip
        """To the end of the plan; begun: this is the first state, which nobody has seen."""
        label = f"particles ({self.memory / 1e6:.0f} MB)"
        with bar(self.plan.steps, label, progress, initial=self.done) as shown:
            if begun and self.over((self.now, self.saved[0][0], self.saved[1][0]), stop, callback):
                return
            if keeper is not None:
                keeper.offer(self.trajectory)
            while self.done < self.plan.steps:
                # Saves stand at whole multiples of `every`, wherever this run began.
                steps = min(
                    self.plan.every - self.done % self.plan.every, self.plan.steps - self.done
                )
                self.advance_kept(steps, shown, keeper)
                self.check_step()
                if self.over(self.save(), stop, callback):
                    return
                # What ends a run is written as finished only: nothing would be left to go on with.
                if keeper is not None and self.done < self.plan.steps:
                    keeper.offer(self.trajectory)

    def over(
        self, now: tuple[float, Measure, Measure], stop: Observer | None, callback: Observer | None
    ) -> bool:
        """Show the state just saved; whether it ends the run."""
        if callback is not None:
            callback(*now)
        if stop is not None and stop(*now):
            self.ended = f"stopped at t={now[0]:g}"
        return bool(self.ended)

    def advance_kept(self, steps: int, shown: Any, keeper: Keeper | None) -> None:
        """Steps in pieces of about half a second, each followed by a chance to write and to stop."""
        end = self.done + steps
        while self.done < end:
            clock = perf_counter()
            taken = end - self.done if keeper is None else min(self.piece, end - self.done)
            self.advance(taken)
            shown.update(taken)
            if keeper is not None:
                spent = perf_counter() - clock
                self.piece = (
                    max(1, self.piece // 2)
                    if spent > 0.5
                    else 2 * taken
                    if spent < 0.2
                    else self.piece
                )
                # At the end of an interval the state is saved first: what goes on from it would not do so.
                if self.done < end:
                    keeper.offer(self.trajectory)

    def advance(self, steps: int) -> None:
        if self.loop is not None:
            self.loop.run(self.states, self.done, steps)
        elif self.compiled and self.plan.precision == "float32":
            tones.run(
                self.plan.second_order,
                self.players,
                (self.states[0], self.states[1]),
                self.done,
                steps,
            )
        elif self.fused:
            spheres.run(self.players, tuple(self.states), self.done, steps)
        elif self.compiled:
            lowrank.run(self.plan.second_order, self.players, tuple(self.states), self.done, steps)
        else:
            how = self.plan.second_order, self.players, self.states, self.plan.particles
            pairwise.run(self.field, *how, self.done, steps)
        self.done += steps

    def forces(self) -> pairwise.Forces:
        """Costs (blocks, lanes) and gradients (blocks, a, lanes), in the run's frame, of both players now."""
        if not self.compiled:
            return pairwise.forces(self.field, self.states, self.plan.particles)
        U = tuple(np.empty_like(s.w) for s in self.states)
        G = tuple(np.empty_like(s.x) for s in self.states)
        if self.fused:
            spheres.forces(self.players, tuple(self.states), U, G)
        else:
            lowrank.forces(self.plan.second_order, self.players, tuple(self.states), U, G)
        return list(zip(U, G, strict=True))

    def check_step(self) -> None:
        for p, (U, blocks) in enumerate(self.forces()):
            name, rates, half = "xy"[p], self.flow.players[p], self.game.manifolds[p].reach / 2
            G, dt = flat(blocks, self.plan.particles[p]), self.plan.step
            if not (np.isfinite(U).all() and np.isfinite(G).all()):
                raise ValueError(
                    f"the cost or gradient of player {name} is not finite at t={self.now:g}"
                )
            steepest = float(np.sqrt((G * G).sum(axis=1).max()))
            _refuse_step(name, "gamma dt max|grad U|", rates.gamma * steepest * dt, half, dt, 1)
            noise = np.sqrt(2 * rates.gamma * rates.temperature * dt)
            _refuse_step(name, "the noise's deviation sqrt(2 gamma T dt)", noise, half, dt, 2)

    @property
    def now(self) -> float:
        return self.done * self.plan.step

    def save(self, placed: list[State] | None = None) -> tuple[float, Measure, Measure]:
        """Record the present state; `placed` is it as it was given, before it was turned into the frame."""
        pair = []
        farthest = []
        for p, (s, n) in enumerate(zip(self.states, self.plan.particles, strict=True)):
            points = self.points(p) if placed is None else flat(placed[p].x, n)
            mu = Measure(points, s.w.ravel()[:n].copy(), self.game.manifolds[p])
            before = self.saved[p][-1].points if self.saved[p] else mu.points
            farthest.append(float(mu.manifold.distance(before, mu.points).max()))
            self.saved[p].append(mu)
            pair.append(mu)
        self.times.append(self.now)
        self.records["value"].append(self.field.value(*pair))
        self.records["displacement"].append(farthest)
        for key, f in self.observables.items():
            self.records[key].append(recorded(key, f(*pair), self.records[key]))
        if self.flow.reacts:
            self.means.append(self.mean_weights())
        return self.now, pair[0], pair[1]

    def points(self, p: int) -> Array:
        """Where player p's particles are, (n, a)."""
        return flat(self.frame.back(p, self.states[p].x), self.plan.particles[p])

    def mean_weights(self) -> tuple[Array, Array]:
        """Weights averaged over the steps done; those of a player whose weights never move as they are."""
        means = []
        for rates, s, n in zip(self.flow.players, self.states, self.plan.particles, strict=True):
            moves = rates.alpha > 0 and self.done > 0
            means.append((s.sums / self.done if moves else s.w).ravel()[:n].copy())
        return means[0], means[1]

    def trajectory(self) -> Trajectory:
        n = self.plan.particles
        kept: dict[str, Any] = {
            "step": self.done,
            "positions": (self.points(0), self.points(1)),
            "log_weights": tuple(
                s.logw.ravel()[:k].copy() for s, k in zip(self.states, n, strict=True)
            ),
            "weight_sums": tuple(
                s.sums.ravel()[:k].copy() for s, k in zip(self.states, n, strict=True)
            ),
        }
        if axes := self.frame.kept():
            kept |= axes | {
                "framed": tuple(flat(s.x, k) for s, k in zip(self.states, n, strict=True))
            }
        if self.flow.reacts:
            kept["mean_weights"] = self.means
        if self.loop is not None and self.loop.seen is not None:
            kept["averaged_moments"] = tuple(z.copy() for z in self.loop.seen)
        about: dict[str, Any] = {
            "game": repr(self.game),
            "flow": repr(self.flow),
            "start": self.start,
            "level": "particles",
        }
        about |= {**self.plan.settings(), "versions": versions()}
        if self.ended:
            about["ended"] = self.ended
        records = {key: np.array(values) for key, values in self.records.items()}
        return Trajectory(
            np.array(self.times), *self.saved, self.game, self.flow, records, about, kept
        )


def _refuse_step(name: str, what: str, size: float, half: float, dt: float, root: int) -> None:
    """Raise when a step moves particles farther than half the reach."""
    if size > half:
        good = dt * (half / size) ** root
        raise ValueError(
            f"unstable step for player {name}: {what} is {size:.4g}, above half the manifold's reach, {half:.4g}; "
            f"a step of {0.5 * good:.2g} would do"
        )
