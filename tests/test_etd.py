"""Parts of ETDRK4 as Python runs them: coefficients, error bounds, tails and rungs, by formula."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import meanfield as mf
from meanfield.density import etd
from meanfield.density.fourier import Galerkin
from tests.langevin_runs import CIRCLE, WAVY


@pytest.fixture(autouse=True)
def as_python(monkeypatch):
    """What the parts call is not compiled for Python."""
    for name in ("_phi", "coefficients", "_cached"):
        monkeypatch.setattr(etd, name, getattr(etd, name).py_func)
    monkeypatch.setattr(etd, "larger", max)
    monkeypatch.setattr(etd, "smaller", min)


@pytest.mark.parametrize("h", [1.0, 0.3])
def test_coefficients_are_those_of_cox_and_matthews_to_rounding(h):
    """(Cox & Matthews 2002), eq. 26-29, by 60 digits."""
    lam = np.concatenate([[0.0], -(10.0 ** np.arange(-9, 5)), [-0.99, -1.0, -1.01, -1.99, -2.01]])
    out = np.empty((6, len(lam)))
    etd.coefficients(lam, h, out)
    with mpmath.workdps(60):
        for j, l in enumerate(lam):
            z, k = mpmath.mpf(h) * mpmath.mpf(l), mpmath.mpf(h)
            e = mpmath.exp(z)
            if z == 0:
                wanted = [1, k / 2, 1, k / 6, k / 3, k / 6]
            else:
                wanted = [
                    mpmath.exp(z / 2), k * (mpmath.exp(z / 2) - 1) / z, e,
                    k * (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
                    2 * k * (2 + z + e * (z - 2)) / z**3,
                    k * (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
                ]  # fmt: skip
            for found, exact in zip(out[:, j], wanted, strict=True):
                assert abs(mpmath.mpf(found) - exact) < 4e-15 * abs(exact) + 3e-16 * k


@pytest.mark.parametrize("s", [0, 7])
def test_errors_are_the_l1_bound_of_the_distance_to_third_order(s):
    """sqrt(norm sum (b3 (N(c) - N(u_next)))^2) over the numbers in use; sizes likewise."""
    rng = np.random.default_rng(0)
    w, b3 = rng.standard_normal((etd.ROWS, 2, 9)), rng.random(6)
    player = SimpleNamespace(norm=3.0, size=6)
    following = w[{0: etd.N5, 7: etd.N1}[s]]
    gaps = b3 * (w[etd.N4] - following)[:, :6]
    found = etd._error.py_func(player, w, b3, s)
    assert found == pytest.approx((3.0 * (gaps**2).sum()) ** 0.5, rel=1e-14)
    size = (3.0 * (w[etd.N4][:, :6] ** 2).sum()) ** 0.5
    assert etd._size.py_func(w[etd.N4], 6, 3.0) == pytest.approx(size, rel=1e-14)


@pytest.mark.parametrize("parts", [1, 2])
def test_tails_are_watched_and_what_is_no_probability_measure(parts):
    rng = np.random.default_rng(1)
    v, n, centre = rng.standard_normal((parts, 12)), 7, 3
    tail = (np.arange(n) > 4).astype(float)
    size = np.abs(v[:, centre : centre + n]).sum(axis=0)
    share = size[5:].sum() / size.sum()
    for most, good in (
        (size * 1.0001, True),
        (np.where(np.arange(n) == 2, 0.999, 1.001) * size, False),
    ):
        found = etd._watch.py_func(v, tail, most, n, centre)
        assert found == (pytest.approx(share, rel=1e-14) if good else np.inf)
    v[0, centre + 1] = np.nan
    assert etd._watch.py_func(v, tail, 9 * size, n, centre) == np.inf


def test_the_next_rung_is_nine_tenths_of_what_the_tolerance_allows():
    """2^(r/4) at most, from a tenth to four times the step, and a rung met is met again."""
    for h in (1.0, 2.0**-7.25, 0.3):
        for ratio in (1e-9, 0.01, 0.5, 0.9**4 * 2.0, 0.9**4, 1.0, 3.0, 1e3, 1e9, np.inf):
            gain = min(max(0.9 / ratio**0.25 if ratio > 0 else np.inf, 0.1), 4.0)
            wanted = np.floor(4 * np.log2(h * gain) + 1e-9)
            assert etd._rung.py_func(h, ratio * 1e-6, 1e-6) == wanted
    assert etd._rung.py_func(1.0, 0.0, 1e-6) == 8
    assert etd._rung.py_func(2.0**-3, 0.9**4 * 1e-6, 1e-6) == -12


def first_rung(made, tol):
    """Of a run over time 9, from the drifts at the start."""
    etd._rhs.py_func((), *made._compiled[:4], etd.STATE, etd.N1)
    return etd._first_rung.py_func(*made._compiled[:4], tol, 9.0)


@pytest.mark.parametrize("tol", [1e-6, 1e-10])
def test_the_first_rung_is_a_careful_one(tol):
    """tol^(1/4) over the size of the larger drift; of the time to go where nothing drifts."""
    made = Galerkin(CIRCLE, mf.Langevin((5.0, 3.0), (1.0, 0.02)), WAVY.laws(CIRCLE.X, CIRCLE.Y),
                    (33, 33), tol=tol)  # fmt: skip
    rung = first_rung(made, tol)
    drifts = [(2 * (w[etd.N1] ** 2).sum()) ** 0.5 for w in made._works]
    assert max(drifts) > 1.5 * min(drifts) > 0
    assert rung == np.floor(4 * np.log2(tol**0.25 / max(drifts)))
    still = mf.games.free()
    made = Galerkin(still, mf.Langevin(5.0), WAVY.laws(still.X, still.Y), (33, 33), tol=tol)
    assert first_rung(made, tol) == np.floor(4 * np.log2(tol**0.25 * 9.0))


def test_steps_are_met_again_and_kept_for_eight_sizes():
    """Coefficients of a step are looked up by its length, and the oldest of eight makes room."""
    made = Galerkin(CIRCLE, mf.Langevin(5.0), WAVY.laws(CIRCLE.X, CIRCLE.Y), (17, 19), step=0.1)
    x, y, _, _, cx, cy, keys = made._compiled
    wanted, lengths = np.empty((6, len(x.lam))), [0.01 * k for k in range(1, 9)]
    slots = [etd._cached(h, (x, y), (cx, cy), keys) for h in lengths]
    assert sorted(slots) == list(range(8))
    assert [etd._cached(h, (x, y), (cx, cy), keys) for h in lengths] == slots
    again = etd._cached(0.5, (x, y), (cx, cy), keys)
    assert again == slots[0]
    etd.coefficients(x.lam, 0.5, wanted)
    np.testing.assert_array_equal(cx[again], wanted)
    etd.coefficients(y.lam, 0.02, wide := np.empty((6, len(y.lam))))
    np.testing.assert_array_equal(cy[slots[1]], wide)
