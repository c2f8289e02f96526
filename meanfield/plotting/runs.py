"""Runs, a row for each player, and Gibbs fixed points against the inverse temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array
from meanfield.manifolds import Sphere
from meanfield.measures import Measure
from meanfield.plotting.checks import draws
from meanfield.plotting.circle import circular, draw_space_time, leading
from meanfield.plotting.measures import (
    colour_bar,
    coloured,
    common_top,
    plot_measure,
    shadow,
)
from meanfield.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PLAYERS,
    in_decades,
    logarithmic,
    stage,
    styled,
    widen,
)
from meanfield.plotting.words import of_game, of_run, wrapped
from meanfield.trajectory import Trajectory

# Diagnostics drawn over time.
CURVES = {
    "value": r"$\mathcal{L}(\mu_x, \mu_y)$",
    "ni": r"$\mathrm{NI}(\mu_x, \mu_y)$",
}
LINES = 200  # weights drawn over time: all, or so many evenly spaced by their final rank


@draws("a meanfield.Trajectory", kind=Trajectory)
def plot_trajectory(
    trajectory: Trajectory, ax: Any = None, *, times: ArrayLike | None = None,
    snapshots: int | None = None, bins: int | None = None, view: str = "map",
    title: str | None = None, figsize: Any = None,
) -> Any:  # fmt: skip
    """Draw a run, a row for each player: space against time on circles, snapshots elsewhere.

    Weights that move are drawn below, of more than 200 particles those of 200 evenly spaced by
    their final rank, and the diagnostics "value" and "ni" where they were recorded.

    Parameters
    ----------
    trajectory : Trajectory
    ax : matplotlib axes, optional
        Whose place the panels take, in a figure of yours; a new figure by default.
    times : array-like, optional
        Draw snapshots at the saved times nearest to these, on circles too.
    snapshots : int, optional
        Number of snapshots for each player who does not move on a circle (5, on S^2 3).
    bins : int, optional
        Number of bins in histograms of particles; by default as many as they bear.
    view : {"map", "3d"}
        As in `plot_measure`.
    title : str, optional
        By default the game, the flow with its numbers, and what moves.
    figsize : pair, optional
        Width and height of a new figure, in inches.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    TypeError, ValueError
        For what is no trajectory, for options that are none or have no such value, such as times
        outside the run, and for figsize together with ax.
    """
    sides = (trajectory.x, trajectory.y)
    chosen = None if times is None else nearest(trajectory.times, times)
    flat = [circular(m[0]) and chosen is None and len(trajectory) > 1 for m in sides]
    curves = [key for key in CURVES if has_curve(trajectory, key)]
    weighted = [weights_move(trajectory, name) for name, _ in PLAYERS]
    shown = [
        chosen
        if chosen is not None
        else chosen_states(len(trajectory), snapshots or usual(m[0], view))
        for m in sides
    ]
    maps = [SnapshotRow(m, c, name) for m, c, (name, _) in zip(sides, shown, PLAYERS, strict=True)]
    if all(coloured(leading(m.seen)) for m in maps) and None in (maps[0].top, maps[1].top):
        maps[0].top = maps[1].top = None  # so that both rows are laid out alike
    heights = [1.7 if f else m.height(view) for f, m in zip(flat, maps, strict=True)]
    heights += [1.3] * any(weighted) + [1.3] * bool(curves)
    with styled():
        said = of_run(trajectory) if title is None else title
        figure = stage(7.2, sum(heights) + 0.4, ax, said, figsize)
        # One grid for all rows, so that the time axes are as long as each other.
        grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
        for row, (measures, (name, color)) in enumerate(zip(sides, PLAYERS, strict=True)):
            spread = of_labels(trajectory, name)
            if flat[row]:
                ax = figure.add_subplot(grid[row, :])
                how: dict[str, Any] = {"spread": spread, "weighted": weighted[row]}
                draw_space_time(ax, trajectory.times, measures, color, bins, **how)
                last = len(heights) == 2 and name == "y"
                ax.set(ylabel=f"${name}$", xlabel="time $t$" if last else "")
            else:
                how = {"color": color, "view": view, "spread": spread, "name": name, "bins": bins}
                maps[row].draw(grid[row, :], trajectory.times, how)
        _below(figure, grid, trajectory, curves, weighted)
    return figure.figure


def _below(
    figure: Any, grid: Any, trajectory: Trajectory, curves: list[str], weighted: list[bool]
) -> None:
    """The rows of weights and of diagnostics."""
    if any(weighted):
        players = [p for p, moves in zip(PLAYERS, weighted, strict=True) if moves]
        for k, (name, color) in enumerate(players):
            place = grid[2, :] if len(players) == 1 else grid[2, k]
            draw_weights(figure.add_subplot(place), trajectory, name, color)
    for k, key in enumerate(curves):
        place = grid[-1, :] if len(curves) == 1 else grid[-1, k]
        draw_curve(figure.add_subplot(place), trajectory, key)


def usual(measure: Measure, view: str) -> int:
    """How many snapshots stand in a row."""
    wide = measure.manifold == Sphere(2)
    return 2 if wide and view == "3d" else 3 if wide or circular(measure) else 5


class SnapshotRow:
    """Snapshots of one player, side by side in one plane, on one scale where peaks are alike."""

    def __init__(self, measures: Sequence[Measure], chosen: Any, name: str) -> None:
        self.measures, self.chosen = [measures[k] for k in chosen], chosen
        self.plane = shadow(self.measures, name)
        self.seen = [self.plane.of(m) for m in self.measures]
        self.top = common_top(self.seen)

    def height(self, view: str) -> float:
        """The height of the row in inches, with room for titles, names of axes and colour bars."""
        space, width = self.measures[0].manifold, 6.4 / len(self.chosen)
        if circular(self.measures[0]):
            return min(2.0, width) + 0.4
        bars = 0.7 * (self.top is None and coloured(leading(self.seen)))
        if space == Sphere(2):
            return 0.56 * width + 0.6 + bars
        bars += 0.15 * (space.dim > 2)  # names of axes on two lines
        tall = space.dim == 2 and view == "3d"
        return (1.3 if tall else 0.85) * width + 0.85 + bars

    def draw(self, place: Any, times: Array, how: dict[str, Any]) -> None:
        """Draw the row into a place of a grid; its axes are named once."""
        name, color, count = how["name"], how["color"], len(self.chosen)
        axes = place.subgridspec(1, count).subplots(squeeze=False)[0]
        rows = zip(axes, self.chosen, self.measures, self.seen, strict=True)
        for j, (ax, k, measure, seen) in enumerate(rows):
            plot_measure(measure, ax, top=self.top, plane=self.plane, **how)
            # Clear of the name of a sphere's upper pole.
            ax.set_title(f"$\\mu_{name}$, $t = {times[k]:.3g}$", fontsize=8.5, pad=9)
            if circular(measure):
                ax.set_xlabel(f"${name}$")
                continue
            if self.top is None:
                said = "density, each map on its own scale" if j == (count - 1) // 2 else ""
                colour_bar(ax, seen, color, location="bottom", shrink=0.8, label=said)
            if j != (count - 1) // 2:
                ax.set_xlabel("")
            if j:
                ax.set_ylabel("")
                ax.set_yticklabels([])
        if self.top is not None:
            colour_bar(
                axes, leading(self.seen), color, self.top, label="density", pad=0.01, aspect=14
            )


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


def weights_move(trajectory: Trajectory, player: str) -> bool:
    """Whether a player is particles whose weights change."""
    measures = getattr(trajectory, player)
    field = "engine" in trajectory.provenance or of_labels(trajectory, player)
    if field or any(type(m) is not Measure or len(m) != len(measures[0]) for m in measures):
        return False
    some = [measures[k].masses for k in chosen_states(len(measures), 3)]
    return bool(np.ptp(some, axis=0).max() > 1e-12)


def chosen_states(count: int, most: int) -> Any:
    """The numbers of at most `most` states out of `count`, evenly spaced, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def nearest(saved: Array, times: ArrayLike) -> Any:
    """The numbers of the saved times nearest to these; ValueError for times outside the run."""
    asked = finite_array("times", np.atleast_1d(finite_array("times", times)), (None,))
    slack = 1e-9 * max(1.0, abs(float(saved[-1])))
    if not len(asked) or asked.min() < saved[0] - slack or asked.max() > saved[-1] + slack:
        raise ValueError(f"times must lie in [{saved[0]:g}, {saved[-1]:g}], got {times!r}")
    return np.unique(np.abs(saved - asked[:, None]).argmin(axis=1))


