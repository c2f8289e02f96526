"""Primal-dual steps of particles and densities: the listing, each other, bits, refusals.

Their rate: `test_stated_rates`.
"""

import warnings
from itertools import pairwise

import numpy as np
import pytest

import meanfield as mf
from meanfield.flows import primal_dual as steps
from tests.later_flows import sines
from tests.stored_runs import equal

GAME = mf.games.trigonometric(
    [((1,), (-1,), 2.0, 0.3), ((1,), (0,), 2.0, 0.0), ((0,), (1,), 0.0, 1.4)]
)
FLOW = mf.EntropicWassersteinFisherRao(1.0, gamma=0.0, alpha=(11.0, 7.0))
BY = {"scheme": "primal-dual", "inner": 80, "step": 0.05, "progress": False}


def slopes(z):
    """d/dx and d/dy of the loss at x, y = z."""
    x, y = z
    turn = 2 * np.sin(x - y) + 0.3 * np.cos(x - y)
    return -turn - 2 * np.sin(x), turn - 1.4 * np.cos(y)


@pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")  # far longer steps than stated
def test_steps_are_those_of_the_listing():
    """Where it is so cold that the noise is not seen: three particles, two inner steps."""
    T, dt, theta, s_x, s_y = 1e-15, 0.05, 0.7, 0.4, 0.2
    alpha = tuple(s / (1 - s) / T / dt for s in (s_x, s_y))
    flow = mf.EntropicWassersteinFisherRao(1 / T, 0.0, alpha)
    how = {**BY, "inner": 2, "particles": 3, "extrapolation": theta, "save_every": dt}
    run = mf.simulate(GAME, flow, time=4 * dt, **how)
    x, y = (mu.points[:, 0].copy() for mu in run[0])
    # Opponents met so far and their weights in the potentials, of either sign.
    met_x, met_y, before = [], [], x
    for k in range(1, 5):
        met_x = [((1 - s_y) * w, at) for w, at in met_x]
        met_x += [(s_y * (1 + theta), x.copy()), (-s_y * theta, before)]
        before = x.copy()
        for _ in range(2):
            y = y + dt * sum(w * slopes((at[:, None], y))[1].mean(axis=0) for w, at in met_x)
        met_y = [((1 - s_x) * w, at) for w, at in met_y] + [(s_x, y.copy())]
        for _ in range(2):
            x = x - dt * sum(w * slopes((x[:, None], at))[0].mean(axis=1) for w, at in met_y)
        for mu, points in zip(run[k], (x, y), strict=True):
            gap = mu.manifold.difference(mu.points, points[:, None] % (2 * np.pi))
            np.testing.assert_allclose(gap, 0, atol=1e-6)


def test_particles_follow_the_densities_steps():
    """To n^(-1/2) in every step, which tells the extrapolated opponent from the present one."""
    n = 8000
    swarm = mf.simulate(GAME, FLOW, time=0.4, particles=n, extrapolation=1.0, save_every=0.05, **BY)
    how = {"time": 0.4, "step": 0.05, "engine": "primal-dual", "cells": 64, "save_every": 0.05}
    ahead, not_ahead = (mf.solve(GAME, FLOW, extrapolation=theta, **how) for theta in (1.0, 0.0))
    off = [np.abs(sines(swarm) - sines(field)).max() for field in (ahead, not_ahead)]
    assert off[0] < 3 / np.sqrt(n) < 6 / np.sqrt(n) < off[1]
    assert swarm.provenance["extrapolation"] == 1.0 and "mean_weights" not in swarm.state
    for run in (swarm, ahead):
        assert "2303.00970" in run.cite() and "Chambolle" in run.cite()


def test_short_steps_follow_the_flow():
    """At order one, to what splitting gives."""
    start = mf.Start(x=mf.concentrated(1.0, std=0.8), y=mf.concentrated(3.0, std=0.7))
    how = {"start": start, "time": 0.2, "cells": 32, "save_every": 0.2}
    fine = mf.solve(GAME, FLOW, engine="splitting", step=1e-3, **how)
    off = [
        np.abs(sines(mf.solve(GAME, FLOW, engine="primal-dual", step=h, **how)) - sines(fine)).max()
        for h in (4e-3, 2e-3)
    ]
    assert off[0] / off[1] == pytest.approx(2.0, abs=0.1)


