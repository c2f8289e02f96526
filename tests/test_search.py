"""Random games on circles, and the search among them for those in which (7) does not converge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import meanfield as mf
from figures import search
from figures.store import stored

QUICK = {**search.settings(True), "time": 20.0}


def test_random_games_have_variance_one_and_their_degree() -> None:
    nodes = 2 * np.pi * np.arange(16)[:, None] / 16
    for degree, seed, own in ((1, 0, 1.0), (3, 4, 0.5), (2, 1, 0.0)):
        game = mf.games.random_fourier(degree, seed, own=own)
        assert np.array_equal(game.C, mf.games.random_fourier(degree, seed, own=own).C)
        loss = game.loss(nodes, nodes)
        assert np.mean(loss**2) == pytest.approx(1.0) and abs(np.mean(loss)) < 1e-15
        sizes = np.abs(np.fft.fft2(loss)) > 1e-9
        k = np.abs(np.fft.fftfreq(16, 1 / 16))
        assert not sizes[k > degree].any() and not sizes[:, k > degree].any()
        assert sizes[degree, degree] and sizes[0, 1:2].any() == (own > 0)
    with pytest.raises(ValueError, match="degree"):
        mf.games.random_fourier(0)
    assert mf.games.random_fourier(2, seed=1).recipe == ("random_fourier", {"degree": 2, "seed": 1})


def entropies(run: Any) -> np.ndarray:
    """Both players' entropies relative to the uniform law, added up, at every saved time."""
    return np.array([sum(m.masses @ np.log(m.masses * len(m.masses)) for m in p) for p in run])


@pytest.mark.parametrize("seed", [0, 1])
def test_games_of_balanced_couplings_converge(seed: int) -> None:
    """Where Lap_x l = Lap_y l, (7) loses entropy at the rate 2/beta at least; the drift of terms of
    one player alone can add to it.
    """
    beta, start = 5.0, mf.Start(x=mf.concentrated(1.0, 0.5), y=mf.concentrated(2.0, 0.5))
    how: Any = {"time": 6.0, "cells": 64, "save_every": 0.25}
    kept = [
        entropies(
            mf.solve(mf.games.random_fourier(1, seed, own=own), mf.Langevin(beta), start, **how)
        )
        for own in (0.0, 1.0)
    ]
    falls = [e[1:] / e[:-1] <= np.exp(-2 * 0.25 / beta) * (1 + 1e-9) for e in kept]
    assert falls[0].all() and not falls[1].all()


def test_a_block_of_games_repeats_and_finds_the_cycle_of_three_modes() -> None:
    one, again = (search.block(QUICK, 1, 10.0, range(2)) for _ in range(2))
    assert all(np.array_equal(one[k], again[k], equal_nan=True) for k in one)
    assert (one["kind"] == search.SETTLED).all() and one["end"][0] < 1e-3
    game = search.three_modes_game()
    start = mf.Start(*(mf.concentrated(c, 0.3) for c in (1.0, 0.0)))
    point = mf.gibbs(game, 5.0)
    at = search.moments((point.x, point.y), 2)
    kind, away, period, leading = search.outcome({**QUICK, "again": 60.0}, game, 5.0, start, at)
    assert kind == search.CYCLE and away > 0.1 and leading < 1 and 3.5 < period < 5


def test_intervals_and_the_table_are_those_of_the_counts(tmp_path: Any) -> None:
    kinds = np.array([0] * 48 + [3] * 2)
    share, low, high = search.share(kinds, search.CYCLE)
    # Clopper and Pearson (1934) at 2 of 50.
    assert (share, low, high) == pytest.approx((0.04, 0.004881, 0.137137), abs=1e-6)
    n = len(kinds)
    rows = {name: np.ones(n) for name in ("away", "period", "leading", "end")}
    groups = {"degree": np.full(n, 2.0), "beta": np.repeat([10.0, 40.0], n // 2), "kind": kinds}
    drawn = {"loop": np.eye(4)[:, :2], "point": np.zeros(2), "numbers": np.ones(2),
             "folds": np.array([[5.0, 7.0], [10.0, 6.2]])}  # fmt: skip
    path = stored(tmp_path / "search.npz", {}, lambda: {**rows, **groups, **drawn})
    assert search.draw(path).read_bytes().startswith(b"\x89PNG")
    last = path.with_suffix(".md").read_text().splitlines()[-1]
    assert last == "| 2 | 40 | 25 | 23 | 0 | 0 | 2 | 8.00% (0.98 to 26.03) | 0 of 25 |"
