"""Staggered differences of order 4, 6, 8: orders, conservation, Gibbs, the exponential, and other
engines.
"""

import warnings
from functools import cache, partial

import numpy as np
import pytest
from scipy.linalg import expm

import meanfield as mf
from meanfield.checks import NotConverged, UnderResolved
from meanfield.density import stencils
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.fourier import Galerkin
from meanfield.density.staggered import Staggered
from meanfield.flows import Langevin, Rates, WassersteinFisherRao
from meanfield.games.lowrank import polynomial, trigonometric
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.meshes import Mesh, mesh
from meanfield.start import Start, concentrated
from tests.convergence import fitted_order
from tests.galerkin_runs import nodal_error
from tests.langevin_runs import CIRCLE, TORUS, distance, moved_on, started, wavy

ORDERS = (4, 6, 8)

engine, moved = partial(started, Staggered), partial(moved_on, Staggered)


@cache
def modes(game, beta, cells, until):
    made = Galerkin(
        game, Langevin(beta), Start(wavy, wavy).laws(game.X, game.Y), (cells, cells), tol=1e-11
    )
    made.advance(until)
    return made


# -- the differences -----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_weights_differentiate_odd_powers_exactly(order):
    """sum_s w_s 2 (s - 1/2)^k is 1 for k = 1 and 0 for the other odd k < p: the definition of order
    p.
    """
    w = np.array(stencils.WEIGHTS[order])
    at = np.arange(len(w)) + 0.5
    for k in range(1, order, 2):
        assert abs(2 * w @ at**k - (k == 1)) < 1e-13
    assert abs(2 * w @ at ** (order + 1)) > 1e-2


def generator(shape, order, beta=2.0, gamma=1.3, seed=0):
    """A as a dense matrix for random costs, their values at nodes, and what makes it."""
    on = mesh(Torus(len(shape), period=3.0), shape)
    rates = stencils.StencilRates(on, Rates(gamma, 0.0, 1 / beta), order)
    rng = np.random.default_rng(seed)
    nodes, faces = rng.standard_normal((1, len(on))), rng.standard_normal((1, len(on.pairs)))
    found, _ = rates(nodes, faces)
    A = np.stack([stencils.apply(found[0], rates.back, rates.shape, e) for e in np.eye(len(on))], 1)
    return A, nodes[0], faces[0], on, rates, found[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(11,), (8, 9), (8, 8, 8)], ids=str)
def test_generator_conserves_kills_gibbs_and_is_symmetric_in_its_weight(order, shape):
    A, U, _, _, _, _ = generator(shape, order)
    size = np.abs(A).sum(0).max()
    gibbs = np.exp(-2.0 * U)
    assert np.abs(A.sum(0)).max() < 1e-13 * size
    assert np.abs(A @ gibbs).max() < 1e-13 * size * gibbs.max()
    weighted = A * gibbs
    assert np.abs(weighted - weighted.T).max() < 1e-12 * np.abs(weighted).max()
    root = np.sqrt(gibbs)
    assert (
        np.linalg.eigvalsh(0.5 * (weighted + weighted.T) / np.outer(root, root)).max()
        < 1e-11 * size
    )


@pytest.mark.parametrize("order", ORDERS)
def test_generator_is_the_formula_on_two_angles(order):
    """Against D-(exp(-beta U_face) D+(exp(beta U) v)) written with np.roll."""
    A, U, F, _, _, _ = generator((9, 10), order)
    v = np.random.default_rng(1).standard_normal(90)
    w, grid = stencils.WEIGHTS[order], (np.exp(2.0 * U) * v).reshape(9, 10)
    out = np.zeros((9, 10))
    for a, n in enumerate((9, 10)):
        h = 3.0 / n
        ahead = (
            sum(c * (np.roll(grid, -(s + 1), a) - np.roll(grid, s, a)) for s, c in enumerate(w)) / h
        )
        flux = np.exp(-2.0 * F[a * 90 : (a + 1) * 90].reshape(9, 10)) * ahead
        out += (
            sum(c * (np.roll(flux, -s, a) - np.roll(flux, s + 1, a)) for s, c in enumerate(w)) / h
        )
    np.testing.assert_allclose(A @ v, 1.3 / 2.0 * out.ravel(), atol=1e-12 * np.abs(out).max())


