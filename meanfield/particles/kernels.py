"""One step of every particle scheme, compiled: the primitives, written once for a player.

Particles of a player stand in blocks, x (blocks, a, lanes): one processor lane a particle. What pads the
last block has weight zero. Costs are U = sum_k c_k f_k in the features of `meanfield.games.bases`; a
pairwise game hands its costs and gradients in (see `meanfield.particles.pairwise`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.fastmath import sincos
from meanfield.jit import kernel
from meanfield.particles.noise import normals

LANES = 128


class Player(NamedTuple):
    """What does not change for a player: manifold, features, the game's map, rates times dt, noise."""

    number: int
    sphere: bool
    period: float
    matrix: Array  # wave vectors (J, d) on a torus, the form S (d, d) on a sphere
    map: Array  # (K_p, K_opponent): c = map @ moments of the opponent
    transport: float  # gamma dt
    reaction: float  # alpha dt
    variance: float  # 2 gamma temperature dt
    seed: np.uint64
    replica: int
    refine: int


class Scratch(NamedTuple):
    """Room for one player: v (blocks, a, lanes); U, t (lanes,); G, Z (a, lanes)."""

    v: Array
    U: Array
    t: Array
    G: Array
    Z: Array


class State(NamedTuple):
    """What moves: positions (blocks, a, lanes), log-weights, weights and their running sum (blocks, lanes)."""

    x: Array
    logw: Array
    w: Array
    sums: Array


@kernel
def phases(waves: Array, j: int, x: Array, out: Array) -> None:
    """out = waves_j . x for a block x (a, lanes)."""
    for i in range(len(out)):
        out[i] = 0.0
    for k in range(x.shape[0]):
        wave = waves[j, k]
        for i in range(x.shape[1]):
            out[i] += wave * x[k, i]


@kernel(fastmath={"contract"})
def form(S: Array, x: Array, out: Array) -> None:
    """out = S x for a block x (a, lanes), four columns of S at a time."""
    d, n = x.shape
    for k in range(d):
        for i in range(n):
            out[k, i] = 0.0
        whole = d - d % 4
        for m in range(0, whole, 4):
            a, b, c, e = S[k, m], S[k, m + 1], S[k, m + 2], S[k, m + 3]
            for i in range(n):
                out[k, i] += (a * x[m, i] + b * x[m + 1, i]) + (c * x[m + 2, i] + e * x[m + 3, i])
        for m in range(whole, d):
            a = S[k, m]
            for i in range(n):
                out[k, i] += a * x[m, i]


# Sums over lanes may be reordered, or they would run one addition at a time.
@kernel(fastmath={"reassoc", "nsz"})
def block_moments(me: Player, x: Array, w: Array, v: Array, t: Array, m: Array) -> None:
    """Add the feature sums of one block to m (K,); on a sphere v = S x is kept for `block_forces`."""
    d, J = x.shape[0], len(me.matrix)
    if not me.sphere:
        for j in range(J):
            phases(me.matrix, j, x, t)
            cosines, sines = 0.0, 0.0
            for i in range(len(t)):
                s, c = sincos(t[i])
                cosines += w[i] * c
                sines += w[i] * s
            m[j] += cosines
            m[J + j] += sines
        return
    form(me.matrix, x, v)
    for i in range(len(w)):
        m[0] += w[i]
    for k in range(d):
        first, second, quadratic = 0.0, 0.0, 0.0
        for i in range(len(w)):
            first += w[i] * x[k, i]
            second += w[i] * x[k, i] * x[k, i]
            quadratic += w[i] * x[k, i] * v[k, i]
        m[1 + k] += first
        m[1 + d + k] += second
        m[1 + 2 * d] += quadratic


@kernel
def moments(me: Player, s: State, r: Scratch) -> Array:
    """Feature means of a player, shape (K,); r.v receives S x on a sphere."""
    m = np.zeros(me.map.shape[0])
    for b in range(len(s.x)):
        block_moments(me, s.x[b], s.w[b], r.v[b], r.t, m)
    return m


