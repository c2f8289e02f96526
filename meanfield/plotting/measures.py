"""One measure: a curve on circles, a map or a surface elsewhere; circles also over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.plotting.style import BLUE, colours, image, new_figure, ramp, scatter_atoms, styled
from meanfield.plotting.surfaces import draw_in_space, draw_mollweide, in_space

FEW = 400  # up to so many atoms are drawn one by one
LARGEST_DOT = 154.0  # square points
VIEWS = ("map", "3d")


def circular(*measures: Measure) -> bool:
    """Whether all measures live on a circle: T^1, or S^1 seen through its angle."""
    spaces = [m.manifold for m in measures]
    return all(M.dim == 1 and isinstance(M, (Torus, Sphere)) for M in spaces)


def drawn_singly(measure: Measure, spread: bool = False) -> bool:
    """Whether a measure's atoms are few enough to be drawn one by one."""
    return not (isinstance(measure, Density) or spread or len(measure) > FEW)


def centred(angle: Array, period: float) -> Array:
    """Angles in [0, period) shifted to [-period/2, period/2)."""
    return np.where(angle < period / 2, angle, angle - period)


def angles(measure: Measure) -> tuple[Array, float]:
    """The angles of a measure's points on the circle, with 0 in the middle, and their period."""
    if isinstance(measure.manifold, Sphere):
        return np.arctan2(measure.points[:, 1], measure.points[:, 0]), 2 * np.pi
    period = measure.manifold.period  # type: ignore[attr-defined]
    return centred(measure.points[:, 0], period), period


def profile(measure: Measure, bins: int = 128, spread: bool = False) -> tuple[Array, Array]:
    """The density of a measure on a circle, as positions and values.

    These are a density's own nodes, or the middles of `bins` bins for a histogram of atoms. With
    `spread`, atoms are labels of a density: their masses are spread over the gaps between them
    before bins are counted.
    """
    a, period = angles(measure)
    if isinstance(measure, Density):
        order = np.argsort(a)
        return a[order], measure.values[order]
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


def darkest(measures: Sequence[Measure]) -> float:
    """The density drawn darkest in maps: the largest, and at least thrice the uniform one."""
    peaks = [float(m.values.max()) for m in measures if isinstance(m, Density)]
    return max([3 / measures[0].manifold.volume, *peaks])


def common_top(measures: Sequence[Measure]) -> float | None:
    """The density drawn darkest in several maps at once.

    None, which gives each map its own, where peaks differ by more than a factor of 5.
    """
    tops = [darkest([m]) for m in measures]
    coloured = isinstance(measures[0], Density) and not circular(measures[0])
    return max(tops) if coloured and max(tops) < 5 * min(tops) else None


def colour_bar(
    axes: Any, measure: Measure, color: str, top: float | None = None, **how: Any
) -> None:
    """A colour bar beside the axes of maps of densities; nothing beside curves and dots."""
    if isinstance(measure, Density) and not circular(measure):
        scale = colours(color, darkest([measure]) if top is None else top)
        np.ravel(axes)[0].figure.colorbar(scale, ax=axes, **how)


def check_view(view: str) -> None:
    """ValueError unless this is a view that measures are drawn in."""
    if view not in VIEWS:
        raise ValueError(f"view is {view!r}; known are {', '.join(map(repr, VIEWS))}")


def check_kind(function: str, value: Any, kind: type, name: str) -> None:
    """TypeError unless a drawing function got what it draws."""
    if not isinstance(value, kind):
        raise TypeError(f"{function} draws a meanfield.{name}, got {type(value).__name__}")


def plot_measure(
    measure: Measure, ax: Any = None, *, color: str = BLUE, bins: int = 128, label: str = "",
    view: str = "map", top: float | None = None, spread: bool = False, name: str = "x",
) -> Any:  # fmt: skip
    """Draw one measure: a curve or histogram on circles, a map or a surface elsewhere.

    Maps show S^2 in Mollweide's projection, T^2 by its angles, and other manifolds by their first
    two coordinates. An atom's dot has an area proportional to its mass, up to 14 points across.

    Parameters
    ----------
    measure : Measure or Density
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.
    bins : int
        Number of bins in the histogram of more than 400 atoms on a circle.
    label : str
        The curve's name in a legend.
    view : {"map", "3d"}
        "3d" draws S^2 and T^2 as surfaces seen from two opposite sides, others by their map.
    top : float, optional
        The density drawn darkest (default: the largest, at least thrice the uniform one), or the
        upper end of a curve's axis (default: its largest value).
    spread : bool
        Whether atoms on a circle are labels of a density and drawn as one.
    name : str
        The player's letter on a map's axes.

    Raises
    ------
    TypeError
        For what is no measure.
    ValueError
        For an unknown view.
    """
    check_kind("plot_measure", measure, Measure, "Measure or Density")
    check_view(view)
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
    if drawn_singly(measure, spread):
        ax.vlines(angles(measure)[0], 0, measure.masses, color=color, label=label or None)
        ax.set_ylabel("mass")
    else:
        at, values = profile(measure, bins, spread)
        # A step for atoms says that bins were counted; a line says that the density is known.
        known = isinstance(measure, Density) or spread
        style = "default" if known else "steps-mid"
        ax.plot(at, values, color=color, label=label or None, drawstyle=style)
        ax.fill_between(at, values, color=color, alpha=0.15, step=None if known else "mid", lw=0)
        ax.set_ylabel("density")
    _turn(ax.xaxis, angles(measure)[1])
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


