"""The Galerkin engine against other methods, exact answers and symmetries."""

import warnings

import numpy as np
import pytest

from meanfield.checks import UnderResolved
from meanfield.flows import Langevin
from meanfield.games.lowrank import trigonometric
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.meshes import mesh
from meanfield.start import Start, concentrated
from tests.galerkin_runs import BUMPS, OSCILLATOR, engine, nodal_error, run
from tests.langevin_runs import CIRCLE, WAVY, pseudospectral, wavy


def distance_to(e, reference):
    return max(
        float(np.abs(mu.values - f) @ mu.mesh.volumes)
        for mu, f in zip(e.measures(), reference, strict=True)
    )


# -- another method ----------------------------------------------------------------------------


def test_agrees_with_a_pseudospectral_solver_on_the_circle():
    grid = mesh(Torus(1), 65)
    start = wavy(grid.nodes)

    def loss(x, y):
        x, y = x[..., 0], y[..., 0]
        return np.cos(x - y) + 0.5 * np.sin(2 * x) * np.cos(y) + 0.3 * np.cos(3 * y)

    gamma = (1.0, 0.6)
    other = pseudospectral(loss, (grid, grid), (start, start), 5.0, gamma, 1.0)
    e = run(CIRCLE, Langevin(5.0, gamma), WAVY, 1.0, (65, 65), tol=1e-10)
    assert distance_to(e, other) < 1e-8
    # The two players differ, so that a player's drift taken for the other's would be seen.
    assert np.abs(other[0] - other[1]).max() > 0.1


def test_circle_against_a_torus_of_another_period():
    X, Y = Torus(1, period=3.0), Torus(2, period=5.0)
    u, v = 2 * np.pi / 3.0, 2 * np.pi / 5.0

    def loss(x, y):
        x, y1, y2 = u * x[..., 0], v * y[..., 0], v * y[..., 1]
        return 0.8 * np.cos(x - y1 + 2 * y2) - 0.3 * np.sin(2 * x + y1 - y2) + 0.5 * np.cos(y1 + y2)

    game = trigonometric(
        [((1,), (-1, 2), 0.8, 0.0), ((2,), (1, -1), 0.0, 0.3), ((0,), (1, 1), 0.5, 0.0)], X, Y
    )
    grids = mesh(X, 35), mesh(Y, 35)
    starts = (
        1 + 0.5 * np.sin(u * grids[0].nodes[:, 0]),
        (1 + 0.4 * np.cos(v * grids[1].nodes[:, 0]))
        * (1 + 0.3 * np.sin(v * grids[1].nodes.sum(1))),
    )
    start = Start(
        lambda x: 1 + 0.5 * np.sin(u * x[:, 0]),
        lambda y: (1 + 0.4 * np.cos(v * y[:, 0])) * (1 + 0.3 * np.sin(v * y.sum(1))),
    )
    other = pseudospectral(loss, grids, starts, 4.0, (1.0, 1.0), 0.5)
    e = run(game, Langevin(4.0), start, 0.5, (35, 35), tol=1e-10)
    assert distance_to(e, other) < 1e-8


# -- convergence -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
def test_convergence_is_exponential_in_the_modes():
    reference = run(CIRCLE, Langevin(10.0), WAVY, 2.0, (192, 192), step=0.01)
    counts = np.array([25, 33, 41, 49, 57, 65])
    errors = np.array(
        [
            nodal_error(run(CIRCLE, Langevin(10.0), WAVY, 2.0, (n, n), step=0.01), reference)
            for n in counts
        ]
    )
    assert errors[-1] < 3e-6 < 1e-2 < errors[0]
    rates = -np.diff(np.log(errors)) / np.diff(counts)
    # An algebraic order would have rates that fall like 1/N; here they stay.
    assert rates[-3:].mean() > 0.75 * rates[:2].mean() > 0.1


def test_order_four_in_time():
    reference = run(CIRCLE, Langevin(10.0), WAVY, 1.0, step=1 / 2560)
    steps = 1.0 / np.array([20, 40, 80, 160])
    errors = [nodal_error(run(CIRCLE, Langevin(10.0), WAVY, 1.0, step=h), reference) for h in steps]
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 3.8 < order < 4.3


@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-8])
def test_controlled_step_and_free_modes_meet_the_tolerance(tol):
    reference = run(CIRCLE, Langevin(10.0), WAVY, 5.0, (192, 192), step=0.005)
    e = run(CIRCLE, Langevin(10.0), WAVY, 5.0, (None, None), tol=tol)
    assert tol / 1000 < nodal_error(e, reference) < tol


def test_mass_is_exact():
    e = engine(OSCILLATOR, Langevin(25.0), BUMPS, (128, 128), tol=1e-6)
    for t in (0.0, 0.01, 3.0, 20.0):
        e.advance(t)
        for p, mu in enumerate(e.measures()):
            zero = (e.wave_numbers(p) == 0).all(axis=1)
            assert e.modes(p)[zero] == 1.0
            assert abs(mu.masses.sum() - 1) < 1e-14


# -- exact answers -----------------------------------------------------------------------------


