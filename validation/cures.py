"""Which later flows cure the oscillator's cycle, where they settle and how fast; spirals of example 4.1.

The oscillator of `meanfield.games` at beta = 25, from two narrow bumps, where (7) settles on a cycle round the
linearly stable Gibbs point (9). Distances are L1 to that point.

- Two time scales cure: y ten times as fast leaves 1.7e-3 for x, 5e-4 for y at t = 200; ten times as slow 0.10, 0.07.
- Entropic best response cures, at its rate: near (9) averages obey z' = rate (-1 +- i kappa) z.
- The Wasserstein-Fisher-Rao flow of L_beta cures from an alpha between 1.2 and 1.3 on, then at its leading eigenvalue.
- Averaged gradients do not cure in any time that one would wait. With discount a, (9) is unstable from
  a* = gap/kappa^2 up to a of the order of the cycle's frequency: the averages turn kappa times as fast as they
  relax, and laws that lag behind by 1/gap turn them outwards. a* is 5e-8 at beta = 25 and 2e-2 at beta = 2, by the
  eigenvalues of the linearised equation. Weights t^r are a discount of (r + 1)/t, hence stable from
  t = (r + 1)/a* on, 2e7 for r = 0 at beta = 25; from there distances fall like t^-(r + 1), shown at beta = 2.

On example 4.1 (Wang & Chizat) weights spiral like exp(+2 eta'^2 k) after k explicit steps, exp(-2 eta'^2 k) after k of
mirror-prox.

    python -m validation cures [--quick]
"""

from __future__ import annotations

import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.density.rates import FaceRates
from meanfield.density.solve import build
from meanfield.flows import Rates
from validation.verdicts import Verdict, command

Curves = dict[str, tuple[Array, Array]]  # name -> times and distances (S, 2), or steps and sizes


# -- the linearised equation --------------------------------------------------------------------------


class Linear:
    """(7), or with alpha > 0 the flow of L_beta, linearised at its Gibbs point, with or without discounting.

    d/dt dm_p = A_p (dm_p + beta m_p K_p dz_q), A_p the generator at the fixed costs, K_p dz_q the change of
    p's costs with the opponent's (averaged) moments z_q: exact to first order, for A(U + dU) annihilates
    m (1 - beta dU). Discounting adds d/dt dz_q = rate (F_q dm_q - dz_q).
    """

    def __init__(self, game: mf.games.Game, beta: float, cells: int, alpha: float = 0.0) -> None:
        fixed = mf.gibbs(game, beta, cells=cells)
        pair = (fixed.x, fixed.y)
        self.A, self.B, self.F = [], [], []
        for p, mu in enumerate(pair):
            U = game.cost(p, mu.points, pair[1 - p])[None]
            A = generator(mu.mesh.pairs, FaceRates(mu.mesh, Rates(1.0, 0.0, 1 / beta), "sg")(U, U)[0][0])
            K = game.cost_matrix(p, mu.points, pair[1 - p].points)
            F = game.moment_matrix(p, mu.points)
            # The reaction - alpha m (dU + dm / (beta m) - mean), and transport with its diffusion.
            mean = np.outer(mu.masses, np.ones(cells))
            self.A.append(A - alpha / beta * (np.eye(cells) - mean))
            self.B.append(A @ (beta * mu.masses[:, None] * K) - alpha * mu.masses[:, None] * (K - mu.masses @ K))
            self.F.append(np.eye(cells) if F is None else F)
        # Relaxed laws dm_p = -beta m_p (K_p dz_q - mean) give the averages' own map z -> -kappa^2 z.
        S = [F @ np.linalg.lstsq(A, -B, rcond=1e-12)[0] for A, B, F in zip(self.A, self.B, self.F, strict=True)]
        self.kappa = float(np.sqrt(np.abs(np.linalg.eigvals(S[0] @ S[1])).max()))
        self.gap = -float(np.sort(np.linalg.eigvals(self.A[0]).real)[-2])

    def leading(self, rate: float | None = None) -> complex:
        """The eigenvalue of largest real part but the two that keep masses; rate None: no averaging."""
        (A, C), (B, D), (F, E) = self.A, self.B, self.F
        if rate is None:
            M = np.block([[A, B @ E], [D @ F, C]])
        else:
            N, k, m = len(A), len(F), len(E)
            M = np.block(
                [
                    [A, np.zeros((N, N + k)), B],
                    [np.zeros((N, N)), C, D, np.zeros((N, m))],
                    [rate * F, np.zeros((k, N)), -rate * np.eye(k), np.zeros((k, m))],
                    [np.zeros((m, N)), rate * E, np.zeros((m, k)), -rate * np.eye(m)],
                ]
            )
        found = np.linalg.eigvals(M)
        found = found[np.argsort(np.abs(found))][2:]
        return complex(found[np.argmax(found.real)])

    def threshold(self) -> float:
        """The discount a* below which the Gibbs point is stable, by bisection of log a round gap/kappa^2."""
        guess = self.gap / self.kappa**2
        low, high = 0.1 * guess, 10 * guess
        for _ in range(14):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self.leading(middle).real < 0 else (low, middle)
        return float(np.sqrt(low * high))


