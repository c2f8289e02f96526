"""The colder, the nearer to equilibrium, and in the end the slower: (7) decays as its linearisation
says, and freezes.

The remark after Theorem 1. NI of the Gibbs point (9) falls along every curve in beta. The leading
eigenvalue of (7) linearised there has a far smaller rate at the coldest beta than at the best one,
but need not fall on the way: the oscillator's rises from beta = 6.3 to 10. The eigenvalue is held
against closed spectra (the uniform equilibrium, spectral gaps of separable games, two states with
Kramers' passes where wells are deep, the oscillator's -0.00489 +- 0.00941 i), and is what small
perturbations decay and turn with: densities by a weighted fit of the mode's amplitude, particles by
the same fit over replicas, between two wells, for the oscillator and on S^2. From the wrong well NI
falls to a minimum at a middle temperature: NI at a given time, and the best beta for it, against a
two-state prediction that knows the basins' Gibbs integrals and the spectral gap alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.studies.statistics import band
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, above, below
from validation.common import label
from validation.perturbed import GAMES, TILT, coupled, densities, in_wells
from validation.suite import Part


@dataclass(frozen=True)
class Settings:
    """Sizes, and what is wrong: the spectrum's beta over the flow's (ratio), its nodes."""

    curves: tuple[str, ...]
    betas: int
    decays: tuple[tuple[str, float], ...]
    wells: tuple[tuple[float, int, int], ...]  # beta, particles, replicas
    # game, beta, time, step, amplitude, particles, replicas, tolerance
    coupled: tuple[tuple[str, float, float, float, float, int, int, float], ...]
    trade: int  # values of beta
    times: tuple[float, ...]
    ratio: float = 1.0
    cells: int = 256


FULL = Settings(
    ("double well", "oscillator", "random 0", "random 1", "random 2", "circle benchmark"), 30,
    (
        ("double well", 1.0), ("double well", 2.0), ("double well", 3.0), ("double well", 4.0),
        ("oscillator", 3.0),
        ("oscillator", 10.0), ("oscillator", 25.0), ("circle benchmark", 10.0), ("random 0", 5.0),
        ("random 1", 2.0),
        ("random 1", 5.0), ("random 2", 1.0),
    ),
    ((1.0, 20_000, 24), (2.0, 20_000, 24), (3.0, 5000, 24), (3.5, 4000, 60)),
    (
        ("oscillator", 3.0, 3.0, 0.05, 0.3, 50_000, 40, 0.06),
        ("oscillator", 10.0, 4.0, 0.05, 0.3, 50_000, 40, 0.06),
        ("S^2", 10.0, 4.0, 0.1, 0.15, 50_000, 100, 0.06),
    ),
    43, (50.0, 250.0, 1000.0),
)  # fmt: skip
QUICK = Settings(
    ("double well", "oscillator"), 9,
    (("double well", 2.0), ("oscillator", 10.0), ("oscillator", 25.0), ("circle benchmark", 10.0)),
    ((2.0, 10_000, 10),),
    (("oscillator", 3.0, 3.0, 0.05, 0.3, 20_000, 10, 0.1),
     ("S^2", 10.0, 4.0, 0.1, 0.15, 50_000, 12, 0.15)),
    25, (50.0, 250.0),
)  # fmt: skip
_FEW = replace(QUICK, decays=QUICK.decays[:2], wells=(), coupled=(), trade=0, curves=())
SABOTAGES = {
    "a spectrum colder by two hundredths": replace(_FEW, ratio=1.02),
    "a spectrum on too few cells": replace(_FEW, cells=24),
}


def path(name: str, count: int) -> dict[str, Any]:
    """NI and the leading eigenvalue of the Gibbs point along beta."""
    found = mf.gibbs_path(GAMES[name](), np.geomspace(1, 40, count), 256, spectrum=True)
    return {"beta": found.beta, "ni": found.ni, "rate": found.rate, "frequency": found.frequency}


def spectra(ratio: float, cells: int) -> dict[str, Any]:
    """Leading eigenvalues beside what they are known to be."""
    uniform, well = mf.games.uniform_equilibrium(1.5, 2), mf.games.double_well(TILT)
    exact = uniform.answers["eigenvalues"](8.0)[0]
    found = mf.stability(uniform, 8.0 * ratio, min(cells, 128), count=60).eigenvalues
    rates = {b: mf.stability(well, b * ratio, cells).rate for b in (1.0, 4.0, 8.0, 12.0, 20.0)}
    leading = mf.stability(mf.games.oscillator(), 25.0 * ratio, cells).eigenvalues[0]
    return {
        "uniform": abs(found - exact).min(),
        "gaps": [rates[b] / well.answers["f"].spectral_gap(b) for b in (1.0, 4.0, 8.0)],
        "two_states": [rates[b] / Wells(b).rate for b in (12.0, 20.0)],
        "oscillator": [leading.real, abs(leading.imag)],
    }


class Wells:
    """The double well f = cos 2x + tilt sin x at beta, by integrals alone: its upper basin's mass,
    E f - min f in the upper and the lower basin, and the rate between two equilibrated basins
    through both passes."""

    def __init__(self, beta: float, N: int = 100_000) -> None:
        x, h = (np.arange(N) + 0.5) * 2 * np.pi / N, 2 * np.pi / N
        f = np.cos(2 * x) + TILT * np.sin(x)
        f, edge = f + 1 + TILT, np.arcsin(TILT / 4)
        mass, upper = np.exp(-beta * f), (x > edge) & (x < np.pi - edge)
        self.upper = float(mass[upper].sum() / mass.sum())
        self.cost = [float((mass * f)[side].sum() / mass[side].sum()) for side in (upper, ~upper)]
        left = (x > np.pi / 2) & (x < 3 * np.pi / 2)
        resistance = [np.exp(beta * f[arc]).sum() * h * mass.sum() * h for arc in (left, ~left)]
        self.rate = float(
            sum(1 / r for r in resistance) / beta * (1 / self.upper + 1 / (1 - self.upper))
        )

    def ni(self, decayed: Array) -> Array:
        """NI of the pair when exp(-rate t) of what began in the upper basins is out of place."""
        above = self.upper + (1 - self.upper) * decayed
        return 2 * (self.cost[1] + above * (self.cost[0] - self.cost[1]))


def traded(count: int, times: tuple[float, ...]) -> dict[str, Any]:
    """NI of (7) from the upper wells at the times, along beta, and of two basins that are in
    equilibrium each.
    """
    game, t = mf.games.double_well(TILT), np.array(times)
    start = mf.Start(
        x=mf.concentrated(np.pi / 2, std=0.1**0.5), y=mf.concentrated(np.pi / 2, std=0.1**0.5)
    )
    error, betas, ni = mf.NikaidoIsoda(game), np.geomspace(1.2, 8, count), []
    for beta in betas:
        run = mf.solve(game, mf.Langevin(beta), start, t[-1], cells=128, save_every=t[0], tol=1e-9)
        ni.append([error(*run[int(np.argmin(np.abs(run.times - at)))]).value for at in t])
    gaps = np.array([game.answers["f"].spectral_gap(beta) for beta in betas])
    fine = np.geomspace(betas[0], betas[-1], 4000)
    between = np.exp(np.interp(np.log(fine), np.log(betas), np.log(gaps)))
    dense = np.array(
        [Wells(b, 4000).ni(np.exp(-gap * t)) for b, gap in zip(fine, between, strict=True)]
    )
    return {
        "beta": betas, "ni": ni, "two_states": [Wells(b).ni(np.exp(-g * t)) for b,
            g in zip(betas, gaps, strict=True)],
        "gibbs": [Wells(b).ni(np.zeros(1))[0] for b in betas], "best": fine[dense.argmin(0)],
    }  # fmt: skip


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {"spectra": partial(spectra, s.ratio, s.cells)}
    found |= {label("path", name): partial(path, name, s.betas) for name in s.curves}
    found |= {
        label("decay", name, b): partial(densities, name, b, s.ratio, s.cells)
        for name, b in s.decays
    }
    found |= {label("wells", b): partial(in_wells, b, n, r) for b, n, r in s.wells}
    for name, beta, *how, replicas, _ in s.coupled:
        for first in range(0, replicas, 20):
            count = min(20, replicas - first)
            found[label("coupled", name, beta, first)] = partial(
                coupled, name, beta, *how, first, count
            )
    return found | ({"trade": partial(traded, s.trade, s.times)} if s.trade else {})


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    known = data["spectra"]
    verdicts = [
        below("uniform equilibrium: distance from its eigenvalue -k^2/beta + i k^2 A/2",
              float(known["uniform"]), 1e-8),
        *(Verdict(f"double well, beta = {b:g}: rate over the spectral gap", r, 1, 1e-6)
          for b, r in zip((1, 4, 8), known["gaps"], strict=True)),
        *(Verdict(f"double well, beta = {b:g}: rate over that of two states", r, 1, 1e-4)
          for b, r in zip((12, 20), known["two_states"], strict=True)),
        Verdict("oscillator, beta = 25: real part of the leading eigenvalue",
                known["oscillator"][0], -0.00489, 5e-6),
        Verdict("oscillator, beta = 25: imaginary part", known["oscillator"][1], 0.00941, 5e-6),
    ]  # fmt: skip
    for name, beta in s.decays:
        held = data[label("decay", name, beta)]
        off = float(abs(held["measured"] / held["claimed"] - 1))
        verdicts.append(
            below(f"{name}, beta = {beta:g}: (7) decays and turns off the eigenvalue by", off, 1e-4)
        )
    for beta, _, _ in s.wells:
        rate, error = measured_in_wells(data[label("wells", beta)])
        verdicts.append(
            Verdict(
                f"double well, beta = {beta:g}: particles' decay over the gap", rate, 1, 0.06, error
            )
        )
    for name, beta, *_, tolerance in s.coupled:
        (growth, frequency), errors, value = measured_coupled(s, data, name, beta)
        what = f"particles, {name}, beta = {beta:g}:"
        verdicts.append(
            Verdict(
                f"{what} rate over the eigenvalue's", growth / value.real, 1, tolerance, errors[0]
            )
        )
        off = frequency / value.imag
        verdicts.append(
            Verdict(f"{what} frequency over the eigenvalue's", off, 1, tolerance / 2, errors[1])
        )
    verdicts += [v for name in s.curves for v in of_path(name, data[label("path", name)])]
    return verdicts + (of_trade(s.times, data["trade"]) if s.trade else [])


def of_path(name: str, held: Data) -> list[Verdict]:
    """NI falls along the curve; the rate is small where it ends, and the oscillator's rises on the
    way.
    """
    rate, steepness = held["rate"], np.diff(np.log(held["ni"])) / np.diff(np.log(held["beta"]))
    what = f"{name}, beta = {held['beta'][0]:g} to {held['beta'][-1]:g}:"
    found = [
        below(f"{what} slope of log NI in log beta, largest", float(steepness.max()), 0),
        below(f"{what} rate at the coldest over the largest", float(rate[-1] / rate.max()), 0.1),
    ]
    if name == "oscillator":
        rise = float(np.max(rate / np.minimum.accumulate(rate)))
        found.append(above(f"{what} rate over that at a warmer beta, largest", rise, 1.02))
    return found


def measured_in_wells(held: Data) -> tuple[float, float]:
    """The particles' rate over the gap, with the half width of its interval."""
    mean, low, _ = band(held["ratio"])
    scale = 1 / (held["time"] * held["rate"])
    return float(-np.log(mean) * scale), float((mean - low) / mean * scale)


