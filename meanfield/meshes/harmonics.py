"""Real spherical harmonics on S^2: their values, and projections by the product quadrature.

Y_lm is orthonormal, number l^2 + l + m of its degree's list; for m > 0 it goes as cos(m phi), for m
< 0 as sin(|m| phi), all without the phase (-1)^m: Y_1,1 = sqrt(3/4 pi) x_1, Y_1,-1 the same of x_2.
A probability measure has the coefficients c_lm = int Y_lm dmu, c_00 = 1/sqrt(4 pi).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from meanfield.checks import Array
from meanfield.meshes.base import Index, Mesh

ROWS = 1 << 11  # points at a time
FEW = 1 << 23  # harmonics times nodes up to which their values are kept: 64 MB


def degrees(L: int) -> Array:
    """The degree l of each of the (L + 1)^2 harmonics."""
    return np.repeat(np.arange(L + 1), 2 * np.arange(L + 1) + 1)


def factors(L: int) -> Array:
    """a_lm = sqrt((l^2 - m^2) / (4 l^2 - 1)) for 0 <= m <= l <= L.

    With them x_3 Y_lm = a_(l+1)m Y_(l+1)m + a_lm Y_(l-1)m.
    """
    l, m = np.arange(L + 1.0)[:, None], np.arange(L + 1.0)[None, :]
    return np.sqrt(np.maximum(l**2 - m**2, 0.0) / np.abs(4 * l**2 - 1))


@lru_cache(maxsize=8)
def orders(L: int) -> tuple[Index, Index]:
    """l and m of the harmonics with m >= 0."""
    l = np.repeat(np.arange(L + 1), np.arange(1, L + 2))
    return l, np.arange(len(l)) - l * (l + 1) // 2


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
    turn = np.broadcast_to(points[:, :1] + 1j * points[:, 1:2], (len(points), L))
    np.cumprod(turn, axis=1, out=power[:, 1:])
    power[:, 1:] *= 2**0.5
    a, top = factors(L), (4 * np.pi) ** -0.5
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
    parts = [values(points[i : i + ROWS], L) @ c for i in range(0, len(points), ROWS)]
    return np.concatenate(parts)


def at_nodes(c: Array, on: Mesh) -> Array:
    """sum c_lm Y_lm at a mesh's nodes (N,); for the many densities of one run."""
    if len(on) * len(c) < FEW:
        return _at_nodes(on, round(len(c) ** 0.5) - 1) @ c
    return evaluate(c, on.nodes)


@lru_cache(maxsize=2)
def _at_nodes(on: Mesh, L: int) -> Array:
    return values(on.nodes, L)


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
def quadrature(n: int) -> tuple[Array, Array]:
    """Points (2 n^2, 3) and weights (2 n^2,), exact to degree 2n - 1.

    Gauss-Legendre in x_3, equidistant around.
    """
    z, w = _gauss(n)
    phi = np.arange(2 * n) * (np.pi / n)
    s = np.sqrt((1 - z) * (1 + z))
    around, up = (np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi))), np.outer(z, np.ones(2 * n))
    points = np.stack([*around, up], -1)
    return points.reshape(-1, 3), np.repeat(w * (np.pi / n), 2 * n)


def of_values(f: Array, L: int) -> Array:
    """Coefficients ((L + 1)^2,) of a function by its values (2 n^2,) at `quadrature(n)`, n > L."""
    n = round((len(f) / 2) ** 0.5)
    _, w = _gauss(n)
    waves = np.fft.rfft(f.reshape(n, 2 * n), axis=1)[:, : L + 1] * (w * (np.pi / n))[:, None]
    table, starts, up, down = by_order(n, L)
    north, south = waves[n // 2 :][::-1], waves[: (n + 1) // 2].copy()
    south[n // 2 :] = 0.0  # the equator is taken once
    c = np.empty((L + 1) ** 2)
    for m in range(L + 1):
        for odd, half in enumerate((north[:, m] + south[:, m], north[:, m] - south[:, m])):
            k = slice(*starts[2 * m + odd : 2 * m + odd + 2])
            c[down[k]], c[up[k]] = -(table[k] @ half.imag), table[k] @ half.real
    return c


@lru_cache(maxsize=16)
def by_order(n: int, L: int) -> tuple[Array, Index, Index, Index]:
    """The harmonics with m >= 0 by order, those even in x_3 first: their values at phi = 0 and the
    Gauss points from the north pole to the equator, which are the factors of cos(m phi) and
    sin(m phi); where an order's even and odd ones start; their numbers, and those of their mirror
    images -m.
    """
    l, m = orders(L)
    which = 2 * m + (l - m) % 2
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(2 * L + 3))
    z = _gauss(n)[0][n // 2 :][::-1]
    points = np.stack([np.sqrt((1 - z) * (1 + z)), np.zeros(len(z)), z], 1)
    up, down = (l * l + l + m)[order], (l * l + l - m)[order]
    return np.ascontiguousarray(values(points, L)[:, up].T), starts, up, down
