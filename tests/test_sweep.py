"""Sweeps: every task once, right, known by all that decides it; and what becomes of failures."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import warnings
from concurrent.futures import BrokenExecutor

import numpy as np
import pytest

import meanfield as mf
from meanfield.studies.sweep import running, tasks
from meanfield.studies.sweep.axes import axis, points
from meanfield.studies.sweep.costs import weight
from meanfield.studies.sweep.folder import Claims, Folder, _rows
from meanfield.studies.sweep.merging import merge_sweeps
from tests.stored_runs import BUMPS, CIRCLE
from tests.test_executors import Posted

BETAS, COUPLINGS = [2.0, 4.0, 8.0], [1.0, 2.0]
GRID = {"game.coupling": COUPLINGS, "beta": BETAS}


def fixed_points(**more):
    return mf.sweep(mf.gibbs, mf.games.oscillator, over=GRID, cells=32, **more)


def same_table(a, b):
    return (
        a.keys == b.keys
        and a.status == b.status
        and all(np.array_equal(a.numbers[n], b.numbers[n], equal_nan=True) for n in a.numbers)
        and all(
            np.array_equal(p, q) for n in a.curves
            for p, q in zip(a.curves[n], b.curves[n], strict=True)
        )
    )  # fmt: skip


def count(monkeypatch):
    """What is computed from now on, by its options."""
    seen, compute = [], tasks.Compute._result

    def counting(self, sent):
        seen.append(sent.options)
        return compute(self, sent)

    monkeypatch.setattr(tasks.Compute, "_result", counting)
    return seen


@pytest.fixture
def counted(monkeypatch):
    return count(monkeypatch)


def test_every_point_holds_the_numbers_of_its_own_call():
    found = fixed_points()
    assert found.labels["game.coupling"] == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    assert found.labels["beta"] == BETAS * 2
    for k, coupling in enumerate(found.labels["game.coupling"]):
        game = mf.games.oscillator(coupling)
        point = mf.gibbs(game, found.labels["beta"][k], cells=32)
        assert found.numbers["value"][k] == game.value(point.x, point.y)
        assert found.numbers["ni"][k] == mf.nikaido_isoda(game, point.x, point.y).value
        assert found.numbers["residual"][k] == point.residual


def test_runs_comparisons_and_equilibria_are_swept():
    how = {"time": 0.1, "step": 0.05, "particles": 10}
    runs = mf.sweep("simulate", CIRCLE, mf.Langevin, BUMPS, over={"flow.beta": [5, 9]}, **how,
                    record=["ni"])  # fmt: skip
    direct = mf.simulate(CIRCLE, mf.Langevin(9), BUMPS, **how)
    assert runs.numbers["value"][1] == direct.diagnostics["value"][-1]
    assert np.array_equal(runs.curves["value"][1], direct.diagnostics["value"])
    assert np.array_equal(runs.curves["time"][1], direct.times)
    assert runs.numbers["ni"][1] == mf.nikaido_isoda(CIRCLE, *direct[-1]).value
    studies = mf.sweep("compare", CIRCLE, mf.Langevin(9), BUMPS, time=0.1, particles=[10, 20],
                       cells=128, over={"seed": [3]}, replicas=3)  # fmt: skip
    study = mf.compare(CIRCLE, mf.Langevin(9), BUMPS, time=0.1, particles=[10, 20], cells=128,
                       seed=3, replicas=3)  # fmt: skip
    assert studies.numbers["exponent_low"][0] == study.exponent.low
    assert np.array_equal(studies.curves["w2_squared[20]"][0], study.w2_squared[1])
    exact = mf.sweep("nash", mf.games.polynomial("a", 2, seed=1), over={"game.seed": [1, 2]})
    value = mf.nash(mf.games.polynomial("a", 2, seed=2)).value
    assert exact.numbers["value"][1] == value != exact.numbers["value"][0]


def test_what_a_call_does_not_depend_on_is_refused():
    """Else rows of one and the same result would be labelled by values that it knows nothing of."""
    for given in ({"flow": mf.Langevin}, {"start": BUMPS}):
        with pytest.raises(ValueError, match="gibbs does not depend on a flow or start"):
            mf.sweep("gibbs", CIRCLE, **given, beta=4.0, over={"flow.beta": BETAS})


WORTH = {"holds": 1.0, "inconclusive": 0.5, "fails": 0.0}


def test_checks_are_swept():
    """The verdicts of theorem 2, whose parts are solved without particles."""
    given = CIRCLE, mf.WassersteinFisherRao(0.1, 1.0), BUMPS
    found = mf.sweep("check", *given, theorems=[2], over={"cells": [48]})
    assert found.status == ["done"], found.errors
    direct = mf.check(*given, theorems=[2], cells=48, progress=False)
    assert found.numbers["theorem 2 holds"][0] == WORTH[direct.outcome("2")]
    for verdict in direct.verdicts("2"):
        assert found.numbers[f"theorem 2, {verdict.claim}"][0] == verdict.measured


def test_processes_give_the_bits_of_threads():
    over = {"flow.beta": [5.0, 9.0], "replica": range(3)}
    how = {"time": 0.1, "step": 0.05, "particles": 10, "over": over}
    threads, posted = (
        mf.sweep(mf.simulate, mf.games.oscillator(3.0), mf.Langevin, BUMPS, **how, executor=e)
        for e in (None, Posted())
    )
    assert same_table(threads, posted)


def test_done_tasks_are_never_computed_again(tmp_path, counted):
    first = fixed_points(folder=tmp_path)
    assert len(counted) == 6
    again = fixed_points(folder=tmp_path)
    assert len(counted) == 6
    assert same_table(first, again)
    more = mf.sweep("gibbs", mf.games.oscillator, cells=32, folder=tmp_path,
                    over={"game.coupling": [2.0, 3.0], "beta": [4.0, 16.0]})  # fmt: skip
    assert len(counted) == 9
    assert more.numbers["ni"][0] == first.numbers["ni"][4]
    assert same_table(mf.load(tmp_path / "sweep.h5"), more)
    assert {r.key for p in (tmp_path / "tasks").iterdir() for r in _rows(p)} >= set(first.keys)


def key(call="simulate", game=CIRCLE, flow=None, start=BUMPS, **how):
    flow = mf.Langevin(4.0) if flow is None else flow
    options = {"time": 0.1, "step": 0.05, **how}
    return tasks.Task(call, game, flow, start, options, {}).keyed().key


def test_a_key_is_all_that_decides_the_result(monkeypatch):
    others = [
        key(game=mf.games.oscillator(2.0)), key(flow=mf.Langevin(5.0)), key(start=mf.Start()),
        key(time=0.2), key(seed=1), key(replica=1), key(scheme="strang"), key(record=["ni"]),
        key("solve"), key(flow=mf.TwoTimeScale(4.0, 2.0)),
        key(start=mf.Start(x=mf.concentrated(1.1, std=np.nextafter(0.2, 1)))),
    ]  # fmt: skip
    assert len({key(), *others}) == len(others) + 1
    assert key() == key(seed=0, scheme="euler", placement="iid")  # the defaults
    monkeypatch.setattr(mf, "__version__", "9.9")
    assert key() not in {*others, tasks.Task}


def test_functions_are_known_by_their_values():
    X = mf.Torus(1)
    made = [
        mf.games.function(f, X, X, name="mine")
        for f in (
            lambda x, y: np.cos(x - y)[..., 0],
            lambda x, y: np.cos(x - y)[..., 0] * 1.0,
            lambda x, y: 1.001 * np.cos(x - y)[..., 0],
        )
    ]
    first, same, other = (key(game=game) for game in made)
    assert first == same != other
    starts = [mf.Start(x=f) for f in (lambda x: 1 + x[:, 0] ** 2, lambda x: 1 + x[:, 0] ** 4)]
    assert key(start=starts[0]) != key(start=starts[1])


def test_options_that_no_key_speaks_for_are_refused():
    for name in ("diagnostics", "stop", "checkpoint", "callback"):
        with pytest.raises((ValueError, TypeError), match=f"{name} is no option of a sweep"):
            key(**{name: {}})
    with pytest.raises(TypeError, match=r"has no argument 'particels'; did you mean 'particles'"):
        key(particels=3)


def failing_grid(**more):
    """A step that does not divide the time fails; the others must not care."""
    return mf.sweep(
        "simulate", CIRCLE, mf.Langevin(4.0), BUMPS, time=0.1, particles=5,
        over={"step": [0.05, 0.03, 0.1]}, **more,
    )  # fmt: skip


def test_a_failure_is_recorded_and_the_rest_goes_on(tmp_path, counted):
    found = failing_grid(folder=tmp_path)
    assert found.status == ["done", "failed", "done"]
    assert np.isnan(found.numbers["value"][1])
    assert np.isfinite(found.numbers["value"][[0, 2]]).all()
    text = found.errors[found.keys[1]]
    assert "Traceback" in text and "make_plan" in text
    assert list(found.failed) == ["step = 0.03"]
    assert "whole number of steps" in found.failed["step = 0.03"]
    failing_grid(folder=tmp_path)
    assert len(counted) == 3  # failures are not tried again unless asked for
    failing_grid(folder=tmp_path, only_failed=True)
    assert [options["step"] for options in counted[3:]] == [0.03]


def test_wrong_options_fail_in_their_own_task_alone():
    found = mf.sweep("simulate", CIRCLE, mf.Langevin(4.0), BUMPS, time=0.1, particles=5,
                     over={"step": [0.05, 0.0, "a"]})  # fmt: skip
    assert found.status == ["done", "failed", "failed"]


def test_weights_are_those_of_the_values_that_a_call_takes_by_default():
    left_out, given = (
        weight(tasks.Task("compare", CIRCLE, mf.Langevin(4.0), BUMPS, options, {}))
        for options in ({}, {"time": 1.0, "step": 0.01, "particles": (100, 1000, 10_000),
                             "replicas": (400, 400, 40)})
    )  # fmt: skip
    assert left_out == given == 2 * 100 * (100 * 400 + 1000 * 400 + 10_000 * 40)


def test_a_failure_in_another_process_is_not_tried_again(tmp_path):
    """But one from before is, where that was asked for."""
    folder, other = Folder(tmp_path), Folder(tmp_path)
    folder.make()
    todo = [task.keyed() for task in map(gibbs_task, BETAS)]
    other.write([tasks.Outcome(todo[0].key, {}, error="old", made={"date": "2026-01-01"})])
    with running.Store(folder, False) as store:
        other.write([tasks.Outcome(todo[1].key, {}, error="new", made={"date": "2026-02-01"})])
        pace = running.Pace({task.key: 1.0 for task in todo})
        assert list(store.free(todo, [], [], pace)) == [todo[0], todo[2]]
        assert store.found[todo[1].key].error == "new" and str(pace).startswith("1 of 3 tasks, 1 f")


def gibbs_task(beta):
    return tasks.Task("gibbs", CIRCLE, None, None, {"beta": beta, "cells": 32}, {"beta": beta})


def test_a_worker_that_always_dies_is_a_failed_task():
    def fate(items):
        if any(sent.options["beta"] == 4.0 for sent in items):
            raise BrokenExecutor("gone")

    found = mf.sweep("gibbs", CIRCLE, over={"beta": BETAS}, cells=32, executor=lambda: Posted(fate))
    assert found.status == ["done", "failed", "done"]
    assert "every worker that was given this task died" in found.errors[found.keys[1]]


def test_damaged_files_are_told_and_computed_again(tmp_path, counted):
    first = fixed_points(folder=tmp_path)
    (tmp_path / "sweep.h5").unlink()
    path = next((tmp_path / "tasks").iterdir())
    lost = len(_rows(path))
    image = bytearray(path.read_bytes())
    image[len(image) // 2] ^= 1
    path.write_bytes(image)
    with pytest.warns(UserWarning, match="count as not yet computed"):
        again = fixed_points(folder=tmp_path)
    assert len(counted) == 6 + lost
    assert same_table(first, again)
    assert (tmp_path / "damaged" / path.name).read_bytes() == image
    assert not path.exists() or _rows(path)  # of the same name, and whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_table(first, fixed_points(folder=tmp_path))


def test_parts_are_disjoint_and_make_the_whole(tmp_path, counted):
    parts = [fixed_points(folder=tmp_path, part=(i, 4)) for i in (1, 2, 3, 4)]
    assert [p.missing for p in parts] == [4, 2, 1, 0]
    assert len(counted) == 6
    assert same_table(parts[-1], fixed_points())
    with pytest.raises(ValueError, match="1 <= i <= n"):
        fixed_points(folder=tmp_path, part=(0, 4))


def test_claims_keep_processes_apart(tmp_path):
    """A killed process lets go of its claims; keys that begin alike do not share one."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from meanfield.studies.sweep.folder import Claims\n"
        "with Claims(Path(sys.argv[1])) as c:\n"
        "    print(c.take('a' * 64), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "True\n"
        with Claims(tmp_path) as claims:
            assert not claims.take("a" * 64)
            assert claims.take("a" * 14 + "b" * 50)
            other.kill()
            other.wait()
            assert claims.take("a" * 64)
            with pytest.raises(ValueError, match="this process computes a sweep"), Claims(tmp_path):
                pass
    finally:
        other.kill()
        other.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_loses_at_most_what_is_under_way(number, tmp_path, monkeypatch, counted):
    take, taken = running.Store.take, []

    def stopping(self, task, found):
        taken.append(task.key)
        if len(taken) == 3:
            os.kill(os.getpid(), number)
        return take(self, task, found)

    monkeypatch.setattr(running.Store, "take", stopping)
    before = signal.getsignal(number)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fixed_points(folder=tmp_path, threads=1)
    assert signal.getsignal(number) is before
    kept = {row.key for p in (tmp_path / "tasks").iterdir() for row in _rows(p)}
    assert kept == set(taken[:3])
    monkeypatch.undo()
    assert same_table(fixed_points(folder=tmp_path), fixed_points())


