"""Semi-discrete transport on T^2 and S^2 against closed forms, linear programs and the circle."""

from __future__ import annotations

import numpy as np
import pytest

from meanfield.metrics.laguerre_torus import torus_w2_squared

ONE = np.ones((5, 7))


def test_one_atom_has_the_second_moment_of_the_square():
    assert torus_w2_squared(np.array([[0.3, 0.9]]), np.ones(1), ONE) == pytest.approx(1 / 6, rel=1e-14)


def test_a_lattice_of_atoms_has_squares_for_cells():
    """A lattice of n = k^2 atoms: squares of side 1/k, W2^2 = 1/(6 k^2)."""
    for k in (2, 5):
        x = np.stack(np.meshgrid(np.arange(k) / k, np.arange(k) / k), -1).reshape(-1, 2) + 0.01
        value = torus_w2_squared(x, np.full(k * k, 1 / k**2), ONE)
        assert value == pytest.approx(1 / (6 * k * k), rel=1e-12)
