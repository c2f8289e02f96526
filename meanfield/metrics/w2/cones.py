"""Cells on S^2 where x . p_i is largest, for p_i = exp(psi_i / 2) y_i, each cut on its own.

Where the hull of the p_i holds the origin, x . y_i > 0 in cell i: it is a polygon of the plane that
touches the sphere at y_i, cut from a square by the lines x . (p_i - p_j) = 0 of its neighbours of
the last call, then of what a tree of boxes over the p_j cannot rule out. As p_i is normal to the
plane, a box with x . p <= h cuts nothing of a polygon within rho of its point x when

    h + rho max |p - p_i| <= x . p_i.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index
from meanfield.metrics.w2.costs import LEAF
from meanfield.metrics.w2.patches import Patches, highest, patches
from meanfield.metrics.w2.polygons import ball, clip, reaches
from meanfield.metrics.w2.sphere_diagram import Diagram, rows
from meanfield.metrics.w2.surfaces import UNIT_SPHERE, neighbours

ATOMS = 500  # that are worth a thread
SQUARES = (1.0, 1e3, 1e6)  # half a side; no cell comes nearer to a quarter turn than the last


class Plane(NamedTuple):
    """Work space for a polygon of the plane that touches the sphere at an atom.

    It has two turns for its corners (2, r, 2) and the atoms (2, r) beyond its edges; axes (2, 3)
    of the plane; x (1, 3), a unit vector; stack, of boxes.
    """

    corners: Array
    beyond: Index
    axes: Array
    x: Array
    stack: Index


@kernel(counted=True)
def plane(size: int) -> Plane:
    """Work space for polygons of up to `size` corners."""
    return Plane(
        np.empty((2, size, 2)), np.empty((2, size), dtype=np.int64), np.empty((2, 3)),
        np.empty((1, 3)), np.empty(128, dtype=np.int64),
    )  # fmt: skip


@kernel
def lay(y: Array, i: int, axes: Array) -> None:
    """Write unit vectors with axes_0 x axes_1 = y_i."""
    least = 0
    for axis in range(1, 3):
        if abs(y[i, axis]) < abs(y[i, least]):
            least = axis
    u, v = (least + 1) % 3, (least + 2) % 3
    across = np.sqrt(y[i, u] ** 2 + y[i, v] ** 2)
    axes[0, least], axes[0, u], axes[0, v] = 0.0, -y[i, v] / across, y[i, u] / across
    for axis in range(3):
        k, l = (axis + 1) % 3, (axis + 2) % 3
        axes[1, axis] = y[i, k] * axes[0, l] - y[i, l] * axes[0, k]


@kernel
def raised(y: Array, i: int, axes: Array, u: float, v: float, x: Array) -> None:
    """Write the plane's point (u, v) to x (1, 3)."""
    for axis in range(3):
        x[0, axis] = y[i, axis] + u * axes[0, axis] + v * axes[1, axis]


@kernel
def lifted(y: Array, i: int, axes: Array, u: float, v: float, x: Array) -> None:
    """Write the unit vector of the plane's point (u, v) to x (1, 3)."""
    raised(y, i, axes, u, v, x)
    size = np.sqrt(1 + u * u + v * v)
    for axis in range(3):
        x[0, axis] /= size


@kernel
def among(j: int, tags: Index, m: int) -> bool:
    """Whether j has cut the polygon: it would again, by rounding."""
    for k in range(m):  # noqa: SIM110 - numba has no any() of a generator
        if tags[k] == j:
            return True
    return False


@kernel
def ruled_out(x: Array, rho: float, p: Array, i: int, tree: Patches, node: int) -> bool:
    """Whether no point of a box cuts cell i within rho of its plane's point x (1, 3)."""
    far = own = 0.0
    for axis in range(3):
        gap = abs(tree.middle[node, axis] - p[i, axis]) + tree.half[node, axis]
        far += gap * gap
        own += x[0, axis] * p[i, axis]
    return highest(x, tree, node) + rho * np.sqrt(far) <= own


