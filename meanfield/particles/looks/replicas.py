"""Euler steps of many replicas of a low-rank game on a graphics processor: ensemble(...,
device="cuda").

A block of threads moves both players of one replica, whose particles see no other replica's: blocks
never wait for one another, and the threads of one meet at barriers alone. Arrays of particles end
in (a, n) or (n,), so that neighbouring threads read neighbouring numbers.

This is the text of `meanfield.particles.algorithms.euler` once more, for a compiler that knows
neither the processor's vectors nor its registers: the same normals by counter (`noise`,
`simd.singles`), features of `meanfield.games.bases`, forces and retractions. What the other text
rounds, this one rounds elsewhere: states agree to a few roundings a step. Sums have an order that
the number of particles fixes, so a replica has the same bits whatever others are moved with it.

Importing this needs numba's CUDA target; see `meanfield.particles.looks.cuda.target`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from meanfield.checks import Array
from meanfield.particles.looks.device_noise import device
from meanfield.particles.looks.device_steps import change, draw, retract

THREADS = 128  # of a block, at most; a power of two
SUMS = 32  # taken at a time: 8 * SUMS * THREADS bytes that the threads of a block share


class Side(NamedTuple):
    """A player of R replicas: `device_steps.Moved`, and what a low-rank game adds."""

    number: int
    sphere: bool
    single: bool
    period: float
    refine: int
    transport: float
    reaction: float
    deviation: float
    x: Array
    logw: Array
    sums: Array
    w: Array
    W: Array
    matrix: Array  # wave vectors (J, d); on a sphere S (d, d), (1, d) where it is diagonal
    unit: Array  # (d,) the wave vector by which most modes follow the one before
    follows: Array  # (J,) whether a mode does
    asked: Array  # on a sphere the numbers of the features whose means the opponent asks for
    rows: Array  # (opponent's means, K): c = base + means @ rows
    base: Array  # (K,)
    means: Array  # (R, means) of cosines and sines in turn, or of the features asked for
    c: Array  # (R, K) coefficients of the cost, those of cosines and sines in turn


@device
def combine(red: Any, rows: int, largest: bool) -> None:
    """red[k, 0] = the sum, or the largest, of red[k] over the threads, halves added to each other.

    Between two barriers: what was written is seen, and what is found may be read.
    """
    lane, half = cuda.threadIdx.x, cuda.blockDim.x // 2
    cuda.syncthreads()
    while half > 0:
        for item in range(lane, rows * half, cuda.blockDim.x):
            k, i = item // half, item % half
            a, b = red[k, i], red[k, i + half]
            if largest:
                red[k, i] = b if b > a else a
            else:
                red[k, i] = a + b
        cuda.syncthreads()
        half //= 2


@device
def applied(me: Any, r: int, k: int, i: int) -> float:
    """(S x)_k at particle i."""
    if me.matrix.shape[0] == 1:
        return me.matrix[0, k] * me.x[r, k, i]
    total = 0.0
    for j in range(me.matrix.shape[1]):
        total += me.matrix[k, j] * me.x[r, j, i]
    return total


@device
def feature(me: Any, r: int, k: int, i: int) -> float:
    """Feature k > 0 of particle i on a sphere: x, then x^2, then x'Sx."""
    a = me.x.shape[1]
    if k <= a:
        return me.x[r, k - 1, i]
    if k <= 2 * a:
        return me.x[r, k - 1 - a, i] * me.x[r, k - 1 - a, i]
    total = 0.0
    for j in range(a):
        total += me.x[r, j, i] * applied(me, r, j, i)
    return total


@device
def turn(me: Any, r: int, i: int, j: int, c: float, s: float, C: float, S: float) -> Any:
    """Cosine and sine of mode j at particle i: those of the mode before, c and s, turned by C and
    S where it follows that.
    """
    if me.follows[j]:
        return c * C - s * S, s * C + c * S
    phase = 0.0
    for k in range(me.x.shape[1]):
        phase += me.matrix[j, k] * me.x[r, k, i]
    return math.cos(phase), math.sin(phase)


@device
def by(me: Any, r: int, i: int) -> float:
    """The angle by which modes follow one another at particle i."""
    phase = 0.0
    for k in range(me.x.shape[1]):
        phase += me.unit[k] * me.x[r, k, i]
    return phase


