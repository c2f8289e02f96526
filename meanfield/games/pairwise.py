"""Games known only through their loss at pairs of points: sums over them take O(n m)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meanfield.checks import Array, warn
from meanfield.games.base import SIGNS, Game
from meanfield.measures import Measure

EPS = 2.0**-52
PAIRS = 1 << 21  # pairs at a time: 16 MB a block


class Pairwise(Game):
    """Any smooth loss. Subclasses give `loss` and `pair_gradient`, better also `pair_laplacian`."""

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        """Riemannian gradient of l in player p's variable at all pairs: (n, m, a) or (n, m, b)."""
        raise TypeError(f"{self.name} gives no gradient")

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        """Laplace-Beltrami of l in player p's variable at all pairs, shape (n, m)."""
        raise TypeError(f"{self.name} gives no Laplacian")

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        """Cost (n,) of player p at points (n, a), and its gradient (n, a), against atoms."""
        slope, ambient = partial(self.pair_gradient, p), self.manifolds[p].ambient
        cost = self._averages(p, self.moving_loss, points, nodes, masses)
        return cost, self._averages(p, slope, points, nodes, masses, ambient)

    def moment_matrix(self, p: int, nodes: Array) -> None:
        return None

    def cost_matrix(self, p: int, points: Array, opponent_nodes: Array) -> Array:
        return SIGNS[p] * _oriented(p, self.moving_loss, points, opponent_nodes)

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, self.moving_loss, points, opponent.points, opponent.masses)

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        slope, ambient = partial(self.pair_gradient, p), self.manifolds[p].ambient
        return self._averages(p, slope, points, opponent.points, opponent.masses, ambient)

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        if type(self).pair_laplacian is Pairwise.pair_laplacian:
            return super().laplacian(p, points, opponent)
        bend = partial(self.pair_laplacian, p)
        return self._averages(p, bend, points, opponent.points, opponent.masses)

    def _averages(
        self,
        p: int,
        pairs: Callable[[Array, Array], Array],
        points: Array,
        nodes: Array,
        masses: Array,
        width: int = 1,
    ) -> Array:
        """A function of all pairs averaged over the opponent's atoms, with player p's sign.

        `width` is the number of values that the function has at a pair.
        """

        def block(own: Array) -> Array:
            values = _oriented(p, pairs, own, nodes)
            if values.ndim == 2:
                return SIGNS[p] * (values @ masses)
            return SIGNS[p] * np.einsum("nma,m->na", values, masses)

        step = max(1, PAIRS // max(len(nodes) * width, 1))
        rows = range(0, max(len(points), 1), step)
        return np.concatenate([block(points[i : i + step]) for i in rows])


def _oriented(p: int, pairs: Callable[[Array, Array], Array], own: Array, other: Array) -> Array:
    """The values at all pairs with player p's points along the rows."""
    return pairs(own, other) if p == 0 else pairs(other, own).swapaxes(0, 1)


def apart(name: str, values: Array) -> tuple[float, float]:
    """The middle of a loss's values and the rounding that it leaves in them.

    Both are zero where it takes fewer than two digits. Warns where seven digits or fewer are left.
    """
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if size > 1e9 * (high - low):
        left = max(0, int(-np.log10(EPS * size / max(high - low, EPS * size))))
        warn(
            f"loss of {name!r} is about {size:.3g} and varies by {high - low:.3g}: of its digits "
            f"{left} are left; leave the constant out of it"
        )
    middle = low + 0.5 * (high - low)
    return (middle, EPS * size) if size > 100 * (high - low) else (0.0, 0.0)
