"""The particles of one run: what it saves, which steps are too long for it, what restarts need."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.aligned import copied
from meanfield.checks import Array
from meanfield.cores import by_threads
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.particles.eigenbasis import Axes, frame
from meanfield.particles.looks.forms import common
from meanfield.particles.motion import Motion
from meanfield.particles.on_device import DeviceReplicas
from meanfield.particles.plan import Plan, check_memory, check_settings
from meanfield.particles.players import LANES, State
from meanfield.particles.response import InnerLoop
from meanfield.particles.saves import Reader, Room, Survey, surveys
from meanfield.particles.state import (
    blocked,
    flat,
    place,
    state,
)
from meanfield.run import Saved
from meanfield.start import Start
from meanfield.trajectory import Trajectory, check_same_state

Pair = tuple[Array, Array]
NUMBERS = 1 << 17  # in the positions of both players, from which on two threads read them off


class Stepper(Motion):
    """What `meanfield.run.Run` moves; a run begins at `start` when it is first looked at, unless it
    is restored.
    """

    level = "particles"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        plan: Plan,
        start: Start | None,
        threads: int | None = None,
        file: bool = False,
        replicas: DeviceReplicas | None = None,
    ) -> None:
        self.start = start
        self.label = f"particles ({check_memory(game, plan, flow, file).memory / 1e6:.0f} MB)"
        super().__init__(game, flow, plan, threads, replicas)
        self.mean_weights: dict[int, Pair] = {}  # by the number of steps done, at saves
        self.readers: list[Reader] = []  # of both players' particles, at saves
        rows = zip(plan.particles, game.manifolds, strict=True)
        self.room = Room(len(plan.saves(0.0)), [(n, M.ambient) for n, M in rows])
        self.means = [0.0, 0.0]  # of the costs shown last, under each player's own weights
        self.piece = 1  # steps between pauses
        # Whether weights move; alpha is another number in primal-dual steps.
        self.reweighs = flow.reacts and plan.scheme != "primal-dual"
        self.speeds = [self.speed(rates) for rates in flow.players]
        self.halves = [M.reach / 2 for M in game.manifolds]  # of the reach, what steps stay below
        self.check_noise()

    @property
    def time(self) -> float:
        return self.done * self.plan.step

    def measures(self) -> tuple[Measure, Measure]:
        """Where the particles are, with their weights; at the start to the bit as it has them."""
        if self.states:
            pair = self._read(self.states)
        else:
            placed = self.begin()
            self.readers = self._readers((None, None), [copied(s.x) for s in placed])
            pair = self._read(placed)
            self.readers = self._readers(self.frame.axes, [r.before for r in self.readers])
        if self.reweighs:
            self.mean_weights[self.done] = self._mean_weights()
        return pair

    def _readers(self, axes: Axes, before: list[Array]) -> list[Reader]:
        given = zip(self.players, self.game.manifolds, axes, before, strict=True)
        return [Reader(*each) for each in given]

    def _read(self, states: list[State]) -> tuple[Measure, Measure]:
        (one, two), (s, t), (mine, theirs) = self.readers, states, self.room.take()
        if self.pace.best > 1 and one.entry and two.entry and s.x.size + t.x.size >= NUMBERS:
            calls = [(one, s, mine), (two, t, theirs)]
            a, b = by_threads(lambda call: call[0](call[1], *call[2]), calls, 2)
            return a, b
        return one(s, *mine), two(t, *theirs)

    def begin(self) -> list[State]:
        """Stand at the start; returns both states in the game's own coordinates."""
        game, plan = self.game, self.plan
        given = plan.particles, plan.placement, plan.seed, plan.replica
        placed = place(game, self.start, *given)  # type: ignore[arg-type]
        self.stand([s._replace(x=self.frame.into(p, s.x)) for p, s in enumerate(placed)])
        self.check_step()
        return placed

    @property
    def answers(self) -> dict[int, State]:
        """The particles of inner loops, which a restart needs; empty without such loops."""
        return self.response.answers if isinstance(self.response, InnerLoop) else {}

    def _blocks(self) -> list[Array]:
        """Both players' positions in the game's own axes."""
        return [self.frame.back(p, s.x) for p, s in enumerate(self.states)]

    def _here(self) -> tuple[Measure, Measure]:
        rows = zip(
            self._blocks(), self.states, self.plan.particles, self.game.manifolds, strict=True
        )
        x, y = (Measure(flat(b, n), s.w.ravel()[:n].copy(), M) for b, s, n, M in rows)
        return x, y

    def _mean_weights(self) -> Pair:
        """Weights averaged over the steps done; those of a player whose weights never move as they
        are.
        """
        means = []
        for rates, s, n in zip(self.flow.players, self.states, self.plan.particles, strict=True):
            moves = rates.alpha > 0 and self.done > 0
            means.append(s.sums.ravel()[:n] / self.done if moves else s.w.ravel()[:n].copy())
        return means[0], means[1]

    def value(self, mu: Measure, nu: Measure) -> float:
        """L(mu, nu) of the measures here: the mean of the costs that `check_step` looked at.

        With L = m'Cn + a + b + constant, C between means and a, b of one player alone, quadratic
        forms' costs leave b and a out: their means are m'Cn + a and -(m'Cn + b).
        """
        if self.source is not self.game:
            return self.source.value(mu, nu)  # type: ignore[no-any-return]
        if not self.compiled:
            return self.means[0]
        look = self.last_crews[0].looks[0]
        if not self.fused:
            return self.means[0] + self.game.constant
        shared = common(look.cost, look.constant, look.parts, look.turn)
        return self.means[0] - self.means[1] - shared + self.game.constant  # type: ignore[no-any-return]

    def diagnostics(self) -> dict[str, Any]:
        """The farthest that a particle of either player has got since the save before."""
        one, two = self.readers
        return {"displacement": [one.gone, two.gone]}

    def state(self) -> dict[str, Any]:
        rows = list(zip(self.states, self.plan.particles, strict=True))
        found: dict[str, Any] = {
            "step": self.done,
            "positions": tuple(flat(self.frame.back(p, s.x), n) for p, (s, n) in enumerate(rows)),
            "log_weights": tuple(s.logw.ravel()[:n].copy() for s, n in rows),
            "weight_sums": tuple(s.sums.ravel()[:n].copy() for s, n in rows),
        }
        if axes := self.frame.axes_by_name():
            found |= axes | {"framed": tuple(flat(s.x, n) for s, n in rows)}
        for p, z in self.answers.items():
            found[f"answers_{'xy'[p]}"] = flat(z.x, self.plan.particles[p])
        if self.reweighs:
            found["mean_weights"] = list(self.mean_weights.values())
        if self.averages[0] is not None:
            found["averaged_moments"] = tuple(z.copy() for z in self.averages)
        return found

    def restore(self, old: Trajectory) -> None:
        plan, state_ = self.plan, old.state
        check_settings(plan.settings(), old)
        self.done = int(state_["step"])
        if self.done > plan.steps:
            raise ValueError(
                f"resume already stands at t={old.times[-1]:g}, past "
                f"time={plan.steps * plan.step:g}"
            )
        self.turn(frame(self.game, self.flow, state_))
        points = state_.get("framed", state_["positions"])
        rows = zip(points, state_["log_weights"], state_["weight_sums"], strict=True)
        self.stand([state(*(np.asarray(r, dtype=np.float64) for r in three)) for three in rows])
        for p, z in self.answers.items():
            z.x[:] = blocked(np.asarray(state_[f"answers_{'xy'[p]}"], dtype=np.float64))
        if self.flow.memory is not None and "averaged_moments" in state_:
            # In place: inner loops see the same averages.
            self.averages[:] = [np.asarray(z, np.float64) for z in state_["averaged_moments"]]
        self.mean_weights = dict(enumerate(state_.get("mean_weights", []), -len(old)))
        self.readers = self._readers(self.frame.axes, [blocked(mu.points) for mu in old[-1]])
        check_same_state(old, self.time, self._here())
        self.check_step()

    def through(self, times: Array, pause: Callable[[], None] | None = None) -> list[Saved]:
        """Move on to the first of these times: what is saved there."""
        self.advance(float(times[0]), pause)
        return [Saved.now(self)]

    def advance(self, until: float, pause: Callable[[], None] | None = None) -> None:
        """To `until`; with a pause in pieces of about half a second, between which it is called."""
        end = round(until / self.plan.step)
        if pause is not None:
            self._in_pieces(end, pause)
        elif self.done < end:
            self.take(end - self.done, showing=True)
        self.check_step()

    def _in_pieces(self, end: int, pause: Callable[[], None]) -> None:
        while self.done < end:
            clock, left = perf_counter(), end - self.done
            taken = min(self.piece, left)
            self.take(taken, showing=taken == left)
            spent = perf_counter() - clock
            self.piece = (
                max(1, self.piece // 2) if spent > 0.5 else 2 * taken if spent < 0.2 else self.piece
            )
            # At the end of an interval the state is saved first: what goes on from it would not do
            # so.
            if self.done < end:
                pause()

    def check_step(self) -> None:
        """Refuse a step that is too long for the forces here, with one that would do.

        Raises ValueError.
        """
        dt = self.plan.step
        for name, (_, steepest, finite), gamma, half in zip(
            "xy", self.surveyed(self.forces()), self.speeds, self.halves, strict=True
        ):
            if not finite:
                raise ValueError(
                    f"the cost or gradient of player {name} is not finite at t={self.done * dt:g}"
                )
            if gamma * steepest * dt > half:
                _refuse_step(name, "gamma dt max|grad U|", gamma * steepest * dt, half, dt, 1)

    def check_noise(self) -> None:
        """Refuse a step that is too long for the noise.

        Raises ValueError.
        """
        dt = self.plan.step
        for name, rates, gamma, half in zip(
            "xy", self.flow.players, self.speeds, self.halves, strict=True
        ):
            noise = math.sqrt(2 * gamma * rates.temperature * dt)
            if noise > half:
                what = "the noise's deviation sqrt(2 gamma T dt)"
                _refuse_step(name, what, noise, half, dt, 2)

    def speed(self, rates: Rates) -> float:
        """The rate at which a player's particles move, those of inner loops in any flow at one."""
        return 1.0 if rates.response > 0 and self.plan.inner else rates.gamma

    def surveyed(self, forces: list[tuple[Array, Array]]) -> tuple[Survey, Survey]:
        """What `surveys` says of both players; keeps the mean costs."""
        (U, G), (V, H) = forces
        (s, t), (n, m) = self.states, self.plan.particles
        found: tuple[Survey, Survey] = surveys(s.w, U, G, n, t.w, V, H, m, np.empty((4, LANES)))
        self.means = [found[0][0], found[1][0]]
        return found


def _refuse_step(name: str, what: str, size: float, half: float, dt: float, root: int) -> None:
    """Say that a step moves particles farther than half the reach; how far grows as dt^(1/root)."""
    good = dt * (half / size) ** root
    raise ValueError(
        f"unstable step for player {name}: {what} is {size:.4g}, above half the manifold's "
        f"reach, {half:.4g}; "
        f"a step of {0.5 * good:.2g} would do"
    )
