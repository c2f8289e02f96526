"""From a formula to a low-rank game, where it is one, by exact algebra.

The monomials of the algebra are exp(i w k.x) on a torus and x_1^p1 x_2^p2 ... on a sphere; a loss
that sums, multiplies and raises them to whole powers is a finite sum of c_key times monomials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis
from meanfield.games.formulas.calculus import Graph
from meanfield.games.lowrank import LowRank, positive
from meanfield.manifolds import Manifold, Torus

PRODUCTS, FEATURES, MODE = 200_000, 400, 10_000
ROUNDING = 16 * np.finfo(float).eps

Key = tuple[int, ...]
# key -> (coefficient, sum of the sizes of its summands, which tells what cancellation has left).
Polynomial = dict[Key, tuple[complex, float]]
Affine = tuple[float, dict[int, float]]


class _TooLarge(Exception):
    pass


class _Algebra:
    """Operations as polynomials in the monomials, as affine forms in angles, or neither."""

    def __init__(self, X: Manifold, Y: Manifold) -> None:
        self.size = X.ambient + Y.ambient
        # Angles count in units of their period over 2 pi; None marks a Cartesian coordinate.
        self.turn = [
            2 * np.pi / m.period if isinstance(m, Torus) else None
            for m in (X, Y)
            for _ in range(m.ambient)
        ]
        self.budget = PRODUCTS

    def number(self, c: complex) -> Polynomial:
        return {(0,) * self.size: (c, abs(c))}

    def unit(self, var: int) -> Key:
        return tuple(int(i == var) for i in range(self.size))

    def plus(self, a: Polynomial, b: Polynomial) -> Polynomial:
        total = dict(a)
        for key, (c, size) in b.items():
            d, other = total.get(key, (0.0, 0.0))
            total[key] = (c + d, size + other)
        return total

    def times(self, a: Polynomial, b: Polynomial) -> Polynomial:
        self.budget -= len(a) * len(b)
        if self.budget < 0:
            raise _TooLarge
        total: Polynomial = {}
        for k, (c, s) in a.items():
            for m, (d, t) in b.items():
                key = tuple(p + q for p, q in zip(k, m, strict=True))
                e, u = total.get(key, (0.0, 0.0))
                total[key] = (e + c * d, u + s * t)
        return total

    def power(self, a: Polynomial, n: int) -> Polynomial:
        total = a
        for _ in range(n - 1):
            total = self.times(total, a)
        return total

    def wave(self, name: str, form: Affine) -> Polynomial | None:
        """sin or cos of an affine form that turns a whole number of times around every torus."""
        modes = [0] * self.size
        for var, c in form[1].items():
            exact = c / (self.turn[var] or np.nan)
            if not abs(exact) < MODE or abs(exact - round(exact)) > 1e-12:
                return None
            modes[var] = round(exact)
        c = 0.5 * np.exp(1j * form[0]) * (1.0 if name == "cos" else -1j)
        ahead, behind = tuple(modes), tuple(-k for k in modes)
        return self.plus({ahead: (c, 0.5)}, {behind: (np.conj(c), 0.5)})


Form = tuple["Polynomial | None", "Affine | None"]


def _form(algebra: _Algebra, entry: Any, args: Sequence[Form]) -> Form:
    op, _, value = entry
    if op == "const":
        return algebra.number(value), (value, {})
    if op == "var":
        if algebra.turn[value]:
            return None, (0.0, {value: 1.0})
        return {algebra.unit(value): (1.0, 1.0)}, None
    polynomials, affines = [a[0] for a in args], [a[1] for a in args]
    if op == "add":
        (a, b), (u, v) = polynomials, affines
        total = None if a is None or b is None else algebra.plus(a, b)
        return total, None if u is None or v is None else _affine_sum(u, v)
    if op == "neg":
        return _scaled(algebra, args[0], -1.0)
    if op in ("mul", "div"):
        return _product(algebra, op, args)
    if op == "pow" and isinstance(value, int) and polynomials[0] is not None:
        return algebra.power(polynomials[0], value), None
    if op in ("sin", "cos") and affines[0] is not None:
        return algebra.wave(op, affines[0]), None
    return None, None


def _product(algebra: _Algebra, op: str, args: Sequence[Form]) -> Form:
    (a, u), (b, v) = args
    if v is not None and not v[1] and (op == "mul" or v[0]):
        return _scaled(algebra, args[0], v[0] if op == "mul" else 1 / v[0])
    if op == "mul" and u is not None and not u[1]:
        return _scaled(algebra, args[1], u[0])
    return (algebra.times(a, b) if op == "mul" and a is not None and b is not None else None), None


def _scaled(algebra: _Algebra, form: Form, c: float) -> Form:
    a, u = form
    return (
        None if a is None else algebra.times(algebra.number(c), a),
        None if u is None else (c * u[0], {k: c * v for k, v in u[1].items()}),
    )


def _affine_sum(a: Affine, b: Affine) -> Affine:
    return a[0] + b[0], {k: a[1].get(k, 0.0) + b[1].get(k, 0.0) for k in {**a[1], **b[1]}}


def polynomial_of(graph: Graph, root: int, X: Manifold, Y: Manifold) -> dict[Key, complex] | None:
    """key -> coefficient of the monomials whose sum the formula is; None when it is no such sum."""
    algebra = _Algebra(X, Y)
    forms: dict[int, Form] = {}
    try:
        for i in graph.needed([root]):
            entry = graph.entries[i]
            forms[i] = _form(algebra, entry, [forms[a] for a in entry[1]])
    except _TooLarge:
        return None
    found = forms[root][0]
    if found is None:
        return None
    return {key: complex(c) for key, (c, size) in found.items() if abs(c) > ROUNDING * size}


class _Side:
    """One player's features for a polynomial's monomials; `vector` writes a monomial in them."""

    def __init__(self, manifold: Manifold, keys: set[Key]) -> None:
        self.manifold, self.zero = manifold, (0,) * manifold.ambient
        self.torus = isinstance(manifold, Torus)
        # Mixed products x_i x_j enter through one quadratic form x'Sx only.
        self.S = np.zeros((manifold.ambient, manifold.ambient))
        waves = {positive(k) for k in keys} | {self.zero}
        self.modes = sorted(waves) if self.torus else []

    @property
    def basis(self) -> Basis:
        if isinstance(self.manifold, Torus):
            return TrigBasis(self.manifold, np.array(self.modes, float))
        return QuadraticBasis(self.manifold, self.S)  # type: ignore[arg-type]

    def mixed(self, key: Key) -> bool:
        return not self.torus and sum(p > 0 for p in key) > 1

    def fits(self, key: Key) -> bool:
        return self.torus or sum(key) <= 2

    def vector(self, key: Key) -> dict[int, complex]:
        if self.torus:
            up = positive(key)
            j = self.modes.index(up)
            return {j: 1.0, len(self.modes) + j: 1j if up == key else -1j} if any(key) else {j: 1.0}
        if not any(key):
            return {0: 1.0}
        i = next(i for i, p in enumerate(key) if p)
        return {1 + i + (self.manifold.ambient if key[i] == 2 else 0): 1.0}

    def gather(self, key: Key, c: float) -> None:
        """Adds c x_i x_j to the quadratic form."""
        i, j = (n for n, p in enumerate(key) if p)
        self.S[i, j] = self.S[j, i] = c / 2

    @property
    def form(self) -> int:
        """The place of x'Sx among the features."""
        return 2 * self.manifold.ambient + 1


