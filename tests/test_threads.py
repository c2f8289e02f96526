"""Runs of one game over several threads; what their saves record, beside the game's own sums."""

import threading

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.functions import function
from meanfield.particles import crews
from meanfield.particles.team import meet, new_gate, shares, together

L, WFR = mf.Langevin(20.0), mf.WassersteinFisherRao()
MODES = mf.games.trigonometric([((k,), (-k,), 1 / k, 0.1) for k in range(1, 9)])
RUNS = {
    "modes": (MODES, L, {}),
    "modes with weights": (MODES, WFR, {}),
    "modes by strang": (MODES, L, {"scheme": "strang"}),
    "modes in single precision": (MODES, L, {"precision": "float32"}),
    "dense forms": (mf.games.polynomial("a", 4), L, {}),
    "diagonal forms with weights": (mf.games.polynomial("b", 4), WFR, {}),
    "modes of spheres": (mf.games.polynomial("a", 4), WFR, {"scheme": "mirror-prox"}),
}


def run(name, **more):
    game, flow, how = RUNS[name]
    how = {"time": 0.03, "step": 0.005, "save_every": 0.01, "particles": (400, 250), **how, **more}
    return mf.simulate(game, flow, mf.Start(), seed=4, progress=False, **how)


@pytest.mark.parametrize("name", RUNS)
def test_any_number_of_threads_gives_the_same_bits(name, monkeypatch):
    alone = run(name, threads=1)
    monkeypatch.setattr(crews, "WORK", 1)
    made = []
    hire = crews.hire
    monkeypatch.setattr(
        "meanfield.particles.stepper.hire", lambda *given: made.append(hire(*given)) or made[-1]
    )
    for threads in (2, 16):
        shared = run(name, threads=threads)
        assert len(made[-1]) == min(threads, 3)  # 250 particles stand in three blocks
        for a, b in zip(alone, shared, strict=True):
            for mu, nu in zip(a, b, strict=True):
                np.testing.assert_array_equal(mu.points, nu.points)
                np.testing.assert_array_equal(mu.masses, nu.masses)
        for key, column in alone.diagnostics.items():
            np.testing.assert_array_equal(column, shared.diagnostics[key])


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
    gate, began = new_gate(), threading.active_count()

    def interrupted(*given):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        meet(*given)

    with pytest.raises(KeyboardInterrupt):
        together(interrupted, [(2, gate)] * 2, gate)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.daemon:
            thread.join(5.0)
    assert threading.active_count() <= began


def test_threads_must_be_a_whole_number():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        run("modes", threads=0)
