"""Games known only through their loss at pairs of points: costs take O(n m) operations."""

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

    def moment_matrix(self, p: int, nodes: Array) -> None:
        return None

    def cost_matrix(self, p: int, points: Array, opponent_nodes: Array) -> Array:
        return SIGNS[p] * _with_rows(p, self.loss, points, opponent_nodes)

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        nodes, masses = opponent.points, opponent.masses
        return _in_blocks(points, len(nodes), lambda q: self.cost_matrix(p, q, nodes) @ masses)

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._gradient(p, points, opponent.points, opponent.masses)

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        if type(self).pair_laplacian is Pairwise.pair_laplacian:
            return super().laplacian(p, points, opponent)

        def block(q: Array) -> Array:
            pairs = _with_rows(p, lambda x, y: self.pair_laplacian(p, x, y), q, opponent.points)
            return SIGNS[p] * (pairs @ opponent.masses)

        return _in_blocks(points, len(opponent), block)

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        """Cost (n,) of player p at points (n, a) and its gradient (n, a) against given atoms."""

        def block(q: Array) -> Array:
            return SIGNS[p] * (_with_rows(p, self.loss, q, nodes) @ masses)

        cost = _in_blocks(points, len(nodes), block)
        return cost, self._gradient(p, points, nodes, masses)

    def _gradient(self, p: int, points: Array, nodes: Array, masses: Array) -> Array:
        def block(q: Array) -> Array:
            pairs = _with_rows(p, lambda x, y: self.pair_gradient(p, x, y), q, nodes)
            return SIGNS[p] * np.einsum("nma,m->na", pairs, masses)

        return _in_blocks(points, len(nodes) * self.manifolds[p].ambient, block)


def _with_rows(p: int, f: Callable[[Array, Array], Array], own: Array, other: Array) -> Array:
    """f(x, y) at all pairs with player p's points along the first axis."""
    return f(own, other) if p == 0 else f(other, own).swapaxes(0, 1)


def _in_blocks(points: Array, width: int, block: Callable[[Array], Array]) -> Array:
    step = max(1, PAIRS // max(width, 1))
    starts = range(0, max(len(points), 1), step)
    return np.concatenate([block(points[i : i + step]) for i in starts])
