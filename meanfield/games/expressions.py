"""Losses given as text, such as "cos(x - y) + 0.3*sin(2*x)*cos(y)".

The text goes through `grammar` (a whitelist, never evaluated), is checked on the manifolds by
`domain`, becomes a low-rank game where `fourier` finds that it is one, and otherwise an
`Expression`: exact derivatives by `calculus`, compiled pair loops by `loops`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, real
from meanfield.games.base import SIGNS
from meanfield.games.calculus import Graph, dot, tangent
from meanfield.games.domain import check_domain, resolve
from meanfield.games.grammar import ExpressionError, parse
from meanfield.games.lowrank import LowRank
from meanfield.games.pairwise import Pairwise
from meanfield.games.recipes import recorded
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure

_BUILDING = (
    threading.RLock()
)  # replicas run in threads, and graphs grow when a derivative is first asked for
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
    coordinates of the space around it. Keywords are named constants: expression("a*cos(x - y)", a=2)
    is the game "a*cos(x - y), a=2".
    Allowed are numbers, + - * / **, ( ), pi and sin cos tan exp log sqrt sinh cosh tanh asin acos
    atan abs.

    truncate: on tori, replace any other loss by a trigonometric polynomial within this fraction of its
    largest absolute value, say 1e-12; `answers["truncation"]` then states the error.

    Returns a `LowRank` game when the loss is a trigonometric polynomial in the angles and quadratic
    in sphere coordinates, else an `Expression`. Raises ExpressionError, a ValueError pointing at the
    place, for text outside the grammar, for a loss that is infinite or kinked somewhere, for one that
    is not periodic on a torus, and for constants that the formula does not use.
    """
    bound = None if truncate is None else real("truncate", truncate, 0.0, strict=True)
    tree = parse(text, constants, ("X", "Y", "truncate"))
    X, Y = resolve(tree, text, X, Y)
    check_domain(tree, text, X, Y)
    held = [(k, repr(float(v)).removesuffix(".0")) for k, v in sorted(constants.items())]
    formula = " ".join(text.split())
    name = ", ".join([formula, *(f"{k}={v}" for k, v in held)])
    graph = Graph()
    numbers = {(0, k): k for k in range(X.ambient)} | {
        (1, k): X.ambient + k for k in range(Y.ambient)
    }
    try:
        root = graph.insert(tree, numbers)
    except OverflowError as error:
        raise ExpressionError(f"constants of {name!r} overflow: {error}") from None
    from meanfield.games.fourier import lowrank_of

    values = ", ".join(f"{k} = {v}" for k, v in held)
    statement = f"l = {formula}" + (f" with {values}" if values else "")
    short = lowrank_of(graph, root, X, Y, name=name, statement=statement)
    if short is not None:
        return short
    game = Expression(graph, root, X, Y, name, statement)
    if bound is None:
        return game
    from meanfield.games.truncation import truncated

    return truncated(game, bound)


