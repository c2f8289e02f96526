"""What a save reads off the particles, each in one pass over their blocks: places and how far they
are from those saved before, and the sizes of costs and forces.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel, larger, smaller
from meanfield.manifolds import Manifold
from meanfield.measures import Measure
from meanfield.particles.primitives import Flag

# Up to so many coordinates it is faster to write one after the other than one particle after the
# other.
FEW = 4


@kernel
def survey(w: Array, U: Array, G: Array, n: int, r: Array) -> tuple[float, float, float]:
    """sum_i w_i U_i, max |G_i|^2, and zero, or NaN where something is not finite, over n particles.

    w, U (blocks, lanes), G (blocks, a, lanes); r (4, lanes) is room.
    """
    apart()
    lanes, mean, top, off = w.shape[1], 0.0, 0.0, 0.0
    for k in range(1, 4):
        for i in range(lanes):
            r[k, i] = 0.0
    for b in range(len(w)):
        count = smaller(lanes, n - b * lanes)
        for i in range(lanes):
            r[0, i] = 0.0
        for k in range(G.shape[1]):
            for i in range(lanes):
                r[0, i] = fma(G[b, k, i], G[b, k, i], r[0, i])
        for i in range(count):
            r[1, i] = fma(w[b, i], U[b, i], r[1, i])
            r[2, i] = larger(r[2, i], r[0, i])
            r[3, i] += 0.0 * (r[0, i] + U[b, i])
    for i in range(lanes):
        mean, top, off = mean + r[1, i], larger(top, r[2, i]), off + r[3, i]
    return mean, top, off


@kernel
def read_off(
    sphere: Flag, period: float, x: Array, before: Array, points: Array, r: Array
) -> float:
    """Write the particles of x (blocks, a, lanes) to points (n, a) and to `before`, which holds
    those of the save before; the farthest that one has got.

    Spheres' points are divided by their norms. r (5, lanes) is room.
    """
    apart()
    lanes, top = x.shape[2], 0.0
    near, far, norm, reach, at = r[0], r[1], r[2], r[3], r[4]
    for i in range(lanes):
        reach[i] = 0.0
    for b in range(len(x)):
        first = b * lanes
        count = smaller(lanes, len(points) - first)
        for i in range(lanes):
            near[i], far[i], norm[i] = 0.0, 0.0 if len(sphere) > 0 else 1.0, 0.0
        if len(sphere) > 0:
            for k in range(x.shape[1]):
                for i in range(lanes):
                    norm[i] = fma(x[b, k, i], x[b, k, i], norm[i])
            for i in range(lanes):
                norm[i] = math.sqrt(norm[i])
        for k in range(x.shape[1]):
            old, new = before[b, k], x[b, k]
            # One result a loop: the compiler makes vectors of no more than it can tell apart.
            if len(sphere) > 0:
                for i in range(lanes):
                    at[i] = new[i] / norm[i]
                for i in range(lanes):
                    far[i] = fma(at[i] + old[i], at[i] + old[i], far[i])
                for i in range(lanes):
                    near[i] += (at[i] - old[i]) * (at[i] - old[i])
            else:
                for i in range(lanes):
                    at[i] = new[i]
                for i in range(lanes):
                    gap = abs(at[i] - old[i])
                    gap = smaller(gap, period - gap)
                    near[i] += gap * gap
            for i in range(lanes):
                old[i] = at[i]
        if x.shape[1] > FEW:
            for i in range(count):
                for k in range(x.shape[1]):
                    points[first + i, k] = before[b, k, i]
        else:
            for k in range(x.shape[1]):
                for i in range(count):
                    points[first + i, k] = before[b, k, i]
        for i in range(count):
            reach[i] = larger(reach[i], near[i] / far[i])
    for i in range(lanes):
        top = larger(top, reach[i])
    # On a sphere the tangents of half the angles, squared.
    return 2.0 * math.atan(math.sqrt(top)) if len(sphere) > 0 else math.sqrt(top)


class Room:
    """Memory for the points that a run saves, so many numbers, allocated in large pieces. Each
    piece comes from the system as a few large pages, in place of thousands of small ones, which
    took a fifth of the time of short runs.

    What is not used of a piece takes none of the machine's memory.
    """

    LEAST, MOST = 1 << 19, 1 << 20  # numbers in a piece; numpy asks for large pages from LEAST on

    def __init__(self, expected: int) -> None:
        self.expected, self.piece, self.used = expected, np.empty(0), 0

    def take(self, n: int, a: int) -> Array:
        """An array (n, a) that holds nothing yet."""
        size = n * a
        few = self.expected < 3 * self.LEAST // 4 and not len(self.piece)
        if few or 4 * size > self.MOST:
            return np.empty((n, a))
        if self.used + size > len(self.piece):
            self.piece = np.empty(min(max(self.expected, self.LEAST), self.MOST))
            self.expected, self.used = self.expected - len(self.piece), 0
        self.used += size
        return self.piece[self.used - size : self.used].reshape(n, a)


def measured(points: Array, masses: Array, manifold: Manifold) -> Measure:
    """The measure of particles, which are where they should be: nothing is looked at again."""
    made: Any = object.__new__(Measure)
    for name, value in (("points", points), ("masses", masses), ("manifold", manifold)):
        object.__setattr__(made, name, value)
    return made  # type: ignore[no-any-return]
