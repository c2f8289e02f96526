"""The Gibbs fixed point (9): closed forms, an outside root finder, and its residual over all
temperatures.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from scipy.optimize import root

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.equilibria import fixed_point
from meanfield.games.lowrank import polynomial, polynomial_from, trigonometric
from meanfield.meshes import harmonics
from tests.flat_problems import Pairs

module = import_module("meanfield.equilibria.gibbs")  # the name gibbs itself is the function

# The last terms of each player alone break the symmetries that make an equilibrium easy.
CIRCULAR = [
    ((1,), (-1,), 1, 0), ((2,), (1,), 0, -0.25), ((2,), (-1,), 0, -0.25), ((0,), (3,), 0.3, 0),
    ((1,), (0,), 0.4, 0.2), ((0,), (1,), -0.3, 0.5),
]  # fmt: skip
PLANAR = [
    ((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0), ((2, 1), (1, 0), 0, -0.25),
    ((2, 1), (-1, 0), 0, -0.25),
    ((0, 0), (0, 3), 0.3, 0), ((1, -1), (1, 1), 0, -0.2), ((1, -1), (-1, -1), 0, 0.2),
    ((1, 1), (0, 0), 0.5, 0.1), ((0, 0), (1, 0), 0.2, -0.4),
]  # fmt: skip


SMOOTH = {  # by the dimension: no finite number of features
    d: mf.games.expression(f"exp({coupled}) + sin(2*x1)*cos(y1) + cos(x1 - 0.4) + sin(y1)/2")
    for d, coupled in ((1, "cos(x1 - y1)"), (2, "cos(x1 - y1) + cos(x2 - y2)"))
}


def outside_residual(game, point):
    """Total variation to the Gibbs measures of the potentials, from the loss's own matrix."""
    loss = game.loss(point.x.points, point.y.points)
    worst = 0.0
    for mu, energy in (
        (point.x, point.beta[0] * (loss @ point.y.masses)),
        (point.y, -point.beta[1] * (point.x.masses @ loss)),
    ):
        w = mu.mesh.volumes * np.exp(energy.min() - energy)
        worst = max(worst, 0.5 * abs(w / w.sum() - mu.masses).sum())
    return worst


BETAS = [0.1, 1.0, 10.0, 100.0, (0.1, 100.0), (50.0, 5.0)]


@pytest.mark.parametrize("beta", BETAS, ids=str)
@pytest.mark.parametrize(
    "game, cells",
    [
        (trigonometric(CIRCULAR), 256),
        (trigonometric(PLANAR), 32),
        (SMOOTH[1], 128),
        (SMOOTH[2], 20),
    ],
    ids=["circle, low rank", "T^2, low rank", "circle, pairwise", "T^2, pairwise"],
)
def test_residual_below_1e_12(game, cells, beta):
    point = mf.gibbs(game, beta, cells=cells)
    assert point.residual < 1e-12
    assert outside_residual(game, point) < 1e-12
    assert point.beta == (beta if isinstance(beta, tuple) else (beta, beta))
    assert point.path[-1, 0] == 1.0
    if beta in (0.1, 1.0, 10.0):
        assert point.path[:, 1].max() <= 8  # of Newton's method; it finds the way at low beta
    assert abs(point.x.masses.sum() - 1) < 1e-14


@pytest.mark.parametrize("beta", [0.5, 30.0, (3.0, 80.0)], ids=str)
def test_separable_games_in_closed_form(beta):
    """l = f(x) - g(y): x from exp(-beta f), y from exp(-beta g), whatever the other does."""
    game = trigonometric([((1,), (0,), 0.8, 0.3), ((3,), (0,), 0.0, 0.5), ((0,), (2,), -0.7, 0.1)])
    point = mf.gibbs(game, beta, cells=200)
    x = point.x.points[:, 0]
    f = 0.8 * np.cos(x) - 0.3 * np.sin(x) - 0.5 * np.sin(3 * x)
    g = 0.7 * np.cos(2 * x) + 0.1 * np.sin(2 * x)
    for mu, energy, b in zip((point.x, point.y), (f, g), point.beta, strict=True):
        exact = np.exp(-b * (energy - energy.min()))
        assert abs(mu.masses - exact / exact.sum()).sum() < 1e-12


