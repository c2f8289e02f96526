"""Replicas of one run that a graphics processor moves at once, each save of which is fetched once.

Runs ask one after another: the first that wants a save has all replicas moved to it, and the others
find theirs ready. What is done at saves is done where it always is, on the processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.particles.primitives import Player, State
from meanfield.particles.state import flat, place, state

SAVED = 1 << 31  # bytes of saved states of replicas that are moved at once, at most

Rows = tuple[Array, Array, Array]  # of all replicas: x (R, a, n), log w (R, n), running sums (R, n)


class Fleet:
    """Replicas of these numbers; `moved` puts a stepper of one of them where it is at a save."""

    def __init__(self, numbers: Iterable[int]) -> None:
        from meanfield.particles.looks.cuda import target

        self.cuda = target()
        self.numbers = list(numbers)
        self.at_once: list[int] = []  # the replicas on the device
        self.sides: list[Any] = []
        self.done = 0  # steps
        self.saves: dict[int, list[Rows]] = {}  # both players' by the number of steps done

    def moved(self, one: Any, first: int, end: int) -> None:
        """Take the particles of a stepper through steps first, ..., end - 1, in place."""
        replica = one.plan.replica
        if replica not in self.at_once or (end not in self.saves and first != self.done):
            self._send(one)
        if end not in self.saves:
            self._march(one, first, end)
        r = self.at_once.index(replica)
        for s, rows in zip(one.states, self.saves[end], strict=True):
            x, logw, sums = (v[r] for v in rows)
            for old, new in zip(s, state(x.T, logw, sums), strict=True):
                old[...] = new
        if len(self.at_once) == 1:  # nobody else will ask
            self.saves.clear()

    def _send(self, one: Any) -> None:
        """To the device: the replica that asks, where it stands, and those after it, at their
        start.
        """
        plan, begin = one.plan, self.numbers.index(one.plan.replica)
        numbers = sum(s.x[:, 0].size * (s.x.shape[1] + 2) for s in one.states)
        most = int(SAVED // (8 * numbers * len(plan.saves(one.time))))
        self.at_once, self.saves = self.numbers[begin : begin + max(1, most)], {}
        given = plan.particles, plan.placement, plan.seed
        states = [
            one.states
            if r == plan.replica
            else [
                s._replace(x=one.frame.into(p, s.x))
                for p, s in enumerate(place(one.game, one.start, *given, r))
            ]
            for r in self.at_once
        ]
        self.replicas = self.cuda.to_device(np.array(self.at_once, dtype=np.int64))
        self.sides = [
            self._side(me, one.players[1 - p], [s[p] for s in states], plan.particles[p])
            for p, me in enumerate(one.players)
        ]

    def _side(self, me: Player, opponent: Player, states: list[State], n: int) -> Any:
        """The device's view of a player."""
        from meanfield.particles.looks.replicas import SUMS, Side

        R, a = len(states), states[0].x.shape[1]
        asked, own = seen(me, opponent), np.arange(len(me.map)) if me.sphere else in_turn(me)
        rows = me.map[own].T
        # On a sphere feature 0 is one, and so is its mean.
        base = rows[0] if opponent.sphere else np.zeros(len(own))
        unit, follows = runs(me, SUMS // 2)
        send, room = self._sent, self._room
        return Side(
            me.number,
            bool(me.sphere),
            bool(me.single),
            me.period,
            me.refine,
            me.transport,
            me.reaction,
            float(np.sqrt(me.variance / me.refine)),
            send(me.matrix),
            send(unit),
            send(follows),
            send(asked),
            send(rows[seen(opponent, me)]),
            send(base),
            send(np.stack([flat(s.x, n).T for s in states])),
            send(np.stack([s.logw.ravel()[:n] for s in states])),
            send(np.stack([s.sums.ravel()[:n] for s in states])),
            room(R, n),
            room(R, a, n),
            room(R, len(asked)),
            room(R, len(own)),
        )

    def _sent(self, v: Any) -> Any:
        return self.cuda.to_device(np.ascontiguousarray(v))

    def _room(self, *shape: int) -> Any:
        return self.cuda.device_array(shape, np.float64)

    def _march(self, one: Any, first: int, end: int) -> None:
        """Move all replicas, and fetch them."""
        from meanfield.particles.looks import replicas

        # By the numbers of particles alone: sums have the same order on every device.
        widest = max(one.plan.particles)
        threads = min(replicas.THREADS, 1 << max(5, (widest - 1).bit_length()))
        seed = one.plan.seed
        replicas.march[len(self.at_once), threads](
            *self.sides, self.replicas, first, end, seed & 0xFFFFFFFF, seed >> 32
        )
        self.done, self.saves[end] = (
            end,
            [tuple(v.copy_to_host() for v in (s.x, s.logw, s.sums)) for s in self.sides],
        )


def seen(me: Player, opponent: Player) -> Any:
    """The numbers of the features whose means a player shows to its opponent: on a sphere those
    that are asked for, on a torus all, cosines and sines in turn.
    """
    if not me.sphere:
        return in_turn(me)
    return 1 + np.flatnonzero(opponent.map[:, 1:].any(axis=0))


def in_turn(me: Player) -> Any:
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
