"""On T^2 and S^2 every scheme has its order in space and time, and keeps mass, sign and the Gibbs
state.

The coupled problems of `meanfield.games.benchmark("torus")` and `("sphere")` under equation (7),
beta = 10, T = 1; error = the larger player's L1 error of nodal densities against the Galerkin
methods of `validation/schemes_reference.py`, which use nothing of the package. The package's own
Galerkin and harmonics engines are held against them at the size at which both truncate alike, or
not at all. Cells of S^2 are those of icosahedral grids.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.density.engine import Engine
from meanfield.density.solve import build
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, above, below
from validation.schemes import slope
from validation.schemes_reference import Solution, solved
from validation.suite import Part

TIME, BETA = 1.0, 10.0
REFERENCE = {"torus": 40, "sphere": 28}  # modes an axis; degrees
# engine, its cells or degree, the reference's, how near they are: on T^2 one mode more counts.
ALIKE = {"torus": ("galerkin", 96, 40, 1e-8), "sphere": ("harmonics", 24, 24, 1e-11)}
# name -> problem, engine, options, cells per axis (T^2), cells or degrees (S^2), order in 1/nodes
# per axis
SPACE: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...], float]] = {
    "T^2 finite volumes": (
        "torus",
        "finite-volume",
        {"weights": "sg", "tol": 1e-6},
        (24, 48, 96),
        2,
    ),
    "T^2 staggered, p = 4": ("torus", "staggered", {"order": 4, "tol": 1e-8}, (24, 48, 96), 4),
    "T^2 staggered, p = 6": ("torus", "staggered", {"order": 6, "tol": 1e-9}, (24, 48, 96), 6),
    "T^2 Galerkin": ("torus", "galerkin", {"tol": 1e-11}, (24, 32, 48), np.inf),
    "S^2 finite volumes": (
        "sphere",
        "finite-volume",
        {"weights": "sg", "tol": 1e-6},
        (162, 642, 2562, 10_242),
        2,
    ),
    "S^2 harmonics": ("sphere", "harmonics", {"tol": 1e-11}, (12, 16, 20, 24), np.inf),
}
# name -> problem, engine, options, cells, steps
IN_TIME: dict[str, tuple[str, str, dict[str, Any], int, tuple[int, ...]]] = {
    "T^2 finite volumes": ("torus", "finite-volume", {"weights": "sg"}, 16, (50, 100, 200)),
    "T^2 Galerkin": ("torus", "galerkin", {}, 24, (100, 200, 400)),
    "S^2 finite volumes": ("sphere", "finite-volume", {"weights": "sg"}, 162, (50, 100, 200)),
    "S^2 harmonics": ("sphere", "harmonics", {}, 14, (100, 200, 400)),
}
AT_REST = {"T^2": ("torus", 32), "S^2": ("sphere", 642)}
DROP = {"T^2": 24, "S^2": 642}


@dataclass(frozen=True)
class Settings:
    """How many sizes of every scheme; which schemes, and engines held against the reference alone;
    by what the reference's temperature is multiplied.
    """

    sizes: int
    space: tuple[str, ...] = tuple(SPACE)
    alike: tuple[str, ...] = tuple(ALIKE)
    others: bool = True
    heated: float = 1.0


QUICK, FULL = Settings(3), Settings(4)
SABOTAGES = {
    "a reference at another temperature": Settings(
        3, ("S^2 finite volumes",), (), False, heated=1.1
    ),
    "a temperature off by a millionth": Settings(3, (), ("sphere",), False, heated=1 + 1e-6),
}


def run(problem: str, engine: str, cells: int, heated: float = 1.0, **how: Any) -> Any:
    """An engine at T."""
    game = mf.games.benchmark(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # coarse meshes are the point here
        moving: Engine = build(
            game,
            mf.Langevin(BETA / heated),
            game.answers["start"],
            engine=engine,
            cells=cells,
            **how,
        )
        moving.advance(TIME)
        moving.measures()  # warns, once
    return moving


def reference(problem: str, size: int, heated: float) -> Solution:
    return solved(problem, size, TIME, tau=heated / BETA)


def error(moving: Any, exact: Solution) -> float:
    """The larger player's L1 error at its nodes; of series in harmonics, at those of 2562 cells."""
    worst = 0.0
    for p, mu in enumerate(moving.measures()):
        grid = mf.mesh(mf.Sphere(2), 2562) if hasattr(moving, "density") else mu.mesh
        values = moving.density(p, grid.nodes) if hasattr(moving, "density") else mu.values
        off = np.abs(values - exact.density(p, grid.nodes))
        worst = max(worst, float(off @ grid.volumes))
    return worst


def in_space(name: str, sizes: int, heated: float) -> dict[str, Any]:
    problem, engine, how, cells, _ = SPACE[name]
    exact = reference(problem, REFERENCE[problem], heated)
    return {
        "cells": cells[:sizes],
        "errors": [error(run(problem, engine, n, **how), exact) for n in cells[:sizes]],
    }


