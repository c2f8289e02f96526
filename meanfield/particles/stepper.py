"""The particles of one run between its saves: where they stand, what moves them, and what a restart
needs.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.particles.algorithms import both, euler, mirror_prox, remember, strang
from meanfield.particles.alternating import alternating
from meanfield.particles.consensus import Consensus
from meanfield.particles.crews import Crew, Pace, at_rates, go, hire, sizes, team_sizes
from meanfield.particles.eigenbasis import Frame, frame
from meanfield.particles.kernel_density import react, reaction
from meanfield.particles.looks import forms
from meanfield.particles.looks.choose import source
from meanfield.particles.looks.pairs import SHARE, Averaged, Pairs
from meanfield.particles.looks.plain import Plain
from meanfield.particles.on_device import DeviceReplicas, mover
from meanfield.particles.plan import Plan, by_steps, check_memory, check_settings
from meanfield.particles.primitives import Player, State, midpoint
from meanfield.particles.response import InnerLoop, Response
from meanfield.particles.saves import Room, measured, read_off, survey
from meanfield.particles.state import (
    blocked,
    compiled,
    flat,
    known_to_kernels,
    place,
    player,
    state,
)
from meanfield.start import Start
from meanfield.trajectory import Trajectory, check_same_state

Players = tuple[Player, Player]
Pair = tuple[Array, Array]

# Steps that take the forces once, where the particles are.
ONCE = {"euler": euler, "alternating": alternating}


class Stepper:
    """Both players' particles: `states` after `done` steps, in the coordinates of `frame`.

    What `meanfield.run.Run` moves. The run begins at `start` when it is first looked at, unless it
    is restored.
    """

    level = "particles"

    @property
    def reweighs(self) -> bool:
        """Whether weights move."""
        return self.flow.reacts

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
        # Flows that Python looks at in every step would call threads anew for each.
        self.threads = 1 if by_steps(flow) else threads
        self.crews: dict[tuple[str, int], list[Crew]] = {}
        self.game, self.flow, self.plan, self.start = game, flow, plan, start
        self.label = f"particles ({check_memory(game, plan, flow, file).memory / 1e6:.0f} MB)"
        self.source = source(game, flow, plan)
        self.compiled = compiled(game)
        self.on_device = replicas or mover(self)
        self.turn(frame(game, flow))
        self.states: list[State] = []
        # Where both players stand in the middle of a step; for mirror-prox their forces, too.
        self.others: list[State] = []
        self.done = 0
        self.averages: list[Any] = [None, None]  # of both players' moments, in flows with memory
        self.mean_weights: dict[int, Pair] = {}  # by the number of steps done, at saves
        self.saved: Pair | None = None  # both players' blocks at the last save, in the game's axes
        rows = zip(plan.particles, game.manifolds, strict=True)
        numbers = sum(n * M.ambient for n, M in rows)
        self.room = Room(len(plan.saves(0.0)) * numbers)  # for the points of saved measures
        self.displacement = [0.0, 0.0]
        self.means = [0.0, 0.0]  # of the costs shown last, under each player's own weights
        self.piece = 1  # steps between pauses
        self.shown_at = -1  # steps done when `others` had the forces last
        self.last_crews: list[Crew] = []  # who moved or looked last
        self.marches: dict[Any, Any] = {}  # the compiled steps by the kinds of looks

    def turn(self, to: Frame) -> None:
        """Move in this frame."""
        self.frame, plan, rates = to, self.plan, self.flow.players
        shared = (plan.step, plan.seed, plan.replica, plan.refine)
        self.players = player(to.game, 0, rates[0], *shared), player(to.game, 1, rates[1], *shared)
        self.response: Any = None
        if self.flow.responds and not plan.inner:
            kind = Response if plan.exploration is None else Consensus
            self.response = kind(to.game, self.flow, plan)
        self.fused = (
            plan.scheme in ONCE
            and not by_steps(self.flow)
            and self.compiled
            and forms.fits(self.players)
        )

    # -- what a run asks for --------------------------------------------------------------------

    @property
    def time(self) -> float:
        return self.done * self.plan.step

    def measures(self) -> tuple[Measure, Measure]:
        """Where the particles are, with their weights; at the start to the bit as it has them."""
        placed = self._blocks() if self.states else [s.x for s in self.begin()]
        first = self.saved is None
        if first:
            self.saved = placed[0].copy(), placed[1].copy()
        x, y = (self._saved(p, blocks) for p, blocks in enumerate(placed))
        if first:  # points on spheres have been divided by their norms once more
            self.displacement = [0.0, 0.0]
        if self.reweighs:
            self.mean_weights[self.done] = self._mean_weights()
        return x, y

    def _saved(self, p: int, blocks: Array) -> Measure:
        """Player p's measure; remembers where it was and how far it had got from the last one."""
        n, M, before = self.plan.particles[p], self.game.manifolds[p], self.saved[p]  # type: ignore[index]
        masses = self.states[p].w.ravel()[:n].copy()
        if not known_to_kernels(M):
            found = Measure(flat(blocks, n), masses, M)
            self.displacement[p] = float(M.distance(flat(before, n), found.points).max())
            before[:] = blocked(found.points)
            return found
        points, room = self.room.take(n, blocks.shape[1]), np.empty((5, blocks.shape[2]))
        me = self.players[p]
        self.displacement[p] = read_off(me.sphere, me.period, blocks, before, points, room)
        return measured(points, masses, M)

    def begin(self) -> list[State]:
        """Stand at the start; returns both states in the game's own coordinates."""
        game, plan = self.game, self.plan
        given = plan.particles, plan.placement, plan.seed, plan.replica
        placed = place(game, self.start, *given)  # type: ignore[arg-type]
        self.stand([s._replace(x=self.frame.into(p, s.x)) for p, s in enumerate(placed)])
        self.check_step()
        return placed

    def stand(self, states: list[State]) -> None:
        """Stand in these states, in the frame."""
        self.gather(states)
        if self.flow.responds and self.plan.inner:
            self.response = InnerLoop(self)

    @property
    def answers(self) -> dict[int, State]:
        """The particles of inner loops, which a restart needs; empty without such loops."""
        return self.response.answers if isinstance(self.response, InnerLoop) else {}

    def gather(self, states: list[State]) -> None:
        """Take these states to move, with room and crews of their own."""
        rooms = 2 if self.plan.scheme == "mirror-prox" else 1
        self.states, self.others = states, [midpoint(s) for s in rooms * states]
        self.crews = {}
        shares = -(-self.plan.particles[0] // SHARE)  # of pairs
        self.pace = Pace(
            team_sizes(self.players, states, self.threads)
            if self.compiled
            else sizes(self.threads, shares)
        )

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
            means.append((s.sums / self.done if moves else s.w).ravel()[:n].copy())
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
        own = look.parts[look.turn[0]].sum(axis=0)
        shared = (look.cost - look.constant)[: len(own)] @ own[: len(look.cost)]
        return float(self.means[0] - self.means[1] - shared) + self.game.constant

    def diagnostics(self) -> dict[str, Any]:
        """The farthest that a particle of either player has got since the save before."""
        return {"displacement": list(self.displacement)}

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
        self.saved = blocked(old[-1][0].points), blocked(old[-1][1].points)
        check_same_state(old, self.time, self._here())
        self.check_step()

    def advance(self, until: float, pause: Callable[[], None] | None = None) -> None:
        """To `until`; with a pause in pieces of about half a second, between which it is called."""
        end = round(until / self.plan.step)
        while self.done < end:
            clock, left = perf_counter(), end - self.done
            taken = left if pause is None else min(self.piece, left)
            self.take(taken, showing=taken == left)
            spent = perf_counter() - clock
            self.piece = (
                max(1, self.piece // 2) if spent > 0.5 else 2 * taken if spent < 0.2 else self.piece
            )
            # At the end of an interval the state is saved first: what goes on from it would not do
            # so.
            if pause is not None and self.done < end:
                pause()
        self.check_step()

    # -- steps ----------------------------------------------------------------------------------

    def take(self, steps: int, showing: bool = False) -> None:
        """So many steps; showing, and what `forces` is then asked for, where that is less work."""
        if by_steps(self.flow):
            for k in range(self.done, self.done + steps):
                self.step(k)
        else:
            self.march(self.players, self.done, steps, showing and self.shows)
        self.done += steps

    def step(self, k: int) -> None:
        """Step k of a flow with a schedule, memory, responses or a reaction to the log-density."""
        if self.flow.memory is not None:
            self.remember(k)
        jumps = {} if self.response is None else self.response.jumps(self.states, self.averages, k)
        if self.flow.entropic:
            self.react(k)
        if self.flow.memory is not None or self.flow.transports or self.flow.reacts:
            self.march(self.scheduled(k), k, 1)
        for p, (chosen, points) in jumps.items():
            block, lane = np.divmod(chosen, self.states[p].x.shape[2])
            self.states[p].x[block, :, lane] = points

    def scheduled(self, k: int) -> Players:
        """The players with the numbers that the flow has in the middle of step k, (k + 1/2) dt."""
        if not self.flow.scheduled:
            return self.players
        dt = self.plan.step
        a, b = (
            me._replace(
                transport=now.gamma * dt,
                reaction=reaction(now, dt),
                variance=2.0 * now.gamma * now.temperature * dt,
            )
            for me, now in zip(self.players, self.flow.at((k + 0.5) * dt), strict=True)
        )
        return a, b

    def react(self, k: int) -> None:
        """The log-weights take in the log-densities before step k."""
        dt, h = self.plan.step, self.plan.bandwidth
        now = self.flow.at((k + 0.5) * dt)
        for M, s, n, rates in zip(
            self.game.manifolds, self.states, self.plan.particles, now, strict=True
        ):
            react(M, flat(s.x, n), s, rates, dt, h)  # type: ignore[arg-type]

    def remember(self, k: int) -> None:
        """The averaged moments take in those before step k."""
        dt, game = self.plan.step, self.frame.game
        share = self.flow.memory.share(k * dt, (k + 1) * dt)  # type: ignore[union-attr]
        for p, (s, n) in enumerate(zip(self.states, self.plan.particles, strict=True)):
            now = game.moments(p, flat(s.x, n), s.w.ravel()[:n])  # type: ignore[attr-defined]
            self.averages[p] = remember(self.averages[p], now, share)

    @property
    def shows(self) -> bool:
        """Whether crews see the present costs as `forces` has them."""
        return self.compiled and self.plan.precision == "float64"

    def march(self, players: Players, first: int, steps: int, showing: bool = False) -> None:
        """Steps first, ..., first + steps - 1, by the text of `meanfield.particles.algorithms`."""
        end = first + steps
        if self.on_device is not None:
            self.on_device.moved(self, first, end)
            return
        if self.compiled and self.flow.memory is None:
            for threads, k, next_k in self.pace.pieces(first, end):
                self.last_crews = self.crew(players, k, next_k - k, threads)
                self.go(k, next_k, showing and next_k == end)
            self.shown_at = end if showing else -1
            return
        for threads, begin, next_begin in self.pace.pieces(first, end):
            one, two = self.looks(players, begin, next_begin - begin)
            one.threads = two.threads = threads
            self.steps(one, two, begin, next_begin)

    def steps(self, one: Any, two: Any, first: int, end: int) -> None:
        """The same by looks that Python calls."""
        scheme, (s, t), room = self.plan.scheme, self.states, tuple(self.others)
        for k in range(first, end):
            if scheme in ONCE:
                ONCE[scheme](one, two, s, t, k)
            elif scheme == "strang":
                strang(one, two, s, t, *room, k)
            else:
                mirror_prox(one, two, s, t, room, self.plan.trials, k)

    def go(self, first: int, end: int, showing: bool) -> None:
        """Have `last_crews` take these steps."""
        go(self.last_crews, self.plan, first, end, showing, self.marches)

    def crew(self, players: Players, first: int, steps: int, threads: int) -> list[Crew]:
        """Who takes these steps in compiled code."""
        crews = self.hired("single" if self.plan.precision == "float32" else "", threads)
        return crews if players is self.players else at_rates(crews, players)

    def hired(self, kind: str = "", threads: int | None = None) -> list[Crew]:
        """Crews that look at the present costs, in double precision unless another kind is asked
        for, as many as were the fastest.
        """
        size = self.pace.best if threads is None else threads
        if (kind, size) not in self.crews:
            given = self.players, self.states, self.others, size
            self.crews[kind, size] = hire(kind or ("forms" if self.fused else "modes"), *given)
        return self.crews[kind, size]

    def looks(self, players: Players, first: int, steps: int) -> tuple[Any, Any]:
        """Both players' looks for these steps, where Python takes them."""
        if self.flow.memory is not None:
            one, two = self._each(Averaged, self.frame.game, players)
            one.mean, two.mean = self.averages
            return one, two
        return self.exact_looks(players)

    def exact_looks(self, players: Players) -> tuple[Any, Any]:
        """Looks at the present costs, likewise."""
        return self._each(Pairs if self.known_manifolds() else Plain, self.source, players)

    def known_manifolds(self) -> bool:
        return all(known_to_kernels(M) for M in self.game.manifolds)

    def _each(self, kind: Any, game: Any, players: Players) -> tuple[Any, Any]:
        given = zip(players, self.states, self.plan.particles, strict=True)
        one, two = (kind(game, me, s, n) for me, s, n in given)
        return one, two

    # -- the size of a step ---------------------------------------------------------------------

    def forces(self) -> list[tuple[Array, Array]]:
        """Costs (blocks, lanes), perhaps up to a constant, and gradients (blocks, a, lanes) now, in
        the frame.
        """
        if self.shown_at == self.done:
            return self.held()
        return self.shown(self.hired() if self.compiled else self.exact_looks(self.players))

    def shown(self, by: list[Crew] | tuple[Any, Any]) -> list[tuple[Array, Array]]:
        """What crews or looks see."""
        if isinstance(by, list):
            self.last_crews = by
            self.go(0, 0, showing=True)
        else:
            both(*by, self.states, self.others[:2], 0.0, 0.0, 0)
        return self.held()

    def held(self) -> list[tuple[Array, Array]]:
        """The costs and gradients that were shown."""
        return [(s.logw, s.x) for s in self.others[:2]]

    def check_step(self) -> None:
        """Refuse a step that is too long for the forces and the noise here, with one that would do.

        Raises ValueError.
        """
        for p, (steepest, finite) in enumerate(self.surveyed(self.forces())):
            name, rates, half = "xy"[p], self.flow.players[p], self.game.manifolds[p].reach / 2
            dt = self.plan.step
            if not finite:
                raise ValueError(
                    f"the cost or gradient of player {name} is not finite at t={self.done * dt:g}"
                )
            gamma = self.speed(rates)
            _refuse_step(name, "gamma dt max|grad U|", gamma * steepest * dt, half, dt, 1)
            noise = np.sqrt(2 * gamma * rates.temperature * dt)
            _refuse_step(name, "the noise's deviation sqrt(2 gamma T dt)", noise, half, dt, 2)

    def speed(self, rates: Rates) -> float:
        """The rate at which a player's particles move, those of inner loops in any flow at one."""
        return 1.0 if rates.response > 0 and self.plan.inner else rates.gamma

    def surveyed(self, forces: list[tuple[Array, Array]]) -> list[tuple[float, bool]]:
        """The largest gradient of each player, and whether all is finite; keeps the mean costs."""
        found = []
        for p, ((U, G), s, n) in enumerate(
            zip(forces, self.states, self.plan.particles, strict=True)
        ):
            mean, squared, off = survey(s.w, U, G, n, np.empty((4, U.shape[1])))
            self.means[p] = float(mean)
            found.append((float(np.sqrt(squared)), off == 0.0))
        return found


def _refuse_step(name: str, what: str, size: float, half: float, dt: float, root: int) -> None:
    """Raise when a step moves particles farther than half the reach; its size grows as
    dt^(1/root).
    """
    if size > half:
        good = dt * (half / size) ** root
        raise ValueError(
            f"unstable step for player {name}: {what} is {size:.4g}, above half the manifold's "
            f"reach, {half:.4g}; "
            f"a step of {0.5 * good:.2g} would do"
        )
