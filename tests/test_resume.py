"""A stopped run goes on to the same bits, and files know what they hold."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import warnings
from itertools import count

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.missing import MissingGame
from meanfield.storage import files, keeper
from tests.stored_runs import (
    BUMPS,
    CIRCLE,
    LANGEVIN,
    MAKERS,
    Killed,
    equal,
    field,
    killed,
    study,
    swarm,
)

pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("after", [1, 3])
def test_a_run_broken_off_goes_on_to_the_same_bits(make, after, tmp_path, monkeypatch):
    path, whole, written = tmp_path / "run.h5", make(), count(1)
    with killed(monkeypatch, lambda _: next(written) == after):
        make(checkpoint=path, checkpoint_every=0)
    assert not files.read_header(path).finished
    again = mf.resume(path) if after == 1 else make(checkpoint=path)
    assert equal(again, whole) and equal(mf.load(path), whole) and files.read_header(path).finished
    assert equal(mf.resume(path), whole)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("make", MAKERS)
def test_a_run_goes_on_from_every_file_that_it_writes(make, tmp_path, monkeypatch):
    path, write, copies = tmp_path / "run.h5", files.write_file, []

    def copying(file, *rest):
        write(file, *rest)
        copies.append(shutil.copy(file, tmp_path / f"copy{len(copies)}.h5"))

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_file", copying)
        whole = make(checkpoint=path, checkpoint_every=0)
    assert [files.read_header(copy).finished for copy in copies] == [False] * (len(copies) - 1) + [
        True
    ]
    assert len(copies) >= 3
    for copy in copies[-4:]:
        assert equal(mf.resume(copy), whole)


@pytest.mark.parametrize("run", [swarm, field])
def test_a_stopped_run_is_written_as_finished_only(run, tmp_path, monkeypatch):
    path = tmp_path / "run.h5"

    def stop(t, mu_x, mu_y):
        return t > 0.25

    whole = run(stop=stop)
    assert 0 < whole.times[-1] < run().times[-1]
    for states in (len(whole) - 1, len(whole)):  # killed when the file holds so many
        with killed(monkeypatch, lambda result, states=states: len(result) == states):
            run(stop=stop, checkpoint=path, checkpoint_every=0)
        assert files.read_header(path).finished == (states == len(whole))
    assert equal(run(stop=stop, checkpoint=path), whole)


@pytest.mark.parametrize("run", [swarm, field])
def test_ctrl_c_in_the_last_interval_writes_the_end_and_stops(run, tmp_path):
    path, last = tmp_path / "run.h5", run().times[-1]

    def interrupting(t, mu_x, mu_y):
        if t == last:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callback=interrupting)
    assert files.read_header(path).finished and equal(mf.load(path), run())


def test_a_checkpoint_between_saves_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    path, whole = tmp_path / "run.h5", swarm()
    with killed(monkeypatch, lambda result: result.state["step"] % 10):
        swarm(checkpoint=path, checkpoint_every=0)
    assert mf.load(path).state["step"] % 10 and equal(mf.resume(path), whole)


def test_ctrl_c_leaves_a_file_that_goes_on(tmp_path):
    path, calls = tmp_path / "run.h5", []

    def interrupting(mu_x, mu_y):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        swarm(checkpoint=path, diagnostics={"watch": interrupting})
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(mf.load(path)) == 3
    with pytest.raises(ValueError, match="give diagnostics"):
        mf.resume(path)
    watched = {"watch": lambda mu_x, mu_y: 0.0}
    assert equal(mf.resume(path, diagnostics=watched), swarm(diagnostics=watched))


def test_only_missing_replicas_are_run_again(tmp_path, monkeypatch):
    import meanfield.particles.ensemble as ensemble

    runs = []
    simulate = ensemble.simulate
    monkeypatch.setattr(
        ensemble, "simulate", lambda *a, **k: runs.append(k["replica"]) or simulate(*a, **k)
    )
    with killed(
        monkeypatch,
        lambda result: hasattr(result, "rows") and sum(map(len, result.rows.values())) == 5,
    ):
        study(checkpoint=tmp_path / "run.h5", checkpoint_every=0, threads=1)
    runs.clear()
    mf.resume(tmp_path / "run.h5")
    assert len(runs) == 3 + 3 + 3 - 5


def test_a_comparison_without_controls_goes_on_without(tmp_path, monkeypatch):
    path, settings = tmp_path / "run.h5", {"replicas": 8, "control": False}

    def plain(**more):
        return mf.compare(
            CIRCLE, LANGEVIN, BUMPS, time=0.1, particles=10, cells=128, **settings, **more
        )

    with killed(monkeypatch, lambda result: getattr(result, "rows", None)):
        plain(checkpoint=path, checkpoint_every=0)
    found = mf.resume(path)
    assert equal(found, plain()) and "energies" not in found.samples


def test_solve_resumed_holds_the_earlier_saves():
    part = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.375, save_every=0.125)
    rest = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.125, resume=part)
    whole = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.125)
    assert np.array_equal(rest.times, whole.times) and equal(rest, whole)
    with pytest.raises(ValueError, match="give the same"):
        mf.solve(CIRCLE, LANGEVIN, BUMPS, 0.5, resume=part, diagnostics={"new": lambda a, b: 0.0})


@pytest.mark.parametrize("every", [None, 10.0, 0.5])
def test_checkpoints_take_a_small_share_of_the_time_unless_asked_for(every, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(keeper, "perf_counter", lambda: clock[0])
    writes = []

    def slow(*_):
        writes.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(files, "write_file", slow)
    monkeypatch.setattr(keeper, "describe", lambda value: value)
    with keeper.Keeper(tmp_path / "run.h5", {}, every=every) as kept:
        while clock[0] < 2000:
            kept.offer(dict)
            clock[0] += 1.0
    longest = 410.0 if every is None else every + 3.0
    assert len(writes) >= 5 and np.diff(writes).max() <= longest
    assert every is not None or 2.0 * len(writes) < 0.02 * clock[0]


def test_another_run_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    swarm(checkpoint=path)
    assert equal(swarm(checkpoint=path), swarm())  # finished: loaded
    for wrong in ({"seed": 3}, {"scheme": "strang"}):
        with pytest.raises(ValueError, match=f"holds another run.*{next(iter(wrong))}"):
            swarm(checkpoint=path, **wrong)
    with pytest.raises(ValueError, match="exists already"):
        swarm().save(path)
    with pytest.raises(ValueError, match=r"must end in \.h5"):
        swarm().save(tmp_path / "run.txt")
    with pytest.raises(ValueError, match="does not exist; make it"):
        swarm().save(tmp_path / "no" / "run.h5")


def loss(x, y):
    return np.cos(x[..., 0] - y[..., 0])


def bump(points):
    return 2 + np.sin(points[:, 0])


def test_functions_are_stored_by_name_and_given_again(tmp_path):
    game = mf.games.function(loss, mf.Torus(1), mf.Torus(1))
    start = mf.Start(x=bump)
    run = mf.solve(
        game, LANGEVIN, start, time=0.2, cells=32, save_every=0.1, checkpoint=tmp_path / "run.h5"
    )
    with pytest.warns(UserWarning, match="'loss' .* was a function"):
        held = mf.load(tmp_path / "run.h5")
    assert isinstance(held.game, MissingGame) and held.game.name == "loss"
    assert np.array_equal(held.x[-1].masses, run.x[-1].masses)
    with pytest.raises(ValueError, match=r"give it again: meanfield.load\(path, game="):
        held.game.value(*held[-1])
    with pytest.raises(ValueError, match="start again"):
        held.provenance["start"].x(np.zeros((1, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = mf.load(tmp_path / "run.h5", game=game, start=start)
    assert whole.game is game and whole.provenance["start"] is start
    with pytest.raises(ValueError, match="lives on"):
        mf.load(tmp_path / "run.h5", game=mf.games.wang_chizat())


def test_a_function_game_resumes_when_it_is_given(tmp_path):
    game, path = mf.games.function(loss, mf.Torus(1), mf.Torus(1)), tmp_path / "run.h5"
    how = dict(time=0.2, step=0.01, particles=20, save_every=0.05)
    whole = mf.simulate(game, LANGEVIN, mf.Start(), **how)
    with pytest.raises(Killed):
        mf.simulate(
            game,
            LANGEVIN,
            mf.Start(),
            **how,
            checkpoint=path,
            checkpoint_every=0,
            callback=stop_late,
        )
    with pytest.raises(ValueError, match="was given as a function"):
        mf.resume(path)
    assert equal(mf.resume(path, game=game), whole)


def stop_late(t, *_):
    if t > 0.08:
        raise Killed
    return False


@pytest.mark.parametrize("run", [swarm, field])
def test_only_the_same_game_and_flow_go_on(run):
    whole = run()
    call = mf.simulate if run is swarm else mf.solve
    with pytest.raises(ValueError, match="resume follows"):
        call(CIRCLE, mf.Langevin(2.0), BUMPS, time=1.0, resume=whole)
    with pytest.raises(ValueError, match="resume plays"):
        call(mf.games.oscillator(1.0), whole.flow, BUMPS, time=1.0, resume=whole)
    with pytest.raises(TypeError, match="must be a meanfield.Trajectory"):
        call(CIRCLE, LANGEVIN, BUMPS, time=1.0, resume=5)


@pytest.mark.parametrize(
    "changed", [{"cells": 128}, {"tol": 1e-5}, {"weights": "sg"}, {"step": 0.01}]
)
def test_only_the_same_settings_go_on(changed):
    settings = {"engine": "finite-volume", "cells": 64, "weights": "face", "save_every": 0.1}
    part = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.1, **settings)
    with pytest.raises(ValueError, match=f"resume was made with {next(iter(changed))}"):
        mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.2, resume=part, **(settings | changed))


@pytest.mark.parametrize("call", [mf.simulate, mf.solve])
def test_a_changed_function_does_not_get_the_old_result(call, tmp_path):
    def game(c):
        return mf.games.function(
            lambda x, y: c * np.cos(x[..., 0] - y[..., 0]), mf.Torus(1), mf.Torus(1)
        )

    how = {"cells": 32} if call is mf.solve else {"particles": 10}
    call(game(1.0), LANGEVIN, BUMPS, time=0.1, checkpoint=tmp_path / "run.h5", **how)
    with pytest.raises(ValueError, match="run.h5 plays"):
        call(game(-3.0), LANGEVIN, BUMPS, time=0.1, checkpoint=tmp_path / "run.h5", **how)


@pytest.mark.parametrize("run", [swarm, field])
def test_names_of_what_every_run_records_are_taken(run):
    with pytest.raises(ValueError, match="records value itself"):
        run(diagnostics={"value": lambda mu_x, mu_y: 7.0})


def test_save_every_may_be_told_again():
    part = mf.simulate(CIRCLE, LANGEVIN, BUMPS, time=0.9, step=0.1, particles=10, save_every=0.3)
    again = mf.simulate(
        CIRCLE, LANGEVIN, BUMPS, time=1.8, step=0.1, particles=10, save_every=0.3, resume=part
    )
    assert equal(
        again,
        mf.simulate(CIRCLE, LANGEVIN, BUMPS, time=1.8, step=0.1, particles=10, save_every=0.3),
    )


def test_the_working_directory_may_change(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    field(checkpoint="run.h5", checkpoint_every=0, callback=lambda *_: os.chdir(tmp_path / "sub"))
    assert files.read_header(tmp_path / "run.h5").finished and not any((tmp_path / "sub").iterdir())


def test_an_ignored_ctrl_c_stays_ignored(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        field(
            checkpoint=tmp_path / "run.h5", callback=lambda *_: os.kill(os.getpid(), signal.SIGINT)
        )
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stream", [None, object()])
def test_runs_do_without_an_error_stream(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(field()) == 6


@pytest.mark.parametrize("run", [swarm, field])
def test_a_condition_is_part_of_the_run(run, tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    with killed(monkeypatch, lambda result: len(result) == 2):
        run(stop=lambda t, *_: t > 0.25, checkpoint=path, checkpoint_every=0)
    with pytest.raises(ValueError, match="the run has a stop, a function: give it"):
        mf.resume(path)
    with pytest.raises(ValueError, match="holds another run"):
        run(checkpoint=path)
    assert equal(mf.resume(path, stop=lambda t, *_: t > 0.25), run(stop=lambda t, *_: t > 0.25))


@pytest.mark.parametrize("run", [swarm, field])
def test_callbacks_see_every_saved_state_once(run, tmp_path, monkeypatch):
    path, seen = tmp_path / "run.h5", []

    def note(t, mu_x, mu_y):
        seen.append(t)

    with killed(monkeypatch, lambda result: len(result) == 3):
        run(callback=note, checkpoint=path, checkpoint_every=0)
    whole = run(callback=note, checkpoint=path)
    assert seen == list(whole.times)
    assert len(run(stop=lambda *_: True)) == 1


def test_a_resumed_mean_field_keeps_its_times():
    part = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.125)
    rest = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=1.0, resume=part)
    assert equal(rest, mf.solve(CIRCLE, LANGEVIN, BUMPS, time=1.0, save_every=0.125))


@pytest.mark.parametrize("call", [mf.simulate, mf.solve])
def test_endless_steps_are_refused(call):
    with pytest.raises(ValueError, match="steps"):
        call(CIRCLE, LANGEVIN, BUMPS, time=1.0, step=1e-300)


@pytest.mark.parametrize("run", [swarm, field])
@pytest.mark.parametrize(
    "wrong", [lambda t: "text", lambda t: [1.0] * t, lambda t: [[1], [1, 2]], lambda t: None]
)
def test_diagnostics_return_numbers_in_one_shape(run, wrong):
    calls = count(1)
    with pytest.raises(ValueError, match="must return numbers"):
        run(diagnostics={"mine": lambda mu_x, mu_y: wrong(next(calls))})


@pytest.mark.parametrize("call", [mf.simulate, mf.solve, mf.compare])
def test_a_changed_start_does_not_get_the_old_result(call, tmp_path):
    def start(c):
        return mf.Start(x=lambda x: np.exp(c * np.cos(x[:, 0])))

    how = {"particles": 10, "seed": 1} | ({"replicas": 3} if call is mf.compare else {})
    how = {"cells": 32} if call is mf.solve else how
    run = {"time": 0.1, "checkpoint": tmp_path / "run.h5", **how}
    first = call(CIRCLE, LANGEVIN, start(1.0), **run)
    assert equal(call(CIRCLE, LANGEVIN, start(1.0), **run), first)
    with pytest.raises(ValueError, match="began from another start"):
        call(CIRCLE, LANGEVIN, start(2.0), **run)


def test_runs_of_the_other_level_are_told_by_name():
    game, flow = mf.games.oscillator(), mf.Langevin(5.0)
    field = mf.solve(game, flow, None, 0.1, cells=32)
    swarm = mf.simulate(game, flow, None, 0.1, step=0.05, particles=8)
    with pytest.raises(ValueError, match=r"a run of particles; `meanfield.simulate`"):
        mf.solve(game, flow, time=0.2, resume=swarm)
    with pytest.raises(ValueError, match=r"a run of the mean field; `meanfield.solve`"):
        mf.simulate(game, flow, time=0.2, step=0.05, resume=field)
    with pytest.raises(TypeError, match="diagnostics must be a mapping"):
        mf.solve(game, flow, None, 0.1, cells=32, diagnostics=["ni"])
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got int"):
        field.plot(ax=3)
    with pytest.raises(TypeError, match="did you mean 'coupling'"):
        mf.games.oscillator(couplng=3)


def test_an_atom_on_cells_that_cannot_carry_it_is_refused():
    game = mf.games.oscillator()
    atom = mf.Measure([[1.0]], None, game.X)
    with pytest.warns(mf.UnderResolved), pytest.raises(mf.NotConverged, match="cannot carry"):
        mf.solve(game, mf.Langevin(5.0), mf.Start(atom, atom), 0.01, cells=32, engine="galerkin")


def test_a_run_says_its_weights_and_goes_on_with_them():
    """A default is recorded as any value is; a run that says none is not gone on with."""
    game, flow = mf.games.oscillator(3.0), mf.Langevin(6.0)
    start = mf.Start(mf.concentrated(1.0, std=0.5), mf.concentrated(0.0, std=0.5))
    options = {"cells": 24, "engine": "finite-volume"}
    half = mf.solve(game, flow, start, 0.1, save_every=0.1, **options)
    assert half.provenance["weights"] == "curved"
    whole = mf.solve(game, flow, start, 0.2, save_every=0.1, **options)
    end = mf.solve(game, flow, time=0.2, resume=half)
    np.testing.assert_array_equal(end.x[-1].masses, whole.x[-1].masses)
    del half.provenance["weights"]
    with pytest.raises(ValueError, match="does not record its weights"):
        mf.solve(game, flow, time=0.2, resume=half)
    with pytest.raises(ValueError, match="weights='curved', not 'sg'"):
        mf.solve(game, flow, time=0.3, resume=end, weights="sg")


def test_steps_of_no_length_are_told():
    game = mf.games.oscillator(1e200)
    start = mf.Start(mf.concentrated(1.0, std=0.5), "uniform")
    with pytest.raises((ValueError, mf.NotConverged), match="step|rate|cost"):
        mf.solve(game, mf.Langevin(5.0), start, 0.1, engine="finite-volume", cells=16)
