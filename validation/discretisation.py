"""Algorithm 1 is of weak order one and Algorithm 2 of order one in the step; what they do at a
finite step is known.

Algorithm 1 on S^1 (the oscillator game, beta = 25). With n -> infinity its law obeys its own
recursion, one step being mu_p <- (id - eta grad U_p)# mu_p convolved with the wrapped Gaussian of
variance 2 eta/beta, which Fourier coefficients and the trapezoidal rule follow to rounding, so that
the bias of the time step shows without sampling. Against equation (7): W2 is of order one in eta,
of order two for the package's Strang scheme. At eta = 1e-3 the bias in W2^2 (both players) is
1.8e-5 at t = 2, what sampling gives with n = 3.6e5, and 2.0e-3 at t = 20, what it gives with n =
3300; it grows as eta^2. The package's particles follow that law, and not (7), at steps where the
two differ. Common noise (coarse increments are sums of fine ones) gives weak differences on S^2
with little variance: orders one and two, limit (7). Pathwise it gives order one on S^1, but 1/2 on
S^2 for either scheme: projected noise does not commute, and Levy areas are not simulated (Clark and
Cameron 1980). Algorithm 2 is held against the ODE (5) solved by DOP853 to 1e-12: order one (Strang:
two); it and mirror-prox are within O(eta^2) of du/dt = f -+ (eta/2) f'f, so that on example 4.1 of
Wang and Chizat weights spiral out, and in, like exp(+-2 eta'^2 k).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import w2_squared
from meanfield.studies.statistics import band, exponent
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.algorithms import BETA, COUPLING, MODES, Swarm, density, law, moments
from validation.common import known
from validation.suite import Part

SPIRALS, TURNED = (
    {"euler": 1.0, "mirror-prox": -1.0},
    (0.01, 0.02, 0.05),
)  # signs of 2 eta^2 a step; eta
SPACES = {"S^1": ("circle", 2.0), "S^2": ("sphere", 0.8)}  # names and times of common noise


@dataclass(frozen=True)
class Settings:
    """Steps of the law on S^1, times; replicas of particles; steps of Algorithm 2.

    noise: its amplitude in units of the right one. listing: "" runs Algorithm 2 by the package,
    else by plain code that takes its listing for more than it is: "weights of one", "y sees the new
    x".
    """

    euler: tuple[float, ...] = (4e-3, 2e-3, 1e-3)
    strang: tuple[float, ...] = (0.1, 0.05, 0.025)
    times: tuple[float, ...] = (2.0,)
    replicas: int = 10
    particles: int = 50_000
    chunks: int = 1
    second: tuple[int, ...] = (50, 100, 200, 400)
    noise: float = 1.0
    listing: str = ""


QUICK = Settings()
FULL = Settings(strang=(0.1, 0.05, 0.025, 0.0125), times=(2.0, 20.0), particles=100_000, chunks=5)
FEW = replace(QUICK, euler=(0.04, 0.02), particles=10_000)
LISTED = replace(QUICK, second=(50, 100))
SABOTAGES = {
    "noise without its factor sqrt(2)": replace(FEW, noise=0.5**0.5),
    "weights that start at one, as listed": replace(LISTED, listing="weights of one"),
    "y moves against the x of after its step": replace(LISTED, listing="y sees the new x"),
}


def mean_field(times: tuple[float, ...]) -> dict[str, Any]:
    """The same of equation (7), by the Galerkin engine."""
    game = mf.games.oscillator(COUPLING)
    run = mf.solve(
        game,
        mf.Langevin(BETA),
        game.answers["start"],
        times[-1],
        cells=256,
        save_every=times[0],
        tol=1e-11,
    )
    modes = -1j * np.arange(MODES + 1)
    kept = [run[int(np.argmin(abs(run.times - t)))] for t in times]
    return {
        "law": np.array([[m.integrate(np.exp(m.points * modes)) for m in pair] for pair in kept])
    }


def features(space: str, points: tuple[Array, Array]) -> Array:
    """Moments of both players' particles: modes 1 to 3, or coordinates and their products."""
    if space == "S^1":
        angles = np.concatenate([z * np.arange(1, 4) for z in points], axis=1)
        return np.concatenate([np.cos(angles).mean(0), np.sin(angles).mean(0)])
    i, j = np.triu_indices(3)
    return np.concatenate([np.concatenate([z.mean(0), (z.T @ z / len(z))[i, j]]) for z in points])


