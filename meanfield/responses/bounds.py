"""Lower bounds of costs on tori: of trigonometric polynomials, and by cutting cells."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import TrigBasis

TIGHT = 1e-10  # gap wanted of a tight bound, relative to the sum of amplitudes
CELLS = 1 << 17  # cells looked at in all before the search for a tight bound stops
LEVELS = 40
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

    def bound(x: Array, r: float) -> Array:
        value, g = basis.values(x) @ c, basis.gradient(x, c)
        low = value - r * np.abs(g).sum(axis=1) - 0.5 * bend * r * r
        left = np.flatnonzero(low < target)
        bowl = least_in_cell(g[left], basis.hessian(x[left], c), r)
        low[left] = np.maximum(low[left], value[left] + bowl - twist * r**3 / 6)
        return low

    r = 0.5 * basis.manifold.period / side
    return cut_cells(bound, points, values - slope * r, r, target, CELLS)


def cut_cells(
    bound: Callable[[Array, float], Array],
    x: Array,
    low: Array,
    r: float,
    target: float,
    budget: int,
) -> float:
    """A lower bound of a function over cells: the target or, where the budget ends, a smaller one.

    The cells have centres x (n, d) and half width r; the function is at least low (n,) and
    bound(x, r) in them. Cells that cannot lie below the target are dropped, the others cut in 2^d,
    until none is left or `budget` cells have been bounded.
    """
    corners = np.array(list(product((-0.5, 0.5), repeat=x.shape[1])))
    x, low = x[low < target], low[low < target]
    for _ in range(LEVELS):
        budget -= len(x)
        if not len(x) or budget < 0:
            break
        low = np.maximum(low, bound(x, r))
        left = low < target
        low = np.repeat(low[left], len(corners))
        x = (x[left][:, None] + r * corners).reshape(-1, x.shape[1])
        r *= 0.5
    return min(target, float(low.min())) if len(low) else target


def least_in_cell(g: Array, H: Array, r: float) -> Array:
    """A lower bound of g.s + s'Hs/2 over |s_i| <= r, for rows g (n, d), H (n, d, d).

    By the parabolas along the axes of H.
    """
    bend, axes = np.linalg.eigh(H)
    slope = np.einsum("nji,nj->ni", axes, g)
    return least_on_interval(slope, bend, r * np.sqrt(g.shape[1])).sum(axis=1)


def least_on_interval(slope: Array, bend: Array, r: float) -> Array:
    """min over |s| <= r of slope s + bend s^2/2, entry by entry."""
    slope = np.abs(slope)
    inside = (bend > 0) & (slope < bend * r)
    edge = -slope * r + 0.5 * bend * r**2
    return np.where(inside, -(slope**2) / (2 * np.where(inside, bend, 1.0)), edge)
