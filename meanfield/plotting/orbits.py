"""Periodic solutions over one period, and these and equilibria followed in a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.manifolds import Torus
from meanfield.plotting.checks import draws
from meanfield.plotting.circle import circular, draw_space_time
from meanfield.plotting.measures import plot_measure
from meanfield.plotting.style import BLUE, GREY, ORANGE, PLAYERS, RED, stage, styled
from meanfield.plotting.words import of_flow, of_game, wrapped

SHOWN = 4.0  # how far down growth rates are shown, relative to the largest of a leading mode


@draws("an Orbit, as meanfield.orbit returns", "period", "others", "x", "y")
def plot_orbit(orbit: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None) -> Any:
    """Draw an `Orbit`: both players over one period, and the Floquet multipliers.

    Players who do not move on circles are drawn at time 0. The multipliers stand with the unit
    circle.

    Parameters
    ----------
    orbit : Orbit
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    if title is None:
        kind = "stable" if orbit.stable else "unstable"
        words = of_game(orbit.game), of_flow(orbit.flow), f"{kind} orbit"
        title = wrapped(", ".join([*words, f"period ${orbit.period:.8g}$"]))
    with styled():
        figure = stage(9.6, 2.9, ax, title, figsize)
        axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.75))
        for axis, measures, (name, color) in zip(axes, (orbit.x, orbit.y), PLAYERS, strict=False):
            if circular(measures[0]):
                times = np.append(orbit.times, orbit.period)
                draw_space_time(axis, times, [*measures, measures[0]], color, None)
                axis.set(xlabel="time $t$", ylabel=f"${name}$")
            else:
                plot_measure(measures[0], axis, color=color, name=name)
                axis.set_title(f"$\\mu_{name}$, $t = 0$")
        _multipliers(axes[2], orbit)
    return figure.figure


def _multipliers(ax: Any, orbit: Any) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color=GREY, lw=0.8)
    others = orbit.others
    out = np.abs(others) >= 1
    ax.plot(others[~out].real, others[~out].imag, "o", color=BLUE, ms=5, label="decays")
    if out.any():
        ax.plot(others[out].real, others[out].imag, "o", color=RED, ms=5, label="grows")
    ax.plot(1, 0, "x", color=ORANGE, label="shift in time")
    ax.set(xlabel=r"$\mathrm{Re}\,\lambda$", ylabel=r"$\mathrm{Im}\,\lambda$", aspect="equal")
    ax.set_title("Floquet multipliers")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.4), ncols=3, columnspacing=0.8)


