"""Particles of flows with schedules, memory or Gibbs responses, and mirror-prox: a loop in Python over primitives.

With dt the step and U_p[z] the cost of player p against moments z of the other:

- schedules: step k uses the flow's numbers at its middle, (k + 1/2) dt, in either scheme;
- memory, low-rank games only: U_p[zbar], zbar <- zbar + s (z - zbar) before every step, s the share that
  [k dt, (k + 1) dt] has in the average at its end (a power r: s = 1 - (k/(k + 1))^(r + 1), so that r = 0 is
  the plain mean of all states so far);
- response: after its step, a particle jumps with probability 1 - exp(-rho dt) to a node of the usual mesh of
  its manifold, drawn from the Gibbs masses there against the opponent in the middle of the step, as its own
  response alone would have it: the named approximation is the Gibbs measure on the mesh's nodes;
- mirror-prox (extragradient; Wang & Chizat 2022, on positions and weights): a whole step to a trial state, then the
  whole step again from where it began, along the forces at the trial state. Without noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.games.lowrank import LowRank
from meanfield.measures import Density, Measure
from meanfield.meshes import Index, Mesh, mesh
from meanfield.metrics.energy import gibbs_masses
from meanfield.particles import lowrank, pairwise
from meanfield.particles.state import compiled, flat
from meanfield.particles.primitives import Player, State
from meanfield.particles.plan import Plan

Forces = list[tuple[Array, Array]]


def needed(flow: Flow, scheme: str) -> bool:
    """Whether a run takes this loop, and not the compiled one of the paper's flows."""
    return flow.memory is not None or flow.scheduled or flow.responds or scheme == "mirror-prox"


class Along:
    """In place of a game: forces that are given, (n,) and (n, a) for each player."""

    def __init__(self, given: Forces) -> None:
        self.given = given

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        return self.given[p]


