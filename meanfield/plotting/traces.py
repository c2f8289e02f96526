"""One player's measures over time as traces of plotly: what stands still, and what moves.

A trace is a dictionary as plotly.js reads it. Numbers are rounded to what a screen shows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold, Sphere
from meanfield.measures import Density, Measure
from meanfield.meshes.harmonics import evaluate, of_values
from meanfield.plotting.circle import angles, circular, leading, profile, scale, stems
from meanfield.plotting.measures import darkest, disc_values, shadow
from meanfield.plotting.style import GREY, ramp
from meanfield.plotting.surfaces import embed, in_space, on_sphere

Trace = dict[str, Any]
DRAWN = 1000  # atoms drawn one by one; of more, as many by lot
ROUND, ALONG = 46, 91  # points of a surface
LIFTED = 1.03  # atoms lie so far outside of a surface that it does not cut them
PALE = "#eceff1"
DOT, LARGEST = 6.0, 24.0  # diameters of dots in pixels: of an atom of the mean weight, and at most
LIGHT = {
    "lighting": {"ambient": 0.8, "diffuse": 0.25, "specular": 0.0, "fresnel": 0.0},
    "lightposition": {"x": 60.0, "y": 20.0, "z": 80.0},
}


@dataclass(eq=False)
class Panel:
    """What a panel shows.

    traces: at the first frame; moves: for traces that move, by their number, what changes of them
    at each frame; axes: plotly's axes or, in space, its scene.
    """

    title: str
    axes: dict[str, Any]
    traces: list[Trace] = field(default_factory=list)
    moves: dict[int, list[Trace]] = field(default_factory=dict)

    @property
    def solid(self) -> bool:
        """Whether it is a scene in space, which can be turned."""
        return "aspectmode" in self.axes

    def still(self, **trace: Any) -> None:
        """Add a trace that stays as it is."""
        self.traces.append(trace)

    def moving(self, frames: list[Trace], **trace: Any) -> None:
        """Add a trace of which these change at each frame."""
        self.moves[len(self.traces)] = frames
        self.traces.append({**trace, **frames[0]})


def rounded(values: Any, digits: int = 4) -> list[Any]:
    """Numbers to so many digits of the largest one; what is not finite becomes None."""
    v = np.asarray(values, dtype=float)
    finite = np.isfinite(v)
    top = float(np.abs(v[finite]).max(initial=0.0))
    places = digits - 1 - int(np.floor(np.log10(top))) if top > 0 else 0
    kept = np.round(np.where(finite, v, 0.0), places) + 0.0  # 0.0 for -0.0
    return np.where(finite, kept, None).tolist()  # type: ignore[call-overload, no-any-return]


def player(
    measures: Sequence[Measure], name: str, color: str, weighted: bool, spread: bool
) -> Panel:
    """The panel of a player's measures at the frames.

    weighted: whether weights move; spread: whether atoms are labels of a density.
    """
    plane = shadow(measures, name)
    seen = [plane.of(m) for m in measures]
    space, n = measures[0].manifold, len(leading(measures))
    title = f"μ<sub>{name}</sub> on {space}"
    if circular(seen[0]):
        return _circle(seen, Panel(title, {}), name, color, weighted, spread)
    atoms = not isinstance(leading(seen), Density)
    if atoms and n > DRAWN:
        title += f", {DRAWN:,} of {n:,} atoms"
    if weighted:
        title += ", areas by weight"
    axes = [label.replace("$", "").replace("\n", " ") for label in plane.labels]
    axes = [_subscripts(a) for a in axes]
    if in_space(seen[0].manifold):
        return _surface(seen, Panel(title, _scene(seen[0].manifold)), name, axes, color)
    return _disc(seen, Panel(title, {}), plane.axes, axes, color)


def _subscripts(label: str) -> str:
    """A label such as x_1 in the letters of a page."""
    return re.sub(r"_(\d+)", r"<sub>\1</sub>", label)


def _circle(
    seen: list[Measure], panel: Panel, name: str, color: str, weighted: bool, spread: bool
) -> Panel:
    """A line for densities, steps for histograms; atoms as bars where they are few, and as dots
    where their weights move.
    """
    period = angles(seen[0])[1]
    atoms = stems(leading(seen), spread)
    if atoms:
        panel.moving(
            [{"x": rounded(angles(m)[0]), "y": rounded(m.masses)} for m in seen],
            type="bar", width=0.012 * period, marker={"color": color}, name="mass",
        )  # fmt: skip
        top = max(float(m.masses.max()) for m in seen)
    else:
        rows = [profile(m, None, spread) for m in seen]
        top = scale(np.array([values.max() for _, values in rows]))[0]
        smooth = isinstance(leading(seen), Density) or spread
        panel.moving(
            [_line(at, values, period, smooth) for at, values in rows],
            type="scatter", mode="lines", fill="tozeroy", name="density",
            line={"color": color, "width": 1.6, "shape": "linear" if smooth else "hv"},
        )  # fmt: skip
    if weighted and not atoms:
        at = [angles(m)[0] for m in seen]
        frames = [{"x": rounded(a), "y": [0.0] * len(a)} for a in at]
        _dots(panel, frames, seen, color, type="scatter", hovertemplate="%{x:.3f}")
        panel.title += ", atoms below by weight"
    panel.axes = {
        "xaxis": {"title": {"text": name, "standoff": 4}, "range": [-period / 2, period / 2]},
        "yaxis": {"title": {"text": "mass" if atoms else "density"}, "range": [0, 1.05 * top]},
    }
    if np.isclose(period, 2 * np.pi):
        panel.axes["xaxis"] |= {
            "tickvals": rounded(np.linspace(-np.pi, np.pi, 5)),
            "ticktext": ["-π", "-π/2", "0", "π/2", "π"],
        }
    if weighted and not atoms:
        panel.axes["yaxis"]["range"][0] = -0.06 * top
    return panel


def _line(at: Array, values: Array, period: float, smooth: bool) -> Trace:
    """A density around the whole circle; steps begin at the left of their bins."""
    if smooth:
        at = np.concatenate([[at[-1] - period], at, [at[0] + period]])
        values = np.concatenate([values[-1:], values, values[:1]])
    else:
        half = period / len(at) / 2
        at, values = np.append(at - half, at[-1] + half), np.append(values, values[-1])
    return {"x": rounded(at), "y": rounded(values)}


def _dots(
    panel: Panel, frames: list[Trace], seen: Sequence[Measure], color: str, **trace: Any
) -> None:
    """Add the atoms as dots with areas by weight; those by lot that are drawn, where many are."""
    n = len(seen[0])
    if n > DRAWN:
        kept = np.sort(np.random.default_rng(0).choice(n, DRAWN, replace=False))
        frames = [{key: [v[k] for k in kept] for key, v in f.items()} for f in frames]
    else:
        kept = np.arange(n)
    usual = DOT * min(1.0, (200 / len(kept)) ** 0.3)
    if trace["type"] == "scatter3d":
        usual *= 0.6  # the same number is larger in space
    ratio = [n * m.masses[kept] for m in seen]
    if max(float(np.ptp(r)) for r in ratio) > 1e-9:
        for f, r in zip(frames, ratio, strict=True):
            f["marker.size"] = rounded(np.minimum(usual * np.sqrt(r), LARGEST), 3)
    look = {"color": color, "size": usual, "opacity": 0.7, "line": {"width": 0}}
    panel.moving(frames, mode="markers", name="atoms", marker=look, **trace)


def _surface(seen: list[Measure], panel: Panel, name: str, axes: list[str], color: str) -> Panel:
    """A torus or a sphere in space that carries the density or the atoms, with its axes."""
    space = seen[0].manifold
    grid = _grid(space)
    at = embed(space, grid.reshape(-1, grid.shape[-1]))[0].reshape(*grid.shape[:2], 3)
    places = {c: rounded(at[..., k]) for k, c in enumerate("xyz")}
    surface = {"type": "surface", **places, **LIGHT, "hoverinfo": "skip"}
    if isinstance(leading(seen), Density):
        flat = grid.reshape(-1, grid.shape[-1])
        rows = np.maximum(_at(seen, flat), 0.0)
        peaks = np.array([darkest([m]) for m in seen])
        panel.moving(
            [{"surfacecolor": rounded(row.reshape(grid.shape[:2]))} for row in rows],
            **{**surface, "hoverinfo": "text"}, cmin=0.0, cmax=float(f"{scale(peaks)[0]:.4g}"),
            colorscale=_colours(color), colorbar=_bar(),
            hovertemplate="density %{surfacecolor:.4g}<extra></extra>", name="density",
        )  # fmt: skip
    else:
        panel.still(**surface, colorscale=[[0, PALE], [1, PALE]], showscale=False)
        frames = []
        for m in seen:
            place, normal = embed(space, m.points)
            up = (place + (LIFTED - 1) * normal).T
            frames.append({c: rounded(row) for c, row in zip("xyz", up, strict=True)})
        _dots(panel, frames, seen, color, type="scatter3d", hoverinfo="skip")
    for line in _axes_in_space(space, axes, name):
        panel.still(**line)
    return panel


def _at(seen: list[Any], points: Array) -> Array:
    """Densities between their nodes, (frames, n); harmonics are evaluated once for all of them.

    Atoms, at which a field may begin, are as dark as can be at the points nearest to them.
    """
    fields = [m for m in seen if isinstance(m, Density)]
    mesh = fields[0].mesh
    if mesh.by_parallels and all(m.mesh.shape == mesh.shape for m in fields):
        L = mesh.shape[0] - 1  # type: ignore[index]
        rows = evaluate(np.stack([of_values(m.values, L) for m in fields], 1), points).T
    else:
        rows = np.array([m.interpolated(points) for m in fields])
    values = np.zeros((len(seen), len(points)))
    values[[isinstance(m, Density) for m in seen]] = rows
    for row, m in zip(values, seen, strict=True):
        if not isinstance(m, Density):
            nearest = [int(m.manifold.distance(x, points).argmin()) for x in m.points]
            row[nearest] = rows.max()
    return values


def _grid(space: Manifold) -> Array:
    """Points of a surface, (rows, columns, a), the last row and column where the first are."""
    if isinstance(space, Sphere):
        latitude = np.linspace(-np.pi / 2, np.pi / 2, ROUND)[:, None]
        return on_sphere(latitude, np.linspace(-np.pi, np.pi, ALONG))
    ends = space.period * np.linspace(0, 1, ALONG), space.period * np.linspace(0, 1, ROUND)  # type: ignore[attr-defined]
    return np.stack(np.meshgrid(*ends, indexing="ij"), -1)


def _axes_in_space(space: Manifold, axes: list[str], name: str) -> list[Trace]:
    """Where the axes leave a sphere, and where the angles of a torus are zero, with their names."""
    if isinstance(space, Sphere):
        axes = [f"{name}<sub>{k}</sub>" for k in (1, 2, 3)]
        lines = [np.outer([LIFTED, 1.3], row) for row in np.eye(3)]
        names = [line[-1] for line in lines]
    else:
        t = np.linspace(0, space.period, 61)  # type: ignore[attr-defined]
        zero = np.zeros_like(t)
        rings = [embed(space, np.stack(pair, 1)) for pair in ((t, zero), (zero, t))]
        lines = [place + (LIFTED - 1) * normal for place, normal in rings]
        names = [
            (place + 0.15 * normal)[k] for (place, normal), k in zip(rings, (8, 12), strict=True)
        ]
    found = []
    for line, at, label in zip(lines, names, axes, strict=True):
        way = np.concatenate([line, [[np.nan] * 3], [at]])
        found.append({
            "type": "scatter3d", **{c: rounded(row) for c, row in zip("xyz", way.T, strict=True)},
            "mode": "lines+text", "text": [""] * (len(way) - 1) + [label], "hoverinfo": "skip",
            "line": {"color": GREY, "width": 2}, "textposition": "middle center",
        })  # fmt: skip
    return found


def _disc(seen: list[Measure], panel: Panel, plane: Array, axes: list[str], color: str) -> Panel:
    """Spheres of dimension three and more along two axes, within the unit circle."""
    at = [m.points @ plane for m in seen]
    if isinstance(seen[0], Density):
        maps = [disc_values(m, a) for m, a in zip(seen, at, strict=True)]  # type: ignore[arg-type]
        middles = rounded(0.5 * (maps[0][0][1:] + maps[0][0][:-1]))
        top = scale(np.array([np.nanmax(values) for _, values in maps]))[0]
        panel.moving(
            [{"z": rounded(values, 3)} for _, values in maps], type="heatmap", x=middles,
            y=middles, zmin=0.0, zmax=float(f"{top:.4g}"), colorscale=_colours(color),
            colorbar=_bar(), name="density",
        )  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 121)
    panel.still(
        type="scatter", x=rounded(np.cos(turn)), y=rounded(np.sin(turn)), mode="lines",
        line={"color": "#bbb", "width": 1}, hoverinfo="skip",
    )  # fmt: skip
    if not isinstance(seen[0], Density):
        frames = [{"x": rounded(a[:, 0]), "y": rounded(a[:, 1])} for a in at]
        _dots(panel, frames, seen, color, type="scatter")
    reach = {"range": [-1.08, 1.08], "zeroline": False}
    panel.axes = {
        "xaxis": {"title": {"text": axes[0], "standoff": 4}, "constrain": "domain", **reach},
        "yaxis": {"title": {"text": axes[1]}, "scaleanchor": True, "constrain": "domain", **reach},
    }
    return panel


def _scene(space: Manifold) -> dict[str, Any]:
    """A scene without walls around a surface, seen from above and in front."""
    reach = (1.35, 1.35, 1.35) if isinstance(space, Sphere) else (1.6, 1.6, 0.6)
    walls = {
        f"{c}axis": {"visible": False, "showspikes": False, "range": [-r, r]}
        for c, r in zip("xyz", reach, strict=True)
    }
    near = 0.92 if isinstance(space, Sphere) else 1.05
    eye = {c: near * v for c, v in zip("xyz", (1.15, 0.75, 0.8), strict=True)}
    look = {"eye": eye, "center": {"x": 0, "y": 0, "z": 0}}
    return {**walls, "aspectmode": "data", "dragmode": "orbit", "camera": look}


def _colours(color: str) -> list[list[Any]]:
    """The ramp of densities as plotly's stops."""
    stops = np.linspace(0, 1, 12)
    rows = np.rint(255 * ramp(color)(stops)[:, :3]).astype(int)
    return [
        [round(float(s), 4), f"rgb({r},{g},{b})"] for s, (r, g, b) in zip(stops, rows, strict=True)
    ]


def _bar() -> dict[str, Any]:
    """The look of a colour bar; the page says where it stands."""
    return {"thickness": 8, "ticklabelposition": "outside", "outlinewidth": 0}