@draws("a Branch of orbits, as meanfield.branch returns", "periods", "multipliers", "folds")
def plot_branch(
    branch: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None
) -> Any:
    """Draw a `Branch`: period, size and the leading multiplier's modulus over the parameter.

    Full lines are stable orbits, broken ones unstable; circles are folds.

    Parameters
    ----------
    branch : Branch
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    leading = np.abs(branch.multipliers).max(axis=1)
    rows = (("period", branch.periods), ("size", branch.sizes), ("leading multiplier", leading))
    with styled():
        figure = stage(
            9.6, 2.9, ax, "Periodic solutions of (7)" if title is None else title, figsize
        )
        for axis, (name, values) in zip(figure.subplots(1, 3), rows, strict=True):
            for chosen, how in ((branch.stable, "-"), (~branch.stable, "--")):
                drawn = np.where(_joined(chosen), values, np.nan)
                axis.plot(branch.values, drawn, how, color=BLUE, marker="o", ms=2.5)
            axis.set(xlabel=_symbol(branch.name), title=name)
            if name == "period":
                axis.plot(*branch.folds.T, "o", mfc="none", color=ORANGE, ms=8, label="fold")
                axis.legend(frameon=True)  # or its marker would pass for a fold
        axis.axhline(1.0, color=GREY, lw=0.8)
    return figure.figure


@draws("a NashBranch, as meanfield.branch returns", "game_values", "changes", "x", "y")
def plot_nash_branch(
    branch: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None
) -> Any:
    """Draw a `NashBranch`: the games' values and the atoms' weights over the parameter.

    On circles the atoms, too, and for families with a flow the rate at which it returns. Lines
    stand where an atom joins or leaves.

    Parameters
    ----------
    branch : NashBranch
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    players = list(zip((branch.x, branch.y), PLAYERS, strict=True))
    circles, rates = (
        all(mu[0].manifold == Torus(1) for mu, _ in players),
        branch.leading is not None,
    )
    words = ["value", "weights", *["atoms"] * circles, *["decay rate"] * rates]
    with styled():
        figure = stage(
            3.2 * len(words), 2.9, ax, "Nash equilibria" if title is None else title, figsize
        )
        axes = np.atleast_1d(figure.subplots(1, len(words)))
        axes[0].plot(branch.values, branch.game_values, color=GREY, marker="o", ms=2.5)
        for (measures, (name, color)), size in zip(players, (4.5, 2.0), strict=True):
            at = np.repeat(branch.values, [len(mu) for mu in measures])
            rows = [np.concatenate([mu.masses for mu in measures])]
            if circles:
                rows.append(np.concatenate([mu.points[:, 0] for mu in measures]))
            for axis, row in zip(axes[1:], rows, strict=False):
                axis.plot(at, row, "o", color=color, ms=size, mfc="none", label=f"${name}$")
        if rates:
            axes[-1].plot(branch.values, 0.0 - branch.leading.real, color=GREY, marker="o", ms=2.5)
        for axis, word in zip(axes, words, strict=True):
            axis.set(xlabel=_symbol(branch.name), title=word)
            for value in branch.changes:
                axis.axvline(value, color=GREY, lw=0.6, ls=":")
        # Beside the panels: among the atoms its markers would pass for some.
        named = axes[1].get_legend_handles_labels()
        axes[-1].legend(*named, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure.figure


@draws("a GibbsBranch, as meanfield.branch returns", "eigenvalues", "hopf", "values")
def plot_gibbs_branch(
    branch: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None
) -> Any:
    """Draw a `GibbsBranch`: real parts and frequencies of the leading modes over the parameter.

    What decays is blue, what grows red; circles are Hopf points.

    Parameters
    ----------
    branch : GibbsBranch
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    if title is None:
        words = of_game(branch.game), branch.flow.name, f"along {branch.name}: linearised at (9)"
        title = wrapped(", ".join(words), 75)
    parts = branch.eigenvalues.real, np.abs(branch.eigenvalues.imag)
    at = np.broadcast_to(branch.values[:, None], parts[0].shape)
    crossings = np.column_stack([branch.hopf[:, 0], np.zeros(len(branch.hopf)), branch.hopf[:, 1]])
    names = "growth rate", "angular frequency"
    with styled():
        figure = stage(6.4, 2.9, ax, title, figsize)
        for k, (axis, part) in enumerate(zip(figure.subplots(1, 2), parts, strict=True)):
            for out, color, label in (
                (parts[0] < 0, BLUE, "decays"),
                (parts[0] >= 0, RED, "grows"),
            ):
                if out.any():
                    axis.plot(at[out], part[out], "o", color=color, ms=2.5, label=label)
            if len(crossings):
                here = crossings[:, [0, k + 1]].T
                axis.plot(*here, "o", mfc="none", color=ORANGE, ms=8, label="Hopf point")
            axis.set(xlabel=_symbol(branch.name), title=names[k])
        figure.axes[0].axhline(0.0, color=GREY, lw=0.8)
        reach = SHOWN * float(np.abs(parts[0][:, 0]).max())
        figure.axes[0].set_ylim(bottom=max(-reach, figure.axes[0].get_ylim()[0]))
        figure.axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure.figure


def _joined(chosen: Any) -> Any:
    """The chosen points and their neighbours, so that lines meet."""
    wider = chosen.copy()
    wider[1:] |= chosen[:-1]
    return wider


def _symbol(name: str) -> str:
    return f"$\\{name}$" if name in ("alpha", "beta", "gamma", "eta") else name
