"""Where a formula is refused, mark by mark, and what its values at the probes are held to."""

from __future__ import annotations

import re

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas import domain
from meanfield.games.formulas.grammar import ExpressionError, parse

T1, T2, S2 = mf.Torus(1), mf.Torus(2, 3.0), mf.Sphere(2)


@pytest.mark.parametrize(
    ("before", "marked", "after"),
    [
        ("x + y/", "(2-2)", ""), ("2*", "(", "x + y"), ("x + y", ")", ""),
        ("cos(x) ", "cos", "(y)"), ("cos(x - y) + ", "1e101", "*x"), ("cos(x)**", "65", ""),
        ("cos(y)*cos(x)**", "(-65)", ""), ("cos(x)*-(", "1e99*1e99", ")*y"),
        ("y + cos(x)*(", "1e100 + 1e100", ")"), ("", "exp(1000)", "*cos(x)"),
        ("cos(y) + ", "log(x*0)", ""), ("cos(x)*", "(-8)**(1/3)", ""),
        ("2 + cos(x)**", "cos(y)", ""), ("1 + ", "sin", " x"), ("", "foo", "*cos(x)"),
        ("cos(x) ", "$", " y"), ("cos(x) + ", "abs(cos(y))", ""),
        ("y*0 + ", "sqrt(cos(x))", " + 1"), ("x*0 + ", "tan(y)", ""),
        ("cos(x) + cos(y)/", "sin(x)", ""), ("cos(y) + ", "cos(0.5*x)", ""),
        ("(", "x - y", ")*cos(x)"), ("", "cos(x)**2.5", "*cos(y)"), ("", "asin(cos(x))", " + y"),
        ("cos(x) + ", "max", "(x)"), ("cos(", ")", ""), ("1.", ".2", "*x"),
        ("", "7" * 41, "*x"), ("cos(x) + -", "y", ""), ("x +", "", ""), ("cos(y)*", "x", "*2"),
        ("cos(x)*", "y1", "*2"), ("cos(y) + cos(x)*", "x2", ""),
    ],
)  # fmt: skip
def test_what_is_refused_is_marked(before, marked, after):
    spaces = (T1, T1) if "1" in marked or "2" in marked else ()
    with pytest.raises(ExpressionError) as caught:
        mf.games.expression(before + marked + after, *spaces)
    _, shown, carets = str(caught.value).split("\n")
    assert shown == f"    {before}{marked}{after}"
    assert carets == " " * (4 + len(before)) + "^" * max(len(marked), 1)


def test_the_place_is_told_where_a_formula_fails():
    for text, told in (
        ("cos(y) + 1/sin(2*x - 1)", "x"), ("cos(x) + 1/sin(2*y - 1)", "y"),
        ("cos(x2) + 1/sin(2*x1 - 1) + cos(y)", "x"),
    ):  # fmt: skip
        with pytest.raises(ExpressionError, match="divides by something that vanishes") as caught:
            mf.games.expression(text)
        found = re.search(told + r" = \[([-.\d]+)", str(caught.value).split("\n")[0])
        assert abs(np.sin(2 * float(found[1]) - 1)) < 3e-3


def test_long_texts_are_shown_around_the_mark():
    text = "cos(x) + " * 20 + "foo" + " + cos(y)" * 20
    with pytest.raises(ExpressionError) as caught:
        mf.games.expression(text)
    _, shown, carets = str(caught.value).split("\n")
    assert shown == f"    ...{text[120:243]}..." and carets == " " * 67 + "^^^"
    long = "(" + "+".join(["1e99"] * 20) + ")*cos(x - y)*1e99"
    with pytest.raises(ExpressionError) as caught:
        mf.games.expression(long)
    assert str(caught.value).split("\n")[2].count("^") == 60
    odd = "cos(x)\t+\nfoo\x7f"
    with pytest.raises(ExpressionError) as caught:
        parse(odd)
    assert str(caught.value).split("\n")[1] == "    cos(x) + foo?"