@pytest.mark.parametrize("duration", [1e-4, 0.03, 1.0, 40.0])
def test_exponential_is_scipys(duration):
    A, _, _, _, rates, found = generator((24,), 8, beta=1.0)
    m = np.random.default_rng(2).random(24)
    new, lost = rates.exponential(found * duration, m)
    np.testing.assert_allclose(new, expm(A * duration) @ m, atol=1e-11)
    assert abs(new.sum() - m.sum()) < 1e-14 * 24 and lost < 1e-10
    bound = stencils.bound(found, rates.back, rates.shape)
    assert np.abs(A).sum(0).max() <= bound * (1 + 1e-12) < 10 * np.abs(A).sum(0).max()


def test_bounds_of_two_point_differences_are_sharp(monkeypatch):
    """Their rates are not negative: columns of |A| are sums of what leaves a node, twice."""
    monkeypatch.setitem(stencils.WEIGHTS, 2, (1.0,))
    A, U, F, on, rates, found = generator((5, 7), 2)
    bound = stencils.bound(found, rates.back, rates.shape)
    assert bound == pytest.approx(np.abs(A).sum(0).max(), rel=1e-13)
    i, j = on.pairs.T
    assert rates(U[None], F[None])[1] == pytest.approx(2.0 * np.abs(U[i] - U[j]).max(), rel=1e-14)


# -- orders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "sizes", "low", "high"),
    [(4, (64, 96, 128), 3.85, 4.1), (6, (64, 96, 128), 5.85, 6.1), (8, (96, 128, 160), 7.6, 8.1)],
)
def test_orders_in_space_on_the_circle(order, sizes, low, high):
    exact = modes(CIRCLE, 10.0, 192, 0.5)
    errors = [nodal_error(moved(cells=n, until=0.5, tol=1e-11, order=order), exact) for n in sizes]
    assert low < -fitted_order(sizes, errors) < high
    assert errors[-1] < {4: 1e-4, 6: 2e-6, 8: 3e-8}[order]


@pytest.mark.parametrize(
    ("order", "sizes", "low", "high"),
    [(4, (24, 32, 48), 3.7, 4.2), (6, (24, 32, 48), 5.6, 6.2), (8, (24, 32, 48), 7.3, 8.2)],
)
def test_orders_in_space_on_the_torus(order, sizes, low, high):
    exact = modes(TORUS, 3.0, 40, 0.3)
    errors = [
        nodal_error(moved(TORUS, 3.0, cells=n, until=0.3, tol=1e-8, order=order), exact)
        for n in sizes
    ]
    assert low < -fitted_order(sizes, errors) < high


def test_step_control_reaches_its_tolerance():
    fine = moved(until=2.0, step=2 / 1152)
    for tol in (1e-3, 1e-5, 1e-7):
        assert 1e-4 * tol < distance(moved(until=2.0, tol=tol), fine) < 2 * tol


# -- exactness -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "beta", "cells"), [(CIRCLE, 5.0, 128), (TORUS, 3.0, 64)], ids=["circle", "torus"]
)
def test_agrees_with_galerkin_to_1e_8(game, beta, cells):
    assert (
        nodal_error(
            moved(game, beta, cells=cells, until=0.4, tol=1e-9), modes(game, beta, cells, 0.4)
        )
        < 1e-8
    )


def test_coupled_gibbs_state_stays():
    on = mesh(Torus(1), 48)
    point = mf.gibbs(CIRCLE, 3.0, cells=(on, on))
    run = moved(CIRCLE, 3.0, cells=48, start=Start(point.x, point.y), until=20.0)
    for m, law in zip(run.masses, (point.x, point.y), strict=True):
        assert np.abs(m - law.masses).sum() < 1e-11


