"""The oscillator on the circle: particles converge to the mean field, the mean field does not
converge.

l = V(x) - V(y) + 3 sin x sin y at beta = 25: the mean field (7) settles on a limit cycle around a
stable Gibbs point, and n particles follow it within sup_t E W2^2 of order 1/n.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, merged, save_png
from meanfield.plotting import pages
from meanfield.plotting.comparison import draw_distances, draw_rate
from meanfield.plotting.style import new_figure, styled
from meanfield.studies.curves import pack, unpack

BETA, CENTRES, STD = 25.0, (1.1, 0.0), 0.2
BINS = 128
CAPTION = """
The oscillator l = V(x) - V(y) + 3 sin x sin y at beta = 25. Above: the density of the mean field
(7) and of particles, binned, over time; the last colour stands for all higher densities. Below:
(E sin x, E sin y) of both; the mean over replicas of W2^2_x + W2^2_y between n particles and the
mean field, with 95% bands that hold at one time each; its supremum over time against n, with 95%
intervals that hold for all times at once, the power of n fitted to it, the slope -1 through the
same centre, and the bias that the time step leaves.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "game": "oscillator, coupling 3",
        "beta": BETA,
        "centres": CENTRES,
        "std": STD,
        "time": 20.0,
        "cells": 256,
        "particles": 1000,
        "save_every": 0.05,
        "step": 5e-3,
        "seed": 0,
        "sizes": [100, 1000, 10_000] if quick else [100, 1000, 10_000, 100_000],
        "replicas": [60, 40, 24] if quick else [1000, 400, 200, 100],
        "compare_time": 2.0,
        "compare_step": 1e-2,
        "compare_saves": 10 if quick else 20,
    }


def problem(s: dict[str, Any]) -> dict[str, Any]:
    """The game, the flow and the start of every part."""
    x, y = (mf.concentrated(c, std=s["std"]) for c in s["centres"])
    return {
        "game": mf.games.oscillator(coupling=3.0),
        "flow": mf.Langevin(beta=s["beta"]),
        "start": mf.Start(x=x, y=y),
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    return {
        "the mean field (7)": partial(mean_field, s),
        f"{s['particles']} particles": partial(particles, s),
        "the Gibbs point (9)": partial(gibbs_point, s),
        "particles against the mean field": partial(distances, s, folder / "compare.h5"),
    }


def joined(s: dict[str, Any], found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {"particles": np.array(s["particles"]), **merged(found)}


def mean_field(s: dict[str, Any]) -> dict[str, np.ndarray]:
    field = mf.solve(
        **problem(s), time=s["time"], cells=s["cells"], save_every=s["save_every"]
    )  # fmt: skip
    masses = {f"field_{p}": np.array([m.masses for m in getattr(field, p)]) for p in "xy"}
    return {"times": field.times, "field_orbit": orbit(field), **masses}


def particles(s: dict[str, Any]) -> dict[str, np.ndarray]:
    swarm = mf.simulate(
        **problem(s), time=s["time"], step=s["step"], scheme="strang", particles=s["particles"],
        seed=s["seed"], save_every=s["save_every"],
    )  # fmt: skip
    bins = mf.mesh(mf.Torus(1), BINS)
    masses = {
        f"swarm_{p}": np.array([m.deposit(bins).masses for m in getattr(swarm, p)]) for p in "xy"
    }
    return {"swarm_orbit": orbit(swarm), **masses}


def gibbs_point(s: dict[str, Any]) -> dict[str, np.ndarray]:
    point = mf.gibbs(problem(s)["game"], beta=s["beta"])
    return {"gibbs": np.array([sine(point.x), sine(point.y)])}


def distances(s: dict[str, Any], checkpoint: Path) -> dict[str, np.ndarray]:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    comparison = mf.compare(
        **problem(s), time=s["compare_time"], particles=s["sizes"], replicas=s["replicas"],
        step=s["compare_step"], seed=s["seed"], cells=s["cells"],
        save_every=s["compare_time"] / s["compare_saves"], checkpoint=checkpoint,
    )  # fmt: skip
    return pack(comparison, "compare")


def sine(measure: mf.Measure) -> float:
    return float(measure.integrate(lambda x: np.sin(x[:, 0])))


def orbit(run: mf.Trajectory) -> np.ndarray:
    """(E sin x, E sin y) at every saved time, (T, 2)."""
    return np.array([[sine(x), sine(y)] for x, y in run])


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    data = load(path)
    with styled():
        figure = new_figure(10.4, 6.6)
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.12, 1))
        draw_flows(top, data)
        left, middle, right = bottom.subplots(1, 3, width_ratios=(1, 1.25, 1.25))
        draw_orbit(left, data)
        comparison = unpack(data, "compare")
        draw_distances(middle, comparison)
        draw_rate(right, comparison)
    return save_png(figure, path, CAPTION)


def draw_flows(part: Any, data: dict[str, np.ndarray]) -> None:
    """Space-time pictures: the mean field on the left, particles on the right, x above y."""
    titles = ("mean field (7)", f"$n = {int(data['particles'])}$ particles, Algorithm 1's flow (4)")
    levels = []
    for title, level in zip(titles, ("field", "swarm"), strict=True):
        x, y = (data[f"{level}_{name}"] for name in "xy")
        on = mf.mesh(mf.Torus(1), x.shape[1])
        sides = ([mf.Density(m, on) for m in side] for side in (x, y))
        levels.append((title, data["times"], *sides))
    pages.draw_flows(part, levels)


def draw_orbit(ax: Any, data: dict[str, np.ndarray]) -> None:
    """(E sin x, E sin y): a limit cycle around a stable Gibbs point."""
    names = r"$\mathbb{E}\,\sin x$", r"$\mathbb{E}\,\sin y$"
    pages.draw_orbit(ax, data["field_orbit"], data["swarm_orbit"], data["gibbs"], names)
    ax.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    ax.set_aspect("equal")
    ax.legend(loc="center", bbox_to_anchor=(0.5, 0.36), handlelength=1.2, markerscale=1)
    ax.set_title("the orbit: a limit cycle")
