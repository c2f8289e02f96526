"""A Gibbs path: value, entropies, error and rate against beta."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.plotting.style import BLUE, GREEN, PLAYERS, new_figure, styled


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
