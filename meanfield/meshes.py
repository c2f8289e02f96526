"""Meshes: all that a two-point-flux scheme knows of a manifold.

A mesh is cells with nodes and volumes, pairs (i, j) of cells that share a face, the
transmissibility of each face (its area over the distance of the two nodes) and a point on it.
Nothing in the schemes asks for more, so that a new manifold needs only a new constructor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, whole
from meanfield.manifolds import Manifold, Torus

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """N cells and F faces of a manifold.

    nodes (N, a), volumes (N,), pairs (F, 2) of cell numbers, transmissibilities (F,),
    faces (F, a): the point where the segment from node to node crosses the face.
    `shape` is the grid's shape for tensor grids, whose nodes run in C order, and None otherwise.
    """

    manifold: Manifold
    nodes: Array
    volumes: Array
    pairs: Index
    transmissibilities: Array
    faces: Array
    shape: tuple[int, ...] | None = None

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
        return np.asarray(self._tree.query(points)[1], dtype=np.int64)

    @cached_property
    def _tree(self):  # type: ignore[no-untyped-def]
        """Nearest node = own cell, on Voronoi meshes of manifolds isometric in their ambient balls."""
        from scipy.spatial import cKDTree

        return cKDTree(self.nodes)


def torus_mesh(torus: Torus, cells: int | tuple[int, ...]) -> Mesh:
    """The equidistant grid on T^d; node (i_1, ..., i_d) sits at the angles period i / cells.

    `cells` is a number per axis, or one for all; at least 3 per axis. Cells are centred at nodes.
    """
    counts = (cells,) * torus.d if np.ndim(cells) == 0 else tuple(cells)  # type: ignore[arg-type]
    if len(counts) != torus.d:
        raise ValueError(f"cells must be one number or {torus.d} of them for {torus}, got {cells!r}")
    shape = tuple(whole("cells per axis", c, 3) for c in counts)
    h = torus.period / np.array(shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, torus.d)
    number = np.arange(len(index)).reshape(shape)
    volume = float(np.prod(h))
    pairs, weights, faces = [], [], []
    for axis in range(torus.d):
        pairs.append(np.stack([number.ravel(), np.roll(number, -1, axis).ravel()], 1))
        weights.append(np.full(len(index), volume / h[axis] ** 2))
        faces.append((index + 0.5 * np.eye(torus.d)[axis]) * h)
    return Mesh(
        torus,
        index * h,
        np.full(len(index), volume),
        np.concatenate(pairs).astype(np.int64),
        np.concatenate(weights),
        np.concatenate(faces),
        shape,
    )


def mesh(manifold: Manifold, cells: int | tuple[int, ...] | None = None) -> Mesh:
    """The mesh of a manifold with `cells` cells per axis (default 256 on T^1, 64 on T^2)."""
    if isinstance(manifold, Torus) and manifold.d <= 3:
        return torus_mesh(manifold, {1: 256, 2: 64, 3: 24}[manifold.d] if cells is None else cells)
    raise ValueError(
        f"no mesh for {manifold}: meshes exist for tori of dimension 1 to 3; "
        "particles run on every manifold (meanfield.simulate)"
    )
