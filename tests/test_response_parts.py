"""The parts of searches for best responses: cells, bounds over them, enclosures and descents, each
against its formula or every point of a fine grid.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.bases import TrigBasis
from meanfield.responses import bounds, cells, enclosures, intervals, polish, search
from tests.plain import plainly

T2, S2 = mf.Torus(2, 3.0), mf.Sphere(2)


def test_cells_of_tori_are_boxes_in_balls():
    u = np.array([[0.25, -0.5], [-1.0, 0.0]])
    at = cells.balls(T2, u, np.zeros(2, int), 0.125)
    np.testing.assert_allclose(at.centres, 1.5 * (1 + u), rtol=1e-15)
    np.testing.assert_allclose(at.widths, 1.5 * 0.125, rtol=2e-12)
    np.testing.assert_allclose(at.radii, np.sqrt(2) * 1.5 * 0.125, rtol=2e-12)
    assert (at.widths > 1.5 * 0.125).all() and at.radii.shape == (2, 1)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_of_spheres_lie_in_balls_and_these_in_boxes(d):
    """A face of the cube, looked at from its middle; balls touch a corner, boxes the balls."""
    sphere, rng = mf.Sphere(d), np.random.default_rng(d)
    for chart in range(2 * (d + 1)):
        u, r = 0.6 * (2 * rng.random((1, d)) - 1), 0.3
        at = cells.balls(sphere, u, np.array([chart]), r)
        x = u + r * (2 * rng.random((300, d)) - 1)
        x[: 2**d] = u + r * np.array(np.meshgrid(*[[-1, 1]] * d)).reshape(d, -1).T
        flat = np.insert(x, chart % (d + 1), 1.0 if chart <= d else -1.0, axis=1)
        points = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        off = sphere.distance(points, at.centres)
        assert off.max() <= at.radii[0, 0] <= off.max() * (1 + 1e-11)
        v = sphere.project(np.repeat(at.centres, 40_000, 0), rng.normal(size=(40_000, d + 1)))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        R = at.radii[0, 0]
        rim = np.abs(np.cos(R) * at.centres + np.sin(R) * v - at.centres).max(0)
        assert (rim <= at.widths[0] * (1 + 1e-9)).all() and (
            at.widths[0] <= rim * (1 + 2e-2 * d)
        ).all()


@pytest.mark.parametrize("manifold", [mf.Torus(1), T2, mf.Torus(3), mf.Sphere(1), S2, mf.Sphere(3)])
def test_the_first_cells_cover_the_manifold_once(manifold, monkeypatch):
    seen = []
    monkeypatch.setattr(cells, "cut_cells", lambda *given: seen.append(given) or 0.0)
    cells.cut(manifold, lambda at: seen.append(at) or at.radii[:, 0], -1.5, 321)
    bound, x, low, r, target, budget, d = seen[0]
    n = {"T": {1: 64, 2: 32, 3: 8}, "S": {1: 16, 2: 8, 3: 4}}[str(manifold)[0]][manifold.dim]
    torus = isinstance(manifold, mf.Torus)
    assert len(x) == n**manifold.dim * (1 if torus else 2 * (manifold.dim + 1))
    assert (r, target, budget, d) == (1 / n, -1.5, 321, manifold.dim) and (low == -np.inf).all()
    bound(x, r)
    points = manifold.sample(60, np.random.default_rng(0))
    if torus:
        u, face = 2 * points / manifold.period - 1, np.zeros(60, int)
    else:
        axis = np.abs(points).argmax(1)
        top = points[np.arange(60), axis]
        face = axis + np.where(top < 0, d + 1, 0)
        u = np.stack([np.delete(p / abs(t), k) for p, t, k in zip(points, top, axis, strict=True)])
    inside = (np.abs(x[:, None, :d] - u) < r).all(2) & (x[:, None, d] == face)
    assert (inside.sum(0) == 1).all()
    assert (manifold.distance(seen[1].centres[inside.argmax(0)], points)
            <= seen[1].radii[inside.argmax(0), 0]).all()  # fmt: skip


def test_cells_are_cut_until_none_is_left_or_the_budget_ends():
    """|x - 0.3| + |y| over [-1, 1]^2 with its exact least value in each cell."""
    asked = []

    def bound(x, r):
        asked.append((x, r))
        off = np.abs(x[:, :2] - [0.3, 0.0]) - r
        return np.maximum(off, 0).sum(1) + x[:, 2]

    start = np.array([[s, t, 1.0] for s in (-0.5, 0.5) for t in (-0.5, 0.5)])
    low = np.full(4, -1.0)
    assert cells.cut_cells(bound, start, low, 0.5, 0.9, 10_000, 2) == 0.9
    assert len(asked) == 1 and (asked[0][0] == start).all() and asked[0][1] == 0.5
    asked.clear()
    found = cells.cut_cells(bound, start, low, 0.5, 1.2, 60, 2)
    sizes, kept = [len(x) for x, _ in asked], start
    for (x, r), k in zip(asked, range(9), strict=False):
        assert r == 0.5 / 2**k and sorted(x.tolist()) == sorted(kept.tolist())
        least = np.maximum(np.abs(x[:, :2] - [0.3, 0]) - r, 0).sum(1) + 1
        kept = np.array([[c[0] + s * r / 2, c[1] + t * r / 2, 1] for c in x[least < 1.2]
                         for s in (-1, 1) for t in (-1, 1)])  # fmt: skip
    assert sum(sizes) <= 60 < sum(sizes) + len(kept) and found == 1.0
    for budget, looks in ((3, 0), (4, 1)):
        asked.clear()
        assert cells.cut_cells(bound, start, low, 0.5, 1.2, budget, 2) == (1.0 if looks else -1.0)
        assert len(asked) == looks
    asked.clear()
    assert cells.cut_cells(bound, start, np.array([2.0, -1, 1.2, 5.0]), 0.5, 1.2, 1, 2) == 1.2
    assert [x.tolist() for x, _ in asked] == [[[-0.5, 0.5, 1.0]]]


def test_least_values_of_parabolas_on_intervals():
    rng = np.random.default_rng(1)
    slope, bend = rng.normal(size=(2, 200))
    bend[:5], slope[:5] = 2.0, [0.0, 0.6, -0.6, 0.3, 5.0]
    s = 0.3 * np.linspace(-1, 1, 6001)[:, None]
    exact = (slope * s + bend * s**2 / 2).min(0)
    np.testing.assert_allclose(cells.least_on_interval(slope, bend, 0.3), exact, atol=1e-8)


def test_ehlich_and_zellers_bound_is_its_formula():
    values = np.array([0.3, -1.2, 2.0, 0.7])
    for side, degree, d in ((7, 3, 1), (9, 4, 2), (64, 1, 2)):
        floor, slack = bounds.ehlich_zeller(values, side, degree, d)
        reach = 1.6 / np.cos(np.pi * degree / side) ** d
        assert floor == pytest.approx(0.4 - reach, rel=1e-14)
        # Half a cell along each axis: (1/2) (d K pi/N)^2 g, second derivatives at most K^2 g.
        assert slack == pytest.approx(0.5 * (d * np.pi * degree / side) ** 2 * reach, rel=1e-14)
    assert bounds.ehlich_zeller(values, 6, 3, 1) == (-np.inf, np.inf)


@pytest.mark.parametrize("d", [1, 2])
def test_branch_and_bound_takes_the_best_of_three_bounds(d, monkeypatch):
    rng, torus, seen = np.random.default_rng(d), mf.Torus(d, 3.0), []
    modes = np.concatenate([np.zeros((1, d), int), rng.integers(-3, 4, (4, d))])
    modes[1] = 1
    basis, c = TrigBasis(torus, modes), rng.normal(size=10)
    monkeypatch.setattr(bounds, "cut_cells", lambda *given: seen.append(given) or 0.0)
    x = torus.sample(40, rng)
    values = basis.values(x) @ c
    bounds.branch_and_bound(basis, c, x, values, 12, 0.3)
    bound, points, low, r, target, budget = seen[0]
    w = 2 * np.pi / 3.0 * np.abs(modes).sum(1)
    A = np.hypot(c[:5], c[5:])
    B = [A @ w**k for k in (1, 2, 3)]
    moving = A[w > 0].sum()
    assert points is x and r == 1.5 / 12 and budget == bounds.CELLS
    np.testing.assert_allclose(low, values - B[0] * r, rtol=1e-13, atol=1e-13)
    rounding = 8 * 2.0**-52 * A[w == 0].sum()
    assert 0.3 - target == pytest.approx(1e-10 * moving + rounding, rel=1e-5)
    g, H = basis.gradient(x, c), basis.hessian(x, c)
    for r in (0.125, 0.01):
        first = values - r * np.abs(g).sum(1) - r * r / 2 * B[1]
        bowl = cells.least_in_ball(g, H, r * np.sqrt(d)) - r**3 / 6 * B[2]
        wanted = np.where(first < target, np.maximum(first, values + bowl), first)
        np.testing.assert_allclose(bound(x, r), wanted, rtol=1e-12, atol=1e-12)
        assert (values + bowl > first)[first < target].any() or r > 0.1


def test_grids_of_searches_are_as_fine_as_stated():
    table = {
        (1, 0): 512, (2, 0): 96, (3, 0): 32, (1, 1): 64, (1, 3): 192, (1, 200): 8192,
        (1, 10_000): 20_001, (2, 1): 48, (2, 4): 64, (2, 100): 512, (2, 300): 601, (3, 1): 24,
        (3, 5): 40, (3, 9): 64, (3, 40): 81,
    }  # fmt: skip
    assert {key: search._side(*key) for key in table} == table
    for torus, wave, side in ((mf.Torus(1), "x", 512), (T2, "x1*2*pi/3", 96)):
        game = mf.games.expression(f"exp(cos({wave} - y))", torus, mf.Torus(1))
        assert search.Search(game, 0).side == side and search.Search(game, 1).side == 512
    waves = mf.games.trigonometric([((3,), (5,), 1.0, 0.0), ((-7,), (0,), 1.0, 0.0)])
    assert [search.Search(waves, p).side for p in (0, 1)] == [448, 320]


def test_candidates_are_dips_near_the_least_and_the_best_of_them():
    game = mf.games.trigonometric([((1, 2), (1,), 1.0, 0.0)], T2, mf.Torus(1))
    one = search.Search(game, 0)
    n, rng = one.side, np.random.default_rng(3)
    field = rng.random((n, n))
    around = [np.roll(field, s, axis) for s in (-1, 1) for axis in (0, 1)]
    dips = np.flatnonzero(
        (field <= np.min(around, 0)).ravel() & (field.ravel() <= field.min() + 0.1)
    )
    for slack in (0.1, 0.003):
        near = [k for k in dips if field.ravel()[k] <= field.min() + slack]
        wanted = sorted(near, key=lambda k: field.ravel()[k])[:32]
        assert one._candidates(field.ravel(), slack).tolist() == wanted
    sphere = search.Search(mf.games.expression("exp(x1*y1)", S2, S2), 0)
    values = rng.random(2048)
    assert sphere._candidates(values, np.inf).tolist() == np.argsort(values)[:32].tolist()
    assert len(sphere.points) == 2048

    class Height:
        values = staticmethod(lambda points: points[:, 0])

    for m, step in ((40, 1), (2048, 1), (2049, 2), (6000, 3)):
        points = rng.random((m, 1))
        best = search._best(Height, points, 5)
        assert best.tolist() == sorted(points[::step].tolist())[:5]


class Bowl:
    """(x - m)'A(x - m)/2 on the plane of a torus, A with eigenvalues of both signs."""

    A, m = np.array([[2.0, 0.5], [0.5, -1.0]]), np.array([1.0, 2.0])

    def values(self, x):
        return 0.5 * np.einsum("ni,ij,nj->n", x - self.m, self.A, x - self.m)

    def gradient(self, x):
        return (x - self.m) @ self.A

    def hessian(self, x):
        return np.broadcast_to(self.A, (len(x), 2, 2))


