"""`simulate(..., check_step=True)`: the error of the time step, told from two runs on one noise."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.particles import step_error
from meanfield.particles.plan import make_plan
from meanfield.particles.stepper import Stepper
from meanfield.storage.files import read_header
from tests.test_looks import Product

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
    for name in "xy":
        off = mf.w2(getattr(found, name)[-1], getattr(exact, name)[-1])
        told = found.diagnostics[f"step_error_{name}"][-1]
        assert off > 1e-4 and 0.4 * told < off < 1.3 * told


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


def test_a_run_that_was_stopped_goes_on_and_is_checked_to_the_same_bits(tmp_path):
    """By the same call, by `resume` and from a TOML file; and longer, which leaves it unchecked."""
    flow, path = mf.Langevin(20.0), tmp_path / "run.h5"
    how = {"start": START, "time": 0.6, "step": 0.1, "particles": 20, "check_step": True}
    whole = mf.simulate(WELL, flow, **how)

    def failing(t, x, y):
        if t > 0.35:
            raise InterruptedError

    for go_on in (lambda: mf.simulate(WELL, flow, **how, checkpoint=path), lambda: mf.resume(path)):
        with pytest.raises(InterruptedError):
            mf.simulate(WELL, flow, **how, checkpoint=path, checkpoint_every=0, callback=failing)
        assert not read_header(path).finished
        for run in (go_on(), mf.load(path)):
            assert run.diagnostics.keys() == whole.diagnostics.keys()
            for name, rows in whole.diagnostics.items():
                assert np.array_equal(run.diagnostics[name], rows, equal_nan=True)
        path.unlink()
    longer = mf.simulate(WELL, flow, time=0.8, step=0.1, particles=20, resume=whole)
    assert len(longer) > len(whole) and "step_error_x" not in longer.diagnostics
    file = tmp_path / "run.toml"
    file.write_text(
        '[game]\nexpression = "cos(x - y)"\n[flow]\nname = "Langevin"\nbeta = 20.0\n[run]\n'
        'level = "particles"\ntime = 0.4\nstep = 0.1\nparticles = 20\ncheck_step = true\n'
    )
    assert main(["run", str(file), "--quiet", "--out", str(path)]) == 0
    assert 0 < mf.load(path).diagnostics["step_error_x"][-1] < 1


def test_a_run_that_is_told_to_stop_heeds_it_while_its_step_is_checked(tmp_path, monkeypatch):
    path, begun = tmp_path / "run.h5", []

    def advance(self, until, pause=None):
        begun.append(self.plan.step)
        if self.plan.step == 0.2:
            signal.raise_signal(signal.SIGTERM)
        return moved(self, until, pause)

    moved = Stepper.advance
    monkeypatch.setattr(Stepper, "advance", advance)
    how = {"start": START, "time": 0.8, "step": 0.1, "particles": 20, "check_step": True}
    with pytest.raises(SystemExit):
        mf.simulate(WELL, mf.Langevin(20.0), **how, checkpoint=path, checkpoint_every=0)
    assert begun.count(0.2) == 1 and not read_header(path).finished
    monkeypatch.undo()
    assert np.nanmax(mf.resume(path).diagnostics["step_error_x"]) > 0


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


@pytest.mark.parametrize(
    ("M", "far"),
    [(mf.Torus(2, period=3.0), 1.5 * 2**0.5), (mf.Sphere(2), np.pi), (Product(), np.inf)],
    ids=str,
)
def test_distances_are_those_to_images_and_as_far_as_space_goes_for_weights(M, far):
    rng = np.random.default_rng(0)
    x, y = M.sample(5, rng), M.sample(5, rng)
    u, v = rng.dirichlet(np.ones(5), size=2)
    a, b, c = mf.Measure(x, u, M), mf.Measure(y, u, M), mf.Measure(y, v, M)
    gaps = M.distance(x, y) ** 2
    assert step_error.diameter(M) == pytest.approx(far)
    assert step_error.distance(a, b) == pytest.approx((u @ gaps) ** 0.5, rel=1e-12)
    kept = np.minimum(u, v)
    moved = kept @ gaps + (1 - kept.sum()) * far**2
    assert step_error.distance(a, c) == pytest.approx(moved**0.5, rel=1e-12)
    for change, bounded in ((0.9e-12, True), (1.1e-12, False)):  # no more than rounding makes
        off = step_error.distance(a, mf.Measure(x, u + change * np.array([1, -1, 0, 0, 0]), M))
        assert off == (0.0 if bounded else pytest.approx(far * 1.1e-12**0.5, rel=1e-3))
    apart = [M.distance(x[i], x[(i - 2) % 5]) ** 2 for i in range(5)]
    assert step_error.spread(a) == pytest.approx((u @ np.ravel(apart)) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(("part", "said"), [(0.0999, 0), (0.1001, 1)])
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_step_is_long_from_a_tenth_of_the_spread_on(name, part, said, recwarn):
    rng, M = np.random.default_rng(1), mf.Torus(1)
    run = SimpleNamespace(times=np.array([0.0, 0.5, 1.0]))
    found = {}
    for player in "xy":
        setattr(run, player, [mf.Measure(M.sample(6, rng), None, M) for _ in run.times])
        wide = np.array([step_error.spread(mu) for mu in getattr(run, player)])
        found[f"step_error_{player}"] = wide * [0.0, np.nan, part if player == name else 0.01]
    step_error._tell(run, found, make_plan(1.0, 0.25, 6, 0, "euler", 0.5, **NUMBERS))
    assert len(recwarn) == said
    assert all(f"at t = 1 it moves player {name}" in str(w.message) for w in recwarn)


NUMBERS = {"replica": 0, "refine": 3, "placement": "iid"}


@pytest.mark.parametrize(
    ("steps", "every", "wanted"),
    [(10, 1, (10, 2)), (10, 5, (10, 10)), (12, 2, (12, 2)), (11, 2, (10, 2)), (9, 9, (8, 8)),
     (2, 1, (2, 2))],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_twice_the_step_is_compared_where_both_runs_are_saved(scheme, steps, every, wanted):
    """The run made again, as far as its steps go, and differences by the order of the scheme."""
    h, asked = 0.1, []

    def made(time, step, refine, save_every):
        return mf.simulate(WELL, mf.Langevin(20.0), START, time, step, 30, scheme=scheme,
                           refine=refine, save_every=save_every)  # fmt: skip

    def again(time, **settings):
        asked.append((time, settings))
        return made(time, **settings)

    run = made(steps * h, h, 3, every * h)
    plan = make_plan(steps * h, h, 30, 0, scheme, every * h, **NUMBERS)
    found = step_error.step_errors(run, plan, again)
    ((time, settings),) = asked
    assert (round(time / h), round(settings["save_every"] / h)) == wanted
    assert settings["step"] == pytest.approx(2 * h) and settings["refine"] == 6
    coarse = made(time, **settings)
    met = np.isclose(run.times[:, None], coarse.times, atol=1e-9)
    assert (np.isfinite(found["step_error_x"]) == met.any(axis=1)).all()
    assert found["step_error_x"][0] == 0.0
    for k, j in zip(*np.nonzero(met), strict=True):
        off = run.diagnostics["value"][k] - coarse.diagnostics["value"][j]
        least = {"euler": 1, "strang": 3}[scheme]
        assert found["step_error_value"][k] == pytest.approx(abs(off) / least, rel=1e-12)
        assert found["step_error_y"][k] == pytest.approx(mf.w2(run.y[k], coarse.y[j]), rel=1e-12)


def test_a_step_is_not_long_for_particles_in_one_point(recwarn):
    """They have no spread that it could be a part of."""
    point = mf.Measure([[1.0]], None, mf.Torus(1))
    run = SimpleNamespace(times=np.array([0.0, 1.0]), x=[point] * 2, y=[point] * 2)
    found = {f"step_error_{name}": np.array([0.0, 0.5]) for name in "xy"}
    step_error._tell(run, found, make_plan(1.0, 0.5, 1, 0, "euler", 0.5, **NUMBERS))
    assert not recwarn
