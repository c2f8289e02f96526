"""Exact transport between many atoms: a network simplex on few arcs, its prices checked on all.

The simplex optimises over arcs to near atoms and around the plan so far. A search through boxes
then finds every arc that is cheaper than its two prices, and the cheapest of them join. When there
is none the plan is optimal among all arcs, and weak duality says how nearly: with
u_i = min_j (c_ij - v_j),

    sum p_i u_i + sum q_j v_j <= W2^2 <= sum of masses times costs on the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.manifolds import Manifold
from meanfield.meshes import Index
from meanfield.metrics.w2.costs import (
    Boxes,
    Ground,
    arc_costs,
    box_tree,
    cheapest,
    gradients,
    lift,
    tree_order,
)
from meanfield.metrics.w2.network_simplex import (
    Tree,
    grow,
    link,
    north_west,
    refine,
    reprice,
    simplex,
)
from meanfield.sums import total

TOTAL = 1 << 60  # a mass of one, in the integers that flows are counted in
NEAR = 8  # arcs from each atom to the nearest of the other measure
ROUNDS = 200
POINTS = 1000  # whose cheapest arcs are worth a thread
SMALL = 256  # atoms up to which all arcs are looked at
GROUP, COARSE_ROUNDS = 4, 4
TOLERANCE = 2e-15  # gain at which an arc enters, relative to the largest cost or price


@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan: masses (E,) sent from x_i to y_j for the pairs (tails, heads).

    value: its cost; lower: the bound that the prices u (n,) and v (m,) prove; residual: the sum of
    the marginals' errors; largest: the largest cost on the tree.
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


def whole_masses(masses: Array) -> Index:
    """Masses as positive integers of sum TOTAL; what rounding leaves goes to the largest."""
    rounded = np.maximum(np.rint(masses * (TOTAL / masses.sum())).astype(np.int64), 1)
    rounded[int(np.argmax(rounded))] += TOTAL - int(rounded.sum())
    return rounded


class Points:
    """Points x (n, a) in `tree_order`, in which near points follow each other."""

    def __init__(self, x: Array) -> None:
        self.x = np.ascontiguousarray(x)

    @cached_property
    def boxes(self) -> Boxes:
        return box_tree(self.x)


class Atoms(Points):
    """The atoms of a measure on a torus or a sphere.

    order (n,): where each stood before; whole (n,): their masses by `whole_masses`.
    """

    def __init__(self, points: Array, masses: Array, manifold: Manifold) -> None:
        self.order = tree_order(points)
        super().__init__(points[self.order])
        self.masses = masses[self.order] / masses.sum()
        self.whole = whole_masses(self.masses)


class Groups(Points):
    """GROUP atoms that follow each other as one, at the heaviest; group I begins at starts[I]."""

    def __init__(self, atoms: Atoms | Groups) -> None:
        starts = np.arange(0, len(atoms.x), GROUP if len(atoms.x) > SMALL else 1)
        self.starts = np.append(starts, len(atoms.x))
        ranges = zip(starts, self.starts[1:], strict=True)
        super().__init__(atoms.x[[s + int(np.argmax(atoms.whole[s:e])) for s, e in ranges]])
        self.whole: Index = np.add.reduceat(atoms.whole, starts)


@dataclass(frozen=True, eq=False)
class Problem:
    """Transport from the atoms a to the atoms b at a cost."""

    a: Atoms | Groups
    b: Atoms | Groups
    ground: Ground

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.a.x), len(self.b.x)

    def costs(self, tails: Index, heads: Index) -> Array:
        return arc_costs(self.a.x, self.b.x, tails, heads, self.ground)  # type: ignore[no-any-return]


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
        self.problem, (self.n, self.m) = problem, problem.shape
        size, first, after, before = np.empty((4, len(parent)), dtype=np.int64)
        cost, price = np.zeros((2, len(parent)))
        self.tree = Tree(self.n, parent, flow, cost, size, first, after, before, price)
        self.u, self.v = price[: self.n], price[self.n :]
        link(self.tree)
        self.tree.cost[:-1] = problem.costs(*self.pairs())

    @classmethod
    def monotone(cls, problem: Problem | MatrixProblem, supply: Index, demand: Index) -> Basis:
        """The tree of the monotone plan."""
        parent, flow = np.zeros((2, len(supply) + len(demand)), dtype=np.int64)
        north_west(supply, demand, parent, flow)
        return cls(problem, parent, flow)

    def pairs(self) -> tuple[Index, Index]:
        """The tree's arcs, one a node but the root."""
        v, up = np.arange(self.n + self.m - 1), self.tree.parent[:-1]
        return np.where(v < self.n, v, up), np.where(v < self.n, up, v) - self.n

    def partners(self) -> tuple[Index, Index]:
        """A receiver for each sender, and a sender for each receiver, that the tree joins it to."""
        partner = self.tree.parent.copy()
        partner[-1] = self.tree.first[-1]
        return partner[: self.n] - self.n, partner[self.n :]

    def optimise(self, tails: Index, heads: Index, tolerance: float) -> float:
        """Pivot over arcs until none gains more than the tolerance; returns that as a cost.

        Raises NotConverged.
        """
        costs, limit = self.problem.costs(tails, heads), 100 * (len(tails) + self.n + self.m)
        pivots, gain = simplex(tails, heads, costs, costs.max(), self.tree, tolerance, limit)
        if pivots < 0:
            raise NotConverged(f"sparse transport: {limit} pivots were not enough")
        reprice(self.tree)
        return float(gain)