def draw_weights(ax: Any, trajectory: Trajectory, player: str, color: str) -> None:
    """Draw the weights of a player's particles over time, of many an even choice, and say so."""
    weights = np.array([m.masses for m in getattr(trajectory, player)])
    count = weights.shape[1]
    shown = np.argsort(weights[-1], kind="stable")[chosen_states(count, LINES)]
    how: Any = {"color": color, "lw": 0.8, "alpha": min(1.0, 0.25 + 8 / len(shown))}
    ax.plot(trajectory.times, weights[:, shown], **how)
    if len(shown) < count:
        said = f"{len(shown)} of {count:,}, evenly spaced by final rank"
        ax.set_title(said, fontsize=8, color=GREY)
    ends = trajectory.times[[0, -1]]
    ax.set(xlabel="time $t$", ylabel=f"weights of ${player}$", xlim=ends, ylim=(0, None))


def edged(values: Array) -> bool:
    """Whether a curve through few values turns so often that it has edges: dots say where it is
    known.
    """
    rises = np.sign(np.diff(values))
    return len(values) <= 200 and bool(np.mean(rises[1:] != rises[:-1]) > 0.1)


def draw_curve(ax: Any, trajectory: Trajectory, key: str) -> None:
    """Draw a recorded diagnostic over time."""
    times, values = trajectory.times, trajectory.diagnostics[key]
    ax.plot(times, values, ".-" if edged(values) else "-", color=GREY)
    if key == "ni":
        logarithmic(ax, values)
    widen(ax, values)
    ax.set(xlabel="time $t$", ylabel=CURVES[key], xlim=(times[0], times[-1]))


