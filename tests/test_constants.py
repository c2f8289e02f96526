"""A constant in a low-rank loss: it moves nobody, and takes no digits from what moves."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.pairwise import Pairwise

T1, S2 = mf.Torus(1), mf.Sphere(2)


def draw(X, Y, seed=0):
    """Weighted atoms for both players."""
    rng = np.random.default_rng(seed)
    masses = [w / w.sum() for w in (rng.random(6), rng.random(5))]
    return tuple(
        mf.Measure(M.sample(len(w), rng), w, M) for M, w in zip((X, Y), masses, strict=True)
    )


@pytest.mark.parametrize("c", [1.0, 1e6, 1e12])
def test_a_constant_in_the_loss_moves_nobody(c):
    """Costs would lose the digits that the constant takes; NI, Gibbs points and flows have them."""
    terms = [((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.0, -0.25), ((0,), (3,), 0.3, 0.0)]
    plain = mf.games.trigonometric(terms)
    raised = mf.games.trigonometric([((0,), (0,), c, 0.0), *terms])
    assert raised.constant == c and plain.constant == 0.0
    mu, nu = draw(T1, T1)
    for off in (
        raised.loss(mu.points, nu.points) - plain.loss(mu.points, nu.points) - c,
        raised.potential_x(mu.points, nu) - plain.potential_x(mu.points, nu) - c,
        raised.potential_y(nu.points, mu) - plain.potential_y(nu.points, mu) - c,
        raised.value(mu, nu) - plain.value(mu, nu) - c,
    ):
        assert np.abs(off).max() < 1e-15 * (c + 10)
    few, many = (mf.nikaido_isoda(game, mu, nu) for game in (plain, raised))
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper), rel=1e-12)
    few, many = (mf.gibbs(game, beta=20.0) for game in (plain, raised))
    np.testing.assert_allclose(many.x.masses, few.x.masses, rtol=1e-9, atol=1e-15)
    flow, start = mf.WassersteinFisherRao(1.0, 1.0), mf.Start()
    few, many = (
        mf.simulate(game, flow, start, time=0.5, step=1e-2, particles=20)
        for game in (plain, raised)
    )
    np.testing.assert_allclose(many.x[-1].masses, few.x[-1].masses, rtol=1e-11)
    assert many.x[-1].masses.sum() == pytest.approx(1.0, abs=1e-14)
    few, many = (mf.solve(game, flow, start, time=0.5, cells=64) for game in (plain, raised))
    np.testing.assert_allclose(many.y[-1].masses, few.y[-1].masses, rtol=1e-9)


def test_a_constant_on_spheres_and_in_formulas_is_kept_apart_too():
    game = mf.games.expression("x1*y2 + x1**2 + 1e10", S2, S2)
    assert game.constant == 1e10
    mu, nu = draw(S2, S2)
    plain = mf.games.expression("x1*y2 + x1**2", S2, S2)
    few, many = (mf.nikaido_isoda(g, mu, nu) for g in (plain, game))
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper), rel=1e-13)
    assert game.value(mu, nu) - 1e10 == pytest.approx(plain.value(mu, nu), abs=1e-5)
    best = mf.nash(game)
    assert best.value == pytest.approx(1e10, rel=1e-9) and best.lower > 9e9
    assert game.swapped().constant == -1e10


FORMULA = "exp(sin(x - y)) + 0.3*sin(2*x)*cos(y)"


def smooth(x, y):
    u, v = x[..., 0], y[..., 0]
    return np.exp(np.sin(u - v)) + 0.3 * np.sin(2 * u) * np.cos(v)


@pytest.mark.parametrize(
    ("text", "c"),
    [
        ("5e8 - (1 - 2*(2e8 + 0.5*(" + FORMULA + ") + 0.5)) + 1e8", 1e9),
    ],
)
def test_a_constant_in_a_formula_is_found_in_sums_and_multiples(text, c):
    """Atoms, weights, NI and flows to rounding, however large it is; value and bounds hold it."""
    plain, game = mf.games.expression(FORMULA), mf.games.expression(text)
    assert game.constant == c and game.rounding == plain.constant == 0.0
    assert game.swapped().constant == -c
    mu, nu = draw(T1, T1)
    few, many = (mf.nikaido_isoda(g, mu, nu) for g in (plain, game))
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper), abs=1e-12)
    few, many = (mf.gibbs(g, beta=20.0, cells=128) for g in (plain, game))
    np.testing.assert_allclose(many.x.masses, few.x.masses, rtol=1e-9, atol=1e-15)
    few, many = (mf.nash(g) for g in (plain, game))
    assert many.certified and len(many.x) == len(few.x)
    np.testing.assert_allclose(many.x.points, few.x.points, atol=1e-6)
    assert many.lower <= few.value + c <= many.upper
    assert many.error <= few.error + 4 * np.spacing(abs(c))
    flow = mf.WassersteinFisherRao(1.0, 1.0)
    few, many = (
        mf.simulate(g, flow, mf.Start(), time=0.5, step=1e-2, particles=20) for g in (plain, game)
    )
    np.testing.assert_allclose(many.x[-1].masses, few.x[-1].masses, rtol=1e-11)
    few, many = (mf.solve(g, flow, mf.Start(), time=0.5, cells=64) for g in (plain, game))
    np.testing.assert_allclose(many.y[-1].masses, few.y[-1].masses, rtol=1e-9)
    np.testing.assert_allclose(
        game.potential_x(mu.points, nu) - c, plain.potential_x(mu.points, nu), atol=2e-15 * abs(c)
    )
    short = mf.games.expression(text, truncate=1e-8)
    assert short.constant == pytest.approx(c, rel=1e-15, abs=10)
    assert short.answers["truncation"] < 1e-7


def test_a_constant_in_a_function_takes_its_digits_and_no_more():
    """1e6 leaves nine digits, and all answers have them; 1e12 is told."""
    plain = mf.games.function(smooth, T1, T1)
    game = mf.games.function(lambda x, y: smooth(x, y) + 1e6, T1, T1)
    assert plain.constant == plain.rounding == 0.0
    assert game.constant == pytest.approx(1e6, abs=3) and game.rounding < 1e-9
    mu, nu = draw(T1, T1)
    few, many = (mf.nikaido_isoda(g, mu, nu) for g in (plain, game))
    assert many.lower == pytest.approx(few.lower, abs=1e-8)
    few, many = (mf.gibbs(g, beta=20.0, cells=64) for g in (plain, game))
    np.testing.assert_allclose(many.x.masses, few.x.masses, rtol=1e-6, atol=1e-9)
    few, many = (mf.nash(g) for g in (plain, game))
    assert many.value - 1e6 == pytest.approx(few.value, abs=1e-7) and many.error < 1e-7
    assert game.swapped().constant == -game.constant
    flow = mf.WassersteinFisherRao(1.0, 1.0)
    few, many = (mf.solve(g, flow, mf.Start(), time=0.1, cells=16, tol=1e-4) for g in (plain, game))
    np.testing.assert_allclose(many.y[-1].masses, few.y[-1].masses, rtol=1e-4)
    with pytest.warns(mf.UnderResolved, match="of its digits 4 are left"):
        mf.games.function(lambda x, y: smooth(x, y) + 1e12, T1, T1)


def test_a_constant_that_no_sum_shows_is_told():
    with pytest.warns(mf.UnderResolved, match="varies by"):
        hidden = mf.games.expression("sqrt(1e24 + 1e12*exp(sin(x - y)))")
    assert hidden.constant == pytest.approx(1e12) and hidden.rounding > 1e-5
    mild = mf.games.expression("sqrt(1e10 + 1e5*exp(sin(x - y)))")
    assert mild.constant == pytest.approx(1e5, rel=1e-4) and 0 < mild.rounding < 1e-10
    assert mild.swapped().constant == pytest.approx(-mild.constant, rel=1e-5)
    plain, flat = mf.games.expression("0.5*exp(sin(x - y))"), mf.uniform(T1)
    assert mf.nash(mild).value - 1e5 == pytest.approx(mf.nash(plain).value, abs=1e-4)
    assert mild.value(flat, flat) - 1e5 == pytest.approx(plain.value(flat, flat), abs=1e-4)


class Raised(Pairwise):
    """cos(x - y) + 5 by a user who tells the constant."""

    X = Y = T1
    constant = 5.0

    def loss(self, x, y):
        return np.cos(x - y.T) + 5

    def swapped(self):
        raise NotImplementedError


def test_costs_of_a_users_game_leave_the_constant_out():
    mu, nu = draw(T1, T1)
    cost = np.cos(mu.points - nu.points.T) @ nu.masses
    np.testing.assert_allclose(Raised().cost(0, mu.points, nu), cost, atol=1e-14)
    np.testing.assert_allclose(Raised().potential_x(mu.points, nu), cost + 5, rtol=1e-14)
