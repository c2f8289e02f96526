"""Distances of two runs over time: paired by saved times, which both levels share by default."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

import meanfield as mf
from meanfield.particles.plan import default_every
from meanfield.schedule import saved_times

GAME, FLOW = mf.games.oscillator(), mf.Langevin(25.0)
START = GAME.answers["start"]


def runs(time, step=0.01, **options):
    field = mf.solve(GAME, FLOW, START, time, cells=128, **options)
    return mf.simulate(GAME, FLOW, START, time, step=step, particles=2000), field


@pytest.mark.parametrize(("time", "step"), [(0.25, 1e-3), (0.5, 0.01), (2.0, 1e-3), (20.0, 0.1)])
def test_both_levels_save_on_the_same_grid(time, step):
    steps = round(time / step)
    particles = np.arange(0, steps + 1, default_every(steps)) * step
    assert np.allclose(particles, saved_times(time, None), rtol=1e-12, atol=0)


@pytest.mark.parametrize("steps", [1, 7, 10, 25, 49, 75, 130, 1230, 9999])
def test_other_steps_save_a_part_of_it_or_often_enough(steps):
    at = np.arange(0, steps, default_every(steps)) / steps * 50
    shared = np.allclose(at, np.round(at), atol=1e-9)
    assert len(at) <= 100 and (shared or len(at) >= min(steps, 50))


def test_states_are_paired_by_their_times_not_their_numbers():
    """Zipping runs that were saved at different times compares t = 0.5 with t = 0.25."""
    swarm, field = runs(0.5, save_every=0.005)
    zipped = max(mf.w2(p.x[-1], q) for p, q in [(swarm, field.x[len(swarm) - 1])])
    curve = mf.w2_curve(swarm, field)
    assert np.array_equal(curve.times, swarm.times) and len(curve.times) == 51
    assert curve.x[-1] == mf.w2(swarm.x[-1], field.x[-1])
    assert curve.x[-1] < 0.06 < 0.2 < zipped
    assert np.allclose(curve.squared, curve.x**2 + curve.y**2)


def test_only_times_that_both_saved_are_compared():
    swarm, field = runs(0.5, save_every=0.1)
    assert mf.w2_curve(swarm, field).times == pytest.approx(np.arange(6) * 0.1)
    assert mf.w2_curve(swarm, field, [0.2, 0.4]).x.shape == (2,)
    with pytest.raises(ValueError, match="t = 0.25 is not among the 6 saved times .* 0.2, 0.3"):
        mf.w2_curve(swarm, field, [0.25])
    odd = mf.solve(GAME, FLOW, START, 0.333, cells=128, save_every=0.037)
    with pytest.raises(ValueError, match="saved at different times"):
        mf.w2_curve(swarm, odd)
    with pytest.raises(TypeError, match="a must be a meanfield.Trajectory, got Density"):
        mf.w2_curve(field.x[0], field)


def test_a_run_is_followed_towards_a_pair_of_measures():
    game, flow = mf.games.uniform_equilibrium(), mf.Langevin(2.0)
    run = mf.solve(game, flow, mf.Start(x=mf.games.density("1 + 0.5*cos(x)")), 3.0, cells=64)
    gibbs = mf.gibbs(game, 2.0, cells=64)
    curve = mf.w2_curve(run, (gibbs.x, gibbs.y))
    assert len(curve.times) == len(run) and curve.x[-1] < 0.3 * curve.x[0]


def test_states_are_found_by_their_times():
    swarm, _ = runs(0.5)
    assert swarm.at(0.3)[0] is swarm.x[30] and swarm.at(0)[1] is swarm.y[0]
    assert swarm.at(0.1 + 0.2)[0] is swarm.x[30]  # off by a rounding
    with pytest.raises(ValueError, match="nearest are 0.3, 0.31: choose one of these"):
        swarm.at(0.304)
    with pytest.raises(ValueError, match="t = 1 is not among the 51 saved times from 0 to 0.5"):
        swarm.at(1.0)


def test_a_curve_is_drawn():
    matplotlib.use("Agg")
    swarm, field = runs(0.1)
    curve = mf.w2_curve(swarm, field)
    figure = curve.plot()
    lines = figure.axes[0].lines
    assert np.array_equal(lines[0].get_ydata(), curve.x) and len(lines) == 2
    assert curve.plot(ax=figure.axes[0]) is figure and "W2Curve: 11 times" in repr(curve)
