"""The plain flow (6) ends away from every equilibrium where Langevin's (7) and the averages of WFR (8) do not.

Without noise and reaction particles only descend. On separable games l = f(x) - g(y) each ends in the minimum of the
basin it starts in, and the NI error at

    E f(minimum reached) - min f + the same for g,

which is 4 tilt for both players inside the wrong basin of `double_well(tilt)`: the failure of IWGF in the paper's
appendix (its own loss is not in the text). It is no matter of games without interaction. On

    l = w cos 2x + s sin x - w cos 2y - t sin y + c sin x sin y,    c + max(|s|, |t|) < 4 w,

the potential w cos 2x + (s + c E sin y) sin x of x, and y's likewise, keeps two wells, at +-pi/2, whatever the other
does, but which is the deeper turns with the other's choice. Against E sin y = -s/c both are as deep, so that the only
equilibrium has atoms at +-pi/2 with E sin x = t/c, E sin y = -s/c; the value is s t/c. No mass passes the tops, which
lie where |sin x| <= (|s| + c)/(4 w): (6) keeps the share of each well and ends with E sin x = m_x, E sin y = m_y at

    NI = |c m_x - t| + |c m_y + s| + s m_x + t m_y,

1.9 for shares of nine tenths above. From the uniform law it does so too, once the tops have swept. Where (6) fails (7)
comes to its Gibbs point, whose beta NI is 1/2 + 1/2 for the wells' widths and, as beta grows, p log((1 - p)/p) a
player for their shares, p the smaller one at the equilibrium; and the averages of (8) obey the regret of exponential
weights on two wells: alpha t NI at most 2 log 10 for least shares of a tenth, and what the transport takes at first.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.games.wells import Wells
from validation.common import known, label
from validation.store import Data
from validation.suite import Part
from validation.verdicts import Verdict, above, below

W, S, T, C = 0.4, 0.2, 0.3, 1.0
TILT = 0.3
WAVES = (((1, 0.3, 0.2), (2, 0.5, -0.4), (3, -0.3, 0.6)), ((1, -0.2, 0.5), (3, 0.4, 0.3), (4, 0.2, -0.1)))
TRAPPED = 1.9  # NI for nine tenths above
MINORITIES = ((1 - T / C) / 2, (1 - S / C) / 2)  # the equilibrium's smaller shares
COLD = sum(1 / 2 + p * np.log((1 - p) / p) for p in MINORITIES)
WARM = 5.0


@dataclass(frozen=True)
class Settings:
    """Particles, replicas; the players' place in the double well, the coupling, what reacts in the plain flow.

    long: whether (7) and (8) are run. betas: of (7), each with its time; cold: a beta near the limit.
    """

    particles: int
    replicas: int
    centre: float = np.pi / 2
    coupling: float = C
    alpha: float = 0.0
    long: bool = False
    betas: tuple[tuple[float, float], ...] = ()
    cold: float = 80.0


QUICK = Settings(6000, 6, long=True, betas=((WARM, 400.0),))
FULL = Settings(20_000, 16, long=True, betas=((WARM, 600.0), (8.0, 6000.0), (10.0, 20_000.0)), cold=400.0)
SMALL = Settings(500, 3)
SABOTAGES = {
    "a start in the deep well": replace(SMALL, centre=1.5 * np.pi),
    "the coupling's sign is wrong": replace(SMALL, coupling=-C),
    "a flow that reacts taken for the plain one": replace(SMALL, alpha=0.2),
}


def coupled(c: float = C) -> Game:
    return mf.games.trigonometric([
        ((2,), (0,), W, 0.0), ((1,), (0,), 0.0, -S), ((0,), (2,), -W, 0.0), ((0,), (1,), 0.0, T),
        ((1,), (-1,), c / 2, 0.0), ((1,), (1,), -c / 2, 0.0),
    ])  # fmt: skip


def beyond_the_tops(points: Array) -> Array:
    """A density above and below the tops, nine tenths above; |sin| > 0.82 where the tops reach 0.75 and 0.8125."""
    z = np.sin(points[:, 0])
    return 0.9 * np.maximum(z - 0.82, 0) ** 2 + 0.1 * np.maximum(-z - 0.82, 0) ** 2


STARTS = {"beyond the tops": mf.Start(x=beyond_the_tops, y=beyond_the_tops), "uniform": mf.Start()}


def plainly(alpha: float) -> mf.Flow:
    """(6), or (8) where something reacts."""
    return mf.WassersteinFisherRao(1.0, alpha) if alpha else mf.Wasserstein()


# -- parts --------------------------------------------------------------------------------------------


def watched(game: Game, run: mf.Trajectory) -> dict[str, Any]:
    """times (S,), ni (S,), sines (S, 2)."""
    error = mf.NikaidoIsoda(game)
    sines = [[m.integrate(np.sin(m.points[:, 0])) for m in pair] for pair in run]
    return {"times": run.times, "ni": [error(*pair).value for pair in run], "sines": sines}


def separable(centre: float, alpha: float, n: int) -> dict[str, Any]:
    """The double well from two bumps by characteristics and by particles; other wells from the uniform law."""
    game, bump = mf.games.double_well(TILT), mf.concentrated(centre, 0.05)
    start, plain = mf.Start(x=bump, y=bump), plainly(alpha)
    field = watched(game, mf.solve(game, plain, start, 30.0, save_every=0.5))
    swarm = watched(game, mf.simulate(game, plain, start, 30.0, step=0.02, particles=n, save_every=0.5))
    other = mf.games.separable(*WAVES)
    spread = mf.NikaidoIsoda(other)(*mf.solve(other, plain, mf.Start(), 60.0, save_every=60.0)[-1]).value
    return {"times": field["times"], "field": field["ni"], "swarm": swarm["ni"], "spread": spread}


def field(start: str, coupling: float, alpha: float, time: float) -> dict[str, Any]:
    """(6), or (8) with alpha > 0, by characteristics; W2 from the equilibrium at the end."""
    game = coupled(coupling)
    run = mf.solve(game, plainly(alpha), STARTS[start], time, save_every=time / 200)
    found, error = watched(game, run), mf.NikaidoIsoda(game)
    known = mf.nash(coupled())
    away = [mf.w2(m, e) for m, e in zip(run[-1], (known.x, known.y), strict=True)]
    averaged = [error(*run.average(last=k)).value for k in range(20, 201, 20)] if alpha else []
    return {**found, "away": away, "averaged": averaged}


def swarms(start: str, coupling: float, alpha: float, n: int, replica: int, time: float = 60.0) -> dict[str, Any]:
    game = coupled(coupling)
    run = mf.simulate(
        game, plainly(alpha), STARTS[start], time, step=0.02, particles=n, replica=replica, save_every=1.0,
    )  # fmt: skip
    averaged = [mf.NikaidoIsoda(game)(*run.average()).value] if alpha else []
    return watched(game, run) | {"averaged": averaged}


def langevin(beta: float, time: float) -> dict[str, Any]:
    """(7) from beyond the tops: NI, that of the Gibbs point, and total variations from it at the end."""
    game = coupled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # of the start, whose slope has corners
        run = mf.solve(game, mf.Langevin(beta), STARTS["beyond the tops"], time, cells=128, save_every=time / 200)
    fixed = mf.gibbs(game, beta, cells=128)
    away = [mf.total_variation(m, f) for m, f in zip(run[-1], (fixed.x, fixed.y), strict=True)]
    return watched(game, run) | {"gibbs": mf.nikaido_isoda(game, fixed.x, fixed.y).value, "away": away}


def langevin_swarm(beta: float, n: int, replica: int) -> dict[str, Any]:
    game = coupled()
    run = mf.simulate(
        game, mf.Langevin(beta), STARTS["beyond the tops"], 300.0, step=0.05, scheme="strang", particles=n,
        replica=replica, save_every=5.0,
    )  # fmt: skip
    return watched(game, run)


def equilibrium(beta: float) -> dict[str, Any]:
    """The exact equilibrium with its certificate; NI of the Gibbs point at a large beta."""
    game = coupled()
    found, fixed = mf.nash(game), mf.gibbs(game, beta, cells=512)
    return {
        "sines": [m.integrate(np.sin(m.points[:, 0])) for m in (found.x, found.y)],
        "value": found.value, "error": found.error, "alone": bool(found.certified and found.unique),
        "gibbs": mf.nikaido_isoda(game, fixed.x, fixed.y).value,
    }  # fmt: skip


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {"separable": partial(separable, s.centre, s.alpha, s.particles)}
    for start in STARTS:
        found[label("plain", start)] = partial(field, start, s.coupling, s.alpha, 60.0)
        for r in range(s.replicas):
            found[label("plain", start, r)] = partial(swarms, start, s.coupling, s.alpha, s.particles, r)
    if s.long:
        found["equilibrium"] = partial(equilibrium, s.cold)
        found |= {f"langevin_{beta:g}": partial(langevin, beta, time) for beta, time in s.betas}
        for start in STARTS:
            found[label("wfr", start)] = partial(field, start, C, 1.0, 200.0)
        for r in range(3):
            found[f"langevin_swarm_{r}"] = partial(langevin_swarm, WARM, s.particles, r)
            found[f"wfr_swarm_{r}"] = partial(swarms, "beyond the tops", C, 1.0, s.particles, r, 100.0)
    return found


# -- verdicts -----------------------------------------------------------------------------------------


def reached(waves: Any) -> float:
    """E f(minimum reached) - min f under the uniform law: basins are the arcs between maxima."""
    wells = Wells.of("f", waves)
    tops = np.append(wells.maxima, wells.maxima[0] + 2 * np.pi)
    shares = np.diff(tops) / (2 * np.pi)
    values = [wells.reached(middle) for middle in (tops[1:] + tops[:-1]) / 2]
    return float(shares @ values - wells.values[0])


def predicted(sines: Array) -> float:
    m_x, m_y = sines
    return float(abs(C * m_x - T) + abs(C * m_y + S) + S * m_x + T * m_y)


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    held, spread = data["separable"], reached(WAVES[0]) + reached(WAVES[1])
    verdicts = [
        # What reaches over the tops of the two bumps is 1e-8 of them.
        Verdict("double well, wrong basin: NI of (6) at the end", held["field"][-1], 4 * TILT, 1e-6),
        Verdict(f"the same, {s.particles} particles", held["swarm"][-1], 4 * TILT, 1e-6),
        Verdict("other wells from the uniform law: NI of (6) at the end", float(held["spread"]), spread, 1e-3),
    ]
    for start in STARTS:
        verdicts += plain(s, start, data)
    return verdicts + (cured(s, data) if s.long else [])


def plain(s: Settings, start: str, data: dict[str, Data]) -> list[Verdict]:
    held = data[label("plain", start)]
    end, shares = held["ni"][-1], predicted(held["sines"][-1])
    ends = [data[label("plain", start, r)] for r in range(s.replicas)]
    own = max(abs(h["ni"][-1] - predicted(h["sines"][-1])) for h in ends)
    swarm = np.array([h["ni"][-1] for h in ends])
    exact = TRAPPED if start == "beyond the tops" else end
    verdicts = [
        Verdict(f"coupled, {start}: NI of (6) at the end, against the closed form for its shares", end, shares, 1e-5),
        Verdict(f"coupled, {start}: the same, worst of {s.replicas} swarms", own, 0.0, 1e-5),
        known(f"coupled, {start}: NI of {s.particles} particles at the end", swarm, exact, 0.05),
        above(f"coupled, {start}: least NI of (6) at all times", held["ni"].min(), 0.3),
        above(f"coupled, {start}: W2 from the equilibrium at the end, x and y", np.hypot(*held["away"]), 0.5),
    ]
    if start == "beyond the tops":
        # Labels keep the shares to ten times their refinement.
        verdicts.append(Verdict(f"coupled, {start}: NI of (6) at the end", end, TRAPPED, 1e-4))
    return verdicts


def cured(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    exact = data["equilibrium"]
    verdicts = [
        Verdict("equilibrium: E sin x", exact["sines"][0], T / C, 1e-8),
        Verdict("equilibrium: E sin y", exact["sines"][1], -S / C, 1e-8),
        Verdict("equilibrium: value", float(exact["value"]), S * T / C, 1e-8),
        below("equilibrium: certificate", float(exact["error"]), 1e-8),
        above("equilibrium: certified to be the only one", float(exact["alone"]), 1.0),
        # The next order is of order 1/beta, 0.015 at 80.
        Verdict(f"beta NI of the Gibbs point, beta = {s.cold:g}", s.cold * float(exact["gibbs"]), COLD, 0.02),
    ]
    for beta, time in s.betas:
        held = data[f"langevin_{beta:g}"]
        verdicts += [
            Verdict(f"(7), beta = {beta:g}, t = {time:g}: TV from the Gibbs point", held["away"].max(), 0.0, 1e-3),
            Verdict(f"(7), beta = {beta:g}: beta NI at the end", beta * held["ni"][-1], COLD, 0.3),
        ]
    late = np.array([data[f"langevin_swarm_{r}"]["ni"][-20:].mean() for r in range(3)])
    warm = float(data[f"langevin_{WARM:g}"]["gibbs"])
    # Means of n sines fluctuate by n^(-1/2) each, which NI sees through |.|.
    verdicts.append(known(f"(7), beta = {WARM:g}: NI of {s.particles} particles", late, warm, 0.1))
    for start in STARTS:
        held = data[label("wfr", start)]
        verdicts.append(below(f"(8), {start}: NI of the averages at t = 200", held["averaged"][-1], 0.03))
        verdicts.append(
            above(f"(8), {start}: greatest NI of last iterates beyond t = 100", held["ni"][100:].max(), 0.3)
        )
    held = data["wfr_beyond_the_tops"]
    worst = (held["times"][20::20] * held["averaged"]).max()
    verdicts.append(below("(8), beyond the tops: t NI of the averages", worst, 2 * np.log(10) + 1))
    swarm = np.array([float(data[f"wfr_swarm_{r}"]["averaged"][0]) for r in range(3)])
    return [*verdicts, known(f"(8): NI of the averages of {s.particles} particles at t = 100", swarm, 0.0, 0.1)]


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """NI against time: the double well, and the coupled game from both starts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharey=True)
    held = data["separable"]
    left.plot(held["times"], held["field"], label="(6), mean field")
    left.plot(held["times"][::4], held["swarm"][::4], "o", ms=3, label=f"(6), {s.particles} particles")
    left.axhline(4 * TILT, color="k", lw=0.5, ls=":", label="4 tilt")
    left.set(title="double well, from the wrong basin", xlabel="t", ylabel="NI error", yscale="log")
    left.legend(fontsize=7, loc="lower left")
    for ax, start in ((middle, "beyond the tops"), (right, "uniform")):
        plain, reacting = data[label("plain", start)], data[label("wfr", start)]
        ax.plot(plain["times"][1:], plain["ni"][1:], label="(6)")
        swarm = data[label("plain", start, 0)]
        ax.plot(swarm["times"][1:], swarm["ni"][1:], "C0o", ms=2, label="(6), particles")
        ax.plot(reacting["times"][1:], reacting["ni"][1:], "C2", lw=0.6, label="(8), last iterate")
        ax.plot(reacting["times"][20::20], reacting["averaged"], "C2o-", ms=3, label="(8), averages")
        ax.set(title=f"coupled game, {start}", xlabel="t", xscale="log")
    for k, (beta, _) in enumerate(s.betas):
        held = data[f"langevin_{beta:g}"]
        middle.plot(held["times"][1:], held["ni"][1:], f"C{3 + k}", label=f"(7), beta = {beta:g}")
    middle.legend(fontsize=7, loc="lower left")
    return {"ni": figure}
