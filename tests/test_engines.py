"""What every engine of the mean field keeps to: bits after a restore, time, exchange of players,
shifts, refusals.
"""

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.solve import ENGINES, build
from meanfield.flows import Flow
from meanfield.games.lowrank import trigonometric
from tests.flat_problems import CIRCLE, TILTED, modes
from tests.stored_runs import equal

pytestmark = pytest.mark.filterwarnings(
    "ignore::meanfield.checks.UnderResolved"
)  # few cells, on purpose
LAWS = mf.Start(TILTED.x, lambda q: 1 + 0.5 * np.sin(q[:, 0]))
FLAT, ROUND = (
    (CIRCLE, LAWS),
    (mf.games.benchmark("sphere"), mf.games.benchmark("sphere").answers["start"]),
)
MIXED = (  # T^2 against the circle
    trigonometric(
        [((1, 0), (-1,), 1.0, 0.2), ((2, 1), (1,), 0.3, -0.5), ((1, -1), (2,), 0.0, 0.4)]
    ),
    mf.Start(mf.concentrated([1.0, 2.0], std=0.5**0.5), mf.concentrated(4.0, std=0.4**0.5)),
)


def langevin(turn):
    return mf.Langevin(turn((10.0, 4.0)), turn((1.0, 2.0)))


def reacting(turn):
    return Flow(gamma=turn((1.0, 0.5)), alpha=turn((0.3, 2.0)))


def entropic(turn):
    return Flow(0.0, turn((0.3, 2.0)), turn((0.1, 0.2)))


def composite(turn):
    memory, slower = mf.Memory(rate=1.0), mf.Schedule("log")
    return Flow(
        turn((1.0, 0.5)),
        1.0,
        turn((0.1, 0.2)),
        response=turn((1.0, 0.0)),
        memory=memory,
        cooling=slower,
    )


# Name: the engine, a game and a start, the flow (`turn` exchanges the players), its cells, what
# else it takes.
CASES = {
    "galerkin": ("galerkin", FLAT, langevin, (48, 40), {}),
    "galerkin, modes at will": ("galerkin", MIXED, langevin, (None, None), {}),
    "harmonics": ("harmonics", ROUND, langevin, (12, 10), {}),
    "staggered": ("staggered", FLAT, langevin, (48, 40), {}),
    "finite-volume": ("finite-volume", FLAT, langevin, (48, 40), {}),
    "characteristics": ("characteristics", FLAT, reacting, (48, 40), {}),
    "characteristics, refined": ("characteristics", FLAT, reacting, (None, None), {"refine": 1e-4}),
    "muscl": ("muscl", FLAT, reacting, (48, 40), {}),
    "best-response": (
        "best-response",
        FLAT,
        lambda turn: Flow(0.0, response=turn((1.0, 2.0))),
        (48, 40),
        {},
    ),
    "splitting": ("splitting", FLAT, composite, (48, 40), {}),
    "primal-dual": ("primal-dual", FLAT, entropic, (48, 40), {"extrapolation": 0.9}),
}
every = pytest.mark.parametrize("name", CASES)


def test_no_engine_is_missing():
    assert {case[0] for case in CASES.values()} == set(ENGINES)


def made(name, step=None, turned=False, **other):
    """The engine at time zero; `turned` with its players exchanged."""
    engine, (game, start), flow, cells, options = CASES[name]
    turn = (lambda pair: pair[::-1]) if turned else (lambda pair: pair)
    start, game = mf.Start(*turn((start.x, start.y))), game.swapped() if turned else game
    given = {"game": game, "start": start, "cells": turn(cells), **other}
    return build(given.pop("game"), flow(turn), engine=engine, step=step, **given, **options)


@every
@pytest.mark.parametrize("step", [None, 0.07])
def test_a_restored_run_goes_on_to_the_same_bits(name, step):
    whole, again, fresh = (made(name, step) for _ in range(3))
    fresh.restore(whole.state())  # a state without a past
    for t in (0.3, 0.31):
        whole.advance(t)
        fresh.advance(t)
    kept = whole.state()
    np.testing.assert_equal(fresh.state(), kept)
    whole.advance(0.8)
    again.advance(0.2)
    again.restore(kept)
    assert again.time == 0.31
    again.advance(0.8)
    np.testing.assert_equal(again.state(), whole.state())
    np.testing.assert_equal(again.diagnostics(), whole.diagnostics())
    for a, b in zip(whole.measures(), again.measures(), strict=True):
        assert np.array_equal(a.points, b.points) and np.array_equal(a.masses, b.masses)


