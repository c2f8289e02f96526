"""A primal network simplex for transport along a sparse set of arcs, compiled.

Nodes 0 to n - 1 are senders (supplies), nodes n to n + m - 1 receivers (demands); supplies and
demands are integers of one total, so that flows are exact. A basis is a spanning tree. Prices
satisfy price_i + price_j = cost on its arcs; an arc that costs less than its two prices enters, and
one of the arcs of the cycle that it closes leaves. Trees are kept strongly feasible (arcs without
flow point to the root), which rules out cycling (W. H. Cunningham, Math. Programming 11 (1976)
105); arcs are priced in blocks (R. K. Ahuja, T. L. Magnanti, J. B. Orlin, Network Flows, 1993,
chapter 11). The sizes of subtrees lead to the top of a cycle.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index


class Tree(NamedTuple):
    """A spanning tree over n senders and the receivers, the last of which is the root.

    For each node: its parent (-1 for the root), the flow along the arc to it and that arc's cost;
    the size of the subtree under the node; its first child, and the nodes after and before it in
    the list of its parent's children (-1 for none); its price.
    """

    n: int
    parent: Index
    flow: Index
    cost: Array
    size: Index
    first: Index
    after: Index
    before: Index
    price: Array


@kernel
def north_west(supply: Index, demand: Index, parent: Index, flow: Index) -> None:
    """Write the strongly feasible tree of the monotone plan into parent and flow (n + m,)."""
    n, m = len(supply), len(demand)
    i, j, a, b = 0, 0, supply[0], demand[0]
    parent[n + m - 1] = -1
    while True:
        f = smaller(a, b)
        a, b = a - f, b - f
        if b == 0 and j < m - 1:
            parent[n + j], flow[n + j] = i, f
            j += 1
            b = demand[j]
        else:
            parent[i], flow[i] = n + j, f
            i += 1
            if i == n:
                return
            a = supply[i]


@kernel(counted=True)
def refine(
    tails: Index,
    heads: Index,
    flows: Index,
    first_sender: Index,
    first_receiver: Index,
    supply: Index,
    demand: Index,
) -> tuple[Index, Index, Index]:
    """A plan between groups, carried out by their members: tails, heads and flows of its arcs.

    Group I of senders has the members first_sender[I] to first_sender[I + 1] - 1, and so for
    receivers. Members are used up in order: the arcs form a forest when those of the groups do.
    """
    most = len(supply) + len(demand) + 2 * len(tails)
    i_found, j_found = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    amounts, used = np.empty(most, dtype=np.int64), 0
    i_at, j_at = first_sender[:-1].copy(), first_receiver[:-1].copy()
    a, b = supply.copy(), demand.copy()
    for e in range(len(tails)):
        left = flows[e]
        while left > 0:
            i, j = i_at[tails[e]], j_at[heads[e]]
            f = min(left, a[i], b[j])
            i_found[used], j_found[used], amounts[used] = i, j, f
            used += 1
            left, a[i], b[j] = left - f, a[i] - f, b[j] - f
            if a[i] == 0:
                i_at[tails[e]] += 1
            if b[j] == 0:
                j_at[heads[e]] += 1
    return i_found[:used], j_found[:used], amounts[:used]


@kernel(counted=True)
def grow(
    n: int,
    tails: Index,
    heads: Index,
    flows: Index,
    starts: Index,
    columns: Index,
    parent: Index,
    flow: Index,
) -> None:
    """Write a strongly feasible tree through a forest of arcs into parent and flow (n + m,).

    An arc without flow joins each tree of the forest, by a sender, to a receiver reached before;
    where possible to one that has this sender among its senders columns[starts[j] : starts[j + 1]].
    """
    N = len(parent)
    row = np.zeros(N + 1, dtype=np.int64)
    for e in range(len(tails)):
        row[tails[e] + 1] += 1
        row[n + heads[e] + 1] += 1
    for i in range(N):
        row[i + 1] += row[i]
    fill, other = row[:-1].copy(), np.empty(2 * len(tails), dtype=np.int64)
    for e in range(len(tails)):
        i, j = tails[e], n + heads[e]
        other[fill[i]], other[fill[j]] = e, e
        fill[i] += 1
        fill[j] += 1
    seen, queue = np.zeros(N, dtype=np.bool_), np.empty(N, dtype=np.int64)
    queue[0], parent[N - 1], flow[N - 1], seen[N - 1] = N - 1, -1, 0, True
    read, written, joined, k, spare = 0, 1, 0, 0, 0
    while written < N:
        if read < written:
            v = queue[read]
            read += 1
            for place in range(row[v], row[v + 1]):
                e = other[place]
                w = n + heads[e] if v < n else tails[e]
                if not seen[w]:
                    parent[w], flow[w], seen[w], queue[written] = v, flows[e], True, w
                    written += 1
            continue
        s, t = -1, N - 1
        while s < 0 and joined < written:
            t = queue[joined]
            if t >= n:
                while k < starts[t - n + 1] - starts[t - n]:
                    i = columns[starts[t - n] + k]
                    k += 1
                    if not seen[i]:
                        s = i
                        break
            if s < 0:
                joined, k = joined + 1, 0
        if s < 0:
            while seen[spare]:
                spare += 1
            s, t = spare, N - 1
        parent[s], flow[s], seen[s], queue[written] = t, 0, True, s
        written += 1


@kernel(counted=True)
def link(tree: Tree) -> None:
    """Fill the lists of children and the sizes of subtrees from the parents."""
    parent, size = tree.parent, tree.size
    N = len(parent)
    tree.first[:], tree.after[:], tree.before[:], size[:] = -1, -1, -1, 1
    left = np.zeros(N, dtype=np.int64)
    for v in range(N):
        if parent[v] >= 0:
            attach(v, parent[v], tree)
            left[parent[v]] += 1
    for leaf in range(N):
        v = leaf
        while left[v] == 0 and parent[v] >= 0:
            left[v] = -1
            size[parent[v]] += size[v]
            left[parent[v]] -= 1
            v = parent[v]


@kernel
def attach(v: int, to: int, tree: Tree) -> None:
    """Make v the first child of a node."""
    tree.before[v], tree.after[v] = -1, tree.first[to]
    if tree.first[to] >= 0:
        tree.before[tree.first[to]] = v
    tree.first[to] = v


@kernel
def detach(v: int, at: int, tree: Tree) -> None:
    """Take v off a node's children."""
    if tree.before[v] >= 0:
        tree.after[tree.before[v]] = tree.after[v]
    else:
        tree.first[at] = tree.after[v]
    if tree.after[v] >= 0:
        tree.before[tree.after[v]] = tree.before[v]


