"""Exact equilibria: the double oracle of McMahan, Gordon & Blum (2003), with a certificate.

Finite supports play a matrix game, solved by linear programming; the best responses to its solution
join the supports, until the bounds of the game's value meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, allow_underflow, known_keywords, real, whole
from meanfield.equilibria.support import clustered, losses, refine, uniqueness
from meanfield.games.base import SIGNS, Game, a_game
from meanfield.manifolds import Manifold, a_manifold, unit
from meanfield.measures import Measure
from meanfield.progress import bar
from meanfield.responses import Response, Searches
from meanfield.shown import Shown
from meanfield.storage.results import Result

ROUNDING = 1e-13  # certificates below this, relative to the losses met, are as good as each other
NEAR = 1e-7  # atoms closer than this, in the manifold's unit, are one atom


@dataclass(frozen=True, eq=False)
class Equilibrium(Shown, Result):
    """A pair of sparse strategies with its certificate: the game's value lies in [lower, upper].

    `error` = upper - lower bounds the Nikaido-Isoda error of (x, y) when `certified`; otherwise the
    best responses are those that were found, and `method` says how. `unique` says whether another
    equilibrium exists (None where that was not decided), `remark` why.
    """

    x: Measure
    y: Measure
    value: float
    lower: float
    upper: float
    rounds: int
    certified: bool
    method: str
    unique: bool | None = None
    remark: str = ""

    @property
    def error(self) -> float:
        return max(self.upper - self.lower, 0.0)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw both strategies as `meanfield.plotting.plot_equilibrium` does; the figure."""
        from meanfield.plotting import plot_equilibrium

        return plot_equilibrium(self, ax, **options)

    def __repr__(self) -> str:
        atoms = f"{len(self.x)} and {len(self.y)} atoms"
        kind = "certified" if self.certified else "not certified"
        return (
            f"Equilibrium: value {self.value:.12g} in [{self.lower:.12g}, {self.upper:.12g}] "
            f"({kind}), {atoms}, {self.rounds} rounds; "
            f"{self.remark or 'uniqueness not looked at'}; {self.method}"
        )


@known_keywords()
@allow_underflow
def nash(
    game: Game, tol: float = 1e-9, rounds: int = 400, seed: int = 0,
    start: tuple[Measure, Measure] | None = None,
    progress: bool | None = None,
) -> Equilibrium:  # fmt: skip
    """A mixed Nash equilibrium of the game, sparse and certified.

    Stops when the best responses found gain less than `tol`, after `rounds` rounds, or when nothing
    new can be added; the atoms are then merged, and refined by Newton's method on the equilibrium's
    own equations (positions, weights, value). The certificate says what was reached. Exact for
    games that are quadratic on spheres, in any dimension; for others it is as good as the search
    for best responses (`method`).

    Parameters
    ----------
    game : Game
    tol : float
        Relative to the losses met.
    rounds : int
        The most rounds; few games need all of them.
    seed : int
        Of the random atoms that the supports begin with.
    start : pair of Measure, optional
        Whose atoms the supports begin with instead.
    progress : bool, optional
        A bar of rounds, by default on terminals.

    Returns
    -------
    Equilibrium

    Raises
    ------
    TypeError, ValueError
        For a start that is not on the game's manifolds, and for a manifold of a class of one's own
        without `basis`, `difference` or `distance`.

    Examples
    --------
    >>> import meanfield as mf
    >>> equilibrium = mf.nash(mf.games.expression("cos(x - y)"))
    >>> equilibrium.certified, bool(abs(equilibrium.value) < 1e-8)
    (True, True)
    """
    tol = real("tol", tol, 0.0, strict=True)
    oracle = _Oracle(a_game(game))
    for name, M in zip("XY", game.manifolds, strict=True):
        a_manifold(name, M, {"basis", "difference", "distance"})
    supports = _begun(game, seed, start)
    best: Equilibrium | None = None
    tried = np.inf
    rounds = whole("rounds", rounds)
    with bar(rounds, "nash", progress) as shown:
        for k in range(rounds):
            shown.update(1)
            pair = matrix_game(game, supports)
            found, responses = oracle(*pair, rounds=k + 1)
            best = found if best is None else _better(best, found)
            scale = losses(game, *supports)
            if best.error < min(0.1 * tried, 1e-2 * scale):
                tried = best.error
                best = _refined(game, oracle, best)
            if best.error <= max(tol * scale, 64 * game.rounding):
                break
            gains = [SIGNS[p] * found.value - responses[p].value for p in (0, 1)]
            grown = [
                _grown(game, p, supports[p], responses[p], 0.9 * max(gains[p], 0.0)) for p in (0, 1)
            ]
            if all(len(new) == len(old) for new, old in zip(grown, supports, strict=True)):
                break
            supports = grown
    assert best is not None
    best = _refined(game, oracle, best)
    unique, remark = uniqueness(game, best.x, best.y, oracle(best.x, best.y, 0)[1], best.error)
    return _raised(oracle.certified(replace(best, unique=unique, remark=remark)), game.constant)


