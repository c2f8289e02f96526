"""The Galerkin engine in use: resuming, starts, what is said and what is refused."""

import warnings

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density import etd
from meanfield.density.choice import build
from meanfield.flows import Flow, Langevin, MirrorDescent, Wasserstein
from meanfield.games.lowrank import LowRank, polynomial, trigonometric
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.meshes import mesh, quadrature_mesh
from meanfield.start import Start
from tests.galerkin_runs import BUMPS, OSCILLATOR, engine, nodal_error, run
from tests.langevin_runs import CIRCLE, WAVY, wavy


def test_first_measures_are_the_start():
    e = engine(CIRCLE, Langevin(10.0), WAVY, (65, 96))
    x, y = e.measures()
    assert (len(x), len(y)) == (65, 96)
    same = engine(CIRCLE, Langevin(10.0), WAVY, (mesh(Torus(1), 65), 96))
    assert np.array_equal(same.modes(0), e.modes(0))
    assert np.abs(x.values - wavy(x.points) / (2 * np.pi)).max() < 1e-14
    atoms = Start(Measure([[1.0], [2.0]], None, Torus(1)), "uniform")
    x, _ = engine(CIRCLE, Langevin(10.0), atoms, (64, 64)).measures()
    assert x is atoms.x


@pytest.mark.parametrize(
    ("game", "fine"),
    [
        (mf.games.benchmark("circle"), mesh(Torus(1), 1024)),
        (mf.games.benchmark("torus"), mesh(Torus(2), 160)),
        (mf.games.benchmark("sphere"), quadrature_mesh(90)),
    ],
)
def test_what_solve_hands_out_from_atoms_on_is_what_the_coefficients_hold(game, fine):
    rng, flow = np.random.default_rng(0), Langevin(2.0)
    start = Start(*(Measure(M.sample(2, rng), [0.3, 0.7], M) for M in game.manifolds))
    run = mf.solve(game, flow, start, time=0.5, save_every=0.5)
    held = build(game, flow, start)
    held.advance(0.5)
    ends = [held.bases[p].masses(held.coefficients(p)[None], fine)[0] for p in (0, 1)]
    pairs = (start.x, start.y), [Measure(fine.nodes, m / m.sum(), fine.manifold) for m in ends]
    for k, pair in enumerate(pairs):
        assert run.diagnostics["value"][k] == pytest.approx(game.value(*pair), abs=1e-12)
        for p, (mu, nu) in enumerate(zip(run[k], pair, strict=True)):
            found, exact = (game.moments(p, m.points, m.masses) for m in (mu, nu))
            np.testing.assert_allclose(found, exact, rtol=0, atol=1e-12)


def test_a_density_start_is_carried_to_other_cells():
    coarse = run(CIRCLE, Langevin(10.0), WAVY, 1.0, (96, 96), tol=1e-10)
    x, y = coarse.measures()
    fine = run(CIRCLE, Langevin(10.0), Start(x, y), 1.0, (128, 160), tol=1e-10)
    through = run(CIRCLE, Langevin(10.0), WAVY, 2.0, (160, 160), tol=1e-10)
    assert nodal_error(fine, through) < 1e-9


