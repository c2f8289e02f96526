"""The grammar: what it reads, and that nothing else gets past it."""

import math
import time

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas.grammar import DEPTH, LENGTH, ExpressionError, parse

expression = mf.games.expression

CIRCLES = mf.Torus(1), mf.Torus(1)

HOSTILE = {
    "__import__('os').system('true')": "strings",
    "().__class__.__bases__": "attributes",
    "cos.__globals__": "attributes",
    "x.real": "attributes",
    "lambda x: x": "':'",
    "import os": "not known",
    "exec(x)": "not known",
    "eval": "not known",
    "__builtins__": "not known",
    "[x for x in y]": r"\[",
    "{x: y}": r"\{",
    "(x := 3)": "':'",
    "x if y else x": "operator",
    "'cos(x)'": "strings",
    '"cos(x)"': "strings",
    "f'{x}'": "strings",
    "'%s' % x": "strings",
    "{0.__class__}": r"\{",
    "x; y": "';'",
    "x, y": "one argument",
    "x == y": "'='",
    "x @ y": "'@'",
    "x // y": "number, a name",
    "x^2": r"\*\*",
    "x % 2": "remainder",
    "cos(*x)": "number, a name",
    "cos(**x)": "number, a name",
    "cos(x, y)": "one argument",
    "cos(x=1)": "'='",
    "9**9**9**9": "exponent",
    "2**2**2**2**2": "exponent",
    "9**64**2": "exponent",
    "(9**60)**60": "no finite real value",
    "1e99*1e99*1e99*1e99": "finite",
    "1e999": "finite",
    "-1e101": "at most",
    "9" * 41: "40 characters",
    "1/0": "no finite real value",
    "1/(2 - 2)": "no finite real value",
    "0**(-1)": "no finite real value",
    "log(0)": "no finite real value",
    "sqrt(-1)": "no finite real value",
    "(-8)**(1/3)": "no finite real value",
    "exp(1000)": "no finite real value",
    "exp(exp(exp(exp(9))))": "no finite real value",
    "asin(2)": "no finite real value",
    "x**y": "exponent",
    "(-2)**x": "exponent",
    "x**65": "exponent",
    "x**-65": "exponent",
    "1_000*x": "operator",
    "0x10": "operator",
    "2x": r"2\*x",
    "3j": "operator",
    "1..real": "operator|number|attributes",
    "": "ends",
    "   ": "ends",
    "x +": "ends",
    "* x": "number, a name",
    "sin": r"sin\(",
    "sin x": r"sin\(",
    "sin()": "number, a name",
    "()": "number, a name",
    "(x": "never closed",
    "sin(x": "never closed",
    "x)": "closes nothing",
    ")(": "number, a name",
    "cos(x) cos(y)": "operator",
    "x0": "not known",
    "x01": "not known",
    "x1000": "not known",
    "e": "not known",
    "inf": "not known",
    "nan": "not known",
    "max(x)": "smooth",
    "x\0": "U\\+0000",
    "x\x1b[31m": "U\\+001B",
    "\u0445 + y": "CYRILLIC",
    "\u0455in(x)": "CYRILLIC",
    "x\u00b2": "SUPERSCRIPT",
    "\u0663*x": "ARABIC",
    "x\u202e+y": "RIGHT-TO-LEFT",
    "x\u00a0+ y": "NO-BREAK",
    "\uff43\uff4f\uff53(x)": "FULLWIDTH",
    "\u03c0": "GREEK",
    "\ud800": "U\\+D800",
    "#": "'#'",
    "x # y": "'#'",
    "x \\\n y": r"not allowed",
    "`x`": "'`'",
    "$x": r"\$",
    "x!": "'!'",
}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_not_in_the_grammar_is_refused_at_its_place(text):
    with pytest.raises(ExpressionError, match=HOSTILE[text]) as caught:
        expression(text)
    message, shown, carets = str(caught.value).split("\n")
    assert set(carets.strip()) == {"^"} and shown.isprintable() and shown.isascii()
    start = len(carets) - len(carets.lstrip()) - 4
    assert 0 <= start <= len(text) and len(message) < 500


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "x" + ")" * 100_000,
        "(" * (LENGTH // 2),
        "-" * (LENGTH - 1) + "x",
        "sin(" * (LENGTH // 4),
        "2**" * (LENGTH // 4) + "2",
        "x" * 10**6,
        "x+" * 10**6,
        "9" * 10**6,
        "a" * LENGTH,
        "1e" + "9" * (LENGTH - 2),
    ],
    ids=range(10),
)
def test_long_and_deep_text_is_refused_quickly(text):
    begun = time.process_time()
    with pytest.raises(ExpressionError) as caught:
        expression(text)
    # Any work beyond reading the text once would take minutes, on any machine.
    assert time.process_time() - begun < 5 and len(str(caught.value)) < 1000


def test_random_strings_never_do_anything_but_parse_or_refuse():
    rng = np.random.default_rng(0)
    pieces = [
        "x",
        "y",
        "sin(",
        "cos",
        *"()+-*/",
        "**",
        "2",
        ".5",
        "1e3",
        "pi",
        " ",
        "__",
        ".",
        "[",
        "\u00e9",
    ]
    outcomes = {True: 0, False: 0}
    for _ in range(3000):
        text = "".join(rng.choice(pieces, rng.integers(1, 12)))
        try:
            parse(text)
            outcomes[True] += 1
        except ExpressionError:
            outcomes[False] += 1
    assert outcomes[True] > 50 and outcomes[False] > 1000


def test_the_deepest_text_allowed_is_read():
    text = "(" * (DEPTH - 1) + "cos(x - y)" + ")" * (DEPTH - 1)
    assert expression(text).loss(np.array([[0.5]]), np.array([[0.1]]))[0, 0] == pytest.approx(
        math.cos(0.4), abs=1e-15
    )


def test_caret_points_into_long_text():
    text = " + ".join(["cos(x)"] * 200 + ["coz(y)"] + ["cos(y)"] * 200)
    with pytest.raises(ExpressionError, match="did you mean cos") as caught:
        expression(text)
    _, shown, carets = str(caught.value).split("\n")
    at = carets.index("^")
    assert shown[at : at + 3] == "coz" and carets.strip() == "^^^"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2**2", -4.0),
        ("2**3**2", 512.0),
        ("2**-1", 0.5),
        ("8/4/2", 1.0),
        ("8/4*2", 4.0),
        ("1 - 2 - 3", -4.0),
        ("1 - (2 - 3)", 2.0),
        ("--3", 3.0),
        ("-+-3", 3.0),
        ("2*-3", -6.0),
        ("1.5e-1*2.", 0.3),
        (".5 + 3.", 3.5),
        ("\tcos( pi )\n", -1.0),
        ("a*b_2", 6.0),
        ("sqrt(16)**0.5", 2.0),
        ("arctan(1)*4", math.pi),
        ("ln(exp(2))", 2.0),
        ("abs(-3) + tan(0) + sinh(0) + cosh(0) + tanh(0) + asin(0) + acos(1)", 4.0),
    ],
)
def test_arithmetic_as_written_on_paper(text, value):
    parsed = parse(text, {"a": 2, "b_2": 3} if "b_2" in text else {})
    assert parsed.graph.number(parsed.root) == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("x*y", "x", "not a function on Torus"),
        ("cos(x) + 0.3*y*sin(x)", "y", "not a function on Torus"),
        ("sin(0.5*x)", "sin(0.5*x)", "not a function on Torus"),
        ("cos(x - y) + atan(y)", "atan(y)", "not a function on Torus"),
        ("2 + 1/cos(x)", "cos(x)", "vanishes"),
        ("1/cos(x)**2", "cos(x)**2", "vanishes"),
        ("1/(cos(x) - 0.31234)", "(cos(x) - 0.31234)", "vanishes"),
        ("sin(x)**(-1)", "sin(x)**(-1)", "vanishes"),
        ("log(1 - cos(x - y))", "log(1 - cos(x - y))", "vanishes"),
        ("log(cos(x))", "log(cos(x))", "vanishes"),
        ("sqrt(1 - cos(x))", "sqrt(1 - cos(x))", "no gradient"),
        ("(1 - cos(x))**0.75", "(1 - cos(x))**0.75", "no gradient"),
        ("abs(sin(x))", "abs(sin(x))", "kink"),
        ("tan(x)", "tan(x)", "infinite"),
        ("asin(cos(x))", "asin(cos(x))", "no gradient"),
        ("exp(400*cos(x))", "exp(400*cos(x))", "finite"),
        ("1e90*sin(x)*1e90", "1e90*sin(x)*1e90", "finite"),
        ("x + cos(x2 - y)", "x", "2 coordinates"),
    ],
)
def test_what_is_no_smooth_function_is_refused_at_its_place(text, where, what):
    with pytest.raises(ExpressionError, match=what) as caught:
        expression(text, *(() if "x2" in text else CIRCLES))
    _, shown, carets = str(caught.value).split("\n")
    at = carets.index("^")
    assert shown[at : at + len(where)] == where and carets.strip() == "^" * len(where)


