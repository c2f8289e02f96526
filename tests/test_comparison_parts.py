"""What a comparison is made of, recomputed: bounds, biases, energies, times of the field."""

from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.studies.comparison import Comparison, _without_mesh
from meanfield.studies.distances import FromParticles, at_times
from meanfield.studies.reference import has_exact_distance, reference_size
from meanfield.studies.statistics import Interval, band
from meanfield.trajectory import Trajectory

CIRCLE = mf.Torus(1)


def test_bounds_without_a_mesh_are_those_of_the_triangle_inequality():
    """U = E W2^2(mu^n, nu^N) above, (U^(1/2) - V^(1/2))^2 below where V is less, else zero."""
    rng = np.random.default_rng(0)
    apart = rng.exponential(0.1, (6, 3, 2))
    far = [rng.exponential(size, (5, 3, 2)) for size in (1.0, 0.02)]
    sliced = [rng.exponential(1.0, (5, 3, 2)) for _ in far]
    found = _without_mesh({"apart": [apart], "w2_squared_to_reference": far, "sliced": sliced}, 0.9)
    V = apart.sum(axis=2).mean(axis=0)
    U = np.array([s.sum(axis=2).mean(axis=0) for s in far])
    least = np.where(U > V, (U**0.5 - V**0.5) ** 2, 0.0)
    assert found["bounds"].shape == (2, 2, 3) and (least[1] == 0).any() and (least[0] > 0).any()
    np.testing.assert_allclose(found["bounds"][:, 0], least, rtol=1e-12)
    np.testing.assert_allclose(found["bounds"][:, 1], U, rtol=1e-12)
    for k, s in enumerate(sliced):
        rows = band(s.sum(axis=2), 0.9)
        for name, row in zip(("sliced", "sliced_low", "sliced_high"), rows, strict=True):
            np.testing.assert_array_equal(found[name][k], row)
    assert _without_mesh({}, 0.9) == {}


def test_a_comparison_tells_its_bias_dimension_and_energies():
    rng = np.random.default_rng(1)
    energies = [rng.exponential(size=(n, 3)) + 1 for n in (5, 9)]
    means = [np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 5.0])]
    made = SimpleNamespace(
        samples={"energies": energies, "energy_means": means}, provenance={"confidence": 0.8},
        step_bias=Interval(-0.2, -0.3, 0.1),
        sup=[Interval(9.0, 8.0, 10.0), Interval(4.0, 3.0, 5.0)],
        field=SimpleNamespace(game=mf.games.free(mf.Torus(2), mf.Sphere(3))),
    )  # fmt: skip
    ratios = np.concatenate([energies[0][:, 2] / 4.0, energies[1][:, 2] / 5.0])
    found = Comparison.energy.fget(made)
    assert (found.value, found.low, found.high) == tuple(map(float, band(ratios, 0.8)))
    assert Comparison.relative_bias.fget(made) == 0.2 / 4.0 and Comparison.dim.fget(made) == 3
    made.samples = {}
    assert Comparison.energy.fget(made) is None


def cloud(center, n=3):
    return mf.Measure([[center + 0.1 * k] for k in range(n)], None, CIRCLE)


def run(times, shift=0.0, replica=0):
    """One particle cloud a player, which turns with time."""
    sides = ([cloud(t + shift + side) for t in times] for side in (0.0, 2.0))
    values = {"value": np.array([10 * t for t in times])}
    game = mf.games.trigonometric([((1,), (1,), 1.0, 0.0)])
    return Trajectory(np.asarray(times, float), *sides, game, mf.Langevin(1.0), values,
                      {"replica": replica}, {})  # fmt: skip


def test_a_field_at_some_of_its_times_is_the_same_there():
    """Whatever rounding the times that are asked for have."""
    whole = run(0.1 * np.arange(6))
    for off in (-1e-12, 0.0, 1e-12):
        some = at_times(whole, np.array([0.0, 0.2, 0.5]) + off)
        np.testing.assert_array_equal(some.times, whole.times[[0, 2, 5]])
        np.testing.assert_array_equal(some.diagnostics["value"], [0.0, whole.times[2] * 10, 5.0])
        for p in "xy":
            held = [getattr(whole, p)[k] for k in (0, 2, 5)]
            assert all(a is b for a, b in zip(getattr(some, p), held, strict=True))


def test_distances_from_particles_are_freed_of_what_the_reference_adds():
    """2 a(N) - a(N/2), each replica against a reference of its own; sliced distances likewise."""
    times = [0.0, 0.4]
    full, half = ([run(times, s) for s in shifts] for shifts in ((0.3, 0.5), (0.2, 0.9)))
    held = SimpleNamespace(full=full, half=half)
    game = full[0].game
    distances = FromParticles(game, held, mf.Start(), average=True)
    assert distances.names == (
        "w2_squared", "w2_squared_to_reference", "sliced", "ni", "ni_average"
    )  # fmt: skip
    for replica in (4, 7):
        swarm, k = run(times, -0.2, replica), replica % 2
        one, two = (np.array([[mf.w2(a, b) ** 2 for a, b in zip(p, q, strict=True)]
                              for p, q in zip(swarm, of[k], strict=True)])
                    for of in (full, half))  # fmt: skip
        found = distances(swarm)
        np.testing.assert_allclose(found[0], 2 * one - two, atol=1e-12)
        np.testing.assert_allclose(found[1], one, atol=1e-12)
        np.testing.assert_allclose(found[2], 2 * one - two, atol=1e-12)  # a circle is a slice
        np.testing.assert_array_equal(distances(swarm, 1)[1], found[1][1:])
    wanted = np.mean([[mf.nikaido_isoda(game, *pair).value for pair in r] for r in full], axis=0)
    np.testing.assert_allclose(distances.field_ni, wanted, rtol=1e-9)
    far = distances.apart()
    assert far.shape == (1, 2, 2)
    np.testing.assert_allclose(far, 0.04, atol=1e-12)


def test_references_stand_for_fields_whose_distances_are_bounds_alone():
    spaces = [mf.Torus(2), mf.Sphere(2), mf.Torus(3), mf.Sphere(3)]
    assert [has_exact_distance(M) for M in spaces] == [True, True, False, False]
    game, field = mf.games.free(mf.Torus(3), mf.Torus(1)), {"cells": None, "tol": None}
    assert reference_size(game, (5, 12), None, field) == 8 * 12
    assert reference_size(game, (5, 12), None, {"cells": 8}) is None
    assert reference_size(mf.games.free(), (5, 12), None, field) is None
    assert reference_size(mf.games.free(), (5, 12), 48, field) == 48
    for wrong in (47, 46, 50.5):
        with pytest.raises((TypeError, ValueError), match="reference"):
            reference_size(game, (5, 12), wrong, field)
