"""Runs, a row for each player, and Gibbs fixed points against the inverse temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.measures import Density, Measure
from meanfield.plotting.measures import (
    check_kind,
    circular,
    colour_bar,
    common_top,
    draw_space_time,
    plot_measure,
)
from meanfield.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    PLAYERS,
    logarithmic,
    new_figure,
    styled,
    widen,
)
from meanfield.trajectory import Trajectory

CURVES = {"value": r"$\mathcal{L}(\mu_x, \mu_y)$", "ni": "NI"}  # diagnostics drawn over time


def plot_trajectory(
    trajectory: Trajectory, *, snapshots: int = 5, bins: int = 128, view: str = "map"
) -> Any:
    """Draw a run, a row for each player: space against time on circles, snapshots elsewhere.

    The diagnostics "value" and "ni", where they were recorded, are drawn below.

    Parameters
    ----------
    trajectory : Trajectory
    snapshots : int
        Number of maps for each player who does not move on a circle.
    bins : int
        Number of bins in histograms of particles.
    view : {"map", "3d"}
        As in `plot_measure`.

    Raises
    ------
    TypeError
        For what is no trajectory.
    """
    check_kind("plot_trajectory", trajectory, Trajectory, "Trajectory")
    recorded = [key for key in CURVES if has_curve(trajectory, key)]
    count, bins = whole("snapshots", snapshots), whole("bins", bins)
    sides = (trajectory.x, trajectory.y)
    flat = [circular(measures[0]) and len(trajectory) > 1 for measures in sides]
    heights = [1.7 if f else 2.0 for f in flat] + ([1.3] if recorded else [])
    with styled():
        figure = new_figure(7.2, sum(heights) + 0.4)
        figure.suptitle(_title(trajectory), fontsize=9.5)
        # One grid for all rows, so that the time axes are as long as each other.
        grid = figure.add_gridspec(len(heights), max(1, len(recorded)), height_ratios=heights)
        for row, (measures, (name, color)) in enumerate(zip(sides, PLAYERS, strict=True)):
            spread = of_labels(trajectory, name)
            if flat[row]:
                ax = figure.add_subplot(grid[row, :])
                draw_space_time(ax, trajectory.times, measures, color, bins, spread)
                last = not recorded and name == "y"
                ax.set(ylabel=f"${name}$", xlabel="time $t$" if last else "")
            else:
                how = {"color": color, "view": view, "spread": spread, "name": name}
                _snapshots(figure, grid[row, :], trajectory.times, measures, count, how)
        for k, key in enumerate(recorded):
            draw_curve(figure.add_subplot(grid[2, k]), trajectory, key)
    return figure


def has_curve(trajectory: Trajectory, key: str) -> bool:
    """Whether a diagnostic was recorded as one number at each of several saved times."""
    shape = np.shape(trajectory.diagnostics.get(key, 0.0))
    return len(trajectory) > 1 and shape == (len(trajectory),)


def of_labels(trajectory: Trajectory, player: str) -> bool:
    """Whether a player's atoms are labels of a density that characteristics carry along.

    Only such runs record the jump of that density (`jump_x`, `jump_y`).
    """
    jump = trajectory.diagnostics.get(f"jump_{player}")
    return jump is not None and bool(np.isfinite(jump[0]))


def names_of(trajectory: Trajectory) -> list[str]:
    """The names of the game and of the flow, where they have one."""
    names = [getattr(of, "name", "") for of in (trajectory.game, trajectory.flow)]
    return [name for name in names if name]


def _title(trajectory: Trajectory) -> str:
    field = isinstance(trajectory.x[-1], Density) or "engine" in trajectory.provenance
    kind = "mean field" if field else f"{len(trajectory.x[-1]):,} particles"
    return ", ".join([*names_of(trajectory), kind])


def chosen_states(count: int, most: int) -> Any:
    """The numbers of at most `most` states out of `count`, evenly spaced, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _snapshots(
    figure: Any, place: Any, times: Array, measures: Sequence[Measure], count: int,
    how: dict[str, Any],
) -> None:  # fmt: skip
    """A row of maps on one scale, or each on its own where peaks differ too much."""
    chosen = chosen_states(len(times), count)
    axes = place.subgridspec(1, len(chosen)).subplots(squeeze=False)[0]
    shown, color = [measures[k] for k in chosen], how["color"]
    top = common_top(shown)
    for k, ax in zip(chosen, axes, strict=True):
        plot_measure(measures[k], ax, top=top, **how)
        ax.set_title(f"$\\mu_{how['name']}$, $t = {times[k]:.3g}$", fontsize=8.5)
        if top is None:
            colour_bar(ax, measures[k], color, location="bottom", shrink=0.8)
        if k != chosen[0]:
            ax.set_ylabel("")
            ax.set_yticklabels([])
    if top is not None:
        colour_bar(axes, shown[0], color, top, label="density", pad=0.01, aspect=14)


def draw_curve(ax: Any, trajectory: Trajectory, key: str, now: int | None = None) -> None:
    """Draw a recorded diagnostic over time; paler after the state numbered `now`, where given."""
    times, values = trajectory.times, trajectory.diagnostics[key]
    if now is not None:
        ax.plot(times, values, color=GREY, lw=0.8, alpha=0.5)
        ax.plot(times[now], values[now], "o", color=GREY, ms=4)
    past = slice(None if now is None else now + 1)
    ax.plot(times[past], values[past], color=GREY)
    if key != "ni" or not logarithmic(ax, values):
        widen(ax)
    ax.set(xlabel="time $t$", ylabel=CURVES[key], xlim=(times[0], times[-1]))


def plot_path(path: Any) -> Any:
    """Draw a `GibbsPath` against beta: value, entropies, NI and the leading eigenvalue."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    beta, rate = path.beta, path.rate
    titles = ("value", "entropy", "NI error", "leading eigenvalue of (7)")
    panels = 3 if rate is None else 4
    with styled():
        figure = new_figure(3.1 * panels, 2.7)
        axes = figure.subplots(1, panels)
        axes[0].plot(beta, path.value, color=BLUE, label="$L$")
        axes[0].plot(beta, path.free_energy, "--", color=BLUE, label=r"$L_\beta$")
        widen(axes[0])
        for k, (name, color) in enumerate(PLAYERS):
            axes[1].plot(beta, path.entropy[:, k], color=color, label=f"$H(\\mu_{name})$")
        axes[2].loglog(beta, path.ni, color=GREEN)
        axes[2].yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        axes[2].yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2, 2)))
        if rate is not None:
            axes[3].loglog(beta, np.where(rate > 0, rate, np.nan), color=BLUE, label="rate")
            turns = path.frequency > 1e-12
            if turns.any():
                how = {"color": GREEN, "label": "frequency"}
                axes[3].loglog(beta[turns], path.frequency[turns], ".", **how)
        for k, ax in enumerate(axes):
            ax.set(xscale="log", xlabel=r"$\beta$", title=titles[k])
            if k != 2:
                ax.legend()
    return figure
