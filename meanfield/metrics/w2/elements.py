"""Bounds of W2^2 from both sides where a density is involved: exact transport of its small pieces.

The density's cells are cut into small elements. Sending each element as the optimal plan sends its
middle is a plan between the measures, whose cost bounds W2^2 from above.

For the lower bound, let g(x) = min_j (c(x, y_j) - v_j) with the plan's prices v. The curvature of
tori and spheres is not negative, so that c (d^2 or the squared chord), and with it g, bends no more
than on a plane: along a geodesic of length L from p to q

    g((1 - t) p + t q) >= (1 - t) g(p) + t g(q) - t (1 - t) L^2.

The mean of g over an element's corners, less a multiple of L^2, is thus a lower bound of its mean
over the element, and gives one of the dual value of v. The two bounds come together like the square
of the elements' width. On S^2 means over triangles are by quadrature: there the bounds hold up to
the third order in that width.

Against atoms, W2^2 itself is seen much more closely than its bounds. They err where an element
straddles a border between two atoms' shares, at which grad g jumps by J. Borders lie anywhere in
the elements they cross, and in the mean over all places the upper bound errs by J/2 times the
variance of the element's points across the border, the lower one by J/2 times the variance of its
corners less that of its points: 2 times as much for boxes, 3 times for triangles. What a cost
bends less than on a plane counts in the same parts for boxes. `estimate` weighs the bounds by that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, warn
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Index
from meanfield.metrics.w2.costs import arc_costs, ground_cost, tree_order
from meanfield.metrics.w2.result import Transport
from meanfield.metrics.w2.sparse import Atoms, Points, cheapest_arcs, sparse_transport
from meanfield.metrics.w2.sphere_diagram import arcs
from meanfield.sums import total

ENOUGH = 2e-4  # the bounds' distance, relative, at which refinement ends
WIDE = 0.01  # the distance, relative, that is warned of
MOST = 20_000  # elements
FEWEST = 2_000
LIGHT = 1e-18  # of the heaviest cell: cells lighter than this are left out


class Elements(NamedTuple):
    """N small pieces of a density, each with its mass spread evenly.

    points (N, a): their middles; masses (N,); corners (N, k, a), all of one weight in the mean of a
    linear function. The mean of g over an element is at least that over its corners less slack
    (N,). The mean of a cost over an element is at most sum_q weights[q] c(samples[q], .) + spread,
    with samples (N, Q, a), weights (N, Q) and spread (N,).
    """

    points: Array
    masses: Array
    corners: Array
    slack: Array
    samples: Array
    weights: Array
    spread: Array


@dataclass(frozen=True)
class Bracket:
    """lower <= W2^2 <= upper, by a number of elements.

    prices v (m,): those of the atoms; residual: the error of the plan's marginals.
    """

    lower: float
    upper: float
    elements: int
    prices: Array
    residual: float


def transport_by_elements(a: Measure, b: Measure, metric: str, why: str = "") -> Transport:
    """W2^2 by bounds of it, for two measures of which at least one is a density.

    why: what the note begins with. Bounds more than 1% apart warn UnderResolved. Raises ValueError
    for manifolds and meshes without elements.
    """
    M = a.manifold
    if isinstance(a, Density) and isinstance(b, Density):
        if not isinstance(M, Torus):
            raise ValueError(
                f"metric='extrinsic' between two densities is for tori, not {M}; they are taken "
                "as atoms at their nodes with method='discrete'"
            )
        if a.mesh.same(b.mesh) and np.array_equal(a.masses, b.masses):
            return Transport.exactly(0.0, "elements")
        sides = bracket_densities(a, b, metric)
        squared, place = 0.5 * (sides.lower + sides.upper), "midway"
    else:
        if not (isinstance(M, Torus) or (isinstance(M, Sphere) and M.d == 2)):
            raise ValueError(
                f"metric='extrinsic' between atoms and a density is for tori and S^2, not {M}; "
                "densities are taken as atoms at their nodes with method='discrete'"
            )
        atoms, density = (a, b) if isinstance(b, Density) else (b, a)
        sides = bracket(atoms, density, metric)  # type: ignore[arg-type]
        squared, place = estimate(sides, M), "weighed"
    note = f"{why}{place} between bounds from elements of the density"
    gap = (sides.upper - sides.lower) / sides.upper if sides.upper > 0 else 0.0
    if gap > WIDE:
        warn(f"W2^2 is known only between bounds {gap:.1%} apart ({note})")
    return Transport(squared, "elements", False, note, sides.lower, sides.upper, sides.residual)


def estimate(sides: Bracket, manifold: Manifold) -> float:
    """W2^2 between atoms and a density, nearer to the upper bound as the lower one errs by more."""
    times = 3 if isinstance(manifold, Sphere) else 2
    return (times * sides.upper + sides.lower) / (times + 1)


def bracket(atoms: Measure, density: Density, metric: str = "geodesic") -> Bracket:
    """Bounds of W2^2 between atoms and a density on a torus or S^2.

    Elements are refined until the bounds are 2e-4 apart, relatively, or finer ones would be more
    than MOST. Raises ValueError for meshes other than the equidistant grid and Voronoi cells,
    NotConverged.
    """
    parts = parts_for(density, wanted(atoms))
    return _refined(lambda r: bounds(atoms, cut(density, r * parts), metric), density.manifold.dim)


def bracket_densities(a: Density, b: Density, metric: str = "geodesic") -> Bracket:
    """Bounds of W2^2 between two densities on a torus, refined as in `bracket`."""
    torus, (m, n) = a.manifold, (parts_for(density, FEWEST) for density in (a, b))
    return _refined(
        lambda r: bounds_densities(cut(a, r * m), cut(b, r * n), torus, metric), torus.dim
    )


def _refined(bounds_at: Callable[[int], Bracket], dim: int) -> Bracket:
    """The bounds by elements 1, 2, 4, ... times as fine, until these are enough or too many."""
    finer = 1
    while True:
        sides = bounds_at(finer)
        near = sides.upper - sides.lower <= ENOUGH * sides.upper
        if near or sides.elements * 2**dim > MOST:
            return sides
        finer *= 2


def wanted(atoms: Measure) -> int:
    """Elements to begin with: four an atom, if these are not too many."""
    return min(max(FEWEST, 4 * len(atoms)), MOST)


def parts_for(density: Density, elements: int) -> int:
    """Parts of a cell's width for at least so many elements, if all cells were as heavy."""
    charged = int(np.count_nonzero(density.masses > LIGHT * density.masses.max()))
    per_cell = 6 if isinstance(density.manifold, Sphere) else 1
    return max(1, int(np.ceil((elements / (charged * per_cell)) ** (1 / density.manifold.dim))))


