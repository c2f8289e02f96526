"""The equidistant grid on the flat torus."""

from __future__ import annotations

import numpy as np

from meanfield.checks import whole
from meanfield.manifolds import Torus
from meanfield.meshes.base import Mesh


def torus_mesh(torus: Torus, cells: int | tuple[int, ...]) -> Mesh:
    """The equidistant grid on T^d; node (i_1, ..., i_d) sits at the angles period i / cells.

    `cells` is a number per axis, or one for all; at least 3 per axis. Cells are centred at nodes.
    """
    counts = (cells,) * torus.d if np.ndim(cells) == 0 else tuple(cells)  # type: ignore[arg-type]
    if len(counts) != torus.d:
        raise ValueError(
            f"cells must be one number or {torus.d} of them for {torus}, got {cells!r}"
        )
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
