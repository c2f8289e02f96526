"""What a mesh is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, read_only
from meanfield.manifolds import Manifold, Sphere, Torus, a_manifold

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """N cells of a manifold and the F faces between them.

    Measures share a mesh: its arrays are not to be written to.

    Parameters
    ----------
    nodes : (N, a)
    volumes : (N,)
        Of the cells.
    pairs : (F, 2)
        The two cells that share a face.
    transmissibilities : (F,)
        A face's area over the distance of their nodes.
    faces : (F, a)
        The point where the segment from node to node crosses a face.
    shape : tuple of int, optional
        Of a tensor grid, whose nodes run in C order (along axes of a torus; by parallels and
        meridians of S^2; by Hopf's coordinates of S^3), else None.
    radius : float, optional
        For Voronoi cells (of the points nearest to their node) a bound on the distance of a cell's
        points from its node; None for other cells.
    factors : (Mesh, Mesh), optional
        Of a mesh of a product of two manifolds, see `product_mesh`.
    """

    manifold: Manifold
    nodes: Array
    volumes: Array
    pairs: Index
    transmissibilities: Array
    faces: Array
    shape: tuple[int, ...] | None = None
    radius: float | None = None
    factors: tuple[Mesh, Mesh] | None = None

    def __post_init__(self) -> None:
        a_manifold("manifold", self.manifold)
        for name in ("nodes", "volumes", "pairs", "transmissibilities", "faces"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    @property
    def points(self) -> Array:
        """The nodes, which are the points of every density on this mesh."""
        return self.nodes

    def __len__(self) -> int:
        return len(self.volumes)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape)) if self.shape else str(len(self))
        return f"Mesh({self.manifold}, {size} cells)"

    def same(self, other: Mesh) -> bool:
        """Whether two meshes have the same nodes and volumes."""
        return self is other or (
            self.manifold == other.manifold
            and np.array_equal(self.nodes, other.nodes)
            and np.array_equal(self.volumes, other.volumes)
        )

    @property
    def by_parallels(self) -> bool:
        """Whether this is a product quadrature of S^2, see `quadrature_mesh`."""
        return self.shape is not None and self.manifold == Sphere(2)

    @property
    def by_hopf(self) -> bool:
        """Whether this is a product quadrature of S^3, see `hopf_mesh`."""
        return self.shape is not None and self.manifold == Sphere(3)

    @cached_property
    def parallels(self) -> Array:
        """The heights that bound the rows of its cells, (rows + 1,): x_3 on S^2, on S^3 that of
        Hopf's map, x_3^2 + x_4^2 - x_1^2 - x_2^2.
        """
        rows = self.volumes.reshape(self.shape[0], -1).sum(axis=1)  # type: ignore[index]
        up = np.concatenate([[0.0], np.cumsum(rows)])
        return 2 * up / up[-1] - 1

    @cached_property
    def neighbours(self) -> tuple[Index, Index]:
        """For each cell its neighbours and the faces to them, (N, k) each, padded with -1.

        Face f seen from its second cell is written -2 - f, so that its sign tells the side.
        """
        first, second = self.pairs.T
        cell = np.concatenate([first, second])
        other = np.concatenate([second, first])
        face = np.arange(len(self.pairs))
        signed = np.concatenate([face, -2 - face])
        order = np.argsort(cell, kind="stable")
        cell, other, signed = cell[order], other[order], signed[order]
        count = np.bincount(cell, minlength=len(self))
        slot = np.arange(len(cell)) - np.repeat(np.cumsum(count) - count, count)
        table = np.full((2, len(self), int(count.max())), -1, dtype=np.int64)
        table[0, cell, slot] = other
        table[1, cell, slot] = signed
        return table[0], table[1]

    def locate(self, points: Array) -> Index:
        """The cell that each point (n, a) lies in, shape (n,)."""
        if self.shape is not None and isinstance(self.manifold, Torus):
            size = np.array(self.shape)
            cell = np.rint(points * (size / self.manifold.period)).astype(np.int64) % size
            return np.ravel_multi_index(tuple(cell.T), self.shape)
        if self.by_parallels:
            columns = self.shape[1]  # type: ignore[index]
            row = np.searchsorted(self.parallels[1:-1], points[:, 2])
            turn = np.arctan2(points[:, 1], points[:, 0]) * (columns / (2 * np.pi))
            return row * columns + np.rint(turn).astype(np.int64) % columns
        if self.by_hopf:
            heights = (points**2) @ [-1.0, -1.0, 1.0, 1.0]
            row = np.searchsorted(self.parallels[1:-1], heights)
            n = self.shape[1]  # type: ignore[index]
            turns = np.arctan2(points[:, 1::2], points[:, ::2]) * (n / (2 * np.pi))
            u, v = np.rint(turns).astype(np.int64).T % n
            return np.asarray((row * n + u) * n + v, dtype=np.int64)
        if self.factors is not None:
            first, second = self.factors
            a = first.manifold.ambient
            return first.locate(points[:, :a]) * len(second) + second.locate(points[:, a:])
        return np.asarray(self._tree.query(points)[1], dtype=np.int64)

    @cached_property
    def _tree(self) -> Any:
        """Finds the nearest node in ambient space: on a sphere that of the point's Voronoi cell."""
        from scipy.spatial import cKDTree

        return cKDTree(self.nodes)
