"""Energies of low modes against shells of the uniform law, exact transport, and means over
independent points.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics import mode_energy, w2_squared
from meanfield.metrics.mode_energy import EMPTY, HIGHEST, ModeEnergy
from validation.sobolev import shell_energies, shell_means

SURFACES = [mf.Torus(2, 1.5), mf.Sphere(2)]
CIRCLE = mf.Torus(1)


def tilted(manifold, sharp=1.0):
    """A density that is not uniform."""
    onto = mf.mesh(manifold)
    values = (
        np.exp(sharp * np.cos(onto.nodes[:, 0]) + 0.5 * np.sin(2 * onto.nodes[:, -1]))
        * onto.volumes
    )
    return mf.Density(values / values.sum(), onto)


@pytest.mark.parametrize("manifold", SURFACES, ids=str)
def test_energies_against_the_uniform_law_are_its_shells(manifold):
    gauge = ModeEnergy(mf.uniform(manifold))
    count = HIGHEST[2]
    drawn = mf.Measure(manifold.sample(50, np.random.default_rng(0)), None, manifold)
    assert gauge(drawn) * (1 + EMPTY) == pytest.approx(
        shell_energies(drawn, modes=count).sum(), rel=1e-3
    )
    assert gauge.mean * (1 + EMPTY) == pytest.approx(shell_means(manifold, count).sum(), rel=1e-5)


def test_on_the_circle_energies_are_w2_but_for_high_modes():
    """W2^2 from the uniform law is the whole H^-1 norm: modes above 8 hold 6 / pi^2 sum_{k > 8}
    1/k^2 of its mean.
    """
    gauge, even = ModeEnergy(mf.uniform(CIRCLE)), mf.uniform(CIRCLE)
    rest = 1 - 6 / np.pi**2 * sum(1 / k**2 for k in range(1, HIGHEST[1] + 1))
    assert gauge.mean * (1 + EMPTY) == pytest.approx(CIRCLE.period**2 / 12 * (1 - rest), rel=1e-6)
    rng, n = np.random.default_rng(1), 400
    drawn = [mf.Measure(CIRCLE.sample(n, rng), None, CIRCLE) for _ in range(40)]
    pairs = np.array([[w2_squared(mu, even), gauge(mu)] for mu in drawn])
    assert np.corrcoef(pairs.T)[0, 1] > 0.999
    assert (pairs[:, 0] > pairs[:, 1]).all()


@pytest.mark.parametrize("manifold", [CIRCLE, *SURFACES], ids=str)
def test_the_mean_is_that_of_independent_points(manifold):
    mu, rng, n, R = tilted(manifold), np.random.default_rng(2), 20, 1500
    atoms = mf.Measure(mu.points, mu.masses, manifold)
    gauge = ModeEnergy(mu)
    found = n * np.array([gauge(mf.Measure(atoms.draw(n, rng), None, manifold)) for _ in range(R)])
    assert abs(found.mean() - gauge.mean) < 4 * found.std() / np.sqrt(R)
    assert found.std() / np.sqrt(R) < 0.03 * gauge.mean


def test_weighted_samples_have_the_mean_of_their_maps():
    """Points from one law with weights that make them samples of another."""
    law, target, n, R = mf.uniform(CIRCLE), tilted(CIRCLE, 3.0), 30, 1500
    gauge, rng = ModeEnergy(target, law.masses), np.random.default_rng(3)
    ratio, found = target.masses / law.masses, []
    for _ in range(R):
        chosen = rng.integers(len(law), size=n)
        w = ratio[chosen] / n
        found.append(n * gauge(mf.Measure(law.points[chosen], w / w.sum(), CIRCLE), w.sum()))
    assert abs(np.mean(found) - gauge.mean) < 4 * np.std(found) / np.sqrt(R)
    assert abs(np.mean(found) - ModeEnergy(target).mean) > 4 * np.std(found) / np.sqrt(R)


@pytest.mark.parametrize("manifold", [CIRCLE, *SURFACES], ids=str)
def test_energies_are_the_quadratic_form_of_their_definition(manifold):
    """d' (A + r D)^-1 d with d the difference of means, A = int grad phi grad phi' dmu, D the same
    for the uniform law; by sums over a sample, masses that sum to anything, and labels.
    """
    rng = np.random.default_rng(4)
    m, x = rng.random(7), manifold.sample(7, rng)
    mu, labels = mf.Measure(x, m / m.sum(), manifold), rng.random(7)
    even, h = mf.uniform(manifold), 1e-5
    modes = mode_energy._modes

    def form(points, masses):
        A = 0.0
        for e in manifold.basis(points).swapaxes(0, 1):
            ends = [modes(manifold, manifold.retract(points, s * h * e)) for s in (1, -1)]
            slope = (ends[0] - ends[1]) / (2 * h)
            A = A + (masses[:, None] * slope).T @ slope
        return A

    inverse = np.linalg.inv(form(x, mu.masses) + EMPTY * form(even.points, even.masses))
    means = mu.masses @ modes(manifold, x)
    w, y = rng.random(5), manifold.sample(5, rng)
    sample = mf.Measure(y, w / w.sum(), manifold)
    for mass in (1.0, 0.8):
        d = mass * (sample.masses @ modes(manifold, y) - means)
        assert ModeEnergy(mu)(sample, mass) == pytest.approx(d @ inverse @ d, rel=2e-4)
    off = modes(manifold, x) - means
    each = np.einsum("ni,ij,nj->n", off, inverse, off)
    assert ModeEnergy(mu).mean == pytest.approx(mu.masses @ each, rel=2e-4)
    weights = mu.masses**2 / (labels / labels.sum())
    assert ModeEnergy(mu, labels).mean == pytest.approx(weights @ each, rel=2e-4)
    count = {1: 8, 2: 80 if isinstance(manifold, mf.Torus) else 35}[manifold.dim]
    assert len(means) == (2 * count if manifold.dim == 1 else count)


def test_energies_are_refused_elsewhere():
    with pytest.raises(ValueError, match="circle"):
        ModeEnergy(mf.uniform(mf.Torus(3)))


@pytest.mark.parametrize("M", [mf.Torus(1), mf.Torus(2, period=0.7)], ids=str)
def test_modes_by_powers_are_cosines_and_sines(M):
    points = M.sample(50, np.random.default_rng(0))
    waves = mode_energy._waves(M)
    assert waves.size == {1: 16, 2: 80}[M.d]
    np.testing.assert_allclose(
        mode_energy._by_powers(waves, points), waves.values(points), atol=2e-14
    )
