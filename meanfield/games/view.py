"""How a player at fixed points sees the other one, and is seen by it.

Costs are linear in the opponent's masses and know them through its *moments*: the feature means of
a game whose loss is a finite sum phi(x)' C psi(y), the masses themselves for any other loss. A game
makes the view of a player; whoever computes with it need not know which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import Basis, TrigBasis
from meanfield.sums import means

Jet = tuple[Array, Array | None, Array | None]


class View(Protocol):
    """Player p at points (n, a); made by `Game.view`."""

    def moments(self, masses: Array) -> Array:
        """What the opponent's costs need of p's masses (n,) at the points, shape (K,)."""

    def costs(self, moments: Array) -> Array:
        """U_p less the loss's constant at the points, (n,), from the opponent's moments (K',)."""

    def jet(self, moments: Array, gradient: bool = True, laplacian: bool = False) -> Jet:
        """U_p (n,), its Riemannian gradient (n, a) and Laplacian (n,), None where not wanted."""


@dataclass(frozen=True, eq=False)
class FeatureView:
    """The view in a game of finitely many features, which are evaluated at the points once.

    `matrix` (K, K') takes the opponent's moments to the coefficients of U_p in the basis.
    """

    basis: Basis
    matrix: Array
    points: Array

    @cached_property
    def features(self) -> Array:
        """(n, K)."""
        return self.basis.values(self.points)

    def moments(self, masses: Array) -> Array:
        return means(self.features.T, masses)

    def costs(self, moments: Array) -> Array:
        return self.features @ (self.matrix @ moments)  # type: ignore[no-any-return]

    def jet(self, moments: Array, gradient: bool = True, laplacian: bool = False) -> Jet:
        c, basis = self.matrix @ moments, self.basis
        if isinstance(basis, TrigBasis) and gradient:
            return basis.jet(self.features, c)
        slope = basis.gradient(self.points, c) if gradient else None
        bend = np.trace(basis.hessian(self.points, c), axis1=1, axis2=2) if laplacian else None
        return self.features @ c, slope, bend
