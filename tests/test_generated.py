"""The generated loops, run as the Python that they are, against numpy's sums over pairs."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.formulas import codegen, loops
from meanfield.games.formulas.loops import BLOCK, SINGLE, forces_source, pair_source

T1, T2, S2 = mf.Torus(1, 3.0), mf.Torus(2), mf.Sphere(2)
W = "2*pi/3"
GAMES = {
    "mixed": ("exp(0.3*x1*cos(y2)) + 0.5*sqrt(2 + x2*sin(2*y1))**3 + tanh(x3 - cos(y1))/(2 + y_)",
              S2, T2),
    "products": (f"exp(sin({W}*x - y1)) + 0.3*sin(2*{W}*x)*cos(y2) + cos({W}*x + y2)*y_", T1, T2),
    "one": ("(x1 - 2*x2)**5*y1**2 + x1*y1*exp(x2) - 3*x3*(y2 + y1)**2", S2, S2),
    "odd": ("sinh(x1*y1)*cosh(x2 + y3) + atan(x1 - y2)*log(3 + x2*y1) + (2 + x1*y3)**1.5 "
            "- asin(0.4*x1*y2) + acos(0.3*x2 + 0.2*y2) + abs(3 + x1*y1)*x2 + (2 + x1*y1)**(-2)",
            S2, S2),
    "lone": (f"exp(cos({W}*x)) + 2", T1, T1),
}  # fmt: skip
OURS = {name: getattr(np, name) for name in ("sin", "cos", "exp", "log", "tanh", "sinh", "cosh")}
OURS |= {"exp_moderate": np.exp, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan}
OURS |= {f"{name}32": f for name, f in OURS.items()} | {"power": np.power}
OURS |= {"exp_begun": lambda x: (x, 0.0), "exp_ended": lambda r, _: np.exp(r)}


def game(name):
    text, X, Y = GAMES[name]
    return mf.games.expression(text.replace("y_", "cos(y2)"), X, Y)


def run(source):
    """The module's `forces`, without a compiler."""
    lines = [line for line in source.split("\n") if not line.startswith("from meanfield")]

    def kernel(function=None, **_):
        return function or (lambda f: f)

    names = {
        "kernel": kernel,
        "fma": lambda a, b, c: a * b + c,
        "summed": lambda total, a, b: total + a * b,
        "together": lambda numbers: None,
        "fastmath": SimpleNamespace(**OURS),
    }
    exec("\n".join(lines), names)
    return names["forces"]


def drawn(found, n=9, m=7):
    rng, players = np.random.default_rng(0), []
    for M, k in zip(found.manifolds, (n, m), strict=True):
        w = rng.random(k)
        players.append((M.sample(k, rng), w / w.sum()))
    return players


def sums(found, p, players):
    (points, _), (nodes, masses) = players[p], players[1 - p]
    return found._plain(p, found.jet(p), points, nodes, masses)


@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize("name", GAMES)
def test_loops_of_one_player_are_sums_over_pairs(name, p):
    found = game(name)
    players = drawn(found, *((9, 7) if name != "one" else (BLOCK + 3, BLOCK + 3)))
    source = forces_source(found, p)
    assert not re.search(r"(points|nodes)\[[^]]*-", source)  # coordinates count from zero
    got = run(source)(players[p][0], *players[1 - p])
    for have, want in zip(got, sums(found, p, players), strict=True):
        np.testing.assert_allclose(have, want, atol=1e-12)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name", GAMES)
def test_loops_of_both_players_look_once_at_each_pair(name, single):
    found = game(name)
    if single and name == "odd":
        with pytest.raises(ValueError, match="no form in single precision"):
            pair_source(found, SINGLE)
        return
    players = drawn(found, *((9, 7) if name != "one" else (BLOCK + 3, 2 * loops.SHORT + 5)))
    source = pair_source(found, SINGLE) if single else pair_source(found)
    (x, w), (y, v) = players
    both = run(source)(x, y, w, v)
    for p in (0, 1):
        for have, want in zip(both[p], sums(found, p, players), strict=True):
            scale = np.abs(want).max(initial=1e-300) if single else 1.0
            np.testing.assert_allclose(have, want, atol=3e-6 * scale if single else 1e-12)


def test_sizes_of_operations_are_bounds_of_their_values():
    """Coordinates of spheres count as 2; angles have no bound."""
    text = ("exp(x1*x2) + tanh(3*cos(y1)) + sqrt(2 + x1) - (x3 + 1)**3 + atan(5*x1) "
            "+ abs(9 - 4*x2) + cos(y1)*x1 + (3 + x1)**2.5")  # fmt: skip
    found = mf.games.expression(text, S2, mf.Torus(1))
    order = found.graph.needed([found.root])
    size = codegen._sizes(found, found.graph, order)
    rng = np.random.default_rng(1)
    at = {0: 0, 1: 0, 2: 0, 3: 10 * rng.normal(size=4000)}
    at |= {k: 4 * rng.random(4000) - 2 for k in range(3)}
    values = dict(zip(order, found.graph.evaluate(order, at), strict=True))
    for i in order:
        op, args, value = found.graph.entries[i]
        known = np.isfinite(size[i])
        assert known == (i not in dependent(found.graph, order, 3, ("cos", "tanh")))
        if known and op != "pow":
            assert np.abs(values[i]).max() <= size[i]
        if op == "var" and known:
            assert size[i] == 2.0
        if op == "exp":
            assert size[i] == pytest.approx(math.exp(4.0))
        if op == "sqrt":
            assert size[i] == pytest.approx(2.0)
        if op == "pow":
            assert size[i] == pytest.approx(size[args[0]] ** value)


def dependent(graph, order, variable, cut):
    """Operations that grow with a variable: not through functions that are bounded."""
    found = set()
    for i in order:
        op, args, value = graph.entries[i]
        if (op == "var" and value == variable) or (op not in cut and found & set(args)):
            found.add(i)
    return found
