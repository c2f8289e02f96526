"""A loss as operations of a graph, with its first and second derivatives on the manifolds."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.grammar import ExpressionError
from meanfield.manifolds import Manifold, Sphere, Torus

# Replicas run in threads, and the graph grows when a derivative is first asked for.
_GROWING = threading.RLock()


class Formula:
    """l(x, y) as the operation `root` of a graph; its variables are coordinates of x, then of y."""

    X: Manifold
    Y: Manifold

    def __init__(self, graph: Graph, root: int, X: Manifold, Y: Manifold, name: str) -> None:
        self.graph, self.root, self.X, self.Y, self.name = graph, root, X, Y, name
        for M in (X, Y):
            if not isinstance(M, (Torus, Sphere)):
                raise TypeError(
                    f"expressions live on tori and spheres, got {M!r}; use function() there"
                )
        try:
            self._gradients = tuple(self._gradient_of(p) for p in (0, 1))
        except ValueError as error:
            raise ExpressionError(f"{name[:60]}: {error}") from None

    def variables(self, p: int) -> range:
        """The numbers of player p's coordinates in the graph."""
        a, b = self.X.ambient, self.Y.ambient
        return range(a, a + b) if p else range(a)

    def jet(self, p: int) -> list[int]:
        """The loss and its Riemannian gradient in player p's coordinates, as operations."""
        return [self.root, *self._gradients[p]]

    def slopes(self, p: int) -> list[int]:
        """The partial derivatives in p's coordinates, those of the space around a sphere."""
        return [self.graph.slope(self.root, v) for v in self.variables(p)]

    def curvatures(self, p: int) -> dict[tuple[int, int], int]:
        """The second partial derivatives in p's coordinates, (i, j) with i <= j."""
        with _GROWING:
            slopes, own = self.slopes(p), self.variables(p)
            return {
                (i, j): self.graph.slope(slopes[i], own[j])
                for i in range(len(own))
                for j in range(i, len(own))
            }

    def _curved(self, p: int) -> bool:
        return isinstance((self.X, self.Y)[p], Sphere)

    def _gradient_of(self, p: int) -> list[int]:
        """On a sphere the tangent part g - (x.g) x of the gradient g in the space around."""
        graph, own, slopes = self.graph, self.variables(p), self.slopes(p)
        if not self._curved(p):
            return slopes
        along = self._dot(slopes, own)
        return [
            graph.add(g, graph.neg(graph.mul(along, graph.variable(v))))
            for v, g in zip(own, slopes, strict=True)
        ]

    def laplacian_of(self, p: int) -> int:
        """Lap l in p's coordinates: tr H, on the unit sphere of R^a tr H - x'Hx - (a - 1) x.g.

        g and H are the gradient and the Hessian in the space around.
        """
        with _GROWING:
            graph, own, H = self.graph, self.variables(p), self.curvatures(p)
            trace = graph.sum(H[i, i] for i in range(len(own)))
            if not self._curved(p):
                return trace
            a = len(own)
            rows = [self._dot([H[min(i, j), max(i, j)] for j in range(a)], own) for i in range(a)]
            slope = graph.mul(graph.constant(a - 1.0), self._dot(self.slopes(p), own))
            return graph.add(trace, graph.neg(graph.add(self._dot(rows, own), slope)))

    def _dot(self, parts: Sequence[int], variables: Sequence[int]) -> int:
        """sum_k x_k g_k for the variables x_k and operations g_k."""
        graph = self.graph
        return graph.sum(
            graph.mul(graph.variable(v), g) for v, g in zip(variables, parts, strict=True)
        )
