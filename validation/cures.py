"""The oscillator's cycle is cured by some later flows and not by others, at the rates that theory
gives.

The oscillator of `meanfield.games` at beta = 25, from two narrow bumps, where (7) settles on a
cycle round the linearly stable Gibbs point (9). Distances are total variations (TV) from that point
on the same mesh.

- Two time scales cure (Ma & Ying; Lu): y ten times as fast leaves 8.5e-4 for x, 2.5e-4 for y at t =
  200; ten times as slow 0.05, 0.035, falling.
- Entropic best response cures, at its rate (Lascu et al.): near (9) averages obey z' = rate (-1 +-
  i kappa) z.
- The Wasserstein-Fisher-Rao flow of L_beta cures from an alpha between 1.2 and 1.3 on, then at its
  leading eigenvalue.
- Averaged gradients (Kim et al.; Lu & Monmarche) do not cure in any time that one would wait. With
  discount a, (9) is unstable from a* = gap/kappa^2 up to a of the order of the cycle's frequency:
  the averages turn kappa times as fast as they relax, and laws that lag behind by 1/gap turn them
  outwards. a* is 5e-8 at beta = 25 and 2e-2 at beta = 2, by the eigenvalues of the linearised
  equation. Weights t^r are a discount of (r + 1)/t, hence stable from t = (r + 1)/a* on, 2e7 for r
  = 0 at beta = 25; from there distances fall like t^-(r + 1), shown at beta = 2.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.density.solve import build
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, above, below
from validation.common import label
from validation.linearised import Linear
from validation.suite import Part

BETA, HOT = 25.0, 2.0
SETTLED = 0.025  # total variation of both players below which a run has settled


def _entropic(alpha: float) -> mf.Flow:
    return mf.EntropicWassersteinFisherRao(BETA, 1.0, alpha)


# name -> flow, how it is solved
FLOWS: dict[str, tuple[mf.Flow, dict[str, Any]]] = {
    "(7)": (mf.Langevin(BETA), {}),
    "y 10 times faster": (mf.TwoTimeScale(BETA, 10.0), {}),
    "y 10 times slower": (mf.TwoTimeScale(BETA, 0.1), {}),
    "entropic best response": (mf.EntropicBestResponse(BETA), {"step": 2e-3}),
    "WFR of L_beta, alpha = 1": (_entropic(1.0), {"step": 0.02}),
    "WFR of L_beta, alpha = 1.2": (_entropic(1.2), {"step": 0.02}),
    "WFR of L_beta, alpha = 1.3": (_entropic(1.3), {"step": 0.02}),
    "WFR of L_beta, alpha = 3": (_entropic(3.0), {"step": 0.01}),
    "discount 0.1": (mf.DiscountedLangevin(BETA, 0.1), {"tol": 1e-2}),
    "weights t^0": (mf.AveragedLangevin(BETA, 0.0), {"tol": 1e-2}),
    "weights t^2": (mf.AveragedLangevin(BETA, 2.0), {"tol": 1e-2}),
    "discount 0.1, refined": (mf.DiscountedLangevin(BETA, 0.1), {"tol": 1e-3}),
    "weights t^0, refined": (mf.AveragedLangevin(BETA, 0.0), {"tol": 1e-3}),
}
REFINED = ("discount 0.1", "weights t^0")
# What they leave of x and y at t = 200, by an independent solver, and how well that was told.
LEFT = {
    "y 10 times faster": ((8.5e-4, 2.5e-5), (2.5e-4, 1e-5)),
    "y 10 times slower": ((0.05, 2.5e-3), (0.035, 2.5e-3)),
}
# Settled for good before that time.
CURED = {
    "y 10 times faster": 100.0, "entropic best response": 10.0, "WFR of L_beta, alpha = 1.3": 250.0,
    "WFR of L_beta, alpha = 3": 50.0,
}  # fmt: skip
ILL = (
    "(7)",
    "WFR of L_beta, alpha = 1",
    "WFR of L_beta, alpha = 1.2",
    "discount 0.1",
    "weights t^0",
    "weights t^2",
)
SWARMS: dict[str, tuple[float, dict[str, Any]]] = {
    "(7)": (40.0, {"step": 0.02, "scheme": "strang"}),
    "y 10 times faster": (60.0, {"step": 0.005, "scheme": "strang"}),
    "entropic best response": (12.0, {"step": 0.02}),
}


@dataclass(frozen=True)
class Settings:
    """Runs (flow, time); particles, 0 for none; powers of weights followed at beta = 2 in steps
    that lag by `fraction`.

    reference: beta of the Gibbs point that distances are taken from.
    """

    runs: tuple[tuple[str, float], ...] = ()
    particles: int = 0
    powers: tuple[float, ...] = ()
    fraction: float = 0.03
    cells: tuple[int, int] = (64, 96)
    reference: float = BETA


ENDS = {"entropic best response": 12.0, "WFR of L_beta, alpha = 3": 100.0}
QUICK = Settings(
    runs=tuple((name, ENDS.get(name, 200.0)) for name in FLOWS if name[-3:] not in ("1.2", "1.3",
        "= 1", "ned")),
    particles=4000, powers=(0.0, 2.0), fraction=0.1,
)  # fmt: skip
FULL = Settings(
    runs=tuple((name, ENDS.get(name, 300.0 if "WFR" in name else 200.0)) for name in FLOWS),
    particles=40_000, powers=(0.0, 2.0), cells=(96, 192),
)  # fmt: skip
SABOTAGES = {
    "the Gibbs point of beta = 24": Settings(runs=(("y 10 times faster", 200.0),), reference=24.0),
}


# -- parts ----------------------------------------------------------------------------------------


def away(pair: Any, fixed: mf.GibbsPoint) -> list[float]:
    """Total variations of x and y from the Gibbs point of the same mesh."""
    return [
        float(np.abs(m.masses - f.masses).sum() / 2)
        for m, f in zip(pair, (fixed.x, fixed.y), strict=True)
    ]


def followed(name: str, end: float, reference: float) -> dict[str, Any]:
    """times (S,), away (S, 2) of a flow on the oscillator."""
    (flow, how), game = FLOWS[name], mf.games.oscillator()
    cells = 192 if flow.composite else 256
    fixed = mf.gibbs(game, reference, cells=cells)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", mf.UnderResolved
        )  # of the first moments of the narrow bumps
        run = mf.solve(
            game, flow, game.answers["start"], end, cells=cells, save_every=end / 400, **how
        )
    return {"times": run.times, "away": [away(pair, fixed) for pair in run]}


def swarm(name: str, n: int) -> dict[str, Any]:
    """Distances of (E sin x, E sin y) from the Gibbs point's, times from 0 to 1."""
    game, (end, how) = mf.games.oscillator(), SWARMS[name]
    fixed = mf.gibbs(game, BETA, cells=256)
    run = mf.simulate(
        game, FLOWS[name][0], game.answers["start"], end, particles=n, save_every=end / 100, **how
    )
    path, (centre,) = (
        np.array([[m.integrate(np.sin(m.points[:, 0])) for m in pair] for pair in pairs])
        for pairs in (run, [(fixed.x, fixed.y)])
    )
    return {"times": run.times / end, "away": np.linalg.norm(path - centre, axis=1)}


