"""Parts of games: what is checked of functions and where, sums in blocks, sizes of constants, and
truncated losses, each against its definition.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.games import functions, lowrank, pairwise
from meanfield.games.formulas import truncation
from meanfield.games.formulas.expressions import expression
from meanfield.games.pairwise import apart

T1, S2 = mf.Torus(1), mf.Sphere(2)
WIDE = mf.Torus(1, 3.0)
EPS = 2.0**-52


def probes(X, Y):
    """The points that functions are tried at."""
    rng = np.random.default_rng(0)
    return X.sample(5, rng), Y.sample(3, rng)


def wave(x, y):
    return np.cos(2 * np.pi * x[..., 0] / 3 - y[..., 0]) + 0.2 * np.sin(y[..., 1])


@pytest.mark.parametrize("p", [0, 1])
def test_losses_may_miss_their_period_by_rounding_only(p):
    """1e-9 of the range of the loss at a few points, and 64 units of its size."""
    Y = mf.Torus(2)
    x, y = probes(WIDE, Y)

    def drifting(slope):
        return lambda x, y: (
            np.cos(2 * np.pi * x[..., 0] / 3 - y[..., 0]) + slope * (x, y)[p][..., 0]
        )

    allowed = 1e-9 * np.ptp(drifting(0.0)(x[:, None], y[None])) / (3.0, 2 * np.pi)[p]
    mf.games.function(drifting(0.98 * allowed), WIDE, Y)
    with pytest.raises(ValueError, match=f"changes when {'xy'[p]} moves by the period"):
        mf.games.function(drifting(1.02 * allowed), WIDE, Y)
    big = lambda x, y: drifting(1.5 * allowed)(x, y) + 1e6  # noqa: E731
    mf.games.function(big, WIDE, Y)


@pytest.mark.parametrize("p", [0, 1])
def test_gradients_may_differ_from_differences_by_a_little_only(p):
    """1e-5 of one and the largest difference; gradients are projected on the tangents first."""
    loss = lambda x, y: np.cos(2 * np.pi * x[..., 0] / 3) * y[..., 0] + 3 * y[..., 1]  # noqa: E731

    def slopes(x, y, off):
        u = 2 * np.pi * x[..., :1] / 3
        if p == 0:
            return -2 * np.pi / 3 * np.sin(u) * y[..., :1] + off
        g = np.concatenate(
            [np.cos(u) + 0 * y[..., :1], 3 + 0 * u * y[..., :1], 0 * u * y[..., :1]], 2
        )
        normal = 0.7 * np.broadcast_to(y, g.shape)  # off the tangent space: projected away
        return g + normal + off * tangent(y)

    def tangent(y):
        return np.cross(y, [0.0, 0.0, 1.0]) / np.linalg.norm(
            np.cross(y, [0.0, 0.0, 1.0]), axis=-1, keepdims=True
        )

    x, y = probes(WIDE, S2)
    exact = slopes(x[:, None], y[None], 0.0)
    if p == 1:
        exact = exact - (exact * y).sum(2, keepdims=True) * y
    allowed = 1e-5 * (1 + np.abs(exact).max())
    size = 1.0 if p == 0 else float(np.abs(tangent(y)).max())
    name = f"gradient_{'xy'[p]}"
    for share in (0.97, 1.03):
        made = {name: lambda x, y, share=share: slopes(x, y, share * allowed / size)}
        if share < 1:
            mf.games.function(loss, WIDE, S2, **made)
            continue
        with pytest.raises(ValueError, match=f"{name} .* differs from differences"):
            mf.games.function(loss, WIDE, S2, **made)


@pytest.mark.parametrize("p", [0, 1])
def test_curvatures_are_bounds_to_four_digits(p):
    loss = lambda x, y: np.cos(2 * np.pi * x[..., 0] / 3) + 0.5 * np.sin(2 * y[..., 0])  # noqa: E731
    x, y = probes(WIDE, T1)
    found = (2 * np.pi / 3) ** 2 * np.abs(np.cos(2 * np.pi * x / 3)).max() if p == 0 else 2 * (
        np.abs(np.sin(2 * y)).max())  # fmt: skip
    other = (99.0, 99.0)
    for share, good in ((1 - 0.6e-4, True), (1 - 1.6e-4, False)):
        both = (share * found, other[1]) if p == 0 else (other[0], share * found)
        if good:
            assert mf.games.function(loss, WIDE, T1, curvature=both).curvature == both
            continue
        with pytest.raises(ValueError, match=f"no bound for {'xy'[p]}"):
            mf.games.function(loss, WIDE, T1, curvature=both)


@pytest.mark.parametrize("p", [0, 1])
def test_differences_along_frames_are_of_fourth_order(p, monkeypatch):
    """Steps of 0.02, at which rounding does not count: what is missed falls by 16."""
    game = mf.games.function(lambda x, y: np.sin(2 * x[..., 0]) * y[..., 0] * y[..., 1], T1, S2)
    rng, missed = np.random.default_rng(p), []
    x, y = T1.sample(6, rng), S2.sample(4, rng)
    exact = mf.games.expression("sin(2*x)*y1*y2", T1, S2)
    ones = [mf.Measure(point[None], None, (T1, S2)[1 - p]) for point in (y, x)[p]]
    sign, own = (1, -1)[p], (x, y)[p]
    slope = np.stack([sign * exact.gradient(p, own, one) for one in ones], 1 - p)
    bend = np.stack([sign * exact.laplacian(p, own, one) for one in ones], 1 - p)
    for h in (0.04, 0.02):
        monkeypatch.setattr(functions, "FIRST", h)
        monkeypatch.setattr(functions, "SECOND", h)
        missed.append((np.abs(game._differences(p, x, y) - slope).max(),
                       np.abs(game.pair_laplacian(p, x, y) - bend).max()))  # fmt: skip
    np.testing.assert_allclose(np.log2(np.divide(*missed)), 4, atol=0.1)
    assert max(missed[1]) < 1e-5


def test_sums_over_pairs_are_the_same_in_blocks(monkeypatch):
    game = mf.games.function(wave, WIDE, mf.Torus(2))
    rng = np.random.default_rng(4)
    w = rng.random(5)
    for p in (0, 1):
        M, other = game.manifolds[p], game.manifolds[1 - p]
        points, mu = M.sample(7, rng), mf.Measure(other.sample(5, rng), w / w.sum(), other)
        whole = [f(p, points, mu) for f in (game.cost, game.gradient, game.laplacian)]
        for pairs in (1, 10, 11, 35):
            monkeypatch.setattr(pairwise, "PAIRS", pairs)
            parts = [f(p, points, mu) for f in (game.cost, game.gradient, game.laplacian)]
            for a, b in zip(whole, parts, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
        cost, slope = game.forces(p, points, mu.points, mu.masses)
        np.testing.assert_allclose(cost, whole[0], rtol=1e-14)
        np.testing.assert_allclose(slope, whole[1], rtol=1e-14)
        assert game.gradient(p, points[:0], mu).shape == (0, M.ambient)


def test_blocks_hold_as_many_pairs_as_stated(monkeypatch):
    game, seen = mf.games.function(wave, WIDE, mf.Torus(2)), []
    mu = mf.uniform(mf.Torus(1, 3.0))
    monkeypatch.setattr(pairwise, "PAIRS", 1024)
    moving = game.moving_loss
    monkeypatch.setattr(game, "moving_loss", lambda x, y: seen.append(len(y)) or moving(x, y))
    game.cost(1, game.Y.sample(11, np.random.default_rng(5)), mu)
    assert seen == [4, 4, 3] and len(mu) == 256


def test_constants_are_kept_apart_where_they_take_two_digits():
    def at(low, high):
        return apart("it", np.array([low, 0.3 * low + 0.7 * high, high]))

    assert at(98.9, 99.9) == (0.0, 0.0)
    assert at(99.1, 100.1) == (pytest.approx(99.6), pytest.approx(EPS * 100.1, rel=1e-12))
    middle, left = at(-1000.5, -1000.0)
    assert (middle, left) == (-1000.25, pytest.approx(EPS * 1000.5, rel=1e-12))
    assert at(0.9e9, 0.9e9 + 1)[0] == 0.9e9 + 0.5
    with pytest.warns(UnderResolved, match=r"about 1.1e\+09 and varies by 1: .* 6 are left"):
        at(1.1e9 - 1, 1.1e9)
    with pytest.warns(UnderResolved, match=r"varies by 0: of its digits 0 are left"):
        at(5.0, 5.0)


def test_features_of_many_points_are_summed_in_chunks(monkeypatch):
    game = mf.games.oscillator()
    rng = np.random.default_rng(6)
    points, masses = T1.sample(11, rng), rng.random(11)
    nu = mf.Measure(points, masses / masses.sum(), T1)
    whole = (
        game.moments(0, points, masses), game.cost(1, points, nu), game.gradient(1, points, nu)
    )  # fmt: skip
    monkeypatch.setattr(lowrank, "CHUNK", 4)
    parts = game.moments(0, points, masses), game.cost(1, points, nu), game.gradient(1, points, nu)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    assert [len(q) for q in lowrank._chunks(points)] == [4, 4, 3]
    assert [len(q) for q in lowrank._chunks(points[:0])] == [0]


TEXT = "exp(0.9*cos(x - 2*y)) + 0.3*sin(2*x + y)*cos(y)"


@pytest.mark.parametrize("bound", [1e-2, 1e-5])
def test_as_many_modes_are_left_out_as_the_bound_allows(bound):
    """The smallest ones, in pairs, while they sum to 0.9 of the bound; of a grid on which the outer
    half of the modes holds a twentieth of it at most.
    """
    exact, short = expression(TEXT), expression(TEXT, truncate=bound)
    for n in (16, 32, 64):
        axis = 2 * np.pi * np.arange(n)[:, None] / n
        values = exact.loss(axis, axis)
        c, size = np.fft.fft2(values) / n**2, np.abs(values).max()
        k = np.abs(np.fft.fftfreq(n, 1 / n))
        outer = np.abs(c[np.maximum(*np.meshgrid(k, k)) >= n // 4]).sum()
        if outer <= bound * size / 20:
            break
    sizes = np.sort(np.abs(c).ravel())
    count = (np.cumsum(sizes) <= 0.9 * bound * size - 2 * outer).sum() // 2 * 2
    gone = sizes[sizes < (1 - 1e-6) * sizes[count]]
    assert short.answers["truncation"] == pytest.approx(gone.sum() + 2 * outer, rel=1e-6)
    kept = sum(2 if any(m) else 1 for m in modes_of(short))
    assert kept == n * n - len(gone) < 40


def modes_of(game):
    """Pairs k, l of a low-rank game's waves, k for +-k."""
    found = set()
    one, two = (basis.modes[:, 0].astype(int) for basis in game.bases)
    J, L = len(one), len(two)
    for i, k in enumerate(one):
        for j, l in enumerate(two):
            a, b = game.C[i, j], game.C[J + i, L + j]
            c, d = game.C[J + i, j], game.C[i, L + j]
            # cos(k x + l y) has -1 of sin sin, cos(k x - l y) has +1.
            for sign, wave in ((1, (a - b, c + d)), (-1, (a + b, c - d))):
                if np.hypot(*wave) > 1e-13:
                    found.add((int(k), sign * int(l)) if k else (0, abs(int(l))))
    return found