@kernel
def reprice(tree: Tree) -> float:
    """Write prices from the costs of the tree's arcs, zero at the root; returns the largest one."""
    root = len(tree.parent) - 1
    v, largest = root, 0.0
    tree.price[root] = 0.0
    while True:
        if tree.first[v] >= 0:
            v = tree.first[v]
        else:
            while v != root and tree.after[v] < 0:
                v = tree.parent[v]
            if v == root:
                return largest
            v = tree.after[v]
        tree.price[v] = tree.cost[v] - tree.price[tree.parent[v]]
        largest = larger(largest, abs(tree.price[v]))


@kernel
def shift(top: int, spared: int, by: float, tree: Tree) -> None:
    """Add `by` to prices of senders under `top`, take it from receivers'; not under `spared`."""
    v = top
    while True:
        if v != spared:
            tree.price[v] += by if v < tree.n else -by
            if tree.first[v] >= 0:
                v = tree.first[v]
                continue
        while v != top and tree.after[v] < 0:
            v = tree.parent[v]
        if v == top:
            return
        v = tree.after[v]


@kernel
def summit(i: int, j: int, tree: Tree) -> int:
    """The node where the ways from i and j to the root meet."""
    while i != j:
        if tree.size[i] < tree.size[j]:
            i = tree.parent[i]
        else:
            j = tree.parent[j]
    return i


