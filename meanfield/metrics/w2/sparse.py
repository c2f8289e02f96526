"""Exact transport between many atoms: a network simplex on few arcs, its prices checked on all of
them.

The simplex optimises over arcs to near atoms and around the plan so far. A search through boxes
then finds every arc that is cheaper than its two prices, and the cheapest of them join. When there
is none the plan is optimal among all arcs, and weak duality says how nearly: with u_i = min_j (c_ij
- v_j),

    sum p_i u_i + sum q_j v_j <= W2^2 <= sum of masses times costs on the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Torus
from meanfield.meshes import Index

if TYPE_CHECKING:
    from meanfield.metrics.w2.costs import Boxes, Ground

TOTAL = 1 << 60  # a mass of one, in the integers that flows are counted in
NEAR = 8  # arcs from each atom to the nearest of the other measure
ROUNDS = 200
SMALL = 256  # atoms up to which all arcs are looked at
GROUP, COARSE_ROUNDS = 4, 4
TOLERANCE = 2e-15  # gain at which an arc enters, relative to the largest cost or price


@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan: masses (E,) sent from x_i to y_j for the pairs (tails, heads), and its
    prices.

    value: its cost; lower: the bound that the prices u (n,), v (m,) prove; residual: the sum of the
    marginals' errors; largest: the largest cost on the tree.
    """

    tails: Index
    heads: Index
    masses: Array
    u: Array
    v: Array
    value: float
    lower: float
    residual: float
    largest: float


class Atoms:
    """Points x (n, a) in the order of Morton's curve, with masses as whole numbers of total
    TOTAL.
    """

    def __init__(self, x: Array, counted: Index) -> None:
        self.x, self.counted = x, counted

    @cached_property
    def boxes(self) -> Boxes:
        from meanfield.metrics.w2.costs import box_tree

        return box_tree(self.x)


class Sorted(Atoms):
    """Atoms of a measure on a torus or a sphere, sorted along the curve; order (n,): where each
    stood before.
    """

    def __init__(self, points: Array, masses: Array, manifold: Manifold) -> None:
        from meanfield.metrics.w2.costs import curve_order

        low, high = (0.0, manifold.period) if isinstance(manifold, Torus) else (-1.0, 1.0)
        self.order = curve_order(points, low, high)
        self.masses = masses[self.order] / masses.sum()
        super().__init__(np.ascontiguousarray(points[self.order]), counted(self.masses))


def counted(masses: Array) -> Index:
    """Masses as whole numbers of total TOTAL, none of them zero; what rounding leaves goes to the
    largest.
    """
    found = np.maximum(np.rint(masses * (TOTAL / masses.sum())).astype(np.int64), 1)
    found[int(np.argmax(found))] += TOTAL - int(found.sum())
    return found


@dataclass(frozen=True, eq=False)
class Problem:
    """Transport from the atoms a to the atoms b at a cost."""

    a: Atoms
    b: Atoms
    ground: Ground

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.a.x), len(self.b.x)

    def costs(self, tails: Index, heads: Index) -> Array:
        from meanfield.metrics.w2.costs import arc_costs

        return arc_costs(self.a.x, self.b.x, tails, heads, self.ground)

    def grouped(self) -> tuple[Problem, Index, Index]:
        """The problem between groups of atoms, and where the groups of a and of b begin."""
        (a, starts_a), (b, starts_b) = grouped(self.a), grouped(self.b)
        return Problem(a, b, self.ground), starts_a, starts_b


@dataclass(frozen=True, eq=False)
class MatrixProblem:
    """Transport at costs C (n, m) given one by one."""

    C: Array

    @property
    def shape(self) -> tuple[int, int]:
        return self.C.shape  # type: ignore[return-value]

    def costs(self, tails: Index, heads: Index) -> Array:
        return self.C[tails, heads]  # type: ignore[no-any-return]