@pytest.mark.parametrize("beta", [0.1, 100.0])
def test_the_uniform_pair_for_every_temperature(beta):
    for game in (
        trigonometric([((3,), (-3,), 2.0, 0.0)]),
        trigonometric([((1, 2), (-1, -2), 1.0, 0.4)]),
    ):
        cells = 24
        bumpy = mf.gibbs(game, beta, cells=cells)
        assert abs(bumpy.x.masses * len(bumpy.x) - 1).max() < 1e-12
        assert abs(bumpy.y.masses * len(bumpy.y) - 1).max() < 1e-12


def test_against_an_outside_root_finder():
    game, beta, n = trigonometric(CIRCULAR), 6.0, 12
    point = mf.gibbs(game, beta, cells=n)
    loss = game.loss(point.x.points, point.y.points)

    def equations(logs):
        u, v = np.exp(logs[:n]), np.exp(logs[n:])
        p, q = u / u.sum(), v / v.sum()
        return np.r_[logs[:n] + beta * (loss @ q), logs[n:] - beta * (p @ loss)]

    found = root(equations, np.zeros(2 * n), method="lm", options={"xtol": 1e-15, "ftol": 1e-15})
    assert found.success and abs(found.fun).max() < 1e-11
    for mu, logs in zip((point.x, point.y), np.split(found.x, 2), strict=True):
        w = np.exp(logs - logs.max())
        assert abs(mu.masses - w / w.sum()).sum() < 1e-11


def test_low_rank_and_pairwise_roads_meet():
    game = trigonometric(CIRCULAR)
    a, b = mf.gibbs(game, 25.0, cells=100), mf.gibbs(Pairs(game), 25.0, cells=100)
    assert mf.measures.total_variation(a.x, b.x) < 1e-12
    assert mf.measures.total_variation(a.y, b.y) < 1e-12


def test_krylov_and_dense_directions_meet(monkeypatch):
    game = SMOOTH[1]
    dense = mf.gibbs(game, 10.0, cells=64)
    monkeypatch.setattr(fixed_point, "DENSE", 1)
    krylov = mf.gibbs(game, 10.0, cells=64)
    assert mf.measures.total_variation(dense.x, krylov.x) < 1e-12
    assert mf.measures.total_variation(dense.y, krylov.y) < 1e-12


def test_exchange_of_players_and_shifts():
    game = trigonometric(CIRCULAR)
    a, b = mf.gibbs(game, (8.0, 20.0), cells=128), mf.gibbs(game.swapped(), (20.0, 8.0), cells=128)
    assert mf.measures.total_variation(a.x, b.y) < 1e-12
    assert mf.measures.total_variation(a.y, b.x) < 1e-12
    # cos(x - c) in place of cos(x) turns the answer by c, a whole number of cells.
    c = 2 * np.pi * 10 / 128
    turned = trigonometric([(k, m, *_turned(re, im, k[0] + m[0], c)) for k, m, re, im in CIRCULAR])
    t = mf.gibbs(turned, (8.0, 20.0), cells=128)
    assert abs(np.roll(a.x.masses, 10) - t.x.masses).sum() < 1e-12


def _turned(re, im, wave, c):
    value = (re + 1j * im) * np.exp(-1j * wave * c)
    return value.real, value.imag


def test_a_circle_against_a_torus():
    game = trigonometric(
        [((1,), (1, 0), 1.0, 0.2), ((2,), (0, 1), 0.5, 0.0), ((0,), (1, 1), 0.3, 0.0)]
    )
    point = mf.gibbs(game, 15.0, cells=24)
    assert outside_residual(game, point) < 1e-12
    assert len(point.x) == 24 and len(point.y) == 24**2


def test_a_start_leads_to_the_same_point():
    game = trigonometric(CIRCULAR)
    cold = mf.gibbs(game, 25.0, cells=64)
    rng = np.random.default_rng(0)
    m = rng.random(64)
    for start in ((cold.x, cold.y), (mf.Density(m / m.sum(), cold.x.mesh), cold.y)):
        again = mf.gibbs(game, 25.0, cells=64, start=start)
        assert mf.measures.total_variation(again.x, cold.x) < 1e-12
    on_meshes = mf.gibbs(game, 25.0, cells=(cold.x.mesh, cold.y.mesh))
    assert np.array_equal(on_meshes.x.masses, cold.x.masses)