def test_grids_grow_until_they_hold_a_loss_and_no_further(monkeypatch):
    seen = []
    grid = truncation._grid
    monkeypatch.setattr(truncation, "_grid", lambda M, n: seen.extend(n) or grid(M, n))
    expression("exp(cos(x - y))", truncate=1e-8)
    assert seen == [16, 16, 32, 32] or seen == [16, 16, 32, 32, 64, 64]
    monkeypatch.setattr(truncation, "NODES", 32**2)
    seen.clear()
    with pytest.raises(ValueError, match="not resolved to truncate=1e-12 by 32x32 points"):
        expression("1/(1.1 + cos(x - y))", truncate=1e-12)
    assert seen == [16, 16, 32, 32]
    monkeypatch.setattr(truncation, "MODES", 5)
    with pytest.raises(ValueError, match="more than 5 modes a player"):
        expression("exp(cos(x - y))", truncate=1e-5)
    monkeypatch.setattr(truncation, "MODES", 40)
    assert len(expression("exp(cos(x - y))", truncate=1e-5).bases[0].modes) <= 9


def test_numbers_of_modes_are_limited():
    limit = 10**9
    mf.games.trigonometric([((limit,), (-limit,), 1.0, 0.0)])
    for k in (-limit - 1, limit + 1):
        with pytest.raises(ValueError, match="mode"):
            mf.games.trigonometric([((k,), (1,), 1.0, 0.0)])
    with pytest.raises(ValueError, match="dimension 2 or more"):
        mf.games.polynomial_from(0, [[1.0], [2.0]], 0, 0, 0, 0)
    assert mf.Sphere(1) == mf.games.polynomial_from(0, np.eye(2), 0, 0, 0, 0).X
    assert mf.Sphere(1) == mf.games.polynomial("a", dim=2).X


