"""Theorem 1's "if": on the oscillator the mean field (7) settles on a limit cycle, at both levels.

l = V(x) - V(y) + 3 sin x sin y, V(x) = -(2/3) cos x + (5/12) cos 2x, beta = 25, from two narrow bumps
(`meanfield.games.oscillator`). Over t in [20, 60] the vector (E sin x, E sin y) keeps its norm in
[0.8737, 1.0136] and turns with period 4.0343 by the slope of its angle (4.03419 by the mean interval
between upward zero crossings of E sin x, which no choice of window moves). Galerkin is compared with
these to their last digit, finite volumes (whose error is of order h^2) by Richardson's extrapolation
from two meshes, particles within their fluctuations.

    python -m validation oscillator [--quick]
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from validation.verdicts import Verdict, command


def orbit(run: mf.Trajectory) -> Array:
    """(E sin x, E sin y) at the saved times, shape (S, 2)."""
    return np.array([[m.integrate(np.sin(m.points[:, 0])) for m in pair] for pair in run])


def summary(times: Array, path: Array) -> Array:
    """Least and greatest norm, period by the angle's slope and by crossings, from t = 20 on; shape (4,)."""
    late = times >= 20 - 1e-9
    t, (x, y) = times[late], path[late].T
    norms = np.linalg.norm(path[late], axis=1)
    slope = np.polyfit(t, np.unwrap(np.arctan2(y, x)), 1)[0]
    up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    crossings = t[up] - x[up] * (t[up + 1] - t[up]) / (x[up + 1] - x[up])
    return np.array([norms.min(), norms.max(), 2 * np.pi / abs(slope), np.mean(np.diff(crossings))])


def told(found: Array) -> str:
    """The summary in words."""
    return f"norm [{found[0]:.5f}, {found[1]:.5f}], period {found[2]:.5f} by slope, {found[3]:.5f} by crossings"


def main(quick: bool, out: Path) -> list[Verdict]:
    """Verdicts on norm and period at both levels; the orbits are drawn in `oscillator.png`."""
    game = mf.games.oscillator()
    known, start = game.answers, game.answers["start"]
    flow = mf.Langevin(known["beta"])
    exact = (*known["norm"], known["period"], known["period_by_crossings"])
    names = ("least norm", "greatest norm", "period by slope", "period by crossings")
    paths: dict[str, Array] = {}

    def solved(name: str, every: float = 0.02, **how: object) -> Array:
        clock = perf_counter()
        run = mf.solve(game, flow, start, 60.0, save_every=every, **how)  # type: ignore[arg-type]
        paths[name] = orbit(run)
        found = summary(run.times, paths[name])
        print(f"  {name}: {told(found)}, {perf_counter() - clock:.2f} s")
        return found

    verdicts = []
    galerkin = solved("Galerkin, 256 modes", cells=256)
    verdicts += [Verdict(f"{n}, Galerkin", *v, 1e-4) for n, *v in zip(names, galerkin, exact, strict=True)]
    coarse, fine = (
        solved(f"finite volumes, {N} cells", cells=N, engine="finite-volume", weights="sg", tol=1e-5)
        for N in (512, 1024)
    )
    better = fine + (fine - coarse) / 3
    verdicts += [Verdict(f"{n}, finite volumes", *v, 3e-4) for n, *v in zip(names, better, exact, strict=True)]
    n = 4_000 if quick else 100_000
    clock = perf_counter()
    swarm = mf.simulate(game, flow, start, 60.0, step=0.02, scheme="strang", particles=n, save_every=0.04)
    paths[f"{n} particles"] = orbit(swarm)
    found = summary(swarm.times, paths[f"{n} particles"])
    print(f"  {n} particles: {told(found)}, {perf_counter() - clock:.2f} s")
    # Independent particles give each mean a standard deviation below (0.5/n)^(1/2); the phase wanders by
    # about (5.5/n)^(1/2) over the window's ten turns, that is a tenth of a turn's share each.
    radial, phase = 4 * np.sqrt(0.5 / n), 4 * np.sqrt(5.5 / n) * 0.1
    verdicts += [
        Verdict(f"{name}, particles", value, truth, spread)
        for name, value, truth, spread in zip(names, found, exact, (radial, radial, phase, phase), strict=True)
    ]
    draw(paths, out / "oscillator.png")
    return verdicts


def draw(paths: dict[str, Array], path: Path) -> None:
    """Orbits in the plane of (E sin x, E sin y)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(paths), 3.4), layout="constrained")
    for ax, (name, points) in zip(figure.subplots(1, len(paths)), paths.items(), strict=True):
        ax.plot(*points.T, lw=0.7)
        ax.set(title=name, xlabel="E sin x", ylabel="E sin y", aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    command(["oscillator"])
