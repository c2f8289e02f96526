"""A constant in a low-rank loss: it moves nobody, and takes no digits from what moves."""

import numpy as np
import pytest

import meanfield as mf

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
