"""Spherical harmonics: values, projections, multiplication, and the drift as a divergence."""

import numpy as np
import pytest
from scipy.special import eval_legendre

from meanfield.density import spherical, stages
from meanfield.density.harmonics import Degrees
from meanfield.density.parallels import on_quadrature
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


def test_projection_returns_what_was_evaluated():
    c = np.random.default_rng(2).standard_normal(13**2)
    points, weights = harmonics.quadrature(20)
    f = harmonics.evaluate(c, points)
    np.testing.assert_allclose(harmonics.of_values(f, 12), c, atol=1e-12)
    np.testing.assert_allclose(harmonics.of_atoms(points, weights * f, 12), c, atol=1e-12)


@pytest.mark.parametrize(("L", "n"), [(0, 1), (1, 3), (12, 13), (12, 20)])
def test_values_on_a_quadrature_are_those_evaluated_there(L, n):
    c = np.random.default_rng(4).standard_normal((L + 1) ** 2)
    f = on_quadrature(c[None], n)[0]
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


@pytest.mark.parametrize("L", [2, 7, 11])
def test_drift_is_the_divergence(L, monkeypatch):
    """div(mu grad Y_k) = (Lap(mu Y_k) + mu Lap Y_k - Y_k Lap mu)/2, products taken at points."""
    monkeypatch.setattr(spherical, "separate", lambda: None)
    for name in ("_from", "_diverged", "use"):
        monkeypatch.setattr(spherical, name, getattr(spherical, name).py_func)
    basis, rng = Degrees(L), np.random.default_rng(3)
    rows, l = basis.rows, harmonics.degrees(L)
    points, _ = harmonics.quadrature(L + 3)
    Y, mu = harmonics.values(points, 2), rng.standard_normal(len(l))
    f, curved = harmonics.evaluate(mu, points), harmonics.evaluate(-l * (l + 1) * mu, points)
    work = np.zeros((stages.FLUX + 3, 2, 2 * rows.centre + rows.span))
    z = basis.packed(mu)
    np.testing.assert_array_equal(basis.unpacked(z), mu)
    work[0][:, basis.places] = z.real, z.imag
    spherical.mirror.py_func(work[0], rows.starts, rows.centre)
    work[stages.N1] = rng.standard_normal(work[0].shape)
    c = rng.random((stages.FACTORS, rows.span))
    for k, lam in enumerate([-2.0] * 3 + [-6.0] * 5):
        U = spherical.gradients()[:, k].reshape(2, 6)
        with np.errstate(over="ignore"):  # places in front of a row
            spherical.fluxes.py_func(
                rows.factors, rows.starts, rows.centre, U, work[0], *work[stages.FLUX :]
            )
            for of_a, to in ((False, stages.N5), (True, stages.STAGE_B)):
                spherical.diverge.py_func(
                    rows.factors, rows.starts, rows.centre, *work[stages.FLUX :], of_a, c,
                    work[stages.STATE], work[stages.N1], work[to], work[stages.NEXT],
                )  # fmt: skip
        out = basis.unpacked(work[stages.N5, 0][rows.places] + 1j * work[stages.N5, 1][rows.places])
        both = lam * f * Y[:, k + 1] - Y[:, k + 1] * curved
        product = -l * (l + 1) * harmonics.of_values(f * Y[:, k + 1], L)
        wanted = (product + harmonics.of_values(both, L)) / 2
        np.testing.assert_allclose(out, wanted, atol=1e-13 * L**2)
        assert abs(out[0]) < 1e-15  # no mass is made
        assert not work[stages.N5, 1][rows.places[rows.order == 0]].any()
    # What is handed to `use`.
    u, n1, d = work[stages.STATE][:, basis.places], *work[[stages.N1, stages.N5]][..., rows.places]
    b, end = work[[stages.STAGE_B, stages.NEXT]][..., basis.places]
    E, Q, b1, b2, _ = c[:, rows.places]
    np.testing.assert_allclose(b, E * u + Q * d, rtol=1e-13)
    np.testing.assert_allclose(end, E**2 * u + b1 * n1 + b2 * d, rtol=1e-12, atol=1e-13)


def test_rows_hold_one_degree_each_and_a_place_in_front():
    """Places from 0 to span, m = 0 at a row's start; zeros at the ends are as long as rows."""
    for L in (2, 6, 20):
        rows = spherical.rows(L)
        assert len(set(rows.places)) == (L + 1) * (L + 2) // 2 and rows.places.max() < rows.span
        np.testing.assert_array_equal(rows.places, rows.starts[rows.degree + 1] + rows.order)
        in_front = rows.starts[2:-1] - 1
        assert not set(in_front) & set(rows.places) and rows.starts[0] == 8 - rows.centre
        assert rows.centre - 16 >= L + 2 and (rows.starts[-2:] == rows.span).all()