@pytest.mark.parametrize(
    "text",
    [
        "1/exp(40*cos(x))",
        "sqrt(exp(40*cos(x - y)))",
        "abs(2 + cos(x))",
        "1/(1.0001 - cos(x))",
        "(1 - cos(x))**2.5",
    ],
)
def test_small_is_not_zero(text):
    assert np.isfinite(expression(text, *CIRCLES).loss(np.array([[0.3]]), np.array([[0.1]]))).all()


def test_coordinates_and_constants_are_those_of_the_manifolds():
    S = mf.Sphere(2)
    with pytest.raises(ExpressionError, match="x1 to x3"):
        expression("x4*y1", S, S)
    with pytest.raises(ExpressionError, match="3 coordinates"):
        expression("x*y1", S, S)
    with pytest.raises(ExpressionError, match="vanishes"):
        expression("y1/x1", S, S)
    with pytest.raises(TypeError, match="Torus or a Sphere"):
        expression("x", X="circle", Y=S)
    with pytest.raises(TypeError, match="string"):
        expression(3)
    with pytest.raises(ExpressionError, match="already has a meaning"):
        expression("cos(x)", pi=3)
    with pytest.raises(ExpressionError, match="already has a meaning"):
        expression("cos(x)", x2=3)
    with pytest.raises(ExpressionError, match="cannot be called"):
        expression("cos(x)", **{"a b": 3})
    for value in ("__import__('os')", "2", True):
        with pytest.raises(TypeError, match="constant a must be a number"):
            expression("a*cos(x)", a=value)
    with pytest.raises(ValueError, match="constant a must be finite"):
        expression("a*cos(x)", a=math.nan)
    assert expression("cos(x3 - y2)").manifolds == (mf.Torus(3), mf.Torus(2))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: expression("exp(cos(x - y))", truncated=1e-6),
            "'truncated' does not occur.*did you mean truncate",
        ),
        (
            lambda: expression("a*cos(x)", a=2, eps=1),
            "'eps' does not occur in the formula; leave it out",
        ),
        (lambda: mf.games.density("1 + cos(x)/2", b=3), "'b' does not occur"),
        (lambda: expression("q*cos(x)"), "'q' is not known; give q=... if it is a constant"),
        (lambda: expression("coss(x)"), "did you mean cos[?] Names are"),
    ],
)
def test_names_without_a_meaning_are_refused(make, match):
    with pytest.raises(ExpressionError, match=match):
        make()


def test_a_constant_that_is_folded_away_is_used():
    assert expression("0*a*cos(x) + cos(y)", a=2).name == "0*a*cos(x) + cos(y), a=2"
