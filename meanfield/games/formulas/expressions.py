"""Losses given as text, such as "cos(x - y) + 0.3*sin(2*x)*cos(y)".

The text goes through `grammar` (a whitelist, never evaluated), is checked on the manifolds by
`domain`, becomes a low-rank game where `fourier` finds that it is one, and otherwise an
`Expression`: exact derivatives by `formula`, compiled pair loops by `loops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, real
from meanfield.games.base import SIGNS
from meanfield.games.bases import sphere_hessian
from meanfield.games.formulas import loops
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.domain import check_domain, resolve
from meanfield.games.formulas.formula import Formula
from meanfield.games.formulas.fourier import lowrank_of
from meanfield.games.formulas.grammar import ExpressionError, parse
from meanfield.games.formulas.truncation import truncated
from meanfield.games.lowrank import LowRank
from meanfield.games.pairwise import Pairwise
from meanfield.games.recipes import recorded
from meanfield.manifolds import Manifold, Sphere
from meanfield.measures import Measure

MANY = 1 << 15  # pairs from which on a compiled loop is worth loading
BLOCK = 1 << 17  # pairs at a time: a few intermediate blocks stay within the caches


@recorded
def expression(
    text: str,
    X: Manifold | None = None,
    Y: Manifold | None = None,
    truncate: float | None = None,
    **constants: float,
) -> LowRank | Expression:
    """The game whose loss is the formula `text` in x and y, exactly differentiated.

    Coordinates are x1, x2, ..., y1, y2, ... (x and y when there is one); X and Y default to tori of
    period 2 pi with as many angles as the formula uses. On a sphere they are the Cartesian
    coordinates of the space around it. Keywords are named constants:
    expression("a*cos(x - y)", a=2) is the game "a*cos(x - y), a=2".
    Allowed are numbers, + - * / **, ( ), pi and sin cos tan exp log sqrt sinh cosh tanh asin acos
    atan abs.

    truncate: on tori, replace any other loss by a trigonometric polynomial within this fraction of
    its largest absolute value, say 1e-12; `answers["truncation"]` then states the error.

    Returns a `LowRank` game when the loss is a trigonometric polynomial in the angles and quadratic
    in sphere coordinates, else an `Expression`. Raises ExpressionError, a ValueError pointing at
    the place, for text outside the grammar, for a loss that is infinite or kinked somewhere, for
    one that is not periodic on a torus, and for constants that the formula does not use.
    """
    bound = None if truncate is None else real("truncate", truncate, 0.0, strict=True)
    tree = parse(text, constants, ("X", "Y", "truncate"))
    X, Y = resolve(tree, text, X, Y)
    check_domain(tree, text, X, Y)
    given = [(k, repr(float(v)).removesuffix(".0")) for k, v in sorted(constants.items())]
    formula = " ".join(text.split())
    name = ", ".join([formula, *(f"{k}={v}" for k, v in given)])
    graph = Graph()
    numbers = {(0, k): k for k in range(X.ambient)}
    numbers |= {(1, k): X.ambient + k for k in range(Y.ambient)}
    try:
        root = graph.insert(tree, numbers)
    except OverflowError as error:
        raise ExpressionError(f"constants of {name!r} overflow: {error}") from None
    values = ", ".join(f"{k} = {v}" for k, v in given)
    statement = f"l = {formula}" + (f" with {values}" if values else "")
    short = lowrank_of(graph, root, X, Y, name=name, statement=statement)
    if short is not None:
        return short
    game = Expression(graph, root, X, Y, name, statement)
    return game if bound is None else truncated(game, bound)


class Expression(Formula, Pairwise):
    """The game of a formula that is no finite sum; made by `expression`."""

    def __init__(
        self, graph: Graph, root: int, X: Manifold, Y: Manifold, name: str, statement: str = ""
    ) -> None:
        super().__init__(graph, root, X, Y, name)
        self.statement, self.answers = statement, {}
        self._kernels: dict[Any, Any] = {}

    def _at(self, roots: Sequence[int], x: Array, y: Array) -> list[Array]:
        """Values (n, m) of operations at all pairs."""
        variables = [*(c[:, None] for c in x.T), *(c[None, :] for c in y.T)]
        return [np.broadcast_to(v, (len(x), len(y))) for v in self.graph.evaluate(roots, variables)]

    def loss(self, x: Array, y: Array) -> Array:
        return np.array(self._at([self.root], *self._pairs(x, y))[0])

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        return np.stack(self._at(self.jet(p)[1:], x, y), axis=-1)

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        return np.array(self._at([self.laplacian_of(p)], x, y)[0])

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, "jet", self.jet(p), points, opponent)[0]

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, "jet", self.jet(p), points, opponent)[1]

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, "laplacian", [self.laplacian_of(p)], points, opponent)[0]

    def hessian(self, p: int, points: Array, opponent: Measure) -> Array:
        H, manifold = self.curvatures(p), self.manifolds[p]
        roots = [*H.values(), *self.slopes(p)]
        means = self._means(p, roots, points, opponent.points, opponent.masses)
        full = np.empty((len(points), manifold.ambient, manifold.ambient))
        for k, (i, j) in enumerate(H):
            full[:, i, j] = full[:, j, i] = means[:, k]
        if isinstance(manifold, Sphere):
            return SIGNS[p] * sphere_hessian(manifold, points, means[:, len(H) :], full)
        frame = manifold.basis(points)
        return SIGNS[p] * (frame @ full @ frame.transpose(0, 2, 1))

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        return self._compiled(p, "jet", self.jet(p), points, nodes, masses)

    def both_forces(self, x: Array, y: Array, masses_x: Array, masses_y: Array) -> tuple[Any, Any]:
        """`forces` of both players, each pair looked at once."""
        run = self.pair_kernel()
        if run is None:
            return self.forces(0, x, y, masses_y), self.forces(1, y, x, masses_x)
        return run(*map(_contiguous, (x, y, masses_x, masses_y)))  # type: ignore[no-any-return]

    def pair_kernel(self, single: bool = False) -> Callable[..., Any] | None:
        """`both_forces` of contiguous arrays, compiled; None where numpy has to do.

        single: pairs in single precision; ValueError for a formula that gains nothing by it.
        """
        key = "single" if single else "pair"
        if key not in self._kernels:
            self._kernels[key] = loops.pair_kernel(self, single)
        return self._kernels[key]  # type: ignore[no-any-return]

    def _averages(
        self, p: int, kind: str, roots: list[int], points: Array, opponent: Measure
    ) -> tuple[Array, Array]:
        """The first operation and the others against a measure.

        Compiled when that pays, which depends on the sizes alone so that runs repeat bit for bit.
        """
        given = points, opponent.points, opponent.masses
        if len(points) * len(opponent) >= MANY:
            return self._compiled(p, kind, roots, *given)
        return self._plain(p, roots, *given)

    def _compiled(
        self, p: int, kind: str, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        if (p, kind) not in self._kernels:
            self._kernels[p, kind] = loops.kernel(self, p, roots)
        run = self._kernels[p, kind]
        if run is None:
            return self._plain(p, roots, points, nodes, masses)
        return run(*map(_contiguous, (points, nodes, masses)))  # type: ignore[no-any-return]

    def _plain(
        self, p: int, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        """The same in numpy."""
        means = SIGNS[p] * self._means(p, roots, points, nodes, masses)
        return means[:, 0].copy(), means[:, 1:].copy()

    def _means(
        self, p: int, roots: Sequence[int], points: Array, nodes: Array, masses: Array
    ) -> Array:
        """(n, R): the operations averaged over the opponent's atoms, without player p's sign."""
        means = np.empty((len(points), len(roots)))
        step = max(1, BLOCK // max(len(nodes), 1))
        for i in range(0, len(points), step):
            own = points[i : i + step]
            pairs = self._at(roots, *((own, nodes) if p == 0 else (nodes, own)))
            for k, values in enumerate(pairs):
                means[i : i + step, k] = (values if p == 0 else values.T) @ masses
        return means

    def swapped(self) -> Expression:
        graph, a, b = Graph(), self.X.ambient, self.Y.ambient
        numbers = {k: b + k for k in range(a)} | {a + k: k for k in range(b)}
        (root,) = self.graph.copy_into(graph, [self.root], numbers)
        name = f"{self.name}, swapped"
        return Expression(graph, graph.neg(root), self.Y, self.X, name, self.statement)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernels": {}}


def _contiguous(values: Array) -> Array:
    return np.ascontiguousarray(values, dtype=np.float64)
