"""Measures on circles: curves, histograms and atoms, and all of them over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.plotting.style import colours, image

FEW = 40  # up to so many atoms are drawn one by one over time
WEIGHED = 400  # up to so many where weights move, which areas show
STEMS = 12  # up to so many atoms are drawn as stems as high as their masses
MOST = 128  # bins
COLUMNS = 60  # saved times at which dots with areas by weight are drawn


def circular(*measures: Measure) -> bool:
    """Whether all measures live on a circle: T^1, or S^1 seen through its angle."""
    spaces = [m.manifold for m in measures]
    return all(M.dim == 1 and isinstance(M, (Torus, Sphere)) for M in spaces)


def centred(angle: Array, period: float) -> Array:
    """Angles in [0, period) shifted to [-period/2, period/2)."""
    return np.where(angle < period / 2, angle, angle - period)


def angles(measure: Measure) -> tuple[Array, float]:
    """The angles of a measure's points on the circle, with 0 in the middle, and their period."""
    if isinstance(measure.manifold, Sphere):
        return np.arctan2(measure.points[:, 1], measure.points[:, 0]), 2 * np.pi
    period = measure.manifold.period  # type: ignore[attr-defined]
    return centred(measure.points[:, 0], period), period


def leading(measures: Sequence[Measure]) -> Measure:
    """Which of a run's measures says how all are drawn: a field that begins at atoms is a field."""
    return next((m for m in measures if isinstance(m, Density)), measures[0])


def bins_for(measure: Measure) -> int:
    """How many bins show atoms without showing that they are few: Freedman and Diaconis's rule.

    Their width is s n^(-1/3), with n the number of equal atoms that would scatter as much, and s
    the length of the support, 1 / int rho^2, which is the circle's for the uniform law.
    """
    a, period = angles(measure)
    n = 1 / float(measure.masses @ measure.masses)
    p, _ = np.histogram(a, MOST, (-period / 2, period / 2), weights=measure.masses)
    support = 1 / max(float(p @ p) - 1 / n, 1 / MOST) / MOST
    return int(np.clip(np.ceil(n ** (1 / 3) / support), 16, MOST))


def profile(measure: Measure, bins: int | None = None, spread: bool = False) -> tuple[Array, Array]:
    """The density of a measure on a circle, as positions and values.

    These are a density's own nodes, or the middles of `bins` bins for a histogram of atoms. With
    `spread`, atoms are labels of a density: their masses are spread over the gaps between them
    before bins are counted.
    """
    a, period = angles(measure)
    if isinstance(measure, Density):
        order = np.argsort(a)
        return a[order], measure.values[order]
    bins = bins or (MOST if spread else bins_for(measure))
    edges = np.linspace(-period / 2, period / 2, bins + 1)
    if spread and len(measure) > 2:
        masses = np.diff(_cumulative(a, measure.masses, period, edges))
    else:
        masses, _ = np.histogram(a, edges, weights=measure.masses)
    return 0.5 * (edges[1:] + edges[:-1]), masses * bins / period


def _cumulative(a: Array, masses: Array, period: float, edges: Array) -> Array:
    """The mass up to each edge, linear between atoms; half of an atom lies on either side."""
    order = np.argsort(a, kind="stable")
    at, m = a[order], masses[order]
    F = np.cumsum(m) - 0.5 * m
    around = np.concatenate([[at[-1] - period], at, [at[0] + period]])
    return np.interp(edges, around, np.concatenate([[F[-1] - 1], F, [F[0] + 1]]))


def stems(measure: Measure, spread: bool = False) -> bool:
    """Whether a measure is a few atoms, whose masses say more than a density."""
    return not (isinstance(measure, Density) or spread or len(measure) > STEMS)


def paint_curve(
    ax: Any, measure: Measure, color: str, bins: int | None, label: str, spread: bool, atoms: bool
) -> list[Any]:
    """Draw a density, a histogram or (`atoms`) stems into axes that are there; what was drawn."""
    if atoms:
        at, top = angles(measure)[0], measure.masses
        # Over the frame, so that an atom at the end of the circle is seen.
        how: Any = {"color": color, "clip_on": False, "zorder": 3}
        lines = ax.vlines(at, 0, top, label=label or None, **how)
        return [lines, *ax.plot(at, top, "o", ms=3.5, **how)]
    at, values = profile(measure, bins, spread)
    # Steps say that atoms were counted in bins; a line says that the density is known.
    if isinstance(measure, Density) or spread:
        fill = ax.fill_between(at, values, color=color, alpha=0.15, lw=0)
        return [*ax.plot(at, values, color=color, label=label or None), fill]
    half = 0.5 * (at[1] - at[0]) if len(at) > 1 else angles(measure)[1] / 2
    edges = np.append(at - half, at[-1] + half)
    fill = ax.stairs(values, edges, fill=True, color=color, alpha=0.15)
    return [ax.stairs(values, edges, color=color, label=label or None), fill]


