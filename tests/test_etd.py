"""Parts of ETDRK4 as Python runs them: coefficients, error bounds, tails and rungs, by formula."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import meanfield as mf
from meanfield.density import etd, stages
from meanfield.density.fourier import Galerkin
from tests.langevin_runs import CIRCLE, WAVY


@pytest.fixture(autouse=True)
def as_python(monkeypatch):
    """What the parts call is not compiled for Python."""
    monkeypatch.setattr(stages, "_phi", stages._phi.py_func)
    monkeypatch.setattr(stages, "separate", lambda: None)
    monkeypatch.setattr(etd, "larger", max)
    monkeypatch.setattr(etd, "smaller", min)
    for name in ("coefficients", "_spread", "_cached"):
        monkeypatch.setattr(etd, name, getattr(etd, name).py_func)


@pytest.mark.parametrize("h", [1.0, 0.3])
def test_coefficients_are_those_of_cox_and_matthews_to_rounding(h):
    """(Cox & Matthews 2002), eq. 26-29, by 60 digits."""
    lam = np.concatenate([[0.0], -(10.0 ** np.arange(-9, 5)), [-0.99, -1.0, -1.01, -1.99, -2.01]])
    out = np.empty((5, len(lam)))
    etd.coefficients(lam, h, out)
    with mpmath.workdps(60):
        for j, l in enumerate(lam):
            z, k = mpmath.mpf(h) * mpmath.mpf(l), mpmath.mpf(h)
            e = mpmath.exp(z)
            if z == 0:
                wanted = [1, k / 2, k / 6, k / 3, k / 6]
            else:
                wanted = [
                    mpmath.exp(z / 2), k * (mpmath.exp(z / 2) - 1) / z,
                    k * (-4 - z + e * (4 - 3 * z + z**2)) / z**3,
                    2 * k * (2 + z + e * (z - 2)) / z**3,
                    k * (-4 - 3 * z - z**2 + e * (4 - z)) / z**3,
                ]  # fmt: skip
            for found, exact in zip(out[:, j], wanted, strict=True):
                assert abs(mpmath.mpf(found) - exact) < 4e-15 * abs(exact) + 3e-16 * k


@pytest.mark.parametrize("s", [stages.STATE, stages.NEXT])
def test_a_step_is_judged_by_the_third_order_result_and_its_tail(s):
    """sqrt(norm sum (b3 (N(c) - N(u')))^2); the outer share of |re| + |im| where something stands;
    infinite for what is no probability measure.
    """
    rng, centre = np.random.default_rng(0), 2
    w, c = rng.standard_normal((stages.FLUX, 2, 11)), rng.random((5, 7))
    tail, nothing = (np.arange(7) > 4).astype(float), np.arange(7) == 3
    v, n5 = w[stages.NEXT - s][:, centre : centre + 7], w[stages.N5 - s]
    size = np.where(nothing, 0.0, np.abs(v).sum(axis=0))
    most = np.where(nothing, np.inf, 1.0001 * size)
    gaps = c[4] * (w[stages.N4] - n5)[:, :7]
    error, share = stages.judge.py_func(w, c, s, tail, most, 3.0, centre)
    assert error == pytest.approx((3.0 * (gaps**2).sum()) ** 0.5, rel=1e-14)
    assert share == pytest.approx(size[5:].sum() / size.sum(), rel=1e-14)
    few = np.where(np.arange(7) == 2, 0.999, 1.001) * most
    assert stages.judge.py_func(w, c, s, tail, few, 3.0, centre)[1] == np.inf
    v[0, 1] = np.nan
    assert stages.judge.py_func(w, c, s, tail, 9 * most, 3.0, centre)[1] == np.inf


def test_stages_are_those_of_etdrk4():
    """Of two numbers, from three drifts."""
    rng, centre = np.random.default_rng(1), 3
    w, c = rng.standard_normal((stages.FLUX, 2, 8)), rng.random((5, 2))
    u, n1, drifts = w[0][:, 3:5].copy(), w[1][:, :2].copy(), rng.standard_normal((3, 2, 2))
    E, Q, b1, b2, b3 = c

    d1, d2, d3 = drifts
    stages.begin.py_func(c, w[stages.STATE], w[stages.N1], w[stages.STAGE], centre)
    np.testing.assert_allclose(w[stages.STAGE][:, 3:5], E * u + Q * n1, rtol=1e-14)
    for i, j in np.ndindex(2, 2):
        rows = (w[k] for k in (stages.STATE, stages.N1, stages.STAGE_B, stages.NEXT))
        stages.use.py_func(c, *rows, i, j, centre + j, d1[i, j])
    np.testing.assert_allclose(w[stages.STAGE_B][:, 3:5], E * u + Q * d1, rtol=1e-13)
    w[stages.N4][:, :2] = d2
    rows = (w[k] for k in (stages.N1, stages.N4, stages.STAGE, stages.NEXT))
    stages.third.py_func(c, *rows, centre)
    wanted = E * (E * u + Q * n1) + Q * (2 * d2 - n1)
    np.testing.assert_allclose(w[stages.STAGE][:, 3:5], wanted, rtol=1e-13)
    w[stages.N4][:, :2] = d3
    stages.fourth.py_func(c, w[stages.N4], w[stages.NEXT], centre)
    end = E**2 * u + b1 * n1 + b2 * (d1 + d2) + b3 * d3
    np.testing.assert_allclose(w[stages.NEXT][:, 3:5], end, rtol=1e-13)


def test_the_next_rung_is_nine_tenths_of_what_the_tolerance_allows():
    """2^(r/4) at most, from a tenth to four times the step, and a rung met is met again."""
    for h in (1.0, 2.0**-7.25, 0.3):
        for ratio in (1e-9, 0.01, 0.5, 0.9**4 * 2.0, 0.9**4, 1.0, 3.0, 1e3, 1e9, np.inf):
            gain = min(max(0.9 / ratio**0.25 if ratio > 0 else np.inf, 0.1), 4.0)
            wanted = np.floor(4 * np.log2(h * gain) + 1e-9)
            assert etd._rung.py_func(h, ratio * 1e-6, 1e-6) == wanted
    assert etd._rung.py_func(1.0, 0.0, 1e-6) == 8
    assert etd._rung.py_func(2.0**-3, 0.9**4 * 1e-6, 1e-6) == -12


@pytest.mark.parametrize("tol", [1e-6, 1e-10])
def test_the_first_rung_is_a_careful_one(tol):
    """tol^(1/4) over the size of the larger drift; of the time to go where nothing drifts."""
    rng = np.random.default_rng(2)
    largest = np.array([1.0, np.inf, 1.0])
    players = [SimpleNamespace(level=range(3), largest=largest, norm=n) for n in (2.0, 3.0)]
    works = rng.standard_normal((2, stages.FLUX, 2, 5))
    rung = etd._first_rung(players, works, tol, 9.0)
    sizes = [
        (p.norm * (w[stages.N1][:, [0, 2]] ** 2).sum()) ** 0.5
        for p, w in zip(players, works, strict=True)
    ]
    assert rung == np.floor(4 * np.log2(tol**0.25 / max(sizes)))
    still = etd._first_rung(players, 0 * works, tol, 9.0)
    assert still == np.floor(4 * np.log2(tol**0.25 * 9.0))


def test_steps_are_met_again_and_kept_for_eight_sizes():
    """Coefficients of a step are looked up by its length, and the oldest of eight makes room."""
    laws = WAVY.laws(CIRCLE.X, CIRCLE.Y)
    made = Galerkin(CIRCLE, mf.Langevin((5.0, 3.0)), laws, (17, 19), step=0.1)
    x, y, _, _, cx, cy, levels, keys = made._held
    assert keys[-1] == 0.0 and cx is not cy
    lengths = [0.01 * k for k in range(1, 9)]
    slots = [etd._cached(h, (x, y), (cx, cy), levels, keys) for h in lengths]
    assert sorted(slots) == list(range(8))
    assert [etd._cached(h, (x, y), (cx, cy), levels, keys) for h in lengths] == slots
    again = etd._cached(0.5, (x, y), (cx, cy), levels, keys)
    assert again == slots[0]
    for player, c, slot, h in ((x, cx, again, 0.5), (y, cy, slots[1], 0.02)):
        wanted = np.empty((5, len(player.levels)))
        etd.coefficients(player.levels, h, wanted)
        np.testing.assert_array_equal(c[slot], wanted[:, player.level])
    assert (player.levels[player.level][made.bases[1].offsets] <= 0.0).all()
    assert not c[slot][:, np.isinf(player.levels[player.level])].any()


def test_players_alike_have_their_coefficients_in_common():
    made = Galerkin(CIRCLE, mf.Langevin(5.0), WAVY.laws(CIRCLE.X, CIRCLE.Y), (17, 17), step=0.1)
    x, y, _, _, cx, cy, levels, keys = made._held
    assert keys[-1] == 1.0 and cx is cy
    slot = etd._cached(0.5, (x, y), (cx, cy), levels, keys)
    wanted = np.empty((5, len(y.levels)))
    etd.coefficients(y.levels, 0.5, wanted)
    np.testing.assert_array_equal(cy[slot], wanted[:, y.level])
