"""What runs start from, and the times at which they are saved."""

import warnings

import numpy as np
import pytest
from scipy.special import iv

import meanfield as mf
from meanfield.meshes import mesh, quadrature_mesh
from meanfield.run import warn_if_at_rest
from meanfield.schedule import saved_times
from meanfield.start import law


@pytest.mark.parametrize("space", [mf.Torus(1), mf.Torus(2), mf.Sphere(2), mf.Sphere(3)])
def test_bumps_narrower_than_rounding_are_refused(space):
    center = np.eye(space.ambient)[0]
    with pytest.raises(ValueError, match="std must be at least 1e-15, got 1e-150"):
        mf.concentrated(center, std=1e-150)
    drawn = law(mf.concentrated(center, std=1e-15), space).draw(5, np.random.default_rng(0))
    assert np.isfinite(drawn).all() and np.abs(space.distance(drawn, center[None])).max() < 1e-14


@pytest.mark.parametrize("points", [np.zeros((3, 1)), [[0.1], [0.2]], (0.1, 0.2)], ids=type)
def test_points_are_no_start_but_their_measure_is(points):
    with pytest.raises(TypeError, match=r"start.y must be .* Measure\(points, None, manifold\)"):
        mf.Start(y=points)
    with pytest.raises(TypeError, match="a density function, got NoneType$"):
        mf.Start(x=None)
    with pytest.raises(ValueError, match="start.x is 'unifrom'"):
        mf.Start(x="unifrom")
    measure = mf.Measure(np.reshape(points, (-1, 1)), None, mf.Torus(1))
    assert not mf.Start(y=measure).uniform and mf.Start().uniform


@pytest.mark.parametrize("value", [1e300, 1e308])
def test_densities_whose_sums_overflow_are_refused_at_both_levels(value):
    huge = law(lambda x: np.full(len(x), value), mf.Torus(1), "start.x")
    with pytest.raises(ValueError, match="start.x reaches 1e.30[08]; a density must stay below"):
        huge.on(mesh(mf.Torus(1), 8))
    with pytest.raises(ValueError, match="start.x is 1e.30[08] at most .* below 1e.300"):
        huge.draw(3, np.random.default_rng(0))


def test_bumps_have_one_center():
    with pytest.raises(ValueError, match=r"one point, .* got shape \(2, 1\)"):
        mf.concentrated([[1.0], [2.0]], std=0.1)
    assert mf.concentrated(1.0, 0.1) == mf.concentrated([1.0], 0.1)


def test_bumps_underflow_far_from_their_center_in_silence():
    with np.errstate(all="raise"):
        for space, center in ((mf.Torus(1), 0.0), (mf.Sphere(2), [0, 0, 1.0])):
            values = law(mf.concentrated(center, std=1e-3**0.5), space).density(
                space.sample(100, np.random.default_rng(0))
            )
            assert (values == 0).any()


def test_bumps_are_von_mises_laws_and_fishers():
    """E cos = I_1(k)/I_0(k) on the circle, coth k - 1/k on S^2, k = 1/std^2 in radians."""
    k, turn = 3.0, 2 * np.pi
    circle = law(mf.concentrated(0.25, std=1 / (turn * k**0.5)), mf.Torus(1, period=1.0))
    mean = circle.on(mesh(circle.manifold, 64)).integrate(lambda x: np.cos(turn * (x - 0.25)))
    assert mean == pytest.approx(iv(1, k) / iv(0, k), abs=1e-14)
    center = np.array([0.6, 0.0, 0.8])
    mean = law(mf.concentrated(center, std=k**-0.5), mf.Sphere(2)).on(quadrature_mesh(20))
    assert np.abs(mean.integrate(lambda x: x) - (1 / np.tanh(k) - 1 / k) * center).max() < 1e-13


@pytest.mark.parametrize(
    "space", [mf.Torus(1), mf.Torus(2, period=3.0), mf.Sphere(2), mf.Sphere(4)]
)
def test_bumps_are_one_at_their_center_however_narrow(space):
    """So that they neither overflow nor vanish there, with their curvature 1/std^2."""
    center, std = np.eye(space.ambient)[0], 1e-3
    bump = law(mf.concentrated(center, std), space)
    near = space.retract(center[None], std * space.basis(center[None])[0, :1])
    assert bump.density(np.array([center]))[0] == 1.0
    assert bump.density(near)[0] == pytest.approx(np.exp(-0.5), rel=1e-5)


