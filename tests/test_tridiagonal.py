"""Trust regions, part by part: the least eigenvalue, factors of T, reflections and the multiplier,
against dense linear algebra.
"""

from __future__ import annotations

import numpy as np
import pytest

from meanfield import trust_region
from meanfield.trust_region import Tridiagonal, tridiagonal
from tests.plain import plainly


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, trust_region)


def problem(d, seed):
    rng = np.random.default_rng(seed)
    Q = rng.normal(size=(d, d))
    return Q + Q.T, rng.normal(size=d)


def dense(T):
    return np.diag(T.diagonal) + np.diag(T.off, 1) + np.diag(T.off, -1)


def looked_at(monkeypatch, name):
    seen, real = [], getattr(trust_region, name)
    monkeypatch.setattr(trust_region, name, lambda *a: seen.append(a) or real(*a))
    return seen


@pytest.mark.parametrize("d", [2, 3, 9, 40])
def test_the_least_eigenvalue_is_found_from_below(d):
    Q, _ = problem(d, d)
    T = tridiagonal(Q)
    w, U = np.linalg.eigh(dense(T))
    np.testing.assert_allclose(w, np.linalg.eigvalsh(Q), atol=1e-13 * d)
    radius = np.abs(np.append(0, T.off)) + np.abs(np.append(T.off, 0))
    low, high = (T.diagonal - radius).min(), (T.diagonal + radius).max()
    size = max(abs(low), abs(high))
    # By a margin, so that pivots stay positive however they round.
    assert -30 * 2.0**-52 * size < T.lowest - w[0] < (-4 if d < 10 else 1) * 2.0**-52 * size
    assert T.spread == pytest.approx(high - T.lowest, rel=1e-14) and T.spread >= w[-1] - w[0]
    assert abs(T.vector @ U[:, 0]) == pytest.approx(1, abs=1e-12)
    assert T.vector @ T.vector == pytest.approx(1, abs=1e-15)


def test_sections_stop_at_rounding(monkeypatch):
    """Ninths of the bracket until half a unit: 17 sections; three steps of inverse iteration."""
    sections = looked_at(monkeypatch, "solved")
    T = tridiagonal(problem(6, 1)[0])
    assert len(sections) == 3
    pivots = trust_region.factors(T.diagonal, T.off, -T.lowest)
    assert (pivots > 0).all()


def test_factors_solve_shifted_systems():
    Q, c = problem(8, 2)
    T = tridiagonal(Q)
    for shift in (0.3 - T.lowest, 50.0):
        inverse = trust_region.factors(T.diagonal, T.off, shift)
        A = dense(T) + shift * np.eye(8)
        np.testing.assert_allclose(trust_region.solved(inverse, T.off, c), np.linalg.solve(A, c))
        pivots = [np.linalg.det(A[: k + 1, : k + 1]) for k in range(8)]
        np.testing.assert_allclose(1 / inverse, np.divide(pivots, [1, *pivots[:-1]]), rtol=1e-9)
        right = c - (T.vector @ c) * T.vector
        z = trust_region.inner(T, inverse, right)
        np.testing.assert_allclose(A @ z, right, atol=1e-10)
        assert abs(T.vector @ z) < 1e-14
    zero = trust_region.factors(np.zeros(3), np.zeros(2), 0.0)
    np.testing.assert_allclose(zero, 1e290, rtol=1e-14)


def test_reflections_carry_vectors_to_the_tridiagonal_frame_and_back():
    Q, c = problem(7, 3)
    T = tridiagonal(Q)
    P = np.stack([trust_region.reflected(T, e, True) for e in np.eye(7)], 1)
    np.testing.assert_allclose(P @ dense(T) @ P.T, Q, atol=1e-13)
    np.testing.assert_allclose(trust_region.reflected(T, c, False), P.T @ c, atol=1e-13)
    double = T.scaled(2.5)
    assert double.lowest == 2.5 * T.lowest and double.spread == 2.5 * T.spread
    np.testing.assert_allclose(dense(double), 2.5 * dense(T), rtol=1e-15)
    assert trust_region.quadratic(Q, c, c) == pytest.approx(c @ Q @ c + c @ c, rel=1e-13)