def generator(pairs: Array, jumps: Array) -> Array:
    """The dense generator (N, N) of jumps (2, F) over the pairs (F, 2) of cells."""
    first, second = pairs.T
    A = np.zeros((pairs.max() + 1,) * 2)
    for a, b, rate in ((first, second, jumps[0]), (second, first, jumps[1])):
        np.add.at(A, (b, a), rate)
        np.add.at(A, (a, a), -rate)
    return A


# -- runs ---------------------------------------------------------------------------------------------


def distances(run: mf.Trajectory, beta: float, cells: int) -> Array:
    """L1 from the Gibbs point of the same mesh, for x and y, shape (S, 2)."""
    fixed = mf.gibbs(run.game, beta, cells=cells)
    return np.array(
        [[np.abs(m.masses - f.masses).sum() for m, f in zip(p, (fixed.x, fixed.y), strict=True)] for p in run]
    )


def followed(flow: mf.Flow, beta: float, cells: int, times: Array, fraction: float) -> Array:
    """The same at any times, in steps of 0.1 or `fraction` of the time: averages slow down with it."""
    game = mf.games.oscillator()
    fixed = mf.gibbs(game, beta, cells=cells)
    engine: Any = build(game, flow, game.answers["start"], cells=cells, step=0.1)
    found = []
    for t in times:
        engine.step = max(0.1, fraction * engine.time)
        engine.advance(float(t))
        pairs = zip(engine.measures(), (fixed.x, fixed.y), strict=True)
        found.append([np.abs(m.masses - f.masses).sum() for m, f in pairs])
    return np.array(found)


def settled(times: Array, away: Array, level: float = 0.05) -> float:
    """The time from which both distances stay below `level`; infinite where they do not."""
    late = np.flatnonzero((away >= level).any(axis=1))
    return float(times[0]) if not len(late) else float(times[late[-1] + 1]) if late[-1] + 1 < len(times) else np.inf


def decay(times: Array, away: Array, begin: float, end: float) -> float:
    """The fitted rate at which the sum of the distances falls over [begin, end]."""
    part = (times >= begin) & (times <= end)
    return -float(np.polyfit(times[part], np.log(away[part].sum(axis=1)), 1)[0])


