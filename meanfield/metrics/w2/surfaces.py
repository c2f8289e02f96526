"""T^2 of period one and S^2, as a search for Laguerre cells sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Sphere
from meanfield.meshes import Index
from meanfield.metrics.w2.costs import nearest


class Surface(NamedTuple):
    """T^2 of period 1, or S^2.

    nearest: distances and numbers (m, k) of the k points (l, a) that are nearest to points (m, a);
    gaps: from points (m, a) to others (m, k, a), along axes of the surface (m, k, 2); moved: where
    shifts (m, 2) along these take points; centre: the points of means (m, a).
    """

    area: float
    nearest: Callable[[Array, Array, int], tuple[Array, Index]]
    gaps: Callable[[Array, Array], Array]
    moved: Callable[[Array, Array], Array]
    centre: Callable[[Array], Array]


def neighbours(on: Surface, x: Array, count: int = 13) -> tuple[Index, Index]:
    """Row starts and columns of each point's nearest points, itself among them."""
    k = min(count, len(x))
    return np.arange(len(x) + 1, dtype=np.int64) * k, on.nearest(x, x, k)[1].reshape(-1)


def _near_on_torus(x: Array, others: Array, count: int) -> tuple[Array, Index]:
    from scipy.spatial import cKDTree

    return nearest(cKDTree(others, boxsize=1.0), x, count)


def _torus_gaps(x: Array, others: Array) -> Array:
    d = others - x[:, None]
    return d - np.rint(d)  # type: ignore[no-any-return]


def _shift(x: Array, shifts: Array) -> Array:
    return shifts


UNIT_TORUS = Surface(1.0, _near_on_torus, _torus_gaps, _shift, np.asarray)


def _near_on_sphere(x: Array, others: Array, count: int) -> tuple[Array, Index]:
    from scipy.spatial import cKDTree

    return nearest(cKDTree(others), x, count)


def _sphere_gaps(x: Array, others: Array) -> Array:
    """Along axes of the planes that touch the sphere at x."""
    return np.einsum("nia,nka->nki", Sphere(2).basis(x), others - x[:, None])  # type: ignore[no-any-return]


def _moved(x: Array, shifts: Array) -> Array:
    return _unit(x + np.einsum("nia,ni->na", Sphere(2).basis(x), shifts))


def _unit(x: Array) -> Array:
    """Points of the sphere; a pole for what is in its middle."""
    size = np.linalg.norm(x, axis=1, keepdims=True)
    return np.where(size > 0, x, [0.0, 0.0, 1.0]) / np.where(size > 0, size, 1.0)


UNIT_SPHERE = Surface(4 * np.pi, _near_on_sphere, _sphere_gaps, _moved, _unit)
