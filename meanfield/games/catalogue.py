"""The catalogue of games: every public name, and the constructors that text may call.

Config files name a constructor and give its arguments. So do saved runs: a game remembers how it
was made when its constructor is `recorded`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from meanfield.checks import refuse_unknown

P = ParamSpec("P")
Made = TypeVar("Made")

# name -> module, of the constructors whose arguments are numbers, text, arrays and manifolds.
CONSTRUCTORS = {
    "oscillator": "known", "uniform_equilibrium": "known", "free": "known",
    "separable": "uncoupled", "double_well": "uncoupled",
    "wang_chizat": "known", "bilinear": "known", "benchmark": "timed",
    "polynomial": "lowrank", "polynomial_from": "lowrank", "trigonometric": "lowrank",
    "random_fourier": "ensembles",
    "expression": "formulas.expressions",
}  # fmt: skip
HOMES = {
    **CONSTRUCTORS, "Game": "base", "LowRank": "lowrank", "Pairwise": "pairwise",
    "Expression": "formulas.expressions", "ExpressionError": "formulas.grammar",
    "function": "functions", "Function": "functions", "density": "formulas.densities",
}  # fmt: skip


def recorded(build: Callable[P, Made]) -> Callable[P, Made]:
    """A constructor that notes its name and arguments on the games it makes, as `recipe`."""
    parameters = inspect.signature(build).parameters
    names = list(parameters)
    free = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    @functools.wraps(build)
    def recording(*args: P.args, **kwargs: P.kwargs) -> Made:
        if not free:
            refuse_unknown(build.__name__, kwargs, names)
        game: Any = build(*args, **kwargs)
        game.recipe = (build.__name__, {**dict(zip(names, args, strict=False)), **kwargs})
        return game  # type: ignore[no-any-return]

    return recording
