"""Features of low-rank games: trigonometric on tori, quadratic on spheres.

A basis gives K features f_k on a manifold and, for coefficients c (K,), the function
U = sum_k c_k f_k with its derivatives. Compiled particle steps know the same two by their arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from meanfield.checks import Array, finite_array, unmasked, whole
from meanfield.manifolds import FARTHEST, Manifold, Sphere, Torus


class Basis(Protocol):
    """K features on a manifold."""

    @property
    def manifold(self) -> Manifold: ...

    @property
    def size(self) -> int:
        """K."""

    @property
    def one(self) -> int | None:
        """The number of the feature that is 1 everywhere, where there is one."""

    def values(self, points: Array) -> Array:
        """Features at points (n, a), shape (n, K)."""

    def gradient(self, points: Array, c: Array) -> Array:
        """Riemannian gradient of sum c_k f_k, tangent vectors (n, a)."""

    def hessian(self, points: Array, c: Array) -> Array:
        """Riemannian Hessian of sum c_k f_k in `manifold.basis(points)`, (n, dim, dim)."""

    def slopes(self, points: Array) -> Array:
        """Derivatives of all features in the space around the manifold, (n, K, a)."""


def frequency(name: str, value: Any, low: float = -math.inf) -> int:
    """A whole number, at least `low`; ValueError beyond 1e9, where an angle times it has lost its
    digits.
    """
    k = whole(name, value, low)
    if abs(k) > FARTHEST:
        raise ValueError(
            f"{name} is {k:.4g}, beyond {FARTHEST:g}, where rounding takes an angle's digits"
        )
    return k


def mode(name: str, entries: Any) -> tuple[int, ...]:
    """The frequencies along all angles, one number being that of a single one."""
    try:
        given = unmasked(entries)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a whole number, or one for each angle: {error}") from None
    return tuple(frequency(name, v) for v in np.atleast_1d(given).tolist())


@dataclass(frozen=True, eq=False)
class TrigBasis:
    """cos(w k.x) for the J modes k, then sin(w k.x) for the same: K = 2J, w = 2 pi / period.

    modes (J, d), whole numbers.
    """

    manifold: Torus
    modes: Array

    @property
    def size(self) -> int:
        return 2 * len(self.modes)

    @property
    def one(self) -> int | None:
        constant = np.flatnonzero(~self.modes.any(axis=1))
        return int(constant[0]) if len(constant) else None

    @property
    def waves(self) -> Array:
        """Wave vectors w k, shape (J, d)."""
        return self.modes * (2 * np.pi / self.manifold.period)

    def values(self, points: Array) -> Array:
        phase = points @ self.waves.T
        return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)

    def gradient(self, points: Array, c: Array) -> Array:
        a, b = np.split(c, 2)
        phase = points @ self.waves.T
        return (b * np.cos(phase) - a * np.sin(phase)) @ self.waves

    def slopes(self, points: Array) -> Array:
        phase = points @ self.waves.T
        parts = np.concatenate([-np.sin(phase), np.cos(phase)], axis=1)
        return parts[:, :, None] * np.concatenate([self.waves, self.waves])

    def hessian(self, points: Array, c: Array) -> Array:
        (a, b), k = np.split(c, 2), self.waves
        phase = points @ k.T
        return -np.einsum("nj,jp,jq->npq", a * np.cos(phase) + b * np.sin(phase), k, k)

    def jet(self, features: Array, c: Array) -> tuple[Array, Array, Array]:
        """The function, its gradient and its Laplacian by one product with the features (n, K).

        Derivatives of a cos + b sin are in the span of the features.
        """
        k, J = self.waves, len(self.modes)
        squares = (k * k).sum(1)
        wanted = np.empty((2 * J, self.manifold.dim + 2))
        wanted[:, 0] = c
        wanted[:J, 1:-1], wanted[J:, 1:-1] = c[J:, None] * k, -c[:J, None] * k
        wanted[:J, -1], wanted[J:, -1] = -c[:J] * squares, -c[J:] * squares
        jet = features @ wanted
        return jet[:, 0], jet[:, 1:-1], jet[:, -1]


@dataclass(frozen=True, eq=False)
class QuadraticBasis:
    """1, x_1..x_d, x_1^2..x_d^2 and x'Sx on the unit sphere of R^d: K = 2d + 2; S symmetric."""

    manifold: Sphere
    S: Array

    def __post_init__(self) -> None:
        d = self.manifold.ambient
        S = finite_array("S", self.S, (d, d))
        object.__setattr__(self, "S", 0.5 * (S + S.T))

    @property
    def size(self) -> int:
        return 2 * self.manifold.ambient + 2

    @property
    def one(self) -> int:
        return 0

    def split(self, c: Array) -> tuple[Array, Array, float]:
        """Coefficients of x, of x^2 and of x'Sx."""
        d = self.manifold.ambient
        return c[1 : d + 1], c[d + 1 : 2 * d + 1], c[2 * d + 1]

    def values(self, points: Array) -> Array:
        form = np.sum((points @ self.S) * points, axis=1, keepdims=True)
        return np.concatenate([np.ones((len(points), 1)), points, points**2, form], axis=1)

    def gradient(self, points: Array, c: Array) -> Array:
        return self.manifold.project(points, self._ambient(points, c))

    def _ambient(self, points: Array, c: Array) -> Array:
        linear, squares, form = self.split(c)
        return linear + 2 * squares * points + 2 * form * (points @ self.S)

    def slopes(self, points: Array) -> Array:
        n, d = points.shape
        found = np.zeros((n, self.size, d))
        found[:, 1 : d + 1] = np.eye(d)
        found[:, d + 1 : 2 * d + 1] = 2 * points[:, :, None] * np.eye(d)
        found[:, -1] = 2 * points @ self.S
        return found

    def hessian(self, points: Array, c: Array) -> Array:
        _, squares, form = self.split(c)
        frame = self.manifold.basis(points)
        flat = frame @ (2 * np.diag(squares) + 2 * form * self.S) @ frame.transpose(0, 2, 1)
        # The second fundamental form of the unit sphere takes off the normal derivative.
        normal = np.sum(points * self._ambient(points, c), axis=1)
        return flat - normal[:, None, None] * np.eye(self.manifold.dim)
