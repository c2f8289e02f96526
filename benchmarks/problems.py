"""The three mean-field problems that engines and peers are timed on.

All have beta = 10 and T = 5. The error of a solver is the larger player's L1 error at T: nodal
densities against point values at the nodes, from nodal initial masses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from meanfield.checks import Array
from meanfield.games.lowrank import LowRank, Term, polynomial_from, trigonometric
from meanfield.manifolds import Sphere, Torus
from meanfield.start import Start

BETA = 10.0
TIME = 5.0

Law = Callable[[Array], Array]  # a density at points (n, a), shape (n,)


@dataclass(frozen=True)
class TorusProblem:
    """Both players on one torus, with the terms ((k...), (l...), re, im) of the loss."""

    name: str
    manifold: Torus
    terms: tuple[Term, ...]

    @property
    def game(self) -> LowRank:
        return trigonometric(self.terms, self.manifold, self.manifold, name=self.name)

    def density(self, points: Array) -> Array:
        """The start of both players: the product over axes of (1 + 0.5 cos) / 2 pi."""
        factors = (1 + 0.5 * np.cos(points)) / (2 * np.pi)
        return functools.reduce(np.multiply, factors.T)

    @property
    def densities(self) -> tuple[Law, Law]:
        return self.density, self.density

    @property
    def start(self) -> Start:
        return Start(*self.densities)


# cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y; a product of sine and cosine is two terms.
CIRCLE = TorusProblem(
    "circle",
    Torus(1),
    (
        ((1,), (-1,), 1.0, 0.0),
        ((2,), (1,), 0.0, -0.25),
        ((2,), (-1,), 0.0, -0.25),
        ((0,), (3,), 0.3, 0.0),
    ),
)

# cos(x1 - y1) + 0.7 cos(x2 - y2) + 0.5 sin(2 x1 + x2) cos y1 + 0.3 cos 3 y2 + 0.4 cos(x1 - x2)
# sin(y1 + y2)
TORUS = TorusProblem(
    "torus",
    Torus(2),
    (
        ((1, 0), (-1, 0), 1.0, 0.0),
        ((0, 1), (0, -1), 0.7, 0.0),
        ((2, 1), (1, 0), 0.0, -0.25),
        ((2, 1), (-1, 0), 0.0, -0.25),
        ((0, 0), (0, 3), 0.3, 0.0),
        ((1, -1), (1, 1), 0.0, -0.2),
        ((1, -1), (-1, -1), 0.0, 0.2),
    ),
)


@dataclass(frozen=True)
class SphereProblem:
    """l = x'Ay + a'x + b'y + x'Bx on S^2 x S^2, from (1 + 0.5 x_3)/4 pi and (1 + 0.5 y_1)/4 pi."""

    name: str = "sphere"
    manifold: Sphere = field(default_factory=lambda: Sphere(2))
    A: tuple[tuple[float, ...], ...] = ((0.8, -0.5, 0.2), (0.3, 0.6, -0.7), (-0.2, 0.4, 0.5))
    a: tuple[float, ...] = (0.3, 0.0, 0.2)
    b: tuple[float, ...] = (0.0, -0.3, 0.1)
    B: tuple[tuple[float, ...], ...] = ((0.5, 0.2, 0.0), (0.2, -0.3, 0.1), (0.0, 0.1, -0.2))

    @property
    def game(self) -> LowRank:
        return polynomial_from(self.B, self.A, 0, 0, self.a, self.b, name=self.name)

    @property
    def densities(self) -> tuple[Law, Law]:
        return (lambda x: (1 + 0.5 * x[:, 2]) / (4 * np.pi)), (
            lambda y: (1 + 0.5 * y[:, 0]) / (4 * np.pi)
        )

    @property
    def start(self) -> Start:
        return Start(*self.densities)


SPHERE = SphereProblem()
Problem = TorusProblem | SphereProblem
PROBLEMS: dict[str, Problem] = {p.name: p for p in (CIRCLE, TORUS, SPHERE)}
