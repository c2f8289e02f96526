"""Runs and fixed points, a row or a column a player, and Gibbs paths against beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.measures import Density, Measure
from meanfield.plotting.measures import (
    circular,
    colour_bar,
    common_top,
    draw_space_time,
    plot_measure,
)
from meanfield.plotting.pairs import plot_pair
from meanfield.plotting.style import BLUE, GREEN, GREY, PLAYERS, new_figure, styled, widen
from meanfield.trajectory import Trajectory


def plot_trajectory(
    trajectory: Trajectory, *, snapshots: int = 5, bins: int = 128, view: str = "map"
) -> Any:
    """Draw a run, a row a player: space against time on circles, snapshots elsewhere. Returns the figure.

    snapshots: maps a player (not on circles). bins: of histograms of particles. view: "map" or "3d", as in
    `plot_measure`. Recorded diagnostics "value" and "ni" are drawn below. Raises TypeError for what is no trajectory.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            f"plot_trajectory draws a meanfield.Trajectory, got {type(trajectory).__name__}"
        )
    told = [key for key in ("value", "ni") if _curve_of(trajectory, key)]
    flat = [
        circular(trajectory.x[0]) and len(trajectory) > 1,
        circular(trajectory.y[0]) and len(trajectory) > 1,
    ]
    heights = [1.7 if f else 2.0 for f in flat] + ([1.3] if told else [])
    with styled():
        figure = new_figure(7.2, sum(heights) + 0.4)
        figure.suptitle(_title(trajectory), fontsize=9.5)
        # One grid for all rows, so that the time axes are as long as each other.
        grid = figure.add_gridspec(len(heights), max(1, len(told)), height_ratios=heights)
        for row, measures, is_flat, (name, color) in zip(
            (0, 1), (trajectory.x, trajectory.y), flat, PLAYERS, strict=True
        ):
            if is_flat:
                ax = figure.add_subplot(grid[row, :])
                draw_space_time(
                    ax,
                    trajectory.times,
                    measures,
                    color,
                    whole("bins", bins),
                    of_labels(trajectory, name),
                )
                ax.set_ylabel(f"${name}$")
                ax.set_xlabel("time $t$" if not told and name == "y" else "")
            else:
                how = {
                    "color": color,
                    "view": view,
                    "spread": of_labels(trajectory, name),
                    "name": name,
                }
                _snapshots(
                    figure,
                    grid[row, :],
                    trajectory.times,
                    measures,
                    whole("snapshots", snapshots),
                    how,
                )
        _diagnostics([figure.add_subplot(grid[2, k]) for k in range(len(told))], trajectory, told)
    return figure


def _curve_of(trajectory: Trajectory, key: str) -> bool:
    """Whether a diagnostic was recorded as one number a saved time."""
    return len(trajectory) > 1 and np.shape(trajectory.diagnostics.get(key, 0.0)) == (
        len(trajectory),
    )


def of_labels(trajectory: Trajectory, player: str) -> bool:
    """Whether a player's atoms are labels of a density, carried by the mean field: their quadrature was watched."""
    watched = trajectory.diagnostics.get(f"jump_{player}")
    return watched is not None and bool(np.isfinite(watched[0]))


def _title(trajectory: Trajectory) -> str:
    parts = [getattr(trajectory.game, "name", ""), getattr(trajectory.flow, "name", "")]
    field = isinstance(trajectory.x[-1], Density) or "engine" in trajectory.provenance
    kind = "mean field" if field else f"{len(trajectory.x[-1]):,} particles"
    return ", ".join([p for p in parts if p] + [kind])


def _snapshots(
    figure: Any,
    place: Any,
    times: Array,
    measures: Sequence[Measure],
    count: int,
    how: dict[str, Any],
) -> None:
    """A row of maps on one scale, or where peaks differ too much for one, each with its own."""
    chosen = np.unique(np.linspace(0, len(times) - 1, count).round().astype(int))
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


def _diagnostics(axes: Sequence[Any], trajectory: Trajectory, told: Sequence[str]) -> None:
    names = {"value": r"$\mathcal{L}(\mu_x, \mu_y)$", "ni": "NI"}
    for ax, key in zip(axes, told, strict=True):
        values = trajectory.diagnostics[key]
        ax.plot(trajectory.times, values, color=GREY)
        if key == "ni" and (values > 0).all() and values.max() > 20 * values.min():
            ax.set_yscale("log")
        else:
            widen(ax)
        ax.set(
            xlabel="time $t$", ylabel=names[key], xlim=(trajectory.times[0], trajectory.times[-1])
        )


def plot_gibbs(result: Any, view: str = "map") -> Any:
    """Draw both players' Gibbs densities (9), result.x and result.y. Returns the figure."""
    return plot_pair(
        result, f"Gibbs fixed point (9), residual {result.residual:.1e}", view, r"\hat\mu"
    )


def plot_path(path: Any) -> Any:
    """Draw a `GibbsPath`. Returns the figure."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    panels = 3 if path.rate is None else 4
    with styled():
        figure = new_figure(3.1 * panels, 2.7)
        axes = figure.subplots(1, panels)
        axes[0].plot(path.beta, path.value, color=BLUE, label="$L$")
        axes[0].plot(path.beta, path.free_energy, "--", color=BLUE, label=r"$L_\beta$")
        axes[0].legend()
        widen(axes[0])
        for k, (name, color) in enumerate(PLAYERS):
            axes[1].plot(path.beta, path.entropy[:, k], color=color, label=f"$H(\\mu_{name})$")
        axes[1].legend()
        axes[2].loglog(path.beta, path.ni, color=GREEN)
        axes[2].yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        axes[2].yaxis.set_minor_formatter(LogFormatterSciNotation(minor_thresholds=(2, 2)))
        for ax, title in zip(
            axes, ("value", "entropy", "NI error", "leading eigenvalue of (7)"), strict=False
        ):
            ax.set(xscale="log", xlabel=r"$\beta$", title=title)
        if path.rate is not None:
            axes[3].loglog(
                path.beta, np.where(path.rate > 0, path.rate, np.nan), color=BLUE, label="rate"
            )
            turns = path.frequency > 1e-12
            if turns.any():
                axes[3].loglog(
                    path.beta[turns], path.frequency[turns], ".", color=GREEN, label="frequency"
                )
            axes[3].legend()
    return figure
