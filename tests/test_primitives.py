"""Primitives of particles as Python runs them, at the edges that few particles meet."""

import math

import numpy as np
import pytest

from meanfield.particles import primitives
from meanfield.particles.primitives import kick_scale, largest, settle, summed
from meanfield.particles.saves import Room


@pytest.fixture(autouse=True)
def as_python(monkeypatch):
    monkeypatch.setattr(primitives, "apart", lambda: None)


@pytest.mark.parametrize("P", [1.0, 2 * np.pi, 0.7, 1e-6, 3e5])
def test_points_on_either_side_of_a_torus_come_to_its_cell(P):
    below = np.nextafter(P, 0.0)
    y = np.array(
        [[0.0, -1e-20 * P, -P, P, 2 * P, 3.5 * P, -2.25 * P, below, -below, -5e-324, 0.3 * P]]
    )
    x = y.copy()
    settle.py_func((), P, x, np.empty(y.shape[1]))
    assert ((x >= 0) & (x < P)).all()
    off = np.abs(x - y) / P
    np.testing.assert_allclose(off, np.round(off), atol=1e-15)
    assert x[0, [0, 1, 2, 3, 4, 9]].tolist() == [0.0] * 6 and x[0, 7] == below
    np.testing.assert_allclose(x[0, [5, 6, 10]], [0.5 * P, 0.75 * P, 0.3 * P], rtol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_kicks_on_spheres_are_shortened_by_their_curvature(n):
    """sqrt(q) (1 - (n - 1) q/12) for q half the variance of a step, n the dimension."""
    q = 0.03
    assert kick_scale.py_func((True,), 2 * q, n + 1) == pytest.approx(
        math.sqrt(q) * (1 - (n - 1) * q / 12), rel=1e-15
    )
    assert kick_scale.py_func((), 2 * q, n) == math.sqrt(q)


def test_sums_and_the_largest_take_in_every_entry():
    w = 2.0 ** np.arange(32)
    assert summed.py_func(w) == 2.0**32 - 1 and summed.py_func(w[:4]) == 15
    for k in range(8):
        logw = np.full(8, -np.inf)
        logw[k] = -3.0
        assert largest.py_func(logw) == -3.0
    assert largest.py_func(np.full(3, -np.inf)) == -np.inf


@pytest.mark.parametrize("expected", [0, 200_000, 600_000, 5_000_000])
def test_rooms_for_saved_points_never_overlap(expected):
    """Whatever a run was expected to save; what is large has memory of its own."""
    room, held = Room(expected), []
    for k, (n, a) in enumerate(
        [(1000, 2), (70_000, 3), (1, 1), (100_000, 5), (3, 50), (90_000, 2)] * 4
    ):
        held.append(room.take(n, a))
        assert held[-1].shape == (n, a)
        held[-1][:] = k
    assert all((points == k).all() for k, points in enumerate(held))
    assert len(room.piece) <= Room.MOST and (len(room.piece) > 0) == (expected > 3 * 2**17)
