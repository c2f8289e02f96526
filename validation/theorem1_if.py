"""Equation (7) need not converge: the oscillator keeps a limit cycle beside its stable Gibbs point.

Theorem 1 says what (7) converges to "if it converges". On l = V(x) - V(y) + a sin x sin y, V(x) =
-(2/3) cos x + (5/12) cos 2x, a = 3, at beta = 25 (`meanfield.games.oscillator`), it does not from
two narrow bumps: over t in [20, 60] the vector (E sin x, E sin y) keeps its norm in [0.87366,
1.01365] and turns counter-clockwise with period 4.03429 by the slope of its angle, 4.03419 by the
upward zero crossings of E sin x (which no choice of window moves), and so it does thousands of time
units later. Galerkin, with several modes and steps, is held against these numbers to 1e-5, the last
digit known, finite volumes (whose error is of order h^2) by Richardson's extrapolation, particles
by their means over replicas.

The Gibbs point (9) attracts as well. Linearised there (7) is df/dt = -G (T + K) f, G symmetric and
nonnegative, K
antisymmetric: in every zero-sum game the point is linearly stable, at a rate not below the smaller
spectral gap of the two players' frozen equations. Mixtures (1 - s) Gibbs + s cycle settle on the
point for s below a threshold, on the cycle above it; at the threshold they follow an unstable cycle
for as long as the bracket allows. The two cycles meet in a fold and are gone below beta = 11.13 (a
= 3) and below a = 1.344 (beta = 25).

Coarse meshes damp the cycle away falsely: square-root weights on 32 cells at beta = 25; Scharfetter
and Gummel's weights, which are upwind fluxes there, keep it but lose it near the fold. Which flows
cure the cycle is another claim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.studies.statistics import band
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, above, below
from validation.oscillations import (
    CENTRE,
    LONGER,
    approach,
    basin,
    cycle,
    decay,
    edge,
    fold,
    late,
    spectrum,
    summary,
    swarm,
    unstable,
)
from validation.suite import Part

# By two independent spectral solvers.
NAMES = ("least norm", "greatest norm", "period by slope", "period by crossings")
EXACT = (0.87366, 1.01365, 4.03429, 4.03419)
LEADING = -0.00489 + 0.00941j
FITTED = (600.0, 1200.0)  # times at which the approach to the Gibbs point is linear
BEFORE, BEYOND = 0.25, 0.45  # shares of the cycle that settle on the Gibbs point and on the cycle
FOLDS = {"beta": 11.128, "coupling": 1.3442}  # where the cycle is born
SHARE = 0.3469  # of the cycle, on the segment from the Gibbs point at phase 0, where its basin ends
# Bumps (centre of x, of y, variance): whether they begin within the unstable cycle, and with that
# where they settle.
INSIDE = ((0.0, 0.0, 0.3), (3.0, 3.0, 0.3), (3.0, 0.0, 0.1))
OUTSIDE = ((1.5, 1.5, 0.1), (-1.2, 0.5, 0.1), (2.0, -1.0, 0.2))
BASINS = (("galerkin", 96), ("finite-volume", 256))
COARSE = (32, 256)  # cells at beta = 12, Scharfetter and Gummel

Edge = tuple[float, float, str, int, float, float]


@dataclass(frozen=True)
class Settings:
    """What is computed, and the game and temperature of the first runs.

    refined: Galerkin's (cells, fixed step; 0: controlled). volumes: cells of the two finite-volume
    runs, of `weights`.
    late: when the cycle is looked at again. swarm: particles, replicas. edges: (coupling, beta,
    engine, cells, turns, bracket) of bisected shares. folds: (parameter, engine, cells, from, to,
    bracket). spectra: (coupling, beta).
    """

    coupling: float = 3.0
    beta: float = 25.0
    refined: tuple[tuple[int, float], ...] = ((128, 0.0), (256, 0.0), (256, 0.02), (256, 0.01))
    volumes: tuple[int, int] = (512, 1024)
    weights: str = "sg"
    late: float = 0.0
    swarm: tuple[int, int] = (0, 0)
    edges: tuple[Edge, ...] = ()
    folds: tuple[tuple[str, str, int, float, float, float], ...] = ()
    spectra: tuple[tuple[float, float], ...] = ()


def _edge(
    coupling: float = 3.0, beta: float = 25.0, turns: float = 0.0, bracket: float = 1e-6
) -> Edge:
    return coupling, beta, "galerkin", 96, turns, bracket


QUICK = Settings(
    refined=((128, 0.0), (256, 0.0)), late=200.0, swarm=(4000, 4),
    edges=(_edge(), (3.0, 25.0, "finite-volume", 256, 0.0, 1e-5)),
    folds=(("beta", "galerkin", 96, 11.0, 11.4, 0.2), ("coupling", "galerkin", 96, 1.3, 1.4, 0.05)),
    spectra=((3.0, 5.0), (3.0, 15.0), (1.0, 25.0), (12.0, 25.0)),
)  # fmt: skip
FULL = Settings(
    late=3000.0, swarm=(20_000, 8),
    edges=(
        *(_edge(turns=turns, bracket=1e-11) for turns in (0.0, 0.25, 1 / 12, 1 / 6)),
        *((3.0, 25.0, "finite-volume", N, 0.0, 1e-6) for N in (256, 512)),
        *(_edge(beta=beta) for beta in (11.25, 11.5, 12.0, 14.0, 18.0, 35.0)),
        *(_edge(coupling=a) for a in (1.4, 1.5, 2.0, 6.0)),
    ),
    folds=(
        ("beta", "galerkin", 96, 11.0, 11.5, 2e-3), ("coupling", "galerkin", 96, 1.25, 1.5, 1e-3),
        *(("beta", "finite-volume", N, 11.0, 11.5, 4e-3) for N in (256, 512)),
    ),
    spectra=(
        *((3.0, beta) for beta in (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 12.0, 15.0, 18.0, 21.0, 25.0,
                                   30.0, 35.0)),
        *((a, 25.0) for a in (0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0, 8.0, 12.0)),
    ),
)  # fmt: skip
CYCLE = Settings(refined=((128, 0.0),), volumes=(256, 512))
SABOTAGES = {
    "the wrong sign of the coupling, which turns the cycle round": replace(CYCLE, coupling=-3.0),
    "beta is 24": replace(CYCLE, beta=24.0),
    "32 and 64 cells with square-root weights": replace(CYCLE, volumes=(32, 64), weights="sqrt"),
}


def _named(what: str, value: tuple[Any, ...]) -> str:
    return "_".join([what, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)])


def _held(data: dict[str, Data], what: str, values: tuple[Any, ...]) -> dict[Any, Data]:
    """The parts of `what` by their settings."""
    return {value: data[_named(what, value)] for value in values}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for cells, step in s.refined:
        found[f"galerkin_{cells}_{step:g}"] = partial(
            cycle, s.coupling, s.beta, cells=cells, step=step or None
        )
    for N in s.volumes:
        how = {"engine": "finite-volume", "cells": N, "weights": s.weights}
        found[f"volumes_{N}"] = partial(cycle, s.coupling, s.beta, **how)
    if s.late:
        found["late"] = partial(late, s.coupling, s.beta, s.late)
        found["decay"] = partial(decay, BEFORE, FITTED[1])
        for N in COARSE:
            how = {"engine": "finite-volume", "cells": N}
            found[f"cold_{N}"] = partial(cycle, 3.0, 12.0, 200.0, 0.05, **how)
        found |= {
            f"basin_{engine}": partial(basin, engine, cells, INSIDE + OUTSIDE)
            for engine, cells in BASINS
        }
    n, replicas = s.swarm
    found |= {f"swarm_{r}": partial(swarm, n, r) for r in range(replicas)}
    if replicas:
        found |= {f"swarm_from_{share}": partial(swarm, n, 0, share) for share in (BEFORE, BEYOND)}
    for what, part, settings in (
        ("edge", edge, s.edges),
        ("fold", fold, s.folds),
        ("spectrum", spectrum, s.spectra),
    ):
        found |= {_named(what, v): partial(part, *v) for v in settings}
    return found


# -- verdicts -------------------------------------------------------------------------------------


def compared(what: str, found: Array, tolerance: float, slope: float = 0.0) -> list[Verdict]:
    """Against the exact numbers; the slope over other turns than those of [20, 60] differs by up to
    `slope`.
    """
    within = (tolerance, tolerance, max(tolerance, slope), tolerance)
    return [
        Verdict(f"{n}, {what}", *v) for n, *v in zip(NAMES, found[:4], EXACT, within, strict=True)
    ]


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for cells, step in s.refined:
        how = f"Galerkin, {cells} modes" + (f", step {step:g}" if step else "")
        verdicts += compared(how, summary(data[f"galerkin_{cells}_{step:g}"]), 1e-5)
    coarse, fine = (summary(data[f"volumes_{N}"]) for N in s.volumes)
    # What Richardson's extrapolation leaves is of order h^4, and the same for 256 and 512 cells.
    verdicts += compared("finite volumes, extrapolated", fine + (fine - coarse) / 3, 3e-4)
    if s.late:
        verdicts += compared(f"{s.late:g} time units later", summary(data["late"]), 1e-4, 5e-4)
        rate, turn = approach(data["decay"], FITTED[0])
        # The rounding of the five digits known, and what is not yet linear.
        verdicts += [
            Verdict(
                "approach to the Gibbs point from a nearby start, rate", rate, LEADING.real, 5e-5
            ),
            Verdict("and frequency", abs(turn), LEADING.imag, 5e-5),
        ]
        for engine, _ in BASINS:
            norms = data[f"basin_{engine}"]["norms"]
            off = np.abs(norms[len(INSIDE) :] / summary(data["galerkin_256_0"])[4] - 1).max()
            verdicts += [
                below(
                    f"bumps within the unstable cycle, {engine}: norm at t = 200",
                    norms[: len(INSIDE)].max(),
                    0.05,
                ),
                below(
                    f"bumps beyond it, {engine}: mean norm off the cycle's, relatively", off, 0.01
                ),
            ]
        lost, kept = (np.linalg.norm(data[f"cold_{N}"]["path"][-1]) for N in COARSE)
        verdicts += [
            below("beta = 12, t = 200: norm on 32 cells, falsely", lost, CENTRE),
            above("beta = 12, t = 200: norm on 256 cells", kept, 0.6),
        ]
    found = verdicts + particles(s, data) + stable(s, data) + thresholds(s, data)
    return found + (births(s, data) if s.folds else [])


def particles(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    """Replicas against the mean field; one below, one above the threshold."""
    n, replicas = s.swarm
    if not replicas:
        return []
    found = np.array([summary(data[f"swarm_{r}"]) for r in range(replicas)])
    exact = (*EXACT, summary(data["galerkin_256_0"])[4])
    # Extremes of a norm that fluctuates by (0.5/n)^(1/2), 0.01, lie outside the mean field's;
    # crossings are read off points 0.2 apart.
    tolerances = dict(zip((*NAMES, "mean norm"), (0.03, 0.03, 0.02, 0.03, 0.005), strict=True))
    verdicts = []
    for (name, tolerance), value, mean, _, high in zip(
        tolerances.items(), exact, *band(found), strict=True
    ):
        verdicts.append(
            Verdict(
                f"{name}, {n} particles, {replicas} replicas", mean, value, tolerance, high - mean
            )
        )
    low, high = (
        np.linalg.norm(data[f"swarm_from_{share}"]["path"][-100:], axis=1).mean()
        for share in (BEFORE, BEYOND)
    )
    return [
        *verdicts,
        below(f"{n} particles from {BEFORE} of the cycle: mean norm from t = 40 on", low, CENTRE),
        Verdict(
            f"{n} particles from {BEYOND} of the cycle: mean norm from t = 40 on",
            high,
            exact[4],
            0.02,
        ),
    ]


def stable(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    """The Gibbs point is stable at a rate of at least the frozen equations' gap."""
    if not s.spectra:
        return []
    held = _held(data, "spectrum", s.spectra)
    rates = [float(-h["leading"].real / h["gap"]) for h in held.values()]
    name = f"least rate at the Gibbs point over the frozen gap, {len(rates)} pairs (a, beta)"
    verdicts = [above(name, float(np.min(rates)), 1 - 1e-6)]
    if (3.0, 25.0) in held:
        leading = complex(held[3.0, 25.0]["leading"])
        verdicts += [
            Verdict("leading eigenvalue, real part", leading.real, LEADING.real, 5e-6),
            Verdict("leading eigenvalue, imaginary part", abs(leading.imag), LEADING.imag, 5e-6),
        ]
    return verdicts