def paths(
    space: str, scheme: str, particles: int, replicas: tuple[int, ...], noise: float
) -> dict[str, Any]:
    """Runs of LEVELS steps, each half the one before, on the same Brownian paths: moments and
    pathwise gaps.
    """
    which, time = SPACES[space]
    game = mf.games.oscillator(COUPLING) if space == "S^1" else mf.games.benchmark(which)
    beta = (BETA if space == "S^1" else game.answers["beta"]) / noise**2
    means, gaps = [], []
    for r in replicas:
        before, row, gap = None, [], []
        for k, step in enumerate(levels(space)):
            run = mf.simulate(
                game, mf.Langevin(beta), game.answers["start"], time, step=step,
                particles=particles, scheme=scheme,
                refine=2 ** (len(levels(space)) - 1 - k), replica=r, save_every=time,
                progress=False,
            )  # fmt: skip
            now = tuple(m.points for m in run[-1])
            row.append(features(space, now))
            if before is not None:
                pairs = zip(game.manifolds, before, now, strict=True)
                gap.append(np.sqrt(sum(np.mean(m.distance(a, b) ** 2) for m, a, b in pairs)))
            before = now
        means.append(row)
        gaps.append(gap)
    return {"means": np.array(means), "gaps": np.array(gaps)}


def levels(space: str) -> tuple[float, ...]:
    return (0.05, 0.025, 0.0125) if space == "S^1" else (0.2, 0.1, 0.05, 0.025)


def limit() -> dict[str, Any]:
    """Moments of equation (7) on S^2, by harmonics."""
    game = mf.games.benchmark("sphere")
    time = SPACES["S^2"][1]
    run = mf.solve(
        game,
        mf.Langevin(game.answers["beta"]),
        game.answers["start"],
        time,
        save_every=time,
        tol=1e-10,
    )
    i, j = np.triu_indices(3)
    held = [
        np.concatenate([m.integrate(lambda z: z), m.integrate(lambda z: z[:, i] * z[:, j])])
        for m in run[-1]
    ]
    return {"means": np.concatenate(held)}


def second(space: str, counts: tuple[int, ...], listing: str) -> dict[str, Any]:
    """Errors of Algorithm 2 and its kin at t = 1 by number of steps, against (5) and the modified
    equations.
    """
    swarm = Swarm(space)
    exact, rows = swarm.flow(1.0), []
    for count in counts:
        step = 1.0 / count
        plain = swarm.listed(step, count, listing)
        own = swarm.simulated(step, 1.0, "euler")
        euler = plain if listing else own
        strang, prox = (swarm.simulated(step, 1.0, name) for name in ("strang", "mirror-prox"))
        pairs = (
            (euler, exact), (strang, exact), (prox, exact),
            (euler, swarm.flow(1.0, -step / 2)), (prox, swarm.flow(1.0, step / 2)), (own, plain),
        )  # fmt: skip
        rows.append([swarm.gap(u, v) for u, v in pairs])
    return {"errors": np.array(rows).T}


def spiral(scheme: str, step: float, steps: int) -> dict[str, Any]:
    """log of the growth of an orbit's size over `steps` steps of weights on example 4.1, from size
    1e-4.
    """
    game = mf.games.wang_chizat()
    run = mf.simulate(
        game, mf.MirrorDescent(), mf.Start(*game.answers["measures"](1e-4, 0.0)), steps * step,
        step=step, particles=2,
        placement="atoms", scheme=scheme, save_every=steps * step, progress=False,
    )  # fmt: skip
    return {"growth": np.log(np.hypot(*(m.masses[0] - 0.5 for m in run[-1])) / 1e-4)}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {"mean_field": partial(mean_field, s.times), "limit": partial(limit)}
    for scheme, steps in (("euler", s.euler), ("strang", s.strang)):
        for step in steps:
            found[f"law_{scheme}_{step:g}"] = partial(law, scheme, step, s.times, s.noise)
        for step in levels("S^1"):
            found[f"near_{scheme}_{step:g}"] = partial(
                law, scheme, step, (SPACES["S^1"][1],), s.noise
            )
        for space in SPACES:
            n = s.particles // 2 if space == "S^1" else s.particles
            for c in range(s.chunks):
                some = tuple(range(c * s.replicas, (c + 1) * s.replicas))
                found[f"paths_{space}_{scheme}_{c}"] = partial(
                    paths, space, scheme, n, some, s.noise
                )
    for space in SPACES:
        found[f"second_{space}"] = partial(second, space, s.second, s.listing)
    for scheme in SPIRALS:
        found |= {
            f"spiral_{scheme}_{step:g}": partial(spiral, scheme, step, round(0.16 / step**2))
            for step in TURNED
        }
    return found


