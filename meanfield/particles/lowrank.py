"""Whole trajectories of low-rank games, compiled: both players, from one save to the next.

Nothing compiled here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

import math
from typing import Any

from meanfield.checks import Array
from meanfield.jit import apart, kernel
from meanfield.particles.features import Flag, features
from meanfield.particles.kernels import (
    Player,
    Scratch,
    State,
    add_weights,
    aim,
    block_forces,
    copy,
    kick,
    moments,
    move,
    project,
    reweigh,
    scratch,
)
from meanfield.particles.product import apply

Players = tuple[Player, Player]
States = tuple[State, State]
Rooms = tuple[Scratch, Scratch]


@kernel
def push(me: Player, at: State, to: State, part: float, noise: float, k: int, r: Scratch) -> float:
    """One player through part of a step: forces at one state move another (the same one in Euler's).

    Returns what `reweigh` took off the log-weights. With part = 0 nothing moves: cost and gradient of the state
    are written into the place of the log-weights and positions of the other.
    """
    apart()
    aim(me.sphere, me.matrix, r.c, r.A)
    for b in range(len(at.x)):
        x, v = at.x[b], r.v[b % len(r.v)]
        if len(r.v) < len(at.x):
            features(me.sphere, me.matrix, me.period, me.modes, me.top, x, r.P, v)
        block_forces(me.sphere, x, v, r.c, me.reaction > 0.0 or part == 0.0, r.A, r.UG)
        if part == 0.0:
            show(me.sphere, x, r.UG, r.t, to.logw[b], to.x[b])
        else:
            move(me, part, noise, k, x, to, b, r)
    return reweigh(me, to) if part > 0.0 else 0.0


@kernel
def show(sphere: Flag, x: Array, UG: Array, t: Array, U: Array, G: Array) -> None:
    """Cost and tangent gradient of one block."""
    if len(sphere) > 0:
        project(x, UG[1:], t)
    for i in range(len(U)):
        U[i] = UG[0, i]
    for k in range(len(G)):
        for i in range(G.shape[1]):
            G[k, i] = UG[1 + k, i]


def middle(s: State) -> State:
    """A copy for the midpoint; the running sums are shared, for a midpoint adds nothing to them."""
    return State(s.x.copy(), s.logw.copy(), s.w.copy(), s.sums)


def run(second_order: bool, players: Players, states: Any, first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place."""
    s, t = states
    others = (middle(s), middle(t)) if second_order else (s, t)
    march(
        (True,) if second_order else (),
        False,
        players,
        (s, t),
        others,
        rooms(players, states),
        first,
        first + steps,
    )


def forces(second_order: bool, players: Players, states: Any, U: Any, G: Any) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    s, t = (State(g, u, s.w, s.sums) for s, u, g in zip(states, U, G, strict=True))
    march(
        (True,) if second_order else (),
        True,
        players,
        tuple(states),
        (s, t),
        rooms(players, states),
        0,
        1,
    )


def rooms(players: Players, states: Any) -> Rooms:
    """Room for both players."""
    return scratch(players[0], states[0]), scratch(players[1], states[1])


# Both players move against one and the same state. Written for 0 and 1, not in a loop: indexing tuples of arrays by
# a variable costs more than a small step. Python calls nothing else: another kernel would have most of this compiled
# once more.


@kernel
def march(
    strang: Flag,
    looking: bool,
    players: Players,
    states: States,
    others: States,
    rooms: Rooms,
    first: int,
    end: int,
) -> None:
    """`run`: Strang's step is two, the first to a midpoint, between the noise of two halves.

    Looking, nothing moves: costs and gradients of the states are written into the others.
    """
    one, two = players
    s, t = states
    r, q = rooms
    for k in range(first, end):
        if looking:
            both(strang, players, states, others, 0.0, k, rooms)
            continue
        add_weights(one, s)
        add_weights(two, t)
        if len(strang) == 0:
            both(strang, players, states, states, 1.0, k, rooms)
            continue
        kick(one, s, 2 * k, r)
        kick(two, t, 2 * k, q)
        copy(s, others[0])
        copy(t, others[1])
        both(strang, players, states, others, 0.5, k, rooms)
        both(strang, players, others, states, 1.0, k, rooms)
        kick(one, s, 2 * k + 1, r)
        kick(two, t, 2 * k + 1, q)


@kernel
def both(
    strang: Flag, players: Players, at: States, to: States, part: float, k: int, rooms: Rooms
) -> None:
    """Part of a step of both players: the forces of one pair of states move another, or the same one."""
    one, two = players
    s, t = at
    r, q = rooms
    moments(one.sphere, one, s, r)
    moments(two.sphere, two, t, q)
    apply(one.map, q.m, r.c)
    apply(two.map, r.m, q.c)
    push(one, s, to[0], part, math.sqrt(one.variance) if len(strang) == 0 else 0.0, k, r)
    push(two, t, to[1], part, math.sqrt(two.variance) if len(strang) == 0 else 0.0, k, q)
