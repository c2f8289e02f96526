"""Copies of particles in a given mean field: equal to particles where those do not interact, of the
field's law.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import meanfield as mf

CIRCLE = mf.Torus(1)
GAME = mf.games.benchmark("circle")
START = GAME.answers["start"]
LANGEVIN = mf.Langevin(10.0)


@cache
def mean_field(flow=LANGEVIN, time=0.4, step=0.02, cells=64):
    """(7) or (8), saved at every quarter of a step."""
    return mf.solve(GAME, flow, START, time, cells=cells, save_every=step / 4, progress=False)


def circle_loss(x, y):
    return (np.cos(x - y) + 0.5 * np.sin(2 * x) * np.cos(y) + 0.3 * np.cos(3 * y))[..., 0]


def states(run):
    return [*run.x, *run.y]


def same(a, b):
    return all(
        np.array_equal(p.points, q.points) for p, q in zip(states(a), states(b), strict=True)
    )


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("manifold", [CIRCLE, mf.Torus(2), mf.Sphere(2)], ids=str)
def test_free_particles_are_their_own_copies(manifold, scheme):
    game, how = (
        mf.games.free(manifold, manifold),
        {"step": 0.05, "scheme": scheme, "particles": (300, 7), "refine": 2},
    )
    field = mf.simulate(
        game, mf.Langevin(3.0), mf.Start(), 0.2, step=0.025, particles=4, save_every=0.025
    )
    found = mf.copies(game, mf.Langevin(3.0), mf.Start(), field, 0.2, seed=5, replica=3, **how)
    assert same(
        found, mf.simulate(game, mf.Langevin(3.0), mf.Start(), 0.2, seed=5, replica=3, **how)
    )
    assert not same(
        found, mf.copies(game, mf.Langevin(3.0), mf.Start(), field, 0.2, seed=6, replica=3, **how)
    )


@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_copies_in_a_field_that_stands_still_move_in_its_potentials(scheme):
    """Against Gibbs opponents the oscillator is a separable game with their potentials, written out
    by hand.
    """
    game, beta = mf.games.oscillator(), 25.0
    gibbs = mf.gibbs(game, beta=beta)
    field = mf.Trajectory(
        np.arange(21) * 0.01, [gibbs.x] * 21, [gibbs.y] * 21, game, mf.Langevin(beta)
    )
    sx, sy = (3.0 * float(m.integrate(np.sin(m.points[:, 0]))) for m in (gibbs.x, gibbs.y))
    V = [((1,), -2 / 3), ((2,), 5 / 12)]
    apart = mf.games.trigonometric(
        [(k, (0,), c, 0.0) for k, c in V] + [((0,), k, -c, 0.0) for k, c in V]
        + [((1,), (0,), 0.0, -sy), ((0,), (1,), 0.0, -sx)]
    )  # fmt: skip
    how = {"step": 0.02, "scheme": scheme, "particles": 500, "seed": 1}
    start = game.answers["start"]
    one = mf.copies(game, mf.Langevin(beta), start, field, 0.2, **how)
    other = mf.simulate(apart, mf.Langevin(beta), start, 0.2, **how)
    for p, q in zip(states(one), states(other), strict=True):
        assert CIRCLE.distance(p.points, q.points).max() < 1e-12


def test_copies_stay_near_their_own_particles():
    """How near, of order 1/n, is a claim (`validation.theorem3`)."""
    drive, how = (
        mf.Drive(GAME, mean_field()),
        {"step": 0.02, "scheme": "strang", "particles": 800, "save_every": 0.4},
    )
    swarm = mf.simulate(GAME, LANGEVIN, START, 0.4, replica=1, **how)
    own, other = (mf.copies(GAME, LANGEVIN, START, drive, 0.4, replica=r, **how) for r in (1, 2))
    near, far = (
        np.mean(CIRCLE.distance(swarm.x[-1].points, c.x[-1].points) ** 2) for c in (own, other)
    )
    assert 0 < 100 * near < far


@pytest.mark.parametrize(
    "flow", [LANGEVIN, mf.WassersteinFisherRao(1.0, 2.0)], ids=lambda f: f.name
)
def test_copies_have_the_law_of_the_field(flow):
    field = mean_field(flow, cells=64 if flow.diffuses else 400)
    run = mf.copies(
        GAME, flow, START, field, 0.4, step=0.02, scheme="strang", particles=40_000, save_every=0.2
    )
    for p in range(2):
        swarm, law = run[-1][p], field[-1][p]
        W = swarm.masses * len(swarm) * (run.diagnostics["mass"][-1, p] if flow.reacts else 1.0)
        for k in (0, 1, 2, 3):
            for wave in (np.cos, np.sin):
                exact = law.integrate(wave(k * law.points[:, 0]))
                values = W * wave(k * swarm.points[:, 0])
                assert (
                    abs(values.mean() - exact) <= 4 * values.std() / np.sqrt(len(W)) + 1e-4
                )  # the step's bias
    far = mf.copies(GAME, flow, START, field, 0.2, step=0.02, scheme="strang", particles=40_000)
    assert (
        abs(
            np.cos(far.x[-1].points).mean()
            - field.x[-1].integrate(np.cos(field.x[-1].points[:, 0]))
        )
        > 0.02
    )


@pytest.mark.parametrize("scheme, order", [("euler", 1), ("strang", 2)])
def test_copies_of_labels_are_the_labels(scheme, order):
    """Without noise copies started on a mean field's labels follow them, weights too, to the
    scheme's order.
    """
    flow = mf.WassersteinFisherRao(1.0, 2.0)
    field = mean_field(flow, cells=100)
    start, errors = mf.Start(x=field.x[0], y=field.y[0]), []
    for step in (0.02, 0.01):
        run = mf.copies(
            GAME,
            flow,
            start,
            field,
            0.4,
            step=step,
            scheme=scheme,
            particles=100,
            placement="atoms",
        )
        far = max(CIRCLE.distance(run[-1][p].points, field[-1][p].points).max() for p in range(2))
        weights = [
            run[-1][p].masses * run.diagnostics["mass"][-1, p] / field[-1][p].masses - 1
            for p in range(2)
        ]
        errors.append([far, np.abs(weights).max()])
    rates = np.log2(np.array(errors[0]) / errors[1])
    assert rates == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_pairwise_games_have_the_same_copies(scheme):
    game, flow = mf.games.function(circle_loss, CIRCLE, CIRCLE), mf.WassersteinFisherRao(1.0, 1.0)
    field = mean_field(flow, cells=100)
    how = {"step": 0.02, "scheme": scheme, "particles": (30, 50)}
    one, other = (mf.copies(g, flow, START, field, 0.2, **how) for g in (game, GAME))
    for p, q in zip(states(one), states(other), strict=True):
        assert CIRCLE.distance(p.points, q.points).max() < 1e-10
        assert np.abs(p.masses - q.masses).max() < 1e-12
    assert one.diagnostics["mass"] == pytest.approx(other.diagnostics["mass"], rel=1e-10)


def test_copies_repeat_to_the_bit_and_join():
    """The same bits again, from a `Drive`, and whatever is saved on the way."""
    how = {"step": 0.02, "scheme": "strang", "particles": 300, "seed": 4}
    first = mf.copies(GAME, LANGEVIN, START, mean_field(), 0.2, save_every=0.1, **how)
    assert same(
        first,
        mf.copies(GAME, LANGEVIN, START, mf.Drive(GAME, mean_field()), 0.2, save_every=0.1, **how),
    )
    finer = mf.copies(GAME, LANGEVIN, START, mean_field(), 0.2, save_every=0.02, **how)
    assert np.array_equal(first.x[-1].points, finer.x[-1].points)


def test_what_copies_cannot_do_is_refused():
    field, how = mean_field(), {"step": 0.02, "particles": 5}
    for change, message in (
        ({"time": 0.6}, r"needs the field at t=0.42"),
        ({"step": 0.008}, r"save_every=0.008"),
        ({"step": 0.005, "scheme": "strang"}, r"save_every=0.0025"),
        ({"flow": mf.AveragedLangevin(10.0)}, "paper's flows"),
        ({"flow": mf.WassersteinFisherRao(), "scheme": "mirror-prox"}, "paper's flows"),
        ({"flow": mf.EntropicWassersteinFisherRao(10.0)}, "log-density"),
        ({"game": mf.games.benchmark("torus")}, r"field.x lives on"),
        ({"field": mf.Drive(mf.games.benchmark("circle"), field)}, "ready for"),
    ):
        asked = {
            "game": GAME,
            "flow": LANGEVIN,
            "start": START,
            "field": field,
            "time": 0.4,
            **how,
            **change,
        }
        with pytest.raises(ValueError, match=message):
            mf.copies(**asked)
    with pytest.raises(TypeError, match="meanfield.Trajectory"):
        mf.copies(GAME, LANGEVIN, START, field.x, 0.4, **how)


def test_copies_are_not_resumed_as_particles():
    run = mf.copies(GAME, LANGEVIN, START, mean_field(), 0.2, step=0.02, particles=5)
    with pytest.raises(ValueError, match="holds copies"):
        mf.simulate(GAME, LANGEVIN, START, 0.4, step=0.02, particles=5, resume=run)


def test_only_weights_ask_for_the_values_of_a_field():
    for flow, asked in ((LANGEVIN, False), (mf.WassersteinFisherRao(1.0, 2.0), True)):
        drive = mf.Drive(GAME, mean_field(flow))
        mf.copies(GAME, flow, START, drive, 0.2, step=0.02, particles=5)
        assert ("means" in vars(drive)) == asked
