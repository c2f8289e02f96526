"""What `simulate` refuses, and in which words."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.lowrank import trigonometric
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.particles.ensemble import ensemble
from meanfield.particles.plan import DEFAULTS, check_memory, make_plan
from meanfield.particles.schemes import check_scheme
from meanfield.particles.simulate import simulate
from tests.test_particles import FLOWS, GAMES, TORUS_TERMS, short

BAD = [
    ({"time": 0.105}, "nearest is time=0.1"),
    ({"time": -1.0}, "time must be at least 0"),
    ({"save_every": 0.015}, "nearest is save_every=0.02"),
    ({"save_every": 0.001}, "nearest is save_every=0.01"),
    ({"step": 0.0}, "step must be above 0"),
    ({"step": float("nan")}, "step must be finite"),
    ({"particles": 0}, "particles must be at least 1"),
    ({"particles": (1, 2, 3)}, "one whole number or two"),
    ({"particles": 2.5}, "whole number"),
    ({"particles": (1, 2**31)}, "particles must be below 2.31"),
    ({"seed": -1}, "seed must be at least 0"),
    ({"seed": 2**64}, "seed must be below"),
    ({"replica": 2**32}, "replica must be below"),
    ({"refine": 0}, "refine must be at least 1"),
    ({"scheme": "milstein"}, "scheme must be one of"),
    ({"placement": "grid"}, "placement must be one of"),
    ({"placement": "quantile"}, "defined on circles"),
    ({"placement": "atoms"}, "needs start.x to be a measure"),
    ({"time": 1e7, "refine": 100}, "ticks of noise"),
    ({"time": 1e8}, r"needs 1e\+10 steps"),
    ({"time": 1e5, "particles": 10**7, "save_every": 0.01}, "raise save_every"),
]


@pytest.mark.parametrize("options, message", BAD)
def test_bad_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        short(GAMES["torus"](), FLOWS["Langevin"], **options)


def test_bad_objects():
    game, flow = GAMES["torus"](), FLOWS["Langevin"]
    with pytest.raises(ValueError, match="player y has temperature .* log-density"):
        short(game, mf.Flow(alpha=(0.0, 1.0), temperature=0.1))
    with pytest.raises(ValueError, match="best responses"):
        short(game, mf.Flow(response=1.0))
    with pytest.raises(TypeError, match="game must be"):
        short("game", flow)
    with pytest.raises(TypeError, match="flow must be"):
        short(game, "Langevin")
    with pytest.raises(TypeError, match=r"start must be a meanfield\.Start"):
        simulate(game, flow, "uniform", 0.1)
    atoms = mf.Start(
        *(Measure(m.sample(3, np.random.default_rng(0)), None, m) for m in game.manifolds)
    )
    with pytest.raises(ValueError, match="start.x has 3 atoms; ask for particles=3"):
        simulate(game, flow, atoms, 0.1, particles=4, placement="atoms")
    with pytest.raises(TypeError, match="no option of an ensemble"):
        list(ensemble(game, flow, mf.Start(), 0.1, replicas=2, replica=1))


def test_bad_resume():
    game, flow = GAMES["torus"](), FLOWS["Langevin"]
    part = short(game, flow, time=0.1)
    for options, message in (
        ({"time": 0.05}, "already stands at t=0.1"),
        ({"step": 0.02}, "made with step=0.01"),
        ({"particles": 7}, "made with particles="),
        ({"flow": mf.Langevin(3.0)}, "give the flow"),
        ({"game": GAMES["mixed"]()}, "give the game"),
        (
            {"game": trigonometric(TORUS_TERMS[:3], X=Torus(2, period=2.5), Y=Torus(1))},
            "give the game",
        ),
        ({"diagnostics": {"one": lambda x, y: 1.0}}, "give the same"),
    ):
        with pytest.raises(ValueError, match=message):
            simulate(
                **{
                    "game": game,
                    "flow": flow,
                    "start": None,
                    "time": 0.2,
                    "resume": part,
                    **options,
                }
            )
    with pytest.raises(ValueError, match="state has no"):
        empty = mf.Trajectory(part.times, part.x, part.y, game, flow)
        simulate(game, flow, None, 0.2, resume=empty)


@pytest.mark.parametrize("flow", [mf.Langevin(10.0), mf.WassersteinFisherRao(1.0, 1.0)])
def test_saved_states_take_the_memory_that_is_asked_for(flow):
    game = mf.games.polynomial("a")
    run = simulate(game, flow, time=0.2, step=0.01, particles=(3, 5), save_every=0.05)
    parts = [part for mu in run.x + run.y for part in (mu.points, mu.masses)]
    parts += [part for pair in run.state.get("mean_weights", ()) for part in pair]
    how = {**DEFAULTS, "step": 0.01, "particles": (3, 5), "save_every": 0.05}
    some, more = (check_memory(game, make_plan(time=t, **how), flow) for t in (0.2, 0.45))
    # Twice as many saved states need those of this run once more.
    assert more.memory - some.memory == sum(part.nbytes for part in parts)


NUMBERS = {"seed": 0, "scheme": "euler", "replica": 0, "refine": 1, "placement": "iid"}


def plan(time, step=1.0, save_every=None, particles=2, **options):
    return make_plan(
        time=time, step=step, save_every=save_every, particles=particles, **NUMBERS | options
    )


@pytest.mark.parametrize(
    ("steps", "every"),
    [(50, 1), (1000, 20), (10, 1), (20, 2), (30, 3), (25, 1), (75, 3), (9, 1), (99, 1), (101, 2),
     (1001, 11), (0, 1), (1, 1), (200, 4), (1010, 101), (14, 1), (350, 7)],
)  # fmt: skip
def test_saves_are_fifty_or_fewer_at_shared_times_or_up_to_a_hundred_at_their_own(steps, every):
    assert plan(float(steps)).every == every


def test_saves_lie_at_multiples_wherever_a_run_goes_on():
    made = plan(1.1, 0.1, 0.3)
    assert made.steps == 11 and made.every == 3
    for now, wanted in ((0.0, [0, 3, 6, 9, 11]), (0.3, [3, 6, 9, 11]), (0.4, [4, 6, 9, 11]),
                        (1.0, [10, 11]), (1.1, [11])):  # fmt: skip
        np.testing.assert_array_equal(made.saves(now), np.array(wanted) * 0.1)
    settings = made.settings()
    assert settings["save_every"] == 3 * 0.1 and settings["step"] == 0.1 and "inner" not in settings


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 2**32), ({"scheme": "strang"}, 2**31), ({"refine": 8}, 2**29),
     ({"scheme": "mirror-prox", "inner": 4}, 2**30)],
)  # fmt: skip
def test_noise_is_numbered_below_two_to_the_32(options, most):
    assert plan(float(most - 1), save_every=1.0, **options).steps == most - 1
    with pytest.raises(ValueError, match="numbered below 2.32"):
        plan(float(most), save_every=1.0, **options)


@pytest.mark.parametrize(("off", "fits"), [(0.9e-9, True), (1.1e-9, False)])
@pytest.mark.parametrize("steps", [1, 1000])
def test_times_are_whole_numbers_of_steps_to_nine_digits(steps, off, fits):
    if fits:
        assert plan(steps * (1 + off), save_every=1.0).steps == steps
    else:
        with pytest.raises(ValueError, match=f"nearest is time={steps}"):
            plan(steps * (1 + off), save_every=1.0)


def test_a_billion_particles_may_be_numbered():
    assert plan(1.0, particles=(2**31 - 1, 1)).particles == (2**31 - 1, 1)
    assert plan(1.0, seed=2**64 - 1, replica=2**32 - 1).seed == 2**64 - 1


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("part", [0.999, 1.001, 4.0])
def test_a_step_moves_particles_by_half_the_reach_at_most(name, part):
    """By the force, gamma dt |grad U|, which is A at a quarter of the wave A cos; by the noise."""
    dt, circle, gamma = 0.1, mf.Torus(1, period=3.0), (0.7, 0.4)["xy".index(name)]
    half, turn = 3.0 / 4, 2 * np.pi / 3.0
    A, heat = part * half / (gamma * dt * turn), (part * half) ** 2 / (2 * gamma * dt)
    steep = trigonometric([((int(name == "x"),), (int(name == "y"),), A, 0.0)], circle, circle)
    flat = trigonometric([((1,), (1,), 1e-9, 0.0)], circle, circle)
    hot = mf.Flow((0.7, 0.4), 0.0, (heat, 0.0) if name == "x" else (0.0, heat))
    at = mf.Measure([[3.0 / 4]], None, circle)
    for game, flow, what, would_do in (
        (steep, mf.Wasserstein((0.7, 0.4)), "gamma dt max|grad U| is", dt / part),
        (flat, hot, "the noise's deviation", dt / part**2),
    ):
        how = {"time": dt, "step": dt, "particles": 1, "placement": "atoms"}
        if part < 1:
            simulate(game, flow, mf.Start(at, at), **how)
            continue
        with pytest.raises(ValueError, match=f"player {name}") as refused:
            simulate(game, flow, mf.Start(at, at), **how)
        said = str(refused.value)
        assert what in said and f"a step of {would_do / 2:.2g} would do" in said


MOVING = mf.Flow(gamma=1.0, temperature=0.5, response=1.0)
RESTING = mf.EntropicBestResponse(2.0)


@pytest.mark.parametrize(
    ("flow", "options", "says"),
    [
        (RESTING, {"inner": 3}, None),
        (RESTING, {}, None),
        (MOVING, {}, None),
        (MOVING, {"inner": 3}, "player x has a response and moves"),
        (mf.Flow((0.0, 1.0), 0.0, 0.5, response=1.0), {"inner": 3}, "player y has a response and"),
        (mf.Langevin(2.0), {"inner": 3}, "inner counts the inner steps"),
        (mf.WassersteinFisherRao(), {"inner": 3, "scheme": "mirror-prox"}, None),
        (mf.DiscountedLangevin(2.0, 1.0), {}, None),
        (RESTING, {"exploration": 0.1}, None),
        (RESTING, {"exploration": 0.1, "inner": 3}, "inner steps or by consensus"),
        (mf.Langevin(2.0), {"exploration": 0.1}, "exploration is for responses"),
        (MOVING, {"exploration": 0.1}, "exploration is for responses"),
        (mf.Quasistatic(2.0), {"inner": 3}, None),
        (mf.Flow(0.0, 0.0, 0.5, response=1.0, memory=mf.Memory(rate=1.0)), {"inner": 3}, None),
        (mf.Quasistatic(2.0), {}, "at its best response at all times"),
        (mf.Langevin(2.0), {"scheme": "strang"}, None),
        (mf.Langevin(2.0), {"scheme": "mirror-prox"}, "without noise"),
        (mf.Flow(0.0, (1.0, 0.0), 0.5, response=(1.0, 1.0)), {}, "a response and a reaction"),
        (mf.Flow(1.0, 0.0, (0.5, 0.0), response=(0.0, 1.0)), {}, "at temperature zero"),
    ],
)
def test_flows_schemes_and_inner_steps_go_together_or_are_refused(flow, options, says):
    given = {"scheme": "euler", **options}
    if says is None:
        check_scheme(GAMES["torus"](), flow, **given)
    else:
        with pytest.raises(ValueError, match=says):
            check_scheme(GAMES["torus"](), flow, **given)


@pytest.mark.parametrize("time", [1e-13, 1e-100, 1e-320])
def test_times_that_are_no_step_are_refused(time):
    with pytest.raises(ValueError, match="time must be a whole number of steps"):
        mf.simulate(mf.games.oscillator(3.0), mf.Langevin(5.0), mf.Start(), time, step=1e-3)


def test_diagnostics_are_functions():
    with pytest.raises(TypeError, match=r"diagnostics\['q'\] must be a function"):
        mf.simulate(
            mf.games.oscillator(3.0), mf.Langevin(5.0), mf.Start(), 0.01, step=1e-3, particles=5,
            diagnostics={"q": 3},
        )  # fmt: skip
