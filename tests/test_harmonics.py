"""Galerkin in spherical harmonics: orders, exact answers, symmetries, and the Gibbs fixed point."""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import eval_legendre

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density.harmonics import Degrees, Harmonics
from meanfield.density.solve import build, default_engine
from meanfield.flows import Flow, Langevin, Wasserstein, WassersteinFisherRao
from meanfield.games.lowrank import polynomial, polynomial_from, trigonometric
from meanfield.manifolds import Sphere
from meanfield.measures import Measure
from meanfield.meshes import harmonics as spherical
from meanfield.meshes import quadrature_mesh
from meanfield.start import Start, concentrated
from tests.convergence import fitted_order

# Runs of low degree are meant where errors are measured; that they warn is tested by itself.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
S2 = Sphere(2)
GAME = mf.games.benchmark("sphere")
START = GAME.answers["start"]
POINTS, WEIGHTS = spherical.quadrature(40)


def engine(game=GAME, beta=5.0, cells=16, start=START, gamma=1.0, **options):
    sizes = cells if isinstance(cells, tuple) else (cells, cells)
    return Harmonics(game, Langevin(beta, gamma), start.laws(S2, S2), sizes, **options)


def moved(*args, until, **options):
    made = engine(*args, **options)
    made.advance(until)
    return made


def distance(a, b):
    """The larger player's L1 distance."""
    return max(WEIGHTS @ np.abs(a.density(p, POINTS) - b.density(p, POINTS)) for p in (0, 1))


@cache
def reference():
    return moved(until=1.0, cells=28, tol=1e-12)


def random_points(n, seed=0):
    return S2.sample(n, np.random.default_rng(seed))


# -- orders and agreement ------------------------------------------------------------------------


def test_order_four_in_time():
    steps = np.array([40, 80, 160])
    fine = moved(until=1.0, step=1 / 960)
    assert (
        3.8
        < fitted_order(1 / steps, [distance(moved(until=1.0, step=1 / n), fine) for n in steps])
        < 4.2
    )


def test_errors_fall_exponentially_in_the_degree():
    errors = [distance(moved(until=1.0, cells=L, tol=1e-10), reference()) for L in (6, 10, 14, 18)]
    ratios = np.array(errors[1:]) / errors[:-1]
    assert (ratios < 0.1).all() and errors[-1] < 1e-6


def test_step_control_reaches_its_tolerance():
    fine = moved(until=1.0, tol=1e-12)
    for tol in (1e-4, 1e-6, 1e-8):
        assert distance(moved(until=1.0, tol=tol), fine) < 10 * tol


def test_free_degrees_are_adapted():
    run = moved(until=1.0, cells=(None, 16), tol=1e-8)
    assert distance(run, reference()) < 1e-7
    noted = run.diagnostics()
    assert (
        10 <= noted["degree_x"] <= 32 and noted["degree_y"] == 16 and noted["worst_tail_x"] < 1e-5
    )
    given = moved(until=1.0, cells=(None, 16), step=1 / 200)
    assert given.diagnostics()["degree_x"] == noted["degree_x"] and distance(given, run) < 1e-7
    sharp = engine(start=Start(concentrated((0.0, 0.6, 0.8), std=0.05**0.5), "uniform"), cells=None)
    assert sharp.diagnostics()["degree_x"] > sharp.diagnostics()["degree_y"]