def _raised(found: Equilibrium, constant: float) -> Equilibrium:
    """The equilibrium of a loss that is larger by a constant; bounds are rounded outwards."""
    if not constant:
        return found
    value, lower, upper = found.value + constant, found.lower + constant, found.upper + constant
    lower, upper = float(np.nextafter(lower, -np.inf)), float(np.nextafter(upper, np.inf))
    return replace(found, value=value, lower=lower, upper=upper)


def _begun(game: Game, seed: int, start: tuple[Measure, Measure] | None) -> list[Array]:
    if start is None:
        rng = np.random.default_rng(whole("seed", seed, 0))
        return [M.sample(1, rng) for M in game.manifolds]
    for name, mu, M in zip("xy", start, game.manifolds, strict=True):
        if not isinstance(mu, Measure) or mu.manifold != M:
            raise ValueError(f"start's {name} must be a measure on {M}, got {mu!r}")
    return [mu.points for mu in start]


def _refined(game: Game, oracle: _Oracle, found: Equilibrium) -> Equilibrium:
    """The equilibrium merged and solved for on its support, where that betters its error."""
    polished = refine(game, clustered(found.x), clustered(found.y))
    if polished is None:
        return found
    merged = oracle(*polished, rounds=found.rounds)[0]
    # Two atoms where there is one can have the smaller error, by rounding.
    level = ROUNDING * losses(game, *(mu.points for mu in polished))
    return merged if merged.error <= level else _better(found, merged)


class _Oracle:
    """An equilibrium made of a pair by its best responses, with the bounds that these prove."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.searches = Searches(game, tight=False)

    def __call__(
        self, mu_x: Measure, mu_y: Measure, rounds: int
    ) -> tuple[Equilibrium, tuple[Response, Response]]:
        """The pair as an equilibrium bounded by the best responses found, and these."""
        to_y = self.searches.without_constant(0, mu_y)
        to_x = self.searches.without_constant(1, mu_x)
        value, bounds = self.game.moving_value(mu_x, mu_y), (to_y.value, -to_x.value)
        return Equilibrium(mu_x, mu_y, value, *bounds, rounds, False, to_y.method), (to_y, to_x)

    def certified(self, found: Equilibrium) -> Equilibrium:
        """The same with the tightest bounds that there are, proven ones where possible."""
        searches = Searches(self.game, tight=True)
        to_y, to_x = searches.without_constant(0, found.y), searches.without_constant(1, found.x)
        if not (np.isfinite(to_y.floor) and np.isfinite(to_x.floor)):
            return replace(found, lower=to_y.value, upper=-to_x.value, method=to_y.method)
        return replace(
            found, lower=to_y.floor, upper=-to_x.floor, certified=True, method=to_y.method
        )


def _better(a: Equilibrium, b: Equilibrium) -> Equilibrium:
    return b if b.error < a.error else a


def _grown(game: Game, p: int, support: Array, response: Response, slack: float) -> Array:
    """The support with the best responses added that are new to it, within `slack` of the best."""
    M = game.manifolds[p]
    for point, value in zip(response.minimisers, response.values, strict=True):
        if value <= response.value + slack and M.distance(support, point).min() > NEAR * unit(M):
            support = np.concatenate([support, point[None]])
    return support


def matrix_game(game: Game, supports: list[Array]) -> tuple[Measure, Measure]:
    """Equilibrium of the matrix game on finite supports, by one linear program and its dual."""
    from scipy.optimize import linprog

    A = game.moving_loss(*supports)
    n, m = A.shape
    # Scaled to [0, 1]: HiGHS's tolerances are absolute.
    A = (A - A.min()) / max(float(np.ptp(A)), 1e-300)
    program = {
        "c": np.r_[np.zeros(n), 1.0], "A_ub": np.c_[A.T, -np.ones(m)], "b_ub": np.zeros(m),
        "A_eq": np.r_[np.ones(n), 0.0][None], "b_eq": [1.0],
        "bounds": [(0, None)] * n + [(None, None)],
    }  # fmt: skip
    # The default tolerance of 1e-7 stalls the bounds at 1e-7; tight ones now and then end
    # undecided.
    for tolerance in (1e-10, 1e-9, 1e-7):
        options = {f"{side}_feasibility_tolerance": tolerance for side in ("primal", "dual")}
        result = linprog(method="highs-ds", options=options, **program)
        if result.status == 0:
            weights = (result.x[:n], -result.ineqlin.marginals)
            x, y = (_measure(game.manifolds[p], supports[p], weights[p]) for p in (0, 1))
            return x, y
    raise NotConverged(f"the linear program of the {n} x {m} matrix game failed: {result.message}")


def _measure(manifold: Manifold, points: Array, weights: Array) -> Measure:
    m = np.maximum(weights, 0.0)
    m /= m.sum()
    return Measure(points[m > 0], m[m > 0] / m[m > 0].sum(), manifold)
