"""Theorem 2: time averages of (8) approach equilibrium, at t0 like (gamma/alpha)^(1/2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from meanfield.density.panels import has_panels
from meanfield.flows import Flow, MirrorDescent, WassersteinFisherRao
from meanfield.games.base import Game
from meanfield.measures import Density, Measure
from meanfield.metrics import NikaidoIsoda
from meanfield.start import Start
from meanfield.studies.stored import Data
from meanfield.studies.theorems.averages import (
    averaged,
    entropies,
    in_constants,
    labels,
    slope,
    transported,
)
from meanfield.studies.theorems.problem import Problem
from meanfield.studies.verdicts import Observation, Verdict, above, below

TITLE = "Theorem 2: time averages of (8) at t0 have an error of order (gamma/alpha)^(1/2)"
Row = Verdict | Observation
SMALL = 0.3  # transport's share in NI over the range of l that ratios begin below
DECADES = 2.0  # of gamma/alpha, further down at full size
TURNS = 300.0  # alpha K t0 at most, about the number of times that weights go round
MIRROR = (1.0, 10**0.5, 10.0, 10**1.5)  # alpha K t at which the identity is looked at
SPAN = 4.0  # longest interval of the averages' quadrature in units of 1/(alpha K)
IDENTITY = 5e-3  # relative deviation from the identity at gamma = 0 that would matter
ROUNDING = 1e-10  # of the range of l: errors below it are those of a start at equilibrium
FEWEST = 4  # ratios that a slope is fitted to
MOST = {1: 4, 2: 1}  # times that starting panels are halved, by dimension


def refusal(game: Game, flow: Flow, start: Start) -> str:
    """Why theorem 2 does not speak of this flow or cannot be looked at; empty where it can."""
    plain = flow.memory is None and not flow.scheduled and not flow.responds
    if not plain or min(flow.alpha) == 0 or max(flow.temperature) > 0:
        return (
            "it is about (8), WassersteinFisherRao(gamma, alpha): weights react, nothing diffuses"
        )
    if min(flow.gamma) == 0:
        return "its time t0 = (alpha gamma)^(-1/2) needs transport; give gamma > 0"
    if len(set(flow.gamma)) > 1 or len(set(flow.alpha)) > 1:
        return "it has one gamma and one alpha for both players"
    for M in game.manifolds:
        if not has_panels(M):
            return f"{M} has no labels that carry a mean field of (8): circles, T^2 and S^2 have"
    return "" if min(lowest(game, start)) > 0 else (
        "it is about starts with a density bounded below, and this one has none"
    )  # fmt: skip


def lowest(game: Game, start: Start) -> tuple[float, float]:
    """Each player's smallest starting density over the uniform one; zero without a density."""
    found = []
    for given, law, M in zip(
        (start.x, start.y), start.laws(*game.manifolds), game.manifolds, strict=True
    ):
        if isinstance(given, Measure) and not isinstance(given, Density):
            return 0.0, 0.0
        mu = labels(M, law.density, 0)
        found.append(float((mu.masses / labels(M, None, 0).masses).min()))
    return found[0], found[1]


def ratios(p: Problem) -> list[float]:
    """Values of gamma/alpha, from where transport matters little downwards; the flow's first."""
    c, own = p.constants, p.flow.gamma[0] / p.flow.alpha[0]
    square = (c.slopes[0] ** 2 + c.slopes[1] ** 2) / 2
    first = min(own, (SMALL * c.range / square) ** 2) if square > 0 else own
    count, reach = (9 if max(p.dims) == 1 else 5), (DECADES if p.quick else 1.5 * DECADES)
    last = max(first * 10**-reach, (c.range / (TURNS if p.quick else 10 * TURNS)) ** 2)
    first = min(own, max(first, last * 10**reach))
    return [own, *(float(f"{r:.4g}") for r in np.geomspace(first, min(last, first / 10), count))]


def parts(p: Problem) -> dict[str, Callable[[], Data]]:
    """What is computed, by name."""
    own, *others = ratios(p)
    alpha = p.flow.alpha[0]
    t0 = alpha**-1 * own**-0.5
    marks = tuple(float(m) for m in np.geomspace(t0 / 30, t0, 8))
    found: dict[str, Callable[[], Data]] = {"averages in time": partial(rows, p, own, marks)}
    for ratio in others:
        found[f"averages, gamma/alpha = {ratio:g}"] = partial(
            rows, p, ratio, (ratio**-0.5 / alpha,)
        )
    span = alpha * max(p.constants.range, 1e-300)
    found["mirror descent"] = partial(rows, p, 0.0, tuple(m / span for m in MIRROR))
    return found


def pair(p: Problem, alpha_t: float) -> tuple[Measure, Measure]:
    """Both players' starts as labels, fine enough for exp(-alpha t U) in F."""
    found = []
    for law, M in zip(p.start.laws(*p.game.manifolds), p.game.manifolds, strict=True):
        halvings, size = 0, len(labels(M, None, 0)) ** (1 / M.dim)
        width = 1 / np.sqrt(max(alpha_t * p.constants.curvature, 1e-300))
        while halvings < MOST[M.dim] and 2**halvings * size * width < 2 * M.volume ** (1 / M.dim):
            halvings += 1
        found.append(labels(M, law.density, halvings))
    return found[0], found[1]