@every
def test_going_back_is_not_taken_for_steps_that_collapse(name, monkeypatch):
    monkeypatch.setattr("meanfield.density.engine.WINDOW", 2)
    moving = made(name)
    begun = moving.state()
    for _ in range(4):
        moving.advance(0.2)
        moving.restore(begun)
    assert moving.time == 0.0


@every
def test_solve_resumes_to_the_same_bits(name):
    engine, (game, start), flow, cells, options = CASES[name]
    how = {"cells": cells, "engine": engine, "save_every": 0.1, **options}
    whole, half = (mf.solve(game, flow(lambda pair: pair), start, t, **how) for t in (0.4, 0.2))
    rest = mf.solve(game, flow(lambda pair: pair), start, 0.4, resume=half, **how)
    assert whole.provenance["engine"] == engine and len(whole) == 5 and equal(rest, whole)


@every
def test_time_only_goes_forward(name):
    moving = made(name)
    moving.advance(0.2)
    for until, say in (
        (0.1, "before the present time 0.2"),
        (np.inf, "finite"),
        (np.nan, "finite"),
    ):
        with pytest.raises(ValueError, match=say):
            moving.advance(until)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"primal-dual"}))  # by which y moves first
def test_exchanging_the_players_exchanges_the_run(name):
    one, other = made(name, 0.05), made(name, 0.05, turned=True)
    for moving in (one, other):
        moving.advance(0.5)
    for a, b in zip(one.measures(), other.measures()[::-1], strict=True):
        np.testing.assert_allclose(a.points, b.points, rtol=0, atol=1e-12)
        np.testing.assert_allclose(a.masses, b.masses, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case[1] is FLAT and case[3][0]]
)
def test_shifting_the_game_by_cells_shifts_the_run(name):
    s, t = 5 * 2 * np.pi / 48, 17 * 2 * np.pi / 40
    terms = (((1,), (-1,), 1), ((2,), (1,), -0.25j), ((2,), (-1,), -0.25j), ((0,), (3,), 0.3))
    turned = [(k, m, c * np.exp(-1j * (k[0] * s + m[0] * t))) for k, m, c in terms]
    shifted = trigonometric([(k, m, c.real, c.imag) for k, m, c in turned])
    start = mf.Start(lambda q: LAWS.x(q - s), lambda q: LAWS.y(q - t))
    one, other = made(name), made(name, game=shifted, start=start)
    for moving in (one, other):
        moving.advance(0.5)
    by = np.exp(1j * np.outer((s, t), (1, 2, 3)).ravel())
    np.testing.assert_allclose(
        modes(other.measures()), by * modes(one.measures()), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(
    "name",
    [
        "staggered",
        "finite-volume",
        "characteristics",
        "muscl",
        "best-response",
        "splitting",
        "primal-dual",
    ],
)
def test_states_of_other_cells_are_refused(name):
    with pytest.raises(ValueError, match="cells|shape"):
        made(name).restore(made(name, cells=(13, 13)).state())


@every
def test_what_engines_record_is_what_their_measures_say(name):
    moving = made(name, 0.07)
    moving.advance(0.21)
    noted, measures = moving.diagnostics(), moving.measures()
    least = [mu.masses.min() for mu in measures]
    said = {"steps": 3, "step": 0.07, "smallest_mass": min(least), "min_mass": min(least)}
    said |= {"halved": 0, "rejected": 0, "refused": 0}
    steepest = []
    for p, mu in enumerate(measures):
        player, cost = "xy"[p], moving.game.cost(p, mu.points, measures[1 - p])
        said |= {f"smallest_{player}": least[p], f"log_weight_{player}": np.log(least[p])}
        said |= {f"labels_{player}": len(mu)}
        if isinstance(mu, mf.Density):
            said[f"peak_{player}"] = (mu.masses / mu.mesh.volumes).max()
            said[f"held_cells_{player}"] = 1 / np.sum(mu.masses**2)
            slopes = np.abs(np.diff(cost[mu.mesh.pairs], axis=1))
            steepest.append(slopes.max() / max(moving.players[p].temperature, 1e-300))
        elif "labels_x" in noted:
            said[f"peak_{player}"] = np.exp(moving.log_densities()[p].max())
    if name != "splitting":  # which forgets slowly, and cools
        said["largest_peclet"] = max(steepest, default=0.0)
    shared = noted.keys() & said.keys()
    assert {key: noted[key] for key in shared} == pytest.approx(
        {key: said[key] for key in shared}, rel=1e-12
    )
