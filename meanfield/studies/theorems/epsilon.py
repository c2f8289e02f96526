"""Theorem 1's epsilon: the inverse temperature from which the fixed point (9) is an epsilon-Nash
equilibrium, and what its players regret.

At beta >= (4/eps) log(2 (1 - V)/V (2K/eps - 1)), K the range of l, V the least share of a ball of
radius delta = eps/(2 Lip l), neither player of (9) gains more than eps by another strategy, so that
NI <= 2 eps: a ball around the best response has costs up to min U + eps/2, against which the points
with U >= min U + 3 eps/4 weigh at most e^(-beta eps/4) (1 - V)/V.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure
from meanfield.metrics import NikaidoIsoda


def logarithm(eps: float, K: float, V: float) -> float:
    """log(2 (1 - V)/V (2K/eps - 1)), at least zero: the bound's beta is 4/eps times it."""
    return float(np.log(max(2 * (1 - V) / V * (2 * K / eps - 1), 1.0)))


def ball(M: Manifold, radius: float) -> float:
    """A lower bound of the shares of balls, exact but for large balls on tori."""
    if isinstance(M, Torus) and M.dim > 1:
        radius = min(radius, M.period / 2)
    return M.ball_fraction(radius)


def epsilon(beta: float, M: Manifold, K: float, slope: float) -> float:
    """The least epsilon that the bound gives at beta; infinite where that is not below K, which any
    pair of measures satisfies.
    """
    from scipy.optimize import brentq

    def missing(log_eps: float) -> float:
        eps = float(np.exp(log_eps))
        return 4 / eps * logarithm(eps, K, ball(M, eps / (2 * slope))) - beta

    if K == 0:
        return 0.0
    top = float(np.log(K))
    if missing(top) > 0:
        return np.inf
    low = top
    while missing(low) <= 0:
        low -= 1.0
    return float(np.exp(brentq(missing, low, top)))


def regrets(game: Game, x: Measure, y: Measure, error: NikaidoIsoda) -> list[float]:
    """What x and y would gain by their best responses, NI, and its certified upper bound."""
    found, value = error(x, y), game.moving_value(x, y)
    best: Any = game.cost(0, found.best_x[None], y)[0], game.cost(1, found.best_y[None], x)[0]
    return [value - float(best[0]), -value - float(best[1]), found.value, found.upper]


def literal(game: Game, x: Any, y: Any, beta: tuple[float, float]) -> float:
    """Total variation by which two densities miss (9), their potentials summed over the loss."""
    V_x, V_y = np.empty(len(x)), np.zeros(len(y))
    for i in range(0, len(x), 256):
        rows = slice(i, i + 256)
        loss = game.loss(x.points[rows], y.points)
        V_x[rows] = loss @ y.masses
        V_y += x.masses[rows] @ loss
    pairs = ((x, beta[0] * V_x), (y, -beta[1] * V_y))
    return max(_off(mu.masses, energy, mu.mesh.volumes) for mu, energy in pairs)


def _off(masses: Array, energy: Array, volumes: Array) -> float:
    wanted = volumes * np.exp(energy.min() - energy)
    return 0.5 * float(np.abs(masses - wanted / wanted.sum()).sum())
