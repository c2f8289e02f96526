"""Mode energies, control variates and sliced W2 against sums over pairs, closed forms and exact
transport.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_legendre

import meanfield as mf
from meanfield.metrics import w2_squared
from meanfield.metrics.sliced import sliced_w2_squared
from validation.sobolev import (
    bands,
    controlled_mean,
    negative_sobolev,
    shell_energies,
    shell_means,
)

T2, S2 = mf.Torus(2, 1.5), mf.Sphere(2)


def weighted(manifold, n, rng):
    m = rng.exponential(size=n)
    return mf.Measure(manifold.sample(n, rng), m / m.sum(), manifold)


def test_sphere_shells_against_the_addition_theorem():
    """sum_m |mu_lm|^2 = (2 l + 1)/(4 pi) sum_ij w_i w_j P_l(x_i . x_j), also signed."""
    rng = np.random.default_rng(0)
    a, b = weighted(S2, 20, rng), weighted(S2, 15, rng)
    points, w = np.concatenate([a.points, b.points]), np.concatenate([a.masses, -b.masses])
    for one, other, x, v in ((a, None, a.points, a.masses), (a, b, points, w)):
        found = shell_energies(one, other, modes=12)
        for l in range(1, 13):
            sums = v @ eval_legendre(l, np.clip(x @ x.T, -1, 1)) @ v
            assert found[l - 1] == pytest.approx((2 * l + 1) * sums / (l * (l + 1)), rel=1e-11)


def test_torus_shells_against_sums():
    mu = weighted(T2, 9, np.random.default_rng(1))
    found = np.zeros(5)
    for k in np.ndindex(11, 11):
        k = np.array(k) - 5
        size = np.sqrt(k @ k)
        if 0 < size <= 5:
            c = mu.masses @ np.exp(-2j * np.pi * mu.points @ k / 1.5)
            found[int(np.ceil(size)) - 1] += abs(c) ** 2 * (1.5 / (2 * np.pi * size)) ** 2
    np.testing.assert_allclose(shell_energies(mu, modes=5), found, rtol=1e-12)


@pytest.mark.parametrize("manifold", [T2, S2], ids=str)
def test_means_are_those_of_one_uniform_point(manifold):
    """The energies of one point do not depend on where it is: their mean is their value."""
    point = mf.Measure(manifold.sample(1, np.random.default_rng(2)), None, manifold)
    np.testing.assert_allclose(
        shell_energies(point, modes=10), shell_means(manifold, 10), rtol=1e-12
    )


def test_the_norm_is_w2_near_the_uniform_law():
    """On T^2 a density 1 + e cos moves mass along one axis: W2^2 is the circle's, and the norm's to
    order e.
    """
    circle, M = mf.Torus(1, 1.0), 256
    for e in (0.2, 0.1):
        t = np.arange(M) / M
        wave = mf.Density((1 + e * np.cos(2 * np.pi * t)) / M, mf.mesh(circle, M))
        exact = w2_squared(wave, mf.uniform(circle))
        flat = mf.mesh(mf.Torus(2, 1.0), (M, 4))
        spread = mf.Density((1 + e * np.cos(2 * np.pi * flat.nodes[:, 0])) / len(flat), flat)
        assert negative_sobolev(spread, modes=1) ** 2 == pytest.approx(exact, rel=e**2)


@pytest.mark.parametrize("manifold", [T2, S2], ids=str)
def test_controls_cut_the_variance_and_keep_the_mean(manifold):
    rng, n, R, modes = np.random.default_rng(3), 100, 60, 10
    even = mf.uniform(manifold)
    drawn = [mf.Measure(manifold.sample(n, rng), None, manifold) for _ in range(R)]
    values = np.array([n * w2_squared(mu, even) for mu in drawn])
    controls = np.array([n * bands(shell_energies(mu, modes=modes)) for mu in drawn])
    mean, low, high = controlled_mean(values, controls, bands(shell_means(manifold, modes)))
    plain = values.std(ddof=1) / np.sqrt(R)
    assert high - low < plain
    assert abs(mean - values.mean()) < 4 * plain


def test_controlled_mean_of_a_line_is_exact():
    rng = np.random.default_rng(4)
    controls = rng.standard_normal((30, 2))
    mean, low, high = controlled_mean(5 + controls @ [2.0, -1.0], controls, [0.5, 0.25])
    assert mean == pytest.approx(5 + 1 - 0.25, rel=1e-12)
    assert high - low < 1e-12
    with pytest.raises(ValueError, match="too few"):
        controlled_mean([1.0, 2.0, 3.0], controls[:3], [0.0, 0.0])


@pytest.mark.parametrize("manifold", [T2, S2], ids=str)
def test_sliced_distances_are_lower_bounds(manifold):
    rng = np.random.default_rng(5)
    a, b = weighted(manifold, 30, rng), weighted(manifold, 20, rng)
    assert 0 < sliced_w2_squared(a, b) < w2_squared(a, b)
    assert sliced_w2_squared(a, a) == pytest.approx(0, abs=1e-30)
    one, two = (mf.Measure(manifold.sample(1, rng), None, manifold) for _ in range(2))
    if manifold is S2:  # the mean of (u . v)^2 over axes is |v|^2 / 3
        chord = np.sum((one.points - two.points) ** 2)
        assert sliced_w2_squared(one, two, slices=4000) == pytest.approx(chord / 3, rel=0.05)


def test_slices_of_tori_are_along_the_shortest_vectors():
    """One atom moved by v: |k.v|^2 / |k|^2 for (0, 1), (1, 0), (1, 1), (1, -1), (1, 2), ..."""
    v, T = np.array([0.03, 0.05]), mf.Torus(2, period=1.0)
    a, b = (mf.Measure([point], None, T) for point in ([0.2, 0.9], [0.23, 0.95]))
    shares = [(k @ v) ** 2 / (k @ k) for k in np.array(
        [(0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (1, -2), (2, 1), (2, -1)])]  # fmt: skip
    for count in (2, 4, 8):
        found = sliced_w2_squared(a, b, slices=count)
        assert found == pytest.approx(np.mean(shares[:count]), rel=1e-12)


def test_slices_of_spheres_are_quantiles_against_quantiles():
    """Masses in twelfths: as many equal atoms, in order, on the axes that the seed draws."""
    rng, p, q = np.random.default_rng(7), np.array([5, 3, 4]), np.array([1, 2, 1, 8])
    a, b = (mf.Measure(S2.sample(len(m), rng), m / 12, S2) for m in (p, q))
    axes, total = S2.sample(3, np.random.default_rng(9)), 0.0
    for axis in axes:
        x, y = (np.sort(np.repeat(mu.points @ axis, m)) for mu, m in ((a, p), (b, q)))
        total += np.mean((x - y) ** 2) / 3
    assert sliced_w2_squared(a, b, slices=3, seed=9) == pytest.approx(total, rel=1e-12)


def test_slices_of_spheres_match_masses_that_end_together():
    """Binary fractions, so that cumulative masses of both sides are the same to the last bit."""
    rng, p, q = np.random.default_rng(8), np.array([4, 2, 2]), np.array([1, 1, 2, 4])
    a, b = (mf.Measure(S2.sample(len(m), rng), m / 8, S2) for m in (p, q))
    axes = S2.sample(2, np.random.default_rng(0))
    pairs = [[np.sort(np.repeat(mu.points @ u, m)) for mu, m in ((a, p), (b, q))] for u in axes]
    total = np.mean([np.mean((x - y) ** 2) for x, y in pairs])
    assert sliced_w2_squared(a, b, slices=2) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("d", [2, 3])
def test_slices_of_tori_are_the_shortest_vectors_without_a_common_divisor(d):
    from itertools import product
    from math import gcd

    from meanfield.metrics.sliced import _primitive

    every = [k for k in product(range(-9, 10), repeat=d) if gcd(*k) == 1 and k > (0,) * d]
    for count in (1, 5, 24, 60):
        found = _primitive(count, d)
        sizes = sorted(sum(v * v for v in k) for k in every)[:count]
        assert (found**2).sum(1).tolist() == sizes
        assert (
            set(map(tuple, found.tolist())) <= set(every) and len(np.unique(found, axis=0)) == count
        )


def test_a_circle_is_its_only_slice():
    rng, T = np.random.default_rng(6), mf.Torus(1, period=3.0)
    a, b = weighted(T, 9, rng), weighted(T, 7, rng)
    assert sliced_w2_squared(a, b) == pytest.approx(w2_squared(a, b), rel=1e-12)


def test_bad_input():
    circle = mf.Measure([[0.1]], None, mf.Torus(1))
    with pytest.raises(ValueError, match="T\\^2 and S\\^2"):
        shell_energies(circle)
    with pytest.raises(ValueError, match="one manifold"):
        shell_energies(
            weighted(T2, 3, np.random.default_rng(6)), weighted(S2, 3, np.random.default_rng(6))
        )
