"""Laguerre cells on tori, polygon by polygon: against cells that all images of all atoms cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from meanfield.metrics.w2 import costs, laguerre_torus, polygons
from meanfield.metrics.w2.laguerre_torus import LEAF, box_tree, merged, opened
from meanfield.metrics.w2.newton import Cells, Laplacian, rows_of
from meanfield.metrics.w2.surfaces import UNIT_TORUS, neighbours
from tests.plain import plainly


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, costs, laguerre_torus, polygons)


def polygon(rng, corners=7):
    """Corners of a convex polygon on an ellipse away from the origin, counter-clockwise."""
    angle = np.sort(2 * np.pi * rng.random(corners))
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    P = np.stack([np.cos(angle), 0.4 * np.sin(angle)], 1) @ turn.T
    return (P if np.linalg.det(turn) > 0 else P[::-1]) * 0.3 + rng.normal(size=2) * 0.2


def moments(P):
    """Area and int |v|^2 by Green's theorem."""
    Q = np.roll(P, -1, axis=0)
    cross = P[:, 0] * Q[:, 1] - P[:, 1] * Q[:, 0]
    squares = (P * P + P * Q + Q * Q).sum(1)
    return cross.sum() / 2, (cross * squares).sum() / 12


def clipped(P, tags, a, b, h, tag):
    Q, names = np.full((len(P) + 2, 2), np.nan), np.full(len(P) + 2, -9)
    m = polygons.clip(P, tags, len(P), a, b, h, tag, Q, names)
    return Q[:m], names[:m]


def test_lines_cut_polygons_in_two():
    rng = np.random.default_rng(0)
    for _ in range(40):
        P = polygon(rng)
        tags = np.arange(10, 17)
        a, b = rng.normal(size=2)
        h = float(rng.choice([rng.normal() * 0.2 + P.mean(0) @ [a, b], P[3] @ [a, b]]))
        (Q, names), (R, _) = clipped(P, tags, a, b, h, 99), clipped(P, tags, -a, -b, -h, 99)
        parts = [moments(K) if len(K) > 2 else (0.0, 0.0) for K in (Q, R)]
        np.testing.assert_allclose(np.sum(parts, 0), moments(P), atol=1e-14)
        assert parts[0][0] >= -1e-15 and (Q @ [a, b] <= h + 1e-14).all()
        for k in range(len(Q)):
            one, two = Q[k], Q[(k + 1) % len(Q)]
            if names[k] == 99:
                np.testing.assert_allclose([one @ [a, b], two @ [a, b]], h, atol=1e-14)
            else:
                s = names[k] - 10
                edge = P[(s + 1) % 7] - P[s]
                off = np.stack([one, two]) - P[s]
                np.testing.assert_allclose(off @ [-edge[1], edge[0]], 0, atol=1e-14)
        assert (names == 99).sum() <= 1


def test_corners_on_the_line_belong_to_what_is_kept():
    square, tags = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.arange(4)
    Q, names = clipped(square, tags, 1.0, 0.0, 1.0, 9)
    assert (Q.tolist(), names.tolist()) == (square.tolist(), [0, 1, 2, 3])
    Q, names = clipped(square, tags, 1.0, 0.0, 0.0, 9)
    assert np.unique(Q, axis=0).tolist() == [[0, 0], [0, 1]] and moments(Q)[0] == 0
    assert len(clipped(square, tags, 1.0, 0.0, -1e-9, 9)[0]) == 0
    Q, names = clipped(square, tags, 1.0, 1.0, 1.0, 9)
    assert moments(Q)[0] == 0.5 and {0, 3, 9} <= set(names.tolist())


def test_moments_of_polygons_against_greens_theorem():
    rng = np.random.default_rng(1)
    for _ in range(20):
        P = polygon(rng)
        found = polygons.area_and_inertia(P, len(P))
        np.testing.assert_allclose(found, moments(P), rtol=1e-12)


