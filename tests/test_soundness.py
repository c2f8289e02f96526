"""Attacks on the certificates: costs that grids and searches miss, wrong minimisers, one player at
a time.

A proven floor must stay below the minimum whatever the search found. Each test fails for a bound
that is a little too good: without its cosine, with half its remainder, or with a found value in its
place.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

import meanfield as mf
from meanfield import trust_region
from meanfield.games.bases import TrigBasis
from meanfield.responses import bounds, cells
from tests.plain import plainly


def on_circle(waves, amplitudes, phases):
    """sum_j A_j cos(k_j x + phase_j) as a basis with coefficients, and as a plain function."""
    basis = TrigBasis(mf.Torus(1), np.array(waves)[:, None])
    a, p = np.array(amplitudes, float), np.array(phases, float)
    c = np.concatenate([a * np.cos(p), -a * np.sin(p)])

    def f(x):
        return np.cos(np.multiply.outer(x, np.array(waves, float)) + p) @ a

    x = np.linspace(0, 6, 7)
    np.testing.assert_allclose(basis.values(x[:, None]) @ c, f(x), atol=1e-13)
    return basis, c, f


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_ehlich_zeller_is_sharp_on_waves_that_the_grid_cuts_at_45_degrees(degree):
    """cos(K x - pi/4) on 4K points takes the values +-sqrt(1/2) only; the bound is -1 exactly."""
    side = 4 * degree
    x = 2 * np.pi * np.arange(side) / side
    floor, slack = bounds.ehlich_zeller(np.cos(degree * x - np.pi / 4), side, degree, 1)
    assert floor == pytest.approx(-1.0, abs=1e-12)
    assert slack >= 1 - np.sqrt(0.5)


@pytest.mark.parametrize("d", [1, 2])
def test_ehlich_zeller_stays_below_what_grids_miss(d):
    rng = np.random.default_rng(d)
    for _ in range(200 if d == 1 else 60):
        degree = int(rng.integers(1, 6))
        side = 2 * degree + int(rng.integers(1, 6))
        k = rng.integers(-degree, degree + 1, (4, d))
        amplitude, phase = rng.random(4), 2 * np.pi * rng.random(4)

        def f(points, k=k, amplitude=amplitude, phase=phase):
            return np.cos(points @ k.T + phase) @ amplitude

        def grid(n):
            axes = np.meshgrid(*[2 * np.pi * np.arange(n) / n] * d, indexing="ij")
            return np.stack([a.ravel() for a in axes], 1)

        floor, slack = bounds.ehlich_zeller(f(grid(side)), side, degree, d)
        least = f(grid(160 if d == 2 else 20000)).min()
        assert floor <= least + 1e-12
        assert slack >= f(grid(side)).min() - least - 1e-9


def cell_floor(basis, c, f, x0, r, best):
    """What branch and bound proves on the one cell [x0 - r, x0 + r] when told that U takes the
    value `best`.
    """
    side = np.pi / r
    return bounds.branch_and_bound(basis, c, np.array([[x0]]), np.array([f(x0)]), side, best)


def test_a_cell_that_holds_less_than_the_value_told_is_never_dropped(monkeypatch):
    """A wrong minimiser is told, of a value a little above the least in the cell: the floor stays
    below that.
    """
    monkeypatch.setattr(bounds, "CELLS", 4096)
    rng = np.random.default_rng(0)
    waves, near_misses = [1, 5], 0
    for k in range(300):
        if k % 3 == 0:  # at the top of a wave, where the second-order bound is nearly attained
            amplitudes, phases, x0 = [0.0, 1.0], [0.0, 0.0], 0.0
        elif k % 3 == 1:  # at an inflection without slope, where the third-order bound is
            amplitudes, phases, x0 = [5.0, 1.0], [np.pi / 2, -np.pi / 2], 0.0
        else:
            amplitudes, phases = rng.random(2), 2 * np.pi * rng.random(2)
            x0 = 2 * np.pi * rng.random()
        basis, c, f = on_circle(waves, amplitudes, phases)
        r = 10 ** rng.uniform(-2, -0.3)
        inside = f(x0 + r * np.linspace(-1, 1, 4001))
        gap = float(f(x0) - inside.min())
        best = inside.min() + gap * 10 ** rng.uniform(-3, 0)
        floor = cell_floor(basis, c, f, x0, r, best)
        assert floor <= inside.min() + 1e-12
        near_misses += gap > 0
    assert near_misses > 200


def test_bounds_of_a_parabola_stay_below_it_and_touch_it_in_one_dimension():
    rng = np.random.default_rng(1)
    for _ in range(300):
        d = int(rng.integers(1, 3))
        g, H, r = rng.normal(size=d), rng.normal(size=(d, d)), rng.random()
        H = 0.5 * (H + H.T)
        s = r * (2 * rng.random((4000, d)) - 1)
        s = np.concatenate([s, r * np.sign(s[:8]), np.clip(-np.linalg.pinv(H) @ g, -r, r)[None]])
        least = (s @ g + 0.5 * np.einsum("ni,ij,nj->n", s, H, s)).min()
        found = cells.least_in_ball(g[None], H[None], np.array([[r * np.sqrt(d)]]))[0]
        assert found <= least + 1e-12
        if d == 1:
            assert found == pytest.approx(least, abs=1e-12)


def test_the_tight_floor_is_sound_where_the_search_is_given_a_local_minimum():
    """The whole grid, and as `best` the second-lowest minimum of cos x + 0.9 cos(2 x + 0.3)."""
    basis, c, f = on_circle([1, 2], [1.0, 0.9], [0.0, 0.3])
    side = 64
    x = 2 * np.pi * np.arange(side) / side
    fine = f(np.linspace(0, 2 * np.pi, 200_001))
    dips = fine[1:-1][(fine[1:-1] < fine[:-2]) & (fine[1:-1] < fine[2:])]
    local, least = np.sort(dips)[1], fine.min()
    assert local > least + 0.1
    assert bounds.branch_and_bound(basis, c, x[:, None], f(x), side, local) <= least
    found = bounds.branch_and_bound(basis, c, x[:, None], f(x), side, least)
    assert least - 1e-8 <= found <= least


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.1, 3.0])
@pytest.mark.parametrize("d", [3, 12])
def test_the_dual_bound_on_spheres_holds_for_wrong_multipliers(d, factor, monkeypatch):
    """Every sigma > 0 gives a lower bound; only the right one gives the minimiser."""
    rng = np.random.default_rng(d)
    right = trust_region.multiplier.py_func

    def wrong(T, g, a):
        sigma = factor * right(T, g, a)[0]
        pivots = trust_region.factors(T.diagonal, T.off, sigma - T.lowest)
        return sigma, trust_region.inner(T, pivots, g)

    for _ in range(20):
        Q, c = rng.normal(size=(d, d)), rng.normal(size=d)
        Q = 0.5 * (Q + Q.T)
        T = trust_region.tridiagonal(Q)
        least = trust_region.least(Q, c, T)[1]
        with monkeypatch.context() as patched:
            plainly(patched, trust_region)
            patched.setattr(trust_region, "multiplier", wrong)
            _, value, bound, _, _ = trust_region.least(Q, c, T)
        assert value > least + 1e-6  # a wrong minimiser
        assert bound <= least + 1e-12


def wavy(x, y):
    return np.cos(x - y)[..., 0] + 0.3 * np.sin(3 * x)[..., 0] * np.exp(np.cos(y))[..., 0]


T1, S2 = mf.Torus(1), mf.Sphere(2)
PROVEN = {
    "waves": lambda: mf.games.trigonometric([((1,), (-1,), 1.0, 0.2), ((5,), (2,), 0.7, 0.0)]),
    "formula": lambda: mf.games.expression("exp(sin(3*x - y)) + 0.5*cos(2*x)*tanh(cos(y))"),
    "sphere": lambda: mf.games.expression("exp(2*x1*y1 - x2) + x3**3*y2", S2, S2),
    "function": lambda: mf.games.function(wavy, T1, T1, curvature=9.0),
    "quadratic": lambda: mf.games.polynomial("a", dim=3, seed=2),
}


@pytest.mark.parametrize("kind", PROVEN)
def test_floors_hold_whatever_the_search_found(kind, monkeypatch):
    """A search that looks at one region and polishes nothing tells a wrong minimiser: its value is
    passed on, but the floor stays below the least of many values, for either player.
    """
    from meanfield.responses import curvature, intervals, search

    for module, name in ((intervals, "PAIRS"), (curvature, "PAIRS"), (bounds, "CELLS")):
        monkeypatch.setattr(module, name, 1 << 12)
    game, rng = PROVEN[kind](), np.random.default_rng(3)
    mu, nu = (mf.Measure(M.sample(4, rng), None, M) for M in game.manifolds)
    missed = 0
    for p, opponent in ((0, nu), (1, mu)):
        sign, M = (1, -1)[p], game.manifolds[p]
        least = game.cost(p, M.sample(20_000, rng), opponent).min()
        honest = search.Searches(game, tight=True).without_constant(p, opponent)
        assert honest.floor <= honest.value and least >= honest.floor - 1e-13 * (1 + abs(least))
        if kind == "quadratic":  # minimised by its dual, which is attacked above
            assert honest.value - honest.floor < 1e-12
            missed += 1
            continue
        for k in range(3):
            found = search.Search(game, p, tight=True)
            monkeypatch.setattr(found, "_candidates", lambda on, slack, k=k: np.array([7 * k]))
            with monkeypatch.context() as patched:
                patched.setattr(search, "polish", lambda c, M, x: (x, c.values(x)))
                patched.setattr(
                    search, "polish_on_circle",
                    lambda w, c, x, basis=found.trig: (x, basis.values(x) @ c),
                )  # fmt: skip
                told = found(search.cost_against(game, p, opponent))
            assert told.floor <= least, (sign, k)
            missed += told.value > least + 1e-3
    assert missed


def test_without_a_proof_nothing_is_called_certified():
    """A function on spheres without a curvature: what was found has no floor under it."""
    game = mf.games.function(lambda x, y: np.exp(0.3 * x[..., 0] * y[..., 1]) + x[..., 2], S2, S2)
    mu = mf.Measure(np.eye(3), None, S2)
    error = mf.nikaido_isoda(game, mu, mu)
    assert error.upper == np.inf and "lower bound only" in error.method
    found = mf.nash(game, rounds=3)
    assert not found.certified and "lower bound only" in found.method


FORMULA = "cos(x - y) + 0.5*sin(2*x)*cos(y) + 0.2*cos(y)"


def dense_generator(beta, gamma, n):
    """Linearised (7) for FORMULA at its Gibbs point, by dense Fourier matrices, and that point.

    Nothing of the package: the fixed point by damped iteration, derivatives by the DFT's matrix.
    """
    x = 2 * np.pi * np.arange(n) / n
    X, Y = np.meshgrid(x, x, indexing="ij")
    l = np.cos(X - Y) + 0.5 * np.sin(2 * X) * np.cos(Y) + 0.2 * np.cos(Y)
    K = (l / n, -l.T / n)  # density relative to the uniform law -> cost
    k = np.fft.fftfreq(n, 1 / n)
    k[n // 2] = 0
    D = np.real(np.fft.ifft(1j * k[:, None] * np.fft.fft(np.eye(n), axis=0), axis=0))
    h = [np.ones(n), np.ones(n)]
    for _ in range(4000):
        new = []
        for p in range(2):
            U = K[p] @ h[1 - p]
            g = np.exp(-beta[p] * (U - U.min()))
            new.append(g / g.mean())
        h = [0.9 * a + 0.1 * b for a, b in zip(h, new, strict=True)]
    rows = []
    for p in range(2):
        U = K[p] @ h[1 - p]
        own = gamma[p] * (D @ np.diag(D @ U) + D @ D / beta[p])
        other = gamma[p] * D @ np.diag(h[p]) @ D @ K[p]
        rows.append([own, other] if p == 0 else [other, own])
    return np.block(rows), np.concatenate(h)


def dense_spectrum(beta, gamma, n):
    values = np.linalg.eigvals(dense_generator(beta, gamma, n)[0])
    moving = values[np.abs(values) > 1e-8]
    return moving[np.lexsort((-moving.imag, -moving.real))]


@pytest.mark.parametrize(
    ("beta", "gamma"),
    [((3.0, 3.0), (1.0, 1.0)), ((4.0, 2.0), (1.0, 1.0)), ((3.0, 3.0), (1.0, 0.4)),
     ((2.0, 4.0), (0.5, 1.5))],
)  # fmt: skip
def test_stability_sees_each_players_temperature_and_rate(beta, gamma):
    game = mf.games.expression(FORMULA)
    found = mf.stability(game, beta, cells=48, gamma=gamma, count=5)
    want = dense_spectrum(beta, gamma, 48)[:5]
    np.testing.assert_allclose(found.eigenvalues, want, rtol=1e-6, atol=1e-8)
    for changed in range(2):  # and that they matter: another player's number is another spectrum
        other = dense_spectrum(
            tuple(b * (1.2 if p == changed else 1.0) for p, b in enumerate(beta)), gamma, 48
        )
        assert np.abs(other[:5] - want).max() > 1e-3


def test_residuals_of_modes_are_what_they_miss_relative_to_their_size(monkeypatch):
    """In the norm |v / sqrt(m)|, with a basis that is too small for the faster of the modes."""
    home = import_module("meanfield.equilibria.linear")
    monkeypatch.setattr(home, "DENSE", 10)
    monkeypatch.setattr(home, "POWERS", 1)
    beta, gamma = (3.0, 2.0), (1.0, 0.4)
    found = mf.stability(mf.games.expression(FORMULA), beta, 48, count=8, gamma=gamma, modes=2)
    L, m = dense_generator(beta, gamma, 48)
    v = np.concatenate([found.modes_x, found.modes_y], axis=1).T
    missed, size = (
        np.linalg.norm(a / np.sqrt(m)[:, None], axis=0) for a in (L @ v - v * found.eigenvalues, v)
    )
    assert found.residuals.min() < 1e-3 < found.residuals.max()
    np.testing.assert_allclose(found.residuals, missed / size, rtol=0.01, atol=1e-7)


def test_time_averages_are_trapezoids_over_the_saved_times():
    """int (1 + t^2) dt over uneven times, with the trapezoid's error, not that of rectangles."""
    times = np.array([0.0, 0.1, 0.4, 1.0])
    T = mf.Torus(1)
    f = 0.2 + 0.3 * times**2
    x = [mf.Measure([[0.0], [1.0]], [v, 1 - v], T) for v in f]
    run = mf.Trajectory(times, x, x, None, None)
    mean, _ = run.average()
    share = mean.masses[mean.points[:, 0] == 0.0].sum()
    assert share == pytest.approx(np.trapezoid(f, times), abs=1e-14)
    part, _ = run.average(last=2)
    share = part.masses[part.points[:, 0] == 0.0].sum()
    assert share == pytest.approx(np.trapezoid(f[:3], times[:3]) / 0.4, abs=1e-14)
    assert abs(share - f[:2] @ np.diff(times[:3]) / 0.4) > 1e-3  # what rectangles give


@pytest.mark.parametrize("constant", [0.0, 1e3, 1e6, 1e9, -1e9])
def test_a_constant_added_to_the_loss_stops_no_search(constant):
    """The equilibrium of value 0.3 to what the constant leaves of the losses' digits, and bounds
    that hold it.
    """
    waves = [
        ((1,), (-1,), 1, 0),
        ((2,), (1,), 0, -0.25),
        ((2,), (-1,), 0, -0.25),
        ((0,), (3,), 0.3, 0),
    ]
    found = mf.nash(mf.games.trigonometric([((0,), (0,), constant, 0), *waves]))
    rounding = 2.0**-52 * abs(constant)
    assert found.certified and found.error <= 1e-9 + 40 * rounding
    slack = 1e-14 + 8 * rounding
    assert found.lower - slack <= 0.3 + constant <= found.upper + slack
    assert found.value == pytest.approx(0.3 + constant, abs=1e-9 + 40 * rounding)
