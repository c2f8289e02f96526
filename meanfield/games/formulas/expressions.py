"""Losses given as text, such as "cos(x - y) + 0.3*sin(2*x)*cos(y)".

`grammar` reads the text (a whitelist, nothing is evaluated) and `domain` checks it on the
manifolds. It becomes a low-rank game where `expansion` finds one, and otherwise an `Expression`:
exact derivatives by `calculus`, compiled pair loops by `loops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, real
from meanfield.games.base import SIGNS
from meanfield.games.catalogue import recorded
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.domain import check_domain, resolve
from meanfield.games.formulas.expansion import expanded
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.grammar import Parsed, at_the_call, parse
from meanfield.games.formulas.loops import kernel, pair_kernel
from meanfield.games.formulas.truncation import truncated
from meanfield.games.lowrank import LowRank
from meanfield.games.pairwise import Pairwise, apart
from meanfield.manifolds import Manifold
from meanfield.measures import Measure

MANY = 1 << 15  # pairs from which on a compiled loop is worth loading
BLOCK = 1 << 17  # pairs at a time: a few intermediate blocks stay within the caches


@at_the_call
@recorded
def expression(
    text: str,
    X: Manifold | None = None,
    Y: Manifold | None = None,
    truncate: float | None = None,
    **constants: float,
) -> LowRank | Expression:
    """The game whose loss is the formula `text` in x and y, exactly differentiated.

    Coordinates are x1, x2, ..., y1, y2, ... (x and y when there is one); on a sphere they are the
    Cartesian ones of the space around it. Allowed are numbers, + - * / **, ( ), pi and sin cos tan
    exp log sqrt sinh cosh tanh asin acos atan abs.

    Parameters
    ----------
    text : str
    X, Y : Torus or Sphere, both or neither
        By default tori of period 2 pi with as many angles as the formula uses.
    truncate : float, optional
        On tori, replace any other loss by a trigonometric polynomial within this fraction of its
        largest absolute value, say 1e-12; `answers["truncation"]` then states the error.
    **constants : float
        Named numbers: expression("a*cos(x - y)", a=2) is the game "a*cos(x - y), a=2".

    Returns
    -------
    LowRank or Expression
        A `LowRank` game when the loss is a trigonometric polynomial in the angles and quadratic in
        sphere coordinates.

    Raises
    ------
    ExpressionError
        A ValueError pointing at the place, for text outside the grammar, for a loss that is
        infinite or kinked somewhere, for one that is not periodic on a torus, and for constants
        that the formula does not use.

    Examples
    --------
    >>> import meanfield as mf
    >>> type(mf.games.expression("a*cos(x - y)", a=2)).__name__
    'LowRank'
    >>> type(mf.games.expression("exp(sin(x))*cos(y)")).__name__
    'Expression'
    """
    bound = None if truncate is None else real("truncate", truncate, 0.0, strict=True)
    parsed = parse(text, constants, ("X", "Y", "truncate"))
    X, Y = resolve(parsed, X, Y)
    check_domain(parsed, X, Y)
    values = {k: repr(float(v)).removesuffix(".0") for k, v in sorted(constants.items())}
    formula = " ".join(text.split())
    name = ", ".join([formula, *(f"{k}={v}" for k, v in values.items())])
    statement = f"l = {formula}"
    if values:
        statement += " with " + ", ".join(f"{k} = {v}" for k, v in values.items())
    graph, root = numbered(parsed, X)
    low_rank = expanded(graph, root, X, Y, name=name, statement=statement)
    if low_rank is not None:
        return low_rank
    game = Expression(graph, root, X, Y, name, statement)
    return game if bound is None else truncated(game, bound)


def numbered(parsed: Parsed, X: Manifold) -> tuple[Graph, int]:
    """The formula with its variables numbered, the coordinates of x first."""
    graph = Graph()
    numbers = {(p, k): k + p * X.ambient for (p, k), _ in parsed.names}
    (root,) = parsed.graph.copy_into(graph, [parsed.root], numbers)
    return graph, root


class Expression(Formula, Pairwise):
    """The game of a formula; made by `expression`.

    Parameters
    ----------
    graph : Graph
    root : int
        Which node of the graph is the loss.
    X, Y : Torus or Sphere
    name, statement : str
    """

    def __init__(
        self, graph: Graph, root: int, X: Manifold, Y: Manifold, name: str, statement: str = ""
    ) -> None:
        moving, self.constant = graph.without_constant(root)
        super().__init__(graph, moving, X, Y, name)
        # What no sum shows, such as that of sqrt(1e8 + cos(x)).
        x, y = (M.sample(16, np.random.default_rng(0)) for M in (X, Y))
        hidden, self.rounding = apart(name, self.moving_loss(x, y))
        if hidden:
            self.constant += hidden
            super().__init__(graph, graph.add(moving, graph.constant(-hidden)), X, Y, name)
        self.statement, self.answers = statement, {}

    def _at(self, roots: Sequence[int], x: Array, y: Array) -> list[Array]:
        """Values (n, m) of operations at all pairs."""
        variables = [*(c[:, None] for c in x.T), *(c[None, :] for c in y.T)]
        return [np.broadcast_to(v, (len(x), len(y))) for v in self.graph.evaluate(roots, variables)]

    def loss(self, x: Array, y: Array) -> Array:
        return self.moving_loss(x, y) + self.constant

    def moving_loss(self, x: Array, y: Array) -> Array:
        return np.array(self._at([self.root], *self._pairs(x, y))[0])

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        return np.stack(self._at(self.slopes[p], x, y), axis=-1)

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        return np.array(self._at([self.curvature(p)], x, y)[0])

    def _means(
        self, p: int, roots: Sequence[int], points: Array, nodes: Array, masses: Array
    ) -> Array:
        """(n, R): the operations averaged over the opponent's atoms, in player p's orientation."""
        means = np.empty((len(points), len(roots)))
        step = max(1, BLOCK // max(len(nodes), 1))
        for i in range(0, len(points), step):
            own = points[i : i + step]
            pairs = self._at(roots, own, nodes) if p == 0 else self._at(roots, nodes, own)
            for k, values in enumerate(pairs):
                means[i : i + step, k] = (values if p == 0 else values.T) @ masses
        return means

    def hessian(self, p: int, points: Array, opponent: Measure) -> Array:
        M, H = self.manifolds[p], self.curvatures(p)
        roots = [*H.values(), *self.ambient_slopes(p)]
        means = self._means(p, roots, points, opponent.points, opponent.masses)
        full = np.empty((len(points), M.ambient, M.ambient))
        for k, (i, j) in enumerate(H):
            full[:, i, j] = full[:, j, i] = means[:, k]
        frame = M.basis(points)
        flat = frame @ full @ frame.transpose(0, 2, 1)
        if self.curved(p):
            # The second fundamental form of the unit sphere takes off the normal derivative.
            normal = np.sum(points * means[:, len(H) :], axis=1)
            flat = flat - normal[:, None, None] * np.eye(M.dim)
        return SIGNS[p] * flat

    def mixed(self, x: Array, y: Array) -> Array:
        slopes = self.mixed_slopes()
        values = self._at([root for row in slopes for root in row], x, y)
        full = np.array(values).reshape(len(slopes), -1, len(x), len(y))
        return np.einsum("nia,abnm,mjb->nimj", self.X.basis(x), full, self.Y.basis(y))

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        return self._compiled(p, "jet", self.jet(p), points, nodes, masses)

    def both_forces(self, x: Array, y: Array, masses_x: Array, masses_y: Array) -> tuple[Any, Any]:
        """`forces` of both players, each pair looked at once."""
        run = self.kernel("pair", lambda: pair_kernel(self))
        if run is None:
            return self.forces(0, x, y, masses_y), self.forces(1, y, x, masses_x)
        return run(*map(_contiguous, (x, y, masses_x, masses_y)))  # type: ignore[no-any-return]

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._against(p, "jet", self.jet(p), points, opponent)[0]

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._against(p, "jet", self.jet(p), points, opponent)[1]

    def cost_and_gradient(self, p: int, points: Array, opponent: Measure) -> tuple[Array, Array]:
        return self._against(p, "jet", self.jet(p), points, opponent)

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._against(p, "laplacian", [self.curvature(p)], points, opponent)[0]

    def _against(
        self, p: int, kind: str, roots: list[int], points: Array, opponent: Measure
    ) -> tuple[Array, Array]:
        """The first operation and the others against a measure.

        Compiled where that pays, which the sizes alone decide: runs repeat bit for bit.
        """
        atoms = opponent.points, opponent.masses
        if len(points) * len(opponent) < MANY:
            return self._plain(p, roots, points, *atoms)
        return self._compiled(p, kind, roots, points, *atoms)

    def _compiled(
        self, p: int, kind: str, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        run = self.kernel((p, kind), lambda: kernel(self, p, roots))
        if run is None:
            return self._plain(p, roots, points, nodes, masses)
        return run(*map(_contiguous, (points, nodes, masses)))  # type: ignore[no-any-return]

    def _plain(
        self, p: int, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        """The same in numpy."""
        means = SIGNS[p] * self._means(p, roots, points, nodes, masses)
        return means[:, 0].copy(), means[:, 1:].copy()

    def swapped(self) -> Expression:
        graph, a, b = Graph(), self.X.ambient, self.Y.ambient
        numbers = {k: b + k for k in range(a)} | {a + k: k for k in range(b)}
        (root,) = self.graph.copy_into(graph, [self.root], numbers)
        root = graph.neg(graph.add(root, graph.constant(self.constant)))
        name = f"{self.name}, swapped"
        return Expression(graph, root, self.Y, self.X, name, self.statement)


def _contiguous(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)
