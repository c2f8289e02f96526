"""The mesh of S^3, a product quadrature and its cells."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere
from meanfield.meshes.base import Mesh


def turns(cells: float) -> int:
    """The m >= 3 whose 16 m^3 is nearest to `cells`."""
    m = max(3, int((cells / 16) ** (1 / 3)))
    return min((m, m + 1), key=lambda k: abs(16 * k**3 - cells))


def hopf_mesh(m: int) -> Mesh:
    """The mesh of S^3 in Hopf's coordinates: points (cos t e^(iu), sin t e^(iv)), 16 m^3 cells.

    There are m values of t in (0, pi/2), at the Gauss-Legendre nodes of -cos 2t, and 4 m of u and
    of v, m >= 3. Volumes are the weights of this product quadrature, so that sums over nodes
    integrate polynomials of degree up to 4m - 1 exactly, and smooth densities to rounding once m is
    large enough.

    The metric dt^2 + cos^2 t du^2 + sin^2 t dv^2 is orthogonal, so that two-point fluxes are
    consistent; areas of faces are exact, those in t lie where the weights add up. Towards the
    circles t = 0 and t = pi/2 cells shrink to slivers: rates grow as m^4 there, which costs time,
    not accuracy.
    """
    m = whole("m", m, 3)
    n, k = 4 * m, np.pi / (2 * m)
    number = np.arange(m * n * n).reshape(m, n, n)
    heights, weights = np.polynomial.legendre.leggauss(m)
    volumes = np.repeat(weights * k * k / 4, n * n)
    nodes = _angle(heights)
    bounds = _angle(np.clip(np.cumsum(np.concatenate([[-1.0], weights])), -1.0, 1.0))
    at = np.stack(np.meshgrid(nodes, np.arange(n) * k, np.arange(n) * k, indexing="ij"), -1)
    pairs = np.concatenate([
        np.stack([number[:-1].ravel(), number[1:].ravel()], 1),
        *(np.stack([number.ravel(), np.roll(number, -1, axis).ravel()], 1) for axis in (1, 2)),
    ])  # fmt: skip
    inner = bounds[1:-1]
    areas_over_lengths = np.concatenate([
        np.sin(inner) * np.cos(inner) * k * k / np.diff(nodes),
        -np.diff(np.cos(bounds)) / np.cos(nodes),
        np.diff(np.sin(bounds)) / np.sin(nodes),
    ]).repeat(n * n)  # fmt: skip
    across = at[:-1].copy()
    across[..., 0] = inner[:, None, None]
    ahead_u, ahead_v = np.diag([0.0, k, k])[1:] / 2
    faces = [across, at + ahead_u, at + ahead_v]
    points = _point(np.concatenate([where.reshape(-1, 3) for where in faces]))
    fluxes = pairs.astype(np.int64), areas_over_lengths, points
    return Mesh(Sphere(3), _point(at.reshape(-1, 3)), volumes, *fluxes, shape=(m, n, n))


def _angle(height: Array) -> Array:
    """t of the height -cos 2t."""
    return np.arccos(-height) / 2


def _point(at: Array) -> Array:
    """The points of S^3 at Hopf's coordinates (t, u, v)."""
    t, u, v = at.T
    c, s = np.cos(t), np.sin(t)
    return np.stack([c * np.cos(u), c * np.sin(u), s * np.cos(v), s * np.sin(v)], 1)
