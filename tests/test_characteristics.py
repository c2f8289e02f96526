"""Characteristics of (8), (6) and mirror descent against closed solutions and known answers."""

import warnings

import numpy as np
import pytest
from scipy.integrate import simpson, solve_ivp

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density.characteristics import Characteristics
from meanfield.density.labels import Labels
from meanfield.games.lowrank import polynomial, trigonometric
from tests.convergence import fitted_order
from tests.flat_problems import (
    CIRCLE,
    COSINES,
    HEIGHT,
    TILTED,
    Pairs,
    cosine_density,
    cosine_flow,
    engine,
    modes,
    run,
    sphere_mesh,
    tilted,
)
from validation.algorithms import Swarm

# Many runs here use few nodes on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
WFR, PLAIN = mf.WassersteinFisherRao(), mf.Wasserstein()
CLOUDS = mf.Start(
    *(mf.Measure(np.random.default_rng(s).random((5, 1)) * 6, None, mf.Torus(1)) for s in (1, 2))
)


@pytest.mark.parametrize("alpha", [0, 1])
def test_positions_weights_and_log_density_are_the_closed_ones(alpha):
    moved = run(Characteristics, COSINES, mf.Flow(gamma=1, alpha=alpha), 2.0, cells=64)
    first = 2 * np.pi * np.arange(64) / 64
    for mu, log_p in zip(moved.measures(), moved.log_densities(), strict=True):
        off = mf.Torus(1).distance(mu.points, cosine_flow(first, 2.0)[:, None])
        assert off.max() < 1e-9
        p = cosine_density(mu.points[:, 0], 2.0, alpha)
        assert np.abs(np.exp(log_p) / p - 1).max() < 1e-8
        weights = tilted(first[:, None]) * (np.cosh(2) - np.sinh(2) * np.cos(first)) ** alpha
        assert np.abs(mu.masses - weights / weights.sum()).max() < 1e-11
    assert moved.diagnostics()["peak_x"] == pytest.approx(np.exp(moved.log_densities()[0]).max())


def test_positions_follow_the_closed_flow_on_the_sphere():
    """Cost x_3: the polar angle obeys tan(theta/2) = tan(theta_0/2) e^t, densities its Jacobian."""
    mesh = sphere_mesh(2)
    moved = run(Characteristics, HEIGHT, PLAIN, 1.0, cells=mesh)
    mu, log_p = moved.measures()[0], moved.log_densities()[0]
    theta0, theta = np.arccos(mesh.nodes[:, 2]), np.arccos(np.clip(mu.points[:, 2], -1, 1))
    assert np.abs(np.tan(theta / 2) / np.tan(theta0 / 2) - np.e).max() < 1e-7
    assert np.allclose(
        np.arctan2(mu.points[:, 1], mu.points[:, 0]), np.arctan2(mesh.nodes[:, 1], mesh.nodes[:, 0])
    )
    exact = tilted(mesh.nodes) / (np.cosh(1) + np.sinh(1) * np.cos(theta)) ** 2
    norm = tilted(mesh.nodes) @ mesh.volumes
    assert np.abs(np.exp(log_p) * norm / exact - 1).max() < 1e-8


def test_moments_converge_spectrally_while_paths_stay_together():
    reference = modes(run(Characteristics, CIRCLE, WFR, 1.0, cells=2048).measures())
    errors = [np.abs(modes(run(Characteristics, CIRCLE, WFR, 1.0,
                               cells=n).measures()) - reference).max()
              for n in (64, 128, 256, 512)]  # fmt: skip
    # Each doubling of the nodes does more than the one before, as no power of n would.
    gains = np.array(errors[:-1]) / errors[1:]
    assert gains[1] > 5 * gains[0] and gains[2] > 5 * gains[1]
    assert errors[2] < 1e-6 and errors[3] < 1e-10


def test_peak_at_time_one_is_the_known_one():
    assert run(Characteristics, CIRCLE, WFR, 1.0, cells=256).diagnostics()[
        "peak_y"
    ] == pytest.approx(4.2, abs=0.01)


def test_given_steps_have_order_eight():
    reference = modes(run(Characteristics, CIRCLE, WFR, 1.0, cells=64, tol=1e-13).measures())
    steps = [1 / 4, 1 / 6, 1 / 8, 1 / 12]
    errors = [np.abs(modes(run(Characteristics, CIRCLE, WFR, 1.0, cells=64,
                               step=h).measures()) - reference).max()
              for h in steps]  # fmt: skip
    assert 7.3 < fitted_order(steps, errors) < 9.5


