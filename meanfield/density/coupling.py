"""What the players know of each other: masses -> moments -> costs at nodes and faces.

Costs are linear in the opponent's moments: a few feature means for a low-rank game, the masses
themselves for any other, whose kernel is then dense.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.meshes import Mesh

KEPT = 1 << 26  # entries of one player's cost matrix that are kept (512 MB); larger ones are formed anew, in blocks
PROBES = 256  # nodes a player at which the range of the loss is looked up


class Coupling:
    """Moments of each player, and costs of each player from the opponent's moments.

    faces: whether costs are wanted at the face points of player 0's mesh and of player 1's.
    """

    def __init__(self, game: Game, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool]) -> None:
        self.game, self.meshes = game, meshes
        self.points = tuple(
            np.concatenate([m.nodes, m.faces]) if wanted else m.nodes for m, wanted in zip(meshes, faces, strict=True)
        )
        self._features = tuple(game.moment_matrix(p, meshes[p].nodes) for p in (0, 1))
        self._kernels = tuple(self._kernel(p) for p in (0, 1))

    def _kernel(self, p: int) -> Array | None:
        features = self._features[1 - p]
        width = len(self.meshes[1 - p]) if features is None else len(features)
        if len(self.points[p]) * width > KEPT:
            return None
        return np.ascontiguousarray(self.game.cost_matrix(p, self.points[p], self.meshes[1 - p].nodes))

    def moments(self, p: int, masses: Array) -> Array:
        """Moments (K,) of player p."""
        features = self._features[p]
        return masses.copy() if features is None else features @ masses

    def costs(self, p: int, moments: Array) -> tuple[Array, Array]:
        """Player p's costs at nodes (S, N) and at faces (S, F or 0), from moments (K, S) of the opponent."""
        kernel = self._kernels[p]
        rows = self._in_blocks(p, moments) if kernel is None else moments.T @ kernel.T
        size = len(self.meshes[p])
        return rows[:, :size], rows[:, size:]

    def _in_blocks(self, p: int, moments: Array) -> Array:
        step = max(1, KEPT // (8 * len(moments)))
        points, nodes = self.points[p], self.meshes[1 - p].nodes
        blocks = (self.game.cost_matrix(p, points[i : i + step], nodes) for i in range(0, len(points), step))
        return np.concatenate([moments.T @ block.T for block in blocks], axis=1)

    def probe(self, p: int, points: Array) -> Array:
        """Player p's costs at `points` against single points of the opponent, (P, up to 256)."""
        nodes = self.meshes[1 - p].nodes
        chosen = nodes[:: -(-len(nodes) // PROBES)]
        matrix = self.game.cost_matrix(p, points, chosen)
        features = self.game.moment_matrix(1 - p, chosen)
        return matrix if features is None else matrix @ features

    def range(self, p: int) -> tuple[float, float]:
        """Bounds of player p's costs against any measure, as probed, 5% wider."""
        points = self.meshes[p].nodes
        values = self.probe(p, points[:: -(-len(points) // PROBES)])
        slack = 0.05 * float(np.ptp(values)) + 1e-9 * (1 + float(np.abs(values).max()))
        return float(values.min()) - slack, float(values.max()) + slack

    def steepest(self, p: int) -> float:
        """The largest |U_j - U_i| over a face of player p's mesh that some measure of the opponent gives, as probed."""
        first, second = self.meshes[p].pairs.T
        nodes, largest = self.meshes[p].nodes, 0.0
        step = max(1, (1 << 20) // PROBES)
        for i in range(0, len(first), step):
            here, there = (self.probe(p, nodes[side[i : i + step]]) for side in (first, second))
            largest = max(largest, float(np.abs(there - here).max()))
        return largest
