"""Cells on S^2 between circles, cut by cut: against all points and all atoms, and fine sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

import meanfield as mf
from meanfield.metrics.w2 import chord_sums, circle_cell, circle_diagram, laguerre_sphere
from meanfield.metrics.w2.circle_diagram import Arcs, carve_all, of_great_circles
from meanfield.metrics.w2.costs import box_tree, lift, tree_order
from meanfield.metrics.w2.sphere_diagram import diagram, rows
from tests.plain import plainly

S2 = mf.Sphere(2)


def fibonacci(n):
    z, turn = 1 - 2 * (np.arange(n) + 0.5) / n, np.pi * (1 + 5**0.5) * np.arange(n)
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)


X = fibonacci(40_000)


def sampled(n, seed, spread, width=np.inf):
    """Atoms in the tree's order, all over the sphere or around a pole, and heights."""
    rng = np.random.default_rng(seed)
    y = (
        S2.sample(n, rng)
        if width == np.inf
        else rng.standard_normal((n, 3)) * width + [0, 0.6, 0.8]
    )
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return np.ascontiguousarray(y[tree_order(y)]), spread * rng.standard_normal(n)


def carved(y, h, likely=None, back=None):
    boxes = box_tree(y)
    lift(y, 2 * h, np.zeros(y.shape), boxes)
    empty = np.zeros(len(y) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    given = y, h, boxes, *(likely or empty), -y if back is None else back
    pairs, table, about = carve_all(*given, 0, len(y))
    columns = (np.ascontiguousarray(table[:, k : k + 3]) for k in (0, 3, 6))
    return Arcs(pairs, *columns, *np.ascontiguousarray(table[:, 9:].T)), about


CASES = [
    (1, 0.0, np.inf),
    (2, 0.3, np.inf),
    (3, 0.1, 0.2),
    (12, 0.3, np.inf),
    (30, 0.0, 0.2),
    (40, 0.02, 0.1),
    (25, 0.001, 0.01),
]


@pytest.mark.parametrize(("n", "spread", "width"), CASES)
def test_arcs_are_where_two_cells_are_largest(n, spread, width):
    """Points of arcs lie in both cells of all atoms, with the first on the left; their lengths are
    those that all points of each circle give.
    """
    y, h = sampled(n, n, spread, width)
    arcs, about = carved(y, h)
    i, j = arcs.pairs.T
    assert (i < j).all()
    for share in (0.0, 0.3, 1.0):
        s = (arcs.low + share * (arcs.high - arcs.low))[:, None]
        x = arcs.middle + arcs.a * np.cos(s) + arcs.t * np.sin(s)
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-12)
        values = x @ y.T + h
        both = values[np.arange(len(i)), i], values[np.arange(len(i)), j]
        np.testing.assert_allclose(both[0], both[1], atol=1e-13)
        np.testing.assert_allclose(both[0], values.max(1, initial=-np.inf), atol=1e-13)
        along = arcs.t * np.cos(s) - arcs.a * np.sin(s)
        assert (np.sum((y[i] - y[j]) * np.cross(x, along), axis=1) > 0).all()
    lengths = np.zeros((n, n))
    np.add.at(lengths, (i, j), arcs.high - arcs.low)
    s = np.linspace(0, 2 * np.pi, 4000, endpoint=False)[:, None]
    for k in range(min(n, 8)):
        for l in range(k + 1, min(n, 8)):
            g, b = y[k] - y[l], h[l] - h[k]
            size = np.linalg.norm(g)
            if abs(b) >= size:
                assert lengths[k, l] == 0
                continue
            _, _, axes = np.linalg.svd(g[None] / size)
            round_ = np.cos(s) * axes[1] + np.sin(s) * axes[2]
            x = b / size * g / size + np.sqrt(1 - (b / size) ** 2) * round_
            values = x @ y.T + h
            share = np.mean(values[:, k] >= values.max(1) - 1e-13)
            assert lengths[k, l] / (2 * np.pi) == pytest.approx(share, abs=3e-3)
    held = (-y @ y.T + h).argmax(1) == np.arange(n)
    for k in range(n):
        mine = np.concatenate([np.empty((0, 3)), *points_of(arcs, (i == k) | (j == k))])
        least = -1.0 if held[k] else (mine @ y[k]).min(initial=1.0)
        assert about[k, 3] == pytest.approx(least, abs=1e-4)
    np.testing.assert_array_equal(about[:, 4] > 0, held)


def points_of(arcs, chosen):
    """Points of some arcs."""
    for e in np.flatnonzero(chosen):
        s = np.linspace(arcs.low[e], arcs.high[e], 800)[:, None]
        yield arcs.middle[e] + arcs.a[e] * np.cos(s) + arcs.t[e] * np.sin(s)


