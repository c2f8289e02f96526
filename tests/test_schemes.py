"""Schemes of particles since 2020: what their papers state, against sums written out here."""

import numpy as np
import pytest
from scipy.special import ive

import meanfield as mf
from tests import later_flows as later
from tests import test_later_exact as exact
from tests.convergence import fitted_order
from tests.stored_runs import equal
from tests.test_looks import GAMES, moved

CIRCLE = mf.Torus(1)
COSINE = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])  # cos(x - y)
CORNERS = np.arange(4) * np.pi / 2
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.5, 0.3, 0.1])
START = mf.Start(*(mf.Measure(CORNERS[:, None], w, CIRCLE) for w in WEIGHTS))
ATOMS = {"particles": 4, "placement": "atoms"}

# -- alternating ----------------------------------------------------------------------------------


def test_alternating_steps_are_those_of_the_listing():
    """Weights of a 4 x 4 game, y against what x has become."""
    h, steps, payoff = 0.3, 20, np.cos(CORNERS[:, None] - CORNERS)
    w, v = (np.log(w) for w in WEIGHTS)
    for _ in range(steps):
        w = w - h * payoff @ np.exp(v)
        w -= np.log(np.exp(w).sum())
        v = v + h * np.exp(w) @ payoff
        v -= np.log(np.exp(v).sum())
    run = mf.simulate(
        COSINE, mf.MirrorDescent(), START, steps * h, step=h, scheme="alternating", **ATOMS
    )
    np.testing.assert_allclose(run.x[-1].masses, np.exp(w), rtol=1e-12)
    np.testing.assert_allclose(run.y[-1].masses, np.exp(v), rtol=1e-12)