@device
def see(me: Any, r: int, red: Any) -> None:
    """me.means[r], so many at a time."""
    lane, n, count = cuda.threadIdx.x, me.x.shape[2], me.means.shape[1]
    for first in range(0, count, SUMS):
        rows = SUMS if count - first > SUMS else count - first
        for k in range(rows):
            red[k, lane] = 0.0
        for i in range(lane, n, cuda.blockDim.x):
            w = me.w[r, i]
            if me.sphere:
                for k in range(rows):
                    red[k, lane] += w * feature(me, r, me.asked[first + k], i)
            else:
                angle, c, s = by(me, r, i), 1.0, 0.0
                C, S = math.cos(angle), math.sin(angle)
                for k in range(0, rows, 2):
                    c, s = turn(me, r, i, (first + k) // 2, c, s, C, S)
                    red[k, lane] += w * c
                    red[k + 1, lane] += w * s
        combine(red, rows, False)
        for k in range(lane, rows, cuda.blockDim.x):
            me.means[r, first + k] = red[k, 0]
        cuda.syncthreads()


@device
def aim(me: Any, opponent: Any, r: int) -> None:
    """me.c[r] from the opponent's means."""
    for k in range(cuda.threadIdx.x, me.c.shape[1], cuda.blockDim.x):
        total = me.base[k]
        for j in range(me.rows.shape[0]):
            total += me.rows[j, k] * opponent.means[r, j]
        me.c[r, k] = total


@device
def push_sphere(me: Any, r: int, i: int) -> Any:
    """me.W of particle i on a sphere; returns U and x.W."""
    a, c = me.x.shape[1], me.c
    U, q, along = c[r, 0], c[r, 2 * a + 1], 0.0
    for k in range(a):
        x = me.x[r, k, i]
        linear, v = c[r, 1 + k], c[r, 1 + a + k] * x + q * applied(me, r, k, i)
        U += x * (linear + v)
        along += x * change(me, r, k, i, linear + 2.0 * v)
    return U, along


@device
def push_torus(me: Any, r: int, i: int) -> float:
    """me.W of particle i on a torus; returns U. The slopes of two coordinates at a time stay in
    registers.
    """
    a, angle, U = me.x.shape[1], by(me, r, i), 0.0
    C, S = math.cos(angle), math.sin(angle)
    for k in range(0, a, 2):
        other = k + 1 if k + 1 < a else k
        U, g, h, c, s = 0.0, 0.0, 0.0, 1.0, 0.0
        for j in range(me.matrix.shape[0]):
            c, s = turn(me, r, i, j, c, s, C, S)
            A, B = me.c[r, 2 * j], me.c[r, 2 * j + 1]
            U += A * c + B * s
            slope = B * c - A * s
            g += me.matrix[j, k] * slope
            h += me.matrix[j, other] * slope
        change(me, r, k, i, g)
        if other > k:
            change(me, r, other, i, h)
    return U


@device
def push(me: Any, r: int, replica: int, step: int, k0: int, k1: int) -> None:
    """Move all particles by one step; weights are not yet divided by their sum."""
    lane, width, U, along = cuda.threadIdx.x, cuda.blockDim.x, 0.0, 0.0
    if me.transport > 0.0 and me.deviation > 0.0:
        draw(me, r, replica, step, k0, k1, lane, width)
        cuda.syncthreads()
    for i in range(lane, me.x.shape[2], width):
        if me.sphere:
            U, along = push_sphere(me, r, i)
        else:
            U = push_torus(me, r, i)
        if me.transport > 0.0:
            retract(me, r, i, along)
        if me.reaction > 0.0:
            me.logw[r, i] -= me.reaction * U


@device
def reweigh(me: Any, r: int, red: Any) -> None:
    """log w <- log w - log(sum of w), w = exp(log w)."""
    lane, n = cuda.threadIdx.x, me.x.shape[2]
    red[0, lane] = -math.inf
    for i in range(lane, n, cuda.blockDim.x):
        red[0, lane] = me.logw[r, i] if me.logw[r, i] > red[0, lane] else red[0, lane]
    combine(red, 1, True)
    top = red[0, 0]
    cuda.syncthreads()
    red[0, lane] = 0.0
    for i in range(lane, n, cuda.blockDim.x):
        red[0, lane] += math.exp(me.logw[r, i] - top)
    combine(red, 1, False)
    shift = top + math.log(red[0, 0])
    cuda.syncthreads()
    for i in range(lane, n, cuda.blockDim.x):
        me.logw[r, i] -= shift
        me.w[r, i] = math.exp(me.logw[r, i])


@device
def begin(me: Any, r: int) -> None:
    """w = exp(log w), as a run that is resumed has them, too."""
    for i in range(cuda.threadIdx.x, me.x.shape[2], cuda.blockDim.x):
        me.w[r, i] = math.exp(me.logw[r, i])


@device
def add_weights(me: Any, r: int) -> None:
    """The running sum of weights takes in the state before the step."""
    for i in range(cuda.threadIdx.x, me.x.shape[2], cuda.blockDim.x):
        me.sums[r, i] += me.w[r, i]


@cuda.jit
def march(one: Any, two: Any, replicas: Any, first: int, end: int, k0: int, k1: int) -> None:
    """Steps first, ..., end - 1 of both players of replica replicas[r] in block r; k0 and k1 are
    the words of the seed.

    Each particle's numbers are read and written by one thread alone but for its normals; these, the
    means and the coefficients are shared, and a barrier stands between any two uses of them.
    """
    r = cuda.blockIdx.x
    red = cuda.shared.array((SUMS, THREADS), np.float64)
    replica = int(replicas[r])
    begin(one, r)
    begin(two, r)
    for step in range(first, end):
        cuda.syncthreads()
        if one.reaction > 0.0:
            add_weights(one, r)
        if two.reaction > 0.0:
            add_weights(two, r)
        see(one, r, red)
        see(two, r, red)
        aim(one, two, r)
        aim(two, one, r)
        cuda.syncthreads()
        push(one, r, replica, step, k0, k1)
        push(two, r, replica, step, k0, k1)
        if one.reaction > 0.0:
            reweigh(one, r, red)
        if two.reaction > 0.0:
            reweigh(two, r, red)


@cuda.jit
def weigh(one: Any, two: Any, first: bool) -> None:
    """Weights from log-weights, by one block; these are divided by their sum, but for the first
    time.
    """
    red = cuda.shared.array((SUMS, THREADS), np.float64)
    if first:
        begin(one, 0)
        begin(two, 0)
    if not first and one.reaction > 0.0:
        reweigh(one, 0, red)
    if not first and two.reaction > 0.0:
        reweigh(two, 0, red)
