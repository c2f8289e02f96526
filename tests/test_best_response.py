"""The best-response flow: NI decays as exp(-rate t) in bilinear games (Hofbauer & Sorin 2006)."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.lowrank import trigonometric
from tests.convergence import fitted_order

GAME = trigonometric(
    [
        ((1,), (-1,), 1.0, 0.0),
        ((2,), (1,), 0.3, 0.2),
        ((0,), (3,), 0.3, 0.0),
        ((2,), (0,), 0.4, 0.0),
    ]
)
START = mf.Start(x=mf.concentrated(1.0, std=0.2**0.5), y=mf.concentrated(2.0, std=0.3**0.5))


def excess(step, rate=1.0, time=1.5):
    run = mf.solve(
        GAME, mf.BestResponse(rate), START, time, cells=48, step=step, save_every=time / 10
    )
    ni = run.diagnostics["ni"]
    return np.abs(ni - ni[0] * np.exp(-rate * run.times)).max() / ni[0], run


def test_error_decays_at_the_response_rate_to_first_order_in_the_step():
    steps = [0.02, 0.005, 0.00125, 0.0003125]
    errors = [excess(h)[0] for h in steps]
    assert errors[-1] < 1e-3
    assert fitted_order(steps, errors) > 0.8


def test_the_rate_scales_time():
    slow, fast = excess(0.01, rate=1.0, time=1.5)[1], excess(0.005, rate=2.0, time=0.75)[1]
    np.testing.assert_allclose(fast.diagnostics["ni"], slow.diagnostics["ni"], rtol=1e-9)


def test_mass_and_positivity_at_any_step():
    run = excess(1.5)[1]
    assert all(
        abs(m.masses.sum() - 1) < 1e-14 and m.masses.min() >= 0 for pair in run for m in pair
    )


def test_other_engines_refuse_it_and_it_refuses_other_flows():
    with pytest.raises(ValueError, match="best response"):
        mf.solve(GAME, mf.BestResponse(), START, 1.0, engine="galerkin")
    with pytest.raises(ValueError, match="Langevin"):
        mf.solve(GAME, mf.Langevin(1.0), START, 1.0, engine="best-response")
