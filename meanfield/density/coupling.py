"""What the players know of each other: masses -> moments -> costs at nodes and faces.

Costs are linear in the opponent's moments: a few feature means for a low-rank game, the masses
themselves for any other, whose kernel is then dense. Between times moments follow Hermite's cubic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from meanfield.checks import Array
from meanfield.density.inputs import mesh_for
from meanfield.density.stepper import Stepper
from meanfield.games.base import Game
from meanfield.jit import kernel
from meanfield.measures import Density
from meanfield.meshes import Mesh

# Entries of one player's cost matrix that are stored (512 MB); larger ones are formed anew, in
# blocks.
STORED = 1 << 26
PROBES = 128


Pair = tuple[Array, Array]
T = TypeVar("T")


def both(of: Callable[[int], T]) -> tuple[T, T]:
    """of(p) for the two players."""
    return of(0), of(1)


class Coupling:
    """Moments of each player, and costs of each player from the opponent's moments.

    faces: whether costs are wanted at the face points of player 0's mesh and of player 1's.
    """

    def __init__(self, game: Game, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool]) -> None:
        self.game, self.meshes = game, meshes
        self.points = tuple(
            np.concatenate([m.nodes, m.faces]) if wanted else m.nodes
            for m, wanted in zip(meshes, faces, strict=True)
        )
        self._sizes = tuple(len(m) for m in meshes)
        self._features = tuple(game.moment_matrix(p, meshes[p].nodes) for p in (0, 1))
        self._kernels = tuple(self._kernel(p) for p in (0, 1))

    def _kernel(self, p: int) -> Array | None:
        features = self._features[1 - p]
        width = len(self.meshes[1 - p]) if features is None else len(features)
        if len(self.points[p]) * width > STORED:
            return None
        return np.ascontiguousarray(
            self.game.cost_matrix(p, self.points[p], self.meshes[1 - p].nodes)
        )

    def moments(self, p: int, masses: Array) -> Array:
        """Moments (K,) of player p."""
        features = self._features[p]
        return masses.copy() if features is None else features @ masses

    def costs(self, p: int, moments: Array) -> tuple[Array, Array]:
        """Player p's costs at nodes (S, N) and at faces (S, F or 0), from moments (K, S) of the
        opponent.
        """
        dense = self._kernels[p]
        rows = self._in_blocks(p, moments) if dense is None else moments.T @ dense.T
        return rows[:, : self._sizes[p]], rows[:, self._sizes[p] :]

    def cost(self, p: int, masses: Array) -> Array:
        """Player p's costs at its nodes (N,), from the masses of the opponent."""
        features, dense = self._features[1 - p], self._kernels[p]
        moments = masses if features is None else features @ masses
        found = self._in_blocks(p, moments[:, None])[0] if dense is None else dense @ moments
        return found[: self._sizes[p]]

    def _in_blocks(self, p: int, moments: Array) -> Array:
        step = max(1, STORED // (8 * len(moments)))
        points, nodes = self.points[p], self.meshes[1 - p].nodes
        blocks = (
            self.game.cost_matrix(p, points[i : i + step], nodes)
            for i in range(0, len(points), step)
        )
        return np.concatenate([moments.T @ block.T for block in blocks], axis=1)


class OnMeshes(Stepper):
    """Engines whose state is the masses of cells (or nodes) of two meshes, `cells` being those of
    `mesh_for`.
    """

    masses: Pair

    def set_up(self, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool] = (False, False)) -> None:
        """The masses of the laws on these meshes, and what players know of each other."""
        self.meshes, self.coupling = meshes, Coupling(self.game, meshes, faces)
        self.masses = both(lambda p: self.laws[p].on(meshes[p]).masses.copy())

    def asked_meshes(self) -> tuple[Mesh, Mesh]:
        """The meshes that `cells` asks for."""
        return both(lambda p: mesh_for(self.game.manifolds[p], self.laws[p], self.cells[p]))

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their meshes."""
        return both(lambda p: Density(self.masses[p], self.meshes[p]))


@dataclass(frozen=True)
class Probe:
    """What player p's costs can be, looked up against point masses of the opponent.

    Costs are averages over the opponent's points, so that what bounds them against every point
    bounds them against every measure; up to 128 points, spread over the opponent's mesh, stand for
    all.

    low, high: the range of the costs, 5% wider than found; steepest: the largest |U_j - U_i| over a
    face.
    """

    low: float
    high: float
    steepest: float


def probe(game: Game, meshes: tuple[Mesh, Mesh], p: int) -> Probe:
    """Looks up player p's costs at all nodes of its mesh."""
    nodes = meshes[1 - p].nodes
    # Multiples of the golden section spread over any numbering of the nodes.
    spread = np.unique((np.arange(PROBES) * 0.6180339887498949 % 1 * len(nodes)).astype(np.int64))
    against = nodes[spread]
    features = game.moment_matrix(1 - p, against)
    matrix = game.cost_matrix(p, meshes[p].nodes, against)
    values = matrix if features is None else matrix @ features
    first, second = meshes[p].pairs.T
    blocks = (slice(i, i + 4096) for i in range(0, len(first), 4096))
    steepest = max(float(np.abs(values[second[b]] - values[first[b]]).max()) for b in blocks)
    slack = 0.05 * float(np.ptp(values)) + 1e-9 * (1 + float(np.abs(values).max()))
    return Probe(float(values.min()) - slack, float(values.max()) + slack, steepest)


@dataclass(frozen=True)
class Knot:
    """At one time: each player's moments and their time derivatives as the columns of (K, 2), and
    dm/dt (N,).
    """

    tables: Pair
    flows: Pair
    peclet: float


def hermite(a: Pair, b: Pair, h: float, u: Array) -> Pair:
    """Both players' moments (K, S) on the cubic through two knots' tables, h apart, at fractions u
    (S,) of the way.
    """
    return both(lambda p: cubic(a[p], b[p], h, u))


@kernel(counted=True)
def cubic(a: Array, b: Array, h: float, u: Array) -> Array:
    """Hermite's cubic (K, S) at fractions u (S,) of the way h from a to b, values and slopes (K, 2)
    each.
    """
    found = np.empty((len(a), len(u)))
    for s in range(len(u)):
        v, w = u[s], 1.0 - u[s]
        at_a, slope_a = (1 + 2 * v) * w * w, h * v * w * w
        at_b, slope_b = v * v * (3 - 2 * v), -h * v * v * w
        for k in range(len(a)):
            found[k, s] = a[k, 0] * at_a + a[k, 1] * slope_a + b[k, 0] * at_b + b[k, 1] * slope_b
    return found
