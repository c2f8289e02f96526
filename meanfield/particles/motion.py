"""Both players' particles and what moves them: compiled crews of threads, or Python itself."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.particles.algorithms import both, euler, mirror_prox, remember, strang
from meanfield.particles.alternating import alternating
from meanfield.particles.consensus import Consensus
from meanfield.particles.crews import Crew, Pace, at_rates, go, hire, sizes, team_sizes
from meanfield.particles.eigenbasis import Frame, frame
from meanfield.particles.kernel_density import react, reaction
from meanfield.particles.looks import forms
from meanfield.particles.looks.choose import source
from meanfield.particles.looks.compiled import SCHEMES
from meanfield.particles.looks.pairs import SHARE, Averaged, Pairs
from meanfield.particles.looks.plain import Plain
from meanfield.particles.on_device import DeviceReplicas, mover
from meanfield.particles.plan import Plan
from meanfield.particles.players import Player, State, midpoint
from meanfield.particles.response import InnerLoop, Response
from meanfield.particles.schemes import by_steps
from meanfield.particles.state import (
    compiled,
    flat,
    known_to_kernels,
    player,
)

Players = tuple[Player, Player]

# Steps that take the forces once, where the particles are.
ONCE = {"euler": euler, "alternating": alternating}


class Motion:
    """Particles in motion: `states` after `done` steps, in the coordinates of `frame`."""

    def __init__(
        self,
        game: Game,
        flow: Flow,
        plan: Plan,
        threads: int | None,
        replicas: DeviceReplicas | None,
    ) -> None:
        self.by_steps = by_steps(flow)
        # Flows that Python looks at in every step would call threads anew for each.
        self.threads = 1 if self.by_steps else threads
        self.crews: dict[tuple[str, int], list[Crew]] = {}
        self.game, self.flow, self.plan = game, flow, plan
        self.source = source(game, flow, plan)
        self.compiled = compiled(game)
        self.on_device = replicas or mover(self)
        self.turn(frame(game, flow))
        self.states: list[State] = []
        # Where both players stand in the middle of a step; for mirror-prox their forces, too.
        self.others: list[State] = []
        self.done = 0
        self.averages: list[Any] = [None, None]  # of both players' moments, in flows with memory
        self.shown_at = -1  # steps done when `others` had the forces last
        # Steps done when looks in Python found forces last, and these: a step from there uses them.
        self.found_at, self.found = -1, [None, None]
        self.last_crews: list[Crew] = []  # who moved or looked last
        self.how = SCHEMES[plan.scheme], plan.trials
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
            plan.scheme in ONCE and not self.by_steps and self.compiled and forms.fits(self.players)
        )

    def stand(self, states: list[State]) -> None:
        """Stand in these states, in the frame."""
        self.gather(states)
        if self.flow.responds and self.plan.inner:
            self.response = InnerLoop(self)

    def gather(self, states: list[State]) -> None:
        """Take these states to move, with room and crews of their own."""
        rooms = 2 if self.plan.scheme == "mirror-prox" else 1
        # Quadratic forms need none in the middle of a step, and show lengths of gradients alone.
        like = [s._replace(x=s.x[:, :1]) for s in states] if self.fused else states
        self.states, self.others = states, [midpoint(s) for s in rooms * like]
        self.found_at = -1
        self.seen = [(s.logw, s.x) for s in self.others[:2]]  # costs and gradients as shown last
        self.crews = {}
        shares = -(-self.plan.particles[0] // SHARE)  # of pairs
        self.pace = Pace(
            team_sizes(self.players, states, self.threads)
            if self.compiled
            else sizes(self.threads, shares)
        )

    def take(self, steps: int, showing: bool = False) -> None:
        """So many steps; showing, and what `forces` is then asked for, where that is less work."""
        if self.by_steps:
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

    @cached_property
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
                last = showing and next_k == end
                go(self.last_crews, self.how, k, next_k, last, self.marches)
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
        one, two = self.exact_looks(players)
        if first == self.found_at and not self.by_steps and self.plan.scheme != "strang":
            one.ahead, two.ahead = self.found
        return one, two

    def exact_looks(self, players: Players) -> tuple[Any, Any]:
        """Looks at the present costs, likewise."""
        one, two = self._each(Pairs if self.known_manifolds() else Plain, self.source, players)
        one.threads = two.threads = self.pace.best
        return one, two

    def known_manifolds(self) -> bool:
        return all(known_to_kernels(M) for M in self.game.manifolds)

    def _each(self, kind: Any, game: Any, players: Players) -> tuple[Any, Any]:
        given = zip(players, self.states, self.plan.particles, strict=True)
        one, two = (kind(game, me, s, n) for me, s, n in given)
        return one, two

    # -- the present forces ---------------------------------------------------------------------

    def forces(self) -> list[tuple[Array, Array]]:
        """Costs (blocks, lanes), perhaps up to a constant, and gradients (blocks, a, lanes) now, in
        the frame; their lengths (blocks, 1, lanes) where steps are `fused`.
        """
        if self.shown_at == self.done:
            return self.seen
        if self.compiled:
            return self.shown(self.hired())
        looks = self.exact_looks(self.players)
        seen = self.shown(looks)
        self.found_at, self.found = self.done, [look.found for look in looks]
        return seen

    def shown(self, by: list[Crew] | tuple[Any, Any]) -> list[tuple[Array, Array]]:
        """What crews or looks see."""
        if isinstance(by, list):
            self.last_crews = by
            go(by, self.how, 0, 0, True, self.marches)
        else:
            both(*by, self.states, self.others[:2], 0.0, 0.0, 0)
        return self.seen
