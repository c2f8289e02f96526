"""Pictures of pairs of strategies and of spectra."""

from __future__ import annotations

from typing import Any

from meanfield.plotting.measures import circular, colour_bar, plot_measure
from meanfield.plotting.style import BLUE, GREY, PLAYERS, new_figure, styled


def plot_pair(pair: Any, title: str = "", view: str = "map", symbol: str = r"\mu") -> Any:
    """Both strategies, `pair.x` and `pair.y`, side by side."""
    with styled():
        figure = new_figure(7.2, 2.6 if circular(pair.x) and circular(pair.y) else 3.2)
        for ax, measure, (name, color) in zip(
            figure.subplots(1, 2), (pair.x, pair.y), PLAYERS, strict=True
        ):
            plot_measure(measure, ax, color=color, view=view, name=name)
            colour_bar(ax, measure, color, location="bottom", shrink=0.7, label="density")
            ax.set_title(f"${symbol}_{name}$")
            if circular(measure):
                ax.set_xlabel(f"${name}$")
        figure.suptitle(title, fontsize=9.5)
    return figure


def plot_equilibrium(equilibrium: Any, view: str = "map") -> Any:
    """The two sparse strategies of an equilibrium, with its certificate."""
    e = equilibrium
    return plot_pair(e, f"equilibrium, value in [{e.lower:.6g}, {e.upper:.6g}]", view)


def plot_spectrum(stability: Any) -> Any:
    """The leading eigenvalues of the linearised (7): to the left of the line perturbations decay."""
    with styled():
        figure = new_figure(4.4, 3.4)
        ax = figure.subplots()
        ax.axvline(0.0, color=GREY, lw=0.8)
        ax.plot(stability.eigenvalues.real, stability.eigenvalues.imag, "o", color=BLUE, ms=5)
        ax.set(xlabel="growth rate", ylabel="angular frequency")
        ax.set_title(f"decay rate {stability.rate:.4g}, frequency {stability.frequency:.4g}")
    return figure
