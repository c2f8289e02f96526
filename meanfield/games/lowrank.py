"""Low-rank games l(x, y) = phi(x)' C psi(y): trigonometric on tori, the paper's on spheres.

Costs at N points from M atoms take O((N + M) K) operations, not O(N M).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, known_name, real, whole, within_memory
from meanfield.games.base import CHUNK, Game, both_or_neither
from meanfield.games.bases import Basis, QuadraticBasis, TrigBasis, mode
from meanfield.games.catalogue import recorded
from meanfield.games.view import FeatureView
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Measure
from meanfield.sums import means


class LowRank(Game):
    """l(x, y) = phi(x)' C psi(y), phi and psi the features of two bases.

    A constant in l moves no player, but would take digits from what does. `loss`,
    `value` and potentials have it; the rest leaves it out.

    Parameters
    ----------
    basis_x, basis_y : Basis
        Of K_x and K_y features.
    C : (K_x, K_y)
    name, statement : str
    answers : dict, optional
        What is known of the game, by name.
    """

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
        self.C = finite_array("C", C, (basis_x.size, basis_y.size)).copy("K")
        self.X, self.Y = basis_x.manifold, basis_y.manifold
        self.name, self.statement, self.answers = name, statement, dict(answers or {})
        one_x, one_y = (getattr(basis, "one", None) for basis in self.bases)
        moving = self.C
        if one_x is not None and one_y is not None and self.C[one_x, one_y]:
            self.constant = float(self.C[one_x, one_y])
            moving = self.C.copy("K")
            moving[one_x, one_y] = 0.0
        self._maps = (moving, -moving.T)

    def loss(self, x: Array, y: Array) -> Array:
        x, y = self._pairs(x, y)
        return self.bases[0].values(x) @ self.C @ self.bases[1].values(y).T

    def moving_loss(self, x: Array, y: Array) -> Array:
        x, y = self._pairs(x, y)
        return self.bases[0].values(x) @ self._maps[0] @ self.bases[1].values(y).T

    def swapped(self) -> LowRank:
        phi, psi = self.bases
        return LowRank(psi, phi, -self.C.T, f"{self.name}, swapped", self.statement)

    def moments(self, p: int, points: Array, masses: Array) -> Array:
        """Feature means of player p, shape (K_p,)."""
        found = np.zeros(self.bases[p].size)
        for i in range(0, len(points), CHUNK):
            values = self.bases[p].values(points[i : i + CHUNK])
            found += means(values.T, masses[i : i + CHUNK])
        return found

    def coefficients(self, p: int, opponent_moments: Array) -> Array:
        """Coefficients of U_p in the features of p, less the loss's constant, shape (K_p,)."""
        return self._maps[p] @ opponent_moments

    def view(self, p: int, points: Array, opponent_points: Array) -> FeatureView:
        return FeatureView(self.bases[p], self._maps[p], points)

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

    def mixed(self, x: Array, y: Array) -> Array:
        along_x, along_y = (
            np.einsum("nia,nka->nik", M.basis(points), basis.slopes(points))
            for M, basis, points in zip(self.manifolds, self.bases, (x, y), strict=True)
        )
        return np.einsum("nik,kl,mjl->nimj", along_x, self._maps[0], along_y, optimize=True)


def _chunks(points: Array) -> list[Array]:
    return [points[i : i + CHUNK] for i in range(0, max(len(points), 1), CHUNK)]


Mode = tuple[int, ...]
Term = tuple[Mode, Mode, float, float]


def trigonometric(
    terms: Iterable[Term], X: Torus | None = None, Y: Torus | None = None, **about: Any
) -> LowRank:
    """The sum of re cos(k.x + l.y) - im sin(k.x + l.y) over terms ((k...), (l...), re, im).

    That is the real part of (re + i im) exp(i (k.x + l.y)). On `Torus(d, period=P)` angles are
    2 pi x / P.

    Parameters
    ----------
    terms : iterable of ((k...), (l...), re, im)
    X, Y : Torus, both or neither
        By default tori of period 2 pi with as many angles as k and l have entries.
    **about
        name, statement and answers of the game.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For terms of another form, and for tori that they do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> game = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])  # cos(x - y)
    >>> atom = mf.Measure([[0.5]], None, game.X)
    >>> print(f"{game.value(atom, atom):.6f}")
    1.000000
    """
    if not isinstance(terms, Iterable) or getattr(terms, "ndim", 1) == 0:
        raise TypeError(f"terms must be a list of ((k...), (l...), re, im), got {terms!r}")
    rows = [_term(i, t) for i, t in enumerate(terms)]
    if not rows:
        raise ValueError("terms are empty; a trigonometric game needs at least one")
    both_or_neither(X, Y)
    X = Torus(len(rows[0][0])) if X is None else X
    Y = Torus(len(rows[0][1])) if Y is None else Y
    for name, manifold in (("X", X), ("Y", Y)):
        if not isinstance(manifold, Torus):
            raise TypeError(f"{name} must be a Torus for a trigonometric game, got {manifold!r}")
    for i, (k, l, _, _) in enumerate(rows):
        if len(k) != X.d or len(l) != Y.d:
            raise ValueError(
                f"terms[{i}] has modes {k} and {l}; {X} and {Y} need {X.d} and {Y.d} entries"
            )
    of_x = sorted({_upper(k)[0] for k, _, _, _ in rows})
    of_y = sorted({_upper(l)[0] for _, l, _, _ in rows})
    J, L = len(of_x), len(of_y)
    C = np.zeros((2 * J, 2 * L))
    for k, l, re, im in rows:
        (k, s), (l, t) = _upper(k), _upper(l)
        i, j = of_x.index(k), of_y.index(l)
        # cos(s a + t b) = cos a cos b - s t sin a sin b
        C[i, j] += re
        C[J + i, L + j] -= s * t * re
        # sin(s a + t b) = s sin a cos b + t cos a sin b
        C[J + i, j] -= s * im
        C[i, L + j] -= t * im
    about.setdefault("name", "trigonometric game")
    bases = TrigBasis(X, np.array(of_x, float)), TrigBasis(Y, np.array(of_y, float))
    return LowRank(*bases, C, **about)


