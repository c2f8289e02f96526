"""Smooth torus losses cut to trigonometric polynomials: Bessel's coefficients, stated errors,
refusals.
"""

import numpy as np
import pytest
from scipy.special import iv

import meanfield as mf
from meanfield.cli import build, schema
from meanfield.cli.spec import read
from meanfield.games.formulas import truncation
from meanfield.games.formulas.expressions import expression
from meanfield.games.lowrank import LowRank
from meanfield.measures import Measure


def test_coefficients_are_bessels():
    """exp(cos t) = I_0(1) + 2 sum I_k(1) cos kt (Abramowitz and Stegun 9.6.34)."""
    game = expression("exp(cos(x - y))", truncate=1e-13)
    assert isinstance(game, LowRank)
    modes = game.bases[0].modes[:, 0].astype(int)
    J = len(modes)
    for j, k in enumerate(modes):
        np.testing.assert_allclose(game.C[j, j], iv(k, 1.0) * (2 if k else 1), rtol=0, atol=3e-16)
    assert 2 * iv(modes.max() + 1, 1.0) < 1e-13 * np.e and abs(game.C[:J, J:]).max() < 1e-15


@pytest.mark.parametrize(
    "text",
    ["exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)", "1/(2 + cos(x - y) + 0.5*sin(2*x))",
     "log(3 + cos(x)*sin(y + x))",
     "exp(0.1*sin(x1 + y2))*cos(x2 - y1)"],
)  # fmt: skip
@pytest.mark.parametrize("tolerance", [1e-4, 1e-12])
def test_the_stated_error_holds(text, tolerance):
    exact, short = expression(text), expression(text, truncate=tolerance)
    rng = np.random.default_rng(0)
    x, y = exact.X.sample(300, rng), exact.Y.sample(300, rng)
    loss = exact.loss(x, y)
    assert np.abs(short.loss(x, y) - loss).max() < short.answers["truncation"] + 2e-14
    assert short.answers["truncation"] <= tolerance * np.abs(loss).max() * 1.5
    nu = Measure(y, None, exact.Y)
    top = max(np.abs(b.modes).max() for b in short.bases)
    np.testing.assert_allclose(
        short.gradient(0, x, nu),
        exact.gradient(0, x, nu),
        rtol=0,
        atol=4 * top * short.answers["truncation"] + 1e-13,
    )


@pytest.mark.parametrize(
    "text",
    ["exp(cos(x - y))*(1 + 0.5*sin(32*x))", "exp(cos(x - y)) + 1.5*sin(64*x)*sin(y)",
     "exp(cos(x - y)) + 0.5*sin(32*x)*sin(y)", "exp(cos(x1)) + cos(x2 - y1 - y2)"],
)  # fmt: skip
def test_waves_as_short_as_the_cells_of_a_grid_are_seen(text):
    """Which look like others there, or like none; and axes of a grid as fine as they must be."""
    exact, short = expression(text), expression(text, truncate=1e-10)
    rng = np.random.default_rng(3)
    x, y = exact.X.sample(50, rng), exact.Y.sample(50, rng)
    gap = np.abs(short.loss(x, y) - exact.loss(x, y)).max()
    assert gap < short.answers["truncation"] + 2e-13 and short.answers["truncation"] < 1e-9


@pytest.mark.parametrize("sharp", [10_000, 20_000])
@pytest.mark.parametrize("players", ["xy", "yx"])
@pytest.mark.parametrize("other", ["cos({1})", "exp({2}*(cos({1} - 1) - 1))"])
def test_narrow_peaks_are_met_wherever_they_stand(sharp, players, other, monkeypatch):
    """A hundredth wide, a fortieth of the cells of the first grid, which most of them escape."""
    monkeypatch.setattr(truncation, "NODES", 256)  # finer grids are refused
    loss = "cos(x - y) + exp({2}*(cos({0} - {3}) - 1))*" + other
    for c in np.random.default_rng(1).uniform(0, 2 * np.pi, 30):
        with pytest.raises(ValueError, match="not resolved"):
            expression(loss.format(*players, sharp, c), truncate=1e-8)