def in_time(name: str) -> dict[str, Any]:
    problem, engine, how, cells, steps = IN_TIME[name]
    exact = run(problem, engine, cells, step=TIME / (8 * steps[-1]), **how)
    found = [run(problem, engine, cells, step=TIME / n, **how) for n in steps]
    return {"steps": steps, "errors": [apart(a, exact) for a in found]}


def apart(a: Any, b: Any) -> float:
    """L1 between two runs of one engine on one mesh."""
    pairs = zip(a.measures(), b.measures(), strict=True)
    return max(float(np.abs(x.masses - y.masses).sum()) for x, y in pairs)


def alike(problem: str, heated: float) -> dict[str, Any]:
    """How far a spectral engine is from the reference; how far its mass is from one."""
    engine, cells, size, _ = ALIKE[problem]
    moving = run(problem, engine, cells, tol=1e-12)
    masses = [abs(mu.masses.sum() - 1) for mu in moving.measures()]
    return {"gap": error(moving, reference(problem, size, heated)), "mass": max(masses)}


def kept(space: str) -> dict[str, Any]:
    """Finite volumes: from one cell at steps of 10, and from the Gibbs state to t = 20."""
    problem, cells = AT_REST[space]
    game, flow = mf.games.benchmark(problem), mf.Langevin(BETA)
    on = mf.mesh(game.X, cells), mf.mesh(game.Y, cells)
    grid = mf.mesh(game.X, DROP[space])
    drop = np.zeros(len(grid))
    drop[5] = 1.0
    mu = mf.Density(drop, grid)
    how: dict[str, Any] = {"engine": "finite-volume", "weights": "sg"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)
        huge = mf.solve(
            game,
            flow,
            mf.Start(mu, mu),
            30.0,
            cells=(grid, grid),
            step=10.0,
            save_every=10.0,
            **how,
        )
        rest = mf.gibbs(game, BETA, cells=on)
        still = mf.solve(
            game,
            flow,
            mf.Start(rest.x, rest.y),
            20.0,
            cells=on,
            save_every=10.0,
            tol=1e-5,
            **how,
        )
    return {
        "least": min(m.masses.min() for pair in huge for m in pair),
        "drift": np.max(
            [abs(m.masses.sum() - 1) for held in (huge, still) for pair in held for m in pair]
        ),
        "moved": np.max(
            [mf.total_variation(a, b) for a, b in zip(still[-1], (rest.x, rest.y), strict=True)]
        ),
    }


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {
        f"space {name}": partial(in_space, name, s.sizes, s.heated) for name in s.space
    }
    found |= {f"alike {problem}": partial(alike, problem, s.heated) for problem in s.alike}
    if s.others:
        found |= {f"time {name}": partial(in_time, name) for name in IN_TIME}
        found |= {f"kept {space}": partial(kept, space) for space in AT_REST}
    return found


def nodes_per_axis(name: str, cells: Array) -> Array:
    return np.sqrt(cells) if name == "S^2 finite volumes" else cells


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for name in s.space:
        cells, errors = (data[f"space {name}"][key] for key in ("cells", "errors"))
        p = SPACE[name][4]
        if np.isinf(p):
            digits = -np.polyfit(cells, np.log10(errors), 1)[0]
            verdicts.append(above(f"digits gained per node or degree, {name}", digits, 0.1))
        else:
            verdicts.append(
                Verdict(
                    f"order in space, {name}",
                    -slope(nodes_per_axis(name, cells), errors),
                    p,
                    0.06 * p,
                )
            )
    for problem in s.alike:
        engine, cells, _, within = ALIKE[problem]
        held = data[f"alike {problem}"]
        claim = f"{engine} of size {cells} off the independent reference, {problem}"
        verdicts.append(below(claim, float(held["gap"]), within))
        verdicts.append(below(f"its mass drift, {problem}", float(held["mass"]), 1e-13))
    if not s.others:
        return verdicts
    for name in IN_TIME:
        held = data[f"time {name}"]
        verdicts.append(
            Verdict(f"order in time, {name}", -slope(held["steps"], held["errors"]), 4.0, 0.25)
        )
    for space in AT_REST:
        held = data[f"kept {space}"]
        verdicts += [
            below(
                f"negative mass from one cell at dt = 10, {space}",
                max(-float(held["least"]), 0.0),
                0.0,
            ),
            below(f"mass drift, {space}", float(held["drift"]), 1e-13),
            below(f"drift from the Gibbs state to t = 20, {space}", float(held["moved"]), 1e-11),
        ]
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Errors against resolution."""
    from matplotlib.figure import Figure

    from validation.pictures import legends

    figure = Figure(figsize=(11, 4), layout="constrained")
    space, time = figure.subplots(1, 2)
    for name in s.space:
        held = data[f"space {name}"]
        space.loglog(nodes_per_axis(name, held["cells"]), held["errors"], "o-", label=name)
    for name in IN_TIME if s.others else ():
        held = data[f"time {name}"]
        time.loglog(TIME / held["steps"], held["errors"], "o-", label=name)
    space.set(
        xlabel="nodes per axis, square root of cells, degree", ylabel="L1 error", title="space"
    )
    time.set(xlabel="step", ylabel="L1 error", title="time")
    legends((space, time), fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return {"errors": figure}
