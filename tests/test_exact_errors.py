"""NI itself: exact in high dimension and in the hard case, cheap along runs, and what gradient runs
miss.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.responses.runs import gradient_runs
from validation.equilibria import matrices


def pair(game, rng, n=5):
    return tuple(mf.Measure(M.sample(n, rng), None, M) for M in game.manifolds)


def lower_by_descent(Q, c, rng, starts=100, steps=2000):
    """Projected gradient descent on x'Qx + c'x from many points, with no code of the package's."""
    x = rng.standard_normal((starts, len(c)))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    h = 0.5 / (np.abs(np.linalg.eigvalsh(Q)).max() + np.linalg.norm(c))
    for _ in range(steps):
        x -= h * (2 * x @ Q + c)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return (np.einsum("ni,ij,nj->n", x, Q, x) + x @ c).min()


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("d", [2, 3, 10, 40])
def test_the_error_by_the_papers_formulas(kind, d):
    """V_x = x'A0x + c'x + const with c = A1 E y + a0 (l_a also A3'E y on x^2); V_y likewise."""
    rng = np.random.default_rng(d)
    A0, A1, A2, A3, a0, a1 = matrices(kind, d, 7, forgotten=False)
    game = mf.games.polynomial(kind, dim=d, seed=7)
    x, y = pair(game, rng)
    m, s, q = x.points.mean(0), (x.points**2).mean(0), y.points.mean(0)
    to_y = lower_by_descent((A0 + A0.T) / 2 + np.diag(A3.T @ q), A1 @ q + a0, rng)
    to_x = lower_by_descent(-(A2 + A2.T) / 2, -(A1.T @ m + A3 @ s + a1), rng)
    constant_x = np.mean([p @ A2 @ p + a1 @ p for p in y.points])
    constant_y = np.mean([p @ A0 @ p + a0 @ p for p in x.points])
    found = mf.nikaido_isoda(game, x, y)
    by_descent = (-to_x + constant_y) - (to_y + constant_x)
    size = np.abs(A0).sum() + np.abs(A2).sum()
    assert by_descent <= found.value + 1e-12 * size
    assert found.value == pytest.approx(by_descent, rel=1e-6)
    assert 0 <= found.upper - found.lower < 1e-12 * size


@pytest.mark.parametrize("d", [2, 20, 200, 500])
def test_certificates_stay_at_rounding_up_to_500_dimensions(d):
    game = mf.games.polynomial("a", dim=d, seed=0)
    found = mf.nikaido_isoda(game, *pair(game, np.random.default_rng(0)))
    assert 0 <= found.upper - found.lower < 1e-13 * d * found.value


@pytest.mark.parametrize("d", [3, 50, 500])
def test_the_hard_case_in_closed_form(d):
    """x'diag(0, 1, ..., 1)x + e_2'x: both best responses are +- sqrt(3)/2 e_1 - e_2/2, of value
    -1/4.
    """
    A0, a0 = np.diag(np.r_[0.0, np.ones(d - 1)]), np.eye(d)[1]
    game = mf.games.polynomial_from(A0, np.zeros((d, d)), -A0, 0, a0, -a0)
    at = [mf.Measure(np.eye(d)[:1], None, M) for M in game.manifolds]
    found = mf.nikaido_isoda(game, *at)
    # At e_1: L = 0; min V_x = -1/4, max V_y = 1/4.
    assert found.lower == pytest.approx(0.5, abs=1e-14) and found.upper - found.lower < 1e-14
    np.testing.assert_allclose(np.abs(found.best_x[:2]), [np.sqrt(3) / 2, 0.5], atol=1e-14)


def test_errors_are_never_negative_near_equilibria():
    for seed in range(6):
        game = mf.games.polynomial("ab"[seed % 2], dim=4 + seed, seed=seed)
        exact = mf.nash(game)
        error = mf.NikaidoIsoda(game)
        rng = np.random.default_rng(seed)
        for size in (0.0, 1e-12, 1e-9, 1e-6):
            moved = [
                m.manifold.retract(m.points, size * rng.standard_normal(m.points.shape))
                for m in (exact.x, exact.y)
            ]
            x, y = (
                mf.Measure(p, m.masses, m.manifold)
                for p, m in zip(moved, (exact.x, exact.y), strict=True)
            )
            found = error(x, y)
            assert found.lower >= 0 and found.upper < 1e-12 + 100 * size


@pytest.mark.parametrize("name", ["a", "b", "trigonometric"])
def test_recorded_along_runs_at_both_levels(name):
    game = (
        mf.games.benchmark("circle")
        if name == "trigonometric"
        else mf.games.polynomial(name, dim=4, seed=0)
    )
    error = mf.NikaidoIsoda(game)
    run = mf.simulate(game, mf.Langevin(20.0), mf.Start(), 0.2, step=0.02, particles=40,
                      save_every=0.1,
                      diagnostics={"ni": error})  # fmt: skip
    seen = run.diagnostics["ni"]
    assert seen.dtype == float and seen.shape == (3,)
    assert seen.tolist() == [error(*state).value for state in run]
    if name == "trigonometric":
        field = mf.solve(
            game,
            mf.Langevin(20.0),
            mf.Start(),
            0.2,
            cells=64,
            save_every=0.1,
            diagnostics={"ni": error},
        )
        assert np.asarray(field.diagnostics["ni"], float).tolist() == [
            error(*state).value for state in field
        ]


