"""Movies of stored runs, a frame for each saved state."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import whole
from meanfield.plotting.checks import draws
from meanfield.plotting.circle import circular, leading, profile, scale, stems
from meanfield.plotting.measures import (
    colour_bar,
    darkest,
    draw_axes,
    paint,
    shadow,
)
from meanfield.plotting.runs import CURVES, chosen_states, draw_curve, has_curve, of_labels
from meanfield.plotting.style import GREY, PLAYERS, Picture, Settled, ramp, styled
from meanfield.plotting.words import of_run
from meanfield.progress import bar
from meanfield.trajectory import Trajectory

KNOWN = (".mp4", ".gif")
LEAST_DPI = 10  # below, letters have no pixels
Frame = NDArray[np.uint8]


def usual_suffix() -> str:
    """ ".mp4" where the program ffmpeg is found, else ".gif"."""
    return ".mp4" if which("ffmpeg") else ".gif"


@draws("a meanfield.Trajectory", kind=Trajectory)
def save_movie(
    trajectory: Trajectory, path: str | os.PathLike[str] | None = None, *, frames: int = 100,
    fps: int = 12, bins: int | None = None, view: str = "map", dpi: int = 100,
    progress: bool | None = None,
) -> Path:  # fmt: skip
    """Write a run as a movie of both players side by side, from its saved states alone.

    One scale of densities serves all frames; peaks far sharper than those of most frames pass it.

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
    progress : bool, optional
        A bar of frames, by default on terminals and in notebooks.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        For what is no trajectory.
    ValueError
        For a run with one state, another ending, a missing folder, or .mp4 without ffmpeg.
    """
    if len(trajectory) < 2:
        raise ValueError(
            "a movie needs two saved states or more; run again with a smaller save_every"
        )
    target = Path(path) if path is not None else Path(f"run{usual_suffix()}")
    check_target(target)
    fps, dpi = whole("fps", fps), whole("dpi", dpi, LEAST_DPI)
    chosen = chosen_states(len(trajectory), whole("frames", frames, 2))
    with styled():
        film = Film(trajectory, chosen, dpi, bins, view)
        write = _gif if target.suffix.lower() == ".gif" else _mp4
        # The first frame is drawn before a file is opened: what cannot be drawn leaves none.
        first = film.frame(int(chosen[0]))
        with bar(len(chosen), "frames", progress) as shown, write(target, fps, first.shape) as add:
            for k in chosen:
                add(film.frame(int(k)))
                shown.update(1)
    return target


def check_target(target: Path) -> None:
    """ValueError for a name that no movie may have, or a folder that does not exist."""
    if target.suffix.lower() not in KNOWN:
        raise ValueError(f"{target.name} must end in {' or '.join(KNOWN)}")
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent} for {target.name}; make it first")
    if target.suffix.lower() == ".mp4" and not which("ffmpeg"):
        raise ValueError(
            f"{target.name} needs the program ffmpeg, which is not found; choose a name that ends "
            "in .gif"
        )


class Film:
    """The picture whose frames are filmed: what stands still is drawn once.

    Axes, names and scales are kept as pixels; a frame adds the measures, the time and the marks on
    the curve.
    """

    def __init__(
        self, trajectory: Trajectory, chosen: Any, dpi: int, bins: int | None, view: str
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.trajectory = trajectory
        self.key = next((key for key in reversed(CURVES) if has_curve(trajectory, key)), "")
        heights = [2.5 if circular(trajectory.x[0], trajectory.y[0]) else 3.6]
        heights += [1.1] if self.key else []
        self.figure = Picture(figsize=(7.6, sum(heights) + 0.3), dpi=dpi, layout=Settled())
        self.canvas = FigureCanvasAgg(self.figure)
        self.title = self.figure.suptitle(of_run(trajectory) + "\n", fontsize=9.5)
        parts: Any = self.figure.subfigures(len(heights), 1, height_ratios=heights)
        rows = np.atleast_1d(parts)
        self.axes = rows[0].subplots(1, 2)
        self.looks: list[dict[str, Any]] = []
        self.tops: list[float] = []
        for ax, (name, color) in zip(self.axes, PLAYERS, strict=True):
            self._prepare(ax, name, color, chosen, bins, view)
        self.below = rows[1].add_subplot() if self.key else None
        if self.below is not None:
            draw_curve(self.below, trajectory, self.key)
            self.below.lines[0].set(alpha=0.5, lw=0.8)
        self.canvas.draw()
        # The layout stays: axes do not jump about.
        self.figure.set_layout_engine("none")
        at = self.figure.get_window_extent()
        self.still = self.canvas.copy_from_bbox(at)  # type: ignore[no-untyped-call]

    def _prepare(
        self, ax: Any, name: str, color: str, chosen: Any, bins: int | None, view: str
    ) -> None:
        """A player's axes, and how its measures are drawn in them."""
        measures = [getattr(self.trajectory, name)[k] for k in chosen]
        plane, spread = shadow(measures, name), of_labels(self.trajectory, name)
        atoms = all(stems(m, spread) for m in measures)
        seen = [plane.of(m) for m in measures]
        if circular(seen[0]):
            values = [m.masses if atoms else profile(m, bins, spread)[1] for m in seen]
            top = 1.05 * scale(np.array([v.max() for v in values]))[0]
        else:
            top, extend = scale(np.array([darkest([m]) for m in seen]))
            how = {"location": "bottom", "shrink": 0.7, "label": "density", "extend": extend}
            colour_bar(ax, leading(seen), color, top, **how)
        look = {"color": color, "plane": plane, "view": view, "bins": bins, "spread": spread}
        look |= {"atoms": atoms, "name": name}
        draw_axes(ax, leading(seen), top, **look)  # type: ignore[arg-type]
        ax.set_title(f"$\\mu_{name}$")
        ax.set_xlabel(ax.get_xlabel() or f"${name}$")
        self.looks.append(look)
        self.tops.append(top)

    def frame(self, k: int) -> Frame:
        """The picture of state k, (height, width, 3)."""
        self.canvas.restore_region(self.still)
        renderer, t = self.canvas.get_renderer(), self.trajectory.times[k]
        for ax, measure, look, top in zip(
            self.axes, self.trajectory[k], self.looks, self.tops, strict=True
        ):
            self._add(paint(ax, look["plane"].of(measure), top, **look), renderer)
        if self.below is not None:
            times, values = self.trajectory.times[: k + 1], self.trajectory.diagnostics[self.key]
            past = self.below.plot(times, values[: k + 1], color=GREY)
            now = self.below.plot(t, values[k], "o", color=GREY, ms=4)
            self._add([*past, *now], renderer)
        # In the empty line below the title.
        low = self.title.get_window_extent().y0
        where = self.figure.transFigure.inverted().transform((0, low))[1]
        self._add([self.figure.text(0.5, where, f"$t = {t:.2f}$", ha="center")], renderer)
        return np.array(self.canvas.buffer_rgba())[..., :3]

    @staticmethod
    def _add(artists: list[Any], renderer: Any) -> None:
        """Draw artists into the frame, and forget them."""
        for artist in sorted(artists, key=lambda a: a.get_zorder()):
            artist.draw(renderer)
            artist.remove()


