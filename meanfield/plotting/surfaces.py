"""The sphere and the torus seen from a point in space, and the sphere on Mollweide's map.

A picture is an array of pixels, each of which knows the point of the manifold that it shows: a
density is evaluated there, and an atom is drawn unless the surface hides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.plotting.style import GREY, colours, scatter_atoms

PIXELS = 280
BELOW = 0.5  # the order of lines and marks: over densities, which are at 0, below atoms, at 1
TUBE = 0.42  # radius of the torus' tube; its middle runs on the unit circle
SIDES = (35.0, 30.0), (-35.0, 210.0)  # elevations and azimuths of the viewer, in degrees
LIGHT = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])


@dataclass(frozen=True, eq=False)
class Pixels:
    """What the pixels of a picture of height H and width W show.

    points (S, a) of the manifold, one for each pixel of shown (H, W), where there is surface; the
    brightness shade (H, W) in [0, 1]; depth (H, W), larger for what is nearer; and the extent as
    left, right, bottom, top.
    """

    points: Array
    shown: NDArray[np.bool_]
    shade: Array
    depth: Array
    extent: tuple[float, float, float, float]

    def depth_at(self, at: Array) -> Array:
        """The depth of the surface at places in the picture (n, 2)."""
        left, right, bottom, top = self.extent
        return self.depth[_cells(at[:, 1], bottom, top, self.shown.shape[0]),
                          _cells(at[:, 0], left, right, self.shown.shape[1])]  # fmt: skip


def _cells(at: Array, low: float, high: float, count: int) -> Any:
    """In which of `count` equal intervals of [low, high] numbers lie."""
    return np.clip(((at - low) / (high - low) * count).astype(int), 0, count - 1)


def _middles(count: int, reach: float) -> Array:
    """The middles of `count` equal intervals of [-reach, reach]."""
    return ((np.arange(count) + 0.5) / count * 2 - 1) * reach


def in_space(manifold: Manifold) -> bool:
    """Whether the manifold is drawn as a surface: S^2 and T^2."""
    return manifold.dim == 2 and isinstance(manifold, (Sphere, Torus))


def on_sphere(latitude: Any, longitude: Any) -> Array:
    """The points of S^2 (n, 3) at these angles."""
    flat = np.cos(latitude)
    columns = (flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude))
    return np.stack(np.broadcast_arrays(*columns), -1)


def frame(elevation: float, azimuth: float) -> Array:
    """The viewer's axes as rows (3, 3): rightwards, upwards and towards the viewer."""
    towards = on_sphere(*np.radians([elevation, azimuth]))
    right = on_sphere(0.0, np.radians(azimuth + 90.0))
    return np.stack([right, np.cross(towards, right), towards])


def embed(manifold: Manifold, points: Array) -> tuple[Array, Array]:
    """Places in space and outer normals (n, 3); x_1 runs along the torus, x_2 around its tube."""
    if isinstance(manifold, Sphere):
        return points, points
    u, v = (2 * np.pi / manifold.period * points).T  # type: ignore[attr-defined]
    normal = on_sphere(v, u)
    return on_sphere(0.0, u) + TUBE * normal, normal


@lru_cache(maxsize=8)
def pixels(
    manifold: Manifold, elevation: float = SIDES[0][0], azimuth: float = SIDES[0][1]
) -> Pixels:
    """What each pixel of a view from afar shows."""
    axes, round_ = frame(elevation, azimuth), isinstance(manifold, Sphere)
    reach = 1.0 if round_ else 1 + TUBE
    high = reach if round_ else np.sin(np.radians(abs(elevation))) + TUBE
    width, height = PIXELS, round(PIXELS * high / reach)
    points = _sphere_grid(axes) if round_ else _torus_grid(manifold)
    place, normal = embed(manifold, points)
    seen = place @ axes.T
    column, row = _cells(seen[:, 0], -reach, reach, width), _cells(seen[:, 1], -high, high, height)
    # The nearest point of each pixel: the last one written, in order of depth.
    order = np.argsort(seen[:, 2], kind="stable")
    nearest = np.full(width * height, -1)
    nearest[(row * width + column)[order]] = order
    shown = (nearest >= 0).reshape(height, width)
    at = nearest[nearest >= 0]
    depth, shade = np.full((2, height, width), -np.inf)
    depth[shown] = seen[at, 2]
    shade[shown] = np.clip(normal[at] @ axes.T @ LIGHT, 0, 1)
    return Pixels(points[at], shown, shade, depth, (-reach, reach, -high, high))


