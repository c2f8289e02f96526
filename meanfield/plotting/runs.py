"""Runs and fixed points, a row or a column a player, and Gibbs paths against beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.measures import Density, Measure
from meanfield.plotting.measures import circular, draw_space_time, plot_measure
from meanfield.plotting.style import BLUE, GREEN, GREY, PLAYERS, new_figure, styled
from meanfield.trajectory import Trajectory


def plot_trajectory(trajectory: Trajectory, *, snapshots: int = 5, bins: int = 128, view: str = "map") -> Any:
    """Draw a run, a row a player: space against time on circles, snapshots elsewhere. Returns the figure.

    snapshots: maps a player (not on circles). bins: of histograms of particles. view: "map" or "3d", as in
    `plot_measure`. Recorded diagnostics "value" and "ni" are drawn below. Raises TypeError for what is no trajectory.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"plot_trajectory draws a meanfield.Trajectory, got {type(trajectory).__name__}")
    told = [key for key in ("value", "ni") if _curve_of(trajectory, key)]
    flat = [circular(trajectory.x[0]) and len(trajectory) > 1, circular(trajectory.y[0]) and len(trajectory) > 1]
    heights = [1.7 if f else 2.0 for f in flat] + ([1.3] if told else [])
    with styled():
        figure = new_figure(7.2, sum(heights) + 0.4)
        figure.suptitle(_title(trajectory), fontsize=9.5)
        parts = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
        for part, measures, is_flat, (name, color) in zip(
            parts[:2], (trajectory.x, trajectory.y), flat, PLAYERS, strict=True
        ):
            if is_flat:
                ax = part.add_subplot()
                draw_space_time(ax, trajectory.times, measures, color, whole("bins", bins), of_labels(trajectory, name))
                ax.set_ylabel(f"${name}$")
                ax.set_xlabel("time $t$" if not told and name == "y" else "")
            else:
                how = {"color": color, "view": view, "spread": of_labels(trajectory, name)}
                _snapshots(part, trajectory.times, measures, name, whole("snapshots", snapshots), how)
        if told:
            _diagnostics(parts[2], trajectory, told)
    return figure


def _curve_of(trajectory: Trajectory, key: str) -> bool:
    """Whether a diagnostic was recorded as one number a saved time."""
    return len(trajectory) > 1 and np.shape(trajectory.diagnostics.get(key, 0.0)) == (len(trajectory),)


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
    part: Any, times: Array, measures: Sequence[Measure], name: str, count: int, how: dict[str, Any]
) -> None:
    chosen = np.unique(np.linspace(0, len(times) - 1, count).round().astype(int))
    axes = part.subplots(1, len(chosen), squeeze=False)[0]
    for k, ax in zip(chosen, axes, strict=True):
        plot_measure(measures[k], ax, **how)
        ax.set_title(f"$\\mu_{name}$, $t = {times[k]:.3g}$", fontsize=8.5)
        if k != chosen[0]:
            ax.set_ylabel("")
            ax.set_yticklabels([])


def _diagnostics(part: Any, trajectory: Trajectory, told: Sequence[str]) -> None:
    names = {"value": r"$\mathcal{L}(\mu_x, \mu_y)$", "ni": "NI"}
    axes = part.subplots(1, len(told), squeeze=False)[0]
    for ax, key in zip(axes, told, strict=True):
        values = trajectory.diagnostics[key]
        ax.plot(trajectory.times, values, color=GREY)
        if key == "ni" and (values > 0).all() and values.max() > 20 * values.min():
            ax.set_yscale("log")
        ax.set(xlabel="time $t$", ylabel=names[key], xlim=(trajectory.times[0], trajectory.times[-1]))


def plot_gibbs(result: Any) -> Any:
    """Draw both players' Gibbs densities (9), result.x and result.y. Returns the figure."""
    with styled():
        figure = new_figure(7.2, 2.6 if circular(result.x) and circular(result.y) else 3.4)
        axes = figure.subplots(1, 2)
        for ax, measure, (name, color) in zip(axes, (result.x, result.y), PLAYERS, strict=True):
            plot_measure(measure, ax, color=color)
            ax.set_title(f"$\\hat\\mu_{name}$")
            if circular(measure):
                ax.set_xlabel(f"${name}$")
        figure.suptitle(f"Gibbs fixed point (9), residual {result.residual:.1e}", fontsize=9.5)
    return figure


def plot_path(path: Any) -> Any:
    """Draw a `GibbsPath`. Returns the figure."""
    panels = 3 if path.rate is None else 4
    with styled():
        figure = new_figure(3.1 * panels, 2.7)
        axes = figure.subplots(1, panels)
        axes[0].plot(path.beta, path.value, color=BLUE, label="$L$")
        axes[0].plot(path.beta, path.free_energy, "--", color=BLUE, label=r"$L_\beta$")
        axes[0].legend()
        for k, (name, color) in enumerate(PLAYERS):
            axes[1].plot(path.beta, path.entropy[:, k], color=color, label=f"$H(\\mu_{name})$")
        axes[1].legend()
        axes[2].loglog(path.beta, path.ni, color=GREEN)
        for ax, title in zip(axes, ("value", "entropy", "NI error", "leading eigenvalue of (7)"), strict=False):
            ax.set(xscale="log", xlabel=r"$\beta$", title=title)
        if path.rate is not None:
            axes[3].loglog(path.beta, np.where(path.rate > 0, path.rate, np.nan), color=BLUE, label="rate")
            turns = path.frequency > 1e-12
            if turns.any():
                axes[3].loglog(path.beta[turns], path.frequency[turns], ".", color=GREEN, label="frequency")
            axes[3].legend()
    return figure