class Expression(Pairwise):
    """l as a graph of operations on the coordinates of x, then of y; made by `expression`."""

    def __init__(
        self, graph: Graph, root: int, X: Manifold, Y: Manifold, name: str, statement: str = ""
    ) -> None:
        self.graph, self.root, self.X, self.Y = graph, root, X, Y
        self.name, self.statement, self.answers = name, statement, {}
        self._kernels: dict[Any, Any] = {}
        try:
            self._slopes_of = tuple(tuple(self._gradient_of(p)) for p in (0, 1))
        except ValueError as error:
            raise ExpressionError(f"{name[:60]}: {error}") from None

    def variables(self, p: int) -> range:
        """The numbers of player p's coordinates in the graph."""
        return (
            range(self.X.ambient)
            if p == 0
            else range(self.X.ambient, self.X.ambient + self.Y.ambient)
        )

    def _ambient(self, p: int) -> list[int]:
        return [self.graph.slope(self.root, v) for v in self.variables(p)]

    def _gradient_of(self, p: int) -> list[int]:
        slopes = self._ambient(p)
        return tangent(self.graph, slopes, self.variables(p)) if self._curved(p) else slopes

    def _curved(self, p: int) -> bool:
        if isinstance(self.manifolds[p], (Torus, Sphere)):
            return isinstance(self.manifolds[p], Sphere)
        raise TypeError(
            f"expressions live on tori and spheres, got {self.manifolds[p]!r}; use function() there"
        )

    def curvatures(self, p: int) -> dict[tuple[int, int], int]:
        """The ambient second derivatives in p's coordinates, (i, j) with i <= j."""
        slopes, own = self._ambient(p), self.variables(p)
        return {
            (i, j): self.graph.slope(slopes[i], own[j])
            for i in range(len(own))
            for j in range(i, len(own))
        }

    def _laplacian_of(self, p: int) -> int:
        """Lap = tr H, on the unit sphere of R^a tr H - x'Hx - (a - 1) x.g (H, g in the space around)."""
        graph, own, H = self.graph, self.variables(p), self.curvatures(p)
        trace = graph.sum(H[i, i] for i in range(len(own)))
        if not self._curved(p):
            return trace
        rows = [
            dot(graph, [H[min(i, j), max(i, j)] for j in range(len(own))], own)
            for i in range(len(own))
        ]
        slope = graph.mul(graph.constant(len(own) - 1.0), dot(graph, self._ambient(p), own))
        return graph.add(trace, graph.neg(graph.add(dot(graph, rows, own), slope)))

    def _at(self, roots: Sequence[int], x: Array, y: Array) -> list[Array]:
        """Values (n, m) of operations at all pairs."""
        variables = [*(c[:, None] for c in x.T), *(c[None, :] for c in y.T)]
        return [np.broadcast_to(v, (len(x), len(y))) for v in self.graph.evaluate(roots, variables)]

    def _against(
        self, p: int, roots: Sequence[int], points: Array, nodes: Array, masses: Array
    ) -> Array:
        """(n, R): the operations averaged over the opponent's atoms, in player p's orientation."""
        means = np.empty((len(points), len(roots)))
        step = max(1, BLOCK // max(len(nodes), 1))
        for i in range(0, len(points), step):
            own = points[i : i + step]
            found = (
                self._at(roots, own, nodes)
                if p == 0
                else [v.T for v in self._at(roots, nodes, own)]
            )
            for k, values in enumerate(found):
                means[i : i + step, k] = values @ masses
        return means

    def loss(self, x: Array, y: Array) -> Array:
        return np.array(self._at([self.root], *self._pairs(x, y))[0])

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        return np.stack(self._at(self._slopes_of[p], x, y), axis=-1)

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        with _BUILDING:
            root = self._laplacian_of(p)
        return np.array(self._at([root], x, y)[0])

    def hessian(self, p: int, points: Array, opponent: Measure) -> Array:
        with _BUILDING:
            H, a = self.curvatures(p), self.manifolds[p].ambient
        means = self._against(
            p, [*H.values(), *self._ambient(p)], points, opponent.points, opponent.masses
        )
        full = np.empty((len(points), a, a))
        for k, (i, j) in enumerate(H):
            full[:, i, j] = full[:, j, i] = means[:, k]
        frame = self.manifolds[p].basis(points)
        flat = frame @ full @ frame.transpose(0, 2, 1)
        if self._curved(p):
            # The second fundamental form of the unit sphere takes off the normal derivative.
            normal = np.sum(points * means[:, len(H) :], axis=1)
            flat = flat - normal[:, None, None] * np.eye(self.manifolds[p].dim)
        return SIGNS[p] * flat

    def jet(self, p: int) -> list[int]:
        """The loss and its gradient in player p's coordinates, as operations of the graph."""
        return [self.root, *self._slopes_of[p]]

    def forces(self, p: int, points: Array, nodes: Array, masses: Array) -> tuple[Array, Array]:
        return self._compiled(p, "jet", self.jet(p), points, nodes, masses)

    def both_forces(self, x: Array, y: Array, masses_x: Array, masses_y: Array) -> tuple[Any, Any]:
        """`forces` of both players, each pair looked at once."""
        if "pair" not in self._kernels:
            from meanfield.games.loops import pair_kernel

            self._kernels["pair"] = pair_kernel(self)
        run = self._kernels["pair"]
        if run is None:
            return self.forces(0, x, y, masses_y), self.forces(1, y, x, masses_x)
        return run(*(np.ascontiguousarray(v, dtype=np.float64) for v in (x, y, masses_x, masses_y)))  # type: ignore[no-any-return]

    def cost(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, "jet", self.jet(p), points, opponent)[0]

    def gradient(self, p: int, points: Array, opponent: Measure) -> Array:
        return self._averages(p, "jet", self.jet(p), points, opponent)[1]

    def laplacian(self, p: int, points: Array, opponent: Measure) -> Array:
        with _BUILDING:
            root = self._laplacian_of(p)
        return self._averages(p, "laplacian", [root], points, opponent)[0]

    def _averages(
        self, p: int, kind: str, roots: list[int], points: Array, opponent: Measure
    ) -> tuple[Array, Array]:
        """The first operation and the others against a measure.

        Compiled when that pays, which depends on the sizes alone so that runs repeat bit for bit.
        """
        given = (points, opponent.points, opponent.masses)
        return (
            self._compiled(p, kind, roots, *given)
            if len(points) * len(opponent) >= MANY
            else self._plain(p, roots, *given)
        )

    def _compiled(
        self, p: int, kind: str, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        if (p, kind) not in self._kernels:
            from meanfield.games.loops import kernel

            self._kernels[p, kind] = kernel(self, p, roots)
        run = self._kernels[p, kind]
        if run is None:
            return self._plain(p, roots, points, nodes, masses)
        return run(*(np.ascontiguousarray(v, dtype=np.float64) for v in (points, nodes, masses)))

    def _plain(
        self, p: int, roots: list[int], points: Array, nodes: Array, masses: Array
    ) -> tuple[Array, Array]:
        """The same in numpy."""
        means = SIGNS[p] * self._against(p, roots, points, nodes, masses)
        return means[:, 0].copy(), means[:, 1:].copy()

    def swapped(self) -> Expression:
        graph, a, b = Graph(), self.X.ambient, self.Y.ambient
        numbers = {k: b + k for k in range(a)} | {a + k: k for k in range(b)}
        (root,) = self.graph.copy_into(graph, [self.root], numbers)
        return Expression(
            graph, graph.neg(root), self.Y, self.X, f"{self.name}, swapped", self.statement
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernels": {}}
