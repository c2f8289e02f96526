"""Cells on S^2 where x . p_i is largest, for points p_i of R^3: normal cones of a convex hull.

Of unit points they are Voronoi cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.jit import kernel
from meanfield.meshes import Index

SUM = 1e-9  # by which masses of cells may miss one


class Aligned(NotConverged):
    """Borders of cells lie on borders of the mesh, and rounding decides on which side."""


def of_sum_one(mass: Array, what: str) -> Array:
    """The masses (n,) of all cells. Raises Aligned unless they sum to one."""
    if not abs(float(np.sum(mass)) - 1.0) < SUM:
        raise Aligned(f"{what}: borders of cells lie on borders of the mesh's")
    return mass


def arcs(p: Array, what: str) -> tuple[Index, Array, Array]:
    """Pairs (E, 2) of cells of points p (n, 3), and the ends a, b (E, 3) of the arcs between them.

    On the way from a to b the first cell lies on the left. Raises NotConverged where the hull is
    flat or does not hold the origin.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(p)
    except (QhullError, ValueError):
        raise NotConverged(f"{what}: the atoms' hull is flat") from None
    if (hull.equations[:, 3] >= -1e-12).any():
        raise NotConverged(
            f"{what}: the atoms lie in one hemisphere, or mass must travel a quarter turn or more, "
            "where the cost -2 log cos d ends"
        )
    corners = hull.simplices.astype(np.int64)
    u, v, w = (p[corners[:, k]] for k in range(3))
    normal = np.cross(v - u, w - u)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal *= np.where(np.sum(normal * hull.equations[:, :3], axis=1) < 0, -1.0, 1.0)[:, None]
    facet = np.repeat(np.arange(len(corners)), 3)
    across = hull.neighbors.astype(np.int64).ravel()
    first, second = corners[:, [1, 2, 0]].ravel(), corners[:, [2, 0, 1]].ravel()
    once = facet < across
    facet, across, first, second = facet[once], across[once], first[once], second[once]
    a, b = normal[facet], normal[across]
    turned = np.sum(np.cross(a, b - a) * (p[first] - p[second]), axis=1) < 0
    return (
        np.stack([first, second], 1),
        np.where(turned[:, None], b, a),
        np.where(turned[:, None], a, b),
    )


@kernel(counted=True)
def rows(pairs: Index, n: int) -> tuple[Index, Index, Index]:
    """Row starts, columns and the arc of each entry, for the symmetric graph of the pairs."""
    starts, E = np.zeros(n + 1, dtype=np.int64), len(pairs)
    columns, arc = np.empty(2 * E, dtype=np.int64), np.empty(2 * E, dtype=np.int64)
    for side in range(2):
        for e in range(E):
            starts[pairs[e, side] + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    after = starts.copy()
    for side in range(2):
        for e in range(E):
            at = after[pairs[e, side]]
            columns[at], arc[at] = pairs[e, 1 - side], e
            after[pairs[e, side]] += 1
    return starts, columns, arc


class Diagram(NamedTuple):
    """Cells of points p (n, 3): where x . p_i is largest.

    Between each of the pairs (E, 2) of cells runs an arc a cos s + t sin s, 0 <= s <= length, with
    a and t (E, 3) and the first cell on its left. Cell i has the neighbours
    columns[starts[i] : starts[i + 1]].
    """

    p: Array
    pairs: Index
    a: Array
    t: Array
    lengths: Array
    starts: Index
    columns: Index


def diagram(p: Array, what: str) -> tuple[Diagram, Index]:
    """The cells of points, and the arc of each entry of `columns`."""
    pairs, a, b = arcs(p, what)
    chord = np.linalg.norm(b - a, axis=1)
    keep = chord > 1e-15
    pairs, a, b, chord = pairs[keep], a[keep], b[keep], chord[keep]
    lengths = 2 * np.arcsin(np.minimum(0.5 * chord, 1.0))
    # b - a less its part along a, for the tangent at a: digits stay for short arcs.
    t = (b - a) + 0.5 * (chord**2)[:, None] * a
    t /= np.linalg.norm(t, axis=1, keepdims=True)
    starts, columns, arc = rows(pairs, len(p))
    return Diagram(p, pairs, a, t, lengths, starts, columns), arc


UNIFORM = np.full(1, 0.25 / np.pi)  # the density of the uniform law, in the one cell of NO_MESH
NO_MESH = Diagram(
    np.zeros((1, 3)),
    np.empty((0, 2), dtype=np.int64),
    np.empty((0, 3)),
    np.empty((0, 3)),
    np.empty(0),
    np.zeros(2, dtype=np.int64),
    np.empty(0, dtype=np.int64),
)