def test_gradient_runs_never_exceed_the_exact_error_and_reach_it_when_given_time():
    rng = np.random.default_rng(4)
    for kind in "ab":
        game = mf.games.polynomial(kind, dim=8, seed=1)
        error, state = mf.NikaidoIsoda(game), pair(game, rng, 20)
        exact = error(*state)
        few, many = (
            error.estimate(*state, runs=50, steps=3),
            error.estimate(*state, runs=200, steps=3000),
        )
        assert few.value < many.value <= exact.value + 1e-12
        assert many.value == pytest.approx(exact.value, rel=1e-8)
        assert many.upper == np.inf and "200 gradient runs" in many.method
        again = error.estimate(*state, runs=50, steps=3)
        assert (
            again.value == few.value
            and error.estimate(*state, runs=50, steps=3, seed=1).value != few.value
        )


def test_gradient_runs_take_any_game_and_refuse_bad_numbers():
    game = mf.games.expression("exp(cos(x - y)) + 0.3*sin(2*x)")
    state = pair(game, np.random.default_rng(5))
    error = mf.NikaidoIsoda(game)
    assert error.estimate(*state, runs=20, steps=500).value == pytest.approx(
        error(*state).value, rel=1e-8
    )
    for bad in ({"runs": 0}, {"steps": -1}, {"step": 0.0}, {"seed": -1}):
        with pytest.raises(ValueError):
            error.estimate(*state, **bad)


class Hill:
    """a (1 - cos x_1) + b (1 - cos x_2) on T^2: slopes a sin x_1, b sin x_2, curvatures a, b."""

    a, b = 2.0, 0.5

    def values(self, x):
        return (1 - np.cos(x)) @ [self.a, self.b]

    def gradient(self, x):
        return np.sin(x) * [self.a, self.b]

    def hessian(self, x):
        return np.einsum("ni,ij->nij", np.cos(x) * [self.a, self.b], np.eye(2))


def test_gradient_runs_are_the_descents_that_they_say():
    T2, starts = mf.Torus(2), np.array([[1.0, 0.5], [2.0, -1.0], [0.3, 2.5]])
    x, h = starts.copy(), 0.1
    for _ in range(7):
        x = x - h * Hill().gradient(x)
    found = gradient_runs(Hill(), T2, starts, 7, step=h, tol=None)
    values = Hill().values(x)
    order = np.argsort(values)
    np.testing.assert_allclose(found.values, values[order], rtol=1e-13)
    np.testing.assert_allclose(found.minimisers, T2.wrap(x[order]), rtol=1e-13)
    assert found.floor == -np.inf and "cut short" not in found.method
    curvature = np.abs(np.cos(starts) * [2.0, 0.5]).max()
    own = gradient_runs(Hill(), T2, starts, 7, tol=None)
    same = gradient_runs(Hill(), T2, starts, 7, step=1 / curvature, tol=None)
    assert (own.values == same.values).all()


def test_gradient_runs_end_where_their_slope_has_fallen_by_the_tolerance(monkeypatch):
    """They are looked at after every tenth step; what has not settled at the end is told."""
    starts, calls = np.array([[1e-3, 0.0], [1.0, 0.0], [2.5, 0.0]]), []
    gradient = Hill.gradient
    monkeypatch.setattr(Hill, "gradient", lambda self, x: calls.append(len(x)) or gradient(self, x))
    found = gradient_runs(Hill(), mf.Torus(2), starts, 35, step=0.05, tol=0.1)
    assert len(calls) == 36 and calls[0] == 3
    tol, settled = 0.1 * 2 * np.sin(1.0), []
    for x0 in starts[:, 0]:
        x, k = x0, 0
        while k < 35:
            x, k = x - 0.05 * 2 * np.sin(x), k + 1
            if k % 10 == 0 and 2 * abs(np.sin(x)) <= tol:
                break
        settled.append((k, x))
    counts = [sum(k > n for k, _ in settled) for n in range(36)]
    assert calls[1:] == [max(c, 0) for c in counts[:35]]
    np.testing.assert_allclose(
        found.values, np.sort([2 * (1 - np.cos(x)) for _, x in settled]), rtol=1e-12
    )
    left = sum(k == 35 for k, _ in settled)
    assert left and f"{left} of them cut short" in found.method
    done = gradient_runs(Hill(), mf.Torus(2), starts, 5000, step=0.05, tol=0.1)
    assert "cut short" not in done.method and len(done.values) == 3
