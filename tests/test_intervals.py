"""Proven floors of costs given by formulas: intervals hold what they enclose, floors lie below
dense grids.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas.calculus import NUMPY, Graph
from meanfield.responses import cells
from meanfield.responses.cells import least_on_interval
from meanfield.responses.costs import OpponentCost
from meanfield.responses.enclosures import enclosed, tape


def enclose(graph, roots, low, high):
    """Bounds (n, R) of the roots for variables from low to high (n, a), against one idle atom."""
    steps = tape(graph, roots, range(low.shape[1]))
    return enclosed(steps, low, high, np.zeros((1, 0)), np.ones(1))


def build(graph, x, y):
    """One of every operation, on variables in [0.2, 0.9]."""
    calls = {op: graph.call(op, x) for op in NUMPY if op not in ("add", "mul", "div", "neg")}
    calls |= {"shifted " + op: graph.call(op,
        graph.add(graph.mul(graph.constant(9.0), x), graph.constant(-4.0)))
              for op in ("sin", "cos", "cosh", "abs", "tanh", "atan", "exp")}  # fmt: skip
    u = graph.add(x, graph.neg(y))
    calls |= {
        "sum": graph.add(x, y),
        "product": graph.mul(u, graph.add(u, graph.constant(0.1))),
        "square": graph.mul(u, u),
    }
    calls |= {"quotient": graph.div(u, y), "cube": graph.power(u, 3), "fourth": graph.power(u, 4)}
    return calls | {"root": graph.power(x, 1.5), "negative": graph.power(y, -2)}


def test_every_operation_stays_within_its_interval():
    graph, rng = Graph(), np.random.default_rng(0)
    named = build(graph, graph.variable(0), graph.variable(1))
    ends = np.sort(rng.uniform(0.2, 0.9, (2, 2, 300)), axis=0)  # low and high of x and y
    lows, highs = enclose(graph, list(named.values()), ends[0].T, ends[1].T)
    inside = ends[0] + (ends[1] - ends[0]) * rng.random((400, 2, 300))
    inside[0], inside[1] = ends[0], ends[1]
    exact = graph.evaluate(list(named.values()), [inside[:, 0], inside[:, 1]])
    for name, low, high, values in zip(named, lows.T, highs.T, exact, strict=True):
        slack = 0.0
        assert (values >= low - slack).all() and (values <= high + slack).all(), name
        # And where one operation alone is looked at, the interval is not wider than what it takes
        # on.
        if name in NUMPY:
            assert (
                np.median(high - low - np.ptp(values, axis=0)) < 0.1 * np.median(high - low) + 1e-12
            ), name


def test_quotients_by_what_may_vanish_prove_nothing():
    graph = Graph()
    q = graph.div(graph.constant(1.0), graph.variable(0))
    low, high = enclose(graph, [q], np.array([[-1.0], [1.0]]), np.array([[1.0], [2.0]]))
    np.testing.assert_allclose(low[:, 0], [-np.inf, 0.5], rtol=1e-14)
    np.testing.assert_allclose(high[:, 0], [np.inf, 1.0], rtol=1e-14)


@pytest.mark.parametrize("call", ["log", "sqrt", "asin"])
def test_what_is_not_defined_on_a_box_proves_nothing(call):
    graph = Graph()
    root = graph.mul(graph.constant(0.5), graph.call(call, graph.variable(0)))
    low, high = enclose(graph, [root], np.array([[-1.5]]), np.array([[0.5]]))
    assert low[0, 0] == -np.inf and high[0, 0] == np.inf


def test_parabolas_against_a_dense_grid():
    rng = np.random.default_rng(1)
    g, bend = rng.standard_normal((2, 500)) * 10.0 ** rng.uniform(-3, 1, (2, 500))
    s = np.linspace(-0.3, 0.3, 2001)[:, None]
    dense = (g * s + bend * s * s / 2).min(axis=0)
    low = least_on_interval(g, bend, 0.3)
    assert (low <= dense + 1e-15).all() and (dense - low < 1e-6 * (np.abs(g) + np.abs(bend))).all()


TEXTS = [
    "exp(cos(x - y)) + 0.3*sin(2*x)",
    "log(2 + cos(x - y)) + 0.5*tanh(sin(x))*cos(2*y)",
    "1/(1.5 + cos(x - y)) + sqrt(2 + sin(x)*cos(y))",
    "sqrt(1.1 + cos(x1 - y1)*cos(x2)) + 0.3*exp(sin(x2 + y2))",
]


@pytest.mark.parametrize("text", TEXTS)
def test_floors_of_formulas_hold_and_are_tight(text):
    game, rng = mf.games.expression(text), np.random.default_rng(2)
    assert type(game).__name__ == "Expression"
    n = {1: 20_001, 2: 301}[game.X.d]
    grid = np.stack(np.meshgrid(*[np.arange(n) * 2 * np.pi / n] * game.X.d), -1).reshape(
        -1, game.X.d
    )
    for atoms in (1, 12):
        x, y = (mf.Measure(M.sample(atoms, rng), None, M) for M in game.manifolds)
        found = mf.nikaido_isoda(game, x, y)
        brute = game.potential_y(grid, x).max() - game.potential_x(grid, y).min()
        assert brute <= found.lower + 1e-9 <= found.upper + 1e-9
        assert found.upper - found.lower < 1e-8 and "interval" in found.method
        assert mf.NikaidoIsoda(game)(x, y).upper == np.inf  # nothing is claimed without the proof


def test_the_uniform_equilibrium_of_a_formula():
    """1/(c + cos u) has the mean 1/sqrt(c^2 - 1), the value where both play uniformly."""
    found = mf.nash(mf.games.expression("1/(1.5 + cos(x - y))"))
    assert found.certified and found.lower - 1e-12 <= 1 / np.sqrt(1.25) <= found.upper + 1e-12
    assert found.error < 1e-8


def test_where_nothing_is_proven_nothing_is_claimed():
    """A function, and a formula in a dimension that is not cut."""
    S3 = mf.Sphere(4)
    for game in (
        mf.games.function(lambda x, y: np.exp(x[..., 0] * y[..., 1]), mf.Sphere(2), mf.Sphere(2)),
        mf.games.expression("exp(x1*y2) + x3*y1", S3, S3),
    ):
        rng = np.random.default_rng(3)
        x, y = (mf.Measure(M.sample(5, rng), None, M) for M in game.manifolds)
        found = mf.nikaido_isoda(game, x, y)
        assert found.upper == np.inf and "lower bound only" in found.method
        assert not mf.nash(game, rounds=2).certified


T1, T2, S1, S2 = mf.Torus(1), mf.Torus(2), mf.Sphere(1), mf.Sphere(2)
ON_SPHERES = [
    ("exp(0.8*(x1*y1 + x2*y2)) + 0.5*x1*x2*y2", S1, S1),
    ("exp(0.8*cos(x)*y1) + 0.5*sin(x)*y2*y3 + 0.3*y1**3", T1, S2),
    ("exp(0.5*cos(x1)*y1) + 0.5*sin(x2)*y2*y3 + 0.3*y1**3*sin(x1 + x2)", T2, S2),
    ("exp(0.8*(x1*y1 + x2*y2 + x3*y3)) + 0.5*x1*y2**3 + x2**3*y1 + log(2 + x3*y1)", S2, S2),
]


@pytest.mark.parametrize(("text", "X", "Y"), ON_SPHERES)
def test_floors_on_spheres_hold_and_are_tight(text, X, Y):
    """Below the best of many points, each polished; within 1e-8 of it."""
    game, rng = mf.games.expression(text, X, Y), np.random.default_rng(4)
    for atoms in (1, 70):  # in one block of atoms, and in two
        x, y = (mf.Measure(M.sample(atoms, rng), None, M) for M in game.manifolds)
        found = mf.nikaido_isoda(game, x, y)
        many = [M.sample(20_000, rng) for M in game.manifolds]
        brute = game.potential_y(many[1], x).max() - game.potential_x(many[0], y).min()
        assert brute <= found.upper and 0 <= found.upper - found.lower < 1e-8
        assert "interval" in found.method


def test_equilibria_with_spheres_are_certified():
    text, X, Y = ON_SPHERES[1]
    found = mf.nash(mf.games.expression(text, X, Y))
    assert found.certified and 0 < found.error < 1e-8
    assert found.lower <= found.value <= found.upper


@pytest.mark.parametrize(("M", "text"), [
    (S2, "exp(x1*y1 + 0.3*x2*y3) + x3**3*y2"),
    (S1, "tanh(2*x1 + y1) + x2**3*y2"),
    (T2, "exp(sin(x1 - y1))*cos(x2) + 0.3*cos(x1 + x2 - y2)"),
])  # fmt: skip
def test_each_ball_is_bounded_below_what_it_holds(M, text, monkeypatch):
    """The bound of every cell against the cost at its centre and at points of the cell."""
    from meanfield.responses import intervals

    game, rng = mf.games.expression(text, M, M), np.random.default_rng(5)
    seen = []

    def cut(manifold, bound, target, budget, work=0):
        for r in (0.2, 0.02) if M != T2 else (0.06, 0.006):
            u = rng.uniform(-1 + r, 1 - r, (300, M.dim))
            charts = rng.integers(0, 1 if M == T2 else 2 * (M.dim + 1), 300)
            at = cells.balls(manifold, u, charts, r)
            seen.append((at, bound(at)))
        return -np.inf

    monkeypatch.setattr(intervals, "cut", cut)
    for p in (0, 1):
        mu = mf.Measure(M.sample(5, rng), None, M)
        cost = OpponentCost(game, p, mu)
        intervals.floor_by_intervals(cost, 0.0, 1.0)
        for at, low in seen:
            v = rng.normal(size=(60, 300, M.dim))
            v *= rng.random((60, 300, 1)) ** 0.3 / np.linalg.norm(v, axis=2, keepdims=True)
            frame = M.basis(at.centres)
            length = np.tan(at.radii) if M != T2 else at.radii
            least = cost.values(at.centres)
            for s in v:
                points = M.retract(at.centres, length * np.einsum("ni,nia->na", s, frame))
                # On the torus what is bounded is the box inside the ball.
                inside = np.abs(M.difference(at.centres, points)) <= at.widths * (1 + 1e-12)
                value = np.where(inside.all(axis=1), cost.values(points), np.inf)
                least = np.minimum(least, value)
            assert (low <= least).all() and np.isfinite(low).all()
        seen.clear()


@pytest.mark.parametrize("kind", ["slope", "normal", "along", "across", "form", "all"])
def test_second_derivatives_on_spheres_stay_within_their_bound(kind):
    """Those of x'Mx + b.x along geodesics from c, in closed form, are w'Aw - d or more, and d is
    sharp for b across c and along it, and for M in and off c's tangent space.
    """
    from meanfield.responses import intervals

    n, r, rng = 40, 0.01, np.random.default_rng(12)
    c = S2.sample(n, rng)
    frame = S2.basis(c)
    f, nothing = frame[:, 0], np.zeros((n, 3))
    b = {"slope": f, "normal": -c, "all": f - c}.get(kind, nothing)
    left, right = {"along": (-c, c), "across": (c, f), "form": (f, f)}.get(kind, (nothing, c))
    M = rng.normal(size=(n, 3, 3)) if kind == "all" else left[:, :, None] * right[:, None]
    H = M + M.transpose(0, 2, 1)

    def slopes(x):
        return np.einsum("nij,nj->ni", H, x) + b

    at = cells.Balls(c, np.full((n, 1), r), np.full((n, 3), r))
    A, d = intervals._on_sphere(at, frame, slopes(c), nothing, H, 0 * H)
    below = np.full(n, -np.inf)
    for angle in 2 * np.pi * np.arange(48) / 48:
        u = np.array([np.cos(angle), np.sin(angle)])
        w = u @ frame
        x, v = c * np.cos(r) + w * np.sin(r), w * np.cos(r) - c * np.sin(r)
        bend = np.einsum("ni,nij,nj->n", v, H, v) - np.sum(x * slopes(x), axis=1)
        below = np.maximum(below, np.einsum("i,nij,j->n", u, A, u) - bend)
    assert (below <= d).all() and (kind == "all" or (below > 0.998 * d).all())


def test_cells_cover_and_lie_in_their_balls():
    """Every point of the manifold, in the box and the ball of the cell that it is in."""
    rng = np.random.default_rng(6)
    for M in (T1, T2, S1, S2, mf.Sphere(3)):
        d, charts = M.dim, 1 if hasattr(M, "period") else 2 * (M.dim + 1)
        x = M.sample(2000, rng)
        if charts == 1:
            u, at = x / (0.5 * M.period) - 1, np.zeros(len(x), int)
        else:
            axis = np.abs(x).argmax(axis=1)
            sign = np.take_along_axis(x, axis[:, None], 1)[:, 0]
            at = axis + (d + 1) * (sign < 0)
            u = (
                np.stack([np.delete(p, k) for p, k in zip(x, axis, strict=True)])
                / abs(sign)[:, None]
            )
        assert set(at) == set(range(charts)) and np.abs(u).max() <= 1
        for n in (4, 1 << 10):
            r = 1.0 / n
            centre = (np.floor(0.5 * n * (u + 1)) + 0.5) * 2 * r - 1
            ball = cells.balls(M, centre, at, r)
            assert (M.distance(ball.centres, x) <= ball.radii[:, 0]).all()
            assert (np.abs(ball.centres - x) <= ball.widths).all()
            assert ball.radii.max() < 4 * r * max(1.0, 0.5 * getattr(M, "period", 2.0))


@pytest.mark.parametrize("M", [T1, T2, S1, S2, mf.Sphere(3)], ids=str)
def test_nothing_is_left_out_by_the_first_cells_or_by_those_cut(M):
    """Every point lies in a cell, at each of three levels; one cell of a low bound is enough."""
    x, seen = M.sample(50, np.random.default_rng(8)), []

    def bound(at):
        for q in x:
            away = M.difference(at.centres, q[None]) if hasattr(M, "period") else at.centres - q
            inside = (np.abs(away) <= at.widths).all(axis=1)
            assert (inside & (M.distance(at.centres, q) <= at.radii[:, 0])).any()
        seen.append(len(at.radii))
        return np.full(len(at.radii), -1.0 if len(seen) < 3 else 1.0)

    assert cells.cut(M, bound, 0.0, 1 << 20) == 0.0
    assert seen == [seen[0], seen[0] * 2**M.dim, seen[0] * 4**M.dim]
    lows = iter([-0.5, -0.25])

    def stubborn(at):
        return np.where(np.arange(len(at.radii)) == len(at.radii) - 1, next(lows), 1.0)

    with pytest.raises(StopIteration):
        cells.cut(M, stubborn, 0.0, 1 << 20)
    lows = iter([-0.5, -0.25])
    first = seen[0]
    assert cells.cut(M, stubborn, 0.0, first) == -0.5  # the budget is used up
    lows = iter([-0.5, -0.25])
    assert cells.cut(M, stubborn, 0.0, first + 2**M.dim) == -0.25


def smooth(x, y):
    return (
        np.exp(0.8 * np.cos(x[..., 0]) * y[..., 0])
        + 0.5 * np.sin(x[..., 0]) * y[..., 1] * y[..., 2]
    )


def test_functions_are_certified_by_the_curvature_that_the_user_gives():
    """The same bounds as the formula's, for any number that is large enough."""
    rng = np.random.default_rng(7)
    x, y = mf.Measure(T1.sample(6, rng), None, T1), mf.Measure(S2.sample(5, rng), None, S2)
    text = "exp(0.8*cos(x)*y1) + 0.5*sin(x)*y2*y3"
    exact = mf.nikaido_isoda(mf.games.expression(text, T1, S2), x, y)
    for curvature in (6.0, (3.0, 12.0)):
        game = mf.games.function(smooth, T1, S2, curvature=curvature)
        found = mf.nikaido_isoda(game, x, y)
        assert found.lower == pytest.approx(exact.lower, abs=1e-9)
        assert exact.lower <= found.upper <= exact.lower + 1e-8
        assert "curvature given" in found.method
        turned = mf.nikaido_isoda(game.swapped(), y, x)
        assert turned.upper == pytest.approx(found.upper, abs=1e-8)
    with pytest.raises(ValueError, match="no bound for x"):
        mf.games.function(smooth, T1, S2, curvature=(0.1, 6.0))
    with pytest.raises(ValueError, match="one number or two"):
        mf.games.function(smooth, T1, S2, curvature=(1.0, 2.0, 3.0))


