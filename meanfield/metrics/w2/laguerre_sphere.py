"""Laguerre cells on S^2 for the cost -2 log cos d, which are normal cones of a convex hull in R^3.

With p_i = exp(psi_i / 2) y_i, the cell of atom i, where -2 log(x . y_i) - psi_i is least, is where
x . p_i is largest: the normals of the hull of the p_i at its corner i. The cost is
d^2 + d^4/6 + ..., and d^2 on its optimal plan bounds W2^2 from above. Integrals over cells are sums
over arcs of fans around y_i: with R the distance from y_i along an arc of unit normal N,

    int_cell f(d(x, y_i)) dx = sum over arcs of (y_i . N) int F(R) / sin^2 R ds,
    F(R) = int_0^R f(r) sin r dr,

which is the triangle's area for f = 1.

A density constant on the Voronoi cells of a mesh adds the mesh's arcs within the cell, times the
jump of the density across them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.jit import kernel, smaller
from meanfield.metrics.w2.coarser import Problem, solve
from meanfield.metrics.w2.cones import Cones
from meanfield.metrics.w2.laguerre_torus import merged
from meanfield.metrics.w2.newton import Cells, Laplacian, dual_value
from meanfield.metrics.w2.sphere_diagram import NO_MESH, UNIFORM, Diagram, diagram, of_sum_one
from meanfield.metrics.w2.surfaces import UNIT_SPHERE

ARCS = 1000  # in a block, about; that are worth a thread
BLOCKS = 16  # at most

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
NODES, WEIGHTS = 0.5 * (NODES + 1), 0.5 * WEIGHTS


@kernel
def sine(y: Array, k: int, arcs: Diagram, e: int) -> float:
    """y_k . N for the unit normal N of an arc."""
    a, t = arcs.a, arcs.t
    return (
        y[k, 0] * (a[e, 1] * t[e, 2] - a[e, 2] * t[e, 1])
        + y[k, 1] * (a[e, 2] * t[e, 0] - a[e, 0] * t[e, 2])
        + y[k, 2] * (a[e, 0] * t[e, 1] - a[e, 1] * t[e, 0])
    )


class Piece(NamedTuple):
    """The part low <= s <= high of an arc, with the cosine and sine of either end."""

    low: float
    high: float
    c: float
    s: float
    C: float
    S: float


@kernel
def fan_area(y: Array, k: int, arcs: Diagram, e: int, piece: Piece) -> float:
    """Signed area of the fan around y_k to a piece of the arc e: of a triangle (Eriksson 1990)."""
    low, high, c, s, C, S = piece
    at_a = at_t = 0.0
    for axis in range(3):
        at_a += y[k, axis] * arcs.a[e, axis]
        at_t += y[k, axis] * arcs.t[e, axis]
    length = high - low
    beside = 1.0 + np.cos(length) + at_a * (c + C) + at_t * (s + S)
    return 2.0 * np.arctan2(sine(y, k, arcs, e) * np.sin(length), beside)


@kernel
def fan_moment(y: Array, k: int, arcs: Diagram, e: int, low: float, high: float) -> float:
    """Signed int d^2 over the fan around y_k to the arc e of a diagram, low <= s <= high."""
    a, t, total = arcs.a, arcs.t, 0.0
    for g in range(len(NODES)):
        s = low + NODES[g] * (high - low)
        c, d = np.cos(s), np.sin(s)
        chord = 0.0
        for axis in range(3):
            chord += (a[e, axis] * c + t[e, axis] * d - y[k, axis]) ** 2
        total += WEIGHTS[g] * second_moment(0.25 * chord)  # sin^2 (R/2)
    return sine(y, k, arcs, e) * (high - low) * total


@kernel
def second_moment(half: float) -> float:
    """F(R) / sin^2 R for f = d^2 and half = sin^2 (R/2), by a series where digits would cancel."""
    R = 2 * np.arcsin(smaller(np.sqrt(half), 1.0))
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
    c, s, C, S = np.cos(low), np.sin(low), np.cos(high), np.sin(high)
    for n in range(cells.starts[k], cells.starts[k + 1]):
        l = cells.columns[n]
        at_a = at_t = 0.0
        for axis in range(3):
            gap = p[k, axis] - p[l, axis]
            at_a += a[e, axis] * gap
            at_t += t[e, axis] * gap
        # at_a cos s + at_t sin s falls through zero where the arc goes out, once on its way.
        size = np.sqrt(at_a * at_a + at_t * at_t)
        if at_a * c + at_t * s <= 1e-15 * size:
            # On the border: does the arc go out?
            if at_t * c - at_a * s >= 0 or low >= best:
                continue
            out = low
        elif at_a * C + at_t * S < 0:
            out = np.arctan2(at_t, at_a) + 0.5 * np.pi
            if out < 0:
                out += 2 * np.pi
            if out >= best:
                continue
        else:
            continue
        best, entered, C, S = out, l, np.cos(out), np.sin(out)
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
def along_borders(
    y: Array, cells: Diagram, mesh: Diagram, rho: Array, moments: bool, begin: int, end: int
) -> tuple[Array, Array, Array]:
    """What arcs begin, ..., end - 1 of the Laguerre diagram add to `overlay`."""
    p, a, t = cells.p, cells.a, cells.t
    mass, second, edge = np.zeros(len(p)), np.zeros(len(p)), np.zeros(end - begin)
    most, at = 4 * (len(mesh.p) + len(p)) + 16, 0
    for e in range(begin, end):
        at = climb(mesh, at, a[e])  # arcs that follow one another are near
        i, j, k, low, turn = cells.pairs[e, 0], cells.pairs[e, 1], at, 0.0, 0
        distance = np.sqrt(
            (p[i, 0] - p[j, 0]) ** 2 + (p[i, 1] - p[j, 1]) ** 2 + (p[i, 2] - p[j, 2]) ** 2
        )
        at_a = at_t = 0.0
        for axis in range(3):
            at_a += p[i, axis] * a[e, axis]
            at_t += p[i, axis] * t[e, axis]
        c, s = 1.0, 0.0
        while turn < most:
            high, entered = leaves(mesh, k, cells, e, low, cells.lengths[e])
            if high > low:
                C, S = np.cos(high), np.sin(high)
                piece = Piece(low, high, c, s, C, S)
                mass[i] += rho[k] * fan_area(y, i, cells, e, piece)
                mass[j] -= rho[k] * fan_area(y, j, cells, e, piece)
                if moments:
                    second[i] += rho[k] * fan_moment(y, i, cells, e, low, high)
                    second[j] -= rho[k] * fan_moment(y, j, cells, e, low, high)
                edge[e - begin] += 0.5 * rho[k] * (at_a * (S - s) + at_t * (c - C)) / distance
                c, s = C, S
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    return mass, second, edge


@kernel(counted=True)
def along_mesh(
    y: Array, cells: Diagram, mesh: Diagram, rho: Array, moments: bool, begin: int, end: int
) -> tuple[Array, Array, Array]:
    """What arcs begin, ..., end - 1 of the mesh add to `overlay`; nothing to the arcs' weights."""
    mass, second = np.zeros(len(cells.p)), np.zeros(len(cells.p))
    most = 4 * (len(mesh.p) + len(cells.p)) + 16
    at = cells.pairs[0, 0]  # a cell on the hull
    for e in range(begin, end):
        jump = rho[mesh.pairs[e, 0]] - rho[mesh.pairs[e, 1]]
        if jump == 0.0:
            continue
        at = climb(cells, at, mesh.a[e])
        low, turn, k, c, s = 0.0, 0, at, 1.0, 0.0
        while turn < most:
            high, entered = leaves(cells, k, mesh, e, low, mesh.lengths[e])
            if high > low:
                C, S = np.cos(high), np.sin(high)
                mass[k] += jump * fan_area(y, k, mesh, e, Piece(low, high, c, s, C, S))
                if moments:
                    second[k] += jump * fan_moment(y, k, mesh, e, low, high)
                c, s = C, S
            if entered < 0:
                break
            k, low, turn = entered, high, turn + 1
    return mass, second, np.empty(0)


