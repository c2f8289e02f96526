"""One measure: a curve on circles, a map or a surface on T^2 and S^2, a shadow of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import torus_mesh
from meanfield.plotting.checks import draws
from meanfield.plotting.circle import (
    centred,
    circular,
    draw_curve_axes,
    leading,
    paint_curve,
    profile,
    stems,
    turn,
)
from meanfield.plotting.style import BLUE, colours, image, panel, scatter_atoms, styled
from meanfield.plotting.surfaces import bare, in_space, paint_in_space, paint_mollweide

LARGEST_DOT = 154.0  # square points


@dataclass(frozen=True, eq=False)
class Shadow:
    """The plane that measures of higher dimension are seen in: points @ axes, with axes (a, 2)."""

    axes: Array
    labels: tuple[str, str]

    def of(self, measure: Measure) -> Measure:
        """What is drawn of a measure: on T^3 and beyond its marginal, else the measure itself."""
        space = measure.manifold
        if isinstance(space, Torus) and space.d > 2:
            if isinstance(measure, Density) and measure.mesh.shape is not None:
                drawn = self.axes.argmax(axis=0)
                others = tuple(k for k in range(space.d) if k not in drawn)
                masses = measure.masses.reshape(measure.mesh.shape).sum(axis=others)
                return Density(masses.ravel(), torus_mesh(Torus(2, space.period), masses.shape))
            return Measure(measure.points @ self.axes, measure.masses, Torus(2, space.period))
        return measure


def shadow(measures: Sequence[Measure], name: str) -> Shadow:
    """One plane for several measures: where there is most to see of all of them together.

    On spheres of dimension 3 and more that of the two principal axes of E x x', named with their
    shares of its trace; on T^3 and beyond the two angles that are farthest from uniform; else the
    first two coordinates.
    """
    space, a = measures[0].manifold, measures[0].points.shape[1]
    unit = np.eye(a)[:, :2] if a > 1 else np.zeros((1, 2))
    plain = Shadow(unit, (f"${name}_1$", f"${name}_2$"))
    if isinstance(space, Sphere) and a > 3:
        moments = sum((m.points.T * m.masses) @ m.points for m in measures) / len(measures)
        shares, vectors = np.linalg.eigh(moments)
        axes = vectors[:, [-1, -2]]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        said = [f"principal axis {k}\n({100 * shares[-k]:.0f}% of ${name}$)" for k in (1, 2)]
        return Shadow(axes, (said[0], said[1]))
    if isinstance(space, Torus) and space.d > 2:
        waves = [m.masses @ np.exp(2j * np.pi / space.period * m.points) for m in measures]
        i, j = sorted(np.argsort(-np.sum(np.abs(waves) ** 2, axis=0), kind="stable")[:2])
        first, second = f"${name}_{i + 1}$", f"${name}_{j + 1}$"
        return Shadow(np.eye(a)[:, [i, j]], (f"{first}\n(marginal in {first}, {second})", second))
    return plain


def coloured(measure: Measure) -> bool:
    """Whether a measure is drawn as an image, whose colours a bar explains."""
    return isinstance(measure, Density) and not circular(measure)


def darkest(measures: Sequence[Measure]) -> float:
    """The density drawn darkest in maps: the largest, and at least thrice the uniform one."""
    peaks = [float(m.values.max()) for m in measures if isinstance(m, Density)]
    return max([3 / measures[0].manifold.volume, *peaks])


def common_top(measures: Sequence[Measure]) -> float | None:
    """The density drawn darkest in several maps at once.

    None, which gives each map its own, where peaks differ by more than a factor of 5.
    """
    tops = [darkest([m]) for m in measures]
    return max(tops) if coloured(leading(measures)) and max(tops) < 5 * min(tops) else None


def colour_bar(
    axes: Any, measure: Measure, color: str, top: float | None = None, **how: Any
) -> None:
    """A colour bar beside the axes of maps of densities; nothing beside curves and dots."""
    if coloured(measure):
        shades = colours(color, darkest([measure]) if top is None else top)
        np.ravel(axes)[0].figure.colorbar(shades, ax=axes, **how)


@draws("a meanfield.Measure or Density", kind=Measure)
def plot_measure(
    measure: Measure, ax: Any = None, *, color: str = BLUE, bins: int | None = None,
    label: str = "", view: str = "map", top: float | None = None, spread: bool = False,
    name: str = "x", title: str | None = None, figsize: Any = None, plane: Shadow | None = None,
    atoms: bool | None = None,
) -> Any:  # fmt: skip
    """Draw one measure: a curve or histogram on circles, a map or a surface elsewhere.

    Histograms of atoms are densities, on the scale of a density drawn over them; up to 12 atoms in
    empty axes are drawn as stems as high as their masses. Maps show S^2 in Mollweide's projection
    and T^2 by its angles; beyond, spheres are seen along their two principal axes and tori by the
    two angles that are farthest from uniform. An atom's dot has an area proportional to its mass,
    up to 14 points across.

    Parameters
    ----------
    measure : Measure or Density
    ax : matplotlib axes, optional
        Where to draw; a new figure by default.
    bins : int, optional
        Number of bins of a histogram on a circle; by default as many as the atoms bear.
    label : str
        The curve's name in a legend.
    view : {"map", "3d"}
        "3d" draws S^2 and T^2 as surfaces seen from two opposite sides, others by their map.
    top : float, optional
        The density drawn darkest (default: the largest, at least thrice the uniform one), or the
        upper end of a curve's axis (default: beyond the largest value in the axes).
    spread : bool
        Whether atoms on a circle are labels of a density and drawn as one.
    name : str
        The player's letter on the axes.
    title : str, optional
    figsize : pair, optional
        Width and height of a new figure, in inches.
    plane : Shadow, optional
        The plane that higher dimensions are seen in, for several measures in one.
    atoms : bool, optional
        Whether atoms on a circle are drawn as stems, however many they are (default: up to 12).

    Returns
    -------
    matplotlib figure

    Raises
    ------
    TypeError, ValueError
        For what is no measure, for options that are none or have no such value, and for figsize
        together with ax.
    """
    if plane is None:
        plane = shadow([measure], name)
    elif not isinstance(plane, Shadow):
        raise TypeError(f"plane must be a Shadow, got {type(plane).__name__}; leave it out")
    measure = plane.of(measure)
    with styled():
        alone = ax is None
        height = 2.6 if circular(measure) or measure.manifold == Sphere(2) else 3.6
        ax = panel(4.2, height, ax, figsize)
        look: Any = {"color": color, "bins": bins, "view": view, "spread": spread, "name": name}
        if circular(measure):
            few = stems(measure, spread) if atoms is None else atoms
            atoms = few and not (isinstance(measure, Density) or ax.has_data())
            values = measure.masses if atoms else profile(measure, bins, spread)[1]
            before = ax.get_ylim()[1] if ax.has_data() else 0.0
            top = max(before, 1.05 * float(values.max())) if top is None else top
            look |= {"label": label, "atoms": atoms}
        top = darkest([measure]) if top is None else top
        paint(ax, measure, top, plane=plane, **look)
        draw_axes(ax, measure, top, plane=plane, **look)
        if alone:
            colour_bar(ax, measure, color, top, shrink=0.7, label="density")
            if circular(measure):
                ax.set_xlabel(f"${name}$")
        if title:
            ax.set_title(title)
        return ax.figure


def paint(
    ax: Any, measure: Measure, top: float, *, color: str, plane: Shadow, view: str = "map",
    bins: int | None = None, spread: bool = False, label: str = "", atoms: bool = False,
    name: str = "x",
) -> list[Any]:  # fmt: skip
    """Draw a measure, seen in its plane, into axes that are there; returns what was drawn."""
    space = measure.manifold
    if circular(measure):
        return paint_curve(ax, measure, color, bins, label, spread, atoms)
    if view == "3d" and in_space(space):
        return paint_in_space(ax, measure, color, top, dots(measure), name)
    if space == Sphere(2):
        return paint_mollweide(ax, measure, color, top, dots(measure), name)
    if isinstance(measure, Density) and isinstance(space, Torus):
        return [_grid_image(ax, measure, color, top)]
    at = measure.points if isinstance(space, Torus) else measure.points @ plane.axes
    at = centred(at, space.period) if isinstance(space, Torus) else at
    if isinstance(measure, Density):
        return [_disc_image(ax, measure, at, color, top)]
    return [scatter_atoms(ax, at, dots(measure), color, len(measure))]


def draw_axes(
    ax: Any, measure: Measure, top: float, *, plane: Shadow, view: str = "map",
    atoms: bool = False, **_: Any,
) -> None:  # fmt: skip
    """The axes of what `paint` draws: limits, ticks and names."""
    space = measure.manifold
    if circular(measure):
        draw_curve_axes(ax, measure, top, atoms)
        return
    if in_space(space) and (view == "3d" or isinstance(space, Sphere)):
        bare(ax, space, view)
        return
    if isinstance(space, Torus):
        turn(ax.xaxis, space.period, inner=False)
        turn(ax.yaxis, space.period, inner=False)
    elif isinstance(space, Sphere):
        circle = np.exp(1j * np.linspace(0, 2 * np.pi, 181))
        ax.plot(circle.real, circle.imag, color="0.75", lw=0.7, zorder=0)
        ax.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    else:
        side = 1.05 * float(np.abs(measure.points @ plane.axes).max())
        ax.set(xlim=(-side, side), ylim=(-side, side))
    ax.set(xlabel=plane.labels[0], ylabel=plane.labels[1], aspect="equal")


def dots(measure: Measure) -> Array:
    """The areas of atoms' dots in square points, (n,)."""
    size = np.clip(5000 / len(measure), 0.8, 14)
    return np.minimum(size * measure.masses * len(measure), LARGEST_DOT)