def measured_coupled(
    s: Settings, data: dict[str, Data], name: str, beta: float
) -> tuple[Array, Array, complex]:
    """The particles' growth and frequency, half widths of their intervals over the eigenvalue's,
    the eigenvalue.
    """
    replicas = next(r for n, b, *_, r, _ in s.coupled if (n, b) == (name, beta))
    held = [data[label("coupled", name, beta, first)] for first in range(0, replicas, 20)]
    value, time = complex(held[0]["value"]), float(held[0]["time"])
    z = np.concatenate([h["ratio"] for h in held]) / np.exp(value * time)
    found = value + np.log(z.mean()) / time
    halves = (
        np.array([float(high - low) / 2 for _, low, high in (band(z.real), band(z.imag))]) / time
    )
    return np.array([found.real, found.imag]), halves / np.abs([value.real, value.imag]), value


def of_trade(times: tuple[float, ...], held: Data) -> list[Verdict]:
    off = float(np.abs(held["ni"] / held["two_states"] - 1).max())
    verdicts = [below("from the wrong well: NI off two states, relative", off, 0.01)]
    for t, ni, expected in zip(times, held["ni"].T, held["best"], strict=True):
        verdicts.append(
            Verdict(
                f"best beta at t = {t:g} over two states'",
                best(held["beta"], ni) / expected,
                1,
                0.02,
            )
        )
    return verdicts