def linear(beta: float, cells: int, alpha: float = 0.0) -> dict[str, Any]:
    found = Linear(mf.games.oscillator(), beta, cells, alpha)
    values = {"leading": found.leading(), "gap": found.gap, "kappa": found.kappa}
    return values if alpha else values | {"threshold": found.threshold()}


def averaged(power: float, cells: int, fraction: float) -> dict[str, Any]:
    """Weights t^power at beta = 2 to a hundred times t* = (power + 1)/a*, in units of which times
    are given.

    Relaxed laws lag behind by half a step, which takes kappa^2 (r + 1) dt/(2 t) from the exponent's
    1.
    """
    game, hot = mf.games.oscillator(), Linear(mf.games.oscillator(), HOT, 64)
    fixed, turn = mf.gibbs(game, HOT, cells=cells), (power + 1) / hot.threshold()
    start, flow = game.answers["start"], mf.AveragedLangevin(HOT, power)
    engine: Any = build(game, flow, start, cells=cells, step=0.1)
    times, found = np.geomspace(1.0, 100 * turn, 141), []
    for t in times:
        engine.step = max(0.1, fraction / hot.kappa**2 / (power + 1) * engine.time)
        engine.advance(float(t))
        found.append(away(engine.measures(), fixed))
    return {"times": times / turn, "away": found}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {
        label(name): partial(followed, name, end, s.reference) for name, end in s.runs
    }
    if s.particles:
        found |= {label("particles", name): partial(swarm, name, s.particles) for name in SWARMS}
    if s.powers:
        found["alpha_3"] = partial(linear, BETA, 192, 3.0)
        found |= {
            f"beta_{b:g}": partial(linear, b, N) for b, N in zip((HOT, BETA), s.cells, strict=True)
        }
    return found | {f"weights_{r:g}": partial(averaged, r, 48, s.fraction) for r in s.powers}


# -- verdicts -------------------------------------------------------------------------------------


def settled(held: Data) -> float:
    """The time from which both distances stay below SETTLED; infinite where they do not."""
    late = np.flatnonzero(~(held["away"] < SETTLED).all(axis=1))
    return float([*held["times"], np.inf][late[-1] + 1 if len(late) else 0])


