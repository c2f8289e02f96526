"""What nodes of a mesh do not see of a loss: how it changes between them."""

from __future__ import annotations

import numpy as np

from meanfield.checks import warn
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.meshes import Mesh

POINTS, OPPONENTS = 64, 4  # pairs that are looked at
# Of the range of costs, what is spoken of: a wave is missed by so much on five cells a period.
MISSED = 0.1


def warn_of_waves(game: Game, p: int, mesh: Mesh) -> None:
    """Warns UnderResolved where costs of player p change faster than the nodes of a mesh follow."""
    share = missed(game, p, mesh)
    if share > MISSED:
        warn(
            f"player {'xy'[p]}: the loss changes faster than {mesh} follow: between nodes it is "
            f"off by {share:.0%} of its range from what they say; raise `cells`"
        )


def missed(game: Game, p: int, mesh: Mesh) -> float:
    """How far costs of player p beside nodes are from what value and slope there say, as a share
    of their range; the largest of points and opponents drawn at random.

    Waves with as many periods as there are nodes look constant at these: their slopes do not.
    """
    rng, space = np.random.default_rng(0), mesh.manifold
    chosen = rng.choice(len(mesh), min(POINTS, len(mesh)), replace=False)
    nodes, half = mesh.nodes[chosen], 0.5 * mesh.volumes[chosen] ** (1 / space.dim)
    v = space.project(nodes, rng.standard_normal(nodes.shape))
    length = half * rng.uniform(0.6, 1.0, len(nodes)) / np.linalg.norm(v, axis=1)
    v *= length[:, None]
    beside = space.retract(nodes, v)
    other = game.manifolds[1 - p]
    gap = span = 0.0
    for y in other.sample(OPPONENTS, rng):
        nu = Measure(y[None], None, other)
        here, there = game.cost(p, nodes, nu), game.cost(p, beside, nu)
        slope = np.sum(game.gradient(p, nodes, nu) * v, axis=1)
        gap = max(gap, float(np.abs(there - here - slope).max()))
        span = max(span, float(np.ptp(np.concatenate([here, there]))))
    return gap / span if span > 0 else 0.0