@kernel
def leaving(i: int, j: int, top: int, tree: Tree) -> tuple[int, bool]:
    """The node under the arc that leaves when i sends more to j, and whether it lies on i's side.

    Trees stay strongly feasible when this is the last of the arcs that block, along the cycle from
    its top through i and j.
    """
    least, at, of_i = np.int64(1) << 62, -1, True
    v = i
    while v != top:
        if v < tree.n and tree.flow[v] < least:
            least, at = tree.flow[v], v
        v = tree.parent[v]
    v = j
    while v != top:
        if v >= tree.n and tree.flow[v] <= least:
            least, at, of_i = tree.flow[v], v, False
        v = tree.parent[v]
    return at, of_i


@kernel
def exchange(i: int, j: int, cost: float, tree: Tree) -> None:
    """Let the arc from i to j enter the tree."""
    parent, flow, size = tree.parent, tree.flow, tree.size
    gain = cost - tree.price[i] - tree.price[j]
    top = summit(i, j, tree)
    out, of_i = leaving(i, j, top, tree)
    amount, moved = flow[out], size[out]
    for start in (i, j):
        v = start
        while v != top:
            flow[v] += amount if (v < tree.n) == (start == j) else -amount
            v = parent[v]
    inside, above = (i, j) if of_i else (j, i)
    v = parent[out]
    while v != top:
        size[v] -= moved
        v = parent[v]
    v = above
    while v != top:
        size[v] += moved
        v = parent[v]
    # The way from the entering arc up to the leaving one is turned round.
    v, new_flow, new_cost, gone = inside, amount, cost, 0
    while True:
        up, old_flow, old_cost, old_size = parent[v], flow[v], tree.cost[v], size[v]
        detach(v, up, tree)
        attach(v, above, tree)
        parent[v], flow[v], tree.cost[v], size[v] = above, new_flow, new_cost, moved - gone
        if v == out:
            break
        above, new_flow, new_cost, gone, v = v, old_flow, old_cost, old_size, up
    # Only differences of prices across the cut matter: the smaller side is shifted.
    by = gain if of_i else -gain
    if 2 * moved <= len(parent):
        shift(inside, -1, by, tree)
    else:
        shift(len(parent) - 1, inside, -by, tree)


@kernel
def simplex(
    tails: Index,
    heads: Index,
    costs: Array,
    largest: float,
    tree: Tree,
    tolerance: float,
    limit: int,
) -> tuple[int, float]:
    """Pivot until no arc is cheaper than its prices by more than the tolerance.

    The tolerance is relative to the largest cost (given) or price, because their rounding is no
    reason to move. Returns the number of pivots (-1 at the limit) and the tolerance as a cost.

    Each pivot shifts prices, and many shifts carry them far from zero. There they round more
    coarsely than the tolerance, and an arc can seem to gain for ever. So the tree is priced anew
    once its root's price is larger than all prices were at the last pricing.
    """
    arcs, price = len(tails), tree.price
    scale = max(largest, reprice(tree), 1e-300)
    block, at = larger(int(np.sqrt(arcs)), 16), 0
    for turn in range(limit):
        if abs(price[-1]) > scale:
            scale = max(largest, reprice(tree), 1e-300)
        best, entering, left = -tolerance * scale, -1, block
        for _ in range(arcs):
            gain = costs[at] - price[tails[at]] - price[tree.n + heads[at]]
            if gain < best:
                best, entering = gain, at
            at += 1
            if at == arcs:
                at = 0
            left -= 1
            if left == 0:
                if entering >= 0:
                    break
                left = block
        if entering < 0:
            return turn, tolerance * scale
        exchange(tails[entering], tree.n + heads[entering], costs[entering], tree)
    return -1, tolerance * scale
