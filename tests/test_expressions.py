"""Games given as formulas: names, sums in blocks, what is compiled; and searches' own measures."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas import expressions
from meanfield.games.lowrank import trigonometric
from meanfield.responses import costs

T1, S2 = mf.Torus(1), mf.Sphere(2)
TEXT = "exp(0.3*x1*cos(y)) + x2*x3*sin(2*y)"


def test_formulas_are_called_by_their_text_and_numbers():
    game = mf.games.expression(" a*exp(b*cos(x\n - y)) ", a=2, b=0.5)
    assert game.name == "a*exp(b*cos(x - y)), a=2, b=0.5"
    assert game.statement == "l = a*exp(b*cos(x - y)) with a = 2, b = 0.5"
    bare = mf.games.expression("cos(x - y)")
    assert (bare.name, bare.statement) == ("cos(x - y)", "l = cos(x - y)")


@pytest.mark.parametrize("p", [0, 1])
def test_sums_over_pairs_are_the_same_in_blocks(p, monkeypatch):
    game, rng = mf.games.expression(TEXT, S2, T1), np.random.default_rng(p)
    M, other = game.manifolds[p], game.manifolds[1 - p]
    points, nodes, w = M.sample(7, rng), other.sample(5, rng), rng.random(5)
    whole = game._plain(p, game.jet(p), points, nodes, w)
    sums, seen = game._at, []
    monkeypatch.setattr(
        game, "_at", lambda r, x, y: seen.append((len(x), len(y))[p]) or sums(r, x, y)
    )
    for block, rows in ((1, [1] * 7), (10, [2, 2, 2, 1]), (14, [2, 2, 2, 1]), (15, [3, 3, 1])):
        monkeypatch.setattr(expressions, "BLOCK", block)
        seen.clear()
        for a, b in zip(whole, game._plain(p, game.jet(p), points, nodes, w), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
        assert seen == rows
    mu = mf.Measure(nodes, w / w.sum(), other)
    l = game.loss(points, nodes) if p == 0 else game.loss(nodes, points).T
    np.testing.assert_allclose(game.cost(p, points, mu), (1, -1)[p] * l @ mu.masses, rtol=1e-13)


def test_loops_are_compiled_for_many_pairs(monkeypatch):
    game, asked = mf.games.expression(TEXT, S2, T1), []
    monkeypatch.setattr(game, "_plain", lambda *_: asked.append("plain") or (0, 0))
    monkeypatch.setattr(game, "_compiled", lambda *_: asked.append("compiled") or (0, 0))
    rng = np.random.default_rng(1)
    for n, wanted in ((127, "plain"), (128, "compiled")):
        game.cost(1, T1.sample(256, rng), mf.Measure(S2.sample(n, rng), None, S2))
        assert asked.pop() == wanted


def test_costs_are_measured_by_the_range_of_the_loss():
    game = mf.games.expression(TEXT, S2, T1)
    rng = np.random.default_rng(0)
    x, y = S2.sample(16, rng), T1.sample(16, rng)
    again = [M.sample(16, np.random.default_rng(0)) for M in (S2, T1)]
    ranges = [float(np.ptp(game.loss(*pair))) for pair in ((x, y), again)]
    assert any(costs.loss_size(game) == pytest.approx(r, rel=1e-12) for r in ranges)


def test_feature_costs_are_the_same_in_chunks(monkeypatch):
    game = trigonometric([((1,), (-1,), 1.0, 0.2), ((3,), (2,), 0.4, 0.0)])
    mu = mf.Measure([[0.3], [1.0], [2.0]], [0.5, 0.2, 0.3], T1)
    points = T1.sample(9, np.random.default_rng(2))
    cost = costs.cost_against(game, 0, mu)
    whole = cost.values(points)
    np.testing.assert_allclose(whole, game.cost(0, points, mu), rtol=1e-12)
    monkeypatch.setattr(costs, "CHUNK", 4)
    np.testing.assert_allclose(cost.values(points), whole, rtol=1e-13)
    assert cost.values(points[:0]).shape == (0,)
    raised = costs.Response(points[:2], np.array([1.0, 2.0]), 0.5, "").raised(3.0)
    assert raised.values.tolist() == [4.0, 5.0] and raised.floor == 3.5
