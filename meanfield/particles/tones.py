"""Langevin steps of trigonometric games on circles in single precision: simulate(..., precision="float32").

Cosines and sines of all modes 1, ..., K are never stored: four of them at a time turn by four angles, once for the
moments and once for the forces, and what is asked of them is summed on the way. Positions, noise and moments over more
than a block are double, and so is the angle before it is reduced; the rounding of mode m is below 1e-7 (m + 2).

Whole steps against `lowrank`, which stores features in double precision: 0.9 times as fast with one mode, 1.1 to 1.2
with 4, 1.2 to 1.5 with 8, 1.6 to 1.9 with 16, 2.0 to 2.5 with 32, 2.6 to 2.8 with 64 (n = 10^3 to 10^5).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.fastmath import F, sincos32
from meanfield.games.bases import TrigBasis
from meanfield.games.lowrank import LowRank
from meanfield.jit import apart, fma, kernel
from meanfield.manifolds import Torus
from meanfield.particles.kernels import (
    LANES,
    Player,
    Scratch,
    State,
    copy,
    kick,
    move,
    scratch,
)
from meanfield.particles.product import apply

FEWEST = 8  # modes from which on this gains a fifth
_ROOM = (
    11 * LANES
)  # rows at whole multiples of 112: cosine and sine of four modes, of the turn, and one more


class Tones(NamedTuple):
    """What a player needs beside `Scratch`; K is a multiple of four."""

    wave: float  # 2 pi / period
    modes: Array  # (J,) the game's modes among 0, ..., K
    room: Array  # single precision
    means: Array  # (2K,) of the cosines, then of the sines
    slopes: Array  # (2, K) single precision: what they count in the gradient


def check(game: LowRank) -> None:
    """Refuse games that this does not serve, or that gain nothing, with the reason.

    On spheres normals are single as it is. The products that are left, half a step of the paper's l_a and nothing of
    its l_b at d = 50, would gain a factor 1.4 in single precision: 1.15 of a step.
    """
    circles = all(
        type(b) is TrigBasis and type(b.manifold) is Torus and b.manifold.d == 1 for b in game.bases
    )
    if not circles:
        raise ValueError(
            'precision="float32" is for formulas that are not low-rank and for trigonometric games on circles, not '
            f'for {game.name}; leave precision at "float64"'
        )
    for basis in game.bases:
        modes: Any = basis.modes  # type: ignore[attr-defined]
        found, times = np.unique(modes, return_counts=True)
        if (wrong := found[(found < 0) | (times > 1)]).size:
            raise ValueError(
                f'precision="float32" takes every mode of a circle once, from 0 on, but {game.name} has mode '
                f"{wrong[0]:g} {times[found == wrong[0]][0]} times: give modes k and -k as one, k, with the sum of the "
                "cosines' and the difference of the sines' coefficients; or leave precision at \"float64\""
            )
        top = modes.max(initial=0)
        if len(modes) < FEWEST or top > 2 * len(modes):
            raise ValueError(
                f'precision="float32" gains nothing for {game.name}: it has {len(modes)} modes up to {top:g} on a '
                f"circle, and needs {FEWEST} and half of those up to the highest (measured: 0.9 times as fast with one "
                'mode, 1.15 times with 4, 1.8 times with 16); leave precision at "float64"'
            )


def tones(me: Player) -> Tones:
    """Room for one player."""
    modes = np.ascontiguousarray(me.modes[:, 0])
    K = -(-int(modes.max()) // 4) * 4
    return Tones(
        2 * np.pi / me.period, modes, np.zeros(_ROOM, F), np.zeros(2 * K), np.zeros((2, K), F)
    )


@kernel(fastmath={"reassoc", "nsz"})
def summed(total: float, more: float) -> float:
    """A sum over lanes, whose order the compiler chooses."""
    return total + more


@kernel
def begin(wave: float, x: Array, B: Array) -> None:
    """Cosines and sines of one to four times the angles of a block x (lanes,), and the turn by four."""
    for i in range(len(x)):
        s, c = sincos32(F(wave * x[i]))
        d, t = fma(c, c, -(s * s)), F(2.0) * c * s
        f, u = fma(d, d, -(t * t)), F(2.0) * d * t
        B[i], B[112 + i], B[224 + i], B[336 + i] = c, s, d, t
        B[448 + i], B[560 + i] = fma(d, c, -(t * s)), fma(d, s, t * c)
        B[672 + i], B[784 + i], B[896 + i], B[1008 + i] = f, u, f, u


@kernel
def add_means(t: Tones, x: Array, w: Array) -> None:
    """t.means += the means of all modes over a block x (lanes,) with weights w."""
    apart()
    B, K = t.room, t.slopes.shape[1]
    begin(t.wave, x, B)
    for i in range(len(x)):
        B[1120 + i] = w[i]
    for r in range(0, K, 4):
        a, b, d, e = F(0.0), F(0.0), F(0.0), F(0.0)
        p, q, u, v = F(0.0), F(0.0), F(0.0), F(0.0)
        for i in range(len(x)):
            weight, turn, rise = B[1120 + i], B[896 + i], B[1008 + i]
            c, s = B[i], B[112 + i]
            a, p = summed(a, weight * c), summed(p, weight * s)
            B[i], B[112 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[224 + i], B[336 + i]
            b, q = summed(b, weight * c), summed(q, weight * s)
            B[224 + i], B[336 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[448 + i], B[560 + i]
            d, u = summed(d, weight * c), summed(u, weight * s)
            B[448 + i], B[560 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[672 + i], B[784 + i]
            e, v = summed(e, weight * c), summed(v, weight * s)
            B[672 + i], B[784 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
        m = t.means
        m[r], m[r + 1], m[r + 2], m[r + 3] = m[r] + a, m[r + 1] + b, m[r + 2] + d, m[r + 3] + e
        r += K
        m[r], m[r + 1], m[r + 2], m[r + 3] = m[r] + p, m[r + 1] + q, m[r + 2] + u, m[r + 3] + v


@kernel
def slope(t: Tones, x: Array, out: Array) -> None:
    """The gradient at a block x (lanes,)."""
    apart()
    B, A = t.room, t.slopes
    begin(t.wave, x, B)
    for i in range(len(x)):
        B[1120 + i] = F(0.0)
    for r in range(0, A.shape[1], 4):
        a, b, d, e = A[0, r], A[0, r + 1], A[0, r + 2], A[0, r + 3]
        p, q, u, v = A[1, r], A[1, r + 1], A[1, r + 2], A[1, r + 3]
        for i in range(len(x)):
            turn, rise = B[896 + i], B[1008 + i]
            c, s = B[i], B[112 + i]
            g = fma(a, c, fma(p, s, B[1120 + i]))
            B[i], B[112 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[224 + i], B[336 + i]
            g = fma(b, c, fma(q, s, g))
            B[224 + i], B[336 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[448 + i], B[560 + i]
            g = fma(d, c, fma(u, s, g))
            B[448 + i], B[560 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            c, s = B[672 + i], B[784 + i]
            g = fma(e, c, fma(v, s, g))
            B[672 + i], B[784 + i] = fma(c, turn, -(s * rise)), fma(c, rise, s * turn)
            B[1120 + i] = g
    for i in range(len(x)):
        out[i] = B[1120 + i]


@kernel
def moments(t: Tones, s: State, r: Scratch) -> None:
    """`kernels.moments`."""
    K, J = t.slopes.shape[1], len(t.modes)
    t.means[:] = 0.0
    for b in range(len(s.x)):
        add_means(t, s.x[b, 0], s.w[b])
    for j in range(J):
        k = t.modes[j]
        # The mean of mode zero is one: weights stay as they are, and sum to one.
        r.m[j], r.m[J + j] = (t.means[k - 1], t.means[K + k - 1]) if k > 0 else (1.0, 0.0)


@kernel
def aim(t: Tones, c: Array) -> None:
    """t.slopes from the coefficients of the cost."""
    J = len(t.modes)
    t.slopes[:] = F(0.0)
    for j in range(J):
        k = t.modes[j]
        if k > 0:
            t.slopes[0, k - 1], t.slopes[1, k - 1] = t.wave * k * c[J + j], -t.wave * k * c[j]


@kernel
def push(
    me: Player, at: State, to: State, part: float, noise: float, k: int, r: Scratch, t: Tones
) -> None:
    """`lowrank.push` of a player whose weights stay."""
    aim(t, r.c)
    for b in range(len(at.x)):
        slope(t, at.x[b, 0], r.UG[1])
        move(me, part, noise, k, at.x[b], to, b, r)


def run(
    second_order: bool,
    players: tuple[Player, Player],
    states: tuple[State, State],
    first: int,
    steps: int,
) -> None:
    """`lowrank.run`."""
    rooms = scratch(players[0], states[0]), scratch(players[1], states[1])
    s, t = states
    halfway = (s._replace(x=s.x.copy()), t._replace(x=t.x.copy())) if second_order else states
    march(
        second_order,
        players,
        states,
        halfway,
        rooms,
        (tones(players[0]), tones(players[1])),
        first,
        first + steps,
    )


@kernel
def march(
    second_order: bool,
    players: tuple[Player, Player],
    states: tuple[State, State],
    halfway: tuple[State, State],
    rooms: tuple[Scratch, Scratch],
    both: tuple[Tones, Tones],
    first: int,
    end: int,
) -> None:
    """`lowrank.march`."""
    one, two = players
    s, t = states
    m, n = halfway
    r, q = rooms
    v, w = both
    parts = 2 if second_order else 1
    for k in range(first, end):
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
                moments(v, at, r)
                moments(w, facing, q)
                apply(one.map, q.m, r.c)
                apply(two.map, r.m, q.c)
                part = 0.5 if to_middle else 1.0
                push(one, at, to, part, 0.0 if second_order else math.sqrt(one.variance), k, r, v)
                push(
                    two,
                    facing,
                    goal,
                    part,
                    0.0 if second_order else math.sqrt(two.variance),
                    k,
                    q,
                    w,
                )
