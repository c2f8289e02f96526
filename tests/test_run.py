"""What surrounds every run: read-only states for functions of users, stops, resumed provenance."""

import numpy as np
import pytest

import meanfield as mf

GAME = mf.games.oscillator()
START = GAME.answers["start"]
FLOW = mf.Langevin(25.0)


def field(**more):
    return mf.solve(GAME, FLOW, START, 0.2, cells=64, save_every=0.05, **more)


def swarm(**more):
    return mf.simulate(GAME, FLOW, START, 0.2, 1e-2, particles=20, save_every=0.05, **more)


def in_degrees(x, y):
    points = x.points
    points *= 180 / np.pi
    return points[0, 0]


@pytest.mark.parametrize("run", [field, swarm])
def test_functions_of_users_cannot_write_to_the_state(run):
    with pytest.raises(ValueError, match="read-only"):
        run(diagnostics={"first": in_degrees})
    with pytest.raises(ValueError, match="read-only"):
        run(callback=lambda t, x, y: x.masses.fill(0.0))
    with pytest.raises(ValueError, match="read-only"):
        run(stop=lambda t, x, y: y.masses.fill(0.0))


@pytest.mark.parametrize("run", [field, swarm])
def test_measures_of_a_result_are_the_users_own(run):
    made = run(diagnostics={"mean": lambda x, y: x.integrate(np.cos(x.points[:, 0]))})
    assert made.x[-1].masses.flags.writeable
    np.testing.assert_array_equal(
        made.diagnostics["mean"], [mu.integrate(np.cos(mu.points[:, 0])) for mu in made.x]
    )


@pytest.mark.parametrize("run", [field, swarm])
def test_a_stopped_run_says_so_at_both_levels(run):
    made = run(stop=lambda t, x, y: t >= 0.1)
    assert made.times[-1] == pytest.approx(0.1)
    assert made.provenance["ended"] == "stopped at t=0.1"


@pytest.mark.parametrize("run", [field, swarm])
def test_names_that_runs_record_themselves_are_refused(run):
    with pytest.raises(ValueError, match="records value itself"):
        run(diagnostics={"value": lambda x, y: 0.0})


def test_a_run_of_no_time_has_its_start_alone():
    for run in (mf.solve(GAME, FLOW, START, 0, cells=64), mf.simulate(GAME, FLOW, START, 0, 0.1)):
        assert len(run) == 1 and list(run.times) == [0.0]
    with pytest.raises(ValueError, match="ask for a later time"):
        mf.solve(GAME, FLOW, START, 0, cells=64, resume=field())


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_numbers_of_single_precision_are_those_that_are_written(kind):
    run = mf.simulate(GAME, FLOW, START, 1, kind(0.1), particles=3, save_every=kind(0.2))
    assert run.times[-1] == 1.0 and run.provenance["step"] == 0.1 and len(run) == 6
    made = field(step=kind(0.05))
    np.testing.assert_array_equal(made.x[-1].masses, field(step=0.05).x[-1].masses)


def test_times_below_the_step_are_refused_with_advice_that_helps():
    with pytest.raises(ValueError, match="nearest is time=0.01; or take step=0.005 or less"):
        mf.simulate(GAME, FLOW, START, 0.005, 0.01, particles=3)
    assert len(mf.simulate(GAME, FLOW, START, 0.005, 0.005, particles=3)) == 2


@pytest.mark.parametrize("run", [field, swarm])
def test_a_stop_that_returns_an_array_is_named(run):
    with pytest.raises(ValueError, match=r"stop must return true or false, got array"):
        run(stop=lambda t, x, y: np.array([True, False]))
    assert len(run(stop=lambda t, x, y: np.array([True]))) == 1


FLOWS = [FLOW, mf.WassersteinFisherRao(), mf.MirrorDescent(), mf.Wasserstein()]


@pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_resumed_run_keeps_the_start_it_began_from(flow, tmp_path):
    """From the object and from its file, start left out, to the bits of the whole run."""

    def solved(time, start=None, **more):
        return mf.solve(GAME, flow, start, time, cells=64, save_every=0.05, **more)

    whole, half = solved(0.2, START), solved(0.1, START)
    for held in (half, mf.load(half.save(tmp_path / "half.h5"))):
        rest = solved(0.2, resume=held)
        assert repr(rest.provenance["start"]) == repr(START)
        np.testing.assert_array_equal(rest.x[-1].masses, whole.x[-1].masses)
        np.testing.assert_array_equal(rest.x[-1].points, whole.x[-1].points)
    with pytest.raises(ValueError, match="resume began from another start"):
        solved(0.2, mf.Start(), resume=half)


def test_a_start_that_no_file_holds_is_asked_for(tmp_path):
    start = mf.Start(x=lambda points: 1 + 0.5 * np.cos(points[:, 0]))
    half = mf.solve(GAME, FLOW, start, 0.1, cells=64, save_every=0.05)
    held = mf.load(half.save(tmp_path / "half.h5"))
    with pytest.raises(ValueError, match="a start that no file holds: give it"):
        mf.solve(GAME, FLOW, time=0.2, cells=64, resume=held)
    assert len(mf.solve(GAME, FLOW, start, 0.2, cells=64, resume=held)) == 5
