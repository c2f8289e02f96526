"""MUSCL finite volumes for (8), (6) and mirror descent: what they keep, their order, closed
solutions.
"""

import warnings

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import meanfield as mf
from meanfield.checks import NotConverged, UnderResolved
from meanfield.density.characteristics import Characteristics
from meanfield.density.muscl import LIMITERS, Muscl, face_value, slopes, stencil
from meanfield.games.lowrank import trigonometric
from tests.convergence import fitted_order
from tests.flat_problems import (
    CIRCLE,
    COSINES,
    HEIGHT,
    Pairs,
    cosine_density,
    engine,
    modes,
    run,
    sphere_mesh,
    tilted,
)

# Many runs here use few cells on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
WFR, PLAIN = mf.WassersteinFisherRao(), mf.Wasserstein()
FLOWS = {
    "wfr": WFR,
    "plain": PLAIN,
    "mirror": mf.MirrorDescent(2.0),
    "mixed": mf.Flow(gamma=(1, 0), alpha=(0.5, 3)),
}


def test_the_virtual_value_is_the_cell_further_upstream_on_tensor_grids():
    mesh = mf.mesh(mf.Torus(2), (7, 5))
    s = stencil(mesh)
    rho = np.random.default_rng(0).random(35)
    slope = np.empty((35, 2))
    slopes(rho, s.others, s.weights, slope)
    grid = np.arange(35).reshape(7, 5)
    i, j = mesh.pairs.T
    axis = np.repeat([0, 1], 35)
    before, after = (
        np.where(axis == 0, np.roll(grid, k, 0).ravel()[cell], np.roll(grid, k, 1).ravel()[cell])
        for k, cell in ((1, i), (-1, j))
    )
    assert np.abs(rho[j] - 2 * np.sum(slope[i] * s.ahead, 1) - rho[before]).max() < 1e-14
    assert np.abs(rho[i] - 2 * np.sum(slope[j] * s.back, 1) - rho[after]).max() < 1e-14


def test_slopes_are_of_first_order_or_better_on_the_sphere():
    errors, widths = [], []
    for level in (1, 2, 3):
        mesh = sphere_mesh(level)
        s, z = stencil(mesh), mesh.nodes
        slope = np.empty((len(mesh), 2))
        slopes(np.exp(z[:, 0] + z[:, 1] * z[:, 2]), s.others, s.weights, slope)
        f = np.exp(z[:, 0] + z[:, 1] * z[:, 2])[:, None]
        exact = f * np.column_stack([np.ones(len(z)), z[:, 2], z[:, 1]])
        frame = mesh.manifold.basis(z)
        errors.append(np.abs(slope - np.einsum("nda,na->nd", frame, exact)).max())
        widths.append(len(mesh) ** -0.5)
    assert fitted_order(widths, errors) > 0.9


@pytest.mark.parametrize("limiter", LIMITERS)
def test_face_values_stay_between_zero_and_twice_the_upwind_density(limiter):
    code = LIMITERS[limiter]
    for behind, here, beyond in np.random.default_rng(1).exponential(size=(2000, 3)) ** 3:
        assert 0 <= face_value(behind, here, beyond, code) <= 2 * here * (1 + 1e-15)
    assert face_value(1.0, 2.0, 3.0, code) == 2.5
    assert face_value(1.0, 0.0, 5.0, code) == 0.0
    if limiter != "positive":
        assert face_value(1.0, 2.0, 1.5, code) == 2.0


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("cells", [16, (24, 7)])
def test_masses_stay_nonnegative_and_sum_to_one_from_one_cell(flow, cells):
    point = mf.Start(
        x=mf.Measure([[1.0]], None, CIRCLE.X), y=mf.Measure([[2.5], [5.5]], [0.3, 0.7], CIRCLE.Y)
    )
    for limiter in LIMITERS:
        moving = engine(Muscl, CIRCLE, FLOWS[flow], point, cells, limiter=limiter)
        for t in (0.1, 1.0, 3.0):
            moving.advance(t)
            for m in moving.masses:
                assert m.min() >= 0 and abs(m.sum() - 1) < 1e-12
    assert moving.diagnostics()["min_mass"] >= 0


def test_the_longest_stable_given_step_is_accepted_and_keeps_the_sign():
    with pytest.raises(
        ValueError, match=r"would make masses negative at t = 0; a step of .* would do"
    ) as refusal:
        run(Muscl, COSINES, PLAIN, 1.0, cells=64, step=0.2)
    better = float(str(refusal.value).split("a step of ")[1].split(" ")[0])
    # Outflow from one cell to both sides at speed sin(h/2) h/2..., at most 1 through each face:
    # h/2.
    assert 0.8 * 2 * np.pi / 64 / 2 * 0.9 < better < 2 * np.pi / 64
    done = run(Muscl, COSINES, PLAIN, 1.0, cells=64, step=better)
    assert done.diagnostics()["min_mass"] > 0
    assert done.diagnostics()["steps"] == np.ceil(1 / better)


