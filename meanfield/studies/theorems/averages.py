"""Time averages of the Wasserstein-Fisher-Rao flow (8): their NI, and a bound with its constants.

Let F_p(s) = -log int exp(-s (U_p - min U_p)) dmu_p(0), U_p the cost of player p against the
averaged opponent. Along (8) a particle's weight is exp(-alpha int (U - mean)), and the weights sum
to one, so that without transport alpha t NI = F_x + F_y, exactly and at every time. Transport
moves a particle by at most gamma t Lip, so that in general

    NI <= (F_x + F_y)/(alpha t) + gamma t (Lip_x^2 + Lip_y^2)/2.

A ball of radius delta around the best response, of share V and starting density at least m of the
uniform one, gives F_p <= alpha t Lip_p delta - log(m V): the same in constants alone. At
t0 = (alpha gamma)^(-1/2) both fall like (gamma/alpha)^(1/2) up to a logarithm, which is Theorem 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.panels import Panels
from meanfield.density.solve import build
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Manifold, unit
from meanfield.measures import Measure, mixture
from meanfield.responses import cost_against
from meanfield.start import Start
from meanfield.studies.theorems.epsilon import ball
from meanfield.sums import total

NODES = 4  # Gauss nodes of an interval of time


def labels(M: Manifold, density: Any, halvings: int) -> Measure:
    """A density on a manifold, up to a factor, as Gauss nodes of panels with their masses."""
    panels = Panels.roots(M)
    for _ in range(halvings):
        for axis in range(M.dim):
            panels = panels.halved(np.ones(len(panels), bool), axis)
    points, volumes = panels.quadrature
    masses = volumes * (1.0 if density is None else density(points))
    return Measure(points, masses / masses.sum(), M)


def seen(game: Any, pair: Any) -> list[Any]:
    """Both players as the game sees them: feature means of low-rank games, else measures."""
    if game.bases is None:
        return list(pair)
    return [game.moments(p, mu.points, mu.masses) for p, mu in enumerate(pair)]


class Sum:
    """The average of what is added, weighted: of feature means, or of measures on all points."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.weights: list[float] = []

    def add(self, value: Any, weight: float) -> None:
        self.parts.append(value)
        self.weights.append(weight)

    def mean(self) -> Any:
        w = np.array(self.weights) / np.sum(self.weights)
        if isinstance(self.parts[0], Measure):
            return mixture(self.parts, w)
        return w @ np.array(self.parts)


def averaged(
    game: Game, flow: Flow, pair: Any, marks: Sequence[float], span: float, tol: float = 1e-4
) -> Iterator[tuple[list[Any], list[Any]]]:
    """At each of the times `marks`: both players averaged from 0 on, and those of the moment.

    span: the longest interval of the averages' Gauss quadrature.
    """
    moving = build(game, flow, Start(x=pair[0], y=pair[1]), engine="characteristics", tol=tol)
    at, weight = np.polynomial.legendre.leggauss(NODES)
    sums, begin = (Sum(), Sum()), 0.0
    for mark in marks:
        edges = np.linspace(begin, mark, int(np.ceil((mark - begin) / span)) + 1)
        for a, b in pairwise(edges):
            for u, w in zip((at + 1) / 2, weight / 2, strict=True):
                moving.advance(float(a + u * (b - a)))
                for found, now in zip(sums, seen(game, moving.measures()), strict=True):
                    found.add(now, float(w * (b - a)))
        moving.advance(float(mark))
        yield [total.mean() for total in sums], seen(game, moving.measures())
        begin = float(mark)


def entropies(game: Game, start: Any, means: Any, best: Any, s: float) -> float:
    """F_x + F_y: see the top. best: both players' best responses to the averaged opponents."""
    found = 0.0
    for p, (mu, response) in enumerate(zip(start, best, strict=True)):
        cost = cost_against(game, p, means[1 - p])
        U, least = cost.values(mu.points), float(cost.values(response[None])[0])
        found -= float(np.log(total(mu.masses, np.exp(-s * (U - least)))))
    return found


def transported(t: float, gamma: float, slopes: tuple[float, float]) -> float:
    """gamma t (Lip_x^2 + Lip_y^2)/2, transport's part of the bound."""
    return gamma * t * (slopes[0] ** 2 + slopes[1] ** 2) / 2


def in_constants(
    t: float, alpha: float, manifolds: Any, slopes: tuple[float, float], least: tuple[float, float]
) -> float:
    """The bound's other part by constants: sum over players of min over delta of Lip delta -
    log(m V)/(alpha t).
    """
    from scipy.optimize import minimize_scalar

    total = 0.0
    for M, slope, m in zip(manifolds, slopes, least, strict=True):

        def part(log_delta: float, M: Any = M, slope: float = slope, m: float = m) -> float:
            delta = float(np.exp(log_delta))
            return slope * delta - float(np.log(m * ball(M, delta))) / (alpha * t)

        ends = np.log([1e-8 * unit(M), unit(M)])
        total += float(minimize_scalar(part, bounds=tuple(ends), method="bounded").fun)
    return total


def slope(x: Array, y: Array) -> tuple[float, float]:
    """Least squares slope with the half width of its 95% interval, scatter taken as noise."""
    from scipy.stats import linregress, t

    fit = linregress(x, y)
    return float(fit.slope), float(fit.stderr * t.ppf(0.975, len(x) - 2))