def test_the_neighbours_tried_first_change_nothing():
    y, h = sampled(60, 3, 0.005, 0.15)
    plain, about = carved(y, h)
    starts, columns, _ = rows(plain.pairs, 60)
    again, same = carved(y, h, (starts, columns))
    order, other = (np.lexsort((a.low, a.pairs[:, 1], a.pairs[:, 0])) for a in (plain, again))
    np.testing.assert_array_equal(plain.pairs[order], again.pairs[other])
    for one, two in zip(plain[1:], again[1:], strict=True):
        np.testing.assert_allclose(one[order], two[other], atol=1e-13)
    np.testing.assert_allclose(about[:, 3:], same[:, 3:], atol=1e-13)


def test_work_space_grows_and_hidden_atoms_have_no_cell(monkeypatch):
    y, h = sampled(50, 5, 0.0, 0.2)
    plain, _ = carved(y, h)
    plainly(monkeypatch, circle_cell, circle_diagram)
    space = circle_diagram.cell_space
    asked = []
    monkeypatch.setattr(
        circle_diagram, "cell_space", lambda size: asked.append(size) or space(size // 4)
    )
    small, _ = carve_plainly(y, h)
    assert max(asked) > 64
    np.testing.assert_array_equal(small, plain.pairs)
    h[7] -= 3.0
    hidden, about = carve_plainly(y, h)
    assert not (hidden == 7).any() and about[7].tolist() == [*y[7], 1.0, 0.0]


def carve_plainly(y, h):
    boxes = box_tree(y)
    lift(y, 2 * h, np.zeros(y.shape), boxes)
    none = np.zeros(len(y) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    pairs, _, about = circle_diagram.carve_all(y, h, boxes, *none, -y, 0, len(y))
    return pairs, about


def test_a_box_is_ruled_out_only_where_no_atom_of_it_cuts(monkeypatch):
    """Against all points near c, with slopes of the potentials good and bad."""
    plainly(monkeypatch, circle_cell, circle_diagram)
    y, h = sampled(512, 9, 0.01, 0.5)
    rng, boxes, out = np.random.default_rng(4), box_tree(y), 0
    for slope in (0.0, 0.1):
        lift(y, 2 * h, np.full(y.shape, slope), boxes)
        for _ in range(60):
            i, leaf, rho = rng.integers(512), rng.integers(64), 0.02 + 0.1 * rng.random()
            c = y[i] + 0.1 * rng.standard_normal(3)
            c /= np.linalg.norm(c)
            inside = X[np.linalg.norm(X - c, axis=1) < rho]
            atoms = slice(8 * leaf, 8 * leaf + 8)
            cuts = (inside @ (y[atoms] - y[i]).T + h[atoms] - h[i] > 1e-12).any()
            found = circle_diagram.ruled_out(c[None], rho, y, i, boxes, 63 + leaf, 2 * h[i])
            assert not (found and cuts)
            out += found
            for j in range(8 * leaf, 8 * leaf + 8):
                one = (inside @ (y[j] - y[i]) + h[j] - h[i] > 1e-12).any()
                assert not (circle_diagram.misses(c[None], rho, y, i, j, h[j] - h[i]) and one)
    assert out > 20


def test_what_holds_all_of_a_cell(monkeypatch):
    """Its least products with vectors, and the ball around it, against all points."""
    plainly(monkeypatch, circle_cell, circle_diagram)
    y, h = sampled(12, 6, 0.05)
    boxes = box_tree(y)
    lift(y, 2 * h, np.zeros(y.shape), boxes)
    owner = (X @ y.T + h).argmax(1)
    none, rng = np.zeros(0, dtype=np.int64), np.random.default_rng(0)
    for i in range(12):
        w, c = circle_cell.cell_space(256), np.empty((1, 3))
        circle_diagram.carve(i, y, h, boxes, none, w, c, np.empty(128, dtype=np.int64))
        mine = X[owner == i]
        far = circle_cell.ball(w, c)
        assert np.linalg.norm(mine - c, axis=1).max() <= far
        for v in S2.sample(5, rng):
            assert circle_cell.least(w, v[None], 0) >= (mine @ v).min() - 0.05
            assert circle_cell.least(w, v[None], 0) <= (mine @ v).min() + 1e-12
            inside = (v @ y.T + h).argmax() == i
            assert circle_cell.holds(w, v[None], 0, 1.0) == inside
            assert circle_cell.holds(w, -v[None], 0, -1.0) == inside


@pytest.mark.parametrize("R", [1e-6, 0.01, 1.0, 1.5, 1.7, 3.0, 3.14])
def test_scaled_moments_of_fans(R, monkeypatch):
    plainly(monkeypatch, chord_sums, laguerre_sphere)
    y, x = np.array([[0.0, 0.0, 1.0]]), np.array([[np.sin(R), 0.0, np.cos(R)]])
    F = quad(lambda r: r * r * np.sin(r), 0, R, epsabs=0, epsrel=1e-13)[0]
    back = quad(lambda r: r * r * np.sin(r), 0, np.pi)[0] / 2
    assert back == pytest.approx(chord_sums.BACK, rel=1e-13)
    for moments, whole, bend in (
        (chord_sums.ARC, F, back),
        (chord_sums.CHORD, (1 - np.cos(R)) ** 2, 2.0),
    ):
        sides = (0.0, bend) if R < 2 else (bend,)
        for B in sides:
            found = chord_sums.scaled_moment(x, y, 0, B, moments) * np.sin(R) ** 2
            exact = whole - B * (1 - np.cos(R))
            assert found == pytest.approx(exact, rel=1e-8, abs=1e-13)


def test_fans_of_circles_have_the_area_and_moment_of_caps():
    """Around a cap's middle, another point in it, one outside, and with B for what lies behind."""
    for r in (0.2, 1.0, 1.9, 3.0):
        axis, u, v = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
        turned = np.cross(axis, u)
        arcs = Arcs(
            np.zeros((1, 2), dtype=np.int64),
            *(c[None].copy() for c in (np.cos(r) * axis, np.sin(r) * u, np.sin(r) * turned)),
            np.zeros(1), np.full(1, 2 * np.pi),
        )  # fmt: skip
        area = 2 * np.pi * (1 - np.cos(r))
        for off in (0.0, 0.1, 0.5):
            y = (np.cos(off) * axis + np.sin(off) * v)[None]
            for bend, moments in (
                (0.0, chord_sums.ARC),
                (chord_sums.BACK, chord_sums.ARC),
                (2.0, chord_sums.CHORD),
            ):
                if bend == 0 and r > 1.4:
                    continue
                x, step = np.empty((1, 3)), np.empty((1, 3))
                given = arcs, 0, 0.0, 2 * np.pi, moments, x, step
                found = chord_sums.fan.compiled(y, y, bend, 0, *given)
                behind = 4 * np.pi if r + off > np.pi else 0.0
                inside = X[X @ axis > np.cos(r)]
                d = (
                    S2.distance(inside, y)
                    if moments == chord_sums.ARC
                    else np.linalg.norm(inside - y, axis=1)
                )
                assert found[0] + behind == pytest.approx(area, rel=1e-10)
                moment = found[1] + bend * behind
                assert moment == pytest.approx(4 * np.pi / len(X) * (d**2).sum(), rel=2e-2)
                if off == 0 and moments == chord_sums.ARC:
                    exact = 2 * np.pi * quad(lambda s: s * s * np.sin(s), 0, r)[0]
                    assert moment == pytest.approx(exact, rel=1e-10)


def test_arcs_leave_cells_where_others_begin(monkeypatch):
    """Great circles through cells of circles, and circles through a mesh."""
    plainly(monkeypatch, chord_sums, laguerre_sphere)
    y, h = sampled(20, 6, 0.05)
    arcs, _ = carved(y, h)
    starts, columns, _ = rows(arcs.pairs, 20)
    cells = circle_diagram.Regions(y, h, starts, columns)
    mesh, lines = of_great_circles(diagram(S2.sample(15, np.random.default_rng(8)), "it")[0])
    for regions, across in ((cells, lines), (mesh, arcs)):
        for e in range(len(across.a)):
            s = np.linspace(across.low[e], across.high[e], 3001)[:, None]
            x = across.middle[e] + across.a[e] * np.cos(s) + across.t[e] * np.sin(s)
            inside = (x @ regions.p.T + regions.h).argmax(1)
            k, low, high, passed = int(inside[0]), across.low[e], across.high[e], []
            while k >= 0:
                out, after = chord_sums.leaves(regions, k, across, e, low, high)
                at = 0.5 * (low + out)
                at = across.middle[e] + across.a[e] * np.cos(at) + across.t[e] * np.sin(at)
                assert (regions.p @ at + regions.h).argmax() == k and out >= low
                passed.append(k)
                low, k = out, after
            assert low == high
            seen = inside[np.append(True, np.diff(inside) != 0)].tolist()
            assert [c for c in passed if c in seen] == seen and len(passed) <= len(seen) + 2
