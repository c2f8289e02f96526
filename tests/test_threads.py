"""Runs of one game over several threads; what their saves record, beside the game's own sums."""

import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield import cores
from meanfield.cores import by_threads, shares
from meanfield.density import coupling
from meanfield.executors import work
from meanfield.games.functions import function
from meanfield.metrics.nikaido import NikaidoIsoda
from meanfield.metrics.w2 import laguerre_torus
from meanfield.particles import crews, stepper
from meanfield.particles.copies import copies
from meanfield.particles.looks import pairs
from meanfield.particles.state import place
from meanfield.particles.team import meet, new_gate, together
from meanfield.responses import cells

L, WFR = mf.Langevin(20.0), mf.WassersteinFisherRao()
MODES = mf.games.trigonometric([((k,), (-k,), 1 / k, 0.1) for k in range(1, 9)])
RUNS = {
    "modes": (MODES, L, {}),
    "modes with weights": (MODES, WFR, {}),
    "modes by strang": (MODES, L, {"scheme": "strang"}),
    "modes in single precision": (MODES, L, {"precision": "float32"}),
    "dense forms": (mf.games.polynomial("a", 4), L, {}),
    "diagonal forms with weights": (mf.games.polynomial("b", 4), WFR, {}),
    "modes alternating": (MODES, WFR, {"scheme": "alternating"}),
    "modes of spheres": (mf.games.polynomial("a", 4), WFR, {"scheme": "mirror-prox"}),
}


def run(name, **more):
    game, flow, how = RUNS[name]
    how = {"time": 0.03, "step": 0.005, "save_every": 0.01, "particles": (400, 250), **how, **more}
    return mf.simulate(game, flow, mf.Start(), seed=4, progress=False, **how)


def assert_same_bits(one, two):
    for a, b in zip(one, two, strict=True):
        for mu, nu in zip(a, b, strict=True):
            np.testing.assert_array_equal(mu.points, nu.points)
            np.testing.assert_array_equal(mu.masses, nu.masses)
    for key, column in one.diagnostics.items():
        np.testing.assert_array_equal(column, two.diagnostics[key])


@pytest.fixture
def three_cores(monkeypatch):
    """Free, and the smallest run is work enough for them."""
    monkeypatch.setattr(crews, "WORK", 1)
    monkeypatch.setattr(crews, "free_cores", lambda: 3)
    monkeypatch.setattr(stepper, "NUMBERS", 1)


@pytest.mark.parametrize("name", RUNS)
def test_any_number_of_threads_gives_the_same_bits(name, monkeypatch, three_cores):
    read, by = [], stepper.by_threads
    monkeypatch.setattr(stepper, "by_threads", lambda *given: read.append(1) or by(*given))
    alone = run(name, threads=1)
    assert not read
    made = []
    hire = crews.hire
    monkeypatch.setattr(
        "meanfield.particles.motion.hire", lambda *given: made.append(hire(*given)) or made[-1]
    )
    for threads in (2, 16):
        shared = run(name, threads=threads)
        assert len(made[-1]) == min(threads, 3)  # 250 particles stand in three blocks
        assert_same_bits(alone, shared)
        assert len(read) == 2  # of three saves: the first compiles
        read.clear()
    made.clear()
    assert_same_bits(alone, run(name))
    assert {len(crew) for crew in made} == {1, 3}  # both were tried
    half = run(name, time=0.02)
    game, flow, _ = RUNS[name]
    assert_same_bits(alone, mf.simulate(game, flow, time=0.03, resume=half, progress=False))


@pytest.mark.parametrize("name", ["modes with weights", "dense forms"])
def test_copies_have_the_same_bits_for_any_number_of_threads(name, monkeypatch, three_cores):
    game, flow, _ = RUNS[name]
    field = run(name, save_every=0.005, particles=30)
    how = {"time": 0.03, "step": 0.005, "particles": (400, 250)}
    shared = copies(game, flow, mf.Start(), field, **how)
    monkeypatch.setattr(crews, "free_cores", lambda: 1)
    assert_same_bits(copies(game, flow, mf.Start(), field, **how), shared)


