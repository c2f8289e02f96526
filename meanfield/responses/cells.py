"""Tori and spheres cut into cells, until a lower bound is proven in each.

Charts are cubes [-1, 1]^d: one maps to the whole torus, and the 2(d + 1) faces of a cube around the
sphere S^d to that by central projection. A cell is a box in a chart; what is proven of it is proven
on the geodesic ball that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from meanfield.checks import Array
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.manifolds import Sphere, Torus

LEVELS = 40
BLOCK = 1 << 19  # operations that are done at a time, for 8 to 256 cells
WORK = 1 << 18  # operations that are worth a thread
# Boxes along an axis of a chart to begin with, by dimension.
FIRST = {Torus: {1: 64, 2: 32, 3: 8}, Sphere: {1: 16, 2: 8, 3: 4}}
WIDER = 1 + 2.0**-40  # so that no rounding leaves a gap between cells


@dataclass(frozen=True, eq=False)
class Balls:
    """Geodesic balls: centres (n, a), radii (n, 1), and half widths (n, a) of boxes around them.

    The boxes, in the coordinates of the manifold, hold the cells (on spheres the balls).
    """

    centres: Array
    radii: Array
    widths: Array


def can_be_cut(manifold: object) -> bool:
    """Whether there are cells for it."""
    return getattr(manifold, "dim", 0) in FIRST.get(type(manifold), {})  # type: ignore[call-overload]


def cut(
    manifold: Torus | Sphere,
    bound: Callable[[Balls], Array],
    target: float,
    budget: int,
    work: int = 0,
) -> float:
    """A lower bound of a function on the manifold: the target or what the budget of cells proves.

    The function is at least bound(balls) (n,) on each of the balls. work: operations that a ball
    takes, for bounds that threads may find together.
    """
    n, d = FIRST[type(manifold)][manifold.dim], manifold.dim
    side = (2 * np.arange(n) + 1.0) / n - 1
    charts = range(1 if isinstance(manifold, Torus) else 2 * (d + 1))
    x = np.array([[*u, k] for k in charts for u in product(side, repeat=d)])

    def bounded(x: Array, r: float) -> Array:
        def of(s: slice) -> Array:
            return bound(balls(manifold, x[s, :d], x[s, d].astype(int), r))

        # Blocks depend on the work alone: sums have the same bits for any number of threads.
        size = min(max(BLOCK // work, 8), 256) if work else len(x)
        blocks = shares(len(x), -(-len(x) // size))
        return np.concatenate(by_threads(of, blocks, threads_worth(len(x) * work, WORK)))

    return cut_cells(bounded, x, np.full(len(x), -np.inf), 1.0 / n, target, budget, d)


def balls(manifold: Torus | Sphere, u: Array, charts: Array, r: float) -> Balls:
    """The balls around boxes of half width r at u (n, d) in charts (n,)."""
    r *= WIDER
    if isinstance(manifold, Torus):
        half = 0.5 * manifold.period
        widths = np.full(u.shape, half * r)
        return Balls(half * (1 + u), np.sqrt(manifold.d) * widths[:, :1], widths)
    corners = u[:, None] + r * np.array(list(product((-1, 1), repeat=u.shape[1])))
    centres, corners = on_sphere(u[:, None], charts), on_sphere(corners, charts)
    # A cell is the convex hull of its corners, and so are balls of less than a quarter turn convex.
    radii = WIDER * manifold.distance(centres, corners).max(axis=1, keepdims=True)
    c = centres[:, 0]
    across = np.sqrt(np.maximum(1 - c * c, 0.0))
    widths = np.abs(c) * (1 - np.cos(radii)) + across * np.sin(radii)
    return Balls(c, radii, WIDER * widths)


def on_sphere(u: Array, charts: Array) -> Array:
    """Points (n, m, d + 1) of the sphere from those (n, m, d) on faces (n,) of the cube."""
    d = u.shape[-1]
    axis, sign = charts % (d + 1), np.where(charts > d, -1.0, 1.0)
    x = np.empty((*u.shape[:-1], d + 1))
    for k in range(d + 1):
        on = axis == k
        x[on, :, k] = sign[on, None]
        x[np.ix_(on, np.arange(u.shape[1]), np.delete(np.arange(d + 1), k))] = u[on]
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cut_cells(
    bound: Callable[[Array, float], Array],
    x: Array,
    low: Array,
    r: float,
    target: float,
    budget: int,
    d: int | None = None,
) -> float:
    """A lower bound of a function over cells: the target or, where the budget ends, a smaller one.

    The cells have centres x (n, d), followed by numbers that stay, and half width r; the function
    is at least low (n,) and bound(x, r) in them. Cells that cannot lie below the target are
    dropped, the others cut in 2^d, until none is left or `budget` cells have been bounded.
    """
    d = x.shape[1] if d is None else d
    corners = np.zeros((2**d, x.shape[1]))
    corners[:, :d] = list(product((-0.5, 0.5), repeat=d))
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


def least_in_ball(g: Array, H: Array, r: Array) -> Array:
    """A lower bound of g.s + s'Hs/2 over |s| <= r, for rows g (n, d), H (n, d, d), r (n, 1).

    By the parabolas along the axes of H.
    """
    bend, axes = np.linalg.eigh(H)
    slope = np.einsum("nji,nj->ni", axes, g)
    return least_on_interval(slope, bend, r).sum(axis=1)


def least_on_interval(slope: Array, bend: Array, r: float | Array) -> Array:
    """min over |s| <= r of slope s + bend s^2/2, entry by entry."""
    slope = np.abs(slope)
    inside = (bend > 0) & (slope < bend * r)
    edge = -slope * r + 0.5 * bend * r**2
    return np.where(inside, -(slope**2) / (2 * np.where(inside, bend, 1.0)), edge)
