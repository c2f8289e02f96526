"""Meshes: all that a two-point-flux scheme knows of a manifold.

A mesh is cells with nodes and volumes, pairs (i, j) of cells that share a face, the
transmissibility of each face (its area over the distance of the two nodes) and a point on it.
Nothing in the schemes asks for more, so that a new manifold needs only a new constructor.
"""

from __future__ import annotations

from meanfield.checks import whole
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.meshes.base import Index, Mesh
from meanfield.meshes.hopf import hopf_mesh
from meanfield.meshes.sphere import circle_mesh, frequency, sphere_mesh
from meanfield.meshes.torus import torus_mesh

__all__ = ["Index", "Mesh", "circle_mesh", "hopf_mesh", "mesh", "sphere_mesh", "torus_mesh"]

USUAL = {1: 256, 2: 64, 3: 24}  # cells per axis of a torus
USUAL_SPHERE = 2562


def mesh(manifold: Manifold, cells: int | tuple[int, ...] | None = None) -> Mesh:
    """The mesh of a manifold with about `cells` cells.

    Tori: cells per axis, one number or one an axis (256 on T^1, 64 on T^2, 24 on T^3 by default).
    S^1: `cells` arcs (256). S^2: Voronoi cells of the icosahedral grid whose number 10 m^2 + 2 is
    nearest to `cells` (2562). S^3: Hopf's grid of 16 m^3 cells, likewise (8192). Raises ValueError for
    other manifolds.
    """
    if isinstance(manifold, Torus) and manifold.d <= 3:
        return torus_mesh(manifold, USUAL[manifold.d] if cells is None else cells)
    if isinstance(manifold, Sphere) and manifold.d == 1:
        return circle_mesh(USUAL[1] if cells is None else whole("cells", cells, 3))
    if isinstance(manifold, Sphere) and manifold.d == 2:
        return sphere_mesh(frequency(USUAL_SPHERE if cells is None else whole("cells", cells, 12)))
    if isinstance(manifold, Sphere) and manifold.d == 3:
        m = 8 if cells is None else round((whole("cells", cells, 432) / 16) ** (1 / 3))
        return hopf_mesh(m)
    raise ValueError(
        f"no mesh for {manifold}: meshes exist for tori and spheres of dimension 1 to 3; "
        "particles run on every manifold (meanfield.simulate)"
    )
