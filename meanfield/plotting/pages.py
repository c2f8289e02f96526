"""Pages of several panels: a flow at both levels with its orbit, errors along iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.measures import Measure
from meanfield.plotting.circle import circular, draw_space_time
from meanfield.plotting.measures import plot_measure
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, PLAYERS, in_decades, ticks_at

MAPS = 3  # states drawn of each level where players move on surfaces
Level = tuple[str, Array, Sequence[Measure], Sequence[Measure]]  # title, times, x, y
LEAST = 1e-15  # errors below this are rounding
METHODS = {"mirror descent": ORANGE, "L-DA": BLUE, "WFR-DA": GREEN}


def draw_flows(part: Any, levels: Sequence[Level]) -> None:
    """Each level (title, times, x, y) in its columns, x above y: space against time on circles,
    maps at a few times elsewhere.
    """
    if circular(*(side[0] for _, _, x, y in levels for side in (x, y))):
        axes = part.subplots(2, len(levels), sharex=True, sharey=True, squeeze=False)
        for column, (title, times, *sides) in enumerate(levels):
            for row, (measures, (name, color)) in enumerate(zip(sides, PLAYERS, strict=True)):
                draw_space_time(axes[row, column], times, measures, color)
                axes[row, 0].set_ylabel(f"${name}$")
            axes[0, column].set_title(title)
            axes[1, column].set_xlabel("time $t$")
            axes[1, column].set_xticks(np.linspace(times[0], times[-1], 5))
        return
    axes = part.subplots(2, MAPS * len(levels), squeeze=False)
    for k, (title, times, *sides) in enumerate(levels):
        for j, at in enumerate(np.linspace(0, len(times) - 1, MAPS).astype(int)):
            column = axes[:, MAPS * k + j]
            for ax, measures, (name, color) in zip(column, sides, PLAYERS, strict=True):
                plot_measure(measures[at], ax, color=color, name=name)
            heading = f"{title}\n" if j == 0 else ""
            column[0].set_title(f"{heading}$t = {times[at]:.3g}$", fontsize=8.5)


def draw_orbit(
    ax: Any, field: Array, swarm: Array, point: Array | None, names: tuple[str, str]
) -> None:
    """The orbit of a mean of x and a mean of y, (T, 2), at both levels, and the Gibbs point's."""
    ax.plot(*field.T, color=BLUE, lw=1.2, label="mean field")
    ax.plot(*swarm.T, ".", color=ORANGE, ms=4, mew=0, label="particles")
    ax.plot(*field[0], "o", color=BLUE, ms=4)
    if point is not None:
        ax.plot(*point, "*", color="black", ms=9, label="Gibbs point (9)")
    ax.set(xlabel=names[0], ylabel=names[1])


def spread(samples: Array) -> tuple[Array, Array, Array]:
    """Geometric mean over the last axis, and one standard error of the logarithm to either side."""
    logs = np.log(np.maximum(samples, LEAST))
    mean, reach = logs.mean(-1), logs.std(-1, ddof=1) / np.sqrt(logs.shape[-1])
    return np.exp(mean), np.exp(mean - reach), np.exp(mean + reach)


def draw_iterations(ax: Any, data: dict[str, Array], size: int) -> None:
    """NI along the iterations of each method with n = sizes[size] particles."""
    for m, (name, color) in enumerate(METHODS.items()):
        mean, low, high = spread(data["answers"][m, size])
        ax.fill_between(data["times"], low, high, color=color, alpha=0.2, lw=0)
        ax.plot(data["times"], mean, color=color, label=name)
        ax.plot(data["times"], spread(data["last"][m, size])[0], ":", color=color)
    ax.set_xlabel("time $t$ = iterations times step")
    in_decades(ax)
    ends = data["times"][[0, len(data["times"]) // 4, -1]]
    ticks_at(ax.xaxis, ends, [f"{t:.3g}" for t in ends])
    ax.set_title(f"$n = {int(data['sizes'][size])}$ (dotted: last iterate)")


def draw_ends(ax: Any, at: Array, samples: dict[str, Array], name: str) -> None:
    """The errors at the end, samples {method: (values, replicas)}, against n or beta."""
    for method, rows in samples.items():
        mean, low, high = spread(rows)
        color = METHODS.get(method, GREY)
        ax.errorbar(at, mean, [mean - low, high - mean], fmt="o-", ms=3.5, capsize=2, color=color)
    ax.set_xlabel(name)
    in_decades(ax)
    ticks_at(ax.xaxis, at, [f"{v:g}" for v in at])
