"""Exact equilibria against computations that share nothing with the double oracle.

For the polynomial games the players matter through E x and E xx' alone, and on the sphere the matrices
[[1, m'], [m, M]], positive semidefinite with trace M = 1, are exactly those moments' convex hull. With
the inner maximum dualised,

    value = min <A0, M> + a0'm + s + t   over [[1, m'], [m, M]] >= 0, trace M = 1,
            [[s, -q'/2], [-q/2, t I - sym A2]] >= 0,    q = A1'm + A3 diag(M) + a1,

one semidefinite program of size d + 1 (cvxpy with Clarabel, an interior-point method of others).
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from tests.grid_programs import grid_value


def paper_matrices(kind, d, seed):
    """The arrays of l_a or l_b drawn as its definition says, without the package."""
    rng = np.random.default_rng(seed)
    A0, A1, A2, A3 = rng.standard_normal((4, d, d))
    a0, a1 = rng.standard_normal((2, d))
    return (A0, A1, A2, A3, a0, a1) if kind == "a" else (A0.T @ A0, A1, A2.T @ A2, 0 * A3, a0, a1)


def semidefinite_value(kind, d, seed):
    """The value by semidefinite programming; the loss is scaled, or the solver fails from d = 30 on."""
    cvxpy = pytest.importorskip("cvxpy", reason="needs the extra `sdp`: pip install meanfield-zerosum[sdp]")
    scale = np.sqrt(d) if kind == "a" else d
    A0, A1, A2, A3, a0, a1 = (A / scale for A in paper_matrices(kind, d, seed))
    Z, s, t = cvxpy.Variable((d + 1, d + 1), symmetric=True), cvxpy.Variable((1, 1)), cvxpy.Variable()
    m, M = Z[1:, 0], Z[1:, 1:]
    q = cvxpy.reshape(A1.T @ m + A3 @ cvxpy.diag(M) + a1, (d, 1), order="C")
    inner = cvxpy.bmat([[s, -q.T / 2], [-q / 2, t * np.eye(d) - (A2 + A2.T) / 2]])
    problem = cvxpy.Problem(
        cvxpy.Minimize(cvxpy.trace((A0 + A0.T) / 2 @ M) + a0 @ m + s[0, 0] + t),
        [Z >> 0, inner >> 0, Z[0, 0] == 1, cvxpy.trace(M) == 1],
    )
    problem.solve(solver="CLARABEL")
    assert problem.status == "optimal"
    return scale * problem.value


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("d", [2, 3, 5, 10, 20, 30])
def test_values_agree_with_semidefinite_programs(kind, d):
    found = mf.nash(mf.games.polynomial(kind, dim=d, seed=1))
    assert found.certified and found.error < 1e-9
    size = np.sqrt(d) if kind == "a" else d
    assert found.value == pytest.approx(semidefinite_value(kind, d, 1), abs=2e-7 * size)


@pytest.mark.parametrize("seed", range(4))
def test_values_on_tori_agree_with_grid_programs_at_second_order(seed):
    """A grid that has h = 2 pi/N between its points misses the value by O(h^2)."""
    rng = np.random.default_rng(seed)
    terms = [((int(k),), (int(q),), *rng.standard_normal(2)) for k, q in rng.integers(-3, 4, (8, 2))]
    game = mf.games.trigonometric(terms)

    def loss(x, y):
        phases = [k[0] * x[:, None] + q[0] * y[None] for k, q, _, _ in terms]
        return sum(re * np.cos(p) - im * np.sin(p) for p, (_, _, re, im) in zip(phases, terms, strict=True))

    found = mf.nash(game)
    assert found.certified and found.error < 1e-8
    bend = sum(np.hypot(re, im) * max(abs(k[0]), abs(q[0])) ** 2 for k, q, re, im in terms)
    for N in (96, 192):
        points = 2 * np.pi * np.arange(N) / N
        assert abs(found.value - grid_value(loss(points, points))) < bend * (np.pi / N) ** 2 / 2


@pytest.mark.parametrize("game, value", [
    (mf.games.wang_chizat(), 0.0),
    (mf.games.uniform_equilibrium(1.5, 2), 0.0),
    (mf.games.uniform_equilibrium(1.0, (1, 2)), 0.0),
    (mf.games.double_well(0.3), 0.0),
    (mf.games.separable([(2, 1.0, 0.5)], [(1, 2.0, 0.0)]), -np.hypot(1, 0.5) + 2.0),
    (mf.games.bilinear(dim=4), 0.0),
    (mf.games.polynomial_from(np.diag([-2.0, 1.0, 3.0]), np.zeros((3, 3)), 0, 0, 0, [0.0, 3.0, 4.0]), 3.0),
])  # fmt: skip
def test_closed_values(game, value):
    found = mf.nash(game)
    assert found.value == pytest.approx(value, abs=1e-10)
    assert found.lower - 1e-10 <= value <= found.upper + 1e-10
    assert found.certified and found.error < 1e-8
