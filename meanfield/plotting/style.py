"""Colours (Okabe and Ito's, safe for colour-blind readers), figures that show themselves, axes."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

from meanfield.checks import Array, finite_array
from meanfield.plotting.words import small

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5f6368"
PLAYERS = (("x", BLUE), ("y", ORANGE))
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "figure.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "axes.formatter.useoffset": False,
}
SILENT = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}  # backends without windows
ROUNDS = 8  # of the layout, at most
ROUNDING = 1e-12  # what varies by less, relative to one or to its size, is drawn as constant


class Picture(Figure):
    """A matplotlib figure that notebooks show without being asked, and that `show` opens."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def show(self, warn: bool = True) -> None:
        """Open a window, and in a script wait until it is closed, as `matplotlib.pyplot.show` does.

        Where there is no display matplotlib warns, unless warn=False, and `savefig` remains.
        """
        from matplotlib import pyplot

        if "inline" in str(matplotlib.get_backend()).lower():
            from IPython.display import display

            display(self)
            return
        if self.canvas.manager is None:
            again: Any = lambda *_, **__: self  # noqa: E731
            pyplot.figure(FigureClass=again)
        if warn or str(matplotlib.get_backend()).lower() not in SILENT:
            pyplot.show()


class Settled(ConstrainedLayoutEngine):  # type: ignore[misc]
    """Matplotlib's layout, run until it stands: its two rounds leave labels over titles where axes
    keep their aspect.
    """

    def execute(self, fig: Any) -> None:
        before: Any = np.inf
        for k in range(ROUNDS):
            with warnings.catch_warnings():
                if k > 1:  # where there is no room, the layout stays as it was
                    warnings.simplefilter("ignore")
                super().execute(fig)
            after = np.array([ax.get_position(original=True).bounds for ax in fig.axes])
            if np.all(np.abs(after - before) < 2e-3):
                return
            before = after


def new_figure(width: float, height: float) -> Any:
    """An empty figure, known to pyplot where the caller uses pyplot.

    Without windows pyplot keeps the last one alone, so that many pictures do not fill the memory.
    Notebooks show what a cell returns; pyplot would show it once more.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    how: Any = {"figsize": (width, height), "layout": Settled()}
    backend = "" if pyplot is None else str(matplotlib.get_backend()).lower()
    if pyplot is None or "inline" in backend:
        return Picture(**how)
    if backend in SILENT:
        for number in pyplot.get_fignums():
            if isinstance(pyplot.figure(number), Picture):
                pyplot.close(number)
    return pyplot.figure(FigureClass=Picture, **how)


def panel(width: float, height: float, ax: Any = None, figsize: Any = None) -> Any:
    """Where a picture of one panel is drawn: the axes of a new figure, or the caller's.

    width, height: of a new figure, in inches, unless figsize gives them.
    """
    return _new(width, height, figsize).add_subplot() if ax is None else _of_caller(ax, figsize)


def _new(width: float, height: float, figsize: Any) -> Any:
    if figsize is None:
        return new_figure(width, height)
    size = finite_array("figsize", figsize, (2,))
    if size.min() <= 0:
        raise ValueError(f"figsize must be a width and a height above zero, got {figsize!r}")
    return new_figure(*size)


def _of_caller(ax: Any, figsize: Any) -> Any:
    if figsize is not None:
        raise ValueError("figsize is that of a new figure; with ax=, the figure has its size")
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be one matplotlib Axes, got {type(ax).__name__}")
    return ax


def stage(width: float, height: float, ax: Any = None, title: str = "", figsize: Any = None) -> Any:
    """Where a picture of several panels is drawn: a new figure, or the place of the caller's axes.

    width, height, figsize: as of `panel`.
    """
    if ax is None:
        made = _new(width, height, figsize)
    elif _of_caller(ax, figsize).get_subplotspec() is None:
        raise ValueError("ax must be made by subplots(); panels take its place in their grid")
    else:
        figure = ax.get_figure()
        if figure.figure.get_layout_engine() is None:
            figure.figure.set_layout_engine(Settled())  # panels need room for their labels
        ax.remove()
        made = figure.add_subfigure(ax.get_subplotspec())
    if title:
        made.suptitle(title)
    return made


def styled() -> Any:
    """The context in which figures are drawn; the caller's settings come back after it."""
    return matplotlib.rc_context(STYLE)


def ramp(color: str) -> Any:
    """The colour map of a density: white, then the colour, then nearly black."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    rgb = np.array(to_rgb(color))
    stops = [(0, "white"), (0.55, tuple(rgb)), (1, tuple(rgb * 0.25))]
    return LinearSegmentedColormap.from_list("ramp", stops)


def colours(color: str, top: float) -> Any:
    """The map from densities between 0 and `top` to the colours of the ramp."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0, max(top, 1e-300)), ramp(color))


