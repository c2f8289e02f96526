"""What moves particles on a graphics processor, for any number of threads: noise, and the
retraction of what noise and forces add up to.
"""

# Nothing here asks which thread runs it: numba's simulator would lose that from another module.
from __future__ import annotations

import math
from typing import Any, NamedTuple

from meanfield.checks import Array
from meanfield.particles.looks.device_noise import box_muller, device, philox, single


class Moved(NamedTuple):
    """What moves a player of R replicas: what does not change, state, and room."""

    number: int
    sphere: bool
    single: bool  # whether the noise is that of `simd.singles`
    period: float
    refine: int
    transport: float  # gamma dt
    reaction: float  # alpha dt
    deviation: float  # sqrt(2 gamma T dt)
    x: Array  # (R, a, n)
    logw: Array  # (R, n)
    sums: Array  # (R, n) of the weights before each step
    w: Array  # (R, n)
    W: Array  # (R, a, n) normals, then the change of x


@device
def put(me: Any, r: int, k: int, q: int, j: int, first: float, second: float) -> None:
    """Add normals of particles 2 q and 2 q + 1 in coordinate k, where there are such, to the j
    before them.
    """
    a, i, n = me.x.shape[1], 2 * q, me.x.shape[2]
    if k < a:
        me.W[r, k, i] = first + (me.W[r, k, i] if j > 0 else 0.0)
    if k < a and i + 1 < n:
        me.W[r, k, i + 1] = second + (me.W[r, k, i + 1] if j > 0 else 0.0)


@device
def draw(
    me: Any, r: int, replica: int, step: int, k0: int, k1: int, first: int, stride: int
) -> None:
    """me.W[r] = normals of all particles, or sums of them; each thread takes pairs of particles and
    of coordinates.
    """
    pairs, a = (me.x.shape[2] + 1) // 2, me.x.shape[1]
    width = 2 if me.single else 1
    for item in range(first, pairs * ((a + width - 1) // width), stride):
        q, k = item % pairs, item // pairs * width
        stream = k + me.number if me.single else 2 * k + me.number
        for j in range(me.refine):
            w0, w1, w2, w3 = philox(q, step * me.refine + j, stream, replica, k0, k1)
            if me.single:
                c, s = single(w0, w2)
                d, t = single(w1, w3)
                put(me, r, k, q, j, c, d)
                put(me, r, k + 1, q, j, s, t)
            else:
                c, s = box_muller(w0, w1, w2, w3)
                put(me, r, k, q, j, c, s)


@device
def change(me: Any, r: int, k: int, i: int, slope: float) -> float:
    """me.W <- noise - gamma dt slope, in coordinate k of particle i."""
    W = me.deviation * me.W[r, k, i] if me.deviation > 0.0 else 0.0
    me.W[r, k, i] = W - me.transport * slope
    return me.W[r, k, i]  # type: ignore[no-any-return]


@device
def retract(me: Any, r: int, i: int, along: float) -> None:
    """x <- (x + W - (x.W) x) / |x + W - (x.W) x| on a sphere; x + W, wrapped to [0, period), on a
    torus.
    """
    square, P = 0.0, me.period
    for k in range(me.x.shape[1]):
        x = me.x[r, k, i]
        x += me.W[r, k, i] - along * x if me.sphere else me.W[r, k, i]
        if not me.sphere:
            x -= P * math.floor(x * (1.0 / P))
            x = x + P if x < 0.0 else x
            x = x - P if x >= P else x
        me.x[r, k, i] = x
        square += x * x
    if me.sphere:
        for k in range(me.x.shape[1]):
            me.x[r, k, i] *= 1.0 / math.sqrt(square)