def test_extrapolation_bears_inner_loops_that_end_early():
    """20 cos(x - y) with small terms of x and y: exp(-1) of the way to each Gibbs measure is left.
    The linearised step then has modulus 0.982 with extrapolation and 1.051 without.
    """
    c, n = 20.0, 1000
    game = mf.games.trigonometric(
        [((1,), (-1,), c, 0.0), ((1,), (0,), 3.0, 0.0), ((0,), (1,), 0.0, 2.0)]
    )
    share = (np.sqrt(1 + 4 * c**2) - 1) / (2 * c**2)
    flow = mf.EntropicWassersteinFisherRao(1.0, 0.0, 0.99 * share / (1 - share) / 0.025)
    how = {**BY, "step": 0.025, "inner": 40, "particles": n, "save_every": 0.1}
    fixed = sines([[mf.gibbs(game, 1.0).x, mf.gibbs(game, 1.0).y]])
    off = {}
    for theta in (None, 0.0):
        run = mf.simulate(game, flow, time=1.5, extrapolation=theta, **how)
        off[theta] = np.abs(sines(run) - fixed).max(axis=1)[-5:].mean()
    assert off[None] < 4 / np.sqrt(n) < 0.4 < off[0.0]


@pytest.mark.filterwarnings("ignore:free motion does not move")
def test_every_inner_step_has_noise_of_its_own():
    """Without a game: independent moves of variance 2 T dt a step."""
    n, inner, dt = 4000, 3, 0.01
    how = {**BY, "inner": inner, "step": dt, "particles": n, "save_every": dt}
    run = mf.simulate(mf.games.free(), FLOW, time=2 * dt, **how)
    for m in (run.x, run.y):
        angles, circle = [mu.points[:, 0] for mu in m], m[0].manifold
        moves = [circle.difference(a, b) for a, b in pairwise(angles)]
        assert np.var(moves) == pytest.approx(2 * dt * inner, rel=4 * np.sqrt(1 / n))
        assert abs(np.corrcoef(moves)[0, 1]) < 4 / np.sqrt(n)


def test_bits_repeat_and_resume(tmp_path):
    how = {**BY, "inner": 3, "particles": (150, 120), "seed": 3, "save_every": 0.1}
    whole = mf.simulate(GAME, FLOW, time=0.6, **how)
    half = mf.load(mf.simulate(GAME, FLOW, time=0.3, threads=2, **how).save(tmp_path / "half.h5"))
    rest = mf.simulate(GAME, FLOW, time=0.6, resume=half, threads=3, progress=False)
    assert equal(rest, whole)


def test_the_interaction_is_a_quarter_of_the_largest_double_difference():
    """1 for cos(x - y), whatever is added in x or in y alone; at most half the range."""
    x = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    losses = np.cos(x[:, None] - x) + np.sin(3 * x)[:, None] + 5 * np.cos(x)
    assert steps.interaction(losses) == pytest.approx(1.0, rel=1e-12)
    some = np.random.default_rng(0).normal(size=(9, 7))
    by_hand = max(
        some[i, j] - some[k, j] - some[i, m] + some[k, m]
        for i in range(9) for k in range(9) for j in range(7) for m in range(7)
    )  # fmt: skip
    assert steps.interaction(some) == pytest.approx(by_hand / 4, rel=1e-12)
    assert by_hand / 4 <= np.ptp(some) / 2


def test_the_longest_step_is_where_theta_tau_sigma_L2_is_one():
    flow = mf.Flow(0.0, (2.0, 3.0), (0.1, 0.3))
    for theta in (None, 0.0, 0.99):
        h = steps.longest(flow, 5.0, theta)
        at = max(1 / (1 + h * 0.2), theta or 0.0)
        assert at * (2 * h) * (3 * h) * 25 == pytest.approx(1.0, rel=1e-12)
        assert steps.strength(flow, h, 5.0, theta) == pytest.approx(1.0, rel=1e-12)
    assert steps.lengths(flow, 0.5).shares == pytest.approx((0.1 / 1.1, 0.45 / 1.45), rel=1e-12)
    assert steps.longest(flow, 0.0) == np.inf


