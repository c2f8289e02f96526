"""The look of low-rank games: cosines and sines on tori, quadratic forms on spheres.

A player's particles count for the opponent by the means of its features, the moments m (K,). The
opponent's cost is U = sum_k c_k f_k in its own features, with coefficients c = C m: O((n + n') K)
operations, not O(n n').
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.aligned import zeros
from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel
from meanfield.particles.looks.features import add_coordinates, add_means, dot, features
from meanfield.particles.looks.ladder import add_powers, is_ladder, on_circle, series
from meanfield.particles.players import Flag, Player, Scratch, State, scratch
from meanfield.particles.primitives import dots, kick, move, push_along, reweigh, show
from meanfield.particles.simd.product import apply, product
from meanfield.particles.team import next_turn, take_moments

# Features of all blocks stay from moments to forces when they are no more numbers than this.
KEPT = 1 << 15


@kernel
def moments(sphere: Flag, look: Modes, s: State) -> None:
    """What each block adds to the moments; features stay in look.v where it has a place for all
    blocks.
    """
    apart()
    me, r, d = look.me, look.r, s.x.shape[1]
    parts = look.parts[next_turn(look.turn)]
    for b in range(len(s.x)):
        x, w, v, m = s.x[b], s.w[b], look.v[b % len(look.v)], parts[me.first + b]
        for k in range(len(m)):
            m[k] = 0.0
        if is_ladder(sphere, me.modes, me.top, look.P):
            on_circle(me.period, x[0], v[0], v[1])
            add_powers(v[0], v[1], w, me.modes[0, 0], r.UG, r.t, r.u, m)
            continue
        features(sphere, me.matrix, me.period, me.modes, me.top, x, look.P, v)
        if len(sphere) == 0:
            add_means(v, w, m)
            continue
        add_coordinates(me.squares, x, w, m[1:])
        dots(x, v, r.u)
        for i in range(len(r.t)):
            r.t[i] = 1.0
        m[0], m[1 + 2 * d] = dot(w, r.t), dot(w, r.u)


@kernel
def push_modes(look: Modes, at: State, to: State, part: float, noise: float, k: int) -> float:
    """Returns what `reweigh` took off the log-weights."""
    apart()
    me, r = look.me, look.r
    gradient_rows(me.sphere, me.matrix, look.c, look.A)
    costs, known = me.reaction > 0.0 or part == 0.0, len(look.v) == len(at.x)
    for b in range(len(at.x)):
        forces(look, at.x[b], look.v[b % len(look.v)], known, costs)
        if part == 0.0:
            show(me.sphere, at.x[b], r, to, b)
        else:
            move(me, part, noise, k, at.x[b], to, b, r)
    return reweigh(me, to) if part > 0.0 else 0.0


@kernel
def forces(look: Modes, x: Array, v: Array, known: bool, costs: bool) -> None:
    """Gradient and, where asked for, cost of a block into look.r.UG, from its features v, which are
    known or put there.
    """
    me, UG = look.me, look.r.UG
    if is_ladder(me.sphere, me.modes, me.top, look.P):
        if not known:
            on_circle(me.period, x[0], v[0], v[1])
        for k in range(0 if costs else 1, 2):
            series(look.A[k], me.modes[0, 0], v[0], v[1], UG[k])
        return
    if not known:
        features(me.sphere, me.matrix, me.period, me.modes, me.top, x, look.P, v)
    block_forces(me.sphere, x, v, look.c, costs, look.A, UG)


@bundle
class Modes(NamedTuple):
    """A player of a low-rank game, with the working arrays of its features."""

    me: Player
    r: Scratch
    v: Array  # features, of a ladder those of the angle itself (blocks or 1, features, lanes)
    P: Array  # powers of the cosines and sines, (rows, lanes)
    turn: Array  # (1,): which of the two parts is the latest
    parts: Array  # (2, all blocks, K): what blocks add to the moments, now and a step ago
    m: Array  # the opponent's moments (K_opponent,)
    c: Array  # coefficients of the cost (K,)
    A: Array  # on a torus the rows that take features to cost and gradient, (1 + d, 2J)

    def see(self, s: State) -> None:
        moments(self.me.sphere, self, s)

    def aim(self, opponent: Modes) -> None:
        take_moments(self.me, opponent.turn, opponent.parts, self.m)
        apply(self.me.map, self.m, self.c)

    def set_cost(self, c: Array) -> float:
        for k in range(len(c)):
            self.c[k] = c[k]
        return 0.0

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        return push_modes(self, at, to, part, noise, k)  # type: ignore[no-any-return]

    def follow(self, forces: State, s: State, k: int) -> None:
        push_along(self.me, forces.logw, forces.x, s, s, 1.0, 0.0, k, self.r)

    def diffuse(self, s: State, tick: int) -> None:
        kick(self.me, s, tick, self.r)


def modes(me: Player, s: State) -> Modes:
    """The look of one player at particles like those of s."""
    blocks, d, lanes = s.x.shape
    J, (K, K_opponent) = len(me.modes), me.map.shape
    ladder = (
        d == 1 and J > 0 and me.modes[0, 0] in (0, 1) and bool((np.diff(me.modes[:, 0]) == 1).all())
    )
    height = d if me.sphere else 2 if ladder and me.top[0] >= 0 else 2 * J
    places = max(blocks, 1) if me.sphere or blocks * height * lanes <= KEPT else 1
    powers = 0 if me.sphere or ladder or me.top[0] < 0 else int(2 * (me.top + 1).sum())
    v, P, parts, m, c, A = map(
        zeros,
        (
            (places, height, lanes), (powers, lanes), (2, s.totals.shape[1], K), K_opponent, K,
            (1 + d, 2 * J),
        ),
    )  # fmt: skip
    return Modes(me, scratch(me, s), v, P, np.zeros(1, np.int64), parts, m, c, A)


@kernel
def gradient_rows(sphere: Flag, matrix: Array, c: Array, A: Array) -> None:
    """A from the coefficients: on a torus U and the gradient are its product with the features."""
    if len(sphere) > 0:
        return
    J = len(matrix)
    for j in range(J):
        a, b = c[j], c[J + j]
        A[0, j], A[0, J + j] = a, b
        for k in range(len(A) - 1):
            A[1 + k, j], A[1 + k, J + j] = matrix[j, k] * b, -matrix[j, k] * a


@kernel
def block_forces(
    sphere: Flag, x: Array, v: Array, c: Array, costs: bool, A: Array, UG: Array
) -> None:
    """Cost (where asked for) and gradient of sum c_k f_k on one block with features v, in UG (1 +
    a, lanes).

    On a sphere the gradient in the space around it, whose normal part falls to `project`.
    """
    if len(sphere) == 0:
        if costs:
            product(A, v, UG)
        else:
            product(A[1:], v, UG[1:])
        return
    d = len(x)
    U, G = UG[0], UG[1:]
    for i in range(len(U)):
        U[i] = c[0]
    for k in range(d):
        linear, square, quadratic = c[1 + k], c[1 + d + k], c[1 + 2 * d]
        for i in range(len(U)):
            G[k, i] = fma(2.0, fma(square, x[k, i], quadratic * v[k, i]), linear)
        if costs:
            for i in range(len(U)):
                U[i] = fma(fma(square, x[k, i], fma(quadratic, v[k, i], linear)), x[k, i], U[i])
