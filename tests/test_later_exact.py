"""Later flows with particles, sharply: against exact sums and an integration that is not this
package's, by the order in the step.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import meanfield as mf
from meanfield.flows import Flow
from meanfield.particles.consensus import Consensus
from meanfield.particles.plan import make_plan
from meanfield.particles.response import Response
from meanfield.particles.state import flat, place

T = mf.Torus(1)
WAVES = [((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.3, 0.0), ((0,), (2,), 0.4, 0.0)]
GAME = mf.games.trigonometric(WAVES)
ATOMS = (np.array([0.3, 1.4, 4.0]), np.array([0.1, 2.5, 3.3, 5.0]))
WEIGHTS = (np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.4, 0.2, 0.3]))
START = mf.Start(*(mf.Measure(a[:, None], w, T) for a, w in zip(ATOMS, WEIGHTS, strict=True)))


def end(flow, step, time=1.0, scheme="euler", game=GAME):
    """Angles and weights of all atoms at the end, one vector."""
    run = mf.simulate(
        game, flow, START, time, step=step, particles=(3, 4), placement="atoms", scheme=scheme
    )
    turns = [mu.points[:, 0] - a for mu, a in zip(run[-1], ATOMS, strict=True)]
    return np.concatenate([*((t + np.pi) % (2 * np.pi) - np.pi for t in turns),
                           *(mu.masses for mu in run[-1])])  # fmt: skip


def features(x, w):
    """Means of cos and sin of the two first waves."""
    return np.array([w @ f(k * x) for k in (1, 2) for f in (np.cos, np.sin)])


def cost(p, x, z):
    """U_p and its derivative at angles x against feature means z, written out for WAVES."""
    c, s = (lambda k: np.cos(k * x)), (lambda k: np.sin(k * x))
    if p == 0:  # cos(x - y) + 0.3 cos(2 x + y), and what does not depend on x
        U = c(1) * z[0] + s(1) * z[1] + 0.3 * (c(2) * z[0] - s(2) * z[1])
        return U, -s(1) * z[0] + c(1) * z[1] - 0.6 * (s(2) * z[0] + c(2) * z[1])
    V = z[0] * c(1) + z[1] * s(1) + 0.3 * (z[2] * c(1) - z[3] * s(1)) + 0.4 * c(2)
    dV = -z[0] * s(1) + z[1] * c(1) - 0.3 * (z[2] * s(1) + z[3] * c(1)) - 0.8 * s(2)
    return -V, -dV


def integrated(gamma, alpha, speed=lambda t: 1.0, rate=None, time=1.0):
    """Atoms, weights and, with a rate, discounted means, by Runge-Kutta of order 8."""

    def slopes(t, s):
        x, y, w, v = np.split(s[:14], [3, 7, 10])
        now = features(x, w), features(y, v)
        seen = np.split(s[14:], 2) if rate else now
        out = []
        for p, (a, m) in enumerate(((x, w), (y, v))):
            U, dU = cost(p, a, seen[1 - p])
            out.append((-gamma * speed(t) * dU, -alpha * speed(t) * m * (U - m @ U)))
        memory = [rate * (n - z) for n, z in zip(now, seen, strict=True)] if rate else []
        return np.concatenate([out[0][0], out[1][0], out[0][1], out[1][1], *memory])

    first = [features(a, w) for a, w in zip(ATOMS, WEIGHTS, strict=True)] if rate else []
    begin = np.concatenate([*ATOMS, *WEIGHTS, *first])
    done = solve_ivp(slopes, (0, time), begin, method="DOP853", rtol=1e-12, atol=1e-13)
    moved = done.y[:14, -1]
    moved[:7] -= begin[:7]
    return moved


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("strang", 2)])
def test_schedules_count_at_the_middle_of_steps(scheme, order):
    """Of order two where the scheme is; at a step's start they would be of order one."""
    speed = mf.Schedule("poly", scale=1.0, power=0.5)
    flow = mf.Annealed(mf.WassersteinFisherRao(1.0, 1.0), speed=speed)
    exact = integrated(1.0, 1.0, lambda t: (1 + t) ** -0.5)
    off = [np.abs(end(flow, h, scheme=scheme) - exact).max() for h in (0.04, 0.02, 0.01)]
    fitted = np.log2(np.array(off[:-1]) / off[1:])
    np.testing.assert_allclose(fitted, order, atol=0.12)
    assert off[-1] < (2e-2 if order == 1 else 2e-4)


