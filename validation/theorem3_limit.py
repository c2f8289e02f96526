"""n E W2^2 as n grows: that of independent points, and what the particles' interaction adds.

Around the mean field mu of (7) or (8) the fluctuations sqrt(n) (mu^n - mu) of n particles tend to a
Gaussian field (Tanaka & Hitsuda, Hiroshima Math. J. 11, 1981). Its covariance is L + D: L that of
independent points of the mean field's law, with weights w where these move, and D what interaction
adds,

    dD/dt = J D + D J' + I L + (I L)',      D(0) = 0,

J the linearised equation and I the part of it that comes from the change of costs. W2^2 of a small
perturbation eta is eta' A^-1 eta, A(phi, psi) = int grad phi . grad psi dmu, so that interaction
adds trace(A^-1 D) to n E W2^2. D is smooth: few modes of `validation/schemes_reference.py`, which
uses nothing of the package, give it. For independent points the trace grows like log n on surfaces.
On the circle, where W2^2 of a perturbation with primitive F is int F^2/rho - (int F/rho)^2/int
1/rho, it is an integral, with the density of sum w_i^2 delta_i in the place of rho.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from meanfield.checks import Array
from validation.schemes_reference import Equation, Space

GRID = 1024  # cells of the integrals over the circle
MODES = {"circle": 40, "torus": 6, "sphere": 8}


class Fluctuations:
    """What interaction adds to the limit's covariance, along the mean field.

    The state: coefficients c of both densities, those s of the densities of w^2, and D over all
    modes but the constant one, x's first.
    """

    def __init__(self, which: str, gamma: float, alpha: float, tau: float, K: int) -> None:
        self.equation = Equation(which, K, gamma, alpha, tau)
        self.space: Space = self.equation.space
        self.size = len(self.space.eigenvalues) - 1
        self.V = self.space.values(np.eye(self.size + 1))

    def rates(self, t: float, state: Array) -> Array:
        c, s, D = self.parts(state)
        added = self.jacobian(c) @ D + self.through_costs(c) @ self.local(c, s)
        return np.concatenate(
            [v.ravel() for v in (self.equation(c), self.squares(c, s), added + added.T)]
        )

    def jacobian(self, c: Array, h: float = 1e-4) -> Array:
        """By central differences, of a cubic; the constant mode does not move."""
        m = len(c)
        units = np.zeros((m, 2, 2 * self.size))
        for p in (0, 1):
            units[1:, p, p * self.size : (p + 1) * self.size] = np.eye(self.size)
        sides = [self.equation(c[:, :, None] + sign * h * units) for sign in (1, -1)]
        J = (sides[0] - sides[1]) / (2 * h)
        return np.asarray(np.moveaxis(J, 1, 0)[:, 1:].reshape(2 * self.size, -1))

    def through_costs(self, c: Array) -> Array:
        """The part I of the linearised equation: what a change of the other player's density does
        by the change of costs, U_x = sum_j f_j int g_j dmu_y.
        """
        e, S, found = self.equation, self.space, np.zeros((2 * self.size,) * 2)
        eigenvalues, (f, g) = S.eigenvalues[:, None], e.features
        for p, (own, other, sign) in enumerate(((f, g, 1.0), (g, f, -1.0))):
            mine = c[:, p : p + 1]
            U, rho, bent = own.T, S.values(mine), S.values(-eigenvalues * mine)
            product = S.project(U * rho)
            moved = S.project(rho * S.values(-eigenvalues * S.project(U)) - U * bent)
            response = 0.5 * e.gamma * (moved - eigenvalues * product)
            response -= e.alpha * (product - mine * (S.weights @ (U * rho)))
            means = sign * (other * S.weights) @ self.V
            rows, columns = (slice(q * self.size, (q + 1) * self.size) for q in (p, 1 - p))
            found[rows, columns] = response[1:] @ means[:, 1:]
        return found

    def metric(self, c: Array) -> Array:
        """A, by grad phi . grad psi = [Lap(phi psi) - phi Lap psi - psi Lap phi]/2."""
        e, found = self.space.eigenvalues, np.zeros((2 * self.size,) * 2)
        for p in (0, 1):
            rho, bent = (self.space.weights * (self.V @ v) for v in (c[:, p], -e * c[:, p]))
            products = (self.V.T * rho) @ self.V
            block = 0.5 * ((self.V.T * bent) @ self.V + np.add.outer(e, e) * products)
            at = slice(p * self.size, (p + 1) * self.size)
            found[at, at] = block[1:, 1:]
        return found

    def squares(self, c: Array, s: Array) -> Array:
        """Of the densities of w^2, which move with rho and grow at twice its rate."""
        e, S = self.equation, self.space
        if not e.alpha:
            return e(c)  # they are rho
        rho = S.values(c)
        U = e.costs(rho[:, :, None])[:, :, 0]
        curved, bent = S.values(-S.eigenvalues[:, None] * S.project(U)), S.values(s)
        lap = S.values(-S.eigenvalues[:, None] * s)
        product = S.project(bent * U)
        moved = S.project(bent * curved - U * lap) - S.eigenvalues[:, None] * product
        return 0.5 * e.gamma * moved - 2 * e.alpha * (product - (S.weights @ (U * rho)) * s)

    def parts(self, state: Array) -> tuple[Array, Array, Array]:
        m = self.size + 1
        c, s, D = np.split(state, [2 * m, 4 * m])
        return c.reshape(m, 2), s.reshape(m, 2), D.reshape(2 * self.size, -1)

    def local(self, c: Array, s: Array) -> Array:
        """The covariance of independent weighted points."""
        C = np.zeros((2 * self.size, 2 * self.size))
        for p in (0, 1):
            rho, square = (self.space.weights * (self.V @ v[:, p]) for v in (c, s))
            m, q = rho @ self.V, square @ self.V
            block = self.V.T * square @ self.V - np.outer(q, m) - np.outer(m, q)
            at = slice(p * self.size, (p + 1) * self.size)
            C[at, at] = (block + square.sum() * np.outer(m, m))[1:, 1:]
        return C

    def solve(self, times: Array, tol: float = 1e-7) -> list[tuple[Array, Array, Array]]:
        c = self.equation.start
        start = np.concatenate([v.ravel() for v in (c, c, np.zeros((2 * self.size,) * 2))])
        how = {"rtol": tol, "atol": 1e-2 * tol}
        run = solve_ivp(self.rates, (0, times[-1]), start, "DOP853", times, **how)
        return [self.parts(state) for state in run.y.T]


def on_grid(c: Array) -> tuple[Array, Array]:
    """Waves (GRID, 2K + 1) at the middles of cells, and the functions of c."""
    from validation.schemes_reference import circle

    waves = circle(len(c) // 2).at((np.arange(GRID) + 0.5)[:, None] * (2 * np.pi / GRID))
    return waves, waves @ c


def independent(c: Array, s: Array) -> float:
    """n E (W2^2_x + W2^2_y) of independent weighted points on the circle, in the limit."""
    h, total = 2 * np.pi / GRID, 0.0
    for p in (0, 1):
        rho, square = (on_grid(v[:, p])[1] for v in (c, s))
        w = h / rho
        F, F2 = (np.cumsum(v) * h - v * h / 2 for v in (rho, square))
        M = float(square.sum() * h)
        cross = np.minimum(F2[:, None], F2) - np.outer(F2, F) - np.outer(F, F2) + M * np.outer(F, F)
        total += float(w @ np.diag(cross) - w @ cross @ w / w.sum())
    return total


def interaction(fluctuations: Fluctuations, c: Array, D: Array) -> float:
    """What interaction adds to n E (W2^2_x + W2^2_y)."""
    return float(np.trace(np.linalg.solve(fluctuations.metric(c), D)))


def constants(
    which: str, times: tuple[float, ...], gamma: float, alpha: float, tau: float
) -> dict[str, Any]:
    """At each time what interaction adds to n E (W2^2_x + W2^2_y) and, on the circle, the limit for
    independent points.
    """
    found = Fluctuations(which, gamma, alpha, tau, MODES[which])
    states = found.solve(np.array(times), 1e-7 if which == "circle" else 1e-5)
    added = [interaction(found, c, D) for c, _, D in states]
    if which != "circle":
        return {"interaction": added}
    return {"interaction": added, "independent": [independent(c, s) for c, s, _ in states]}
