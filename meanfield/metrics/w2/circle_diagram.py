"""Cells on S^2 where x . p_i + h_i is largest, for points p_i and heights h_i: regions between
circles.

With unit points and h_i = psi_i / 2 it is where |x - p_i|^2 - psi_i is least. Cell i starts as the
sphere and is cut by its neighbours of the last call, then by what a tree of boxes over the points
cannot rule out. A box cuts nothing of a cell within rho of c when

    |c - p|^2 - psi - 2 rho |p - p_i| >= |c - p_i|^2 - psi_i  for all p in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index
from meanfield.metrics.w2.circle_cell import Cell, ball, cell_space, cut, holds, least, tried
from meanfield.metrics.w2.costs import LEAF, Boxes, Ground
from meanfield.metrics.w2.sphere_diagram import Diagram

CHORDS = Ground(3, 1.0)


class Arcs(NamedTuple):
    """Arcs middle + a cos s + t sin s, low <= s <= high, of circles: (E, 3) and (E,).

    The first of the pairs (E, 2) of cells lies on the left.
    """

    pairs: Index
    middle: Array
    a: Array
    t: Array
    low: Array
    high: Array


class Regions(NamedTuple):
    """Cells of points p (n, 3) and heights h (n,): where x . p_i + h_i is largest.

    Cell i has the neighbours columns[starts[i] : starts[i + 1]].
    """

    p: Array
    h: Array
    starts: Index
    columns: Index


def of_great_circles(mesh: Diagram) -> tuple[Regions, Arcs]:
    """The cells of a diagram and their arcs."""
    n, E = len(mesh.p), len(mesh.pairs)
    regions = Regions(mesh.p, np.zeros(n), mesh.starts, mesh.columns)
    return regions, Arcs(mesh.pairs, np.zeros((E, 3)), mesh.a, mesh.t, np.zeros(E), mesh.lengths)


@kernel
def ruled_out(c: Array, rho: float, y: Array, i: int, boxes: Boxes, node: int, own: float) -> bool:
    """Whether no atom of a box cuts the cell of atom i, of potential `own`, within rho of c."""
    if boxes.top[node] == -np.inf:
        return True
    gain, far = own - boxes.top[node], 0.0
    for axis in range(3):
        low, high, slope = boxes.low[node, axis], boxes.high[node, axis], boxes.slope[node, axis]
        far += larger(y[i, axis] - low, high - y[i, axis]) ** 2
        best = smaller(larger(c[0, axis] + 0.5 * slope, low), high)
        gain += (best - c[0, axis]) ** 2 - (c[0, axis] - y[i, axis]) ** 2
        gain -= slope * (best - 0.5 * (low + high))
    return gain >= 2 * rho * np.sqrt(far)


@kernel
def misses(c: Array, rho: float, y: Array, i: int, j: int, b: float) -> bool:
    """Whether all within rho of c has x . (y_i - y_j) >= b."""
    at = square = 0.0
    for axis in range(3):
        gap = y[i, axis] - y[j, axis]
        at += c[0, axis] * gap
        square += gap * gap
    return at - rho * np.sqrt(square) >= b


@kernel
def carve(
    i: int, y: Array, h: Array, boxes: Boxes, likely: Index, w: Cell, c: Array, stack: Index
) -> int:
    """Write cell i to w: 0, or what `cut` says where it is empty or w too small.

    The likely neighbours are tried first.
    """
    w.sizes[0], w.sizes[1], leaves = 0, 0, len(boxes.top) // 2
    rho, stack[0], depth = 2.0, -1, 1
    c[0, 0], c[0, 1], c[0, 2] = y[i, 0], y[i, 1], y[i, 2]
    while depth:
        depth -= 1
        node, begin, end = stack[depth], 0, len(likely)
        if node < 0:
            stack[0], depth = 0, 1
        else:
            if ruled_out(c, rho, y, i, boxes, node, 2 * h[i]):
                continue
            if node < leaves:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node + 2
                depth += 2
                continue
            begin = (node - leaves) * LEAF
            end = smaller(begin + LEAF, len(y))
        changed = False
        for k in range(begin, end):
            j = likely[k] if node < 0 else k
            if j == i or tried(w, j):
                continue
            if misses(c, rho, y, i, j, h[j] - h[i]):
                continue
            after = cut(w, y, h, i, j)
            if after < 0:
                return after
            changed |= after > 0
        if changed:
            rho = ball(w, c)
    return 0


@kernel(counted=True)
def carve_all(
    y: Array, h: Array, boxes: Boxes, starts: Index, likely: Index, back: Array, begin: int,
    end: int,
) -> tuple[Index, Array, Array]:  # fmt: skip
    """Of cells begin to end - 1: pairs (E, 2) and arcs (E, 11) between each and later ones, and,
    (n, 5), a point amid each, the least x . y_i, and whether back_i lies in it, 1.0 or 0.0.

    y (n, 3) in `tree_order`; atom i has the likely neighbours likely[starts[i] : starts[i + 1]].
    """
    n, size, used = end - begin, 64, 0
    pairs, arcs = np.empty((8 * n + 64, 2), dtype=np.int64), np.empty((8 * n + 64, 11))
    about, c = np.zeros((n, 5)), np.empty((1, 3))
    stack, w = np.empty(128, dtype=np.int64), cell_space(size)
    for i in range(begin, end):
        of_i = likely[starts[i] : starts[i + 1]]
        after = carve(i, y, h, boxes, of_i, w, c, stack)
        while after == -2:
            size *= 2
            w = cell_space(size)
            after = carve(i, y, h, boxes, of_i, w, c, stack)
        about[i - begin, :3], about[i - begin, 3] = y[i], 1.0
        if after < 0:
            continue
        about[i - begin, :3], about[i - begin, 3] = c[0], least(w, y, i)
        about[i - begin, 4] = 1.0 if holds(w, back, i, 1.0) else 0.0
        if used + w.sizes[1] > len(pairs):
            room = used + w.sizes[1]
            pairs = np.concatenate((pairs, np.empty((room, 2), dtype=np.int64)))
            arcs = np.concatenate((arcs, np.empty((room, 11))))
        for k in range(w.sizes[1]):
            q = w.on[k]
            if w.tag[q] > i:
                pairs[used, 0], pairs[used, 1] = i, w.tag[q]
                for axis in range(3):
                    arcs[used, axis] = w.middle[q, axis]
                    arcs[used, 3 + axis] = w.a[q, axis]
                    arcs[used, 6 + axis] = w.t[q, axis]
                arcs[used, 9], arcs[used, 10] = w.ends[k, 0], w.ends[k, 1]
                used += 1
    return pairs[:used], arcs[:used], about
