"""Matrices of costs as products of two narrow ones: found where they are, refused where not."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield import cores
from meanfield.density import coupling, products
from meanfield.density.crosses import EARLY, crossed, guessed

P, N = 3000, 1500
U, V = np.linspace(0, 2 * np.pi, P), np.linspace(0, 2 * np.pi, N)
SMOOTH = np.exp(np.cos(U[:, None] - V)) + np.sin(2 * U)[:, None] * np.cos(V)


def asked(matrix, function=crossed):
    """What is found of a matrix, and how many of its entries were looked at for it."""
    seen = []

    def part(i, j):
        seen.append(matrix[i, j].size)
        return matrix[i, j]

    every = slice(None)
    return function(*matrix.shape, lambda i: part(i, every), lambda j: part(every, j)), sum(seen)


@pytest.mark.parametrize("scale", [1e-250, 1.0, 1e250])
def test_a_smooth_matrix_is_a_product(scale):
    (left, right, largest), seen = asked(scale * SMOOTH, guessed)
    assert left.shape[1] == len(right) < 40 and seen < 0.1 * SMOOTH.size
    assert 0.9 <= largest / np.abs(scale * SMOOTH).max() <= 1
    found, seen = asked(scale * SMOOTH)
    assert SMOOTH.size <= seen < 1.2 * SMOOTH.size  # every entry was compared
    columns = np.random.default_rng(0).dirichlet(np.ones(N), 3).T
    exact = (scale * SMOOTH) @ columns
    assert np.abs(found(columns).T - exact).max() <= 3e-14 * largest
    np.testing.assert_array_equal(found(columns, 400), found(columns)[:, :400])


def test_what_a_guess_does_not_see_is_refused():
    """One entry that differs by 1e-12, wherever it is; in a row that is looked at it is found."""
    for i, j in ((5, 5), (P // 2, 3), (P - 1, N - 1), (977, 401)):
        spiked = SMOOTH.copy()
        spiked[i, j] += 1e-12
        found, _ = asked(spiked)
        assert found is None or np.abs(found(np.eye(N)[:, [j]])[0] - spiked[:, j]).max() < 1e-13
    wide = SMOOTH + 1e-9 * (np.abs(U[:, None] - 2.0) < 0.01) * (np.abs(V - 1.0) < 0.01)
    assert asked(wide)[0] is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(bad):
    for i, j in ((0, 3), (P // 2 + 1, 5)):
        spoilt = SMOOTH.copy()
        spoilt[i, j] = bad
        with np.errstate(invalid="ignore"):
            assert asked(spoilt)[0] is None
    assert asked(np.zeros((P, N)))[0] is None


def test_rough_matrices_are_given_up_early():
    """After EARLY crosses; one of rows that are zero but for an entry by its first rows."""
    rng = np.random.default_rng(0)
    narrow = np.exp(-5000 * (1 - np.cos(U[:, None] - V)))
    for rough in (rng.normal(size=(P, N)), narrow, np.abs(U[:, None] - V)):
        found, seen = asked(rough)
        assert found is None and seen <= (EARLY + 1) * (P + N)
    found, seen = asked(np.eye(P)[:, :N])
    assert found is None and seen < 0.1 * P * N


T2, S2 = mf.Torus(2), mf.Sphere(2)
LOSSES = {
    "the torus": ("exp(0.5 * cos(x1 - y1)) + sin(x2) * cos(y2) + 2", T2, 32),
    "the sphere": ("exp(0.2 * x1 * y1 + x3) + 0.2 * x2 * y3", S2, 600),
}


@pytest.mark.parametrize("where", LOSSES)
def test_runs_by_crosses_are_those_by_the_matrix(where, monkeypatch):
    text, M, cells = LOSSES[where]
    game, made = mf.games.expression(text, M, M), []
    kept = coupling.crossed

    def counted(*given):
        made.append(kept(*given))
        return made[-1]

    monkeypatch.setattr(coupling, "crossed", counted)
    start = mf.Start(x=mf.concentrated(M.sample(1, np.random.default_rng(0))[0], std=0.5))

    def run(large, free=1):
        monkeypatch.setattr(coupling, "LARGE", large)
        monkeypatch.setattr(cores, "free_cores", lambda: free)
        return mf.solve(
            game, mf.Langevin(beta=4.0), start, time=0.2, cells=cells, engine="finite-volume",
            progress=False,
        )  # fmt: skip

    dense, narrow = run(1 << 60), run(1)
    assert len(made) == 2 and None not in made
    for p in "xy":
        a, b = (getattr(one, p)[-1].masses for one in (dense, narrow))
        assert np.abs(a - b).sum() < 1e-13
    values = [one.diagnostics["value"] for one in (dense, narrow)]
    np.testing.assert_allclose(*values, rtol=1e-14)
    monkeypatch.setattr(products, "ENTRIES", 1)
    several = run(1, free=3)
    np.testing.assert_array_equal(several.x[-1].masses, narrow.x[-1].masses)
