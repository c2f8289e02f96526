"""The least value of a quadratic on the sphere, against dense grids and its dual certificate."""

import numpy as np
import pytest

from meanfield.trust_region import least, tridiagonal


def minimum(Q, c):
    """The minimiser, its value, a lower bound, the other minimiser and its value."""
    return least(Q, c, tridiagonal(Q))


def random_problem(rng, d, hardness):
    """Q, c with the component of c along the lowest eigenvector scaled by `hardness` (0: the hard
    case).
    """
    Q = rng.standard_normal((d, d))
    Q += Q.T
    c = rng.standard_normal(d) * 10.0 ** rng.uniform(-6, 2)
    low = np.linalg.eigh(Q)[1][:, 0]
    return Q, c - (1 - hardness) * (low @ c) * low


@pytest.mark.parametrize("d", [2, 3, 8, 50, 500])
@pytest.mark.parametrize("hardness", [1.0, 1e-5, 1e-9, 1e-13, 0.0])
def test_primal_and_dual_values_meet(d, hardness):
    rng = np.random.default_rng(d)
    for _ in range(3 if d == 500 else 20):
        Q, c = random_problem(rng, d, hardness)
        x, value, lower, _, _ = minimum(Q, c)
        scale = np.abs(Q).sum(axis=0).max() + np.linalg.norm(c)
        assert abs(np.linalg.norm(x) - 1) < 1e-14
        assert 0 <= value - lower < 2e-14 * scale
        assert value == pytest.approx(x @ Q @ x + c @ x, abs=1e-14 * scale)


def test_no_point_of_a_dense_grid_lies_lower():
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 100_001)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    for _ in range(30):
        Q, c = random_problem(rng, 2, rng.choice([1.0, 1e-8, 0.0]))
        values = np.einsum("ni,ij,nj->n", circle, Q, circle) + circle @ c
        curvature = np.abs(Q).sum() + np.linalg.norm(c)
        assert (
            -1e-13 * curvature
            < values.min() - minimum(Q, c)[1]
            < curvature * (2 * np.pi / 1e5) ** 2
        )


def test_degenerate_lowest_eigenvalue_and_zero_linear_part():
    Q = np.diag([-2.0, -2.0, 1.0])
    assert minimum(Q, np.zeros(3))[1] == pytest.approx(-2.0, abs=1e-15)
    # x = (-sin t, 0, cos t)-like closed form: with c along a lowest eigenvector the minimiser is
    # -c/|c|.
    assert minimum(Q, np.array([0.3, 0.4, 0.0]))[1] == pytest.approx(-2.5, abs=1e-15)


def test_hard_case_gives_both_minimisers():
    Q, c = np.diag([-1.0, 2.0]), np.array([0.0, 1.0])
    x, value, _, twin, other = minimum(Q, c)
    # (2 + 1) x_2 = -1/2, so x_2 = -1/6 and x_1 = +- sqrt(35)/6
    np.testing.assert_allclose(np.abs(x), [np.sqrt(35) / 6, 1 / 6], atol=1e-15)
    np.testing.assert_allclose(twin, x * [-1, 1], atol=1e-15)
    assert other == pytest.approx(value, abs=1e-15)


def _rotated(rng, w):
    U = np.linalg.qr(rng.standard_normal((len(w), len(w))))[0]
    Q = (U * w) @ U.T
    return (Q + Q.T) / 2, U


AWKWARD = {
    "zero": lambda rng, d: np.zeros((d, d)),
    "multiple of one": lambda rng, d: rng.standard_normal() * np.eye(d),
    "diagonal": lambda rng, d: np.diag(rng.standard_normal(d)),
    "rank one": lambda rng, d: np.outer(*[rng.standard_normal(d)] * 2) * rng.choice([-1, 1]),
    "few eigenvalues": lambda rng, d: _rotated(rng, rng.integers(-2, 2, d).astype(float))[0],
    "clustered": lambda rng, d: _rotated(
        rng, rng.standard_normal(d) * 10.0 ** rng.uniform(-14, 0, d)
    )[0],
    "graded": lambda rng, d: (
        _rotated(rng, 10.0 ** -np.arange(d))[0] * np.outer(*[10.0 ** -np.arange(d)] * 2)
    ),
    "Wilkinson": lambda rng, d: (
        np.eye(d, k=1) + np.eye(d, k=-1) - np.diag(np.abs(np.arange(d) - d // 2.0))
    ),
    "huge": lambda rng, d: 1e100 * _rotated(rng, rng.standard_normal(d))[0],
    "tiny": lambda rng, d: 1e-100 * _rotated(rng, rng.standard_normal(d))[0],
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_forms(kind):
    rng = np.random.default_rng(7)
    for _ in range(40):
        d = int(rng.integers(2, 40))
        Q = AWKWARD[kind](rng, d)
        w, U = np.linalg.eigh(Q)
        size = max(np.abs(w).max(), 1e-100)
        c = rng.standard_normal(d) * size * 10.0 ** rng.uniform(-12, 2)
        if rng.random() < 0.5:  # the hard case, up to rounding
            c -= U[:, w < w[0] + 1e-9 * size] @ (U[:, w < w[0] + 1e-9 * size].T @ c)
        x, value, lower, twin, other = minimum(Q, c)
        scale = np.abs(Q).sum(axis=0).max() + np.linalg.norm(c)
        assert 0 <= value - lower <= 1e-14 * scale
        np.testing.assert_allclose([np.linalg.norm(x), np.linalg.norm(twin)], 1, atol=1e-14)
        np.testing.assert_allclose(
            [value, other], [z @ Q @ z + c @ z for z in (x, twin)], rtol=0, atol=1e-14 * scale
        )
        # Stationary on the sphere: the gradient has no tangential part.
        slope = 2 * Q @ x + c
        assert np.linalg.norm(slope - (slope @ x) * x) <= 1e-7 * scale