def test_tolerance_controls_the_error_of_time():
    reference = modes(run(Characteristics, CIRCLE, WFR, 2.0, cells=64, tol=1e-13).measures())
    for tol in (1e-5, 1e-7, 1e-9):
        assert np.abs(
            modes(run(Characteristics, CIRCLE, WFR, 2.0, cells=64, tol=tol).measures()) - reference
        ).max() < (20 * tol)


def test_wang_chizat_atoms_stay_and_their_weights_follow_two_equations():
    game, alpha, times = mf.games.wang_chizat(), 0.7, np.linspace(0, 6, 25)
    start = mf.Start(*game.answers["measures"](0.3, 0.1))
    moving, off = (
        engine(Characteristics, game, mf.WassersteinFisherRao(1.0, alpha), start, tol=1e-12),
        [],
    )
    for t in times:
        moving.advance(t)
        for mu, at in zip(moving.measures(), (start.x, start.y), strict=True):
            assert game.X.distance(mu.points, at.points).max() < 1e-9
        off.append([mu.masses[0] - 0.5 for mu in moving.measures()])
    invariant = game.answers["conserved"](*np.transpose(off))
    assert np.abs(invariant / invariant[0] - 1).max() < 1e-8
    exact = solve_ivp(
        lambda t, z: game.answers["velocity"](*z, alpha), (0, 6), [0.3, 0.1],
        t_eval=times, rtol=1e-12, atol=1e-13, method="DOP853",
    )  # fmt: skip
    assert np.abs(off - exact.y.T).max() < 1e-8


def test_mirror_descent_is_the_exponential_of_the_summed_costs():
    """log mu_t = log mu_0 - alpha int U ds + const, with U the costs of the run's own measures."""
    alpha = (1.5, 0.8)
    moving = engine(Characteristics, CIRCLE, mf.MirrorDescent(alpha), cells=48)
    times = np.linspace(0, 2, 201)
    pairs = []
    for t in times:
        moving.advance(t)
        pairs.append(moving.measures())
    for p in (0, 1):
        costs = np.array([CIRCLE.cost(p, pair[p].points, pair[1 - p]) for pair in pairs])
        left = np.log(pairs[-1][p].masses / pairs[0][p].masses) + alpha[p] * simpson(
            costs, x=times, axis=0
        )
        assert isinstance(pairs[-1][p], mf.Density)
        assert np.ptp(left) < 1e-8


def test_pure_reaction_against_a_fixed_cost_is_closed():
    mu, _ = run(Characteristics, COSINES, mf.MirrorDescent(2.0), 3.0, cells=40).measures()
    exact = tilted(mu.points) * np.exp(-6 * np.cos(mu.points[:, 0]))
    assert np.abs(mu.masses - exact / exact.sum()).max() < 1e-12


def test_one_player_may_move_while_the_other_only_reacts():
    flow = mf.Flow(gamma=(1.0, 0.0), alpha=(0.0, 1.0))
    x, y = run(Characteristics, CIRCLE, flow, 0.5, cells=64).measures()
    assert not isinstance(x, mf.Density) and isinstance(y, mf.Density)
    first = tilted(2 * np.pi * np.arange(64)[:, None] / 64)
    assert np.abs(x.masses - first / first.sum()).max() < 1e-15
    assert np.abs(y.masses - tilted(y.points) / tilted(y.points).sum()).max() > 1e-3


def test_any_loss_gives_what_its_low_rank_form_gives():
    for start in (TILTED, CLOUDS):
        a = run(Characteristics, CIRCLE, WFR, 0.5, start, cells=16)
        b = run(Characteristics, Pairs(CIRCLE), WFR, 0.5, start, cells=16)
        for m, n, p, q in zip(
            a.measures(), b.measures(), a.log_densities(), b.log_densities(), strict=True
        ):
            assert (
                np.abs(m.points - n.points).max() < 1e-12
                and np.abs(m.masses - n.masses).max() < 1e-13
            )
            # Pairs know no second derivative: theirs is a difference of gradients.
            assert (p is None and q is None) or np.abs(p - q).max() < 1e-7


def test_rotating_a_sphere_game_rotates_the_run():
    from meanfield.games.lowrank import polynomial_from

    rng = np.random.default_rng(0)
    A0, A1, A2, Q = rng.standard_normal((4, 3, 3))
    a0, a1 = rng.standard_normal((2, 3))
    Q, _ = np.linalg.qr(Q)
    sphere = mf.Sphere(2)
    x, y = (mf.Measure(sphere.sample(7, rng), None, sphere) for _ in range(2))
    a = run(
        Characteristics, polynomial_from(A0, A1, A2, 0, a0, a1), WFR, 1.0, mf.Start(x=x, y=y)
    ).measures()
    turned = polynomial_from(Q.T @ A0 @ Q, Q.T @ A1, A2, 0, Q.T @ a0, a1)
    b = run(
        Characteristics, turned, WFR, 1.0, mf.Start(x=mf.Measure(x.points @ Q, None, sphere), y=y)
    ).measures()
    assert (
        np.abs(a[0].points @ Q - b[0].points).max() < 1e-8
        and np.abs(a[1].points - b[1].points).max() < 1e-8
    )
    assert np.abs(np.linalg.norm(a[0].points, axis=1) - 1).max() < 1e-14


