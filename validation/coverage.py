"""Intervals of 95% hold the truth at least 93 times in 100, for few replicas and for many.

A large pool of replicas of each game stands for the truth: its means over times, their largest,
and their exponent in n. Samples of R replicas are drawn from it again and again, and the bands,
intervals of suprema and of exponents that `compare` would give for them are counted where they
hold what the pool has: for W2^2, for |NI - NI*|, and for W2^2 by regression on the energies of
coupled copies. W2^2 is skewed, and the largest of noisy means is too large, which costs plain
Student intervals of the same samples up to ten in a hundred. The estimate of the supremum is off
by less than its error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.studies.statistics import band, exponent, means, sup_of_means
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, above, below
from validation.suite import Part

LEAST = 0.93
GAMES = {
    "oscillator, Langevin": ("oscillator", mf.Langevin(25.0), 1.0),
    "two modes, WFR": (
        "cos(x - y) + 0.5*cos(2*x)*sin(y) + 0.3*sin(x + 2*y)", mf.WassersteinFisherRao(1.0, 1.0), 1.0
    ),
    "wells, Langevin": (
        "cos(x)*cos(y) + 0.4*sin(2*x + y) - 0.2*cos(2*y)", mf.Langevin(4.0), 2.0
    ),
}  # fmt: skip
QUANTITIES = {"W2^2": "w2", "|NI - NI*|": "ni", "W2^2 with control": "controlled"}


@dataclass(frozen=True)
class Settings:
    """Replicas in the pools of each n, trials, and R; `confidence` of the intervals judged."""

    games: tuple[str, ...] = ("oscillator, Langevin", "two modes, WFR")
    particles: tuple[int, ...] = (50, 200)
    pool: int = 800
    trials: int = 400
    replicas: tuple[int, ...] = (8, 24)
    confidence: float = 0.95


QUICK = Settings()
FULL = Settings(tuple(GAMES), (50, 200, 800), 4000, 1000, (8, 24, 100))
SABOTAGES = {"intervals of 80% given as 95%": replace(QUICK, confidence=0.8)}


def pool(name: str, particles: tuple[int, ...], replicas: int) -> dict[str, Any]:
    """What `compare` measures of many replicas: totals of W2^2, errors of NI, centred energies."""
    source, flow, time = GAMES[name]
    oscillator = source == "oscillator"
    game = mf.games.oscillator() if oscillator else mf.games.expression(source)
    found = mf.compare(
        game, flow, game.answers["start"] if oscillator else mf.Start(), time, particles, replicas,
        step=0.02, save_every=time / 10, progress=False, threads=1,
    )  # fmt: skip
    arrays: dict[str, Any] = {}
    for k in range(len(particles)):
        arrays[f"w2_{k}"] = found.samples["w2_squared"][k].sum(axis=2)
        arrays[f"ni_{k}"] = np.abs(found.samples["ni"][k] - found.field_ni)
        if "energies" in found.samples:
            energies, exact = (found.samples[key][k] for key in ("energies", "energy_means"))
            arrays[f"energies_{k}"] = energies - exact
    return arrays


def parts(s: Settings) -> dict[str, Part]:
    return {name: partial(pool, name, s.particles, s.pool) for name in s.games}


@dataclass(frozen=True)
class Counted:
    """Shares of trials in which intervals hold the truth, and the mean error of the supremum."""

    bands: float
    sups: float
    exponents: float
    off: float  # in standard deviations of the estimate


def count(
    s: Settings, pools: list[Array], controls: list[Array] | list[None], R: int, seed: int
) -> Counted:
    """Trials of R replicas drawn from pools (N, T), one for each n."""
    rng, sizes = np.random.default_rng([seed, R]), np.log(s.particles)
    true = [means(p, c) for p, c in zip(pools, controls, strict=True)]
    tops = [float(mean.max()) for mean in true]
    slope = float(np.polyfit(sizes, np.log(tops), 1)[0])
    held, tried, values = np.zeros(3), np.zeros(3), []
    for trial in range(s.trials):
        chosen = [rng.choice(len(p), R, replace=False) for p in pools]
        some = [p[at] for p, at in zip(pools, chosen, strict=True)]
        taken = [None if c is None else c[at] for c, at in zip(controls, chosen, strict=True)]
        for x, c, mean, top in zip(some, taken, true, tops, strict=True):
            _, low, high = band(x, s.confidence, c)
            sup = sup_of_means(x, s.confidence, trial, c)
            held[:2] += ((low <= mean) & (mean <= high)).mean(), sup.low <= top <= sup.high
            tried[:2] += 1
            values.append(sup.value / top - 1)
        power = exponent(s.particles, some, s.confidence, trial, taken)
        held[2] += power.low <= slope <= power.high
        tried[2] += 1
    by_size = np.array(values).reshape(-1, len(pools))
    off = float((by_size.mean(axis=0) / by_size.std(axis=0)).max())
    return Counted(*(held / tried), off)


def counted(s: Settings, data: dict[str, Data]) -> dict[tuple[str, str, int], Counted]:
    """By game, quantity and R."""
    found = {}
    for seed, name in enumerate(s.games):
        sets, K = data[name], range(len(s.particles))
        for quantity, key in QUANTITIES.items():
            controls: list[Any] = [None] * len(s.particles)
            if key == "controlled":
                if "energies_0" not in sets:
                    continue
                controls = [np.asarray(sets[f"energies_{k}"]) for k in K]
            pools = [np.asarray(sets[f"{'ni' if key == 'ni' else 'w2'}_{k}"]) for k in K]
            for R in s.replicas:
                found[name, quantity, R] = count(s, pools, controls, R, seed)
    return found


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for (name, quantity, R), c in counted(s, data).items():
        for what, share in (("bands", c.bands), ("suprema", c.sups), ("exponents", c.exponents)):
            # What counting so many trials leaves open is no fault of the interval.
            open_ = 1.96 * np.sqrt(LEAST * (1 - LEAST) / s.trials)
            verdicts.append(
                above(f"{name}, {quantity}, R = {R}: {what} that hold", share, LEAST - open_)
            )
        verdicts.append(
            below(f"{name}, {quantity}, R = {R}: supremum off, in its deviations", abs(c.off), 1.0)
        )
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    rows = counted(s, data)
    for ax, what in zip(axes, ("bands", "sups", "exponents"), strict=True):
        for name, quantity in dict.fromkeys((name, quantity) for name, quantity, _ in rows):
            shares = [getattr(rows[name, quantity, R], what) for R in s.replicas]
            ax.plot(s.replicas, shares, "o-", ms=3, label=f"{name}: {quantity}")
        ax.axhline(LEAST, color="0.5", lw=0.8)
        ax.set(xscale="log", xlabel="replicas R", title=what.replace("sups", "suprema"))
    axes[0].set(ylabel="share that hold the truth", ylim=(0.75, 1.005))
    axes[-1].legend(fontsize=5)
    return {"coverage": figure}
