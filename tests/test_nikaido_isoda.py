"""Nikaido-Isoda errors, best responses and entropic quantities against brute force and exact
answers.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.lowrank import trigonometric
from meanfield.metrics import (
    NikaidoIsoda,
    free_energy,
    gibbs_measures,
    kl,
    nikaido_isoda,
    regularised_nikaido_isoda,
)
from meanfield.responses import FeatureCost, Searches
from meanfield.responses.polish import polish, polish_on_circle
from meanfield.responses.search import Search, _side
from tests.flat_problems import Pairs


def random_game(d, degree, rng, e=None):
    """Six random terms of modes up to `degree` on T^d x T^e."""
    e = e or d
    draw = lambda n: tuple(int(k) for k in rng.integers(-degree, degree + 1, n))  # noqa: E731
    return trigonometric([(draw(d), draw(e), *rng.standard_normal(2)) for _ in range(6)])


def atoms(manifold, n, rng):
    m = rng.exponential(size=n)
    return mf.Measure(manifold.sample(n, rng), m / m.sum(), manifold)


def dense(manifold, n):
    axes = np.meshgrid(*[np.arange(n) * manifold.period / n] * manifold.d, indexing="ij")
    return np.stack([a.ravel() for a in axes], 1)


@pytest.mark.parametrize("d, n", [(1, 40_000), (2, 500)])
@pytest.mark.parametrize("seed", range(3))
def test_trigonometric_games_against_a_dense_grid(d, n, seed):
    rng = np.random.default_rng(seed)
    game = random_game(d, 3, rng)
    x, y = atoms(game.X, 7, rng), atoms(game.Y, 5, rng)
    found = NikaidoIsoda(game)(x, y)
    brute = (
        game.potential_y(dense(game.Y, n), x).max() - game.potential_x(dense(game.X, n), y).min()
    )
    assert brute - 1e-12 <= found.lower <= found.upper
    # The dense grid itself misses by at most half its step squared times the curvature.
    assert found.lower <= brute + 2 * d * (3 * np.pi / n) ** 2 * found.upper
    assert found.upper - found.lower < (0.02 if d == 1 else 0.25) * found.upper
    direct = game.potential_y(found.best_y[None], x)[0] - game.potential_x(found.best_x[None], y)[0]
    assert float(found) == found.value == found.lower == pytest.approx(direct, rel=1e-12)
    assert "Ehlich-Zeller" in found.method
    tight = nikaido_isoda(game, x, y)
    assert tight.value == found.value <= tight.upper <= found.upper
    assert tight.upper - tight.lower < 1e-9 * (1 + tight.upper)
    assert "branch and bound" in tight.method


def test_zero_at_a_known_equilibrium():
    game = mf.games.wang_chizat()
    found = nikaido_isoda(game, *game.answers["equilibrium"])
    assert 0 <= found.value < 1e-14
    assert found.upper < 1e-9
    assert nikaido_isoda(game, *game.answers["measures"](0.1, 0.0)).value > 0.01


def test_the_uniform_pair_is_an_equilibrium_of_cosine():
    game = trigonometric([((2,), (-2,), 1.5, 0)])
    assert 0 <= nikaido_isoda(game, mf.uniform(game.X), mf.uniform(game.Y)).upper < 1e-14


def test_many_starts_agree_with_the_exact_sphere_answer():
    rng = np.random.default_rng(5)
    game = mf.games.polynomial("a", dim=4, seed=3)
    x, y = atoms(game.X, 5, rng), atoms(game.Y, 5, rng)
    exact, found = nikaido_isoda(game, x, y), nikaido_isoda(Pairs(game), x, y)
    assert found.value == pytest.approx(exact.value, rel=1e-10)
    assert found.upper == np.inf and "lower bound only" in found.method


def test_pairwise_games_agree_with_low_rank_ones():
    rng = np.random.default_rng(6)
    game = random_game(1, 4, rng, e=2)
    x, y = atoms(game.X, 7, rng), atoms(game.Y, 5, rng)
    found = nikaido_isoda(Pairs(game), x, y)
    assert found.value == pytest.approx(nikaido_isoda(game, x, y).value, rel=1e-11)
    assert found.upper == np.inf


def test_moments_serve_as_well_as_measures():
    rng = np.random.default_rng(7)
    game = random_game(1, 3, rng)
    x, y = atoms(game.X, 30, rng), atoms(game.Y, 20, rng)
    error = NikaidoIsoda(game)
    from_moments = error(game.moments(0, x.points, x.masses), game.moments(1, y.points, y.masses))
    assert from_moments.value == error(x, y).value
    assert from_moments.upper == error(x, y).upper


def test_shifts_and_exchange_of_players_change_nothing():
    rng = np.random.default_rng(8)
    game = trigonometric([((1,), (-1,), 1.0, 0.3), ((3,), (-3,), -0.4, 0.2)])
    x, y = atoms(game.X, 6, rng), atoms(game.Y, 9, rng)
    value = nikaido_isoda(game, x, y).value
    moved = [mf.Measure(m.points + 0.77, m.masses, m.manifold) for m in (x, y)]
    assert nikaido_isoda(game, *moved).value == pytest.approx(value, rel=1e-12)
    swapped = nikaido_isoda(game.swapped(), y, x)
    assert swapped.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("degree", [1, 4, 200])
def test_the_proven_floor_holds_even_where_the_grid_misses(degree, tight):
    """cos K(x - s) is the extremal case: its minima fall between the points of the grid."""
    game = trigonometric([((degree,), (0,), 1.0, 0.0), ((0,), (1,), 1.0, 0.0)])
    search = Search(game, 0, tight=tight)
    half = np.pi * degree / search.side
    basis = game.bases[0]
    c = np.zeros(basis.size)
    j = int(np.flatnonzero(basis.modes[:, 0] == degree)[0])
    c[j], c[len(basis.modes) + j] = np.cos(half), np.sin(half)
    found = search(FeatureCost(basis, c))
    assert found.floor <= -1 + 1e-14
    assert found.floor > (-1 - 2e-9 if tight else -1.01)
    assert found.value == pytest.approx(-1, abs=1e-12)
    seen = search.features @ c
    assert seen.min() > -1 + 1e-6  # the grid alone would have been wrong


def test_both_polishers_find_the_same_minima():
    rng = np.random.default_rng(9)
    game = random_game(1, 5, rng)
    basis = game.bases[0]
    cost = FeatureCost(basis, rng.standard_normal(basis.size))
    starts = game.X.sample(40, rng)
    points, values = polish(cost, game.X, starts)
    quick, reached = polish_on_circle(basis.waves[:, 0], cost.c, starts)
    for p, v in ((points, values), (quick, reached)):
        assert (v <= cost.values(starts)).all()
        assert abs(cost.gradient(p)).max() < 1e-6
        assert cost.values(p) == pytest.approx(v, abs=1e-12)
    assert values.min() == pytest.approx(reached.min(), rel=1e-12)


def test_a_best_response_is_one():
    rng = np.random.default_rng(10)
    game = random_game(2, 2, rng)
    y = atoms(game.Y, 4, rng)
    found = Searches(game).best_response(0, y)
    assert (np.diff(found.values) >= 0).all()
    assert found.value <= game.potential_x(dense(game.X, 300), y).min() + 1e-12
    assert np.linalg.norm(game.gradient_x(found.point[None], y)) < 1e-6


def test_bad_input():
    game = random_game(1, 2, np.random.default_rng(0))
    ok = mf.uniform(game.X)
    with pytest.raises(ValueError, match="mu_y lives on"):
        nikaido_isoda(game, ok, mf.uniform(mf.Torus(2)))
    with pytest.raises(TypeError, match="mu_y must be a meanfield.Measure"):
        nikaido_isoda(game, ok, "uniform")
    with pytest.raises(ValueError, match="mu_x moments must have shape"):
        nikaido_isoda(game, np.zeros(3), ok)
    sphere = mf.games.polynomial("a", dim=3, seed=0)
    means = [2.0 * sphere.moments(p, np.eye(3)[:1], np.ones(1)) for p in (0, 1)]
    with pytest.raises(ValueError, match="mu_y moments are not those of a probability measure"):
        nikaido_isoda(sphere, *means)
    with pytest.raises(TypeError, match="Density"):
        free_energy(game, 1.0, mf.Measure([[0.1]], None, game.X), ok)
    with pytest.raises(ValueError, match="temperature"):
        regularised_nikaido_isoda(game, mf.Wasserstein(), ok, ok)
    with pytest.raises(ValueError, match="above 0"):
        gibbs_measures(game, 0.0, ok, ok)
    with pytest.raises(ValueError, match="same mesh"):
        kl(ok, mf.Density(np.full(8, 1 / 8), mf.mesh(game.X, 8)))


def random_density(cells, rng):
    m = rng.lognormal(0, 1.5, len(cells))
    return mf.Density(m / m.sum(), cells)


@pytest.mark.parametrize("beta", [0.3, 20.0, (4.0, 50.0)])
@pytest.mark.parametrize("d, e, cells", [(1, 1, 64), (2, 2, 16), (1, 2, 16)])
def test_the_regularised_error_is_a_sum_of_divergences(d, e, cells, beta):
    """KL(mu_x|G_x)/beta_x + KL(mu_y|G_y)/beta_y = NI_beta, to rounding (potentials, entropies, NI
    in one).
    """
    rng = np.random.default_rng(11)
    game = random_game(d, 2, rng, e)
    for _ in range(3):
        x, y = (
            random_density(mf.mesh(game.X, cells), rng),
            random_density(mf.mesh(game.Y, cells), rng),
        )
        error = regularised_nikaido_isoda(game, beta, x, y)
        G_x, G_y = gibbs_measures(game, beta, x, y)
        b = beta if isinstance(beta, tuple) else (beta, beta)
        assert kl(x, G_x) / b[0] + kl(y, G_y) / b[1] == pytest.approx(error, rel=1e-12, abs=1e-13)
        definition = free_energy(game, beta, x, G_y) - free_energy(game, beta, G_x, y)
        assert definition == pytest.approx(error, rel=1e-12, abs=1e-13)
        fixed = mf.gibbs(game, beta, cells=cells)
        assert kl(x, fixed.x) / b[0] + kl(y, fixed.y) / b[1] <= error * (1 + 1e-12)
        assert regularised_nikaido_isoda(game, beta, fixed.x, fixed.y) == pytest.approx(
            0, abs=1e-12
        )


def test_free_energy_takes_a_flow_and_knows_zero_temperature():
    rng = np.random.default_rng(12)
    game = random_game(1, 2, rng)
    x, y = (random_density(mf.mesh(game.X, 32), rng) for _ in range(2))
    assert free_energy(game, mf.Langevin(4.0), x, y) == free_energy(game, 4.0, x, y)
    assert free_energy(game, mf.Wasserstein(), x, y) == pytest.approx(game.value(x, y), rel=1e-14)
    exact = game.value(x, y) - x.entropy() / 2 + y.entropy() / 8
    assert free_energy(game, (2.0, 8.0), x, y) == pytest.approx(exact, rel=1e-14)


def test_kl_is_infinite_off_the_support_and_gaussian_in_the_bulk():
    cells = mf.mesh(mf.Torus(1), 8)
    one, two = np.zeros(8), np.zeros(8)
    one[0], two[:2] = 1, 0.5
    assert kl(mf.Density(two, cells), mf.Density(one, cells)) == np.inf
    assert kl(mf.Density(one, cells), mf.Density(two, cells)) == pytest.approx(np.log(2), rel=1e-15)
    fine = mf.mesh(mf.Torus(1), 4000)
    a, b = (
        mf.Density(m / m.sum(), fine)
        for m in (np.exp(-((fine.nodes[:, 0] - c) ** 2) / 0.08) for c in (3.0, 3.3))
    )
    assert kl(a, b) == pytest.approx(0.3**2 / 0.08, rel=1e-9)


def test_search_grids_carry_the_proof_within_their_budget():
    assert _side(1, 3) == 192
    assert _side(2, 100) == 512
    assert _side(3, 40) > 80


@pytest.mark.parametrize("period", [1e-6, 1e5, 1e7])
def test_the_size_of_the_torus_does_not_matter(period):
    rng, errors = np.random.default_rng(1), []
    terms = [((k,), (m,), *rng.standard_normal(2)) for k in range(3) for m in range(3)]
    atoms = rng.random((2, 5, 1))
    for P in (1.0, period):
        circle = mf.Torus(1, period=P)
        x, y = (mf.Measure(P * u, None, circle) for u in atoms)
        errors.append(mf.nikaido_isoda(mf.games.trigonometric(terms, circle, circle), x, y))
    assert errors[0].value == pytest.approx(errors[1].value, rel=1e-12)
    assert errors[1].upper - errors[1].value < 1e-8


def test_losses_that_overflow_are_refused():
    A, c = 1e155 * np.eye(3), np.array([1e158, 0.0, 0.0])
    game, pole = (
        mf.games.polynomial_from(A, A, A, 0.0, c, c),
        mf.Measure([[0.0, 0.0, 1.0]], None, mf.Sphere(2)),
    )
    with pytest.raises(ValueError, match="overflow"):
        mf.nikaido_isoda(game, pole, pole)
