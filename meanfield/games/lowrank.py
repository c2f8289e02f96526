"""Low-rank games l(x, y) = phi(x)' C psi(y): trigonometric on tori, the paper's on spheres.

Costs at N points from M atoms take O((N + M) K) operations, not O(N M).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, real, whole
from meanfield.games.base import CHUNK, Game
from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis
from meanfield.games.recipes import recorded
from meanfield.games.view import FeatureView
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Measure


class LowRank(Game):
    """l(x, y) = phi(x)' C psi(y), phi and psi the features of two bases, C of shape (K_x, K_y)."""

    bases: tuple[Basis, Basis]

    def __init__(
        self,
        basis_x: Basis,
        basis_y: Basis,
        C: ArrayLike,
        name: str = "low-rank game",
        statement: str = "",
        answers: dict[str, Any] | None = None,
    ) -> None:
        self.bases = (basis_x, basis_y)
        self.C = finite_array("C", C, (basis_x.size, basis_y.size))
        self.X, self.Y = basis_x.manifold, basis_y.manifold
        self.name, self.statement, self.answers = name, statement, dict(answers or {})
        self._maps = (self.C, -self.C.T)

    def loss(self, x: Array, y: Array) -> Array:
        x, y = self._pairs(x, y)
        return self.bases[0].values(x) @ self.C @ self.bases[1].values(y).T

    def swapped(self) -> LowRank:
        phi, psi = self.bases
        return LowRank(psi, phi, -self.C.T, f"{self.name}, swapped", self.statement)

    def moments(self, p: int, points: Array, masses: Array) -> Array:
        """Feature means of player p, shape (K_p,)."""
        total = np.zeros(self.bases[p].size)
        for i in range(0, len(points), CHUNK):
            total += masses[i : i + CHUNK] @ self.bases[p].values(points[i : i + CHUNK])
        return total

    def coefficients(self, p: int, opponent_moments: Array) -> Array:
        """Coefficients of U_p in the features of p, shape (K_p,)."""
        return self._maps[p] @ opponent_moments

    def view(self, p: int, points: Array, opponent_points: Array) -> FeatureView:
        return FeatureView(self, p, points)

    def moment_matrix(self, p: int, nodes: Array) -> Array:
        return np.ascontiguousarray(self.bases[p].values(nodes).T)

    def cost_matrix(self, p: int, points: Array, opponent_nodes: Array) -> Array:
        return self.bases[p].values(points) @ self._maps[p]

    def _against(self, p: int, opponent: Measure) -> Array:
        return self.coefficients(p, self.moments(1 - p, opponent.points, opponent.masses))

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        c = self._against(p, opponent)
        return np.concatenate([self.bases[p].values(q) @ c for q in _chunks(points)])

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        c = self._against(p, opponent)
        return np.concatenate([self.bases[p].gradient(q, c) for q in _chunks(points)])

    def hessian(self, p: int, points: Array, opponent: Measure) -> Array:
        return self.bases[p].hessian(points, self._against(p, opponent))


def _chunks(points: Array) -> list[Array]:
    return [points[i : i + CHUNK] for i in range(0, max(len(points), 1), CHUNK)]


Term = tuple[tuple[int, ...], tuple[int, ...], float, float]


def trigonometric(
    terms: Iterable[Term], X: Torus | None = None, Y: Torus | None = None, **about: Any
) -> LowRank:
    """sum of re cos(k.x + l.y) - im sin(k.x + l.y) over terms ((k...), (l...), re, im).

    That is the real part of (re + i im) exp(i (k.x + l.y)). X and Y default to tori of period 2 pi
    with as many angles as k and l have entries; on `Torus(d, period=P)` angles are 2 pi x / P.
    """
    rows = [_term(i, t) for i, t in enumerate(terms)]
    if not rows:
        raise ValueError("terms are empty; a trigonometric game needs at least one")
    X = Torus(len(rows[0][0])) if X is None else X
    Y = Torus(len(rows[0][1])) if Y is None else Y
    for name, manifold in (("X", X), ("Y", Y)):
        if not isinstance(manifold, Torus):
            raise TypeError(f"{name} must be a Torus for a trigonometric game, got {manifold!r}")
    for i, (k, m, _, _) in enumerate(rows):
        if len(k) != X.d or len(m) != Y.d:
            raise ValueError(
                f"terms[{i}] has modes {k} and {m}; {X} and {Y} need {X.d} and {Y.d} entries"
            )
    of_x = sorted({positive(k) for k, _, _, _ in rows})
    of_y = sorted({positive(m) for _, m, _, _ in rows})
    J, M = len(of_x), len(of_y)
    C = np.zeros((2 * J, 2 * M))
    for k, m, re, im in rows:
        up, vp = positive(k), positive(m)
        s, t = (1.0 if up == k else -1.0), (1.0 if vp == m else -1.0)
        j, q = of_x.index(up), of_y.index(vp)
        # cos(s a + t b) = cos a cos b - s t sin a sin b,
        # sin(s a + t b) = s sin a cos b + t cos a sin b.
        C[j, q] += re
        C[J + j, M + q] -= s * t * re
        C[J + j, q] -= s * im
        C[j, M + q] -= t * im
    about.setdefault("name", "trigonometric game")
    bases = TrigBasis(X, np.array(of_x, float)), TrigBasis(Y, np.array(of_y, float))
    return LowRank(*bases, C, **about)


