"""How the players act on each other on meshes: masses -> moments -> costs at nodes and faces.

Costs are linear in the opponent's moments: a few feature means for a low-rank game, the masses
themselves for any other, whose cost matrix is then dense.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from meanfield.checks import Array
from meanfield.cores import by_threads, threads_worth
from meanfield.density.crosses import Crossed, crossed
from meanfield.density.products import Products
from meanfield.games.base import Game
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh
from meanfield.needs import FEATURES
from meanfield.sums import means, total

# Entries of one player's cost matrix that are stored (512 MB). A larger one is formed anew for
# every cost, in blocks.
STORED = 1 << 26
CELLS = 50_000  # that are worth a thread
LARGE = 1 << 20  # entries from which on a matrix is tried as the product of two narrow ones

Pair = tuple[Array, Array]
T = TypeVar("T")


def both(of: Callable[[int], T]) -> tuple[T, T]:
    """of(p) for the two players."""
    return of(0), of(1)


class Value:
    """L(mu_x, mu_y) of saved states: the features at a mesh's nodes are kept, if they are few.

    coupling: that of the run, where it has one. Its stored costs give the value of a game that has
    no features.
    """

    def __init__(self, game: Game, coupling: Coupling | None = None) -> None:
        self.game, self.coupling = game, coupling
        self._kept: list[tuple[Mesh | None, Array | None]] = [(None, None)] * 2

    def __call__(self, mu_x: Measure, mu_y: Measure) -> float:
        coupling, game = self.coupling, self.game
        if game.bases is None and coupling is not None and coupling.has_costs(mu_x, mu_y):
            return total(mu_x.masses, coupling.cost(0, mu_y.masses)) + game.constant
        x, y = self._moments(0, mu_x), self._moments(1, mu_y)
        if x is None or y is None:
            return game.value(mu_x, mu_y)
        return float(x @ game.coefficients(0, y)) + game.constant  # type: ignore[attr-defined]

    def _moments(self, p: int, mu: Measure) -> Array | None:
        """Feature means of player p; None where its features are not kept."""
        mesh = mu.mesh if isinstance(mu, Density) else None
        if self.game.bases is None or mesh is None:
            return None
        if self._kept[p][0] is not mesh:
            few = len(mesh) * self.game.bases[p].size <= FEATURES
            self._kept[p] = mesh, self.game.moment_matrix(p, mesh.nodes) if few else None
        features = self._kept[p][1]
        return None if features is None else means(features, mu.masses)


class Coupling:
    """Moments of each player, and costs of each player from the opponent's moments.

    faces: whether costs are wanted at the face points of player 0's mesh and of player 1's.
    """

    def __init__(self, game: Game, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool]) -> None:
        self.game, self.meshes, self.sizes = game, meshes, both(lambda p: len(meshes[p]))
        self.points = both(
            lambda p: (
                np.concatenate([meshes[p].nodes, meshes[p].faces]) if faces[p] else meshes[p].nodes
            )
        )
        self.features = both(lambda p: game.moment_matrix(p, meshes[p].nodes))
        self.matrices = both(self._matrix)
        self.stored = all(matrix is not None for matrix in self.matrices)

    def side_by_side(self, of: Callable[[int], T]) -> tuple[T, T]:
        """of(p) for the two players, in two threads where they have as many cells as are worth it
        and ask no game for costs, which may be a function of a user.
        """
        threads = threads_worth(sum(self.sizes), CELLS) if self.stored else 1
        one, two = by_threads(of, (0, 1), threads)
        return one, two

    def _matrix(self, p: int) -> Products | Crossed | None:
        """Player p's costs from the opponent's moments; None where they are too many to store."""
        points, nodes, game = self.points[p], self.meshes[1 - p].nodes, self.game
        features = self.features[1 - p]
        if features is None and len(points) * len(nodes) >= LARGE:
            found = crossed(
                len(points), len(nodes),
                lambda rows: game.cost_matrix(p, points[rows], nodes),
                lambda columns: game.cost_matrix(p, points, nodes[columns]),
            )  # fmt: skip
            if found is not None:
                return found
        width = len(nodes) if features is None else len(features)
        if len(points) * width > STORED:
            return None
        return Products(len(points), lambda rows: game.cost_matrix(p, points[rows], nodes))

    def has_costs(self, mu_x: Measure, mu_y: Measure) -> bool:
        """Whether these are densities on the run's meshes, and the costs of x there are stored."""
        pairs = zip((mu_x, mu_y), self.meshes, strict=True)
        here = all(isinstance(mu, Density) and mu.mesh is mesh for mu, mesh in pairs)
        return here and self.matrices[0] is not None

    def moments(self, p: int, masses: Array) -> Array:
        """Moments (K,) of player p."""
        features = self.features[p]
        return masses.copy() if features is None else means(features, masses)

    def costs(self, p: int, moments: Array) -> tuple[Array, Array]:
        """Player p's costs at nodes (S, N) and at faces (S, F or 0), from moments (K, S) of the
        opponent.
        """
        matrix, size = self.matrices[p], self.sizes[p]
        rows = self._in_blocks(p, moments) if matrix is None else matrix(moments)
        return rows[:, :size], rows[:, size:]

    def cost(self, p: int, masses: Array) -> Array:
        """Player p's costs at its nodes (N,), from the masses of the opponent."""
        features, matrix = self.features[1 - p], self.matrices[p]
        moments = masses if features is None else means(features, masses)
        if matrix is None:
            return self._in_blocks(p, moments[:, None])[0][: self.sizes[p]]
        return matrix(moments[:, None], self.sizes[p])[0]

    def _in_blocks(self, p: int, moments: Array) -> Array:
        step = max(1, STORED // (8 * len(moments)))
        points, nodes = self.points[p], self.meshes[1 - p].nodes
        blocks = (
            self.game.cost_matrix(p, points[i : i + step], nodes)
            for i in range(0, len(points), step)
        )
        return np.concatenate([moments.T @ block.T for block in blocks], axis=1)
