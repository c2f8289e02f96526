"""One cell on S^2 where x . p_i + h_i is largest: what half-spaces leave of the sphere.

It may lie anywhere, be in several parts or have holes, so that it is kept as the arcs of its
border, in no order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, smaller
from meanfield.meshes import Index

TURN = 2 * np.pi


class Cell(NamedTuple):
    """Work space for one cell: half-spaces x . g >= b and arcs of their circles.

    sizes: the numbers of half-spaces and of arcs. Of half-space q: tag, the atom beyond it; g, b;
    middle, a, t (q, 3), those of its circle. Of arc k: on, its half-space, and its ends; spare are
    arcs in the making.
    """

    sizes: Index
    tag: Index
    g: Array
    b: Array
    middle: Array
    a: Array
    t: Array
    on: Index
    ends: Array
    spare_on: Index
    spare: Array


@kernel(counted=True)
def cell_space(size: int) -> Cell:
    """Work space for `size` half-spaces and as many arcs."""
    return Cell(
        np.zeros(2, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty((size, 3)),
        np.empty(size), np.empty((size, 3)), np.empty((size, 3)), np.empty((size, 3)),
        np.empty(size, dtype=np.int64), np.empty((size, 2)), np.empty(size, dtype=np.int64),
        np.empty((size, 2)),
    )  # fmt: skip


@kernel
def dot(u: Array, i: int, v: Array, j: int) -> float:
    return u[i, 0] * v[j, 0] + u[i, 1] * v[j, 1] + u[i, 2] * v[j, 2]


@kernel
def describe(w: Cell, q: int, y: Array, i: int, j: int, b: float) -> bool:
    """Write half-space q, x . (y_i - y_j) >= b, and its circle. False where that misses the
    sphere.
    """
    g, middle, a, t, square = w.g, w.middle, w.a, w.t, 0.0
    for axis in range(3):
        g[q, axis] = y[i, axis] - y[j, axis]
        square += g[q, axis] ** 2
    size = np.sqrt(square)
    w.tag[q], w.b[q] = j, b
    if not abs(b) < size:
        return False
    height = b / size
    radius = np.sqrt((1 - height) * (1 + height))
    least = 0
    for axis in range(1, 3):
        if abs(g[q, axis]) < abs(g[q, least]):
            least = axis
    # a is across the least axis and g, t = g/|g| x a: s runs counter-clockwise around g.
    u, v = (least + 1) % 3, (least + 2) % 3
    across = np.sqrt(g[q, u] ** 2 + g[q, v] ** 2)
    a[q, least], a[q, u], a[q, v] = 0.0, -radius * g[q, v] / across, radius * g[q, u] / across
    for axis in range(3):
        k, l = (axis + 1) % 3, (axis + 2) % 3
        t[q, axis] = (g[q, k] * a[q, l] - g[q, l] * a[q, k]) / size
        middle[q, axis] = height * g[q, axis] / size
    return True


@kernel
def keep(w: Cell, r: int, q: int, low: float, high: float, out: Array, at: int) -> int:
    """Write to out[at:] what half-space r leaves of an arc of circle q; how many pieces."""
    u = dot(w.middle, q, w.g, r) - w.b[r]
    along, across = dot(w.a, q, w.g, r), dot(w.t, q, w.g, r)
    size = np.sqrt(along * along + across * across)
    if u >= size:
        out[at, 0], out[at, 1] = low, high
        return 1
    if u <= -size:
        return 0
    half = np.arccos(-u / size)
    start = np.arctan2(across, along) - half
    start += TURN * np.ceil((low - start) / TURN)  # the first at or after low
    pieces, end = 0, start + 2 * half - TURN
    if end > low:
        out[at, 0], out[at, 1] = low, smaller(high, end)
        pieces += 1
    if start < high and (pieces == 0 or end < high):
        out[at + pieces, 0], out[at + pieces, 1] = start, smaller(high, start + 2 * half)
        pieces += 1
    return pieces


@kernel
def cut(w: Cell, y: Array, h: Array, i: int, j: int) -> int:
    """Cut cell i by atom j: 1 where that changes it, 0 where not, -1 where nothing is left.

    -2 where the work space is too small.
    """
    planes, arcs, b = w.sizes[0], w.sizes[1], h[j] - h[i]
    size, q = len(w.tag), w.sizes[0]
    if planes + 1 >= size or 2 * arcs + 2 * planes + 4 >= size:
        return -2
    if not describe(w, q, y, i, j, b):
        return 0 if b < 0 else -1
    count, changed = 0, False
    for k in range(arcs):
        low, high = w.ends[k, 0], w.ends[k, 1]
        pieces = keep(w, q, w.on[k], low, high, w.spare, count)
        changed |= pieces != 1 or w.spare[count, 0] != low or w.spare[count, 1] != high
        for _ in range(pieces):
            w.spare_on[count] = w.on[k]
            count += 1
    # The new circle, cut by each half-space: pieces are kept at its end until they are cut.
    first = count
    w.spare[count, 0], w.spare[count, 1] = 0.0, TURN
    count += 1
    for r in range(planes):
        last, kept = count, first
        if last == first:
            break
        for k in range(first, last):
            w.ends[k, 0], w.ends[k, 1] = w.spare[k, 0], w.spare[k, 1]
        for k in range(first, last):
            kept += keep(w, r, q, w.ends[k, 0], w.ends[k, 1], w.spare, kept)
        count = kept
    if not changed and count == first:
        return 0
    for k in range(count):
        w.on[k] = w.spare_on[k] if k < first else q
        w.ends[k, 0], w.ends[k, 1] = w.spare[k, 0], w.spare[k, 1]
    w.sizes[0], w.sizes[1] = planes + 1, count
    return 1 if count > 0 else -1


@kernel
def holds(w: Cell, x: Array, i: int, sign: float) -> bool:
    """Whether the unit vector sign x_i lies in the cell."""
    for r in range(w.sizes[0]):  # noqa: SIM110 - numba has no all() of a generator
        if sign * dot(x, i, w.g, r) < w.b[r]:
            return False
    return True


@kernel
def least(w: Cell, c: Array, i: int) -> float:
    """The least x . c_i within the cell, for a unit vector c_i."""
    if holds(w, c, i, -1.0):
        return -1.0
    found = 1.0
    for k in range(w.sizes[1]):
        q, low, high = w.on[k], w.ends[k, 0], w.ends[k, 1]
        middle, along, across = dot(w.middle, q, c, i), dot(w.a, q, c, i), dot(w.t, q, c, i)
        found = smaller(found, middle + along * np.cos(low) + across * np.sin(low))
        found = smaller(found, middle + along * np.cos(high) + across * np.sin(high))
        lowest = np.arctan2(-across, -along)
        lowest += TURN * np.ceil((low - lowest) / TURN)
        if lowest <= high:
            found = smaller(found, middle - np.sqrt(along * along + across * across))
    return found


@kernel
def ball(w: Cell, c: Array) -> float:
    """Write a unit vector amid the cell's border to c (1, 3); the distance of what is farthest."""
    c[0, 0] = c[0, 1] = c[0, 2] = 0.0
    for k in range(w.sizes[1]):
        q = w.on[k]
        for end in range(2):
            C, S = np.cos(w.ends[k, end]), np.sin(w.ends[k, end])
            for axis in range(3):
                c[0, axis] += w.middle[q, axis] + w.a[q, axis] * C + w.t[q, axis] * S
    size = np.sqrt(dot(c, 0, c, 0))
    if size < 1e-3:
        return 2.0
    for axis in range(3):
        c[0, axis] /= size
    return np.sqrt(2 * (1 - least(w, c, 0))) + 1e-14


@kernel
def tried(w: Cell, j: int) -> bool:
    """Whether atom j has cut the cell already."""
    for q in range(w.sizes[0]):  # noqa: SIM110 - numba has no any() of a generator
        if w.tag[q] == j:
            return True
    return False
