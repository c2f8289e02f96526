"""Time averages of Wasserstein-Fisher-Rao flows, mean fields on circles and spheres; their NI."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.metrics import NikaidoIsoda
from meanfield.studies.theorems.averages import averaged, entropies, labels

MIXED, STRICT = "mixed", "strict"
# name -> equilibrium, dimension of a player's space, halvings of the starting panels, one more past
# this alpha t
GAMES = {
    "trigonometric, S^1": (MIXED, 1, 1, 320.0),
    "l_a, S^1": (STRICT, 1, 1, 320.0),
    "l_b, S^2": (MIXED, 2, 0, 120.0),
    "l_a, S^2": (STRICT, 2, 0, np.inf),
}
FIRST = "trigonometric, S^1"
SPAN = {
    1: 2.0,
    2: 4.0,
}  # longest interval of the averages' quadrature in units of 1/alpha, by dimension


@cache
def problem(name: str) -> tuple[Any, Any]:
    """The game, and the density of both players' starts (None: uniform)."""
    if name == "trigonometric, S^1":
        # Example 4.1 on the circle of length 2 pi, from a start that is not symmetric.
        terms = [((2,), (0,), 0.0, -1.0), ((0,), (2,), 0.0, -1.0), ((1,), (1,), 2.0, 0.0)]
        return mf.games.trigonometric(terms), lambda z: 1 + 0.5 * np.cos(z[:, 0])
    kind, dim, seed = {"l_a, S^1": ("a", 2, 5), "l_b, S^2": ("b", 3, 5), "l_a, S^2": ("a", 3, 1)}[
        name
    ]
    return mf.games.polynomial(kind, dim=dim, seed=seed), None


def nodes(name: str, until: float, covered: float) -> tuple[mf.Measure, mf.Measure]:
    """Both players' starts as Gauss nodes of panels with their masses, fine enough for alpha t =
    until.
    """
    game, density = problem(name)
    _, _, halvings, enough = GAMES[name]
    found = []
    for M in game.manifolds:
        mu = labels(M, density, halvings + (until > enough))
        if covered < 1:
            masses = np.where(mu.points[:, 0] < covered * M.period, mu.masses, 0.0)
            mu = mf.Measure(mu.points, masses / masses.sum(), M)
        found.append(mu)
    return found[0], found[1]


def rows(
    name: str, flow: mf.Flow, marks: Any, covered: float = 1.0, alpha: float = 1.0
) -> dict[str, Any]:
    """At `marks` alpha t: NI of the averages, its upper bound, (F_x + F_y)/(alpha t), NI of the
    last iterate.
    """
    game, start = problem(name)[0], nodes(name, max(marks), covered)
    error, times, span = (
        NikaidoIsoda(game, tight=True),
        np.array(marks) / alpha,
        SPAN[GAMES[name][1]] / alpha,
    )
    found = []
    for mark, (mean, now) in zip(marks, averaged(game, flow, start, times, span), strict=True):
        ni = error(*mean)
        F = entropies(game, start, mean, (ni.best_x, ni.best_y), mark)
        found.append((ni.value, ni.upper, F / mark, error(*now).value))
    return dict(zip(("ni", "upper", "entropic", "last"), np.array(found).T, strict=True))


def at_t0(
    name: str, ratio: float, clock: float, swapped: bool, covered: float, alpha: float = 1.0
) -> dict[str, Any]:
    """`rows` at t0 alone."""
    gamma = ratio * alpha
    rates = (alpha, gamma) if swapped else (gamma, alpha)
    return rows(
        name,
        mf.WassersteinFisherRao(*rates),
        [clock or alpha * (alpha * gamma) ** -0.5],
        covered,
        alpha,
    )


def in_time(name: str, ratio: float, marks: tuple[float, ...]) -> dict[str, Any]:
    """`rows` along one run; ratio = 0 is mirror descent."""
    flow = mf.WassersteinFisherRao(ratio, 1.0) if ratio else mf.MirrorDescent(1.0)
    return {"marks": np.array(marks), **rows(name, flow, marks)}
