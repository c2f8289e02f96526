"""Time averages of Wasserstein-Fisher-Rao flows reach equilibrium at the rate of Theorem 2.

Theorem 2, rewritten: from starts with densities bounded below, the time averages of (8) at t0 =
(alpha gamma)^(-1/2) have a Nikaido-Isoda error NI of at most C (gamma/alpha)^((1 - delta)/2), for
every delta > 0. What happens can be said more sharply.

Let F_p(s) = -log int exp(-s (U_p - min U_p)) dmu_p(0), U_p the averaged cost of player p. Without
transport alpha t NI = F_x + F_y at s = alpha t, exactly and at every time, and by Laplace's method
F_p = (d_p/2) log s + O(1) where minima are not degenerate. Until t0 transport moves a particle by
O((gamma/alpha)^(1/2)) and changes NI by percents only. So NI(t0) is (gamma/alpha)^(1/2) ((d_x +
d_y)/4 log(alpha/gamma) + O(1)): the slope 1/2 is approached from below, with a logarithm, and delta
= 0 would not do. Measured are what this law leaves of the slope, with O(1) a constant and with F
itself (none is left), the identity at gamma = 0, transport's share in NI, which is small at t0 and
decides later, and, where equilibria are strict, the logarithm's coefficient; where they are mixed F
moves with the cycle's phase by more than a decade's share of it.

The last iterate is no substitute where equilibria are mixed: it cycles, and its NI does not fall.
Where the equilibrium is strict it does better than the average, without the logarithm: a peak of
covariance (alpha t Hess U_p)^(-1) stands around it, so that alpha t NI tends to (d_x + d_y)/2. NI
is exact on spheres and certified on the circle. Measures are Gauss nodes of the starting densities,
carried by the flow; particles are those of Algorithm 2, weights and positions averaged.

Example 4.1 of Wang & Chizat: h = (1/4 - a^2)(1/4 - b^2) is conserved and small orbits have period
pi/alpha; from its two equations, an orbit of any size has period 2 K(1 - 16 h)/alpha, K(m) the
complete elliptic integral. On it NI of the time averages falls like 1/t, that of the last iterate
never.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import NikaidoIsoda
from meanfield.studies.statistics import band
from meanfield.studies.stored import Data
from meanfield.studies.theorems.averages import seen, slope
from meanfield.studies.verdicts import Verdict, above, below
from validation.averages import FIRST, GAMES, MIXED, at_t0, in_time, problem
from validation.suite import Part

MIRROR = (1.0, 10**0.5, 10.0, 10**1.5)  # alpha t at which the identity is looked at


@dataclass(frozen=True)
class Settings:
    """gamma/alpha by game. particles: (gamma/alpha, n, replicas, steps a unit of alpha t) on the
    first game. beyond: gamma/alpha of the runs of the first game that go on to 10 t0, 0 for mirror
    descent.

    The rest breaks the input: the last iterate in place of averages, another time than t0, alpha
    and gamma exchanged, a start that covers only a part of the circle.
    """

    ratios: tuple[tuple[str, tuple[float, ...]], ...]
    particles: tuple[tuple[float, int, int, int], ...] = ()
    beyond: tuple[float, ...] = ()
    last: bool = False
    clock: float = 0.0
    swapped: bool = False
    covered: float = 1.0


def decades(first: float, last: float, per: int) -> tuple[float, ...]:
    """Ratios from 10^-first down to 10^-last, `per` a decade."""
    return tuple(
        float(f"{10.0 ** (-first - k / per):.6g}") for k in range(round((last - first) * per) + 1)
    )


FEW = ((FIRST, decades(2, 5, 2)),)
QUICK = Settings(
    (*FEW, ("l_a, S^1", decades(2, 5, 1)), ("l_b, S^2", decades(1, 4, 2))),
    ((1e-2, 2000, 8, 500),),
    (0.0, 1e-2),
)
FULL = Settings(
    (
        (FIRST, decades(2, 6, 4)),
        ("l_a, S^1", decades(2, 6, 2)),
        ("l_b, S^2", decades(1, 4.5, 2)),
        ("l_a, S^2", decades(1, 4, 2)),
    ),
    ((1e-2, 4000, 32, 1000), (1e-3, 4000, 16, 1000)),
    (0.0, 1e-1, 1e-2, 1e-3),
)
_FEWER = ((FIRST, decades(2, 4, 2)),)
SABOTAGES = {
    "the last iterate in place of the average": Settings(FEW, last=True),
    "one time for all ratios": Settings(_FEWER, clock=10.0),
    "alpha and gamma exchanged": Settings(_FEWER, swapped=True),
    "a start that leaves two fifths of the circle empty": Settings(_FEWER, covered=0.6),
}


def swarm(name: str, ratio: float, n: int, replicas: int, per: int) -> dict[str, Any]:
    """NI of the time averages of particles, weights and positions, at t0, by replica."""
    from meanfield.particles.ensemble import ensemble

    game, density = problem(name)
    s0 = ratio**-0.5
    steps = 50 * round(s0 * per / 50)
    runs = ensemble(
        game, mf.WassersteinFisherRao(ratio, 1.0), mf.Start(x=density, y=density), s0,
        step=s0 / steps, particles=n,
        seed=1, replicas=replicas, threads=1, save_every=50 * s0 / steps, progress=False,
        reduce=mf.Trajectory.average,
    )  # fmt: skip
    error = NikaidoIsoda(game)
    return {"ni": [error(*seen(game, pair)).value for pair in runs]}


def example(a: float, b: float, alpha: float, time: float) -> dict[str, Any]:
    """Example 4.1 from its atoms: weights, NI of the average and of the last iterate at saved
    times.
    """
    game = mf.games.wang_chizat()
    error = NikaidoIsoda(game, tight=True)
    start = mf.Start(*game.answers["measures"](a, b))
    run = mf.solve(
        game, mf.WassersteinFisherRao(0.01 * alpha, alpha), start, time, engine="characteristics",
        tol=1e-11,
        save_every=0.04 / alpha, progress=False,
    )  # fmt: skip
    late = np.arange(1, 21) * ((len(run) - 1) // 20)
    return {
        "times": run.times, "a": [mu.masses[0] - 0.5 for mu in run.x],
        "b": [mu.masses[0] - 0.5 for mu in run.y],
        "late": run.times[late], "ni": [error(*run.average(last=int(k))).value for k in late],
        "last": [error(*run[k]).value for k in range(len(run) // 2, len(run), 10)],
    }  # fmt: skip


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {
        f"{name}, {ratio:g}": partial(at_t0, name, ratio, s.clock, s.swapped, s.covered)
        for name, ratios in s.ratios
        for ratio in ratios
    }
    if not s.particles:
        return found
    found["alpha = 10"] = partial(at_t0, FIRST, 1e-2, 0.0, False, 1.0, 10.0)
    found |= {f"{name}, mirror": partial(in_time, name, 0.0, MIRROR) for name, _ in s.ratios}
    found |= {f"particles, {p[0]:g}": partial(swarm, FIRST, *p) for p in s.particles}
    for ratio in s.beyond:
        marks = np.geomspace(0.3, 10 * (ratio or min(r for r in s.beyond if r)) ** -0.5, 24)
        found[f"time, {ratio:g}"] = partial(
            in_time, FIRST, ratio, tuple(float(f"{m:.6g}") for m in marks)
        )
    return found | {
        "small": partial(example, 1e-3, 0.0, 2.0, 10.0),
        "large": partial(example, 0.3, 0.1, 1.0, 40.0),
    }


def curve(s: Settings, data: dict[str, Data], name: str, ratios: Any) -> tuple[Array, Data]:
    """sqrt(gamma/alpha) and, by it, what `rows` holds; `ni` is what takes the place of the
    averages' NI.
    """
    held = {
        key: np.array([data[f"{name}, {r:g}"][key][0] for r in ratios])
        for key in ("ni", "entropic", "last")
    }
    return np.sqrt(ratios), held | ({"ni": held["last"]} if s.last else {})


def rates(s: Settings, data: dict[str, Data], name: str, ratios: Any) -> list[Verdict]:
    """One game: the theorem's slope, what F says of it, and the last iterate."""
    root, held = curve(s, data, name, ratios)
    logs, smallest = 2 * np.log(root), f"at gamma/alpha = {ratios[-1]:g}"
    ni, F, last, D = held["ni"], held["entropic"], held["last"], 2 * GAMES[name][1]
    # The law's constant is fitted, its logarithm is not.
    law = D / 4 * -logs
    law = root * (law + (ni / root - law).mean())
    value, half = slope(logs, np.log(ni / law))
    share = np.abs(1 - ni / F) / root
    found = [
        # Where equilibria are mixed, the phase at which t0 meets the cycle moves single points.
        Verdict(
            f"{name}: slope of log NI in log gamma/alpha, less that of the law with its logarithm",
            value,
            0,
            0.05,
            half,
        ),
        below(
            f"{name}: transport's share |1 - alpha t0 NI/(F_x + F_y)| over (gamma/alpha)^(1/2)",
            share.max(),
            2,
        ),
        Verdict(f"{name}: alpha t0 NI/(F_x + F_y) {smallest}", ni[-1] / F[-1], 1, 0.03),
    ]
    if GAMES[name][0] == MIXED:
        return [*found, above(f"{name}: NI of the last iterate over that of the average {smallest}",
                              last[-1] / held["ni"][-1], 5)]  # fmt: skip
    value, half = slope(-logs, F / root)
    return [
        *found,
        Verdict(f"{name}: F_x + F_y per log(alpha/gamma)", value, D / 4, 0.1 * D / 4, half),
        Verdict(
            f"{name}: alpha t0 NI of the last iterate {smallest}",
            last[-1] / root[-1],
            D / 2,
            0.05 * D / 2,
        ),
        below(
            f"{name}: NI of the last iterate over that of the average {smallest}",
            last[-1] / ni[-1],
            0.5,
        ),
    ]


