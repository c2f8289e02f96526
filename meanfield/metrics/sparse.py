"""Exact transport between many atoms: a network simplex on few arcs, its prices checked on all of them.

Arcs to near atoms, and around the plan so far, are optimised over; a search through boxes then finds every arc
that is cheaper than its two prices, and the cheapest of them join. When there is none the plan is optimal among
all arcs, and weak duality says how nearly: with u_i = min_j (c_ij - v_j),

    sum p_i u_i + sum q_j v_j <= W2^2 <= sum of masses times costs on the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Torus
from meanfield.meshes import Index

WHOLE = 1 << 60  # a mass of one, in the integers that flows are counted in
NEAR = 8  # arcs from each atom to the nearest of the other measure
ROUNDS = 200
SMALL, GROUP, COARSE_ROUNDS = 256, 4, 4


@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan: masses (E,) from x_i to y_j along pairs (tails, heads), and its prices.

    value: its cost; lower: what the prices u (n,), v (m,) prove; residual: the sum of the marginals' errors;
    largest: the largest cost on the tree.
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


def kind_of(manifold: Manifold, metric: str) -> tuple[int, float]:
    """The kernels' number for a cost, and the period."""
    flat = isinstance(manifold, Torus)
    return (0 if flat else 2) + (metric == "extrinsic"), manifold.period if isinstance(
        manifold, Torus
    ) else 1.0


class Atoms:
    """Points in the curve's order, masses as whole numbers, and the tree of boxes; `order` leads back."""

    def __init__(self, points: Array, masses: Array, manifold: Manifold) -> None:
        from meanfield.metrics.costs import curve_order

        low, high = (0.0, manifold.period) if isinstance(manifold, Torus) else (-1.0, 1.0)
        self.order = curve_order(points, low, high)
        self.m = masses[self.order] / masses.sum()
        self._set(np.ascontiguousarray(points[self.order]), counted(self.m))

    def _set(self, x: Array, counted: Index) -> Atoms:
        from meanfield.metrics.costs import box_tree

        self.x, self.counted, self.tree = x, counted, box_tree(x)
        return self


def counted(masses: Array) -> Index:
    """Masses as whole numbers of total WHOLE, none of them zero; what rounding leaves goes to the largest."""
    found = np.maximum(np.rint(masses * (WHOLE / masses.sum())).astype(np.int64), 1)
    found[int(np.argmax(found))] += WHOLE - int(found.sum())
    return found


class Basis:
    """The simplex's tree over n senders and m receivers, rooted at the last receiver."""

    def __init__(
        self, a: Atoms, b: Atoms, kind: int, period: float, parent: Index, flow: Index
    ) -> None:
        from meanfield.metrics.costs import arc_costs
        from meanfield.metrics.network import hang

        self.a, self.b, self.kind, self.period, self.n = a, b, kind, period, len(a.x)
        self.parent, self.flow = parent, flow
        self.links = [np.empty(len(parent), dtype=np.int64) for _ in range(4)]
        hang(parent, *self.links)
        self.toll, self.price = np.zeros(len(parent)), np.zeros(len(parent))
        self.toll[:-1] = arc_costs(a.x, b.x, *self.pairs(), kind, period)
        self.reprice()

    def pairs(self) -> tuple[Index, Index]:
        """The tree's arcs, one a node but the root."""
        v, up = np.arange(len(self.parent) - 1), self.parent[:-1]
        return np.where(v < self.n, v, up), np.where(v < self.n, up, v) - self.n

    def reprice(self) -> None:
        from meanfield.metrics.network import reprice

        _, first, after, _ = self.links
        reprice(len(self.parent) - 1, self.parent, self.toll, first, after, self.price)

    def partners(self) -> Index:
        """For each node one that it shares an arc of the tree with: its parent, the root's first child."""
        found = self.parent.copy()
        found[-1] = self.links[1][-1]
        return found

    def sender_prices(self) -> tuple[Array, Array]:
        """u (n,) and its gradients (n, a)."""
        from meanfield.metrics.costs import gradients

        at = self.partners()[: self.n] - self.n
        return self.price[: self.n].copy(), gradients(
            self.b.x, self.a.x, at, self.kind, self.period
        )

    def receiver_prices(self) -> tuple[Array, Array]:
        """v (m,) and its gradients (m, a)."""
        from meanfield.metrics.costs import gradients

        at = self.partners()[self.n :]
        return self.price[self.n :].copy(), gradients(
            self.a.x, self.b.x, at, self.kind, self.period
        )

    def optimise(self, keys: Index, tolerance: float) -> float:
        """Pivots over arcs i m + j until none gains more than the tolerance, relative to the largest cost or price;
        the least gain that this is."""
        from meanfield.metrics.costs import arc_costs
        from meanfield.metrics.network import simplex

        tails, heads = keys // len(self.b.x), keys % len(self.b.x)
        costs = arc_costs(self.a.x, self.b.x, tails, heads, self.kind, self.period)
        # What prices and costs are rounded to is no reason to move.
        scale = max(float(costs.max()), float(np.abs(self.price).max()), 1e-300)
        least, limit = tolerance * scale, 100 * (len(keys) + len(self.parent))
        pivots = simplex(
            self.n,
            tails,
            heads,
            costs,
            self.parent,
            self.flow,
            self.toll,
            *self.links,
            self.price,
            least,
            limit,
        )
        if pivots < 0:
            raise NotConverged(f"sparse transport: {limit} pivots were not enough")
        self.reprice()
        return least