def test_floors_of_functions_allow_for_the_digits_that_a_constant_took(monkeypatch):
    """cos x + 1e6: its values err by 1e-10, and so may a floor of a ball as good as a point."""
    from meanfield.responses import curvature

    game = mf.games.function(lambda x, y: 1e6 + np.cos(x - y)[..., 0], T1, T1, curvature=1.0)
    at = cells.balls(T1, np.array([[-1.0]]), np.zeros(1, int), 1e-9)
    lows = []
    monkeypatch.setattr(curvature, "cut", lambda M, bound, *rest: lows.append(bound(at)) or -np.inf)
    mu = mf.Measure([[0.0]], None, T1)
    curvature.floor_by_curvature(OpponentCost(game, 0, mu), 0.0, 1.0)
    exact = np.cos(at.centres[0, 0]) + 1e6 - game.constant
    assert lows[0][0] < exact - 60 * game.rounding and game.rounding > 1e-10


def test_the_curvature_decides_how_low_a_ball_may_go():
    """cos has the least second derivative -1 at its top: a curvature of 1 is sharp, none else is
    needed, and half of it would let the floor rise above the least value.
    """
    game = mf.games.function(lambda x, y: np.cos(x[..., 0]) + 0 * y[..., 0], T1, T1, curvature=1.0)
    mu = mf.Measure([[0.0]], None, T1)
    seen = []

    def cut(manifold, bound, target, budget, work=0):
        for r in (0.3, 0.03):
            at = cells.balls(manifold, np.array([[-1.0], [-0.9], [-0.5]]), np.zeros(3, int), r)
            seen.append((at, bound(at)))
        return -np.inf

    from meanfield.responses import curvature

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(curvature, "cut", cut)
        curvature.floor_by_curvature(OpponentCost(game, 0, mu), 0.0, 1.0)
    for at, low in seen:
        s = np.linspace(-1, 1, 2001) * at.radii
        least = np.cos(at.centres + s).min(axis=1)
        assert (low <= least).all()
        # Remainders are those of a parabola, and one sixteenth for differences.
        r = at.radii[0, 0]
        assert (least - low < 1.1 * r * r * (0.5 + 1 / 32) + 0.5 * r * r).all()
        assert least[0] - low[0] < r * r * (1 / 32) * 1.1 + r**4