@pytest.mark.parametrize("space", ["S^1", "S^2"])
def test_atoms_move_as_the_equations_of_motion_say(space):
    """(5) by another solver, with the loss and its derivatives written out."""
    swarm = Swarm(space)
    start = mf.Start(*(mf.Measure(z, None, swarm.manifold) for z in swarm.points))
    pair = run(Characteristics, swarm.game, WFR, 2.0, start).measures()
    found = np.concatenate([*(m.points.ravel() for m in pair), *(np.log(m.masses) for m in pair)])
    assert swarm.gap(found, swarm.flow(2.0)) < 1e-8


def test_a_circle_plays_a_torus():
    """l(x, y_1) on T^1 x T^2 is the game on circles, y_2 a bystander."""
    lifted = trigonometric(
        [
            ((1,), (-1, 0), 1, 0),
            ((2,), (1, 0), 0, -0.25),
            ((2,), (-1, 0), 0, -0.25),
            ((0,), (3, 0), 0.3, 0),
        ]
    )
    start = mf.Start(x=tilted, y=lambda q: tilted(q[:, :1]) * (1 + 0.3 * np.sin(q[:, 1])))
    x, y = run(Characteristics, lifted, WFR, 1.0, start, cells=(32, (32, 8))).measures()
    flat_x, flat_y = run(Characteristics, CIRCLE, WFR, 1.0, cells=32).measures()
    assert (
        np.abs(x.masses - flat_x.masses).max() < 1e-9
        and np.abs(x.points - flat_x.points).max() < 1e-9
    )
    assert np.abs(y.masses.reshape(32, 8).sum(1) - flat_y.masses).max() < 1e-9
    assert np.abs(y.points.reshape(32, 8, 2)[:, :, 0] - flat_y.points).max() < 1e-9


def test_product_games_on_tori_factor():
    """cos x_1 + cos x_2: each angle moves as on the circle, densities multiply."""
    game = trigonometric([((1, 0), (0, 0), 1, 0), ((0, 1), (0, 0), 1, 0)])
    start = mf.Start(x=lambda q: tilted(q[:, :1]) * tilted(q[:, 1:]))
    moved = run(Characteristics, game, PLAIN, 1.5, start, cells=12)
    x, p = moved.measures()[0].points, np.exp(moved.log_densities()[0])
    exact = cosine_density(x[:, 0], 1.5, 0) * cosine_density(x[:, 1], 1.5, 0)
    assert np.abs(p / exact - 1).max() < 1e-8


def test_a_cut_step_does_not_shorten_those_that_follow():
    often, once = (engine(Characteristics, CIRCLE, WFR, cells=32) for _ in range(2))
    for t in (0.5, 0.5 + 1e-9, 1.0, 1.0 + 1e-9, 2.0):
        often.advance(t)
    once.advance(2.0)
    assert often.diagnostics()["steps"] <= once.diagnostics()["steps"] + 5


