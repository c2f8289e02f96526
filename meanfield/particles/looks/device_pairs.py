"""What a step of all pairs does beside the pairs, on a graphics processor: noise and motion.

Weights are those of one replica: `meanfield.particles.looks.replicas.weigh`.

Each is a kernel of its own, for which all before it have ended; state and noise stay on the device.
"""

from __future__ import annotations

from typing import Any

from numba import cuda

from meanfield.particles.looks.device_noise import device
from meanfield.particles.looks.device_steps import change, draw, retract


@cuda.jit
def noise(one: Any, two: Any, replica: int, step: int, k0: int, k1: int) -> None:
    """The normals of a step, of players that have some."""
    first, stride = cuda.grid(1), cuda.gridsize(1)
    if one.transport > 0.0 and one.deviation > 0.0:
        draw(one, 0, replica, step, k0, k1, first, stride)
    if two.transport > 0.0 and two.deviation > 0.0:
        draw(two, 0, replica, step, k0, k1, first, stride)


@device
def total(sums: Any, row: int, i: int) -> float:
    """What all parts of the opponent's points add to particle i."""
    found = 0.0
    for part in range(sums.shape[0]):
        found += sums[part, row, i]
    return found


@device
def move(me: Any, sums: Any, points: Any) -> None:
    """A step along costs and gradients; weights are not yet divided by their sum."""
    for i in range(cuda.grid(1), me.x.shape[2], cuda.gridsize(1)):
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


@cuda.jit
def push(one: Any, two: Any, sums_x: Any, sums_y: Any, x: Any, y: Any) -> None:
    """Move both players along the sums (parts, 1 + a, n) of their pairs; x and y (n, a) are where
    pairs are looked at.
    """
    move(one, sums_x, x)
    move(two, sums_y, y)
