"""Particles against the mean field: the curves of `meanfield.compare`."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.plotting.checks import draws
from meanfield.plotting.style import (
    GREY,
    ORANGE,
    in_decades,
    line_above_rounding,
    shades,
    stage,
    styled,
    ticks_at,
    wide,
    widen,
)
from meanfield.plotting.words import number, of_flow, of_game, particles, small, wrapped

DISTANCE = r"$\mathbb{E}\,[W_2^2(\mu^n_x, \mu_x) + W_2^2(\mu^n_y, \mu_y)]$"
ERROR = r"$\mathbb{E}\,\mathrm{NI}(\mu^n_x, \mu^n_y)$"
AVERAGED = r"$\mathbb{E}\,\mathrm{NI}$ of $\frac{1}{t} \int_0^t \mu^n_s\,\mathrm{d}s$"
DASHED: Any = (0, (4, 3))


@draws("a Comparison, as meanfield.compare returns", "particles", "w2_squared", "sup", "step_bias")
def plot_comparison(
    comparison: Any, ax: Any = None, *, title: str | None = None, figsize: Any = None
) -> Any:
    """Draw a `Comparison`: distances over time, their rate in n and the Nikaido-Isoda errors.

    Errors of time averages have a panel of their own. Bands and bars are confidence intervals.

    Parameters
    ----------
    comparison : Comparison
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure
    """
    panels = [draw_distances, draw_rate, draw_errors]
    if getattr(comparison, "ni_average", None) is not None:
        panels.append(draw_average_errors)
    with styled():
        said = of_comparison(comparison) if title is None else title
        figure = stage(10.8 / 3 * len(panels), 3.6, ax, said, figsize)
        for axis, draw in zip(figure.subplots(1, len(panels)), panels, strict=True):
            draw(axis, comparison)
    return figure.figure


def of_comparison(comparison: Any) -> str:
    """The title of a comparison: the game and the flow with its numbers."""
    field = getattr(comparison, "field", None)
    if field is None:
        return ""
    return wrapped(", ".join(filter(None, [of_game(field.game), of_flow(field.flow)])), 120)


def draw_distances(ax: Any, comparison: Any) -> None:
    """Draw E W2^2 over time with its confidence bands, a colour for each n, named at its end."""
    c = comparison
    floor, sliced = 0.3 * float(c.w2_squared.min()), getattr(c, "sliced", None)
    for k, color in enumerate(shades(len(c.particles))):
        low, mean = np.maximum(c.w2_squared_low[k], floor), c.w2_squared[k]
        _band(ax, c.times, mean, low, c.w2_squared_high[k], color)
        if sliced is not None:
            floor = min(floor, 0.3 * float(sliced.min()))
            ax.plot(c.times, sliced[k], color=color, ls=":", label="" if k else "sliced")
        at = c.times[-1], mean[-1]
        ax.text(*at, f" {particles(c.particles[k])}", color=color, va="center", fontsize=8)
    in_decades(ax, "y")
    title = "distance of $n$ particles from the mean field"
    if sliced is not None:
        ax.legend(loc="best")
        title = f"distance from {number(c.provenance['reference'])} particles, less their part"
    _time_axis(ax, c.times, DISTANCE, title)


def draw_errors(ax: Any, comparison: Any) -> None:
    """Draw E NI over time with its confidence bands, and the mean field's NI."""
    c = comparison
    _errors(ax, c, c.ni, c.ni_low, c.ni_high, c.field_ni)
    _time_axis(ax, c.times, ERROR, "Nikaido-Isoda error")


def draw_average_errors(ax: Any, comparison: Any) -> None:
    """Draw the same of the time averages over [0, t]."""
    c = comparison
    _errors(ax, c, c.ni_average, c.ni_average_low, c.ni_average_high, c.field_ni_average)
    _time_axis(ax, c.times, AVERAGED, "error of time averages")


