"""Laguerre cells on S^2 for the cost -2 log cos d, which are normal cones of a convex hull in R^3.

With p_i = exp(psi_i / 2) y_i, the cell of atom i, where -2 log(x . y_i) - psi_i is least, is where
x . p_i is largest: the normals of the hull of the p_i at its corner i. The cost is
d^2 + d^4/6 + ..., and d^2 on its optimal plan bounds W2^2 from above. Integrals over cells are sums
over arcs of fans around y_i: with R the distance from y_i along an arc of unit normal N,

    int_cell f(d(x, y_i)) dx = sum over arcs of (y_i . N) int F(R) / sin^2 R ds,
    F(R) = int_0^R f(r) sin r dr.

A density constant on the Voronoi cells of a mesh adds the mesh's arcs within the cell, times the
jump of the density across them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.jit import kernel
from meanfield.meshes import Index
from meanfield.metrics.w2.newton import Cells, Laplacian, dual_value, newton

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
NODES, WEIGHTS = 0.5 * (NODES + 1), 0.5 * WEIGHTS


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
            f"{what}: mass must travel a quarter turn or more, where the cost -2 log cos d ends"
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


def rows(pairs: Index, n: int) -> tuple[Index, Index, Index]:
    """Row starts, columns and the arc of each entry, for the symmetric graph of the pairs."""
    cell, other = pairs.T.ravel(), pairs[:, ::-1].T.ravel()
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=n))])
    return starts, other[order], order % len(pairs)


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


@kernel
def fan(y: Array, k: int, arcs: Diagram, e: int, low: float, high: float) -> tuple[float, float]:
    """Signed area and int d^2 of the fan around y_k to the arc e of a diagram, low <= s <= high."""
    a, t = arcs.a, arcs.t
    q = (
        y[k, 0] * (a[e, 1] * t[e, 2] - a[e, 2] * t[e, 1])
        + y[k, 1] * (a[e, 2] * t[e, 0] - a[e, 0] * t[e, 2])
        + y[k, 2] * (a[e, 0] * t[e, 1] - a[e, 1] * t[e, 0])
    )
    area = second = 0.0
    for g in range(len(NODES)):
        s = low + NODES[g] * (high - low)
        c, d = np.cos(s), np.sin(s)
        chord = 0.0
        for axis in range(3):
            chord += (a[e, axis] * c + t[e, axis] * d - y[k, axis]) ** 2
        half = 0.25 * chord  # sin^2 (R/2)
        area += WEIGHTS[g] / (2 - 2 * half)
        second += WEIGHTS[g] * second_moment(half)
    return q * (high - low) * area, q * (high - low) * second


@kernel
def second_moment(half: float) -> float:
    """F(R) / sin^2 R for f = d^2 and half = sin^2 (R/2), by a series where digits would cancel."""
    R = 2 * np.arcsin(min(np.sqrt(half), 1.0))
    sine = np.sin(R)
    if R > 1.0:
        return (2 * R * sine + (2 - R * R) * np.cos(R) - 2) / (sine * sine)
    term, total, square = R**4, 0.0, R * R
    for k in range(11):
        total += term / (2 * k + 4)
        term *= -square / ((2 * k + 2) * (2 * k + 3))
    return total / (sine * sine) if R > 0 else 0.0


@kernel
def leaves(
    cells: Diagram, k: int, arcs: Diagram, e: int, low: float, high: float
) -> tuple[float, int]:
    """Where the arc e, in cell k at s = low, leaves it (at most `high`), and the cell that follows.

    That is -1 where the arc ends in cell k.
    """
    p, a, t = cells.p, arcs.a, arcs.t
    best, entered = high, -1
    for n in range(cells.starts[k], cells.starts[k + 1]):
        l = cells.columns[n]
        at_a = at_t = 0.0
        for axis in range(3):
            gap = p[k, axis] - p[l, axis]
            at_a += a[e, axis] * gap
            at_t += t[e, axis] * gap
        # at_a cos s + at_t sin s falls through zero at s.
        size = np.sqrt(at_a * at_a + at_t * at_t)
        s = np.arctan2(at_t, at_a) + 0.5 * np.pi
        if s < 0:
            s += 2 * np.pi
        if at_a * np.cos(low) + at_t * np.sin(low) <= 1e-15 * size:
            # On the border: does the arc go out?
            s = low if at_t * np.cos(low) - at_a * np.sin(low) < 0 else high
        if s < best:
            best, entered = s, l
    return best, entered


@kernel
def climb(cells: Diagram, k: int, x: Array) -> int:
    """The cell that x (3,) lies in: from cell k on to neighbours with larger products."""
    p = cells.p
    here = p[k, 0] * x[0] + p[k, 1] * x[1] + p[k, 2] * x[2]
    while True:
        best, at = here, k
        for n in range(cells.starts[k], cells.starts[k + 1]):
            l = cells.columns[n]
            there = p[l, 0] * x[0] + p[l, 1] * x[1] + p[l, 2] * x[2]
            if there > best:
                best, at = there, l
        if at == k:
            return k
        k, here = at, best


@kernel(counted=True)
def overlay(
    y: Array, cells: Diagram, mesh: Diagram, rho: Array, first: Index
) -> tuple[Array, Array, Array]:
    """Masses (n,), int d^2 drho (n,) and the arcs' weights (E,) in the dual's second derivative.

    y (n, 3): the atoms of the Laguerre cells; rho: the density in the mesh's cells; first (E,): the
    mesh's cell where each arc of the Laguerre diagram begins.
    """
    p, a, t = cells.p, cells.a, cells.t
    mass, second, edge = np.zeros(len(p)), np.zeros(len(p)), np.zeros(len(cells.pairs))
    most = 4 * (len(mesh.p) + len(p)) + 16
    for e in range(len(cells.pairs)):
        i, j, k, low, turn = cells.pairs[e, 0], cells.pairs[e, 1], first[e], 0.0, 0
        distance = np.sqrt(
            (p[i, 0] - p[j, 0]) ** 2 + (p[i, 1] - p[j, 1]) ** 2 + (p[i, 2] - p[j, 2]) ** 2
        )
        while turn < most:
            high, entered = leaves(mesh, k, cells, e, low, cells.lengths[e])
            if high > low:
                area, moment = fan(y, i, cells, e, low, high)
                mass[i] += rho[k] * area
                second[i] += rho[k] * moment
                area, moment = fan(y, j, cells, e, low, high)
                mass[j] -= rho[k] * area
                second[j] -= rho[k] * moment
                along = 0.0
                for axis in range(3):
                    along += p[i, axis] * (
                        a[e, axis] * (np.sin(high) - np.sin(low))
                        + t[e, axis] * (np.cos(low) - np.cos(high))
                    )
                edge[e] += 0.5 * rho[k] * along / distance
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    at = cells.pairs[0, 0]  # a cell on the hull
    for e in range(len(mesh.pairs)):
        jump = rho[mesh.pairs[e, 0]] - rho[mesh.pairs[e, 1]]
        if jump == 0.0:
            continue
        at = climb(cells, at, mesh.a[e])
        low, turn, k = 0.0, 0, at
        while turn < most:
            high, entered = leaves(cells, k, mesh, e, low, mesh.lengths[e])
            if high > low:
                area, moment = fan(y, k, mesh, e, low, high)
                mass[k] += jump * area
                second[k] += jump * moment
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    return mass, second, edge


def sphere_transport(
    points: Array, weights: Array, nodes: Array | None, masses: Array | None
) -> tuple[float, Array]:
    """An upper bound of W2^2 on S^2 between atoms and a density, and the atoms' prices (n,).

    points (n, 3), weights (n,) > 0 of the atoms; nodes (N, 3) of a Voronoi mesh and its cells'
    masses (N,), or None for the uniform law. Raises NotConverged.
    """
    y, place = np.unique(points, axis=0, return_inverse=True)
    b = np.bincount(place.ravel(), weights, len(y)) / np.sum(weights)
    what = f"W2 on S^2 of {len(y)} atoms"
    mesh, rho, tree = NO_MESH, UNIFORM, None
    if nodes is not None and masses is not None:
        from scipy.spatial import cKDTree

        tree, mesh = cKDTree(nodes), diagram(nodes, "the mesh")[0]
        rho = masses / _areas(mesh)

    def cells(psi: Array) -> Cells:
        laguerre, arc = diagram(np.exp(0.5 * (psi - psi.max()))[:, None] * y, what)
        first = np.zeros(len(laguerre.pairs), dtype=np.int64)
        if tree is not None:
            first = tree.query(laguerre.a)[1].astype(np.int64)
        mass, second, edge = overlay(y, laguerre, mesh, rho, first)
        return Cells(mass, second, Laplacian(laguerre.starts, laguerre.columns, edge[arc]))

    psi, now = newton(cells, b, np.zeros(len(y)), what)
    return dual_value(psi, b, now), psi[place.ravel()]


def _areas(mesh: Diagram) -> Array:
    """Areas of the cells of unit points (n,)."""
    first = np.zeros(len(mesh.pairs), dtype=np.int64)
    return overlay(mesh.p, mesh, NO_MESH, UNIFORM, first)[0] * (4 * np.pi)
