"""What a step of all pairs does beside the pairs, on a graphics processor: noise and motion.

Weights are those of one replica: `meanfield.particles.looks.replicas.weigh`.

One kernel, for which the sums over pairs have ended; state and noise stay on the device.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from meanfield.particles.looks.device_noise import device
from meanfield.particles.looks.device_steps import change, draw, retract


@device
def total(sums: Any, row: int, i: int) -> float:
    """What all parts of the opponent's points add to particle i."""
    found = 0.0
    for part in range(sums.shape[0]):
        found += sums[part, row, i]
    return found


@device
def move(me: Any, sums: Any, points: Any, i: int) -> None:
    """A step of particle i along costs and gradients; weights are not yet divided by their sum."""
    along = 0.0
    if me.reaction > 0.0:
        me.sums[0, i] += me.w[0, i]
        me.logw[0, i] -= me.reaction * total(sums, 0, i)
    if me.transport > 0.0:
        for k in range(me.x.shape[1]):
            along += me.x[0, k, i] * change(me, 0, k, i, total(sums, 1 + k, i))
        retract(me, 0, i, along)
        for k in range(me.x.shape[1]):
            points[i, k] = me.x[0, k, i]


@device
def move_all(
    me: Any, sums: Any, points: Any, replica: int, step: int, k0: int, k1: int, first: int,
    stride: int,
) -> None:  # fmt: skip
    """A step of all particles, two at a time: noise comes in pairs, and who draws it uses it."""
    n = me.x.shape[2]
    pairs = (n + 1) // 2
    for q in range(first, pairs, stride):
        if me.transport > 0.0 and me.deviation > 0.0:
            draw(me, 0, replica, step, k0, k1, q, pairs)
        for i in range(2 * q, 2 * q + 2 if 2 * q + 2 < n else n):
            move(me, sums, points, i)


@cuda.jit
def push(
    one: Any, two: Any, sums_x: Any, sums_y: Any, x: Any, y: Any, replica: int, step: int, k0: int,
    k1: int,
) -> None:  # fmt: skip
    """Move both players by noise and along the sums (parts, 1 + a, n) of their pairs; x and y
    (n, a) are where pairs are looked at.
    """
    first, stride = cuda.grid(1), cuda.gridsize(1)
    move_all(one, sums_x, x, replica, step, k0, k1, first, stride)
    move_all(two, sums_y, y, replica, step, k0, k1, first, stride)