@pytest.mark.parametrize("limiter", LIMITERS)
def test_transport_has_order_two_against_the_closed_density(limiter):
    sizes, errors = (64, 128, 256, 512), []
    for n in sizes:
        mu, _ = run(Muscl, COSINES, PLAIN, 1.0, cells=n, limiter=limiter).measures()
        exact = cosine_density(mu.points[:, 0], 1.0, 0)
        errors.append(np.abs(mu.values - exact).mean() * 2 * np.pi)
    assert -2.2 < fitted_order(sizes, errors) < -1.8
    assert errors[-1] < 2e-5


def test_transport_with_reaction_has_order_two_against_the_closed_density():
    sizes, errors = (64, 128, 256, 512), []
    for n in sizes:
        mu, _ = run(Muscl, COSINES, WFR, 1.0, cells=n).measures()
        errors.append(
            np.abs(mu.values - cosine_density(mu.points[:, 0], 1.0, 1)).mean() * 2 * np.pi
        )
    assert -2.2 < fitted_order(sizes, errors) < -1.8


def test_transport_converges_on_the_voronoi_sphere_without_change():
    """Cost x_3 moves the polar angle as cosine_flow does; the density's Jacobian is its square."""
    widths, errors = [], []
    for level in (2, 3, 4):
        mesh = sphere_mesh(level)
        done = run(Muscl, HEIGHT, PLAIN, 0.5, cells=mesh)
        mu, _ = done.measures()
        z = mesh.nodes[:, 2]
        shrink = 1 / (np.cosh(0.5) + np.sinh(0.5) * z)
        before = (z * np.cosh(0.5) + np.sinh(0.5)) * shrink
        exact = (1 + 0.5 * before) / (4 * np.pi) * shrink**2
        errors.append(np.abs(mu.values - exact) @ mesh.volumes)
        widths.append(len(mesh) ** -0.5)
        assert abs(done.masses[0].sum() - 1) < 1e-12 and done.masses[0].min() > 0
    assert fitted_order(widths, errors) > 1.6


def test_reaction_against_a_fixed_cost_is_exact_at_any_step():
    for step in (None, 3.0):
        mu, _ = run(Muscl, COSINES, mf.MirrorDescent(2.0), 3.0, cells=40, step=step).measures()
        exact = tilted(mu.points) * np.exp(-6 * np.cos(mu.points[:, 0]))
        assert np.abs(mu.masses - exact / exact.sum()).max() < 1e-13


def test_coupled_reaction_has_order_two_in_the_step():
    """Characteristics are exact in space when nothing moves: the difference is the step's alone."""
    exact = run(Characteristics, CIRCLE, mf.MirrorDescent(2.0), 2.0, cells=32, tol=1e-13).measures()
    steps, errors = (0.2, 0.1, 0.05, 0.025), []
    for h in steps:
        found = run(Muscl, CIRCLE, mf.MirrorDescent(2.0), 2.0, cells=32, step=h).measures()
        errors.append(max(mf.total_variation(a, b) for a, b in zip(exact, found, strict=True)))
    assert 1.9 < fitted_order(steps, errors) < 2.1


def test_tolerance_controls_the_reaction():
    exact = run(Characteristics, CIRCLE, mf.MirrorDescent(2.0), 5.0, cells=32, tol=1e-13).measures()
    for tol in (1e-4, 1e-6, 1e-8):
        found = run(Muscl, CIRCLE, mf.MirrorDescent(2.0), 5.0, cells=32, tol=tol).measures()
        error = max(mf.total_variation(a, b) for a, b in zip(exact, found, strict=True))
        # Errors grow as the 2/3 power of those of a step: steps are as tol^(1/3).
        assert error < 5 * tol ** (2 / 3)


def test_moments_keep_their_meaning_once_concentrated():
    exact = modes(run(Characteristics, CIRCLE, WFR, 4.0, cells=8192).measures())
    found = run(Muscl, CIRCLE, WFR, 4.0, cells=1024)
    assert np.abs(modes(found.measures()) - exact).max() < 1.5e-3


def test_any_loss_gives_what_its_low_rank_form_gives():
    a = run(Muscl, CIRCLE, WFR, 0.5, cells=(24, 18)).measures()
    b = run(Muscl, Pairs(CIRCLE), WFR, 0.5, cells=(24, 18)).measures()
    for m, n in zip(a, b, strict=True):
        assert np.abs(m.masses - n.masses).max() < 1e-14


def test_a_circle_plays_a_torus():
    """l(x, y_1) on T^1 x T^2 with y_2 uniform is the game on circles, cell by cell."""
    lifted = trigonometric(
        [
            ((1,), (-1, 0), 1, 0),
            ((2,), (1, 0), 0, -0.25),
            ((2,), (-1, 0), 0, -0.25),
            ((0,), (3, 0), 0.3, 0),
        ]
    )
    start = mf.Start(x=tilted, y=lambda q: tilted(q[:, :1]))
    x, y = run(Muscl, lifted, WFR, 0.7, start, cells=(32, (32, 6))).measures()
    flat_x, flat_y = run(Muscl, CIRCLE, WFR, 0.7, cells=32).measures()
    assert np.abs(x.masses - flat_x.masses).max() < 1e-12
    assert np.abs(y.masses.reshape(32, 6) - flat_y.masses[:, None] / 6).max() < 1e-12


