"""Spherical harmonics: values, projections, multiplication, and the drift as a divergence."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from meanfield.density import spherical
from meanfield.manifolds import Sphere
from meanfield.meshes import harmonics

S2 = Sphere(2)


def random_points(n, seed=0):
    return S2.sample(n, np.random.default_rng(seed))


def test_harmonics_are_orthonormal_and_quadrature_exact():
    points, weights = harmonics.quadrature(17)
    Y = harmonics.values(points, 16)
    np.testing.assert_allclose((weights[:, None] * Y).T @ Y, np.eye(17**2), atol=1e-13)


@pytest.mark.parametrize("L", [3, 60, 150])
def test_addition_theorem(L):
    """sum_m Y_lm(x) Y_lm(y) = (2l + 1)/(4 pi) P_l(x.y), at the poles as elsewhere."""
    x = np.concatenate(
        [[[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, 1e-9, (1 - 1e-18) ** 0.5]], random_points(6)]
    )
    product = harmonics.values(x, L)[:, None, :] * harmonics.values(x, L)[None, :, :]
    starts = np.arange(L + 1) ** 2
    found = np.add.reduceat(product, starts, axis=2)
    l = np.arange(L + 1)
    np.testing.assert_allclose(
        found, (2 * l + 1) / (4 * np.pi) * eval_legendre(l, (x @ x.T)[..., None]), atol=2e-12 * L
    )


def test_first_harmonics_are_the_coordinates():
    x = random_points(5)
    Y = harmonics.values(x, 2)
    np.testing.assert_allclose(Y[:, 1:4], (3 / (4 * np.pi)) ** 0.5 * x[:, [1, 2, 0]], atol=1e-15)
    np.testing.assert_allclose(Y[:, 4], (15 / (4 * np.pi)) ** 0.5 * x[:, 0] * x[:, 1], atol=1e-15)
    np.testing.assert_allclose(
        Y[:, 8], (15 / (16 * np.pi)) ** 0.5 * (x[:, 0] ** 2 - x[:, 1] ** 2), atol=1e-15
    )


@pytest.mark.parametrize("L", [2, 9])
def test_multiplication_is_pointwise(L):
    rng, x = np.random.default_rng(1), random_points(30)
    c = rng.standard_normal((L + 1) ** 2)
    f = harmonics.evaluate(c, x)
    for a, X in enumerate(spherical.coordinates(L)):
        np.testing.assert_allclose(harmonics.evaluate(X @ c, x), x[:, a] * f, atol=1e-12)
    low = np.where(np.arange(len(c)) < (L - 1) ** 2, c, 0.0)  # of degree L - 2: nothing is cut
    for k, M in enumerate(spherical.multiplications(L)):
        product = harmonics.values(x, 2)[:, k + 1] * harmonics.evaluate(low, x)
        np.testing.assert_allclose(harmonics.evaluate(M @ low, x), product, atol=1e-12)


def test_projection_returns_what_was_evaluated():
    c = np.random.default_rng(2).standard_normal(13**2)
    points, weights = harmonics.quadrature(20)
    f = harmonics.evaluate(c, points)
    np.testing.assert_allclose(harmonics.of_values(f, 12), c, atol=1e-12)
    np.testing.assert_allclose(harmonics.of_atoms(points, weights * f, 12), c, atol=1e-12)


@pytest.mark.parametrize(("L", "n"), [(0, 1), (1, 3), (12, 13), (12, 20)])
def test_values_on_a_quadrature_are_those_evaluated_there(L, n):
    c = np.random.default_rng(4).standard_normal((L + 1) ** 2)
    f = harmonics.on_quadrature(c, n)
    np.testing.assert_allclose(f, harmonics.evaluate(c, harmonics.quadrature(n)[0]), atol=1e-12)
    np.testing.assert_allclose(harmonics.of_values(f, L), c, atol=1e-12)


def test_many_points_are_taken_in_rows(monkeypatch):
    x, c, w = random_points(11), np.arange(16.0), np.arange(11.0)
    Y = harmonics.values(x, 3)
    monkeypatch.setattr(harmonics, "ROWS", 4)
    for found, wanted in (
        (harmonics.values(x, 3), Y), (harmonics.evaluate(c, x), Y @ c),
        (harmonics.of_atoms(x, w, 3), w @ Y),
    ):  # fmt: skip
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    assert harmonics.degrees(3).tolist() == [0] + [1] * 3 + [2] * 5 + [3] * 7


@pytest.mark.parametrize("L", [4, 11])
def test_drift_is_the_divergence(L):
    """<f, div(mu grad Y_k)> = -int mu grad f . grad Y_k, gradients by differences of evaluated
    functions.
    """
    drift, rng = spherical.drifts(L), np.random.default_rng(3)
    mu, f = rng.standard_normal((2, (L + 1) ** 2))
    points, weights = harmonics.quadrature(L + 3)
    frame, h = S2.basis(points), 1e-4

    def gradient(c):
        ahead, behind = (
            np.stack(
                [harmonics.evaluate(c, S2.retract(points, s * h * frame[:, a])) for a in (0, 1)], 1
            )
            for s in (1, -1)
        )
        return (ahead - behind) / (2 * h)

    for k in range(8):
        out = np.zeros(len(mu))
        for kind, row, column, at, length in drift.runs:
            if kind == k:
                turned = mu[drift.order]
                out[row : row + length] += (
                    drift.values[at : at + length] * turned[column : column + length]
                )
        weak = -np.sum(gradient(f) * gradient(np.eye(9)[k + 1]), 1) * harmonics.evaluate(mu, points)
        assert abs(f[drift.order] @ out - weights @ weak) < 1e-5 * L**2
        assert abs(out[0]) < 1e-15  # no mass is made


def test_coefficients_stand_by_order_and_then_by_degree():
    """Cosines first, so that a multiplication shifts whole blocks."""
    numbers = [(m < 0, abs(m), l, l * l + l + m) for l in range(8) for m in range(-l, l + 1)]
    assert spherical.drifts(7).order.tolist() == [number for *_, number in sorted(numbers)]