@pytest.mark.parametrize("d", [2, 5, 30])
def test_the_multiplier_makes_the_minimiser_a_unit_vector_in_few_steps(d, monkeypatch):
    """|z|^2 + (a/sigma)^2 = 1 with z = (T - lowest + sigma)^-1 g orthogonal to the eigenvector."""
    seen = looked_at(monkeypatch, "factors")
    for seed in range(8):
        Q, c = problem(d, seed)
        T = tridiagonal(Q)
        for scale in (1e-4, 1.0, 1e4):
            h = scale * trust_region.reflected(T, c, False)
            a = 0.5 * (T.vector @ h)
            g = -0.5 * h + a * T.vector
            seen.clear()
            sigma, z = trust_region.multiplier(T, g, a)
            assert len(seen) <= 7
            exact = np.linalg.solve(dense(T) + (sigma - T.lowest) * np.eye(d), g)
            exact -= (T.vector @ exact) * T.vector
            np.testing.assert_allclose(z, exact, rtol=1e-7, atol=1e-9)
            assert z @ z + (a / sigma) ** 2 == pytest.approx(1, abs=1e-9)


def test_hard_cases_have_the_multiplier_zero_or_one_that_is_tiny():
    T = tridiagonal(np.diag([-1.0, 2.0, 3.0]))
    g = np.array([0.0, 1.5, 1.0])
    sigma, z = trust_region.multiplier(T, g, 0.0)  # |z| = |(1.5/3, 1/4)| < 1
    assert sigma == 0
    np.testing.assert_allclose(z, [0, 0.5, 0.25], rtol=1e-12, atol=1e-12)
    sigma, z = trust_region.multiplier(T, 3 * g, 0.0)
    assert sigma > 0 and z @ z == pytest.approx(1, abs=1e-12)
    x, value, bound, twin, other = trust_region.least(
        np.diag([-1.0, 2.0, 3.0]), np.array([0.0, -3.0, -2.0]), T
    )
    rest = np.sqrt(1 - 0.25 - 1 / 16)
    np.testing.assert_allclose(np.abs(x), [rest, 0.5, 0.25], rtol=1e-12)
    np.testing.assert_allclose(twin, x * [-1, 1, 1], rtol=1e-12)
    exact = -(rest**2) + 2 * 0.25 + 3 / 16 - 1.5 - 0.5
    assert value == pytest.approx(exact, rel=1e-14) and other == pytest.approx(exact, rel=1e-14)
    assert exact - 1e-13 < bound <= value


def test_the_start_of_newtons_iteration_lies_on_its_left(monkeypatch):
    """max(|a|, |g| - spread): where one of them is the multiplier itself it is found at once."""
    seen = looked_at(monkeypatch, "factors")
    none = np.zeros(1)
    T = Tridiagonal(np.array([1.0, 1.0]), np.zeros(1), np.zeros((2, 2)), none, 1.0, 0.0,
                    np.array([1.0, 0.0]))  # fmt: skip
    for g, a, wanted, looks in (
        ([0.0, 0.0], -0.7, 0.7, 1), ([0.0, 3.0], 0.0, 3.0, 1), ([0.0, 4.0], 3.0, 5.0, 2)
    ):  # fmt: skip
        seen.clear()
        sigma, _ = trust_region.multiplier(T, np.array(g), a)
        assert sigma == pytest.approx(wanted, rel=1e-12)
        assert len(seen) == looks


def test_units_survive_overflow():
    np.testing.assert_allclose(trust_region.unit(np.array([3e200, -4e200])), [0.6, -0.8])
    assert trust_region.plus(2.0, np.array([1.0]), -3.0, np.array([5.0])).tolist() == [-13.0]