def test_times_below_all_steps_and_saves_that_never_come_are_refused():
    with pytest.raises(ValueError, match="time must be 0 or at least 1e-300, got 4.94066e-324"):
        saved_times(5e-324, None)
    assert len(saved_times(1e-300, None)) == 51
    with pytest.raises(ValueError, match="save_every must be above 0, got 0"):
        mf.simulate(mf.games.oscillator(), mf.Langevin(2.0), mf.Start(), 0.1, 0.01, 10, 0,
                    save_every=0.0)  # fmt: skip


def test_times_are_saved_as_one_writes_them():
    times = saved_times(0.3, 0.05)
    assert times.tolist() == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    third = saved_times(1.0, 1 / 3)
    assert third.tolist() == [0.0, 1 / 3, 2 / 3, 1.0]
    assert (np.diff(saved_times(1e4, 0.01)) > 0).all() and saved_times(1e-12, 1e-13)[1] == 1e-13


@pytest.mark.parametrize("save_every", [0.05, 0.1, 0.07, 1 / 7])
def test_a_run_resumed_at_a_saved_time_has_the_times_of_the_whole(save_every):
    whole = saved_times(1.0, save_every)
    for begin in (save_every, float(f"{3 * save_every:.12g}")):
        if begin not in whole:
            continue
        rest = saved_times(1.0, save_every, begin)
        assert rest.tolist() == whole[whole >= begin].tolist()


def test_a_mean_field_resumed_between_has_the_bits_of_the_whole():
    game, flow = mf.games.oscillator(), mf.Langevin(25.0)
    how = {"save_every": 0.05, "cells": 64}
    whole = mf.solve(game, flow, mf.Start(), 0.3, **how)
    half = mf.solve(game, flow, mf.Start(), 0.15, **how)
    again = mf.solve(game, flow, None, 0.3, **how, resume=half)
    assert np.array_equal(whole.times, again.times)
    for a, b in zip(whole.x + whole.y, again.x + again.y, strict=True):
        assert np.array_equal(a.masses, b.masses)


RESTING = (
    [mf.games.expression("cos(x - y)"), mf.Langevin(5.0)],
    [mf.games.expression("cos(x - y)"), mf.MirrorDescent()],
    [
        mf.games.function(lambda x, y: np.cos(x - y)[..., 0], mf.Torus(1), mf.Torus(1)),
        mf.Langevin(5.0),
    ],
    [mf.games.bilinear(), mf.Langevin(5.0)],
)
FOLLOWED = (
    (mf.solve, {"time": 0.1, "step": 0.1}),
    (mf.simulate, {"time": 0.1, "step": 0.1, "particles": 10}),
)


@pytest.mark.parametrize(("follow", "how"), FOLLOWED)
@pytest.mark.parametrize("game_and_flow", RESTING)
def test_a_start_that_nothing_moves_is_told(game_and_flow, follow, how):
    game, flow = game_and_flow
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        follow(game, flow, **how)
    # Losses that are no finite sums have no particles' uniform law to be held against.
    expected = follow is mf.solve or game.bases is not None
    assert [("uniform" in str(w.message), w.filename == __file__) for w in told] == (
        [(True, True)] if expected else []
    )


@pytest.mark.parametrize(("follow", "how"), FOLLOWED)
@pytest.mark.parametrize(
    ("game", "start"),
    [
        (mf.games.expression("cos(x - y) + 1e-9*cos(y)"), None),
        (mf.games.expression("cos(x - y)"), mf.Start(x=mf.concentrated(1.0, std=0.3))),
    ],
)
def test_a_start_that_something_moves_is_not(game, start, follow, how):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        follow(game, mf.Langevin(5.0), start, **how)


@pytest.mark.parametrize(
    ("on", "apart"),
    [
        (mesh(mf.Torus(2, period=3.0), (16, 8)), 3 / 8),
        (mesh(mf.Torus(1), 20), np.pi / 10),
        (mesh(mf.Sphere(2), 162), (4 * np.pi / 162) ** 0.5),
        (mesh(mf.Sphere(3), 1024), (2 * np.pi**2 / 1024) ** (1 / 3)),
    ],
    ids=str,
)
def test_bumps_are_as_wide_as_the_nodes_are_apart_along_the_coarsest_axis(on, apart):
    center = np.eye(on.manifold.ambient)[0]
    law(mf.concentrated(center, std=1.001 * apart), on.manifold).on(on)
    with pytest.raises(ValueError, match=f"which are {apart:.3g} apart"):
        law(mf.concentrated(center, std=0.999 * apart), on.manifold).on(on)