def recognised(text, *spaces):
    return isinstance(mf.games.expression(text, *spaces), lowrank.LowRank)


def test_waves_are_recognised_up_to_rounding_and_ten_thousand_turns():
    assert recognised("cos(9999*x - y)") and not recognised("cos(10000*x - y)")
    assert recognised("cos(1.0000000000009*x - y)")
    assert not recognised("cos(1.000000000002*x - y)")
    wave = mf.games.expression("sin(2*pi*x/3 - 2*y + 0.7)", WIDE, T1)
    x, y = WIDE.sample(5, np.random.default_rng(0)), T1.sample(4, np.random.default_rng(1))
    exact = np.sin(2 * np.pi * x / 3 - 2 * y.T + 0.7)
    np.testing.assert_allclose(wave.loss(x, y), exact, atol=1e-14)


def test_what_cancels_to_rounding_leaves_no_feature():
    left = mf.games.expression("cos(x - y) + (sin(x) + cos(3*x))**2 - sin(x)**2 - cos(3*x)**2 "
                               "- sin(4*x) + sin(2*x)")  # fmt: skip
    assert set(map(tuple, left.bases[0].modes)) == {(0.0,), (1.0,)}
    for size, kept in (("1e-15", False), ("1e-14", True)):
        game = mf.games.expression(f"cos(x - y) + (1 + {size})*cos(2*x) - cos(2*x)")
        assert ((2.0,) in set(map(tuple, game.bases[0].modes))) == kept