def rows(p: Problem, ratio: float, marks: tuple[float, ...]) -> Data:
    """At times `marks` of (8) with gamma = ratio alpha: NI of the averages and its upper bound, the
    parts of the theorem's bound, and NI of the last iterate.
    """
    alpha, c = p.flow.alpha[0], p.constants
    gamma = ratio * alpha
    flow = WassersteinFisherRao(gamma, alpha) if gamma > 0 else MirrorDescent(alpha)
    start, error = pair(p, alpha * marks[-1]), NikaidoIsoda(p.game, tight=True)
    least, found = lowest(p.game, p.start), []
    span = SPAN / (alpha * c.range) if c.range > 0 else marks[-1]
    for t, (mean, now) in zip(marks, averaged(p.game, flow, start, marks, span), strict=True):
        ni = error(*mean)
        F = entropies(p.game, start, mean, (ni.best_x, ni.best_y), alpha * t) / (alpha * t)
        explicit = in_constants(t, alpha, p.game.manifolds, c.slopes, least)
        moved = transported(t, gamma, c.slopes)
        found.append((t, ni.value, ni.upper, F, moved, explicit + moved, error(*now).value))
    names = ("time", "ni", "upper", "entropic", "moved", "explicit", "last")
    return {"ratio": np.array(ratio), **dict(zip(names, np.array(found).T, strict=True))}


# -- verdicts -------------------------------------------------------------------------------------


def by_ratio(data: dict[str, Data]) -> dict[str, Any]:
    """The rows at t0 of all ratios below the flow's own, as arrays over them."""
    held = [d for name, d in data.items() if name.startswith("averages, ")]
    return {
        key: np.array([np.ravel(d[key])[-1] for d in held]) for key in (held[0] if held else ())
    }


def judge(p: Problem, data: dict[str, Data]) -> list[Row]:
    """Verdicts on what was computed, and what was seen besides."""
    found: list[Row] = []
    rounding = ROUNDING * p.constants.range
    held = [d for name, d in data.items() if name.startswith("averages")]
    if held:
        worst = max(float(np.max(d["ni"] / (d["entropic"] + d["moved"]))) for d in held)
        what = "NI of time averages over (F_x + F_y)/(alpha t) + gamma t (Lip_x^2 + Lip_y^2)/2"
        found.append(below(f"{what}, largest", worst, 1 + IDENTITY))
        worst = max(float(np.max(d["ni"] / d["explicit"])) for d in held)
        found.append(
            below("NI of time averages over the bound in constants alone, largest", worst, 1)
        )
    if "mirror descent" in data:
        d = data["mirror descent"]
        if max(float(np.max(d[name])) for name in ("ni", "entropic")) <= rounding:
            claim = "gamma = 0: the start is at equilibrium and stays there; largest NI"
            found.append(Observation(claim, float(np.max(d["ni"])), 0.0, "measured"))
        else:
            off = d["ni"] / d["entropic"] - 1
            worst = float(off[np.argmax(np.abs(off))])
            claim = "gamma = 0: alpha t NI of time averages over F_x + F_y, the farthest from one"
            found.append(Verdict(claim, 1 + worst, 1, IDENTITY))
    found += of_slope(p, by_ratio(data))
    if "averages in time" in data:
        d = data["averages in time"]
        claim = f"NI of the averages at t0 = {d['time'][-1]:.3g} of the flow given"
        found.append(Observation(claim, float(d["ni"][-1]), 0.0, "measured"))
        claim = "NI of the last iterate there"
        found.append(Observation(claim, float(d["last"][-1]), 0.0, "measured"))
    return found


def of_slope(p: Problem, several: dict[str, Any]) -> list[Row]:
    """The slope of log NI at t0 where gamma/alpha is small: where transport's part of the bound is
    a small share of the range of l. At larger ratios the theorem, a limit, says nothing.
    """
    if not several or len(several["ratio"]) < FEWEST:
        return []
    if float(several["ni"].max()) <= ROUNDING * p.constants.range:
        what = "NI at t0 is zero to rounding at every gamma/alpha, so that it has no slope"
        return [Observation(what, float(several["ni"].max()), 0.0, "measured")]
    small = several["moved"] <= 1.01 * SMALL * p.constants.range
    judged = small.sum() >= FEWEST
    ratio, ni = (several[name][small] if judged else several[name] for name in ("ratio", "ni"))
    value, half = slope(np.log(ratio), np.log(np.maximum(ni, 1e-300)))
    span = f"{ratio.min():.2g} to {ratio.max():.2g}"
    claim = f"slope of log NI at t0 against log gamma/alpha, {span}"
    if judged:
        return [above(f"{claim} (1/2 less a logarithm; 1/4 at least)", value, 0.25, half)]
    share = several["moved"].min() / p.constants.range
    why = f"not judged: transport's part of the bound is {share:.2g} of the range of l or more"
    return [Observation(f"{claim} ({why})", value, half, "not small")]