def _off(e: Edge) -> float:
    """How far a threshold share may be off: finite volumes err by h^2."""
    return 2e-3 * (512 / e[3]) ** 2 if e[2] == "finite-volume" else 1e-4


def thresholds(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    """Both ends of every bracket of shares; the unstable cycle from several starts and by both
    engines.
    """
    if not s.edges:
        return []
    held = _held(data, "edge", s.edges)
    settled = np.array([h["settled"] for h in held.values()])
    mean = np.array([h["norms"].mean() for h in held.values()])
    least = np.array([h["norms"].min() for h in held.values()])
    inner = {e: unstable(h) for e, h in held.items()}
    verdicts = [
        *(
            Verdict(f"threshold share, {e[2]}, {e[3]} cells", (h["high"] + h["low"]) / 2, SHARE,
                    _off(e))
            for e, h in held.items()
            if e[:2] == s.edges[0][:2] and e[4] == 0
        ),
        below(f"{len(held)} brackets: norm {LONGER:g} after the decision, from below",
              settled[:, 0].max(), CENTRE / 2),
        Verdict(f"{len(held)} brackets: mean norm then from above, over the cycle's, worst",
                1 + np.abs(settled[:, 1] / mean - 1).max(), 1.0, 0.02),
        below("greatest norm of the unstable cycle over the stable one's least",
              float(np.max([v[1] / r for v, r in zip(inner.values(), least, strict=True)])), 0.97),
    ]  # fmt: skip
    for e in s.edges[1:]:
        if e[:2] == s.edges[0][:2]:
            # Finite volumes of 256 cells err by 0.4% on the stable cycle.
            what = (
                f"of the unstable cycle, {e[2]}, {e[3]} cells, {e[4]:.2g} turns later, less that "
                "of the first"
            )
            verdicts += [
                Verdict(f"{n} {what}", v, 0.0, 1e-3)
                for n, v in zip(NAMES[:2], inner[e] - inner[s.edges[0]], strict=True)
            ]
    return verdicts


def means(s: Settings, data: dict[str, Data]) -> Array:
    """(coupling, beta, mean norm of the stable cycle, of the unstable one) of Galerkin's edges,
    shape (E, 4).
    """
    held = _held(data, "edge", s.edges)
    return np.array(
        [
            [*e[:2], h["norms"].mean(), unstable(h).mean()]
            for e, h in held.items()
            if e[2] == "galerkin"
        ]
    )


def births(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    """Where the cycle disappears: by either engine, and where the squared distance of the two
    cycles vanishes.
    """
    verdicts, middles = [], {}
    for f, h in _held(data, "fold", s.folds).items():
        low, high = float(h["low"]), float(h["high"])
        middles[f[:3]] = (low + high) / 2
        if f[1] == "galerkin":
            name = f"cycle gone at {f[0]} = {low:.5g}, there at {high:.5g}: middle"
            verdicts.append(Verdict(name, middles[f[:3]], FOLDS[f[0]], f[-1]))
    volumes = [v for k, v in middles.items() if k[:2] == ("beta", "finite-volume")]
    if len(volumes) == 2:
        better = volumes[1] + (volumes[1] - volumes[0]) / 3
        verdicts.append(
            Verdict("least beta, finite volumes, extrapolated", better, FOLDS["beta"], 0.01)
        )
    cycles = means(s, data)
    for k, name, others, near in ((1, "beta", 3.0, 11.6), (0, "coupling", 25.0, 1.6)):
        rows = cycles[(cycles[:, 1 - k] == others) & (cycles[:, k] < near)]
        if len({row[k] for row in rows}) == 2:
            (b0, g0), (b1, g1) = sorted((row[k], (row[2] - row[3]) ** 2) for row in rows)
            what = f"least {name}, where the squared distance of the two cycles vanishes"
            verdicts.append(Verdict(what, b0 - g0 * (b1 - b0) / (g1 - g0), FOLDS[name], 0.02))
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Orbits at both levels, and what there is at other temperatures and couplings."""
    from matplotlib.figure import Figure

    from validation.pictures import legends

    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot(*data["galerkin_256_0"]["path"][1000:1300].T, label="stable cycle")
    for end in ("below", "above"):
        left.plot(
            *data[_named("edge", s.edges[0])][end][61:].T, lw=0.8, label=f"{end} the threshold"
        )
    left.plot(0, 0, "k.", label="Gibbs point")
    left.set(
        xlabel="E sin x", ylabel="E sin y", aspect="equal", title="mean field, beta = 25, a = 3"
    )
    left.set(xlim=(-1.5, 1.5), ylim=(-1.1, 1.9))
    for part in ("swarm_0", f"swarm_from_{BEYOND}", f"swarm_from_{BEFORE}"):
        norms, label = (
            np.linalg.norm(data[part]["path"], axis=1),
            part.replace("swarm_0", "two bumps"),
        )
        middle.plot(data[part]["times"], norms, lw=0.8, label=label.replace("swarm_from_", "s = "))
    middle.set(xlabel="t", ylabel="norm of (E sin x, E sin y)", ylim=(0, 1.3))
    middle.set(title=f"{s.swarm[0]} particles from bumps or shares s")
    rows = means(s, data)
    if len(rows) > 4:
        for k, (what, mark) in enumerate((("beta", "o-"), ("coupling", "s--"))):
            along = rows[rows[:, k] == (3.0, 25.0)[k]]
            along = along[np.argsort(along[:, 1 - k])]
            for column, (word, color) in enumerate((("stable", "C0"), ("unstable", "C1")), 2):
                look = {
                    "color": color,
                    "ms": 3,
                    "lw": 0.8,
                    "label": f"{word}, over {what}, fold at {FOLDS[what]:.4g}",
                }
                right.plot(along[:, 1 - k] / FOLDS[what], along[:, column], mark, **look)
        right.axhline(0, color="k", lw=1)
        right.axvline(1, color="k", lw=0.5, ls=":")
        right.set(
            xscale="log",
            xlabel="parameter over its value at the fold",
            ylabel="mean norm",
            ylim=(-0.05, 1.5),
        )
        right.set_xticks([1, 2, 3, 4], ["1", "2", "3", "4"])
        right.set(title="cycles; the Gibbs point, 0, is stable")
    else:  # too few for branches: rates at the Gibbs point
        found, at = _held(data, "spectrum", s.spectra).values(), np.arange(len(s.spectra))
        rates, gaps = [-h["leading"].real for h in found], [h["gap"] for h in found]
        right.plot(at, rates, "o", label="rate at the Gibbs point")
        right.plot(at, gaps, "s", label="gap of the frozen equations")
        right.set_xticks(at, [f"{a:g}, {b:g}" for a, b in s.spectra])
        right.set(yscale="log", ylim=(min(gaps) / 3, 3), xlim=(-0.5, len(at) - 0.5))
        right.set(xlabel="a, beta", title="the Gibbs point is stable")
    for ax, where, columns in (
        (left, "upper center", 2),
        (middle, "upper center", 3),
        (right, "upper left", 1),
    ):
        legends([ax], fontsize=7, loc=where, ncols=columns)
    return {"orbits": figure}