@pytest.mark.parametrize(
    ("scheme", "power", "order"), [("euler", 2, 1 / 2), ("alternating", 3, 2 / 3)]
)
def test_errors_of_averages_fall_as_lascu_majka_and_szpruch_state(scheme, power, order):
    """NI of the averages over N steps of length N^(-1/2) falls as N^(-1/2) where players move at
    once, over N steps of length N^(-1/3) as N^(-2/3) where they alternate.

    For cos(x - y) it is |E e^{ix}| + |E e^{iy}|. It goes up and down as the weights circle: the
    root mean square of n NI_n for n from N/2 to N, over N.
    """
    sizes, errors = 2 ** np.arange(8, 13), []
    for N in sizes:
        h = 4 * float(N) ** (-1 / power)
        run = mf.simulate(
            COSINE, mf.MirrorDescent(), START, N * h, step=h, scheme=scheme, save_every=h,
            progress=False, **ATOMS,
        )  # fmt: skip
        means = np.array(run.state["mean_weights"])[N // 2 :]  # (saves, player, 4)
        gaps = np.abs(means @ np.exp(1j * CORNERS)).sum(axis=1)
        errors.append(np.sqrt(np.mean((np.arange(N // 2, N + 1) * gaps) ** 2)) / N)
    assert fitted_order(sizes, errors) == pytest.approx(-order, abs=0.05)


@pytest.mark.parametrize("game", ["modes", "forms, diagonal", "pairs"])
def test_looks_alternate_as_the_plain_one_does(game):
    for flow in (mf.WassersteinFisherRao((0.5, 1.0), (1.0, 2.0)), mf.Langevin(20.0)):
        found = (moved(GAMES[game](), flow, plain, scheme="alternating") for plain in (False, True))
        for a, b in zip(*found, strict=True):
            gap = a.manifold.difference(a.points, b.points)
            np.testing.assert_allclose(gap, 0, rtol=0, atol=1e-12)
            np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)


# -- mirror-prox and proximal point ---------------------------------------------------------------


@pytest.mark.parametrize("inner", [1, 2, 3, 4, 5, 30])
def test_inner_steps_multiply_a_turning_mode_by_their_geometric_sum(inner):
    """Between two opposite points cos(x - y) turns the log-ratios of the weights, z = u + iv, at
    unit speed: a step is z <- z sum_j (i dt)^j up to j = inner, the proximal point z/(1 - i dt).
    """
    h, steps, z = 0.5, 20, 1e-5 + 2e-5j
    ratios = np.exp([z.real, z.imag])
    points = np.array([[0.0], [np.pi]])
    laws = (mf.Measure(points, [r / (1 + r), 1 / (1 + r)], CIRCLE) for r in ratios)
    run = mf.simulate(
        COSINE, mf.MirrorDescent(), mf.Start(*laws), steps * h, step=h, scheme="mirror-prox",
        inner=inner, particles=2, placement="atoms",
    )  # fmt: skip
    u, v = (np.log(mu.masses[0] / mu.masses[1]) for mu in run[-1])
    step = ((1j * h) ** np.arange(inner + 1)).sum()
    assert abs((u + 1j * v) / (z * step**steps) - 1) < 1e-7
    if inner == 30:
        assert abs(step * (1 - 1j * h) - 1) < 1e-9


def test_many_inner_steps_are_the_proximal_point():
    """What is off in x' = x - dt grad U(x', ...), w' ~ w exp(-dt U(x', ...)), all primed unknown,
    shrinks with every inner step, to rounding.
    """
    h, flow, off = 0.2, mf.WassersteinFisherRao(), []
    for inner in (1, 2, 3, 4, 5, 60):
        x, y = mf.simulate(
            exact.GAME, flow, exact.START, h, step=h, scheme="mirror-prox", inner=inner,
            particles=(3, 4), placement="atoms",
        )[-1]  # fmt: skip
        means = [exact.features(mu.points[:, 0], mu.masses) for mu in (x, y)]
        gaps = []
        for p, mu in enumerate((x, y)):
            U, slope = exact.cost(p, mu.points[:, 0], means[1 - p])
            w = exact.WEIGHTS[p] * np.exp(-h * U)
            gaps.append(np.abs(mu.masses - w / w.sum()))
            gaps.append(np.abs(np.sin(mu.points[:, 0] - exact.ATOMS[p] + h * slope)))
        off.append(np.concatenate(gaps).max())
    assert (np.array(off[1:-1]) < 0.6 * np.array(off[:-2])).all() and off[-1] < 1e-14


def test_the_proximal_point_goes_to_the_equilibrium_where_the_flow_goes_round():
    """In Wang & Chizat's example 4.1 small offsets of weights turn under (8), at 2 alpha, and stay
    as large; in a step of the proximal point they shrink by |1/(1 - 2 i alpha dt)|. Positions fall
    at 16 pi^2 gamma as it is.
    """
    game, h = mf.games.wang_chizat(), 0.1
    rest = game.answers["equilibrium"]
    moved = (
        mf.Measure(m.points + 1e-4, m.masses, m.manifold)
        for m in game.answers["measures"](1e-3, 0.0)
    )
    run = mf.simulate(
        game, mf.WassersteinFisherRao(0.002, 1.0), mf.Start(*moved), 600 * h, step=h, particles=2,
        placement="atoms", scheme="mirror-prox", inner=20, save_every=300 * h,
    )  # fmt: skip
    off = [np.linalg.norm([mu.masses[0] - 0.5 for mu in pair]) for pair in run]
    factor = abs(1 / (1 - 2j * h)) ** 300
    assert off[1] / off[0] == pytest.approx(factor, rel=0.05)
    assert off[2] / off[1] == pytest.approx(factor, rel=1e-3)
    gaps = [m.manifold.distance(m.points, r.points) for m, r in zip(run[-1], rest, strict=True)]
    assert np.max(gaps) < 1e-7


def test_inner_steps_in_compiled_code_are_those_of_the_listing():
    flow, how = mf.WassersteinFisherRao(), {"scheme": "mirror-prox", "inner": 4}
    for a, b in zip(*(moved(GAMES["modes"](), flow, p, **how) for p in (False, True)), strict=True):
        np.testing.assert_allclose(a.manifold.difference(a.points, b.points), 0, atol=1e-12)
        np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)


def test_inner_steps_are_of_mirror_prox_alone_and_resume(tmp_path):
    how = {"step": 0.1, "particles": 20, "scheme": "mirror-prox", "save_every": 0.1}
    flow, start = mf.MirrorDescent(), mf.Start(x=mf.concentrated(1.0, std=0.5))
    whole = mf.simulate(COSINE, flow, start, 0.4, inner=3, **how)
    half = mf.load(mf.simulate(COSINE, flow, start, 0.2, inner=3, **how).save(tmp_path / "half.h5"))
    assert equal(mf.simulate(COSINE, flow, None, 0.4, resume=half), whole)
    assert not equal(mf.simulate(COSINE, flow, start, 0.4, **how), whole)
    with pytest.raises(ValueError, match="leave it out of"):
        mf.simulate(COSINE, flow, start, 0.4, step=0.1, inner=3)
    with pytest.raises(ValueError, match="inner must be at least 1"):
        mf.simulate(COSINE, flow, start, 0.4, **how, inner=0)


# -- inner loops ----------------------------------------------------------------------------------


def test_an_inner_loop_of_langevin_is_another_time_scale():
    """20 inner steps of y in a step of x: the law of y runs 20 times as fast (Ma & Ying's inner and
    outer iterations), and is nearer to the quasistatic flow than to (7).
    """
    n, how = 5000, {"step": 0.02, "save_every": 0.5, "particles": 5000}
    swarm = mf.simulate(later.GAME, mf.Quasistatic(later.BETA), later.START, 1.0, inner=20, **how)
    fields = [
        later.solved(flow, save_every=0.5)
        for flow in (mf.TwoTimeScale(later.BETA, 20.0), mf.Langevin(later.BETA))
    ]
    near, far = (np.abs(later.sines(swarm) - later.sines(f))[1:].max() for f in fields)
    assert near < 4 / np.sqrt(n) + 0.02 < 0.15 < far


@pytest.mark.parametrize("rate", [1.0, np.inf])
def test_responses_on_spheres_without_a_mesh_are_von_mises_fisher(rate):
    """On S^5 against cost a'x: G ~ exp(-beta a'x), whose mean is -I3/I2(beta |a|) a/|a|; the law is
    e^{-t} m(0) + (1 - e^{-t}) G, or G where the response is at once.
    """
    a, beta, n = np.array([2.0, 0, 0, 0, 1.0, 0]), 2.0, 8000
    game = mf.games.polynomial_from(0, np.zeros((6, 6)), 0, 0, a, -a)
    flow = mf.EntropicBestResponse(beta) if rate == 1.0 else mf.Quasistatic(beta)
    run = mf.simulate(game, flow, mf.Start(), 1.0, step=0.05, particles=n, inner=20)
    kappa = beta * np.linalg.norm(a)
    mean = -(1 - np.exp(-rate)) * ive(3, kappa) / ive(2, kappa) * a / np.linalg.norm(a)
    for mu in run[-1] if rate == 1.0 else run[-1][1:]:
        np.testing.assert_allclose(mu.integrate(mu.points), mean, atol=4 / np.sqrt(6 * n) + 0.02)


def test_inner_loops_repeat_and_resume_to_the_bit(tmp_path):
    for flow in (mf.EntropicBestResponse(5.0, 2.0), mf.Quasistatic(5.0)):
        how = {"step": 0.05, "particles": (60, 50), "seed": 3, "inner": 3, "save_every": 0.1}
        whole = mf.simulate(later.GAME, flow, later.START, 0.4, **how)
        half = mf.simulate(later.GAME, flow, later.START, 0.2, **how)
        loaded = mf.load(half.save(tmp_path / "half.h5", overwrite=True))
        assert loaded.flow == flow
        assert equal(mf.simulate(later.GAME, flow, None, 0.4, resume=loaded), whole)


@pytest.mark.parametrize(
    ("flow", "inner", "match"),
    [
        (mf.Quasistatic(5.0), None, "give inner=20"),
        (mf.Langevin(5.0), 3, "leave it out of"),
        (mf.Flow(1.0, 0.0, 0.2, (1.0, 0.0)), 3, "has a response and moves"),
    ],
)
def test_inner_loops_refuse_what_they_cannot_do(flow, inner, match):
    with pytest.raises(ValueError, match=match):
        mf.simulate(later.GAME, flow, later.START, 0.1, step=0.05, particles=20, inner=inner)


# -- reactions to a kernel's log-density ----------------------------------------------------------


def test_fisher_rao_weights_are_those_of_the_closed_form_but_for_the_kernel():
    """Where nothing moves log mu(t) = e log mu(0) - (1 - e) U/T, e = exp(-alpha T t); weights of
    nodes come near to it as h^2.
    """
    game, T, alpha = mf.games.trigonometric([((1,), (0,), 1.0, 0.0)]), 0.5, 2.0  # U = cos x
    flow = mf.Flow(0.0, alpha, T)
    nodes = 2 * np.pi * np.arange(300) / 300
    first = 1 + 0.8 * np.sin(nodes)
    start = mf.Start(x=mf.Measure(nodes[:, None], first / first.sum(), CIRCLE), y=START.y)
    e = np.exp(-alpha * T)
    exact = first**e * np.exp(-(1 - e) * np.cos(nodes) / T)
    bandwidths, off = [0.4, 0.2, 0.1], []
    for h in bandwidths:
        run = mf.simulate(
            game, flow, start, 1.0, step=0.02, particles=(300, 4), placement="atoms", bandwidth=h
        )
        off.append(np.abs(run.x[-1].masses - exact / exact.sum()).sum())
    assert 1.7 < fitted_order(bandwidths, off) < 2.2 and off[-1] < 0.01


def test_particles_of_the_entropic_wfr_flow_follow_its_mean_field():
    n, flow = 600, mf.EntropicWassersteinFisherRao(later.BETA, 0.5, 1.0)
    swarm = mf.simulate(
        later.GAME, flow, later.START, 1.0, step=0.025, particles=n, bandwidth=0.15, save_every=0.5
    )
    fields = [later.solved(f, save_every=0.5) for f in (flow, mf.Langevin(later.BETA, 0.5))]
    near, far = (np.abs(later.sines(swarm) - later.sines(f))[1:].max() for f in fields)
    assert near < 2 / np.sqrt(n) + 0.02 < 0.5 < far


def test_the_entropic_wfr_flow_on_a_sphere_ends_at_von_mises_fisher_and_resumes(tmp_path):
    """On S^2 against a'x: mean -(coth k - 1/k) a/|a| at k = beta |a|."""
    a, beta, n = np.array([1.0, 1.0, 0.0]), 2.0, 500
    game = mf.games.polynomial_from(0, np.zeros((3, 3)), 0, 0, a, -a)
    flow = mf.EntropicWassersteinFisherRao(beta, 1.0, 2.0)
    how = {"step": 0.05, "particles": n, "bandwidth": 0.3, "save_every": 0.5}
    run = mf.simulate(game, flow, mf.Start(), 2.0, **how)
    k = beta * np.linalg.norm(a)
    mean = -(1 / np.tanh(k) - 1 / k) * a / np.linalg.norm(a)
    for mu in run[-1]:
        np.testing.assert_allclose(mu.integrate(mu.points), mean, atol=4 / np.sqrt(3 * n) + 0.03)
    half = mf.load(mf.simulate(game, flow, mf.Start(), 1.0, **how).save(tmp_path / "half.h5"))
    assert equal(mf.simulate(game, flow, None, 2.0, resume=half), run)
    assert "2506.05905" in run.cite()
    with pytest.raises(ValueError, match="leave it out of"):
        mf.simulate(game, mf.Langevin(beta), mf.Start(), 0.1, step=0.05, bandwidth=0.3)


# -- consensus ------------------------------------------------------------------------------------


def test_a_step_towards_consensus_is_the_listed_one():
    """On T^2, against constant costs: c is the mean, x' - c - (1 - rho dt)(x - c) is normal with
    deviation sigma sqrt(dt) |x - c|.
    """
    n, rate, h, sigma, T2 = 4000, 2.0, 0.1, 0.7, mf.Torus(2)
    start = mf.Start(*(mf.concentrated([1.0, 6.2], std=0.3) for _ in range(2)))
    how = {"step": h, "particles": n, "exploration": sigma, "save_every": h}
    run = mf.simulate(mf.games.free(T2, T2), mf.EntropicBestResponse(5.0, rate), start, h, **how)
    for before, after in run.x, run.y:
        c = np.angle(np.exp(1j * before.points).mean(axis=0))
        off, moved = T2.difference(c, before.points), T2.difference(c, after.points)
        size = np.linalg.norm(off, axis=1, keepdims=True)
        xi = (moved - (1 - rate * h) * off) / (sigma * np.sqrt(h) * size)
        assert np.abs(xi.mean(axis=0)).max() < 4 / np.sqrt(n)
        assert np.abs(np.cov(xi.T) - np.eye(2)).max() < 4 * np.sqrt(2 / n)


def test_consensus_finds_saddle_points_among_others():
    """(1, 2) is the equilibrium of f(x - 1) - f(y - 2) + sin sin / 2; f has three wells."""
    well = "(1 - cos({0})) + 0.8*(1 - cos(3*({0})))"
    game = mf.games.expression(
        f"{well.format('x - 1')} - ({well.format('y - 2')}) + 0.5*sin(x - 1)*sin(y - 2)"
    )
    how = {"step": 0.05, "particles": 200, "exploration": 0.7, "save_every": 2.5}
    run = mf.simulate(game, mf.EntropicBestResponse(30.0), mf.Start(), 15.0, **how)
    for mu, at in zip(run[-1], (1.0, 2.0), strict=True):
        assert np.abs(CIRCLE.difference(mu.points, np.array([[at]]))).max() < 0.05
    assert "Riedl" in run.cite()
    half = mf.simulate(game, mf.EntropicBestResponse(30.0), mf.Start(), 7.5, **how)
    assert equal(mf.simulate(game, half.flow, None, 15.0, resume=half), run)


def test_consensus_on_spheres_of_any_dimension():
    a = np.array([2.0, 0, 0, 0, 1.0, 0])
    game = mf.games.polynomial_from(0, np.zeros((6, 6)), 0, 0, a, -a)
    how = {"step": 0.05, "particles": 300, "exploration": 0.4}
    run = mf.simulate(game, mf.EntropicBestResponse(50.0), mf.Start(), 15.0, **how)
    for mu in run[-1]:
        assert np.linalg.norm(mu.points + a / np.linalg.norm(a), axis=1).max() < 0.1


@pytest.mark.parametrize(
    ("flow", "more", "match"),
    [
        (mf.Langevin(5.0), {}, "leave it out of"),
        (mf.Quasistatic(5.0), {}, "leave it out of"),
        (mf.EntropicBestResponse(5.0), {"inner": 3}, "leave one of them out"),
        (mf.EntropicBestResponse(5.0, 30.0), {}, "a step of 0.017 would do"),
    ],
)
def test_consensus_refuses_what_it_cannot_do(flow, more, match):
    with pytest.raises(ValueError, match=match):
        mf.simulate(later.GAME, flow, step=0.05, particles=20, exploration=0.5, **more)


def test_results_name_the_sources_of_their_schemes():
    run = mf.simulate(
        COSINE, mf.MirrorDescent(), START, 0.2, step=0.1, scheme="alternating", **ATOMS
    )
    assert "2402.08106" in run.cite()
    inner = {"time": 0.1, "step": 0.05, "particles": 20, "inner": 2}
    assert "Kim" in mf.simulate(COSINE, mf.EntropicBestResponse(2.0), START, **inner).cite()
    assert "Ying" in mf.simulate(COSINE, mf.Quasistatic(2.0), START, **inner).cite()