def cheapest_arcs(
    x: Array,
    b: Points,
    v: Array,
    G: Array,
    ground: Ground,
    count: int,
    below: Array | None = None,
) -> tuple[Array, Index]:
    """For each of x (n, a) the `count` smallest c_ij - v_j (n, count) and their j, -1 for none.

    G (m, a): about the gradient of v; the better it is, the fewer boxes are opened. below (n,):
    only smaller values count.
    """
    lift(b.x, v, G, b.boxes)
    start = np.full(len(x), np.inf) if below is None else below
    threads = threads_worth(len(x), POINTS)
    held = shares(len(x), 1 if threads == 1 else 16 * threads)
    given = b.x, v, b.boxes, ground, min(count, len(b.x))
    parts = by_threads(lambda s: cheapest(x[s], start[s], *given), held, threads)
    values, at = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(at)


def _first_basis(problem: Problem) -> tuple[Basis, Index]:
    """A tree to begin with, and the arcs i m + j to look at.

    All arcs where atoms are few. Otherwise the problem between groups is solved first; its prices
    say which arcs are cheap, and its plan is refined to one between the groups' members.
    """
    a, b, ground, (n, m) = problem.a, problem.b, problem.ground, problem.shape
    if max(n, m) <= SMALL:
        return Basis.monotone(problem, a.whole, b.whole), np.arange(n * m)
    A, B = Groups(a), Groups(b)
    coarse, _ = _optimal(Problem(A, B, ground), 1e-9, COARSE_ROUNDS)
    G = gradients(B.x, A.x, coarse.partners()[0], ground)
    prices, at = cheapest_arcs(b.x, A, coarse.u, G, ground, 1)
    G = gradients(A.x, b.x, at[:, 0], ground)
    prices, heads = cheapest_arcs(a.x, b, prices[:, 0].copy(), G, ground, NEAR)
    G = gradients(b.x, a.x, heads[:, 0], ground)
    _, tails = cheapest_arcs(b.x, a, prices[:, 0].copy(), G, ground, NEAR)
    parent, flow = np.zeros((2, n + m), dtype=np.int64)
    senders, receivers = coarse.pairs()
    flows = coarse.tree.flow[:-1]
    sent = flows > 0
    groups = senders[sent], receivers[sent], flows[sent], A.starts, B.starts
    forest = refine(*groups, a.whole, b.whole)
    grow(n, *forest, np.arange(m + 1) * tails.shape[1], tails.ravel(), parent, flow)
    basis = Basis(problem, parent, flow)
    senders, receivers = basis.pairs()
    rows = np.repeat(np.arange(n), heads.shape[1])
    near = rows * m + heads.ravel(), (tails * m + np.arange(m)[:, None]).ravel()
    return basis, np.unique(np.concatenate([*near, senders * m + receivers]))


def _optimal(problem: Problem, tolerance: float, rounds: int) -> tuple[Basis, Array | None]:
    """A basis and, where it is optimal among all arcs, u_i = min_j (c_ij - v_j), else None."""
    a, b, ground, (n, m) = problem.a, problem.b, problem.ground, problem.shape
    basis, arcs = _first_basis(problem)
    rows = np.arange(n)[:, None]
    for _ in range(rounds):
        gain = basis.optimise(arcs // m, arcs % m, tolerance)
        G = gradients(a.x, b.x, basis.partners()[1], ground)
        costs, at = cheapest_arcs(a.x, b, basis.v, G, ground, 4, basis.u + gain)
        new = (at >= 0) & (costs < basis.u[:, None] - 8 * gain)
        if not new.any():
            return basis, np.minimum(costs[:, 0], basis.u)
        arcs = np.union1d(arcs, (rows * m + at)[new])
    return basis, None


def sparse_transport(a: Atoms, b: Atoms, ground: Ground) -> Plan:
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
    basis = Basis.monotone(MatrixProblem(C), whole_masses(p), whole_masses(q))
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
        order_p[tails[sent]],
        order_q[heads[sent]],
        masses[sent],
        u[np.argsort(order_p)],
        v[np.argsort(order_q)],
        value=total(masses, costs),
        lower=total(p, u) + total(q, v),
        residual=float(residual),
        largest=float(basis.tree.cost.max()),
    )
