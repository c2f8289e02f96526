"""Costs, and the search for arcs through boxes: against sums and minima over all points."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics.w2 import costs
from meanfield.metrics.w2.costs import Boxes, Ground, box_tree, distinct
from tests.plain import plainly

PERIOD = 1.7
LEAF = costs.LEAF


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, costs)


def points(kind, n, rng):
    """Points of T^2 or S^2, and the cost there."""
    manifold = mf.Torus(2, PERIOD) if kind <= 1 else mf.Sphere(2)
    return manifold.sample(n, rng), costs.ground_cost(manifold, ("geodesic", "extrinsic")[kind % 2])


def chord(gap):
    return (PERIOD / np.pi * np.sin(np.pi / PERIOD * gap)) ** 2


def arc(gap):
    return (gap - PERIOD * np.rint(gap / PERIOD)) ** 2


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.7, 1.5, 1.6, 3.0, np.pi - 1e-8, np.pi])
def test_costs_on_spheres_keep_their_digits_at_any_angle(angle):
    x, y = np.array([[1.0, 0.0, 0.0]]), np.array([[np.cos(angle), 0.0, np.sin(angle)]])
    at = np.zeros(1, int)
    found = [costs.arc_costs(x, y, at, at, Ground(kind, 1.0))[0] for kind in (2, 3)]
    np.testing.assert_allclose(
        found, [angle**2, 4 * np.sin(angle / 2) ** 2], rtol=1e-14, atol=1e-31
    )


def test_costs_on_tori_are_sums_over_the_axes():
    rng = np.random.default_rng(0)
    for kind, one in ((0, arc), (1, chord)):
        (x, ground), (y, _) = points(kind, 6, rng), points(kind, 5, rng)
        tails, heads = (k.ravel() for k in np.indices((6, 5)))
        found = costs.arc_costs(x, y, tails, heads, ground)
        np.testing.assert_allclose(found, one(x[tails] - y[heads]).sum(1), rtol=1e-13)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_bounds_over_boxes_are_least_values_along_each_axis(kind):
    """Along an axis the bound is exact, by a fine grid; for chords on tori with a slope it is the
    lower end less what a parabola gains between the ends. On spheres squares of chords stand for
    d^2, by its tangent, which lies below.
    """
    rng = np.random.default_rng(kind)
    t = np.linspace(0, 1, 4001)
    for trial in range(60):
        x, ground = points(kind, 1, rng)
        near = points(kind, 1, rng)[0] if trial % 4 else x * (-1 if kind >= 2 and trial % 8 else 1)
        size = 10.0 ** rng.uniform(-2, -0.2, near.shape)
        low, high = near - size * rng.random(near.shape), near + size
        if kind <= 1:
            low, high = np.clip(low, 0, PERIOD), np.clip(high, 0, PERIOD)
        g = rng.normal(size=near.shape) * (rng.random(near.shape) < 0.7)
        box = Boxes(low, high, g, np.zeros(1))
        found = costs.least_in_box(x, 0, box, 0, ground)
        y, middle = low + (high - low) * t[:, None], 0.5 * (low + high)
        tilt, fine = g * (y - middle), 1e-6 * ((high - low) ** 2).sum() + 1e-14
        if kind <= 1:
            each = (arc, chord)[kind](x - y) - tilt
            least = each.min(0)
            if kind == 1:
                ends = np.minimum(each[0], each[-1]) - 0.25 * (high - low)[0] ** 2
                assert (ends <= least + 1e-14).all()
                least = np.where(g[0] == 0, least, ends)
            wanted = least.sum()
        elif kind == 3:
            wanted = ((x - y) ** 2 - tilt).min(0).sum()
        else:
            s = min(((x - middle) ** 2).sum(), 3.9)
            d = 2 * np.arcsin(np.sqrt(s) / 2)
            bend = d / np.sin(d) if d > 1e-4 else 1.0
            wanted = d * d - bend * s + (bend * (x - y) ** 2 - tilt).min(0).sum()
            inside = low + (high - low) * rng.random((400, 3))
            inside /= np.linalg.norm(inside, axis=1, keepdims=True)
            inside = inside[((inside >= low) & (inside <= high)).all(1)]
            true = mf.Sphere(2).distance(x, inside) ** 2 - ((inside - middle) * g).sum(1)
            assert (found <= true + 1e-13).all()
        assert wanted - 40 * fine <= found <= wanted + 1e-13


def ranges(m, leaves):
    """The points under each node of a heap of boxes."""
    found = [range(0)] * (leaves - 1) + [
        range(LEAF * k, min(LEAF * (k + 1), m)) for k in range(leaves)
    ]
    for v in range(leaves - 2, -1, -1):
        a, b = found[2 * v + 1], found[2 * v + 2]
        found[v] = range(a.start, max(b.stop, a.stop) if len(b) else a.stop)
    return found


@pytest.mark.parametrize("m", [3, LEAF, LEAF + 1, 5 * LEAF - 3])
def test_boxes_hold_their_points_and_prices(m):
    """low, high, the mean gradient and the largest price over it, from the points under a node."""
    rng = np.random.default_rng(m)
    y, v, G = rng.normal(size=(m, 3)), rng.normal(size=m), rng.normal(size=(m, 3))
    boxes = box_tree(y)
    costs.lift(y, v, G, boxes)
    under = ranges(m, (len(boxes.top) + 1) // 2)
    assert len(boxes.top) == {3: 1, LEAF: 1, LEAF + 1: 3}.get(m, 15)
    for node, held in enumerate(under):
        if len(held) == 0:
            assert boxes.top[node] == -np.inf and (boxes.low[node] > boxes.high[node]).all()
            continue
        own, low, high = y[held], y[held].min(0), y[held].max(0)
        assert (boxes.low[node] == low).all() and (boxes.high[node] == high).all()
        slope = G[held].mean(0)
        np.testing.assert_allclose(boxes.slope[node], slope, rtol=1e-13)
        tops = v[held] - (own - (low + high) / 2) @ slope
        assert boxes.top[node] == pytest.approx(tops.max(), abs=1e-13)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_gradients_are_those_of_the_cost_in_the_partner(kind):
    rng = np.random.default_rng(20 + kind)
    (x, ground), (y, _) = points(kind, 7, rng), points(kind, 40, rng)
    y[0] = x[0]
    partner = np.arange(40) % 7
    far = ((x[partner] - y) ** 2).sum(1) > 3.9 if kind == 2 else np.zeros(40, bool)
    G = costs.gradients(x, y, partner, ground)
    manifold, h = (mf.Torus(2, PERIOD) if kind <= 1 else mf.Sphere(2)), 1e-5
    for e in manifold.basis(y).swapaxes(0, 1):
        ahead, behind = (
            costs.arc_costs(x, manifold.retract(y, s * h * e), partner, np.arange(40), ground)
            for s in (1, -1)
        )
        wanted = (ahead - behind) / (2 * h)
        np.testing.assert_allclose((G * e).sum(1)[~far], wanted[~far], atol=1e-8)
    if kind == 2:  # no steeper than at 3.9, where the slope is still moderate
        d = 2 * np.arcsin(np.sqrt(3.9) / 2)
        np.testing.assert_allclose(G[far], 2 * d / np.sin(d) * (y - x[partner])[far], rtol=1e-13)
        assert far.any()
    if kind == 3:
        np.testing.assert_allclose(G, 2 * (y - x[partner]), atol=1e-15)


def halved(x, numbers, room):
    """Leaves of points in boxes halved along their longest sides, by sorting."""
    if room == LEAF:
        return [sorted(numbers)]
    axis = np.argmax(np.ptp(x[numbers], axis=0))
    numbers = sorted(numbers, key=lambda i: (x[i, axis], i))
    first, second = numbers[: room // 2], numbers[room // 2 :]
    return halved(x, first, room // 2) + (halved(x, second, room // 2) if second else [])


@pytest.mark.parametrize(("n", "axes"), [(1, 2), (8, 1), (9, 2), (75, 3), (128, 2), (129, 1)])
def test_boxes_are_halved_along_their_longest_sides(n, axes):
    rng = np.random.default_rng(n)
    x = rng.random((n, axes)) * [1.0, 3.0, 2.0][:axes]
    x[n // 3 : n // 2] = x[n // 3]
    x[-n // 5 :, 0] = 0.25
    order, room = costs.tree_order(x), LEAF
    while room < n:
        room *= 2
    leaves = [sorted(order[k : k + LEAF].tolist()) for k in range(0, n, LEAF)]
    assert leaves == halved(x, list(range(n)), room)


def test_points_at_one_place_are_found():
    x = np.random.default_rng(3).integers(0, 3, (40, 2)).astype(float)
    x[x == 0] *= np.random.default_rng(4).choice([-1.0, 1.0], (x == 0).sum())
    found, place = distinct(x)
    assert (found[place] == x).all() and len(found) == len({tuple(p + 0.0) for p in x})


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_the_search_through_boxes_finds_the_least_and_looks_at_few(kind, monkeypatch):
    rng = np.random.default_rng(10 + kind)
    (x, ground), (y, _) = points(kind, 12, rng), points(kind, 150, rng)
    y = y[costs.tree_order(y)]
    partner = rng.integers(0, 12, len(y))
    everything = costs.arc_costs(x, y, *(k.ravel() for k in np.indices((12, 150))), ground)
    C = everything.reshape(12, 150)
    v = C[partner, np.arange(150)] - 0.3 * rng.random(150)
    boxes = box_tree(y)
    costs.lift(y, v, costs.gradients(x, y, partner, ground), boxes)
    order = np.argsort(C - v, axis=1)[:, :5]
    least = np.take_along_axis(C - v, order, 1)
    looks, cost = [], costs.cost
    monkeypatch.setattr(costs, "cost", lambda *a: looks.append(a) or cost(*a))
    for count in (1, 2, 5):
        start, few = np.full(12, np.inf), min(count, 2)
        start[::3] = least[::3, few]
        looks.clear()
        values, at = costs.cheapest(x, start, y, v, boxes, ground, count)
        for i in range(12):
            k = few if i % 3 == 0 else count
            assert at[i].tolist() == [*order[i, :k], *[-1] * (count - k)]
            wanted = [*least[i, :k], *[start[i]] * (count - k)]
            np.testing.assert_allclose(values[i], wanted, rtol=1e-13)
    assert len(looks) < (0.52, 0.71, 0.39, 0.39)[kind] * C.size
