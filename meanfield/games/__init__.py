"""Losses l(x, y) on X x Y, their first variations and gradients. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from meanfield.checks import nearest
from meanfield.games.catalogue import HOMES

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    # isort: off
    from meanfield.games.base import Game as Game
    from meanfield.games.timed import benchmark as benchmark
    from meanfield.games.ensembles import random_fourier as random_fourier
    from meanfield.games.formulas.densities import density as density
    from meanfield.games.formulas.expressions import (
        Expression as Expression,
        expression as expression,
    )
    from meanfield.games.formulas.grammar import ExpressionError as ExpressionError
    from meanfield.games.functions import Function as Function, function as function
    from meanfield.games.known import (
        bilinear as bilinear,
        free as free,
        oscillator as oscillator,
        uniform_equilibrium as uniform_equilibrium,
        wang_chizat as wang_chizat,
    )
    from meanfield.games.lowrank import (
        LowRank as LowRank,
        polynomial as polynomial,
        polynomial_from as polynomial_from,
        trigonometric as trigonometric,
    )
    from meanfield.games.pairwise import Pairwise as Pairwise
    from meanfield.games.uncoupled import double_well as double_well, separable as separable
    # isort: on

__all__ = list(HOMES)


if not TYPE_CHECKING:  # which would let every name pass

    def __getattr__(name: str) -> Any:
        if name not in HOMES:
            near = "" if name.startswith("__") else nearest(name, HOMES)
            hint = f"; did you mean {near!r}?" if near else ""
            raise AttributeError(f"module 'meanfield.games' has no attribute {name!r}{hint}")
        value = getattr(import_module(f"meanfield.games.{HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