def bounds(atoms: Measure, elements: Elements, metric: str) -> Bracket:
    """Both bounds, from the optimal plan between the elements' middles and the atoms."""
    M, charged = atoms.manifold, atoms.masses > 0
    y, q = atoms.points[charged], atoms.masses[charged]
    ground = ground_cost(M, metric)
    plan = sparse_transport(Atoms(elements.points, elements.masses, M), Atoms(y, q, M), ground)
    upper = total(plan.masses, elements.spread[plan.tails])
    for k in range(elements.samples.shape[1]):
        x = np.ascontiguousarray(elements.samples[:, k])
        cost = arc_costs(x, y, plan.tails, plan.heads, ground)
        upper += total(plan.masses, elements.weights[plan.tails, k] * cost)
    prices = np.full(len(atoms), -np.inf)
    prices[charged] = plan.v
    lower = dual_bound(atoms, elements, prices, metric)
    return Bracket(min(lower, upper), upper, len(elements.masses), prices, plan.residual)


def dual_bound(atoms: Measure, elements: Elements, prices: Array, metric: str) -> float:
    """A lower bound of the dual value of any prices (m,), hence of W2^2; never below zero."""
    charged = atoms.masses > 0
    q, v = atoms.masses[charged] / atoms.masses.sum(), prices[charged]
    u = _least_costs(elements.corners, atoms.points[charged], v, atoms.manifold, metric)
    return max(total(elements.masses, u.mean(1) - elements.slack) + total(q, v), 0.0)


def bounds_densities(first: Elements, second: Elements, torus: Manifold, metric: str) -> Bracket:
    """Both bounds from elements of two densities on a torus.

    Prices u, v with u + v <= c at the corners, taken as linear in between and less either side's
    slack, satisfy it everywhere, for c(x, y) bends along a segment in the product as along x - y.
    """
    senders, receivers = (Atoms(e.points, e.masses, torus) for e in (first, second))
    plan = sparse_transport(senders, receivers, ground_cost(torus, metric))
    upper = plan.value + sum(total(e.masses, e.spread) for e in (first, second))
    v = _least_costs(second.corners, first.points, plan.u, torus, metric)
    nodes = second.corners.reshape(-1, second.corners.shape[2])
    u = _least_costs(first.corners, nodes, v.ravel(), torus, metric)
    lower = sum(total(e.masses, g.mean(1) - e.slack) for e, g in ((first, u), (second, v)))
    elements = max(len(first.masses), len(second.masses))
    return Bracket(min(max(lower, 0.0), upper), upper, elements, plan.v, plan.residual)


def _least_costs(corners: Array, y: Array, v: Array, manifold: Manifold, metric: str) -> Array:
    """g = min_j (c(x, y_j) - v_j) at corners (N, k, a) against points y (m, a), shape (N, k)."""
    order, x = tree_order(y), corners.reshape(-1, corners.shape[2])
    flat, ground = np.zeros(y.shape), ground_cost(manifold, metric)
    g, _ = cheapest_arcs(x, Points(y[order]), v[order], flat, ground, 1)
    return g.reshape(corners.shape[:2])