@kernel
def cell(
    i: int, y: Array, p: Array, tree: Patches, likely: Index, half: float, w: Plane
) -> tuple[int, int]:
    """The number of corners of cell i, -1 where w is too small, and the turn of w that holds it.

    It starts as a square of half a side `half`; the likely neighbours are tried first.
    """
    W, tags, axes, stack = w.corners, w.beyond, w.axes, w.stack
    leaves = len(tree.top) // 2
    for k in range(4):
        W[0, k, 0] = -half if k == 0 or k == 3 else half
        W[0, k, 1] = -half if k < 2 else half
        tags[0, k] = -1
    m, side, u, v, rho = 4, 0, 0.0, 0.0, half * np.sqrt(2.0)
    stack[0], depth = -1, 1
    while depth:
        depth -= 1
        node, begin, end = stack[depth], 0, len(likely)
        if node < 0:
            stack[0], depth = 0, 1
        else:
            if ruled_out(w.x, rho, p, i, tree, node):
                continue
            if node < leaves:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node + 2
                depth += 2
                continue
            begin = (node - leaves) * LEAF
            end = smaller(begin + LEAF, len(y))
        changed = node < 0
        for k in range(begin, end):
            j = likely[k] if node < 0 else k
            if j == i:
                continue
            a = b = h = 0.0
            for axis in range(3):
                gap = p[j, axis] - p[i, axis]
                a, b, h = a + axes[0, axis] * gap, b + axes[1, axis] * gap, h - y[i, axis] * gap
            slack = h - (u * a + v * b)
            if slack >= 0 and slack * slack >= rho * rho * (a * a + b * b):
                continue
            if not reaches(W[side], m, a, b, h) or among(j, tags[side], m):
                continue
            m = clip(W[side], tags[side], m, a, b, h, j, W[1 - side], tags[1 - side])
            side, changed = 1 - side, True
            if m < 3:
                return 0, side
            if m + 2 > W.shape[1]:
                return -1, side
            u, v, rho = ball(W[side], m)
        if changed:
            raised(y, i, axes, u, v, w.x)
    return m, side


@kernel
def bounded(tags: Index, m: int) -> bool:
    """Whether no edge of the first square is left."""
    for k in range(m):  # noqa: SIM110 - numba has no all() of a generator
        if tags[k] < 0:
            return False
    return True


@kernel
def corner(p: Array, y: Array, i: int, j: int, k: int, x: Array) -> None:
    """Write the unit vector where cells i, j and k meet to x (3,): the same bits from all three.

    Corners of two planes would differ by rounding over the angle at which borders meet.
    """
    a, c = smaller(smaller(i, j), k), larger(larger(i, j), k)
    b, square, ahead = i + j + k - a - c, 0.0, 0.0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        x[axis] = (p[b, u] - p[a, u]) * (p[c, v] - p[a, v])
        x[axis] -= (p[b, v] - p[a, v]) * (p[c, u] - p[a, u])
        square += x[axis] ** 2
        ahead += x[axis] * y[i, axis]
    size = np.copysign(np.sqrt(square), ahead)
    for axis in range(3):
        x[axis] /= size


@kernel
def write_arc(arc: Array) -> None:
    """Write the unit tangent and the length (7,) of an arc from its ends, where the tangent's and
    the length's places are: digits stay for short ones.
    """
    square = size = 0.0
    for axis in range(3):
        arc[3 + axis] -= arc[axis]
        square += arc[3 + axis] ** 2
    for axis in range(3):
        arc[3 + axis] += 0.5 * square * arc[axis]
        size += arc[3 + axis] ** 2
    for axis in range(3):
        arc[3 + axis] /= larger(np.sqrt(size), 1e-300)
    arc[6] = 2 * np.arcsin(smaller(0.5 * np.sqrt(square), 1.0))


