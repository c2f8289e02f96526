"""Any executor: the same bits as one thread, whoever dies on the way."""

from __future__ import annotations

import os
import pickle
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

import meanfield as mf
from meanfield.executors import WorkerLost, Workers, spread
from meanfield.packing import digest, pack
from meanfield.particles.ensemble import ensemble
from meanfield.studies.stored import held
from tests.stored_runs import BUMPS, CIRCLE, LANGEVIN, equal
from validation import suite

HOW = {"time": 0.1, "step": 0.01, "particles": 20}


class Posted(Executor):
    """Everything goes through pickle, as to another process; `fate` may make a worker die."""

    _max_workers = 2

    def __init__(self, fate=lambda items: None):
        self.fate, self.sent = fate, []

    def submit(self, call, *given):
        future: Future = Future()
        call, given = pickle.loads(pickle.dumps((call, given)))
        self.sent.append(given[1])
        try:
            self.fate(given[1])
            future.set_result(pickle.loads(pickle.dumps(call(*given))))
        except BaseException as error:
            future.set_exception(error)
        return future


def square(x):
    return x * x


def refuse(x):
    if x == 7:
        raise ArithmeticError("seven")
    return x


def first_point(run):
    return run.x[-1].points[0]


def dies_once(run):
    """The third replica's worker dies the first time."""
    mark = os.environ["MEANFIELD_TEST_MARK"]
    if run.provenance["replica"] == 2 and not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(1)
    return first_point(run)


def test_spawned_processes_give_the_bits_of_threads_and_a_dead_worker_costs_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("MEANFIELD_TEST_MARK", str(tmp_path / "mark"))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        runs = list(ensemble(CIRCLE, LANGEVIN, BUMPS, **HOW, replicas=5, executor=pool))
        direct = list(ensemble(CIRCLE, LANGEVIN, BUMPS, **HOW, replicas=5, threads=1))
        assert all(map(equal, runs, direct))
        how = {"time": 0.1, "particles": (10, 20), "replicas": 3, "cells": 64}
        studies = [
            mf.compare(CIRCLE, LANGEVIN, BUMPS, **how, **more)
            for more in ({"executor": pool}, {"threads": 1})
        ]
        assert equal(*studies)
        hurt = ensemble(CIRCLE, LANGEVIN, BUMPS, **HOW, replicas=5, executor=pool, reduce=dies_once)
        points = [first_point(run) for run in direct]
        assert np.array_equal(list(hurt), points)
        assert (tmp_path / "mark").exists()


def test_comparisons_go_through_pickle_and_share_the_mean_field_by_file(tmp_path):
    """With a control, and with a checkpoint whose folder holds the file of the mean field."""
    how = {"time": 0.1, "particles": 10, "replicas": 8, "cells": 64, "control": True}
    path = tmp_path / "study.h5"
    sent = mf.compare(CIRCLE, LANGEVIN, BUMPS, **how, executor=Posted(), checkpoint=path)
    assert equal(sent, mf.compare(CIRCLE, LANGEVIN, BUMPS, **how, threads=2))
    assert [p.name for p in tmp_path.iterdir()] == ["study.h5"]


def test_functions_travel_when_they_pickle_and_are_refused_when_they_cannot():
    game = mf.games.function(_loss, mf.Torus(1), mf.Torus(1))
    runs = ensemble(game, LANGEVIN, BUMPS, **HOW, replicas=2, executor=Posted())
    direct = ensemble(game, LANGEVIN, BUMPS, **HOW, replicas=2, threads=1)
    assert all(map(equal, runs, direct))
    local = mf.games.function(lambda x, y: _loss(x, y), mf.Torus(1), mf.Torus(1))
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as pool,
        pytest.raises(ValueError, match="stands in no file that another process could import"),
    ):
        list(ensemble(local, LANGEVIN, BUMPS, **HOW, replicas=2, executor=pool))


def _loss(x, y):
    return np.cos(x - y)[..., 0]


class Counted:
    """A function that counts by how many threads it is called at once."""

    def __init__(self, function):
        self.function, self.lock = function, threading.Lock()
        self.inside = self.most = self.calls = 0
        self.slow = 6

    def __call__(self, *given):
        with self.lock:
            self.inside += 1
            self.most, self.calls = max(self.most, self.inside), self.calls + 1
        if self.calls < self.slow:
            time.sleep(0.05)  # others may come in
        found = self.function(*given)
        with self.lock:
            self.inside -= 1
        return found


def test_functions_of_users_are_called_by_one_thread_at_a_time(monkeypatch):
    """Games, starts, diagnostics and reductions, unless threads are asked for."""
    monkeypatch.setattr("meanfield.executors.cores", lambda: 4)
    loss, density, seen, last = map(Counted, (_loss, _bump, _first, first_point))
    game = mf.games.function(loss, mf.Torus(1), mf.Torus(1))
    how = {"time": 0.02, "step": 0.01, "particles": 4, "replicas": 6}
    list(ensemble(game, LANGEVIN, BUMPS, **how))
    list(ensemble(CIRCLE, LANGEVIN, mf.Start(x=density), **how))
    list(ensemble(CIRCLE, LANGEVIN, BUMPS, **how, reduce=last, diagnostics={"first": seen}))
    mf.compare(game, LANGEVIN, BUMPS, time=0.01, step=0.01, particles=4, replicas=2, cells=64)
    mf.sweep(mf.simulate, game, LANGEVIN, BUMPS, over={"seed": range(4)}, time=0.02, step=0.01,
             particles=4)  # fmt: skip
    assert [f.most for f in (loss, density, seen, last)] == [1, 1, 1, 1]
    loss.calls = last.calls = 0
    list(ensemble(game, LANGEVIN, BUMPS, **how, threads=3))
    list(ensemble(CIRCLE, LANGEVIN, BUMPS, **how, threads=3, reduce=last))
    assert loss.most > 1 and last.most > 1


