"""Pictures of pairs of strategies, of fixed points and of spectra."""

from __future__ import annotations

from typing import Any

from meanfield.manifolds import Sphere
from meanfield.measures import Measure
from meanfield.plotting.checks import draws
from meanfield.plotting.circle import circular
from meanfield.plotting.measures import colour_bar, plot_measure, shadow
from meanfield.plotting.style import BLUE, GREY, ORANGE, PLAYERS, panel, stage, styled
from meanfield.plotting.words import equal, of_flow, of_game, small, wrapped

PAIR = ("title", "view", "symbol", "figsize", "atoms")  # options of plot_pair


@draws("a pair of measures x and y", "x", "y")
def plot_pair(
    pair: Any, ax: Any = None, *, title: str = "", view: str = "map", symbol: str = r"\mu",
    figsize: Any = None, atoms: bool | None = None,
) -> Any:  # fmt: skip
    """Draw two strategies, the measures `pair.x` and `pair.y`, side by side.

    Parameters
    ----------
    pair
        Anything with measures x and y.
    ax, title, figsize
        As of `plot_trajectory`.
    view : {"map", "3d"}
        As in `plot_measure`.
    symbol : str
        What the measures are called in mathematical text.
    atoms : bool, optional
        As in `plot_measure`.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    TypeError, ValueError
        For what holds no such measures, and for options that are none or have no such value.
    """
    for letter, measure in (("x", pair.x), ("y", pair.y)):
        if not isinstance(measure, Measure):
            got = f"{letter} is of type {type(measure).__name__}"
            raise TypeError(f"plot_pair draws a pair of measures x and y, but {got}")
    wide = pair.x.manifold == pair.y.manifold == Sphere(2) and view == "map"
    height = 2.9 if circular(pair.x, pair.y) or wide else 3.8
    with styled():
        figure = stage(7.2, height, ax, wrapped(title), figsize)
        both = zip(figure.subplots(1, 2), (pair.x, pair.y), PLAYERS, strict=True)
        for axes, measure, (name, color) in both:
            plane = shadow([measure], name)
            how: Any = {"view": view, "name": name, "plane": plane, "atoms": atoms}
            plot_measure(measure, axes, color=color, **how)
            shown = plane.of(measure)
            colour_bar(axes, shown, color, location="bottom", shrink=0.7, label="density")
            axes.set_title(f"${symbol}_{name}$")
            if circular(measure):
                axes.set_xlabel(f"${name}$")
    return figure.figure


@draws("an Equilibrium, as meanfield.nash returns", "x", "y", "value", "error", options=PAIR)
def plot_equilibrium(equilibrium: Any, ax: Any = None, *, title: str | None = None,
                     **options: Any) -> Any:  # fmt: skip
    """Draw the atoms of a Nash equilibrium, titled with its value and its Nikaido-Isoda error.

    Parameters
    ----------
    equilibrium : Equilibrium
    ax, title, **options
        As of `plot_pair`.

    Returns
    -------
    matplotlib figure
    """
    e = equilibrium
    if title is None:
        error = rf"$\mathrm{{NI}} \leq {small(e.error)}$ (certified)"
        if not e.certified:
            error = rf"$\mathrm{{NI}}$ found ${small(e.error)}$, no upper bound"
        value = 0.0 if abs(e.value) <= e.error else e.value
        title = f"Nash equilibrium, value {value:.6g}, {error}"
    return plot_pair(e, ax, title=title, **{"atoms": True, **options})


@draws("a GibbsPoint, as meanfield.gibbs returns", "x", "y", "residual", options=PAIR)
def plot_gibbs(result: Any, ax: Any = None, *, title: str | None = None, **options: Any) -> Any:
    """Draw both players' Gibbs densities, the fixed point of equation (9).

    Parameters
    ----------
    result : GibbsPoint
    ax, title, **options
        As of `plot_pair`.

    Returns
    -------
    matplotlib figure
    """
    if title is None:
        words = [of_game(getattr(result, "game", None))]
        words += [equal(r"\beta", result.beta)] if hasattr(result, "beta") else []
        words += [f"Gibbs fixed point (9), residual ${small(result.residual)}$"]
        title = ", ".join(filter(None, words))
    return plot_pair(result, ax, title=title, **{"symbol": r"\hat\mu", **options})


@draws("a Stability, as meanfield.stability returns", "eigenvalues", "rate", "flow")
def plot_spectrum(
    stability: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None
) -> Any:
    """Draw the leading eigenvalues of a flow linearised; those left of the line decay.

    Parameters
    ----------
    stability : Stability or AtomStability
    ax : matplotlib axes, optional
        To draw in.
    title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    s = stability
    if title is None:
        point = getattr(s, "point", None)
        game, where = (point.game, "(9)") if point else (s.game, "a Nash equilibrium")
        title = wrapped(f"{of_game(game)}, {of_flow(s.flow)}", 60) + f"\nlinearised at {where}"
    with styled():
        ax = panel(4.6, 3.4, ax, figsize)
        ax.axvline(0.0, color=GREY, lw=0.8)
        at = s.eigenvalues
        ax.plot(at.real, at.imag, "o", color=BLUE, ms=5)
        what = "decay" if s.rate >= 0 else "growth"
        label = f"{what} rate ${small(abs(s.rate))}$" if len(at) else "nothing moves"
        if s.frequency > 0:
            label += f",\nfrequency ${small(s.frequency)}$"
        largest = float(abs(at).max(initial=0.0))
        first = at[abs(at.real + s.rate) <= 1e-9 * largest]
        ax.plot(first.real, first.imag, "o", color=ORANGE, ms=5, label=label)
        reach = max(1.15 * float(abs(at.imag).max(initial=0.0)), 1e-2 * largest) or 1.0
        ax.set(xlabel=r"growth rate $\mathrm{Re}\,\lambda$", ylim=(-reach, reach))
        ax.set(ylabel=r"angular frequency $\mathrm{Im}\,\lambda$", title=title)
        ax.legend(loc="best", frameon=True)  # or its marker would pass for an eigenvalue
    return ax.figure
