"""Bands, intervals of suprema and exponents: what they are, and how often they hold the truth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from meanfield.studies.controls import controls_of, state_bytes, too_long
from meanfield.studies.statistics import adjusted, band, exponent, sup_of_means


def test_means_with_controls_are_regressions_with_robust_errors():
    """The intercept of least squares, and HC3's error of it by matrices."""
    rng = np.random.default_rng(5)
    samples, controls = rng.exponential(size=(2, 20, 3))
    samples, centred = samples + 2 * controls, controls - 1
    found = adjusted(samples, centred)
    for k in range(3):
        X = np.stack([np.ones(20), centred[:, k]], 1)
        inverse = np.linalg.inv(X.T @ X)
        slopes = inverse @ X.T @ samples[:, k]
        scaled = (samples[:, k] - X @ slopes) / (1 - np.sum(X @ inverse * X, axis=1))
        error = np.sqrt((inverse @ (X.T * scaled**2) @ X @ inverse)[0, 0])
        assert found.mean[k] == pytest.approx(slopes[0], rel=1e-12)
        assert found.error[k] == pytest.approx(error, rel=1e-12)


def test_bands_are_students_for_samples_without_skewness():
    half = np.random.default_rng(0).normal(0.0, 2.0, (6, 2))
    samples = 3 + np.concatenate([half, -half])
    mean, low, high = band(samples)
    for k in range(2):
        exact = stats.ttest_1samp(samples[:, k], 0.0).confidence_interval(0.95)
        assert (low[k], high[k]) == pytest.approx((exact.low, exact.high), rel=1e-6)
        assert mean[k] == pytest.approx(samples[:, k].mean(), rel=1e-14)


def test_the_ends_of_bands_are_students_quantiles_of_halls_transformation():
    samples = np.random.default_rng(1).exponential(size=(9, 4))
    mean, low, high = band(samples)
    s = np.minimum(stats.skew(samples, bias=False) / 3.0, 0.3)  # over the root of 9
    for end, sign in ((low, 1), (high, -1)):
        x = (mean - end) / stats.sem(samples)
        transformed = x + s * x**2 / 3 + s**2 * x**3 / 27 + s / 6
        assert transformed == pytest.approx(sign * stats.t.ppf(0.975, 8), rel=1e-12)


def test_a_control_takes_one_more_degree_of_freedom():
    """For fewer than 8 replicas bands are Student's own, of n - 2 where a slope is fitted, too."""
    rng = np.random.default_rng(8)
    samples, controls = rng.exponential(size=(2, 5, 3))
    for given, freedom in ((None, 4), (controls - 1, 3)):
        mean, low, high = band(samples, 0.9, given)
        reach = stats.t.ppf(0.95, freedom) * adjusted(samples, given).error
        assert mean - low == pytest.approx(reach, rel=1e-5)
        assert high - mean == pytest.approx(reach, rel=1e-5)


@pytest.mark.parametrize("replicas", [1, 2])
def test_too_few_replicas_say_nothing(replicas):
    """One alone, and two of which a control takes one degree of freedom."""
    samples = np.array([[1.0, 3.0], [2.0, 5.0]])[:replicas]
    control = samples - 1 if replicas == 2 else None
    mean, low, high = band(samples, controls=control)
    assert mean.shape == (2,) and np.isfinite(mean).all()
    assert (low == -np.inf).all() and (high == np.inf).all()
    top = sup_of_means(samples, controls=control)
    assert (top.value, top.low, top.high) == (mean.max(), -np.inf, np.inf)
    slope = exponent((10, 100), [samples, samples / 10], controls=[control, control])
    assert (slope.low, slope.high) == (-np.inf, np.inf)
    if replicas == 1:
        assert slope.value == pytest.approx(-1)


def test_suprema_are_less_biased_than_the_largest_mean():
    """By half where the means are flat, and by more where they have a peak."""
    rng, times = np.random.default_rng(2), np.arange(12) / 11
    for peak, share in ((0.0, 0.6), (4.0, 0.45)):
        off, plain = [], []
        for trial in range(200):
            samples = 5 + rng.standard_normal((16, 12)) - peak * (times - 5 / 11) ** 2
            off.append(sup_of_means(samples, seed=trial).value - 5)
            plain.append(samples.mean(axis=0).max() - 5)
        assert abs(np.mean(off)) < share * np.mean(plain)


def test_one_time_has_students_interval_of_the_logarithm():
    samples = np.random.default_rng(4).exponential(size=(12, 1))
    found, mean = sup_of_means(samples), samples.mean()
    reach = stats.t.ppf(0.975, 11) * stats.sem(samples[:, 0]) / mean
    assert found.value == pytest.approx(mean, rel=1e-14)
    assert found.high == pytest.approx(mean * np.exp(reach), rel=1e-12)
    assert found.low == pytest.approx(mean * np.exp(-reach), rel=0.05)  # a quantile of draws


def test_intervals_of_suprema_scale_with_the_samples_and_are_linear_around_what_is_not_positive():
    samples = np.random.default_rng(4).exponential(size=(12, 3))
    whole, small = sup_of_means(samples), sup_of_means(1e-3 * samples)
    for end in ("value", "low", "high"):
        assert getattr(small, end) == pytest.approx(1e-3 * getattr(whole, end), rel=1e-12)
    below = samples[:, :1] - 3
    found, error = sup_of_means(below), stats.sem(below[:, 0])
    assert found.value == pytest.approx(below.mean(), rel=1e-14)
    assert found.high == pytest.approx(below.mean() + stats.t.ppf(0.975, 11) * error, rel=1e-12)
    assert found.low == pytest.approx(below.mean() - stats.t.ppf(0.975, 11) * error, rel=0.05)


