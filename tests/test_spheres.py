"""Games on spheres: their axes, their noise, and the step of a tile against the plain one."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.lowrank import LowRank, polynomial, polynomial_from
from meanfield.particles import noise
from meanfield.particles.eigenbasis import frame
from meanfield.particles.looks.compiled import march
from meanfield.particles.looks.forms import fits, form
from meanfield.particles.looks.modes import modes
from meanfield.particles.simulate import simulate
from meanfield.particles.state import flat, place, player
from tests.philox import words
from tests.test_noise import check_normals
from tests.test_particles import FLOWS


def sides(game):
    rates = mf.Wasserstein().players
    return tuple(player(game, p, r, 1e-3, 0, 0, 1) for p, r in enumerate(rates))


def drawn(lanes, first=0, tick=0, player=0, replica=0, key=1, refine=1, coordinates=6):
    Z = np.full((noise.rows((True,), coordinates, refine), lanes), np.nan)
    noise.fill((True,), Z, lanes, first, tick, player, replica, np.uint64(key), refine)
    return Z[: coordinates + coordinates % 2]


@pytest.mark.parametrize("coordinates", [2, 3, 7, 12])
def test_normals_are_box_muller_of_the_words(coordinates):
    key, tick, who, replica, first = 0x0123456789ABCDEF, 77, 1, 9, 4
    Z = drawn(48, first, tick, who, replica, key, 1, coordinates)
    for k in range(0, len(Z), 2):
        for q in range(24):
            a, b, c, d = words(first // 2 + q, tick, k + who, replica, key)
            for lane, (u, v) in enumerate(((a, c), (b, d))):
                radius = np.sqrt(-2 * np.log((u + 0.5) / 2**32))
                low = (v << 2) % 2**32
                turn = (
                    np.pi / 2 * (v >> 30)
                    + np.pi / 4 * (low - (2**32 if low >= 2**31 else 0)) / 2**31
                )
                got = Z[k : k + 2, 2 * q + lane]
                assert abs(got @ got - radius**2) < 2e-7 * (1 + radius**2)
                want = np.hypot(*got) * np.array([np.cos(turn), np.sin(turn)])
                np.testing.assert_allclose(got, want, rtol=0, atol=3e-7 * radius)


def test_the_law_of_the_normals():
    Z = np.concatenate([drawn(16_000, tick=t, key=3, coordinates=8) for t in range(8)])
    z = Z.ravel()
    check_normals(z)
    # Coordinates, ticks, neighbours and squares of neighbours are independent.
    bound = 4.8 / np.sqrt(16_000)
    assert np.abs(np.corrcoef(Z) - np.eye(len(Z))).max() < bound
    assert np.abs(np.corrcoef(Z**2) - np.eye(len(Z))).max() < bound
    for shift in (1, 2, 16):
        assert abs(np.corrcoef(z[shift:], z[:-shift])[0, 1]) < 4.8 / np.sqrt(z.size)


def test_every_part_of_the_counter_counts():
    base = drawn(64)
    for other in (
        {"tick": 1},
        {"player": 1},
        {"replica": 1},
        {"key": 2},
        {"key": 1 + 2**32},
        {"first": 64},
    ):
        assert np.abs(drawn(64, **other) - base).min() > 0
    np.testing.assert_array_equal(drawn(96, coordinates=9)[:6, :64], base)
    np.testing.assert_array_equal(drawn(32, first=32), base[:, 32:])
    halves = [drawn(64, tick=6 + j) for j in range(3)]
    np.testing.assert_allclose(
        drawn(64, tick=2, refine=3), sum(halves) / np.sqrt(3), rtol=0, atol=1e-15
    )


def test_the_game_in_its_frame_is_the_game():
    game = polynomial("b", 7, seed=3)
    to = frame(game, mf.Langevin(1.0))
    rng = np.random.default_rng(0)
    x, y = (M.sample(9, rng) for M in game.manifolds)
    np.testing.assert_allclose(
        to.game.loss(x @ to.axes[0], y @ to.axes[1]), game.loss(x, y), rtol=0, atol=1e-13
    )
    for p, basis in enumerate(to.game.bases):
        np.testing.assert_allclose(
            basis.S, np.diag(np.linalg.eigvalsh(game.bases[p].S)), rtol=0, atol=1e-13
        )
    C = rng.standard_normal((2, game.bases[0].size))
    C[:, 8:15] = 0.0
    turned = to.game.bases[0].values(x @ to.axes[0]) @ to.coefficients(0, C).T
    np.testing.assert_allclose(turned, game.bases[0].values(x) @ C.T, rtol=0, atol=1e-13)


def test_only_forms_without_axes_of_their_own_are_turned():
    moving = mf.Langevin(1.0)
    assert [E is None for E in frame(polynomial("a", 5), moving).axes] == [True, False]
    assert [E is None for E in frame(polynomial("b", 5), moving).axes] == [False, False]
    assert frame(polynomial("b", 5), mf.MirrorDescent()).axes == (None, None)
    assert frame(polynomial("b", 3), mf.EntropicBestResponse(2.0)).axes == (None, None)
    assert frame(polynomial_from(np.diag([1.0, 2.0, 0.0]), np.eye(3), 0, 0, 0, 0), moving).axes == (
        None,
        None,
    )
    assert frame(mf.games.oscillator(), moving).axes == (None, None)


@pytest.mark.parametrize("refine", [1, 2])
@pytest.mark.parametrize(
    "kind, dim, n",
    [("a", 4, (131, 40)), ("b", 5, (300, 7)), ("a", 19, (1, 113)), ("b", 50, (100, 100))],
)
@pytest.mark.parametrize("flow", FLOWS)
def test_the_step_of_a_tile_is_the_plain_step(flow, kind, dim, n, refine):
    """The same players and noise through `modes`, which takes a step apart, and in the turned frame
    or not.
    """
    flow, game = FLOWS[flow], polynomial(kind, dim, seed=1)
    for to in (frame(game, flow), None):
        moving = game if to is None else to.game
        players = tuple(
            player(moving, p, rates, 1e-4, 7, 2, refine) for p, rates in enumerate(flow.players)
        )
        ends = []
        for kind in (form, modes):
            states = tuple(place(game, mf.Start(), n, "iid", 0, 0))
            given = zip(players, players[::-1], states, strict=True)
            looks = [form(me, other, s) if kind is form else modes(me, s) for me, other, s in given]
            march((), 1, False, *looks, states, states, 3, 11)
            ends.append(states)
        for s, t, count in zip(*ends, n, strict=True):
            np.testing.assert_allclose(flat(s.x, count), flat(t.x, count), rtol=0, atol=1e-13)
            for a, b in ((s.w, t.w), (s.sums, t.sums)):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("flow", ["Wasserstein", "Wasserstein-Fisher-Rao"])
@pytest.mark.parametrize("kind", ["a", "b"])
def test_axes_change_nothing_but_the_noise(kind, flow, scheme, monkeypatch):
    game = polynomial(kind, 6, seed=2)
    how = {"step": 1e-3, "particles": (50, 131), "scheme": scheme, "save_every": 0.02}
    turned = simulate(game, FLOWS[flow], mf.Start(), 0.04, **how)
    assert "axes_y" in turned.state
    monkeypatch.setattr("meanfield.particles.eigenbasis._axes", lambda game, p: None)
    plain = simulate(game, FLOWS[flow], mf.Start(), 0.04, **how)
    assert "axes_y" not in plain.state
    for a, b in zip([*turned.x, *turned.y], [*plain.x, *plain.y], strict=True):
        np.testing.assert_allclose(a.points, b.points, rtol=0, atol=1e-12)
        np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)
    for a, b in zip(turned[0], plain[0], strict=True):
        np.testing.assert_array_equal(a.points, b.points)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("kind", ["a", "b"])
def test_turned_runs_resume_to_the_bit_from_their_own_axes(kind, scheme, tmp_path, monkeypatch):
    game, flow = polynomial(kind, 6, seed=2), mf.Langevin(20.0)
    how = {"step": 1e-3, "particles": (50, 131), "scheme": scheme, "save_every": 0.01, "seed": 8}
    whole = simulate(game, flow, mf.Start(), 0.04, **how)
    half = mf.load(simulate(game, flow, mf.Start(), 0.015, **how).save(tmp_path / "half.h5"))
    # What another linear algebra library would find is of no account.
    eigh = np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda S: tuple(a[..., ::-1] for a in eigh(S)))
    rest = simulate(game, flow, None, 0.04, scheme=scheme, resume=half)
    for a, b in zip(whole[-1], rest[-1], strict=True):
        np.testing.assert_array_equal(a.points, b.points)
    for E, S in zip(("axes_x", "axes_y"), (b.S for b in game.bases), strict=True):
        if E in half.state:
            np.testing.assert_allclose(
                half.state[E].T @ half.state[E], np.eye(6), rtol=0, atol=1e-14
            )
            form = half.state[E].T @ S @ half.state[E]
            np.testing.assert_allclose(form, np.diag(np.diag(form)), rtol=0, atol=1e-13)
    assert (
        np.abs(
            simulate(game, flow, mf.Start(), 0.04, **how).y[-1].points - whole.y[-1].points
        ).max()
        > 1e-3
    )


def test_schemes_and_steps_share_the_noise_of_a_turned_game():
    game, flow = polynomial("b", 4, seed=1), mf.Langevin(5.0)
    how = {"particles": 200, "save_every": 0.02, "seed": 4}
    runs = [
        simulate(game, flow, mf.Start(), 0.02, step=h, refine=r, scheme=s, **how).x[-1].points
        for h, r, s in ((1e-3, 2, "euler"), (5e-4, 1, "euler"), (1e-3, 1, "strang"))
    ]
    other = simulate(game, flow, mf.Start(), 0.02, step=5e-4, **(how | {"replica": 1})).x[-1].points
    assert np.abs(runs[0] - runs[1]).max() < 0.02 and np.abs(runs[0] - runs[2]).max() < 0.02
    assert np.abs(runs[0] - other).max() > 0.5


def test_games_whose_means_of_squares_meet_run_in_the_plain_kernels():
    """C may hold products that no loss of the paper has; then `spheres.run` is not taken."""
    a = polynomial("a", 3, seed=0)
    C = a.C.copy()
    C[-1, 2] = 0.4
    odd = LowRank(*a.bases, C)
    assert fits(sides(a)) and fits(sides(polynomial("b", 3))) and not fits(sides(odd))
    run = simulate(
        odd, mf.Wasserstein(), mf.Start(), 0.01, step=1e-3, particles=20, save_every=1e-3
    )
    x, y = (mu.points for mu in run[0])
    for p, (z, M) in enumerate(((x, odd.X), (y, odd.Y))):
        mu = (run[0][1 - p]).points
        U = odd.gradient(p, z, mf.measures.Measure(mu, None, odd.manifolds[1 - p]))
        np.testing.assert_allclose(run[1][p].points, M.retract(z, -1e-3 * U), rtol=0, atol=1e-14)
