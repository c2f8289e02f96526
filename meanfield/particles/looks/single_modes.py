"""The look of trigonometric games on circles in single precision: simulate(...,
precision="float32").

Cosines and sines of the modes 1, ..., K are never stored: four of them at a time turn by four
angles, once for the moments and once for the forces, and what is asked of them is summed on the
way. Positions, noise and moments over more than a block are double, and so is the angle before it
is reduced; the rounding of mode m is below 1e-7 (m + 2).

Whole steps against `modes`, which stores features in double precision: 0.9 times as fast with one
mode, 1.1 to 1.2 with 4, 1.2 to 1.5 with 8, 1.6 to 1.9 with 16, 2.0 to 2.5 with 32, 2.6 to 2.8 with
64 (n = 10^3 to 10^5).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meanfield.aligned import zeros
from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.fastmath import F, sincos32
from meanfield.games.bases import TrigBasis
from meanfield.jit import apart, fma, kernel, summed, together
from meanfield.manifolds import Torus
from meanfield.particles.players import LANES, Player, Scratch, State, scratch
from meanfield.particles.primitives import kick, move
from meanfield.particles.simd.product import apply
from meanfield.particles.team import next_turn, take_moments

FEWEST = 8  # modes from which on this gains a fifth
# Rows of `table`: cosine and sine of four modes at these places, of four angles, and one row for
# weights or sums. Places are whole multiples of a constant: rows of a length known only later would
# be compared for overlap, and not vectorised.
_FIRST, _SECOND, _THIRD, _FOURTH, _TURN, _LAST = (2 * k * LANES for k in range(6))


@kernel
def begin(wave: float, x: Array, B: Array) -> None:
    """Cosines and sines of one to four times the angles of a block x (lanes,), and the turn by
    four.
    """
    apart()
    for i in range(len(x)):
        together(16)
        s, c = sincos32(F(wave * x[i]))
        d, t = fma(c, c, -(s * s)), F(2.0) * c * s
        f, u = fma(d, d, -(t * t)), F(2.0) * d * t
        B[_FIRST + i], B[_FIRST + LANES + i] = c, s
        B[_SECOND + i], B[_SECOND + LANES + i] = d, t
        B[_THIRD + i], B[_THIRD + LANES + i] = fma(d, c, -(t * s)), fma(d, s, t * c)
        B[_FOURTH + i], B[_FOURTH + LANES + i] = f, u
        B[_TURN + i], B[_TURN + LANES + i] = f, u


@kernel(forceinline=True)
def turned(B: Array, place: int, i: int) -> tuple[float, float]:
    """Cosine and sine of the mode at a place, which goes on to the mode four higher."""
    c, s, cosine, sine = B[place + i], B[place + LANES + i], B[_TURN + i], B[_TURN + LANES + i]
    B[place + i], B[place + LANES + i] = fma(c, cosine, -(s * sine)), fma(c, sine, s * cosine)
    return c, s


@kernel(forceinline=True)
def mean(B: Array, place: int, n: int) -> tuple[float, float]:
    """Means of cosine and sine of the mode at a place, which goes on to the mode four higher."""
    a, p = F(0.0), F(0.0)
    for i in range(n):
        together(16)
        c, s = turned(B, place, i)
        a, p = summed(a, B[_LAST + i], c), summed(p, B[_LAST + i], s)
    return a, p


@kernel
def add_means(look: SingleModes, x: Array, w: Array) -> None:
    """look.means += the means of all modes over a block x (lanes,) with weights w."""
    apart()
    B, m, K, n = look.table, look.means, look.slopes.shape[1], len(x)
    begin(look.wave, x, B)
    for i in range(n):
        B[_LAST + i] = w[i]
    for r in range(0, K, 4):
        a, p = mean(B, _FIRST, n)
        b, q = mean(B, _SECOND, n)
        d, u = mean(B, _THIRD, n)
        e, v = mean(B, _FOURTH, n)
        m[r], m[r + 1], m[r + 2], m[r + 3] = m[r] + a, m[r + 1] + b, m[r + 2] + d, m[r + 3] + e
        r += K
        m[r], m[r + 1], m[r + 2], m[r + 3] = m[r] + p, m[r + 1] + q, m[r + 2] + u, m[r + 3] + v


@kernel
def slope(look: SingleModes, x: Array, out: Array) -> None:
    """The gradient at a block x (lanes,)."""
    apart()
    B, A = look.table, look.slopes
    begin(look.wave, x, B)
    for i in range(len(x)):
        B[_LAST + i] = F(0.0)
    for r in range(0, A.shape[1], 4):
        a, b, d, e = A[0, r], A[0, r + 1], A[0, r + 2], A[0, r + 3]
        p, q, u, v = A[1, r], A[1, r + 1], A[1, r + 2], A[1, r + 3]
        for i in range(len(x)):
            c, s = turned(B, _FIRST, i)
            g = fma(a, c, fma(p, s, B[_LAST + i]))
            c, s = turned(B, _SECOND, i)
            g = fma(b, c, fma(q, s, g))
            c, s = turned(B, _THIRD, i)
            g = fma(d, c, fma(u, s, g))
            c, s = turned(B, _FOURTH, i)
            B[_LAST + i] = fma(e, c, fma(v, s, g))
    for i in range(len(x)):
        out[i] = B[_LAST + i]


@kernel
def moments(look: SingleModes, s: State) -> None:
    K, J = look.slopes.shape[1], len(look.modes)
    parts = look.parts[next_turn(look.turn)]
    for b in range(len(s.x)):
        look.means[:] = 0.0
        add_means(look, s.x[b, 0], s.w[b])
        for j in range(J):
            k, m = look.modes[j], parts[look.me.first + b]
            m[j], m[J + j] = (look.means[k - 1], look.means[K + k - 1]) if k > 0 else (0.0, 0.0)


@kernel
def complete(modes: Array, m: Array) -> None:
    """The mean of mode zero is one: weights stay as they are, and sum to one."""
    for j in range(len(modes)):
        m[j] = 1.0 if modes[j] == 0 else m[j]


@kernel
def set_slopes(look: SingleModes) -> None:
    """look.slopes from the coefficients of the cost."""
    J = len(look.modes)
    look.slopes[:] = F(0.0)
    for j in range(J):
        k = look.modes[j]
        if k > 0:
            look.slopes[0, k - 1] = look.wave * k * look.c[J + j]
            look.slopes[1, k - 1] = -look.wave * k * look.c[j]


@bundle
class SingleModes(NamedTuple):
    """A player on a circle whose weights stay, with working arrays; K is a multiple of four."""

    me: Player
    r: Scratch
    wave: float  # 2 pi / period
    modes: Array  # (J,) the game's modes among 0, ..., K
    table: Array  # single precision
    means: Array  # (2K,) of the cosines, then of the sines
    slopes: Array  # (2, K) single precision: what they count in the gradient
    turn: Array  # (1,): which of the two parts is the latest
    parts: Array  # (2, all blocks, 2J): what blocks add to the moments, now and a step ago
    m: Array  # the opponent's moments (2J_opponent,)
    c: Array  # coefficients of the cost (2J,)

    def see(self, s: State) -> None:
        moments(self, s)

    def aim(self, opponent: SingleModes) -> None:
        take_moments(self.me, opponent.turn, opponent.parts, self.m)
        complete(opponent.modes, self.m)
        apply(self.me.map, self.m, self.c)
        set_slopes(self)

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        for b in range(len(at.x)):
            slope(self, at.x[b, 0], self.r.UG[1])
            move(self.me, part, noise, k, at.x[b], to, b, self.r)
        return 0.0

    def diffuse(self, s: State, tick: int) -> None:
        kick(self.me, s, tick, self.r)


def single_modes(me: Player, s: State) -> SingleModes:
    """The look of one player at particles like those of s."""
    modes = np.ascontiguousarray(me.modes[:, 0])
    K = -(-int(modes.max()) // 4) * 4
    table, slopes = zeros(_LAST + LANES, F), zeros((2, K), F)
    means, m, c = map(zeros, (2 * K, me.map.shape[1], len(me.map)))
    parts = zeros((2, s.totals.shape[1], len(me.map)))
    return SingleModes(
        me, scratch(me, s), 2 * np.pi / me.period, modes, table, means, slopes,
        np.zeros(1, np.int64), parts, m, c,
    )  # fmt: skip


def check(game: Any) -> None:
    """Refuse games that this does not serve, or that gain nothing, with the reason.

    On spheres normals are single as it is. The products that are left, half a step of the paper's
    l_a and nothing of its l_b at d = 50, would gain a factor 1.4 in single precision: 1.15 of a
    step.
    """
    circles = all(
        type(b) is TrigBasis and type(b.manifold) is Torus and b.manifold.d == 1 for b in game.bases
    )
    if not circles:
        raise ValueError(
            'precision="float32" is for formulas that are not low-rank and for '
            "trigonometric games on circles, not "
            f'for {game.name}; leave precision at "float64"'
        )
    for basis in game.bases:
        modes: Any = basis.modes  # type: ignore[attr-defined]
        found, times = np.unique(modes, return_counts=True)
        if (wrong := found[(found < 0) | (times > 1)]).size:
            raise ValueError(
                'precision="float32" takes every mode of a circle once, from 0 on, but '
                f"{game.name} has mode "
                f"{wrong[0]:g} {times[found == wrong[0]][0]} times: give modes k and -k as one, "
                "k, with the sum of the "
                "cosines' and the difference of the sines' coefficients; or leave precision at "
                '"float64"'
            )
        top = modes.max(initial=0)
        if len(modes) < FEWEST or top > 2 * len(modes):
            raise ValueError(
                f'precision="float32" gains nothing for {game.name}: it has {len(modes)} '
                f"modes up to {top:g} on a "
                f"circle, and needs {FEWEST} and half of those up to the highest (measured: 0.9 "
                "times as fast with one "
                'mode, 1.15 times with 4, 1.8 times with 16); leave precision at "float64"'
            )