def overlay(
    y: Array, cells: Diagram, mesh: Diagram, rho: Array, moments: bool = True
) -> tuple[Array, Array, Array]:
    """Masses (n,), int d^2 drho (n,) and the arcs' weights (E,) in the dual's second derivative.

    y (n, 3): the atoms of the Laguerre cells; rho: the density in the mesh's cells; moments:
    whether int d^2 is wanted, which takes longer than all else.

    The sums of blocks, as many as there are arcs for, are added up in order: they have the same
    bits for any number of threads.
    """
    given = y, cells, mesh, rho
    tasks = [(True, block) for block in blocks(len(cells.pairs))]
    tasks += [(False, block) for block in blocks(len(mesh.pairs))]

    def part(task: tuple[bool, slice]) -> tuple[Array, Array, Array]:
        borders, s = task
        if borders:
            return along_borders(*given, moments, s.start, s.stop)  # type: ignore[no-any-return]
        return along_mesh(*given, moments, s.start, s.stop)  # type: ignore[no-any-return]

    parts = by_threads(part, tasks, threads_worth(len(cells.pairs) + len(mesh.pairs), ARCS))
    mass, second = parts[0][0], parts[0][1]
    for more, moment, _ in parts[1:]:
        mass += more
        second += moment
    return mass, second, np.concatenate([edge for _, _, edge in parts])


