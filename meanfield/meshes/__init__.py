"""Meshes: all that a scheme of two-point fluxes needs to know of a manifold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import whole, within_memory
from meanfield.manifolds import Manifold, Sphere, Torus, a_manifold
from meanfield.meshes.base import Index, Mesh
from meanfield.meshes.hopf import hopf_mesh, turns
from meanfield.meshes.product import product_mesh
from meanfield.meshes.quadrature import quadrature_mesh
from meanfield.meshes.sphere import circle_mesh, frequency, sphere_mesh
from meanfield.meshes.torus import torus_mesh

__all__ = [
    "Index", "Mesh", "circle_mesh", "hopf_mesh", "mesh", "product_mesh", "quadrature_mesh",
    "sphere_mesh", "torus_mesh",
]  # fmt: skip

USUAL = {1: 256, 2: 64, 3: 24}  # cells per axis of a torus
USUAL_SPHERE = {1: (256, 3), 2: (2562, 12), 3: (8192, 432)}  # cells, and the fewest
CELL = 200.0  # bytes that one takes on S^3; fewer elsewhere


def mesh(manifold: Manifold, cells: int | tuple[int, ...] | Mesh | None = None) -> Mesh:
    """The mesh of a torus or a sphere of dimension 1 to 3, with about `cells` cells.

    A manifold of yours has the meshes that its own method `mesh(cells)` makes, if it has one;
    `meshes.product_mesh` puts those of two factors together.

    Parameters
    ----------
    manifold : Torus, Sphere or their like
    cells : int, tuple or Mesh, optional
        Tori: cells per axis, one number or one an axis (default 256 on T^1, 64 on T^2, 24 on T^3).
        S^1: the number of arcs (256). S^2: Voronoi cells of the icosahedral grid whose number
        10 m^2 + 2 is nearest (2562). S^3: Hopf's grid whose number 16 m^3 is nearest (8192). A Mesh
        of the manifold is returned as it is.

    Returns
    -------
    Mesh

    Raises
    ------
    TypeError
        For what is no manifold.
    ValueError
        For other manifolds, for a Mesh of another one, and for more cells than fit into memory.

    Examples
    --------
    >>> import meanfield as mf
    >>> len(mf.mesh(mf.Torus(2), 32)), len(mf.mesh(mf.Sphere(2), 600))
    (1024, 642)
    """
    if isinstance(cells, Mesh):
        if cells.manifold != manifold:
            raise ValueError(
                f"cells is a mesh of {cells.manifold}, but this player moves on {manifold}"
            )
        return cells
    a_manifold("manifold", manifold)
    if isinstance(manifold, Torus) and manifold.d <= 3:
        _within_memory(manifold, cells)
        return torus_mesh(manifold, USUAL[manifold.d] if cells is None else cells)
    if isinstance(manifold, Sphere) and manifold.d <= 3:
        usual, fewest = USUAL_SPHERE[manifold.d]
        n = usual if cells is None else whole("cells", cells, fewest)
        _within_memory(manifold, n)
        if manifold.d == 1:
            return circle_mesh(n)
        if manifold.d == 2:
            return sphere_mesh(frequency(n))
        return hopf_mesh(turns(n))
    if callable(own := getattr(manifold, "mesh", None)):
        made = own(cells)
        if not isinstance(made, Mesh) or made.manifold != manifold:
            raise TypeError(f"the method mesh of {manifold} must return a Mesh of it, got {made!r}")
        return made
    raise ValueError(
        f"no mesh for {manifold}: meshes exist for tori and spheres of dimension 1 to 3, and for "
        "manifolds with a method mesh(cells); particles run on every manifold (meanfield.simulate)"
    )


def _within_memory(manifold: Manifold, cells: Any) -> None:
    """ValueError for more cells than fit; what is no number of cells is refused elsewhere."""
    try:
        count = cell_count(manifold, cells)
    except (TypeError, ValueError, OverflowError):
        return
    within_memory(f"{count:.3g} cells on {manifold}", CELL * count, "take fewer")


def cell_count(manifold: Manifold, cells: Any = None) -> float:
    """How many cells `mesh` makes, without making them; any number, or an error, where it
    refuses.
    """
    if isinstance(cells, Mesh):
        return len(cells)
    if isinstance(manifold, Torus):
        each = np.asarray(USUAL.get(manifold.d, 0) if cells is None else cells, dtype=float)
        if not np.isfinite(each).all():
            raise ValueError(f"cells must be whole numbers, got {cells!r}")
        return math.prod(np.broadcast_to(each.ravel(), manifold.d).tolist())
    if isinstance(manifold, Sphere):
        asked = float(USUAL_SPHERE.get(manifold.d, (0,))[0] if cells is None else cells)
        if manifold.d == 2:
            return 10.0 * frequency(int(asked)) ** 2 + 2
        return 16.0 * turns(asked) ** 3 if manifold.d == 3 else asked
    return len(mesh(manifold, cells))