def test_a_run_in_a_thread_is_halted_at_its_next_saved_time(tmp_path, monkeypatch):
    """Else a sweep of day-long runs could not be stopped before they end."""
    stops = running.Stops()
    stops.caught = signal.SIGINT
    with pytest.raises(running.Halted):
        mf.simulate(CIRCLE, mf.Langevin(4.0), BUMPS, 0.1, callback=stops.halt)


def test_whole_results_are_kept_when_asked_for(tmp_path):
    found = mf.sweep("gibbs", CIRCLE, over={"beta": BETAS}, cells=32, folder=tmp_path, keep="all")
    point = mf.load(tmp_path / "results" / f"{found.keys[2][:32]}.h5")
    assert np.array_equal(point.x.masses, mf.gibbs(CIRCLE, 8.0, cells=32).x.masses)


def test_warnings_of_a_task_are_kept_with_it():
    found = mf.sweep("solve", CIRCLE, mf.Langevin(60.0), BUMPS, time=0.1, engine="galerkin",
                     over={"cells": [36, 256]})  # fmt: skip
    assert list(found.warnings) == [found.keys[0]]
    assert all(line.startswith("UnderResolved: ") for line in found.warnings[found.keys[0]])


def test_tables_for_other_programs(tmp_path):
    found = failing_grid()
    path = found.to_csv(tmp_path / "a.csv")
    rows = list(csv.DictReader(path.open()))
    assert [row["status"] for row in rows] == found.status
    assert [float(row["value"]) for row in rows] == pytest.approx(
        list(found.numbers["value"]), abs=0, nan_ok=True
    )
    curves = list(csv.DictReader(found.to_csv(tmp_path / "b.csv", "curves").open()))
    assert [float(r["value"]) for r in curves if r["step"] == "0.05"] == list(
        found.curves["value"][0]
    )
    with pytest.raises(ValueError, match="must end in .csv"):
        found.to_csv(tmp_path / "a.txt")


