"""Euler steps of games on two spheres whose costs are quadratic: U = a'x + s'x^2 + q x'Sx + constant.

The paper's l_a and l_b are such games. A tile of particles, one lane each, stays in registers from its forces to its
new place: with W = sqrt(2 gamma T dt) xi - gamma dt grad U in the space around,

    x <- (x + W - (x.W) x) / |x + W - (x.W) x|,

whose norm follows from the three sums x.W, W.W and x.x that are taken on the way. Where S is diagonal (see
`meanfield.particles.frames`) a step takes O(d) operations a particle; otherwise S x is one product a tile.

At n = 100 and d = 50 a coordinate of l_b takes 0.9 ns with noise, half of it for the noise, and 0.5 ns without; the
product of l_a takes 0.9 ns more, 110 Gflop/s of one core with AVX-512, where numpy's dgemm at d = 1200 has 54.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.jit import apart, kernel
from meanfield.particles.frames import spherical
from meanfield.particles.kernels import Player, State, add_weights, reweigh
from meanfield.particles.product import TILE, strip
from meanfield.particles.singles import rows, singles
from meanfield.particles.tiles import (
    add_means,
    add_squares,
    costly,
    costly_dense,
    noisy,
    noisy_dense,
)

CHUNK = 64  # lanes whose noise is drawn at a time; it stays in the first cache until it is used


class Side(NamedTuple):
    """What does not change for a player, and its room."""

    me: Player
    diagonal: bool
    S: Array  # (1, d) where it is diagonal, (d, d)
    B: Array  # (d or 2 d, columns): a and s from the opponent's means, columns a multiple of TILE
    constant: Array  # (d or 2 d,): what a and s are without them
    q: float
    m: Array  # means of x, then of its squares where asked for; zeros up to the opponent's columns
    r: Array  # a, then s
    c: Array  # (d,): sigma a
    h: Array  # (d,): 2 sigma (s + q S), S where it is diagonal
    v: Array  # (d, TILE): S x
    W: Array  # (d, TILE): where there is noise
    U: Array  # (TILE,)
    Z: Array  # (rows, CHUNK): noise


def quadratic(game: Game) -> bool:
    """Whether `run` can play the game: means of x'Sx matter for no force, and q is a number."""
    if not spherical(game):
        return False
    maps = game._maps  # type: ignore[attr-defined]
    return not any(M[1:, -1].any() or M[-1, 1:].any() for M in maps)


def side(me: Player, opponent: Player) -> Side:
    """The view that these kernels have of a player."""
    d, e = me.matrix.shape[1], opponent.matrix.shape[1]
    used = 2 * d if me.map[1 + d : 1 + 2 * d].any() else d  # whether s is zero
    met, own = 2 * e if opponent.squares else e, 2 * d if me.squares else d
    B = np.zeros((used, _whole(met)))
    B[:, :met] = me.map[1 : 1 + used, 1 : 1 + met]
    room = [
        np.zeros(s) for s in (used, d, d, (d, TILE), (d, TILE), TILE, (rows(d, me.refine), CHUNK))
    ]
    constant = me.map[1 : 1 + used, 0].copy()
    return Side(
        me,
        len(me.matrix) == 1,
        me.matrix,
        B,
        constant,
        float(me.map[-1, 0]),
        np.zeros(_whole(own)),
        *room,
    )


