"""Vectors as values of kernels: each sign and function against the same numbers one by one."""

import math

import numpy as np
import pytest
from numba import TypingError

from meanfield.jit import kernel
from meanfield.particles.simd.lanes import fused, load, nothing, root, store, total

A = np.random.default_rng(3).uniform(0.5, 2.0, (4, 24))


@kernel
def signs(A, c, out):
    u, v = load(8, A, 1, 5), load(8, A, 2, 16)
    store(u + v, out, 0, 0)
    store(c - u, out, 1, 0)
    store(u * c, out, 2, 0)
    store(-(u / v), out, 3, 0)
    store(root(v) + nothing(8), out, 4, 0)
    store(fused(u, c, v), out, 5, 0)
    return total(v)


@kernel
def mixed(A):
    return total(load(8, A, 0, 0) + load(4, A, 0, 0))


@kernel
def kept_in_a_loop(A, wide, out):
    """Lanes go through branches and loops as numbers do."""
    u = nothing(16)
    for k in range(len(A)):
        u = fused(2.0 if wide else 1.0, load(16, A, k, 0), u)
    store(u if wide else -u, out, 0, 0)


def test_signs_are_those_of_each_number():
    out, c, u, v = np.zeros((6, 8)), 1.7, A[1, 5:13], A[2, 16:24]
    found = signs(A, c, out)
    np.testing.assert_array_equal(out[:5], [u + v, c - u, u * c, -(u / v), np.sqrt(v)])
    np.testing.assert_allclose(out[5], u * c + v, rtol=2.3e-16)
    halves = v[:4] + v[4:]
    assert found == (halves[0] + halves[2]) + (halves[1] + halves[3])


@pytest.mark.parametrize("wide", [True, False])
def test_sums_in_loops_and_branches(wide):
    out = np.zeros((1, 16))
    kept_in_a_loop(A, wide, out)
    factor = 2.0 if wide else -1.0
    np.testing.assert_allclose(out[0], factor * A[:, :16].sum(0), rtol=1e-15)


def test_one_rounding():
    """a^2 - fl(a^2), which is nothing in two."""
    a = np.full((1, 8), 1.0 + 2.0**-30)
    out = np.zeros((1, 8))
    square_less(a, out)
    assert (out == 2.0**-60).all() and math.fsum(out[0]) == 2.0**-57


@kernel
def square_less(a, out):
    u = load(8, a, 0, 0)
    store(fused(u, u, -(u * u)), out, 0, 0)


def test_vectors_of_two_lengths_do_not_mix():
    with pytest.raises(TypingError):
        mixed(A)
    with pytest.raises(TypingError):
        signs(A[:, ::2], 1.0, np.zeros((6, 8)))
