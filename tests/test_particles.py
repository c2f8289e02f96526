"""Particles: the listings of the paper, bits that repeat and resume, manifolds, bad input."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.games.lowrank import LowRank, polynomial, polynomial_from, trigonometric
from meanfield.games.pairwise import Pairwise
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Measure
from meanfield.particles.eigenbasis import frame, spherical
from meanfield.particles.ensemble import ensemble
from meanfield.particles.noise import fill
from meanfield.particles.plan import make_plan
from meanfield.particles.primitives import settle
from meanfield.particles.simulate import simulate
from meanfield.particles.state import flat, player
from meanfield.particles.stepper import Stepper
from tests.flat_problems import Pairs
from tests.stored_runs import equal

FLOWS = {
    "Wasserstein": mf.Wasserstein(),
    "Langevin": mf.Langevin(beta=(20.0, 30.0), gamma=(1.0, 0.5)),
    "Wasserstein-Fisher-Rao": mf.WassersteinFisherRao(gamma=(0.5, 1.0), alpha=(1.0, 2.0)),
    "mirror descent": mf.MirrorDescent(alpha=1.5),
    "one reacts, one diffuses": mf.Flow(gamma=1.0, alpha=(1.0, 0.0), temperature=(0.0, 0.05)),
}
TORUS_TERMS = [
    ((1, 0), (2,), 0.7, -0.3),
    ((1, -2), (1,), 0.2, 0.5),
    ((0, 1), (0,), 0.4, 0.1),
    ((0, 0), (3,), 0.0, 0.6),
]


class Hills(Pairwise):
    """l = exp(cos(x - y)) + sin(x) on circles: no low rank."""

    X = Y = Torus(1)
    name = "hills"

    def loss(self, x, y):
        return np.exp(np.cos(x - y.T)) + np.sin(x)

    def swapped(self):
        raise NotImplementedError

    def pair_gradient(self, p, x, y):
        gap = x - y.T
        slope = -np.exp(np.cos(gap)) * np.sin(gap)
        return (slope + np.cos(x))[..., None] if p == 0 else -slope[..., None]


def mixed():
    """A torus T^2 against the sphere S^3, coefficients by hand."""
    rng = np.random.default_rng(4)
    modes = np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 0.0]])
    bases = (
        TrigBasis(Torus(2, period=3.0), modes),
        QuadraticBasis(Sphere(3), rng.standard_normal((4, 4))),
    )
    return LowRank(*bases, 0.3 * rng.standard_normal((6, 10)), name="torus against sphere")


GAMES = {
    "torus": lambda: trigonometric(TORUS_TERMS, X=Torus(2, period=2.5), Y=Torus(1)),
    "sphere": lambda: polynomial("a", 4, seed=2),
    "mixed": mixed,
    "pairwise": Hills,
}


def short(game, flow, scheme="euler", time=0.2, **options):
    options = {"step": 0.01, "particles": (131, 40), "seed": 5, "save_every": 0.05, **options}
    return simulate(game, flow, mf.Start(), time, scheme=scheme, **options)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("game", GAMES)
def test_repeat_resume_and_invariants(game, flow, scheme):
    game, flow = GAMES[game](), FLOWS[flow]
    step = 1e-3 if game.name.startswith("l_a") else 0.01
    options = {
        "step": step,
        "save_every": 5 * step,
        "diagnostics": {"mean": lambda x, y: x.points.mean(0)},
    }
    whole = short(game, flow, scheme, 20 * step, **options)
    assert equal(whole, short(game, flow, scheme, 20 * step, **options))
    part = short(game, flow, scheme, 10 * step, **options)
    rest = simulate(game, flow, None, 20 * step, resume=part, diagnostics=options["diagnostics"])
    assert equal(whole, rest)
    assert len(part) == 3 and len(rest) == 5
    for mu in [*whole.x, *whole.y]:
        assert abs(mu.masses.sum() - 1) < 1e-12 and mu.masses.min() >= 0
    for manifold, x in zip(game.manifolds, whole.state["positions"], strict=True):
        if isinstance(manifold, Torus):
            assert x.min() >= 0 and x.max() < manifold.period
        else:
            np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=0, atol=1e-14)
    moved = [
        whole.x[-1].manifold.distance(a[0].points, a[-1].points).max() for a in (whole.x, whole.y)
    ]
    for rates, distance in zip(flow.players, moved, strict=True):
        assert (distance > 0) == (rates.gamma > 0)


def test_resume_between_saves_goes_on_to_the_same_end():
    game, flow = GAMES["mixed"](), FLOWS["Langevin"]
    whole = short(game, flow)
    part = short(game, flow, time=0.13)
    rest = simulate(game, flow, mf.Start(), 0.2, resume=part)
    np.testing.assert_array_equal(whole.x[-1].points, rest.x[-1].points)
    np.testing.assert_allclose(rest.times, [0, 0.05, 0.1, 0.13, 0.15, 0.2], rtol=0, atol=1e-15)


def test_seeds_and_replicas_differ():
    game, flow = GAMES["torus"](), FLOWS["Langevin"]
    ends = [
        short(game, flow, seed=s, replica=r).x for s, r in [(5, 0), (6, 0), (5, 1), (2**64 - 1, 0)]
    ]
    for i in range(4):
        for j in range(i):
            assert abs(ends[i][0].points - ends[j][0].points).max() > 0.1
            steps = [e[-1].points - e[0].points for e in (ends[i], ends[j])]
            assert abs(steps[0] - steps[1]).max() > 0.01


@pytest.mark.parametrize("game", ["torus", "pairwise"])
def test_threads_do_not_change_bits(game):
    game, flow = GAMES[game](), FLOWS["Langevin"]
    options = {"step": 0.01, "particles": 200, "seed": 3, "save_every": 0.1}
    serial = [simulate(game, flow, mf.Start(), 0.2, replica=r, **options) for r in range(5)]
    for threads in (1, 2, 4):
        runs = list(ensemble(game, flow, mf.Start(), 0.2, replicas=5, threads=threads, **options))
        for a, b in zip(serial, runs, strict=True):
            assert equal(a, b)
    reduced = ensemble(
        game, flow, mf.Start(), 0.2, replicas=[4, 2], reduce=lambda t: t.x[-1].points, **options
    )
    for got, r in zip(reduced, (4, 2), strict=True):
        np.testing.assert_array_equal(got, serial[r].x[-1].points)


@pytest.mark.parametrize("game", GAMES)
def test_kernel_forces_are_the_games(game):
    game = GAMES[game]()
    rng = np.random.default_rng(0)
    n = (131, 300)
    start = mf.Start(
        *(
            Measure(m.sample(k, rng), rng.dirichlet(np.ones(k)), m)
            for m, k in zip(game.manifolds, n, strict=True)
        )
    )
    settings = dict(scheme="euler", save_every=None, replica=0, refine=1, placement="atoms")
    plan = make_plan(time=0, step=1e-5, particles=n, seed=0, **settings)
    run = Stepper(game, mf.Wasserstein(), plan, start)
    pair = run.measures()
    for p, (U, G) in enumerate(run.forces()):
        me, other = pair[p], pair[1 - p]
        cost, slope = game.cost(p, me.points, other), game.gradient(p, me.points, other)
        U = U.ravel()[: n[p]]
        np.testing.assert_allclose(  # of quadratic forms without their constant
            U - U.mean(), cost - cost.mean(), rtol=0, atol=1e-13 * max(1, abs(cost).max())
        )
        if run.fused:  # lengths of gradients alone
            slope = np.linalg.norm(slope, axis=1, keepdims=True)
        np.testing.assert_allclose(
            flat(G, n[p]), slope, rtol=0, atol=1e-13 * max(1, abs(slope).max())
        )


def drawn(game, flow, p, n, tick, seed):
    """The normals (n, a) of a tick; those of games on spheres are drawn along the axes in which
    these move.
    """
    d, lanes = game.manifolds[p].ambient, -(-n // 16) * 16
    if not spherical(game):
        xi = np.empty((d, lanes))
        fill((), xi, lanes, 0, tick, p, 0, np.uint64(seed), 1)
        return xi[:, :n].T
    xi, E = np.empty((d + d % 2, lanes)), frame(game, flow).axes[p]
    fill((True,), xi, lanes, 0, tick, p, 0, np.uint64(seed), 1)
    return xi[:d, :n].T if E is None else xi[:d, :n].T @ E.T


def listing(game, flow, tr, step, steps, seed):
    """Algorithms 1 and 2 as they stand in the paper, one line a line."""
    x, y = tr.x[0].points, tr.y[0].points
    w = [np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))]
    sums = [0.0, 0.0]
    for t in range(steps):
        mu = [Measure(x, w[0], game.X), Measure(y, w[1], game.Y)]
        sums = [s + v for s, v in zip(sums, w, strict=True)]
        ends = []
        for p, rates in enumerate(flow.players):
            z, M = mu[p].points, game.manifolds[p]
            xi = drawn(game, flow, p, len(z), t, seed)
            noise = np.sqrt(2 * rates.gamma * rates.temperature * step) * M.project(z, xi)
            z = M.retract(z, -rates.gamma * step * game.gradient(p, z, mu[1 - p]) + noise)
            v = w[p] * np.exp(-rates.alpha * step * game.cost(p, mu[p].points, mu[1 - p]))
            ends.append((z, v / v.sum()))
        (x, w0), (y, w1) = ends
        w = [w0, w1]
    return x, y, w, [s / steps for s in sums]


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("game", GAMES)
def test_algorithms_1_and_2_literally(game, flow):
    game, flow = GAMES[game](), FLOWS[flow]
    tr = short(game, flow, time=0.012, step=1e-3, save_every=None)
    x, y, w, means = listing(game, flow, tr, 1e-3, 12, 5)
    for mu, z, v in ((tr.x[-1], x, w[0]), (tr.y[-1], y, w[1])):
        assert mu.manifold.distance(mu.points, z).max() < 1e-13
        np.testing.assert_allclose(mu.masses, v, rtol=1e-12)
    if flow.reacts:
        for p in range(2):
            np.testing.assert_allclose(tr.average("weights")[p].masses, means[p], rtol=1e-12)


@pytest.mark.parametrize("period", [2 * np.pi, 1.0, 0.3])
def test_wrapping_at_the_seam(period):
    rng = np.random.default_rng(0)
    whole = period * rng.integers(-1000, 1000, 20_000)
    x = np.concatenate(
        [np.nextafter(whole, np.inf), whole, np.nextafter(whole, -np.inf), [-1e-20, -0.0, 1e-300]]
    )
    game = trigonometric([((1,), (1,), 1.0, 0.0)], X=Torus(1, period), Y=Torus(1, period))
    me = player(game, 0, mf.Wasserstein().x, 0.1, 0, 0, 1)
    wrapped = x[None].copy()
    settle(me.sphere, me.period, wrapped, np.empty(len(x)))
    assert wrapped.min() >= 0 and wrapped.max() < period
    gap = game.X.distance(wrapped.T, x[:, None])
    assert gap.max() < 1e-12 * period * 1000


def test_players_swap():
    game, flow = mixed(), mf.Flow(gamma=(1.0, 0.5), alpha=(0.5, 1.0))
    rng = np.random.default_rng(1)
    mu, nu = (
        Measure(game.X.sample(9, rng), None, game.X),
        Measure(game.Y.sample(6, rng), None, game.Y),
    )
    back = mf.Flow(gamma=flow.gamma[::-1], alpha=flow.alpha[::-1])
    for scheme in ("euler", "strang"):
        options = {"step": 0.01, "scheme": scheme, "placement": "atoms"}
        one = simulate(game, flow, mf.Start(mu, nu), 0.3, particles=(9, 6), **options)
        two = simulate(game.swapped(), back, mf.Start(nu, mu), 0.3, particles=(6, 9), **options)
        for a, b in ((one.x[-1], two.y[-1]), (one.y[-1], two.x[-1])):
            assert a.manifold.distance(a.points, b.points).max() < 1e-13
            np.testing.assert_allclose(a.masses, b.masses, rtol=1e-12)
        np.testing.assert_allclose(
            one.diagnostics["value"], -two.diagnostics["value"], rtol=0, atol=1e-13
        )


def test_more_particles_keep_the_noise_of_the_first():
    game = trigonometric([((0,), (0,), 1.0, 0.0)])
    few, many = (
        simulate(game, mf.Langevin(10.0), mf.Start(), 0.1, step=0.01, particles=n, save_every=0.1)
        for n in (51, 1000)
    )
    for a, b in ((few.x, many.x), (few.y, many.y)):
        steps = [(m[1].points - m[0].points + np.pi) % (2 * np.pi) - np.pi for m in (a, b)]
        np.testing.assert_allclose(steps[0], steps[1][:51], rtol=0, atol=1e-14)


def test_quantile_start():
    bump = mf.concentrated(6.2, std=0.2)
    tr = simulate(
        GAMES["pairwise"](), mf.Wasserstein(), mf.Start(bump, "uniform"), 0.0, placement="quantile"
    )
    rng = np.random.default_rng(0)
    sample = (rng.vonmises(0, 25, 400_000) + 6.2) % (2 * np.pi)
    for k in (1, 3):
        assert (
            abs(
                tr.x[0].integrate(np.exp(1j * k * tr.x[0].points[:, 0]))
                - np.exp(1j * k * sample).mean()
            )
            < 2e-3
        )
    np.testing.assert_allclose(np.diff(np.sort(tr.y[0].points[:, 0])), 2 * np.pi / 1000, rtol=1e-9)


def test_stop_and_callback_and_early_end():
    seen = []
    tr = short(
        GAMES["torus"](),
        FLOWS["Langevin"],
        stop=lambda t, x, y: t > 0.09,
        callback=lambda t, x, y: seen.append((t, len(x), len(y))),
    )
    assert [round(t, 9) for t, *_ in seen] == [0.0, 0.05, 0.1] and seen[0][1:] == (131, 40)
    assert tr.times[-1] == pytest.approx(0.1) and "stopped" in tr.provenance["ended"]
    assert equal(
        short(GAMES["torus"](), FLOWS["Langevin"]), simulate(tr.game, tr.flow, None, 0.2, resume=tr)
    )


def test_provenance_and_diagnostics():
    tr = short(GAMES["sphere"](), FLOWS["Wasserstein"], step=1e-3, time=0.1, save_every=None)
    assert len(tr) == 51 and tr.provenance["seed"] == 5 and tr.provenance["particles"] == (131, 40)
    assert tr.provenance["versions"]["numpy"] == np.__version__
    want = [tr.game.value(x, y) for x, y in tr]
    np.testing.assert_allclose(tr.diagnostics["value"], want, rtol=0, atol=1e-14)
    far = tr.game.X.distance(tr.x[3].points, tr.x[4].points).max()
    assert tr.diagnostics["displacement"][4, 0] == far and tr.diagnostics["displacement"].shape == (
        51,
        2,
    )


@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_unstable_steps_are_refused(scheme):
    steep = trigonometric([((1,), (0,), 40.0, 0.0), ((0,), (1,), 1.0, 0.0)])
    with pytest.raises(
        ValueError, match=r"unstable step for player x: gamma dt max\|grad U\| is 4, above"
    ) as error:
        simulate(steep, mf.Wasserstein(), mf.Start(), 1.0, step=0.1, scheme=scheme)
    good = float(str(error.value).split("a step of ")[1].split(" would do")[0])
    simulate(steep, mf.Wasserstein(), mf.Start(), good, step=good, scheme=scheme)
    hot = mf.Langevin((1e3, 0.5))
    with pytest.raises(
        ValueError, match=r"unstable step for player y: the noise's deviation sqrt\(2 gamma T dt\)"
    ):
        simulate(
            polynomial_from(0, 0.1 * np.eye(3), 0, 0, 0, 0),
            hot,
            mf.Start(),
            1.0,
            step=0.2,
            scheme=scheme,
        )


def test_a_step_that_becomes_unstable_is_refused_later():
    """The x player's force grows with the other's concentration: V = 30 cos(x) E cos(y)."""
    game = trigonometric([((1,), (1,), 15.0, 0.0), ((1,), (-1,), 15.0, 0.0)])
    start = mf.Start("uniform", mf.concentrated(np.pi / 2, std=0.001**0.5))
    with pytest.raises(ValueError, match="unstable step for player x"):
        simulate(game, mf.Wasserstein((1.0, 0.5)), start, 5.0, step=0.1, save_every=0.1)
    simulate(game, mf.Wasserstein((1.0, 0.5)), start, 0.1, step=0.1)


def test_infinite_forces_are_refused():
    class Broken(Hills):
        def pair_gradient(self, p, x, y):
            return np.full((len(x), len(y), 1), np.nan)

    with pytest.raises(ValueError, match="not finite"):
        simulate(Broken(), mf.Wasserstein(), mf.Start(), 0.1, step=0.1, particles=3)


@pytest.mark.parametrize("scheme", ["euler", "strang"])
@pytest.mark.parametrize("flow", FLOWS)
def test_both_kinds_of_game_run_one_scheme(flow, scheme):
    game = trigonometric(TORUS_TERMS, X=Torus(2, period=2.5), Y=Torus(1))
    one, two = (short(g, FLOWS[flow], scheme, refine=2) for g in (game, Pairs(game)))
    for a, b in zip([one.x[-1], one.y[-1]], [two.x[-1], two.y[-1]], strict=True):
        assert a.manifold.distance(a.points, b.points).max() < 1e-12
        np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)
    if FLOWS[flow].reacts:
        for a, b in zip(one.average("weights"), two.average("weights"), strict=True):
            np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)