def test_a_peak_that_is_resolved_is_right():
    text = "cos(x - y) + exp(1000*(cos(x-1.8)-1))*cos(y)"
    exact, short = expression(text), expression(text, truncate=1e-8)
    x = np.linspace(1.6, 2, 99)[:, None]
    gap = np.abs(short.loss(x, x) - exact.loss(x, x)).max()
    assert gap < short.answers["truncation"] + 1e-12 and short.answers["truncation"] < 2e-8
    with pytest.raises(ValueError, match="more than 400 modes"):
        expression(text.replace("1000", "10000"), truncate=1e-8)


def test_axes_are_refined_that_ask_for_it(monkeypatch):
    """One of four; all of them would pass the largest grid at once."""
    monkeypatch.setattr(truncation, "NODES", 16**3 * 128)
    text = "exp(0.1*sin(x1))*cos(y2) + cos(x2 - y1) + 0.1*cos(30*x2)*cos(y1)"
    exact, short = expression(text), expression(text, truncate=1e-4)
    assert np.abs(short.bases[0].modes).max(axis=0)[1] == 30
    rng = np.random.default_rng(4)
    x, y = exact.X.sample(50, rng), exact.Y.sample(50, rng)
    gap = np.abs(short.loss(x, y) - exact.loss(x, y)).max()
    assert gap < short.answers["truncation"] < 3e-4


@pytest.mark.parametrize("torus", [mf.Torus(1), mf.Torus(1, 3.0), mf.Torus(2), mf.Torus(3, 0.5)])
def test_points_are_spread_evenly_along_every_axis(torus):
    points = truncation._spread(torus, 4096, np.random.default_rng(0))
    assert points.shape == (4096, torus.d) and (points >= 0).all() and (points < torus.period).all()
    gaps = np.diff(
        np.sort(points, axis=0), axis=0, append=np.sort(points, axis=0)[:1] + torus.period
    )
    assert gaps.max() < 4 * torus.period / 4096


def test_a_coarser_tolerance_keeps_fewer_modes():
    sizes = [
        len(expression("1/(1.2 + cos(x - y))", truncate=t).bases[0].modes)
        for t in (1e-3, 1e-6, 1e-12)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_exact_polynomials_stay_exact():
    game = expression("cos(x - y) + 0.3*sin(2*x)", truncate=1e-3)
    assert "truncation" not in game.answers and set(game.C[game.C != 0].tolist()) <= {1.0, 0.3}


def test_periods_other_than_two_pi():
    torus = mf.Torus(1, 3.0)
    text = "exp(cos(2*pi*(x - y)/3))"
    exact, short = expression(text, torus, torus), expression(text, torus, torus, truncate=1e-12)
    x = np.linspace(0, 3, 40)[:, None]
    np.testing.assert_allclose(short.loss(x, x), exact.loss(x, x), rtol=0, atol=4e-12)


@pytest.mark.parametrize(
    "text, manifold, tolerance, message",
    [
        ("exp(x1*y1)", mf.Sphere(2), 1e-12, "two tori"),
        ("1/(1.0001 + cos(x - y))", None, 1e-12, "not resolved|more than"),
        ("exp(cos(x - y))", None, 0.0, "truncate"),
        ("exp(cos(x - y))", None, -1.0, "truncate"),
        ("cos(x - y)", None, -1.0, "truncate must be above 0"),
        ("cos(x - y)", None, np.nan, "truncate must be finite"),
        ("cos(x - y)", None, "zz", "truncate must be a number"),
    ],
)
def test_what_cannot_be_truncated_is_refused(text, manifold, tolerance, message):
    with pytest.raises((ValueError, TypeError), match=message):
        expression(text, manifold, manifold, truncate=tolerance)


def test_a_file_asks_for_it_by_its_key(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[game]\nexpression = "exp(a*cos(x - y))"\nconstants = {a = 1}\ntruncate = 1e-6'
    )
    game, same = (
        build.game(read(str(file), [])),
        expression("exp(a*cos(x - y))", a=1, truncate=1e-6),
    )
    assert isinstance(game, LowRank) and np.array_equal(game.C, same.C)
    with pytest.raises(schema.BadInput, match="game.truncate: truncate must be above 0"):
        build.game(read(str(file), ["game.truncate=-1"]))
