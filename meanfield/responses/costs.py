"""Costs as functions on a manifold, and what a search for their minimisers returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from meanfield.checks import Array, finite_array
from meanfield.games.base import CHUNK, Game
from meanfield.games.bases import Basis
from meanfield.measures import Measure

MASS_ERROR = 1e-8  # of feature means, as for the masses of a measure


@dataclass(frozen=True, eq=False)
class Response:
    """A player's best points: minimisers (k, a) with their costs `values` (k,), the best first.

    min U_p lies in [floor, value], value = values[0]; the floor is -inf where nothing is proven.
    method: how the points were found, and the floor proven.
    """

    minimisers: Array
    values: Array
    floor: float
    method: str

    @property
    def point(self) -> Array:
        return self.minimisers[0]

    @property
    def value(self) -> float:
        return float(self.values[0])

    def raised(self, by: float) -> Response:
        """The same points for a cost that is larger by a constant."""
        return replace(self, values=self.values + by, floor=self.floor + by) if by else self


def loss_size(game: Game) -> float:
    """The range of l among 16 x 16 points, which measures errors where a cost is flat."""
    x, y = (M.sample(16, np.random.default_rng(0)) for M in game.manifolds)
    return float(np.ptp(game.moving_loss(x, y)))


class Cost(Protocol):
    """A function on a manifold with derivatives, batched over points (n, a)."""

    def values(self, points: Array) -> Array: ...
    def gradient(self, points: Array) -> Array: ...
    def hessian(self, points: Array) -> Array: ...


@dataclass(frozen=True, eq=False)
class FeatureCost:
    """U = sum_k c_k f_k: a low-rank game's cost, less the constant of its loss."""

    basis: Basis
    c: Array

    def values(self, points: Array) -> Array:
        chunks = [points[i : i + CHUNK] for i in range(0, max(len(points), 1), CHUNK)]
        return np.concatenate([self.basis.values(q) @ self.c for q in chunks])

    def gradient(self, points: Array) -> Array:
        return self.basis.gradient(points, self.c)

    def hessian(self, points: Array) -> Array:
        return self.basis.hessian(points, self.c)


@dataclass(frozen=True, eq=False)
class OpponentCost:
    """U_p against a measure, by the game's own sums over its atoms."""

    game: Game
    p: int
    opponent: Measure

    def values(self, points: Array) -> Array:
        return self.game.cost(self.p, points, self.opponent)

    def gradient(self, points: Array) -> Array:
        return self.game.gradient(self.p, points, self.opponent)

    def hessian(self, points: Array) -> Array:
        return self.game.hessian(self.p, points, self.opponent)


def cost_against(game: Game, p: int, opponent: Measure | Array) -> Cost:
    """U_p, less the game's constant, against a measure or, in a low-rank game, feature means (K,).

    Raises TypeError or ValueError for what is neither.
    """
    name, bases, there = ("mu_y", "mu_x")[p], game.bases, game.manifolds[1 - p]
    if isinstance(opponent, Measure):
        if opponent.manifold != there:
            raise ValueError(f"{name} lives on {opponent.manifold}, but the game has {there} there")
        if bases is None:
            return OpponentCost(game, p, opponent)
        means: Any = game.moments  # type: ignore[attr-defined]
        moments = means(1 - p, opponent.points, opponent.masses)
    elif isinstance(opponent, np.ndarray) and bases is not None:
        moments = _of_a_law(f"{name} moments", opponent, bases[1 - p])
    else:
        also = "" if bases is None else " or its feature means"
        raise TypeError(f"{name} must be a meanfield.Measure{also}, got {type(opponent).__name__}")
    return FeatureCost(bases[p], game.coefficients(p, moments))  # type: ignore[attr-defined]


def _of_a_law(name: str, means: Array, basis: Basis) -> Array:
    """Feature means (K,), whose total mass is one where a feature says what it is."""
    means = finite_array(name, means, (basis.size,))
    if basis.one is not None and not abs(means[basis.one] - 1.0) <= MASS_ERROR:
        raise ValueError(
            f"{name} are not those of a probability measure: number {basis.one} is the total mass, "
            f"which must be 1, got {means[basis.one]:.6g}; `game.moments` makes them"
        )
    return means
