"""Atoms between the nodes of a mesh, shared out among those around so that their mean stays."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Torus
from meanfield.meshes.base import Index, Mesh

ROUNDING = 1e-9  # a point on an edge lies in either triangle
FLAT = 0.1  # sin^2 of the angle between two neighbours below which they are in one line
Shares = tuple[Index, Array]  # cells (n, k) and the parts (n, k) of each point that they get


def shared(mesh: Mesh, points: Array, masses: Array) -> Array:
    """The masses of atoms on the cells of a mesh (N,).

    On grids of tori they are linear in the atoms' places along every axis, on other meshes of
    surfaces in the triangle of nodes around them: sums over nodes are off by h^2/8 times second
    derivatives at most, where the whole mass at the nearest node would be off by h/2 times the
    first. On the rest, such as quadratures of spheres, atoms go to the cells that they lie in.
    """
    if mesh.shape is not None and isinstance(mesh.manifold, Torus):
        cells, parts = _on_grid(mesh, points)
    elif mesh.shape is None and mesh.factors is None and mesh.manifold.dim == 2:
        cells, parts = _in_triangles(mesh, points)
    else:
        cells, parts = mesh.locate(points)[:, None], np.ones((len(points), 1))
    weights = (parts * masses[:, None]).ravel()
    return np.bincount(cells.ravel(), weights, len(mesh)).astype(float)


def _on_grid(mesh: Mesh, points: Array) -> Shares:
    size = np.array(mesh.shape)
    at = points * (size / mesh.manifold.period)  # type: ignore[attr-defined]
    low = np.floor(at)
    cells, parts = [], []
    for corner in product((0, 1), repeat=len(size)):
        index = (low.astype(np.int64) + corner) % size
        cells.append(np.ravel_multi_index(tuple(index.T), tuple(size)))
        parts.append(np.where(corner, at - low, 1 - (at - low)).prod(axis=1))
    return np.stack(cells, 1), np.stack(parts, 1)


def _in_triangles(mesh: Mesh, points: Array) -> Shares:
    """By the nearest node and two of its neighbours between which a point lies, as close together
    as there are such two.
    """
    home = mesh.locate(points)
    near, here = mesh.neighbours[0][home], mesh.nodes[home]

    def seen(at: Array) -> Array:
        """In the tangent plane, where edges from the nearest node on are straight."""
        return mesh.manifold.project(here, at - here)

    cells, parts = np.stack([home] * 3, 1), np.zeros((len(points), 3))
    parts[:, 0], away = 1.0, np.full(len(points), 1 + ROUNDING)  # the least a + b so far
    way, ways = seen(points), [seen(mesh.nodes[column]) for column in near.T]
    for j, k in combinations(range(len(ways)), 2):
        a, b = _combined(ways[j], ways[k], way)
        between = (a >= -ROUNDING) & (b >= -ROUNDING) & (near[:, j] >= 0) & (near[:, k] >= 0)
        at = np.flatnonzero(between & (a + b < away))
        away[at] = (a + b)[at]
        cells[at, 1:] = near[at][:, [j, k]]
        parts[at] = np.stack([1 - a - b, a, b], 1)[at].clip(0)
    return cells, parts / parts.sum(axis=1, keepdims=True)


def _combined(u: Array, v: Array, w: Array) -> tuple[Array, Array]:
    """a and b of the combination a u + b v that is nearest to w (n, a)."""
    uu, vv, uv = ((p * q).sum(axis=1) for p, q in ((u, u), (v, v), (u, v)))
    uw, vw = (u * w).sum(axis=1), (v * w).sum(axis=1)
    area = uu * vv - uv**2
    good = area > FLAT * uu * vv
    area = np.where(good, area, 1.0)
    a, b = (uw * vv - vw * uv) / area, (vw * uu - uw * uv) / area
    return np.where(good, a, -1.0), b