Add = Callable[[Frame], None]


@contextmanager
def _gif(target: Path, fps: int, shape: tuple[int, ...]) -> Iterator[Add]:
    from PIL import Image

    palette, images = _palette(), []
    how: Any = {"palette": palette, "dither": Image.Dither.NONE}
    yield lambda frame: images.append(Image.fromarray(frame).quantize(**how))
    how = {"save_all": True, "duration": 1000 / fps, "loop": 0, "optimize": False}
    images[0].save(target, append_images=images[1:], **how)


def _palette() -> Any:
    """The 256 colours of all frames: greys, and the ramps of both players from white to dark."""
    from PIL import Image

    shades = [ramp(color)(np.linspace(0.03, 1, 102))[:, :3] for _, color in PLAYERS]
    greys = np.repeat(np.linspace(0, 1, 52)[:, None], 3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(255 * np.concatenate([greys, *shades])).astype(int).ravel().tolist())
    return palette


@contextmanager
def _mp4(target: Path, fps: int, shape: tuple[int, ...]) -> Iterator[Add]:
    # Even numbers of pixels and this format are what players of all kinds show.
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{shape[1]}x{shape[0]}", "-r", str(fps), "-i", "-", "-c:v", "libx264"]
    command += ["-pix_fmt", "yuv420p", "-vf", even, "-f", "mp4", os.fspath(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        pipe: Any = writer.stdin

        def add(frame: Frame) -> None:
            pipe.write(frame.tobytes())

        yield add
        _, errors = writer.communicate()
        said = errors.decode()
        if writer.returncode:
            raise ValueError(f"ffmpeg could not write {target.name}: {said.strip()}")
