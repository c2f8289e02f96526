"""Later flows with particles, sharply: against exact sums and an integration that is not this
package's, by the order in the step.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import meanfield as mf
from meanfield.flows import Flow

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
