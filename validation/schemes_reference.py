"""Mean fields by other means than the package's: dense Galerkin methods, integrated by scipy.

Equations (7) and (8) together, for either player with cost U, t in [0, T]:

    d rho/dt = gamma div(rho grad U) + gamma tau Lap rho - alpha (U - int U rho) rho.

rho is a sum of the Laplacian's eigenfunctions phi_k, real and orthonormal, -Lap phi_k = e_k phi_k,
on the circle, T^2 and S^2. Transport needs no gradients: div(rho grad U) = [Lap(rho U) - U Lap rho
+ rho Lap U]/2. Integrals are sums over a product quadrature; the ODE goes to DOP853 of
scipy.integrate.solve_ivp, the Legendre functions come from scipy.special. Losses and starts of the
three problems of `meanfield.games.benchmark` are written out here once more, and nothing of the
package is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import gammaln, lpmv

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Space:
    """A quadrature and the eigenfunctions on it.

    points (n, a), weights (n,); eigenvalues (K,); factors: phi_k at the points, one matrix, or one
    for each axis where eigenfunctions are products; at: phi_k at any points, (m, K).
    """

    points: Array
    weights: Array
    eigenvalues: Array
    factors: tuple[Array, ...]
    at: Callable[[Array], Array]

    def values(self, c: Array) -> Array:
        """Functions (n, B) at the points from their coefficients (K, B)."""
        return self._applied(list(self.factors), c)

    def project(self, f: Array) -> Array:
        """Coefficients (K, B) of functions (n, B) given at the points."""
        return self._applied([V.T for V in self.factors], self.weights[:, None] * f)

    def _applied(self, matrices: list[Array], v: Array) -> Array:
        for V in matrices:
            # The axis that is summed goes first and comes back last, before the batch's.
            rest = v.reshape(V.shape[1], -1, v.shape[-1])
            v = np.moveaxis(np.tensordot(V, rest, 1), 0, 1).reshape(-1, v.shape[-1])
        return v


def circle(K: int) -> Space:
    """Waves up to |k| = K."""
    n = 2 * K + 4
    x = np.arange(n)[:, None] * (2 * np.pi / n)
    k = np.repeat(np.arange(1.0, K + 1), 2)

    def at(points: Array) -> Array:
        found = np.full((len(points), 2 * K + 1), (2 * np.pi) ** -0.5)
        found[:, 1::2] = np.cos(points * k[::2]) / np.sqrt(np.pi)
        found[:, 2::2] = np.sin(points * k[::2]) / np.sqrt(np.pi)
        return found

    weights = np.full(n, 2 * np.pi / n)
    return Space(x, weights, np.concatenate([[0.0], k * k]), (at(x),), at)


def torus(K: int) -> Space:
    """Products of waves up to K on either axis of T^2."""
    one = circle(K)
    x = one.points[:, 0]
    points = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)

    def at(p: Array) -> Array:
        return np.einsum("ni,nj->nij", one.at(p[:, :1]), one.at(p[:, 1:])).reshape(len(p), -1)

    e = np.add.outer(one.eigenvalues, one.eigenvalues).ravel()
    return Space(points, np.outer(one.weights, one.weights).ravel(), e, one.factors * 2, at)


def sphere(K: int) -> Space:
    """Harmonics up to degree K on S^2; Gauss's nodes in height, equal steps around."""
    heights, w = np.polynomial.legendre.leggauss(K + 3)
    around = np.arange(2 * K + 6) * (np.pi / (K + 3))
    z, phi = (g.ravel() for g in np.meshgrid(heights, around, indexing="ij"))
    points = np.stack([np.sqrt(1 - z * z) * f for f in (np.cos(phi), np.sin(phi))] + [z], -1)
    l, m = np.array([(l, m) for l in range(K + 1) for m in range(-l, l + 1)]).T
    q = np.abs(m)
    logs = gammaln(l - q + 1) - gammaln(l + q + 1)
    size = np.sqrt((2 * l + 1) / (4 * np.pi) * np.where(m, 2.0, 1.0) * np.exp(logs))

    def at(p: Array) -> Array:
        turn, height = np.arctan2(p[:, 1], p[:, 0])[:, None], np.clip(p[:, 2], -1, 1)[:, None]
        return size * lpmv(q, l, height) * np.where(m < 0, np.sin(q * turn), np.cos(q * turn))

    weights = np.repeat(w * (np.pi / (K + 3)), len(around))
    return Space(points, weights, l * (l + 1.0), (at(points),), at)


# -- the three problems ---------------------------------------------------------------------------

Functions = Callable[..., Sequence[Any]]  # of a point's coordinates


@dataclass(frozen=True)
class Problem:
    """A loss sum_j f_j(x) g_j(y), and the densities that x and y start from, up to a factor."""

    space: Callable[[int], Space]
    f: Functions
    g: Functions
    x: Callable[..., Any]
    y: Callable[..., Any]


