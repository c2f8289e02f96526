"""The Nikaido-Isoda error: how much the two players together gain by best responses.

NI(mu_x, mu_y) = max_y V_y(y) - min_x V_x(x) >= 0, zero exactly at the Nash equilibria.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, real, truth, whole
from meanfield.games.base import Game, a_game
from meanfield.measures import Measure
from meanfield.responses import Response, Searches, cost_against, gradient_runs
from meanfield.shown import Shown


@dataclass(frozen=True, eq=False)
class NikaidoIsodaError(Shown):
    """A Nikaido-Isoda error with its bounds: NI lies in [lower, upper].

    Attributes
    ----------
    value, lower : float
        What the best responses found attain; both are the same.
    upper : float
        Infinite where nothing is proven, and `method` says so.
    best_x, best_y : (a,), (b,)
        The best responses.
    method : str
    """

    value: float
    lower: float
    upper: float
    best_x: Array
    best_y: Array
    method: str

    def __float__(self) -> float:
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        # Recorded along a run, a list of these becomes the array of their values.
        return np.array(self.value, dtype=dtype)


class NikaidoIsoda:
    """The Nikaido-Isoda error of one game, for many pairs: grids and features are computed once.

    Call it on two measures or, for low-rank games, on the players' feature means (`game.moments`).

    Parameters
    ----------
    game : Game
    tight : bool
        Prove `upper` to 1e-10 for trigonometric games rather than to a percent of their range, and
        to 1e-9 for formulas and for functions with a curvature, at the price of time.
    """

    def __init__(self, game: Game, tight: bool = False) -> None:
        self.game = a_game(game)
        self.searches = Searches(game, truth("tight", tight))

    def __call__(self, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
        """NI of a pair; raises TypeError or ValueError for what is no measure on the players'
        manifolds.
        """
        of_x = self.searches.without_constant(0, mu_y, mu_x)
        of_y = self.searches.without_constant(1, mu_x, mu_y)
        return _error(of_x, of_y)

    def estimate(
        self,
        mu_x: Measure | Array,
        mu_y: Measure | Array,
        runs: int = 2000,
        steps: int = 1000,
        step: float | None = None,
        seed: int = 0,
        settle: bool = True,
    ) -> NikaidoIsodaError:
        """The paper's estimate, a lower bound: the best of many gradient runs from uniform points.

        runs: how many a player. steps, step: how many steps a run takes at most, and how long they
        are (default: 1 over the curvature). settle: end runs whose slope has become a millionth of
        the largest at the start.
        """
        runs, steps, seed = whole("runs", runs), whole("steps", steps, 0), whole("seed", seed, 0)
        if step is not None:
            step = real("step", step, 0.0, strict=True)
        responses, tol = [], 1e-6 if truth("settle", settle) else None
        for p, opponent in ((0, mu_y), (1, mu_x)):
            cost, M = cost_against(self.game, p, opponent), self.game.manifolds[p]
            starts = M.sample(runs, np.random.default_rng((seed, p)))
            responses.append(gradient_runs(cost, M, starts, steps, step, tol))
        return _error(*responses)


def _error(of_x: Response, of_y: Response) -> NikaidoIsodaError:
    """NI from the best responses of the minimiser x to mu_y and of the maximiser y to mu_x."""
    if not (isfinite(of_x.value) and isfinite(of_y.value)):
        raise ValueError("a best response has no finite value: the losses overflow; scale the game")
    max_V_y, min_V_x = -of_y.value, of_x.value
    # A negative difference only says that the search missed, or that values are rounded.
    lower = max(0.0, max_V_y - min_V_x)
    upper = max(lower, -of_y.floor - of_x.floor)
    method = of_x.method if of_x.method == of_y.method else f"x: {of_x.method}; y: {of_y.method}"
    return NikaidoIsodaError(lower, lower, upper, of_x.point, of_y.point, method)


@allow_underflow
def nikaido_isoda(game: Game, mu_x: Measure | Array, mu_y: Measure | Array) -> NikaidoIsodaError:
    """NI(mu_x, mu_y) = L(mu_x, best y) - L(best x, mu_y), with lower and upper bound.

    Exact for costs quadratic on spheres. Elsewhere best responses are found by a grid or many
    starts and Newton's method. `upper` is proven by branch and bound for trigonometric games and,
    on tori and spheres up to dimension 3, for formulas and for functions with a `curvature`; it is
    infinite otherwise. For many pairs of one game build `NikaidoIsoda`, whose `estimate` is the
    paper's way.

    Parameters
    ----------
    game : Game
    mu_x, mu_y : Measure
        Or, for low-rank games, the players' feature means (`game.moments`).

    Returns
    -------
    NikaidoIsodaError

    Raises
    ------
    TypeError, ValueError
        For what is no measure, and for measures that are not on the game's manifolds.

    Examples
    --------
    The uniform pair is the equilibrium of cos(x - y); a pair of atoms gains by deviating:

    >>> import meanfield as mf
    >>> game = mf.games.expression("cos(x - y)")
    >>> pair = mf.uniform(game.X), mf.uniform(game.Y)
    >>> bool(abs(mf.nikaido_isoda(game, *pair).value) < 1e-12)
    True
    >>> atom = mf.Measure([[0.0]], None, game.X)
    >>> print(f"{mf.nikaido_isoda(game, atom, atom).value:.6f}")
    2.000000
    """
    return NikaidoIsoda(game, tight=True)(mu_x, mu_y)
