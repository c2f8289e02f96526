"""Vectors as values of kernels: each sign and function against the same numbers one by one."""

import math

import numpy as np
import pytest
from numba import TypingError

from meanfield.jit import kernel
from meanfield.lanes import (
    bits,
    chosen,
    counts,
    doubles,
    from_bits,
    fused,
    greater,
    load,
    nothing,
    reals,
    room,
    root,
    store,
    total,
    woven,
)

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


@kernel
def whole(A, B, out, real):
    u, v = load(4, A, 0, 0), load(4, A, 1, 0)
    factor = np.uint64(0xD2511F53)
    store((u & np.uint64(0xFFFFFFFF)) * factor + v, out, 0, 0)
    store((u >> np.uint64(32)) ^ (v << np.uint64(3)) | np.uint64(1), out, 1, 0)
    a = woven(u, v)
    store(a, B, 0, 0)
    store((a >> 23) - (a & 255), B, 1, 0)
    store(reals(a), real, 0, 0)
    store(counts(a), real, 1, 0)
    store(chosen(a & 1, reals(a), 0.1 + reals(a)), real, 2, 0)
    store(from_bits(bits(greater(reals(a), 0.0)) ^ -(1 << 31)), real, 3, 0)
    return total(doubles(reals(a)))


def test_whole_numbers_and_single_precision():
    A = np.random.default_rng(5).integers(0, 2**64, (2, 4), dtype=np.uint64)
    B, out, real = np.zeros((2, 8), np.int32), np.zeros((2, 4), np.uint64), np.zeros((4, 8), "f4")
    sum_of_all = whole(A, B, out, real)
    u, v = A
    np.testing.assert_array_equal(
        out, [(u & 0xFFFFFFFF) * 0xD2511F53 + v, (u >> 32) ^ (v << 3) | 1]
    )
    a = np.stack([u, v], axis=1).astype(np.uint32).ravel()
    signed = a.view(np.int32)
    np.testing.assert_array_equal(B, [signed, (signed >> 23) - (signed & 255)])
    single = signed.astype(np.float32)
    wanted = [single, a, np.where(a & 1, single, np.float32(0.1) + single), -np.maximum(single, 0)]
    np.testing.assert_array_equal(real, np.array(wanted, np.float32))
    assert np.signbit(real[3]).all()
    assert sum_of_all == single.astype(float).sum()  # exact: of 32 bits each


@kernel
def in_a_room(v, out):
    held = room(np.float32, 3, 32)
    store(load(8, v, 0, 0), held, 1, 8)
    store(load(8, held, 1, 8), out, 0, 0)
    return held.shape[0], held.shape[1], held[1, 8]


def test_a_room_is_an_array():
    v, out = np.arange(8, dtype="f4")[None], np.zeros((1, 8), "f4")
    assert in_a_room(v, out) == (3, 32, 0.0)
    np.testing.assert_array_equal(out, v)