def oscillator(quick: bool, curves: Curves) -> list[Verdict]:
    beta, game = 25.0, mf.games.oscillator()
    start = game.answers["start"]
    entropic = mf.EntropicWassersteinFisherRao
    long = 100.0 if quick else 300.0
    table = {
        "(7)": (mf.Langevin(beta), 200.0, {}),
        "y 10 times faster": (mf.TwoTimeScale(beta, 10.0), 200.0, {}),
        "y 10 times slower": (mf.TwoTimeScale(beta, 0.1), 200.0, {}),
        "entropic best response": (mf.EntropicBestResponse(beta), 12.0, {"step": 2e-3}),
        "WFR of L_beta, alpha = 1": (entropic(beta), long, {"step": 0.02}),
        "WFR of L_beta, alpha = 3": (entropic(beta, 1.0, 3.0), 100.0, {"step": 0.01}),
        "discount 0.1": (mf.DiscountedLangevin(beta, 0.1), 200.0, {"tol": 1e-2}),
        "weights t^0": (mf.AveragedLangevin(beta, 0.0), 200.0, {"tol": 1e-2}),
        "weights t^2": (mf.AveragedLangevin(beta, 2.0), 200.0, {"tol": 1e-2}),
    }
    seen: Curves = {}
    for name, (flow, end, how) in table.items():
        cells, clock = 256 if flow.composite is False else 192, perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mf.UnderResolved)  # of the first moments of the narrow bumps
            run = mf.solve(game, flow, start, end, cells=cells, save_every=end / 400, **how)  # type: ignore[arg-type]
        away = distances(run, beta, cells)
        seen[name] = run.times, away
        print(
            f"  {name}: L1 {away[-1, 0]:.2e} (x), {away[-1, 1]:.2e} (y) at t = {end:g}; below 0.05 from t = "
            f"{settled(run.times, away):.4g}; {perf_counter() - clock:.1f} s"
        )
    curves.update(seen)
    verdicts = []
    for name, exact, within in (("faster", (1.7e-3, 5e-4), (5e-5, 2e-5)), ("slower", (0.10, 0.07), (5e-3, 5e-3))):
        for k in (0, 1):
            found = seen[f"y 10 times {name}"][1][-1, k]
            verdicts.append(Verdict(f"L1 of {'xy'[k]} at t = 200, y 10 times {name}", found, exact[k], within[k]))
    rate = decay(*seen["entropic best response"], 6.0, 12.0)
    verdicts.append(Verdict("rate of L1, entropic best response", rate, 1.0, 0.05))
    rate = decay(*seen["WFR of L_beta, alpha = 3"], 50.0, 100.0)
    leading = -Linear(game, beta, 192, alpha=3.0).leading().real
    verdicts.append(Verdict("rate of L1, WFR of L_beta at alpha = 3", rate, leading, 0.03 * leading))
    for name in ("(7)", "WFR of L_beta, alpha = 1", "discount 0.1", "weights t^0", "weights t^2"):
        times, away = seen[name]
        least = away[times >= times[-1] / 2].sum(axis=1).min()
        verdicts.append(
            Verdict(f"not cured (least L1 of x and y in the second half is 2 +- 1.2): {name}", least, 2.0, 1.2)
        )
    return verdicts


def particles(quick: bool, curves: Curves) -> list[Verdict]:
    """The cycle has |(E sin x, E sin y)| above 0.87 for ever; cured particles stay near the Gibbs point's value."""
    beta, game, n = 25.0, mf.games.oscillator(), 4000 if quick else 40_000
    fixed = mf.gibbs(game, beta, cells=256)
    center = np.array([m.integrate(np.sin(m.points[:, 0])) for m in (fixed.x, fixed.y)])
    verdicts = []
    for flow, end, how in (
        (mf.Langevin(beta), 40.0, {"step": 0.02, "scheme": "strang"}),
        (mf.TwoTimeScale(beta, 10.0), 60.0, {"step": 0.005, "scheme": "strang"}),
        (mf.EntropicBestResponse(beta), 12.0, {"step": 0.02}),
    ):
        run = mf.simulate(game, flow, game.answers["start"], end, particles=n, save_every=end / 100, **how)  # type: ignore[arg-type]
        path = np.array([[m.integrate(np.sin(m.points[:, 0])) for m in pair] for pair in run])
        away = float(np.linalg.norm(path[66:] - center, axis=1).max())
        print(f"  {n} particles, {flow.name}: (E sin x, E sin y) within {away:.3f} of the fixed point late")
        exact, within = (1.0, 0.15) if flow.name == "Langevin" else (0.0, 0.2)
        verdicts.append(Verdict(f"{n} particles, {flow.name}: distance of means to the end", away, exact, within))
    return verdicts


