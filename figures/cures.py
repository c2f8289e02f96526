"""Which flow cures what: the oscillator over (beta, coupling) under (7) and under later flows.

l = V(x) - V(y) + a sin x sin y from the two narrow bumps from which (7) settles on a cycle. A flow
is told by where it is at the end: how far its moments are from those of the Gibbs point, and
whether they still turn as widely as at half the time. The basin of (7)'s cycle is the share of
random bumps that end on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.search import HELD, LOOKS, STD, moments, width
from figures.store import Parts, load, save_png, settings_of
from meanfield.density.choice import build
from meanfield.plotting.style import new_figure, styled

Make = Callable[[float], mf.Flow]
COMPOSITE = {"cells": 128}
# name -> the flow at beta, the time it is given, how it is solved
FLOWS: dict[str, tuple[Make, float, dict[str, Any]]] = {
    "(7)": (mf.Langevin, 200.0, {"tol": 1e-4}),
    "y 10 times faster": (lambda b: mf.TwoTimeScale(b, 10.0), 200.0, {"tol": 1e-4}),
    "y 10 times slower": (lambda b: mf.TwoTimeScale(b, 0.1), 200.0, {"tol": 1e-4}),
    "averaged gradients": (lambda b: mf.AveragedLangevin(b), 200.0, {**COMPOSITE, "tol": 1e-2}),
    "discounted gradients, 0.1": (
        lambda b: mf.DiscountedLangevin(b, 0.1), 200.0, {**COMPOSITE, "tol": 1e-2}
    ),
    "entropic best response": (mf.EntropicBestResponse, 12.0, {**COMPOSITE, "step": 0.002}),
    "entropic WFR, alpha = 1": (
        lambda b: mf.EntropicWassersteinFisherRao(b, 1.0, 1.0), 200.0, {**COMPOSITE, "step": 0.05}
    ),
    "entropic WFR, alpha = 3": (
        lambda b: mf.EntropicWassersteinFisherRao(b, 1.0, 3.0), 100.0, {**COMPOSITE, "step": 0.02}
    ),
}  # fmt: skip
BASIN = "basin of (7)'s cycle"
CAPTION = """
The oscillator l = V(x) - V(y) + a sin x sin y over beta and the coupling a, from two narrow bumps:
how far the moments E exp(ix), E exp(2ix) of both players are from the Gibbs point's (colour, the
mean of the last tenth of the time: 200, of best response 12, of WFR at alpha = 3 100); circles:
they turn as widely as at half that time. Last: the share of random bumps from which (7) ends on
its cycle.
"""


def settings(quick: bool) -> dict[str, Any]:
    flows = ["(7)", "y 10 times faster"] if quick else list(FLOWS)
    return {
        "betas": [14.0, 28.0] if quick else [12.0, 18.0, 25.0, 36.0],
        "couplings": [1.0, 4.0] if quick else [1.0, 1.5, 2.2, 3.2, 4.8],
        "flows": {name: FLOWS[name][1:] for name in flows},  # time and how each is solved
        "share": 0.2 if quick else 1.0,  # of the time that each flow is given
        "starts": 2 if quick else 12,
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    found: dict[str, Any] = {}
    for beta in s["betas"]:
        for name in s["flows"]:
            found[f"{name}, beta = {beta:g}"] = partial(row, s, name, beta)
        found[f"{BASIN}, beta = {beta:g}"] = partial(basin, s, beta)
    return found


def joined(s: dict[str, Any], found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    def grid(name: str, key: str) -> np.ndarray:
        return np.array([found[f"{name}, beta = {beta:g}"][key] for beta in s["betas"]])

    return {
        "names": np.array(list(s["flows"])),
        "away": np.array([grid(name, "away") for name in s["flows"]]),
        "turns": np.array([grid(name, "turns") for name in s["flows"]]),
        "basin": grid(BASIN, "share"),
    }


def row(s: dict[str, Any], name: str, beta: float) -> dict[str, Any]:
    """away, turns (A,) of a flow at all couplings, from the two narrow bumps."""
    make, time, how = FLOWS[name]
    start = mf.games.oscillator(3.0).answers["start"]
    ends = [
        late(mf.games.oscillator(a), make(beta), beta, start, time * s["share"], how)
        for a in s["couplings"]
    ]
    return dict(zip(("away", "turns"), np.array(ends).T, strict=True))


def basin(s: dict[str, Any], beta: float) -> dict[str, Any]:
    """The share (A,) of random bumps from which (7) ends on a cycle."""
    (make, time, how), centres = FLOWS["(7)"], np.random.default_rng(1)
    starts = [
        mf.Start(*(mf.concentrated(c, std=STD) for c in pair))
        for pair in centres.uniform(0, 2 * np.pi, (s["starts"], 2))
    ]
    return {"share": [
        np.mean([late(mf.games.oscillator(a), make(beta), beta, start, time * s["share"], how)[1]
                 for start in starts])
        for a in s["couplings"]
    ]}  # fmt: skip


def late(
    game: Any, flow: mf.Flow, beta: float, start: mf.Start, time: float, how: dict[str, Any]
) -> tuple[float, bool]:
    """The mean distance of the moments from the Gibbs point's in the last tenth of the time, and
    whether they turn there as widely as in a tenth at half the time.
    """
    point = mf.gibbs(game, beta)
    at = moments((point.x, point.y), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # of the narrow start
        engine = build(game, flow, start, **how)
        paths = [watched(engine, time * share, time / 10) for share in (0.5, 0.9)]
    first, last = map(width, paths)
    away = float(np.abs(paths[1] - at).max(axis=(1, 2)).mean())
    return away, bool(first and last > HELD * first)


def watched(engine: Any, begin: float, length: float) -> np.ndarray:
    """The moments at LOOKS + 1 equally spaced times, (LOOKS + 1, 2, 2)."""
    path = []
    for time in begin + length * np.linspace(0, 1, LOOKS + 1):
        engine.advance(float(time))
        path.append(moments(engine.measures(), 2))
    return np.array(path)


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    from matplotlib.colors import LogNorm

    data, s = load(path), settings_of(load(path))
    with styled():
        figure = new_figure(9.6, 7.4 if len(data["names"]) > 3 else 2.9)
        axes = figure.subplots(
            -(-(len(data["names"]) + 1) // 3), 3, sharex=True, sharey=True
        ).ravel()
        norm = LogNorm(1e-3, 1.0, clip=True)
        for ax, name, away, turns in zip(
            axes, data["names"], data["away"], data["turns"], strict=False
        ):
            shown = squares(ax, s, away, norm=norm, cmap="viridis")
            b, a = np.nonzero(turns)
            ax.plot(b, a, "o", color="white", mec="black", ms=5)
            ax.set_title(name)
        figure.colorbar(shown, ax=axes, label="distance from the Gibbs point", shrink=0.6)
        last = axes[len(data["names"])]
        squares(last, s, data["basin"], cmap="Oranges", vmin=0, vmax=1.2)
        for (b, a), share in np.ndenumerate(data["basin"]):
            last.text(b, a, f"{100 * share:.0f}%", ha="center", va="center", fontsize=8)
        last.set_title(BASIN)
    return save_png(figure, path, CAPTION)


def squares(ax: Any, s: dict[str, Any], values: np.ndarray, **how: Any) -> Any:
    """A map over the numbers of beta (across) and coupling (up), which grow by equal factors."""
    shown = ax.imshow(values.T, origin="lower", aspect="auto", **how)
    ax.set_xticks(range(len(s["betas"])), [f"{b:g}" for b in s["betas"]])
    ax.set_yticks(range(len(s["couplings"])), [f"{a:g}" for a in s["couplings"]])
    ax.set(xlabel=r"$\beta$", ylabel="coupling $a$")
    ax.label_outer()
    return shown