def test_newtons_steps_go_down_along_every_axis_and_not_too_far():
    cost, x = Bowl(), np.array([[1.1, 2.05], [0.2, 2.9]])
    bend, axes = np.linalg.eigh(cost.A)
    full = -((x - cost.m) @ cost.A @ axes / np.abs(bend)) @ axes.T
    longest = T2.reach / 8
    short = full * np.minimum(1, longest / np.linalg.norm(full, axis=1))[:, None]
    assert np.linalg.norm(full[0]) < longest < np.linalg.norm(full[1])
    np.testing.assert_allclose(polish._newton_step(cost, T2, x), short, rtol=1e-12)


def test_steps_are_halved_until_they_gain():
    class Slope:
        def values(self, x):
            return np.abs(x[:, 0] - 1.0)

    x, step = np.full((4, 2), 0.5), np.zeros((4, 2))
    step[:, 0] = 0.6, 1.1, 0.5 * 2.0**11.9, 0.5 * 2.0**12.1  # towards 1 and beyond it
    value = Slope().values(x)
    best, lowest = polish._backtrack(Slope(), mf.Torus(2, 1e6), x, value, step)
    ends = [0.5 + 0.6, 0.5 + 0.55, 0.5 + 0.5 * 2**0.9, 0.5]
    np.testing.assert_allclose(best[:, 0], ends, rtol=1e-12)
    assert (lowest == Slope().values(best)).all() and lowest[3] == value[3]