def test_order_on_the_torus_against_a_closed_product():
    game = trigonometric([((1, 0), (0, 0), 1, 0), ((0, 1), (0, 0), 1, 0)])
    start = mf.Start(x=lambda q: tilted(q[:, :1]) * tilted(q[:, 1:]))
    sizes, errors = (16, 32, 64), []
    for n in sizes:
        mu, _ = run(Muscl, game, PLAIN, 0.5, start, cells=(n, 4)).measures()
        exact = cosine_density(mu.points[:, 0], 0.5, 0) * cosine_density(mu.points[:, 1], 0.5, 0)
        errors.append(np.abs(mu.values - exact).mean() * (2 * np.pi) ** 2)
    assert -2.3 < fitted_order(sizes, errors) < -1.8


def test_both_engines_agree_on_a_coupled_game_on_tori():
    """Spectral convergence of the one, order 2 of the other, towards one answer."""
    game, sizes = mf.games.benchmark("torus"), (16, 32, 64)
    start = mf.Start(*(2 * [lambda q: tilted(q[:, :1]) * tilted(q[:, 1:])]))

    def means(kind, n):
        waves = np.array([[1, 0], [0, 1], [1, 1], [2, 1]])
        pair = run(kind, game, WFR, 0.5, start, cells=n).measures()
        return np.concatenate([m.masses @ np.exp(1j * (m.points @ waves.T)) for m in pair])

    exact = means(Characteristics, 64)
    few, more = (np.abs(means(Characteristics, n) - exact).max() for n in (16, 32))
    assert few > 50 * more and more < 1e-4
    assert -2.3 < fitted_order(sizes, [np.abs(means(Muscl, n) - exact).max() for n in sizes]) < -1.8


def test_wang_chizat_atoms_on_nodes_orbit_to_order_two():
    """Cells at the equilibrium's points lose nothing; (1/4 - a^2)(1/4 - b^2) is conserved."""
    game = mf.games.wang_chizat()
    start = mf.Start(*game.answers["measures"](0.3, 0.1))
    velocity = game.answers["velocity"]
    exact = solve_ivp(
        lambda t, z: velocity(*z), (0, 3.6), [0.3, 0.1], rtol=1e-12, atol=1e-13, method="DOP853"
    ).y[:, -1]
    steps, errors = (2.5e-3, 1.25e-3, 6.25e-4), []
    for h in steps:
        x, y = run(Muscl, game, WFR, 3.6, start, cells=8, step=h).measures()
        assert x.masses[[3, 7]].sum() == pytest.approx(1, abs=1e-12)
        off = np.array([x.masses[3], y.masses[1]]) - 0.5
        assert np.prod(0.25 - off**2) == pytest.approx(0.16 * 0.24, abs=1e-8)
        errors.append(np.abs(off - exact).max())
    assert 1.9 < fitted_order(steps, errors) < 2.1


def test_densities_on_few_cells_are_said_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thin = run(Muscl, CIRCLE, WFR, 1.0, cells=256)
    with pytest.warns(UnderResolved, match="raise `cells`"):
        thin.advance(5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thin.advance(6.0)


def test_a_step_too_long_for_the_reaction_is_said():
    with pytest.warns(UnderResolved, match="step = 1.5 errs by about"):
        run(Muscl, CIRCLE, mf.MirrorDescent(2.0), 3.0, cells=16, step=1.5)


def test_costs_that_do_not_fit_in_memory_are_formed_anew(monkeypatch):
    kept = run(Muscl, Pairs(CIRCLE), WFR, 0.2, cells=(12, 9)).measures()
    monkeypatch.setattr("meanfield.density.coupling.STORED", 50)
    formed = run(Muscl, Pairs(CIRCLE), WFR, 0.2, cells=(12, 9)).measures()
    for a, b in zip(kept, formed, strict=True):
        assert np.abs(a.masses - b.masses).max() < 1e-14


def test_a_loss_without_values_ends_the_run():
    class Broken(Pairs):
        def cost_matrix(self, p, points, opponent_nodes):
            return np.full((len(points), len(opponent_nodes)), np.nan)

    with pytest.raises(NotConverged, match="is the loss finite"):
        run(Muscl, Broken(CIRCLE), WFR, 1.0, cells=8)


@pytest.mark.parametrize(
    ("say", "options"),
    [
        ("finite-volume", {"flow": mf.Langevin(2.0)}),
        ("mesh of", {"cells": mf.mesh(mf.Torus(2), 4)}),
        ("limiter must be one of", {"limiter": "minmod"}),
        ("at least 3", {"cells": 2}),
    ],
)
def test_bad_input_is_refused(say, options):
    options = {"flow": WFR, **options}
    with pytest.raises(ValueError, match=say):
        engine(Muscl, CIRCLE, options.pop("flow"), **options)
