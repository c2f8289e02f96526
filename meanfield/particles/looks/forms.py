"""The look of games on two spheres whose costs are quadratic forms: U = a'x + s'x^2 + q x'Sx +
constant.

The paper's l_a and l_b are such games, and this look is for their Euler steps. A tile of particles,
one lane each, stays in registers from its forces to its new place: with W = sqrt(2 gamma T dt) xi -
gamma dt grad U in the space around,

    x <- (x + W - (x.W) x) / |x + W - (x.W) x|,

whose norm follows from the three sums x.W, W.W and x.x that are taken on the way. Where S is
diagonal (see `meanfield.particles.eigenbasis`) a step takes O(d) operations a particle; otherwise S
x is one product a tile.

At n = 100 and d = 50 a coordinate of l_b takes 0.9 ns with noise, half of it for the noise, and 0.5
ns without; the product of l_a takes 0.9 ns more, 110 Gflop/s of one core with AVX-512, where
numpy's dgemm at d = 1200 has 54.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from meanfield.aligned import zeros
from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel, larger, smaller
from meanfield.lanes import Lanes, doubles, fused, load, nothing, root, store
from meanfield.particles.looks.features import add_coordinates, add_means
from meanfield.particles.noise import rows
from meanfield.particles.players import Player, State
from meanfield.particles.primitives import draw, reweigh
from meanfield.particles.simd.product import TILE, strip
from meanfield.particles.team import next_turn, take_moments
from meanfield.registers import BITS

CHUNK = 64  # lanes whose noise is drawn at a time; it stays in the first cache until it is used
# Lanes at a time: sums over all of a tile would not fit in 16 registers of 4 (AVX2), 32 of 2 (ARM).
WIDTH = TILE if BITS == 512 else TILE // 2


@kernel
def means(look: Form, s: State) -> None:
    """What each block adds to the means of the coordinates and, where the opponent asks for them,
    of their squares.
    """
    parts = look.parts[next_turn(look.turn)]
    for b in range(len(s.x) if parts.shape[1] > 0 else 0):
        m = parts[look.me.first + b]
        for k in range(len(m)):
            m[k] = 0.0
        add_coordinates(look.me.squares, s.x[b], s.w[b], m)


@kernel
def push_form(look: Form, at: State, to: State, part: float, noise: float, k: int) -> float:
    """A whole step of Euler's scheme, in place; returns what `reweigh` took off the log-weights."""
    me, s = look.me, to
    if part == 0.0:
        show(look, at, to)
        return 0.0
    # Without transport nothing moves, and costs are wanted alone.
    sigma = -me.transport if me.transport > 0.0 else -1.0
    scale_cost(look, sigma)
    costs = me.reaction > 0.0
    lanes, moved = s.x.shape[2], s.x.shape[1] if me.transport > 0.0 else 0
    for b in range(len(s.x)):
        for i in range(0, lanes, CHUNK):
            drawn = smaller(CHUNK, lanes - i)
            if noise > 0.0:
                draw(me, look.Z, drawn, (me.first + b) * lanes + i, k)
            for j in range(0, drawn, TILE):
                tile(look, s.x[b], i + j, j, noise, costs, sigma, moved)
                if costs:
                    for t in range(TILE):
                        s.logw[b, i + j + t] -= me.reaction * look.U[0, t]
    return reweigh(me, s)


@bundle
class Form(NamedTuple):
    """A player whose cost is a quadratic form, with the working arrays of its tiles."""

    me: Player
    diagonal: bool
    S: Array  # (1, d) where it is diagonal, (d, d)
    B: Array  # (d or 2 d, columns): a and s from the opponent's means, columns a multiple of TILE
    constant: Array  # (d or 2 d,): what a and s are without them
    q: float
    turn: Array  # (1,): which of the two parts is the latest
    # (2, all blocks, columns): what blocks add to the means of x, then of x^2 where asked for, then
    # zeros up to the opponent's columns; or empty. Now and a step ago.
    parts: Array
    m: Array  # the opponent's means, (columns,)
    cost: Array  # a, then s
    c: Array  # (d,): sigma a
    h: Array  # (d,): 2 sigma (s + q S), S where it is diagonal
    v: Array  # (d, TILE): S x
    W: Array  # (d, TILE): where there is noise
    U: Array  # (2, TILE): costs, squares of the tangent gradients' lengths times sigma^2
    Z: Array  # (rows, CHUNK): noise

    def see(self, s: State) -> None:
        means(self, s)

    def aim(self, opponent: Form) -> None:
        take_moments(self.me, opponent.turn, opponent.parts, self.m)
        for k in range(len(self.cost)):
            self.cost[k] = self.constant[k]
        add_means(self.B, self.m, self.cost)

    def set_cost(self, c: Array) -> float:
        """From the coefficients of `modes`: all but the constant, which is returned."""
        for k in range(len(self.cost)):
            self.cost[k] = c[1 + k]
        return c[0]  # type: ignore[no-any-return]

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        return push_form(self, at, to, part, noise, k)  # type: ignore[no-any-return]


