"""The linearised (7): closed spectra, spectral gaps, the oscillator's modes; decay on the PDE is a
claim.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import meanfield as mf
from meanfield.equilibria import stability


@pytest.mark.parametrize("k, cells", [(2, 64), ((1, 2), 32)])
def test_the_uniform_equilibrium_has_its_closed_spectrum(k, cells):
    """Mode k: -k^2/beta +- i k^2 A/2, every other mode m: -m^2/beta, twice for either player."""
    game, beta = mf.games.uniform_equilibrium(1.5, k), 8.0
    found = stability(game, beta, cells, count=60).eigenvalues
    exact = game.answers["eigenvalues"](beta)
    for value in exact:
        assert abs(found - value).min() < 1e-5
    assert sum(abs(found - exact[0]) < 1e-5) == 2  # its cosine and its sine


def test_differences_on_tori_are_of_order_eight():
    game = mf.games.uniform_equilibrium(1.5, 2)
    exact = game.answers["eigenvalues"](8.0)[0]
    errors = [
        abs(stability(game, 8.0, n, count=2 * n - 2).eigenvalues - exact).min() for n in (16, 32)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(8, abs=0.7)


def test_the_oscillator_is_stable_and_slow():
    game = mf.games.oscillator()
    found = stability(game, game.answers["beta"], 192)
    stated = np.array(game.answers["gibbs_eigenvalues"])
    assert abs(found.eigenvalues[:2] - stated).max() < 6e-6  # stated to five decimals
    assert found.residuals.max() < 1e-10
    assert found.stable and found.frequency == pytest.approx(0.00941, abs=5e-6)


@pytest.mark.parametrize("beta", [1.0, 4.0, 12.0])
def test_separable_games_have_the_gap_of_each_well(beta):
    game = mf.games.double_well()
    gap = game.answers["f"].spectral_gap(beta)
    assert stability(game, beta, 256).rate == pytest.approx(gap, rel=1e-6)


def test_time_scales_multiply_the_spectrum():
    game = mf.games.oscillator()
    one, three = stability(game, 5.0, 64), stability(game, 5.0, 64, gamma=3.0)
    np.testing.assert_allclose(three.eigenvalues, 3 * one.eigenvalues, rtol=1e-9)
    assert stability(mf.games.double_well(), 2.0, 64, gamma=(1.0, 10.0)).rate == pytest.approx(
        stability(mf.games.double_well(), 2.0, 64).rate, rel=1e-9
    )


def test_swapping_the_players_keeps_the_spectrum():
    game = mf.games.benchmark("circle")
    a, b = stability(game, 10.0, 96), stability(game.swapped(), 10.0, 96)
    np.testing.assert_allclose(a.eigenvalues, b.eigenvalues, atol=1e-8)


def test_large_meshes_agree_with_dense_ones(monkeypatch):
    """The sparse route, with its truncated basis, against all modes of the same matrices."""
    home = import_module("meanfield.equilibria.linear")
    game = mf.games.benchmark("torus")
    sparse = stability(game, 10.0, 28)
    monkeypatch.setattr(home, "DENSE", 10_000)
    dense = stability(game, 10.0, 28)
    np.testing.assert_allclose(sparse.eigenvalues, dense.eigenvalues, atol=1e-9)
    assert sparse.residuals.max() < 1e-6


def test_the_sphere_at_second_order():
    game = mf.games.benchmark("sphere")
    rates = []
    for n in (162, 642, 2562):
        on = mf.mesh(mf.Sphere(2), n)
        rates.append(stability(game, 10.0, (on, on)).eigenvalues[0])
    assert abs(rates[0] - rates[1]) / abs(rates[1] - rates[2]) == pytest.approx(4, abs=1.0)


def test_free_motion_on_the_sphere_decays_like_harmonics():
    on = mf.mesh(mf.Sphere(2), 2562)
    found = stability(mf.games.free(mf.Sphere(2)), 2.0, (on, on), count=6)
    np.testing.assert_allclose(
        found.eigenvalues.real, -1.0, rtol=2e-3
    )  # degree 1: -2/beta, three times a player


def test_bad_input():
    game = mf.games.oscillator()
    with pytest.raises(ValueError, match="count"):
        stability(game, 5.0, 32, count=0)
    for gamma in (0.0, [], (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match="gamma must be"):
            stability(game, 5.0, 32, gamma=gamma)
    point = mf.gibbs(mf.games.benchmark("sphere"), 1.0, (mf.mesh(mf.Sphere(2), 42),) * 2)
    with pytest.raises(ValueError, match="Gibbs point"):
        stability(game, point)


def test_a_perturbation_is_along_its_mode_and_as_large_as_asked():
    found = stability(mf.games.oscillator(), 5.0, 48)
    pairs = zip((found.point.x, found.point.y), found.perturbed(1e-3, 2), strict=True)
    changes = [moved.masses - mu.masses for mu, moved in pairs]
    largest = max(
        np.abs(d / mu.masses).max()
        for d, mu in zip(changes, (found.point.x, found.point.y), strict=True)
    )
    assert largest == pytest.approx(1e-3, rel=1e-9)
    mode = np.concatenate([found.modes_x[2].real, found.modes_y[2].real])
    change = np.concatenate(changes)
    np.testing.assert_allclose(change, mode * (change @ mode) / (mode @ mode), atol=1e-14)


def test_results_are_saved_and_come_back(tmp_path):
    found = stability(mf.games.oscillator(), 5.0, 48)
    back = mf.load(found.save(tmp_path / "s.h5"))
    assert np.array_equal(back.eigenvalues, found.eigenvalues) and np.array_equal(
        back.modes_x, found.modes_x
    )


def test_the_spectrum_is_drawn():
    found = mf.stability(mf.games.oscillator(), mf.gibbs(mf.games.oscillator(), 5.0, cells=48))
    drawn, *_ = (a for a in found.plot().axes[0].lines if len(a.get_xdata()) == 6)
    np.testing.assert_array_equal(drawn.get_xdata() + 1j * drawn.get_ydata(), found.eigenvalues)


def test_cells_belong_to_the_point():
    point = mf.gibbs(mf.games.oscillator(), 5.0, cells=48)
    with pytest.raises(ValueError, match="has its cells already"):
        mf.stability(mf.games.oscillator(), point, cells=96)


def test_spheres_have_cells_of_nearly_one_size_and_tori_the_nodes_asked_for():
    found = stability(mf.games.benchmark("sphere"), 2.0, (162, 42), count=2)
    for mu, cells in zip((found.point.x, found.point.y), (162, 42), strict=True):
        assert len(mu) == cells and not mu.mesh.by_parallels
    plain = stability(mf.games.benchmark("circle"), 2.0, (24, 32), count=2).point
    assert (len(plain.x), len(plain.y)) == (24, 32)


@pytest.mark.parametrize(("step", "said"), [(5.99, 0), (6.01, 1)])
def test_wells_are_said_to_be_narrow_from_six_kt_over_a_cell_on(step, said, recwarn):
    """l = cos x: the largest difference between n nodes is 2 sin(pi/n), between those at pi/2."""
    game, n = mf.games.trigonometric([((1,), (0,), 1.0, 0.0)]), 64
    largest = np.abs(np.diff(np.cos(2 * np.pi * np.arange(n + 1) / n))).max()
    beta = step / largest, 1.0
    point = mf.gibbs(game, beta, n)
    recwarn.clear()
    stability(game, point, count=2)
    assert len(recwarn) == said
    assert all("player x reaches 6 over one cell" in str(w.message) for w in recwarn)