def _whole(columns: int) -> int:
    return -(-columns // TILE) * TILE


@kernel
def means(me: Side, s: State) -> None:
    """me.m: means of the coordinates and, where the opponent asks for them, of their squares."""
    d = s.x.shape[1]
    for k in range(len(me.m)):
        me.m[k] = 0.0
    for b in range(len(s.x)):
        for k in range(0, d, 4):
            add_means(s.x[b], s.w[b], me.m, 0, k)
        if me.me.squares:
            for k in range(0, d, 4):
                add_squares(s.x[b], s.w[b], me.m, d, k)


@kernel
def look(me: Side, m: Array) -> None:
    """me.r from the opponent's means m."""
    for k in range(len(me.r)):
        me.r[k] = me.constant[k]
    for k in range(0, len(me.r), 4):
        add_means(me.B, m, me.r, 0, k)


@kernel
def aim(me: Side, sigma: float) -> None:
    """me.c and me.h, sigma times the gradient's coefficients, from me.r."""
    d = len(me.c)
    for k in range(d):
        me.c[k] = sigma * me.r[k]
        s = me.r[d + k] if len(me.r) > d else 0.0
        if me.diagonal:
            s += me.q * me.S[0, k]
        me.h[k] = 2.0 * sigma * s


@kernel
def tile(
    me: Side, x: Array, i: int, j: int, noise: float, costs: bool, sigma: float, moved: int
) -> None:
    """One tile of a block x (d, lanes)."""
    apart()
    room, q, half = (me.Z, me.v, me.c, me.h, me.W, me.U), 2.0 * sigma * me.q, 0.5 / sigma
    if not me.diagonal:
        strip(me.S, x, i, me.v)
        if costs:
            costly_dense(x, room, i, j, (0.0, q, half), moved)
        else:
            noisy_dense(x, room, i, j, (noise, q, 0.0), moved)
    elif costs:
        costly(x, room, i, j, (0.0, 0.0, half), moved)
    else:
        noisy(x, room, i, j, (noise, 0.0, 0.0), moved)


@kernel
def push(me: Side, s: State, tick: int) -> float:
    """One player through a step, along the forces with coefficients me.r; returns what `reweigh` took off."""
    p = me.me
    # Without transport nothing moves, and costs are wanted alone.
    sigma = -p.transport if p.transport > 0.0 else -1.0
    aim(me, sigma)
    noise, costs = math.sqrt(p.variance), p.reaction > 0.0
    lanes, moved = s.x.shape[2], s.x.shape[1] if p.transport > 0.0 else 0
    for b in range(len(s.x)):
        for i in range(0, lanes, CHUNK):
            drawn = min(CHUNK, lanes - i)
            if noise > 0.0:
                singles(me.Z, drawn, b * lanes + i, tick, p.number, p.replica, p.seed, p.refine)
            for j in range(0, drawn, TILE):
                tile(me, s.x[b], i + j, j, noise, costs, sigma, moved)
                if costs:
                    for t in range(TILE):
                        s.logw[b, i + j + t] -= p.reaction * me.U[t]
    return reweigh(p, s)


@kernel
def march(one: Side, two: Side, s: State, t: State, first: int, end: int) -> None:
    """Euler's steps first, ..., end - 1 of both players, in place."""
    for k in range(first, end):
        add_weights(one.me, s)
        add_weights(two.me, t)
        means(one, s)
        means(two, t)
        look(one, two.m)
        look(two, one.m)
        push(one, s, k)
        push(two, t, k)


def run(players: tuple[Player, Player], states: Any, first: int, steps: int) -> None:
    """Steps first, ..., first + steps - 1 of one replica, in place; `lowrank.run` for these games in Euler's scheme."""
    one, two = players
    march(side(one, two), side(two, one), *states, first, first + steps)


@kernel
def show(me: Side, s: State, U: Array, G: Array) -> None:
    """Costs U (blocks, lanes), without their constants, and tangent gradients G (blocks, d, lanes) from me.r."""
    aim(me, -1.0)
    for b in range(len(s.x)):
        x, g = s.x[b], G[b]
        for i in range(0, x.shape[1], TILE):
            tile(me, x, i, 0, 0.0, True, -1.0, 0)
            for t in range(TILE):
                U[b, i + t], normal = me.U[t], 0.0
                for k in range(len(x)):
                    form = 0.0 if me.diagonal else me.q * me.v[k, t]
                    g[k, i + t] = 2.0 * form - me.h[k] * x[k, i + t] - me.c[k]
                    normal += g[k, i + t] * x[k, i + t]
                for k in range(len(x)):
                    g[k, i + t] -= normal * x[k, i + t]


def forces(players: tuple[Player, Player], states: Any, U: Any, G: Any) -> None:
    """`lowrank.forces` for these games."""
    sides = side(*players), side(*players[::-1])
    moments = []
    for me, s, u, g in zip(sides, states, U, G, strict=True):
        show(me._replace(q=1.0), s, u, g)  # me.r is zero: the cost is x'Sx
        lone, squares = np.einsum("bki,bi->k", s.x, s.w), np.einsum("bki,bki,bi->k", s.x, s.x, s.w)
        moments.append(np.concatenate([[s.w.sum()], lone, squares, [(s.w * u).sum()]]))
    for p, (me, s) in enumerate(zip(sides, states, strict=True)):
        c = np.einsum("ij,j->i", me.me.map, moments[1 - p])
        me.r[:] = c[1 : 1 + len(me.r)]
        show(me._replace(q=float(c[-1])), s, U[p], G[p])
        np.add(U[p], c[0], out=U[p])


@kernel
def follow(me: Side, s: State, C: Array, means: Array, first: int) -> float:
    """`copies.march` for these games in Euler's scheme: steps of one player in costs with coefficients C (steps, K)."""
    grown = 0.0
    for j in range(len(C)):
        add_weights(me.me, s)
        for k in range(len(me.r)):
            me.r[k] = C[j, 1 + k]
        # The constant, which moves nothing, is not in the costs that weights were changed by.
        grown += push(me, s, first + j) + me.me.reaction * (means[j] - C[j, 0])
    return grown
