"""Whole trajectories of low-rank games, compiled: both players, from one save to the next.

Nothing here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel
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
def together(
    players: Players, at: States, to: States, rs: tuple[Scratch, Scratch], part: float, noisy: bool, k: int
) -> None:
    """Both players move against one and the same state `at`, which may be `to` itself."""
    # Written for 0 and 1, not in a loop: indexing tuples of arrays by a variable costs more than a small step.
    m0, m1 = moments(players[0], at[0], rs[0]), moments(players[1], at[1], rs[1])
    c0, c1 = apply(players[0].map, m1), apply(players[1].map, m0)
    push(players[0], at[0], to[0], c0, part, noise_of(players[0], noisy), k, rs[0])
    push(players[1], at[1], to[1], c1, part, noise_of(players[1], noisy), k, rs[1])


@kernel
def kicks(players: Players, states: States, rs: tuple[Scratch, Scratch], tick: int) -> None:
    """The noise of half a step, for both players."""
    kick(players[0], states[0], tick, rs[0])
    kick(players[1], states[1], tick, rs[1])


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
        add_weights(players[0], a)
        add_weights(players[1], b)
        if second_order:
            kicks(players, states, rs, 2 * k)
            copy(a, middle[0])
            copy(b, middle[1])
            together(players, states, middle, rs, 0.5, False, k)
            together(players, middle, states, rs, 1.0, False, k)
            kicks(players, states, rs, 2 * k + 1)
        else:
            together(players, states, states, rs, 1.0, True, k)


@kernel
def forces(players: Players, states: States, U: tuple[Array, Array], G: tuple[Array, Array]) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    rs = (scratch(states[0]), scratch(states[1]))
    ms = (moments(players[0], states[0], rs[0]), moments(players[1], states[1], rs[1]))
    for p in range(2):
        me, s, r, c = players[p], states[p], rs[p], apply(players[p].map, ms[1 - p])
        for b in range(len(s.x)):
            block_forces(me, s.x[b], r.v[b], c, r.t, U[p][b], G[p][b])
