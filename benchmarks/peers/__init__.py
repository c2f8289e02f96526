"""Other software on the mean-field problems, each as one who knows it well would write it.

`prepare(problem, setting)` of a module here does all that is done once (meshes, operators,
factorisations, compilation) and returns a function without arguments that goes from nodal densities
at 0 to those at TIME.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.problems import Problem
from meanfield.checks import Array

Setting = dict[str, Any]
Run = Callable[[], tuple[Array, Array]]


def to_costs(problem: Problem, nodes: Array, volumes: Array) -> list[Array]:
    """Per player: the matrix (K, n) from its opponent's nodal densities to the coefficients of its
    cost.
    """
    game, found = problem.game, []
    for p in range(2):
        other = game.bases[1 - p]
        found.append(game.coefficients(p, np.eye(other.size)) @ other.values(nodes).T * volumes)
    return found


def slopes(problem: Problem, nodes: Array) -> list[Array]:
    """Per player: gradients (K, axes, n) of the features of its cost."""
    found = []
    for basis in problem.game.bases:
        each = [basis.gradient(nodes, e).T for e in np.eye(basis.size)]
        found.append(np.array(each))
    return found
