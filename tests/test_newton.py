"""Damped Newton on masses that are linear in the potentials, where every step is known."""

from __future__ import annotations

import numpy as np
import pytest

from meanfield.checks import NotConverged
from meanfield.metrics.w2 import newton as module
from meanfield.metrics.w2.newton import Cells, Laplacian, dual_value, newton
from tests.plain import plainly

POINTS = np.arange(4.0)[:, None]
START = np.array([0.25, 0.4, 0.2, 0.15])
WEIGHTS = np.array([0.7, 1.3, 0.4])  # of the path 0 - 1 - 2 - 3
STARTS, COLUMNS = np.array([0, 1, 3, 5, 6]), np.array([1, 0, 2, 1, 3, 2])
H = np.diag([0.7, 2.0, 1.7, 0.4]) - np.diag(WEIGHTS, 1) - np.diag(WEIGHTS, -1)


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, module)


class Linear:
    """masses = START + H psi; in the calls named, other masses are told."""

    def __init__(self, instead=None):
        self.seen, self.instead = [], instead or {}

    def __call__(self, psi):
        k, masses = len(self.seen), START + H @ psi
        if k in self.instead:
            masses = self.instead[k](masses)
        self.seen.append(masses)
        return Cells(masses, masses**2, Laplacian(STARTS, COLUMNS, WEIGHTS[[0, 0, 1, 1, 2, 2]]))


def between(masses, target, share):
    aim = masses ** (1 - share) * target**share
    return aim / aim.sum()


def test_steps_near_the_target_aim_at_it():
    target = np.array([0.2, 0.3, 0.3, 0.2])
    cells = Linear()
    psi, now = newton(cells, POINTS, target, np.zeros(4), "it")
    np.testing.assert_allclose(now.masses, target, atol=1e-10)
    assert abs(psi.sum()) < 1e-12 and len(cells.seen) < 6
    np.testing.assert_allclose(cells.seen[1], target, atol=0.3 * 0.2)
    value = (now.masses**2).sum() + psi @ (target - now.masses)
    assert dual_value(psi, target, now) == pytest.approx(value, rel=1e-14)
    assert dual_value(np.ones(4), target * 2, now) == pytest.approx((now.masses**2).sum() + 1)


def test_steps_far_from_the_target_go_by_factors_that_double():
    """8, 64 and then e^5, until the step reaches the target itself."""
    target = np.array([1e-7, 0.3, 0.4, 0.3 - 1e-7])
    cells = Linear()
    newton(cells, POINTS, target, np.zeros(4), "it")
    masses = START
    for k, stride in enumerate((np.log(8), 2 * np.log(8), 5.0)):
        far = np.abs(np.log(target / masses)).max()
        masses = between(masses, target, stride / far)
        np.testing.assert_allclose(cells.seen[k + 1], masses, rtol=1e-5)
    np.testing.assert_allclose(cells.seen[4], target, rtol=1e-4)


@pytest.mark.parametrize(("halvings", "factor"), [(0, 2.0), (1, 1.0), (2, 0.5), (3, 0.5)])
def test_strides_shrink_where_steps_were_cut(halvings, factor):
    """A cell that would keep less than a tenth of what it had, or of its aim, halves the step."""
    target = np.array([1e-7, 0.3, 0.4, 0.3 - 1e-7])
    far = np.abs(np.log(target / START)).max()
    aim = between(START, target, np.log(8) / far)
    floor = 0.1 * np.minimum(START, aim)

    def poor(masses):
        masses = masses.copy()
        masses[0] = 0.999 * floor[0]
        return masses

    def barely(masses):
        masses = masses.copy()
        masses[0] = 1.001 * floor[0]
        return masses

    cells = Linear({k: poor for k in range(1, 1 + halvings)} | {1 + halvings: barely})
    newton(cells, POINTS, target, np.zeros(4), "it")
    start = cells.seen[1 + halvings]
    stride = np.log(8) * factor
    share = min(1, stride / np.abs(np.log(target / start)).max())
    # The step from there is on masses told by hand: its aim less these, added to the true ones.
    true = START + 0.5**halvings * (aim - START)
    step = between(start, target, share) - start
    expected = true + step - step.mean()
    np.testing.assert_allclose(cells.seen[2 + halvings], expected, atol=1e-6)


