"""Squared distances of points and boxes, and the search for arcs cheaper than their prices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.jit import kernel, larger, smaller
from meanfield.manifolds import Manifold, Torus
from meanfield.meshes import Index

LEAF = 8  # points a leaf of the tree of boxes
QUERIES = 500  # points whose nearest ones are worth a thread


class Ground(NamedTuple):
    """The cost of sending mass from x to y.

    kind: 0 is the squared geodesic distance and 1 the squared chord on a torus of that period, 2
    and 3 are the same on the unit sphere.
    """

    kind: int
    period: float


def ground_cost(manifold: Manifold, metric: str) -> Ground:
    """The cost of a metric, "geodesic" or "extrinsic", on a torus or a sphere."""
    chord = int(metric == "extrinsic")
    return Ground(chord, manifold.period) if isinstance(manifold, Torus) else Ground(2 + chord, 1.0)


@kernel
def of_gap(gap: float, ground: Ground) -> float:
    """What one axis of a torus adds to the cost, for a gap in [0, period)."""
    kind, period = ground
    short = smaller(gap, period - gap)
    if kind == 0:
        return short * short
    return (period / np.pi * np.sin(np.pi / period * short)) ** 2


@kernel
def cost(x: Array, i: int, y: Array, j: int, ground: Ground) -> float:
    """c(x_i, y_j)."""
    kind, _ = ground
    total = 0.0
    if kind <= 1:
        for k in range(x.shape[1]):
            total += of_gap(abs(x[i, k] - y[j, k]), ground)
        return total
    for k in range(x.shape[1]):
        total += (x[i, k] - y[j, k]) ** 2
    if kind == 3:
        return total
    if total <= 2.0:
        return 4 * np.arcsin(0.5 * np.sqrt(total)) ** 2
    other = 0.0  # the antipode's side, where the chord has lost its digits
    for k in range(x.shape[1]):
        other += (x[i, k] + y[j, k]) ** 2
    return (np.pi - 2 * np.arcsin(smaller(0.5 * np.sqrt(other), 1.0))) ** 2


@kernel(counted=True)
def arc_costs(x: Array, y: Array, tails: Index, heads: Index, ground: Ground) -> Array:
    """c(x_i, y_j) for pairs (i, j), shape (E,)."""
    out = np.empty(len(tails))
    for e in range(len(tails)):
        out[e] = cost(x, tails[e], y, heads[e], ground)
    return out


class Boxes(NamedTuple):
    """Boxes over points y (m, a) in `tree_order`: a binary heap with leaves of LEAF points.

    low, high (2 L - 1, a): the boxes' ends; slope (2 L - 1, a): the mean gradient in each box of
    prices v (m,) of the points; top (2 L - 1,): the largest v - slope . (y - the box's middle).
    """

    low: Array
    high: Array
    slope: Array
    top: Array


@kernel
def least_in_box(x: Array, i: int, boxes: Boxes, node: int, ground: Ground) -> float:
    """A lower bound of c(x_i, y) - g . (y - middle) for y in a box, g its slope.

    On spheres d^2 is convex in the squared chord, and its tangent is a quadratic function of y.
    """
    kind, period = ground
    bend, total = 1.0, 0.0
    if kind == 2:
        s = 0.0
        for k in range(x.shape[1]):
            s += (x[i, k] - 0.5 * (boxes.low[node, k] + boxes.high[node, k])) ** 2
        s = smaller(s, 3.9)
        if s > 1e-8:
            d = 2 * np.arcsin(0.5 * np.sqrt(s))
            bend = d / np.sqrt(s * (1 - 0.25 * s))
            total = d * d - bend * s
    for k in range(x.shape[1]):
        l, h, g = boxes.low[node, k], boxes.high[node, k], boxes.slope[node, k]
        if kind == 1 and g == 0.0:
            below, above = l - x[i, k], x[i, k] - h
            if below > 0:
                total += of_gap(smaller(below, above + period), ground)
            elif above > 0:
                total += of_gap(smaller(above, below + period), ground)
            continue
        if kind == 1:
            # It bends downwards like a parabola at most, so that the least is near an end.
            wave, tilt = np.pi / period, 0.5 * g * (h - l)
            at_l = (period / np.pi * np.sin(wave * (x[i, k] - l))) ** 2 + tilt
            at_h = (period / np.pi * np.sin(wave * (x[i, k] - h))) ** 2 - tilt
            total += smaller(at_l, at_h) - 0.25 * (h - l) ** 2
            continue
        least = np.inf
        for turn in range(-1, 2):
            if kind == 0 or turn == 0:
                at = x[i, k] + turn * period
                y = smaller(larger(at + 0.5 * g / bend, l), h)
                least = smaller(least, bend * (y - at) ** 2 - g * (y - 0.5 * (l + h)))
        total += least
    return total


@kernel
def lift(y: Array, v: Array, G: Array, boxes: Boxes) -> None:
    """Write the boxes' slope and top for prices v (m,) whose gradients are about G (m, a)."""
    slope, top = boxes.slope, boxes.top
    leaves = len(top) // 2 + 1
    width, first = LEAF * leaves, 0
    for _ in range(64):
        for node in range(first, smaller(2 * first + 1, len(top))):
            begin = (node - first) * width
            end = smaller(begin + width, len(y))
            top[node] = -np.inf
            if begin >= end:
                continue
            for k in range(y.shape[1]):
                total = 0.0
                for j in range(begin, end):
                    total += G[j, k]
                slope[node, k] = total / (end - begin)
            for j in range(begin, end):
                value = v[j]
                for k in range(y.shape[1]):
                    middle = 0.5 * (boxes.low[node, k] + boxes.high[node, k])
                    value -= slope[node, k] * (y[j, k] - middle)
                top[node] = larger(top[node], value)
        first, width = 2 * first + 1, width // 2
        if first >= len(top):
            return


@kernel(counted=True)
def gradients(x: Array, y: Array, partner: Index, ground: Ground) -> Array:
    """d c(x_i, y)/dy at y_j with i = partner_j, along the ambient axes, shape (m, a)."""
    kind, period = ground
    G = np.zeros(y.shape)
    for j in range(len(y)):
        i, bend = partner[j], 1.0
        if kind == 2:
            s = 0.0
            for k in range(y.shape[1]):
                s += (x[i, k] - y[j, k]) ** 2
            s = smaller(s, 3.9)
            if s > 1e-8:
                bend = 2 * np.arcsin(0.5 * np.sqrt(s)) / np.sqrt(s * (1 - 0.25 * s))
        for k in range(y.shape[1]):
            gap = y[j, k] - x[i, k]
            if kind == 0:
                gap -= period * np.rint(gap / period)
            if kind == 1:
                G[j, k] = period / np.pi * np.sin(2 * np.pi / period * gap)
            else:
                G[j, k] = 2 * bend * gap
    return G


def nearest(tree: Any, x: Array, count: int) -> tuple[Array, Index]:
    """Distances and numbers (n, count) of the points of a cKDTree that are nearest to x (n, a).

    The tree's own threads (`workers`) are not used: after an interruption they go on writing into
    arrays that are gone.
    """
    threads = threads_worth(len(x), QUERIES)
    parts = by_threads(
        lambda s: tree.query(x[s], [*range(1, count + 1)]), shares(len(x), threads), threads
    )
    distances, numbers = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return distances, numbers.astype(np.int64)


def distinct(points: Array) -> tuple[Array, Index]:
    """Different points (m, a) in the order of their last axis first, and where each went."""
    order = np.lexsort(points.T)
    x = points[order]
    new = np.append(True, np.any(x[1:] != x[:-1], axis=1))
    place = np.empty(len(points), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    return x[new], place


@kernel
def divide(order: Index, x: Array, axis: int, begin: int, middle: int, end: int) -> None:
    """Put what is least along an axis, of order[begin:end], to order[begin:middle] (Hoare 1961)."""
    low, high, drawn = begin, end - 1, 12345
    while low < high:
        # Not the middle: where coordinates rise and fall it would be an end, again and again.
        drawn = (1103515245 * drawn + 12345) % 2147483648  # C's own example of a generator
        pivot = order[low + drawn // 8 % (high - low + 1)]
        value, i, j = x[pivot, axis], low, high
        while i <= j:
            while x[order[i], axis] < value or (x[order[i], axis] == value and order[i] < pivot):
                i += 1
            while x[order[j], axis] > value or (x[order[j], axis] == value and order[j] > pivot):
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i, j = i + 1, j - 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@kernel(counted=True)
def tree_order(x: Array) -> Index:
    """The order of points (m, a) in `Boxes`: each box is divided across its longest side.

    The first part has half as many points as the box has room for.
    """
    order, width = np.arange(len(x)), LEAF
    while width < len(x):
        width *= 2
    while width > LEAF:
        for begin in range(0, len(x), width):
            middle, end, axis, longest = begin + width // 2, begin + width, 0, -1.0
            if middle >= len(x):
                continue
            end = smaller(end, len(x))
            for k in range(x.shape[1]):
                low, high = np.inf, -np.inf
                for j in range(begin, end):
                    low, high = smaller(low, x[order[j], k]), larger(high, x[order[j], k])
                if high - low > longest:
                    axis, longest = k, high - low
            divide(order, x, axis, begin, middle, end)
        width //= 2
    return order


def box_tree(y: Array) -> Boxes:
    """Boxes over points (m, a) in `tree_order`, without prices."""
    leaves = 1 << max(0, int(np.ceil(np.log2(len(y) / LEAF))))
    shape = (2 * leaves - 1, y.shape[1])
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    starts = np.arange(0, len(y), LEAF)
    low[leaves - 1 : leaves - 1 + len(starts)] = np.minimum.reduceat(y, starts)
    high[leaves - 1 : leaves - 1 + len(starts)] = np.maximum.reduceat(y, starts)
    for v in range(leaves - 2, -1, -1):
        low[v] = np.minimum(low[2 * v + 1], low[2 * v + 2])
        high[v] = np.maximum(high[2 * v + 1], high[2 * v + 2])
    return Boxes(low, high, np.zeros(shape), np.full(len(low), -np.inf))


@kernel(counted=True)
def cheapest(
    x: Array, start: Array, y: Array, v: Array, boxes: Boxes, ground: Ground, count: int
) -> tuple[Array, Index]:
    """For each x_i the `count` least c(x_i, y_j) - v_j below start_i, and their j, (n, count) each.

    In order; j is -1 where there are fewer. Boxes whose bound is too large are passed over.
    """
    n, leaves, top = len(x), len(boxes.top) // 2, boxes.top
    values, at = np.empty((n, count)), np.full((n, count), -1, dtype=np.int64)
    stack, bound = np.empty(128, dtype=np.int64), np.empty(128)
    for i in range(n):
        values[i] = start[i]
        stack[0], bound[0], depth = 0, -np.inf, 1
        while depth:
            depth -= 1
            node = stack[depth]
            if bound[depth] >= values[i, count - 1]:
                continue
            if node < leaves:
                a, b, of_a, of_b = 2 * node + 1, 2 * node + 2, np.inf, np.inf
                if top[a] > -np.inf:
                    of_a = least_in_box(x, i, boxes, a, ground) - top[a]
                if top[b] > -np.inf:
                    of_b = least_in_box(x, i, boxes, b, ground) - top[b]
                if of_a < of_b:
                    a, b, of_a, of_b = b, a, of_b, of_a
                stack[depth], bound[depth], stack[depth + 1], bound[depth + 1] = a, of_a, b, of_b
                depth += 2
                continue
            begin = (node - leaves) * LEAF
            for j in range(begin, smaller(begin + LEAF, len(y))):
                value = cost(x, i, y, j, ground) - v[j]
                if value < values[i, count - 1]:
                    k = count - 1
                    while k > 0 and values[i, k - 1] > value:
                        values[i, k], at[i, k] = values[i, k - 1], at[i, k - 1]
                        k -= 1
                    values[i, k], at[i, k] = value, j
    return values, at
