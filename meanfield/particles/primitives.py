"""One step of every particle scheme, compiled: the primitives, written once for a player.

Costs are U = sum_k c_k f_k in the features of `meanfield.games.bases`; a pairwise game hands its
costs and gradients in (see `meanfield.particles.looks.pairs`).
"""

from __future__ import annotations

import math

from meanfield.checks import Array
from meanfield.fastmath import exp_below, sincos
from meanfield.jit import apart, floor, fma, kernel, separate, together
from meanfield.particles.noise import fill
from meanfield.particles.players import Flag, Player, Scratch, State
from meanfield.particles.team import meet


@kernel
def dots(a: Array, b: Array, out: Array) -> None:
    """out = sums over coordinates of a b, lane by lane."""
    for i in range(len(out)):
        out[i] = 0.0
    for k in range(a.shape[0]):
        for i in range(a.shape[1]):
            out[i] = fma(a[k, i], b[k, i], out[i])


@kernel
def project(x: Array, v: Array, t: Array) -> None:
    """v <- v - (x . v) x: tangent vectors of the sphere at a block x (a, lanes)."""
    apart()
    dots(x, v, t)
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            v[k, i] -= t[i] * x[k, i]


@kernel
def settle(sphere: Flag, period: float, x: Array, t: Array) -> None:
    """Bring a block back to its manifold: divide by the norms, or wrap to [0, period)."""
    apart()
    if len(sphere) > 0:
        dots(x, x, t)
        for i in range(len(t)):
            t[i] = 1.0 / math.sqrt(t[i])
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                x[k, i] *= t[i]
        return
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[k, i] = wrapped(x[k, i], period)


@kernel(forceinline=True)
def wrapped(y: float, P: float) -> float:
    """The point of [0, P) that y is on a circle of length P."""
    y -= P * floor(y * (1.0 / P))
    # Rounding may leave either side of the cell, and -1e-20 + P is P: the point 0.
    y = y + P if y < 0.0 else y
    return y - P if y >= P else y


@kernel
def draw(me: Player, Z: Array, lanes: int, first: int, tick: int) -> None:
    """Standard normals Z (a or more, lanes) in the space around a player's particles from number
    `first` on.
    """
    fill(me.single, Z, lanes, first, tick, me.number, me.replica, me.seed, me.refine)


@kernel
def move(
    me: Player, part: float, noise: float, tick: int, base: Array, to: State, b: int, r: Scratch
) -> None:
    """x <- R(x + noise xi - part gamma dt grad U), log w <- log w - part alpha dt U on block b, in
    place.

    Cost and gradient are those in r.UG; the change of x is made tangent at `base` (a, lanes).
    """
    if me.transport > 0.0:
        x = to.x[b]
        if noise > 0.0:
            lanes = x.shape[1]
            draw(me, r.Z, lanes, (me.first + b) * lanes, tick)
        advance(me.sphere, me.period, part * me.transport, noise, base, r.UG, r.Z, r.t, x)
    if me.reaction > 0.0:
        rate, logw, U = part * me.reaction, to.logw[b], r.UG[0]
        for i in range(len(logw)):
            logw[i] -= rate * U[i]


@kernel
def show(sphere: Flag, x: Array, r: Scratch, to: State, b: int) -> None:
    """Cost and tangent gradient of block b at x, those in r.UG, in the places of log w and x."""
    if len(sphere) > 0:
        project(x, r.UG[1:], r.t)
    for i in range(x.shape[1]):
        to.logw[b, i] = r.UG[0, i]
    for k in range(len(x)):
        for i in range(x.shape[1]):
            to.x[b, k, i] = r.UG[1 + k, i]


@kernel
def advance(
    sphere: Flag, period: float, speed: float, noise: float, base: Array, UG: Array, Z: Array,
    t: Array, x: Array,
) -> None:  # fmt: skip
    """x <- R(x + noise Z - speed grad U) on a block; on a sphere the change, left in Z, is made
    tangent at `base`, once for both.
    """
    if len(sphere) == 0:
        drift(period, speed, noise, UG, Z, x)
        return
    if noise > 0.0:
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                Z[k, i] = fma(noise, Z[k, i], -speed * UG[1 + k, i])
    else:
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                Z[k, i] = -speed * UG[1 + k, i]
    project(base, Z, t)
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[k, i] += Z[k, i]
    settle(sphere, period, x, t)


@kernel
def drift(period: float, speed: float, noise: float, UG: Array, Z: Array, x: Array) -> None:
    """The same on a torus, in one loop."""
    separate()
    if noise > 0.0:
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                together(16)
                change = fma(noise, Z[k, i], -speed * UG[1 + k, i])
                x[k, i] = wrapped(x[k, i] + change, period)
    else:
        for k in range(x.shape[0]):
            for i in range(x.shape[1]):
                together(16)
                x[k, i] = wrapped(x[k, i] - speed * UG[1 + k, i], period)