def lowrank_of(graph: Graph, root: int, X: Manifold, Y: Manifold, **about: Any) -> LowRank | None:
    """The formula as a low-rank game, trigonometric in angles, quadratic on spheres; else None."""
    found = polynomial_of(graph, root, X, Y)
    if found is None:
        return None
    pairs = {(key[: X.ambient], key[X.ambient :]): c for key, c in found.items()}
    sides = _Side(X, {k for k, _ in pairs}), _Side(Y, {k for _, k in pairs})
    if max(len(side.modes) for side in sides) > FEATURES:
        return None
    C = _coefficients(sides, pairs)
    return None if C is None else LowRank(sides[0].basis, sides[1].basis, C, **about)


def _coefficients(
    sides: tuple[_Side, _Side], pairs: dict[tuple[Key, Key], complex]
) -> Array | None:
    x, y = sides
    C = np.zeros([2 * len(s.modes) if s.torus else s.form + 1 for s in sides])
    for (k, m), c in pairs.items():
        if not (x.fits(k) and y.fits(m)):
            return None
        if x.mixed(k) or y.mixed(m):
            if any(m if x.mixed(k) else k):
                return None
            if x.mixed(k):
                x.gather(k, c.real)
                C[x.form, y.vector(m).popitem()[0]] = 1.0
            else:
                y.gather(m, c.real)
                C[x.vector(k).popitem()[0], y.form] = 1.0
            continue
        for i, u in x.vector(k).items():
            for j, v in y.vector(m).items():
                C[i, j] += (c * u * v).real
    return C
