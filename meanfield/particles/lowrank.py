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
def see(players: Players, states: States, rooms: Rooms) -> None:
    """Moments of both players, and the coefficients of both costs."""
    moments(players[0], states[0], rooms[0])
    moments(players[1], states[1], rooms[1])
    apply(players[0].map, rooms[1].m, rooms[0].c)
    apply(players[1].map, rooms[0].m, rooms[1].c)


@kernel(counted=False)
def push(me: Player, at: State, to: State, part: float, noise: float, k: int, r: Scratch) -> float:
    """One player through part of a step: forces at one state move another (the same one in Euler's).

    Returns what `reweigh` took off the log-weights.
    """
    aim(me, r.c, r)
    for b in range(len(at.x)):
        recall(me, at.x, b, False, r)
        block_forces(me, at.x[b], r.v[held(b, r)], r.c, me.reaction > 0.0, r)
        if noise > 0.0:
            draw(me, at.x[b], b, k, r.Z)
        velocity(me, part, noise, at.x[b], r)
        block_move(me, part, to, b, r)
    return reweigh(me, to)


def middle(s: State) -> State:
    """A copy for the midpoint; the running sums are shared, for a midpoint adds nothing to them."""
    return State(s.x.copy(), s.logw.copy(), s.w.copy(), s.sums)


def run(second_order: bool, players: Players, states: Any, first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place."""
    s, t = states
    rooms = scratch(players[0], s), scratch(players[1], t)
    halfway = (middle(s), middle(t)) if second_order else states
    march(second_order, players, states, halfway, rooms, first, first + steps)


@kernel(counted=False)
def march(
    second_order: bool, players: Players, states: States, halfway: States, rooms: Rooms, first: int, end: int
) -> None:
    """`run` in the room that was made for it.

    Both players move against one and the same state. Written for 0 and 1, not in a loop: indexing tuples of
    arrays by a variable costs more than a small step. Euler's step is one stage; Strang's has two, the first
    to a midpoint, between the noise of its two halves. One piece of code serves all stages, or it would be
    compiled three times.
    """
    one, two = players
    s, t = states
    m, n = halfway
    r, q = rooms
    parts = 2 if second_order else 1
    for k in range(first, end):
        add_weights(one, s)
        add_weights(two, t)
        for half in range(parts):
            if second_order:
                kick(one, s, 2 * k + half, r)
                kick(two, t, 2 * k + half, q)
            for stage in range(parts if half == 0 else 0):
                to_middle = second_order and stage == 0
                if to_middle:
                    copy(s, m)
                    copy(t, n)
                at, facing = (m, n) if second_order and stage == 1 else (s, t)
                to, goal = (m, n) if to_middle else (s, t)
                see(players, (at, facing), rooms)
                part = 0.5 if to_middle else 1.0
                push(one, at, to, part, noise_of(one, not second_order), k, r)
                push(two, facing, goal, part, noise_of(two, not second_order), k, q)


def forces(players: Players, states: Any, U: Any, G: Any) -> None:
    """Both players' costs (blocks, lanes) and gradients (blocks, a, lanes) at the present state."""
    rooms = scratch(players[0], states[0]), scratch(players[1], states[1])
    see(players, states, rooms)
    for p in range(2):
        look(players[p], states[p], rooms[p], U[p], G[p])


@kernel(counted=False)
def look(me: Player, s: State, r: Scratch, U: Array, G: Array) -> None:
    """Cost and gradient of one player from its coefficients."""
    aim(me, r.c, r)
    for b in range(len(s.x)):
        recall(me, s.x, b, False, r)
        block_forces(me, s.x[b], r.v[held(b, r)], r.c, True, r)
        if me.sphere:
            project(s.x[b], r.UG[1:], r.t)
        for i in range(U.shape[1]):
            U[b, i] = r.UG[0, i]
            for k in range(G.shape[1]):
                G[b, k, i] = r.UG[1 + k, i]
