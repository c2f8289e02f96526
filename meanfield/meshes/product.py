"""Meshes of products of two manifolds."""

from __future__ import annotations

import numpy as np

from meanfield.manifolds import Manifold, a_manifold
from meanfield.meshes.base import Mesh


def product_mesh(manifold: Manifold, first: Mesh, second: Mesh) -> Mesh:
    """The mesh of a product M x N whose cells are products of cells.

    A face of one factor's cell, times a cell of the other, is a face of the product:

        tau((i, k), (j, k)) = tau(i, j) |k|,    tau((i, k), (i, l)) = |i| tau(k, l).

    Parameters
    ----------
    manifold : Manifold
        The product: its points are those of M with those of N behind.
    first, second : Mesh
        Of M and of N. The second runs fastest.

    Returns
    -------
    Mesh

    Raises
    ------
    ValueError
        Where coordinates or dimensions do not add up.
    """
    a_manifold("manifold", manifold)
    for name, mesh in (("first", first), ("second", second)):
        if not isinstance(mesh, Mesh):
            raise TypeError(
                f"{name} must be a mesh, such as meanfield.mesh(Torus(1)), got {mesh!r}"
            )
    M, N, m, n = first.manifold, second.manifold, len(first), len(second)
    if (manifold.ambient, manifold.dim) != (M.ambient + N.ambient, M.dim + N.dim):
        raise ValueError(
            f"{manifold} has {manifold.ambient} coordinates and dimension {manifold.dim}, the "
            f"product of {M} and {N} has {M.ambient + N.ambient} and {M.dim + N.dim}"
        )
    number = np.arange(m * n).reshape(m, n)

    def beside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Every point of x with every point of y."""
        return np.concatenate([np.repeat(x, len(y), axis=0), np.tile(y, (len(x), 1))], axis=1)

    pairs = [number[first.pairs].transpose(0, 2, 1), number[:, second.pairs]]
    weights = [
        np.outer(first.transmissibilities, second.volumes),
        np.outer(first.volumes, second.transmissibilities),
    ]
    faces = [beside(first.faces, second.nodes), beside(first.nodes, second.faces)]
    return Mesh(
        manifold,
        beside(first.nodes, second.nodes),
        np.outer(first.volumes, second.volumes).ravel(),
        np.concatenate([p.reshape(-1, 2) for p in pairs]),
        np.concatenate([w.ravel() for w in weights]),
        np.concatenate(faces),
        factors=(first, second),
    )