def _errors(ax: Any, c: Any, mean: Array, low: Array, high: Array, exact: Array) -> None:
    for k, color in enumerate(shades(len(c.particles))):
        label = particles(c.particles[k])
        _band(ax, c.times, mean[k], low[k], high[k], color, label)
    look: Any = {"color": "black", "ls": DASHED, "lw": 1.1, "label": "mean field"}
    if wide(mean, exact):
        in_decades(ax, "y")
        line_above_rounding(ax, c.times, exact, **look)
    else:
        ax.plot(c.times, exact, **look)
        widen(ax, mean, exact)
    ax.legend(loc="best", ncols=2 if len(c.particles) > 3 else 1)


def _band(
    ax: Any,
    times: Array,
    mean: Array,
    low: Array,
    high: Array,
    color: Any,
    label: str | None = None,
) -> None:
    ax.fill_between(times, low, high, color=color, alpha=0.2, lw=0)
    ax.plot(times, mean, color=color, label=label)


def _time_axis(ax: Any, times: Array, ylabel: str, title: str) -> None:
    ax.set(xlim=(times[0], times[-1]), xlabel="time $t$", ylabel=ylabel, title=title)


def draw_rate(ax: Any, comparison: Any) -> None:
    """Draw sup E W2^2 over [0, T] against n: fitted power, the slope expected and step bias."""
    c = comparison
    n = np.array(c.particles, dtype=float)
    at = np.array([s.value for s in c.sup])
    reach = np.abs(np.array([[s.value - s.low, s.high - s.value] for s in c.sup]).T)
    in_decades(ax)
    ax.errorbar(n, at, reach, fmt="o", ms=4.5, color="black", capsize=2.5, lw=1, zorder=3)
    if len(n) > 1:
        _slopes(ax, c, n, at)
    if (bounds := getattr(c, "bounds", None)) is not None:
        ax.vlines(n, *bounds.max(axis=2).T, color=GREY, lw=4, alpha=0.4, label="bounds")
    _bias_line(ax, c, n)
    ax.set_ylim(top=3 * at.max())
    if len(n) == 1:  # room around the one bar, and below it for words
        ax.set(xlim=(n[0] / 3, 3 * n[0]), ylim=(ax.get_ylim()[0] / 3, None))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right")
    ax.set(xlabel="particles $n$", ylabel=r"$\sup_{t \leq T}$ " + DISTANCE)
    ax.set_title("rate of convergence" if len(n) > 1 else "largest distance")
    ticks_at(ax.xaxis, n, [number(k) for k in c.particles])


def _slopes(ax: Any, c: Any, n: Array, at: Array) -> None:
    """The fitted power and the slope expected."""
    # Both lines go through the measured points' centre, so that the eye compares slopes alone.
    middle, centre = np.exp(np.log(n).mean()), np.exp(np.log(at).mean())
    if c.exponent is not None:
        fit = f"$n^{{{c.exponent.value:.3f}}}$ [{c.exponent.low:.3f}, {c.exponent.high:.3f}]"
        ax.plot(n, centre * (n / middle) ** c.exponent.value, color=ORANGE, label=fit)
    # Of n independent points: -1, as for dimension 2 with a logarithm, and -2/d above.
    d = 2 if getattr(c, "bounds", None) is None else max(2, c.dim)
    rate, said = -2 / d, "-1" if d == 2 else f"-2/{d}"
    expected = centre * (n / middle) ** rate
    ax.plot(n, expected, color=GREY, ls=DASHED, lw=1, label=f"slope ${said}$")


def _bias_line(ax: Any, c: Any, n: Array) -> None:
    size = abs(c.step_bias.value)
    if size <= 0:
        return
    share = size / c.sup[-1].value
    percent = f"${small(100 * share)}$% of the sup at {particles(c.particles[-1])}"
    label = f"bias of the time step:\n{percent}"
    how: Any = {"color": GREY, "fontsize": 8}
    if share < 3e-3:
        # Off the picture by decades, a line would only squeeze the rest.
        ax.text(0.03, 0.04, label, transform=ax.transAxes, **how)
    else:
        ax.axhline(size, color=GREY, ls=":", lw=1.2)
        ax.annotate(label, (n[0], size), (0, 3), textcoords="offset points", **how)