def bias(s: Settings, data: dict[str, Data], scheme: str) -> Array:
    """W2^2 of both players together between a scheme's law and (7), (steps, T)."""
    steps = s.euler if scheme == "euler" else s.strang
    field = [[density(c) for c in pair] for pair in data["mean_field"]["law"]]
    return np.array([
        [sum(w2_squared(density(c), f) for c, f in zip(*both, strict=True))
         for both in zip(data[f"law_{scheme}_{step:g}"]["law"], field, strict=True)]
        for step in steps
    ])  # fmt: skip


def held(s: Settings, data: dict[str, Data], space: str, scheme: str, name: str) -> Array:
    return np.concatenate([data[f"paths_{space}_{scheme}_{c}"][name] for c in range(s.chunks)])


def weak(s: Settings, data: dict[str, Data], scheme: str) -> Array:
    """Differences E f(h) - E f(h/2) on S^2 by replicas (R, L - 1), f what replica 0, left out, says
    changes most.
    """
    means = held(s, data, "S^2", scheme, "means")
    gaps = means[:, :-1] - means[:, 1:]
    return gaps[1:] @ (gaps[0, 0] / np.linalg.norm(gaps[0, 0]))


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    return [*of_laws(s, data), *of_paths(s, data), *of_sphere(s, data), *of_algorithm_2(s, data)]


