"""Every scheme's orders in space and time, and what it keeps: mass, sign, the Gibbs state.

On the coupled circle problem l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y, beta = 10, T = 5
(`meanfield.games.benchmark("circle")`), error = the larger player's L1 error of nodal densities.
The reference is that of `validation/schemes_reference.py`, which uses nothing of the package.
Orders: 2 in space for two-point fluxes, p for staggered differences of order p, exponential for
Galerkin, which ends 1e-11 from the reference; 4 in time. Without diffusion ((8), T = 1), in
moments, MUSCL is of order 1.7 and characteristics end 1e-11 from the reference.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.schemes_reference import Solution, solved
from validation.suite import Part

MODES = 80  # of the reference
GAME = mf.games.benchmark("circle")
BETA, TIME, START = (GAME.answers[key] for key in ("beta", "time", "start"))
FLOW = mf.Langevin(BETA)

# name -> engine, options, nodes, order in space
IN_SPACE: dict[str, tuple[str, dict[str, Any], list[int], float]] = {
    "finite volumes, curved": ("finite-volume", {"weights": "curved"}, [48, 96, 192, 384], 2),
    "finite volumes, sg": ("finite-volume", {"weights": "sg"}, [48, 96, 192, 384], 2),
    "finite volumes, face": ("finite-volume", {"weights": "face"}, [48, 96, 192, 384], 2),
    "finite volumes, sqrt": ("finite-volume", {"weights": "sqrt"}, [48, 96, 192, 384], 2),
    "staggered, p = 4": ("staggered", {"order": 4}, [64, 96, 128, 192], 4),
    "staggered, p = 6": ("staggered", {"order": 6}, [64, 96, 128, 192], 6),
    "staggered, p = 8": ("staggered", {"order": 8}, [64, 96, 128], 8),
    "Galerkin": ("galerkin", {}, [32, 48, 64, 96], np.inf),
}
# name -> engine, cells, options, steps
IN_TIME: dict[str, tuple[str, int, dict[str, Any], list[int]]] = {
    "CF4, finite volumes": ("finite-volume", 64, {"weights": "sg"}, [100, 200, 400]),
    "staggered": ("staggered", 64, {"order": 4}, [100, 200, 400]),
    "ETDRK4, Galerkin": ("galerkin", 48, {}, [200, 400, 800]),
}
# engine -> cells, options
AT_REST: dict[str, tuple[int, dict[str, Any]]] = {
    "finite-volume": (64, {"weights": "sg"}),
    "staggered": (64, {"order": 4}),
    "galerkin": (128, {"tol": 1e-10}),
}


@dataclass(frozen=True)
class Settings:
    """Schemes by name; what the temperature of the reference and of the state of rest is multiplied
    by, and the speed of the reference without diffusion divided by (1: nothing).
    """

    in_space: tuple[str, ...] = tuple(IN_SPACE)
    in_time: tuple[str, ...] = tuple(IN_TIME)
    at_rest: tuple[str, ...] = tuple(AT_REST)
    heated: float = 1.0
    flowing: bool = True


QUICK = FULL = Settings()
SABOTAGES = {
    "a reference at another temperature": Settings(
        ("finite volumes, sg",), (), (), 1.01, flowing=False
    ),
    "a reference that is off by a millionth": Settings(
        ("Galerkin",), (), (), 1 + 1e-6, flowing=False
    ),
    "a Gibbs state at another temperature": Settings(
        (), (), ("finite-volume",), 1.0001, flowing=False
    ),
    "alpha and gamma off by a millionth": Settings((), (), (), 1 + 1e-6),
}


def final(engine: str, cells: int, flow: mf.flows.Flow = FLOW, **how: Any) -> mf.Trajectory:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # coarse meshes are the point here
        return mf.solve(GAME, flow, START, TIME, cells=cells, engine=engine, save_every=TIME, **how)


def reference(heated: float) -> Solution:
    return solved("circle", MODES, TIME, tau=heated / BETA)


def error(run: mf.Trajectory, exact: Solution) -> float:
    """The larger player's L1 error of nodal densities at the end."""
    gaps = [np.abs(mu.values - exact.density(p, mu.points)) for p, mu in enumerate(run[-1])]
    return max(float(off @ mu.mesh.volumes) for off, mu in zip(gaps, run[-1], strict=True))


def apart(run: mf.Trajectory, exact: mf.Trajectory) -> float:
    """The same between two runs on one mesh."""
    pairs = zip(run[-1], exact[-1], strict=True)
    return max(float(np.abs(a.masses - b.masses).sum()) for a, b in pairs)


def slope(sizes: Array, errors: Array) -> float:
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def in_space(name: str, heated: float) -> dict[str, Any]:
    """Errors at several numbers of nodes."""
    engine, options, nodes, _ = IN_SPACE[name]
    exact, tol = reference(heated), 1e-12 if engine == "galerkin" else 1e-11
    return {
        "sizes": nodes,
        "errors": [error(final(engine, N, tol=tol, **options), exact) for N in nodes],
    }


def in_time(name: str) -> dict[str, Any]:
    """Errors at several numbers of steps, against eight times the largest."""
    engine, cells, options, steps = IN_TIME[name]
    exact = final(engine, cells, step=TIME / (8 * steps[-1]), **options)
    return {
        "sizes": steps,
        "errors": [apart(final(engine, cells, step=TIME / n, **options), exact) for n in steps],
    }