@kernel
def block_forces(me: Player, x: Array, v: Array, c: Array, t: Array, U: Array, G: Array) -> None:
    """Cost U (lanes,) and Riemannian gradient G (a, lanes) of sum c_k f_k on one block."""
    d, J, n = x.shape[0], len(me.matrix), x.shape[1]
    start = c[0] if me.sphere else 0.0
    for i in range(n):
        U[i] = start
    if not me.sphere:
        for k in range(d):
            for i in range(n):
                G[k, i] = 0.0
        for j in range(J):
            phases(me.matrix, j, x, t)
            a, b = c[j], c[J + j]
            for i in range(n):
                sine, cosine = sincos(t[i])
                U[i] += a * cosine + b * sine
                t[i] = b * cosine - a * sine
            for k in range(d):
                wave = me.matrix[j, k]
                for i in range(n):
                    G[k, i] += wave * t[i]
        return
    for k in range(d):
        linear, square, quadratic = c[1 + k], c[1 + d + k], c[1 + 2 * d]
        for i in range(n):
            U[i] += (linear + square * x[k, i] + quadratic * v[k, i]) * x[k, i]
            G[k, i] = linear + 2.0 * (square * x[k, i] + quadratic * v[k, i])
    project(x, G, t)


@kernel
def dots(a: Array, b: Array, out: Array) -> None:
    """out = sums over coordinates of a b, lane by lane."""
    for i in range(len(out)):
        out[i] = 0.0
    for k in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[i] += a[k, i] * b[k, i]


@kernel
def project(x: Array, v: Array, t: Array) -> None:
    """v <- v - (x . v) x: tangent vectors of the sphere at a block x (a, lanes)."""
    dots(x, v, t)
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            v[k, i] -= t[i] * x[k, i]


@kernel
def settle(me: Player, x: Array, t: Array) -> None:
    """Bring a block back to its manifold: divide by the norms, or wrap to [0, period)."""
    if me.sphere:
        dots(x, x, t)
        for i in range(len(t)):
            t[i] = 1.0 / math.sqrt(t[i])
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                x[k, i] *= t[i]
        return
    P = me.period
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            y = x[k, i]
            y -= P * math.floor(y * (1.0 / P))
            # Rounding may leave either side of the cell, and -1e-20 + P is P: the point 0.
            y = y + P if y < 0.0 else y
            x[k, i] = y - P if y >= P else y


@kernel
def draw(me: Player, x: Array, b: int, tick: int, t: Array, Z: Array) -> None:
    """Tangent standard normals Z (a, lanes) at the particles of block b."""
    for k in range(x.shape[0]):
        normals(Z[k], b * x.shape[1], tick, 2 * k + me.number, me.replica, me.seed, me.refine)
    if me.sphere:
        project(x, Z, t)


@kernel
def block_move(me: Player, part: float, noise: float, to: State, b: int, r: Scratch) -> None:
    """x <- x - part gamma dt grad U + noise xi, log w <- log w - part alpha dt U on block b, in place.

    With part 1 and noise sqrt(2 gamma T dt) a step of Algorithms 1 and 2. U, grad U and xi stand in r.
    """
    x, logw, U, G, Z = to.x[b], to.logw[b], r.U, r.G, r.Z
    if me.transport > 0.0:
        speed = part * me.transport
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                x[k, i] -= speed * G[k, i]
        if noise > 0.0:
            for k in range(x.shape[0]):
                for i in range(x.shape[1]):
                    x[k, i] += noise * Z[k, i]
        settle(me, x, r.t)
    if me.reaction > 0.0:
        rate = part * me.reaction
        for i in range(len(logw)):
            logw[i] -= rate * U[i]


