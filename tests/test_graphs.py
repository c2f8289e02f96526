"""Formulas as graphs: what is folded, what becomes one operation, and what slopes are."""

from __future__ import annotations

import numpy as np
import pytest

from meanfield.games.formulas import calculus
from meanfield.games.formulas.calculus import NUMPY, Graph, dot, tangent


def made():
    g = Graph()
    return g, g.variable("x"), g.variable("y"), g.constant


def test_constants_are_folded_and_zeros_and_ones_disappear():
    g, x, y, c = made()
    for found, wanted in (
        (g.add(c(2), c(3)), c(5)), (g.add(c(0), x), x), (g.add(x, c(0)), x),
        (g.add(x, y), g.add(y, x)), (g.mul(c(2), c(3)), c(6)), (g.mul(x, c(2)), g.mul(c(2), x)),
        (g.mul(c(0), x), c(0)), (g.mul(x, c(1)), x), (g.mul(c(-1), x), g.neg(x)),
        (g.mul(x, y), g.mul(y, x)), (g.mul(c(2), g.neg(x)), g.mul(c(-2), x)),
        (g.mul(c(2), g.mul(c(3), x)), g.mul(c(6), x)), (g.neg(c(2)), c(-2)),
        (g.neg(g.neg(x)), x), (g.neg(g.mul(c(3), x)), g.mul(c(-3), x)),
        (g.div(x, c(4)), g.mul(c(0.25), x)), (g.div(x, c(-0.5)), g.mul(c(-2), x)),
        (g.div(c(2), c(3)), c(2 / 3)), (g.div(c(3), c(4)), c(0.75)), (g.div(c(0), x), c(0)),
        (g.power(x, 0), c(1)), (g.power(x, 1), x), (g.power(x, 0.5), g.call("sqrt", x)),
        (g.power(x, -1), g.div(c(1), x)), (g.power(x, -2), g.div(c(1), g.power(x, 2))),
        (g.power(x, 3.0), g.power(x, 3)), (g.sum([]), c(0)), (g.sum([x]), x),
        (g.call("tan", x), g.div(g.call("sin", x), g.call("cos", x))),
        (g.constant(-0.0), c(0)), (g.rebuilt("add", [y, x]), g.add(x, y)),
    ):  # fmt: skip
        assert found == wanted
    # A third is no binary number: the division stays.
    for i, op, value in ((g.div(x, c(3)), "div", None), (g.power(x, 2.5), "pow", 2.5),
                         (g.power(x, -2.5), "pow", -2.5), (g.power(x, 3), "pow", 3),
                         (g.div(c(2), x), "div", None), (g.div(x, c(0)), "div", None)):  # fmt: skip
        assert g.entries[i][0] == op and g.entries[i][2] == value
    assert isinstance(g.entries[g.power(x, 3.0)][2], int)
    assert g.number(c(4)) == 4 and g.number(x) is None


def test_whole_powers_are_products():
    u = np.array([1.5, -0.3])
    for n in range(1, 12):
        assert calculus._integer_power(u, n) == pytest.approx(u**n, rel=1e-14)
    half = calculus.applied("pow", [np.array([4.0])], 1.5, None)
    assert half == pytest.approx([8.0]) and calculus.applied("const", [], 7.0, None) == 7.0


def test_operations_are_limited(monkeypatch):
    monkeypatch.setattr(calculus, "LIMIT", 3)
    g, x, y, _ = made()
    total = g.add(x, y)
    assert g.add(y, x) == total
    with pytest.raises(ValueError, match="more than 3 operations"):
        g.mul(x, y)


@pytest.mark.parametrize("name", [k for k in NUMPY if k not in ("add", "mul", "div", "neg")])
def test_slopes_of_functions_are_differences(name):
    g, x, y, _ = made()
    inner = g.add(g.mul(g.constant(0.3), x), g.mul(x, y))
    root, h = g.call(name, inner), 1e-6
    at = {"x": np.array([0.7, 0.9]), "y": np.array([0.5, 0.2])}
    for var in ("x", "y"):
        slope = g.evaluate([g.slope(root, var)], at)[0]
        ends = [g.evaluate([root], {**at, var: at[var] + s * h})[0] for s in (1, -1)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), atol=1e-8)


def test_slopes_of_operations_are_differences():
    g, x, y, c = made()
    h, at = 1e-6, {"x": np.array([0.7, 1.3]), "y": np.array([0.5, 2.0])}
    for root in (
        g.div(g.add(x, c(2)), g.add(y, x)), g.neg(g.mul(x, y)), g.power(g.add(x, y), 3),
        g.power(x, 2.5), g.power(g.mul(x, y), -2), g.div(c(3), x), g.add(c(1), y),
    ):  # fmt: skip
        for var in ("x", "y"):
            slope = g.evaluate([g.slope(root, var)], at)[0] + np.zeros(2)
            ends = [g.evaluate([root], {**at, var: at[var] + s * h})[0] for s in (1, -1)]
            np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), atol=1e-7)


def test_constants_that_are_added_are_taken_out():
    g, x, y, c = made()
    f = g.add(g.mul(c(3), g.add(g.neg(g.add(x, c(2))), c(7))), g.add(g.mul(x, y), c(0.5)))
    rest, constant = g.without_constant(f)
    assert constant == 3 * (-2 + 7) + 0.5
    at = {"x": np.array([0.7]), "y": np.array([0.4])}
    whole, moving = g.evaluate([f, rest], at)
    assert whole - moving == pytest.approx(constant, rel=1e-14)
    assert g.without_constant(c(4)) == (c(0), 4.0)
    product = g.mul(g.add(x, c(1)), g.add(y, c(1)))
    assert g.without_constant(product) == (product, 0.0)


def test_tangents_are_projections():
    g = Graph()
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 3))
    parts = [g.constant(s) for s in v]
    for k in range(3):
        g.variable(k)
    values = dict(enumerate(x))
    assert g.evaluate([dot(g, parts, range(3))], values)[0] == pytest.approx(x @ v)
    found = g.evaluate(tangent(g, parts, range(3)), values)
    np.testing.assert_allclose(found, v - (x @ v) * x, rtol=1e-13)
