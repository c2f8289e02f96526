"""A primal network simplex for transport along a sparse set of arcs, kept between calls.

Nodes 0 to n - 1 send (supplies), n to n + m - 1 receive (demands); both are integers of one total, so that
flows are exact. A basis is a spanning tree: each node but the root holds its arc to its parent, with the
flow along it. Prices have price_i + price_j = cost on the tree; an arc that costs less than its two prices
enters, and one of its cycle's arcs leaves. Trees are kept strongly feasible (arcs without flow point to the
root), which rules out cycling (W. H. Cunningham, Math. Programming 11 (1976) 105); arcs are priced in blocks
(R. K. Ahuja, T. L. Magnanti, J. B. Orlin, Network Flows, 1993, chapter 11). The sizes of subtrees lead to
the top of a cycle.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel
from meanfield.meshes import Index


@kernel
def north_west(supply: Index, demand: Index, parent: Index, flow: Index) -> None:
    """The strongly feasible tree of the monotone plan: parents (n + m,) and flows; the last demand is the root."""
    n, m = len(supply), len(demand)
    i, j, a, b = 0, 0, supply[0], demand[0]
    parent[n + m - 1] = -1
    while True:
        f = min(a, b)
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
    first_child: Index,
    first_ward: Index,
    supply: Index,
    demand: Index,
) -> tuple[Index, Index, Index]:
    """A plan between groups, carried out by their members: arcs (E,) and flows, a forest when the groups' is one.

    Members of group I are supply[first_child[I] : first_child[I + 1]], of group J demand[first_ward[J] : ...]; both
    are used up in order.
    """
    most = len(supply) + len(demand) + 2 * len(tails)
    i_found, j_found = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    amounts, used = np.empty(most, dtype=np.int64), 0
    i_at, j_at, a, b = first_child[:-1].copy(), first_ward[:-1].copy(), supply.copy(), demand.copy()
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
    """A strongly feasible tree through a forest of arcs with flow; the last receiver is the root.

    Trees of the forest are joined by arcs without flow from a sender of theirs to a receiver reached before, if
    there is one among the candidates: senders columns[starts[j] : starts[j + 1]] of receiver j.
    """
    N = len(parent)
    degree = np.zeros(N + 1, dtype=np.int64)
    for e in range(len(tails)):
        degree[tails[e] + 1] += 1
        degree[n + heads[e] + 1] += 1
    row = np.cumsum(degree)
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
def hang(parent: Index, size: Index, first: Index, after: Index, before: Index) -> None:
    """Lists of children and sizes of subtrees (N,) from the parents."""
    N = len(parent)
    first[:], after[:], before[:], size[:] = -1, -1, -1, 1
    left = np.zeros(N, dtype=np.int64)
    for v in range(N):
        if parent[v] >= 0:
            attach(v, parent[v], first, after, before)
            left[parent[v]] += 1
    for leaf in range(N):
        v = leaf
        while left[v] == 0 and parent[v] >= 0:
            left[v] = -1
            size[parent[v]] += size[v]
            left[parent[v]] -= 1
            v = parent[v]


@kernel
def attach(v: int, to: int, first: Index, after: Index, before: Index) -> None:
    """Make v the first child of a node."""
    before[v], after[v] = -1, first[to]
    if first[to] >= 0:
        before[first[to]] = v
    first[to] = v


@kernel
def detach(v: int, at: int, first: Index, after: Index, before: Index) -> None:
    """Take v off a node's children."""
    if before[v] >= 0:
        after[before[v]] = after[v]
    else:
        first[at] = after[v]
    if after[v] >= 0:
        before[after[v]] = before[v]


@kernel
def reprice(
    root: int, parent: Index, toll: Array, first: Index, after: Index, price: Array
) -> None:
    """Prices from the tree's tolls, zero at the root: rounding does not pile up over pivots."""
    v = root
    price[root] = 0.0
    while True:
        if first[v] >= 0:
            v = first[v]
        else:
            while v != root and after[v] < 0:
                v = parent[v]
            if v == root:
                return
            v = after[v]
        price[v] = toll[v] - price[parent[v]]


@kernel
def shift(
    n: int,
    top: int,
    spared: int,
    by: float,
    parent: Index,
    first: Index,
    after: Index,
    price: Array,
) -> None:
    """Add `by` to the prices of the senders under `top`, take it from the receivers'; not under `spared`."""
    v = top
    while True:
        if v != spared:
            price[v] += by if v < n else -by
            if first[v] >= 0:
                v = first[v]
                continue
        while v != top and after[v] < 0:
            v = parent[v]
        if v == top:
            return
        v = after[v]


@kernel
def summit(i: int, j: int, parent: Index, size: Index) -> int:
    """The node where the ways from i and j to the root meet."""
    while i != j:
        if size[i] < size[j]:
            i = parent[i]
        else:
            j = parent[j]
    return i


@kernel
def leaving(n: int, i: int, j: int, top: int, parent: Index, flow: Index) -> tuple[int, bool]:
    """The node under the arc that leaves when i sends more to j, and whether it lies on i's side.

    The last of the arcs that block, along the cycle from its top through i and j: trees stay strongly feasible.
    """
    least, at, of_i = np.int64(1) << 62, -1, True
    v = i
    while v != top:
        if v < n and flow[v] < least:
            least, at = flow[v], v
        v = parent[v]
    v = j
    while v != top:
        if v >= n and flow[v] <= least:
            least, at, of_i = flow[v], v, False
        v = parent[v]
    return at, of_i


@kernel
def exchange(
    n: int, i: int, j: int, cost: float, parent: Index, flow: Index, toll: Array, size: Index, first: Index,
    after: Index, before: Index, price: Array,
) -> None:  # fmt: skip
    """Let the arc from i to j enter the tree, whose root is the last node."""
    gain = cost - price[i] - price[j]
    top = summit(i, j, parent, size)
    out, of_i = leaving(n, i, j, top, parent, flow)
    amount, moved = flow[out], size[out]
    for start in (i, j):
        v = start
        while v != top:
            flow[v] += amount if (v < n) == (start == j) else -amount
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
    v, carried, paid, gone = inside, amount, cost, 0
    while True:
        up, old_flow, old_toll, old_size = parent[v], flow[v], toll[v], size[v]
        detach(v, up, first, after, before)
        attach(v, above, first, after, before)
        parent[v], flow[v], toll[v], size[v] = above, carried, paid, moved - gone
        if v == out:
            break
        above, carried, paid, gone, v = v, old_flow, old_toll, old_size, up
    # Only differences of prices across the cut matter: the smaller side is shifted.
    by = gain if of_i else -gain
    if 2 * moved <= len(parent):
        shift(n, inside, -1, by, parent, first, after, price)
    else:
        shift(n, len(parent) - 1, inside, -by, parent, first, after, price)


@kernel
def simplex(
    n: int, tails: Index, heads: Index, costs: Array, parent: Index, flow: Index, toll: Array, size: Index,
    first: Index, after: Index, before: Index, price: Array, tolerance: float, limit: int,
) -> int:  # fmt: skip
    """Pivots until no arc is cheaper than its prices by more than the tolerance; their number, or -1 at the limit."""
    arcs = len(tails)
    block, at = max(int(np.sqrt(arcs)), 16), 0
    for turn in range(limit):
        best, entering, left = -tolerance, -1, block
        for _ in range(arcs):
            gain = costs[at] - price[tails[at]] - price[n + heads[at]]
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
            return turn
        i, j = tails[entering], n + heads[entering]
        exchange(n, i, j, costs[entering], parent, flow, toll, size, first, after, before, price)
    return -1
