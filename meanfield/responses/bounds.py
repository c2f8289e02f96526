"""Proofs from below for trigonometric polynomials on tori."""

from __future__ import annotations

from itertools import product

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import TrigBasis

TIGHT = 1e-10  # gap wanted of a tight bound, relative to the sum of amplitudes
CELLS = 1 << 17  # cells looked at in all before the search for a tight bound stops
LEVELS = 40
EPS = 2.0**-52


def ehlich_zeller(seen: Array, side: int, degree: int, d: int) -> tuple[float, float]:
    """A lower bound of min U from its values on side^d points, and how far a local minimum can lie
    below its node.

    A trigonometric polynomial of degree K per angle, seen on N > 2K points per axis with midrange c
    and half range g, stays within c +- g / cos(pi K/N)^d (Ehlich & Zeller 1964). By Bernstein's
    inequality each second derivative is at most K^2 times that. (-inf, inf) when N <= 2K.
    """
    if side <= 2 * degree:
        return -np.inf, np.inf
    low, high = float(seen.min()), float(seen.max())
    reach = 0.5 * (high - low) / float(np.cos(np.pi * degree / side)) ** d
    return 0.5 * (high + low) - reach, 0.5 * (d * np.pi * degree / side) ** 2 * reach


def branch_and_bound(
    basis: TrigBasis, c: Array, points: Array, seen: Array, side: int, best: float
) -> float:
    """A lower bound of min U within 1e-10 of `best`, a value that U takes, or as near as the budget
    brings it.

    With amplitudes A_j, wave vectors w_j and B_k = sum_j A_j |w_j|_1^k, on the cell of half width r
    around x

        U >= U(x) - r B_1,
        U >= U(x) - r |grad U(x)|_1 - r^2/2 B_2,
        U >= min of the parabola - r^3/6 B_3;

    the last one keeps the cells along a valley few. Cells that cannot lie below best - 1e-10 sum A,
    over the waves that are not constant, are dropped, the others cut in 2^d.
    """
    a, b = np.split(c, 2)
    amplitude, size = np.hypot(a, b), np.abs(basis.waves).sum(axis=1)
    slope, bend, twist = (float(amplitude @ size**k) for k in (1, 2, 3))
    # A constant bends nothing; values are rounded with it.
    constant = float(amplitude[size == 0].sum())
    target = best - TIGHT * float(amplitude[size > 0].sum()) - 8 * EPS * constant
    r = 0.5 * basis.manifold.period / side
    corners = np.array(list(product((-0.5, 0.5), repeat=basis.manifold.d)))
    low = seen - slope * r
    open_ = low < target
    x, value, low = points[open_], seen[open_], low[open_]
    budget = CELLS
    for _ in range(LEVELS):
        if not len(x):
            return target
        g = basis.gradient(x, c)
        low = np.maximum(low, value - r * np.abs(g).sum(axis=1) - 0.5 * bend * r * r)
        left = np.flatnonzero(low < target)
        bowl = parabola(g[left], basis.hessian(x[left], c), r)
        low[left] = np.maximum(low[left], value[left] + bowl - twist * r**3 / 6)
        open_ = low < target
        budget -= len(x) + (len(corners) - 1) * int(open_.sum())
        if budget < 0:
            break
        low = np.repeat(low[open_], len(corners))
        x = (x[open_][:, None] + r * corners).reshape(-1, x.shape[1])
        r *= 0.5
        value = basis.values(x) @ c
    return min(target, float(low.min())) if len(low) else target


def parabola(g: Array, H: Array, r: float) -> Array:
    """A lower bound of g.s + s'Hs/2 over |s_i| <= r, for rows g (n, d) and H (n, d, d): axis by
    axis of H.
    """
    bend, axes = np.linalg.eigh(H)
    slope = np.abs(np.einsum("nji,nj->ni", axes, g))
    reach = r * np.sqrt(g.shape[1])
    edge = -slope * reach + 0.5 * bend * reach**2
    inside = (bend > 0) & (slope < bend * reach)
    return np.where(inside, -(slope**2) / (2 * np.where(inside, bend, 1.0)), edge).sum(axis=1)