def cut(density: Density, parts: int) -> Elements:
    """Elements of a density: its heaviest cells in parts^dim pieces, lighter ones in fewer.

    A cell's errors go like its mass over parts^2, its cost in work like parts^dim.
    """
    mass = density.masses / density.masses.sum()
    charged = np.flatnonzero(mass > LIGHT * mass.max())
    share = (mass[charged] / mass.max()) ** (1 / (2 + density.manifold.dim))
    each = np.maximum(1, np.rint(parts * share)).astype(int)
    cut_in = boxes if isinstance(density.manifold, Torus) else triangles
    pieces = [cut_in(density, charged[each == r], int(r)) for r in np.unique(each)]
    joined = Elements(*map(np.concatenate, zip(*pieces, strict=True)))
    return joined._replace(masses=joined.masses / joined.masses.sum())


def boxes(density: Density, cells: Index, parts: int) -> Elements:
    """Each of some cells of the equidistant grid of a torus in parts^d boxes."""
    mesh, torus = density.mesh, density.manifold
    if mesh.shape is None or not isinstance(torus, Torus):
        raise ValueError(f"cells are cut on equidistant grids of tori (meanfield.mesh), got {mesh}")
    h = torus.period / np.array(mesh.shape)
    steps = (np.arange(parts) + 0.5) / parts - 0.5
    offsets = np.stack(np.meshgrid(*[steps] * torus.d, indexing="ij"), -1).reshape(-1, torus.d) * h
    signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * torus.d, indexing="ij"), -1).reshape(-1, torus.d)
    points = (mesh.nodes[cells, None] + offsets).reshape(-1, torus.d)
    corners = torus.wrap(points[:, None] + signs * (h / parts))
    points = torus.wrap(points)
    masses = np.repeat(density.masses[cells] / parts**torus.d, parts**torus.d)
    square, one = float(np.sum((h / parts) ** 2)), np.ones(len(points))
    samples, weights = points[:, None], one[:, None]
    return Elements(points, masses, corners, square / 6 * one, samples, weights, square / 12 * one)


# Quadrature of degree five on a triangle (Radon 1948): barycentric coordinates and weights.
NEAR, FAR = (6 - 15**0.5) / 21, (6 + 15**0.5) / 21
RADON = np.array(
    [[1 / 3] * 3, *(np.roll([1 - 2 * c, c, c], k) for c in (NEAR, FAR) for k in range(3))]
)
RADON_WEIGHTS = np.array([9 / 40, *[(155 - 15**0.5) / 1200] * 3, *[(155 + 15**0.5) / 1200] * 3])


def triangles(density: Density, cells: Index, parts: int) -> Elements:
    """Each of some Voronoi cells of S^2 in triangles around its node, each in parts^2."""
    mesh = density.mesh
    if mesh.radius is None:
        raise ValueError(
            f"cells on S^2 are cut where they are Voronoi cells (meanfield.mesh), got {mesh}"
        )
    pairs, a, b = arcs(mesh.nodes, "the mesh")
    owner = pairs.T.ravel()
    fans = np.stack([mesh.nodes[owner], np.tile(a, (2, 1)), np.tile(b, (2, 1))], 1)
    chosen = np.isin(owner, cells)
    owner, fans = owner[chosen], fans[chosen]
    flat = np.einsum("tkc,nca->ntka", _parts(parts), fans).reshape(-1, 3, 3)
    owner = np.repeat(owner, parts * parts)
    corners = flat / np.linalg.norm(flat, axis=2, keepdims=True)
    samples, weights = _on_sphere(corners)
    area = weights.sum(1)
    masses = density.masses[owner] * area / np.bincount(owner, area, len(mesh))[owner]
    weights = weights / area[:, None]
    middles = np.einsum("nq,nqa->na", weights, samples)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    sides = corners - np.roll(corners, 1, axis=1)
    long = (2 * np.arcsin(0.5 * np.linalg.norm(sides, axis=2))) ** 2
    return Elements(
        middles, masses, corners, long.sum(1) / 12, samples, weights, np.zeros(len(masses))
    )


def _parts(parts: int) -> Array:
    """Barycentric corners (parts^2, 3, 3) of a triangle's equal parts."""
    i, j = (c.ravel() for c in np.meshgrid(np.arange(parts), np.arange(parts), indexing="ij"))
    up, down = i + j < parts, i + j < parts - 1
    local = [
        [(i[up], j[up]), (i[up] + 1, j[up]), (i[up], j[up] + 1)],
        [(i[down] + 1, j[down]), (i[down] + 1, j[down] + 1), (i[down], j[down] + 1)],
    ]
    corners = [
        np.stack([np.stack([parts - u - v, u, v], 1) for u, v in three], 1) for three in local
    ]
    return np.concatenate(corners) / parts


def _on_sphere(corners: Array) -> tuple[Array, Array]:
    """Nodes (N, 7, 3) and weights (N, 7) of integrals over spherical triangles.

    They are those of the flat triangles, projected.
    """
    flat = np.einsum("qc,nca->nqa", RADON, corners)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    far = np.linalg.norm(flat, axis=2)
    # An area dA of a plane at distance D from the middle shows from there as D dA / r^3.
    solid = 0.5 * np.abs(np.sum(normal * corners[:, 0], axis=1))
    return flat / far[..., None], RADON_WEIGHTS * solid[:, None] / far**3
