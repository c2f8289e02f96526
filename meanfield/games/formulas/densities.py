"""Densities given as text, such as "1 + 0.5*cos(x)", through the grammar of losses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.formulas.calculus import Graph
from meanfield.games.formulas.grammar import ExpressionError, Node, parse


def density(text: str, **constants: float) -> TextDensity:
    """The function of points (n, a) with the formula `text`, for `Start` and `Measure.integrate`.

    Coordinates are x1, x2, ... (x when there is one); y1, y2, ... mean the same, so that a density
    of the second player reads like one. The grammar is that of `expression`. Raises ExpressionError
    for text outside it, for a formula that mixes x and y, and for constants that it does not use.
    """
    return TextDensity(text, tuple(sorted(constants.items())))


@dataclass(frozen=True)
class TextDensity:
    """A formula of one point's coordinates; made by `density`."""

    text: str
    constants: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if len({player for player, _ in self._used}) > 1:
            raise ExpressionError(
                f"the density {self.text!r} mixes x and y; it is a function of one point"
            )

    @property
    def __name__(self) -> str:
        return self.text

    @cached_property
    def _tree(self) -> Node:
        return parse(self.text, dict(self.constants))

    @cached_property
    def _used(self) -> set[tuple[int, int]]:
        return set(_variables(self._tree))

    @cached_property
    def _formula(self) -> tuple[Graph, int]:
        graph = Graph()
        return graph, graph.insert(self._tree, {variable: variable[1] for variable in self._used})

    def __call__(self, points: Array) -> Array:
        a = points.shape[1]
        for player, k in self._used:
            if k >= a:
                raise ExpressionError(
                    f"the density {self.text!r} uses {'xy'[player]}{k + 1}, but points there have "
                    f"{a} coordinates"
                )
        graph, root = self._formula
        with np.errstate(all="ignore"):  # what is not finite is refused where the values are used
            (values,) = graph.evaluate([root], list(points.T))
        return np.array(np.broadcast_to(values, (len(points),)))


def _variables(node: Node) -> Any:
    if node.op == "variable":
        yield node.value
    for arg in node.args:
        yield from _variables(arg)