class Basis:
    """The simplex's spanning tree for a problem, rooted at the last receiver."""

    def __init__(self, problem: Problem | MatrixProblem, parent: Index, flow: Index) -> None:
        from meanfield.metrics.w2.network_simplex import Tree, link, reprice

        self.problem, (self.n, self.m) = problem, problem.shape
        size, first, after, before = np.empty((4, len(parent)), dtype=np.int64)
        cost, price = np.zeros((2, len(parent)))
        self.tree = Tree(self.n, parent, flow, cost, size, first, after, before, price)
        link(self.tree)
        self.tree.cost[:-1] = problem.costs(*self.pairs())
        reprice(self.tree)

    @classmethod
    def monotone(cls, problem: Problem | MatrixProblem, supply: Index, demand: Index) -> Basis:
        """The tree of the monotone plan."""
        from meanfield.metrics.w2.network_simplex import north_west

        parent, flow = np.zeros((2, len(supply) + len(demand)), dtype=np.int64)
        north_west(supply, demand, parent, flow)
        return cls(problem, parent, flow)

    def pairs(self) -> tuple[Index, Index]:
        """The tree's arcs, one a node but the root."""
        v, up = np.arange(self.n + self.m - 1), self.tree.parent[:-1]
        return np.where(v < self.n, v, up), np.where(v < self.n, up, v) - self.n

    @property
    def u(self) -> Array:
        """The senders' prices (n,)."""
        return self.tree.price[: self.n]

    @property
    def v(self) -> Array:
        """The receivers' prices (m,)."""
        return self.tree.price[self.n :]

    def optimise(self, tails: Index, heads: Index, tolerance: float) -> float:
        """Pivots over arcs until none gains more than the tolerance; the gain that this is.

        The tolerance is relative to the largest cost or price: what these are rounded to is no
        reason to move.
        """
        from meanfield.metrics.w2.network_simplex import reprice, simplex

        costs = self.problem.costs(tails, heads)
        scale = max(float(costs.max()), float(np.abs(self.tree.price).max()), 1e-300)
        least, limit = tolerance * scale, 100 * (len(tails) + self.n + self.m)
        if simplex(tails, heads, costs, self.tree, least, limit) < 0:
            raise NotConverged(f"sparse transport: {limit} pivots were not enough")
        reprice(self.tree)
        return least


def _senders_prices(basis: Basis, problem: Problem) -> tuple[Array, Array]:
    """u (n,) and its gradients (n, a)."""
    partners = _partners(basis)[: basis.n] - basis.n
    return basis.u.copy(), _gradients(problem.b, problem.a, partners, problem.ground)


def _receivers_prices(basis: Basis, problem: Problem) -> tuple[Array, Array]:
    """v (m,) and its gradients (m, a)."""
    partners = _partners(basis)[basis.n :]
    return basis.v.copy(), _gradients(problem.a, problem.b, partners, problem.ground)


def _partners(basis: Basis) -> Index:
    """For each node one that it shares an arc of the tree with: its parent, the root's first
    child.
    """
    found = basis.tree.parent.copy()
    found[-1] = basis.tree.first[-1]
    return found


def _gradients(of: Atoms, at: Atoms, partner: Index, ground: Ground) -> Array:
    """d c(x, y)/dy at the atoms y of `at`, with x the partner of each among the atoms `of`."""
    from meanfield.metrics.w2.costs import gradients

    return gradients(of.x, at.x, partner, ground)  # type: ignore[no-any-return]


def cheapest_arcs(
    x: Array,
    b: Atoms,
    v: Array,
    G: Array | None,
    ground: Ground,
    count: int,
    below: Array | None = None,
) -> tuple[Array, Index]:
    """For each of x (n, a) the `count` least c_ij - v_j (n, count), below given values, and where;
    -1 for none.

    G (m, a): about the gradient of v; the better it is the fewer boxes are opened.
    """
    from meanfield.metrics.w2.costs import cheapest, lift

    start = np.full(len(x), np.inf) if below is None else below
    lift(b.x, v, np.zeros(b.x.shape) if G is None else G, b.boxes)
    return cheapest(x, start, b.x, v, b.boxes, ground, min(count, len(b.x)))


def grouped(a: Atoms) -> tuple[Atoms, Index]:
    """Groups of GROUP atoms that follow each other on the curve, each at its heaviest atom; and
    where they begin.
    """
    starts = np.arange(0, len(a.x), GROUP if len(a.x) > SMALL else 1)
    ends = np.append(starts[1:], len(a.x))
    heaviest = [s + int(np.argmax(a.counted[s:e])) for s, e in zip(starts, ends, strict=True)]
    return Atoms(a.x[heaviest], np.add.reduceat(a.counted, starts)), np.append(starts, len(a.x))


