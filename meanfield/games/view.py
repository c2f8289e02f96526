"""How a player at fixed points sees the other one, and is seen by it.

Costs are linear in the opponent's masses and know them through its *moments*: the feature means of
a game whose loss is a finite sum phi(x)' C psi(y), the masses themselves for any other loss. A game
makes the view of a player; whoever computes with it need not know which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import Basis, TrigBasis
from meanfield.measures import Measure

if TYPE_CHECKING:
    from meanfield.games.base import Game
    from meanfield.games.lowrank import LowRank

Jet = tuple[Array, Array | None, Array | None]


class View(Protocol):
    """Player p at points (n, a); made by `Game.view`."""

    def moments(self, masses: Array) -> Array:
        """What the opponent's costs need of p's masses (n,) at the points, shape (K,)."""

    def costs(self, moments: Array) -> Array:
        """U_p at the points, shape (n,), from the opponent's moments (K',)."""

    def jet(self, moments: Array, gradient: bool = True, laplacian: bool = False) -> Jet:
        """U_p (n,), its Riemannian gradient (n, a), its Laplacian (n,); None where not wanted."""


@dataclass(frozen=True, eq=False)
class FeatureView:
    """The view in a game of finitely many features: they are evaluated at the points once."""

    game: LowRank
    p: int
    points: Array

    @property
    def basis(self) -> Basis:
        return self.game.bases[self.p]

    @cached_property
    def features(self) -> Array:
        """(n, K)."""
        return self.basis.values(self.points)

    def moments(self, masses: Array) -> Array:
        return masses @ self.features  # type: ignore[no-any-return]

    def costs(self, moments: Array) -> Array:
        c = self.game.coefficients(self.p, moments)
        return self.features @ c  # type: ignore[no-any-return]

    def jet(self, moments: Array, gradient: bool = True, laplacian: bool = False) -> Jet:
        c, basis = self.game.coefficients(self.p, moments), self.basis
        if isinstance(basis, TrigBasis) and gradient:
            return self._trigonometric(basis, c)
        bend = np.trace(basis.hessian(self.points, c), axis1=1, axis2=2) if laplacian else None
        return self.features @ c, basis.gradient(self.points, c) if gradient else None, bend

    def _trigonometric(self, basis: TrigBasis, c: Array) -> Jet:
        """Derivatives of a cos + b sin are in the span of the features: one product gives all."""
        k, J = basis.waves, len(basis.modes)
        squares = (k * k).sum(1)
        wanted = np.empty((2 * J, basis.manifold.dim + 2))
        wanted[:, 0] = c
        wanted[:J, 1:-1], wanted[J:, 1:-1] = c[J:, None] * k, -c[:J, None] * k
        wanted[:J, -1], wanted[J:, -1] = -c[:J] * squares, -c[J:] * squares
        found = self.features @ wanted
        return found[:, 0], found[:, 1:-1], found[:, -1]


@dataclass(frozen=True, eq=False)
class PairView:
    """The view in any game: sums over the opponent's points, which are fixed as well."""

    game: Game
    p: int
    points: Array
    opponent_points: Array

    def moments(self, masses: Array) -> Array:
        return masses.copy()

    def _opponent(self, masses: Array) -> Measure:
        return Measure(self.opponent_points, masses, self.game.manifolds[1 - self.p])

    def costs(self, moments: Array) -> Array:
        return self.game.cost(self.p, self.points, self._opponent(moments))

    def jet(self, moments: Array, gradient: bool = True, laplacian: bool = False) -> Jet:
        given = self.p, self.points, self._opponent(moments)
        return (
            self.game.cost(*given),
            self.game.gradient(*given) if gradient else None,
            self.game.laplacian(*given) if laplacian else None,
        )
