"""Steps that become shorter and shorter end a run within seconds, in every engine, with what
to do.
"""

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.engine import GROWS, HOPELESS, WINDOW, Pace
from meanfield.density.solve import build
from meanfield.flows import Langevin, Wasserstein, WassersteinFisherRao

LARGE = 1e10  # the size of a loss whose flow takes 1e10 steps or more a unit of time
NARROW = mf.Start(x=mf.concentrated(1.1, std=0.4**0.5), y=mf.concentrated(0.0, std=0.4**0.5))


def large():
    terms = [((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.0, -0.25), ((0,), (3,), 0.3, 0.0)]
    return mf.games.trigonometric([(k, m, LARGE * re, LARGE * im) for k, m, re, im in terms])


@pytest.mark.parametrize(
    ("engine", "flow", "cure"),
    [
        ("galerkin", Langevin(10.0), "raise `cells`, or tol"),
        ("finite-volume", Langevin(10.0), "use more cells"),
        ("characteristics", Wasserstein(), "its size what it should be"),
        ("characteristics", WassersteinFisherRao(1.0, 1.0), "A larger tol may do"),
        ("muscl", Wasserstein(), "its size what it should be"),
        ("muscl", WassersteinFisherRao(1.0, 1.0), "is the loss finite"),
    ],
)
@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
def test_every_engine_says_that_its_steps_come_to_no_end(engine, flow, cure):
    moving = build(large(), flow, NARROW, cells=32, engine=engine)
    with pytest.raises(mf.NotConverged, match=cure):
        moving.advance(0.5)
    assert moving.counts["steps"] < 3000


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
def test_staggered_differences_on_too_few_cells_say_so():
    # As densities: where steps collapse hangs on the last bits, and no std has 1/std^2 = 5.
    x, y = (lambda at, c=c: np.exp(5 * (np.cos(at[:, 0] - c) - 1)) for c in (1.1, 0.0))
    moving = build(
        mf.games.oscillator(), Langevin(25.0), mf.Start(x, y), cells=64, engine="staggered"
    )
    with pytest.raises(mf.NotConverged, match="collapsed at time .*use more cells"):
        moving.advance(0.005)
    assert moving.counts["steps"] < 300


@pytest.mark.parametrize(
    ("lengths", "ends"),
    [
        (np.full(1000, 1e-9), True),  # no growth, 1e9 steps to go
        (1e-9 * 0.99 ** np.arange(1000), True),  # ever shorter
        (1e-12 * 1.01 ** np.arange(4000), False),  # a start that comes on slowly
        (np.full(1000, 1e-6), False),  # many steps, but an end
        (np.append(1 - 2e-6, np.full(1000, 1e-9)), False),  # little time that is left
    ],
)
def test_only_steps_that_neither_grow_nor_arrive_are_given_up(lengths, ends):
    pace, time, given_up = Pace(), 0.0, False
    for length in lengths:
        time += length
        given_up |= pace.hopeless(time, 1.0)
    assert given_up == ends and GROWS < 1.01**WINDOW and HOPELESS < 1e-5


def test_steps_that_are_given_are_taken_however_short():
    moving = build(mf.games.benchmark("circle"), Langevin(10.0), NARROW, cells=64, step=1e-9)
    moving.advance(3e-7)
    assert moving.counts["steps"] == 300
