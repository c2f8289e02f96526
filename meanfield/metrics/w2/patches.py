"""Boxes over points of a convex hull around the origin, and how far they reach in a direction.

The hull is nearly flat where a box is small: with N a unit vector about normal to it and m the
box's middle, half as wide as w along the axes,

    x . p <= x . m + k max_j N . (p_j - m) + sum_axes |x - k N| w,    k = max(0, x . N).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller
from meanfield.metrics.w2.costs import LEAF


class Patches(NamedTuple):
    """A tree of boxes over points in `tree_order`, a binary heap whose leaves have LEAF points.

    middle, half (v, 3): of the boxes, half as wide as `half`; normal (v, 3): N; top (v,): the
    largest N . (p - middle) in each, -inf in empty ones.
    """

    middle: Array
    half: Array
    normal: Array
    top: Array


@kernel(counted=True)
def patches(p: Array, normals: Array) -> tuple[Array, Array, Array, Array]:
    """The Patches of points p (n, 3), near which the hull has about these normals (n, 3)."""
    leaves = 1
    while leaves * LEAF < len(p):
        leaves *= 2
    v = 2 * leaves - 1
    middle, half, normal = np.zeros((v, 3)), np.zeros((v, 3)), np.zeros((v, 3))
    top, first, width = np.full(v, -np.inf), 0, leaves * LEAF
    while first < v:
        for begin in range(0, len(p), width):
            node, end, square = first + begin // width, smaller(begin + width, len(p)), 0.0
            for axis in range(3):
                low, high, total = np.inf, -np.inf, 0.0
                for j in range(begin, end):
                    low, high = smaller(low, p[j, axis]), larger(high, p[j, axis])
                    total += normals[j, axis]
                middle[node, axis], half[node, axis] = 0.5 * (low + high), 0.5 * (high - low)
                normal[node, axis] = total
                square += total * total
            for axis in range(3):
                normal[node, axis] /= larger(np.sqrt(square), 1e-300)
            for j in range(begin, end):
                height = 0.0
                for axis in range(3):
                    height += normal[node, axis] * (p[j, axis] - middle[node, axis])
                top[node] = larger(top[node], height)
        first, width = 2 * first + 1, width // 2
    return middle, half, normal, top


@kernel
def highest(x: Array, tree: Patches, node: int) -> float:
    """An upper bound of x . p for the points p of a box, x (1, 3)."""
    if tree.top[node] == -np.inf:
        return -np.inf
    m, w, N = tree.middle, tree.half, tree.normal
    k = larger(0.0, x[0, 0] * N[node, 0] + x[0, 1] * N[node, 1] + x[0, 2] * N[node, 2])
    bound = k * tree.top[node]
    for axis in range(3):
        bound += x[0, axis] * m[node, axis] + abs(x[0, axis] - k * N[node, axis]) * w[node, axis]
    return bound
