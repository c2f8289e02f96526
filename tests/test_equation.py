"""The equation of one player, by Fourier transforms on a fine grid, against what every engine does
first.
"""

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.equation import diffusion, reacted, reaction, responded, transport, velocity
from meanfield.density.solve import build
from meanfield.flows import Flow, Rates

GAME = mf.games.oscillator(coupling=3.0)
GRID = mf.mesh(mf.Torus(1), 128)
START = mf.Start(lambda p: np.exp(np.cos(p[:, 0] - 1.0)), lambda q: 1 + 0.4 * np.sin(q[:, 0]))


def derivative(f, times=1):
    k = np.fft.fftfreq(len(f), 1 / len(f))
    return np.fft.ifft((1j * k) ** times * np.fft.fft(f)).real


def change(player, U, mu, volumes):
    """d mu / dt, term by term."""
    found = transport(player, derivative(mu * derivative(U))) + diffusion(player, derivative(mu, 2))
    found += mu * reaction(player, U, np.log(mu), mu * volumes)
    if player.response > 0:
        best = np.exp(-(U - U.min()) / player.temperature)
        found += player.response * (best / (best @ volumes) - mu)
    return found


@pytest.mark.parametrize(
    ("engine", "flow", "size", "order"),
    [
        ("galerkin", Flow(gamma=(1.0, 0.7), temperature=(0.2, 0.3)), 128, None),
        ("staggered", Flow(gamma=(1.0, 0.7), temperature=(0.2, 0.3)), 128, None),
        ("finite-volume", Flow(gamma=(1.0, 0.7), temperature=(0.2, 0.3)), 128, 2),
        ("muscl", Flow(gamma=(1.0, 0.7), alpha=(0.5, 1.0)), 128, 2),
        ("splitting", Flow(0.5, (0.5, 1.0), (0.2, 0.3), response=(0.3, 0.0)), 128, 2),
        ("splitting", Flow(0.0, (0.5, 1.0), (0.2, 0.3)), 128, None),
    ],
)
def test_engines_begin_with_the_equation(engine, flow, size, order):
    """Central differences in time of a run, against the equation at their middle."""
    errors = []
    for cells in (size // 2, size) if order else (size,):
        options = {"weights": "sg"} if engine == "finite-volume" else {}
        moving = build(GAME, flow, START, cells, engine, step=1e-4, **options)
        seen = []
        for t in (0.01, 0.0101, 0.0102):
            moving.advance(t)
            seen.append(moving.measures())
        worst = 0.0
        for p, player in enumerate(flow.players):
            before, now, after = (pair[p] for pair in seen)
            U = GAME.cost(p, now.points, seen[1][1 - p])
            expected = change(player, U, now.values, now.mesh.volumes)
            found = (after.values - before.values) / 2e-4
            worst = max(worst, np.abs(found - expected).max() / np.abs(expected).max())
        errors.append(worst)
    if order:
        assert errors[1] < 0.01 and errors[0] / errors[1] > 0.8 * 2**order
    else:
        assert errors[0] < 1e-5


def test_paths_follow_the_equation():
    flow = Flow(gamma=(1.0, 0.7), alpha=(0.5, 1.0))
    moving = build(GAME, flow, START, cells=64, engine="characteristics", tol=1e-12)
    seen = []
    for t in (0.01, 0.0101, 0.0102):
        moving.advance(t)
        seen.append((moving.measures(), moving.log_densities()))
    for p, player in enumerate(flow.players):
        (a, b, c), logs = zip(*((pair[p], log[p]) for pair, log in seen), strict=True)
        other = seen[1][0][1 - p]
        speed = velocity(player, GAME.gradient(p, b.points, other))
        np.testing.assert_allclose((c.points - a.points) / 2e-4, speed, atol=1e-6)
        U = GAME.cost(p, b.points, other)
        grown = -velocity(player, GAME.laplacian(p, b.points, other))
        grown += reaction(player, U, None, b.masses)
        np.testing.assert_allclose((logs[2] - logs[0]) / 2e-4, grown, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_frozen_costs_are_solved_exactly(temperature):
    player = Rates(0.0, 0.7, temperature, 0.3)
    U, volumes = np.cos(GRID.nodes[:, 0]), GRID.volumes
    log_mu, dt = 0.3 * np.sin(GRID.nodes[:, 0]), 1e-4

    def normal(log):
        return log - np.log(np.exp(log) @ volumes)

    log_mu = normal(log_mu)
    masses = np.exp(log_mu) * volumes
    later, sooner = (normal(reacted(player, U, log_mu, s * dt)) for s in (1, -1))
    slope = (later - sooner) / (2 * dt)
    np.testing.assert_allclose(slope, reaction(player, U, log_mu, masses), atol=1e-7)
    twice = reacted(player, U, reacted(player, U, log_mu, 0.4), 0.6)
    np.testing.assert_allclose(normal(twice), normal(reacted(player, U, log_mu, 1.0)), atol=1e-14)
    best = np.full(len(masses), 1 / len(masses))
    twice = responded(player, responded(player, masses, best, 0.4), best, 0.6)
    np.testing.assert_allclose(twice, responded(player, masses, best, 1.0), atol=1e-15)