def test_weights_under_a_schedule_are_a_midpoint_sum():
    """Against nobody log-weights are -alpha U times the sum of speeds, to rounding."""
    alone = mf.games.trigonometric([((1,), (0,), 1.0, 0.0)])
    speed, h = mf.Schedule("poly", scale=1.0, power=0.5), 0.1
    found = end(mf.Annealed(mf.MirrorDescent(2.0), speed=speed), h, game=alone)[7:10]
    total = h * sum((1 + (k + 0.5) * h) ** -0.5 for k in range(10))
    wanted = WEIGHTS[0] * np.exp(-2.0 * total * np.cos(ATOMS[0]))
    np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-12)


def test_discounted_costs_against_an_independent_integration():
    flow = Flow(1.0, 1.0, 0.0, memory=mf.Memory(rate=2.0))
    exact = integrated(1.0, 1.0, rate=2.0)
    off = [end(flow, h) - exact for h in (0.02, 0.01, 0.005)]
    sizes = np.abs(off).max(axis=1)
    np.testing.assert_allclose(np.log2(sizes[:-1] / sizes[1:]), 1, atol=0.1)
    assert np.abs(2 * off[2] - off[1]).max() < 0.05 * sizes[2]  # nothing but the first order


@pytest.mark.parametrize(
    "memory", [mf.Memory(power=0.0), mf.Memory(power=2.0), mf.Memory(rate=3.0)]
)
def test_memory_averages_the_moments_before_each_step(memory):
    """By sums over the saved states: weights are those of [k dt, (k + 1) dt], the first moments
    stand for what was before a discount began.
    """
    h, n = 0.1, 8
    flow = Flow(1.0, 1.0, 0.0, memory=memory)
    run = mf.simulate(
        GAME, flow, START, n * h, step=h, particles=(3, 4), placement="atoms", save_every=h
    )
    edges = h * np.arange(n + 1)
    if memory.rate is None:
        weights = np.diff(edges ** (memory.power + 1)) / edges[-1] ** (memory.power + 1)
    else:
        weights = np.diff(np.exp(memory.rate * (edges - edges[-1])))
        weights[0] += np.exp(-memory.rate * edges[-1])
    held = run.state["averaged_moments"] if isinstance(run.state, dict) else None
    assert held is not None
    for p in (0, 1):
        means = [GAME.moments(p, pair[p].points, pair[p].masses) for pair in list(run)[:n]]
        np.testing.assert_allclose(np.ravel(held[p]), weights @ np.array(means), atol=1e-12)


@pytest.mark.parametrize(("rate", "step", "power"), [(2.0, 0.1, 0.0), (3.0, 0.5, 1.0)])
def test_jumps_come_with_their_exact_probability(rate, step, power):
    """1 - exp(-rho dt) of the particles move in a step, not rho dt of them, rho in its middle."""
    n = 40_000
    places = mf.Start(*(mf.Measure([[v]], None, T) for v in (1.0, 2.0)))
    flow = mf.EntropicBestResponse(2.0, rate)
    if power:
        flow = mf.Annealed(flow, speed=mf.Schedule("poly", scale=1.0, power=power))
    run = mf.simulate(GAME, flow, places, step, step=step, particles=n)
    chance = -np.expm1(-rate * step / (1 + step / 2) ** power)
    for mu, at in zip(run[-1], (1.0, 2.0), strict=True):
        moved = float(mu.masses[np.abs(mu.points[:, 0] - at) > 1e-9].sum())
        assert abs(moved - chance) < 4 * np.sqrt(chance * (1 - chance) / n) + 1e-3
        assert abs(moved - rate * step) > 0.01


