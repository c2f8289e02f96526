"""The sphere and the torus seen from a point in space, and the sphere on Mollweide's map.

A picture is an array of pixels, each of which knows the point of the manifold that it shows: a density is
looked up there, an atom is drawn unless the surface hides it.
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
from meanfield.plotting.style import GREY, colours

PIXELS = 280
TUBE = 0.42  # radius of the torus' tube; its middle runs on the unit circle
SIDES = (35.0, 30.0), (-35.0, 210.0)  # elevations and azimuths of the viewer, in degrees


@dataclass(frozen=True, eq=False)
class Pixels:
    """points (H W, a) with shown (H, W), where there is surface; shade (H, W) in [0, 1]; depth (H, W), larger
    is nearer; extent: left, right, bottom, top."""

    points: Array
    shown: NDArray[np.bool_]
    shade: Array
    depth: Array
    extent: tuple[float, float, float, float]


def in_space(manifold: Manifold) -> bool:
    """Whether the manifold is drawn as a surface: S^2 and T^2."""
    return manifold.dim == 2 and isinstance(manifold, (Sphere, Torus))


def frame(elevation: float, azimuth: float) -> Array:
    """Rows: rightwards, upwards and towards the viewer, (3, 3)."""
    e, a = np.radians([elevation, azimuth])
    towards = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


def embed(manifold: Manifold, points: Array) -> tuple[Array, Array]:
    """Places in space (n, 3) and outer normals (n, 3): x_1 runs along the torus, x_2 around its tube."""
    if isinstance(manifold, Sphere):
        return points, points
    u, v = (2 * np.pi / manifold.period * points).T  # type: ignore[attr-defined]
    normal = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], 1)
    return np.stack([np.cos(u), np.sin(u), np.zeros_like(u)], 1) + TUBE * normal, normal


@lru_cache(maxsize=8)
def pixels(
    manifold: Manifold, elevation: float = SIDES[0][0], azimuth: float = SIDES[0][1]
) -> Pixels:
    """What each pixel of a view from afar shows."""
    axes = frame(elevation, azimuth)
    reach = 1.0 if isinstance(manifold, Sphere) else 1 + TUBE
    high = reach if isinstance(manifold, Sphere) else np.sin(np.radians(abs(elevation))) + TUBE
    width, height = PIXELS, round(PIXELS * high / reach)
    points = _sphere_grid(axes) if isinstance(manifold, Sphere) else _torus_grid(manifold)
    place, normal = embed(manifold, points)
    seen = place @ axes.T
    column = np.clip(((seen[:, 0] / reach + 1) / 2 * width).astype(int), 0, width - 1)
    row = np.clip(((seen[:, 1] / high + 1) / 2 * height).astype(int), 0, height - 1)
    # The nearest point of each pixel: the last one written, in order of depth.
    order = np.argsort(seen[:, 2], kind="stable")
    nearest = np.full(width * height, -1)
    nearest[(row * width + column)[order]] = order
    shown = (nearest >= 0).reshape(height, width)
    at = nearest[nearest >= 0]
    depth, shade = np.full((2, height, width), -np.inf)
    depth[shown] = seen[at, 2]
    light = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])
    shade[shown] = np.clip(normal[at] @ axes.T @ light, 0, 1)
    return Pixels(points[at], shown, shade, depth, (-reach, reach, -high, high))


def _sphere_grid(axes: Array) -> Array:
    """A point of the front half under the middle of each pixel."""
    t = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    u, v = (g.ravel() for g in np.meshgrid(t, t))
    inside = u * u + v * v < 1
    u, v = u[inside], v[inside]
    return np.stack([u, v, np.sqrt(1 - u * u - v * v)], 1) @ axes


def _torus_grid(torus: Any) -> Array:
    """Points so dense that no pixel is missed."""
    u, v = np.meshgrid(
        np.arange(8 * PIXELS) / (8 * PIXELS), np.arange(3 * PIXELS) / (3 * PIXELS), indexing="ij"
    )
    return torus.period * np.stack([u.ravel(), v.ravel()], 1)


@lru_cache(maxsize=2)
def mollweide_pixels() -> Pixels:
    """The whole sphere on Mollweide's map, an ellipse with half axes 2 and 1 in which areas are kept."""
    x, y = np.meshgrid(
        (np.arange(2 * PIXELS) + 0.5) / PIXELS * 2 - 2, (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    )
    inside = x * x / 4 + y * y < 1
    theta = np.arcsin(y[inside])
    latitude = np.arcsin(np.clip((2 * theta + np.sin(2 * theta)) / np.pi, -1, 1))
    longitude = np.pi * x[inside] / (2 * np.cos(theta))
    points = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        1,
    )
    flat = np.zeros(x.shape)
    return Pixels(points, inside, flat + 1, flat, (-2.0, 2.0, -1.0, 1.0))