def _sphere_grid(axes: Array) -> Array:
    """A point of the front half under the middle of each pixel."""
    u, v = (g.ravel() for g in np.meshgrid(*(_middles(PIXELS, 1.0),) * 2))
    inside = u * u + v * v < 1
    u, v = u[inside], v[inside]
    return np.stack([u, v, np.sqrt(1 - u * u - v * v)], 1) @ axes


def _torus_grid(torus: Any) -> Array:
    """Points so dense that no pixel is missed."""
    u, v = (np.arange(k * PIXELS) / (k * PIXELS) for k in (8, 3))
    return torus.period * np.stack(np.meshgrid(u, v, indexing="ij"), -1).reshape(-1, 2)


@lru_cache(maxsize=2)
def mollweide_pixels() -> Pixels:
    """The sphere on Mollweide's map, which preserves areas: an ellipse of half axes 2 and 1."""
    x, y = np.meshgrid(_middles(2 * PIXELS, 2.0), _middles(PIXELS, 1.0))
    inside = x * x / 4 + y * y < 1
    theta = np.arcsin(y[inside])
    latitude = np.arcsin(np.clip((2 * theta + np.sin(2 * theta)) / np.pi, -1, 1))
    points = on_sphere(latitude, np.pi * x[inside] / (2 * np.cos(theta)))
    flat = np.zeros(x.shape)
    return Pixels(points, inside, flat + 1, flat, (-2.0, 2.0, -1.0, 1.0))


def mollweide(points: Array) -> Array:
    """Places (n, 2) on Mollweide's map of points of S^2 (n, 3), with longitude 0 in the middle."""
    longitude, height = np.arctan2(points[:, 1], points[:, 0]), np.clip(points[:, 2], -1, 1)
    theta = np.arcsin(height) * 0.8
    for _ in range(30):
        # Newton's method for 2 theta + sin 2 theta = pi sin(latitude); at the poles, where it is
        # slow, its slope is bounded from below.
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-9)
        theta -= (2 * theta + np.sin(2 * theta) - np.pi * height) / slope
        theta = np.clip(theta, -np.pi / 2, np.pi / 2)
    return np.stack([2 / np.pi * longitude * np.cos(theta), np.sin(theta)], 1)


AXES = {  # where the axes of space meet Mollweide's map, and on which side their names stand
    "x_1": ((0.0, 0.0), (4, 4), "left", "bottom"),
    "x_2": ((1.0, 0.0), (4, 4), "left", "bottom"),
    "-x_2": ((-1.0, 0.0), (-4, 4), "right", "bottom"),
    "x_3": ((0.0, 1.0), (0, 4), "center", "bottom"),
    "-x_3": ((0.0, -1.0), (0, -4), "center", "top"),
}


def paint_mollweide(
    ax: Any, measure: Measure, color: str, top: float, sizes: Array, name: str
) -> list[Any]:
    """Draw a density as an image or atoms as dots, among meridians, parallels and axes."""
    from matplotlib.collections import LineCollection

    if isinstance(measure, Density):
        drawn = _image(ax, mollweide_pixels(), measure, color, top)
    else:
        drawn = scatter_atoms(ax, mollweide(measure.points), sizes, color, len(measure))
    how: Any = {"colors": GREY, "linewidths": 0.4, "alpha": 0.35, "zorder": BELOW}
    grid = ax.add_collection(LineCollection(_graticule(), **how))
    t = np.linspace(0, 2 * np.pi, 181)
    rim = ax.plot(2 * np.cos(t), np.sin(t), color=GREY, lw=0.8, zorder=BELOW)
    ends = [(at, f"${axis.replace('x', name)}$", *side) for axis, (at, *side) in AXES.items()]
    return [drawn, grid, *rim, *_label_points(ax, ends)]


