"""Meshes of the circle S^1 in the plane, and of S^2 by Voronoi cells of the icosahedral grid."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere
from meanfield.meshes.base import Index, Mesh


def circle_mesh(cells: int) -> Mesh:
    """`cells` equal arcs of the unit circle in R^2; node i at the angle 2 pi i / cells."""
    n = whole("cells", cells, 3)
    h = 2 * np.pi / n
    number = np.arange(n)
    pairs = np.stack([number, (number + 1) % n], 1).astype(np.int64)
    nodes, faces = _angles(number * h), _angles((number + 0.5) * h)
    volumes, transmissibilities = np.full(n, h), np.full(n, 1 / h)
    return Mesh(Sphere(1), nodes, volumes, pairs, transmissibilities, faces, radius=h / 2)


def _angles(t: Any) -> Array:
    return np.stack([np.cos(t), np.sin(t)], 1)


def frequency(cells: int) -> int:
    """The m >= 1 whose 10 m^2 + 2 is nearest to `cells`."""
    m = max(1, int(np.sqrt(max(cells - 2, 0) / 10)))
    return min((m, m + 1), key=lambda k: abs(10 * k * k + 2 - cells))


def sphere_mesh(m: int) -> Mesh:
    """Voronoi cells of the icosahedral grid of frequency m on S^2, 10 m^2 + 2 of them.

    Edges of the icosahedron are cut in m equal arcs; within its faces the weights (i, j, k)/m give
    the point sin(w i/m) A + sin(w j/m) B + sin(w k/m) C, normalised (w the edge's arc), which
    follows the equal arcs on the edges. Twelve cells are pentagons, and the largest has at most
    1.24 times the smallest one's area. The bisector of two nodes meets their geodesic in its
    middle, the face's point.
    """
    nodes, triangles = _grid(whole("m", m))
    edges, sides = _edges(triangles)
    centres = _centres(nodes, triangles)
    i, j = edges.T
    a, b = centres[sides[:, 0]], centres[sides[:, 1]]
    sphere = Sphere(2)
    # A cell is the fan of triangles from its node to its edges.
    halves = np.concatenate([_area(nodes[i], a, b), _area(nodes[j], a, b)])
    volumes = np.asarray(np.bincount(np.concatenate([i, j]), halves), dtype=np.float64)
    fluxes = sphere.distance(a, b) / sphere.distance(nodes[i], nodes[j])
    radius = float(sphere.distance(nodes[triangles[:, 0]], centres).max()) * (1 + 1e-12)
    return Mesh(sphere, nodes, volumes, edges, fluxes, _unit(nodes[i] + nodes[j]), radius=radius)


def _unit(v: Array) -> Array:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _icosahedron() -> tuple[Array, Index]:
    """Corners (12, 3) and faces (20, 3), counter-clockwise seen from outside."""
    golden = (1 + 5**0.5) / 2
    signs = [(s, t) for s in (-1, 1) for t in (-1, 1)]
    turns = [np.roll((0.0, s, t * golden), k) for k in range(3) for s, t in signs]
    corners = _unit(np.array(turns))
    near = corners @ corners.T > 0.4  # neighbours have the cosine 1/sqrt 5
    faces = [f for f in combinations(range(12), 3) if near[np.ix_(f, f)].all()]
    turned = [f if np.linalg.det(corners[list(f)]) > 0 else f[::-1] for f in faces]
    return corners, np.array(turned, dtype=np.int64)


def _grid(m: int) -> tuple[Array, Index]:
    """Nodes (10 m^2 + 2, 3) and triangles (20 m^2, 3), counter-clockwise."""
    corners, faces = _icosahedron()
    i, j = (c.ravel() for c in np.meshgrid(np.arange(m + 1), np.arange(m + 1), indexing="ij"))
    i, j = i[i + j <= m], j[i + j <= m]
    weights = np.stack([m - i - j, i, j], 1)
    place = np.full((m + 1, m + 1), -1)
    place[i, j] = np.arange(len(i))
    up = i + j < m
    down = i + j < m - 1
    p, q, u, v = i[up], j[up], i[down], j[down]
    local = np.concatenate([
        np.stack([place[p, q], place[p + 1, q], place[p, q + 1]], 1),
        np.stack([place[u + 1, v], place[u + 1, v + 1], place[u, v + 1]], 1),
    ])  # fmt: skip
    # Points on edges and corners are met in several faces; they are the same where the corners with
    # weight, and the weights, are.
    ids = np.where(weights[None] > 0, faces[:, None, :], 12).reshape(-1, 3)
    heavy = np.broadcast_to(weights, (20, *weights.shape)).reshape(-1, 3)
    order = np.argsort(ids, axis=1, kind="stable")
    ids, heavy = np.take_along_axis(ids, order, 1), np.take_along_axis(heavy, order, 1)
    key = np.concatenate([ids, heavy], axis=1)
    _, first, number = np.unique(key, axis=0, return_index=True, return_inverse=True)
    ids, heavy = ids[first], heavy[first]
    arc = np.arctan(2.0)
    padded = np.concatenate([corners, np.zeros((1, 3))])
    nodes = _unit(np.einsum("nk,nka->na", np.sin(arc * heavy / m), padded[ids]))
    numbers = number.reshape(20, -1)
    return nodes, numbers[:, local].reshape(-1, 3).astype(np.int64)


def _edges(triangles: Index) -> tuple[Index, Index]:
    """Edges (E, 2) of nodes i < j and the triangles (E, 2) left of i -> j and right of it."""
    ends = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    owner = np.repeat(np.arange(len(triangles)), 3)
    ahead = ends[:, 0] < ends[:, 1]
    size = int(triangles.max()) + 1
    left, right = np.argsort(ends[ahead] @ [size, 1]), np.argsort(ends[~ahead] @ [1, size])
    return ends[ahead][left], np.stack([owner[ahead][left], owner[~ahead][right]], 1)


def _centres(nodes: Array, triangles: Index) -> Array:
    """Circumcentres, the corners of the Voronoi cells."""
    a, b, c = (nodes[triangles[:, k]] for k in range(3))
    return _unit(np.cross(b - a, c - a))


def _area(a: Array, b: Array, c: Array) -> Array:
    """Areas of spherical triangles (Eriksson 1990), the triple product taken of differences."""
    triple = np.abs(np.sum(a * np.cross(b - a, c - a), axis=1))
    return 2 * np.arctan2(triple, 1 + np.sum(a * b + b * c + c * a, axis=1))
