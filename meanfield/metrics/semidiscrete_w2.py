"""Semi-discrete W2 between measures of the package: what the solvers on plain arrays are given."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure


def semidiscrete_w2_squared(atoms: Measure, density: Density) -> float:
    """W2^2 on T^2 (exact) or S^2 (upper bound) between atoms and a piecewise-constant density.

    Raises ValueError for meshes other than the equidistant grid of T^2 and Voronoi cells of S^2, NotConverged.
    """
    held = atoms.masses > 0
    x, weights = atoms.points[held], atoms.masses[held]
    mesh = density.mesh
    if isinstance(atoms.manifold, Torus):
        from meanfield.metrics.laguerre_torus import torus_w2_squared

        period = atoms.manifold.period
        return torus_w2_squared(np.mod(x / period, 1.0), weights, _grid(density)) * period**2
    if mesh.radius is None:
        raise ValueError(f"semi-discrete W2 on S^2 needs a mesh of Voronoi cells (meanfield.mesh), got {mesh}")
    from meanfield.metrics.laguerre_sphere import sphere_w2_squared

    heights = density.values
    if heights.max() - heights.min() <= 1e-13 * heights.max():
        return sphere_w2_squared(x, weights, None, None)
    return sphere_w2_squared(x, weights, mesh.nodes, density.masses / density.masses.sum())


def _grid(density: Density) -> Array:
    """Cell masses (A, B) on the equidistant grid of T^2."""
    mesh, period = density.mesh, density.manifold.period  # type: ignore[attr-defined]
    if mesh.shape is not None and len(mesh.shape) == 2:
        A, B = mesh.shape
        nodes = np.stack(np.meshgrid(np.arange(A) / A, np.arange(B) / B, indexing="ij"), -1).reshape(-1, 2)
        if np.abs(mesh.nodes / period - nodes).max() < 1e-9:
            return density.masses.reshape(A, B)
    raise ValueError(f"semi-discrete W2 on T^2 needs the equidistant grid (meanfield.mesh), got {mesh}")
