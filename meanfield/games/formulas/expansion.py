"""From a formula to a low-rank game, where it is one, by exact algebra.

The monomials of the algebra are exp(i w k.x) on a torus and x_1^p1 x_2^p2 ... on a sphere; a loss
that sums, multiplies and raises them to whole powers is a finite sum of c_key times monomials.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis
from meanfield.games.formulas.calculus import Graph
from meanfield.games.lowrank import LowRank
from meanfield.manifolds import Manifold, Torus

PRODUCTS, FEATURES, MODE = 200_000, 400, 10_000
ROUNDING = 16 * np.finfo(float).eps

Key = tuple[int, ...]
# key -> (coefficient, the sum of the sizes of its parts, which tells when they cancel).
Polynomial = dict[Key, tuple[complex, float]]


class _TooLarge(Exception):
    pass


class _Algebra:
    """Operations on polynomials in the monomials and the angles themselves; None is no such thing.

    The first half of a key holds wave numbers on tori and powers of Cartesian coordinates on
    spheres, the second half powers of angles, which only sin and cos turn into waves.
    """

    def __init__(self, X: Manifold, Y: Manifold) -> None:
        self.size = X.ambient + Y.ambient
        self.zero = (0,) * (2 * self.size)
        # The factor that turns a coordinate into an angle; None for a Cartesian one.
        self.turn = [
            2 * np.pi / m.period if isinstance(m, Torus) else None
            for m in (X, Y)
            for _ in range(m.ambient)
        ]
        self.budget = PRODUCTS

    def applied(self, op: str, args: Sequence[Polynomial | None], value: Any) -> Polynomial | None:
        """An operation of a graph on polynomials."""
        if op == "const":
            return {self.zero: (value, abs(value))}
        if op == "var":
            place = value + self.size * bool(self.turn[value])
            return {tuple(int(i == place) for i in range(2 * self.size)): (1.0, 1.0)}
        known = [a for a in args if a is not None]
        if len(known) < len(args):
            return None
        if op == "add":
            return self.plus(*known)
        if op == "neg":
            return self.times({self.zero: (-1.0, 1.0)}, known[0])
        if op == "mul":
            return self.times(*known)
        if op == "div" and list(known[1]) == [self.zero] and (c := known[1][self.zero][0]):
            return self.times({self.zero: (1 / c, abs(1 / c))}, known[0])
        if op == "pow" and isinstance(value, int):
            return self.power(known[0], value)
        return self.wave(op, known[0]) if op in ("sin", "cos") else None

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
            for l, (d, t) in b.items():
                key = tuple(p + q for p, q in zip(k, l, strict=True))
                e, u = total.get(key, (0.0, 0.0))
                total[key] = (e + c * d, u + s * t)
        return total

    def power(self, a: Polynomial, n: int) -> Polynomial:
        total = a
        for _ in range(n - 1):
            total = self.times(total, a)
        return total

    def wave(self, name: str, a: Polynomial) -> Polynomial | None:
        """sin or cos of a sum of angles that turns a whole number of times around every torus."""
        shift, modes = 0.0, [0] * self.size
        for key, (c, _) in a.items():
            if any(key[: self.size]) or sum(key) > 1:
                return None
            if not any(key):
                shift = c.real
                continue
            k = key.index(1) - self.size
            exact = c.real / (self.turn[k] or np.nan)
            if not abs(exact) < MODE or abs(exact - round(exact)) > 1e-12:
                return None
            modes[k] = round(exact)
        c = 0.5 * np.exp(1j * shift) * (1.0 if name == "cos" else -1j)
        rest = self.zero[self.size :]
        ahead, behind = (*modes, *rest), (*_opposite(modes), *rest)
        return self.plus({ahead: (c, 0.5)}, {behind: (np.conj(c), 0.5)})


def monomials(graph: Graph, root: int, X: Manifold, Y: Manifold) -> dict[Key, complex] | None:
    """key -> coefficient of the monomials that the formula sums; None if it is no such sum."""
    algebra, made = _Algebra(X, Y), dict[int, Polynomial | None]()
    try:
        for i in graph.needed([root]):
            op, args, value = graph.entries[i]
            made[i] = algebra.applied(op, [made[a] for a in args], value)
    except _TooLarge:
        return None
    if (whole := made[root]) is None:
        return None
    n = algebra.size
    terms = {k: complex(c) for k, (c, size) in whole.items() if abs(c) > ROUNDING * size}
    return None if any(any(k[n:]) for k in terms) else {k[:n]: c for k, c in terms.items()}


class _Side:
    """One player's features for the monomials of a polynomial."""

    def __init__(self, manifold: Manifold, keys: set[Key]) -> None:
        self.manifold, self.torus = manifold, isinstance(manifold, Torus)
        # Products x_i x_j of two coordinates enter through one quadratic form x'Sx only.
        self.S = np.zeros((manifold.ambient, manifold.ambient))
        upper = {max(k, _opposite(k)) for k in keys} | {(0,) * manifold.ambient}
        self.modes = sorted(upper) if self.torus else []

    @property
    def basis(self) -> Basis:
        if isinstance(self.manifold, Torus):
            return TrigBasis(self.manifold, np.array(self.modes, float))
        return QuadraticBasis(self.manifold, self.S)  # type: ignore[arg-type]

    def vector(self, key: Key) -> dict[int, complex] | None:
        """Feature -> coefficient; None for a monomial of degree above two on a sphere."""
        if not any(key):
            return {0: 1.0}
        if self.torus:
            up = max(key, _opposite(key))
            j = self.modes.index(up)
            return {j: 1.0, len(self.modes) + j: 1j if up == key else -1j}
        if sum(key) > 2:
            return None
        a = self.manifold.ambient
        places = [i for i, p in enumerate(key) if p]
        return {1 + places[0] + a * (key[places[0]] - 1) if len(places) == 1 else 2 * a + 1: 1.0}

    def mixed(self, key: Key) -> bool:
        return not self.torus and sum(p > 0 for p in key) > 1


def _opposite(key: Iterable[int]) -> Key:
    return tuple(-k for k in key)


def expanded(graph: Graph, root: int, X: Manifold, Y: Manifold, **about: Any) -> LowRank | None:
    """The formula as a game, where it is trigonometric in angles and quadratic on spheres."""
    terms = monomials(graph, root, X, Y)
    if terms is None:
        return None
    pairs = {(key[: X.ambient], key[X.ambient :]): c for key, c in terms.items()}
    x, y = _Side(X, {k for k, _ in pairs}), _Side(Y, {l for _, l in pairs})
    if max(len(x.modes), len(y.modes)) > FEATURES:
        return None
    sizes = (2 * len(s.modes) if s.torus else 2 * s.manifold.ambient + 2 for s in (x, y))
    C = np.zeros(tuple(sizes))
    for (k, l), c in pairs.items():
        u, v = x.vector(k), y.vector(l)
        if u is None or v is None:
            return None
        for side, own, other in ((x, k, l), (y, l, k)):
            if side.mixed(own):
                if any(other):
                    return None
                i, j = (n for n, p in enumerate(own) if p)
                side.S[i, j] = side.S[j, i] = c.real / 2
        if x.mixed(k) or y.mixed(l):
            C[next(iter(u)), next(iter(v))] = 1.0
            continue
        for i, a in u.items():
            for j, b in v.items():
                C[i, j] += (c * a * b).real
    return LowRank(x.basis, y.basis, C, **about)
