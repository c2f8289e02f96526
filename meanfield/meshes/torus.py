"""The equidistant grid on the flat torus."""

from __future__ import annotations

import numpy as np

from meanfield.checks import whole
from meanfield.manifolds import Torus
from meanfield.meshes.base import Mesh


def torus_mesh(torus: Torus, cells: int | tuple[int, ...]) -> Mesh:
    """The equidistant grid on T^d: node (i_1, ..., i_d) is at the angles period i / cells.

    Nodes are in the middle of their cells. cells: a number per axis, or one for all; at least 3 per
    axis.
    """
    if not isinstance(torus, Torus):
        raise TypeError(f"torus must be a Torus, such as Torus(2), got {torus!r}")
    counts = (cells,) * torus.d if np.ndim(cells) == 0 else tuple(cells)  # type: ignore[arg-type]
    if len(counts) != torus.d:
        raise ValueError(
            f"cells must be one number or {torus.d} of them for {torus}, got {cells!r}"
        )
    shape = tuple(whole("cells per axis", c, 3) for c in counts)
    h = torus.period / np.array(shape)
    number = np.arange(np.prod(shape)).reshape(shape)
    index = np.stack(np.unravel_index(number.ravel(), shape), -1)
    volumes = np.full(len(index), float(np.prod(h)))
    pairs, weights, faces = [], [], []  # of the faces across each axis
    for axis in range(torus.d):
        pairs.append(np.stack([number.ravel(), np.roll(number, -1, axis).ravel()], 1))
        weights.append(volumes / h[axis] ** 2)
        faces.append((index + 0.5 * np.eye(torus.d)[axis]) * h)
    edges, areas, middles = (np.concatenate(part) for part in (pairs, weights, faces))
    return Mesh(torus, index * h, volumes, edges, areas, middles, shape)
