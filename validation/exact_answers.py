"""Exact answers at both levels: decays, frequencies, limits, conserved quantities, identities.

1. Uniform equilibrium, l = A cos k(x - y): under Langevin the amplitude z = E e^{ikx} + i E e^{iky} of a
   small perturbation obeys dz/dt = (-k^2/beta + i k^2 A/2) z.
2. Free motion, l = 0: mode k decays as exp(-k^2 t/beta); on S^{d-1} E<x_t, x_0> = exp(-(d-1) t/beta);
   from a uniform start E W2^2 = L^2/(12 n) at every time.
3. Separable games: densities settle on the explicit Gibbs laws; the plain flow from inside a wrong basin
   ends with NI = (f_loc - f_min) + the same for g.
4. Wang & Chizat's example 4.1: (1/4 - a^2)(1/4 - b^2) is conserved, small orbits have period pi/alpha,
   Algorithm 2 spirals out like exp(2 eta'^2 k) after k steps.
6. Best-response flow: NI = NI_0 exp(-t).
7. KL(mu_x|G_x) + KL(mu_y|G_y) = beta NI_beta along (7), G the Gibbs laws of the current potentials.
8. The paper's games: the exact Nikaido-Isoda error of the exact equilibrium is zero, and no point of a
   dense grid of responses does better; values agree with a grid linear program.
9. Shifting a torus game and swapping the players commute with the flows.

    python -m validation exact_answers [--quick]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import kl, regularised_nikaido_isoda
from meanfield.metrics.energy import gibbs_measures
from meanfield.particles.ensemble import ensemble
from validation.verdicts import Verdict, command

Z_LIMIT = 4.0
Curves = dict[str, tuple[Array, Array, Array]]  # name -> times, measured, exact


def uniform_equilibrium(quick: bool, curves: Curves) -> list[Verdict]:
    A, k, beta, T = 1.5, 2, 8.0, 1.0
    game, flow = mf.games.uniform_equilibrium(amplitude=A, k=k), mf.Langevin(beta)
    rate = game.answers["eigenvalues"](beta)[0]

    def amplitude(pair: tuple[mf.Measure, mf.Measure]) -> complex:
        x, y = (m.integrate(np.exp(1j * k * m.points[:, 0])) for m in pair)
        return complex(x + 1j * y)

    def measured(run: mf.Trajectory) -> complex:
        z = np.array([amplitude(pair) for pair in run])
        return complex(np.sum(np.log(z[1:] / z[:-1])) / T)

    verdicts = []
    for engine, cells, tolerance in (("galerkin", 64, 1e-6), ("finite-volume", 512, 1e-3)):
        small = mf.Start(x=lambda x: 1 + 1e-4 * np.cos(k * x))
        run = mf.solve(game, flow, small, T, cells=cells, engine=engine, tol=1e-11)
        found = measured(run)
        verdicts += [
            Verdict(f"1. decay of mode {k}, {engine}", found.real, rate.real, tolerance),
            Verdict(f"1. frequency of mode {k}, {engine}", found.imag, rate.imag, tolerance),
        ]
        z = np.array([amplitude(pair) for pair in run])
        curves[f"1. Re z, {engine}"] = (run.times, z.real / z[0].real, np.exp(rate * run.times).real)
    # With amplitude e the equation of mode k bends by a relative e^2; 0.1 leaves 1% of a decay rate.
    seen = ensemble(
        game, flow, mf.Start(x=lambda x: 1 + 0.1 * np.cos(k * x)), T, replicas=8 if quick else 64, particles=50_000,
        step=0.02, scheme="strang", reduce=measured,
    )  # fmt: skip
    found_at = np.array(list(seen))
    for name, part, exact in (("decay", found_at.real, rate.real), ("frequency", found_at.imag, rate.imag)):
        spread = Z_LIMIT * part.std(ddof=1) / np.sqrt(len(part))
        verdicts.append(Verdict(f"1. {name} of mode {k}, particles", part.mean(), exact, spread + 0.01 * abs(rate)))
    return verdicts


def free_motion(quick: bool, curves: Curves) -> list[Verdict]:
    beta, T, k = 2.0, 0.8, 3
    circle = mf.Torus(1)
    game, flow = mf.games.free(circle, circle), mf.Langevin(beta)
    verdicts = []
    start = mf.Start(x=lambda x: 1 + np.cos(k * x))
    for engine, cells, tolerance in (("galerkin", 32, 1e-12), ("finite-volume", 512, 1e-3)):
        run = mf.solve(game, flow, start, T, cells=cells, engine=engine)
        mode = np.array([m.integrate(np.cos(k * m.points[:, 0])) for m in run.x])
        exact = 0.5 * np.exp(-(k**2) * run.times / beta)
        verdicts.append(Verdict(f"2. mode {k} of free motion, {engine}", mode[-1], exact[-1], tolerance))
        curves[f"2. mode {k}, {engine}"] = (run.times, mode / mode[0], exact / exact[0])
    for d in (3, 6):
        sphere = mf.Sphere(d - 1)
        pole = np.eye(d)[0]
        n = 40_000 if quick else 400_000
        at_pole = mf.Measure(pole[None], None, sphere)
        run = mf.simulate(
            mf.games.free(sphere, sphere), flow, mf.Start(x=at_pole, y=at_pole), 0.5, step=0.05, particles=n,
            scheme="strang", save_every=0.5,
        )  # fmt: skip
        along = run.x[-1].points @ pole
        exact = np.exp(-(d - 1) * 0.5 / beta)
        verdicts.append(
            Verdict(f"2. E<x_t, x_0> on S^{d - 1}, particles", along.mean(), exact, Z_LIMIT * along.std() / np.sqrt(n))
        )
    n, R = 50, 400 if quick else 4000
    uniform = mf.uniform(circle)
    squares = ensemble(
        game, flow, mf.Start(), 0.3, replicas=R, particles=n, step=0.1, save_every=0.3,
        reduce=lambda run: mf.w2(run.x[-1], uniform) ** 2,
    )  # fmt: skip
    w = np.array(list(squares))
    error = Z_LIMIT * w.std(ddof=1) / np.sqrt(R)
    return [*verdicts, Verdict(f"2. E W2^2 of {n} free particles", w.mean(), circle.period**2 / (12 * n), error)]


def separable(quick: bool, curves: Curves) -> list[Verdict]:
    beta = 2.0
    game = mf.games.double_well()
    verdicts = []
    well = game.answers["f"]
    # The slowest mode decays at the spectral gap; from a uniform start it is of order one.
    end = np.log(1e10) / well.spectral_gap(beta)
    for engine in ("galerkin", "finite-volume"):
        run = mf.solve(game, mf.Langevin(beta), mf.Start(), end, cells=128, engine=engine)
        at = run.x[-1].points
        shape = well.gibbs(at[:, 0], beta)
        masses = shape / shape.sum()
        gap = 0.5 * np.abs(run.x[-1].masses - masses).sum()
        verdicts.append(Verdict(f"3. total variation to the explicit Gibbs law, {engine}", gap, 0.0, 1e-8))
    return verdicts


def wrong_wells(quick: bool, curves: Curves) -> list[Verdict]:
    game = mf.games.double_well()
    # Bumps that leave less than 1e-12 outside the basin of the upper well.
    start = mf.Start(x=mf.concentrated(np.pi / 2, 0.01), y=mf.concentrated(np.pi / 2, 0.01))
    exact = game.answers["trapped_ni"]
    field = mf.solve(game, mf.Wasserstein(), start, 30.0, cells=64)
    swarm = mf.simulate(game, mf.Wasserstein(), start, 30.0, step=1e-2, particles=500)
    return [
        Verdict(f"3. NI where the plain flow ends, {name}", mf.nikaido_isoda(game, *run[-1]).value, exact, 1e-8)
        for name, run in (("characteristics", field), ("particles", swarm))
    ]


def wang_chizat(quick: bool, curves: Curves) -> list[Verdict]:
    game = mf.games.wang_chizat()
    alpha, a, b = 1.0, 0.05, 0.0
    torus = mf.Torus(1, period=1.0)
    atoms = mf.Start(
        x=mf.Measure([[3 / 8], [7 / 8]], [0.5 + a, 0.5 - a], torus),
        y=mf.Measure([[1 / 8], [5 / 8]], [0.5 + b, 0.5 - b], torus),
    )
    flow = mf.WassersteinFisherRao(gamma=1.0, alpha=alpha)

    def offsets(run: mf.Trajectory) -> tuple[Array, Array]:
        return tuple(np.array([m.masses[0] - 0.5 for m in side]) for side in (run.x, run.y))  # type: ignore[return-value]

    verdicts = []
    T = 20.0
    runs = {
        "characteristics": (mf.solve(game, flow, atoms, T, tol=1e-12, save_every=0.01), 1e-10),
        "particles (strang)": (
            mf.simulate(
                game, flow, atoms, T, step=1e-3, particles=2, scheme="strang", placement="atoms", save_every=0.01
            ),
            1e-5,
        ),
    }
    for name, (run, tolerance) in runs.items():
        p, q = offsets(run)
        kept = (0.25 - p**2) * (0.25 - q**2)
        verdicts.append(
            Verdict(f"4. drift of the conserved quantity, {name}", np.abs(kept / kept[0] - 1).max(), 0, tolerance)
        )
        turns = np.unwrap(np.arctan2(q, p))
        period = 2 * np.pi * T / abs(turns[-1] - turns[0])
        # The orbit of size a is longer by a factor 1 + O(a^2).
        verdicts.append(Verdict(f"4. period of a small orbit, {name}", period, np.pi / alpha, np.pi * 4 * a**2))
        curves[f"4. weight of the first atom, {name}"] = (run.times[:1000], p[:1000] / a, np.cos(2 * run.times[:1000]))
    step = 0.02
    steps = 400
    tiny = mf.Start(
        x=mf.Measure([[3 / 8], [7 / 8]], [0.5 + 1e-4, 0.5 - 1e-4], torus), y=mf.Measure([[1 / 8], [5 / 8]], None, torus)
    )
    # Weights alone: the positions are equilibria, but would need a step below 1/100 to stay there.
    run = mf.simulate(
        game, mf.MirrorDescent(alpha), tiny, steps * step, step=step, particles=2, placement="atoms", save_every=step
    )
    p, q = offsets(run)
    grown = np.log(np.hypot(p, q)[-1] / np.hypot(p, q)[0]) / steps
    return [*verdicts, Verdict("4. spiral of Algorithm 2, per step", grown, 2 * step**2, 0.02 * 2 * step**2)]


def best_response(quick: bool, curves: Curves) -> list[Verdict]:
    game = mf.games.oscillator()
    start = mf.Start(x=mf.concentrated(1.1, 0.04), y=mf.concentrated(0.0, 0.04))
    steps = [4e-3, 1e-3, 2.5e-4]
    errors = []
    for step in steps:
        run = mf.solve(game, mf.BestResponse(), start, 3.0, cells=128, step=step)
        ni = run.diagnostics["ni"] / run.diagnostics["ni"][0]
        exact = np.exp(-run.times)
        errors.append(float(np.abs(ni - exact).max()))
    curves["6. NI of the best-response flow"] = (run.times, ni, exact)
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    return [
        Verdict(f"6. NI/NI_0 - exp(-t), largest, at step {steps[-1]:g}", errors[-1], 0.0, 15 * steps[-1]),
        Verdict("6. order of that error in the step", order, 1.0, 0.25),
    ]


def entropies(quick: bool, curves: Curves) -> list[Verdict]:
    beta = 25.0
    game = mf.games.oscillator()
    start = mf.Start(x=mf.concentrated(1.1, 0.04), y=mf.concentrated(0.0, 0.04))
    run = mf.solve(game, mf.Langevin(beta), start, 2.0, cells=256, save_every=0.1)
    gaps = []
    fixed = mf.gibbs(game, beta, cells=256)
    below = []
    for x, y in run:
        now = gibbs_measures(game, beta, x, y)
        right = beta * regularised_nikaido_isoda(game, beta, x, y)
        gaps.append(abs(kl(x, now[0]) + kl(y, now[1]) - right) / right)
        below.append(kl(x, fixed.x) + kl(y, fixed.y) - right)
    return [
        Verdict("7. KL to the current Gibbs laws against beta NI_beta, relative", max(gaps), 0.0, 1e-11),
        Verdict("7. KL to the fixed point exceeds beta NI_beta by at most", max(0.0, *below), 0.0, 1e-9),
    ]


def paper_games(quick: bool, curves: Curves) -> list[Verdict]:
    verdicts = []
    rng = np.random.default_rng(0)
    for kind in "ab":
        for dim in (2, 3):
            grid = mf.Sphere(dim - 1).sample(20_000 if quick else 200_000, rng)
            game = mf.games.polynomial(kind, dim=dim, seed=4)
            found = mf.nash(game)
            exact = mf.nikaido_isoda(game, found.x, found.y).value
            verdicts.append(Verdict(f"8. NI of the exact equilibrium, l_{kind} in R^{dim}", exact, 0.0, 1e-10))
            gain = game.potential_y(grid, found.x).max() - game.potential_x(grid, found.y).min()
            verdicts.append(Verdict(f"8. no grid response gains, l_{kind} in R^{dim}", max(gain, 0.0), 0.0, 1e-10))
            swarm = mf.simulate(game, mf.Langevin(20.0), mf.Start(), 1.0, step=0.01, particles=50)
            pair = swarm[-1]
            best = [
                _brute_force(lambda x, g=game, m=pair[0]: g.potential_y(x, m), grid, rng),
                _brute_force(lambda x, g=game, m=pair[1]: -g.potential_x(x, m), grid, rng),
            ]
            answer = mf.nikaido_isoda(game, *pair).value
            verdicts.append(Verdict(f"8. exact NI against brute force, l_{kind} in R^{dim}", sum(best), answer, 1e-8))
    return verdicts


def _brute_force(function, grid: Array, rng: np.random.Generator) -> float:  # type: ignore[no-untyped-def]
    """The greatest value met on a grid of the sphere, then among ever nearer neighbours of its best points."""
    values = function(grid)
    best = grid[np.argsort(values)[-20:]]
    for scale in 0.2 * 0.7 ** np.arange(60):
        near = np.concatenate([best, np.repeat(best, 20, axis=0)])
        near[20:] += scale * rng.standard_normal(near[20:].shape)
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        best = near[np.argsort(function(near))[-20:]]
    return float(function(best).max())


def symmetries(quick: bool, curves: Curves) -> list[Verdict]:
    terms = [((1,), (-1,), 1.0, 0.2), ((2,), (1,), 0.3, 0.0), ((0,), (3,), 0.3, 0.0), ((2,), (0,), 0.1, 0.4)]
    shift = 2 * np.pi / 8

    def turned(term):  # type: ignore[no-untyped-def]
        k, m, re, im = term
        c = (re + 1j * im) * np.exp(-1j * (k[0] + m[0]) * shift)
        return k, m, c.real, c.imag

    game, moved = mf.games.trigonometric(terms), mf.games.trigonometric([turned(t) for t in terms])
    start, later = (mf.Start(x=mf.concentrated(1.0 + s, 0.2), y=mf.concentrated(2.0 + s, 0.3)) for s in (0, shift))
    verdicts = []
    for name, flow in (("Langevin", mf.Langevin(10.0)), ("WFR", mf.WassersteinFisherRao(1.0, 1.0))):
        runs = [
            mf.solve(g, flow, s, 0.4, cells=192)
            for g, s in ((game, start), (moved, later), (game.swapped(), _swap(start)))
        ]
        base, other, swapped = (_modes(run) for run in runs)
        verdicts.append(
            Verdict(f"9. shift, {name}, mean field", np.abs(other * np.exp(-1j * shift) - base).max(), 0, 1e-8)
        )
        verdicts.append(Verdict(f"9. swap, {name}, mean field", np.abs(swapped[::-1] - base).max(), 0, 1e-8))
        swarms = [mf.simulate(g, flow, s, 1.0, step=0.01, particles=200) for g, s in ((game, start), (moved, later))]
        one, two = (_modes(run) for run in swarms)
        verdicts.append(Verdict(f"9. shift, {name}, particles", np.abs(two * np.exp(-1j * shift) - one).max(), 0, 1e-9))
    return verdicts


def _swap(start: mf.Start) -> mf.Start:
    return mf.Start(x=start.y, y=start.x)


def _modes(run: mf.Trajectory) -> Array:
    """E e^{ix} of both players at the end."""
    return np.array([m.integrate(np.exp(1j * m.points[:, 0])) for m in run[-1]])


ITEMS = (
    uniform_equilibrium, free_motion, separable, wrong_wells, wang_chizat, best_response, entropies, paper_games,
    symmetries,
)  # fmt: skip


def draw(curves: Curves, path: Path) -> None:
    """Measured curves over exact ones."""
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns).flat
    for ax in list(axes)[len(curves) :]:
        ax.set_visible(False)
    for ax, (name, (times, seen, exact)) in zip(figure.axes, curves.items(), strict=False):
        ax.plot(times, seen, lw=3, alpha=0.4, label="measured")
        ax.plot(times, exact, "k--", lw=1, label="exact")
        ax.set_title(name, fontsize=8)
        ax.set_xlabel("t")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)


def main(quick: bool, out: Path) -> list[Verdict]:
    """All items; the picture is `exact_answers.png`."""
    curves: Curves = {}
    verdicts = [verdict for item in ITEMS for verdict in item(quick, curves)]
    draw(curves, out / "exact_answers.png")
    return verdicts


if __name__ == "__main__":
    command(["exact_answers"])