def shades(count: int) -> list[Any]:
    """Colours from light to dark blue-green, in order, all readable on white."""
    at = np.linspace(0.15, 0.9, max(count, 2))[:count]
    return [matplotlib.colormaps["viridis_r"](v) for v in at]


def widen(ax: Any, *curves: Array) -> None:
    """A plain vertical axis, and a word, for curves that are constant up to rounding."""
    low, high = min(v.min() for v in curves), max(v.max() for v in curves)
    size = max(abs(low), abs(high))
    if high - low > ROUNDING * max(1.0, size):
        return
    middle = 0.0 if size < ROUNDING else 0.5 * (low + high)
    reach = max(0.1 * abs(middle), 1e-3) if middle else 1.0
    ax.set(yscale="linear", ylim=(middle - reach, middle + reach))
    off = high - low if middle else size
    said = f"up to rounding (${small(off)}$)" if off else "exactly"
    ax.text(0.5, 0.6, f"{middle:.6g} {said}", transform=ax.transAxes, ha="center", color=GREY)


def wide(*curves: Array) -> bool:
    """Whether values are positive and span a factor of 20 or more, which takes a logarithm."""
    values = np.concatenate([np.ravel(v) for v in curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return False
    low, high = values.min(), values.max()
    return bool(low > 0 and high > 20 * low and high > ROUNDING)


def logarithmic(ax: Any, *curves: Array) -> None:
    """A logarithmic vertical axis for values that are `wide`."""
    if wide(*curves):
        in_decades(ax, "y")


class Decades(LogLocator):  # type: ignore[misc]
    """Powers of ten; where fewer than two are in view 1, 2, 5, and else a few round numbers."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        for subs, least in (((1.0,), 2), ((1.0, 2.0, 5.0), 3)):
            self.set_params(subs=subs)
            ticks = np.asarray(super().tick_values(vmin, vmax))
            if np.sum((vmin <= ticks) & (ticks <= vmax)) >= least:
                return ticks
        few = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        ticks = np.asarray(few.tick_values(vmin, vmax))
        return ticks[ticks > 0]


class Powers(LogFormatterMathtext):  # type: ignore[misc]
    """Powers of ten as such where all ticks are, else plain numbers."""

    def format_ticks(self, values: Any) -> list[str]:
        powers = np.log10(values)
        if np.allclose(powers, np.round(powers), rtol=0, atol=1e-6):
            return [str(self(v)) for v in values]
        return [tick_name(v) for v in values]


def tick_name(value: float) -> str:
    """A round number with all its digits, powers of ten as such."""
    digits, _, power = f"{value:.12g}".partition("e")
    return rf"${digits} \cdot 10^{{{int(power)}}}$" if power else f"${digits}$"


def in_decades(ax: Any, which: str = "xy") -> None:
    """Logarithmic axes, two named ticks or more on each however little it spans."""
    for letter in which:
        ax.set(**{f"{letter}scale": "log"})
        axis = getattr(ax, f"{letter}axis")
        axis.set_major_locator(Decades())
        axis.set_major_formatter(Powers())
        axis.set_minor_formatter(NullFormatter())


def line_above_rounding(
    ax: Any, x: Array, y: Array, label: str = "", how: str = "", **look: Any
) -> None:
    """A line of a logarithmic axis without what is zero up to rounding, said where all of it is."""
    seen = np.where(y > ROUNDING, y, np.nan)
    label += "" if np.isfinite(seen).any() or not label else ": zero"
    ax.plot(x, seen, how, label=label, **look)


def ticks_at(axis: Any, values: Any, names: Any, apart: float = 0.09) -> None:
    """Ticks at given values, unnamed where names would overlap."""
    at = np.asarray(values, dtype=float)
    at = np.log(at) if axis.get_scale() == "log" else at
    span, last = max(float(np.ptp(at)), 1e-300), -np.inf
    shown = list(names)
    for k in np.argsort(at):
        if at[k] - last < apart * span:
            shown[k] = ""
        else:
            last = at[k]
    axis.set_ticks(values, shown)
    axis.set_ticks([], minor=True)


def scatter_atoms(ax: Any, at: Array, sizes: Array, color: str, count: int) -> Any:
    """Dots at places (n, 2), paler the more atoms the measure has."""
    how: Any = {"alpha": min(1.0, 0.25 + 150 / count), "rasterized": len(at) > 2000}
    return ax.scatter(*at.T, s=sizes, color=color, lw=0, **how)


def image(
    ax: Any, across: Array, up: Array, values: Array, color: str, top: float, **how: Any
) -> Any:
    """Densities on a rectangular grid as colours."""
    how |= {"cmap": ramp(color), "vmin": 0, "vmax": top, "rasterized": True}
    return ax.pcolormesh(across, up, values, **how)
