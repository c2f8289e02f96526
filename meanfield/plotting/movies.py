"""Movies of stored runs: one frame a saved state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import whole
from meanfield.measures import Density, Measure
from meanfield.plotting.measures import (
    FEW,
    VIEWS,
    circular,
    common_top,
    darkest,
    plot_measure,
    profile,
)
from meanfield.plotting.runs import of_labels
from meanfield.plotting.style import GREY, PLAYERS, new_figure, styled
from meanfield.trajectory import Trajectory

KNOWN = (".mp4", ".gif")
LEAST_DPI = 10  # below, letters have no pixels


def usual_suffix() -> str:
    """ ".mp4" where the program ffmpeg is found, else ".gif"."""
    from matplotlib.animation import FFMpegWriter

    return ".mp4" if FFMpegWriter.isAvailable() else ".gif"


def save_movie(
    trajectory: Trajectory, path: str | os.PathLike[str] | None = None, *, frames: int = 100, fps: int = 12,
    bins: int = 128, view: str = "map", dpi: int = 100,
) -> Path:  # fmt: skip
    """Write a run as a movie, the two players side by side, from its saved states alone. Returns the path.

    path: ends in .mp4 (needs the program ffmpeg) or .gif; by default run.mp4, or run.gif without ffmpeg.
    frames: at most so many states, evenly spaced. view, bins: as in `plot_measure`. One scale of densities
    serves all frames while their peaks stay within a factor of 5. Raises TypeError for what is no trajectory,
    ValueError for one state only, another ending, a folder that is not there, or .mp4 without ffmpeg.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(f"save_movie draws a meanfield.Trajectory, got {type(trajectory).__name__}")
    if len(trajectory) < 2:
        raise ValueError(
            "a movie needs two saved states or more; run again with a smaller save_every"
        )
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; known are {', '.join(map(repr, VIEWS))}")
    target = Path(path) if path is not None else Path(f"run{usual_suffix()}")
    check_target(target)
    writer = _writer(target.suffix.lower(), whole("fps", fps), target)
    chosen = chosen_states(len(trajectory), frames)
    with styled():
        figure, parts = _stage(trajectory, view)
        spread = [of_labels(trajectory, name) for name, _ in PLAYERS]
        tops = [
            _top([measures[k] for k in chosen], bins, labels)
            for measures, labels in zip((trajectory.x, trajectory.y), spread, strict=True)
        ]
        how = [
            {"bins": whole("bins", bins), "view": view, "top": top, "spread": s}
            for top, s in zip(tops, spread, strict=True)
        ]
        # What cannot be drawn says so here; inside, the writer's own end without a frame would hide it.
        figure.set_dpi(whole("dpi", dpi, LEAST_DPI))
        _draw(figure, parts, trajectory, int(chosen[0]), how)
        figure.canvas.draw()
        with writer.saving(figure, os.fspath(target), dpi):
            for k in chosen:
                _draw(figure, parts, trajectory, int(k), how)
                writer.grab_frame()
                # What the first frame settled stays: axes do not jump about, and later frames are quicker.
                figure.set_layout_engine("none")
    return target


def chosen_states(count: int, frames: int) -> Any:
    """Numbers of the states that are shown: at most `frames`, the first and the last among them."""
    return np.unique(
        np.linspace(0, count - 1, min(count, whole("frames", frames, 2))).round().astype(int)
    )


def check_target(target: Path) -> None:
    """ValueError for a name that no movie may have, or a folder that is not there."""
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
            f"{target.name} needs the program ffmpeg, which is not found; choose a name that ends in .gif"
        )
    # Even numbers of pixels and this format are what players of all kinds show.
    return FFMpegWriter(
        fps,
        codec="libx264",
        extra_args=["-pix_fmt", "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-f", "mp4"],
    )


def _stage(trajectory: Trajectory, view: str) -> tuple[Any, list[Any]]:
    """The figure and its axes: a player each and, if the value was recorded, one below for it."""
    flat = circular(trajectory.x[0]) and circular(trajectory.y[0])
    told = _told(trajectory)
    heights = [2.5 if flat else 3.4] + ([1.1] if told else [])
    figure = new_figure(7.6, sum(heights))
    rows = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    parts = list(rows[0].subplots(1, 2))
    return figure, parts + ([rows[1].add_subplot()] if told else [])


def _told(trajectory: Trajectory) -> str:
    """The diagnostic drawn below: NI where it was recorded, else the value, else none."""
    for key in ("ni", "value"):
        if np.shape(trajectory.diagnostics.get(key, 0.0)) == (len(trajectory),):
            return key
    return ""


def _top(measures: Sequence[Measure], bins: int, spread: bool) -> float | None:
    """The density that is darkest, or highest, in all frames; None, each frame's own, where peaks grow or fall
    so much that one scale would show nothing of the rest."""
    if not circular(measures[0]):
        return common_top(measures)
    few = len(measures[0]) <= FEW and not spread and not isinstance(measures[0], Density)
    peaks = [float((m.masses if few else profile(m, bins, spread)[1]).max()) for m in measures]
    return 1.05 * max(peaks) if max(peaks) < 5 * min(peaks) else None


def _draw(
    figure: Any, parts: list[Any], trajectory: Trajectory, k: int, how: list[dict[str, Any]]
) -> None:
    t = trajectory.times[k]
    figure.suptitle(f"{_name(trajectory)}$t = {t:.2f}$", fontsize=9.5)
    for ax, measure, options, (name, color) in zip(
        parts[:2], trajectory[k], how, PLAYERS, strict=True
    ):
        ax.clear()
        plot_measure(measure, ax, color=color, name=name, **options)
        told = ""
        if options["top"] is None and isinstance(measure, Density) and not circular(measure):
            told = f", darkest at {darkest([measure]):.3g}"
        ax.set_title(f"$\\mu_{name}${told}")
    if len(parts) == 3:
        _trace(parts[2], trajectory, k)


def _name(trajectory: Trajectory) -> str:
    names = [getattr(trajectory.game, "name", ""), getattr(trajectory.flow, "name", "")]
    return "".join(f"{name}, " for name in names if name)


def _trace(ax: Any, trajectory: Trajectory, k: int) -> None:
    """The recorded curve up to now in colour, what comes in grey."""
    key = _told(trajectory)
    values = trajectory.diagnostics[key]
    ax.clear()
    ax.plot(trajectory.times, values, color=GREY, lw=0.8, alpha=0.5)
    ax.plot(trajectory.times[: k + 1], values[: k + 1], color=GREY)
    ax.plot(trajectory.times[k], values[k], "o", color=GREY, ms=4)
    if key == "ni" and (values > 0).all() and values.max() > 20 * values.min():
        ax.set_yscale("log")
    ax.set(xlim=(trajectory.times[0], trajectory.times[-1]), xlabel="time $t$")
    ax.set_ylabel("NI" if key == "ni" else r"$\mathcal{L}$")
