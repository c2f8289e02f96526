"""The mesh of the sphere S^3."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere
from meanfield.meshes.base import Mesh


def hopf_mesh(m: int) -> Mesh:
    """The mesh of S^3 in Hopf's coordinates: points (cos t e^(iu), sin t e^(iv)), 16 m^3 cells.

    There are m steps of t in [0, pi/2] and 4 m of u and of v, m >= 3. The metric dt^2 + cos^2 t
    du^2 + sin^2 t dv^2 is orthogonal, so that two-point fluxes are consistent; volumes and areas of
    faces are exact. Towards the circles t = 0 and t = pi/2 cells shrink to slivers about h^2/2
    wide: rates grow as h^-4 there, which costs time, not accuracy. The node nearest to a point is
    that of its cell, up to a tilt of the faces in t of second order.
    """
    m = whole("m", m, 3)
    n, h, k = 4 * m, np.pi / (2 * m), np.pi / (2 * m)
    number = np.arange(m * n * n).reshape(m, n, n)
    index = np.stack(np.unravel_index(number.ravel(), number.shape), -1)
    at = index * [h, k, k] + [h / 2, 0.0, 0.0]
    t = at[:, 0]
    inner = index[:, 0] < m - 1
    ahead = [np.roll(number, -1, axis).ravel() for axis in range(3)]
    edge = t[inner] + h / 2
    half = 2 * np.sin(h / 2)  # int sin over a cell is half sin t, int cos is half cos t
    pairs = np.concatenate([
        np.stack([number.ravel()[inner], ahead[0][inner]], 1),
        *(np.stack([number.ravel(), other], 1) for other in ahead[1:]),
    ])  # fmt: skip
    areas_over_lengths = np.concatenate([
        np.sin(edge) * np.cos(edge) * k * k / h, half * np.sin(t) / np.cos(t),
        half * np.cos(t) / np.sin(t)
    ])  # fmt: skip
    ahead_t, ahead_u, ahead_v = np.diag([h, k, k]) / 2
    faces = np.concatenate(
        [_point(at[inner] + ahead_t), _point(at + ahead_u), _point(at + ahead_v)]
    )
    volumes = np.sin(2 * t) * np.sin(h) / 2 * k * k
    return Mesh(Sphere(3), _point(at), volumes, pairs.astype(np.int64), areas_over_lengths, faces)


def _point(at: Array) -> Array:
    """The points of S^3 at Hopf's coordinates (t, u, v)."""
    t, u, v = at.T
    c, s = np.cos(t), np.sin(t)
    return np.stack([c * np.cos(u), c * np.sin(u), s * np.cos(v), s * np.sin(v)], 1)
