"""Particles that a graphics processor moves from save to save: replicas of a low-rank game, all at
once, or both players of a formula. What is done at saves is done where it always is, on the
processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.particles.players import Player, State
from meanfield.particles.state import flat, place, state

SAVED = 1 << 31  # bytes of saved states of replicas that are moved at once, at most

Rows = tuple[Array, Array, Array]  # of all replicas: x (R, a, n), log w (R, n), running sums (R, n)


class DeviceReplicas:
    """Replicas of these numbers; `moved` puts a stepper of one of them where it is at a save.

    Runs ask one after another: the first that wants a save has all replicas moved to it, and the
    others find theirs ready.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        from meanfield.particles.looks.cuda import target

        self.cuda = target()
        self.numbers = list(numbers)
        self.present: list[int] = []  # on the device now
        self.sides: list[Any] = []
        self.done = 0  # steps
        self.saves: dict[int, list[Rows]] = {}  # both players' by the number of steps done

    def moved(self, one: Any, first: int, end: int) -> None:
        """Take the particles of a stepper through steps first, ..., end - 1, in place."""
        replica = one.plan.replica
        if replica not in self.present or (end not in self.saves and first != self.done):
            self._send(one)
        if end not in self.saves:
            self._march(one, first, end)
        r = self.present.index(replica)
        for s, rows in zip(one.states, self.saves[end], strict=True):
            put(s, *(v[r] for v in rows))
        if len(self.present) == 1:  # nobody else will ask
            self.saves.clear()

    def _send(self, one: Any) -> None:
        """To the device: the replica that asks, where it stands, and those after it, at their
        start.
        """
        plan, begin = one.plan, self.numbers.index(one.plan.replica)
        numbers = sum(s.x[:, 0].size * (s.x.shape[1] + 2) for s in one.states)
        most = int(SAVED // (8 * numbers * len(plan.saves(one.time))))
        self.present, self.saves = self.numbers[begin : begin + max(1, most)], {}
        given = plan.particles, plan.placement, plan.seed
        states = [
            one.states
            if r == plan.replica
            else [
                s._replace(x=one.frame.into(p, s.x))
                for p, s in enumerate(place(one.game, one.start, *given, r))
            ]
            for r in self.present
        ]
        self.replicas = self.cuda.to_device(np.array(self.present, dtype=np.int64))
        self.sides = [
            self._side(me, one.players[1 - p], [s[p] for s in states], plan.particles[p])
            for p, me in enumerate(one.players)
        ]

    def _side(self, me: Player, opponent: Player, states: list[State], n: int) -> Any:
        """The device's view of a player."""
        from meanfield.particles.looks.replicas import SUMS, Side

        own = np.arange(len(me.map)) if me.sphere else alternately(me)
        rows = me.map[own].T
        # On a sphere feature 0 is one, and so is its mean.
        base = rows[0] if opponent.sphere else np.zeros(len(own))
        asked, turns = seen(me, opponent), runs(me, SUMS // 2)
        game = me.matrix, *turns, asked, rows[seen(opponent, me)], base
        sent = (self.cuda.to_device(np.ascontiguousarray(v)) for v in game)
        rooms = ((len(states), len(v)) for v in (asked, base))
        moved = moved_side(self.cuda, me, states, n)
        return Side(*moved, *sent, *(self.cuda.device_array(r, np.float64) for r in rooms))

    def _march(self, one: Any, first: int, end: int) -> None:
        """Move all replicas, and fetch them."""
        from meanfield.particles.looks import replicas
        from meanfield.particles.looks.cuda import sized

        # By the numbers of particles alone: sums have the same order on every device.
        widest = max(one.plan.particles)
        threads = min(replicas.THREADS, 1 << max(5, (widest - 1).bit_length()))
        seed = one.plan.seed
        sized(replicas.march, len(self.present), threads)(
            *self.sides, self.replicas, first, end, seed & 0xFFFFFFFF, seed >> 32
        )
        self.done, self.saves[end] = end, [fetched(s) for s in self.sides]


class DevicePairs:
    """Both players of a formula, whose state and noise stay on the device between saves."""

    def __init__(self, source: Any) -> None:
        self.source, self.cuda = source, source.cuda
        self.sides: list[Any] = []
        self.points: list[Any] = []  # of both players, (n, a)
        self.done = 0  # steps

    def moved(self, one: Any, first: int, end: int) -> None:
        """Take the particles of a stepper through steps first, ..., end - 1, in place: a few
        launches a step, of which none is waited for.
        """
        from meanfield.particles.looks.cuda import sized
        from meanfield.particles.looks.device_pairs import push
        from meanfield.particles.looks.replicas import THREADS, weigh

        if not self.sides or first != self.done:
            self._send(one)
        plan, look, (x, y) = one.plan, self.source.launched, self.points
        v, w = (s.w[0] for s in self.sides)
        blocks = -(-max(plan.particles) // (2 * THREADS))
        moves, weights = sized(push, blocks, THREADS), sized(weigh, 1, THREADS)
        weights(*self.sides, True)
        for k in range(first, end):
            sums = look(0, x, y, w), look(1, y, x, v)
            moves(
                *self.sides, *sums, x, y, plan.replica, k, plan.seed & 0xFFFFFFFF, plan.seed >> 32
            )
            if one.flow.reacts:
                weights(*self.sides, False)
        for s, now in zip(one.states, self.sides, strict=True):
            put(s, *(rows[0] for rows in fetched(now)))
        self.done = end

    def _send(self, one: Any) -> None:
        given = list(zip(one.players, one.states, one.plan.particles, strict=True))
        self.sides = [moved_side(self.cuda, me, [s], n) for me, s, n in given]
        self.points = [self.cuda.to_device(flat(s.x, n)) for _, s, n in given]


def mover(one: Any) -> DeviceReplicas | DevicePairs | None:
    """What moves the particles of a stepper on a device, where that takes whole steps."""
    if one.plan.device == "cpu":
        return None
    if one.compiled:
        return DeviceReplicas([one.plan.replica])
    euler = one.plan.scheme == "euler" and one.known_manifolds()
    return DevicePairs(one.source) if euler else None


def moved_side(cuda: Any, me: Player, states: list[State], n: int) -> Any:
    """The device's view of what moves a player, in these states of R replicas."""
    from meanfield.particles.looks.device_steps import Moved

    R, a = len(states), states[0].x.shape[1]
    moving: Any = (
        np.stack([flat(s.x, n).T for s in states]),
        np.stack([s.logw.ravel()[:n] for s in states]),
        np.stack([s.sums.ravel()[:n] for s in states]),
    )
    numbers = me.transport, me.reaction, float(np.sqrt(me.variance / me.refine))
    sent = (cuda.to_device(np.ascontiguousarray(v)) for v in moving)
    rooms = (cuda.device_array(shape, np.float64) for shape in ((R, n), (R, a, n)))
    fixed = me.number, bool(me.sphere), bool(me.single), me.period, me.refine, *numbers
    return Moved(*fixed, *sent, *rooms)


def fetched(now: Any) -> Rows:
    """What the device has of a player: x, log w and running sums of all replicas."""
    x, logw, sums = (v.copy_to_host() for v in (now.x, now.logw, now.sums))
    return x, logw, sums


def put(s: State, x: Array, logw: Array, sums: Array) -> None:
    """Into a state, in place: x (a, n), log w and running sums (n,)."""
    for old, new in zip(s, state(x.T, logw, sums), strict=True):
        old[...] = new


def seen(me: Player, opponent: Player) -> Any:
    """The numbers of the features whose means a player shows to its opponent: on a sphere those
    that are asked for, on a torus all, cosines and sines in turn.
    """
    if not me.sphere:
        return alternately(me)
    return 1 + np.flatnonzero(opponent.map[:, 1:].any(axis=0))


def alternately(me: Player) -> Any:
    """The places of cosines and sines in turn among the features of a torus."""
    return np.arange(2 * len(me.modes)).reshape(2, -1).T.ravel()


def runs(me: Player, every: int) -> tuple[Any, Any]:
    """The wave vector by which most modes follow the one before, and whether each does.

    Some begin anew: rounding adds up from there, and the device takes so many sums at a time.
    """
    J, d = me.matrix.shape
    follows = np.zeros(J, dtype=np.int64)
    if me.sphere or J < 2:
        return np.zeros(d), follows
    steps, which = np.unique(np.diff(me.modes, axis=0), axis=0, return_inverse=True)
    usual = np.bincount(which.ravel()).argmax()
    follows[1:] = which.ravel() == usual
    follows[::every] = 0
    return 2 * np.pi / me.period * steps[usual], follows
