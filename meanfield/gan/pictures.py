"""The picture of a trained mixture, drawn from what the run holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.gan.scores import NAMED
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure, styled

MAKERS = (BLUE, ORANGE, GREEN, RED, "#E69F00", "#56B4E9", "#8C6BB1", GREY)


def colour(i: int) -> str:
    """The colour of the i-th generator."""
    return MAKERS[i % len(MAKERS)]


def plot_run(run: Any, title: str = "", figsize: Any = None) -> Any:
    """Loss, weights and scores over the steps, and what each generator makes."""
    d, images = run.diagnostics, run.outputs.ndim == 5
    with styled():
        figure = new_figure(*(figsize or (10.4, 5.6)))
        figure.suptitle(title)
        left, right = figure.subfigures(1, 2, width_ratios=(1.3, 1))
        axes = left.subplots(2, 2)
        (loss, weights), (spread, score) = axes
        loss.plot(d["step"], run.value, color=BLUE)
        loss.set_ylabel("$L$ of both mixtures")
        draw_weights(weights, d["step"], d["weights_x"])
        for name, color, who in (("x", BLUE, "generators"), ("y", ORANGE, "critics")):
            spread.plot(d["step"], d[f"spread_{name}"], color=color, label=who)
        spread.set(ylabel=r"effective number $1/\sum w^2$", ylim=(0.8, None))
        spread.legend()
        draw_score(score, run)
        for ax in axes.flat:
            ax.set_xlabel("step")
        if images:
            draw_images(right, run.outputs, d["weights_x"][-1])
        else:
            draw_makers(right.subplots(), run.outputs, d["weights_x"][-1], run.game.data)
    return figure


def draw_weights(ax: Any, steps: Any, weights: Any) -> None:
    """The weight of each generator over the steps."""
    for i, curve in enumerate(np.transpose(weights)):
        ax.plot(steps, curve, color=colour(i))
    ax.set(ylabel="weights of generators", ylim=(0, None))


def draw_score(ax: Any, run: Any) -> None:
    """Two scores, the second on an axis of its own; the losses of each pair where there are none.

    Log-likelihood comes first and modes second, without which it cannot be read.
    """
    d = run.diagnostics
    names = [n for n in dict.fromkeys([*NAMED, *run.scores]) if n in d and d[n].ndim == 1]
    if not names:
        ax.plot(d["step"], d["losses"].reshape(len(d["step"]), -1), color=GREY, lw=0.8)
        ax.set_ylabel("losses of pairs")
    for name, color, axis in zip(names, (GREEN, RED), (lambda: ax, ax.twinx), strict=False):
        on = axis()
        on.plot(d["step"], d[name], color=color)
        on.set_ylabel(name.replace("_", " "), color=color)


def draw_makers(ax: Any, outputs: Any, weights: Any, ring: Any) -> None:
    """Points of each generator (p, n, 2) in its colour, as many as its weight asks for."""
    many = np.maximum(weights / weights.max() * outputs.shape[1], 1).astype(int)
    ax.scatter(*ring.centers.T, s=90, facecolors="none", edgecolors=GREY, lw=0.8)
    for i, (points, count) in enumerate(zip(outputs, many, strict=True)):
        how: Any = {"s": 4, "lw": 0, "alpha": 0.5, "color": colour(i), "rasterized": True}
        ax.scatter(*points[:count].T, **how)
        ax.scatter([], [], s=18, color=colour(i), label=f"$w = {weights[i]:.2f}$")
    reach = 1.5 * ring.radius
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    ax.set_aspect("equal")
    ax.legend(loc="center", handletextpad=0.1)


def draw_images(figure: Any, outputs: Any, weights: Any, most: int = 64) -> None:
    """Images of each generator (p, n, c, h, w) in [-1, 1], in a grid of its own."""
    columns = 1 if len(outputs) < 3 else 2
    axes = figure.subplots(-(-len(outputs) // columns), columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, rows) in enumerate(zip(axes.flat, outputs, strict=False)):
        ax.imshow(grid(rows[:most]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(f"generator {i + 1}, $w = {weights[i]:.2f}$", color=colour(i))


def grid(images: Any) -> Any:
    """Images (n, c, h, w) in [-1, 1] side by side, as one picture in [0, 1]."""
    n, c, h, w = images.shape
    across = int(np.ceil(np.sqrt(n)))
    down = -(-n // across)
    filled = np.full((down * across, c, h, w), -1.0)
    filled[:n] = images
    page = filled.reshape(down, across, c, h, w).transpose(0, 3, 1, 4, 2)
    page = np.clip((page.reshape(down * h, across * w, c) + 1) / 2, 0, 1)
    return page[..., 0] if c == 1 else page
