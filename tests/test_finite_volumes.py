"""Finite volumes for (7): conservation, sign, Gibbs, orders, and the exact answers; staggered
differences beside.
"""

import warnings
from functools import cache, partial

import numpy as np
import pytest
from scipy.optimize import root

from meanfield.checks import UnderResolved
from meanfield.density import stencils
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.fourier import Galerkin
from meanfield.density.rates import WEIGHTS
from meanfield.density.staggered import ORDERS, Staggered
from meanfield.flows import Flow, Langevin, WassersteinFisherRao
from meanfield.games.known import oscillator
from meanfield.games.lowrank import trigonometric
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh
from meanfield.start import Start, concentrated
from tests.convergence import fitted_order
from tests.flat_problems import Pairs
from tests.langevin_runs import CIRCLE, TORUS, distance, moved_on, pseudospectral, started, wavy

# the same with 0.6 sin x + 0.2 cos 2y, whose Gibbs point is nowhere uniform
TILTED = trigonometric([((1,), (-1,), 1, 0), ((2,), (1,), 0, -0.25), ((2,), (-1,), 0, -0.25),
                        ((0,), (3,), 0.3, 0),
                        ((1,), (0,), 0, -0.6), ((0,), (2,), 0.2, 0)])  # fmt: skip

engine, moved = partial(started, FiniteVolumes), partial(moved_on, FiniteVolumes)
# How derivatives are taken, and by which weights of odd differences: those of `stencils` reach
# further.
SCHEMES = {
    weights: (partial(started, FiniteVolumes, weights=weights), (1.0,)) for weights in WEIGHTS
}
SCHEMES |= {
    f"order {p}": (partial(started, Staggered, order=p), w)
    for p, w in stencils.WEIGHTS.items()
    if p in ORDERS
}
every = pytest.mark.parametrize("scheme", SCHEMES)


def spectral(game, beta, size, until):
    """Nodal densities of both players by another method."""
    on = mesh(game.X, size)
    start = wavy(on.nodes)
    return pseudospectral(
        lambda x, y: game.loss(x[:, 0], y[0]), (on, on), (start, start), beta, (1.0, 1.0), until
    )


@cache
def circle_reference():
    return spectral(CIRCLE, 10.0, 64, 1.0)


def test_a_run_keeps_mass_and_sign():
    run = moved(until=5.0, tol=1e-5)
    for m in run.masses:
        assert abs(np.sum(m) - 1) < 1e-14 and m.min() > 0
    assert run.time == 5.0
    noted = run.diagnostics()
    assert (
        noted["steps"] > 5
        and noted["mass_correction"] < 1e-13
        and 0.1 < noted["largest_peclet"] < 2
    )


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("game", [CIRCLE, TORUS], ids=["circle", "torus"])
def test_one_cell_data_stay_nonnegative_at_huge_steps(game, weights):
    start = Start(
        x=Measure([[2.0] * game.X.d], None, game.X), y=Measure([[5.0] * game.Y.d], None, game.Y)
    )
    run = engine(game, cells={1: 64, 2: 12}[game.X.d], start=start, step=10.0, weights=weights)
    for until in (10.0, 30.0):
        run.advance(until)
        for m in run.masses:
            assert m.min() >= 0 and abs(np.sum(m) - 1) < 1e-14


@every
def test_separable_games_stay_at_their_discrete_gibbs_state(scheme):
    # l = f(x) - g(y), f = cos x - 0.4 sin 2x, g = 0.7 cos(3 y): Gibbs is exp(-beta f), exp(-beta g)
    # at the nodes
    game = trigonometric([((1,), (0,), 1, 0), ((2,), (0,), 0, 0.4), ((0,), (3,), -0.7, 0)])
    x = np.arange(64) * 2 * np.pi / 64
    betas, engine = (6.0, 9.0), SCHEMES[scheme][0]
    U = np.cos(x) - 0.4 * np.sin(2 * x), 0.7 * np.cos(3 * x)
    on = mesh(Torus(1), 64)
    gibbs = [np.exp(-b * (u - u.min())) for b, u in zip(betas, U, strict=True)]
    laws = [Density(m / m.sum(), on) for m in gibbs]
    run = engine(game, betas, start=Start(*laws), gamma=(1.0, 3.0))
    run.advance(20.0)
    for m, law in zip(run.masses, laws, strict=True):
        assert np.abs(m - law.masses).sum() < 1e-11
    # ... and come to it from elsewhere: a linear equation with constant rates, exact at any step.
    # Of f's two wells one is 0.3 deep: the slow mode is gone by t = 400 at temperature 1/2.
    far = engine(game, 2.0, start=Start(x=concentrated(1.0, std=0.3**0.5)), step=400.0)
    far.advance(400.0)
    assert np.abs(far.masses[0] - np.exp(-2 * U[0]) / np.exp(-2 * U[0]).sum()).sum() < 1e-11


