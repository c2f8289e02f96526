"""Lower bounds of trigonometric polynomials on tori."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import TrigBasis
from meanfield.responses.cells import cut_cells, least_in_ball

TIGHT = 1e-10  # gap wanted of a tight bound, relative to the sum of amplitudes
CELLS = 1 << 17  # cells looked at in all before the search for a tight bound stops
EPS = 2.0**-52


def ehlich_zeller(values: Array, side: int, degree: int, d: int) -> tuple[float, float]:
    """A lower bound of min U from U on side^d points, and how far U can fall below a node nearby.

    A trigonometric polynomial of degree K per angle, known on N > 2K points per axis with midrange
    c and half range g, stays within c +- g / cos(pi K/N)^d (Ehlich & Zeller 1964). By Bernstein's
    inequality each second derivative is at most K^2 times that. (-inf, inf) when N <= 2K.
    """
    if side <= 2 * degree:
        return -np.inf, np.inf
    low, high = float(values.min()), float(values.max())
    reach = 0.5 * (high - low) / float(np.cos(np.pi * degree / side)) ** d
    return 0.5 * (high + low) - reach, 0.5 * (d * np.pi * degree / side) ** 2 * reach


def branch_and_bound(
    basis: TrigBasis, c: Array, points: Array, values: Array, side: int, best: float
) -> float:
    """A lower bound of min U within 1e-10 of `best`, a value that U takes, if CELLS suffice.

    values: U at the side^d points. With amplitudes A_j, wave vectors w_j and
    B_k = sum_j A_j |w_j|_1^k, on the cell of half width r around x

        U >= U(x) - r B_1,
        U >= U(x) - r |grad U(x)|_1 - r^2/2 B_2,
        U >= min of the parabola - r^3/6 B_3;

    the last one keeps the cells along a valley few. The gap is 1e-10 sum A over the waves that are
    not constant.
    """
    a, b = np.split(c, 2)
    amplitude, size = np.hypot(a, b), np.abs(basis.waves).sum(axis=1)
    slope, bend, twist = (float(amplitude @ size**k) for k in (1, 2, 3))
    # A constant bends nothing; values are rounded with it.
    constant = float(amplitude[size == 0].sum())
    target = best - TIGHT * float(amplitude[size > 0].sum()) - 8 * EPS * constant

    reach = np.sqrt(basis.manifold.d)

    def bound(x: Array, r: float) -> Array:
        value, g = basis.values(x) @ c, basis.gradient(x, c)
        low = value - r * np.abs(g).sum(axis=1) - 0.5 * bend * r * r
        left = np.flatnonzero(low < target)
        bowl = least_in_ball(g[left], basis.hessian(x[left], c), reach * r)
        low[left] = np.maximum(low[left], value[left] + bowl - twist * r**3 / 6)
        return low

    r = 0.5 * basis.manifold.period / side
    return cut_cells(bound, points, values - slope * r, r, target, CELLS)
