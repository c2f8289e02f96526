"""Later flows with particles: the mean field's averages, mirror-prox, bits that repeat and resume,
refusals.
"""

import numpy as np
import pytest

import meanfield as mf
from meanfield.flows import Flow
from tests.later_flows import BETA, GAME, LOG, POLY, START, sines, solved
from tests.stored_runs import equal

PARTICLES = {
    "best response": (mf.EntropicBestResponse(BETA, 2.0), "euler"),
    "discounted": (mf.DiscountedLangevin(BETA, 3.0), "euler"),
    "averaged": (mf.AveragedLangevin(BETA, 1.0), "euler"),
    "annealed": (mf.Annealed(mf.Langevin(BETA), LOG, POLY), "strang"),
    "mirror-prox": (mf.WassersteinFisherRao(0.1, 1.0), "mirror-prox"),
    "annealed mirror-prox": (mf.Annealed(mf.MirrorDescent(), speed=POLY), "mirror-prox"),
}


@pytest.mark.parametrize("name", ["best response", "discounted", "averaged", "annealed"])
def test_particles_follow_the_mean_field(name):
    flow, scheme = PARTICLES[name]
    n = 20_000
    swarm = mf.simulate(
        GAME, flow, START, 1.0, step=0.01, particles=n, scheme=scheme, save_every=0.25
    )
    field = solved(flow, save_every=0.25, cells=128, tol=1e-4)
    # Fluctuations of 1/sqrt(n) and, in Euler's scheme, an error of the order of the step.
    assert np.abs(sines(swarm) - sines(field)).max() < 4 / np.sqrt(n) + (
        0.01 if scheme == "euler" else 0.0
    )


def test_gibbs_answers_to_the_past_are_proximal_steps_in_relative_entropy():
    """z <- (1 - s) z + s E f under the Gibbs measure of the averages z before it: on a mesh."""
    game = mf.games.trigonometric([((1,), (-1,), 1.0, 0.3), ((2,), (1,), 0.0, -0.25)])
    beta, rate, dt, n = 1.5, 2.0, 0.05, 4000
    flow = Flow(0.0, 0.0, 1 / beta, response=1000.0, memory=mf.Memory(rate=rate))
    how = {"step": dt, "particles": n, "inner": 100, "save_every": dt, "progress": False}
    swarm = mf.simulate(game, flow, START, 0.5, **how)
    nodes = mf.mesh(mf.Torus(1), 256).nodes

    def moments(pair):
        return [game.moments(p, mu.points, mu.masses) for p, mu in enumerate(pair)]

    def answers(z):
        costs = [game.bases[p].values(nodes) @ game.coefficients(p, z[1 - p]) for p in (0, 1)]
        masses = [np.exp(-beta * U) / np.exp(-beta * U).sum() for U in costs]
        return [game.moments(p, nodes, masses[p]) for p in (0, 1)]

    z, share, forgetful = moments(swarm[0]), -np.expm1(-rate * dt), 0.0
    for before, after in zip(swarm, list(swarm)[1:], strict=False):
        now, found, present = answers(z), moments(after), answers(moments(before))
        # Every particle jumps in every step, to where a hundred inner steps have come.
        for p in (0, 1):
            assert np.abs(now[p] - found[p]).max() < 2.5 / np.sqrt(n)
            forgetful = max(forgetful, np.abs(present[p] - found[p]).max())
        z = [(1 - share) * a + share * b for a, b in zip(z, now, strict=True)]
    assert forgetful > 0.3
    half = mf.simulate(game, flow, START, 0.25, **how)
    assert equal(mf.simulate(game, flow, time=0.5, resume=half, progress=False), swarm)


def test_mirror_prox_moves_positions_and_weights_to_the_equilibrium():
    game = mf.games.wang_chizat()
    x, y = game.answers["measures"](0.1, 0.0)
    moved = [mf.Measure(m.points + 0.01, m.masses, m.manifold) for m in (x, y)]
    start, flow = mf.Start(x=moved[0], y=moved[1]), mf.WassersteinFisherRao(0.02, 1.0)
    how = {"step": 0.05, "particles": 2, "placement": "atoms"}
    ends = {}
    for scheme in ("euler", "mirror-prox"):
        run = mf.simulate(game, flow, start, 100.0, scheme=scheme, **how)
        ends[scheme] = mf.nikaido_isoda(game, *run[-1]).value
    assert ends["mirror-prox"] < 1e-3 < 1e-1 < ends["euler"]


