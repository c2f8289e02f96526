"""Parts of the search for orbits: derivatives of the return map, guesses of the period, errors."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.equilibria.returns import ReturnMap, equations, solve_linear

home = import_module("meanfield.equilibria.orbit")  # the name itself is the function
BETA = (2.0, 5.0)


@pytest.fixture(scope="module")
def free():
    """Without a loss modes fall as exp(-k^2 T/beta): the return map is linear."""
    game = mf.games.free()
    bump = mf.Start(lambda x: 1 + 0.5 * np.cos(x[:, 0] - 1) + 0.2 * np.sin(2 * x[:, 0]))
    return ReturnMap(game, mf.Langevin(BETA), bump, (9, 13))


def rates(here):
    """k^2/beta of each number of a state: real and imaginary parts of modes 1, 2, ..."""
    return np.concatenate(
        [np.repeat(basis.k[1:, 0] ** 2.0, 2) / b for basis, b in zip(here.bases, BETA, strict=True)]
    )


def test_the_map_and_its_derivatives_are_those_of_diffusion(free):
    v, T = free.state, 0.3
    assert len(v) == 2 * 4 + 2 * 6 and free.cells == ((9,), (13,))
    w, decay = np.random.default_rng(0).standard_normal(20), np.exp(-rates(free) * T)
    np.testing.assert_allclose(free(v, T), decay * v, atol=1e-14)
    np.testing.assert_allclose(free(v, T, 3), decay * v, atol=1e-14)
    np.testing.assert_allclose(free.along(v, T, 7 * w), 7 * decay * w, atol=1e-9)
    np.testing.assert_allclose(free.along_exactly(v, T, w), decay * w, atol=1e-10)
    assert not free.along(v, T, 0 * w).any()
    np.testing.assert_allclose(free.speed(v, T), -rates(free) * decay * v, atol=1e-8)
    np.testing.assert_allclose(free.velocity(v), -rates(free) * v, atol=2e-7)
    for bad in (0.0, -1.0, np.inf):
        assert np.isinf(free(v, bad)).all()
    assert np.isinf(free(np.where(np.arange(20) == 3, np.nan, v), T)).all()
    first, later = (free.densities(z)[0] for z in (v, decay * v))
    assert free.cycle(v, 4 * T, 4)[1][0].masses == pytest.approx(later.masses, abs=1e-14)
    assert free.tail(v) == max(b.tail(z) for b, z in zip(free.bases, both(free, v), strict=True))
    assert first.masses @ np.cos(first.points[:, 0] - 1) == pytest.approx(0.25, abs=1e-12)


def both(here, v):
    here._place(v)
    return [here.engine.coefficients(p) for p in (0, 1)]


def test_linear_equations_are_those_of_the_derivative(free):
    """For the state, the period and a parameter p, by which beta is divided here."""

    def maps(p):
        made = ReturnMap(
            mf.games.free(), mf.Langevin((BETA[0] / p, BETA[1] / p)), mf.Start(), (9, 13)
        )
        return made

    v, T, p = free.state, 0.3, 1.1
    u, rng = np.concatenate([v, [T, p]]), np.random.default_rng(1)
    rows, wanted = rng.standard_normal((2, 22)), rng.standard_normal(2)
    decay = np.exp(-rates(free) * p * T)
    F = equations(maps, u, rows, wanted)
    np.testing.assert_allclose(F, np.concatenate([decay * v - v, rows @ u - wanted]), atol=1e-13)
    J = np.zeros((22, 22))
    J[:20, :20] = np.diag(decay - 1)
    J[:20, 20], J[:20, 21] = -rates(free) * p * decay * v, -rates(free) * T * decay * v
    J[20:] = rows
    right = rng.standard_normal(22)
    exact = np.linalg.solve(J, right)
    found = solve_linear(maps, u, rows, right, 1e-4)
    np.testing.assert_allclose(found, exact, atol=1e-4 * np.abs(exact).max())
    J[:20, 21] = 0.0
    fixed = solve_linear(maps, u, rows, right, 0.0)
    np.testing.assert_allclose(fixed, np.linalg.solve(J, right), atol=1e-4 * np.abs(fixed).max())


class Turning:
    """A rotation by an angle per time, which may grow."""

    steps = 400

    def __init__(self, speed, growth=0.0):
        self.speed, self.growth = speed, growth

    def refine(self, v, T, tol):
        pass

    def __call__(self, v, T, steps=None):
        c, s = np.cos(self.speed * T), np.sin(self.speed * T)
        return np.exp(self.growth * T) * np.array([c * v[0] - s * v[1], s * v[0] + c * v[1]])


def test_the_first_return_is_a_turn_later():
    v = np.array([1.0, 0.5])
    for speed in (1.0, 2.3, 0.7):
        found = home.first_return(Turning(speed), v, 20.0)
        assert found == pytest.approx(2 * np.pi / speed, rel=1e-5)
    with pytest.raises(NotConverged, match="does not come back within time 20"):
        home.first_return(Turning(1.0, 0.3), v, 20.0)
    with pytest.raises(NotConverged, match="does not come back"):
        home.first_return(Turning(0.25), v, 20.0)
    with pytest.raises(NotConverged, match="does not move from here"):
        home.first_return(Turning(0.4e-6 / 20), v / np.linalg.norm(v), 20.0)
    with pytest.raises(NotConverged, match="does not come back"):
        home.first_return(Turning(1.5e-6 / 20), v / np.linalg.norm(v), 20.0)


def test_steps_are_doubled_until_the_period_stands_and_its_error_is_of_order_four(monkeypatch):
    """T + c / steps^4: the difference of two periods over 15 is the later one's error."""
    exact, c, here = 4.0, 3e-2, SimpleNamespace(steps=64, refine=lambda *_: None)
    monkeypatch.setattr(
        home, "on_cycle", lambda here, v, T, tol: (v, exact + c * (64 / here.steps) ** 4, 1e-12)
    )
    monkeypatch.setattr(home, "described", lambda here, v, T, *rest: (T, here.steps, *rest))
    T, steps, error, residual, count = home.closed(here, np.zeros(3), 3.9, 1e-11, 5)
    assert error == pytest.approx(T - exact, rel=1e-2) and (residual, count) == (1e-12, 5)
    assert error <= 4e-12 < c * (128 / steps) ** 4
    monkeypatch.setattr(home, "MOST_STEPS", 256)
    here.steps = 64
    assert home.closed(here, np.zeros(3), 3.9, 1e-11, 5)[1] == 256


def test_multipliers_are_the_largest_eigenvalues_and_tell_stability():
    rng = np.random.default_rng(2)
    Q = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    values = np.array([1.0, -0.9, 0.8, 0.5, *np.full(8, 0.01)])
    found = home.multipliers(lambda v, T, w: Q @ (values * (Q.T @ w)) * T, np.zeros(12), 1.0, 4)
    np.testing.assert_allclose(found, values[:4], atol=1e-10)
    mesh = mf.mesh(mf.Torus(1), 8)
    states = [mf.Density(m, mesh) for m in rng.dirichlet(np.ones(8), size=3)]
    flat = [mf.Density(np.full(8, 1 / 8), mesh)] * 3
    for multipliers, stable in (([1 + 1e-9, 0.999], True), ([1.001, 1 - 1e-5], False)):
        made = mf.equilibria.Orbit(None, None, 4.0, 0.0, 0.0, np.array(multipliers, complex),
                                   np.arange(3), flat, states, (8, 8))  # fmt: skip
        assert made.stable is stable and len(made.others) == 1
    mean = np.mean([mu.masses for mu in states], axis=0)
    assert made.size == pytest.approx(max(np.abs(mu.masses - mean).sum() / 2 for mu in states))
