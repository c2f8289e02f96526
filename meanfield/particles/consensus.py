"""Responses by consensus: particles gather where those of least cost are, without gradients.

Consensus-based optimisation for saddle points (Huang, Qiu & Riedl 2024). In a flow with response
rho, and with `exploration` sigma, the particles of a player move by

    x <- R(x + rho dt v + sigma sqrt(dt) |v| xi),    v from x to c,

c the mean of its particles with weights exp(-beta U), which for large beta is where U is least
among them, and U the cost against the mean of the opponent's. Means are those of the space around
a sphere, brought back to it, and on a torus those of e^{ix}, angle by angle. For a c that stands
still E |x - c|^2 changes in a step by the factor (1 - rho dt)^2 + d sigma^2 dt: particles gather
where 2 rho > d sigma^2. They end in points, so that what can be found is a pure equilibrium.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure
from meanfield.meshes import Index
from meanfield.particles.players import State
from meanfield.particles.response import generator
from meanfield.particles.state import flat


class Consensus:
    """The moves of players who respond at a rate rho; ValueError for steps longer than 1/rho."""

    def __init__(self, game: Any, flow: Any, plan: Any) -> None:
        self.game, self.flow, self.plan = game, flow, plan
        if max(flow.response) * plan.step > 1:
            raise ValueError(
                f"unstable step: particles would go past their consensus; a step of "
                f"{0.5 / max(flow.response):.2g} would do"
            )

    def jumps(
        self, states: list[State], averages: list[Any], k: int
    ) -> dict[int, tuple[Index, Array]]:
        """Where all particles of each responding player go in step k."""
        dt, sigma, spaces = self.plan.step, self.plan.exploration, self.game.manifolds
        points = [flat(s.x, n) for s, n in zip(states, self.plan.particles, strict=True)]
        weights = [s.w.ravel()[: len(x)] for s, x in zip(states, points, strict=True)]
        means = [centre(M, x, w) for M, x, w in zip(spaces, points, weights, strict=True)]
        found = {}
        for p, rates in enumerate(self.flow.at((k + 0.5) * dt)):
            if rates.response == 0:
                continue
            M, x = spaces[p], points[p]
            U = self.game.cost(p, x, Measure(means[1 - p], None, spaces[1 - p]))
            c = centre(M, x, weights[p] * np.exp((U.min() - U) / rates.temperature))
            normals = M.project(x, generator(self.plan, p, k).standard_normal(x.shape))
            v = M.difference(x, np.broadcast_to(c, x.shape))
            far = sigma * np.sqrt(dt) * M.distance(x, c)[:, None]
            found[p] = np.arange(len(x)), M.retract(x, rates.response * dt * v + far * normals)
        return found


def centre(M: Manifold, points: Array, weights: Array) -> Array:
    """The weighted mean of points on a torus or a sphere, (1, a)."""
    w = (weights / weights.sum())[:, None]
    if isinstance(M, Torus):
        turn = 2 * np.pi / M.period
        return M.wrap(np.angle((w * np.exp(1j * turn * points)).sum(axis=0)) / turn)[None]
    mean = (w * points).sum(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))[None]