def _bump(x):
    return 1 + 0.5 * np.cos(x[:, 0])


def _first(mu_x, mu_y):
    return mu_x.points[0, 0]


def test_results_come_in_order_and_each_once():
    for executor in (None, Posted()):
        with Workers(executor, 3) as workers:
            found = list(spread(square, range(200), workers, 200, ordered=True))
        assert found == [(k, k * k) for k in range(200)]


def test_short_tasks_are_sent_together():
    posted = Posted()
    list(spread(square, range(1000), Workers(posted), 1000))
    assert len(posted.sent) < 30
    assert sorted(x for batch in posted.sent for x in batch) == list(range(1000))


def test_errors_of_a_task_are_raised_after_what_came_before():
    for executor in (None, Posted()):
        seen = []
        with pytest.raises(ArithmeticError, match="seven"), Workers(executor, 2) as workers:
            for number, _ in spread(refuse, range(20), workers, 20, ordered=True):
                seen.append(number)
        assert seen == list(range(7))


def test_parts_of_claims_go_to_any_executor(tmp_path):
    """To the numbers of this process; the traceback of a part that fails comes back."""
    schemes = suite.module("schemes")
    parts = schemes.parts(schemes.Settings(("finite volumes, sg",), (), ()))
    for name, how in (("here", None), ("there", Posted())):
        wanted = list(suite.tasks(parts, tmp_path / name).values())
        assert suite.compute(wanted, 1, False, how) == {}
    here, there = (suite.tasks(parts, tmp_path / name) for name in ("here", "there"))
    for name, task in here.items():
        one, two = held(task.path, task.key), held(there[name].path, task.key)
        assert one[0].keys() == two[0].keys()
        assert all(np.array_equal(one[0][k], two[0][k]) for k in one[0] if k != "seconds")
    broken = suite.Task(tmp_path / "x.npz", "x", partial(refuse, 7))
    assert "ArithmeticError: seven" in suite.compute([broken], 1, False, Posted())[broken.path]


class Dies:
    """Workers die of an item so many times."""

    def __init__(self, item, times):
        self.item, self.left = item, times

    def __call__(self, items):
        if self.item in items and self.left > 0:
            self.left -= 1
            raise BrokenExecutor("a worker died")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_tasks_of_dead_workers_are_computed_again(times):
    fate = Dies(13, times)
    with Workers(lambda: Posted(fate)) as workers:
        found = dict(spread(square, range(40), workers, 40))
    assert found == {k: k * k for k in range(40)}
    assert fate.left == 0


def test_a_task_that_no_worker_survives_is_given_up_and_the_others_are_done():
    with Workers(lambda: Posted(Dies(13, 10**9))) as workers:
        found = dict(spread(square, range(40), workers, 40))
    assert isinstance(found.pop(13), WorkerLost)
    assert found == {k: k * k for k in range(40) if k != 13}


def test_an_executor_that_cannot_be_made_again_is_replaced_by_threads():
    with pytest.warns(RuntimeWarning, match="cannot be made again"):
        found = dict(spread(square, range(20), Workers(Posted(Dies(13, 1)), 2), 20))
    assert found == {k: k * k for k in range(20)}


def test_an_executors_class_makes_executors():
    with Workers(Posted) as workers:
        assert dict(spread(square, range(5), workers)) == {k: k * k for k in range(5)}


def test_pools_of_ours_are_shut_down_in_their_own_words():
    """Dask's executor knows no `cancel_futures`."""

    class Waits(Posted):
        ended = None

        def shutdown(self, wait=True):
            Waits.ended = wait

    with Workers(Waits) as workers:
        assert dict(spread(square, range(3), workers, 3)) == {k: k * k for k in range(3)}
    assert Waits.ended is True


def test_executors_must_be_executors():
    with pytest.raises(TypeError, match=r"executor must be a concurrent.futures.Executor"):
        mf.compare(CIRCLE, LANGEVIN, BUMPS, time=0.1, executor=3)


GAMES = [
    mf.games.oscillator(2.0), mf.games.polynomial("a", 3, seed=1),
    mf.games.expression("cos(x - y) + 0.1*sin(x)"), mf.games.double_well(),
]  # fmt: skip


@pytest.mark.parametrize("game", GAMES, ids=lambda g: g.name)
def test_packed_games_open_to_the_same_numbers(game):
    packed = pickle.loads(pickle.dumps(pack(game)))
    rng = np.random.default_rng(0)
    x, y = game.X.sample(5, rng), game.Y.sample(4, rng)
    assert np.array_equal(packed.open().loss(x, y), game.loss(x, y))
    assert packed.open() is packed.open()


def test_digests_tell_apart_what_differs_in_a_bit():
    plain = {"a": [1.0, (2, "b")], "c": np.arange(3.0)}
    other = [
        {**plain, "a": [np.nextafter(1.0, 2.0), (2, "b")]}, {**plain, "c": np.arange(3)},
        {**plain, "d": None}, {"a": plain["a"], "e": plain["c"]}, {**plain, "a": [1.0, (2, "c")]},
        {**plain, "a": [1.0, 2, ("b",)]}, {**plain, "c": np.arange(3.0)[:, None]},
    ]  # fmt: skip
    assert digest(plain) == digest(dict(reversed(plain.items())))
    assert len({digest(p) for p in [plain, *other]}) == len(other) + 1