def dots(measure: Measure) -> Array:
    """The areas of atoms' dots in square points, (n,)."""
    size = np.clip(5000 / len(measure), 0.8, 14)
    return np.minimum(size * measure.masses * len(measure), LARGEST_DOT)


def _map(ax: Any, measure: Measure, color: str, view: str, top: float, name: str) -> None:
    space = measure.manifold
    if view == "3d" and in_space(space):
        draw_in_space(ax, measure, color, top, dots(measure))
        return
    if space == Sphere(2):
        draw_mollweide(ax, measure, color, top, dots(measure))
        return
    period = space.period if isinstance(space, Torus) else np.inf
    at = centred(measure.points[:, :2], period)
    if not isinstance(measure, Density):
        scatter_atoms(ax, at, dots(measure), color, len(measure))
    elif measure.mesh.shape is not None and space.dim == 2:
        _grid_image(ax, measure, at, color, top)
    else:
        order = np.argsort(measure.values)
        how = {"cmap": ramp(color), "s": 500 / np.sqrt(len(at)), "lw": 0, "vmin": 0, "vmax": top}
        ax.scatter(*at[order].T, c=measure.values[order], **how)
    if isinstance(space, Torus):
        _turn(ax.xaxis, period, inner=False)
        _turn(ax.yaxis, period, inner=False)
    else:
        ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
    ax.set(xlabel=f"${name}_1$", ylabel=f"${name}_2$", aspect="equal")


def _grid_image(ax: Any, measure: Density, at: Array, color: str, top: float) -> None:
    shape = measure.mesh.shape
    grids = [at[:, k].reshape(shape) for k in (0, 1)]
    rows, columns = np.argsort(grids[0][:, 0]), np.argsort(grids[1][0])
    values = measure.values.reshape(shape)[np.ix_(rows, columns)]
    # The first cells once more at the far ends, where half of them belongs.
    period = measure.manifold.period  # type: ignore[attr-defined]
    across, up = (np.append(at, at[0] + period) for at in (grids[0][rows, 0], grids[1][0, columns]))
    wrapped = np.pad(values, ((0, 1), (0, 1)), mode="wrap")
    image(ax, across, up, wrapped.T, color, top, shading="nearest")


def draw_space_time(
    ax: Any, times: Array, measures: Sequence[Measure], color: str, bins: int = 128,
    spread: bool = False,
) -> None:  # fmt: skip
    """Draw the density over time on a circle: an image, or dots where atoms are few."""
    period = angles(measures[0])[1]
    if drawn_singly(measures[0], spread):
        for t, m in zip(times, measures, strict=True):
            how: dict[str, Any] = {"s": 3 * m.masses * len(m), "lw": 0, "rasterized": True}
            ax.scatter(np.full(len(m), t), angles(m)[0], color=color, alpha=0.25, **how)
    else:
        rows = [profile(m, bins, spread) for m in measures]
        values = np.stack([values for _, values in rows], 1)
        # The first instants may be sharp peaks; the rest of the run sets the scale, and what is
        # flat stays pale.
        peaks = values.max(axis=0)
        top = max(float(np.percentile(peaks, 80)), 3 / period)
        smooth = "gouraud" if isinstance(measures[0], Density) or spread else "nearest"
        image(ax, times, rows[0][0], values, color, top, shading=smooth)
        how = {"extend": "max" if peaks.max() > top else "neither", "pad": 0.01, "aspect": 14}
        ax.figure.colorbar(colours(color, top), ax=ax, label="density", **how)
    ax.set_xlim(times[0], times[-1])
    _turn(ax.yaxis, period)
