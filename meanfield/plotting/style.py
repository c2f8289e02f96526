"""Colours and figures. The colours are those of Okabe and Ito, told apart by every kind of eye."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

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


def new_figure(width: float, height: float) -> Any:
    """An empty figure, in pyplot's care only where pyplot shows windows."""
    import matplotlib

    matplotlib.rcParams  # noqa: B018  (loads the defaults before pyplot is looked for)
    pyplot = sys.modules.get("matplotlib.pyplot")
    silent = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
    if pyplot is not None:
        backend = str(matplotlib.get_backend()).lower()
        if backend not in silent and "inline" not in backend:
            return pyplot.figure(figsize=(width, height), layout="constrained")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def styled() -> Any:
    """The context that figures are drawn in; the caller's settings come back after it."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def ramp(color: str) -> Any:
    """White, then the colour, then nearly black: mass is ink."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    rgb = np.array(to_rgb(color))
    return LinearSegmentedColormap.from_list(
        "ramp", [(0, "white"), (0.55, tuple(rgb)), (1, tuple(rgb * 0.25))]
    )


def colours(color: str, top: float) -> Any:
    """From densities, 0 to `top`, to the colours of the ramp."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0, max(top, 1e-300)), ramp(color))


def widen(ax: Any) -> None:
    """No axis so short that rounding looks like structure: at least 1e-12 of its numbers, 1e-12 about zero."""
    low, high = ax.get_ylim()
    reach = 0.5e-12 * max(1.0, abs(low), abs(high))
    if high - low < 2 * reach:
        ax.set_ylim(0.5 * (low + high) - reach, 0.5 * (low + high) + reach)


def shades(count: int) -> list[Any]:
    """`count` colours from light to dark blue-green, in order, all readable on white."""
    import matplotlib

    return [matplotlib.colormaps["viridis_r"](v) for v in np.linspace(0.15, 0.9, max(count, 2))][
        :count
    ]
