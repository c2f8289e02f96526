"""The equation (7) linearised at its Gibbs point, with averaged costs too."""

from __future__ import annotations

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.density.rates import FaceRates
from meanfield.flows import Rates


class Linear:
    """(7), or with alpha > 0 the flow of L_beta, linearised at its Gibbs point, with or without
    discounting.

    d/dt dm_p = A_p (dm_p + beta m_p K_p dz_q), A_p the generator at the fixed costs, K_p dz_q the
    change of p's costs with the opponent's (averaged) moments z_q: exact to first order, for A(U +
    dU) annihilates m (1 - beta dU). Discounting adds d/dt dz_q = rate (F_q dm_q - dz_q).
    """

    def __init__(self, game: mf.games.Game, beta: float, cells: int, alpha: float = 0.0) -> None:
        fixed = mf.gibbs(game, beta, cells=cells)
        pair = (fixed.x, fixed.y)
        self.A, self.B, self.F = [], [], []
        for p, mu in enumerate(pair):
            U = game.cost(p, mu.points, pair[1 - p])[None]
            A = generator(
                mu.mesh.pairs, FaceRates(mu.mesh, Rates(1.0, 0.0, 1 / beta), "sg")(U, U)[0][0]
            )
            K = game.cost_matrix(p, mu.points, pair[1 - p].points)
            F = game.moment_matrix(p, mu.points)
            # The reaction - alpha m (dU + dm / (beta m) - mean), and transport with its diffusion.
            mean = np.outer(mu.masses, np.ones(cells))
            self.A.append(A - alpha / beta * (np.eye(cells) - mean))
            self.B.append(
                A @ (beta * mu.masses[:, None] * K)
                - alpha * mu.masses[:, None] * (K - mu.masses @ K)
            )
            self.F.append(np.eye(cells) if F is None else F)
        # Relaxed laws dm_p = -beta m_p (K_p dz_q - mean) give the averages' own map z -> -kappa^2
        # z.
        S = [
            F @ np.linalg.lstsq(A, -B, rcond=1e-12)[0]
            for A, B, F in zip(self.A, self.B, self.F, strict=True)
        ]
        self.kappa = float(np.sqrt(np.abs(np.linalg.eigvals(S[0] @ S[1])).max()))
        self.gap = -float(np.sort(np.linalg.eigvals(self.A[0]).real)[-2])

    def leading(self, rate: float | None = None) -> complex:
        """The eigenvalue of largest real part but the two that keep masses; rate None: no
        averaging.
        """
        (A, C), (B, D), (F, E) = self.A, self.B, self.F
        if rate is None:
            M = np.block([[A, B @ E], [D @ F, C]])
        else:
            N, k, m = len(A), len(F), len(E)
            M = np.block(
                [
                    [A, np.zeros((N, N + k)), B],
                    [np.zeros((N, N)), C, D, np.zeros((N, m))],
                    [rate * F, np.zeros((k, N)), -rate * np.eye(k), np.zeros((k, m))],
                    [np.zeros((m, N)), rate * E, np.zeros((m, k)), -rate * np.eye(m)],
                ]
            )
        found = np.linalg.eigvals(M)
        found = found[np.argsort(np.abs(found))][2:]
        return complex(found[np.argmax(found.real)])

    def threshold(self) -> float:
        """The discount a* below which the Gibbs point is stable, by bisection of log a round
        gap/kappa^2.
        """
        guess = self.gap / self.kappa**2
        low, high = 0.1 * guess, 10 * guess
        for _ in range(14):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self.leading(middle).real < 0 else (low, middle)
        return float(np.sqrt(low * high))


def generator(pairs: Array, jumps: Array) -> Array:
    """The dense generator (N, N) of jumps (2, F) over the pairs (F, 2) of cells."""
    first, second = pairs.T
    A = np.zeros((pairs.max() + 1,) * 2)
    for a, b, rate in ((first, second, jumps[0]), (second, first, jumps[1])):
        np.add.at(A, (b, a), rate)
        np.add.at(A, (a, a), -rate)
    return A
