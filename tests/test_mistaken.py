"""Arguments of the wrong kind or size are told by name where they are given, with what to do."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import finite_array, truth, whole
from meanfield.equilibria import gibbs_path
from meanfield.meshes import cell_count

GAME, FLOW, CIRCLE = mf.games.oscillator(), mf.Langevin(9.0), mf.Torus(1)
UNIFORM, RNG = mf.uniform(CIRCLE), np.random.default_rng(0)
HUGE = 10**400
games, metrics = mf.games, mf.metrics


def swarm(**more):
    return mf.simulate(GAME, FLOW, **{"time": 0.1, "step": 0.01, "particles": 9, **more})


def compared(**more):
    return mf.compare(GAME, FLOW, time=0.1, particles=9, replicas=2, cells=32, **more)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: games.trigonometric([((10**17 + 1,), (1,), 1.0, 0.0)]), r"mode is 1e\+17, beyond"),
        (lambda: games.trigonometric([((1,), (1e300,), 1.0, 0.0)]), "mode must be below 1e"),
        (lambda: games.uniform_equilibrium(1.0, -(10**10)), r"k entry is -1e\+10, beyond"),
        (lambda: games.uniform_equilibrium(1.0, HUGE), "k entry must be below .* 401 digits"),
        (lambda: games.separable([(10**12, 1.0, 0.0)]), r"f\[0\] k is 1e\+12, beyond"),
        (lambda: games.separable([(10**8, 1.0, 0.0)]), "minima of f .* need .* GB"),
        (lambda: games.separable([(1, 5e-324, 0.0)]), "constant but for waves below"),
        (lambda: games.random_fourier(10**30), "terms up to degree .* need .* GB"),
        (lambda: games.bilinear(dim=10**30), "matrices of .* need .* GB"),
        (lambda: metrics.free_energy(GAME, 5e-324, UNIFORM, UNIFORM), "temperature 1/beta"),
        (lambda: UNIFORM.integrate(lambda x: np.where(x > 1, np.nan, x)), "finite values, .* nan"),
        (lambda: UNIFORM.integrate(np.full(256, np.inf)), "finite values, .* is inf"),
        (lambda: mf.w2_curve(swarm(), swarm(), times=[]), "times are empty; leave"),
        (lambda: mf.check(GAME, FLOW, theorems=True), "1, 2 and 3, got True"),
        (lambda: mf.check(GAME, FLOW, theorems=[]), "theorems are none"),
        (lambda: CIRCLE.sample(-1, RNG), "n must be at least 0"),
        (lambda: mf.stability(GAME, 2.0, cells=32, gamma=1e308), "gamma, alpha or .* too large"),
        (lambda: swarm(save_every=1e308), "save_every is inf steps"),
        (lambda: swarm(refine=HUGE), "refine must be below 1e"),
        (lambda: swarm(refine=10**30, time=0.0), "ticks of noise"),
        (lambda: mf.mesh(CIRCLE, HUGE), "cells per axis must be below 1e"),
        (lambda: mf.mesh(mf.Sphere(2), HUGE), "cells must be below 1e"),
        (lambda: mf.solve(GAME, FLOW, cells=HUGE), "cells must be below 1e"),
        (lambda: mf.solve(GAME, FLOW, cells=HUGE, engine="finite-volume"), "cells .* below 1e"),
        (lambda: mf.gibbs(GAME, 9.0, cells=HUGE), "cells per axis must be below 1e"),
        (lambda: whole("n", -(10**5000)), "n must be below 1e"),
    ],
)
def test_sizes_and_values_that_cannot_be_are_told(call, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=said):
            call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: games.uniform_equilibrium(1.0, np.ma.array([1, 2], mask=[0, 1])),
            "k entry .*mas",
        ),
        (lambda: UNIFORM.integrate(np.ma.array(np.ones(256), mask=np.eye(256)[0])), "masked"),
        (lambda: mf.Measure([[np.timedelta64(3)], [1.0]], None, CIRCLE), "points .* spans of time"),
        (lambda: mf.Measure([[True], [1.0]], None, CIRCLE), "points .* truth values"),
        (lambda: mf.Measure([np.array([True]), [1.0]], None, CIRCLE), "points .* truth values"),
        (lambda: swarm(check_step="no"), "check_step must be True or False, got 'no'"),
        (lambda: swarm(progress="no"), "progress must be True or False"),
        (lambda: swarm().save("run.h5", overwrite="no"), "overwrite must be True or False"),
        (lambda: gibbs_path(GAME, [1.0], spectrum="abc"), "spectrum must be True or False"),
        (lambda: metrics.NikaidoIsoda(GAME, tight=np.nan), "tight must be True or False"),
        (lambda: metrics.prepare(None), "prepare takes a meanfield.Measure .* NoneType"),
        (lambda: compared(resume="run.h5"), "resume must be a meanfield.Comparison"),
        (lambda: compared(executor=lambda: 1), "executor makes must be a concurrent.* got int"),
        (lambda: CIRCLE.sample(3, 7), "rng must be a numpy generator"),
        (lambda: mf.Sphere(2).sample(3, 7), "rng must be a numpy generator"),
        (lambda: CIRCLE.distance(["a"], [1.0]), "x must be an array of real numbers"),
    ],
)
def test_values_of_another_kind_are_told(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_what_is_right_is_taken():
    assert CIRCLE.distance([[1.0]], [[3.0]]) == 2.0
    assert mf.Sphere(1).distance([[1.0, 0.0]], [[-1.0, 0.0]]) == np.pi
    assert CIRCLE.sample(0, RNG).shape == (0, 1)
    assert truth("flag", np.True_) is True
    assert whole("n", 10**99) == 10**99 and whole("k", -3, -np.inf) == -3
    assert games.uniform_equilibrium(1.0, 10**9).X == CIRCLE
    assert UNIFORM.integrate(np.full(256, 1j)) == pytest.approx(1j)
    assert finite_array("x", [[1], (2.0,), np.array([3])]).tolist() == [[1], [2], [3]]
    assert cell_count(CIRCLE, 10**30) == 1e30
    with ThreadPoolExecutor(1) as pool:
        assert compared(executor=lambda: pool).particles == (9,)