def legendre(u, beta, until, n=60):
    """d_t f = d_z((1 - z^2)(f' /beta + u f)), density in z for the cost u z, by DOP853 on Legendre
    coefficients.
    """
    z, w = np.polynomial.legendre.leggauss(n)
    P = np.stack([eval_legendre(l, z) * np.sqrt(l + 0.5) for l in range(n // 2)])
    slope = np.stack(
        [
            np.polynomial.legendre.Legendre.basis(l).deriv()(z) * np.sqrt(l + 0.5)
            for l in range(n // 2)
        ]
    )
    weak = -(slope * (w * (1 - z**2))) @ (slope.T / beta + u * P.T)
    first = P @ (w * (1 + 0.5 * z) / 2)
    done = solve_ivp(
        lambda _, c: weak @ c, (0, until), first, method="Radau", rtol=1e-11, atol=1e-13
    )
    return done.y[:, -1]


def test_a_game_of_heights_is_a_game_on_an_interval():
    """l = 1.5 x_3 - y_3: either density in z = x_3 obeys an equation of its own."""
    game = polynomial_from(0, np.zeros((3, 3)), 0, 0, [0, 0, 1.5], [0, 0, -1.0])
    run = moved(
        game,
        (4.0, 6.0),
        until=0.8,
        cells=20,
        tol=1e-10,
        start=Start(*[lambda p: 1 + 0.5 * p[:, 2]] * 2),
    )
    for p, (u, beta) in enumerate(((1.5, 4.0), (1.0, 6.0))):
        exact = legendre(u, beta, 0.8)
        l = np.arange(21)
        found = run.coefficients(p)[l * (l + 1)] * np.sqrt(
            2 * np.pi
        )  # of Y_l0 = sqrt((2l + 1)/4 pi) P_l
        np.testing.assert_allclose(found, exact[:21], atol=1e-8)
        assert abs(exact[1]) > 0.1


# -- exact answers -------------------------------------------------------------------------------


def test_heat_decays_by_degree():
    game = mf.games.free(S2, S2)
    first = lambda p: 1 + 0.3 * p[:, 0] + 2 * p[:, 0] * p[:, 1] * p[:, 2]  # noqa: E731
    run = moved(game, (3.0, 6.0), until=0.7, start=Start(first, first), gamma=(1.0, 2.0), step=0.7)
    x = random_points(40)
    for p, rate in ((0, 0.7 / 3), (1, 2 * 0.7 / 6)):
        exact = 1 + 0.3 * np.exp(-2 * rate) * x[:, 0] + 2 * np.exp(-12 * rate) * np.prod(x, axis=1)
        np.testing.assert_allclose(run.density(p, x), exact / (4 * np.pi), atol=1e-14)


def test_bilinear_games_spiral_about_the_uniform_laws():
    """l = x'Ay: near uniform a = E x, b = E y obey a' = -(2/3) A b - 2a/beta_x, b' = (2/3) A'a -
    2b/beta_y.
    """
    A = np.array([[0.8, -0.5, 0.2], [0.3, 0.6, -0.7], [-0.2, 0.4, 0.5]]) * 3
    eps, until, betas = 1e-6, 1.5, (4.0, 7.0)
    first = Start(lambda p: 1 + eps * p @ [0.3, 0.5, -0.2], lambda p: 1 + eps * p @ [0.1, 0.0, 0.9])
    run = moved(
        polynomial_from(0, A, 0, 0, 0, 0), betas, until=until, start=first, cells=6, tol=1e-11
    )
    matrix = np.block(
        [[-2 / betas[0] * np.eye(3), -2 / 3 * A], [2 / 3 * A.T, -2 / betas[1] * np.eye(3)]]
    )
    exact = expm(until * matrix) @ (eps / 3 * np.array([0.3, 0.5, -0.2, 0.1, 0.0, 0.9]))
    means = (
        np.concatenate([run.coefficients(p)[[3, 1, 2]] for p in (0, 1)]) * (4 * np.pi / 3) ** 0.5
    )
    np.testing.assert_allclose(means, exact, atol=1e-4 * eps)


def test_the_gibbs_point_stays():
    nodes = quadrature_mesh(40)
    point = mf.gibbs(GAME, 3.0, cells=(nodes, nodes))
    start = Start(*(Measure(nodes.nodes, law.masses, S2) for law in (point.x, point.y)))
    still = moved(beta=3.0, start=start, cells=26, until=5.0)
    for p, law in enumerate((point.x, point.y)):
        assert nodes.volumes @ np.abs(still.density(p, nodes.nodes) - law.values) < 1e-11


# -- symmetries ----------------------------------------------------------------------------------


def test_turning_the_spheres_turns_the_run():
    """Each player's sphere by a rotation of its own."""
    rng = np.random.default_rng(5)
    Q, R = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
    B, A = rng.standard_normal((2, 3, 3)) / 2
    a, b, u, v = rng.standard_normal((4, 3)) / 4
    start = Start(lambda p: 1 + p @ u, lambda p: 1 + p @ v)
    turned = Start(lambda p: 1 + p @ (Q @ u), lambda p: 1 + p @ (R @ v))
    plain = moved(polynomial_from(B, A, 0, 0, a, b), until=0.5, start=start, step=1 / 64)
    other = moved(
        polynomial_from(Q @ B @ Q.T, Q @ A @ R.T, 0, 0, Q @ a, R @ b),
        until=0.5,
        start=turned,
        step=1 / 64,
    )
    x = random_points(50)
    np.testing.assert_allclose(other.density(0, x @ Q.T), plain.density(0, x), atol=1e-13)
    np.testing.assert_allclose(other.density(1, x @ R.T), plain.density(1, x), atol=1e-13)


def test_mass_is_exact():
    run = moved(polynomial("a", seed=3), 1.0, until=3.0, cells=24)
    for p in (0, 1):
        assert run.coefficients(p)[0] == (4 * np.pi) ** -0.5
        assert abs(WEIGHTS @ run.density(p, POINTS) - 1) < 1e-12
    for mu in run.measures():
        assert abs(mu.masses.sum() - 1) < 1e-14 and mu.masses.min() > 0


# -- the protocol --------------------------------------------------------------------------------


def features(points):
    """1, x and x x' as columns: all that a quadratic loss sees of a measure."""
    products = (points[:, :, None] * points[:, None, :]).reshape(-1, 9)
    return np.concatenate([np.ones((len(points), 1)), points, products], axis=1)


def held(run, p):
    """The integrals of the features under the density that the engine holds."""
    return features(POINTS).T @ (WEIGHTS * run.density(p, POINTS))


@pytest.mark.parametrize("which", ["a", "b", "benchmark"])
@pytest.mark.parametrize("cells", [None, 20, 40])
def test_measures_integrate_as_the_coefficients_do(which, cells):
    game = GAME if which == "benchmark" else polynomial(which, seed=4)
    run = build(game, Langevin(2.0), START, cells=cells, tol=1e-10)
    run.advance(0.5)
    pair = run.measures()
    for p, mu in enumerate(pair):
        np.testing.assert_allclose(mu.integrate(features), held(run, p), rtol=0, atol=1e-12)
        np.testing.assert_allclose(mu.values, run.density(p, mu.points), rtol=1e-11)
    # The value and NI, from features and from the loss itself.
    dx, dy = (WEIGHTS * run.density(p, POINTS) for p in (0, 1))
    exact = dx @ game.loss(POINTS, POINTS) @ dy
    assert game.value(*pair) == pytest.approx(exact, abs=1e-12)
    other = [Measure(POINTS, d / d.sum(), S2) for d in (dx, dy)]
    ni, exact = mf.nikaido_isoda(game, *pair), mf.nikaido_isoda(game, *other)
    assert ni.value == pytest.approx(exact.value, abs=1e-12)


def test_what_solve_records_and_hands_out_is_what_the_engine_holds():
    settings = {"cells": 24, "tol": 1e-10}
    run = mf.solve(GAME, Langevin(5.0), START, time=0.5, save_every=0.5, **settings)
    moved = build(GAME, Langevin(5.0), START, **settings)
    moved.advance(0.5)
    dx, dy = (WEIGHTS * moved.density(p, POINTS) for p in (0, 1))
    exact = dx @ GAME.loss(POINTS, POINTS) @ dy
    assert run.diagnostics["value"][-1] == pytest.approx(exact, abs=1e-12)
    assert np.abs(run.x[-1].integrate(features) - held(moved, 0)).max() < 1e-12


def test_handed_out_measures_of_free_motion_decay_by_degree():
    """mu(t) = (1 + e^(-2 t/beta) a + e^(-6 t/beta) b)/(4 pi), a of degree 1 and b of degree 2."""
    first = lambda p: 1 + 0.4 * p[:, 2] + 0.5 * p[:, 0] * p[:, 1]  # noqa: E731
    run = mf.solve(mf.games.free(S2), Langevin(3.0), Start(first, first), time=0.9, save_every=0.3)
    for t, mu in zip(run.times, run.x, strict=True):
        mean, product = 0.4 / 3 * np.exp(-2 * t / 3), 0.5 / 15 * np.exp(-6 * t / 3)
        assert np.abs(mu.integrate(lambda x: x) - [0, 0, mean]).max() < 1e-13
        assert abs(mu.integrate(lambda x: x[:, 0] * x[:, 1]) - product) < 1e-13
        exact = 1 + 3 * mean * mu.points[:, 2] + 15 * product * mu.points[:, 0] * mu.points[:, 1]
        np.testing.assert_allclose(mu.values, exact / (4 * np.pi), rtol=1e-12)


def test_files_and_starts_keep_the_coefficients(tmp_path):
    """What is handed out, saved and loaded starts a run where the first one stood."""
    how = {"save_every": 0.25, "cells": 20, "step": 1 / 64}
    run = mf.solve(GAME, Langevin(5.0), START, time=0.5, **how)
    back = mf.load(run.save(tmp_path / "run.h5"))
    for mu, nu in zip((*run.x, *run.y), (*back.x, *back.y), strict=True):
        assert np.array_equal(mu.masses, nu.masses) and mu.mesh.same(nu.mesh)
        assert nu.mesh.by_parallels
    made = moved(until=0.5, cells=20, step=1 / 64)
    again = engine(start=Start(back.x[-1], back.y[-1]), cells=20, step=1 / 64)
    free = engine(start=Start(back.x[-1], back.y[-1]), cells=None)
    for p in (0, 1):
        np.testing.assert_allclose(again.coefficients(p), made.coefficients(p), atol=1e-13)
        assert np.abs(free.density(p, POINTS) - made.density(p, POINTS)).max() < 1e-7
    again.advance(0.5)
    assert distance(again, moved(until=1.0, cells=20, step=1 / 64)) < 1e-12
    longer = mf.solve(GAME, Langevin(5.0), START, time=1.0, **how)
    resumed = mf.solve(GAME, Langevin(5.0), START, time=1.0, resume=back, **how)
    for mu, nu in zip(longer.x, resumed.x, strict=True):
        assert np.array_equal(mu.masses, nu.masses)


def test_states_of_no_degree_are_refused():
    with pytest.raises(ValueError, match="coefficients of shape"):
        engine().restore({**engine().state(), "coefficients": (np.ones(10), np.ones(9))})


def test_solve_takes_it_for_quadratic_games_on_spheres():
    game = polynomial("b", seed=2)
    run = mf.solve(game, Langevin(2.0), time=0.2, save_every=0.1)
    assert run.provenance["engine"] == "harmonics" and len(run) == 3
    assert default_engine(game, WassersteinFisherRao()) == "characteristics"
    assert default_engine(polynomial("a", dim=2), Langevin(1.0)) == "finite-volume"
    assert default_engine(trigonometric([((1,), (1,), 1, 0)]), Langevin(1.0)) == "galerkin"
    other = mf.solve(
        game, Langevin(2.0), time=0.2, save_every=0.2, engine="finite-volume", cells=3362, tol=1e-4
    )
    for mu, nu in zip(run[-1], other[-1], strict=True):
        assert mf.total_variation(mu.on(nu.mesh), nu) < 3e-3


def test_says_when_the_degree_is_too_low():
    with pytest.warns(UnderResolved, match="outer third of degrees"):
        moved(beta=40.0, until=1.0, cells=8)
    with pytest.warns(UnderResolved, match="outer third"):
        moved(start=Start(Measure([[0.0, 0.0, 1.0]], None, S2), "uniform"), until=1e-3, cells=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved(until=1.0, cells=24)


def test_atoms_are_exact_and_diffuse():
    """From one atom the heat kernel: sum (2l + 1)/(4 pi) e^(-l(l + 1) t) P_l."""
    run = moved(polynomial_from(0, np.zeros((3, 3)), 0, 0, 0, 0), 1.0, until=0.2, cells=20,
                start=Start(Measure([[0.6, 0.0, 0.8]], None, S2), "uniform"))  # fmt: skip
    x, l = random_points(30), np.arange(21)
    kernel = (2 * l + 1) / (4 * np.pi) * np.exp(-l * (l + 1) * 0.2)
    exact = (kernel * eval_legendre(l, (x @ [0.6, 0.0, 0.8])[:, None])).sum(1)
    np.testing.assert_allclose(run.density(0, x), exact, atol=1e-13)


@pytest.mark.parametrize(
    ("game", "flow", "says"),
    [
        (trigonometric([((1,), (1,), 1, 0)]), Langevin(1.0), "quadratic game on S"),
        (polynomial("a", dim=4), Langevin(1.0), "quadratic game on S"),
        (polynomial("a"), WassersteinFisherRao(), "without reaction"),
        (polynomial("a"), Wasserstein(), "temperature above 0"),
        (
            polynomial("a"),
            Flow(gamma=(1.0, 0.0), response=(0.0, 1.0), temperature=1.0),
            "without reaction or response",
        ),
    ],
)
def test_other_games_and_flows_are_refused(game, flow, says):
    with pytest.raises(ValueError, match=says):
        Harmonics(game, flow, Start().laws(game.X, game.Y))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cells": 1}, "degree"),
        ({"cells": 7.5}, "degree"),
        ({"step": 0.0}, "step"),
        ({"tol": 1e-20}, "tol"),
    ],
)
def test_bad_input_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        engine(**options)


def test_unstable_steps_are_refused():
    with pytest.raises(ValueError, match="smaller step"):
        moved(polynomial("a"), 100.0, until=20.0, step=2.0, cells=30)


def test_degrees_beyond_the_memory_are_refused_before_anything_runs(monkeypatch):
    """cells=1000 asks for 2 (1001)^3 numbers; the message says how much, and what takes cells."""
    monkeypatch.setattr("meanfield.checks.memory", lambda: 10e9)
    game = mf.games.benchmark("sphere")
    with pytest.raises(ValueError, match="16 GB, this machine has 10 GB.*finite-volume"):
        Degrees.given(game.bases[0], 1000)
    assert len(mf.solve(game, mf.Langevin(4.0), time=0.01, save_every=0.01, cells=12)) == 2