def test_expansions_stop_at_their_sizes(monkeypatch):
    from meanfield.games.formulas import expansion

    text = "cos(x)*cos(y) + 0.5*cos(2*x)"  # products of 2 x 2 waves, of 1 x 2 and of 1 x 1
    for budget, small in ((6, False), (7, True)):
        monkeypatch.setattr(expansion, "PRODUCTS", budget)
        assert recognised(text) == small
    monkeypatch.undo()
    for most, small in ((2, False), (3, True)):  # modes 0, 1 and 2
        monkeypatch.setattr(expansion, "FEATURES", most)
        assert recognised(text) == small


def test_powers_and_products_of_coordinates_are_recognised_up_to_one_form():
    for text, low in (
        ("x1*y2 + x1**2*y3 + 0.5*x2**2*y1**2", True), ("2*x1*x2 + x1*x3 + y1*y2 + y3", True),
        ("x1*x2*y1", False), ("x1**2*x2*y1 + y2", False), ("x1**3 + y1", False),
        ("(x1 + 2*x2)**2/3 + y1 - y2*y3/7", True), ("x1*(y1 + y2)**2", False),
    ):  # fmt: skip
        game = mf.games.expression(text, S2, S2)
        assert isinstance(game, lowrank.LowRank) == low
        if low:
            x, y = S2.sample(5, np.random.default_rng(2)), S2.sample(4, np.random.default_rng(3))
            names = {f"x{k + 1}": x[:, None, k] for k in range(3)}
            names |= {f"y{k + 1}": y[None, :, k] for k in range(3)}
            exact = eval(text, {"__builtins__": {}}, names)
            np.testing.assert_allclose(game.loss(x, y), exact, atol=1e-14)