def form(me: Player, opponent: Player, s: State, seen: bool = True) -> Form:
    """The look of one player at particles like those of s; seen: whether the opponent's look will
    ask for its means.
    """
    d, e = me.matrix.shape[1], opponent.matrix.shape[1]
    used = 2 * d if me.map[1 + d : 1 + 2 * d].any() else d  # whether s is zero
    theirs, own = 2 * e if opponent.squares else e, 2 * d if me.squares else d
    B = zeros((used, _whole(theirs)))
    B[:, :theirs] = me.map[1 : 1 + used, 1 : 1 + theirs]
    room = [zeros(shape) for shape in (used, d, d, (d, TILE), (d, TILE), (2, TILE))]
    # Normals are kept in the precision that they are made in; sums of several in double.
    kept = np.float32 if me.single and me.refine == 1 else np.float64
    room.append(zeros((rows(me.single, d, me.refine), CHUNK), kept))
    return Form(
        me,
        len(me.matrix) == 1,
        me.matrix,
        B,
        me.map[1 : 1 + used, 0].copy(),
        float(me.map[-1, 0]),
        np.zeros(1, np.int64),
        zeros((2, s.totals.shape[1], _whole(own) if seen else 0)),
        zeros(_whole(theirs)),
        *room,
    )


def fits(players: tuple[Player, Player]) -> bool:
    """Whether two players on spheres are of this kind: means of x'Sx matter for no force, and q is
    a number.
    """
    return all(me.sphere and len(me.map) for me in players) and not any(
        me.map[1:, -1].any() or me.map[-1, 1:].any() for me in players
    )


def _whole(columns: int) -> int:
    return -(-columns // TILE) * TILE


@kernel
def show(look: Form, s: State, found: State) -> None:
    """Costs without their constant, and the lengths of tangent gradients in the place of a first
    coordinate.
    """
    scale_cost(look, -1.0)
    for b in range(len(s.x)):
        for i in range(0, s.x.shape[2], TILE):
            tile(look, s.x[b], i, 0, 0.0, True, -1.0, 0)
            for t in range(TILE):
                found.logw[b, i + t] = look.U[0, t]
                found.x[b, 0, i + t] = math.sqrt(larger(look.U[1, t], 0.0))


@kernel
def common(cost: Array, constant: Array, parts: Array, turn: Array) -> float:
    """m'Cn, what the costs of both players have in common on average: from one's cost, and the
    means m to which its blocks add `parts`.
    """
    latest, total = parts[turn[0]], 0.0
    for k in range(smaller(len(cost), latest.shape[1])):
        mean = 0.0
        for b in range(len(latest)):
            mean += latest[b, k]
        total = fma(cost[k] - constant[k], mean, total)
    return total


@kernel
def scale_cost(look: Form, sigma: float) -> None:
    """look.c and look.h, sigma times the coefficients of the gradient."""
    d = len(look.c)
    for k in range(d):
        look.c[k] = sigma * look.cost[k]
        s = look.cost[d + k] if len(look.cost) > d else 0.0
        if look.diagonal:
            s += look.q * look.S[0, k]
        look.h[k] = 2.0 * sigma * s


@kernel
def tile(
    look: Form, x: Array, i: int, j: int, noise: float, costs: bool, sigma: float, moved: int
) -> None:
    """The step of one tile, lanes i, ..., i + TILE - 1 of a block x (d, lanes) and j, ... of the
    noise.

    With W = `_force`: where costs are asked for, into look.U the costs and |W - (x.W) x|^2. Then
    the first `moved` coordinates, all or none, go to their new place.
    """
    apart()
    q, half, dense = 2.0 * sigma * look.q, 0.5 / sigma, not look.diagonal
    if dense:
        strip(look.S, x, i, look.v)
    for a in range(0, TILE, WIDTH):
        # Asked here and not for every coordinate, which takes half as long again on AVX2.
        if costs:
            dot, square, norm, linear = _sums(look, x, i, j, a, noise, True, q, dense)
        elif dense:
            dot, square, norm, linear = _sums(look, x, i, j, a, noise, False, q, True)
        else:
            dot, square, norm, linear = _sums(look, x, i, j, a, noise, False, q, False)
        if costs:
            store(half * (dot + linear), look.U, 0, a)
            store(fused(-(dot * dot), 2.0 - norm, square), look.U, 1, a)
        left = 1.0 - dot
        scale = 1.0 / root(fused(left, fused(left, norm, dot + dot), square))
        left = left * scale
        for k in range(moved):
            if costs:  # once more: that is quicker than to keep them
                z, w = _force(look, x, k, i, j, a, noise, costs, q, dense)
            else:
                z, w = load(WIDTH, x, k, i + a), load(WIDTH, look.W, k, a)
            store(fused(left, z, scale * w), x, k, i + a)


@kernel(forceinline=True)
def _sums(
    look: Form, x: Array, i: int, j: int, a: int, noise: float, costs: bool, q: float, dense: bool
) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """x.W, W.W, x.x and, where costs are asked for, x.c; else W is kept and the last is zero."""
    dot = square = norm = linear = nothing(WIDTH)
    for k in range(len(x)):
        z, w = _force(look, x, k, i, j, a, noise, costs, q, dense)
        dot, square, norm = fused(z, w, dot), fused(w, w, square), fused(z, z, norm)
        if costs:
            linear = fused(z, look.c[k], linear)
        else:
            store(w, look.W, k, a)
    return dot, square, norm, linear


@kernel(forceinline=True)
def _force(
    look: Form, x: Array, k: int, i: int, j: int, a: int, noise: float, costs: bool, q: float,
    dense: bool,
) -> tuple[Lanes, Lanes]:  # fmt: skip
    """Coordinate k of lanes i + a, ... and that of W = h x + c [+ q S x] [+ noise xi], the noise
    where no costs are asked for.
    """
    z = load(WIDTH, x, k, i + a)
    w = fused(look.h[k], z, look.c[k])
    if dense:
        w = fused(q, load(WIDTH, look.v, k, a), w)
    if not costs:
        w = fused(noise, doubles(load(WIDTH, look.Z, k, j + a)), w)
    return z, w