@kernel(counted=True)
def grown(pairs: Index, arcs: Array, room: int) -> tuple[Index, Array]:
    """The same rows with room for so many more."""
    n = len(pairs)
    new, further = np.empty((n + room, 2), dtype=np.int64), np.empty((n + room, 7))
    for i in range(n):
        new[i, 0], new[i, 1] = pairs[i, 0], pairs[i, 1]
        for k in range(7):
            further[i, k] = arcs[i, k]
    return new, further


@kernel(counted=True)
def carve(
    y: Array, p: Array, tree: Patches, starts: Index, likely: Index, begin: int, end: int
) -> tuple[Index, Array, Array, bool]:
    """Of cells begin to end - 1: pairs (E, 2) and arcs (E, 7), with a, t and the length of a
    Diagram, between each and later ones; unit vectors amid them; and whether all are less than a
    quarter turn away.

    y (n, 3); atom i has the likely neighbours likely[starts[i] : starts[i + 1]].
    """
    room, used = 4 * (end - begin) + 64, 0
    pairs, arcs = np.empty((room, 2), dtype=np.int64), np.empty((room, 7))
    amid, w = y[begin:end].copy(), plane(64)
    for i in range(begin, end):
        tried, m, side = likely[starts[i] : starts[i + 1]], -1, 0
        for half in SQUARES:
            lay(y, i, w.axes)
            m, side = cell(i, y, p, tree, tried, half, w)
            while m < 0:
                w = plane(2 * w.corners.shape[1])
                lay(y, i, w.axes)
                m, side = cell(i, y, p, tree, tried, half, w)
            if m > 0 and bounded(w.beyond[side], m):
                break  # else it may lie outside of the square
        if not bounded(w.beyond[side], m):
            return pairs, arcs, amid, False
        if used + m > len(pairs):
            pairs, arcs = grown(pairs, arcs, used + m)
        beyond = w.beyond[side]
        if m > 0:
            u, v, _ = ball(w.corners[side], m)
            lifted(y, i, w.axes, u, v, amid[i - begin : i - begin + 1])
        for k in range(m):
            j = beyond[k]
            if j > i:
                corner(p, y, i, j, beyond[k - 1 if k > 0 else m - 1], arcs[used, :3])
                corner(p, y, i, j, beyond[k + 1 if k + 1 < m else 0], arcs[used, 3:6])
                write_arc(arcs[used])
                pairs[used, 0], pairs[used, 1] = i, j
                used += arcs[used, 6] > 1e-15
    return pairs[:used], arcs[:used], amid, True


class Cones:
    """The cells of atoms y (n, 3) for one set of potentials after the other.

    Atoms with near numbers should be near, as in `tree_order`. amid (n, 3): unit vectors amid the
    cells of the last call.
    """

    def __init__(self, y: Array) -> None:
        self.y, self.likely = y, neighbours(UNIT_SPHERE, y)
        self.amid = y

    def diagram(self, psi: Array, what: str) -> tuple[Diagram, Index]:
        """The cells for potentials psi (n,), and the arc of each entry of the diagram's `columns`.

        Raises NotConverged where a cell comes within 1e-6 of a quarter turn from its atom.
        """
        y, threads = self.y, threads_worth(len(psi), ATOMS)
        p = np.exp(0.5 * (psi - psi.max()))[:, None] * y
        given = y, p, Patches(*patches(p, self.amid)), *self.likely
        held = shares(len(y), 1 if threads == 1 else 16 * threads)
        parts = by_threads(lambda s: carve(*given, s.start, s.stop), held, threads)
        if not all(part[3] for part in parts):
            raise NotConverged(
                f"{what}: the atoms lie in one hemisphere, or mass must travel a quarter turn or "
                "more, where the cost -2 log cos d ends"
            )
        pairs, arcs, self.amid = (np.concatenate([part[k] for part in parts]) for k in range(3))
        starts, columns, arc = rows(pairs, len(y))
        self.likely = starts, columns
        a, t, lengths = (np.ascontiguousarray(arcs[:, k]) for k in (slice(3), slice(3, 6), 6))
        return Diagram(p, pairs, a, t, lengths, starts, columns), arc
