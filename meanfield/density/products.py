"""A matrix times a few columns: every sum in one order, the matrix read once from end to end.

Libraries of linear algebra take two to five times as long for the three columns that a step of (7)
needs, and cut sums differently for other numbers of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meanfield.aligned import zeros
from meanfield.checks import Array
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.jit import kernel
from meanfield.lanes import fused, load, nothing, store
from meanfield.registers import BITS

# Rows whose sums are held in registers together, two registers a column. No sum depends on it.
TILE = 16 if BITS == 512 else 8
PART = 4096  # rows that are asked for at once
ENTRIES = 1 << 18  # of a matrix that are worth a thread


class Products:
    """A matrix (P, K), stored tile by tile, TILE rows each: `tiles` (P / TILE, K, TILE).

    rows(slice) gives the rows of the matrix that the slice names.
    """

    def __init__(self, size: int, rows: Callable[[slice], Array]) -> None:
        self.size, count = size, -(-size // TILE)
        for begin in range(0, size, PART):
            end = min(begin + PART, size)
            part = rows(slice(begin, end))
            if len(part) != end - begin:
                raise ValueError(f"cost_matrix must give {end - begin} rows, gave {len(part)}")
            if begin == 0:
                self.tiles = zeros((count, part.shape[1], TILE))
            t, full = begin // TILE, len(part) // TILE
            whole = part[: full * TILE].reshape(full, TILE, part.shape[1])
            self.tiles[t : t + full] = whole.transpose(0, 2, 1)
            for i in range(full * TILE, len(part)):
                self.tiles[t + full, :, i % TILE] = part[i]

    def __call__(self, columns: Array, size: int | None = None) -> Array:
        """sum_k matrix_pk columns_ks for columns (K, S) and the first `size` rows, shape (S, size),
        to the same bits for any number of threads.
        """
        size = self.size if size is None else min(size, self.size)
        if len(columns) != (wide := self.tiles.shape[1]):
            raise ValueError(f"costs take {wide} moments of the opponent, got {len(columns)}")
        rows, count = np.ascontiguousarray(columns.T), -(-size // TILE)
        found = np.empty((len(rows), count * TILE))
        threads = threads_worth(count * self.tiles[0].size, ENTRIES)
        by_threads(
            lambda s: multiply(self.tiles, rows, found, s.start, s.stop),
            shares(count, threads), threads,
        )  # fmt: skip
        return found[:, :size]


@kernel
def multiply(tiles: Array, columns: Array, found: Array, begin: int, end: int) -> None:
    """found[s, p] = sum_k tiles_pk columns_sk for the rows p of tiles begin, ..., end - 1."""
    S = len(columns)
    for t in range(begin, end):
        for s in range(0, S - 2, 3):
            three_columns(tiles[t], columns, found, s, t * TILE)
        for s in range(S - S % 3, S):
            one_column(tiles[t], columns[s], found, s, t * TILE)


@kernel
def three_columns(tile: Array, columns: Array, found: Array, s: int, i: int) -> None:
    a, b, c = columns[s], columns[s + 1], columns[s + 2]
    p = q = r = nothing(TILE)
    for k in range(len(tile)):
        f = load(TILE, tile, k, 0)
        p, q, r = fused(a[k], f, p), fused(b[k], f, q), fused(c[k], f, r)
    store(p, found, s, i)
    store(q, found, s + 1, i)
    store(r, found, s + 2, i)


@kernel
def one_column(tile: Array, column: Array, found: Array, s: int, i: int) -> None:
    p = nothing(TILE)
    for k in range(len(tile)):
        p = fused(column[k], load(TILE, tile, k, 0), p)
    store(p, found, s, i)
