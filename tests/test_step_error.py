"""`simulate(..., check_step=True)`: the error of the time step, told from two runs on one noise."""

from __future__ import annotations

import signal

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.particles.stepper import Stepper
from meanfield.storage.files import read_header

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