@draws("a GibbsPath, as meanfield.gibbs_path returns", "beta", "free_energy", "entropy", "ni")
def plot_path(path: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None) -> Any:
    """Draw a `GibbsPath` against beta: value, entropies, NI and the leading eigenvalue.

    Parameters
    ----------
    path : GibbsPath
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    beta, rate = path.beta, path.rate
    titles = ("value", "entropy", "Nikaido-Isoda error", "leading eigenvalue of (7)")
    panels = 3 if rate is None else 4
    points = getattr(path, "points", [])
    named = [of_game(points[0].game)] if points else []
    if title is None:
        title = wrapped(", ".join([*filter(None, named), "Gibbs fixed points (9)"]))
    with styled():
        figure = stage(3.1 * panels, 3.0, ax, title, figsize)
        axes = figure.subplots(1, panels)
        axes[0].plot(beta, path.value, color=BLUE, label=r"$\mathcal{L}$")
        axes[0].plot(beta, path.free_energy, "--", color=GREEN, label=r"$\mathcal{L}_\beta$")
        widen(axes[0], path.value, path.free_energy)
        for k, (name, color) in enumerate(PLAYERS):
            how = {"color": color, "ls": "-" if k == 0 else "--", "label": f"$H(\\mu_{name})$"}
            axes[1].plot(beta, path.entropy[:, k], **how)
        widen(axes[1], path.entropy)
        axes[2].plot(beta, path.ni, color=GREEN, label=r"$\mathrm{NI}(\mu_x, \mu_y)$")
        in_decades(axes[2], "y")
        widen(axes[2], path.ni)
        if rate is not None:
            axes[3].plot(beta, np.where(rate > 0, rate, np.nan), color=BLUE, label="rate")
            turns = path.frequency > 1e-12
            if turns.any():
                how = {"color": ORANGE, "label": "frequency"}
                axes[3].plot(beta[turns], path.frequency[turns], ".", **how)
        for k, axis in enumerate(axes):
            axis.set(xlabel=r"$\beta$", title=titles[k])
            in_decades(axis, "x" if k < 3 else "xy")
            axis.legend()
    return figure.figure