@pytest.mark.parametrize("gain", [0.4, 2.5])
def test_steps_go_to_whichever_has_been_faster(gain, monkeypatch):
    seconds = {1: 1e-3, 2: 1e-3 / gain}  # a step
    clock, taken, done = [0.0], {1: 0, 2: 0}, 0
    monkeypatch.setattr(crews, "perf_counter", lambda: clock[0])
    for threads, first, end in crews.Pace((1, 2)).pieces(0, 5000):
        assert first == done < end
        done = end
        taken[threads] += end - first
        clock[0] += (end - first) * seconds[threads]
    assert done == 5000
    assert taken[2 if gain > 1 else 1] > 0.95 * 5000


def test_the_slower_number_of_threads_is_looked_at_ever_more_rarely():
    """At steps 8, 16, 32 and 64, and then every 64, for an eighth of a piece."""
    pace = crews.Pace((1, 2))
    assert pace.next(100) == (2, 1)  # neither has taken a step
    pace = crews.Pace((1, 2))
    pace.spent, pace.piece = {1: 1.0, 2: 2.0}, 20
    taken = [pace.next(100) for _ in range(200)]
    others = [k for k, given in enumerate(taken, 1) if given != (1, 20)]
    assert others == [8, 16, 32, 64, 128, 192] and {taken[k - 1] for k in others} == {(2, 3)}
    assert pace.next(7) == (1, 7) and list(crews.Pace((3,)).pieces(4, 11)) == [(3, 4, 11)]
    for part, best in ((0.99, 2), (1.01, 1)):  # several must be faster by a fifth
        pace.spent = {1: 1.0, 2: part / 1.2}
        assert pace.best == best


def test_neither_the_first_piece_of_several_nor_a_slow_one_changes_who_moves():
    pace = crews.Pace((1, 2))
    pace.learn(2, 9.0)  # in which threads are started
    assert pace.spent == {1: 0.0, 2: 0.0}
    for threads, seconds in ((2, 1.0), (1, 2.0), (2, 9.0)):
        pace.learn(threads, seconds)
    assert pace.spent == {1: 2.0, 2: 1.0} and pace.best == 2
    pace.turns = 60
    pace.learn(2, 8.0)  # slow for the second time
    assert pace.best == 1 and pace.turns == 0  # so that several are looked at again soon
    pace.learn(1, 2.0)
    assert pace.best == 1 and pace.next(100) == (1, pace.piece)


