"""Laguerre cells on S^2 for the cost -2 log cos d, which are normal cones of a convex hull in R^3.

With p_i = exp(psi_i / 2) y_i the cell of atom i, where -2 log(x . y_i) - psi_i is least, is where
x . p_i is largest: the normals of the hull of the p_i at its corner i. The cost is d^2 + d^4/6 + ...; d^2
on its optimal plan is an upper bound of W2^2. Integrals over cells are sums over arcs of fans
around y_i: with R the distance from y_i along an arc of unit normal N,

    int_cell f(d(x, y_i)) dx = sum over arcs of (y_i . N) int F(R) / sin^2 R ds,   F(R) = int_0^R f(r) sin r dr.

A density constant on the Voronoi cells of a mesh adds the mesh's arcs within the cell, times the jump
of the density across them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.jit import kernel
from meanfield.meshes import Index
from meanfield.metrics.w2.newton import TOLERANCE, Cells, dual_value, newton

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
NODES, WEIGHTS = 0.5 * (NODES + 1), 0.5 * WEIGHTS


def arcs(p: Array, what: str) -> tuple[Index, Array, Array]:
    """Arcs (E, 3), (E, 3) between cells (E, 2) of points p (n, 3): from a to b the first cell lies on the left."""
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
    cell, other = (
        np.concatenate([pairs[:, 0], pairs[:, 1]]),
        np.concatenate([pairs[:, 1], pairs[:, 0]]),
    )
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=n))])
    return starts.astype(np.int64), other[order], (order % len(pairs)).astype(np.int64)


@kernel
def fan(
    y: Array,
    k: int,
    a: Array,
    e: int,
    t: Array,
    low: float,
    high: float,
    nodes: Array,
    weights: Array,
) -> tuple[float, float]:
    """Area and int d^2 over the fan around y_k to the arc a_e cos s + t_e sin s, low <= s <= high, signed."""
    q = (
        y[k, 0] * (a[e, 1] * t[e, 2] - a[e, 2] * t[e, 1])
        + y[k, 1] * (a[e, 2] * t[e, 0] - a[e, 0] * t[e, 2])
        + y[k, 2] * (a[e, 0] * t[e, 1] - a[e, 1] * t[e, 0])
    )
    area = second = 0.0
    for g in range(len(nodes)):
        s = low + nodes[g] * (high - low)
        c, d = np.cos(s), np.sin(s)
        chord = 0.0
        for axis in range(3):
            chord += (a[e, axis] * c + t[e, axis] * d - y[k, axis]) ** 2
        half = 0.25 * chord  # sin^2 (R/2)
        area += weights[g] / (2 - 2 * half)
        second += weights[g] * second_moment(half)
    return q * (high - low) * area, q * (high - low) * second


@kernel
def second_moment(half: float) -> float:
    """F(R) / sin^2 R for f = d^2, with half = sin^2 (R/2); a series where the closed form cancels."""
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
    p: Array,
    k: int,
    starts: Index,
    columns: Index,
    a: Array,
    e: int,
    t: Array,
    low: float,
    high: float,
) -> tuple[float, int]:
    """Where the arc leaves the cell k that it is in at s = low, at most `high`, and the cell it enters (-1: none)."""
    best, entered = high, -1
    for n in range(starts[k], starts[k + 1]):
        l = columns[n]
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
        if (
            at_a * np.cos(low) + at_t * np.sin(low) <= 1e-15 * size
        ):  # on the border: does the arc go out?
            s = low if at_t * np.cos(low) - at_a * np.sin(low) < 0 else high
        if s < best:
            best, entered = s, l
    return best, entered


@kernel
def climb(p: Array, k: int, starts: Index, columns: Index, x: float, y: float, z: float) -> int:
    """The cell that (x, y, z) lies in: neighbours with larger products, from cell k on."""
    here = p[k, 0] * x + p[k, 1] * y + p[k, 2] * z
    while True:
        best, at = here, k
        for n in range(starts[k], starts[k + 1]):
            l = columns[n]
            there = p[l, 0] * x + p[l, 1] * y + p[l, 2] * z
            if there > best:
                best, at = there, l
        if at == k:
            return k
        k, here = at, best


@kernel(counted=True)
def overlay(
    y: Array, p: Array, pairs: Index, a: Array, t: Array, lengths: Array, starts: Index, columns: Index,
    nodes: Array, rho: Array, mesh_pairs: Index, mesh_a: Array, mesh_t: Array, mesh_lengths: Array,
    mesh_starts: Index, mesh_columns: Index, first: Index, home: int, gauss: Array, weights: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Masses (n,), int d^2 drho (n,) and the weights (E,) of the arcs in the dual's second derivative.

    p, pairs, a, t, lengths, starts, columns: the Laguerre diagram; nodes to mesh_columns: the mesh's.
    first (E,): the mesh's cell where each arc begins; home: a cell on the hull.
    """
    mass, second, edge = np.zeros(len(p)), np.zeros(len(p)), np.zeros(len(pairs))
    most = 4 * (len(nodes) + len(p)) + 16
    for e in range(len(pairs)):
        i, j, k, low, turn = pairs[e, 0], pairs[e, 1], first[e], 0.0, 0
        apart = np.sqrt(
            (p[i, 0] - p[j, 0]) ** 2 + (p[i, 1] - p[j, 1]) ** 2 + (p[i, 2] - p[j, 2]) ** 2
        )
        while turn < most:
            high, entered = leaves(nodes, k, mesh_starts, mesh_columns, a, e, t, low, lengths[e])
            if high > low:
                area, moment = fan(y, i, a, e, t, low, high, gauss, weights)
                mass[i] += rho[k] * area
                second[i] += rho[k] * moment
                area, moment = fan(y, j, a, e, t, low, high, gauss, weights)
                mass[j] -= rho[k] * area
                second[j] -= rho[k] * moment
                along = 0.0
                for axis in range(3):
                    along += p[i, axis] * (
                        a[e, axis] * (np.sin(high) - np.sin(low))
                        + t[e, axis] * (np.cos(low) - np.cos(high))
                    )
                edge[e] += 0.5 * rho[k] * along / apart
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    at = home
    for e in range(len(mesh_pairs)):
        jump = rho[mesh_pairs[e, 0]] - rho[mesh_pairs[e, 1]]
        if jump == 0.0:
            continue
        at = climb(p, at, starts, columns, mesh_a[e, 0], mesh_a[e, 1], mesh_a[e, 2])
        low, turn, k = 0.0, 0, at
        while turn < most:
            high, entered = leaves(p, k, starts, columns, mesh_a, e, mesh_t, low, mesh_lengths[e])
            if high > low:
                area, moment = fan(y, k, mesh_a, e, mesh_t, low, high, gauss, weights)
                mass[k] += jump * area
                second[k] += jump * moment
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    return mass, second, edge


