"""Every scheme's orders in space and time, and what it keeps: mass, sign, the Gibbs state.

On the coupled circle problem l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y, beta = 10, T = 5
(`meanfield.games.benchmark("circle")`), error = the larger player's L1 error of nodal densities. The
reference is the Galerkin engine, itself held against a pseudo-spectral method of other code by the
tests. Orders: 2 in space for two-point fluxes, p for staggered differences of order p, exponential for
Galerkin; 4 in time. Without diffusion ((8), T = 1) MUSCL is of order 1.7 in moments against
characteristics.

    python -m validation schemes [--quick]
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from validation.verdicts import Verdict, command

FINEST = 768
GAME = mf.games.benchmark("circle")
BETA, TIME, START = (GAME.answers[key] for key in ("beta", "time", "start"))
FLOW = mf.Langevin(BETA)
Curves = dict[str, tuple[Array, Array]]

# name -> engine, options, nodes, order in space, its tolerance
LANGEVIN: dict[str, tuple[str, dict[str, Any], list[int], float]] = {
    "finite volumes, sg": ("finite-volume", {"weights": "sg"}, [48, 96, 192, 384], 2),
    "finite volumes, face": ("finite-volume", {"weights": "face"}, [48, 96, 192, 384], 2),
    "finite volumes, sqrt": ("finite-volume", {"weights": "sqrt"}, [48, 96, 192, 384], 2),
    "staggered, p = 4": ("staggered", {"order": 4}, [64, 96, 128, 192], 4),
    "staggered, p = 6": ("staggered", {"order": 6}, [64, 96, 128, 192], 6),
    "staggered, p = 8": ("staggered", {"order": 8}, [64, 96, 128], 8),
}


def final(engine: str, cells: int, **how: Any) -> mf.Trajectory:
    return mf.solve(GAME, FLOW, START, TIME, cells=cells, engine=engine, save_every=TIME, **how)


def error(run: mf.Trajectory, exact: mf.Trajectory) -> float:
    """The larger player's L1 error of nodal densities at the end; the exact run's nodes include the run's."""
    worst = 0.0
    for a, b in zip(run[-1], exact[-1], strict=True):
        every = len(b) // len(a)
        worst = max(worst, float(np.abs(a.values - b.values[::every]).sum() * a.mesh.volumes[0]))  # type: ignore[attr-defined]
    return worst


def slope(sizes: Array, errors: Array) -> float:
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def in_space(exact: mf.Trajectory, curves: Curves) -> list[Verdict]:
    verdicts = []
    for name, (engine, options, nodes, order) in LANGEVIN.items():
        errors = [error(final(engine, N, tol=1e-11, **options), exact) for N in nodes]
        curves[name] = (1 / np.array(nodes), np.array(errors))
        verdicts.append(Verdict(f"order in space, {name}", -slope(nodes, errors), order, 0.05 * order + 0.15))
    nodes = [32, 48, 64, 96]
    errors = [error(final("galerkin", N, tol=1e-12), exact) for N in nodes]
    curves["Galerkin"] = (1 / np.array(nodes), np.array(errors))
    # Digits gained per node: a straight line in N, far steeper than any power.
    digits = -np.polyfit(nodes, np.log10(errors), 1)[0]
    return [*verdicts, Verdict("digits gained per node, Galerkin", digits, 0.14, 0.05)]


def in_time(curves: Curves) -> list[Verdict]:
    verdicts = []
    for name, engine, cells, options, steps in (
        ("CF4, finite volumes", "finite-volume", 64, {"weights": "sg"}, [100, 200, 400]),
        ("staggered", "staggered", 64, {"order": 4}, [100, 200, 400]),
        ("ETDRK4, Galerkin", "galerkin", 48, {}, [200, 400, 800]),
    ):
        exact = final(engine, cells, step=TIME / (8 * steps[-1]), **options)
        errors = [error(final(engine, cells, step=TIME / n, **options), exact) for n in steps]
        curves[f"{name}, in time"] = (TIME / np.array(steps), np.array(errors))
        verdicts.append(Verdict(f"order in time, {name}", -slope(steps, errors), 4.0, 0.15))
    return verdicts