def draw_curve_axes(ax: Any, measure: Measure, top: float, atoms: bool) -> None:
    """The axes of `paint_curve`, named, a whole turn wide and `top` high."""
    before, said = ax.get_ylabel(), "mass" if atoms else "density"
    ax.set_ylabel(said if before in ("", said) else "density; mass of atoms")
    turn(ax.xaxis, angles(measure)[1])
    ax.set_ylim(0, top)


def turn(axis: Any, period: float, inner: bool = True) -> None:
    """Ticks of one full turn, in fractions of pi when the period is 2 pi."""
    ends = np.linspace(-period / 2, period / 2, 5 if inner else 3)
    if np.isclose(period, 2 * np.pi):
        names = [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"]
        axis.set_ticks(ends, names if inner else names[::2])
    else:
        axis.set_ticks(ends)
    (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(-period / 2, period / 2)


def _resampled(places: Array, values: Array, at: Array, period: float) -> Array:
    """Values at other places, where a mesh has changed."""
    if np.array_equal(places, at):
        return values
    return np.interp(at, places, values, period=period)


def scale(peaks: Array, least: float = 0.0) -> tuple[float, str]:
    """The density drawn darkest or highest at all times, and which end of a colour bar is open.

    Where single instants are peaks far sharper than others, at the start above all, the others
    set the scale. peaks: in the order of time.
    """
    most = float(peaks.max())
    # One of the peaks: between two of them, a single sharp one would set the scale of a few.
    usual = float(np.percentile(peaks, 80, method="lower"))
    if len(peaks) < 5:  # of so few none is passed over but a start: the last is what a run came to
        usual = max(usual, float(peaks[-1]))
    top = max(most if most < 3 * usual else usual, least)
    return top, "max" if peaks.max() > top else "neither"


def draw_space_time(
    ax: Any, times: Array, measures: Sequence[Measure], color: str, bins: int | None = None,
    spread: bool = False, weighted: bool = False,
) -> None:  # fmt: skip
    """Draw the density over time on a circle: an image, or dots where atoms are few.

    weighted: weights move, so that dots are few and their areas in proportion to the weights.
    """
    first, period = leading(measures), angles(measures[0])[1]
    field = isinstance(first, Density)
    if field or spread or len(first) > (WEIGHED if weighted else FEW):
        if bins is None and not field:
            some = measures[:: max(1, len(measures) // 8)]
            bins = MOST if spread else int(np.median([bins_for(m) for m in some]))
        rows = [profile(m, len(first) if field else bins, spread) for m in measures]
        at = rows[-1][0]
        values = np.stack([_resampled(*row, at, period) for row in rows], 1)
        # What is flat stays pale.
        top, extend = scale(values.max(axis=0), 3 / period)
        smooth = field or spread
        if smooth:  # the end nodes once more a period away, so that no stripe is left white
            at = np.concatenate([[at[-1] - period], at, [at[0] + period]])
            values = np.concatenate([values[-1:], values, values[:1]])
        how: Any = {"shading": "gouraud" if smooth else "nearest"}
        image(ax, times, at, values, color, top, **how)
        how = {"extend": extend, "pad": 0.01, "aspect": 14}
        ax.figure.colorbar(colours(color, top), ax=ax, label="density", **how)
    else:
        shown = len(times) if not weighted else min(COLUMNS, len(times))
        for k in np.unique(np.linspace(0, len(times) - 1, shown).round().astype(int)):
            m = measures[k]
            size = (12 if weighted else 3) * m.masses * len(m)
            how = {"s": np.minimum(size, 150), "lw": 0, "rasterized": True}
            alpha = 0.6 if weighted else 0.3
            ax.scatter(np.full(len(m), times[k]), angles(m)[0], color=color, alpha=alpha, **how)
    ax.set_xlim(times[0], times[-1])
    turn(ax.yaxis, period)