def test_a_task_without_a_curve_that_others_have_leaves_its_places_empty(tmp_path):
    how = {"time": 0.1, "cells": 64, "replicas": 2}
    found = mf.sweep("compare", CIRCLE, mf.Langevin(9), BUMPS, **how,
                     over={"particles": [[10], [20]]})  # fmt: skip
    rows = list(csv.DictReader(found.to_csv(tmp_path / "a.csv", "curves").open()))
    times = len(found.curves["time"][0])
    assert len(rows) == 2 * times
    for n, own in ((10, rows[:times]), (20, rows[times:])):
        assert [float(row[f"ni[{n}]"]) for row in own] == list(found.curves[f"ni[{n}]"][n // 20])
        assert {row[f"ni[{30 - n}]"] for row in own} == {"nan"}


def test_long_times_are_told_in_whole_hours():
    told = {20.0: "20 s", 95.0: "1.6 min", 5400.0: "1.5 h", 36e4: "100 h", 72e5: "2,000 h"}
    assert {seconds: running.duration(seconds) for seconds in told} == told


def test_datasets_have_the_axes_of_the_grid():
    pytest.importorskip("xarray")
    found = fixed_points()
    data = found.to_xarray()
    assert data["ni"].dims == ("game.coupling", "beta")
    at = {"game.coupling": 2.0, "beta": 4.0}
    assert float(data["ni"].sel(at)) == found.numbers["ni"][4]
    assert merge_sweeps([found, found]).to_xarray().equals(data)


def test_parquet_is_optional(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        failing_grid().to_parquet(tmp_path / "a.parquet")


def test_parquet_tables(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    found = failing_grid()
    table = parquet.read_table(found.to_parquet(tmp_path / "a.parquet")).to_pydict()
    assert table["step"] == found.labels["step"] and table["status"] == found.status


def test_sweeps_are_saved_and_loaded_equal(tmp_path):
    found = failing_grid()
    held = mf.load(found.save(tmp_path / "a.h5"))
    assert same_table(found, held) and held.errors == found.errors
    assert repr(held) == repr(found) and held.labels == found.labels


def test_merged_sweeps_hold_every_task_once():
    whole = fixed_points()
    left, right = (
        mf.sweep("gibbs", mf.games.oscillator, cells=32, over={**GRID, "beta": betas})
        for betas in (BETAS[:2], BETAS[1:])
    )
    merged = merge_sweeps([right, left])
    assert same_table(merged, whole) and merged.labels == whole.labels
    assert merged.grid()[0] == (2, 3)
    left.provenance["processors"] = ["abacus"]
    assert merge_sweeps([whole, left]).provenance["processors"] == whole.provenance["processors"]
    both = sorted(["abacus", *whole.provenance["processors"]])
    assert merge_sweeps([right, left]).provenance["processors"] == both
    with pytest.raises(ValueError, match="one sweep goes over"):
        merge_sweeps([whole, mf.sweep("gibbs", CIRCLE, over={"beta": BETAS}, cells=32)])
    finer = mf.sweep("gibbs", mf.games.oscillator, cells=48, over={**GRID, "beta": BETAS[:2]})
    with pytest.raises(ValueError, match="differ in something that is not swept"):
        merge_sweeps([left, finer])
    right.numbers["ni"][0] += 1e-15
    with pytest.raises(ValueError, match="disagree on ni at game.coupling = 1, beta = 4"):
        merge_sweeps([left, right])


def test_pictures_of_one_and_two_parameters():
    def drawn(over):
        how = {"time": 0.1, "step": 0.05, "particles": 5}
        sweep = mf.sweep("simulate", mf.games.oscillator, mf.Langevin, BUMPS, over=over, **how)
        figure = sweep.plot()
        figure.draw_without_rendering()
        return sweep, figure.axes[0]

    sweep, ax = drawn({"flow.beta": [1.0, 4.0, 16.0], "game.coupling": [1.0], "seed": range(3)})
    line = ax.lines[0].get_xydata()
    means = sweep.numbers["value"].reshape(3, 3).mean(axis=1)
    assert np.allclose(line, np.column_stack([[1, 4, 16], means]), rtol=1e-14)
    assert ax.get_xscale() == "log" and len(ax.collections) == 1
    sweep, ax = drawn({"game.coupling": [3.0, 1.0], "flow.beta": [2.0, 1.0, 3.0]})
    assert len(ax.lines) == 2
    assert np.array_equal(ax.lines[1].get_ydata(), sweep.numbers["value"][[4, 3, 5]])
    sweep.numbers["value"][:3] = np.nan  # every task of one curve failed
    left = sweep.plot().axes[0].lines
    assert np.isnan(left[0].get_ydata()).all() and np.isfinite(left[1].get_ydata()).all()
    sweep, ax = drawn({"game.coupling": np.arange(1.0, 7), "flow.beta": np.arange(1.0, 8)})
    shown = ax.collections[0].get_array()
    assert np.array_equal(shown, sweep.numbers["value"].reshape(6, 7).T)


def test_axes_make_grids_of_rows():
    grid = points([axis("a", [1, 2]), axis("b, c", [[3, "x"], [4, "y"]])])
    assert grid == [{"a": a, "b": b, "c": c} for a in (1, 2) for b, c in ((3, "x"), (4, "y"))]
    for values, told in (([], "at least one"), ([1, 1], "holds 1 twice"), ("ab", "must be a list"),
                         ([[1]], "rows of 2 values")):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            axis("a, b" if values == [[1]] else "a", values)
    with pytest.raises(ValueError, match="more than 100,000"):
        points([axis("a", range(1000)), axis("b", range(1000))])
    with pytest.raises(ValueError, match="a is swept twice"):
        points([axis("a", [1]), axis("a", [2])])
