"""The Nikaido-Isoda error: how much the two players together gain by best responses.

NI(mu_x, mu_y) = max_y V_y(y) - min_x V_x(x) >= 0, zero exactly at the Nash equilibria.
"""

from __future__ import annotations

from dataclasses import dataclass

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.responses import Searches


@dataclass(frozen=True, eq=False)
class NikaidoIsodaError:
    """NI lies in [lower, upper]; `value` = lower is what the best responses found attain.

    best_x (a,), best_y (b,): those responses. upper is infinite where nothing is proven, and
    `method` says so.
    """

    value: float
    lower: float
    upper: float
    best_x: Array
    best_y: Array
    method: str

    def __float__(self) -> float:
        return self.value


class NikaidoIsoda:
    """NI of one game for many pairs: grids and features are computed once.

    Call it on two measures or, for low-rank games, on the two players' feature means
    (`game.moments`), which cost the measures' size only once. tight: spend milliseconds a call on
    an `upper` within 1e-10 for trigonometric games, rather than within a percent of their range.
    """

    def __init__(self, game: Game, tight: bool = False) -> None:
        self.game = game
        self.searches = Searches(game, tight)

    def __call__(self, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
        """NI of a pair; raises TypeError or ValueError for what is no measure on the players' manifolds."""
        to_y = self.searches.best_response(0, mu_y, mu_x)
        to_x = self.searches.best_response(1, mu_x, mu_y)
        # max V_y >= L >= min V_x: a negative difference only says that the search missed, or rounding.
        lower = max(0.0, -to_x.value - to_y.value)
        upper = max(lower, -to_x.floor - to_y.floor)
        method = to_y.method if to_y.method == to_x.method else f"x: {to_y.method}; y: {to_x.method}"
        return NikaidoIsodaError(lower, lower, upper, to_y.point, to_x.point, method)


def nikaido_isoda(game: Game, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
    """NI(mu_x, mu_y) = L(mu_x, best y) - L(best x, mu_y), with lower and upper bound.

    Exact for costs quadratic on spheres. Else the search is a grid or many starts, then Newton;
    certified above by branch and bound for trigonometric games, otherwise `upper` is infinite.
    For many pairs of one game build `NikaidoIsoda`.
    """
    return NikaidoIsoda(game, tight=True)(mu_x, mu_y)
