"""The mesh of S^2 on which integrals are exact: a product quadrature and its cells."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere
from meanfield.meshes.base import Mesh
from meanfield.meshes.harmonics import quadrature

_NO_FACES = np.empty((0, 2), dtype=np.int64), np.empty(0), np.empty((0, 3))


@lru_cache(maxsize=8)
def quadrature_mesh(n: int) -> Mesh:
    """n parallels at the Gauss-Legendre nodes of x_3 and 2 n meridians: 2 n^2 cells of S^2, n >= 2.

    Volumes are the weights of the quadrature, so that sums over nodes integrate polynomials of
    degree up to 2n - 1 exactly, and smooth densities to rounding once n is large enough.

    Cells are bounded by meridians halfway and by parallels, whose heights add up the weights. Each
    contains its node, as Gauss's nodes and sums of weights alternate (Chebyshev, Markov,
    Stieltjes). Cells are orthogonal, so that two-point fluxes are consistent, but shrink towards
    the poles, where rates grow as n^4: finite volumes take the icosahedral mesh by default.
    """
    n = whole("n", n, 2)
    nodes, volumes = quadrature(n)
    number, h = np.arange(2 * n * n).reshape(n, 2 * n), np.pi / n
    bare = Mesh(Sphere(2), nodes, volumes, *_NO_FACES, shape=(n, 2 * n))
    parallels = _angle(bare.parallels)  # (n + 1,), from pole to pole
    latitudes = _angle(nodes[:: 2 * n, 2])
    across = np.sin(parallels[1:-1]) * h / np.diff(latitudes)
    around = np.diff(parallels) / (np.sin(latitudes) * h)
    pairs = np.concatenate([
        np.stack([number[:-1].ravel(), number[1:].ravel()], 1),
        np.stack([number.ravel(), np.roll(number, -1, 1).ravel()], 1),
    ])  # fmt: skip
    middles = nodes[pairs[:, 0]] + nodes[pairs[:, 1]]
    faces = middles / np.linalg.norm(middles, axis=1, keepdims=True)
    z, phi = parallels[1:-1].repeat(2 * n), np.tile(np.arange(2 * n) * h, n - 1)
    faces[: len(z)] = np.stack([np.sin(z) * np.cos(phi), np.sin(z) * np.sin(phi), -np.cos(z)], 1)
    fluxes = np.concatenate([across, around]).repeat(2 * n)
    return replace(bare, pairs=pairs.astype(np.int64), transmissibilities=fluxes, faces=faces)


def _angle(z: Array) -> Array:
    """The angle from the south pole to the parallel of height z."""
    return np.arccos(-z)
