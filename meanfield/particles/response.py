"""Gibbs responses of particles: jumps to the nodes of a mesh, or to where an inner loop has come.

In a flow with response rho a particle jumps in a step with probability 1 - exp(-rho dt) to a node
of the usual mesh of its manifold, drawn from the Gibbs masses there against the opponent in the
middle of the step, as its own response alone would have it. The named approximation is the Gibbs
measure on the mesh's nodes.

On any manifold, and where `inner` steps are asked for, the answer is n particles z of a Langevin
flow of their own, which begin where the player does:

    z <- R(z - dt grad U(z) + sqrt(2 T dt) xi),    `inner` times in a step, the opponent standing,

and particle i jumps to z_i: a double loop as the anchored best response of Kim et al. (2024) is
one. The named approximation is the law that z has come to. With rho infinite z are the player's own
particles: the quasistatic Langevin descent of Ma & Ying (2022).
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Rates
from meanfield.measures import Density, Measure
from meanfield.meshes import Index, Mesh, mesh
from meanfield.metrics.energy import gibbs_masses
from meanfield.particles.plan import Plan
from meanfield.particles.players import State, midpoint
from meanfield.particles.state import flat


class Response:
    """The responses of both players; `meshes` has None for a player without."""

    def __init__(self, game: Any, flow: Flow, plan: Plan) -> None:
        self.game, self.flow, self.plan = game, flow, plan
        self.meshes: list[Mesh | None] = [
            mesh(M) if rates.response > 0 else None
            for M, rates in zip(game.manifolds, flow.players, strict=True)
        ]

    def jumps(
        self, states: list[State], averages: list[Any], k: int
    ) -> dict[int, tuple[Index, Array]]:
        """Which particles of each player jump in step k, (m,), and where to, (m, a).

        averages: both players' averaged moments in flows with memory, None in others.
        """
        now, dt = self.flow.at((k + 0.5) * self.plan.step), self.plan.step
        answers = self._answers(states, averages, now)
        found = {}
        for p, (onto, masses) in enumerate(zip(self.meshes, answers, strict=True)):
            if onto is None or masses is None:
                continue
            rng = generator(self.plan, p, k)
            chosen = leaving(rng, self.plan.particles[p], now[p].response * dt)
            levels = np.cumsum(masses)[:-1]
            nodes = np.searchsorted(levels, rng.random(len(chosen)), "right")
            found[p] = chosen, onto.nodes[nodes]
        return found

    def _answers(
        self, states: list[State], averages: list[Any], now: tuple[Rates, Rates]
    ) -> list[Array | None]:
        """Both players' Gibbs masses in the middle of a step, None without response."""
        costs = [
            None if onto is None else self._costs(p, onto, states, averages)
            for p, onto in enumerate(self.meshes)
        ]
        first = [self._gibbs(p, U, now) for p, U in enumerate(costs)]
        if averages[0] is not None:
            return first
        for p, onto in enumerate(self.meshes):
            # By the middle the opponent has moved part of the way to its own Gibbs measure.
            q, answer = self.meshes[1 - p], first[1 - p]
            if onto is not None and q is not None and answer is not None:
                left = np.exp(-now[1 - p].response * self.plan.step / 2)
                costs[p] = left * costs[p] + (1 - left) * self.game.cost(
                    p, onto.nodes, Density(answer, q)
                )
        return [self._gibbs(p, U, now) for p, U in enumerate(costs)]

    def _gibbs(self, p: int, U: Array | None, now: tuple[Rates, Rates]) -> Array | None:
        onto = self.meshes[p]
        return None if U is None or onto is None else gibbs_masses(U / now[p].temperature, onto)

    def _costs(self, p: int, onto: Mesh, states: list[State], averages: list[Any]) -> Array:
        """U_p at the nodes of a mesh."""
        game = self.game
        if averages[0] is not None:
            c = game.coefficients(p, averages[1 - p])
            return np.asarray(game.bases[p].values(onto.nodes) @ c)
        s, n = states[1 - p], self.plan.particles[1 - p]
        w = s.w.ravel()[:n]
        opponent = Measure(flat(s.x, n), w / w.sum(), game.manifolds[1 - p])
        return game.cost(p, onto.nodes, opponent)  # type: ignore[no-any-return]


class InnerLoop:
    """The responses of both players by inner Langevin steps.

    stepper: the run's, standing at its states. `answers` has the particles z of each player who
    responds at a finite rate.
    """

    def __init__(self, stepper: Any) -> None:
        self.flow, self.plan, self.loops = stepper.flow, stepper.plan, {}
        self.answers: dict[int, State] = {}
        for p, rates in enumerate(self.flow.players):
            if rates.response == 0:
                continue
            states, self.loops[p] = list(stepper.states), copy(stepper)
            if not self.flow.quasistatic:
                self.answers[p] = states[p] = midpoint(states[p])
            self.loops[p].gather(states)

    def jumps(
        self, states: list[State], averages: list[Any], k: int
    ) -> dict[int, tuple[Index, Array]]:
        """As `Response` says them, after the inner steps of step k."""
        now, dt, inner = self.flow.at((k + 0.5) * self.plan.step), self.plan.step, self.plan.inner
        for p, loop in self.loops.items():
            one, two = (me._replace(transport=0.0, variance=0.0) for me in loop.players)
            moves = {"transport": dt, "variance": 2.0 * now[p].temperature * dt}
            players = (one._replace(**moves), two) if p == 0 else (one, two._replace(**moves))
            loop.march(players, k * inner, inner)
        found = {}
        for p, z in self.answers.items():
            n, rng = self.plan.particles[p], generator(self.plan, p, k)
            chosen = leaving(rng, n, now[p].response * dt)
            found[p] = chosen, flat(z.x, n)[chosen]
        return found


def leaving(rng: np.random.Generator, n: int, expected: float) -> Index:
    """Which of n particles jump in a step, over which `expected` jumps are due to each."""
    return np.flatnonzero(rng.random(n) < -np.expm1(-expected))


def generator(plan: Plan, p: int, k: int) -> np.random.Generator:
    """Numbers of player p's step k alone: counters that neither starting points nor other steps
    use.
    """
    key = np.array([plan.seed, 2 * plan.replica + p], dtype=np.uint64)
    counter = np.array([0, 0, k + 1, 1], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
