"""Uniform points of the cells of meshes."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Sphere, Torus
from meanfield.meshes.base import Mesh


def scattered(on: Mesh, nodes: Array, rng: np.random.Generator) -> Array:
    """For each of the nodes (n, a) of a mesh a uniform point of its cell; the node itself where the
    mesh does not say how far its cells reach.
    """
    manifold = on.manifold
    if on.by_parallels:
        return _between_parallels(on, nodes, rng)
    if on.by_hopf:
        return _between_tori(on, nodes, rng)
    if isinstance(manifold, Torus) and on.shape is not None:
        h = manifold.period / np.array(on.shape)
        return manifold.wrap(nodes + (rng.random(nodes.shape) - 0.5) * h)
    if isinstance(manifold, Sphere) and manifold.d <= 2 and on.radius is not None:
        return _within_cells(on, manifold, nodes, rng)
    return nodes


def _within_cells(on: Mesh, sphere: Sphere, nodes: Array, rng: np.random.Generator) -> Array:
    """For each of the nodes (n, a) a uniform point of its cell: of caps around it, those nearest to
    it.
    """
    cells, points = on.locate(nodes), nodes.copy()
    bases, todo = sphere.basis(nodes), np.arange(len(nodes))
    while len(todo):
        tried = _in_cap(sphere.d, on.radius or 0.0, bases[todo], nodes[todo], rng)
        points[todo] = tried
        todo = todo[on.locate(tried) != cells[todo]]
    return points


def _between_parallels(on: Mesh, nodes: Array, rng: np.random.Generator) -> Array:
    """For each of the nodes (n, 3) of a quadrature of S^2 a uniform point of its cell."""
    columns = on.shape[1]  # type: ignore[index]
    row, column = np.divmod(on.locate(nodes), columns)
    share, turn = rng.random((2, len(nodes)))
    low, high = on.parallels[row], on.parallels[row + 1]
    z, phi = low + share * (high - low), (column + turn - 0.5) * (2 * np.pi / columns)
    flat = np.sqrt((1 - z) * (1 + z))
    return np.stack([flat * np.cos(phi), flat * np.sin(phi), z], 1)


def _between_tori(on: Mesh, nodes: Array, rng: np.random.Generator) -> Array:
    """For each of the nodes (n, 4) of a mesh of S^3 a uniform point of its cell."""
    row, *turns = np.unravel_index(on.locate(nodes), on.shape)  # type: ignore[arg-type]
    share, *ahead = rng.random((3, len(nodes)))
    low, high = on.parallels[row], on.parallels[row + 1]
    z = low + share * (high - low)
    k = 2 * np.pi / on.shape[1]  # type: ignore[index]
    u, v = ((turn + more - 0.5) * k for turn, more in zip(turns, ahead, strict=True))
    c, s = np.sqrt((1 - z) / 2), np.sqrt((1 + z) / 2)
    return np.stack([c * np.cos(u), c * np.sin(u), s * np.cos(v), s * np.sin(v)], 1)


def _in_cap(d: int, radius: float, bases: Array, nodes: Array, rng: np.random.Generator) -> Array:
    """Uniform points of the caps of a geodesic radius around nodes on S^1 or S^2."""
    u, turn = rng.random((2, len(nodes), 1))
    if d == 1:
        angle = radius * (2 * u - 1)
        return np.cos(angle) * nodes + np.sin(angle) * bases[:, 0]
    # Heights are uniform on S^2; s = sin(angle / 2) keeps the digits of a small cap.
    s = np.sin(radius / 2) * np.sqrt(u)
    around = np.cos(2 * np.pi * turn) * bases[:, 0] + np.sin(2 * np.pi * turn) * bases[:, 1]
    return (1 - 2 * s**2) * nodes + 2 * s * np.sqrt(1 - s**2) * around
