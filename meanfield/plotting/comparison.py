"""Particles against the mean field: the curves of `meanfield.compare`."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.plotting.style import GREY, ORANGE, new_figure, shades, styled


def plot_comparison(comparison: Any) -> Any:
    """Draw W2^2 over time for each n, its sup against n with the fit, and NI over time. Returns the figure."""
    with styled():
        figure = new_figure(10.4, 3.4)
        left, middle, right = figure.subplots(1, 3)
        draw_distances(left, comparison)
        draw_rate(middle, comparison)
        draw_errors(right, comparison)
    return figure


def draw_distances(ax: Any, comparison: Any) -> None:
    """E W2^2 over time with its confidence bands, a colour for each n."""
    c = comparison
    floor = 0.3 * float(c.w2_squared.min())
    for k, color in enumerate(shades(len(c.particles))):
        ax.fill_between(
            c.times,
            np.maximum(c.w2_squared_low[k], floor),
            c.w2_squared_high[k],
            color=color,
            alpha=0.2,
            lw=0,
        )
        ax.plot(c.times, c.w2_squared[k], color=color)
        ax.text(
            c.times[-1],
            c.w2_squared[k, -1],
            f" {number(c.particles[k])}",
            color=color,
            va="center",
            fontsize=8,
        )
    ax.set_yscale("log")
    ax.set(xlim=(c.times[0], c.times[-1]), xlabel="time $t$", ylabel=WASSERSTEIN)
    ax.set_title("distance of $n$ particles from the mean field")


def draw_rate(ax: Any, comparison: Any) -> None:
    """sup over [0, T] of the means against n: fitted line, slope -1, and the bias of the time step."""
    c = comparison
    n = np.array(c.particles, dtype=float)
    at = np.array([s.value for s in c.sup])
    reach = np.abs(np.array([[s.value - s.low, s.high - s.value] for s in c.sup]).T)
    ax.set(xscale="log", yscale="log")
    ax.errorbar(n, at, reach, fmt="o", ms=4.5, color="black", capsize=2.5, lw=1, zorder=3)
    # Both lines go through the measured points' centre, so that the eye compares slopes alone.
    middle, centre = np.exp(np.log(n).mean()), np.exp(np.log(at).mean())
    if c.exponent is not None:
        fit = f"$n^{{{c.exponent.value:.3f}}}$ [{c.exponent.low:.3f}, {c.exponent.high:.3f}]"
        ax.plot(n, centre * (n / middle) ** c.exponent.value, color=ORANGE, label=fit)
    ax.plot(n, centre * middle / n, color=GREY, ls=(0, (4, 3)), lw=1, label="slope $-1$")
    _bias_line(ax, c, n)
    ax.set_ylim(top=3 * at.max())
    ax.legend(loc="upper right")
    ax.set(xlabel="particles $n$", ylabel=r"$\sup_{t \leq T}$ " + WASSERSTEIN)
    ax.set_title("rate of convergence")


def _bias_line(ax: Any, c: Any, n: np.ndarray) -> None:
    size = abs(c.step_bias.value)
    if size <= 0:
        return
    share = f"{100 * size / c.sup[-1].value:.2g}%"
    label = f"bias of the time step:\n{share} of the sup at $n =$ {number(c.particles[-1])}"
    if size < 3e-3 * c.sup[-1].value:
        # Off the picture by decades, a line would only squeeze the rest.
        ax.text(0.03, 0.04, label, transform=ax.transAxes, color=GREY, fontsize=8)
    else:
        ax.axhline(size, color=GREY, ls=":", lw=1.2)
        ax.annotate(label, (n[0], size), (0, 3), textcoords="offset points", color=GREY, fontsize=8)


def draw_errors(ax: Any, comparison: Any) -> None:
    """E NI over time with its confidence bands beside the mean field's."""
    c = comparison
    for k, color in enumerate(shades(len(c.particles))):
        ax.fill_between(c.times, c.ni_low[k], c.ni_high[k], color=color, alpha=0.2, lw=0)
        ax.plot(c.times, c.ni[k], color=color, label=f"$n = {number(c.particles[k])[1:]}")
    ax.plot(c.times, c.field_ni, color="black", ls=(0, (4, 3)), lw=1.1, label="mean field")
    values = np.concatenate([c.ni.ravel(), c.field_ni])
    if (values > 0).all() and values.max() > 30 * values.min():
        ax.set_yscale("log")
    ax.legend(loc="best", ncols=2 if len(c.particles) > 3 else 1)
    ax.set(
        xlim=(c.times[0], c.times[-1]),
        xlabel="time $t$",
        ylabel=r"$\mathbb{E}\,\mathrm{NI}(\mu_x^n, \mu_y^n)$",
    )
    ax.set_title("Nikaido-Isoda error")


WASSERSTEIN = r"$\mathbb{E}\,[W_2^2(\mu_x^n) + W_2^2(\mu_y^n)]$"


def number(n: float) -> str:
    """A particle number in mathematical text: powers of ten as such."""
    power = round(np.log10(n))
    if n == 10**power and power > 2:
        return f"$10^{{{power}}}$"
    if n >= 10_000 and n % 10 ** int(np.log10(n)) == 0:
        power = int(np.log10(n))
        return f"${n // 10**power:g} \\cdot 10^{{{power}}}$"
    return f"${n:g}$"
