"""Bounds over balls from curvatures that the user gives: term by term."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.responses import cells, curvature
from meanfield.responses.costs import OpponentCost

T2, S2 = mf.Torus(2, 3.0), mf.Sphere(2)
B = (7.0, 19.0)


def loss(x, y):
    u = 2 * np.pi * x / 3
    return np.exp(0.3 * np.cos(u[..., 0]) * y[..., 0]) + np.sin(u[..., 1]) * y[..., 1] + y[..., 2]


@pytest.mark.parametrize("p", [0, 1])
def test_bounds_over_balls_are_the_docstrings(p, monkeypatch):
    """U(c) - r (|D| + sqrt(d) B h/2) - B r^2/2 with differences D at h = r/16 along a frame."""
    game = mf.games.function(loss, T2, S2, curvature=B)
    rng = np.random.default_rng(p)
    M, other = game.manifolds[p], game.manifolds[1 - p]
    w = rng.random(5)
    mu = mf.Measure(other.sample(5, rng), w / w.sum(), other)
    seen = []
    monkeypatch.setattr(curvature, "cut", lambda *given: seen.append(given) or -np.inf)
    curvature.floor_by_curvature(OpponentCost(game, p, mu), 0.7, 3.0)
    manifold, bound, target, budget = seen[0]
    assert manifold == M and target == pytest.approx(0.7 - 3e-9, rel=1e-15)
    assert budget == (1 << 24) // (5 * 5)
    centres = M.sample(6, rng)
    for r in (0.4, 0.02, 1e-6):
        h, at = r / 16, cells.Balls(centres, np.full((6, 1), r), np.full(centres.shape, r))
        frame, D = M.basis(centres), np.zeros(6)
        for e in frame.swapaxes(0, 1):
            if M == S2:
                ends = [np.cos(h) * centres + s * np.sin(h) * e for s in (1, -1)]
            else:
                ends = [M.wrap(centres + s * h * e) for s in (1, -1)]
            up, down = (game.cost(p, x, mu) for x in ends)
            D += ((up - down) / (2 * h)) ** 2
        U = game.cost(p, centres, mu)
        wanted = U - r * (np.sqrt(D) + np.sqrt(2) * B[p] * h / 2) - B[p] * r * r / 2
        slack = wanted - bound(at)
        units = (5 + 64) * 2.0**-52 * (1 + 16 * np.sqrt(2))
        rounding = units * (np.abs(U).max() + 3.0 + game.rounding * 2.0**52)
        np.testing.assert_allclose(slack, rounding, rtol=0.1 if r > 1e-3 else 0.5, atol=2e-15)