def cheapest_arcs(
    x: Array,
    b: Atoms,
    v: Array,
    G: Array | None,
    kind: int,
    period: float,
    count: int,
    below: Array | None = None,
) -> tuple[Array, Index]:
    """For each of x (n, a) the `count` least c_ij - v_j (n, count), below given values, and where; -1 for none.

    G (m, a): about the gradient of v; the better it is the fewer boxes are opened.
    """
    from meanfield.metrics.costs import cheapest, lift

    low, high = b.tree
    start = np.full(len(x), np.inf) if below is None else below
    slope, top = np.zeros(low.shape), np.empty(len(low))
    lift(b.x, v, np.zeros(b.x.shape) if G is None else G, low, high, slope, top)
    return cheapest(x, start, b.x, v, low, high, slope, top, kind, period, min(count, len(b.x)))  # type: ignore[no-any-return]


def grouped(a: Atoms) -> tuple[Atoms, Index]:
    """Groups of GROUP atoms that follow each other on the curve, each at its heaviest atom; and where they begin."""
    starts = np.arange(0, len(a.x), GROUP if len(a.x) > SMALL else 1)
    ends = np.append(starts[1:], len(a.x))
    heaviest = np.array(
        [s + int(np.argmax(a.counted[s:e])) for s, e in zip(starts, ends, strict=True)]
    )
    return Atoms.__new__(Atoms)._set(a.x[heaviest], np.add.reduceat(a.counted, starts)), np.append(
        starts, len(a.x)
    )


def first_basis(a: Atoms, b: Atoms, kind: int, period: float) -> tuple[Basis, Index]:
    """A tree to begin with and arcs i m + j to look at: all of them where atoms are few, else by way of groups."""
    from meanfield.metrics.costs import gradients
    from meanfield.metrics.network import grow, north_west, refine

    n, m = len(a.x), len(b.x)
    parent, flow = np.empty(n + m, dtype=np.int64), np.zeros(n + m, dtype=np.int64)
    if max(n, m) <= SMALL:
        north_west(a.counted, b.counted, parent, flow)
        return Basis(a, b, kind, period, parent, flow), np.arange(n * m)
    (a_groups, a_starts), (b_groups, b_starts) = grouped(a), grouped(b)
    coarse, _ = solved(a_groups, b_groups, kind, period, 1e-9, COARSE_ROUNDS)
    # The groups' prices carried over to the members, and the cheapest arcs by them.
    value, at = cheapest_arcs(b.x, a_groups, *coarse.sender_prices(), kind, period, 1)
    G = gradients(a_groups.x, b.x, at[:, 0], kind, period)
    value, heads = cheapest_arcs(a.x, b, value[:, 0].copy(), G, kind, period, NEAR)
    G = gradients(b.x, a.x, heads[:, 0], kind, period)
    _, tails = cheapest_arcs(b.x, a, value[:, 0].copy(), G, kind, period, NEAR)
    on, to = coarse.pairs()
    sent = coarse.flow[:-1] > 0
    forest = refine(
        on[sent], to[sent], coarse.flow[:-1][sent], a_starts, b_starts, a.counted, b.counted
    )
    grow(n, *forest, np.arange(m + 1, dtype=np.int64) * tails.shape[1], tails.ravel(), parent, flow)
    basis = Basis(a, b, kind, period, parent, flow)
    on, to = basis.pairs()
    rows = np.repeat(np.arange(n), heads.shape[1])
    keys = [rows * m + heads.ravel(), (tails * m + np.arange(m)[:, None]).ravel(), on * m + to]
    return basis, np.unique(np.concatenate(keys))


def solved(
    a: Atoms, b: Atoms, kind: int, period: float, tolerance: float, most: int
) -> tuple[Basis, Array | None]:
    """A basis, optimal among all arcs when u_i = min_j (c_ij - v_j) comes with it; else `most` rounds were too few."""
    basis, keys = first_basis(a, b, kind, period)
    rows = np.arange(len(a.x))[:, None]
    for _ in range(most):
        least = basis.optimise(keys, tolerance)
        u = basis.price[: len(a.x)]
        found, at = cheapest_arcs(a.x, b, *basis.receiver_prices(), kind, period, 4, u + least)
        new = (at >= 0) & (found < u[:, None] - 8 * least)
        if not new.any():
            return basis, np.minimum(found[:, 0], u)
        keys = np.union1d(keys, (rows * len(b.x) + at)[new])
    return basis, None


def sparse_transport(
    a: Atoms, b: Atoms, kind: int, period: float, tolerance: float = 2e-15
) -> Plan:
    """The optimal plan between two measures of many atoms.

    tolerance: how much cheaper than its prices an arc must be to enter, relative to the largest cost or price. Raises
    NotConverged when the arcs, or the pivots, do not come to an end.
    """
    basis, u = solved(a, b, kind, period, tolerance, ROUNDS)
    if u is None:
        raise NotConverged(
            f"sparse transport of {len(a.x)} against {len(b.x)} atoms: arcs cheaper than their prices remain"
        )
    return finished(basis, u)


def finished(basis: Basis, u: Array) -> Plan:
    a, b, n = basis.a, basis.b, basis.n
    tails, heads = basis.pairs()
    masses = basis.flow[:-1] / WHOLE
    value = float(masses @ basis.toll[:-1])
    v = basis.price[n:].copy()
    p, q = a.m, b.m
    residual = (
        np.abs(np.bincount(tails, masses, n) - p).sum()
        + np.abs(np.bincount(heads, masses, len(q)) - q).sum()
    )
    sent = masses > 0
    return Plan(
        a.order[tails[sent]], b.order[heads[sent]], masses[sent], _back(u, a.order), _back(v, b.order), value,
        float(u @ p + v @ q), float(residual), float(basis.toll.max()),
    )  # fmt: skip


def _back(values: Array, order: Index) -> Array:
    out = np.empty(len(values))
    out[order] = values
    return out