def test_near_the_target_the_error_must_fall_by_a_quarter_of_what_is_promised():
    target = np.array([0.2, 0.3, 0.3, 0.2])
    error = np.abs(START - target).sum()

    def left(share):
        return lambda _: target + (START - target) * share

    for told, used in (
        ({1: left(0.749)}, 1), ({1: left(0.751)}, 2), ({1: left(0.9), 2: left(0.876)}, 3),
        ({1: left(0.9), 2: left(0.874)}, 2),
    ):  # fmt: skip
        cells = Linear(told)
        newton(cells, POINTS, target, np.zeros(4), "it")
        after = np.abs(cells.seen[used] - target).sum() / error
        assert after <= 1 - 0.25 * 0.5 ** (used - 1)
        assert cells.seen[used + 1].sum() == pytest.approx(1)
        moved = [np.abs(m - target).sum() < 0.1 * error for m in cells.seen[: used + 1]]
        assert not any(moved[:used])


def test_a_step_that_is_never_good_is_told():
    target = np.array([0.2, 0.3, 0.3, 0.2])
    stuck = Linear({k: lambda _: START for k in range(100)})
    with pytest.raises(NotConverged, match="it: Newton stalls .* off by 3.00e-01 in total"):
        newton(stuck, POINTS, target, np.zeros(4), "it")
    assert len(stuck.seen) == 18  # 1, 1/2, ..., 2^-16 above 1e-5
    empty = Linear({0: lambda m: m * [1, 0, 1, 0]})
    with pytest.raises(NotConverged, match="it: 2 cells hold no mass"):
        newton(empty, POINTS, target, np.zeros(4), "it")
    slow = Linear({k: lambda _, k=k: target + (START - target) * 0.74**k for k in range(1, 20)})
    with pytest.raises(NotConverged, match="3 Newton steps leave the marginals off by 1.64e-01"):
        newton(slow, POINTS, target, np.zeros(4), "it", steps=3)
    enough = Linear({0: lambda _: target + np.array([1, -1, 0, 0]) * 0.49e-10})
    newton(enough, POINTS, target, np.zeros(4), "it")
    assert len(enough.seen) == 1
    more = Linear({0: lambda _: target + np.array([1, -1, 0, 0]) * 0.51e-10})
    with pytest.raises(NotConverged, match="stalls"):  # the others are far from what was told
        newton(more, POINTS, target, np.zeros(4), "it")


def ring(n, rng):
    """A ring with chords and an atom without neighbours: its rows, and H."""
    edges = {(k, (k + step) % (n - 1)) for k in range(n - 1) for step in (1, 7)}
    H = np.zeros((n, n))
    for i, j in edges:
        H[i, j] = H[j, i] = -0.5 - rng.random()
    np.fill_diagonal(H, -H.sum(1))
    rows, columns = np.nonzero(H - np.diag(H.diagonal()))
    return Laplacian(np.searchsorted(rows, np.arange(n + 1)), columns, -H[rows, columns]), H


def test_directions_solve_the_laplacian():
    n, rng = 53, np.random.default_rng(0)
    L, H = ring(n, rng)
    masses, aim = rng.random(n), rng.random(n)
    masses[-1], aim[-1] = 0.0, (aim - masses)[:-1].mean()  # what no neighbour could take up
    d = module._direction(Cells(masses, masses, L), rng.permutation(n), aim, 1e-12)
    r = aim - masses
    np.testing.assert_allclose(H @ d, r - r.mean(), atol=1e-9)
    assert abs(d.mean()) < 1e-12


def test_factors_have_the_sums_of_rows():
    """But for 10/n of the diagonal; neighbours are those of H before and after."""
    n, rng = 53, np.random.default_rng(1)
    L, H = ring(n, rng)
    order = np.append(rng.permutation(n - 1), n - 1)
    H = H[np.ix_(order, order)]
    before, after = module.halves(L, order)
    for rows, part in ((before, np.tril(H, -1)), (after, np.triu(H, 1))):
        filled = np.zeros((n, n))
        filled[np.repeat(np.arange(n), np.diff(rows.starts)), rows.columns] = -rows.weights
        np.testing.assert_array_equal(filled, part)
    D, P = module.diagonals(before, after)
    np.testing.assert_allclose(D, H.diagonal(), rtol=1e-14)
    lower = np.diag(P) + np.tril(H, -1)
    factors = lower[:-1, :-1] @ np.diag(1 / P[:-1]) @ lower[:-1, :-1].T
    np.testing.assert_allclose(factors.sum(1), 10 / n * D[:-1], rtol=1e-12)
    assert P[-1] == D[-1] == 0
