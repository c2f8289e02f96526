"""The network simplex, pivot by pivot: what holds of its tree after each, and its first trees."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics.w2 import costs, network_simplex, sparse
from meanfield.metrics.w2.sparse import Basis, MatrixProblem
from tests.plain import plainly


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, costs, network_simplex, sparse)


def check(parent, flow, supply, demand):
    """A spanning tree that carries the plan and is strongly feasible, its root the last."""
    n, N = len(supply), len(parent)
    assert parent[-1] == -1 and (flow[:-1] >= 0).all()
    sent = np.zeros(N, dtype=int)
    for v in range(N - 1):
        assert (v < n) != (parent[v] < n)  # arcs join a sender and a receiver
        sent[v] += flow[v]
        sent[parent[v]] += flow[v]
        assert flow[v] > 0 or v < n  # arcs without flow point to the root
        up, steps = v, 0
        while up != N - 1:
            up, steps = parent[up], steps + 1
            assert steps < N
    assert sent.tolist() == [*supply, *demand]


def check_lists(tree, C):
    """Children, sizes, costs and prices are those of the parents."""
    n, N = tree.n, len(tree.parent)
    sizes = np.ones(N, dtype=int)
    for v in range(N - 1):
        up = v
        while up != N - 1:
            up = tree.parent[up]
            sizes[up] += 1
    assert tree.size.tolist() == sizes.tolist()
    for v in range(N):
        listed, child, before = [], tree.first[v], -1
        while child >= 0:
            assert tree.before[child] == before
            listed, before, child = [*listed, child], child, tree.after[child]
        assert sorted(listed) == np.flatnonzero(tree.parent == v).tolist()
    v, up = np.arange(N - 1), tree.parent[:-1]
    costs = C[np.where(v < n, v, up), np.where(v < n, up, v) - n]
    assert (tree.cost[:-1] == costs).all()
    np.testing.assert_allclose(tree.price[v] + tree.price[up], costs, atol=1e-13)


@pytest.mark.parametrize("even", [False, True])
def test_every_pivot_leaves_a_tree_that_is_right(even, monkeypatch):
    """Equal masses make most pivots degenerate: arcs without flow must point to the root."""
    rng = np.random.default_rng(even)
    C = rng.random((14, 14 if even else 19)) + 0.5
    p, q = (np.ones(k) if even else rng.exponential(size=k) for k in C.shape)
    supply, demand = sparse.whole_masses(p / p.sum()), sparse.whole_masses(q / q.sum())
    basis = Basis.monotone(MatrixProblem(C), supply, demand)
    check(basis.tree.parent, basis.tree.flow, supply, demand)
    pivots, exchange = [], network_simplex.exchange

    def watched(i, j, cost, tree):
        old, value = tree.price.copy(), tree.flow[:-1] @ tree.cost[:-1]
        gain = cost - old[i] - old[j]
        exchange(i, j, cost, tree)
        pivots.append(gain)
        check(tree.parent, tree.flow, supply, demand)
        check_lists(tree, C)
        assert cost == C[i, j - len(p)] and gain < 0
        moved = tree.price != old
        assert 0 < moved.sum() <= len(old) / 2  # the smaller side of the cut
        np.testing.assert_allclose(np.abs(tree.price - old)[moved], -gain, rtol=1e-9)
        assert tree.flow[:-1] @ tree.cost[:-1] <= value * (1 + 1e-15)

    monkeypatch.setattr(network_simplex, "exchange", watched)
    told, simplex = [], network_simplex.simplex
    monkeypatch.setattr(sparse, "simplex", lambda *a: told.append(simplex(*a)) or told[-1])
    arcs = np.arange(C.size)
    gain = basis.optimise(arcs // C.shape[1], arcs % C.shape[1], 1e-12)
    assert told[0] == (len(pivots), gain) and len(pivots) > 20
    largest = max(C.max(), np.abs(basis.tree.price).max())
    assert 0.3 * largest <= gain / 1e-12 <= 3 * largest
    check_lists(basis.tree, C)
    assert (C - basis.u[:, None] - basis.v >= -gain).all() and basis.tree.price[-1] == 0
    few = np.flatnonzero(rng.random(C.size) < 0.02)
    assert basis.optimise(few // C.shape[1], few % C.shape[1], 1e-12) > 0
    assert told[1][0] == 0  # what is optimal among all arcs is so among few


def test_pivots_are_counted_up_to_the_limit():
    rng = np.random.default_rng(2)
    C = rng.random((14, 15))
    arcs = np.arange(C.size)
    masses = [sparse.whole_masses(rng.random(k)) for k in C.shape]
    for limit in (0, 3, 500):
        tree = Basis.monotone(MatrixProblem(C), *masses).tree
        given = arcs // 15, arcs % 15, C.ravel(), C.max(), tree, 1e-12, limit
        assert (network_simplex.simplex(*given)[0] < 0) == (limit < 500)
        assert network_simplex.reprice(tree) == np.abs(tree.price).max()


@pytest.mark.parametrize("seed", range(6))
def test_plans_between_groups_are_carried_out_by_their_members(seed):
    """Members in order use up what their groups send each other, by a forest of arcs; the tree
    through it joins what is left by arcs that were named, where there are any.
    """
    rng = np.random.default_rng(seed)
    supply, demand = rng.integers(1, 9, 13), rng.integers(1, 9, 17)
    if seed % 2:  # groups and members that end together
        supply, demand = np.full(12, 6), np.full(18, 4)
    total = np.lcm(supply.sum(), demand.sum())
    supply, demand = supply * (total // supply.sum()), demand * (total // demand.sum())
    starts = [np.array([0, 3, 4, 8, len(supply)]), np.array([0, 5, 6, 12, 16, len(demand)])]
    starts[1] = starts[1][: 5 + seed % 2]
    starts[1][-1] = len(demand)
    S, D = (np.add.reduceat(m, s[:-1]) for m, s in zip((supply, demand), starts, strict=True))
    parent, flow = np.zeros((2, len(S) + len(D)), dtype=int)
    network_simplex.north_west(S, D, parent, flow)
    check(parent, flow, S, D)
    v, up = np.arange(len(parent) - 1), parent[:-1]
    tails, heads = np.where(v < len(S), v, up), np.where(v < len(S), up, v) - len(S)
    sent = flow[:-1] > 0
    order = rng.permutation(np.flatnonzero(sent))
    groups = tails[order], heads[order], flow[order]
    i, j, amount = network_simplex.refine(*groups, *starts, supply, demand)
    assert (amount > 0).all()
    assert np.bincount(i, amount, len(supply)).tolist() == supply.tolist()
    assert np.bincount(j, amount, len(demand)).tolist() == demand.tolist()
    of_i, of_j = (np.searchsorted(starts[k], at, side="right") - 1 for k, at in enumerate((i, j)))
    table = np.zeros((len(S), len(D)), dtype=int)
    np.add.at(table, (of_i, of_j), amount)
    wanted = np.zeros_like(table)
    np.add.at(wanted, groups[:2], groups[2])
    assert table.tolist() == wanted.tolist()
    n, m = len(supply), len(demand)
    named = rng.integers(0, n, (m, 4))
    parent, flow = np.full((2, n + m), -7, dtype=int)
    network_simplex.grow(n, i, j, amount, np.arange(m + 1) * 4, named.ravel(), parent, flow)
    flow[-1] = 0
    check(parent, flow, supply, demand)
    arcs = set(zip(i.tolist(), j.tolist(), strict=True))
    joined = 0
    for v in range(n + m - 1):
        s, t = (v, parent[v] - n) if v < n else (parent[v], v - n)
        if flow[v]:
            assert (s, t) in arcs
        else:
            joined += s in named[t]
    assert joined == (flow[:-1] == 0).sum()


def test_trees_join_by_the_root_what_no_named_arc_reaches():
    supply = demand = np.array([2, 3, 4])
    parent, flow = np.zeros((2, 6), dtype=int)
    same, none = np.arange(3), np.zeros(4, dtype=int)
    network_simplex.grow(3, same, same, supply, none, np.zeros(0, dtype=int), parent, flow)
    assert parent.tolist() == [5, 5, 5, 0, 1, -1] and flow.tolist() == [0, 0, 4, 2, 3, 0]
    check(parent, flow, supply, demand)


def test_whole_masses_have_one_sum_and_are_right_to_a_unit_each():
    rng = np.random.default_rng(4)
    masses = 3 * rng.exponential(size=50) * (np.arange(50) != 7)
    whole = sparse.whole_masses(masses)
    assert whole.sum() == 1 << 60 and whole.min() == whole[7] == 1
    exact = masses / masses.sum() * 2.0**60
    assert np.abs(np.delete(whole - exact, np.argmax(masses))).max() <= 1024


def test_groups_stand_at_their_heaviest_member():
    rng = np.random.default_rng(5)
    torus = mf.Torus(2, 1.7)
    for n, size in ((300, 4), (256, 1)):
        points, masses = torus.sample(n, rng), rng.random(n)
        atoms = sparse.Atoms(points, masses, torus)
        assert (points[atoms.order] == atoms.x).all()
        np.testing.assert_allclose(atoms.masses, masses[atoms.order] / masses.sum(), rtol=1e-15)
        groups = sparse.Groups(atoms)
        assert groups.starts.tolist() == [*range(0, n, size), n]
        for k, s in enumerate(groups.starts[:-1]):
            own = slice(s, groups.starts[k + 1])
            assert groups.whole[k] == atoms.whole[own].sum()
            assert (groups.x[k] == atoms.x[own][np.argmax(atoms.masses[own])]).all()