def mollweide(points: Array) -> Array:
    """Points of S^2 (n, 3) -> places on Mollweide's map (n, 2), longitude 0 in the middle."""
    longitude = np.arctan2(points[:, 1], points[:, 0])
    target = np.pi * np.clip(points[:, 2], -1, 1)  # 2 theta + sin 2 theta = pi sin(latitude)
    theta = np.arcsin(np.clip(points[:, 2], -1, 1)) * 0.8
    for _ in range(30):
        # Newton's method; at the poles, where it is slow, its slope is held up.
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-9)
        theta = np.clip(
            theta - (2 * theta + np.sin(2 * theta) - target) / slope, -np.pi / 2, np.pi / 2
        )
    return np.stack([2 / np.pi * longitude * np.cos(theta), np.sin(theta)], 1)


def draw_mollweide(ax: Any, measure: Measure, color: str, top: float, sizes: Array) -> None:
    """A density as an image, atoms as dots, with meridians and parallels every 60 and 30 degrees."""
    if isinstance(measure, Density):
        _image(ax, mollweide_pixels(), measure, color, top)
    else:
        alpha = min(1.0, 0.25 + 150 / len(measure))
        ax.scatter(*mollweide(measure.points).T, s=sizes, color=color, alpha=alpha, lw=0)
    _graticule(ax)
    _bare(ax, (-2.03, 2.03, -1.03, 1.03))


def _graticule(ax: Any) -> None:
    line = {"color": GREY, "lw": 0.4, "alpha": 0.35}
    t = np.linspace(-np.pi / 2, np.pi / 2, 91)
    for longitude in np.radians([-120, -60, 0, 60, 120]):
        at = np.stack([np.cos(t) * np.cos(longitude), np.cos(t) * np.sin(longitude), np.sin(t)], 1)
        ax.plot(*mollweide(at).T, **line)
    for latitude in np.radians([-60, -30, 0, 30, 60]):
        x, y = mollweide(np.array([[-np.cos(latitude), 1e-12, np.sin(latitude)]]))[0]
        ax.plot([-x, x], [y, y], **line)
    turn = np.linspace(0, 2 * np.pi, 181)
    ax.plot(2 * np.cos(turn), np.sin(turn), color=GREY, lw=0.8)


def draw_in_space(ax: Any, measure: Measure, color: str, top: float, sizes: Array) -> None:
    """A density as the colour of a shaded surface, atoms as dots on a white one; seen from two opposite sides,
    next to each other for spheres, one above the other for tori. Every point of a sphere is seen once."""
    corners = np.empty((2, 4))
    for k, side in enumerate(SIDES):
        seen = pixels(measure.manifold, *side)  # type: ignore[arg-type]
        along = (
            (seen.extent[1], 0.0) if isinstance(measure.manifold, Sphere) else (0.0, seen.extent[2])
        )
        shift = 2.1 * k * np.array(along)
        corners[k] = seen.extent + np.repeat(shift, 2)
        if isinstance(measure, Density):
            _image(ax, seen, measure, color, top, corners[k])
            continue
        grey = np.ones((*seen.shown.shape, 4))
        grey[..., :3] = (0.8 + 0.2 * np.where(seen.shown, seen.shade, 1.0))[..., None]
        grey[..., 3] = seen.shown
        ax.imshow(grey, origin="lower", extent=corners[k], interpolation="bilinear")
        at = embed(measure.manifold, measure.points)[0] @ frame(*side).T
        met = at[:, 2] > _depth_at(seen, at) - 0.05
        alpha = min(1.0, 0.25 + 150 / len(measure))
        ax.scatter(*(at[met, :2] + shift).T, s=sizes[met], color=color, alpha=alpha, lw=0)
    low, high = corners.min(axis=0), corners.max(axis=0)
    _bare(ax, (low[0], high[1], low[2], high[3]))


def _depth_at(seen: Pixels, at: Array) -> Array:
    height, width = seen.shown.shape
    left, right, bottom, top = seen.extent
    column = np.clip(((at[:, 0] - left) / (right - left) * width).astype(int), 0, width - 1)
    row = np.clip(((at[:, 1] - bottom) / (top - bottom) * height).astype(int), 0, height - 1)
    return seen.depth[row, column]


def _image(
    ax: Any, seen: Pixels, density: Density, color: str, top: float, extent: Any = None
) -> None:
    """The density at each pixel, from white (none) to dark (`top`)."""
    scale = colours(color, top)
    painted = np.zeros((*seen.shown.shape, 4))
    painted[seen.shown] = scale.to_rgba(density(seen.points))
    if extent is not None:
        painted[..., :3] *= (0.72 + 0.28 * np.where(seen.shown, seen.shade, 1.0))[..., None]
    ax.imshow(
        painted,
        origin="lower",
        extent=seen.extent if extent is None else extent,
        interpolation="bilinear",
        zorder=0,
    )


def _bare(ax: Any, extent: Any) -> None:
    left, right, bottom, top = extent
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