def test_uniform_equilibrium_has_its_eigenvalues():
    """l = A cos(k(x - y)): mode k turns and decays with eigenvalues -k^2/beta +- i k^2 A/2."""
    A, k, beta, eps, time = 1.3, 2, 7.0, 1e-7, 1.7
    game = trigonometric([((k,), (-k,), A, 0.0)])
    start = Start(lambda x: 1 + 2 * eps * np.cos(k * x[:, 0]), "uniform")
    e = run(game, Langevin(beta), start, time, (32, 32), tol=1e-13)
    at = [e.modes(p)[e.wave_numbers(p)[:, 0] == k][0] / eps for p in (0, 1)]
    decay, turn = np.exp(-(k**2) * time / beta), k**2 * A / 2 * time
    # d mu_x = -k^2/beta mu_x - (k^2 A / 2) mu_y, d mu_y = -k^2/beta mu_y + (k^2 A / 2) mu_x.
    assert abs(at[0] - decay * np.cos(turn)) < 1e-6
    assert abs(at[1] - decay * np.sin(turn)) < 1e-6


@pytest.mark.parametrize("how", [{"step": 0.7}, {"tol": 1e-6}])
def test_free_motion_is_exact(how):
    """l = 0: mode k decays as exp(-w^2 |k|^2 t / beta), whatever the step; atoms enter exactly."""
    X, Y = Torus(1, period=3.0), Torus(2)
    game = trigonometric([((1,), (0, 1), 0.0, 0.0)], X, Y)
    points = np.array([[0.4, 1.0], [2.0, 6.1], [3.3, 0.2]])
    masses = np.array([0.5, 0.2, 0.3])
    start = Start(lambda x: 1 + 0.5 * np.cos(2 * np.pi / 3 * x[:, 0]), Measure(points, masses, Y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        e = run(game, Langevin(2.0), start, 2.1, (16, 16), **how)
    k = e.wave_numbers(0)[:, 0]
    expected = np.where(
        k == 0, 1.0, np.where(k == 1, 0.25 * np.exp(-((2 * np.pi / 3) ** 2) * 2.1 / 2), 0.0)
    )
    assert np.abs(e.modes(0) - expected).max() < 1e-15
    k = e.wave_numbers(1)
    expected = (np.exp(-1j * k @ points.T) @ masses) * np.exp(-np.sum(k**2, 1) * 2.1 / 2)
    assert np.abs(e.modes(1) - expected).max() < 1e-15


def test_atoms_become_wrapped_normals():
    game = trigonometric([((1,), (1,), 0.0, 0.0)])
    e = run(game, Langevin(1.0), Start(Measure([[1.0]], None, Torus(1)), "uniform"), 0.3, (64, 64))
    x, _ = e.measures()
    gaps = x.points[:, :1] - 1.0 + 2 * np.pi * np.arange(-3, 4)
    exact = np.exp(-(gaps**2) / (4 * 0.3)).sum(1) / np.sqrt(4 * np.pi * 0.3)
    assert np.abs(x.values - exact).max() < 1e-12


# -- symmetries --------------------------------------------------------------------------------

TERMS = [((1, 0), (-1,), 1.0, 0.2), ((2, 1), (1,), 0.3, -0.5), ((1, -1), (2,), 0.0, 0.4)]
PLACE = Start(concentrated([1.0, 2.0], std=0.5**0.5), concentrated(4.0, std=0.4**0.5))


def test_shifting_the_torus_commutes():
    a, b = np.array([0.7, -1.1]), 0.4
    moved = []
    for k, m, re, im in TERMS:  # l(x - a, y - b)
        turned = (re + 1j * im) * np.exp(-1j * (np.dot(k, a) + m[0] * b))
        moved.append((k, m, turned.real, turned.imag))
    start = Start(concentrated([1.7, 0.9], std=0.5**0.5), concentrated(4.4, std=0.4**0.5))
    e = run(trigonometric(TERMS), Langevin(4.0), PLACE, 0.5, (48, 48), step=0.02)
    s = run(trigonometric(moved), Langevin(4.0), start, 0.5, (48, 48), step=0.02)
    shift = np.exp(-1j * e.wave_numbers(0) @ a), np.exp(-1j * e.wave_numbers(1)[:, 0] * b)
    # Bumps are taken by their nodal values: shifting them is exact up to their modes beyond the
    # mesh's.
    for p in range(2):
        assert np.abs(e.modes(p) * shift[p] - s.modes(p)).max() < 1e-9


def test_period_is_a_unit_of_length():
    """On a torus of period P all goes as on one of 2 pi, w^2 times as fast."""
    P = 1.7
    w = 2 * np.pi / P
    start = Start(
        lambda x: 1 + 0.5 * np.cos(w * (x[:, 0] + x[:, 1])), lambda y: 1 + 0.5 * np.sin(w * y[:, 0])
    )
    plain = Start(
        lambda x: 1 + 0.5 * np.cos(x[:, 0] + x[:, 1]), lambda y: 1 + 0.5 * np.sin(y[:, 0])
    )
    wide = run(trigonometric(TERMS), Langevin(4.0), plain, 1.0, (24, 24), step=0.05)
    game = trigonometric(TERMS, Torus(2, period=P), Torus(1, period=P))
    small = run(game, Langevin(4.0, gamma=1 / w**2), start, 1.0, (24, 24), step=0.05)
    for p in range(2):
        assert np.abs(wide.modes(p) - small.modes(p)).max() < 1e-12


def test_gamma_is_a_unit_of_time():
    one = run(CIRCLE, Langevin(10.0), WAVY, 1.0, step=0.05)
    two = run(CIRCLE, Langevin(10.0, gamma=4.0), WAVY, 0.25, step=0.0125)
    assert max(np.abs(one.modes(p) - two.modes(p)).max() for p in (0, 1)) < 1e-13