def best(betas: Array, ni: Array) -> float:
    """Where NI is least: the vertex of the parabola through the least value and its neighbours, in
    log beta.
    """
    k = int(np.clip(np.argmin(ni), 1, len(ni) - 2))
    a, b, _ = np.polyfit(np.log(betas[k - 1 : k + 2]), ni[k - 1 : k + 2], 2)
    return float(np.exp(-b / (2 * a)))


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """NI and rates along beta, decays measured on top of them, and NI after given times from the
    wrong well.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    color = {name: f"C{k}" for k, name in enumerate(GAMES)}
    for name in s.curves:
        held = data[label("path", name)]
        left.loglog(held["beta"], held["ni"], color[name], label=name)
        middle.loglog(held["beta"], held["rate"], color[name])
    for name, beta in s.decays:
        if name in s.curves:
            rate = -data[label("decay", name, beta)]["measured"].real
            middle.plot(beta, rate, "o", color=color[name], mfc="none", ms=7)
    for name, beta, *_ in s.coupled:
        if name in s.curves:
            (growth, _), errors, value = measured_coupled(s, data, name, beta)
            middle.errorbar(beta, -growth, errors[0] * -value.real, fmt="kx", ms=5, capsize=2)
    for beta, _, _ in s.wells:
        held = data[label("wells", beta)]
        rate, error = measured_in_wells(held)
        middle.errorbar(beta, rate * held["rate"], error * held["rate"], fmt="kx", ms=5, capsize=2)
    for mark, word in (("ko", "(7)"), ("kx", "particles")):
        middle.plot([], [], mark, mfc="none", label=word)
    left.set(xlabel=r"$\beta$", title="NI of the Gibbs point (9)")
    middle.set(xlabel=r"$\beta$", title="rates: linearised (7), measured", ylim=(1e-6, 4))
    held = data["trade"]
    for j, t in enumerate(s.times):
        right.loglog(held["beta"], held["ni"][:, j], f"C{j}o", ms=3, label=f"$t = {t:g}$")
        right.loglog(held["beta"], held["two_states"][:, j], f"C{j}", lw=0.8)
    right.loglog(held["beta"], held["gibbs"], "k--", label="Gibbs point")
    right.set(xlabel=r"$\beta$", title="NI from the wrong well (lines: two states)")
    right.set_xticks([2, 4, 8], ["2", "4", "8"])
    right.minorticks_off()
    for ax in (left, middle, right):
        ax.legend(fontsize=7, loc="lower left")
    return {"trade-off": figure}