def test_formulas_are_tried_where_they_often_misbehave():
    rng = np.random.default_rng(0)
    grid = domain._special(T2, 4000, rng)
    assert set(np.rint(grid.ravel() * 8).astype(int)) == set(range(24))
    np.testing.assert_allclose(grid * 8, np.rint(grid * 8), atol=1e-12)
    v = domain._special(S2, 4000, rng)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, rtol=1e-15)
    kinds = {tuple(np.round(row, 6) + 0.0) for row in v}
    axes = [s * e for e in np.eye(3) for s in (-1.0, 1.0)]
    assert len(kinds) == 18 and all(tuple(a + 0.0) in kinds for a in axes)
    same, other = domain._probes(T2, T2), domain._probes(T2, S2)
    assert len(same[0, 0]) == 2048 + 1024 + 512 and len(other[0, 0]) == 2048 + 1024
    assert all((same[0, k][-512:] == same[1, k][-512:]).all() for k in (0, 1))
    assert (same[0, 0][:3072] != same[1, 0][:3072]).mean() > 0.9


@pytest.mark.parametrize("op", ["add", "mul", "div", "neg", "pow", "exp", "sin", "sqrt", "log"])
def test_errors_of_operations_bound_what_errors_of_arguments_move(op):
    rng, count = np.random.default_rng(1), 2 if op in ("add", "mul", "div") else 1
    args = [0.5 + rng.random(50) for _ in range(count)]
    errors = [1e-6 * rng.random(50) for _ in range(count)]
    value = 3 if op == "pow" else None
    found = domain._error(op, value, args, errors)
    exact = domain.applied(op, args, value, ())
    moved = np.zeros(50)
    for signs in np.ndindex(*[2] * count):
        there = [a + (2 * s - 1) * e for a, s, e in zip(args, signs, errors, strict=True)]
        moved = np.maximum(moved, np.abs(domain.applied(op, there, value, ()) - exact))
    factor = 2 if op in ("exp", "sin", "sqrt", "log") else 1  # both sides of the middle
    np.testing.assert_allclose(found, factor * moved, rtol=1e-4, atol=1e-12)
    assert domain._error("const", 2.0, [], []) == 0.0


def test_zeros_are_told_from_small_numbers():
    u = np.array([0.3, 2e-9, 0.5])
    assert domain._vanishing(u, np.full(3, 1e-9), "w") is None
    assert domain._vanishing(u, np.full(3, 2e-9), "w") == ("w", 1)
    assert domain._vanishing(np.array([0.3, 0.2, -0.5]), np.zeros(3), "w") == ("w", 1)
    assert domain._vanishing(np.array([0.0, 0.2]), np.zeros(2), "w") == ("w", 0)
    assert domain._vanishing(np.array([-0.3, -0.2]), np.zeros(2), "w") is None
    positive, zero = np.array([0.3, 0.1]), np.zeros(2)
    for op, value, args, told in (
        ("sqrt", None, [positive], None), ("sqrt", None, [zero], "sqrt has"),
        ("pow", 2, [zero], None), ("pow", 1.5, [zero], "this power"), ("pow", 2.0, [zero], None),
        ("pow", -1.5, [zero], "this divides"), ("pow", -1.5, [positive], None),
        ("div", None, [zero, positive], None), ("div", None, [positive, zero], "this divides"),
        ("asin", None, [np.array([0.3, -1.0])], "asin has"), ("acos", None, [positive], None),
        ("exp", None, [zero], None),
    ):  # fmt: skip
        found = domain._fault(op, value, args, [zero] * len(args))
        assert found is None if told is None else found[0].startswith(told)


def test_losses_may_be_as_large_as_stated_and_need_their_period_to_nine_digits():
    mf.games.expression("0.9e100*cos(x - y)")
    with pytest.raises(ExpressionError, match=r"this is .*e\+100 near"):
        mf.games.expression("0.9e100*cos(x - y) + 0.9e100*cos(x)")
    near, far = 2 * np.pi * (1 + 1e-11), 2 * np.pi * (1 + 1e-8)
    assert mf.games.expression(f"exp(cos(2*pi*x/{near!r} - y))")
    with pytest.raises(ExpressionError, match="not a function on"):
        mf.games.expression(f"exp(cos(2*pi*x/{far!r} - y))")