@pytest.mark.parametrize("step", [None, 0.05])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_coupled_gibbs_state_stays(weights, step):
    beta, kernel = 3.0, TILTED.loss(*[np.arange(64)[:, None] * 2 * np.pi / 64] * 2)

    def answers(a, b):
        x, y = np.exp(-beta * kernel @ b), np.exp(beta * kernel.T @ a)
        return x / x.sum(), y / y.sum()

    found = root(
        lambda s: s - np.concatenate(answers(s[:64], s[64:])), np.full(128, 1 / 64), tol=1e-14
    )
    a, b = answers(found.x[:64], found.x[64:])
    assert np.abs(np.concatenate(answers(a, b)) - np.concatenate([a, b])).max() < 1e-14
    assert min(np.abs(m - 1 / 64).sum() for m in (a, b)) > 0.1  # not the trivial one
    on = mesh(Torus(1), 64)
    run = moved(
        TILTED,
        beta,
        start=Start(Density(a, on), Density(b, on)),
        weights=weights,
        step=step,
        until=20.0,
    )
    assert np.abs(run.masses[0] - a).sum() < 1e-11 and np.abs(run.masses[1] - b).sum() < 1e-11


@every
def test_order_four_in_time_at_fixed_mesh(scheme):
    runs, steps = [], np.array([48, 96, 192, 1152])
    for n in steps:
        runs.append(SCHEMES[scheme][0](step=2 / n))
        runs[-1].advance(2.0)
    errors = [distance(run, runs[-1]) for run in runs[:-1]]
    assert 3.85 < fitted_order(2 / steps[:-1], errors) < 4.1


def test_order_four_in_time_with_uneven_steps():
    def run(n):
        made = engine(step=2 / n)
        for until in (0.3, 0.5, 1.1, 1.17, 2.0):  # cuts steps short in different ways
            made.advance(until)
        return made

    fine = run(960)
    assert (
        3.75
        < fitted_order([1 / 60, 1 / 120, 1 / 240], [distance(run(n), fine) for n in (60, 120, 240)])
        < 4.25
    )


def test_a_tiny_step_between_long_ones_does_no_harm():
    fine = moved(until=2.0, step=2 / 1600)
    for run, near in ((engine(tol=1e-6), 2e-6), (engine(step=0.02), 1e-8)):
        for until in (
            1.0,
            1.0 + 1e-9,
            1.5,
            1.5 + 1e-13,
            2.0,
        ):  # extrapolating from 1e-13 to 0.02 would lose every digit
            run.advance(until)
        assert distance(run, fine) < near


def test_a_step_far_too_long_is_halved():
    # from one cell the tangent leaves the range of the loss within a fraction of this step
    start = Start(x=Measure([[2.0]], None, Torus(1)), y=Measure([[5.0]], None, Torus(1)))
    fine = moved(beta=2.0, start=start, until=10.0, tol=1e-6)
    run = moved(beta=2.0, start=start, until=10.0, step=10.0)
    assert run.diagnostics()["halved"] > 0 and run.diagnostics()["steps"] > 1
    assert distance(run, fine) < 0.4  # two where nothing is in common; 1.4 in one step


