"""Gibbs responses of particles: jumps to the nodes of a mesh.

In a flow with response rho a particle jumps in a step with probability 1 - exp(-rho dt) to a node
of the usual mesh of its manifold, drawn from the Gibbs masses there against the opponent in the
middle of the step, as its own response alone would have it. The named approximation is the Gibbs
measure on the mesh's nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Rates
from meanfield.measures import Density, Measure
from meanfield.meshes import Index, Mesh, mesh
from meanfield.metrics.energy import gibbs_masses
from meanfield.particles.plan import Plan
from meanfield.particles.primitives import State
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
            rng = self._generator(p, k)
            chance = -np.expm1(-now[p].response * dt)
            chosen = np.flatnonzero(rng.random(self.plan.particles[p]) < chance)
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

    def _generator(self, p: int, k: int) -> np.random.Generator:
        """Numbers of player p's step k alone: counters that neither starting points nor other steps
        use.
        """
        key = np.array([self.plan.seed, 2 * self.plan.replica + p], dtype=np.uint64)
        counter = np.array([0, 0, k + 1, 1], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))