def test_mass_is_exact():
    run = moved(TORUS, 5.0, cells=24, until=3.0, tol=1e-5)
    for m in run.masses:
        assert abs(m.sum() - 1) < 1e-14 and m.min() > 0
    assert run.diagnostics()["mass_correction"] < 1e-13


def test_turning_a_torus_turns_the_run():
    """Axes exchanged for both players, on a grid that is not square."""
    terms = [((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0), ((2, 1), (1, 0), 0, -0.25)]
    turned = [(k[::-1], m[::-1], re, im) for k, m, re, im in terms]
    plain, other = (
        moved(trigonometric(t), 4.0, cells=c, until=0.3, step=0.05, order=6)
        for t, c in ((terms, (16, 20)), (turned, (20, 16)))
    )
    for m, n in zip(plain.masses, other.masses, strict=True):
        np.testing.assert_allclose(n.reshape(20, 16), m.reshape(16, 20).T, atol=1e-14)


def test_general_losses_agree_with_finite_volumes_and_converge():
    """Finite volumes meet the staggered answer at order 2; that answer does not move any more."""
    game = mf.games.expression("exp(cos(x - y))*sin(x + 2*y)/2")  # no sum of products
    laws = Start(wavy, wavy).laws(game.X, game.Y)
    fine = moved(game, 5.0, cells=128, until=0.5, tol=1e-9)
    same = moved(game, 5.0, cells=96, until=0.5, tol=1e-9)
    (a, b), (c, d) = fine.measures(), same.measures()
    assert (
        max(
            np.abs(a.values[::4] - c.values[::3]).max(), np.abs(b.values[::4] - d.values[::3]).max()
        )
        < 1e-7
    )
    errors = []
    for n in (32, 64, 128):
        run = FiniteVolumes(game, Langevin(5.0), laws, (n, n), tol=1e-7, weights="sg")
        run.advance(0.5)
        pairs = zip(run.measures(), (a, b), strict=True)
        errors.append(
            max(np.abs(m.values - exact.values[:: 128 // n]).mean() for m, exact in pairs)
        )
    assert -2.1 < fitted_order((32, 64, 128), errors) < -1.9


# -- limits --------------------------------------------------------------------------------------


def test_says_when_masses_fall_below_zero():
    atom = Start(x=Measure([[2.0]], None, Torus(1)), y="uniform")
    with pytest.warns(UnderResolved, match="below zero"):
        run = moved(CIRCLE, 4.0, cells=16, start=atom, until=0.05)
    assert run.diagnostics()["smallest_mass"] < 0 and abs(run.masses[0].sum() - 1) < 1e-14
    with pytest.warns(UnderResolved, match="negative mass"):
        x, _ = run.measures()
    assert x.masses.min() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved(CIRCLE, 10.0, cells=64, until=1.0)


def space_error(game, flow, start, time, cells, **options):
    """The estimated L1 error in space, and whether the run warned of it."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run = mf.solve(
            game, flow, start, time, cells=cells, engine="staggered", save_every=time, **options
        )
    warned = any("error adds up" in str(w.message) for w in found)
    return run.diagnostics["space_error"][-1], warned, run


def test_says_when_cells_are_too_few_for_the_drift():
    """Runs that were 3% and 42% off in the value, without masses below zero, warn; finer do not."""
    problems = (
        (mf.games.oscillator(), Langevin(25.0),
         Start(concentrated(1.1, std=0.2**0.5), concentrated(0.0, std=0.2**0.5)), 1.0, 256, 512),
        (mf.games.benchmark("torus"), Langevin(4.0), Start(), 0.1, 9, 32),
    )  # fmt: skip
    for *problem, few, many in problems:
        assert space_error(*problem, few)[:2] > (1e-3, True)
        error, warned, _ = space_error(*problem, many)
        assert error < 3e-4 and not warned


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("cells", [32, 64])
def test_estimated_error_in_space_is_that_of_the_run(cells, order):
    """Between 0.8 and 20 times what differs from the exact answer."""
    problem = CIRCLE, Langevin(10.0), Start(wavy, wavy), 0.5
    estimate, warned, run = space_error(*problem, cells, order=order)
    exact = mf.solve(*problem, cells=256, save_every=0.5, tol=1e-11)
    pairs = zip(run[-1], exact[-1], strict=True)
    error = max(
        np.abs(a.values - b.values[:: 256 // cells]).mean() * CIRCLE.X.period for a, b in pairs
    )
    assert 0.8 < estimate / error < 20 and warned == (estimate > 1e-3)


def test_estimated_error_goes_on_in_a_resumed_run():
    how = {"save_every": 0.25, "engine": "staggered", "cells": 64}
    problem = CIRCLE, Langevin(10.0), Start(wavy, wavy)
    whole, half = mf.solve(*problem, 0.5, **how), mf.solve(*problem, 0.25, **how)
    again = mf.solve(*problem, 0.5, **how, resume=half)
    assert np.array_equal(whole.diagnostics["space_error"], again.diagnostics["space_error"])


def test_steep_costs_neither_overflow_in_silence_nor_run():
    steep = trigonometric([((1,), (0,), 3000.0, 0), ((0,), (1,), 1, 0)])
    with pytest.raises(ValueError, match="finite-volume"):
        moved(steep, 10.0, cells=16, until=0.1)
    with pytest.raises(mf.NotConverged, match='engine="finite-volume"'):
        moved(CIRCLE, 200.0, cells=16, start=Start(x=Measure([[2.0]], None, Torus(1))), until=0.05)
    # beta U itself far beyond what exp takes, beta dU over the stencil not: exact as ever
    high = trigonometric([((1,), (0,), 30.0, 0), ((0,), (1,), 1, 0)])
    run = moved(
        high,
        30.0,
        cells=512,
        start=Start(concentrated(np.pi, std=1 / 30), "uniform"),
        until=0.01,
        order=4,
    )
    assert (
        np.isfinite(run.masses[0]).all()
        and np.ptp(30.0 * 30.0 * np.cos(run.meshes[0].nodes)) > 1400
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"order": 5}, "order must be 4, 6 or 8"),
        ({"cells": 6}, "at least 8 per axis"),
        ({"game": polynomial("a")}, "on tori"),
        ({"step": 0.0}, "step must be above 0"),
        ({"tol": -1.0}, "tol must be above 0"),
    ],
)
def test_bad_input_is_refused(change, says):
    game = change.pop("game", CIRCLE)
    options = {"cells": None if game is not CIRCLE else 32, "start": Start(), **change}
    with pytest.raises(ValueError, match=says):
        engine(game, **options)


def test_other_flows_and_meshes_are_refused():
    laws = Start().laws(Torus(1), Torus(1))
    with pytest.raises(ValueError, match="without reaction"):
        Staggered(CIRCLE, WassersteinFisherRao(), laws)
    grid = mesh(Torus(1), 32)
    loose = Mesh(
        Torus(1), grid.nodes, grid.volumes, grid.pairs, grid.transmissibilities, grid.faces
    )
    with pytest.raises(ValueError, match="equidistant"):
        Staggered(CIRCLE, Langevin(1.0), laws, (loose, grid))


def test_solve_runs_it():
    run = mf.solve(
        CIRCLE,
        Langevin(10.0),
        Start(wavy, wavy),
        time=0.5,
        save_every=0.25,
        engine="staggered",
        cells=64,
    )
    assert len(run) == 3 and run.provenance["engine"] == "staggered"
    plain = moved(until=0.5)
    assert np.abs(run.x[-1].masses - plain.masses[0]).sum() < 1e-8


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
def test_a_density_that_falls_apart_ends_the_run():
    with pytest.raises(NotConverged, match="masses below zero add up to"):
        mf.solve(
            mf.games.benchmark("torus"), mf.Langevin(25.0), engine="staggered", cells=16, time=0.2
        )
