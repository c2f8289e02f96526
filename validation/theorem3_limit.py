"""n E W2^2 of interacting particles on the circle as n grows, and what wrong parameters would do.

Around the mean field mu of (7) or (8) the fluctuations sqrt(n) (mu^n - mu) of n particles tend to a
Gaussian field: its covariance C, on test functions phi, solves

    dC/dt = J C + C J' + Q,    Q(phi, psi) = 2 gamma tau int grad phi . grad psi dmu,

J the linearised equation, from C(0), that of independent points (Tanaka & Hitsuda, Hiroshima Math.
J. 11, 1981; Q = 0 where nothing diffuses). W2^2 of a small perturbation eta with primitive F is
int F^2/rho - (int F/rho)^2/int 1/rho, so that n E W2^2 tends to a trace. High modes see independent
weighted points alone, w the weights, with int phi psi d(sum w_i^2 delta) in place of the density:
for these the trace is an integral, and low modes of `validation/schemes_reference.py`, which uses
nothing of the package, add what interaction does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from meanfield.checks import Array
from validation.schemes_reference import Equation, Space

GRID = 1024  # cells of the integrals over the circle


def derivative(v: Array, k: Array) -> Array:
    """d/dx of waves (n, 2K + 1), in the order of `circle`."""
    out = np.zeros_like(v)
    out[:, 1::2], out[:, 2::2] = -k * v[:, 2::2], k * v[:, 1::2]
    return out


class Fluctuations:
    """The limit's covariance along the mean field on the circle.

    The state: coefficients c of both densities, those s of the densities of w^2, and C over all
    modes but the constant one, x's first.
    """

    def __init__(self, K: int, gamma: float, alpha: float, tau: float) -> None:
        self.equation = Equation("circle", K, gamma, alpha, tau)
        self.space: Space = self.equation.space
        self.V = self.space.values(np.eye(2 * K + 1))
        self.slopes = derivative(self.V, np.arange(1.0, K + 1))
        self.size = 2 * K

    def rates(self, t: float, state: Array) -> Array:
        c, s, C = self.parts(state)
        e, tau = self.equation, self.equation.tau
        J = self.jacobian(c)
        found = J @ C + C @ J.T
        if tau:
            for p in (0, 1):
                at = slice(p * self.size, (p + 1) * self.size)
                weights = 2 * e.gamma * tau * self.space.weights * (self.V @ c[:, p])
                found[at, at] += (self.slopes.T * weights @ self.slopes)[1:, 1:]
        return np.concatenate([v.ravel() for v in (e(c), self.squares(c, s), found)])

    def jacobian(self, c: Array, h: float = 1e-4) -> Array:
        """By central differences, of a cubic; the constant mode does not move."""
        m = len(c)
        units = np.zeros((m, 2, 2 * self.size))
        for p in (0, 1):
            units[1:, p, p * self.size : (p + 1) * self.size] = np.eye(self.size)
        sides = [self.equation(c[:, :, None] + sign * h * units) for sign in (1, -1)]
        J = (sides[0] - sides[1]) / (2 * h)
        return np.asarray(np.moveaxis(J, 1, 0)[:, 1:].reshape(2 * self.size, -1))

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
        c, s, C = np.split(state, [2 * m, 4 * m])
        return c.reshape(m, 2), s.reshape(m, 2), C.reshape(2 * self.size, -1)

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

    def solve(self, times: Array) -> list[tuple[Array, Array, Array]]:
        c = self.equation.start
        start = np.concatenate([v.ravel() for v in (c, c, self.local(c, c))])
        run = solve_ivp(self.rates, (0, times[-1]), start, "DOP853", times, rtol=1e-7, atol=1e-9)
        return [self.parts(state) for state in run.y.T]


def on_grid(c: Array) -> tuple[Array, Array]:
    """Waves (GRID, 2K + 1) at the middles of cells, and the functions of c."""
    from validation.schemes_reference import circle

    waves = circle(len(c) // 2).at((np.arange(GRID) + 0.5)[:, None] * (2 * np.pi / GRID))
    return waves, waves @ c


def trace(fluctuations: Fluctuations, c: Array, s: Array, C: Array) -> float:
    """n E (W2^2_x + W2^2_y): the integral for independent points, and what low modes add."""
    h, total, extra = 2 * np.pi / GRID, 0.0, C - fluctuations.local(c, s)
    k = np.arange(1.0, fluctuations.size // 2 + 1)
    for p in (0, 1):
        waves, rho = on_grid(c[:, p])
        square = waves @ s[:, p]
        w = h / rho
        F, F2 = (np.cumsum(v) * h - v * h / 2 for v in (rho, square))
        M = float(square.sum() * h)
        cross = np.minimum(F2[:, None], F2) - np.outer(F2, F) - np.outer(F, F2) + M * np.outer(F, F)
        total += float(w @ np.diag(cross) - w @ cross @ w / w.sum())
        primitives = np.zeros_like(waves)  # of the waves, up to constants, which W2 does not see
        primitives[:, 1::2], primitives[:, 2::2] = waves[:, 2::2] / k, -waves[:, 1::2] / k
        P = primitives[:, 1:]
        H = P.T * w @ P - np.outer(w @ P, w @ P) / w.sum()
        at = slice(p * fluctuations.size, (p + 1) * fluctuations.size)
        total += float((H * extra[at, at]).sum())
    return total


def constants(
    times: tuple[float, ...], gamma: float, alpha: float, tau: float, K: int = 40
) -> dict[str, Any]:
    """The limit of n E (W2^2_x + W2^2_y) at each time, of particles and of independent points."""
    found = Fluctuations(K, gamma, alpha, tau)
    states = found.solve(np.array(times))
    alone = [trace(found, c, s, found.local(c, s)) for c, s, _ in states]
    return {"particles": [trace(found, *state) for state in states], "independent": alone}
