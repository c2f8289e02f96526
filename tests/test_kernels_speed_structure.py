"""What the kernels' speed rests on: vectors in machine code, and shortcuts that change nothing."""

import mpmath
import numpy as np
import pytest
from numba import njit

import meanfield as mf
from meanfield.games.formulas.expressions import expression
from meanfield.games.formulas.loops import TOGETHER
from meanfield.games.lowrank import polynomial, trigonometric
from meanfield.particles import noise
from meanfield.particles.looks import modes as kept_features
from meanfield.particles.looks.compiled import march
from meanfield.particles.looks.features import features
from meanfield.particles.looks.ladder import add_powers, on_circle, series
from meanfield.particles.looks.modes import modes as by_modes
from meanfield.particles.players import LANES, midpoint
from meanfield.particles.simd.product import TILE, apply, product
from meanfield.particles.state import place, player, shape
from meanfield.registers import SCALABLE
from tests.vectors import arithmetic, needs_vectors, use_fresh_kernels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    use_fresh_kernels(patch, tmp_path_factory.mktemp("cache"))
    yield
    patch.undo()


@needs_vectors
def test_normals_are_drawn_in_vectors():
    @njit(fastmath=False, error_model="numpy")
    def fresh(out, key):
        noise.fill((), out, 64, 0, 0, 0, 0, key, 1)

    fresh(np.empty((1, 64)), np.uint64(1))
    assert arithmetic(fresh)[0] > 40


@needs_vectors
@pytest.mark.parametrize(
    "text",
    [
        "exp(cos(x - y))",
        "log(2 + cos(x - y))*exp(sin(x))",
        "1/(2.6 + cos(x - y) + 0.5*sin(2*x))",
        "(2 + cos(x - y))**1.5",
    ],
)
def test_pair_loops_run_in_vectors(folder, text):
    game = expression(text)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 6, (2, 300, 1))
    w = np.full(300, 1 / 300)
    game.both_forces(x, y, w, w)
    game.forces(0, x, y, w)
    for key in ("pair", (0, "jet")):
        fill = game._kernels[key].__globals__["fill"]
        assert arithmetic(fill)[0] > 6, key
        wide = any(f"<{TOGETHER} x double>" in text for text in fill.inspect_llvm().values())
        assert wide or SCALABLE


@pytest.mark.parametrize(
    "text", ["exp(cos(x - y))", "tanh(cos(x - y)) + 0.3*sin(y)", "exp(sin(x1 + y2))*cos(x2 - y1)"]
)
@pytest.mark.parametrize("sizes", [(7, 5), (256, 3), (300, 513)])
def test_one_look_at_a_pair_serves_both_players(folder, text, sizes):
    game = expression(text)
    rng = np.random.default_rng(1)
    points = [m.sample(n, rng) for m, n in zip(game.manifolds, sizes, strict=True)]
    masses = [rng.dirichlet(np.ones(n)) for n in sizes]
    both = game.both_forces(*points, *masses)
    for p in range(2):
        plain = game._plain(p, game.jet(p), points[p], points[1 - p], masses[1 - p])
        for have, want in zip(both[p], plain, strict=True):
            np.testing.assert_allclose(have, want, rtol=0, atol=2e-14)


@pytest.mark.parametrize(
    "rows, columns", [(1, 1), (1, 32), (2, 2), (3, 3), (4, 7), (5, 5), (6, 2), (7, 31), (50, 50)]
)
@pytest.mark.parametrize("lanes", [TILE, 3 * TILE, 112])
def test_products_in_registers(rows, columns, lanes):
    rng = np.random.default_rng(rows * columns)
    A, F = rng.standard_normal((rows, columns)), rng.standard_normal((columns, lanes))
    out = np.full((rows + 1, lanes), np.nan)
    product(A, F, out[:rows])
    np.testing.assert_allclose(out[:rows], A @ F, rtol=0, atol=1e-15 * columns * 20)
    assert np.isnan(out[rows]).all()
    means = np.empty(rows)
    apply(A, F[:, 0].copy(), means)
    np.testing.assert_allclose(means, A @ F[:, 0], rtol=0, atol=1e-15 * columns * 20)