def _label_points(ax: Any, ends: list[Any]) -> list[Any]:
    """Mark points, below all atoms, and write their names: (place, name, offset in points, both
    alignments).
    """
    from matplotlib.patheffects import withStroke

    clear: Any = {"path_effects": [withStroke(linewidth=1.5, foreground="white")]}
    look = {"color": GREY, "ms": 5, "mew": 0.5, "zorder": BELOW}
    marks = ax.plot(*np.array([at for at, *_ in ends]).T, "+", **look, **clear)
    how = {"textcoords": "offset points", "fontsize": 7}
    return marks + [
        ax.annotate(word, at, away, ha=across, va=up, **how, **clear)
        for at, word, away, across, up in ends
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _graticule() -> list[Array]:
    """Meridians every 60 degrees and parallels every 30, as lines on Mollweide's map."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 91)
    lines = [mollweide(on_sphere(t, v)) for v in np.radians([-120, -60, 0, 60, 120])]
    for latitude in np.radians([-60, -30, 0, 30, 60]):
        x, y = mollweide(on_sphere(latitude, [np.pi - 1e-12]))[0]
        lines.append(np.array([[-x, y], [x, y]]))
    return lines


def paint_in_space(
    ax: Any, measure: Measure, color: str, top: float, sizes: Array, name: str
) -> list[Any]:
    """Draw a density as the colour of a shaded surface, atoms as dots on a white one; a sphere's
    axes where they leave it.

    The surface is seen from two opposite sides, next to each other for spheres, one above the
    other for tori, so that every point of a sphere is seen once.
    """
    drawn = []
    for side, extent in zip(SIDES, _places(measure.manifold), strict=True):
        seen = pixels(measure.manifold, *side)  # type: ignore[arg-type]
        shift = extent[[0, 2]] - np.array(seen.extent)[[0, 2]]
        if isinstance(measure.manifold, Sphere):
            poles = [frame(*side) @ v for v in (*np.eye(3), *-np.eye(3))]
            said = [f"${sign}{name}_{k}$" for sign in ("", "-") for k in (1, 2, 3)]
            ends = [(v[:2] + shift, word) for v, word in zip(poles, said, strict=True) if v[2] > 0]
            drawn += _label_points(
                ax, [(place, word, (4, 4), "left", "bottom") for place, word in ends]
            )
        if isinstance(measure, Density):
            drawn.append(_image(ax, seen, measure, color, top, extent))
            continue
        white = np.ones((*seen.shown.shape, 4))
        white[..., :3] = (0.8 + 0.2 * np.where(seen.shown, seen.shade, 1.0))[..., None]
        white[..., 3] = seen.shown
        drawn.append(_show(ax, white, extent))
        at = embed(measure.manifold, measure.points)[0] @ frame(*side).T
        met = at[:, 2] > seen.depth_at(at) - 0.05
        drawn.append(scatter_atoms(ax, at[met, :2] + shift, sizes[met], color, len(measure)))
    return drawn


def _places(manifold: Manifold) -> Array:
    """Left, right, bottom and top of the two views of a surface, (2, 4)."""
    seen = pixels(manifold, *SIDES[0])  # type: ignore[arg-type]
    _, right, low, _ = seen.extent
    shift = 2.1 * np.array((right, 0) if isinstance(manifold, Sphere) else (0, low))
    return np.array(seen.extent) + np.array([np.zeros(4), np.repeat(shift, 2)])


def _image(
    ax: Any, seen: Pixels, density: Density, color: str, top: float, extent: Any = None
) -> Any:
    """The density at each pixel, from white (none) to dark (`top`), shaded in space."""
    painted = np.zeros((*seen.shown.shape, 4))
    painted[seen.shown] = colours(color, top).to_rgba(density(seen.points))
    if extent is not None:
        painted[..., :3] *= (0.72 + 0.28 * np.where(seen.shown, seen.shade, 1.0))[..., None]
    return _show(ax, painted, seen.extent if extent is None else extent)


def _show(ax: Any, painted: Array, extent: Any) -> Any:
    return ax.imshow(painted, origin="lower", extent=extent, interpolation="bilinear", zorder=0)


def bare(ax: Any, manifold: Manifold, view: str) -> None:
    """Axes without lines around the whole map, or both views."""
    if view == "map":
        left, right, bottom, top = -2.03, 2.03, -1.14, 1.14
    else:
        places = _places(manifold)
        left, bottom = places[:, [0, 2]].min(axis=0)
        right, top = places[:, [1, 3]].max(axis=0)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
