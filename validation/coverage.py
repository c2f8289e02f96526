"""Intervals of 95% hold the truth at least 93 times in 100, for few replicas and for many.

Samples of R replicas are drawn from a large pool again and again, and the bands, intervals of
suprema and of exponents that `compare` would give for them are counted where they hold the truth.
For sums of chi squares it is known exactly; for the games it is that of the whole pool: for W2^2,
for |NI - NI*|, and for W2^2 by regression on the energies of coupled copies. W2^2 is skewed, and
the largest of noisy means is too large, which costs plain Student intervals of the same samples up
to ten in a hundred. The estimate of the supremum is off by less than its error.
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
from validation.common import label
from validation.suite import Part

LEAST = 0.93
WAVES = "cos(x - y) + 0.5*cos(2*x)*sin(y) + 0.3*sin(x + 2*y)"
WELLS = "cos(x)*cos(y) + 0.4*sin(2*x + y) - 0.2*cos(2*y)"
GAMES = {
    "oscillator, Langevin": ("oscillator", mf.Langevin(25.0), 1.0),
    "waves, WFR": (WAVES, mf.WassersteinFisherRao(1.0, 1.0), 1.0),
    "wells, Langevin": (WELLS, mf.Langevin(4.0), 2.0),
}
CHI = "sums of chi squares"  # as W2^2 is near the uniform law, without a game
Pool = tuple[list[Array], list[Any], list[Array]]  # samples, controls, true means
INTERVALS = ("bands", "suprema", "exponents")


@dataclass(frozen=True)
class Settings:
    """Replicas in the pools of each n, trials, and R; `confidence` of the intervals judged."""

    games: tuple[str, ...] = (CHI,)
    particles: tuple[int, ...] = (50, 200)
    pool: int = 4000
    trials: int = 150
    replicas: tuple[int, ...] = (8, 24)
    confidence: float = 0.95


QUICK = Settings()
FULL = Settings((CHI, *GAMES), (50, 200, 800), 4000, 1000, (8, 24, 100))
SABOTAGES = {"intervals of 75% given as 95%": replace(QUICK, confidence=0.75)}


def pool(name: str, particles: tuple[int, ...], replicas: int) -> mf.Comparison:
    """Many replicas of a game, as `compare` measures them."""
    source, flow, time = GAMES[name]
    oscillator = source == "oscillator"
    game = mf.games.oscillator() if oscillator else mf.games.expression(source)
    return mf.compare(
        game, flow, game.answers["start"] if oscillator else mf.Start(), time, particles, replicas,
        step=0.02, save_every=time / 10, progress=False, threads=1,
    )  # fmt: skip


def chi_squares(particles: tuple[int, ...], replicas: int) -> dict[str, Pool]:
    """Sums over modes k of |Z_k(t)|^2 / k^2, Z_k Ornstein-Uhlenbeck, with a peak in time.

    The control is the first mode's own part. The means are 2 sum_k k^-2 times the peak, over n.
    """
    times, rng = np.linspace(0, 1, 11), np.random.default_rng(0)
    profile = 1 + 0.8 * np.exp(-(((times - 0.6) / 0.25) ** 2))
    totals, controls = [], []
    for n in particles:
        parts = np.empty((8, replicas, len(times)))
        for k in range(1, 9):
            keep = np.exp(-0.05 * k * k)
            z = rng.standard_normal((2, replicas))
            for j in range(len(times)):
                parts[k - 1, :, j] = (z**2).sum(axis=0) / k**2
                z = keep * z + np.sqrt(1 - keep**2) * rng.standard_normal(z.shape)
        totals.append(parts.sum(axis=0) * profile / n)
        controls.append((parts[0] - 2) / n)
    exact = [profile * (2 * sum(k**-2 for k in range(1, 9)) / n) for n in particles]
    none: list[Any] = [None] * len(particles)
    return {"totals": (totals, none, exact), "with control": (totals, controls, exact)}


def quantities(found: mf.Comparison) -> dict[str, Pool]:
    """The samples (R, T) of each quantity and n, their controls, and the means of the pool."""
    totals = [s.sum(axis=2) for s in found.samples["w2_squared"]]
    errors = [np.abs(s - found.field_ni) for s in found.samples["ni"]]
    none: list[Any] = [None] * len(totals)
    sets = {"W2^2": (totals, none), "|NI - NI*|": (errors, none)}
    if "energies" in found.samples:
        pairs = zip(found.samples["energies"], found.samples["energy_means"], strict=True)
        centred = [energies - exact for energies, exact in pairs]
        sets["W2^2 with control"] = totals, centred
    return {what: (*pair, list(map(means, *pair))) for what, pair in sets.items()}


def count(
    name: str, particles: tuple[int, ...], replicas: int, trials: int, several: tuple[int, ...],
    confidence: float,
) -> dict[str, Any]:  # fmt: skip
    """For each quantity and R the shares of bands, suprema and exponents that hold, and the error.

    The last number is the mean error of the supremum at the worst n, in its standard deviations.
    """
    if name == CHI:
        sets = chi_squares(particles, replicas)
    else:
        sets = quantities(pool(name, particles, replicas))
    return {
        f"{what}, R = {R}": _counted(particles, *one, trials, R, confidence)
        for what, one in sets.items()
        for R in several
    }


def _counted(
    particles: tuple[int, ...], pools: list[Array], controls: list[Any], true: list[Array],
    trials: int, R: int, confidence: float,
) -> Array:  # fmt: skip
    rng, sizes = np.random.default_rng(R), np.log(particles)
    tops = [float(mean.max()) for mean in true]
    slope = float(np.polyfit(sizes, np.log(tops), 1)[0])
    held, values = np.zeros(3), np.empty((trials, len(pools)))
    for trial in range(trials):
        chosen = [rng.choice(len(p), R, replace=False) for p in pools]
        some = [p[at] for p, at in zip(pools, chosen, strict=True)]
        taken = [None if c is None else c[at] for c, at in zip(controls, chosen, strict=True)]
        for k, (x, c) in enumerate(zip(some, taken, strict=True)):
            _, low, high = band(x, confidence, c)
            sup = sup_of_means(x, confidence, trial, c)
            inside = (low <= true[k]) & (true[k] <= high)
            held[:2] += np.array([inside.mean(), sup.low <= tops[k] <= sup.high]) / len(pools)
            values[trial, k] = sup.value
        power = exponent(particles, some, confidence, trial, taken)
        held[2] += power.low <= slope <= power.high
    off = np.abs(values.mean(axis=0) - tops) / values.std(axis=0)
    return np.array([*held / trials, off.max()])


def parts(s: Settings) -> dict[str, Part]:
    return {
        label(name): partial(count, name, s.particles, s.pool, s.trials, s.replicas, s.confidence)
        for name in s.games
    }


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    # What counting so few trials leaves open is no fault of the intervals.
    least = LEAST - 1.96 * np.sqrt(LEAST * (1 - LEAST) / s.trials)
    verdicts = []
    for name in s.games:
        for quantity, (*shares, off) in data[label(name)].items():
            for what, share in zip(INTERVALS, shares, strict=True):
                verdicts.append(above(f"{name}, {quantity}: {what} that hold", float(share), least))
            claim = f"{name}, {quantity}: supremum off, in its deviations"
            verdicts.append(below(claim, float(off), 1.0))
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for k, (ax, what) in enumerate(zip(axes, INTERVALS, strict=True)):
        for name in s.games:
            rows = data[label(name)]
            for quantity in dict.fromkeys(key.split(", R")[0] for key in rows):
                shares = [rows[f"{quantity}, R = {R}"][k] for R in s.replicas]
                ax.plot(s.replicas, shares, "o-", ms=3, label=f"{name}: {quantity}")
        ax.axhline(LEAST, color="0.5", lw=0.8)
        ax.set(xscale="log", xlabel="replicas R", title=what)
    axes[0].set(ylabel="share that hold the truth", ylim=(0.7, 1.01))
    axes[-1].legend(fontsize=5)
    return {"coverage": figure}
