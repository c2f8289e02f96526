"""The spectrum of flows with weights at a Nash equilibrium: in closed form, and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli.show import draw
from meanfield.equilibria import Equilibrium

EXAMPLE = mf.games.wang_chizat()


def held(game, pair):
    return Equilibrium(*pair, game.value(*pair), 0.0, 0.0, 0, False, "stated")


def test_example_4_1_has_its_closed_spectrum():
    """Weights turn at 2 alpha, positions see the potentials' curvature 16 pi^2 and turn at 8 pi^2;
    their own sum over both atoms does not see the opponent.
    """
    gamma, alpha = 0.01, 3.0
    near = held(EXAMPLE, EXAMPLE.answers["equilibrium"])
    found = mf.stability(EXAMPLE, mf.WassersteinFisherRao(gamma, alpha), near=near)
    turn = 2j * alpha
    bend, cross = 16 * np.pi**2 * gamma, 8j * np.pi**2 * gamma
    exact = np.array([turn, -turn, -bend, -bend, -bend + cross, -bend - cross])
    gaps = np.abs(found.eigenvalues[:, None] - exact)
    assert gaps.min(axis=0).max() < 1e-7 and gaps.min(axis=1).max() < 1e-7
    assert not found.stable and found.frequency == pytest.approx(2 * alpha)
    alone = mf.stability(EXAMPLE, mf.MirrorDescent(alpha), near=near)
    assert np.sort(alone.eigenvalues.imag) == pytest.approx([-2 * alpha, 2 * alpha])
    assert "rate 0, frequency 6 " in repr(alone) and alone.leading == "0+6i, 0-6i"
    assert 2 * np.pi / alone.frequency == pytest.approx(EXAMPLE.answers["period"](alpha))


def offsets(measure, rest):
    """How far atoms and weights are from those of an equilibrium."""
    moved = np.linalg.norm(measure.manifold.difference(rest.points, measure.points), axis=1)
    return np.concatenate([moved, measure.masses - rest.masses])


@pytest.mark.parametrize("alpha", [1.0, 5.0])
def test_particles_return_at_the_rate_of_the_slowest_mode(alpha):
    """From the equilibrium moved a little, by integration of Algorithm 2 with short steps."""
    game, flow = mf.games.polynomial("b", dim=2, seed=0), mf.WassersteinFisherRao(1.0, alpha)
    point = mf.nash(game)
    found = mf.stability(game, flow, near=point)
    assert found.stable and found.residual < 1e-6 and found.frequency > 0
    raised = point.y.masses + np.array([1e-3, -1e-3])
    start = mf.Start(x=point.x, y=mf.Measure(point.y.points, raised, point.y.manifold))
    turn = 2 * np.pi / found.frequency
    saves = max(4, round(4 / found.rate / turn))
    run = mf.simulate(game, flow, start, saves * turn, turn / 400, (2, 2), scheme="strang",
                      placement="atoms", save_every=turn)  # fmt: skip
    # Looked at once a turn, so that the phase is the same.
    size = [np.linalg.norm(np.concatenate([offsets(x, point.x), offsets(y, point.y)]))
            for x, y in run]  # fmt: skip
    late = len(size) // 2
    rate = np.log(size[late] / size[-1]) / (run.times[-1] - run.times[late])
    assert rate == pytest.approx(found.rate, rel=0.03)


def test_turning_a_sphere_leaves_the_spectrum():
    """Tangent frames are others at turned atoms; the eigenvalues are the same."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    A, B, C = np.random.default_rng(1).standard_normal((3, 3, 3))
    spectra = []
    for Q in (np.eye(3), turn):
        game = mf.games.polynomial_from(
            A0=Q @ (A + A.T) @ Q.T, A1=Q @ B @ Q.T, A2=Q @ (C + C.T) @ Q.T, A3=0, a0=0, a1=0
        )
        spectra.append(mf.stability(game, mf.WassersteinFisherRao(1.0, 2.0)).eigenvalues)
    gaps = np.abs(spectra[0][:, None] - spectra[1])
    assert gaps.min(axis=0).max() < 1e-5 and gaps.min(axis=1).max() < 1e-5


def test_what_has_no_such_spectrum_is_told():
    with pytest.raises(ValueError, match="weights and without noise"):
        mf.stability(EXAMPLE, mf.Wasserstein())
    with pytest.raises(TypeError, match="the flow has its own gamma"):
        mf.stability(EXAMPLE, mf.MirrorDescent(1.0), gamma=2.0)
    with pytest.raises(TypeError, match="near= is for flows"):
        mf.stability(EXAMPLE, 2.0, near=held(EXAMPLE, EXAMPLE.answers["equilibrium"]))
    with pytest.raises(TypeError, match="near must be what nash returns"):
        mf.stability(EXAMPLE, mf.MirrorDescent(1.0), near=3)
    off = held(EXAMPLE, EXAMPLE.answers["measures"](0.2, 0.0))
    with pytest.raises(ValueError, match="still move"):
        mf.stability(EXAMPLE, mf.MirrorDescent(1.0), near=off)


def test_it_is_kept_and_drawn(tmp_path):
    near = held(EXAMPLE, EXAMPLE.answers["equilibrium"])
    found = mf.stability(EXAMPLE, mf.WassersteinFisherRao(), near=near)
    again = mf.load(found.save(tmp_path / "a.h5"))
    assert found.to_csv(tmp_path / "a.csv").read_text().startswith("mode,real,imag")
    assert (again.eigenvalues == found.eigenvalues).all() and repr(again) == repr(found)
    assert "Nash" in draw(found).axes[0].get_title()


@pytest.mark.parametrize("alpha", [3.0, 0.1])
def test_a_pair_is_at_rest_up_to_a_millionth_of_the_largest_rate_or_of_one(alpha):
    """Weights of the example turn at 2 alpha, and move in proportion to their offset."""

    def moved(a):
        near = held(EXAMPLE, EXAMPLE.answers["measures"](a, 0.0))
        return mf.stability(EXAMPLE, mf.MirrorDescent(alpha), near=near)

    limit = 1e-6 * max(1.0, 2 * alpha)
    offset = 1e-9 * limit / moved(1e-9).residual
    assert moved(0.999 * offset).residual == pytest.approx(0.999 * limit, rel=1e-6)
    with pytest.raises(ValueError, match="still move"):
        moved(1.001 * offset)


def test_what_turns_but_for_rounding_is_not_stable():
    near = held(EXAMPLE, EXAMPLE.answers["equilibrium"])
    found = mf.stability(EXAMPLE, mf.MirrorDescent(1.0), near=near)
    for rate, stable in ((0.99e-8, False), (1.01e-8, True)):
        values = np.array([5j - 5 * rate, -5j - 5 * rate, -2 + 0j, -3, -4, -0.5])
        at = replace(found, eigenvalues=values)
        assert at.stable is stable and at.rate == 5 * rate and at.frequency == 5
        assert at.leading.count("i") == 4 and at.leading.endswith(", -2+0i, -3+0i")