@pytest.mark.parametrize("call", [mf.simulate, mf.solve])
def test_steps_longer_than_stated_are_warned_of(call):
    how = BY if call is mf.simulate else {"engine": "primal-dual", "step": 0.05, "cells": 32}
    slow, fast = (mf.EntropicWassersteinFisherRao(1.0, 0.0, a) for a in (12.5, 13.0))
    # L = sqrt(2^2 + 0.3^2): tau = (1 + sqrt(1 + 4 L^2))/(2 L^2) = 0.632 is the longest.
    with pytest.warns(mf.UnderResolved, match=r"longer than .* converge, 0\.048[567]"):
        call(GAME, fast, time=0.05, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(GAME, slow, time=0.05, **how)


PAIRS = mf.games.expression("cos(x - y)*exp(sin(x + y))")
WRONG = [
    ({"flow": mf.Langevin(1.0)}, "reactions at a temperature alone"),
    ({"flow": mf.MirrorDescent()}, "reactions at a temperature alone"),
    ({"flow": mf.EntropicWassersteinFisherRao(1.0)}, "reactions at a temperature alone"),
    ({"flow": mf.Annealed(FLOW, speed=mf.Schedule("log"))}, "memory[, and]* schedules"),
    ({"extrapolation": 1.5}, "at most 1"),
]
WRONG_PARTICLES = [
    ({"inner": None}, "give inner=20"),
    ({"game": PAIRS}, "is not low-rank"),
    ({"bandwidth": 0.2}, "leave bandwidth out"),
    ({"exploration": 0.2}, "leave exploration out"),
    ({"game": mf.games.free(), "step": 2.0, "time": 2.0}, "unstable step .* is 2, above"),
    ({"start": mf.Start(x=mf.concentrated(1.0, 0.3))}, "uniform starts alone"),
    ({"scheme": "euler", "flow": mf.Langevin(1.0), "inner": None, "extrapolation": 1.0},
     'for scheme "primal-dual"'),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "match"), WRONG + WRONG_PARTICLES)
@pytest.mark.filterwarnings("ignore:free motion does not move")
def test_particles_refuse(wrong, match):
    how = {"game": GAME, "flow": FLOW, "time": 0.1, "particles": 10, **BY, **wrong}
    with pytest.raises(ValueError, match=match):
        mf.simulate(**how)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        *WRONG,
        ({"start": mf.Start(x=lambda q: 1.0 * (q[:, 0] < 3))}, r"start\.x has none at 33 nodes"),
    ],
)
def test_densities_refuse(wrong, match):
    how = {"game": GAME, "flow": FLOW, "time": 0.1, "cells": 64, "engine": "primal-dual", **wrong}
    with pytest.raises(ValueError, match=match):
        mf.solve(**how)


def test_laws_narrower_than_the_cells_are_told():
    game = mf.games.benchmark("circle")
    how = {"time": 1.0, "engine": "primal-dual", "progress": False}
    flow = mf.EntropicWassersteinFisherRao(500.0, gamma=0.0, alpha=50.0)
    with pytest.warns(mf.UnderResolved, match=r"log-densities change by .* as many cells per axis"):
        mf.solve(game, flow, cells=16, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.UnderResolved)
        mf.solve(game, flow, cells=256, **how)


@pytest.mark.parametrize(("dt", "said"), [(0.03449, "0.0344"), (1.0, "1"), (2345.0, "2.34e+03")])
def test_lengths_are_told_from_below(dt, said):
    assert steps.in_words(dt) == said


def test_no_scheme_is_told_before_what_does_not_go_with_one():
    with pytest.raises(
        ValueError,
        match="one of euler, .* got 'primaldual'; did you mean 'primal",
    ):
        mf.simulate(mf.games.benchmark("circle"), mf.EntropicWassersteinFisherRao(2.0, gamma=0.0),
                    time=0.1, step=0.05, scheme="primaldual", inner=2)  # fmt: skip