def test_under_resolution_is_said_once():
    e = engine(OSCILLATOR, Langevin(25.0), BUMPS, (32, 32))
    with pytest.warns(UnderResolved, match="raise `cells`"):
        e.advance(1.0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        e.advance(1.01)
    assert not any("outer third" in str(w.message) for w in said)
    assert e.diagnostics()["worst_tail_x"] > 1e-2


def test_the_worst_tail_is_the_largest_of_any_step():
    """Compiled steps watch their own coefficients; `tail` is of those handed out."""
    e = engine(OSCILLATOR, Langevin(25.0), BUMPS, (96, 128), step=0.05)
    seen = []
    for k in range(1, 5):
        e.advance(0.05 * k)
        noted = e.diagnostics()
        seen.append([noted["tail_x"], noted["tail_y"]])
        worst = noted["worst_tail_x"], noted["worst_tail_y"]
        assert worst == pytest.approx(np.max(seen, axis=0), rel=1e-12)


def test_a_resolved_run_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        e = run(OSCILLATOR, Langevin(25.0), BUMPS, 1.0, (160, 160))
        e.measures()
        run(OSCILLATOR, Langevin(25.0), BUMPS, 1.0, (None, None)).measures()


def test_an_unstable_step_is_refused():
    with pytest.raises(ValueError, match="smaller step"):
        run(CIRCLE, Langevin(10.0), WAVY, 50.0, (128, 128), step=0.5)


def _responding():
    """A flow that is of the best-response kind beside its diffusion."""
    return Flow(gamma=1.0, temperature=1.0, response=1.0)


def _users_game():
    class Own(LowRank):
        pass

    X = trigonometric([((1, 0), (-1,), 1.0, 0.2)]).bases[0]
    return Own(X, polynomial("a", 3).bases[1], np.zeros((X.size, 8)))


@pytest.mark.parametrize(
    "game, flow, how, says",
    [
        (polynomial("a", 3), Langevin(1.0), {}, "trigonometric game on tori.*finite-volume"),
        (_users_game(), Langevin(1.0), {}, "trigonometric game on tori.*finite-volume"),
        (OSCILLATOR, _responding(), {}, "best-response"),
        (OSCILLATOR, Wasserstein(), {}, "temperature above 0.*characteristics"),
        (OSCILLATOR, MirrorDescent(), {}, "alpha is 1.*splitting"),
        (
            OSCILLATOR,
            Flow(gamma=(1.0, 0.0), alpha=(0.0, 1.0), temperature=1.0),
            {},
            "splitting",
        ),
        (OSCILLATOR, Flow(gamma=1.0, temperature=(1.0, 0.0)), {}, "temperature above 0"),
        (OSCILLATOR, Langevin(1.0), {"cells": (4, 64)}, "at least 5"),
        (OSCILLATOR, Langevin(1.0), {"cells": ((8, 8), 64)}, "one number or 1"),
        (
            OSCILLATOR,
            Langevin(1.0),
            {"cells": (mesh(Torus(1, period=1.0), 64), 64)},
            "nodes on a grid of",
        ),
        (OSCILLATOR, Langevin(1.0), {"cells": (4.5, 64)}, "cells must be a whole number"),
        (OSCILLATOR, Langevin(1.0), {"step": 0.0}, "step must be above 0"),
        (OSCILLATOR, Langevin(1.0), {"step": np.nan}, "step must be finite"),
        (OSCILLATOR, Langevin(1.0), {"tol": -1.0}, "tol must be at least"),
    ],
)
def test_what_cannot_be_done_is_refused(game, flow, how, says):
    start = Start("uniform", "uniform")
    with pytest.raises(ValueError, match=says):
        engine(game, flow, start, **how)


def test_free_modes_are_silent_about_negative_mass_below_the_tolerance():
    game = mf.games.oscillator(coupling=3.0)
    start = mf.Start(x=mf.concentrated(1.1, std=0.2), y=mf.concentrated(0.0, std=0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = mf.solve(game, mf.Langevin(25.0), start, time=0.5, tol=1e-5, progress=False)
    assert -1e-5 < run.diagnostics["smallest_y"].min() < -1e-10


def test_a_resumed_engine_does_not_warn_again():
    first = engine(OSCILLATOR, Langevin(25.0), BUMPS, (32, 32), step=0.01)
    with pytest.warns(UnderResolved, match="outer third"):
        first.advance(0.1)
    second = engine(OSCILLATOR, Langevin(25.0), BUMPS, (32, 32), step=0.01)
    second.restore(first.state())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.advance(0.2)


def test_negative_mass_is_told_once_a_player():
    game = mf.games.oscillator()
    with pytest.warns(UnderResolved) as said:
        mf.solve(game, mf.Langevin(25.0), game.answers["start"], time=1.0, cells=48)
    messages = [str(warning.message) for warning in said]
    assert (
        sum("masses of x" in m for m in messages) == sum("masses of y" in m for m in messages) == 1
    )


def test_what_is_said_of_negative_mass_helps():
    """Resolved runs are silent, whatever beta and tol; where coefficients are not, more help."""
    game = mf.games.oscillator()
    how = {"start": game.answers["start"], "time": 1.0, "save_every": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for more in ({}, {"tol": 1e-10}, {"cells": 4096}):
            mf.solve(game, mf.Langevin(2000.0), **how, **more)
    with pytest.warns(UnderResolved, match="masses of y hold a negative mass .*; raise `cells`"):
        mf.solve(game, mf.Langevin(2000.0), **how, cells=512)


def test_a_million_steps_are_taken_in_pieces(monkeypatch):
    """Between which a user can interrupt; mode k falls as exp(-k^2 t/beta), and all are counted."""
    calls, march = [], etd._march
    monkeypatch.setattr(etd, "_march", lambda *given: calls.append(given[1]) or march(*given))
    start = mf.Start(x=mf.games.density("1 + cos(x)"))
    run = mf.solve(
        mf.games.free(), mf.Langevin(2.0), start, time=1.0, step=1e-6, save_every=1.0, cells=33
    )
    assert 2 <= len(calls) < 20 and calls == sorted(calls)
    assert run.diagnostics["steps"][-1] == 1e6
    mode = run.x[-1].integrate(lambda x: 2 * np.cos(x[:, 0]))
    assert mode == pytest.approx(np.exp(-0.5), rel=1e-9)


T2 = mf.games.trigonometric([((1, 2), (1, -1), 1.0, 0.1), ((1, 1), (0, 2), 0.4, 0.1)])


@pytest.mark.parametrize(
    ("game", "stds", "options"),
    [
        (mf.games.oscillator(), (0.2, 0.4), {}),
        (mf.games.oscillator(), (0.2, 0.4), {"step": 0.003, "cells": 65}),
        (T2, (0.4, 0.5), {}),
        (mf.games.polynomial("a", 3), (0.5, 0.6), {}),
    ],
)
def test_states_saved_together_are_those_saved_one_by_one(game, stds, options):
    """To the bit, on meshes that grow and on steps that are fitted to the times."""
    places = [M.sample(1, np.random.default_rng(1))[0] for M in game.manifolds]
    start = Start(*(mf.concentrated(c, std=s) for c, s in zip(places, stds, strict=True)))
    both = [
        mf.solve(game, Langevin(5.0), start, time=0.3, save_every=0.01, callback=look, **options)
        for look in (None, lambda *_: None)
    ]
    together, apart = both
    for old, new in zip(apart, together, strict=True):
        for mu, nu in zip(old, new, strict=True):
            np.testing.assert_array_equal(mu.masses, nu.masses)
    for name, row in apart.diagnostics.items():
        np.testing.assert_array_equal(row, together.diagnostics[name], err_msg=name)
