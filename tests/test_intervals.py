"""Proven floors of costs given by formulas: intervals hold what they enclose, floors lie below
dense grids.
"""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas.calculus import NUMPY, Graph
from meanfield.responses.bounds import least_on_interval
from meanfield.responses.intervals import enclose


def build(graph, x, y):
    """One of every operation, on variables in [0.2, 0.9]."""
    calls = {op: graph.call(op, x) for op in NUMPY if op not in ("add", "mul", "div", "neg")}
    calls |= {"shifted " + op: graph.call(op,
        graph.add(graph.mul(graph.constant(9.0), x), graph.constant(-4.0)))
              for op in ("sin", "cos", "cosh", "abs", "tanh", "atan", "exp")}  # fmt: skip
    u = graph.add(x, graph.neg(y))
    calls |= {
        "sum": graph.add(x, y),
        "product": graph.mul(u, graph.add(u, graph.constant(0.1))),
        "square": graph.mul(u, u),
    }
    calls |= {"quotient": graph.div(u, y), "cube": graph.power(u, 3), "fourth": graph.power(u, 4)}
    return calls | {"root": graph.power(x, 1.5), "negative": graph.power(y, -2)}


def test_every_operation_stays_within_its_interval():
    graph, rng = Graph(), np.random.default_rng(0)
    named = build(graph, graph.variable(0), graph.variable(1))
    ends = np.sort(rng.uniform(0.2, 0.9, (2, 2, 300)), axis=0)  # low and high of x and y
    found = enclose(
        graph, list(named.values()), [(ends[0, 0], ends[1, 0]), (ends[0, 1], ends[1, 1])]
    )
    inside = ends[0] + (ends[1] - ends[0]) * rng.random((400, 2, 300))
    inside[0], inside[1] = ends[0], ends[1]
    exact = graph.evaluate(list(named.values()), [inside[:, 0], inside[:, 1]])
    for name, (low, high), values in zip(named, found, exact, strict=True):
        slack = 1e-12 * (1 + np.abs(values))
        assert (values >= low - slack).all() and (values <= high + slack).all(), name
        # And where one operation alone is looked at, the interval is not wider than what it takes
        # on.
        if name in NUMPY:
            assert (
                np.median(high - low - np.ptp(values, axis=0)) < 0.1 * np.median(high - low) + 1e-12
            ), name


def test_quotients_by_what_may_vanish_prove_nothing():
    graph = Graph()
    q = graph.div(graph.constant(1.0), graph.variable(0))
    ((low, high),) = enclose(graph, [q], [(np.array([-1.0, 1.0]), np.array([1.0, 2.0]))])
    assert (low == [-np.inf, 0.5]).all() and (high == [np.inf, 1.0]).all()


def test_parabolas_against_a_dense_grid():
    rng = np.random.default_rng(1)
    g, bend = rng.standard_normal((2, 500)) * 10.0 ** rng.uniform(-3, 1, (2, 500))
    s = np.linspace(-0.3, 0.3, 2001)[:, None]
    dense = (g * s + bend * s * s / 2).min(axis=0)
    low = least_on_interval(g, bend, 0.3)
    assert (low <= dense + 1e-15).all() and (dense - low < 1e-6 * (np.abs(g) + np.abs(bend))).all()


TEXTS = [
    "exp(cos(x - y)) + 0.3*sin(2*x)",
    "log(2 + cos(x - y)) + 0.5*tanh(sin(x))*cos(2*y)",
    "1/(1.5 + cos(x - y)) + sqrt(2 + sin(x)*cos(y))",
    "sqrt(1.1 + cos(x1 - y1)*cos(x2)) + 0.3*exp(sin(x2 + y2))",
]


@pytest.mark.parametrize("text", TEXTS)
def test_floors_of_formulas_hold_and_are_tight(text):
    game, rng = mf.games.expression(text), np.random.default_rng(2)
    assert type(game).__name__ == "Expression"
    n = {1: 20_001, 2: 301}[game.X.d]
    grid = np.stack(np.meshgrid(*[np.arange(n) * 2 * np.pi / n] * game.X.d), -1).reshape(
        -1, game.X.d
    )
    for atoms in (1, 12):
        x, y = (mf.Measure(M.sample(atoms, rng), None, M) for M in game.manifolds)
        found = mf.nikaido_isoda(game, x, y)
        brute = game.potential_y(grid, x).max() - game.potential_x(grid, y).min()
        assert brute <= found.lower + 1e-9 <= found.upper + 1e-9
        assert found.upper - found.lower < 1e-8 and "interval" in found.method
        assert mf.NikaidoIsoda(game)(x, y).upper == np.inf  # nothing is claimed without the proof


def test_the_uniform_equilibrium_of_a_formula():
    """1/(c + cos u) has the mean 1/sqrt(c^2 - 1), the value where both play uniformly."""
    found = mf.nash(mf.games.expression("1/(1.5 + cos(x - y))"))
    assert found.certified and found.lower - 1e-12 <= 1 / np.sqrt(1.25) <= found.upper + 1e-12
    assert found.error < 1e-8


def test_where_nothing_is_proven_nothing_is_claimed():
    game = mf.games.expression("exp(x1*y2) + x3*y1", mf.Sphere(2), mf.Sphere(2))
    rng = np.random.default_rng(3)
    x, y = (mf.Measure(M.sample(5, rng), None, M) for M in game.manifolds)
    found = mf.nikaido_isoda(game, x, y)
    assert found.upper == np.inf and "lower bound only" in found.method
    assert not mf.nash(game, rounds=5).certified


def test_flat_potentials_are_measured_by_the_loss(monkeypatch):
    """Against uniform measures this loss leaves rounding, which is no size to ask a relative 1e-9
    of.
    """
    from meanfield.responses import search

    sizes = []
    floor = search.floor_by_intervals
    monkeypatch.setattr(
        search, "floor_by_intervals", lambda c, v, size: sizes.append(size) or floor(c, v, size)
    )
    game, flat = (
        mf.games.expression("sin(x)*cos(2*y) + 0.2*tanh(sin(x - y))"),
        mf.uniform(mf.Torus(1)),
    )
    error = mf.nikaido_isoda(game, flat, flat)
    assert min(sizes) > 0.5 and 0 <= error.upper - error.lower < 1e-8