def _first_basis(problem: Problem) -> tuple[Basis, Index]:
    """A tree to begin with and arcs i m + j to look at: all of them where atoms are few, else by
    way of groups.
    """
    from meanfield.metrics.w2.network_simplex import grow, refine

    a, b, (n, m) = problem.a, problem.b, problem.shape
    if max(n, m) <= SMALL:
        return Basis.monotone(problem, a.counted, b.counted), np.arange(n * m)
    between, a_starts, b_starts = problem.grouped()
    coarse, _ = _optimal(between, 1e-9, COARSE_ROUNDS)
    # The groups' prices carried over to the members, and the cheapest arcs by them.
    value, at = cheapest_arcs(b.x, between.a, *_senders_prices(coarse, between), problem.ground, 1)
    G = _gradients(between.a, b, at[:, 0], problem.ground)
    value, heads = cheapest_arcs(a.x, b, value[:, 0].copy(), G, problem.ground, NEAR)
    G = _gradients(b, a, heads[:, 0], problem.ground)
    _, tails = cheapest_arcs(b.x, a, value[:, 0].copy(), G, problem.ground, NEAR)
    parent, flow = np.zeros((2, n + m), dtype=np.int64)
    on, to = coarse.pairs()
    flows = coarse.tree.flow[:-1]
    sent = flows > 0
    forest = refine(on[sent], to[sent], flows[sent], a_starts, b_starts, a.counted, b.counted)
    grow(n, *forest, np.arange(m + 1) * tails.shape[1], tails.ravel(), parent, flow)
    basis = Basis(problem, parent, flow)
    on, to = basis.pairs()
    rows = np.repeat(np.arange(n), heads.shape[1])
    keys = [rows * m + heads.ravel(), (tails * m + np.arange(m)[:, None]).ravel(), on * m + to]
    return basis, np.unique(np.concatenate(keys))


def _optimal(problem: Problem, tolerance: float, rounds: int) -> tuple[Basis, Array | None]:
    """A basis and, where it is optimal among all arcs, u_i = min_j (c_ij - v_j); None where rounds
    ran out.
    """
    (n, m), (basis, keys) = problem.shape, _first_basis(problem)
    rows = np.arange(n)[:, None]
    for _ in range(rounds):
        least = basis.optimise(keys // m, keys % m, tolerance)
        v, G = _receivers_prices(basis, problem)
        found, at = cheapest_arcs(problem.a.x, problem.b, v, G, problem.ground, 4, basis.u + least)
        new = (at >= 0) & (found < basis.u[:, None] - 8 * least)
        if not new.any():
            return basis, np.minimum(found[:, 0], basis.u)
        keys = np.union1d(keys, (rows * m + at)[new])
    return basis, None


def sparse_transport(a: Sorted, b: Sorted, ground: Ground) -> Plan:
    """The optimal plan between two measures of many atoms on a torus or a sphere.

    Raises NotConverged when the arcs, or the pivots, do not come to an end.
    """
    basis, u = _optimal(Problem(a, b, ground), TOLERANCE, ROUNDS)
    if u is None:
        raise NotConverged(
            f"sparse transport of {len(a.x)} against {len(b.x)} atoms: arcs cheaper than their "
            "prices remain"
        )
    return _plan(basis, u, a.masses, b.masses, a.order, b.order)


def dense_transport(C: Array, p: Array, q: Array) -> Plan:
    """The optimal plan between masses p (n,) and q (m,) at costs C (n, m). Raises NotConverged."""
    basis = Basis.monotone(MatrixProblem(C), counted(p), counted(q))
    arcs = np.arange(C.size)
    basis.optimise(arcs // len(q), arcs % len(q), TOLERANCE)
    return _plan(basis, (C - basis.v).min(axis=1), p, q, np.arange(len(p)), np.arange(len(q)))


def _plan(basis: Basis, u: Array, p: Array, q: Array, order_p: Index, order_q: Index) -> Plan:
    """The plan of an optimal basis, in the order that the atoms had before they were sorted."""
    tails, heads = basis.pairs()
    masses, costs, v = basis.tree.flow[:-1] / TOTAL, basis.tree.cost[:-1], basis.v
    residual = (
        np.abs(np.bincount(tails, masses, basis.n) - p).sum()
        + np.abs(np.bincount(heads, masses, basis.m) - q).sum()
    )
    sent = masses > 0
    return Plan(
        order_p[tails[sent]], order_q[heads[sent]], masses[sent], _back(u, order_p),
        _back(v, order_q),
        float(masses @ costs), float(u @ p + v @ q), float(residual), float(basis.tree.cost.max()),
    )  # fmt: skip


def _back(values: Array, order: Index) -> Array:
    """Sorted values in the order from before."""
    out = np.empty(len(values))
    out[order] = values
    return out