@pytest.mark.parametrize("name", ["best response", "annealed", "mirror-prox"])
def test_one_game_in_two_forms_moves_alike(name):
    """cos(x - y) + 0.3 cos(2 x + y) by its features and, with derivatives by differences, by its
    pairs.
    """
    flow, scheme = PARTICLES[name]
    features = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.3, 0.0)])
    circle = mf.Torus(1)
    pairs = mf.games.function(
        lambda x, y: (np.cos(x - y) + 0.3 * np.cos(2 * x + y))[..., 0], circle, circle
    )
    one, two = (
        mf.simulate(g, flow, START, 0.2, step=0.02, particles=30, scheme=scheme)
        for g in (features, pairs)
    )
    for a, b in zip(one[-1], two[-1], strict=True):
        np.testing.assert_allclose(a.points, b.points, atol=1e-6)
        np.testing.assert_allclose(a.masses, b.masses, atol=1e-6)


@pytest.mark.parametrize(("flow", "scheme"), PARTICLES.values(), ids=PARTICLES)
def test_particles_repeat_and_resume_to_the_bit(flow, scheme, tmp_path):
    how = {"step": 0.02, "particles": (150, 120), "scheme": scheme, "seed": 3, "save_every": 0.1}
    whole = mf.simulate(GAME, flow, START, 0.6, **how)
    again = mf.simulate(GAME, flow, START, 0.6, **how)
    half = mf.simulate(GAME, flow, START, 0.3, **how)
    loaded = mf.load(half.save(tmp_path / "half.h5"))
    assert loaded.flow == flow
    rest = mf.simulate(GAME, flow, None, 0.6, scheme=scheme, resume=loaded)
    assert equal(again, whole) and equal(rest, whole)


@pytest.mark.parametrize(
    "flow", [mf.DiscountedLangevin(2.0, 1.0), mf.EntropicBestResponse(2.0)], ids=["memory", "jumps"]
)
def test_particles_on_s2_follow_the_mean_field(flow):
    game, n = mf.games.polynomial("a", dim=3, seed=1), 10_000
    field = mf.solve(game, flow, mf.Start(), 0.5, cells=642, save_every=0.5, tol=1e-3)
    swarm = mf.simulate(game, flow, mf.Start(), 0.5, step=0.01, particles=n)
    for a, b in zip(swarm[-1], field[-1], strict=True):
        assert np.abs(np.linalg.norm(a.points, axis=1) - 1).max() < 1e-12
        np.testing.assert_allclose(
            a.integrate(a.points), b.integrate(b.points), atol=4 / np.sqrt(3 * n) + 0.01
        )


@pytest.mark.parametrize(
    ("flow", "options", "match"),
    [
        (mf.EntropicWassersteinFisherRao(BETA), {}, "log-density"),
        (mf.BestResponse(), {}, "would share one point"),
        (mf.DiscountedLangevin(BETA, 1.0), {"scheme": "strang"}, 'scheme="euler"'),
        (mf.EntropicBestResponse(BETA), {"scheme": "mirror-prox"}, 'scheme="euler"'),
        (mf.Langevin(BETA), {"scheme": "mirror-prox"}, "without noise"),
        (
            Flow(1.0, (1.0, 0.0), (0.0, 0.2), response=(0.0, 1.0), memory=mf.Memory(rate=1.0)),
            {},
            None,
        ),
    ],
)
def test_particles_refuse_what_they_cannot_do(flow, options, match):
    if match is None:
        mf.simulate(GAME, flow, START, 0.02, step=0.01, particles=20)
        return
    with pytest.raises(ValueError, match=match):
        mf.simulate(GAME, flow, START, 0.1, step=0.01, particles=20, **options)


def test_particles_of_pairwise_games_have_no_averaged_gradients_and_high_spheres_no_mesh():
    pairwise = mf.games.expression("cos(x - y) + 0.3*sin(2*x)*exp(cos(y))")
    with pytest.raises(ValueError, match="not low-rank"):
        mf.simulate(pairwise, mf.AveragedLangevin(BETA), START, 0.1, step=0.01, particles=20)
    with pytest.raises(ValueError, match="no mesh"):
        mf.simulate(
            mf.games.polynomial(dim=6),
            mf.EntropicBestResponse(BETA),
            mf.Start(),
            0.1,
            step=0.01,
            particles=20,
        )
