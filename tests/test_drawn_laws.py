"""Laws that cannot be sampled are refused, and those at both ends of what can be are right."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.start import law

RNG = np.random.default_rng


@pytest.mark.parametrize("manifold", [mf.Torus(1), mf.Torus(2), mf.Torus(3), mf.Sphere(2)])
@pytest.mark.parametrize("value", [0.0, 1e308])
def test_densities_that_cannot_be_sampled_are_refused(manifold, value):
    found = law(lambda x: np.full(len(x), value), manifold, "start.x")
    with pytest.raises(ValueError, match=r"start\.x .*cannot be sampled"):
        found.draw(10, RNG(0))


def test_a_density_that_vanishes_at_nearly_all_points_is_told():
    at = mf.Sphere(2).sample(1 << 14, RNG(0))[0]  # a point that was looked at
    found = law(lambda x: (x @ at > 1 - 1e-12).astype(float), mf.Sphere(2), "start.x")
    with pytest.raises(ValueError, match="is zero at nearly all points"):
        found.draw(10, RNG(1))


@pytest.mark.parametrize("d", [1, 2, 3, 9])
@pytest.mark.parametrize("std", [1e-14, 1e-9, 9e-5])
def test_narrow_bumps_on_spheres_are_as_wide_as_they_say(d, std):
    """E |x - center|^2 = d std^2; 20,000 points leave sqrt(2 / (20,000 d)) of it open."""
    sphere = mf.Sphere(d)
    center = sphere.sample(1, RNG(3))[0]
    far = law(mf.concentrated(center, std), sphere).draw(20_000, RNG(4)) - center
    assert np.mean(np.sum(far**2, 1)) == pytest.approx(d * std**2, rel=5 / np.sqrt(1e4 * d), abs=0)
    assert np.abs(np.mean(far, 0)).max() < 6 * std / np.sqrt(20_000) + 1e-16


@pytest.mark.parametrize("std", [1e4, 1e8, 1e160])
def test_wide_bumps_on_spheres_are_uniform(std):
    drawn = law(mf.concentrated([0.0, 0.0, 1.0], std), mf.Sphere(2)).draw(20_000, RNG(5))
    assert np.isfinite(drawn).all() and len(np.unique(drawn[:, 2])) == 20_000
    assert np.abs(drawn.mean(0)).max() < 5 / np.sqrt(3 * 20_000)


def test_points_of_densities_are_shared_and_cannot_be_written_to():
    density = mf.uniform(mf.Sphere(2))
    with pytest.raises(ValueError, match="read-only"):
        density.points[:] = 0.0
