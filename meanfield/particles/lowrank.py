"""Whole trajectories of low-rank games, compiled: both players, from one save to the next.

Nothing here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.particles.jit import kernel
from meanfield.particles.kernels import (
    Player,
    Scratch,
    State,
    add_weights,
    block_forces,
    block_move,
    copy,
    draw,
    kick,
    moments,
    noise_of,
    reweigh,
    scratch,
)

Players = tuple[Player, Player]
States = tuple[State, State]


@kernel
def apply(M: Array, m: Array) -> Array:
    """M m; spelled out, so that no linear algebra library is loaded for a few numbers."""
    out = np.zeros(M.shape[0])
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            out[i] += M[i, j] * m[j]
    return out


@kernel
def push(me: Player, at: State, to: State, c: Array, part: float, noise: float, k: int, r: Scratch) -> None:
    """One player through part of a step: forces at one state move another (the same one in Euler's)."""
    for b in range(len(at.x)):
        block_forces(me, at.x[b], r.v[b], c, r.t, r.U, r.G)
        if noise > 0.0:
            draw(me, at.x[b], b, k, r.t, r.Z)
        block_move(me, part, noise, to, b, r)
    reweigh(me, to)


@kernel
def drift(
    second_order: bool,
    players: Players,
    states: States,
    middle: States,
    rs: tuple[Scratch, Scratch],
    k: int,
) -> None:
    """Euler's step (Algorithms 1 and 2) or the midpoint rule: both players move against one state."""
    for stage in range(2 if second_order else 1):
        half = second_order and stage == 0
        at = states if stage == 0 else middle
        to = middle if half else states
        m0, m1 = moments(players[0], at[0], rs[0]), moments(players[1], at[1], rs[1])
        for p in range(2):
            me, c = players[p], apply(players[p].map, m1 if p == 0 else m0)
            push(me, at[p], to[p], c, 0.5 if half else 1.0, noise_of(me, second_order), k, rs[p])


@kernel
def run(second_order: bool, players: Players, states: States, first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place."""
    a, b = states
    rs = (scratch(a), scratch(b))
    middle = (
        State(a.x.copy(), a.logw.copy(), a.w.copy(), a.sums),
        State(b.x.copy(), b.logw.copy(), b.w.copy(), b.sums),
    )
    for k in range(first, first + steps):
        for p in range(2):
            add_weights(players[p], states[p])
        for half in range(2 if second_order else 1):
            if second_order:
                for p in range(2):
                    kick(players[p], states[p], 2 * k + half, rs[p])
                    if half == 0:
                        copy(states[p], middle[p])
            if half == 0:
                drift(second_order, players, states, middle, rs, k)


@kernel
def forces(players: Players, states: States, U: tuple[Array, Array], G: tuple[Array, Array]) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    rs = (scratch(states[0]), scratch(states[1]))
    ms = (moments(players[0], states[0], rs[0]), moments(players[1], states[1], rs[1]))
    for p in range(2):
        me, s, r, c = players[p], states[p], rs[p], apply(players[p].map, ms[1 - p])
        for b in range(len(s.x)):
            block_forces(me, s.x[b], r.v[b], c, r.t, U[p][b], G[p][b])
