"""Movies of stored runs, a frame for each saved state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import whole
from meanfield.measures import Density, Measure
from meanfield.plotting.measures import (
    check_kind,
    check_view,
    circular,
    common_top,
    darkest,
    drawn_singly,
    plot_measure,
    profile,
)
from meanfield.plotting.runs import chosen_states, draw_curve, has_curve, names_of, of_labels
from meanfield.plotting.style import PLAYERS, new_figure, styled
from meanfield.trajectory import Trajectory

KNOWN = (".mp4", ".gif")
LEAST_DPI = 10  # below, letters have no pixels


def usual_suffix() -> str:
    """ ".mp4" where the program ffmpeg is found, else ".gif"."""
    from matplotlib.animation import FFMpegWriter

    return ".mp4" if FFMpegWriter.isAvailable() else ".gif"


def save_movie(
    trajectory: Trajectory, path: str | os.PathLike[str] | None = None, *, frames: int = 100,
    fps: int = 12, bins: int = 128, view: str = "map", dpi: int = 100,
) -> Path:  # fmt: skip
    """Write a run as a movie of both players side by side, from its saved states alone.

    One scale of densities serves all frames while their peaks stay within a factor of 5.

    Parameters
    ----------
    trajectory : Trajectory
    path : path, optional
        Ends in .mp4 (needs the program ffmpeg) or .gif; by default run.mp4, or run.gif without it.
    frames : int
        The largest number of states shown, evenly spaced.
    fps, dpi : int
        Frames per second and dots per inch.
    bins, view
        As in `plot_measure`.

    Raises
    ------
    TypeError
        For what is no trajectory.
    ValueError
        For a run with one state, another ending, a missing folder, or .mp4 without ffmpeg.
    """
    check_kind("save_movie", trajectory, Trajectory, "Trajectory")
    if len(trajectory) < 2:
        raise ValueError(
            "a movie needs two saved states or more; run again with a smaller save_every"
        )
    check_view(view)
    bins = whole("bins", bins)
    target = Path(path) if path is not None else Path(f"run{usual_suffix()}")
    check_target(target)
    writer = _writer(target.suffix.lower(), whole("fps", fps), target)
    chosen = chosen_states(len(trajectory), whole("frames", frames, 2))
    with styled():
        figure, axes = _stage(trajectory, view)
        how = []
        for (name, _), measures in zip(PLAYERS, (trajectory.x, trajectory.y), strict=True):
            spread = of_labels(trajectory, name)
            top = _top([measures[k] for k in chosen], bins, spread)
            how.append({"bins": bins, "view": view, "top": top, "spread": spread})
        # What cannot be drawn fails here; inside, the writer's own error without a frame would
        # hide it.
        figure.set_dpi(whole("dpi", dpi, LEAST_DPI))
        _draw(figure, axes, trajectory, int(chosen[0]), how)
        figure.canvas.draw()
        with writer.saving(figure, os.fspath(target), dpi):
            for k in chosen:
                _draw(figure, axes, trajectory, int(k), how)
                writer.grab_frame()
                # The layout of the first frame stays: axes do not jump about, and later frames
                # are quicker.
                figure.set_layout_engine("none")
    return target


def check_target(target: Path) -> None:
    """ValueError for a name that no movie may have, or a folder that does not exist."""
    if target.suffix.lower() not in KNOWN:
        raise ValueError(f"{target.name} must end in {' or '.join(KNOWN)}")
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent} for {target.name}; make it first")


def _writer(kind: str, fps: int, target: Path) -> Any:
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if kind == ".gif":
        return PillowWriter(fps)
    if not FFMpegWriter.isAvailable():
        raise ValueError(
            f"{target.name} needs the program ffmpeg, which is not found; choose a name that ends "
            "in .gif"
        )
    # Even numbers of pixels and this format are what players of all kinds show.
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    extra = ["-pix_fmt", "yuv420p", "-vf", even, "-f", "mp4"]
    return FFMpegWriter(fps, codec="libx264", extra_args=extra)


def _stage(trajectory: Trajectory, view: str) -> tuple[Any, list[Any]]:
    """The figure and its axes: one for each player and one below for the recorded curve, if any."""
    below = bool(_recorded(trajectory))
    flat = circular(trajectory.x[0], trajectory.y[0])
    heights = [2.5 if flat else 3.4] + ([1.1] if below else [])
    figure = new_figure(7.6, sum(heights))
    rows = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    return figure, [*rows[0].subplots(1, 2), *([rows[1].add_subplot()] if below else [])]


def _recorded(trajectory: Trajectory) -> str:
    """The diagnostic drawn below: NI where it was recorded, else the value, else none."""
    return next((key for key in ("ni", "value") if has_curve(trajectory, key)), "")


def _top(measures: Sequence[Measure], bins: int, spread: bool) -> float | None:
    """The density that is darkest, or highest, in all frames.

    None, which gives each frame its own, where peaks differ by more than a factor of 5.
    """
    if not circular(measures[0]):
        return common_top(measures)
    single = drawn_singly(measures[0], spread)
    peaks = [float((m.masses if single else profile(m, bins, spread)[1]).max()) for m in measures]
    return 1.05 * max(peaks) if max(peaks) < 5 * min(peaks) else None


def _draw(
    figure: Any, axes: list[Any], trajectory: Trajectory, k: int, how: list[dict[str, Any]]
) -> None:
    title = ", ".join([*names_of(trajectory), f"$t = {trajectory.times[k]:.2f}$"])
    figure.suptitle(title, fontsize=9.5)
    for ax, measure, options, (name, color) in zip(
        axes[:2], trajectory[k], how, PLAYERS, strict=True
    ):
        ax.clear()
        plot_measure(measure, ax, color=color, name=name, **options)
        own = options["top"] is None and isinstance(measure, Density) and not circular(measure)
        scale = f", darkest at {darkest([measure]):.3g}" if own else ""
        ax.set_title(f"$\\mu_{name}${scale}")
    if len(axes) == 3:
        axes[2].clear()
        draw_curve(axes[2], trajectory, _recorded(trajectory), k)
