"""The parts of W2 on the circle: quantile functions, brackets and cyclic shifts, each against its
definition.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics import prepare
from meanfield.metrics.w2 import circle_equal, circle_shift
from tests.plain import plainly
from tests.test_w2_circle import UNIT, density, quantiles, shifted_cost
from validation.w2_circle import random_atoms


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, circle_equal, circle_shift)


def measures(seed):
    """Atoms, a density, and one with holes."""
    rng = np.random.default_rng(seed)
    atoms = random_atoms(rng, UNIT, 9)
    return atoms, density(rng, 5, UNIT), density(rng, 9, UNIT, holes=0.5)


def test_cumulative_masses_are_right_to_the_last_digit():
    rng = np.random.default_rng(0)
    for masses in (10.0 ** rng.uniform(-18, 1, 400), rng.random(37), np.array([1.0, 1e-17, 1e-17])):
        F = circle_shift.cumulate(masses)
        whole = math.fsum(masses)
        exact = [math.fsum(masses[:k]) / whole for k in range(len(masses) + 1)]
        np.testing.assert_allclose(F, exact, rtol=3e-16)
        assert F[0] == 0 and F[-1] == 1 and (np.diff(F) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_costs_at_a_shift_and_their_derivatives(seed):
    """C by Gauss-Legendre pieces; C'/2 and C''/2 by differences, away from kinks."""
    h, given, smooth = 1e-6, measures(seed), 0
    for mu in given:
        for nu in given:
            for theta in (0.0, 0.0371, -0.683, 1.517, 2.09):
                if mu is nu and theta == 0:
                    continue
                C, D, E = circle_shift.cost_at(theta, prepare(mu).Q, prepare(nu).Q)
                if mu is given[0]:
                    quick = circle_shift.cost_of_atoms(theta, prepare(mu).Q, prepare(nu).Q)
                    np.testing.assert_allclose(quick, (C, D, E), rtol=1e-11, atol=1e-14)
                exact = [shifted_cost(mu, nu, theta + s * h) for s in (-1, 0, 1)]
                assert pytest.approx(exact[1], rel=1e-11, abs=1e-15) == C
                bend = (exact[2] - 2 * exact[1] + exact[0]) / h**2
                if isinstance(nu, mf.Density) and theta != 0 and bend < 1e3:
                    smooth += 1
                    assert (exact[2] - exact[0]) / (4 * h) == pytest.approx(D, abs=1e-7)
                    up, down = (
                        circle_shift.cost_at(theta + s * h, prepare(mu).Q, prepare(nu).Q)[1]
                        for s in (1, -1)
                    )
                    if mu is given[0] or nu is given[1]:  # nu's gaps within mu's pieces add
                        assert (up - down) / (2 * h) == pytest.approx(E, rel=1e-5)
    assert smooth > 15


def test_quantile_functions_and_their_inverses():
    for measure in measures(5):
        Q = prepare(measure).Q
        F, left, right, _ = quantiles(measure)
        F = np.append(0.0, F)
        for q in (-1.3, -0.2, 0.11, 0.499, 0.83, 2.6):
            turn = np.floor(q)
            j = np.searchsorted(F, q - turn, side="right") - 1
            share = (q - turn - F[j]) / (F[j + 1] - F[j])
            value, slope = circle_shift.quantile(q, Q)
            assert value == pytest.approx(turn + left[j] + share * (right[j] - left[j]), abs=1e-14)
            assert slope == pytest.approx((right[j] - left[j]) / (F[j + 1] - F[j]), rel=1e-12)
            back = circle_shift.mass_before(value, Q)
            if right[j] > left[j]:
                assert back == pytest.approx(q, abs=1e-13)
            else:  # an atom's whole mass
                assert back == pytest.approx(turn + F[j + 1], abs=1e-13)
        for x in (Q.starts[0] - 1e-9, Q.starts[1] - 1e-9, Q.starts[0] + 1.0, Q.starts[2] + 4e-3):
            mass = circle_shift.mass_before(x, Q)
            below = [circle_shift.quantile(mass + s, Q)[0] for s in (-1e-9, 1e-9)]
            assert below[0] <= x + 1e-7 and below[1] >= x - 1e-7


def holding(starts, lengths, masses):
    F = np.append(0.0, np.cumsum(masses))
    starts, lengths, masses = (np.array(v, float) for v in (starts, lengths, masses))
    return circle_shift.Quantile(F, starts, lengths, lengths / masses)


def test_the_widest_gap_and_without_gaps_the_thinnest_piece():
    masses = [0.1, 0.2, 0.3, 0.4]
    for starts, lengths, wanted in (
        ([0.0, 0.1, 0.5, 0.6], [0.0] * 4, 1.0),  # the gap of 0.4 across 1; then of 0.4 - 0.1
        ([0.0, 0.1, 0.5, 0.8], [0.0] * 4, 0.3),
        ([0.0, 0.1, 0.5, 0.6], [0.0, 0.3, 0.0, 0.2], 1.0),
        ([0.0, 0.1, 0.5, 0.6], [0.0, 0.1, 0.0, 0.3], 0.3),
        ([0.0, 0.3, 0.5, 0.6], [0.1, 0.2, 0.1, 0.35], 0.1),
        ([0.0, 0.2, 0.4, 0.8], [0.2, 0.2, 0.4, 0.2], 0.2),  # slopes 2, 1, 4/3, 1/2
        ([0.0, 0.1, 0.6, 0.8], [0.1, 0.5, 0.2, 0.2], 0.2),
    ):
        found = circle_shift.widest(holding(starts, lengths, masses))
        if wanted == 0.2:  # the middle of the masses of the thinnest
            wanted = {0.2: 0.05, 0.5: 0.2}[lengths[1]]
        assert found == pytest.approx(wanted, abs=1e-15)