@pytest.mark.parametrize(
    "modes",
    [
        [(0,), (1,), (2,), (3,), (4,), (5,), (6,)],
        [(k,) for k in range(1, 65)],
        [(1,)],
        [(0,)],
        [(1,), (3,), (4,), (9,)],
        [(1,), (500,)],
        [(0, 0), (0, 3), (1, -2), (2, 1), (4, -4)],
        [(1, 0, 0), (0, 0, 2), (1, -1, 1)],
    ],
)
@pytest.mark.parametrize("period", [2 * np.pi, 0.7])
def test_features_by_multiplication_are_cosines_and_sines(modes, period):
    game = trigonometric([(k, k, 1.0, 0.5) for k in modes], *(mf.Torus(len(modes[0]), period),) * 2)
    me = player(game, 0, mf.Wasserstein().x, 0.1, 0, 0, 1)
    (s, _) = place(game, mf.Start(), (40, 4), "iid", 0, 0)
    r = by_modes(me, s)
    wave = 2 * np.pi / period
    J = len(me.modes)
    F = np.empty((2 * J, s.x.shape[2]))
    features(me.sphere, me.matrix, period, me.modes, me.top, s.x[0], r.P, F)
    top = max(abs(k) for mode in modes for k in mode)
    bound = (top / 4 + 4) * 4e-16 if me.top[0] >= 0 else 3e-16 + top * 2e-15
    with mpmath.workdps(40):
        for j, mode in enumerate(me.modes):
            for i in range(0, 40, 3):
                # The angle is w x as rounded; what multiplication adds is bounded beside it.
                angle = sum(int(k) * mpmath.mpf(wave * s.x[0, a, i]) for a, k in enumerate(mode))
                assert abs(F[j, i] - mpmath.cos(angle)) < bound * len(modes[0])
                assert abs(F[J + j, i] - mpmath.sin(angle)) < bound * len(modes[0])


@pytest.mark.parametrize("first, J", [(0, 2), (1, 2), (1, 3), (0, 7), (1, 16), (1, 64)])
@pytest.mark.parametrize("lanes", [16, 112])
def test_means_and_forces_of_modes_in_one_angle(first, J, lanes):
    rng = np.random.default_rng(J)
    period, x, w, a = 0.7, 0.7 * rng.random(lanes), rng.random(lanes), rng.standard_normal(2 * J)
    c, s, u, v, out, h, m = (
        *(np.empty(lanes) for _ in range(5)),
        np.empty((2, lanes)),
        np.ones(2 * J),
    )
    on_circle(period, x, c, s)
    add_powers(c, s, w, first, h, u, v, m)
    series(a, first, c, s, out)
    with mpmath.workdps(40):
        table = [
            [f(k * mpmath.mpf(2 * np.pi / period * t)) for t in x]
            for f in (mpmath.cos, mpmath.sin)
            for k in range(first, first + J)
        ]
        means = [1 + mpmath.fdot(map(float, w), row) for row in table]
        sums = [mpmath.fdot(map(float, a), column) for column in zip(*table, strict=True)]
        off = max(abs(p - q) for p, q in zip(means, m, strict=True))
        assert off < (J / 2 + 4) * 4e-16 * w.sum()
        off = max(abs(p - q) for p, q in zip(sums, out, strict=True))
        assert off < (J / 2 + 4) * 4e-16 * abs(a).sum()


def test_modes_too_high_for_powers_are_taken_one_by_one():
    few = trigonometric([((1,), (1,), 1.0, 0.0), ((500,), (1,), 1.0, 0.0)])
    many = trigonometric([((k,), (1,), 1.0, 0.0) for k in range(1, 40)])
    assert player(few, 0, mf.Wasserstein().x, 0.1, 0, 0, 1).top[0] == -1
    assert player(many, 0, mf.Wasserstein().x, 0.1, 0, 0, 1).top[0] == 39


def test_blocks_are_whole_tiles_of_like_size():
    for n in (1, 2, 15, 16, 17, 100, 112, 113, 131, 224, 225, 1000, 10**6):
        blocks, lanes = shape(n)
        assert lanes % TILE == 0 and lanes <= LANES and n <= blocks * lanes
        assert blocks == 1 or (blocks - 1) * LANES < n


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_keeping_features_changes_no_bit(monkeypatch, kept):
    game = trigonometric([((k,), (-k,), 1.0 / k, 0.1) for k in range(1, 9)])
    ends = []
    for limit in (kept_features.KEPT, kept):
        monkeypatch.setattr(kept_features, "KEPT", limit)
        states = tuple(place(game, mf.Start(), (300, 200), "iid", 0, 0))
        flow = mf.Langevin(10.0)
        players = tuple(
            player(game, p, rates, 0.01, 0, 0, 1) for p, rates in enumerate(flow.players)
        )
        looks = [by_modes(me, s) for me, s in zip(players, states, strict=True)]
        march((True,), 1, False, *looks, states, tuple(map(midpoint, states)), 0, 10)
        ends.append(states[0].x.copy())
    np.testing.assert_array_equal(*ends)


def test_squares_are_summed_only_where_they_are_asked_for():
    flags = {kind: [player(polynomial(kind, 4), p, mf.Wasserstein().x, 0.1, 0, 0, 1).squares
                    for p in (0, 1)]
             for kind in "ab"}  # fmt: skip
    assert flags == {"a": [True, False], "b": [False, False]}