def test_flat_potentials_are_measured_by_the_loss(monkeypatch):
    """Against uniform measures this loss leaves rounding, which is no size to ask a relative 1e-9
    of.
    """
    from meanfield.responses import intervals

    sizes = []
    floor = intervals.floor_by_intervals
    monkeypatch.setattr(
        intervals, "floor_by_intervals", lambda c, v, size: sizes.append(size) or floor(c, v, size)
    )
    game, flat = (
        mf.games.expression("sin(x)*cos(2*y) + 0.2*tanh(sin(x - y))"),
        mf.uniform(mf.Torus(1)),
    )
    error = mf.nikaido_isoda(game, flat, flat)
    assert min(sizes) > 0.5 and 0 <= error.upper - error.lower < 1e-8


def test_broken_powers_of_what_touches_zero_prove_nothing_and_raise_nothing():
    """The base is -1e-17 at least, as far as intervals know."""
    graph = Graph()
    root = graph.power(graph.variable(0), 2.5)
    low, high = enclose(graph, [root], np.array([[-1e-17], [0.5]]), np.array([[2.0], [2.0]]))
    assert low[0, 0] == -np.inf and high[0, 0] == np.inf and 0 < low[1, 0] <= 0.5**2.5
    game = mf.games.expression("(1 + cos(x - y))**2.5")
    mu = mf.Measure([[1.0], [2.0]], None, mf.Torus(1))
    with np.errstate(invalid="raise"):
        found = mf.nikaido_isoda(game, mu, mu)
    assert found.upper == np.inf and found.lower > 0