def period(orbit: Data) -> float:
    """Mean interval between upward zeros of a."""
    from scipy.interpolate import CubicSpline

    a = CubicSpline(orbit["times"], orbit["a"])
    zeros = [z for z in a.roots(extrapolate=False) if a(z, 1) > 0]
    return float(np.diff(zeros).mean())


def example_verdicts(data: dict[str, Data]) -> list[Verdict]:
    from scipy.special import ellipk

    small, large = data["small"], data["large"]
    h = (0.25 - large["a"] ** 2) * (0.25 - large["b"] ** 2)
    scaled = large["ni"] * large["late"]
    return [
        Verdict("example 4.1: change of (1/4 - a^2)(1/4 - b^2)", float(np.ptp(h)), 0, 1e-10),
        Verdict("example 4.1: alpha times the period of a small orbit", 2 * period(small), np.pi,
                1e-5),
        Verdict("example 4.1: alpha times that of a large one", period(large),
                2 * ellipk(1 - 16 * h[0]), 1e-5),
        below("example 4.1: largest t NI of averages, second half of the run over the first",
              scaled[10:].max() / scaled[:10].max(), 1.1),
        above("example 4.1: NI of the last iterate, smallest over largest",
              large["last"].min() / large["last"].max(),
              0.5),
    ]  # fmt: skip


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    from dataclasses import replace

    # What is left around these lines is curvature and a cycle's phase, no noise: slopes are taken
    # as they are.
    found = [
        replace(v, error=0.0) for name, ratios in s.ratios for v in rates(s, data, name, ratios)
    ]
    for name, ratios in s.ratios:
        (root, held), smaller = curve(s, data, name, ratios), slice(len(ratios) // 2, None)
        logs = 2 * np.log(root)
        divided = slope(logs[smaller], np.log(held["ni"] / held["entropic"])[smaller])[0]
        what = (
            f"{name}: slope of log NI/((gamma/alpha)^(1/2) (F_x + F_y)), smaller half of the ratios"
        )
        found.append(Verdict(what, divided, 0, 0.02))
        if GAMES[name][0] == MIXED:
            # A third of the averages' slope: the phase at which t0 meets the cycle moves single
            # points twofold.
            last = slope(logs, np.log(held["last"]))[0]
            found.append(Verdict(f"{name}: slope of log NI of the last iterate", last, 0, 0.15))
    if not s.particles:
        return found
    for name, _ in s.ratios:
        held = data[f"{name}, mirror"]
        off = np.abs(held["entropic"] / held["ni"] - 1).max()
        found.append(
            Verdict(f"{name}: gamma = 0, (F_x + F_y)/(alpha t NI) - 1", float(off), 0, 2e-3)
        )
    apart = data["alpha = 10"]["ni"][0] / data[f"{FIRST}, 0.01"]["ni"][0] - 1
    found.append(
        Verdict(
            "alpha and gamma ten times as large: relative change of NI(t0)", float(apart), 0, 1e-4
        )
    )
    for ratio, n, *_ in s.particles:
        mean, low, high = band(
            data[f"particles, {ratio:g}"]["ni"] / data[f"{FIRST}, {ratio:g}"]["ni"][0]
        )
        what = f"{n} particles at gamma/alpha = {ratio:g}: NI over the mean field's"
        # A tenth moves a slope over three decades by 0.014.
        found.append(Verdict(what, float(mean), 1, 0.1, float(high - low) / 2))
    mirror = data["time, 0"]
    for ratio in (r for r in s.beyond if r):
        held = data[f"time, {ratio:g}"]
        end, first = (
            held["ni"][-1],
            np.exp(np.interp(-0.5 * np.log(ratio), np.log(held["marks"]), np.log(held["ni"]))),
        )
        rest = np.exp(
            np.interp(np.log(held["marks"][-1]), np.log(mirror["marks"]), np.log(mirror["ni"]))
        )
        what = f"{FIRST}, gamma/alpha = {ratio:g}: NI at 10 t0 over"
        # The theorem's bound has risen tenfold by then, its drift being gamma t.
        found += [
            below(f"{what} NI at t0", end / first, 0.5),
            below(f"{what} mirror descent's", end / rest, 0.9),
        ]
    return found + example_verdicts(data)


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """NI at t0 by gamma/alpha, the logarithm that is left in it, and NI along runs of the first
    game.
    """
    from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure, shades, styled

    with styled():
        figure = new_figure(12.5, 4.2)
        left, middle, right = figure.subplots(1, 3)
        for (name, ratios), color in zip(s.ratios, (BLUE, ORANGE, GREEN, RED), strict=False):
            root, held = curve(s, data, name, ratios)
            left.loglog(
                ratios, held["ni"], "o-", ms=3, color=color, label=f"{name}, {GAMES[name][0]}"
            )
            left.loglog(ratios, held["last"], ":", color=color)
            middle.semilogx(1 / root, held["ni"] / root, "o-", ms=3, color=color)
            middle.semilogx(1 / root, held["entropic"] / root, "--", lw=1, color=color)
        for ratio, *_ in s.particles:
            mean, low, high = band(data[f"particles, {ratio:g}"]["ni"])
            left.errorbar(
                ratio, mean, [[mean - low], [high - mean]], fmt="ks", ms=4, mfc="none", capsize=3
            )
        x = np.array([min(r[-1] for _, r in s.ratios), 1e-2])
        left.loglog(x, 0.6 * np.sqrt(x), color=GREY, lw=1)
        left.annotate(
            "slope 1/2",
            (x[1], 0.6 * np.sqrt(x[1])),
            (4, -8),
            textcoords="offset points",
            color=GREY,
        )
        left.set(
            xlabel=r"$\gamma/\alpha$",
            ylabel="NI",
            title=r"NI at $t_0$: averages (dotted: last iterates, squares: particles)",
        )
        middle.set(
            xlabel=r"$\alpha t_0$",
            ylabel=r"$\alpha t_0$ NI",
            title=r"what is left: a logarithm (dashed: $F_x+F_y$)",
        )
        left.legend(fontsize=7)
        draw_time(right, s, data, shades(4))
    return {"rates": figure}


def draw_time(ax: Any, s: Settings, data: dict[str, Data], colors: Any) -> None:
    for ratio, color in zip(s.beyond, ["black", *colors], strict=False):
        held = data[f"time, {ratio:g}"]
        label = rf"$\gamma/\alpha = {ratio:g}$" if ratio else "mirror descent"
        ax.loglog(
            held["marks"],
            held["ni"],
            color=color,
            label=label,
            ls="-" if ratio else "--",
            zorder=2 + (not ratio),
        )
        if ratio:
            at = np.exp(np.interp(-0.5 * np.log(ratio), np.log(held["marks"]), np.log(held["ni"])))
            ax.plot(ratio**-0.5, at, "o", color=color, ms=6)
    ax.set(xlabel=r"$\alpha t$", ylabel="NI", title=f"{FIRST}: averages up to $t$ (dots: $t_0$)")
    ax.legend(fontsize=7)
