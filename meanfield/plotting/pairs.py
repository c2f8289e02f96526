"""Pictures of pairs of strategies, of fixed points and of spectra."""

from __future__ import annotations

from typing import Any

from meanfield.plotting.measures import circular, colour_bar, plot_measure
from meanfield.plotting.style import BLUE, GREY, PLAYERS, new_figure, styled


def plot_pair(pair: Any, title: str = "", view: str = "map", symbol: str = r"\mu") -> Any:
    """Draw two strategies, the measures `pair.x` and `pair.y`, side by side.

    view is that of `plot_measure`; symbol is what the measures are called in mathematical text.
    """
    with styled():
        figure = new_figure(7.2, 2.6 if circular(pair.x, pair.y) else 3.2)
        both = zip(figure.subplots(1, 2), (pair.x, pair.y), PLAYERS, strict=True)
        for ax, measure, (name, color) in both:
            plot_measure(measure, ax, color=color, view=view, name=name)
            colour_bar(ax, measure, color, location="bottom", shrink=0.7, label="density")
            ax.set_title(f"${symbol}_{name}$")
            if circular(measure):
                ax.set_xlabel(f"${name}$")
        figure.suptitle(title, fontsize=9.5)
    return figure


def plot_equilibrium(equilibrium: Any, view: str = "map") -> Any:
    """Draw the sparse strategies of a Nash equilibrium and the bounds on its value."""
    e = equilibrium
    return plot_pair(e, f"equilibrium, value in [{e.lower:.6g}, {e.upper:.6g}]", view)


def plot_gibbs(result: Any, view: str = "map") -> Any:
    """Draw both players' Gibbs densities, the fixed point of equation (9)."""
    title = f"Gibbs fixed point (9), residual {result.residual:.1e}"
    return plot_pair(result, title, view, r"\hat\mu")


def plot_spectrum(stability: Any) -> Any:
    """Draw the leading eigenvalues of (7) linearised; those left of the line decay."""
    with styled():
        figure = new_figure(4.4, 3.4)
        ax = figure.subplots()
        ax.axvline(0.0, color=GREY, lw=0.8)
        ax.plot(stability.eigenvalues.real, stability.eigenvalues.imag, "o", color=BLUE, ms=5)
        ax.set(xlabel="growth rate", ylabel="angular frequency")
        ax.set_title(f"decay rate {stability.rate:.4g}, frequency {stability.frequency:.4g}")
    return figure
