"""One measure: curves on circles, maps and surfaces elsewhere, and a circle's measures over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.plotting.style import BLUE, colours, new_figure, ramp, styled
from meanfield.plotting.surfaces import draw_in_space, draw_mollweide, in_space

FEW = 400  # up to so many atoms are drawn one by one
LARGEST_DOT = 154.0  # square points
VIEWS = ("map", "3d")


def circular(measure: Measure) -> bool:
    """Whether the measure lives on a circle: T^1, or S^1 seen through its angle."""
    return measure.manifold.dim == 1 and isinstance(measure.manifold, (Torus, Sphere))


def angles(measure: Measure) -> tuple[Array, float]:
    """Angles of the points, shifted to [-period/2, period/2), and the period."""
    if isinstance(measure.manifold, Sphere):
        return np.arctan2(measure.points[:, 1], measure.points[:, 0]), 2 * np.pi
    period = measure.manifold.period  # type: ignore[attr-defined]
    a = measure.points[:, 0]
    return np.where(a < period / 2, a, a - period), period


def profile(measure: Measure, bins: int = 128, spread: bool = False) -> tuple[Array, Array]:
    """(positions, density) of a measure on a circle: a density's own cells, or a histogram of atoms.

    spread: atoms are labels of a density, their masses spread over the gaps between them before bins are counted.
    """
    a, period = angles(measure)
    if isinstance(measure, Density):
        order = np.argsort(a)
        return a[order], measure.values[order]
    edges = np.linspace(-period / 2, period / 2, bins + 1)
    if spread and len(measure) > 2:
        held = np.diff(_between(a, measure.masses, period, edges))
    else:
        held, _ = np.histogram(a, edges, weights=measure.masses)
    return 0.5 * (edges[1:] + edges[:-1]), held * bins / period


def _between(a: Array, masses: Array, period: float, edges: Array) -> Array:
    """Cumulative mass at the edges, linear between atoms, half of an atom's mass on either side of it."""
    order = np.argsort(a, kind="stable")
    at, m = a[order], masses[order]
    F = np.cumsum(m) - 0.5 * m
    around = np.concatenate([[at[-1] - period], at, [at[0] + period]])
    return np.interp(edges, around, np.concatenate([[F[-1] - 1], F, [F[0] + 1]]))


def darkest(measures: Sequence[Measure]) -> float:
    """The density drawn darkest in maps: the largest, and no less than thrice the uniform one, which stays pale."""
    peaks = [float(m.values.max()) for m in measures if isinstance(m, Density)]
    return max([3 / measures[0].manifold.volume, *peaks])


def common_top(measures: Sequence[Measure]) -> float | None:
    """The density drawn darkest in several maps; None, each map's own, where peaks differ so much that one scale
    would show nothing of the rest."""
    tops = [darkest([m]) for m in measures]
    held = isinstance(measures[0], Density) and not circular(measures[0])
    return max(tops) if held and max(tops) < 5 * min(tops) else None


def colour_bar(
    axes: Any, measure: Measure, color: str, top: float | None = None, **how: Any
) -> None:
    """What the colours in `axes` mean, beside them; nothing where densities are curves or atoms dots."""
    if isinstance(measure, Density) and not circular(measure):
        scale = colours(color, darkest([measure]) if top is None else top)
        np.ravel(axes)[0].figure.colorbar(scale, ax=axes, **how)


def plot_measure(
    measure: Measure, ax: Any = None, *, color: str = BLUE, bins: int = 128, label: str = "", view: str = "map",
    top: float | None = None, spread: bool = False, name: str = "x",
) -> Any:  # fmt: skip
    """Draw one measure: a curve or histogram on circles, a map or a surface elsewhere. Returns the figure.

    ax: axes to draw on; by default a new figure's. view: "map" (S^2 by Mollweide's projection, T^2 by its
    angles, beyond by the first two coordinates) or "3d" (S^2 and T^2 as surfaces, seen from two opposite
    sides; others by their map). The area of an atom's dot goes with its mass, up to a diameter of 14 points.
    top: the density drawn darkest (default: the largest, at least thrice the uniform one), or the upper end of
    a curve's axis (default: its largest value). spread: atoms on a circle are labels of a density, drawn as one
    (`profile`). name: the player's letter, for the labels of a map's axes. Raises TypeError for what is no
    measure, ValueError for an unknown view.
    """
    if not isinstance(measure, Measure):
        raise TypeError(
            f"plot_measure draws a meanfield.Measure or Density, got {type(measure).__name__}"
        )
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; known are {', '.join(map(repr, VIEWS))}")
    bins = whole("bins", bins)
    with styled():
        alone = ax is None
        if alone:
            ax = new_figure(4.2, 2.6 if circular(measure) else 3.6).add_subplot()
        if circular(measure):
            _curve(ax, measure, color, bins, label, top, spread)
            return ax.figure
        top = darkest([measure]) if top is None else top
        _map(ax, measure, color, view, top, name)
        if alone:
            colour_bar(ax, measure, color, top, shrink=0.7, label="density")
        return ax.figure