def averages(quick: bool, curves: Curves) -> list[Verdict]:
    game = mf.games.oscillator()
    hot, cold = Linear(game, 2.0, 64), Linear(game, 25.0, 96)
    a = {2.0: hot.threshold(), 25.0: cold.threshold()}
    for beta, linear in ((2.0, hot), (25.0, cold)):
        print(
            f"  beta = {beta:g}: gap {linear.gap:.3g}, kappa {linear.kappa:.3g}, gap/kappa^2 "
            f"{linear.gap / linear.kappa**2:.3g}, stable below a* = {a[beta]:.3g}, that is weights t^r from "
            f"t = {1 / a[beta]:.3g} (r + 1)"
        )
    verdicts = [
        Verdict("leading eigenvalue of (7) at beta = 25, real part", cold.leading().real, -0.00489, 1e-4),
        Verdict("and imaginary part", abs(cold.leading().imag), 0.00941, 1e-4),
        Verdict("beta = 25: a* over gap/kappa^2", a[25.0] * cold.kappa**2 / cold.gap, 1.0, 0.1),
    ]
    for power in (0.0, 2.0):
        # Along weights t^power the discount at time t is (power + 1)/t.
        turn = (power + 1) / a[2.0]
        times = np.geomspace(1.0, 100 * turn, 141)
        flow, clock = mf.AveragedLangevin(2.0, power), perf_counter()
        # Relaxed laws lag behind by half a step, which takes kappa^2 (r + 1) dt/(2 t) from the exponent's 1.
        away = followed(flow, 2.0, 48, times, (0.1 if quick else 0.03) / hot.kappa**2 / (power + 1))
        curves[f"beta = 2, weights t^{power:g}"] = times, away
        before = away[(times > turn / 10) & (times < turn)].sum(axis=1).min()
        late = times > 25 * turn
        slope = np.polyfit(np.log(times[late]), np.log(away[late].sum(axis=1)), 1)[0]
        print(f"  beta = 2, weights t^{power:g}: L1 {away[-1]} at t = {times[-1]:.3g}; {perf_counter() - clock:.1f} s")
        verdicts += [
            Verdict(f"beta = 2, t^{power:g}: least L1 over [t*/10, t*]", before, 1.0, 0.8),
            Verdict(f"beta = 2, t^{power:g}: exponent of L1 beyond 25 t*", slope, -(power + 1), 0.1 * (power + 1)),
        ]
    return verdicts


def spirals(quick: bool, curves: Curves) -> list[Verdict]:
    game, flow = mf.games.wang_chizat(), mf.MirrorDescent()
    x, y = game.answers["measures"](1e-3, 0.0)
    verdicts = []
    for step in (0.01, 0.02, 0.05):
        for scheme, exact in (("euler", 2 * step**2), ("mirror-prox", -2 * step**2)):
            steps = 400 if quick else round(1 / step**2)
            run = mf.simulate(
                game, flow, mf.Start(x=x, y=y), steps * step, step=step, particles=2, placement="atoms",
                save_every=step, scheme=scheme,
            )  # fmt: skip
            size = np.hypot(*(np.array([m.masses[0] - 0.5 for m in side]) for side in (run.x, run.y)))
            rate = float(np.polyfit(np.arange(len(size)), np.log(size), 1)[0])
            curves[f"4.1, {scheme}, step {step:g}"] = np.arange(0.0, len(size)), size[:, None] / size[0]
            verdicts.append(
                Verdict(f"example 4.1, rate per step of {step:g}, {scheme}", rate, exact, 0.01 * abs(exact))
            )
    return verdicts


def draw(curves: Curves, path: Path) -> None:
    """Distances against time for the oscillator at beta = 25 and beta = 2, sizes against steps for example 4.1."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for name, (times, away) in curves.items():
        ax = right if name.startswith("4.1") else middle if name.startswith("beta = 2") else left
        plot = ax.semilogy if ax is right else ax.loglog
        plot(times[1:], away[1:].sum(axis=1), lw=1, label=name.removeprefix("4.1, "))
    left.set(title="oscillator, beta = 25", xlabel="t", ylabel="L1 to the Gibbs point, x and y")
    middle.set(title="oscillator, beta = 2: averaged gradients settle late", xlabel="t")
    right.set(title="example 4.1: size of the weights' orbit, at first 1", xlabel="steps")
    for ax in (left, middle, right):
        ax.legend(fontsize=7)
    figure.savefig(path, dpi=120)


def main(quick: bool, out: Path) -> list[Verdict]:
    """The cure table, printed, and verdicts on it; the picture is `cures.png`."""
    curves: Curves = {}
    verdicts = [v for part in (oscillator, particles, averages, spirals) for v in part(quick, curves)]
    draw(curves, out / "cures.png")
    return verdicts


if __name__ == "__main__":
    command(["cures"])