def test_brackets_move_to_the_side_that_the_slope_says():
    def given():
        return np.array([[-0.5, 1.0, -2.0, 1.0], [0.75, 1.5, 3.0, 1.0]])

    for theta, D, wanted in (
        (0.25, 0.1, [[-0.5, 1, -2, 1], [0.25, 7, 0.1, 1]]),
        (0.25, 0.0, [[0.25, 7, 0.0, 1], [0.75, 1.5, 3, 1]]),
        (0.75, -1.0, [[0.75, 7, -1.0, 1], [1.75, 0, 0, 0]]),
        (0.9, -1.0, [[0.9, 7, -1.0, 1], [1.9, 0, 0, 0]]),
        (-0.5, 1.0, [[-1.5, 0, 0, 0], [-0.5, 7, 1.0, 1]]),
    ):
        ends = given()
        circle_shift.enclose(ends, theta, 7.0, D)
        assert ends.tolist() == wanted
    x, value = circle_shift.tangents(given())
    assert value == pytest.approx(1.0 + 2 * -2.0 * (x + 0.5)) == 1.5 + 2 * 3.0 * (x - 0.75)


def test_the_best_shift_takes_few_looks_and_finds_the_least(monkeypatch):
    """Newton's steps, tangents and secants in turn; the value is that at the shift told, and its
    neighbours' are no less.
    """
    rng, looks, asked, cost = np.random.default_rng(3), [], [], circle_shift.cost
    monkeypatch.setattr(circle_shift, "cost", lambda *a: asked.append(a) or cost(*a))
    for k in range(24):
        a = prepare(random_atoms(rng, UNIT, 60)).Q
        b = prepare(random_atoms(rng, UNIT) if k % 3 == 0 else density(rng, 7, UNIT, holes=0.4)).Q
        for mu, nu in ((a, b), (b, a)):
            asked.clear()
            C, at, used = circle_shift.best_shift(mu, nu, float(nu.slopes.min()))
            assert used == len(asked)
            assert cost(at, mu, nu)[0] == C
            for s in (-1e-3, -1e-6, 1e-6, 1e-3):
                assert circle_shift.cost_at(at + s, mu, nu)[0] >= C * (1 - 2e-15)
            looks.append(used)
    smooth, kinked = np.reshape(looks, (-1, 2)).mean(0)
    assert smooth < 7.3 and kinked < 20 and max(looks) < 31


def test_cyclic_shifts_and_what_they_rise_by():
    rng = np.random.default_rng(4)
    x, y = np.sort(rng.random((2, 7)), axis=1)
    ring = np.append(y, y[0] + 1)

    def C(j):
        return sum((x[i] - y[(i + j) % 7] - (i + j) // 7) ** 2 for i in range(7))

    for j in range(-15, 16):
        found = circle_equal.at_shift(j, x, ring)
        np.testing.assert_allclose(found, (C(j), C(j + 1) - C(j)), rtol=1e-12, atol=1e-13)
    assert circle_equal.best_cyclic(x, ring) == pytest.approx(min(map(C, range(-7, 8))) / 7)


@pytest.mark.parametrize("n", [300, 3000])
@pytest.mark.parametrize("spread", ["even", "bump", "shifted"])
def test_few_cyclic_shifts_are_looked_at(spread, n, monkeypatch):
    rng, looks = np.random.default_rng(5), []
    at_shift = circle_equal.at_shift

    def quick(j, x, y):
        looks.append(j)
        turns = np.concatenate([y[:n] - 1, y[:n], y[:n] + 1, y[:n] + 2])
        off = turns[n + j : 2 * n + j] - x
        gap = turns[n + j + 1 : 2 * n + j + 1] - turns[n + j : 2 * n + j]
        return (off * off).sum(), (gap * (gap + 2 * off)).sum()

    monkeypatch.setattr(circle_equal, "at_shift", quick)
    for k in range(12):
        x, y = np.sort(rng.random((2, n)), axis=1)
        if spread == "bump":
            x, y = (np.sort((0.3 + 0.05 * rng.normal(size=n)) % 1) for _ in range(2))
        if spread == "shifted":
            y = np.sort((x + rng.random()) % 1)
        ring = np.append(y, y[0] + 1)
        found = circle_equal.best_cyclic(x, ring)
        if k == 0:
            j = min(range(-n, n + 1), key=lambda j: quick(j, x, ring)[0])
            assert found == pytest.approx(at_shift(j, x, ring)[0] / n, rel=1e-12)
            del looks[-2 * n - 1 :]
    few = {"even": (51, 49), "bump": (63, 83), "shifted": (50, 51)}[spread]
    assert len(looks) < few[n == 3000]


def test_what_varies_least_with_mass_is_walked_first(monkeypatch):
    """Atoms before densities, and what has atoms or thick cells before what is thin: its gaps carry
    the derivative, so that Newton's method has the second one.
    """
    seen, best = [], circle_shift.best_shift
    monkeypatch.setattr(circle_shift, "best_shift", lambda *a: seen.append(a) or best(*a))
    atoms, rho, _ = (prepare(mu) for mu in measures(6))
    for pair in ((atoms, rho), (rho, atoms)):
        mf.metrics.w2_squared(*pair)
        mu, nu, curvature = seen.pop()
        assert mu is atoms.Q and nu is rho.Q and curvature == rho.Q.slopes.min() > 0