@kernel
def kick(me: Player, s: State, tick: int, r: Scratch) -> None:
    """Brownian motion over dt/2 of all blocks, in place, to weak second order.

    On S^n along the geodesic of a tangent normal v, of variance q = 2 gamma T dt/2 a direction, E
    f(exp_x v) = f + q/2 Lap f + q^2/8 (Lap^2 + (2/3)(n - 1) Lap) f + O(q^3) (for f = <x, e>, Lap f
    = -n f: E cos|v| = 1 - n q/2 + n (n + 2) q^2/24). Brownian motion has q^2/8 Lap^2 alone; v (1 -
    (n - 1) q/12) has variance q - (n - 1) q^2/6 + O(q^3), and this change of the first term takes
    the curvature term off.
    """
    if me.variance <= 0.0:
        return
    a, lanes = s.x.shape[1:]
    scale = kick_scale(me.sphere, me.variance, a)
    for b in range(len(s.x)):
        draw(me, r.Z, lanes, (me.first + b) * lanes, tick)
        geodesic(me.sphere, s.x[b], scale, r.Z[:a], r.t, r.u)
        settle(me.sphere, me.period, s.x[b], r.t)


@kernel
def kick_scale(sphere: Flag, variance: float, a: int) -> float:
    """sqrt(q) (1 - (n - 1) q/12) on S^n, n = a - 1; sqrt(q) on a torus."""
    q = 0.5 * variance
    return math.sqrt(q) * (1.0 if len(sphere) == 0 else 1.0 - (a - 2) * q / 12.0)


@kernel
def geodesic(sphere: Flag, x: Array, scale: float, v: Array, t: Array, u: Array) -> None:
    """x <- cos|z| x + sin|z| z/|z| on a sphere, z the part of scale v tangent at x; x + scale v on
    a torus.

    For a block; t and u are room, and on a sphere v is left tangent.
    """
    apart()
    if len(sphere) > 0:
        project(x, v, t)
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
def reweigh(me: Player, s: State) -> float:
    """Weights that sum to one: log w <- log w - log(sum of w), which is returned; w = exp(log
    w).
    """
    if me.reaction <= 0.0:
        return 0.0
    for b in range(len(s.logw)):
        s.totals[0, me.first + b] = largest(s.logw[b])
    meet(me.size, me.gate)
    top = largest(s.totals[0])
    exponentials(s.logw, top, s.w)
    for b in range(len(s.w)):
        s.totals[1, me.first + b] = summed(s.w[b])
    meet(me.size, me.gate)
    total = 0.0
    for b in range(s.totals.shape[1]):
        total += s.totals[1, b]
    shift = top + math.log(total)
    for b in range(s.logw.shape[0]):
        for i in range(s.logw.shape[1]):
            s.logw[b, i] -= shift
    exponentials(s.logw, 0.0, s.w)
    return shift


@kernel
def push_along(
    me: Player, U: Array, G: Array, base: State, to: State, part: float, noise: float, k: int,
    r: Scratch,
) -> float:  # fmt: skip
    """Move all blocks along given costs U (blocks, lanes) and gradients G (blocks, a, lanes), then
    `reweigh`.
    """
    for b in range(len(to.x)):
        for i in range(U.shape[1]):
            r.UG[0, i] = U[b, i]
            for a in range(G.shape[1]):
                r.UG[1 + a, i] = G[b, a, i]
        move(me, part, noise, k, base.x[b], to, b, r)
    return reweigh(me, to)


@kernel(fastmath={"nnan", "nsz"})
def largest(logw: Array) -> float:
    """The largest entry; a reduction that may be reordered."""
    top = -math.inf
    for i in range(len(logw)):
        top = logw[i] if logw[i] > top else top
    return top


@kernel
def summed(w: Array) -> float:
    """The sum of all entries, in four series, whose order the compiler may not choose."""
    p, q, r, t = 0.0, 0.0, 0.0, 0.0
    for i in range(0, len(w), 4):
        p += w[i]
        q += w[i + 1]
        r += w[i + 2]
        t += w[i + 3]
    return (p + q) + (r + t)


@kernel
def exponentials(logw: Array, top: float, w: Array) -> None:
    """w = exp(log w - top), at most 1, the one place where weights come from; two arrays, or they
    would be taken one by one.
    """
    for b in range(len(w)):
        weigh(logw[b], top, w[b])


@kernel
def weigh(logw: Array, top: float, w: Array) -> None:
    """The same for a block."""
    separate()
    for i in range(len(w)):
        together(8)
        w[i] = exp_below(logw[i] - top)


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