def test_integrals_may_depend_by_a_quarter_on_where_nodes_lie():
    """1 + a cos(n x) has the sums 1 + a cos(2 pi k/5) over n nodes moved by k fifths of a cell."""
    on = mesh(mf.Torus(1), 10)
    for a, fits in ((0.249, True), (0.251, False)):
        given = law(lambda x, a=a: 1 + a * np.cos(10 * x[:, 0]), on.manifold)
        if fits:
            np.testing.assert_allclose(given.on(on).masses, 0.1, rtol=1e-12)
        else:
            with pytest.raises(ValueError, match=r"anything from 0\.797.* to 1\.25"):
                law(lambda x: (1 + 0.251 * np.cos(10 * x[:, 0])) / (2 * np.pi), on.manifold).on(on)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_functions_are_drawn_as_their_density_says(d):
    """(1 + 0.9 cos w x_1)(1 + 0.6 sin 2 w x_d): E cos = 0.45 and E sin = 0.3; heights on S^2."""
    torus, w, n = mf.Torus(d, period=3.0), 2 * np.pi / 3, 40_000
    tilted = law(
        lambda x: 5 * (1 + 0.9 * np.cos(w * x[:, 0])) * (1 + 0.6 * np.sin(2 * w * x[:, -1])), torus
    )
    drawn = tilted.draw(n, np.random.default_rng(d))
    assert drawn.shape == (n, d) and ((drawn >= 0) & (drawn < 3)).all()
    if d > 1:
        assert abs(np.cos(w * drawn[:, 0]).mean() - 0.45) < 4 / n**0.5
        assert abs(np.sin(2 * w * drawn[:, -1]).mean() - 0.3) < 4 / n**0.5
    at = np.floor(drawn[:, 0] * 64).astype(int)  # within cells as among them
    density = tilted.density(
        np.column_stack([(np.arange(192) + 0.5) / 64] + [np.zeros(192)] * (d - 1))
    )
    if d == 1:
        wanted = n * density / density.sum()
        assert ((np.bincount(at, minlength=192) - wanted) ** 2 / wanted).sum() < 192 + 4 * 384**0.5
    high = law(lambda x: 1 + 0.9 * x[:, 2], mf.Sphere(2)).draw(n, np.random.default_rng(d))
    assert abs(high[:, 2].mean() - 0.3) < 4 / n**0.5


@pytest.mark.parametrize("n", [1, 7])
def test_points_are_drawn_where_there_is_density_alone(n):
    """However few they are."""
    rng, torus, sphere = np.random.default_rng(0), mf.Torus(2), mf.Sphere(2)
    square = law(lambda x: (np.abs(x - 2.0) < 0.5).all(axis=1), torus).draw(n, rng)
    cap = law(lambda x: x[:, 2] > 0.5, sphere).draw(n, rng)
    assert square.shape == (n, 2) and (np.abs(square - 2.0) < 0.5).all()
    assert cap.shape == (n, 3) and (cap[:, 2] > 0.5).all()


@pytest.mark.parametrize(("eps", "told"), [(0.45e-13, 1), (0.6e-13, 0)])
@pytest.mark.parametrize("name", ["x", "y"])
def test_costs_are_constant_to_a_rounding_of_the_loss(name, eps, told, recwarn):
    """A difference of 1e-13 of the largest loss: 2 eps here, for one player."""
    game = mf.games.trigonometric([
        ((1,), (-1,), 1.0, 0.0), ((int(name == "x"),), (int(name == "y"),), eps, 0.0),
    ])  # fmt: skip
    laws = [given.on(mesh(M, 256)) for given, M in zip(
        mf.Start().laws(game.X, game.Y), game.manifolds, strict=True)]  # fmt: skip
    warn_if_at_rest(game, mf.Langevin(2.0), mf.Start(), lambda: tuple(laws))
    assert len(recwarn) == told
    best = mf.BestResponse()
    warn_if_at_rest(game, best, mf.Start(), lambda: tuple(laws))
    assert len(recwarn) == told


def test_as_many_times_are_saved_as_a_million():
    assert len(saved_times(1.0, 1e-6)) == 1_000_001
    with pytest.raises(ValueError, match=r"asks for 1e\+06 saved states"):
        saved_times(1.0, 0.9999e-6)
    assert saved_times(3.0, None).tolist() == [float(f"{3 * k / 50:.12g}") for k in range(51)]
    # A run that stands at a multiple, but for rounding, does not save it again.
    for off in (-1e-13, 0.0, 1e-13):
        rest = saved_times(1.0, 0.1, 0.3 * (1 + off))
        assert rest[1:] == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], abs=1e-15)
        assert saved_times(0.5 * (1 + off), 0.1)[-2:].tolist() == [0.4, 0.5 * (1 + off)]
    assert saved_times(1.9e-9, 1e-10)[3] == 3e-10