def test_descents_on_the_circle_end_where_the_slope_vanishes():
    rng = np.random.default_rng(5)
    for _ in range(12):
        waves, p, q = np.array([1.0, 2.0, 3.0, 9.0]), *rng.normal(size=(2, 4))
        modes = list(zip(waves.tolist(), p.tolist(), q.tolist(), strict=True))
        x = float(2 * np.pi * rng.random())

        def f(x, k=0, p=p, q=q, waves=waves):
            turn = waves * x + k * np.pi / 2
            return float((waves**k * (p * np.cos(turn) + q * np.sin(turn))).sum())

        assert polish._jet(modes, x) == pytest.approx([f(x), f(x, 1), f(x, 2)], rel=1e-12)
        starts = 2 * np.pi * rng.random((30, 1))
        ends, values = polish.polish_on_circle(waves, np.append(p, q), starts)
        for start, end, value in zip(starts[:, 0], ends[:, 0], values, strict=True):
            assert value == f(end) <= f(start) or value == pytest.approx(f(end), rel=1e-13)
            assert abs(f(end, 1)) < 2e-6 and f(end, 2) > 0
            assert value <= f(start)


@pytest.fixture
def plain(monkeypatch):
    plainly(monkeypatch, enclosures)
    monkeypatch.setattr(enclosures, "apart", lambda: None)


