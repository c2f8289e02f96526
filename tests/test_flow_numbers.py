"""The numbers of flows: weights of memories and schedules by integrals, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

import meanfield as mf
from meanfield.flows import Flow


@pytest.mark.parametrize(
    "memory", [mf.Memory(power=0.0), mf.Memory(power=2.5), mf.Memory(rate=0.8)]
)
def test_memories_weigh_an_interval_by_their_integral_over_it(memory):
    """What is before time zero, the start for ever, counts only where older ones count less."""
    first = -math.inf if memory.rate else 0.0

    def weight(s):
        return math.exp(memory.rate * s) if memory.rate else s**memory.power

    for begin, end in ((0.0, 0.3), (0.4, 1.1), (5.0, 5.25)):
        mass = quad(weight, begin, end, epsabs=0)[0]
        whole = quad(weight, first, end, epsabs=1e-14)[0]
        assert memory.share(begin, end) == pytest.approx(mass / whole, rel=1e-9)
        centre = quad(lambda s: weight(s) * (s - begin) / (end - begin), begin, end)[0] / mass  # noqa: B023
        assert memory.centre(begin, end) == pytest.approx(centre, rel=1e-3 if begin == 0 else 1e-6)


def test_schedules_are_what_they_are_called():
    for t in (0.0, 0.7, 30.0):
        u = t / 2.5
        for kind, value in (
            ("log", 1 / math.log(math.e + u)), ("poly", (1 + u) ** -1.5), ("exp", math.exp(-u)),
        ):  # fmt: skip
            schedule = mf.Schedule(kind, scale=2.5, power=1.5)
            assert schedule(t) == pytest.approx(value, rel=1e-15)
            held = mf.Schedule(kind, scale=2.5, power=1.5, floor=0.4)
            assert held(t) == pytest.approx(max(value, 0.4), rel=1e-15)
    assert mf.Schedule("poly")(1.0) == 0.5 and mf.Schedule("poly", power=0.0)(9.0) == 1
    assert mf.Schedule("exp", floor=1.0)(9.0) == 1 and mf.Schedule("exp")(50.0) < 1e-21
    with pytest.raises(ValueError, match="t must be at least 0"):
        mf.Schedule("exp")(-1e-9)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: mf.Memory(), "either power"),
        (lambda: mf.Memory(1.0, 1.0), "either power"),
        (lambda: mf.Memory(rate=0.0), "rate"),
        (lambda: mf.Memory(power=-0.1), "power"),
        (lambda: mf.Schedule("exp", floor=1.01), "at most 1"),
        (lambda: mf.Schedule("exp", scale=0.0), "scale"),
        (lambda: mf.Schedule("poly", power=-0.1), "power"),
        (lambda: mf.Schedule("linear"), "kind"),
        (lambda: Flow(gamma=math.inf), "gamma"),
        (lambda: Flow(alpha=math.inf), "alpha"),
        (lambda: Flow(temperature=math.inf), "temperature"),
        (lambda: Flow(0.0, 0.0, 1.0, math.inf), "both players"),
        (lambda: Flow((1.0, 0.5), 0.0, 0.1, (0.0, math.inf)), "Gibbs measure at all times"),
        (lambda: Flow((1.0, 0.0), (0.0, 0.5), 0.1, (0.0, math.inf)), "Gibbs measure at all times"),
        (lambda: Flow((1.0, 0.0), 0.0, (0.1, 0.0), (0.0, math.inf)), "Gibbs measure at all times"),
        (lambda: Flow((1.0, 0.0), 0.0, 0.1), "never move"),
        (lambda: Flow(cooling=mf.Schedule("exp")), "zero for both players"),
        (lambda: Flow(gamma=(1.0, 2.0, 3.0)), "one number or two"),
    ],
)
def test_flows_that_make_no_sense_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_flows_at_the_edge_of_what_makes_sense():
    Flow((0.0, 1.0), (0.5, 0.0))
    Flow((0.0, 1.0), 0.0, 0.0, (0.5, 0.0))
    Flow((0.5, 0.0), 0.0, (0.0, 0.5), (0.0, math.inf))
    Flow(temperature=(0.0, 0.5), cooling=mf.Schedule("exp"))


def test_what_a_flow_does_follows_from_its_numbers():
    names = ("transports", "reacts", "responds", "diffuses", "entropic", "softens", "quasistatic",
             "scheduled", "composite")  # fmt: skip

    def does(flow):
        return {name for name in names if getattr(flow, name)}

    half = (0.0, 0.5)
    for flow, wanted in (
        (Flow(0.5), {"transports"}),
        (Flow((1.0, 0.0), half), {"transports", "reacts"}),
        (Flow(0.5, temperature=half), {"transports", "diffuses"}),
        (Flow((1.0, 0.0), half, (0.5, 0.0)), {"transports", "reacts", "diffuses"}),
        (Flow((1.0, 0.0), half, half), {"transports", "reacts", "entropic", "composite"}),
        (Flow(0.0, response=0.5), {"responds"}),
        (Flow(0.0, 0.0, half, 0.5), {"responds", "softens", "composite"}),
        (Flow((1.0, 0.0), 0.0, (0.5, 0.0), half),
         {"transports", "diffuses", "responds", "composite"}),
        (Flow(0.0, (1.0, 0.0), 0.0, half), {"reacts", "responds", "composite"}),
        (mf.Quasistatic(4.0), {"transports", "responds", "diffuses", "softens", "quasistatic",
                               "composite"}),
        (Flow(0.5, memory=mf.Memory(power=0.0)), {"transports", "composite"}),
        (Flow(0.5, speed=mf.Schedule("exp")), {"transports", "scheduled", "composite"}),
        (Flow(0.5, temperature=0.5, cooling=mf.Schedule("exp")),
         {"transports", "diffuses", "scheduled", "composite"}),
    ):  # fmt: skip
        assert does(flow) == wanted, flow


def test_speed_multiplies_rates_and_cooling_the_temperature():
    flow = Flow((1.0, 2.0), (3.0, 4.0), (0.5, 0.7), (5.0, 6.0),
                cooling=mf.Schedule("exp"), speed=mf.Schedule("poly", power=2.0))  # fmt: skip
    s, c = 1.5**-2.0, math.exp(-0.5)
    for player, numbers in zip(flow.at(0.5), ((1, 3, 0.5, 5), (2, 4, 0.7, 6)), strict=True):
        found = (player.gamma, player.alpha, player.temperature, player.response)
        np.testing.assert_allclose(found, np.array(numbers) * [s, s, c, s], rtol=1e-14)
    assert flow.x == flow.players[0] and flow.y.alpha == 4.0
    assert repr(Flow((1.0, 2.0), 0.5)) == "flow(gamma=(1.0, 2.0), alpha=0.5)"