def positive(k: tuple[int, ...]) -> tuple[int, ...]:
    """Of k and -k, which share cosine and sine, the one whose first non-zero entry is positive."""
    return max(k, tuple(-c for c in k))


def _term(i: int, term: Any) -> Term:
    try:
        k, m, re, im = term
        ks = tuple(whole(f"terms[{i}] mode", v, -(10**6)) for v in np.atleast_1d(k).tolist())
        ms = tuple(whole(f"terms[{i}] mode", v, -(10**6)) for v in np.atleast_1d(m).tolist())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"terms[{i}] must be ((k, ...), (l, ...), re, im), got {term!r}: {error}"
        ) from None
    return ks, ms, real(f"terms[{i}] re", re), real(f"terms[{i}] im", im)


def polynomial_from(
    A0: ArrayLike,
    A1: ArrayLike,
    A2: ArrayLike,
    A3: ArrayLike,
    a0: ArrayLike,
    a1: ArrayLike,
    **about: Any,
) -> LowRank:
    """l_a = x'A0x + x'A1y + y'A2y + y'A3(x^2) + a0'x + a1'y on the unit spheres of R^d and R^e.

    A0 (d, d), A1 (d, e), A2 (e, e), A3 (e, d), a0 (d,), a1 (e,); 0 stands for a zero array.
    """
    A1 = finite_array("A1", A1, (None, None))
    d, e = A1.shape

    def sized(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
        zero = np.ndim(value) == 0 and value == 0
        return np.zeros(shape) if zero else finite_array(name, value, shape)

    if min(d, e) < 2:
        raise ValueError(
            f"A1 has shape {A1.shape}; the unit sphere needs dimension 2 or more on each side"
        )
    of_x = QuadraticBasis(Sphere(d - 1), sized("A0", A0, (d, d)))
    of_y = QuadraticBasis(Sphere(e - 1), sized("A2", A2, (e, e)))
    C = np.zeros((2 * d + 2, 2 * e + 2))
    C[0, 1 : e + 1] = sized("a1", a1, (e,))
    C[0, -1] = 1.0
    C[1 : d + 1, 0] = sized("a0", a0, (d,))
    C[1 : d + 1, 1 : e + 1] = A1
    C[d + 1 : -1, 1 : e + 1] = sized("A3", A3, (e, d)).T
    C[-1, 0] = 1.0
    about.setdefault("name", f"polynomial game on the unit spheres of R^{d} and R^{e}")
    return LowRank(of_x, of_y, C, **about)


@recorded
def polynomial(kind: str = "a", dim: int = 3, seed: int = 0) -> LowRank:
    """The paper's random games on S^{dim-1} x S^{dim-1}, entries N(0, 1) from the seed.

    "a": x'A0x + x'A1y + y'A2y + y'A3(x^2) + a0'x + a1'y;
    "b": x'A0'A0x + x'A1y + y'A2'A2y + a0'x + a1'y. Drawn in the order A0, A1, A2, A3, a0, a1.
    """
    d = whole("dim", dim, 2)
    rng = np.random.default_rng(whole("seed", seed, 0))
    A0, A1, A2, A3 = rng.standard_normal((4, d, d))
    a0, a1 = rng.standard_normal((2, d))
    if kind not in ("a", "b"):
        raise ValueError(f'kind must be "a" or "b", the paper\'s two losses, got {kind!r}')
    name = f"l_{kind} (dim {d}, seed {seed})"
    if kind == "a":
        return polynomial_from(A0, A1, A2, A3, a0, a1, name=name)
    return polynomial_from(A0.T @ A0, A1, A2.T @ A2, 0, a0, a1, name=name)
