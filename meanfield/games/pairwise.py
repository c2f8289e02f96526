"""Games known only through their loss at pairs of points: O(n m) a look at all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import SIGNS, Game
from meanfield.measures import Measure

PAIRS = 1 << 21  # pairs at a time: 16 MB a block


class Pairwise(Game):
    """Any smooth loss. Subclasses give `loss` and `pair_gradient`, better also `pair_laplacian`."""

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        """Riemannian gradient of l in player p's variable at all pairs: (n, m, a) or (n, m, b)."""
        raise TypeError(f"{self.name} gives no gradient")

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        """Laplace-Beltrami of l in player p's variable at all pairs, shape (n, m)."""
        raise TypeError(f"{self.name} gives no Laplacian")

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        if type(self).pair_laplacian is Pairwise.pair_laplacian:
            return super().laplacian(p, points, opponent)

        def block(q: Array) -> Array:
            nodes = opponent.points
            pairs = (
                self.pair_laplacian(0, q, nodes) if p == 0 else self.pair_laplacian(1, nodes, q).T
            )
            return SIGNS[p] * (pairs @ opponent.masses)

        return self._rows(points, len(opponent), block)

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        """Cost (n,) of player p at points (n, a) and its gradient (n, a) against atoms of the opponent."""
        cost = self._rows(
            points, len(nodes), lambda q: SIGNS[p] * (self._oriented(p, q, nodes) @ masses)
        )
        return cost, self._slopes(p, points, nodes, masses)

    def moment_matrix(self, p: int, nodes: Array) -> None:
        return None

    def cost_matrix(self, p: int, points: Array, opponent_nodes: Array) -> Array:
        return SIGNS[p] * self._oriented(p, points, opponent_nodes)

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._rows(
            points,
            len(opponent),
            lambda q: self.cost_matrix(p, q, opponent.points) @ opponent.masses,
        )

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._slopes(p, points, opponent.points, opponent.masses)

    def _slopes(self, p: int, points: Array, nodes: Array, masses: Array) -> Array:
        def block(q: Array) -> Array:
            pairs = (
                self.pair_gradient(0, q, nodes)
                if p == 0
                else self.pair_gradient(1, nodes, q).swapaxes(0, 1)
            )
            return SIGNS[p] * np.einsum("nma,m->na", pairs, masses)

        return self._rows(points, len(nodes) * self.manifolds[p].ambient, block)

    def _oriented(self, p: int, points: Array, nodes: Array) -> Array:
        """l with player p's points along the rows."""
        return self.loss(points, nodes) if p == 0 else self.loss(nodes, points).T

    def _rows(self, points: Array, width: int, block: Callable[[Array], Array]) -> Array:
        step = max(1, PAIRS // max(width, 1))
        return np.concatenate(
            [block(points[i : i + step]) for i in range(0, max(len(points), 1), step)]
        )