def test_strips_of_the_grid_that_a_polygon_meets():
    """Strip c of n reaches from (c - 1/2)/n to (c + 1/2)/n."""
    P = np.array([[0.1, -0.31], [0.24, 0.0], [-0.2, 0.2]])
    for axis, origin, n in ((0, 0.7, 10), (1, 0.05, 7), (0, 0.0, 3)):
        edges = (np.arange(-3 * n, 3 * n) - 0.5) / n - origin
        wanted = [
            np.searchsorted(edges, v) - 1 - 3 * n for v in (P[:, axis].min(), P[:, axis].max())
        ]
        assert polygons.span(P, 3, axis, origin, n) == tuple(wanted)


def summed(P, tags, x, y, density):
    """Mass, int |v|^2 and the edges' mass, square after square and along each edge."""
    A, B = density.shape
    mass = second = 0.0
    for c in range(-2 * A, 3 * A):
        for r in range(-2 * B, 3 * B):
            Q = P
            for a, b, h in (
                (1.0, 0.0, (c + 0.5) / A - x), (-1.0, 0.0, x - (c - 0.5) / A),
                (0.0, 1.0, (r + 0.5) / B - y), (0.0, -1.0, y - (r - 0.5) / B),
            ):  # fmt: skip
                Q = clipped(Q, np.zeros(len(Q), int), a, b, h, 0)[0] if len(Q) > 2 else Q[:0]
            if len(Q) > 2:
                more = moments(Q)
                mass, second = (
                    mass + density[c % A, r % B] * more[0],
                    second + density[c % A, r % B] * more[1],
                )
    lengths = np.zeros(len(P))
    for k in np.flatnonzero(tags >= 0):
        t = (np.arange(20_000) + 0.5) / 20_000
        edge = P[(k + 1) % len(P)] - P[k]
        at = P[k] + t[:, None] * edge + [x, y]
        cell = np.floor(at * [A, B] + 0.5).astype(int) % [A, B]
        lengths[tags[k]] += density[cell[:, 0], cell[:, 1]].mean() * np.hypot(*edge)
    return mass, second, lengths


def test_integrals_over_polygons_are_sums_over_the_grids_squares():
    rng = np.random.default_rng(2)
    for shape in ((3, 5), (8, 2), (1, 1)):
        P, density = polygon(rng), rng.random(shape) + 0.1
        tags = np.array([0, 1, -1, 3, 4, -1, 6])
        x, y = rng.random(2)
        lengths = np.zeros(7)
        work, names = np.empty((6, 40, 2)), np.empty((6, 40), dtype=int)
        given = P, tags, 7, x, y, density, lengths, work, names
        found = polygons.integrate(*given)
        mass, second, edges = summed(P, tags, x, y, density)
        np.testing.assert_allclose(found, (mass, second), rtol=1e-12)
        np.testing.assert_allclose(lengths, edges, atol=2e-4)
        assert lengths[2] == lengths[5] == 0


def brute(x, psi, density):
    """Masses and second moments of cells that every image of every atom cuts, their neighbours."""
    images = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    mass, second, sides = np.zeros(len(x)), np.zeros(len(x)), []
    for i in range(len(x)):
        P, tags = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]), np.full(4, -1)
        for j in range(len(x)):
            for a, b in x[j] + images - x[i] if j != i else ():
                if len(P) > 2:
                    h = a * a + b * b + psi[i] - psi[j]
                    P, tags = clipped(P, tags, 2 * a, 2 * b, h, j)
        sides.append({int(t) for t in tags if t >= 0} if len(P) > 2 else set())
        if len(P) > 2:
            work, names = np.empty((6, 80, 2)), np.empty((6, 80), dtype=int)
            none = np.full(len(P), -1)
            mass[i], second[i] = polygons.integrate(
                P, none, len(P), *x[i], density, np.zeros(1), work, names
            )
    return mass, second, sides


def any_slopes(x):
    """Slopes of potentials that boxes are told: they may be wrong."""
    return 0.1 * np.random.default_rng(1).normal(size=x.shape)


