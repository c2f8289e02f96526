"""A loss as a graph of operations on the coordinates, and its derivatives as operations."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from meanfield.games.formulas.calculus import Graph, dot, tangent
from meanfield.games.formulas.grammar import ExpressionError
from meanfield.manifolds import Manifold, Sphere

# Replicas run in threads, and graphs grow when a derivative is first asked for.
_BUILDING = threading.RLock()


class Formula:
    """The operation `root` of `graph`; variables are the coordinates of x, then those of y.

    X and Y are tori or spheres. Raises ExpressionError where the derivatives take too many
    operations.
    """

    def __init__(self, graph: Graph, root: int, X: Manifold, Y: Manifold, name: str) -> None:
        self.graph, self.root, self.X, self.Y, self.name = graph, root, X, Y, name
        self._kernels: dict[Any, Any] = {}
        try:
            self.slopes = self._slopes(0), self._slopes(1)
        except ValueError as error:
            raise ExpressionError(f"{name[:60]}: {error}") from None

    def variables(self, p: int) -> range:
        """The numbers of player p's coordinates in the graph."""
        a = self.X.ambient
        return range(a) if p == 0 else range(a, a + self.Y.ambient)

    def curved(self, p: int) -> bool:
        """Whether player p lives on a sphere."""
        return isinstance((self.X, self.Y)[p], Sphere)

    def ambient_slopes(self, p: int) -> list[int]:
        """The derivatives in player p's coordinates."""
        return [self.graph.slope(self.root, v) for v in self.variables(p)]

    def _slopes(self, p: int) -> list[int]:
        """The Riemannian gradient in player p's coordinates."""
        slopes = self.ambient_slopes(p)
        return tangent(self.graph, slopes, self.variables(p)) if self.curved(p) else slopes

    def jet(self, p: int) -> list[int]:
        """The loss and its Riemannian gradient in player p's coordinates."""
        return [self.root, *self.slopes[p]]

    def curvatures(self, p: int) -> dict[tuple[int, int], int]:
        """The ambient second derivatives in p's coordinates, (i, j) with i <= j."""
        with _BUILDING:
            slopes, own = self.ambient_slopes(p), self.variables(p)
            pairs = ((i, j) for i in range(len(own)) for j in range(i, len(own)))
            return {(i, j): self.graph.slope(slopes[i], own[j]) for i, j in pairs}

    def mixed_slopes(self) -> list[list[int]]:
        """The second derivatives in a coordinate of x and one of y, as [x][y]."""
        with _BUILDING:
            opponents = self.variables(1)
            slopes = self.ambient_slopes(0)
            return [[self.graph.slope(slope, v) for v in opponents] for slope in slopes]

    def curvature(self, p: int) -> int:
        """Laplace-Beltrami in player p's coordinates.

        Lap = tr H, on the unit sphere of R^a tr H - x'Hx - (a - 1) x.g (H, g in the space around).
        """
        with _BUILDING:
            graph, own, H = self.graph, self.variables(p), self.curvatures(p)
            places = range(len(own))
            trace = graph.sum(H[i, i] for i in places)
            if not self.curved(p):
                return trace
            rows = [dot(graph, [H[min(i, j), max(i, j)] for j in places], own) for i in places]
            radial = dot(graph, self.ambient_slopes(p), own)
            bend = graph.mul(graph.constant(len(own) - 1.0), radial)
            return graph.add(trace, graph.neg(graph.add(dot(graph, rows, own), bend)))

    def kernel(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` returned when this kernel was first asked for."""
        if key not in self._kernels:
            self._kernels[key] = make()
        return self._kernels[key]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernels": {}}