def test_pieces_of_steps_grow_to_a_fiftieth_of_a_second(monkeypatch):
    """Twice as many steps below 20 ms, half as many above 80 ms."""
    clock, pace, counts = [0.0], crews.Pace((1, 2)), []
    monkeypatch.setattr(crews, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(crews.Pace, "next", lambda self, left: (1, min(self.piece, left)))
    for seconds in (0.0199, 0.0201, 0.0799, 0.0801, 1e-5, 1e-5):
        steps = pace.piece
        for _ in pace.pieces(0, steps):
            clock[0] += seconds
        counts.append(pace.piece)
        assert pace.last[1] == pytest.approx(seconds / steps)
    assert counts == [2, 2, 2, 1, 2, 4]


@pytest.mark.parametrize(
    ("counts", "threads", "sizes"),
    [
        ((4000, 4000), 8, (8,)),
        ((4000, 4000), None, (1, 64)),
        ((4000, 250), 8, (3,)),  # 250 particles stand in three blocks
        ((1000, 1000), 8, (7,)),  # 2 * 9 * 112 * 32 numbers
        ((100, 100), None, (1,)),
        ((4000, 4000), 1, (1,)),
    ],
)
def test_threads_have_blocks_and_work_enough(counts, threads, sizes, monkeypatch):
    """At least 2^13 numbers each, of features and particles."""
    monkeypatch.setattr(crews, "free_cores", lambda: 64)
    states = place(MODES, mf.Start(), counts, "iid", 0, 0)
    players = [SimpleNamespace(map=np.zeros((32, 32))) for _ in counts]
    found = crews.team_sizes(players, states, threads)
    if threads is None and max(counts) > 1000:
        blocks = min(len(s.x) for s in states)
        work = sum(s.logw.size for s in states) * 32 // 8192
        sizes = (1, min(64, blocks, work))
    assert found == sizes


def test_workers_leave_the_other_cores_to_the_others(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "cores", lambda: 8)
    monkeypatch.setattr(cores, "_for_another", False)  # whatever was tested before
    assert cores.free_cores() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores.free_cores() == 3
    found = []
    thread = threading.Thread(target=lambda: found.append(cores.free_cores()))
    thread.start()
    thread.join()
    assert found == [1]
    done = work(lambda _: cores.free_cores(), [0], remote=True)
    assert done.results == [1]


def loss(x, y):
    return np.cos(x[..., 0] - y[..., 0]) + 0.2 * np.sin(x[..., 0])


@pytest.mark.parametrize("name", [*RUNS, "function", "formula"])
def test_what_saves_record_is_what_the_games_and_manifolds_say(name):
    others = {
        "function": lambda: function(loss, mf.Torus(1), mf.Torus(1)),
        "formula": lambda: mf.games.expression("exp(sin(x)*cos(y)) + 0.3*cos(2*x - y)"),
    }
    if name in others:
        saved = mf.simulate(others[name](), WFR, time=0.02, step=0.01, particles=(30, 20), seed=1)
    else:
        saved = run(name)
    game = saved.game
    values = [game.value(*pair) for pair in saved]
    scale = max(1.0, np.abs(values).max())
    np.testing.assert_allclose(saved.diagnostics["value"], values, rtol=0, atol=1e-13 * scale)
    assert not saved.diagnostics["displacement"][0].any()
    for k in range(1, len(saved)):
        for p, manifold in enumerate(game.manifolds):
            gone = manifold.distance(saved[k - 1][p].points, saved[k][p].points).max()
            assert abs(saved.diagnostics["displacement"][k, p] - gone) < 1e-14


def test_a_constant_of_the_loss_is_in_the_value():
    game = mf.games.trigonometric([((0,), (0,), 2.5, 0.0), ((1,), (-1,), 1.0, 0.0)])
    saved = mf.simulate(game, L, time=0.02, step=0.01, particles=30, seed=1)
    assert abs(saved.diagnostics["value"][-1] - game.value(*saved[-1])) < 1e-14


@pytest.mark.parametrize("size", [1, 2, 5])
def test_threads_meet(size):
    gate = new_gate()
    together(meet, [(size, gate)] * size, gate)
    assert gate[0] == 0
    assert sum(s.stop - s.start for s in shares(7, size)) == 7


def test_an_interruption_leaves_no_thread_waiting():
    gate, began = new_gate(), set(threading.enumerate())

    def interrupted(*given):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        meet(*given)

    with pytest.raises(KeyboardInterrupt):
        together(interrupted, [(2, gate)] * 2, gate)
    for thread in set(threading.enumerate()) - began:
        thread.join(5.0)
        assert not thread.is_alive()


FORMULA = mf.games.expression("exp(sin(x)*cos(y)) + 0.3*cos(2*x - y)")


def steps_of_pairs(threads):
    how = {"time": 0.02, "step": 0.005, "particles": (130, 70), "seed": 4, "threads": threads}
    return mf.simulate(FORMULA, WFR, mf.Start(), progress=False, **how)


def test_pairs_have_the_same_bits_for_any_number_of_threads(monkeypatch, three_cores):
    whole = steps_of_pairs(1)
    monkeypatch.setattr(pairs, "SHARE", 50)
    monkeypatch.setattr("meanfield.particles.motion.SHARE", 50)
    alone = steps_of_pairs(1)
    for threads in (2, 16, None):
        assert_same_bits(alone, steps_of_pairs(threads))
    for mu, nu in zip(whole[-1], alone[-1], strict=True):
        np.testing.assert_allclose(mu.points, nu.points, rtol=0, atol=1e-14)
        np.testing.assert_allclose(mu.masses, nu.masses, rtol=0, atol=1e-14)


def atoms(manifold, n, seed):
    return mf.Measure(manifold.sample(n, np.random.default_rng(seed)), np.full(n, 1 / n), manifold)


def bound_by_cutting():
    error = NikaidoIsoda(FORMULA, tight=True)(*(atoms(mf.Torus(1), 70, k) for k in (0, 1)))
    return error.lower, error.upper


def distance_on_the_torus():
    return mf.w2(atoms(mf.Torus(2), 40, 2), mf.uniform(mf.Torus(2)))


def densities_on_meshes():
    start = mf.Start(x=mf.concentrated(1.0, std=0.5), y=mf.concentrated(2.0, std=0.5))
    how = {"time": 0.1, "cells": (200, 150), "engine": "finite-volume", "progress": False}
    return np.concatenate([mu.masses for mu in mf.solve(MODES, L, start, **how)[-1]])


@pytest.mark.parametrize(
    "what", [bound_by_cutting, distance_on_the_torus, densities_on_meshes], ids=lambda f: f.__name__
)
def test_what_threads_find_together_has_the_same_bits(what, monkeypatch):
    monkeypatch.setattr(cells, "WORK", 1)
    monkeypatch.setattr(laguerre_torus, "ATOMS", 1)
    monkeypatch.setattr(coupling, "CELLS", 1)
    found, crowds = [], []
    several = cores.by_threads

    def counted(f, items, count):
        crowds.append(count)
        return several(f, items, count)

    for module in (cells, laguerre_torus, coupling):
        monkeypatch.setattr(module, "by_threads", counted)
    for free in (1, 3):
        monkeypatch.setattr(cores, "free_cores", lambda free=free: free)
        found.append(what())
        assert max(crowds, default=1) == free
    np.testing.assert_array_equal(*found)


BOUNDS = """
import numpy as np
import meanfield as mf
sphere = mf.Sphere(2)
on = mf.mesh(sphere, 642)
tilted = on.volumes * (1 + 0.5 * on.nodes[:, 2])
rho = mf.Density(tilted / tilted.sum(), on)
for n in (10, 60):
    atoms = mf.Measure(sphere.sample(n, np.random.default_rng(n)), None, sphere)
    found = mf.metrics.w2_details(atoms, rho)
    print(found.lower.hex(), found.squared.hex(), found.upper.hex())
plane = mf.Torus(2)
atoms = mf.Measure(plane.sample(12_000, np.random.default_rng(0)), None, plane)
print(mf.w2(atoms, mf.uniform(plane)).hex())
game = mf.games.polynomial("a", 50, seed=0)
many = [mf.Measure(M.sample(20_000, np.random.default_rng(0)), None, M) for M in game.manifolds]
print(game.value(*many).hex(), mf.nikaido_isoda(game, *many).value.hex())
"""


def test_results_do_not_depend_on_the_threads_of_linear_algebra():
    """Whose libraries cut products of more than 10,000 numbers in as many parts."""
    told = []
    for threads in "12":
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        told.append(
            subprocess.run(
                [sys.executable, "-c", BOUNDS], env=os.environ | dict.fromkeys(names, threads),
                capture_output=True, text=True, check=True,
            ).stdout
        )  # fmt: skip
    assert told[0] == told[1] and told[0].count("\n") == 4


def test_helpers_take_their_part_and_pass_errors_on():
    def slow(k):
        time.sleep(0.01)
        return k * k, threading.current_thread()

    done = by_threads(slow, range(30), 3)
    assert [k for k, _ in done] == [k * k for k in range(30)]
    assert len({who for _, who in done}) == 3
    assert by_threads(slow, [], 2) == []

    def fails(k):
        if k == 5:
            raise ValueError("five")
        time.sleep(0.001)
        done.append(k)

    done.clear()
    with pytest.raises(ValueError, match="five"):
        by_threads(fails, range(1000), 3)
    assert len(done) < 50  # nobody goes on


def test_threads_must_be_a_whole_number():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        run("modes", threads=0)