def _sphere_f(a: Array, b: Array, c: Array) -> Sequence[Any]:
    square = 0.5 * a * a - 0.3 * b * b - 0.2 * c * c + 0.4 * a * b + 0.2 * b * c
    return a, b, c, square + 0.3 * a + 0.2 * c, 1.0


def _sphere_g(a: Array, b: Array, c: Array) -> Sequence[Any]:
    return (
        0.8 * a - 0.5 * b + 0.2 * c, 0.3 * a + 0.6 * b - 0.7 * c, -0.2 * a + 0.4 * b + 0.5 * c,
        1.0, -0.3 * b + 0.1 * c,
    )  # fmt: skip


c, s = np.cos, np.sin
PROBLEMS = {
    "circle": Problem(
        circle,
        lambda x: (c(x), s(x), s(2 * x), 1.0),
        lambda y: (c(y), s(y), 0.5 * c(y), 0.3 * c(3 * y)),
        lambda x: 1 + 0.5 * c(x),
        lambda y: 1 + 0.5 * c(y),
    ),
    "torus": Problem(
        torus,
        lambda x, z: (c(x), s(x), c(z), s(z), s(2 * x + z), 1.0, c(x - z)),
        lambda y, w: (
            c(y), s(y), 0.7 * c(w), 0.7 * s(w), 0.5 * c(y), 0.3 * c(3 * w), 0.4 * s(y + w)
        ),
        lambda x, z: (1 + 0.5 * c(x)) * (1 + 0.5 * c(z)),
        lambda y, w: (1 + 0.5 * c(y)) * (1 + 0.5 * c(w)),
    ),
    "sphere": Problem(
        sphere, _sphere_f, _sphere_g, lambda a, b, c: 1 + 0.5 * c, lambda a, b, c: 1 + 0.5 * a
    ),
}  # fmt: skip


class Equation:
    """The right-hand side for a problem, on coefficients (K, 2, ...) of both players."""

    def __init__(
        self, which: str, K: int, gamma: float = 1.0, alpha: float = 0.0, tau: float = 0.0
    ) -> None:
        problem = PROBLEMS[which]
        self.space = S = problem.space(K)
        self.gamma, self.alpha, self.tau = gamma, alpha, tau
        axes = S.points.T
        sides = (problem.f(*axes), problem.g(*axes))
        self.features = [np.stack([np.broadcast_to(v, len(S.points)) for v in h]) for h in sides]
        rho = np.stack([problem.x(*axes), problem.y(*axes)], 1)
        self.start = S.project(rho / (S.weights @ rho))

    def costs(self, rho: Array) -> Array:
        """U_x and U_y at the points, (n, 2, B), for densities (n, 2, B): y maximises."""
        f, g = self.features
        weighted = self.space.weights[:, None, None] * rho
        return np.stack([f.T @ (g @ weighted[:, 1]), -g.T @ (f @ weighted[:, 0])], 1)

    def __call__(self, c: Array) -> Array:
        S, e, K = self.space, self.space.eigenvalues[:, None], len(c)
        flat = c.reshape(K, -1)
        rho, bent = np.split(S.values(np.concatenate([flat, -e * flat], 1)), 2, axis=1)
        U = self.costs(rho.reshape(len(rho), 2, -1)).reshape(rho.shape)
        curved = S.values(-e * S.project(U))
        both = np.concatenate([rho * curved - U * bent, U * rho], 1)
        straight, product = np.split(S.project(both), 2, axis=1)
        found = self.gamma * (0.5 * (straight - e * product) - self.tau * e * flat)
        found -= self.alpha * (product - (S.weights @ (U * rho)) * flat)
        return found.reshape(c.shape)

    def solve(self, time: float, tol: float = 1e-12) -> Array:
        """The coefficients of both players at T, (K, 2)."""
        shape = self.start.shape
        rates = lambda t, v: self(v.reshape(shape)).ravel()  # noqa: E731
        start = self.start.ravel()
        run = solve_ivp(rates, (0.0, time), start, "DOP853", rtol=tol, atol=1e-2 * tol)
        if not run.success:
            raise ArithmeticError(run.message)
        return np.asarray(run.y[:, -1]).reshape(shape)


@dataclass(frozen=True, eq=False)
class Solution:
    """Both players' densities at one time: coefficients (K, 2)."""

    space: Space
    coefficients: Array

    def density(self, p: int, points: Array) -> Array:
        """Of player p at any points (m, a), (m,)."""
        chunks = (points[i : i + 1024] for i in range(0, len(points), 1024))
        return np.concatenate([self.space.at(few) @ self.coefficients[:, p] for few in chunks])


@cache
def solved(
    which: str, K: int, time: float, gamma: float = 1.0, alpha: float = 0.0, tau: float = 0.0
) -> Solution:
    """The densities at T."""
    equation = Equation(which, K, gamma, alpha, tau)
    return Solution(equation.space, equation.solve(time))
