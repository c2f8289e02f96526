"""Whole trajectories of low-rank games, compiled: both players, from one save to the next.

Nothing here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from meanfield.checks import Array
from meanfield.particles.kernels import (
    JIT,
    Player,
    State,
    add_weights,
    block_drift,
    block_euler,
    block_forces,
    kick,
    moments,
    reweigh,
)

Pair = tuple[Array, Array]


@njit(**JIT)
def coefficients(players: tuple[Player, Player], x: Pair, w: Pair, v: Pair, t: Pair) -> Pair:
    """Coefficients of both players' costs at one and the same state; keeps S x in v."""
    of_x = moments(players[0], x[0], w[0], v[0], t[0])
    of_y = moments(players[1], x[1], w[1], v[1], t[1])
    return apply(players[0].map, of_y), apply(players[1].map, of_x)


@njit(**JIT)
def apply(M: Array, m: Array) -> Array:
    """M m; spelled out, so that no linear algebra library is loaded for a few numbers."""
    out = np.zeros(M.shape[0])
    for i in range(M.shape[0]):
        for j in range(M.shape[1]):
            out[i] += M[i, j] * m[j]
    return out


@njit(**JIT)
def scratch(x: Pair) -> tuple[Pair, Pair, Pair]:
    """v like x, t (lanes,), G (a, lanes) for both players."""
    v = (np.zeros_like(x[0]), np.zeros_like(x[1]))
    t = (np.empty(x[0].shape[2]), np.empty(x[1].shape[2]))
    return v, t, (np.empty(x[0].shape[1:]), np.empty(x[1].shape[1:]))


@njit(**JIT)
def euler(players: tuple[Player, Player], states: tuple[State, State], v: Pair, t: Pair, G: Pair, k: int) -> None:
    """Step k of Algorithms 1 and 2: both players move against the state at its beginning."""
    a, b = states
    cs = coefficients(players, (a.x, b.x), (a.w, b.w), v, t)
    for p in range(2):
        me, s, U, Z = players[p], states[p], np.empty_like(t[p]), np.empty_like(G[p])
        for i in range(len(s.x)):
            block_forces(me, s.x[i], v[p][i], cs[p], t[p], U, G[p])
            block_euler(me, s.x[i], s.logw[i], U, G[p], i, k, t[p], Z)
    for p in range(2):
        reweigh(players[p], states[p].logw, states[p].w)


@njit(**JIT)
def strang(
    players: tuple[Player, Player],
    states: tuple[State, State],
    middle: tuple[State, State],
    v: Pair,
    t: Pair,
    G: Pair,
    k: int,
) -> None:
    """Step k: noise over dt/2, the coupled drift by the midpoint rule, noise over dt/2."""
    for p in range(2):
        kick(players[p], states[p].x, 2 * k)
        middle[p].x[:] = states[p].x
        middle[p].logw[:] = states[p].logw
        middle[p].w[:] = states[p].w
    for part in (0.5, 1.0):
        a, b = states if part == 0.5 else middle
        cs = coefficients(players, (a.x, b.x), (a.w, b.w), v, t)
        for p in range(2):
            me, at = players[p], (states[p] if part == 0.5 else middle[p])
            to, U = (middle[p] if part == 0.5 else states[p]), np.empty_like(t[p])
            for i in range(len(at.x)):
                block_forces(me, at.x[i], v[p][i], cs[p], t[p], U, G[p])
                block_drift(me, part, U, G[p], to.x[i], to.logw[i], t[p])
        for p in range(2):
            to = middle[p] if part == 0.5 else states[p]
            reweigh(players[p], to.logw, to.w)
    for p in range(2):
        kick(players[p], states[p].x, 2 * k + 1)


@njit(**JIT)
def run(second_order: bool, players: tuple[Player, Player], states: tuple[State, State], first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place."""
    a, b = states
    v, t, G = scratch((a.x, b.x))
    middle = (State(a.x.copy(), a.logw.copy(), a.w.copy(), a.sums), State(b.x.copy(), b.logw.copy(), b.w.copy(), b.sums))
    for k in range(first, first + steps):
        for p in range(2):
            add_weights(players[p], states[p])
        if second_order:
            strang(players, states, middle, v, t, G, k)
        else:
            euler(players, states, v, t, G, k)


@njit(**JIT)
def forces(players: tuple[Player, Player], states: tuple[State, State], U: Pair, G: Pair) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    a, b = states
    v, t, _ = scratch((a.x, b.x))
    cs = coefficients(players, (a.x, b.x), (a.w, b.w), v, t)
    for p in range(2):
        for i in range(len(states[p].x)):
            block_forces(players[p], states[p].x[i], v[p][i], cs[p], t[p], U[p][i], G[p][i])