def _upper(k: Mode) -> tuple[Mode, float]:
    """k or -k, which share a cosine and a sine: the one whose first entry is positive; its sign."""
    opposite = tuple(-v for v in k)
    return (k, 1.0) if k >= opposite else (opposite, -1.0)


def _term(i: int, term: Any) -> Term:
    try:
        k, l, re, im = term
        modes = mode(f"terms[{i}] mode", k), mode(f"terms[{i}] mode", l)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"terms[{i}] must be ((k, ...), (l, ...), re, im), got {term!r}: {error}"
        ) from None
    return *modes, real(f"terms[{i}] re", re), real(f"terms[{i}] im", im)


def rows_of(dim: Any) -> int:
    """How many rows a game's matrices have, which the memory must hold."""
    d = whole("dim", dim, 2)
    within_memory(f"four matrices of {d} rows", 64.0 * d * d, "take a smaller dim")
    return d


def polynomial_from(
    A0: ArrayLike, A1: ArrayLike, A2: ArrayLike, A3: ArrayLike,
    a0: ArrayLike, a1: ArrayLike, **about: Any,
) -> LowRank:  # fmt: skip
    """l_a = x'A0x + x'A1y + y'A2y + y'A3(x^2) + a0'x + a1'y on the unit spheres of R^d and R^e.

    Parameters
    ----------
    A0, A1, A2, A3 : (d, d), (d, e), (e, e), (e, d)
        0 stands for a zero array.
    a0, a1 : (d,), (e,)
    **about
        name, statement and answers of the game.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For arrays whose shapes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> mf.games.polynomial_from(np.eye(3), np.eye(3), 0, 0, 0, 0).Y
    Sphere(2)
    """
    A1 = finite_array("A1", A1, (None, None))
    d, e = A1.shape
    if min(d, e) < 2:
        raise ValueError(
            f"A1 has shape {A1.shape}; the unit sphere needs dimension 2 or more on each side"
        )

    def sized(name: str, value: ArrayLike, *shape: int) -> Array:
        zero = np.ndim(value) == 0 and value == 0
        return np.zeros(shape) if zero else finite_array(name, value, shape)

    bases = (
        QuadraticBasis(Sphere(d - 1), sized("A0", A0, d, d)),
        QuadraticBasis(Sphere(e - 1), sized("A2", A2, e, e)),
    )
    C = np.zeros((2 * d + 2, 2 * e + 2))
    C[0, 1 : e + 1] = sized("a1", a1, e)
    C[1 : d + 1, 0] = sized("a0", a0, d)
    C[1 : d + 1, 1 : e + 1] = A1
    C[d + 1 : -1, 1 : e + 1] = sized("A3", A3, e, d).T
    C[0, -1] = C[-1, 0] = 1.0
    about.setdefault("name", f"polynomial game on the unit spheres of R^{d} and R^{e}")
    return LowRank(*bases, C, **about)


@recorded
def polynomial(kind: Literal["a", "b"] = "a", dim: int = 3, seed: int = 0) -> LowRank:
    """The paper's random games on S^{dim-1} x S^{dim-1}, entries N(0, 1) from the seed.

    l_a = x'A0x + x'A1y + y'A2y + y'A3(x^2) + a0'x + a1'y;
    l_b = x'A0'A0x + x'A1y + y'A2'A2y + a0'x + a1'y.

    Parameters
    ----------
    kind : {"a", "b"}
    dim : int
        The number of coordinates.
    seed : int
        Entries are drawn in the order A0, A1, A2, A3, a0, a1.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For another kind, and for fewer than two coordinates.

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.games.polynomial("b", dim=4, seed=1).X
    Sphere(3)
    """
    d = rows_of(dim)
    rng = np.random.default_rng(whole("seed", seed, 0))
    A0, A1, A2, A3 = rng.standard_normal((4, d, d))
    a0, a1 = rng.standard_normal((2, d))
    known_name("kind", kind, ("a", "b"))
    name = f"l_{kind} (dim {d}, seed {seed})"
    if kind == "a":
        return polynomial_from(A0, A1, A2, A3, a0, a1, name=name)
    return polynomial_from(A0.T @ A0, A1, A2.T @ A2, 0, a0, a1, name=name)
