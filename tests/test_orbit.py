"""Periodic solutions of (7), held against an integration of the Fourier modes by scipy."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import meanfield as mf
from meanfield.cli.show import draw
from meanfield.describe import same_result
from meanfield.equilibria import returns

# Both sides have the same 31 modes, which leave an error of 1e-5 in the densities.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")

BETA, K = 13.0, 31  # modes of the independent integration
GAME = mf.games.oscillator(3.0)
START = GAME.answers["start"]


@pytest.fixture(scope="module")
def cycle():
    return mf.orbit(GAME, mf.Langevin(BETA), START, settle=30.0, cells=64, count=4)


@pytest.fixture(scope="module")
def begun(cycle):
    """A stable orbit from which a branch begins."""
    return mf.orbit(GAME, mf.Langevin(11.3), cycle, count=3)


def follow(begun, family=lambda beta: (GAME, mf.Langevin(beta)), **options):
    """From the stable orbit at beta = 11.3 through the fold."""
    how = {"step": -0.15, "name": "beta", "progress": False, **options}
    return mf.branch(family, begun, 11.3, (11.0, 11.45), **how)


@pytest.fixture(scope="module")
def branch(begun):
    return follow(begun)


def modes(mu):
    """int exp(-ikx) dmu for k = 0 to K."""
    return np.array([mu.masses @ np.exp(-1j * k * mu.points[:, 0]) for k in range(K + 1)])


def oscillator(sign, opponent):
    """U_m for m = 1, 2 of l = -(2/3)(cos x - cos y) + (5/12)(cos 2x - cos 2y) + 3 sin x sin y, from
    the loss as text.
    """
    sine = -opponent[1].imag  # E sin of the opponent
    # Both have the same wells; the coupling is what one gains and the other loses.
    return {1: complex(-1 / 3, -sign * 1.5 * sine), 2: 5 / 24}


def three_terms(sign, opponent):
    """The same of l = cos 2x - cos 2y + 8 cos(x - y)."""
    return {1: sign * 4 * opponent[1], 2: 0.5}


def velocity(beta, z, costs=oscillator):
    """The right-hand side of (7) for the modes z (2, K + 1) of both players."""
    k, moved = np.arange(-K, K + 1), []
    for p, sign in ((0, 1.0), (1, -1.0)):
        U = costs(sign, z[1 - p])
        full = np.concatenate([z[p, :0:-1].conj(), z[p]])
        drift = np.zeros(2 * K + 1, dtype=complex)
        for m, c in [*U.items(), *((-m, np.conj(c)) for m, c in U.items())]:
            shifted = np.zeros_like(full)
            inside = np.abs(k - m) <= K
            shifted[inside] = full[k[inside] - m + K]
            drift -= k * m * c * shifted
        moved.append((drift - k**2 / beta * full)[K:])
    return np.array(moved)


def integrated(beta, z, time, costs=oscillator):
    """The modes after a time, by scipy."""

    def right(_, v):
        return velocity(beta, v.view(complex).reshape(2, K + 1), costs).ravel().view(float)

    how = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-12}
    found = solve_ivp(right, (0, time), z.ravel().view(float), **how)
    return found.y[:, -1].copy().view(complex).reshape(2, K + 1)


def first(orbit):
    return np.array([modes(orbit.x[0]), modes(orbit.y[0])])


def test_an_orbit_comes_back_after_its_period_and_not_before(cycle):
    z, T = first(cycle), cycle.period
    assert cycle.stable and cycle.residual <= 1e-11 and cycle.period_error < 1e-11
    back = integrated(BETA, z, T)
    assert np.abs(back - z).max() < 1e-8
    # The phase that is left over says by how much the period is off.
    along = velocity(BETA, z)
    late = np.vdot(along, back - z).real / np.vdot(along, along).real
    assert abs(late) < 2e-9


def test_a_game_of_three_terms_has_a_cycle():
    """l = cos 2x - cos 2y + 8 cos(x - y), the simplest that is known."""
    terms = [((2,), (0,), 1, 0), ((0,), (2,), -1, 0), ((1,), (-1,), 8, 0)]
    start = mf.Start(x=mf.concentrated(1.0, 0.3), y=mf.concentrated(0.0, 0.3))
    game = mf.games.trigonometric(terms)
    cycle = mf.orbit(game, mf.Langevin(5.0), start, settle=20.0, cells=64, count=2)
    back = integrated(5.0, first(cycle), cycle.period, three_terms)
    assert cycle.stable and cycle.size > 0.3 and np.abs(back - first(cycle)).max() < 1e-8


def test_the_multipliers_are_those_of_the_linearised_equation(cycle):
    """A perturbation is integrated beside the orbit: after some periods it has nothing left of
    faster modes, and shrinks by the leading multiplier.
    """
    z, T = first(cycle), cycle.period
    lead = cycle.others[0].real
    start = z.copy()
    start[0, 1] += 1e-3j
    start[1, 2] += 1e-3
    sizes = []
    for _ in range(6):
        start, before = integrated(BETA, start, T), start
        # What is left across the orbit; the part along it stays.
        sizes.append(start - before)
    ratio = [np.vdot(b, a).real / np.vdot(b, b).real for b, a in pairwise(sizes)]
    assert ratio[-1] == pytest.approx(lead, rel=2e-3)
    assert abs(cycle.multipliers - 1).min() < 1e-7


def test_a_branch_turns_back_at_a_fold(branch):
    ((value, period),) = branch.folds
    assert value == pytest.approx(11.1274566, abs=2e-6)
    assert branch.stable[0] and not branch.stable[-1]
    assert "leaves the range" in branch.end
    assert branch.values[-1] == pytest.approx(11.45, abs=1e-12)
    assert all(author in branch.cite() for author in ("Keller", "Cox", "Kassam"))
    assert (np.diff(branch.periods) > 0).all() and branch.periods[0] < period


def test_sizes_say_how_far_orbits_go(branch):
    """From the first state, at eighths of the period."""
    begin = z = np.array([modes(branch.x[0]), modes(branch.y[0])])
    far = []
    for _ in range(7):
        z = integrated(branch.values[0], z, branch.periods[0] / 8)
        far.append(np.linalg.norm(z - begin))
    assert branch.sizes[0] == pytest.approx(max(far), rel=1e-5)


def test_an_unstable_orbit_is_found_from_the_branch(branch):
    k = len(branch.values) - 1
    near, beta = mf.Start(x=branch.x[k], y=branch.y[k]), 11.4
    found = mf.orbit(GAME, mf.Langevin(beta), near, period=branch.periods[k], cells=64, count=3)
    assert not found.stable and np.abs(found.others[0]) > 1.2
    assert np.abs(integrated(beta, first(found), found.period) - first(found)).max() < 1e-7


def test_a_game_of_one_coordinate_has_the_same_orbit_on_the_torus(cycle):
    terms = [((a, 0), (b, 0), c, s) for a, b, c, s in (
        (1, 0, -2 / 3, 0.0), (2, 0, 5 / 12, 0.0), (0, 1, 2 / 3, 0.0), (0, 2, -5 / 12, 0.0),
        (1, -1, 1.5, 0.0), (1, 1, -1.5, 0.0))]  # fmt: skip
    flat = mf.games.trigonometric(terms)
    law = [mf.Density(np.repeat(mu.masses / 4, 4), mf.mesh(mf.Torus(2), (64, 4)))
           for mu in (cycle.x[0], cycle.y[0])]  # fmt: skip
    near = mf.Start(x=law[0], y=law[1])
    flow, how = mf.Langevin(BETA), {"period": cycle.period, "cells": ((64, 4), (64, 4)), "count": 3}
    found = mf.orbit(flat, flow, near, tol=1e-10, **how)
    assert found.period == pytest.approx(cycle.period, abs=1e-9)
    # cos and sin of the other coordinate diffuse, and nothing else happens to them.
    decay = np.exp(-found.period / BETA)
    assert np.abs(found.multipliers) == pytest.approx([1, decay, decay], abs=1e-7)


def test_orbits_are_kept_whole(cycle, branch, tmp_path):
    for k, found in enumerate((cycle, branch)):
        again = mf.load(found.save(tmp_path / f"{k}.h5"))
        assert repr(again) == repr(found)
        assert (again.x[-1].masses == found.x[-1].masses).all()
        assert draw(found).axes
    assert (mf.load(tmp_path / "0.h5").multipliers == cycle.multipliers).all()
    rows = branch.to_csv(tmp_path / "branch.csv").read_text().split()
    assert rows[0] == "beta,period,size,stable" and rows[1].endswith(",True")


def test_what_has_no_orbit_is_told(cycle):
    flow = mf.Langevin(BETA)
    with pytest.raises(mf.NotConverged, match="does not move"):
        mf.orbit(GAME, mf.Langevin(2.0), START, settle=60.0, cells=32)
    with pytest.raises(ValueError, match="Fourier modes or spherical harmonics"):
        mf.orbit(mf.games.expression("exp(cos(x - y))"), flow, mf.Start())
    with pytest.raises(ValueError, match="Fourier modes or spherical harmonics"):
        mf.orbit(GAME, mf.WassersteinFisherRao(), START)
    with pytest.raises(TypeError, match="near must be"):
        mf.orbit(GAME, flow, 3.0)
    with pytest.raises(ValueError, match="count"):  # one alone is no sign of stability
        mf.orbit(GAME, flow, cycle, count=1)
    with pytest.raises(ValueError, match="outside the range"):
        mf.branch(lambda beta: (GAME, mf.Langevin(beta)), cycle, BETA, (1.0, 2.0))
    with pytest.raises(TypeError, match="near must be"):
        mf.branch(lambda beta: (GAME, mf.Langevin(beta)), START, BETA, (1.0, 20.0))


def test_a_stopped_branch_goes_on_from_its_file(begun, branch, tmp_path):
    asked = []

    def family(beta):
        asked.append(beta)
        if len(asked) == 22:
            raise KeyboardInterrupt
        return GAME, mf.Langevin(beta)

    how = {"checkpoint": tmp_path / "branch.h5", "checkpoint_every": 0, "points": 3}
    with pytest.raises(KeyboardInterrupt):
        follow(begun, family, **how)
    held = mf.load(how["checkpoint"])
    assert held.end == "not finished" and len(held.values) == 2
    found = follow(begun, family, **how)
    for name in ("values", "periods", "sizes", "multipliers"):
        np.testing.assert_array_equal(getattr(found, name), getattr(branch, name)[:3])
    assert same_result(mf.load(how["checkpoint"]), found)
    with pytest.raises(ValueError, match="holds another run"):
        follow(begun, **{**how, "points": 4})


@pytest.mark.parametrize(("left", "stands"), [(20.0, True), (40.0, False)])
def test_newtons_method_that_gains_nothing_counts_at_rounding_alone(monkeypatch, left, stands):
    """A step that lessens nothing ends it: within 30 tol that is rounding, beyond it is told."""
    tol, u = 1e-10, np.array([0.1, 4.0, 0.0])
    monkeypatch.setattr(returns, "equations", lambda *_: np.array([left * tol, 0.0, 0.0]))
    monkeypatch.setattr(returns, "solve_linear", lambda *_: np.zeros(3))
    solve = partial(returns.newton, lambda p: None, u, np.eye(2, 3), np.zeros(2), tol, 0.0)
    if stands:
        found, size = solve()
        assert np.array_equal(found, u) and size == pytest.approx(left * tol)
    else:
        with pytest.raises(mf.NotConverged, match="begin nearer"):
            solve()