class Loop:
    """What moves the states of one run; `seen` are both players' averaged moments, None without memory."""

    def __init__(self, game: Game, flow: Flow, plan: Plan, players: tuple[Player, Player]) -> None:
        self.game, self.flow, self.plan, self.players = game, flow, plan, players
        self.compiled = compiled(game)
        self.seen: list[Array] | None = None
        self.meshes: list[Mesh | None] = [
            mesh(M) if rates.response > 0 else None
            for M, rates in zip(game.manifolds, flow.players, strict=True)
        ]

    def run(self, states: list[State], first: int, steps: int) -> None:
        """Steps first, ..., first + steps - 1, in place."""
        for k in range(first, first + steps):
            self._step(states, self._timed(k), k)

    def _timed(self, k: int) -> tuple[Player, Player]:
        """The players with the numbers of step k."""
        if not self.flow.scheduled:
            return self.players
        dt = self.plan.step
        a, b = (
            me._replace(
                transport=now.gamma * dt,
                reaction=now.alpha * dt,
                variance=2.0 * now.gamma * now.temperature * dt,
            )
            for me, now in zip(self.players, self.flow.at((k + 0.5) * dt), strict=True)
        )
        return a, b

    def _step(self, states: list[State], players: tuple[Player, Player], k: int) -> None:
        if self.flow.memory is not None:
            self._remember(states, k)
        jumps = self._jumps(states, k)
        if self.plan.scheme == "mirror-prox":
            trial = [State(s.x.copy(), s.logw.copy(), s.w.copy(), s.sums.copy()) for s in states]
            self._plain(self.game, trial, players, k)
            self._plain(Along(self._forces(trial)), states, players, k)
        elif self.seen is not None:
            self._plain(Along(self._forces(states)), states, players, k)
        elif self.flow.transports or self.flow.reacts:
            self._plain(self.game, states, players, k)
        for p, (chosen, points) in jumps.items():
            _place(states[p], chosen, points)

    def _plain(
        self, game: Any, states: list[State], players: tuple[Player, Player], k: int
    ) -> None:
        """Step k of the paper's schemes in a game, or along given forces."""
        if game is self.game and self.compiled:
            lowrank.run(self.plan.second_order, players, (states[0], states[1]), k, 1)
        else:
            pairwise.run(game, self.plan.second_order, players, states, self.plan.particles, k, 1)

    def _forces(self, states: list[State]) -> Forces:
        """Costs (n,) and gradients (n, a) of both players, against averaged moments where there are any."""
        found: Forces = []
        atoms = [
            (flat(s.x, n), s.w.ravel()[:n])
            for s, n in zip(states, self.plan.particles, strict=True)
        ]
        for p, (points, _) in enumerate(atoms):
            nodes, w = atoms[1 - p]
            found.append(self._against(p, points, nodes, w))
        return found

    def _against(self, p: int, points: Array, nodes: Array, w: Array) -> tuple[Array, Array]:
        game: Any = self.game
        if isinstance(game, LowRank):
            c = game.coefficients(
                p, game.moments(1 - p, nodes, w) if self.seen is None else self.seen[1 - p]
            )
            return game.bases[p].values(points) @ c, game.bases[p].gradient(points, c)
        opponent = Measure(nodes, w / w.sum(), game.manifolds[1 - p])
        return game.cost(p, points, opponent), game.gradient(p, points, opponent)

    # -- memory ---------------------------------------------------------------------------------

    def _moments(self, states: list[State]) -> list[Array]:
        rows = zip(states, self.plan.particles, strict=True)
        game: Any = self.game
        return [game.moments(p, flat(s.x, n), s.w.ravel()[:n]) for p, (s, n) in enumerate(rows)]

    def _remember(self, states: list[State], k: int) -> None:
        """The average takes in the present state; the first one begins it."""
        now, dt = self._moments(states), self.plan.step
        if self.seen is None:
            self.seen = now
            return
        share = self.flow.memory.share(k * dt, (k + 1) * dt)  # type: ignore[union-attr]
        self.seen = [old + share * (new - old) for old, new in zip(self.seen, now, strict=True)]

    # -- response -------------------------------------------------------------------------------

    def _jumps(self, states: list[State], k: int) -> dict[int, tuple[Index, Array]]:
        """Which particles of each player jump in step k, and where to."""
        now, dt = self.flow.at((k + 0.5) * self.plan.step), self.plan.step
        found = {}
        for p, (onto, masses) in enumerate(
            zip(self.meshes, self._answers(states, now), strict=True)
        ):
            if onto is None or masses is None:
                continue
            rng = self._generator(p, k)
            chosen = np.flatnonzero(
                rng.random(self.plan.particles[p]) < -np.expm1(-now[p].response * dt)
            )
            found[p] = (
                chosen,
                onto.nodes[
                    np.searchsorted(np.cumsum(masses)[:-1], rng.random(len(chosen)), "right")
                ],
            )
        return found

    def _answers(self, states: list[State], now: tuple[Rates, Rates]) -> list[Array | None]:
        """Both players' Gibbs masses in the middle of a step, None without response."""
        costs = [
            None if onto is None else self._costs(p, onto, states)
            for p, onto in enumerate(self.meshes)
        ]
        first = [self._gibbs(p, U, now) for p, U in enumerate(costs)]
        if self.seen is not None:
            return first
        for p, onto in enumerate(self.meshes):
            # By the middle the opponent has moved part of the way to its own Gibbs measure.
            q, answer = self.meshes[1 - p], first[1 - p]
            if onto is not None and q is not None and answer is not None:
                kept = np.exp(-now[1 - p].response * self.plan.step / 2)
                costs[p] = kept * costs[p] + (1 - kept) * self.game.cost(
                    p, onto.nodes, Density(answer, q)
                )
        return [self._gibbs(p, U, now) for p, U in enumerate(costs)]

    def _gibbs(self, p: int, U: Array | None, now: tuple[Rates, Rates]) -> Array | None:
        onto = self.meshes[p]
        return None if U is None or onto is None else gibbs_masses(U / now[p].temperature, onto)

    def _costs(self, p: int, onto: Mesh, states: list[State]) -> Array:
        """U_p at the nodes of a mesh."""
        game: Any = self.game
        if self.seen is not None:
            return np.asarray(
                game.bases[p].values(onto.nodes) @ game.coefficients(p, self.seen[1 - p])
            )
        s, n = states[1 - p], self.plan.particles[1 - p]
        w = s.w.ravel()[:n]
        return self.game.cost(
            p, onto.nodes, Measure(flat(s.x, n), w / w.sum(), game.manifolds[1 - p])
        )

    def _generator(self, p: int, k: int) -> np.random.Generator:
        """Numbers of player p's step k alone: counters that neither starting points nor other steps use."""
        key = np.array([self.plan.seed, 2 * self.plan.replica + p], dtype=np.uint64)
        return np.random.Generator(
            np.random.Philox(key=key, counter=np.array([0, 0, k + 1, 1], dtype=np.uint64))
        )


def _place(s: State, chosen: Index, points: Array) -> None:
    """Put particles, by their numbers, at points (m, a)."""
    block, lane = np.divmod(chosen, s.x.shape[2])
    s.x[block, :, lane] = points


def check(game: Game, flow: Flow, scheme: str) -> None:
    """Refuse what these loops cannot do, with the reason."""
    if flow.memory is not None and not isinstance(game, LowRank):
        raise ValueError(
            f"{game.name} is not low-rank: its averaged gradient needs the particles of all past steps; "
            "use densities (meanfield.solve), which average masses on their mesh"
        )
    own = flow.memory is not None or flow.responds
    if own and scheme != "euler":
        raise ValueError(f'flows with memory or response run with scheme="euler", not {scheme!r}')
    if scheme == "mirror-prox" and flow.diffuses:
        raise ValueError(
            'scheme "mirror-prox" is for flows without noise; with a temperature use "strang"'
        )
    for name, rates, manifold in zip("xy", flow.players, game.manifolds, strict=True):
        if rates.response > 0 and rates.temperature == 0:
            raise ValueError(
                f"player {name} follows best responses (rate {rates.response:g}) at temperature zero, where all that "
                "jump in one step would share one point; give a temperature (EntropicBestResponse), or use densities"
            )
        if rates.response > 0 and rates.alpha > 0:
            raise ValueError(
                f"player {name} has a response and a reaction: particles that jump would need new weights"
            )
        if rates.response > 0:
            mesh(manifold)  # raises ValueError where there is none