def cells(x, psi, density, likely):
    boxes = box_tree(x)
    costs.lift(x, psi, any_slopes(x), boxes)
    cut = [0, len(x) // 3, len(x)]  # as two threads would share them
    parts = [
        laguerre_torus.laguerre(x, psi, boxes, density, *likely, begin, end)
        for begin, end in pairwise(cut)
    ]
    mass, second, amid = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return mass, second, rows_of([Laplacian(*part[3:]) for part in parts]), amid


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.3])
def test_cells_are_those_that_all_images_cut(spread, monkeypatch):
    """Whatever neighbours are told; with potentials that leave some cells empty, too. Few are
    looked at closely.
    """
    rng = np.random.default_rng(3)
    density = rng.random((3, 4)) + 0.2
    x = merged(rng.random((3 * LEAF + 2, 2)) ** 2, np.ones(3 * LEAF + 2))[0]
    n, psi = len(x), spread * rng.normal(size=3 * LEAF + 2)
    mass, second, sides = brute(x, psi, density)
    assert mass.sum() == pytest.approx(density.mean(), rel=1e-12)
    assert (spread > 0) == (mass == 0).any()
    looks, reaches = [], laguerre_torus.reaches
    monkeypatch.setattr(laguerre_torus, "reaches", lambda *a: looks.append(1) or reaches(*a))
    none = np.zeros(n + 1, dtype=int), np.zeros(0, dtype=int)
    wrong = np.arange(n + 1) * 3, rng.integers(0, n, 3 * n)
    most = {0.0: (31, 24, 29), 0.02: (27, 19, 26), 0.3: (9.5, 6.5, 9)}[spread]
    for likely, fewer in zip((none, neighbours(UNIT_TORUS, x), wrong), most, strict=True):
        looks.clear()
        found = cells(x, psi, density, likely)
        np.testing.assert_allclose(found[0], mass, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(found[1], second, rtol=1e-11, atol=1e-15)
        starts, columns, _ = found[2]
        inside = found[1] > 0  # |v| is least in the mean, and what is amid a cell is in its hull
        assert (found[3][~inside] == 0).all() and np.abs(found[3]).max() < 0.6
        for i in range(n):
            assert set(columns[starts[i] : starts[i + 1]].tolist()) == sides[i]
        assert len(looks) < fewer * n


def test_second_derivatives_are_differences_of_masses():
    """Of few atoms, which meet themselves and each other by several images."""
    rng = np.random.default_rng(4)
    for n, h in ((2, 1e-6), (9, 1e-6)):
        x = merged(rng.random((n, 2)), np.ones(n))[0]
        psi, density = 0.02 * rng.normal(size=n), rng.random((4, 3)) + 0.2
        starts, columns, weights = cells(x, psi, density, neighbours(UNIT_TORUS, x))[2]
        H = np.zeros((n, n))
        np.add.at(H, (np.repeat(np.arange(n), np.diff(starts)), columns), -weights)
        for j in range(n):
            e = h * np.eye(n)[j]
            slope = (brute(x, psi + e, density)[0] - brute(x, psi - e, density)[0]) / (2 * h)
            np.testing.assert_allclose(np.delete(H[:, j] - slope, j), 0, atol=1e-8)
            assert slope[j] == pytest.approx(-np.delete(H[:, j], j).sum(), abs=1e-8)


@pytest.mark.parametrize("corners", [60, 80])
def test_work_space_and_edges_grow_with_the_corners(corners):
    """One atom amid a ring: a cell of more corners than there is much room for at first."""
    turn = 2 * np.pi * np.arange(corners) / corners
    ring = 0.5 + 0.2 * np.stack([np.cos(turn), np.sin(turn)], 1)
    x = merged(np.concatenate([ring, [[0.5, 0.5]]]), np.ones(corners + 1))[0]
    at = int(np.flatnonzero((x == 0.5).all(1))[0])
    none = np.zeros(corners + 2, dtype=int), np.zeros(0, dtype=int)
    mass, second, H, _ = cells(x, np.zeros(corners + 1), np.ones((1, 1)), none)
    r = 0.1 * np.tan(np.pi / corners)  # half an edge
    assert mass[at] == pytest.approx(corners * 0.1 * r, rel=1e-12)
    assert second[at] == pytest.approx(corners * 0.1 * r * (0.01 / 2 + r * r / 6), rel=1e-12)
    own = slice(H.starts[at], H.starts[at + 1])
    assert len(set(H.columns[own])) == corners
    np.testing.assert_allclose(H.weights[own], 2 * r / (2 * 0.2), rtol=1e-10)
    assert mass.sum() == pytest.approx(1, rel=1e-12)


def test_the_image_across_an_edge_is_the_nearest_to_it():
    rng = np.random.default_rng(8)
    for _ in range(100):
        x, image = rng.random((2, 2)), rng.integers(-1, 2, 2)
        d = x[1] + image - x[0]
        across = 0.2 * np.array([-d[1], d[0]])
        P = d * rng.uniform(0.3, 0.7) + np.outer([-1.0, 0.0, 0.7], across)
        gap = laguerre_torus.image_gap(x, 0, 1, P, 0, 2)
        if (np.abs(d) < 0.75).all():
            assert gap == pytest.approx(np.hypot(*d), rel=1e-12)


def test_a_box_is_ruled_out_as_stated():
    """The least of |c - d|^2 - |c|^2 - slope . (d - middle) over the box, less 2 rho max |d|,
    against top - psi_i.
    """
    rng, seen = np.random.default_rng(5), []
    for _ in range(600):
        low, size = rng.normal(size=2), rng.random(2)
        c, shift, rho = rng.normal(size=2) * 0.3, rng.normal(size=2), 0.3 * rng.random()
        top, own = rng.normal(size=2)
        slope = rng.normal(size=2)
        boxes = costs.Boxes(low[None], (low + size)[None], slope[None], np.array([top]))
        ends = np.stack([low, low + size]) + shift
        d = np.linspace(ends[0], ends[1], 2001)
        least = ((c - d) ** 2 - c**2 - slope * (d - d[1000])).min(0).sum()
        gap = least - 2 * rho * np.hypot(*np.abs(ends).max(0)) - top + own
        if abs(gap) < 1e-5:
            continue
        wanted = gap >= 0
        assert laguerre_torus.ruled_out(*c, rho, boxes, 0, *shift, own) == wanted
        seen.append(wanted)
    assert 0.2 < np.mean(seen) < 0.8


def test_lines_that_touch_a_polygon_do_not_reach_it():
    P = np.array([[0.0, 0], [1, 0], [1, 2]])
    for a, b, h, wanted in (
        (1.0, 1.0, 2.9, True), (1.0, 1.0, 3.0, False), (-1.0, 0.0, 0.0, False),
        (1.0, 1.0, 3.0 * (1 - 1e-18), False), (1.0, 0.0, 1 - 1e-15, True),
    ):  # fmt: skip
        assert laguerre_torus.reaches(P, 3, a, b, h) == wanted
    x, y, far = laguerre_torus.ball(P, 3)
    assert (x, y) == pytest.approx((2 / 3, 2 / 3)) and far == pytest.approx(np.hypot(1 / 3, 4 / 3))


def test_atoms_at_one_place_are_one_and_weights_sum_to_one():
    rng = np.random.default_rng(7)
    points, weights = rng.random((20, 2)), rng.random(20)
    points[5] = points[11] = points[2]
    x, b, place = merged(points, weights)
    assert len(x) == 18 and (x[place] == points).all() and b.sum() == pytest.approx(1, rel=1e-14)
    for k in range(18):
        assert b[k] == pytest.approx(weights[place == k].sum() / weights.sum(), rel=1e-13)
    starts, columns = neighbours(UNIT_TORUS, x, 5)
    d = x[:, None] - x
    d -= np.rint(d)
    wanted = np.argsort((d**2).sum(2), axis=1)[:, :5]
    assert columns.reshape(18, 5).tolist() == wanted.tolist()
    assert starts.tolist() == list(range(0, 91, 5)) and len(neighbours(UNIT_TORUS, x[:4])[1]) == 16


def test_poor_cells_are_raised_by_steps_that_double():
    bars, target, asked = np.array([0.0, 5e-8, 1e-6]), np.array([1.0, 2.0, 4.0]), []

    def found(psi):
        asked.append(psi)
        rich = np.where(psi >= bars, 1.01e-2, 0.99e-2) * target
        return Cells(rich, rich, None)

    psi = opened(found, np.zeros(3), target)
    np.testing.assert_allclose(psi, [0, 7e-8, 127e-8], rtol=1e-12)
    assert len(asked) == 8
    asked.clear()
    bars[2] = np.inf
    opened(found, np.zeros(3), target)
    assert len(asked) == 60