def of_laws(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    stated = {2.0: (1.9e-5, 2e-6), 20.0: (2.2e-3, 2.2e-4)}  # at step 1e-3, to a tenth
    for scheme, steps, order in (("euler", s.euler, 1.0), ("strang", s.strang, 2.0)):
        found = bias(s, data, scheme)
        for t, row in zip(s.times, found.T, strict=True):
            slope = np.log(row[-2] / row[-1]) / np.log(steps[-2] / steps[-1]) / 2
            verdicts.append(
                Verdict(
                    f"S^1, t = {t:g}: order of W2({scheme}'s law, (7)) in eta", slope, order, 0.05
                )
            )
            if scheme == "euler" and steps[-1] == 1e-3:
                verdicts.append(
                    Verdict(f"S^1, t = {t:g}: bias in W2^2 at eta = 1e-3", row[-1], *stated[t])
                )
    return verdicts


def of_paths(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    """Particles on S^1 against their own law, and path by path."""
    verdicts = []
    field = moments(data["mean_field"]["law"][0])
    for scheme in ("euler", "strang"):
        own = [moments(data[f"near_{scheme}_{step:g}"]["law"][0]) for step in levels("S^1")]
        means, gaps = (held(s, data, "S^1", scheme, name) for name in ("means", "gaps"))
        step, away = levels("S^1")[0], own[0] - field
        if scheme == "euler":
            what = (
                f"S^1, eta = {step:g}: moments of Algorithm 1 from its own law's, in units of that "
                "law's from (7)'s"
            )
            verdicts.append(known(what, (means[:, 0] - own[0]) @ away / (away @ away), 0.0, 0.05))
        halved = own[0] - own[1]
        what = (
            f"S^1, {scheme}: what halving {step:g} changes on common noise over what it changes in "
            "the law"
        )
        verdicts.append(
            known(what, (means[:, 0] - means[:, 1]) @ halved / (halved @ halved), 1.0, 0.1)
        )
        verdicts.append(
            known(f"S^1, {scheme}: strong order", np.log2(gaps[:, -2] / gaps[:, -1]), 1.0, 0.1)
        )
    return verdicts


def of_sphere(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for scheme, order, tolerance in (("euler", 1.0, 0.15), ("strang", 2.0, 0.4)):
        fit = exponent(levels("S^2")[:-1], list(weak(s, data, scheme).T[..., None]))
        half = (fit.high - fit.low) / 2
        verdicts.append(
            Verdict(f"S^2, {scheme}: weak order, common noise", fit.value, order, tolerance, half)
        )
        gaps = held(s, data, "S^2", scheme, "gaps")
        what = f"S^2, {scheme}: strong order (1/2: no Levy areas)"
        verdicts.append(known(what, np.log2(gaps[:, -2] / gaps[:, -1]), 0.5, 0.15))
    euler, strang = (held(s, data, "S^2", scheme, "means") for scheme in ("euler", "strang"))
    bias = 2 * (euler[:, 0] - euler[:, 1]).mean(axis=0)
    off = (strang[:, -1] - data["limit"]["means"]) @ bias / (bias @ bias)
    return [
        *verdicts,
        known(
            f"S^2: Strang's moments from (7)'s, in units of Euler's at {levels('S^2')[0]:g}",
            off,
            0,
            0.2,
        ),
    ]


def of_algorithm_2(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    names = (
        "Algorithm 2",
        "Strang",
        "mirror-prox",
        "Algorithm 2 to u' = f - (eta/2) f'f",
        "mirror-prox to + (eta/2) f'f",
    )
    verdicts = []
    for space in SPACES:
        errors = data[f"second_{space}"]["errors"]
        for name, row, order in zip(names, errors, (1.0, 2.0, 1.0, 2.0, 2.0), strict=False):
            found = np.log(row[-2] / row[-1]) / np.log(s.second[-1] / s.second[-2])
            verdicts.append(Verdict(f"{space}: order of {name}", found, order, 0.05))
        verdicts.append(
            below(f"{space}: the package from the listing, step by step", errors[5].max(), 1e-12)
        )
    for scheme, sign in SPIRALS.items():
        for step in TURNED:
            growth, what = (
                float(data[f"spiral_{scheme}_{step:g}"]["growth"]),
                f"{scheme}, eta = {step:g}",
            )
            verdicts.append(
                Verdict(
                    f"example 4.1: log growth of weights' orbit, {what}",
                    growth,
                    sign * 0.32,
                    0.0032,
                )
            )
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    from matplotlib.figure import Figure

    from validation.pictures import legends

    figure = Figure(figsize=(12.5, 4), layout="constrained")
    laws, ball, second = figure.subplots(1, 3)
    halved = np.array(levels("S^2")[:-1])
    for scheme, steps, look in (("euler", s.euler, "C0o"), ("strang", s.strang, "C1s")):
        for t, row, style in zip(s.times, np.sqrt(bias(s, data, scheme)).T, "-:", strict=False):
            laws.loglog(steps, row, look + style, label=f"{scheme}, t = {t:g}")
        mean, low, high = band(abs(weak(s, data, scheme)))
        ball.errorbar(
            halved, mean, [mean - low, high - mean], fmt=look + "-", label=f"{scheme}, weak"
        )
        ball.loglog(
            halved,
            held(s, data, "S^2", scheme, "gaps").mean(0),
            look + ":",
            label=f"{scheme}, pathwise",
        )
    laws.set(title="$S^1$: law of the scheme against (7)", ylabel="$W_2$")
    ball.set(
        title="$S^2$: change by halving, common noise", ylabel="|difference of means|, rms distance"
    )
    for space, style in (("S^1", "-"), ("S^2", "--")):
        names = ("Algorithm 2", "Strang", "mirror-prox", "Algorithm 2, to modified")
        for row, look, name in zip(
            data[f"second_{space}"]["errors"], ("C0o", "C1s", "C2^", "C3x"), names, strict=False
        ):
            second.loglog(
                1 / np.array(s.second), row, look + style, label=name if space == "S^1" else None
            )
    second.set(title="no noise, t = 1: $S^1$, and $S^2$ (dashed)", ylabel="largest error")
    for ax in figure.axes:
        ax.set_xlabel(r"$\eta$")
    legends(figure.axes, 0.4, fontsize=7, ncols=2, loc="upper left")
    return {"orders": figure}
