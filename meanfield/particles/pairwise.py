"""The same schemes for games that hand their forces in: a loop in Python over compiled primitives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.jit import kernel
from meanfield.measures import Measure
from meanfield.particles.blocks import blocked, flat
from meanfield.particles.kernels import (
    Player,
    Scratch,
    State,
    kick,
    move,
    reweigh,
    scratch,
)

Forces = list[tuple[Array, Array]]


def forces(game: Game, states: list[State], counts: tuple[int, int]) -> Forces:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at one state."""
    points = [flat(s.x, n) for s, n in zip(states, counts, strict=True)]
    masses = [s.w.ravel()[:n] for s, n in zip(states, counts, strict=True)]
    found = []
    for U, G in _both(game, points, masses):
        found.append((blocked(U[:, None])[:, 0, :].copy(), blocked(G)))
    return found


def _both(game: Any, points: list[Array], masses: list[Array]) -> Any:
    """Costs and gradients at points (n, a) of both players; one look at each pair where the game offers it."""
    if hasattr(game, "both_forces"):
        return game.both_forces(*points, *masses)
    return [_forces(game, p, points[p], points[1 - p], masses[1 - p]) for p in range(2)]


def _forces(game: Any, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
    """`game.forces` where the game has it, its cost and gradient otherwise."""
    if hasattr(game, "forces"):
        return game.forces(p, points, nodes, masses)
    opponent = Measure(nodes, masses / masses.sum(), game.manifolds[1 - p])
    return game.cost(p, points, opponent), game.gradient(p, points, opponent)


def run(
    game: Game,
    second_order: bool,
    players: tuple[Player, Player],
    states: list[State],
    counts: tuple[int, int],
    first: int,
    steps: int,
) -> None:
    """Steps first, ..., first + steps - 1, in place; `lowrank.run` for any game."""
    for k in range(first, first + steps):
        for me, s in zip(players, states, strict=True):
            if me.reaction > 0.0:
                np.add(s.sums, s.w, out=s.sums)
        (_strang if second_order else _euler)(game, players, states, counts, k)


def _euler(game: Game, players: Any, states: list[State], counts: tuple[int, int], k: int) -> None:
    for me, s, (U, G) in zip(players, states, forces(game, states, counts), strict=True):
        push(me, s, s, U, G, 1.0, math.sqrt(me.variance), k, scratch(me, s))


def _strang(game: Game, players: Any, states: list[State], counts: tuple[int, int], k: int) -> None:
    for me, s in zip(players, states, strict=True):
        kick(me, s, 2 * k, scratch(me, s))
    middle = [State(s.x.copy(), s.logw.copy(), s.w.copy(), s.sums) for s in states]
    for me, at, s, (U, G) in zip(
        players, states, middle, forces(game, states, counts), strict=True
    ):
        push(me, at, s, U, G, 0.5, 0.0, k, scratch(me, s))
    for me, at, s, (U, G) in zip(
        players, middle, states, forces(game, middle, counts), strict=True
    ):
        push(me, at, s, U, G, 1.0, 0.0, k, scratch(me, s))
        kick(me, s, 2 * k + 1, scratch(me, s))


@kernel
def push(
    me: Player,
    at: State,
    to: State,
    U: Array,
    G: Array,
    part: float,
    noise: float,
    k: int,
    r: Scratch,
) -> float:
    """`lowrank.push` along given forces of all blocks."""
    for b in range(len(to.x)):
        for i in range(U.shape[1]):
            r.UG[0, i] = U[b, i]
            for a in range(G.shape[1]):
                r.UG[1 + a, i] = G[b, a, i]
        move(me, part, noise, k, at.x[b], to, b, r)
    return reweigh(me, to)
