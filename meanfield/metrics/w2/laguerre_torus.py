"""Periodic Laguerre cells on the unit torus T^2, cut along the cells of a tensor grid.

Cell i of atoms x_i and potentials psi_i is

    {x: |x - x_i|^2 - psi_i <= |x - x_j|^2 - psi_j for all j and all periodic images of x_j}.

The images of x_i confine it to the unit square around x_i, which images of x_j farther than one
along an axis do not reach. Each cell starts as that square and is cut by its neighbours of the last
call, then by what a tree of boxes over the atoms cannot rule out. A box of displacements
d = x_j - x_i cuts nothing of a polygon within rho of c when

    |c - d|^2 - |c|^2 - psi_j - 2 rho max |d| >= -psi_i    for all d in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index
from meanfield.metrics.w2.coarser import Problem, solve
from meanfield.metrics.w2.costs import LEAF, Boxes, box_tree, distinct, lift, tree_order
from meanfield.metrics.w2.newton import Cells, Laplacian, dual_value, newton, rows_of
from meanfield.metrics.w2.polygons import ball, clip, integrate, reaches
from meanfield.metrics.w2.surfaces import UNIT_TORUS, neighbours

ATOMS = 500  # that are worth a thread
STEPS = 60  # Newton's; what converges takes half of them
FULL = 1e-14  # of its mean: how far a density's holes are filled


@kernel
def ruled_out(
    u: float, v: float, rho: float, boxes: Boxes, node: int, sx: float, sy: float, own: float
) -> bool:
    """Whether a box moved by (sx, sy) can cut nothing of the polygon within rho of c = (u, v).

    own: psi_i.
    """
    gain, far = own - boxes.top[node], 0.0
    for axis in range(2):
        c, shift = (u, sx) if axis == 0 else (v, sy)
        low, high = boxes.low[node, axis] + shift, boxes.high[node, axis] + shift
        slope = boxes.slope[node, axis]
        best = smaller(larger(c + 0.5 * slope, low), high)
        gain += (best - c) ** 2 - c * c - slope * (best - 0.5 * (low + high))
        far += larger(-low, high) ** 2
    return gain >= 2 * rho * np.sqrt(far)


@kernel
def cell(
    i: int, x: Array, psi: Array, boxes: Boxes, likely: Index, W: Array, tags: Index, stack: Index
) -> tuple[int, int]:
    """The number of corners of Laguerre cell i around x_i, -1 where r is too small, and the side.

    That is the row of W (2, r, 2) and tags (2, r) which holds the cell. The likely neighbours are
    tried first.
    """
    size, xi, yi, pi, leaves = W.shape[1], x[i, 0], x[i, 1], psi[i], len(boxes.top) // 2
    W[0, 0, 0], W[0, 0, 1], W[0, 1, 0], W[0, 1, 1] = -0.5, -0.5, 0.5, -0.5
    W[0, 2, 0], W[0, 2, 1], W[0, 3, 0], W[0, 3, 1] = 0.5, 0.5, -0.5, 0.5
    for k in range(4):
        tags[0, k] = -1
    m, side, u, v, rho = 4, 0, 0.0, 0.0, np.sqrt(0.5)
    for image in range(-1, 9):
        # The likely ones' nearest images; then shifts 0, 1, -1 along either axis.
        sx, sy = float((image // 3 + 1) % 3 - 1) - xi, float((image % 3 + 1) % 3 - 1) - yi
        stack[0], depth = 0, 1
        while depth:
            depth -= 1
            node = stack[depth]
            start, stop = 0, len(likely)
            if image >= 0:
                if boxes.top[node] == -np.inf or ruled_out(u, v, rho, boxes, node, sx, sy, pi):
                    continue
                if node < leaves:
                    stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node + 2
                    depth += 2
                    continue
                start = (node - leaves) * LEAF
                stop = smaller(start + LEAF, len(x))
            for k in range(start, stop):
                if image >= 0:
                    j = k
                    a, b = x[j, 0] + sx, x[j, 1] + sy
                else:
                    j = likely[k]
                    a, b = x[j, 0] - xi, x[j, 1] - yi
                    a, b = a - np.rint(a), b - np.rint(b)
                if j == i:
                    continue
                h = a * a + b * b + pi - psi[j]
                slack = h - 2 * (u * a + v * b)
                if slack >= 0 and slack * slack >= 4 * rho * rho * (a * a + b * b):
                    continue
                if not reaches(W[side], m, 2 * a, 2 * b, h):
                    continue
                m = clip(W[side], tags[side], m, 2 * a, 2 * b, h, j, W[1 - side], tags[1 - side])
                side = 1 - side
                if m < 3:
                    return 0, side
                if m + 2 > size:
                    return -1, side
                u, v, rho = ball(W[side], m)
    return m, side


@kernel(counted=True)
def work_space(size: int) -> tuple[Array, Index, Array, Array, Index]:
    """Work space for polygons of up to `size` corners."""
    return (
        np.empty((2, size, 2)), np.empty((2, size), dtype=np.int64), np.empty(size),
        np.empty((6, size + 8, 2)), np.empty((6, size + 8), dtype=np.int64),
    )  # fmt: skip


@kernel(counted=True)
def doubled(columns: Index, weights: Array) -> tuple[Index, Array]:
    """The same numbers with room for as many more."""
    n = len(columns)
    longer, heavier = np.empty(2 * n, dtype=np.int64), np.empty(2 * n)
    for k in range(n):
        longer[k], heavier[k] = columns[k], weights[k]
    return longer, heavier


@kernel(counted=True)
def laguerre(
    x: Array, psi: Array, boxes: Boxes, density: Array, starts: Index, likely: Index, begin: int,
    end: int,
) -> tuple[Array, Array, Array, Index, Index, Array]:  # fmt: skip
    """Masses and second moments of atoms begin to end - 1, points (n, 2) amid their cells, from the
    atoms, and the Laplacian that is minus the second derivative of the dual.

    That has the weights int_edge rho ds / (2 |x_i - x_j|) between neighbours. x (n, 2) in
    `tree_order`; density (A, B) with cells centred at (k/A, l/B); atom i has the likely
    neighbours likely[starts[i] : starts[i + 1]].
    """
    n, size, used = end - begin, 64, 0
    mass, second, rows = np.zeros(n), np.zeros(n), np.zeros(n + 1, dtype=np.int64)
    amid = np.zeros((n, 2))
    columns, weights = np.empty(8 * n + 64, dtype=np.int64), np.empty(8 * n + 64)
    stack = np.empty(256, dtype=np.int64)
    W, tags, lengths, work, names = work_space(size)
    for row in range(n):
        i = begin + row
        tried = likely[starts[i] : starts[i + 1]]
        m, side = cell(i, x, psi, boxes, tried, W, tags, stack)
        while m < 0:
            size *= 2
            W, tags, lengths, work, names = work_space(size)
            m, side = cell(i, x, psi, boxes, tried, W, tags, stack)
        if m >= 3:
            P, neighbours, numbers = W[side], tags[side], tags[1 - side]
            amid[row, 0], amid[row, 1], _ = ball(P, m)
            for k in range(m):
                numbers[k] = k if neighbours[k] >= 0 else -1
                lengths[k] = 0.0
            mass[row], second[row] = integrate(
                P, numbers, m, x[i, 0], x[i, 1], density, lengths, work, names
            )
            if used + m > len(columns):
                columns, weights = doubled(columns, weights)
            for k in range(m):
                if neighbours[k] >= 0:
                    columns[used] = neighbours[k]
                    gap = image_gap(x, i, neighbours[k], P, k, k + 1 if k + 1 < m else 0)
                    weights[used] = lengths[k] / (2 * gap)
                    used += 1
        rows[row + 1] = used
    return mass, second, amid, rows, columns[:used], weights[:used]


@kernel
def image_gap(x: Array, i: int, j: int, P: Array, k: int, l: int) -> float:
    """|x_i - x_j| for the image of x_j across the edge from corner k to l: the nearest to it."""
    mid_x, mid_y = 0.5 * (P[k, 0] + P[l, 0]), 0.5 * (P[k, 1] + P[l, 1])
    a, b = x[j, 0] - x[i, 0] - mid_x, x[j, 1] - x[i, 1] - mid_y
    a, b = a - np.rint(a) + mid_x, b - np.rint(b) + mid_y
    return np.sqrt(a * a + b * b)


def torus_w2_squared(
    points: Array, weights: Array, density: Array, prices: Array | None = None
) -> float:
    """W2^2 on the unit torus between sum_i weights_i delta(points_i) and a density, to rounding.

    points (n, 2) in [0, 1)^2, weights (n,) > 0; density (A, B), constant on cells centred at
    (k/A, l/B). Newton starts from Voronoi cells or from nearly optimal prices (n,) of the atoms. A
    density with holes needs these, and is filled up to 1e-14 of its mean, which moves W2^2 by less
    than 1e-14. Raises NotConverged.
    """
    x, b, place = merged(points, weights)
    what, rho = f"W2 on T^2 of {len(x)} atoms", density / density.mean()
    if prices is None:
        if rho.min() <= FULL:
            raise NotConverged(f"{what}: the density has holes")
        psi, now, _ = solve(Problem(partial(TorusCells, rho), UNIT_TORUS, what, STEPS), x, b)
        return dual_value(psi, b, now)
    psi = np.empty(len(x))
    psi[place] = prices
    psi = opened(TorusCells(rho, x), psi, b)
    rho = np.maximum(rho, FULL)
    psi, now = newton(TorusCells(rho / rho.mean(), x), x, b, psi, what, STEPS)
    return dual_value(psi, b, now)


class TorusCells:
    """The cells of atoms x (n, 2) against a density rho (A, B) of mean 1.

    amid (n, 2): how far from their atoms cells of the last call are.
    """

    def __init__(self, rho: Array, x: Array) -> None:
        self.rho, self.x, self.boxes, self.likely = rho, x, box_tree(x), neighbours(UNIT_TORUS, x)
        self.amid = np.zeros(x.shape)

    def __call__(self, psi: Array) -> Cells:
        lift(self.x, psi, -2 * self.amid, self.boxes)
        threads = threads_worth(len(psi), ATOMS)
        # Large cells stand together: threads take what comes next.
        held = shares(len(psi), 1 if threads == 1 else 16 * threads)
        given = self.x, psi, self.boxes, self.rho, *self.likely
        parts = by_threads(lambda s: laguerre(*given, s.start, s.stop), held, threads)
        mass, second, self.amid = (np.concatenate([p[k] for p in parts]) for k in range(3))
        H = rows_of([Laplacian(*part[3:]) for part in parts])
        self.likely = H.starts, H.columns
        return Cells(mass, second, H)


def opened(cells: Callable[[Array], Cells], psi: Array, target: Array) -> Array:
    """Potentials raised, little by little, where a cell holds less than a hundredth of its mass."""
    rise = np.full(len(psi), 1e-8)
    for _ in range(60):
        poor = cells(psi).masses < 1e-2 * target
        if not poor.any():
            break
        psi = psi + np.where(poor, rise, 0.0)
        rise = np.where(poor, 2 * rise, rise)
    return psi


def merged(points: Array, weights: Array) -> tuple[Array, Array, Index]:
    """Points in `tree_order`, those at one place made one, their weights, and where each went."""
    x, place = distinct(points)
    b = np.bincount(place, weights, len(x))
    order = tree_order(x)
    back = np.empty(len(x), dtype=np.int64)
    back[order] = np.arange(len(x))
    return np.ascontiguousarray(x[order]), b[order] / b.sum(), back[place]