class Diagram:
    """Cells of points p (n, 3): arcs a cos s + t sin s of some length between pairs, and rows of neighbours."""

    def __init__(self, p: Array, what: str) -> None:
        self.p = p
        self.pairs, a, b = arcs(p, what)
        chord = np.linalg.norm(b - a, axis=1)
        keep = chord > 1e-15
        self.pairs, self.a, b, chord = self.pairs[keep], a[keep], b[keep], chord[keep]
        self.lengths = 2 * np.arcsin(np.minimum(0.5 * chord, 1.0))
        # b - a less its part along a, for the tangent at a: digits stay for short arcs.
        t = (b - self.a) + 0.5 * (chord**2)[:, None] * self.a
        self.t = t / np.linalg.norm(t, axis=1, keepdims=True)
        self.starts, self.columns, self.arc = rows(self.pairs, len(p))

    @property
    def flat(self) -> tuple[Any, ...]:
        return self.pairs, self.a, self.t, self.lengths, self.starts, self.columns


NO_MESH = (np.zeros((1, 3)), np.full(1, 0.25 / np.pi), np.empty((0, 2), dtype=np.int64), np.empty((0, 3)),
           np.empty((0, 3)), np.empty(0), np.zeros(2, dtype=np.int64), np.empty(0, dtype=np.int64))  # fmt: skip


def sphere_transport(
    points: Array, weights: Array, nodes: Array | None, masses: Array | None
) -> tuple[float, Array]:
    """An upper bound of W2^2 on S^2 between atoms and the uniform law (nodes None) or a Voronoi mesh's density.

    And the atoms' prices (n,) for the cost -2 log cos d.

    points (n, 3), weights (n,) > 0; nodes (N, 3) of the mesh and masses (N,) of its cells. The bound is
    d^2 on the optimal plan of the cost -2 log cos d. Raises NotConverged.
    """
    y, place = np.unique(points, axis=0, return_inverse=True)
    b = np.bincount(place.ravel(), weights, len(y)) / np.sum(weights)
    what = f"W2 on S^2 of {len(y)} atoms"
    mesh: tuple[Any, ...] = NO_MESH
    tree = None
    if nodes is not None and masses is not None:
        from scipy.spatial import cKDTree

        tree, grid = cKDTree(nodes), Diagram(nodes, "the mesh")
        mesh = (nodes, masses / _areas(grid), *grid.flat)

    def cells(psi: Array) -> Cells:
        laguerre = Diagram(np.exp(0.5 * (psi - psi.max()))[:, None] * y, what)
        first = np.zeros(len(laguerre.pairs), dtype=np.int64)
        if tree is not None:
            first = tree.query(laguerre.a)[1].astype(np.int64)
        mass, second, edge = overlay(
            y, laguerre.p, *laguerre.flat, *mesh, first, int(laguerre.pairs[0, 0]), NODES, WEIGHTS
        )
        return Cells(mass, second, laguerre.starts, laguerre.columns, edge[laguerre.arc])

    psi, now = newton(cells, b, np.zeros(len(y)), what, TOLERANCE)
    return dual_value(psi, b, now), psi[place.ravel()]


def _areas(grid: Diagram) -> Array:
    """Areas of the cells of unit points (n,)."""
    area = overlay(
        grid.p,
        grid.p,
        *grid.flat,
        *NO_MESH,
        np.zeros(len(grid.pairs), dtype=np.int64),
        0,
        NODES,
        WEIGHTS,
    )
    return area[0] * (4 * np.pi)