@kernel
def kick(me: Player, s: State, tick: int, r: Scratch) -> None:
    """Brownian motion over dt/2 of all blocks, in place, to weak second order.

    On S^n along the geodesic of a tangent normal v, of variance q = 2 gamma T dt/2 a direction,
    E f(exp_x v) = f + q/2 Lap f + q^2/8 (Lap^2 + (2/3)(n - 1) Lap) f + O(q^3)
    (for f = <x, e>, Lap f = -n f: E cos|v| = 1 - n q/2 + n (n + 2) q^2/24). Brownian motion has q^2/8 Lap^2
    alone; v (1 - (n - 1) q/12) has variance q - (n - 1) q^2/6 + O(q^3), and this change of the first term
    takes the curvature term off.
    """
    if me.variance <= 0.0:
        return
    scale = kick_scale(me, s.x.shape[1])
    for b in range(len(s.x)):
        x = s.x[b]
        draw(me, x, b, tick, r.t, r.Z)
        geodesic(me, x, scale, r.Z, r.t, r.U)
        settle(me, x, r.t)


@kernel
def kick_scale(me: Player, a: int) -> float:
    """sqrt(q) (1 - (n - 1) q/12) on S^n, n = a - 1; sqrt(q) on a torus."""
    q = 0.5 * me.variance
    return math.sqrt(q) * (1.0 - (a - 2) * q / 12.0 if me.sphere else 1.0)


@kernel
def geodesic(me: Player, x: Array, scale: float, v: Array, t: Array, u: Array) -> None:
    """x <- cos|z| x + sin|z| z/|z| on a sphere, x + z on a torus, for a block; z = scale v, t and u are room."""
    if me.sphere:
        dots(v, v, t)
        for i in range(len(t)):
            length = scale * math.sqrt(t[i])
            sine, cosine = sincos(length)
            t[i], u[i] = cosine, scale * sine / length if length > 0.0 else scale
        for k in range(len(x)):
            for i in range(x.shape[1]):
                x[k, i] = t[i] * x[k, i] + u[i] * v[k, i]
        return
    for k in range(len(x)):
        for i in range(x.shape[1]):
            x[k, i] += scale * v[k, i]


@kernel
def reweigh(me: Player, s: State) -> None:
    """Subtract log sum exp from the log-weights; w = exp(log w)."""
    if me.reaction <= 0.0:
        return
    blocks, n = s.logw.shape
    top = -math.inf
    for b in range(blocks):
        for i in range(n):
            top = max(top, s.logw[b, i])
    total = 0.0
    for b in range(blocks):
        for i in range(n):
            total += math.exp(s.logw[b, i] - top)
    shift = top + math.log(total)
    for b in range(blocks):
        for i in range(n):
            s.logw[b, i] -= shift
    exponentials(s.logw, s.w)


@kernel
def exponentials(logw: Array, w: Array) -> None:
    """w = exp(log w), the one place where weights come from."""
    for b in range(logw.shape[0]):
        for i in range(logw.shape[1]):
            w[b, i] = math.exp(logw[b, i])


@kernel
def add_weights(me: Player, s: State) -> None:
    """The running sum of weights takes in the state before the step."""
    if me.reaction > 0.0:
        for b in range(s.w.shape[0]):
            for i in range(s.w.shape[1]):
                s.sums[b, i] += s.w[b, i]


@kernel
def copy(s: State, to: State) -> None:
    """The state s into `to`; the running sums are not a part of it."""
    for b in range(s.x.shape[0]):
        for i in range(s.x.shape[2]):
            to.logw[b, i] = s.logw[b, i]
            to.w[b, i] = s.w[b, i]
        for k in range(s.x.shape[1]):
            for i in range(s.x.shape[2]):
                to.x[b, k, i] = s.x[b, k, i]


@kernel
def noise_of(me: Player, noisy: bool) -> float:
    """The deviation of the noise inside a step: Euler's scheme has it there, Strang's outside."""
    return math.sqrt(me.variance) if noisy else 0.0


@kernel
def scratch(s: State) -> Scratch:
    """Room for the kernels of one player."""
    blocks, d, n = s.x.shape
    return Scratch(np.zeros((blocks, d, n)), np.empty(n), np.empty(n), np.empty((d, n)), np.empty((d, n)))
