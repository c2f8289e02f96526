"""Multiplication by polynomials of degree 2 and drifts, on real spherical harmonics of S^2.

The harmonics themselves, their values and projections are in `meanfield.meshes.harmonics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.meshes import Index
from meanfield.meshes.harmonics import degrees, factors

GAP = 4  # zeros that a run may contain


def coordinates(L: int) -> list[Any]:
    """Multiplication by x_1, x_2, x_3 from degree L to L + 1: sparse ((L + 2)^2, (L + 1)^2).

    Read off in complex harmonics, where x_1 + i x_2 raises m by one, and turned to real ones.
    """
    from scipy.sparse import csr_matrix

    n, inner = (L + 2) ** 2, (L + 1) ** 2
    l = degrees(L + 1)
    m = np.arange(n) - l * l - l

    def raised(size: Array, by: int, turn: int) -> Any:
        """The operator Y_lm -> size Y_(l + by)(m + turn), within degree L + 1."""
        fits = (l + by >= abs(m + turn)) & (l + by <= L + 1)
        to = (l + by) * (l + by + 1) + m + turn
        return csr_matrix((size[fits], (to[fits], np.flatnonzero(fits))), shape=(n, n))

    a = factors(L + 2)
    P = raised(-np.sqrt((l + m + 1) * (l + m + 2) / ((2 * l + 1) * (2 * l + 3))), 1, 1)
    P = P + raised(np.sqrt((l - m) * (l - m - 1) / np.abs((2 * l - 1) * (2 * l + 1))), -1, 1)
    Z = raised(a[l + 1, abs(m)], 1, 0) + raised(a[l, abs(m)], -1, 0)
    R = _real(l, m)
    return [
        (R.conj() @ M @ R.T).real[:, :inner].tocsr() for M in ((P + P.T) / 2, (P - P.T) / 2j, Z)
    ]


def _real(l: Array, m: Array) -> Any:
    """Real harmonics by complex ones (with the phase (-1)^m), unitary (n, n)."""
    from scipy.sparse import csr_matrix

    n = len(l)
    row, here, there = np.arange(n), l * l + l + abs(m), l * l + l - abs(m)
    sign, half = np.where(m % 2 == 0, 1.0, -1.0), 0.5**0.5
    first = np.where(m > 0, sign * half, np.where(m < 0, -1j * sign * half, 1.0))
    second = np.where(m > 0, half, np.where(m < 0, 1j * half, 0.0))
    return csr_matrix(
        (np.concatenate([first, second]), (np.tile(row, 2), np.concatenate([here, there]))),
        shape=(n, n),
    )


def multiplications(L: int) -> list[Any]:
    """Multiplication by Y_1, ..., Y_8 (degrees 1 and 2) on degree L, products truncated to it.

    Products of two coordinates are formed in degree L + 1, so that only the truncation errs.
    """
    x, y, z = coordinates(L)
    n = (L + 1) ** 2
    one, two = (3 / (4 * np.pi)) ** 0.5, 0.5 * (15 / np.pi) ** 0.5
    first = [one * y[:n], one * z[:n], one * x[:n]]
    vertical = 0.5 * (5 / (4 * np.pi)) ** 0.5 * (2 * z.T @ z - x.T @ x - y.T @ y)
    products = two * x.T @ y, two * y.T @ z, vertical, two * x.T @ z
    return [*first, *products, 0.5 * two * (x.T @ x - y.T @ y)]


@dataclass(frozen=True, eq=False)
class Drifts:
    """The eight maps c -> div(mu grad Y_k) in coefficients, k = 1, ..., 8, as runs along diagonals.

    Coefficients are ordered by |m| and then by l (cosines, then sines): `order` (n,) gives their
    numbers l^2 + l + m in that order. A multiplication then shifts whole blocks. Run r of map k
    adds values[at : at + length] * c[column : column + length] to the entries from `row` on; its
    row of `runs` (R, 5) is k - 1, row, column, at, length.
    """

    order: Index
    runs: Index
    values: Array


@lru_cache(maxsize=8)
def drifts(L: int) -> Drifts:
    """The maps of degree L, from div(mu grad V) = (Lap(mu V) + mu Lap V - V Lap mu)/2.

    For V of degree l the entries are those of multiplication by V times (lam_i - l(l + 1) -
    lam_j)/2, lam = -degree (degree + 1).
    """
    l = degrees(L)
    m = np.arange(len(l)) - l * l - l
    order = np.lexsort((l, abs(m), m < 0))
    place = np.argsort(order)
    lam = -l * (l + 1.0)
    table = []
    for k, M in enumerate(multiplications(L)):
        M = M.tocoo()
        size = 0.5 * (lam[M.row] - (2.0 if k < 3 else 6.0) - lam[M.col]) * M.data
        some = np.abs(size) > 1e-14
        row, col = place[M.row[some]], place[M.col[some]]
        table.append((np.full(len(row), k), row, col, size[some]))
    kind, row, col, size = (np.concatenate(part) for part in zip(*table, strict=True))
    return Drifts(order, *_runs(kind, row, col, size))


def _runs(kind: Index, row: Index, col: Index, size: Array) -> tuple[Index, Array]:
    """Runs along diagonals; gaps of up to GAP entries are bridged by zeros."""
    turn = np.lexsort((row, col - row, kind))
    kind, row, col, size = kind[turn], row[turn], col[turn], size[turn]
    step = np.diff(row)
    same = (np.diff(kind) == 0) & (np.diff(col - row) == 0) & (step <= GAP + 1)
    first = np.concatenate([[0], np.flatnonzero(~same) + 1])
    last = np.append(first[1:], len(row)) - 1
    length = row[last] - row[first] + 1
    at = np.concatenate([[0], np.cumsum(length)[:-1]])
    values = np.zeros(int(length.sum()))
    run = np.repeat(np.arange(len(first)), last - first + 1)
    values[at[run] + row - row[first][run]] = size
    runs = np.stack([kind[first], row[first], col[first], at, length], 1)
    return np.ascontiguousarray(runs.astype(np.int64)), values
