"""What nodes of a mesh do not see of a loss: how it changes between them."""

from __future__ import annotations

import numpy as np

from meanfield.checks import warn
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.meshes import Mesh

POINTS, OPPONENTS = 512, 4  # nodes of a player that are looked at; opponents of each kind
MISSED = 0.1  # share of the range of costs that is warned of: a wave on five cells a period
ROUNDING = 1e-10  # range of costs, over their size, below which they are constant


def warn_of_waves(game: Game, p: int, mesh: Mesh, opponent: Measure | None = None) -> None:
    """Warns UnderResolved where costs of player p change faster than the nodes of a mesh follow."""
    share = missed(game, p, mesh, opponent)
    if share > MISSED:
        warn(
            f"player {'xy'[p]}: the loss changes faster than {mesh} can follow: beside nodes it "
            f"differs by {share:.0%} of its range from what value and slope at them say; raise "
            "`cells`"
        )


def missed(game: Game, p: int, mesh: Mesh, opponent: Measure | None = None) -> float:
    """How far costs of player p beside nodes are from what value and slope there say, as a share
    of their range; the largest of nodes and opponents drawn at random, uniformly and from the
    measure `opponent`.

    Waves with as many periods as there are nodes look constant at these: their slopes do not.
    """
    rng, space = np.random.default_rng(0), mesh.manifold
    chosen = rng.choice(len(mesh), min(POINTS, len(mesh)), replace=False)
    nodes, half = mesh.nodes[chosen], 0.5 * mesh.volumes[chosen] ** (1 / space.dim)
    v = space.project(nodes, rng.standard_normal(nodes.shape))
    v *= (half * rng.uniform(0.6, 1.0, len(nodes)) / np.linalg.norm(v, axis=1))[:, None]
    beside = space.retract(nodes, v)
    other = game.manifolds[1 - p]
    against = other.sample(OPPONENTS, rng)
    if opponent is not None:
        drawn = rng.choice(len(opponent), OPPONENTS, p=opponent.masses / opponent.masses.sum())
        against = np.concatenate([against, opponent.points[drawn]])
    gap = span = size = 0.0
    for y in against:
        nu = Measure(y[None], None, other)
        here, there = game.cost(p, nodes, nu), game.cost(p, beside, nu)
        slope = np.sum(game.gradient(p, nodes, nu) * v, axis=1)
        both = np.concatenate([here, there])
        gap = max(gap, float(np.abs(there - here - slope).max()))
        span, size = max(span, float(np.ptp(both))), max(size, float(np.abs(both).max()))
    return gap / span if span > ROUNDING * size else 0.0