def _curve(
    ax: Any, measure: Measure, color: str, bins: int, label: str, top: float | None, spread: bool
) -> None:
    if not isinstance(measure, Density) and len(measure) <= FEW and not spread:
        a, period = angles(measure)
        ax.vlines(a, 0, measure.masses, color=color, label=label or None)
        ax.set_ylabel("mass")
    else:
        at, values = profile(measure, bins, spread)
        period = angles(measure)[1]
        # A step for atoms says that bins were counted; a line says that the density is known.
        line = {} if isinstance(measure, Density) or spread else {"drawstyle": "steps-mid"}
        ax.plot(at, values, color=color, label=label or None, **line)
        ax.fill_between(at, values, color=color, alpha=0.15, step="mid" if line else None, lw=0)
        ax.set_ylabel("density")
    _turn(ax.xaxis, period)
    ax.set_ylim(0, top)


def _turn(axis: Any, period: float, inner: bool = True) -> None:
    """Ticks of one full turn, in fractions of pi when the period is 2 pi."""
    ends = np.linspace(-period / 2, period / 2, 5 if inner else 3)
    if np.isclose(period, 2 * np.pi):
        names = [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"]
        axis.set_ticks(ends, names if inner else names[::2])
    else:
        axis.set_ticks(ends)
    (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(-period / 2, period / 2)


def _flat(measure: Measure) -> Array:
    """Two coordinates to draw a measure by, (n, 2): the first two angles of tori, else the first two coordinates."""
    x = measure.points[:, :2]
    if isinstance(measure.manifold, Torus):
        period = measure.manifold.period
        return np.where(x < period / 2, x, x - period)
    return x


def dots(measure: Measure) -> Array:
    """Areas of atoms' dots in square points, (n,)."""
    size = np.clip(5000 / len(measure), 0.8, 14)
    return np.minimum(size * measure.masses * len(measure), LARGEST_DOT)


def _map(ax: Any, measure: Measure, color: str, view: str, top: float, name: str) -> None:
    if view == "3d" and in_space(measure.manifold):
        draw_in_space(ax, measure, color, top, dots(measure))
        return
    if measure.manifold == Sphere(2):
        draw_mollweide(ax, measure, color, top, dots(measure))
        return
    at = _flat(measure)
    if (
        isinstance(measure, Density)
        and measure.mesh.shape is not None
        and measure.manifold.dim == 2
    ):
        _grid_image(ax, measure, at, color, top)
    elif isinstance(measure, Density):
        order = np.argsort(measure.values)
        size = 4e3 / np.sqrt(len(at)) / 8
        ax.scatter(
            *at[order].T, c=measure.values[order], cmap=ramp(color), s=size, lw=0, vmin=0, vmax=top
        )
    else:
        ax.scatter(
            *at.T, s=dots(measure), color=color, alpha=min(1.0, 0.25 + 150 / len(measure)), lw=0
        )
    if isinstance(measure.manifold, Torus):
        _turn(ax.xaxis, measure.manifold.period, inner=False)
        _turn(ax.yaxis, measure.manifold.period, inner=False)
        ax.set_aspect("equal")
    else:
        ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    ax.set(xlabel=f"${name}_1$", ylabel=f"${name}_2$")


def _grid_image(ax: Any, measure: Density, at: Array, color: str, top: float) -> None:
    shape = measure.mesh.shape
    grids = [at[:, k].reshape(shape) for k in (0, 1)]
    rows, columns = np.argsort(grids[0][:, 0]), np.argsort(grids[1][0])
    values = measure.values.reshape(shape)[np.ix_(rows, columns)]
    # The first cells once more at the far ends, where half of them belongs.
    period = measure.manifold.period  # type: ignore[attr-defined]
    across, up = (np.append(at, at[0] + period) for at in (grids[0][rows, 0], grids[1][0, columns]))
    wrapped = np.pad(values, ((0, 1), (0, 1)), mode="wrap")
    ax.pcolormesh(
        across,
        up,
        wrapped.T,
        cmap=ramp(color),
        vmin=0,
        vmax=top,
        shading="nearest",
        rasterized=True,
    )


def draw_space_time(
    ax: Any,
    times: Array,
    measures: Sequence[Measure],
    color: str,
    bins: int = 128,
    spread: bool = False,
) -> None:
    """Density over time on a circle: an image, or one dot an atom where there are few; spread: as in `profile`."""
    period = angles(measures[0])[1]
    if not isinstance(measures[0], Density) and len(measures[0]) <= FEW and not spread:
        for t, m in zip(times, measures, strict=True):
            at = angles(m)[0]
            ax.scatter(
                np.full(len(m), t),
                at,
                s=3 * m.masses * len(m),
                color=color,
                alpha=0.25,
                lw=0,
                rasterized=True,
            )
    else:
        rows = [profile(m, bins, spread) for m in measures]
        image = np.stack([values for _, values in rows], 1)
        # The first instants may be sharp peaks; the rest of the run sets the scale, and what is flat stays pale.
        peaks = image.max(axis=0)
        top = max(float(np.percentile(peaks, 80)), 3 / period)
        smooth = "gouraud" if isinstance(measures[0], Density) or spread else "nearest"
        ax.pcolormesh(
            times,
            rows[0][0],
            image,
            cmap=ramp(color),
            vmin=0,
            vmax=top,
            shading=smooth,
            rasterized=True,
        )
        beyond = "max" if peaks.max() > top else "neither"
        ax.figure.colorbar(
            colours(color, top), ax=ax, label="density", extend=beyond, pad=0.01, aspect=14
        )
    ax.set_xlim(times[0], times[-1])
    _turn(ax.yaxis, period)