def _least(held: Data) -> float:
    """Least sum of both distances in the second half."""
    return float(held["away"][len(held["times"]) // 2 :].sum(axis=1).min())


def decay(held: Data, begin: float, end: float) -> float:
    """The fitted rate at which the sum of the distances falls over [begin, end]."""
    part = (held["times"] >= begin) & (held["times"] <= end)
    return -float(np.polyfit(held["times"][part], np.log(held["away"][part].sum(axis=1)), 1)[0])


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for name, _ in s.runs:
        held = data[label(name)]
        for k, (left, within) in enumerate(LEFT.get(name, ())):
            verdicts.append(
                Verdict(f"{name}: TV of {'xy'[k]} at t = 200", held["away"][-1, k], left, within)
            )
        if name in CURED:
            verdicts.append(
                below(f"{name}: settled (TV below {SETTLED}) from t =", settled(held), CURED[name])
            )
        if name in ILL:
            verdicts.append(
                above(
                    f"{name}: not cured, least TV of x and y in the second half", _least(held), 0.4
                )
            )
    for name in REFINED:
        if label(name, "refined") in data:
            rough, fine = (_least(data[label(name, *more)]) for more in ((), ("refined",)))
            verdicts.append(
                Verdict(f"{name}: that least TV, tol 1e-3 instead of 1e-2", fine, rough, 0.02)
            )
    if "entropic_best_response" in data:
        rate = decay(data["entropic_best_response"], 6.0, 12.0)
        verdicts.append(Verdict("entropic best response: rate", rate, 1.0, 0.05))
    if s.powers:
        rate = decay(data[label("WFR of L_beta, alpha = 3")], 50.0, 100.0)
        leading = -float(data["alpha_3"]["leading"].real)
        verdicts.append(
            Verdict(
                "WFR of L_beta, alpha = 3: rate over the leading eigenvalue's",
                rate / leading,
                1,
                0.03,
            )
        )
        verdicts += thresholds(data)
    if s.particles:
        for name in SWARMS:
            late = data[label("particles", name)]["away"][66:]
            claim, what = (
                f"{s.particles} particles, {name}: ",
                "distance of means from the fixed point's, last third",
            )
            cured = name in CURED
            verdicts.append(
                below(claim + what, late.max(), 0.15)
                if cured
                else above(claim + what, late.min(), 0.8)
            )
    return verdicts + [v for r in s.powers for v in powers(r, data)]


def thresholds(data: dict[str, Data]) -> list[Verdict]:
    """The linearised equation at beta = 25, and the discounts that it is stable under."""
    cold = data["beta_25"]
    ratio = float(cold["threshold"] * cold["kappa"] ** 2 / cold["gap"])
    # Two percent: cells of second order.
    return [
        Verdict(
            "leading eigenvalue of (7) at beta = 25, real part",
            cold["leading"].real,
            -0.00489,
            1e-4,
        ),
        Verdict("and imaginary part", abs(cold["leading"].imag), 0.00941, 1e-4),
        Verdict(f"beta = 25: a* = {cold['threshold']:.3g} over gap/kappa^2", ratio, 1.0, 0.1),
    ]


def powers(r: float, data: dict[str, Data]) -> list[Verdict]:
    """Before t* weights t^r keep away from the Gibbs point, long after it they near it like t^-(r +
    1).
    """
    held = data[f"weights_{r:g}"]
    t, both = held["times"], held["away"].sum(axis=1)
    slope = np.polyfit(np.log(t[t > 25]), np.log(both[t > 25]), 1)[0]
    return [
        above(
            f"beta = 2, t^{r:g}: least TV of x and y over [t*/10, t*]",
            both[(t > 0.1) & (t < 1)].min(),
            0.1,
        ),
        Verdict(f"beta = 2, t^{r:g}: exponent of TV beyond 25 t*", slope, -(r + 1), 0.1 * (r + 1)),
    ]


# -- pictures -------------------------------------------------------------------------------------


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """The table of cures, and distances against time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 5.6), layout="constrained")
    axes = figure.subplot_mosaic([["table", "table"], ["cold", "hot"]], width_ratios=(1.6, 1))
    columns = ["oscillator, beta = 25", "until t", "TV of x", "TV of y", f"below {SETTLED} from"]
    cured = 0
    rows, colors = [], []
    for name, _ in s.runs:
        held = data[label(name)]
        times, both = held["times"][1:], held["away"][1:].sum(axis=1)
        ill = both[-1] > 0.4
        color = "0.7" if ill else f"C{cured}"
        cured += not ill
        axes["cold"].loglog(
            times, np.maximum(both, 1e-15), lw=0.7 if ill else 1.4, color=color, zorder=2 - ill
        )
        start = settled(held)
        rows.append(
            [
                name,
                f"{held['times'][-1]:g}",
                *(f"{v:.1e}" for v in held["away"][-1]),
                f"{start:.3g}",
            ]
        )
        colors.append([color, *["w"] * 4])
    axes["table"].axis("off")
    table = axes["table"].table(
        rows,
        colLabels=columns,
        cellColours=colors,
        cellLoc="left",
        colWidths=(0.36, *[0.16] * 4),
        bbox=(0, 0, 1, 1),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for r in s.powers:
        held = data[f"weights_{r:g}"]
        axes["hot"].loglog(held["times"], held["away"].sum(axis=1), lw=1, label=f"weights t^{r:g}")
    axes["cold"].set(
        title="in the table's colours; grey: not cured",
        xlabel="t",
        ylabel="TV to the Gibbs point, x and y",
    )
    axes["hot"].set(title="beta = 2: averages settle late", xlabel="t / t*", ylabel="TV, x and y")
    axes["hot"].legend(fontsize=7, loc="lower left")
    return {"cures": figure}
