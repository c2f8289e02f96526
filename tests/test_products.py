"""Products of a matrix with a few columns, and what runs on meshes make of stored costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

import meanfield as mf
from meanfield import cores
from meanfield.density import products
from meanfield.density.products import PART, TILE, Products


@pytest.mark.parametrize("size", [1, TILE - 1, TILE, 3 * TILE + 5, PART + 3])
@pytest.mark.parametrize("width, count", [(1, 1), (3, 2), (6, 3), (50, 4), (201, 7)])
def test_products_are_sums_in_order(size, width, count):
    rng = np.random.default_rng(size + width)
    matrix, columns = rng.normal(size=(size, width)), rng.normal(size=(width, count))
    asked = []

    def rows(part):
        asked.append(part)
        return matrix[part]

    found = Products(size, rows)(columns)
    assert found.shape == (count, size)
    assert [s.start for s in asked] == list(range(0, size, PART))
    bound = 1e-16 * width * (np.abs(matrix) @ np.abs(columns)).T
    for p, s in rng.integers(0, (size, count), (20, 2)):
        exact = math.fsum(matrix[p] * columns[:, s])
        assert abs(found[s, p] - exact) <= bound[s, p] + 1e-16
    assert (np.abs(found - (matrix @ columns).T) <= 4 * bound + 1e-15).all()
    few = max(1, size // 2)
    np.testing.assert_array_equal(Products(size, rows)(columns, few), found[:, :few])


def test_products_have_the_same_bits_for_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    matrix, columns = rng.normal(size=(1000, 40)), rng.normal(size=(40, 3))
    of = Products(len(matrix), lambda part: matrix[part])
    once = of(columns)
    monkeypatch.setattr(products, "ENTRIES", 1)
    asked, several = [], products.by_threads

    def counted(function, items, threads):
        asked.append(threads)
        return several(function, items, threads)

    monkeypatch.setattr(products, "by_threads", counted)
    for free in (2, 5):
        monkeypatch.setattr(cores, "free_cores", lambda free=free: free)
        np.testing.assert_array_equal(of(columns), once)
    assert asked == [2, 5]


@pytest.mark.parametrize("sphere", [False, True])
def test_values_of_saves_are_those_of_the_game(sphere):
    """They are taken from the costs that the run stores, the constant of the loss added."""
    game = mf.games.expression("exp(cos(x - y)) + sin(2*x) * cos(y) + 3")
    if sphere:
        S2 = mf.Sphere(2)
        game = mf.games.expression("exp(x1 * y1 + 0.5 * x2 * y3) + 0.3 * y1", S2, S2)
    run = mf.solve(
        game, mf.Langevin(beta=3.0), time=0.2, save_every=0.1, cells=60, engine="finite-volume",
        progress=False,
    )  # fmt: skip
    assert game.bases is None
    exact = [game.value(*pair) for pair in run]
    np.testing.assert_allclose(run.diagnostics["value"], exact, rtol=1e-14)


def test_shapes_that_do_not_fit_are_refused():
    matrix = np.ones((20, 5))
    with pytest.raises(ValueError, match="must give 20 rows, gave 12"):
        Products(20, lambda part: matrix[:12])
    of = Products(20, lambda part: matrix[part])
    for count in (4, 6):
        with pytest.raises(ValueError, match=f"take 5 moments of the opponent, got {count}"):
            of(np.ones((count, 1)))
    assert of(np.ones((5, 1)), 60).shape == (1, 20)
