"""What a game is put to the test with, and the constants of it that the theorems' bounds take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.executors import Given
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Manifold, Sphere, Torus, unit
from meanfield.measures import Measure
from meanfield.meshes import mesh
from meanfield.start import Start

SEEN = 300  # points of the opponent that a Lipschitz constant is looked for at
SAMPLED = 2000  # points of a manifold that has no mesh, or a large one
ABOVE = 1.01  # Lipschitz constants are taken a hundredth above what a grid sees


@dataclass(frozen=True)
class Constants:
    """Of a loss: its range K, its Lipschitz constants in x and in y, its steepest second
    derivative (a trace, over the dimension).
    """

    range: float
    slopes: tuple[float, float]
    curvature: float

    @property
    def slope(self) -> float:
        """The larger Lipschitz constant."""
        return max(self.slopes)


def looked_at(M: Manifold) -> Array:
    """Points that cover a manifold, (n, a)."""
    if isinstance(M, Torus) and M.dim <= 2:
        return mesh(M, {1: 720, 2: 48}[M.dim]).nodes
    if isinstance(M, Sphere) and M.dim <= 2:
        return mesh(M, {1: 720, 2: 2562}[M.dim]).nodes
    return M.sample(SAMPLED, np.random.default_rng(0))


def constants(game: Game) -> Constants:
    """Range and Lipschitz constants of the loss on a grid (on random points in high dimension,
    where both are estimates from below).
    """
    x, y = (looked_at(M) for M in game.manifolds)
    low, high = np.inf, -np.inf
    for rows in np.array_split(x, max(1, len(x) // 256)):
        loss = game.loss(rows, y)
        low, high = min(low, float(loss.min())), max(high, float(loss.max()))
    slopes, bent = [0.0, 0.0], 0.0
    for p, (own, others) in enumerate(((x, y), (y, x))):
        few = own[:: max(1, len(own) // 64)]
        for k, other in enumerate(others[:: max(1, len(others) // SEEN)]):
            atom = Measure(other[None], None, game.manifolds[1 - p])
            steep = np.linalg.norm(game.gradient(p, own, atom), axis=1).max()
            slopes[p] = max(slopes[p], float(steep))
            if k % 16 == 0:
                trace = np.abs(game.laplacian(p, few, atom)).max()
                bent = max(bent, float(trace) / game.manifolds[p].dim)
    return Constants(high - low, (ABOVE * slopes[0], ABOVE * slopes[1]), bent)


@dataclass(eq=False)
class Problem:
    """A game, a flow and a start, and the sizes of what is run on them.

    time, step, particles, replicas: of theorem 3; None for those that suit the game. cells: of the
    mean field; None likewise.
    """

    game: Game
    flow: Flow
    start: Start
    quick: bool = True
    seed: int = 0
    time: float | None = None
    step: float | None = None
    particles: tuple[int, ...] | None = None
    replicas: Any = None
    cells: Any = None
    threads: int | None = None
    progress: bool | None = None
    executor: Given = None

    @cached_property
    def constants(self) -> Constants:
        return constants(self.game)

    @property
    def dims(self) -> tuple[int, int]:
        x, y = self.game.manifolds
        return x.dim, y.dim

    @cached_property
    def natural_time(self) -> float:
        """About how long the flow takes to move a unit of length, or a weight by a factor of e."""
        c, pace = self.constants, 0.0
        for rates, M, slope in zip(self.flow.players, self.game.manifolds, c.slopes, strict=True):
            moved = rates.gamma * slope / unit(M) + rates.alpha * c.range
            heat = rates.gamma * rates.temperature / unit(M) ** 2
            pace = max(pace, moved, heat)
        return 1 / pace


def betas(flow: Flow) -> tuple[float, float]:
    """Both players' inverse temperatures."""
    x, y = (1 / t for t in flow.temperature)
    return x, y


def without_mesh(game: Game) -> str:
    """Why no mean field can be computed; empty where one can."""
    for M in game.manifolds:
        if not (isinstance(M, (Torus, Sphere)) and M.dim <= 3):
            return (
                f"{M} has no mesh: mean fields and Gibbs pairs are for tori and spheres up to "
                "dimension 3"
            )
    return ""
