"""A second game on the circle, by two flows: W2 between particles and the mean field.

l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y, both players from (1 + 0.5 cos)/2 pi, by Langevin
descent-ascent at beta = 10 ((4) against (7)) and by Wasserstein-Fisher-Rao ((5) against (8)).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, merged, save_png
from meanfield.plotting.comparison import draw_distances, draw_errors, draw_rate
from meanfield.plotting.style import new_figure, styled
from meanfield.studies.curves import pack, unpack

FLOWS = {
    "langevin": (mf.Langevin(beta=10.0), r"Langevin, $\beta = 10$"),
    "wfr": (
        mf.WassersteinFisherRao(gamma=1.0, alpha=1.0),
        r"Wasserstein-Fisher-Rao, $\gamma = \alpha = 1$",
    ),
}

CAPTION = """
l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y on the circle. Left: the mean over replicas of
W2^2_x + W2^2_y between n particles and the mean field, with 95% bands that hold at one time each.
Middle: its supremum over time against n, with 95% intervals that hold for all times at once, the
power of n fitted to it and, through the same centre, the slope -1 of large n: at n = 100 terms of
higher order in 1/n still count. Right: the mean Nikaido-Isoda error of the particles,
with 95% bands, and that of the mean field.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "game": "circle benchmark",
        "flows": {name: repr(flow) for name, (flow, _) in FLOWS.items()},
        "time": {"langevin": 1.0, "wfr": 0.5},
        "step": 1e-2,
        "saves": 10 if quick else 20,
        "seed": 0,
        "sizes": [100, 1000, 10_000] if quick else [100, 1000, 10_000, 100_000],
        "replicas": [60, 40, 24] if quick else [1000, 400, 200, 100],
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    return {repr(flow): partial(distances, s, name, folder) for name, (flow, _) in FLOWS.items()}


def joined(s: dict[str, Any], found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return merged(found)


def distances(s: dict[str, Any], name: str, folder: Path) -> dict[str, np.ndarray]:
    game = mf.games.benchmark("circle")
    folder.mkdir(parents=True, exist_ok=True)
    comparison = mf.compare(
        game, FLOWS[name][0], game.answers["start"], time=s["time"][name], particles=s["sizes"],
        replicas=s["replicas"], step=s["step"], seed=s["seed"],
        save_every=s["time"][name] / s["saves"], checkpoint=folder / f"{name}.h5",
    )  # fmt: skip
    return pack(comparison, name)


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    data = load(path)
    with styled():
        figure = new_figure(10.4, 3.4 * len(FLOWS))
        parts = figure.subfigures(len(FLOWS), 1)
        for part, (name, (_, title)) in zip(parts, FLOWS.items(), strict=True):
            part.suptitle(title, fontsize=10)
            comparison = unpack(data, name)
            for ax, panel in zip(
                part.subplots(1, 3), (draw_distances, draw_rate, draw_errors), strict=True
            ):
                panel(ax, comparison)
    return save_png(figure, path, CAPTION)