FUNCTIONS = {
    "exp": (-3, 3), "log": (0.1, 5), "sqrt": (0.0, 5), "sinh": (-3, 3), "tanh": (-3, 3),
    "asin": (-1, 1), "atan": (-4, 4), "sign": (-2, 2), "acos": (-1, 1), "sin": (-20, 20),
    "cos": (-20, 20), "cosh": (-3, 3), "abs": (-3, 3),
}  # fmt: skip
NUMPY = {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_intervals_are_their_ranges(name, plain):
    code, f, rng = enclosures.OPS.index(name), NUMPY.get(name, getattr(np, name, None)), None
    rng = np.random.default_rng(code)
    low, high = FUNCTIONS[name]
    for k in range(40):
        a, b = np.sort(low + (high - low) * rng.random(2))
        if k < 6:
            b = min(a + 0.3, high)
        if k == 6 and low < 0:
            a, b = -0.2, 0.3
        values = f(np.linspace(a, b, 4001))
        least, most = enclosures._called(code, a, b)
        assert least <= values.min() + 1e-15 and values.max() <= most + 1e-15
        if name != "sign":
            assert values.min() - least < 1e-3 and most - values.max() < 1e-3
    if name in ("log", "sqrt", "asin", "acos"):
        with np.errstate(invalid="ignore"):
            assert np.isnan(enclosures._called(code, low - 1.0, high)).all()


def test_powers_products_and_multiples_of_intervals(plain):
    rng = np.random.default_rng(7)
    for k in range(60):
        a, b = np.sort(rng.normal(size=2))
        c, d = np.sort(rng.normal(size=2))
        s, t = np.linspace(a, b, 301)[:, None], np.linspace(c, d, 301)
        found = enclosures._product(a, b, c, d)
        np.testing.assert_allclose(found, ((s * t).min(), (s * t).max()), rtol=1e-14)
        for n in (2.0, 3.0, 4.0):
            v = np.append(s**n, 0.0 if a < 0 < b else a**n)
            assert enclosures._power(a, b, n) == pytest.approx((v.min(), v.max()), rel=1e-14)
        turn, width = 4 * np.pi * (rng.random() - 0.5), (0.1, 1.0, 5.0)[k % 3]
        multiples = 2 * np.pi * np.arange(-4, 5)
        holds = ((multiples >= turn) & (multiples <= turn + width)).any()
        assert enclosures._passes(turn, turn + width) == holds
    for k in (-1, 0, 2):  # ends that round to a multiple, or past it
        assert enclosures._passes(2 * np.pi * k, 2 * np.pi * k + 0.1)
        assert enclosures._passes(2 * np.pi * k - 0.1, 2 * np.pi * k)
        assert not enclosures._passes(2 * np.pi * k + 1e-13, 2 * np.pi * k + 1)
    assert enclosures._down(3.0) == pytest.approx(3.0 - 24 * 2.0**-52, abs=4e-16) and (
        enclosures._up(-3.0) == pytest.approx(-3.0 + 24 * 2.0**-52, abs=4e-16)
    )
    assert enclosures._down(0.0) < 0 < enclosures._up(0.0) and enclosures._down(np.nan) == -np.inf


def test_forms_on_balls_of_the_sphere_and_what_is_taken_off_them():
    """A = F'QF - (g.c) 1 and less = |dQ| + |dg| + r (3 |FQc| + |Fg| + |dQ| + |dg|)
    + r^2 (1.5 |c.Qc| + 2 |F'QF| + (|FQc| + |g.c|)/2), with Q, g known to dQ, dg and F the tangents.
    """
    rng = np.random.default_rng(8)
    c = S2.sample(5, rng)
    F, r = S2.basis(c), rng.random((5, 1))
    mid, half = (M + M.swapaxes(1, 2) for M in rng.normal(size=(2, 5, 3, 3)))
    g, err = rng.normal(size=(2, 5, 3))
    A, less = intervals._on_sphere(cells.Balls(c, r, c), F, g, err, mid, half)
    size = np.linalg.norm
    for k in range(5):
        Q, T = mid[k], F[k]
        form, normal = T @ Q @ T.T, g[k] @ c[k]
        np.testing.assert_allclose(A[k], form - normal * np.eye(2), rtol=1e-12, atol=1e-13)
        dQ, dg, across = size(half[k]), size(err[k]), size(T @ Q @ c[k])
        first = 3 * across + size(T @ g[k]) + dQ + dg
        twice = 1.5 * abs(c[k] @ Q @ c[k]) + 2 * size(form) + 0.5 * (across + abs(normal))
        R = r[k, 0]
        assert less[k] == pytest.approx(dQ + dg + R * first + R * R * twice, rel=1e-12)


def test_middles_of_intervals_reach_their_ends():
    low, high = np.array([[0.1, -3.0, 5.0]]), np.array([[0.4, 2.0, 5.0]])
    middle, half = intervals._middle(low, high)
    np.testing.assert_allclose(middle, [[0.25, -0.5, 5.0]], rtol=1e-15)
    np.testing.assert_allclose(half, [[0.15, 2.5, 10 * 2.0**-52]], rtol=1e-13)
    assert (middle - half <= low).all() and (middle + half >= high).all()


def test_modes_too_many_for_the_memory_are_refused():
    game = mf.games.trigonometric([((10**9,), (1,), 1.0, 0.0)])
    mu = mf.Measure([[1.0]], None, mf.Torus(1))
    with pytest.raises(ValueError, match="modes up to 1000000000, on 2000000001 points per axis"):
        mf.nikaido_isoda(game, mu, mu)
