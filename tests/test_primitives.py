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


@pytest.mark.parametrize("saves", [0, 3, 60, 700])
@pytest.mark.parametrize("shapes", [[(10, 2), (7, 3)], [(1, 1), (9000, 5)], [(900_000, 1), (2, 4)]])
def test_rooms_for_saved_particles_never_overlap(saves, shapes):
    """However many saves were expected, and more than these; those in one piece share its memory,
    and no piece is larger than it need be.
    """
    room, held, pieces = Room(saves, shapes), [], set()
    for k in range(min(saves, 100) + 2):
        for shape, (points, masses) in zip(shapes, room.take(), strict=True):
            assert points.shape == shape and masses.shape == shape[:1]
            points[:], masses[:] = k, -k
            held.append((k, points, masses))
            pieces.add(points.base.size)
    assert all((points == k).all() and (masses == -k).all() for k, points, masses in held)
    one = sum(n * (a + 1) for n, a in shapes)
    assert pieces <= {one} or max(pieces) <= Room.MOST
    assert (max(pieces) > one) == (min(saves, Room.MOST // one) * one > 3 * 2**17)