def blocks(arcs: int) -> list[slice]:
    """Arcs in blocks, by their number alone."""
    return shares(arcs, max(1, min(BLOCKS, arcs // ARCS)))


class Voronoi(NamedTuple):
    """Cells of a mesh: what finds the cell of a point, their diagram, and their areas (N,)."""

    tree: Any
    mesh: Diagram
    areas: Array


def voronoi(nodes: Array) -> Voronoi:
    """The cells of unit points (N, 3)."""
    from scipy.spatial import cKDTree

    mesh = diagram(nodes, "the mesh")[0]
    return Voronoi(cKDTree(nodes), mesh, _areas(mesh))


class LogCells(Cones):
    """The cells of atoms y (n, 3) against a density, rho (N,) in the cells of a mesh."""

    def __init__(self, what: str, mesh: Diagram, rho: Array, y: Array) -> None:
        super().__init__(y)
        self.what, self.mesh, self.rho = what, mesh, rho

    def __call__(self, psi: Array, moments: bool = False) -> Cells:
        """moments: whether costs are wanted, which take longer."""
        cells, arc = self.diagram(psi, self.what)
        mass, second, edge = overlay(self.y, cells, self.mesh, self.rho, moments)
        mass = of_sum_one(mass, self.what)
        return Cells(mass, second, Laplacian(cells.starts, cells.columns, edge[arc]))


def sphere_transport(
    points: Array, weights: Array, ground: Voronoi | None, masses: Array | None
) -> tuple[float, Array]:
    """An upper bound of W2^2 on S^2 between atoms and a density, and the atoms' prices (n,).

    points (n, 3), weights (n,) > 0 of the atoms; the cells of a mesh and their masses (N,), or None
    for the uniform law. Raises NotConverged.
    """
    y, b, place = merged(points, weights)
    what = f"W2 on S^2 of {len(y)} atoms"
    mesh, rho = NO_MESH, UNIFORM
    if ground is not None and masses is not None:
        mesh, rho = ground.mesh, masses / ground.areas

    asked = Problem(partial(LogCells, what, mesh, rho), UNIT_SPHERE, what)
    psi, _, cells = solve(asked, y, b)
    return dual_value(psi, b, cells(psi, True)), psi[place]


def _areas(mesh: Diagram) -> Array:
    """Areas of the cells of unit points (n,)."""
    return overlay(mesh.p, mesh, NO_MESH, UNIFORM, False)[0] * (4 * np.pi)