def _disc_image(ax: Any, measure: Density, at: Array, color: str, top: float) -> Any:
    edges, values = disc_values(measure, at)
    return image(ax, edges, edges, values, color, top, zorder=0)


def disc_values(measure: Density, at: Array) -> tuple[Array, Array]:
    """The mean density of the points of a manifold that are seen at one place, nodes at (n, 2).

    Returned are the edges of cells of the square that holds all, [-1, 1]^2 for a sphere, and the
    values there, NaN where nothing is. Masses and volumes are smoothed alike, over the distance of
    nodes, so that none shows singly.
    """
    from scipy.ndimage import gaussian_filter

    cells, dim = 64, measure.manifold.dim
    side = 1.0 if isinstance(measure.manifold, Sphere) else float(np.abs(at).max())
    edges = side * np.linspace(-1, 1, cells + 1)
    reach = (measure.manifold.volume / len(measure)) ** (1 / dim) * cells / (2 * side)
    masses, volumes = (
        gaussian_filter(np.histogram2d(at[:, 0], at[:, 1], [edges, edges], weights=w)[0].T, reach)
        for w in (measure.masses, measure.mesh.volumes)
    )
    middles = 0.5 * (edges[1:] + edges[:-1])
    outside = volumes < 1e-3 * volumes.max()
    if isinstance(measure.manifold, Sphere):
        outside = np.hypot(middles, middles[:, None]) > 1
    return edges, np.where(outside, np.nan, masses / np.maximum(volumes, 1e-300))


def _grid_image(ax: Any, measure: Density, color: str, top: float) -> Any:
    period, shape = measure.manifold.period, measure.mesh.shape  # type: ignore[attr-defined]
    at = centred(measure.points, period)
    grids = [at[:, k].reshape(shape) for k in (0, 1)]
    rows, columns = np.argsort(grids[0][:, 0]), np.argsort(grids[1][0])
    values = measure.values.reshape(shape)[np.ix_(rows, columns)]
    # The first cells once more at the far ends, where half of them belongs.
    across, up = (np.append(at, at[0] + period) for at in (grids[0][rows, 0], grids[1][0, columns]))
    wrapped = np.pad(values, ((0, 1), (0, 1)), mode="wrap")
    return image(ax, across, up, wrapped.T, color, top, shading="nearest")
