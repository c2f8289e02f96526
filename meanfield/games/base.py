"""What a game is to the rest of the package.

Both players minimise a cost: U_0 = V_x for the minimiser x, U_1 = -V_y for the maximiser y, where
V_x(x) = int l(x, y) dmu_y(y) and V_y(y) = int l(x, y) dmu_x(x) are the first variations. Every
scheme is written once, for a player p in {0, 1} and its cost.

Costs are linear in the opponent's masses, and know the opponent only through its *moments*: a few
feature means for a low-rank game, the masses themselves for any other. `moment_matrix` and
`cost_matrix` are the two linear maps, masses -> moments -> costs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import Basis
from meanfield.games.view import Jet, View
from meanfield.manifolds import Manifold, unit
from meanfield.measures import Measure
from meanfield.sums import total

SIGNS = (1.0, -1.0)
# Steps of difference quotients, in the manifold's unit: for mixed derivatives and for Hessians.
MIXED_STEP, HESSIAN_STEP = 1e-5, 1e-4
CHUNK = 1 << 15  # rows at a time: keeps feature and kernel blocks within the caches


class Game(ABC):
    """A two-player zero-sum game: loss l(x, y) on X x Y; x minimises, y maximises.

    Attributes
    ----------
    X, Y : the players' manifolds.
    bases : the features of x and of y where l is a finite sum phi(x)' C psi(y), None for others.
    name, statement : what it is called, and what is known exactly about it, in words.
    answers : the numbers and functions of the statement.
    constant : a part of l that moves nobody; costs and views leave it out, as it takes digits.
    rounding : how far losses err where a constant has taken digits that cannot be had back.
    """

    bases: tuple[Basis, Basis] | None = None
    constant: float = 0.0
    rounding: float = 0.0

    X: Manifold
    Y: Manifold
    name: str = "game"
    statement: str = ""
    answers: dict[str, Any]

    @property
    def manifolds(self) -> tuple[Manifold, Manifold]:
        return self.X, self.Y

    @abstractmethod
    def loss(self, x: Array, y: Array) -> Array:
        """l at all pairs of x (n, a) and y (m, b), shape (n, m).

        Raises ValueError for points off the manifolds.
        """

    def moving_loss(self, x: Array, y: Array) -> Array:
        """l less its constant at all pairs, shape (n, m)."""
        values = self.loss(x, y)
        return values - self.constant if self.constant else values

    @abstractmethod
    def swapped(self) -> Game:
        """The same game with the players' names exchanged: l'(y, x) = -l(x, y)."""

    @abstractmethod
    def moment_matrix(self, p: int, nodes: Array) -> Array | None:
        """(K, N): masses of player p at nodes (N, a) -> its moments; None is the identity."""

    @abstractmethod
    def cost_matrix(self, p: int, points: Array, opponent_nodes: Array) -> Array:
        """(P, K): moments of the opponent of p -> cost of p at points (P, a), less the constant."""

    @abstractmethod
    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        """U_p, less the constant, at points (n, a), shape (n,)."""

    @abstractmethod
    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        """Riemannian gradient of U_p at points (n, a), tangent vectors (n, a)."""

    def cost_and_gradient(self, p: int, points: Array, opponent: Measure) -> tuple[Array, Array]:
        """`cost` and `gradient`, at once where they share their work."""
        return self.cost(p, points, opponent), self.gradient(p, points, opponent)

    def _pairs(self, x: Array, y: Array) -> tuple[Array, Array]:
        """x (n, a) and y (m, b) to the bit, once they are points of the manifolds."""
        self.X.check("x", x), self.Y.check("y", y)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def view(self, p: int, points: Array, opponent_points: Array) -> View:
        """Player p at points (n, a), as it sees the opponent at its points and is seen by it."""
        return PairView(self, p, points, opponent_points)

    def hessian(self, p: int, points: Array, opponent: Measure) -> Array:
        """Riemannian Hessian of U_p in the frames `manifold.basis(points)`, shape (n, dim, dim)."""
        M = self.manifolds[p]
        return _difference_hessian(M, lambda x: self.gradient(p, x, opponent), points)

    def mixed(self, x: Array, y: Array) -> Array:
        """Mixed second derivatives of l in x and y, at all pairs of x (n, a) and y (m, b): in the
        frames `X.basis(x)` and `Y.basis(y)`, shape (n, dim X, m, dim Y). Here by central
        differences of the gradient in x.
        """
        frame, h, Y = self.X.basis(x), MIXED_STEP * unit(self.Y), self.Y
        by_y = []
        for y_j, directions in zip(y, Y.basis(y), strict=True):
            here = np.repeat(y_j[None], Y.dim, axis=0)
            ahead, behind = (
                np.array([
                    self.gradient(0, x, Measure(at[None], None, Y))
                    for at in Y.retract(here, s * h * directions)
                ]) for s in (1, -1)
            )  # fmt: skip
            by_y.append((ahead - behind) / (2 * h))  # (dim Y, n, a)
        return np.einsum("nia,mkna->nimk", frame, np.array(by_y))

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        """Laplace-Beltrami of U_p at points (n, a), shape (n,)."""
        return np.trace(self.hessian(p, points, opponent), axis1=1, axis2=2)

    def potential_x(self, points: Array, mu_y: Measure) -> Array:
        """First variation V_x(x) = int l(x, y) dmu_y(y) at points (n, a), shape (n,)."""
        U = self.cost(0, self.X.check("points", points), _on(mu_y, self.Y, "mu_y"))
        return U + self.constant

    def potential_y(self, points: Array, mu_x: Measure) -> Array:
        """First variation V_y(y) = int l(x, y) dmu_x(x) at points (m, b), shape (m,)."""
        U = self.cost(1, self.Y.check("points", points), _on(mu_x, self.X, "mu_x"))
        return self.constant - U

    def gradient_x(self, points: Array, mu_y: Measure) -> Array:
        """Riemannian gradient of V_x at points (n, a)."""
        return self.gradient(0, self.X.check("points", points), _on(mu_y, self.Y, "mu_y"))

    def gradient_y(self, points: Array, mu_x: Measure) -> Array:
        """Riemannian gradient of V_y at points (m, b)."""
        return -self.gradient(1, self.Y.check("points", points), _on(mu_x, self.X, "mu_x"))

    def value(self, mu_x: Measure, mu_y: Measure) -> float:
        """L(mu_x, mu_y) = int int l dmu_x dmu_y."""
        return self.moving_value(mu_x, mu_y) + self.constant

    def moving_value(self, mu_x: Measure, mu_y: Measure) -> float:
        """L(mu_x, mu_y) less the constant."""
        x, y = _on(mu_x, self.X, "mu_x"), _on(mu_y, self.Y, "mu_y")
        return total(x.masses, self.cost(0, x.points, y))

    def __repr__(self) -> str:
        return f"{self.name} on {self.X} x {self.Y}"


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
        game, where = self.game, (self.p, self.points, self._opponent(moments))
        slope = game.gradient(*where) if gradient else None
        return game.cost(*where), slope, game.laplacian(*where) if laplacian else None


def both_or_neither(X: Manifold | None, Y: Manifold | None) -> None:
    """ValueError where one player's manifold is given and the other's would be guessed."""
    if (X is None) != (Y is None):
        held, missing = ("X", "Y") if Y is None else ("Y", "X")
        raise ValueError(f"{missing} is missing: {held} is given, so give {missing}=... too")


def a_game(value: Any) -> Game:
    """`value` itself; TypeError when it is no game."""
    if not isinstance(value, Game):
        raise TypeError(
            f"game must be a meanfield game, got {type(value).__name__}; see meanfield.games"
        )
    return value


def _on(mu: Measure, manifold: Manifold, name: str) -> Measure:
    if not isinstance(mu, Measure):
        raise TypeError(f"{name} must be a meanfield.Measure, got {type(mu).__name__}")
    if mu.manifold != manifold:
        raise ValueError(f"{name} lives on {mu.manifold}, but the game has {manifold} there")
    return mu


def _difference_hessian(
    manifold: Manifold, gradient: Callable[[Array], Array], points: Array
) -> Array:
    """Central differences of the gradient along the frame; error O(h^2)."""
    frame, h = manifold.basis(points), HESSIAN_STEP * unit(manifold)
    rows = []
    for k in range(manifold.dim):
        ahead, behind = (gradient(manifold.retract(points, s * h * frame[:, k])) for s in (1, -1))
        rows.append(np.einsum("nia,na->ni", frame, (ahead - behind) / (2 * h)))
    rough = np.stack(rows, 1)
    return 0.5 * (rough + rough.transpose(0, 2, 1))