def test_parted_labels_and_narrow_weights_are_said_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(Characteristics, CIRCLE, WFR, 1.0, cells=256)
        run(Characteristics, CIRCLE, mf.MirrorDescent(3.0), 4.0, cells=64)
    parted = engine(Characteristics, CIRCLE, WFR, cells=64)
    with pytest.warns(UnderResolved, match="raise `cells`"):
        parted.advance(2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parted.advance(3.0)
    with pytest.warns(UnderResolved):
        run(Characteristics, CIRCLE, mf.MirrorDescent(3.0), 8.0, cells=24)


@pytest.mark.parametrize(("jump", "said"), [(0.99, 0), (1.01, 1)])
def test_labels_are_not_trusted_from_a_jump_of_one(jump, said, monkeypatch, recwarn):
    monkeypatch.setattr(Labels, "jump", lambda self, z: jump)
    run(Characteristics, CIRCLE, WFR, 0.1, cells=64)
    assert len(recwarn) == said


def test_empty_cells_are_carried_by_nobody():
    half = mf.Start(x=lambda q: np.where(np.cos(q[:, 0]) > 0.1, np.cos(q[:, 0]) ** 4, 0))
    x, _ = run(Characteristics, CIRCLE, mf.MirrorDescent(), 1.0, half, cells=32).measures()
    empty = np.cos(x.points[:, 0]) <= 0.1
    assert len(x) == 32 and np.array_equal(x.masses == 0, empty)
    moved, _ = run(Characteristics, CIRCLE, WFR, 0.3, half, cells=32).measures()
    assert len(moved) == 32 - empty.sum() and moved.masses.min() > 0


def test_densities_beyond_floating_point_are_infinite_and_means_go_on():
    moved = run(Characteristics, COSINES, PLAIN, 800.0, cells=16)
    assert moved.diagnostics()["peak_x"] == np.inf and moved.log_densities()[
        0
    ].max() == pytest.approx(800, rel=0.01)
    x, _ = moved.measures()
    # All but the node that starts on the maximum end in the minimum.
    at = x.points[:, 0]
    assert np.abs(at[1:] - np.pi).max() < 1e-9 and at[0] == 0


def test_a_start_in_one_cell_has_no_neighbours():
    alone = mf.Start(x=mf.Density(np.eye(16)[3], mf.mesh(mf.Torus(1), 16)), y=tilted)
    moved = run(Characteristics, CIRCLE, WFR, 0.1, alone)
    assert np.isnan(moved.diagnostics()["separation_x"]) and len(moved.measures()[0]) == 1
    # The default mesh for the other player.
    assert len(moved.measures()[1]) == 256


@pytest.mark.parametrize(
    ("say", "options"),
    [
        ("finite-volume", {"flow": mf.Langevin(2.0)}),
        ("covers|mesh of", {"cells": mf.mesh(mf.Torus(2), 4)}),
        ("tol must be", {"tol": 1e-15}),
        ("tol must be", {"tol": 2.0}),
        ("at least 3", {"cells": 2}),
    ],
)
def test_bad_input_is_refused(say, options):
    options = {"flow": WFR, **options}
    with pytest.raises(ValueError, match=say):
        engine(Characteristics, CIRCLE, options.pop("flow"), **options)


def test_a_step_that_is_too_long_is_refused_with_one_that_would_do():
    with pytest.raises(ValueError, match=r"step = 3 .* would do") as refusal:
        run(Characteristics, CIRCLE, WFR, 6.0, cells=32, step=3.0)
    better = float(str(refusal.value).split("a step of ")[1].split(" ")[0])
    run(Characteristics, CIRCLE, WFR, 0.5, cells=32, step=better)


def test_the_papers_spheres_run_from_atoms_in_any_dimension():
    game = polynomial("a", dim=6, seed=1)
    rng = np.random.default_rng(0)
    start = mf.Start(*(mf.Measure(M.sample(20, rng), None, M) for M in game.manifolds))
    mu_x, mu_y = run(Characteristics, game, WFR, 1.0, start).measures()
    assert np.isfinite(mu_x.points).all() and mu_y.masses.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("game", "flow", "cells", "time"),
    [
        (CIRCLE, WFR, 64, 1.7),
        (COSINES, PLAIN, 64, 2.0),  # parted on either side of the first node
        (CIRCLE, WFR, 24, 0.4),
        (CIRCLE, mf.MirrorDescent(3.0), 24, 3.0),
        (HEIGHT, PLAIN, sphere_mesh(2), 1.5),
    ],
    ids=["parted", "seam", "coarse", "weights", "sphere"],
)
def test_jumps_and_separations_are_those_of_neighbours(game, flow, cells, time):
    """Gaps above an eighth of the reach that have doubled, and steps of mass, by their formula."""
    leaning = mf.Start(*(lambda q, s=s: 1 + s * q[:, -1] * (7 - q[:, -1]) / 13 for s in (-1, 1)))
    start = leaning if game is COSINES else TILTED
    moved = run(Characteristics, game, flow, time, start, cells=cells)
    noted = moved.diagnostics()
    for p, nodes in enumerate(moved.nodes):
        z, M, on = moved._split(moved._z)[p], nodes.manifold, nodes.mesh
        i, j = on.pairs.T
        x, m = nodes.split(z)[0], moved.measures()[p].masses
        if isinstance(M, mf.Torus):  # unwrapped: the last is followed by the first, a turn on
            gap = np.abs(x[j, 0] - x[i, 0] + M.period * (j < i))
            first = np.full(len(i), M.period / len(on))
        else:
            gap, first = M.distance(x[i], x[j]), M.distance(on.nodes[i], on.nodes[j])
        part = gap / M.reach
        torn = np.where((part > 1 / 8) & (gap >= 2 * first), part, 0) * (m[i] + m[j]) / 2 / 5e-4
        wanted = max(torn.max(), np.abs(m[i] - m[j]).max() / 0.2)
        assert noted[f"jump_{'xy'[p]}"] == pytest.approx(wanted, rel=1e-9)
        assert noted[f"separation_{'xy'[p]}"] == pytest.approx((gap / first).max(), rel=1e-9)
