"""Where the oscillator's mean field (7) has a limit cycle: the fold of its two cycles.

l = V(x) - V(y) + a sin x sin y, V(x) = -(2/3) cos x + (5/12) cos 2x, by Langevin descent-ascent at
inverse temperature beta. A stable and an unstable cycle are followed by Newton's method on the
return map; they meet and vanish at a fold, followed in the coupling a at each beta.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, save_png
from meanfield.plotting.style import BLUE, GREY, ORANGE, new_figure, styled, ticks_at

COUPLINGS = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0)  # ticks
CAPTION = """
The oscillator l = V(x) - V(y) + a sin x sin y, V(x) = -(2/3) cos x + (5/12) cos 2x, under (7).
Left: above the curve (7) has a stable limit cycle beside the Gibbs point, which is linearly stable
everywhere; on it the stable cycle meets an unstable one in a fold; below none of the two is left.
Dots are the folds that were computed. Middle: the period of
both cycles at a = 3 over beta (full: stable, broken: unstable). Right: the modulus of their leading
Floquet multiplier, one at the fold.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "betas": [12.0, 18.0] if quick else [11.5, 12.0, 13.0, 15.0, 18.0, 22.0, 27.0, 34.0, 43.0],
        "cells": [96, 96] if quick else [96, 96, 96, 128, 128, 128, 192, 192, 256],
        "coupling": 3.0,
        "between": [10.0, 18.0] if quick else [10.0, 43.0],
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    folds = {f"the fold at beta = {beta:g}": partial(fold, s, beta, cells)
             for beta, cells in zip(s["betas"], s["cells"], strict=True)}  # fmt: skip
    return {"both cycles over beta": partial(over_beta, s), **folds}


def joined(s: dict[str, Any], found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    both = found["both cycles over beta"]
    folds = [part["fold"] for part in found.values() if "fold" in part]
    return {**both, "betas": np.array(s["betas"]), "folds": np.array(folds)}


def cycle(s: dict[str, Any], beta: float, cells: int) -> mf.equilibria.Orbit:
    """The stable cycle at the coupling that all begin from."""
    game = mf.games.oscillator(s["coupling"])
    begin = mf.games.oscillator(3.0).answers["start"]
    return mf.orbit(game, mf.Langevin(beta), begin, settle=40.0, cells=cells, count=3)


def fold(s: dict[str, Any], beta: float, cells: int) -> dict[str, Any]:
    """The coupling and the period at the fold, (2,)."""
    flow, a = mf.Langevin(beta), s["coupling"]
    curve = mf.branch(
        lambda value: (mf.games.oscillator(float(value)), flow), cycle(s, beta, cells), a, (0.1, a),
        step=-0.2, folds=1, name="coupling", progress=False,
    )  # fmt: skip
    return {"fold": curve.folds[0]}


def over_beta(s: dict[str, Any]) -> dict[str, Any]:
    """Both cycles at the given coupling, from the largest beta down to the fold and back."""
    low, high = s["between"]
    game, stable = mf.games.oscillator(s["coupling"]), cycle(s, high, s["cells"][-1])
    curve = mf.branch(
        lambda beta: (game, mf.Langevin(float(beta))), stable, high, (low, high),
        step=-0.01 * (high - low), name="beta", progress=False,
    )  # fmt: skip
    leading = np.abs(curve.multipliers).max(axis=1)
    return {
        "beta": curve.values,
        "period": curve.periods,
        "leading": leading,
        "turn": curve.folds[0],
    }


def through_fold(data: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """Both cycles with the fold between them, as number k, where the leading multiplier is one."""
    middle = {"beta": data["turn"][0], "period": data["turn"][1], "leading": 1.0}
    return {key: np.insert(data[key], k, value) for key, value in middle.items()}


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    data = load(path)
    with styled():
        figure = new_figure(9.6, 3.2)
        left, middle, right = figure.subplots(1, 3)
        beta, a = data["betas"], data["folds"][:, 0]
        left.loglog(beta, a, "o-", color=ORANGE, ms=3.5)
        left.fill_between(beta, a, 2 * a.max(), color=BLUE, alpha=0.12, lw=0)
        left.text(0.95, 0.9, "a stable cycle", transform=left.transAxes, ha="right", color=BLUE)
        left.text(0.05, 0.06, "no cycle", transform=left.transAxes, color=GREY)
        left.set(xlabel=r"$\beta$", ylabel="coupling $a$", title="the fold of two cycles")
        left.set_ylim(0.7 * a.min(), 1.5 * a.max())
        ticks_at(left.xaxis, beta, [f"{b:g}" for b in beta])
        rows = [c for c in COUPLINGS if 0.7 * a.min() < c < 1.5 * a.max()]
        ticks_at(left.yaxis, rows, [f"{c:g}" for c in rows])
        k = int(np.argmax(data["leading"] > 1))  # the first that is unstable
        data = {**data, **through_fold(data, k)}
        for axis, key, title in ((middle, "period", "period at $a = 3$"),
                                 (right, "leading", "leading multiplier")):  # fmt: skip
            axis.plot(data["beta"][: k + 1], data[key][: k + 1], color=BLUE, label="stable")
            axis.plot(data["beta"][k:], data[key][k:], "--", color=BLUE, label="unstable")
            axis.set(xlabel=r"$\beta$", title=title)
        middle.plot(*data["turn"], "o", color=ORANGE, ms=5, label="fold")
        middle.legend()
        right.axhline(1.0, color=GREY, lw=0.8)
    return save_png(figure, path, CAPTION)
