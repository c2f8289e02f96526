"""Colours (Okabe and Ito's, safe for colour-blind readers), figures and axes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from meanfield.checks import Array

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#5f6368"
PLAYERS = (("x", BLUE), ("y", ORANGE))
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
}
SILENT = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}  # backends without windows


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in pyplot's care only where pyplot shows windows."""
    import matplotlib

    matplotlib.rcParams  # noqa: B018  (loads the defaults before pyplot is looked for)
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        backend = str(matplotlib.get_backend()).lower()
        if backend not in SILENT and "inline" not in backend:
            return pyplot.figure(figsize=(width, height), layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """The context in which figures are drawn; the caller's settings come back after it."""
    import matplotlib

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
    import matplotlib

    at = np.linspace(0.15, 0.9, max(count, 2))[:count]
    return [matplotlib.colormaps["viridis_r"](v) for v in at]


def widen(ax: Any) -> None:
    """Lengthen a vertical axis that is so short that rounding errors would look like structure."""
    low, high = ax.get_ylim()
    reach = 0.5e-12 * max(1.0, abs(low), abs(high))
    if high - low < 2 * reach:
        ax.set_ylim(0.5 * (low + high) - reach, 0.5 * (low + high) + reach)


def logarithmic(ax: Any, values: Array) -> bool:
    """Use a logarithmic axis for positive values that span a factor of 20 or more."""
    wide = bool((values > 0).all() and values.max() > 20 * values.min())
    if wide:
        ax.set_yscale("log")
    return wide


def scatter_atoms(ax: Any, at: Array, sizes: Array, color: str, count: int) -> None:
    """Dots at places (n, 2), paler the more atoms the measure has."""
    ax.scatter(*at.T, s=sizes, color=color, alpha=min(1.0, 0.25 + 150 / count), lw=0)


def image(
    ax: Any, across: Array, up: Array, values: Array, color: str, top: float, **how: Any
) -> None:
    """Densities on a rectangular grid as colours."""
    ax.pcolormesh(across, up, values, cmap=ramp(color), vmin=0, vmax=top, rasterized=True, **how)