def test_responses_are_drawn_from_gibbs_measures_in_the_middle_of_the_step():
    """Which particles jump and to which nodes: by the words of the generator, costs by the loss.

    Until the middle of the step the opponent moves part of the way to its own Gibbs measure.
    """
    game = mf.games.trigonometric([
        ((1,), (1, 0), 1.0, 0.3), ((2,), (0, 1), 0.5, 0.0), ((1,), (0, 0), 0.4, 0.0),
        ((0,), (1, 2), 0.0, 0.6),
    ])  # fmt: skip
    cooling, k, h = mf.Schedule("poly", scale=2.0, power=0.5), 7, 0.1
    flow = mf.Annealed(mf.EntropicBestResponse((2.0, 5.0), (3.0, 1.5)), cooling)
    plan = make_plan(1.0, h, (40, 25), 9, "euler", None, replica=3, refine=1, placement="iid")
    states = place(game, mf.Start(), (40, 25), "iid", 1, 0)
    rng = np.random.default_rng(0)
    for s, n in zip(states, (40, 25), strict=True):
        s.w.ravel()[:n] = rng.random(n)
    found = Response(game, flow, plan).jumps(states, [None, None], k)
    points = [flat(s.x, n) for s, n in zip(states, (40, 25), strict=True)]
    weights = [
        s.w.ravel()[:n] / s.w.ravel()[:n].sum() for s, n in zip(states, (40, 25), strict=True)
    ]
    at = [mf.mesh(M).nodes for M in game.manifolds]
    costs = [game.loss(at[0], points[1]) @ weights[1], -(weights[0] @ game.loss(points[0], at[1]))]
    heat = [cooling((k + 0.5) * h) / beta for beta in (2.0, 5.0)]

    def gibbs(U):
        masses = [np.exp((u.min() - u) / T) for u, T in zip(U, heat, strict=True)]
        return [m / m.sum() for m in masses]

    loss, first = game.loss(*at), gibbs(costs)
    there = loss @ first[1], -(first[0] @ loss)
    left = np.exp(-np.array([1.5, 3.0]) * h / 2)  # of the opponent
    masses = gibbs([f * u + (1 - f) * v for f, u, v in zip(left, costs, there, strict=True)])
    for p, (rate, n) in enumerate(((3.0, 40), (1.5, 25))):
        key, counter = np.array([[9, 2 * 3 + p], [k + 1, 1]], dtype=np.uint64)
        words = np.random.Philox(
            key=key, counter=np.concatenate([[0, 0], counter]).astype(np.uint64)
        )
        draws = np.random.Generator(words)
        jump = np.flatnonzero(draws.random(n) < 1 - np.exp(-rate * h))
        node = np.searchsorted(np.cumsum(masses[p])[:-1], draws.random(len(jump)), "right")
        assert found[p][0].tolist() == jump.tolist() and len(jump) > 1
        np.testing.assert_array_equal(found[p][1], at[p][node])


def test_quantiles_of_a_density_are_those_of_its_cells():
    """Particle i stands where the distribution function is (i + 1/2)/n, straight in every cell."""
    circle = mf.Torus(1, period=3.0)
    on, m = mf.mesh(circle, 10), np.random.default_rng(3).dirichlet(np.ones(10))
    game = mf.games.trigonometric([((1,), (1,), 1.0, 0.0)], circle, circle)
    start = mf.Start(mf.Density(m, on), lambda y: 1 + 0.5 * np.cos(2 * np.pi / 3 * y[:, 0]))
    x, y = (flat(s.x, 7)[:, 0] for s in place(game, start, (7, 7), "quantile", 0, 0))
    wanted, h = (np.arange(7) + 0.5) / 7, 0.3
    cell = np.floor((x - on.nodes[0, 0]) / h + 0.5)
    below = np.concatenate([[0.0], np.cumsum(m)])[cell.astype(int)]
    part = ((x - on.nodes[0, 0]) / h + 0.5) - cell
    np.testing.assert_allclose(below + part * m[cell.astype(int)], wanted, atol=1e-14)
    law = y / 3 + np.sin(2 * np.pi / 3 * y) / (4 * np.pi)  # from 0 on, half a cell before which
    np.testing.assert_allclose((law - wanted + 0.5) % 1 - 0.5, law[0] - wanted[0], atol=1e-6)
    assert abs(law[0] - wanted[0]) < 1.5 / 8192


def test_consensus_has_the_numbers_of_the_middle_of_the_step():
    cooling, k, h = mf.Schedule("poly", scale=2.0, power=0.5), 7, 0.1
    plan = make_plan(1.0, h, (9, 5), 4, "euler", None, replica=0, refine=1, placement="iid",
                     exploration=0.3)  # fmt: skip
    states, beta = place(GAME, mf.Start(), (9, 5), "iid", 1, 0), 3.0
    cooled = mf.Annealed(mf.EntropicBestResponse(beta, 2.0), cooling)
    then = mf.EntropicBestResponse(beta / cooling((k + 0.5) * h), 2.0)
    found, wanted = (Consensus(GAME, flow, plan).jumps(states, [None, None], k)
                     for flow in (cooled, then))  # fmt: skip
    for p in (0, 1):
        np.testing.assert_allclose(found[p][1], wanted[p][1], rtol=1e-12)