@pytest.mark.parametrize("weights", WEIGHTS)
def test_order_two_in_space_on_the_circle(weights):
    errors = []
    for cells in (64, 128, 256):
        run = moved(until=1.0, cells=cells, tol=1e-6, weights=weights)
        nodal = [m.values[:: cells // 64] for m in run.measures()]
        errors.append(
            max(np.abs(n - r).sum() for n, r in zip(nodal, circle_reference(), strict=True))
            * 2
            * np.pi
            / 64
        )
    assert -2.1 < fitted_order([64, 128, 256], errors) < -1.9
    assert errors[-1] < 5e-4


@pytest.mark.parametrize("weights", WEIGHTS)
def test_order_two_in_space_on_the_torus(weights):
    reference, errors = np.reshape(spectral(TORUS, 3.0, 16, 0.5), (2, 16, 16)), []
    for cells in (16, 32, 64):
        run = moved(TORUS, 3.0, until=0.5, cells=cells, tol=1e-5, weights=weights)
        every = cells // 16
        nodal = [m.values.reshape(cells, cells)[::every, ::every] for m in run.measures()]
        errors.append(max(np.abs(n - r).mean() for n, r in zip(nodal, reference, strict=True)))
    assert -2.15 < fitted_order([16, 32, 64], errors) < -1.85


def test_step_control_reaches_its_tolerance():
    fine = moved(until=2.0, step=2 / 1600)
    runs = [moved(until=2.0, tol=tol) for tol in (1e-2, 1e-4, 1e-6, 1e-8)]
    errors = [distance(run, fine) for run in runs]
    told = [run.diagnostics()["estimated_error"] for run in runs]
    for tol, error in zip((1e-2, 1e-4, 1e-6, 1e-8), errors, strict=True):
        assert (
            1e-3 * tol < error < 2 * tol
        )  # per unit of time, over two of them; and not a thousand times too careful
    assert (np.array(told) / errors < 6).all() and (np.array(told) > errors).all()


def test_entropy_decays_with_costs_frozen():
    # y's cost does not move x's: KL(mu_x | Gibbs) falls at every step, of any length, even from one
    # cell
    game = trigonometric([((1,), (0,), 1, 0), ((2,), (0,), 0, 0.4), ((0,), (1,), 1, 0)])
    x = np.arange(48) * 2 * np.pi / 48
    gibbs = np.exp(-5 * (np.cos(x) - 0.4 * np.sin(2 * x)))
    gibbs /= gibbs.sum()
    for step in (1e-3, 0.1, 3.0):
        run = engine(
            game, 5.0, cells=48, start=Start(x=Measure([[0.0]], None, Torus(1))), step=step
        )
        last = np.inf
        for k in range(1, 11):
            run.advance(k * step)
            m = run.masses[0]
            held = m > 0
            kl = np.sum(m[held] * np.log(m[held] / gibbs[held]))
            assert kl < last
            last = kl


def test_uniform_equilibrium_rotates_and_decays():
    # 8.1: l = A cos(x - y): modes e^{ix} have eigenvalues (-1/beta +- i A/2) times the mesh's
    # Laplacian
    A, beta, eps, until = 1.6, 8.0, 1e-5, 4.0
    game = trigonometric([((1,), (-1,), A, 0)])
    cells = 96
    run = moved(game, beta, until=until, cells=cells, weights="sg", step=0.02,
                start=Start(x=lambda p: 1 + eps * np.cos(p[:, 0])))  # fmt: skip
    x = np.arange(cells) * 2 * np.pi / cells
    a, b = (2 * m @ np.exp(1j * x) / eps for m in run.masses)
    for square, near in (
        ((np.sin(np.pi / cells) * cells / np.pi) ** 2, 1e-7),
        (1.0, 1e-3),
    ):  # on the mesh; the limit
        decay = np.exp(-square * until / beta)
        assert abs(a - decay * np.cos(square * A / 2 * until)) < near
        assert abs(b - decay * np.sin(square * A / 2 * until)) < near


@every
def test_free_motion_is_exact_at_any_step(scheme):
    # 8.2: l = 0: mode k decays as exp(-k^2 t / beta) (k^2 as the mesh or the stencil has it); per
    # player
    game, (engine, weights) = trigonometric([((1,), (1,), 0, 0)]), SCHEMES[scheme]
    h = 2 * np.pi / 64
    x = np.arange(64) * h
    bump = lambda p: 1 + 0.5 * np.cos(p[:, 0]) + 0.3 * np.sin(3 * p[:, 0])  # noqa: E731
    run = engine(game, (5.0, 20.0), start=Start(bump, bump), step=3.0)
    run.advance(3.0)
    for m, beta in zip(run.masses, (5.0, 20.0), strict=True):
        for k, size in ((1, 0.25), (3, 0.15j)):
            found = m @ np.exp(1j * k * x)
            symbol = sum(2 * w * np.sin(k * (s + 0.5) * h) for s, w in enumerate(weights)) / h
            assert abs(found - size * np.exp(-(symbol**2) * 3 / beta)) < 1e-13
            near = {"order 4": 1e-4, "order 6": 1e-6, "order 8": 1e-8}.get(scheme, 5e-3)
            assert abs(found - size * np.exp(-(k**2) * 3 / beta)) < near


def test_a_torus_game_of_one_angle_is_the_circle_game():
    terms = [
        ((1, 0), (-1,), 1, 0),
        ((2, 0), (1,), 0, -0.25),
        ((2, 0), (-1,), 0, -0.25),
        ((0, 0), (3,), 0.3, 0),
    ]
    game = trigonometric(terms)  # x on T^2, y on the circle
    first = lambda p: 1 + 0.5 * np.cos(p[:, 0])  # noqa: E731
    laws = Start(x=first, y=wavy).laws(game.X, game.Y)
    run = FiniteVolumes(game, Langevin(10.0), laws, ((32, 5), 40), step=0.05, weights="face")
    run.advance(1.0)
    flat = FiniteVolumes(CIRCLE, Langevin(10.0), Start(x=wavy, y=wavy).laws(Torus(1), Torus(1)),
                         (32, 40),
                         step=0.05, weights="face")  # fmt: skip
    flat.advance(1.0)
    np.testing.assert_allclose(
        run.masses[0].reshape(32, 5), np.tile(flat.masses[0][:, None] / 5, 5), atol=1e-14
    )
    np.testing.assert_allclose(run.masses[1], flat.masses[1], atol=1e-14)


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
@pytest.mark.parametrize("start", [None, Start(x=Measure([[1.0]], None, Torus(1)), y="uniform")])
@pytest.mark.parametrize("weights", ["curved", "sg", "face"])
def test_pairwise_and_low_rank_games_agree(weights, start, monkeypatch):
    low = moved(until=1.0, step=0.1, weights=weights, start=start)
    dense = moved(Pairs(CIRCLE), until=1.0, step=0.1, weights=weights, start=start)
    assert distance(low, dense) < 1e-12
    monkeypatch.setattr(
        "meanfield.density.coupling.STORED", 1000
    )  # kernels too large to keep come in blocks
    assert (
        distance(low, moved(Pairs(CIRCLE), until=1.0, step=0.1, weights=weights, start=start))
        < 1e-12
    )


def test_a_mesh_given_without_a_grid_plugs_in():
    grid = mesh(Torus(1), 64)
    order = np.random.default_rng(0).permutation(64)
    place = np.argsort(order)
    loose = Mesh(
        Torus(1),
        grid.nodes[order],
        grid.volumes[order],
        place[grid.pairs],
        grid.transmissibilities,
        grid.faces,
    )
    plain, other = moved(until=1.0, step=0.1), moved(until=1.0, step=0.1, cells=loose)
    for m, n in zip(plain.masses, other.masses, strict=True):
        np.testing.assert_allclose(n, m[order], atol=1e-14)


# Where a density moves fast, at its first second; and where mass has passed between slow wells.
RUNS = {
    "moving": (oscillator(), oscillator().answers["start"], 10.0, 1.0, 128),
    "between wells": (CIRCLE, None, 10.0, 20.0, 64),
}


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
@pytest.mark.parametrize("case", RUNS)
def test_the_usual_weights_are_not_far_from_the_best(case):
    game, start, beta, until, cells = RUNS[case]
    laws = (start or Start(x=wavy, y=wavy)).laws(game.X, game.Y)
    exact = Galerkin(game, Langevin(beta), laws, (256, 256), tol=1e-9)
    exact.advance(until)
    nodal = [m.masses[:: 256 // cells] * (256 / cells) for m in exact.measures()]

    def error(*weights):
        run = moved(game, beta, start=start, until=until, cells=cells, tol=1e-6,
                    **dict(zip(["weights"], weights, strict=False)))  # fmt: skip
        return max(np.abs(m - n).sum() for m, n in zip(run.masses, nodal, strict=True))

    sg, face = error("sg"), error("face")
    assert error() < 1.5 * min(sg, face) and error() < 0.2 * max(sg, face)


def test_coarse_meshes_are_said_once():
    with pytest.warns(UnderResolved, match="cells per axis") as caught:
        run = moved(cells=16, beta=40.0, until=1.0)
    assert len(caught) == 1 and run.diagnostics()["largest_peclet"] > 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved(cells=256, until=0.1)


def test_refuses_what_it_cannot_do():
    laws = Start().laws(Torus(1), Torus(1))
    with pytest.raises(ValueError, match="characteristics"):
        FiniteVolumes(CIRCLE, WassersteinFisherRao(), laws)
    with pytest.raises(ValueError, match="characteristics"):
        FiniteVolumes(CIRCLE, Flow(temperature=(0.1, 0.0)), laws)
    with pytest.raises(ValueError, match="weights"):
        engine(weights="upwind")
    for bad in ({"step": 0.0}, {"step": -1.0}, {"tol": 0.0}, {"tol": np.nan}, {"step": np.inf}):
        with pytest.raises(ValueError):
            engine(**bad)
    with pytest.raises(ValueError, match="Torus"):
        engine(cells=mesh(Torus(2), 8))
    with pytest.raises(ValueError):
        FiniteVolumes(CIRCLE, Langevin(1.0), laws, (mesh(Torus(1, period=1.0), 8), 8))
    with pytest.raises(ValueError, match='"face" weights overflow'):
        moved(cells=8, beta=1e5, weights="face", until=1.0)
    with pytest.raises(ValueError, match="Sphere"):
        FiniteVolumes(
            CIRCLE,
            Langevin(1.0),
            laws,
            (mesh(Torus(1), 8), Mesh(Sphere(2), *[np.zeros((1, 3))] * 5)),
        )
