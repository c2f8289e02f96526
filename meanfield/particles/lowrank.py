"""Whole trajectories of low-rank games, compiled: both players, from one save to the next.

Nothing compiled here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

from typing import Any

from meanfield.checks import Array
from meanfield.jit import kernel
from meanfield.particles.kernels import (
    Player,
    Scratch,
    State,
    add_weights,
    aim,
    block_forces,
    block_move,
    copy,
    draw,
    held,
    kick,
    moments,
    noise_of,
    project,
    recall,
    reweigh,
    scratch,
    velocity,
)
from meanfield.particles.product import apply

Players = tuple[Player, Player]
States = tuple[State, State]
Rooms = tuple[Scratch, Scratch]


@kernel(counted=False)
def push(me: Player, at: State, to: State, part: float, noise: float, k: int, r: Scratch) -> float:
    """One player through part of a step: forces at one state move another (the same one in Euler's).

    Returns what `reweigh` took off the log-weights. With part = 0 nothing moves: cost and gradient of the state
    are written into the place of the log-weights and positions of the other.
    """
    aim(me, r.c, r)
    for b in range(len(at.x)):
        recall(me, at.x, b, r)
        block_forces(me, at.x[b], r.v[held(b, r)], r.c, me.reaction > 0.0 or part == 0.0, r)
        if part == 0.0:
            show(me, at.x[b], to.logw[b], to.x[b], r)
            continue
        if noise > 0.0:
            draw(me, at.x[b], b, k, r.Z)
        velocity(me, part, noise, at.x[b], r)
        block_move(me, part, to, b, r)
    return reweigh(me, to) if part > 0.0 else 0.0


@kernel(counted=False)
def show(me: Player, x: Array, U: Array, G: Array, r: Scratch) -> None:
    """Cost and tangent gradient of one block."""
    if me.sphere:
        project(x, r.UG[1:], r.t)
    for i in range(len(U)):
        U[i] = r.UG[0, i]
    for k in range(len(G)):
        for i in range(G.shape[1]):
            G[k, i] = r.UG[1 + k, i]


def middle(s: State) -> State:
    """A copy for the midpoint; the running sums are shared, for a midpoint adds nothing to them."""
    return State(s.x.copy(), s.logw.copy(), s.w.copy(), s.sums)


def run(second_order: bool, players: Players, states: Any, first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place."""
    s, t = states
    rooms = scratch(players[0], s), scratch(players[1], t)
    if second_order:
        strang(players, states, (middle(s), middle(t)), rooms, first, first + steps)
    else:
        march(players, states, rooms, first, first + steps)


# Both players move against one and the same state. Written for 0 and 1, not in a loop: indexing tuples of arrays by
# a variable costs more than a small step. Each scheme by itself: whoever runs one does not wait for the other's
# compilation.


@kernel(counted=False)
def march(players: Players, states: States, rooms: Rooms, first: int, end: int) -> None:
    """`run` for Euler's scheme, in the room that was made for it."""
    one, two = players
    s, t = states
    r, q = rooms
    for k in range(first, end):
        add_weights(one, s)
        add_weights(two, t)
        moments(one, s, r)
        moments(two, t, q)
        apply(one.map, q.m, r.c)
        apply(two.map, r.m, q.c)
        push(one, s, s, 1.0, noise_of(one, True), k, r)
        push(two, t, t, 1.0, noise_of(two, True), k, q)


@kernel(counted=False)
def strang(players: Players, states: States, halfway: States, rooms: Rooms, first: int, end: int) -> None:
    """`run` for Strang's scheme: a step of two stages, the first to a midpoint, between the noise of its two halves.

    One piece of code serves both stages and both halves, or it would be compiled twice.
    """
    one, two = players
    s, t = states
    m, n = halfway
    r, q = rooms
    for k in range(first, end):
        add_weights(one, s)
        add_weights(two, t)
        for half in range(2):
            kick(one, s, 2 * k + half, r)
            kick(two, t, 2 * k + half, q)
            for stage in range(2 if half == 0 else 0):
                if stage == 0:
                    copy(s, m)
                    copy(t, n)
                at, facing = (s, t) if stage == 0 else (m, n)
                to, goal = (m, n) if stage == 0 else (s, t)
                moments(one, at, r)
                moments(two, facing, q)
                apply(one.map, q.m, r.c)
                apply(two.map, r.m, q.c)
                part = 0.5 if stage == 0 else 1.0
                push(one, at, to, part, 0.0, k, r)
                push(two, facing, goal, part, 0.0, k, q)


def forces(players: Players, states: Any, U: Any, G: Any) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    rooms = [scratch(me, s) for me, s in zip(players, states, strict=True)]
    for me, s, r in zip(players, states, rooms, strict=True):
        moments(me, s, r)
    for p, (me, s, r) in enumerate(zip(players, states, rooms, strict=True)):
        apply(me.map, rooms[1 - p].m, r.c)
        push(me, s, State(G[p], U[p], s.w, s.sums), 0.0, 0.0, 0, r)
