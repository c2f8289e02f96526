"""The noise: published answers of the generator, the law of the normals, and their numbering."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from meanfield.particles import noise
from meanfield.particles.simd.words import LANES
from tests.philox import philox, words
from tests.vectors import needs_vectors, x86


@pytest.mark.parametrize(
    "counter, key, answer",
    [  # Random123, kat_vectors, philox4x32 with 10 rounds
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, answer):
    assert " ".join(f"{v:08x}" for v in philox(counter, key)) == answer


def draw(n, first=0, tick=0, stream=0, replica=0, key=1, refine=1):
    """Normals of the first coordinate of player `stream`, whose stream that is."""
    lanes = -(-n // LANES) * LANES
    out = np.empty((1 if refine == 1 else 2, lanes))
    noise.fill((), out, lanes, first, tick, stream, replica, np.uint64(key), refine)
    return out[0, :n]


def test_normals_are_box_muller_of_the_words():
    key, tick, stream, replica = 0x0123456789ABCDEF, 77, 5, 9
    got = draw(80, 4, tick, stream, replica, key)
    for q in range(40):
        a, b, c, d = words(2 + q, tick, stream, replica, key)
        u = (((a >> 5) << 26) + (b >> 6) + 1) / 2**53
        v = (((c >> 5) << 26) + (d >> 6)) / 2**53
        radius = np.sqrt(-2 * np.log(u))
        want = radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)
        np.testing.assert_allclose(got[2 * q : 2 * q + 2], want, rtol=1e-13, atol=1e-14)


def check_normals(z):
    """Moments, counts in cells of equal mass, and the distribution function of what should be
    normals (n,).
    """
    for power, mean, var in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs(np.mean(z**power) - mean) < 4.5 * np.sqrt(var / z.size), power
    counts, _ = np.histogram(stats.norm.cdf(z), bins=200, range=(0, 1))
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4
    assert stats.kstest(z, "norm").pvalue > 1e-4


def test_moments_and_chi_square():
    check_normals(draw(1_000_000, key=3))


def test_independence_along_every_part_of_the_counter():
    n = 200_000
    base = draw(n)
    others = [
        draw(n, tick=1),
        draw(n, stream=1),
        draw(n, stream=2),
        draw(n, replica=1),
        draw(n, key=2),
    ]
    others += [draw(n, key=1 + (1 << 32)), draw(n, first=n), np.roll(base, 1), np.roll(base, 2)]
    for other in others:
        for f in (lambda z: z, lambda z: (z**2 - 1) / np.sqrt(2)):
            assert abs(np.mean(f(base) * f(other))) < 4.5 / np.sqrt(n)
    pairs = np.stack([base[::2], base[1::2]])
    turn = np.arctan2(pairs[1], pairs[0]) / (2 * np.pi) % 1
    cells, _, _ = np.histogram2d(
        turn, stats.chi2.cdf((pairs**2).sum(0), 2), bins=16, range=[[0, 1]] * 2
    )
    assert 1e-4 < stats.chisquare(cells.ravel()).pvalue < 1 - 1e-4


def test_a_particle_has_its_noise_whatever_the_others():
    whole = draw(3000, tick=5)
    np.testing.assert_array_equal(whole[:10], draw(10, tick=5))
    np.testing.assert_array_equal(whole[1026:1500], draw(474, first=1026, tick=5))


@pytest.mark.parametrize("r", [2, 3, 8])
def test_refined_noise_sums_the_fine_noise(r):
    coarse = draw(700, tick=6, refine=r)
    fine = sum(draw(700, tick=6 * r + j) for j in range(r)) / np.sqrt(r)
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=4e-15)


def test_initial_generator_depends_on_seed_replica_player():
    draws = {
        tuple(noise.initial_generator(*key).random(2))
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    }
    assert len(draws) == 4
    assert tuple(noise.initial_generator(0, 0, 0).random(2)) in draws


def digest():
    """Of normals in both precisions; the room of both is not theirs."""
    found = hashlib.sha256()
    for lanes in (16, 48, 112):
        for single in ((), (True,)):
            Z = np.empty((12, lanes))
            noise.fill(single, Z, lanes, 6, 5, 1, 2, np.uint64(1 << 40), 2)
            found.update(Z[:6])
    return found.hexdigest()


def digest_of_runs():
    """Of particles on the circle and on T^2, whose sums over lanes may be reordered."""
    found = hashlib.sha256()
    modes = mf.games.trigonometric([((k,), (-k,), 1.0 / k**2, 0.0) for k in range(1, 17)])
    for game, precision in (
        (mf.games.oscillator(3.0), "float64"),
        (mf.games.benchmark("torus"), "float64"),
        (modes, "float32"),
    ):
        start, how = mf.Start(x=mf.concentrated([1.0] * game.X.d, std=0.5)), {"particles": 333}
        run = mf.simulate(game, mf.Langevin(10.0), start, 0.05, precision=precision, **how)
        found.update(run.x[-1].points)
        found.update(run.diagnostics["value"])
    return found.hexdigest()


def elsewhere(what, processor, features, folder):
    """What a function of this file gives on another processor."""
    chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.test_noise import {what}; print({what}())"],
        env=os.environ | chosen | {"NUMBA_CACHE_DIR": str(folder)},
        cwd=Path(__file__).parent.parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(
    "processor, features",
    [
        ("generic", ""),  # 128 bits, sums and products rounded once by the C library
        pytest.param("haswell", "+avx,+avx2,+fma", marks=[needs_vectors, x86]),
    ],
)
def test_registers_of_any_width_give_the_same_bits(processor, features, tmp_path):
    assert elsewhere("digest", processor, features, tmp_path) == digest()


@needs_vectors
@x86
def test_runs_have_the_same_bits_with_and_without_the_widest_registers(tmp_path):
    assert elsewhere("digest_of_runs", "haswell", "+avx,+avx2,+fma", tmp_path) == digest_of_runs()


@pytest.mark.parametrize("single", [(), (True,)], ids=["double", "single"])
@pytest.mark.parametrize("shape", [(30, 112), (4, 1200), (26, 64)])
def test_normals_do_not_depend_on_what_is_drawn_with_them(single, shape):
    """Blocks of many rows and of parts of long rows, against 16 particles at a time."""
    (height, lanes), beside = shape, 16 if single else 0
    room, few = np.full((height + 12, lanes + beside), np.nan), np.full((height, 16), np.nan)
    Z = room[:height]
    noise.fill(single, Z, lanes, 32, 3, 1, 7, np.uint64(99), 1)
    for i in range(0, lanes, 16):
        noise.fill(single, few, 16, 32 + i, 3, 1, 7, np.uint64(99), 1)
        np.testing.assert_array_equal(Z[:, i : i + 16], few)
    assert np.isnan(Z[:, lanes:]).all() and np.isnan(room[height:]).all()
