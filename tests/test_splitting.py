"""Steps of the splitting engine, recomputed: averages, answers at once, estimated errors."""

from dataclasses import replace

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.solve import build
from tests.later_flows import BETA, GAME, MEAN_FIELD, START, solved

# Few cells, on purpose: what is tested holds at any resolution.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")


@pytest.mark.parametrize("fast", [False, True], ids=["both move", "y answers"])
@pytest.mark.parametrize("memory", [mf.Memory(power=1.5), mf.Memory(rate=0.7)])
def test_averages_are_those_of_the_saved_past(memory, fast):
    """The engine's averaged moments against quadrature over the run itself."""
    h, time = 2e-3, 1.0
    flow = replace(mf.Quasistatic(BETA) if fast else mf.Langevin(BETA), memory=memory)
    run = solved(flow, time, step=h, save_every=h)
    engine = build(GAME, flow, START, cells=64, engine="splitting", step=h)
    engine.advance(time)
    t = run.times
    weight = t**memory.power if memory.rate is None else np.exp(-memory.rate * (time - t))
    rule = np.full(len(t), h)
    rule[[0, -1]] /= 2
    share = 1 / (weight @ rule) if memory.rate is None else memory.rate
    for p in (0, 1):
        features = np.array([engine.coupling.moments(p, pair[p].masses) for pair in run])
        rest = 0.0 if memory.rate is None else np.exp(-memory.rate * time) * features[0]
        wanted = rest + share * (weight * rule) @ features
        np.testing.assert_allclose(engine.averaged[p], wanted, atol=1e-5)


def test_an_annealed_answer_is_the_one_at_the_temperature_of_the_moment():
    cooling = mf.Schedule("poly", scale=1.0, power=0.7)
    flow = mf.Annealed(mf.Quasistatic(BETA), cooling)
    run = solved(flow, 1.0, step=0.25, save_every=0.25)
    for t, (x, y) in zip(run.times, run, strict=True):
        cost = GAME.cost(1, y.points, x) * BETA / cooling(t)
        wanted = np.exp(cost.min() - cost)
        np.testing.assert_allclose(y.masses, wanted / wanted.sum(), rtol=1e-11)


@pytest.mark.parametrize("name", ["entropic WFR", "quasistatic", "all at once", "best response"])
def test_a_step_errs_by_a_third_of_what_two_halves_change(name):
    """And the first one is a tenth of the shortest time scale."""
    h, flow = 0.04, MEAN_FIELD[name]
    once, twice, free = (
        build(GAME, flow, START, cells=64, engine="splitting", step=step)
        for step in (h, h / 2, None)
    )
    for engine in (once, twice):
        engine.advance(h)
    gaps = [np.abs(a - b).sum() for a, b in zip(once.masses, twice.masses, strict=True)]
    trial = free.attempt(h)
    assert trial.error == pytest.approx(max(gaps) / 3, rel=1e-6)
    np.testing.assert_allclose(trial.masses, twice.masses, atol=1e-14)
    rates = [r for p in flow.at(0.0) for r in (p.gamma, p.alpha, p.response) if r < np.inf]
    assert free.first(10.0) == 0.1 / max(rates) and free.first(1e-3) == 1e-3
