"""The Nikaido-Isoda error: how much the two players together gain by best responses.

NI(mu_x, mu_y) = max_y V_y(y) - min_x V_x(x) >= 0, zero exactly at the Nash equilibria.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array, finite_array
from meanfield.games.base import Game
from meanfield.games.lowrank import LowRank
from meanfield.measures import Measure
from meanfield.responses import Cost, OpponentCost, Response, Search, feature_cost


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
    (`game.moments`), which cost the measures' size only once.
    """

    def __init__(self, game: Game) -> None:
        self.game = game
        self.searches = (Search(game, 0), Search(game, 1))

    def __call__(self, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
        """NI of a pair; raises TypeError or ValueError for what is no measure on the players' manifolds."""
        best_x = self._response(0, mu_y, mu_x)
        best_y = self._response(1, mu_x, mu_y)
        # max V_y >= L >= min V_x: a negative difference only says that the search missed, or rounding.
        lower = max(0.0, -best_y.value - best_x.value)
        upper = max(lower, -best_y.floor - best_x.floor)
        method = best_x.method if best_x.method == best_y.method else f"x: {best_x.method}; y: {best_y.method}"
        return NikaidoIsodaError(lower, lower, upper, best_x.point, best_y.point, method)

    def _response(self, p: int, opponent: Measure | Array, own: Measure | Array) -> Response:
        search = self.searches[p]
        # Where no grid covers the manifold, the player's own atoms are good places to start.
        extra = own.points if isinstance(own, Measure) and not search.side else None
        return search(self._cost(p, opponent), extra)

    def _cost(self, p: int, opponent: Measure | Array) -> Cost:
        name = ("mu_y", "mu_x")[p]
        if isinstance(opponent, Measure):
            if opponent.manifold != self.game.manifolds[1 - p]:
                there = self.game.manifolds[1 - p]
                raise ValueError(f"{name} lives on {opponent.manifold}, but the game has {there} there")
            if not isinstance(self.game, LowRank):
                return OpponentCost(self.game, p, opponent)
            moments = self.game.moments(1 - p, opponent.points, opponent.masses)
        elif isinstance(opponent, np.ndarray) and isinstance(self.game, LowRank):
            moments = finite_array(f"{name} moments", opponent, (self.game.bases[1 - p].size,))
        else:
            also = " or its feature means" if isinstance(self.game, LowRank) else ""
            raise TypeError(f"{name} must be a meanfield.Measure{also}, got {type(opponent).__name__}")
        return feature_cost(self.game, p, moments)


def nikaido_isoda(game: Game, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
    """NI(mu_x, mu_y) = L(mu_x, best y) - L(best x, mu_y), with lower and upper bound.

    The search is a grid or many starts, then Newton; certified above by Ehlich and Zeller's bound for
    trigonometric games, else `upper` is infinite. For many pairs of one game build `NikaidoIsoda`.
    """
    return NikaidoIsoda(game)(mu_x, mu_y)
