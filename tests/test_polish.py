"""From particles to exact equilibria, and along the Gibbs path."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.equilibria.polish import merged


@pytest.mark.parametrize("kind, dim", [("a", 3), ("b", 6)])
def test_particles_are_polished_to_the_equilibrium(kind, dim):
    game = mf.games.polynomial(kind, dim=dim, seed=2)
    run = mf.simulate(
        game, mf.WassersteinFisherRao(), mf.Start(), 3.0, step=2e-3, particles=100, seed=1
    )
    found, exact = mf.polish(game, *run[-1]), mf.nash(game)
    assert found.before == mf.nikaido_isoda(game, *run[-1]).value > 1e-4
    assert found.after < 1e-12
    assert found.equilibrium.value == pytest.approx(exact.value, abs=1e-11)
    assert (
        found.equilibrium.unique
        and mf.w2(found.x, exact.x) < 1e-6
        and mf.w2(found.y, exact.y) < 1e-6
    )
    assert max(found.moved) < 0.2


def test_spread_clouds_around_wang_chizat_atoms():
    """Atoms scattered by 0.01 with wrong weights come back to 3/8, 7/8 and 1/8, 5/8 with halves."""
    game, rng = mf.games.wang_chizat(), np.random.default_rng(0)

    def clouds(a, b):
        points = np.r_[a + 0.01 * rng.standard_normal(20), b + 0.01 * rng.standard_normal(30)]
        return mf.Measure(points[:, None], None, game.X)

    found = mf.polish(game, clouds(3 / 8, 7 / 8), clouds(1 / 8, 5 / 8))
    assert found.before > 0.1 and found.after < 1e-12
    assert len(found.merged_x) <= 4 and found.merged < found.before
    np.testing.assert_allclose(np.sort(found.x.points[:, 0]), [3 / 8, 7 / 8], atol=1e-8)
    np.testing.assert_allclose(found.y.masses, 0.5, atol=1e-8)


def test_merging_keeps_centres_of_mass_and_separates_groups():
    circle = mf.Torus(1)
    mu = mf.Measure([[6.28], [0.02], [2.0], [2.1]], [0.3, 0.3, 0.1, 0.3], circle)
    centres = merged(mu, 0.5)
    expected = [((6.28 - 2 * np.pi) * 0.3 + 0.02 * 0.3) / 0.6, 2.075]
    np.testing.assert_allclose(
        circle.distance(np.sort(centres, axis=0), np.array(expected)[:, None]), 0, atol=1e-12
    )
    assert len(merged(mu, 1e-3)) == 4


def test_an_equilibrium_stays_where_it_is():
    game = mf.games.polynomial("a", dim=4, seed=0)
    exact = mf.nash(game)
    found = mf.polish(game, exact.x, exact.y)
    assert found.before < 1e-12 and found.after < 1e-12 and max(found.moved) < 1e-6


def test_the_path_ends_where_gibbs_stands_and_ni_falls_like_temperature():
    game = mf.games.oscillator()
    path = mf.gibbs_path(game, np.geomspace(1, 100, 9), 256, spectrum=True)
    last = mf.gibbs(game, 100.0, 256)
    assert mf.total_variation(path.points[-1].x, last.x) < 1e-11
    assert path.residual.max() < 1e-12 and (np.diff(path.ni) < 0).all()
    assert (path.ni <= path.ni_upper).all() and (path.ni_upper - path.ni).max() < 1e-8
    # Each player's regret is at most about the entropy of its wells over beta: d log(beta)/beta
    # here.
    assert path.ni[-1] * 100 < 2.0
    assert path.rate[-1] < 1e-3 * path.rate[0]  # the trade-off: near equilibrium slowly
    assert path.free_energy[0] == pytest.approx(
        path.value[0] - path.entropy[0] @ [1, -1], rel=1e-12
    )


def test_gibbs_on_large_meshes_of_the_torus_and_the_sphere():
    """Residuals below 1e-12 up to 10^4 cells and large beta."""
    sphere = mf.mesh(mf.Sphere(2), 2562)
    for name, cells, betas in (
        ("torus", 100, (1.0, 30.0, 300.0)),
        ("sphere", (sphere, sphere), (1.0, 30.0, 300.0)),
    ):
        game = mf.games.benchmark(name)
        for beta in betas:
            assert mf.gibbs(game, beta, cells).residual < 1e-12


def test_bad_input():
    game = mf.games.oscillator()
    with pytest.raises(ValueError, match="rise"):
        mf.gibbs_path(game, [2.0, 1.0])
    with pytest.raises(ValueError, match="rise"):
        mf.gibbs_path(game, [0.0, 1.0])
    with pytest.raises(NotConverged, match="at beta = 1e"):
        mf.gibbs_path(game, [1.0, 1e9], 16, tol=1e-15)
    with pytest.raises(ValueError, match="mu_y lives on"):
        mf.polish(game, mf.uniform(game.X), mf.uniform(mf.Torus(2)))
    with pytest.raises(ValueError, match="tol"):
        mf.polish(game, mf.uniform(game.X), mf.uniform(game.Y), tol=0.0)


def test_results_are_saved_and_come_back(tmp_path):
    game = mf.games.oscillator()
    path = mf.gibbs_path(game, [1.0, 2.0], 32)
    back = mf.load(path.save(tmp_path / "p.h5"))
    assert np.array_equal(back.ni, path.ni) and back.rate is None
    found = mf.polish(game, path.points[1].x, path.points[1].y)
    again = mf.load(found.save(tmp_path / "q.h5"))
    assert again.after == found.after and np.array_equal(again.x.points, found.x.points)
    assert path.plot().axes and "NI" in repr(found)