def kept() -> list[Verdict]:
    verdicts = []
    drop = np.zeros(64)
    drop[5] = 1.0
    one_cell = mf.Density(drop, mf.mesh(mf.Torus(1), 64))
    huge = mf.solve(
        GAME, FLOW, mf.Start(x=one_cell, y=one_cell), 30.0, cells=64, engine="finite-volume", step=10.0, save_every=10.0
    )
    least = min(m.masses.min() for pair in huge for m in pair)
    drift = max(abs(m.masses.sum() - 1) for pair in huge for m in pair)
    verdicts += [
        Verdict("negative mass from one cell at dt = 10, finite volumes", max(-least, 0.0), 0.0, 0.0),
        Verdict("mass drift at dt = 10, finite volumes", drift, 0.0, 1e-14),
    ]
    fixed = mf.gibbs(GAME, BETA, cells=64)
    for engine, cells, options in (
        ("finite-volume", 64, {"weights": "sg"}), ("staggered", 64, {"order": 4}), ("galerkin", 128, {"tol": 1e-10}),
    ):  # fmt: skip
        rest = fixed if cells == 64 else mf.gibbs(GAME, BETA, cells=cells)
        at_rest = mf.Start(x=rest.x, y=rest.y)
        run = mf.solve(GAME, FLOW, at_rest, 20.0, cells=cells, engine=engine, save_every=5.0, **options)
        moved = max(mf.total_variation(a, b) for a, b in zip(run[-1], (rest.x, rest.y), strict=True))
        verdicts.append(Verdict(f"drift from the Gibbs state to t = 20, {cells} cells, {engine}", moved, 0.0, 1e-11))
        drift = max(abs(m.masses.sum() - 1) for pair in run for m in pair)
        verdicts.append(Verdict(f"mass drift to t = 20, {engine}", drift, 0.0, 1e-13))
    return verdicts


def without_diffusion(curves: Curves) -> list[Verdict]:
    """MUSCL against characteristics in the moments E exp(ikx), k = 1, 2, 3, at T = 1."""
    flow = mf.WassersteinFisherRao(1.0, 1.0)

    def moments(run: mf.Trajectory) -> Array:
        waves = np.arange(1, 4)
        return np.array([m.integrate(np.exp(1j * waves * m.points)) for m in run[-1]])

    exact = moments(mf.solve(GAME, flow, START, 1.0, cells=1024, save_every=1.0))
    nodes = [128, 256, 512]
    errors = [
        np.abs(moments(mf.solve(GAME, flow, START, 1.0, cells=N, engine="muscl", save_every=1.0)) - exact).max()
        for N in nodes
    ]
    few = [48, 96, 192]
    spectral = [np.abs(moments(mf.solve(GAME, flow, START, 1.0, cells=N, save_every=1.0)) - exact).max() for N in few]
    curves["MUSCL, moments"] = (1 / np.array(nodes), np.array(errors))
    curves["characteristics, moments"] = (1 / np.array(few), np.array(spectral))
    return [
        Verdict("order in space, MUSCL, moments at T = 1", -slope(nodes, errors), 1.7, 0.2),
        Verdict("moments by 192 characteristics at T = 1", spectral[-1], 0.0, 1e-4),
    ]


def draw(curves: Curves, path: Path) -> None:
    """Errors against resolution."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(12.5, 4.5), layout="constrained")
    space, time = figure.subplots(1, 2)
    for name, (h, errors) in curves.items():
        (time if name.endswith("in time") else space).loglog(h, errors, "o-", label=name.removesuffix(", in time"))
    space.set(xlabel="1 / nodes", ylabel="error", title="space")
    time.set(xlabel="step", ylabel="error", title="time")
    for ax in (space, time):
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=120)


def main(quick: bool, out: Path) -> list[Verdict]:
    """Orders, and what is kept; quick and full are the same. The picture is `schemes.png`."""
    curves: Curves = {}
    exact = final("galerkin", FINEST, tol=1e-12)
    with warnings.catch_warnings():
        # Coarse meshes are the point here.
        warnings.simplefilter("ignore", mf.UnderResolved)
        verdicts = [*in_space(exact, curves), *in_time(curves), *kept(), *without_diffusion(curves)]
    draw(curves, out / "schemes.png")
    return verdicts


if __name__ == "__main__":
    command(["schemes"])
