"""`simulate(..., check_step=True)`: the error of the time step, told from two runs on one noise."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf

WELL = mf.games.expression("0.5*(1 - cos(x)) + 0.2*sin(x)*cos(y)")
START = mf.Start(x=mf.concentrated(1.0, std=0.3), y=mf.concentrated(1.0, std=0.3))


def errors(flow, step, scheme="euler", game=WELL, particles=400, time=1.0, start=START, **options):
    return mf.simulate(game, flow, start, time, step, particles, scheme=scheme, seed=2,
                       check_step=True, save_every=time / 2, **options)  # fmt: skip


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("strang", 2)])
def test_the_estimate_is_the_error_that_is_left(scheme, order):
    """Against a run of many more steps on the same noise."""
    flow, step = mf.Langevin(20.0), 0.125
    found = errors(flow, step, scheme, refine=32, particles=2000)
    exact = mf.simulate(WELL, flow, START, 1.0, step / 32, 2000, scheme=scheme, seed=2)
    value = exact.diagnostics["value"][-1]
    true = abs(found.diagnostics["value"][-1] - value)
    assert found.diagnostics["step_error_value"][-1] == pytest.approx(true, rel=0.25)
    off = mf.w2(found.x[-1], exact.x[-1])
    assert off < 1.3 * found.diagnostics["step_error_x"][-1] and off > 1e-4


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("strang", 2)])
def test_estimates_fall_with_the_order_of_the_scheme(scheme, order):
    flow = mf.WassersteinFisherRao(1.0, 0.5)
    told = [errors(flow, step, scheme).diagnostics["step_error_value"][-1]
            for step in (0.125, 0.0625)]  # fmt: skip
    assert np.log2(told[0] / told[1]) == pytest.approx(order, abs=0.25)


def test_a_step_that_is_too_long_says_so():
    """Jumps to Gibbs responses at a rate of 0.65 a step, and steps of the transport."""
    flow = mf.EntropicBestResponse(4.0)
    game = mf.games.benchmark("circle")
    with pytest.warns(mf.UnderResolved, match="step = 0.65 is long"):
        errors(flow, 0.65, game=game, time=2.6)
    game = mf.games.polynomial("a", dim=4)
    run = errors(mf.Langevin(20.0), 0.002, game=game, time=0.2, particles=50, start=mf.Start())
    assert 0 < run.diagnostics["step_error_x"][-1] < 0.1


def test_the_run_keeps_its_bits_and_odd_steps_are_compared_where_both_stand():
    flow = mf.Langevin(20.0)
    plain = mf.simulate(WELL, flow, START, 0.7, 0.1, 50, seed=4, save_every=0.1)
    told = mf.simulate(WELL, flow, START, 0.7, 0.1, 50, seed=4, save_every=0.1, check_step=True)
    assert (plain.x[-1].points == told.x[-1].points).all()
    at = np.isfinite(told.diagnostics["step_error_x"])
    assert (at == [True, False] * 4).all()
    with pytest.raises(ValueError, match="without resume"):
        mf.simulate(WELL, flow, time=1.0, step=0.1, check_step=True, resume=plain)
    with pytest.raises(ValueError, match="two steps"):
        mf.simulate(WELL, flow, time=0.1, step=0.1, check_step=True)