def one_cell() -> dict[str, Any]:
    """Finite volumes from one cell at steps of 10: the least mass, the total's drift."""
    drop = np.zeros(64)
    drop[5] = 1.0
    mu = mf.Density(drop, mf.mesh(mf.Torus(1), 64))
    how: dict[str, Any] = {"cells": 64, "engine": "finite-volume", "step": 10.0, "save_every": 10.0}
    run = mf.solve(GAME, FLOW, mf.Start(x=mu, y=mu), 30.0, **how)
    return {"least": min(m.masses.min() for pair in run for m in pair), "drift": drift(run)}


def at_rest(engine: str, heated: float) -> dict[str, Any]:
    """How far a Gibbs state and its mass move until t = 20."""
    cells, options = AT_REST[engine]
    rest = mf.gibbs(GAME, BETA / heated, cells=cells)
    start = mf.Start(x=rest.x, y=rest.y)
    run = mf.solve(GAME, FLOW, start, 20.0, cells=cells, engine=engine, save_every=5.0, **options)
    moved = np.max(
        [mf.total_variation(a, b) for a, b in zip(run[-1], (rest.x, rest.y), strict=True)]
    )
    return {"moved": moved, "drift": drift(run)}


def drift(run: mf.Trajectory) -> float:
    return float(np.max([abs(m.masses.sum() - 1) for pair in run for m in pair]))


def without_diffusion(slowed: float) -> dict[str, Any]:
    """Errors of E exp(ikx), k = 1, 2, 3, at T = 1 under (8), by MUSCL and by characteristics.

    slowed: what the reference's gamma and alpha are divided by.
    """

    def moments(**how: Any) -> Array:
        run, waves = (
            mf.solve(GAME, mf.WassersteinFisherRao(1.0, 1.0), START, 1.0, save_every=1.0, **how),
            np.arange(1, 4),
        )
        return np.array([m.integrate(np.exp(1j * waves * m.points)) for m in run[-1]])

    rho = solved("circle", 96, 1.0, 1 / slowed, 1 / slowed).coefficients.T * np.pi**0.5
    exact = rho[:, 1:7:2] + 1j * rho[:, 2:7:2]
    nodes, labels = [128, 256, 512], [48, 96, 192, 384]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)
        muscl = [np.abs(moments(cells=N, engine="muscl") - exact).max() for N in nodes]
        spectral = [np.abs(moments(cells=N) - exact).max() for N in labels]
    return {"sizes": nodes, "errors": muscl, "labels": labels, "spectral": spectral}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {
        f"space {name}": partial(in_space, name, s.heated) for name in s.in_space
    }
    found |= {f"time {name}": partial(in_time, name) for name in s.in_time}
    found |= {f"rest {engine}": partial(at_rest, engine, s.heated) for engine in s.at_rest}
    if s.flowing:
        found["without diffusion"] = partial(without_diffusion, s.heated)
    if s.heated == 1:
        found["one cell"] = partial(one_cell)
    return found


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for name in s.in_space:
        sizes, errors = (data[f"space {name}"][key] for key in ("sizes", "errors"))
        if name == "Galerkin":
            # A straight line in N, far steeper than any power.
            digits = -np.polyfit(sizes, np.log10(errors), 1)[0]
            verdicts.append(Verdict("digits gained per node, Galerkin", digits, 0.14, 0.03))
            claim = f"Galerkin, {sizes[-1]} nodes, off the independent reference"
            verdicts.append(below(claim, float(errors[-1]), 1e-11))
        else:
            p = IN_SPACE[name][3]
            verdicts.append(Verdict(f"order in space, {name}", -slope(sizes, errors), p, 0.05 * p))
    for name in s.in_time:
        held = data[f"time {name}"]
        verdicts.append(
            Verdict(f"order in time, {name}", -slope(held["sizes"], held["errors"]), 4.0, 0.15)
        )
    for engine in s.at_rest:
        held = data[f"rest {engine}"]
        verdicts.append(
            below(f"drift from the Gibbs state to t = 20, {engine}", float(held["moved"]), 1e-11)
        )
        verdicts.append(below(f"mass drift to t = 20, {engine}", float(held["drift"]), 1e-13))
    if "one cell" in data:
        one = data["one cell"]
        verdicts += [
            below(
                "negative mass from one cell at dt = 10, finite volumes",
                max(-float(one["least"]), 0.0),
                0.0,
            ),
            below("mass drift at dt = 10, finite volumes", float(one["drift"]), 1e-14),
        ]
    if s.flowing:
        flowing = data["without diffusion"]
        order, last = -slope(flowing["sizes"], flowing["errors"]), int(flowing["labels"][-1])
        claim = f"error of moments by {last} characteristics at T = 1"
        verdicts += [
            Verdict("order in space, MUSCL, moments at T = 1", order, 1.7, 0.2),
            below(claim, float(flowing["spectral"][-1]), 1e-9),
        ]
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Errors against resolution."""
    from matplotlib.figure import Figure

    from validation.pictures import legends

    figure = Figure(figsize=(12.5, 4.5), layout="constrained")
    space, time = figure.subplots(1, 2)
    for name in s.in_space:
        space.loglog(
            1 / data[f"space {name}"]["sizes"], data[f"space {name}"]["errors"], "o-", label=name
        )
    for name in s.in_time:
        time.loglog(
            TIME / data[f"time {name}"]["sizes"], data[f"time {name}"]["errors"], "o-", label=name
        )
    if s.flowing:
        held = data["without diffusion"]
        space.loglog(1 / held["sizes"], held["errors"], "s--", label="(8): MUSCL, moments")
        space.loglog(
            1 / held["labels"], held["spectral"], "s--", label="(8): characteristics, moments"
        )
    space.set(xlabel="1 / nodes", ylabel="error", title="space")
    time.set(xlabel="step", ylabel="error", title="time")
    legends((space, time), fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return {"errors": figure}
