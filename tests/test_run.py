"""What surrounds every run: read-only states for functions of users, stops, resumed provenance."""

from dataclasses import replace

import numpy as np
import pytest

import meanfield as mf
from meanfield import trajectory

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
@pytest.mark.parametrize("name", ["stop", "callback"])
def test_what_is_no_function_is_refused_before_anything_runs(run, name):
    with pytest.raises(TypeError, match=rf"{name} must be a function of \(t, mu_x, mu_y\), got 3"):
        run(**{name: 3})


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


def bare(times, values=None, at=0.0):
    """A trajectory of one atom a player."""
    pair = [mf.Measure([[at + 0.1]], None, M) for M in GAME.manifolds]
    held = {} if values is None else {"value": np.asarray(values)}
    sides = ([mu] * len(times) for mu in pair)
    return trajectory.Trajectory(np.asarray(times, float), *sides, GAME, FLOW, held, {}, {})


def test_saved_times_are_found_to_nine_digits_of_the_last():
    times = np.array([0.0, 1.0, 2.0, 8.0])
    assert [trajectory.index_at(times, t) for t in (0, 1 + 7.9e-9, 2 - 7.9e-9, 8)] == [0, 1, 2, 3]
    for t, around in ((1 + 8.1e-9, "1, 2"), (1.9, "1, 2"), (2.4, "1, 2"), (9.0, "2, 8")):
        with pytest.raises(ValueError, match=f"the nearest are {around}:"):
            trajectory.index_at(times, t)
    assert trajectory.index_at(times, 0 - 7.9e-9) == 0
    assert trajectory.index_at(times[:1], 0.0) == 0


@pytest.mark.parametrize("scale", [1e-8, 0.01, 100.0])
@pytest.mark.parametrize("constant", [0.0, 1e3])
def test_a_run_goes_on_where_its_game_has_the_value_saved_to_nine_digits(scale, constant):
    """Of the value, or of the loss where that is larger."""
    game = mf.games.trigonometric([((1,), (1,), scale, 0.0), ((0,), (0,), constant, 0.0)])
    run = replace(bare([0.0, 1.0]), game=game)
    points = [mu.points for mu in run[-1]]
    value = game.value(*run[-1])
    limit = 1e-9 * max(abs(value), np.abs(game.moving_loss(*points)).max())
    for part, same in ((0.99, True), (1.01, False)):
        held = replace(run, diagnostics={"value": np.array([value, value + part * limit])})
        if same:
            trajectory.check_goes_on(held, game, FLOW)
        else:
            with pytest.raises(ValueError, match="not .* as it is now"):
                trajectory.check_goes_on(held, game, FLOW)


@pytest.mark.parametrize("last", [0.5, 10.0])
def test_restored_states_stand_at_the_last_saved_time_or_after(last):
    run, other = bare([0.0, last]), bare([0.0, last], at=1e-8)
    late = last - 1e-9 * max(1.0, last) * 0.99
    trajectory.check_same_state(run, late, other[-1])
    trajectory.check_same_state(run, 2 * last, other[-1])
    trajectory.check_same_state(run, last, run[-1])
    with pytest.raises(ValueError, match="before its last saved time"):
        trajectory.check_same_state(run, last - 1e-9 * max(1.0, last) * 1.01, run[-1])
    with pytest.raises(ValueError, match="state of another run"):
        trajectory.check_same_state(run, last, other[-1])


def test_measures_are_the_same_to_nine_digits():
    rng = np.random.default_rng(0)
    x, w = 3 + rng.random((4, 1)), rng.dirichlet(np.ones(4))
    mu, circle = mf.Measure(x, w, mf.Torus(1)), mf.Torus(1)
    moved = [mf.Measure(x + c * (1e-9 + 1e-9 * x), w, circle) for c in (0.98, 1.02)]
    raised = np.array([1.0, -1.0, 0.0, 0.0]) * (1e-12 + 1e-9 * w[:2].min())
    heavier = [mf.Measure(x, w + c * raised, circle) for c in (0.98, 1.02)]
    for near, far in (moved, heavier):
        assert trajectory.same_measures((mu, mu), (mu, near))
        assert not trajectory.same_measures((mu, mu), (mu, far))
        assert not trajectory.same_measures((mu, mu), (far, mu))
    fewer = mf.Measure(x[:3], None, circle)
    assert not trajectory.same_measures((mu, mu), (mu, fewer))