def test_exponents_are_weighted_fits_to_suprema():
    """Slope and interval by numpy's fit, which is linear in the logarithms."""
    rng, sizes = np.random.default_rng(6), (10, 100, 1000, 5000)
    samples = [rng.exponential(1 / n, (8 + k, 3)) for k, n in enumerate(sizes)]
    found = exponent(sizes, samples, seed=4)
    sups = [sup_of_means(s, seed=4 + k) for k, s in enumerate(samples)]
    value, low, high = np.log([[s.value, s.low, s.high] for s in sups]).T

    def slope(logs):
        return np.polyfit(np.log(sizes), logs, 1, w=1 / (high - low))[0]

    rising = np.array([slope(e) for e in np.eye(4)]) > 0
    ends = [np.where(rising, low, high), np.where(rising, high, low)]
    reach = [np.linalg.norm([slope(e * (end - value)) for e in np.eye(4)]) for end in ends]
    assert found.value == pytest.approx(slope(value), rel=1e-12)
    assert found.value - found.low == pytest.approx(reach[0], rel=1e-12)
    assert found.high - found.value == pytest.approx(reach[1], rel=1e-12)


def test_intervals_cover_as_often_as_they_say():
    """95% intervals on skewed samples: 150 trials miss a few times, and neither never nor often."""
    rng = np.random.default_rng(3)
    sizes = (100, 1000, 10_000)
    hits = np.zeros(3)
    for trial in range(150):
        samples = [rng.exponential(1 / n, (30, 1)) for n in sizes]
        controls = (
            None
            if trial % 2
            else [
                s - 1 / n + rng.normal(0, 0.3 / n, s.shape)
                for n, s in zip(sizes, samples, strict=True)
            ]
        )
        first = None if controls is None else controls[0]
        slope = exponent(sizes, samples, seed=trial, controls=controls)
        top = sup_of_means(samples[0], seed=trial, controls=first)
        hits += (
            slope.low <= -1 <= slope.high,
            top.low <= 0.01 <= top.high,
            slope.low <= -0.8 <= slope.high,
        )
    assert 0.85 * 150 < hits[0] < 150
    assert 0.85 * 150 < hits[1] < 150
    assert hits[2] < 0.5 * 150  # a wrong exponent is told apart


def energies(replicas, exact, off=0.0, spread=0.1):
    """Energies (R, 3) whose mean at the second time is `off` of its errors above the exact one."""
    rng = np.random.default_rng(replicas)
    z = rng.standard_normal((replicas, 3))
    z = (z - z.mean(axis=0)) / z.std(axis=0, ddof=1)
    shift = np.array([0.0, off, 0.0]) / np.sqrt(replicas)
    return exact * (1 + spread * (z + shift))


@pytest.mark.parametrize(
    ("replicas", "off", "used"),
    [
        (20, 3.99, True), (20, 4.01, False), (99, -9.0, True), (100, -3.99, True),
        (100, -4.5, False), (8, 4.01, False), (8, 3.99, True), (7, 9.0, True),
    ],
)  # fmt: skip
def test_copies_energies_may_be_four_errors_off(replicas, off, used):
    """Above; below for a hundred replicas or more. Fewer than 8 are no control, whatever they say.

    Below the exact mean the error grows by the exact mean over the one found.
    """
    exact = np.array([1.0, 2.0, 4.0])
    first, last = energies(30, exact), energies(replicas, exact, off)
    samples = {"w2_squared": [0, 0], "energies": [first, last], "energy_means": [exact, exact]}
    found, said = controls_of(samples)
    if not used:
        assert found == [None, None] and "energies are off their means" in said
        return
    np.testing.assert_array_equal(found[0], first - exact)
    if replicas < 8:
        assert found[1] is None
    else:
        np.testing.assert_array_equal(found[1], last - exact)
    assert said == "energies of copies"


def test_low_energies_are_judged_by_the_spread_of_a_right_mean():
    """Errors are wider by the exact mean over the one found, which is 4.3 of them below."""
    exact = np.array([1.0, 2.0, 4.0])
    for spread, used in ((0.1, False), (0.3, True)):
        rows = energies(100, exact, -4.3, spread)
        assert (4 / (1 - 0.43 * spread) > 4.3) == used
        samples = {"w2_squared": [0], "energies": [rows], "energy_means": [exact]}
        assert (controls_of(samples)[0][0] is not None) == used


def test_states_are_kept_up_to_a_quarter_of_a_gigabyte(monkeypatch):
    """Densities share their nodes; atoms have coordinates and a mass of their own, 8 bytes each."""
    circle, sphere = mf.Torus(1), mf.Sphere(2)
    law = mf.mesh(circle, 100)
    cloud = mf.Measure(sphere.sample(7, np.random.default_rng(0)), None, sphere)
    density = mf.Density(np.full(100, 0.01), law)
    assert state_bytes(density, cloud) == 8 * (100 + 7 * 4)
    moving = SimpleNamespace(measures=lambda: (density, cloud))
    monkeypatch.setattr("meanfield.density.solve.build", lambda *_, **__: moving)
    most = 256e6 / (8 * 128)
    assert not too_long(None, None, None, 0.999 * most, 1.0, {})
    assert "of 256 MB: more than are kept" in too_long(None, None, None, 1.0005 * most, 1.0, {})
    assert "states: more" in too_long(None, None, None, 1.01e6, 1.0, {})
    monkeypatch.setattr("meanfield.studies.controls.KEPT", 1e10)
    assert not too_long(None, None, None, 2e6, 2.0, {})
