"""Real spherical harmonics on S^2: values, projections, and multiplication by polynomials of degree
2.

Y_lm is orthonormal, number l^2 + l + m of its degree's list; for m > 0 it goes as cos(m phi), for m
< 0 as sin(|m| phi), all without the phase (-1)^m: Y_1,1 = sqrt(3/4 pi) x_1, Y_1,-1 the same of x_2.
A probability measure has the coefficients c_lm = int Y_lm dmu, c_00 = 1/sqrt(4 pi).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.meshes import Index

GAP = 4
ROWS = 1 << 11  # points at a time


def degrees(L: int) -> Array:
    """The degree l of each of the (L + 1)^2 harmonics."""
    return np.repeat(np.arange(L + 1), 2 * np.arange(L + 1) + 1)


def _ladder(L: int) -> Array:
    """a_lm = sqrt((l^2 - m^2) / (4 l^2 - 1)) for 0 <= m <= l <= L: x_3 Y_lm = a_(l+1)m Y_(l+1)m +
    a_lm Y_(l-1)m.
    """
    l, m = np.arange(L + 1.0)[:, None], np.arange(L + 1.0)[None, :]
    return np.sqrt(np.maximum(l**2 - m**2, 0.0) / np.abs(4 * l**2 - 1))


def values(points: Array, L: int) -> Array:
    """Y_lm at points (n, 3), shape (n, (L + 1)^2).

    Y_lm = Q_lm(x_3) Re or Im (x_1 + i x_2)^m by the normalised three-term recurrence in l, which is
    stable upwards; no division by sin(theta), so that poles are points like any other.
    """
    out = np.empty((len(points), (L + 1) ** 2))
    for i in range(0, len(points), ROWS):
        _fill(points[i : i + ROWS], L, out[i : i + ROWS])
    return out


def _fill(points: Array, L: int, out: Array) -> None:
    z = points[:, 2:]
    power = np.ones((len(points), L + 1), dtype=complex)
    np.cumprod(
        np.broadcast_to(points[:, :1] + 1j * points[:, 1:2], (len(points), L)),
        axis=1,
        out=power[:, 1:],
    )
    power[:, 1:] *= 2**0.5
    a, top = _ladder(L), (4 * np.pi) ** -0.5
    old, now = np.zeros((len(points), 0)), np.zeros((len(points), 0))
    for l in range(L + 1):
        new = np.empty((len(points), l + 1))
        new[:, :l] = z * now
        new[:, : l - 1] -= a[l - 1, : l - 1] * old if l > 1 else 0.0
        new[:, :l] /= a[l, :l]
        new[:, l] = top
        top *= np.sqrt((2 * l + 3) / (2 * l + 2))
        out[:, l * l + l : l * l + 2 * l + 1] = new * power[:, : l + 1].real
        out[:, l * l : l * l + l] = (new[:, 1:] * power[:, 1 : l + 1].imag)[:, ::-1]
        old, now = now, new


def evaluate(c: Array, points: Array) -> Array:
    """sum c_lm Y_lm at points (n, 3), shape (n,)."""
    L = round(len(c) ** 0.5) - 1
    return np.concatenate(
        [values(points[i : i + ROWS], L) @ c for i in range(0, len(points), ROWS)]
    )


def of_atoms(points: Array, masses: Array, L: int) -> Array:
    """sum_i masses_i Y_lm(points_i), shape ((L + 1)^2,)."""
    parts = (
        masses[i : i + ROWS] @ values(points[i : i + ROWS], L) for i in range(0, len(points), ROWS)
    )
    return np.sum(list(parts), axis=0)


@lru_cache(maxsize=8)
def _gauss(n: int) -> tuple[Array, Array]:
    z, w = np.polynomial.legendre.leggauss(n)
    return z, w


@lru_cache(maxsize=4)
def _meridian(n: int, L: int) -> Array:
    """Y_lm at phi = 0 and the n Gauss points: for m > 0 the factor of cos(m phi), and of sin for
    -m.
    """
    z, _ = _gauss(n)
    return values(np.stack([np.sqrt((1 - z) * (1 + z)), np.zeros(n), z], 1), L)


@lru_cache(maxsize=4)
def quadrature(n: int) -> tuple[Array, Array]:
    """Points (2 n^2, 3) and weights (2 n^2,): Gauss-Legendre in x_3, equidistant around; exact to
    degree 2n - 1.
    """
    z, w = _gauss(n)
    phi = np.arange(2 * n) * (np.pi / n)
    s = np.sqrt((1 - z) * (1 + z))
    points = np.stack(
        [np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(z, np.ones(2 * n))], -1
    )
    return points.reshape(-1, 3), np.repeat(w * (np.pi / n), 2 * n)


def of_values(f: Array, L: int) -> Array:
    """Coefficients ((L + 1)^2,) of a function by its values (2 n^2,) at `quadrature(n)`, n > L."""
    n = round((len(f) / 2) ** 0.5)
    _, w = _gauss(n)
    waves = np.fft.rfft(f.reshape(n, 2 * n), axis=1) * (w * (np.pi / n))[:, None]
    meridian = _meridian(n, L)
    c = np.empty((L + 1) ** 2)
    for l in range(L + 1):
        found = np.sum(meridian[:, l * l + l : (l + 1) ** 2] * waves[:, : l + 1], axis=0)
        c[l * l + l : (l + 1) ** 2] = found.real
        c[l * l : l * l + l] = -found.imag[:0:-1]
    return c


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

    a = _ladder(L + 2)
    P = raised(-np.sqrt((l + m + 1) * (l + m + 2) / ((2 * l + 1) * (2 * l + 3))), 1, 1)
    P = P + raised(np.sqrt((l - m) * (l - m - 1) / np.abs((2 * l - 1) * (2 * l + 1))), -1, 1)
    Z = raised(a[l + 1, abs(m)], 1, 0) + raised(a[l, abs(m)], -1, 0)
    R = _real(l, m)
    found = []
    for M in ((P + P.T) / 2, (P - P.T) / 2j, Z):
        turned = (R.conj() @ M @ R.T).real[:, :inner].tocsr()
        turned.data[np.abs(turned.data) < 1e-15] = 0.0
        turned.eliminate_zeros()
        found.append(turned)
    return found


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

    Products of two coordinates are formed in degree L + 1 and brought back: exact up to the
    truncation.
    """
    x, y, z = coordinates(L)
    n = (L + 1) ** 2
    one, two = (3 / (4 * np.pi)) ** 0.5, 0.5 * (15 / np.pi) ** 0.5
    first = [one * y[:n], one * z[:n], one * x[:n]]
    vertical = 0.5 * (5 / (4 * np.pi)) ** 0.5 * (2 * z.T @ z - x.T @ x - y.T @ y)
    return [
        *first,
        two * x.T @ y,
        two * y.T @ z,
        vertical,
        two * x.T @ z,
        0.5 * two * (x.T @ x - y.T @ y),
    ]


@dataclass(frozen=True, eq=False)
class Drifts:
    """The eight maps c -> div(mu grad Y_k) in coefficients, k = 1, ..., 8, as runs along diagonals.

    Coefficients stand by |m| and, within one, by l (cosines, then sines): `order` (n,) gives their
    numbers l^2 + l + m in that order. Then what multiplies Y_lm shifts whole blocks, and run r of
    kind k adds values[at : at + length] * c[column : column + length] to the entries from `row` on:
    runs (R, 5) are k - 1, row, column, at, length.
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
        found = M.tocoo()
        size = 0.5 * (lam[found.row] - (2.0 if k < 3 else 6.0) - lam[found.col]) * found.data
        kept = np.abs(size) > 1e-14
        row, col = place[found.row[kept]], place[found.col[kept]]
        table.append((np.full(len(row), k), row, col, size[kept]))
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
