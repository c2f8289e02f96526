"""Areas and second moments of regions on S^2 that circles bound: sums over arcs, of the regions'
borders and of the mesh that carries a density.

With R and phi polar coordinates around any point z of the sphere,

    area = sum int (1 - cos R) dphi + 4 pi where the region holds -z,

which an arc's sector and two triangles give. With R and phi around y and any number B

    int d^2 dx = B area + sum int (F(R) - B (1 - cos R)) dphi,  F(R) = int_0^R r^2 sin r dr,

of which B = F(pi) / 2 leaves nothing singular at -y, for regions that come near it; others have
B = 0 and z = y. Squared chords 2 - 2 cos d have F(R) = (1 - cos R)^2.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, smaller
from meanfield.meshes import Index
from meanfield.metrics.w2.circle_cell import TURN, dot
from meanfield.metrics.w2.circle_diagram import Arcs, Regions
from meanfield.metrics.w2.laguerre_sphere import NODES, WEIGHTS, second_moment

SHORT = 0.5  # arcs are cut in parts no longer than this angle
NONE, ARC, CHORD = 0, 1, 2  # which second moments are wanted
BACK = 0.5 * (np.pi**2 - 4)  # F(pi) / 2


@kernel
def triangle(z: Array, k: int, x: Array, step: Array) -> float:
    """Signed area of the triangle z_k, x_0, x_0 + step_0 (Eriksson 1990)."""
    volume = beside = 0.0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        volume += z[k, axis] * (x[0, u] * step[0, v] - x[0, v] * step[0, u])
        beside += z[k, axis] * (2 * x[0, axis] + step[0, axis]) - 0.5 * step[0, axis] ** 2
    return 2.0 * np.arctan2(volume, 2.0 + beside)


@kernel
def scaled_moment(x: Array, y: Array, k: int, B: float, moments: int) -> float:
    """(F(R) - B (1 - cos R)) / sin^2 R for R = d(x, y_k), B = 0 or F(pi) / 2."""
    near = far = 0.0
    for axis in range(3):
        near += 0.25 * (x[0, axis] - y[k, axis]) ** 2  # sin^2 (R/2)
        far += 0.25 * (x[0, axis] + y[k, axis]) ** 2
    if moments == CHORD:
        return -1.0 if B > 0 else near / far
    if B == 0.0 or near <= far:
        return second_moment(near) - 0.5 * B / far
    # F(pi) - F(R) is the integral of (pi - r)^2 sin r from 0 to R's rest.
    rest = 2 * np.arcsin(smaller(np.sqrt(far), 1.0))
    sine = np.sin(rest)
    middle = (sine - rest * np.cos(rest)) / (sine * sine) if rest > 0 else 0.0
    return 0.5 * (B - np.pi**2) / near + 2 * np.pi * middle - second_moment(far)


@kernel
def fan(
    y: Array, z: Array, B: float, k: int, arcs: Arcs, e: int, low: float, high: float,
    moments: int, x: Array, step: Array,
) -> tuple[float, float]:  # fmt: skip
    """What the arc e, low <= s <= high, adds to the area and to int d^2 of cell k.

    x, step (1, 3): work space.
    """
    middle, a, t, area, second = arcs.middle, arcs.a, arcs.t, 0.0, 0.0
    parts = int(np.ceil((high - low) / SHORT))
    width = (high - low) / parts
    radius = dot(a, e, a, e)
    height = 0.0
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        height += middle[e, axis] * (a[e, u] * t[e, v] - a[e, v] * t[e, u]) / radius
    segment = 0.0
    if height != 0.0:
        up, down = 1 + height, 1 - height
        segment = width * down - 2 * np.arctan2(down * np.sin(width), up + down * np.cos(width))
    for part in range(parts):
        s = low + part * width
        c, d = np.cos(s), np.sin(s)
        C, D = np.cos(s + 0.5 * width), np.sin(s + 0.5 * width)
        chord = 2 * np.sin(0.5 * width)
        for axis in range(3):
            x[0, axis] = middle[e, axis] + a[e, axis] * c + t[e, axis] * d
            step[0, axis] = chord * (t[e, axis] * C - a[e, axis] * D)
        area += segment + triangle(z, k, x, step)
        if moments == NONE:
            continue
        for g in range(len(NODES)):
            at = s + NODES[g] * width
            c, d, turned = np.cos(at), np.sin(at), 0.0
            for axis in range(3):
                x[0, axis] = middle[e, axis] + a[e, axis] * c + t[e, axis] * d
                step[0, axis] = t[e, axis] * c - a[e, axis] * d
            for axis in range(3):
                u, v = (axis + 1) % 3, (axis + 2) % 3
                turned += y[k, axis] * (x[0, u] * step[0, v] - x[0, v] * step[0, u])
            second += WEIGHTS[g] * width * turned * scaled_moment(x, y, k, B, moments)
    return area, second + B * area


@kernel
def leaves(
    cells: Regions, k: int, arcs: Arcs, e: int, low: float, high: float
) -> tuple[float, int]:
    """Where the arc e, in cell k at s = low, leaves it (at most `high`), and the cell that follows.

    That is -1 where the arc ends in cell k.
    """
    p, middle, a, t = cells.p, arcs.middle, arcs.a, arcs.t
    best, entered = high, -1
    for n in range(cells.starts[k], cells.starts[k + 1]):
        l = cells.columns[n]
        at, along, across = cells.h[k] - cells.h[l], 0.0, 0.0
        for axis in range(3):
            gap = p[k, axis] - p[l, axis]
            at += middle[e, axis] * gap
            along += a[e, axis] * gap
            across += t[e, axis] * gap
        size = np.sqrt(along * along + across * across)
        if at >= size:
            continue
        # at + size cos(s - turn) is positive within `half` of s = turn.
        half = np.arccos(-at / size) if at > -size else 0.0
        stay = np.arctan2(across, along) + half - low
        stay -= TURN * np.floor(stay / TURN)
        if half == 0.0 or stay > half + np.pi:
            stay = 0.0  # it has just left
        if low + stay < best:
            best, entered = low + stay, l
    return best, entered


@kernel(counted=True)
def along_borders(
    y: Array, z: Array, B: Array, arcs: Arcs, mesh: Regions, rho: Array, first: Index,
    moments: int, begin: int, end: int,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """What arcs begin, ..., end - 1 of the Laguerre cells add to masses and int d^2 (n,); the
    arcs' weights.
    """
    mass, second, edge = np.zeros(len(y)), np.zeros(len(y)), np.zeros(end - begin)
    x, step = np.empty((1, 3)), np.empty((1, 3))
    most = 4 * (len(mesh.p) + len(y)) + 16
    for e in range(begin, end):
        i, j, k, low = arcs.pairs[e, 0], arcs.pairs[e, 1], first[e], arcs.low[e]
        gap = np.sqrt(
            (y[i, 0] - y[j, 0]) ** 2 + (y[i, 1] - y[j, 1]) ** 2 + (y[i, 2] - y[j, 2]) ** 2
        )
        for _ in range(most):
            high, entered = leaves(mesh, k, arcs, e, low, arcs.high[e])
            if high > low:
                area, moment = fan(y, z, B[i], i, arcs, e, low, high, moments, x, step)
                mass[i] += rho[k] * area
                second[i] += rho[k] * moment
                area, moment = fan(y, z, B[j], j, arcs, e, low, high, moments, x, step)
                mass[j] -= rho[k] * area
                second[j] -= rho[k] * moment
                edge[e - begin] += 0.5 * rho[k] * (high - low) / gap
            if entered < 0:
                break
            k, low = entered, high
    return mass, second, edge


@kernel(counted=True)
def along_mesh(
    y: Array, z: Array, B: Array, cells: Regions, arcs: Arcs, rho: Array, first: Index,
    moments: int, begin: int, end: int,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """What arcs begin, ..., end - 1 of the mesh add to masses and int d^2 (n,); no weights."""
    mass, second = np.zeros(len(y)), np.zeros(len(y))
    x, step = np.empty((1, 3)), np.empty((1, 3))
    most = 4 * (len(rho) + len(y)) + 16
    for e in range(begin, end):
        jump, k, low = rho[arcs.pairs[e, 0]] - rho[arcs.pairs[e, 1]], first[e], arcs.low[e]
        if jump == 0.0:
            continue
        for _ in range(most):
            high, entered = leaves(cells, k, arcs, e, low, arcs.high[e])
            if high > low:
                area, moment = fan(y, z, B[k], k, arcs, e, low, high, moments, x, step)
                mass[k] += jump * area
                second[k] += jump * moment
            if entered < 0:
                break
            k, low = entered, high
    return mass, second, np.empty(0)
