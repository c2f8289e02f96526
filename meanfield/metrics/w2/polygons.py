"""Convex polygons in the plane: cut by lines, and integrals of a density on a periodic grid."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index


@kernel
def clip(
    P: Array, tags: Index, m: int, a: float, b: float, h: float, tag: int, Q: Array, names: Index
) -> int:
    """Write the part of a polygon P within a x + b y <= h to Q; its number of corners.

    Corners go counter-clockwise. tags[k] is the tag of P's edge from corner k to the next, names[k]
    that of Q's, `tag` that of the new edge.
    """
    out = 0
    s = a * P[m - 1, 0] + b * P[m - 1, 1] - h
    before = m - 1
    for k in range(m):
        after = a * P[k, 0] + b * P[k, 1] - h
        if (s <= 0.0) != (after <= 0.0):
            t = s / (s - after)
            Q[out, 0] = P[before, 0] + t * (P[k, 0] - P[before, 0])
            Q[out, 1] = P[before, 1] + t * (P[k, 1] - P[before, 1])
            names[out] = tag if s <= 0.0 else tags[before]
            out += 1
        if after <= 0.0:
            Q[out, 0], Q[out, 1], names[out] = P[k, 0], P[k, 1], tags[k]
            out += 1
        s, before = after, k
    return out


@kernel
def reaches(P: Array, m: int, a: float, b: float, h: float) -> bool:
    """Whether the line a x + b y = h cuts more of the polygon than rounding."""
    least = h + 1e-17 * (abs(h) + abs(a) + abs(b))
    for k in range(m):  # noqa: SIM110 - numba has no any() of a generator
        if a * P[k, 0] + b * P[k, 1] > least:
            return True
    return False


@kernel
def ball(P: Array, m: int) -> tuple[float, float, float]:
    """A point within the polygon and the distance of its farthest corner."""
    x = y = far = 0.0
    for k in range(m):
        x += P[k, 0]
        y += P[k, 1]
    x, y = x / m, y / m
    for k in range(m):
        far = larger(far, (P[k, 0] - x) ** 2 + (P[k, 1] - y) ** 2)
    return x, y, np.sqrt(far)


@kernel
def area_and_inertia(P: Array, m: int) -> tuple[float, float]:
    """Area and int |v|^2 dv of a convex polygon, by triangles from its first corner."""
    area = second = 0.0
    for k in range(1, m - 1):
        ax, ay = P[k, 0] - P[0, 0], P[k, 1] - P[0, 1]
        bx, by = P[k + 1, 0] - P[0, 0], P[k + 1, 1] - P[0, 1]
        A = 0.5 * (ax * by - ay * bx)
        sx, sy = P[0, 0] + P[k, 0] + P[k + 1, 0], P[0, 1] + P[k, 1] + P[k + 1, 1]
        squares = P[0, 0] ** 2 + P[0, 1] ** 2 + P[k, 0] ** 2 + P[k, 1] ** 2
        squares = squares + P[k + 1, 0] ** 2 + P[k + 1, 1] ** 2
        area += A
        second += A / 12 * (squares + sx * sx + sy * sy)
    return area, second


@kernel
def span(P: Array, m: int, axis: int, origin: float, count: int) -> tuple[int, int]:
    """First and last strip of the grid along an axis that the polygon meets."""
    low = high = P[0, axis]
    for k in range(1, m):
        low, high = smaller(low, P[k, axis]), larger(high, P[k, axis])
    return int(np.floor((low + origin) * count + 0.5)), int(np.floor((high + origin) * count + 0.5))


@kernel
def gather(P: Array, tags: Index, m: int, density: float, lengths: Array) -> tuple[float, float]:
    """Mass and second moment of a piece of constant density; its tagged edges add to `lengths`."""
    area, second = area_and_inertia(P, m)
    for k in range(m):
        if tags[k] >= 0:
            l = k + 1 if k + 1 < m else 0
            length = np.sqrt((P[l, 0] - P[k, 0]) ** 2 + (P[l, 1] - P[k, 1]) ** 2)
            lengths[tags[k]] += density * length
    return density * area, density * second


@kernel
def integrate(
    P: Array,
    tags: Index,
    m: int,
    x: float,
    y: float,
    density: Array,
    lengths: Array,
    work: Array,
    names: Index,
) -> tuple[float, float]:
    """Mass and int |v|^2 dmu of the cell P around (x, y); to `lengths` its edges' mass.

    Columns of the grid are cut off one after another, and squares from each column. Work space:
    work (6, r, 2), names (6, r).
    """
    mass = second = 0.0
    A, B = density.shape
    rest, rest_tags, left = P, tags, m
    c, last = span(P, m, 0, x, A)
    side = 0
    while True:
        col, col_tags, in_col = rest, rest_tags, left
        if c < last:
            at = (c + 0.5) / A - x
            in_col = clip(rest, rest_tags, left, 1.0, 0.0, at, -1, work[2], names[2])
            left = clip(rest, rest_tags, left, -1.0, 0.0, -at, -1, work[side], names[side])
            col, col_tags = work[2], names[2]
            rest, rest_tags = work[side], names[side]
            side = 1 - side
        if in_col >= 3:
            r, end = span(col, in_col, 1, y, B)
            while r < end and in_col >= 3:
                at = (r + 0.5) / B - y
                piece = clip(col, col_tags, in_col, 0.0, 1.0, at, -1, work[3], names[3])
                if piece >= 3:
                    more = gather(work[3], names[3], piece, density[c % A, r % B], lengths)
                    mass, second = mass + more[0], second + more[1]
                into = 4 + (r % 2)
                in_col = clip(col, col_tags, in_col, 0.0, -1.0, -at, -1, work[into], names[into])
                col, col_tags = work[into], names[into]
                r += 1
            if in_col >= 3:
                more = gather(col, col_tags, in_col, density[c % A, r % B], lengths)
                mass, second = mass + more[0], second + more[1]
        c += 1
        if c > last or left < 3:
            return mass, second