def test_the_oscillators_point_in_closed_form():
    """By the symmetry x -> -x the coupling a sin x sin y drops out: x from exp(-beta V), y
    likewise.
    """
    point = mf.gibbs(mf.games.oscillator(), 25.0, cells=256)
    x = point.x.points[:, 0]
    exact = np.exp(-25 * (-2 / 3 * np.cos(x) + 5 / 12 * np.cos(2 * x) + 1))
    for mu in (point.x, point.y):
        assert abs(mu.masses - exact / exact.sum()).sum() < 1e-12


def test_moments_converge_spectrally_in_the_mesh():
    means = [
        mf.gibbs(trigonometric(CIRCULAR), 25.0, cells=n).x.integrate(np.cos)
        for n in (12, 24, 96, 192)
    ]
    errors = [abs(m - means[-1]).max() for m in means[:-1]]
    assert errors[0] > 1e-3 > errors[1] > 1e-9 and errors[2] < 1e-13


def test_bad_input_and_failure():
    game = trigonometric(CIRCULAR)
    with pytest.raises(ValueError, match="above 0"):
        mf.gibbs(game, 0.0)
    with pytest.raises(ValueError, match="one number or two"):
        mf.gibbs(game, (1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="no mesh"):
        mf.gibbs(mf.games.polynomial("a", dim=5), 1.0)
    with pytest.raises(ValueError, match="pass cells to match"):
        mf.gibbs(game, 1.0, cells=32, start=(mf.uniform(game.X), mf.uniform(game.Y)))
    with pytest.raises(ValueError, match="cells for x"):
        mf.gibbs(game, 1.0, cells=(mf.mesh(mf.Torus(2), 8), mf.mesh(mf.Torus(1), 8)))
    for bad in (5, (mf.uniform(game.X),)):
        with pytest.raises(TypeError, match="start must be a pair of densities"):
            mf.gibbs(game, 1.0, cells=32, start=bad)
    with pytest.raises(NotConverged, match="stopped at residual"):
        mf.gibbs(game, 25.0, tol=1e-30)


@pytest.mark.parametrize("bad", [None, "oscillator", mf.games.oscillator])
@pytest.mark.parametrize(
    "call",
    [lambda g: mf.gibbs(g, 5.0), lambda g: mf.gibbs_path(g, [1.0]), lambda g: mf.stability(g, 5.0)],
)
def test_what_is_no_game_is_refused(call, bad):
    with pytest.raises(
        TypeError, match="game must be a meanfield game, got .*; see meanfield.games"
    ):
        call(bad)


@pytest.mark.parametrize(
    ("dims", "cells", "shapes"),
    [
        ((2, 2), (12, 8), ((12, 12), (8, 8))),
        ((2, 2), ((12, 8), (6, 10)), ((12, 8), (6, 10))),
        ((1, 1), (24, 32), ((24,), (32,))),
        ((1, 1), mf.mesh(mf.Torus(1), 24), ((24,), (24,))),
        ((1, 1), (mf.mesh(mf.Torus(1), 24), 32), ((24,), (32,))),
        ((1, 2), (24, (6, 8)), ((24,), (6, 8))),
        ((2, 2), 8, ((8, 8), (8, 8))),
    ],
)
def test_cells_mean_what_they_mean_to_solve(dims, cells, shapes):
    X, Y = map(mf.Torus, dims)
    game = mf.games.expression("cos(x1 - y1)", X, Y)
    point, (only,) = (
        mf.gibbs(game, 1.0, cells=cells),
        mf.gibbs_path(game, [1.0], cells=cells).points,
    )
    run = mf.solve(
        game, mf.Langevin(1.0), time=1e-3, step=1e-3, cells=cells, engine="finite-volume"
    )
    for pair in ((point.x, point.y), (only.x, only.y), run[-1]):
        assert tuple(mu.mesh.shape for mu in pair) == shapes


def test_giving_up_says_how_far_it_came(monkeypatch):
    monkeypatch.setattr(fixed_point, "ROUNDS", 0)
    with pytest.raises(NotConverged, match="was followed up to"):
        mf.gibbs(trigonometric(CIRCULAR), 25.0)


# -- S^2 ---------------------------------------------------------------------------------------


def gibbs_moments(game, p, opponent, beta, n=220):
    """E x and E x x' of p's Gibbs density by quadrature along axes turned at random."""
    points, weights = harmonics.quadrature(n)
    points = points @ np.linalg.qr(np.random.default_rng(p).standard_normal((3, 3)))[0]
    masses = weights * np.exp(-beta * game.cost(p, points, opponent))
    masses /= masses.sum()
    return masses @ points, np.einsum("n,ni,nj->ij", masses, points, points)


@pytest.mark.parametrize("beta", [2.0, (5.0, 25.0), 200.0])
@pytest.mark.parametrize("which", ["a", "b", "benchmark"])
def test_moments_on_the_sphere_are_those_of_the_exact_density(which, beta):
    game = mf.games.benchmark("sphere") if which == "benchmark" else polynomial(which, seed=1)
    beta = beta if which == "benchmark" or beta != 200.0 else 40.0
    point = mf.gibbs(game, beta)
    cold = beta if isinstance(beta, tuple) else (beta, beta)
    for p, (mu, nu) in enumerate(((point.x, point.y), (point.y, point.x))):
        mean, square = gibbs_moments(game, p, nu, cold[p])
        assert np.abs(mu.integrate(lambda x: x) - mean).max() < 1e-12
        assert (
            np.abs(np.einsum("n,ni,nj->ij", mu.masses, mu.points, mu.points) - square).max() < 1e-12
        )
    assert point.residual < 1e-12


def test_a_linear_cost_on_the_sphere_has_langevins_mean():
    """l = 3 x_3: E x_3 = 1/k - coth k for k = 3 beta (Langevin 1905)."""
    game, k = polynomial_from(0, np.zeros((3, 3)), 0, 0, [0, 0, 3.0], 0), 15.0
    mean = mf.gibbs(game, 5.0).x.integrate(lambda x: x)
    assert np.abs(mean - [0, 0, 1 / k - 1 / np.tanh(k)]).max() < 1e-13


def test_cells_of_the_sphere_are_about_as_many_as_asked_and_coarse_ones_are_said():
    game = mf.games.benchmark("sphere")
    point = mf.gibbs(game, 5.0, cells=(642, mf.mesh(mf.Sphere(2), 642)))
    assert len(point.x) == 648 and not point.y.mesh.by_parallels
    with pytest.warns(mf.UnderResolved, match="player x: the outer third"):
        mf.gibbs(game, 100.0, cells=2592)
    path = mf.gibbs_path(game, [5.0, 100.0])
    assert len(path.points[0].x) == 2592 < len(path.points[1].x)


@pytest.mark.parametrize(
    ("game", "beta", "fine"),
    [
        (mf.games.oscillator(), 2000.0, 1024),
        (mf.games.benchmark("torus"), 40.0, 128),
        (polynomial_from(0, np.zeros((2, 2)), 0, 0, [3.0, 0], [0, 2.0]), 3000.0, 2048),
    ],
)
def test_means_are_right_to_rounding_without_cells_and_too_few_are_said(game, beta, fine):
    def means(cells):
        point = mf.gibbs(game, beta, cells=cells)
        return [game.moments(p, mu.points, mu.masses) for p, mu in enumerate((point.x, point.y))]

    for found, exact in zip(means(None), means(fine), strict=True):
        assert np.abs(found - exact).max() < 2e-13
    with pytest.warns(mf.UnderResolved, match="the outer third"):
        mf.gibbs(game, beta, cells=fine // 16 if game.X.dim == 1 else 32)


# -- how fine the mesh is --------------------------------------------------------------------------


def shaped(on, f):
    return mf.Density(f * on.volumes / (f @ on.volumes), on)


def test_outer_shares_are_those_of_the_waves_and_harmonics_put_in():
    """Amplitudes of the outer third over all: at the edge, a third of the waves is not outer."""
    on = mf.mesh(mf.Torus(2), (12, 9))
    x, y = on.nodes.T
    f = 1 + 0.1 * np.cos(4 * x) + 0.2 * np.cos(5 * x) + 0.05 * np.cos(3 * y - x)
    f += 0.03 * np.sin(4 * y) + 0.02 * np.cos(x + 4 * y)
    found = {"torus": (module._outer_share(shaped(on, f)), 0.25 / 1.4)}
    on = mf.mesh(mf.Sphere(1), 12)
    turn = np.arctan2(on.nodes[:, 1], on.nodes[:, 0])
    f = 1 + 0.1 * np.cos(4 * turn) + 0.2 * np.sin(5 * turn)
    found["S^1"] = module._outer_share(shaped(on, f)), 0.2 / 1.3
    on, c = mf.meshes.quadrature_mesh(8), np.zeros(64)
    c[[0, 4 * 4 + 4 + 2, 5 * 5 + 5 - 3]] = (4 * np.pi) ** -0.5, 0.03, -0.02
    f = harmonics.evaluate(c, on.nodes)
    found["S^2"] = module._outer_share(shaped(on, f)), 0.02 / (0.05 + c[0])
    on = mf.mesh(mf.Sphere(3), 16 * 6**3)
    a, b = (on.nodes[:, k] + 1j * on.nodes[:, k + 1] for k in (0, 2))
    u, v, P = np.angle(a), np.angle(b), np.polynomial.legendre.Legendre.basis
    h = 2 * np.abs(b) ** 2 - 1
    outer = 0.05 * P(4)(h) + 0.02 * np.cos(9 * v) + 0.015 * np.cos(2 * u) * P(5)(h)
    f = 1 + outer + 0.04 * P(3)(h) + 0.03 * np.cos(8 * u) + 0.01 * np.cos(u) * P(5)(h)
    f += 0.012 * np.cos(3 * v) * P(4)(h) + 0.007 * np.cos(v) * np.cos(2 * u) * P(4)(h)
    found["S^3"] = module._outer_share(shaped(on, f)), 0.085 / 1.184
    for space, (share, exact) in found.items():
        assert share == pytest.approx(exact, rel=1e-11), space
    assert module._outer_share(shaped(mf.mesh(mf.Sphere(2), 162), np.ones(162))) == 0


@pytest.mark.parametrize(
    ("on", "finer"),
    [
        (mf.mesh(mf.Torus(1), 12), (18,)),
        (mf.mesh(mf.Torus(2), (12, 8)), (18, 12)),
        (mf.mesh(mf.Torus(3), (9, 8, 10)), (13, 12, 15)),
        (mf.meshes.quadrature_mesh(7), (10, 20)),
        (mf.mesh(mf.Sphere(1), 12), (24,)),
        (mf.mesh(mf.Sphere(3), 1024), (6, 24, 24)),
        (mf.mesh(mf.Torus(1), 43690), (65535,)),
        (mf.mesh(mf.Torus(1), 43692), None),
    ],
    ids=str,
)
def test_meshes_are_half_as_fine_again_along_each_axis(on, finer, monkeypatch):
    """Where the share is above 0.002, as long as there are at most 65536 nodes."""
    mu = mf.Density(on.volumes / on.volumes.sum(), on)
    monkeypatch.setattr(module, "_outer_share", lambda _: 0.00201)
    found = module._finer(mu, True, "x")
    assert found is on if finer is None else (found.shape or (len(found),)) == finer
    assert module._finer(mu, False, "x") is on
    monkeypatch.setattr(module, "_outer_share", lambda _: 0.00199)
    assert module._finer(mu, True, "x") is on


def test_meshes_that_may_not_be_finer_are_said_from_a_share_of_one_twentieth(monkeypatch, recwarn):
    mu = shaped(mf.mesh(mf.Torus(1), 12), np.ones(12))
    for share, said in ((0.0499, 0), (0.0501, 1)):
        monkeypatch.setattr(module, "_outer_share", lambda _, share=share: share)
        assert module._finer(mu, False, "y") is mu.mesh and len(recwarn) == said
