"""A run as one page to look at: a slider of time moves both players and the marks on all curves."""

# ruff: noqa: RUF001  (mathematics is written in its own letters)

from __future__ import annotations

import gzip
import json
import os
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.plotting.circle import circular
from meanfield.plotting.comparison import of_comparison
from meanfield.plotting.runs import chosen_states, has_curve, of_labels, weights_move
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, PLAYERS, RED, shades
from meanfield.plotting.summary import rows as summary_rows
from meanfield.plotting.traces import Panel, player, rounded
from meanfield.plotting.words import of_run
from meanfield.storage.atomic import replace
from meanfield.storage.files import as_path
from meanfield.studies import html
from meanfield.studies.w2_curve import w2_curve
from meanfield.trajectory import Trajectory

FEW = 300  # atoms up to which W2 away from circles takes no time
LINES = 3  # moments drawn of a player's cosines and sines, or coordinates: those that move most
LETTERS = {r"\beta": "β", r"\gamma": "γ", r"\alpha": "α", r"\rho": "ρ", r"\ell": "ℓ", "$": ""}
MISSING = (
    "pages of runs are drawn by plotly, which is not installed; install it by: "
    "pip install 'meanfield-zerosum[html]'"
)
# No page asks for anything outside of itself, and its browser holds it to that.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)
LOADER = """
async function unpacked(name) {
  const bytes = Uint8Array.from(atob(document.getElementById(name).textContent),
    letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
(async () => {
  const library = document.createElement("script");
  library.textContent = await unpacked("library");
  document.head.append(library);
  await Plotly.newPlot("picture", JSON.parse(await unpacked("figure")));
  document.getElementById("wait").remove();
})().catch(error => {
  document.getElementById("wait").textContent =
    "The picture cannot be shown: " + error + ". It needs a browser of 2023 or later.";
});
"""
WIDE = "<style>body { max-width: 78em } h1 { font-size: 1.4em; margin: 0 }</style>"


def save_page(
    result: Any, path: str | os.PathLike[str] | None = None, *, frames: int = 50,
    against: Trajectory | None = None,
) -> Path:  # fmt: skip
    """Write a run, or a comparison with its mean field, as one HTML page with a slider of time.

    The page needs no network and no server. It shows both players, spheres and tori as surfaces
    that can be turned, and marks on the curves of the value, the NI error, W2 and the moments
    that move along; below, where the run came from and what to cite. W2 is that to the last
    state, on circles and for few particles, or to another run.

    Parameters
    ----------
    result : Trajectory or Comparison
    path : path, optional
        Ends in .html; by default run.html. A file of that name is replaced.
    frames : int
        The largest number of states shown, evenly spaced. Fifty of densities on surfaces make a
        page of 3 to 4 MB, of which plotly.js is 2 MB.
    against : Trajectory, optional
        A run of the same game from which distances are taken at the times that both saved.

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        Without plotly, which `pip install 'meanfield-zerosum[html]'` brings.
    TypeError
        For what is no run.
    ValueError
        For another ending.
    """
    run = result if isinstance(result, Trajectory) else getattr(result, "field", None)
    if not isinstance(run, Trajectory):
        raise TypeError(f"save_page writes runs and comparisons, got {type(result).__name__}")
    target = as_path(path if path is not None else "run.html")
    if target.suffix != ".html":
        raise ValueError(f"{target} must end in .html")
    library = plotly_js()
    drawn = figure(result, run, whole("frames", frames), against)
    text = json.dumps(drawn, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    told = _plain(of_run(run) if run is result else of_comparison(result) + ", mean field")
    body = [
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">{WIDE}',
        f"<h1>{_subscripted(told)}</h1>",
        '<p id="wait">The picture is being unpacked …</p><div id="picture"></div>',
        "<small>Drag a surface to turn it, scroll to come nearer; the house takes back.</small>",
        f"<h2>Where it came from</h2>{html.rows(summary_rows(result))}",
        f"<h2>To cite</h2><ul>{_cited(result)}</ul>",
        "<small>Drawn by plotly.js (MIT licence, Plotly, Inc.), which this page holds.</small>",
        *(f'<script id="{name}" type="text/plain">{part}</script>'
          for name, part in (("library", library), ("figure", _packed(text)))),
        f"<script>{LOADER}</script>",
    ]  # fmt: skip
    page = html.page(told, body)
    replace(target, lambda partial: _write(partial, page))
    return target


@cache
def plotly_js() -> str:
    """The library that draws in the browser, packed; ImportError says how to get it."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ImportError(MISSING) from None
    return _packed(get_plotlyjs())


def _packed(text: str) -> str:
    return b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _write(partial: Path, text: str) -> None:
    partial.write_text(text, encoding="utf-8")


def _cited(result: Any) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in result.cite().splitlines() if line)


def _plain(title: str) -> str:
    """A title in the letters of a page."""
    for there, here in LETTERS.items():
        title = title.replace(there, here)
    return " ".join(title.split())


def _subscripted(title: str) -> str:
    """The same as HTML, the paper's losses with their letters below."""
    return re.sub(r"ℓ_(\w)", r"ℓ<sub>\1</sub>", escape(title))


def figure(result: Any, run: Trajectory, frames: int, against: Trajectory | None) -> dict[str, Any]:
    """The whole figure as plotly.js reads it: traces, layout and frames."""
    chosen = chosen_states(len(run), frames)
    times = run.times[chosen]
    panels = [
        player(
            [side[k] for k in chosen], name, color, weights_move(run, name), of_labels(run, name)
        )
        for side, (name, color) in zip((run.x, run.y), PLAYERS, strict=True)
    ]
    below = curves(result, run, chosen, against) if len(run) > 1 else []
    drawn = _laid_out([*panels, *below])
    drawn["frames"] = _frames(drawn.pop("moves"), times)
    drawn["layout"] |= _controls(times)
    drawn["config"] = {
        "responsive": True, "displaylogo": False, "modeBarButtons": [["toImage", "resetViews"]],
    }  # fmt: skip
    return drawn


# A line: its name, times, values and colour.
Line = tuple[str, Array, Array, str]


def curves(result: Any, run: Trajectory, chosen: Any, against: Trajectory | None) -> list[Panel]:
    """The panels below: value, NI, distances and moments, each with its marks at the frames."""
    found: list[tuple[str, list[Line], bool]] = []
    if has_curve(run, "value"):
        found.append(("value L(μ<sub>x</sub>, μ<sub>y</sub>)", [_recorded(run, "value")], False))
    if result is not run:
        found += _compared(result)
    elif has_curve(run, "ni"):
        found.append(("Nikaido-Isoda error", [_recorded(run, "ni")], True))
    found += [(title, lines, False) for title, lines in _distances(run, chosen, against)]
    for name, _ in PLAYERS:
        found.append((f"moments of {name}", moments(run, name), False))
    return [_curve_panel(*of, run.times[chosen]) for of in found]


def _recorded(run: Trajectory, key: str) -> Line:
    return key, run.times, run.diagnostics[key], GREY


def _compared(c: Any) -> list[tuple[str, list[Line], bool]]:
    """A comparison's mean distances and NI errors for each n."""
    colours = [_hex(s) for s in shades(len(c.particles))]
    names = [f"n = {n:,}" for n in c.particles]
    distances = list(zip(names, [c.times] * len(names), c.w2_squared, colours, strict=True))
    errors = list(zip(names, [c.times] * len(names), c.ni, colours, strict=True))
    errors.append(("mean field", c.times, c.field_ni, "#000"))
    distance = "E [W<sub>2</sub>² of x + W<sub>2</sub>² of y], to the mean field"
    return [(distance, distances, True), ("E NI", errors, True)]


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _distances(
    run: Trajectory, chosen: Any, against: Trajectory | None
) -> list[tuple[str, list[Line]]]:
    """W2 to another run, or to the last state where it takes no time."""
    if against is not None:
        curve, to = w2_curve(run, against), "the other run"
    else:
        ends = (run.x[0], run.y[0])
        fast = circular(*ends) or all(type(m) is Measure and len(m) <= FEW for m in ends)
        if not fast:
            return []
        curve, to = w2_curve(run, run[-1], run.times[chosen]), "the last state"
    lines = [(name, curve.times, getattr(curve, name), color) for name, color in PLAYERS]
    return [(f"W<sub>2</sub> to {to}", lines)]


def moments(run: Trajectory, name: str) -> list[Line]:
    """The means of a player's coordinates, on tori of their cosines and sines."""
    measures = getattr(run, name)
    space = measures[0].manifold
    if isinstance(space, Torus):
        turn = 2 * np.pi / space.period
        waves = np.array([m.masses @ np.exp(1j * turn * m.points) for m in measures])
        values = np.stack([waves.real, waves.imag], -1).reshape(len(waves), -1)
        unit = "" if np.isclose(turn, 1.0) else f"{turn:.4g} "
        at = [name] if space.d == 1 else [f"{name}<sub>{k + 1}</sub>" for k in range(space.d)]
        labels = [f"E {f} {unit}{a}" for a in at for f in ("cos", "sin")]
    else:
        values = np.array([m.masses @ m.points for m in measures])
        labels = [f"E {name}<sub>{k + 1}</sub>" for k in range(values.shape[1])]
    kept: Any = range(len(labels))
    if len(labels) > LINES + 1:
        kept = np.sort(np.argsort(-np.ptp(values, axis=0), kind="stable")[:LINES])
    colours = (BLUE, ORANGE, GREEN, RED)
    return [(labels[k], run.times, values[:, k], c) for k, c in zip(kept, colours, strict=False)]


def _curve_panel(title: str, lines: list[Line], log: bool, marks: Array) -> Panel:
    """Curves over time, and a dot on each of them at the time of the frame."""
    smallest, largest = (f(f(v) for _, _, v, _ in lines) for f in (min, max))
    log = log and smallest > 0 and largest > 20 * smallest
    if len(lines) > 1:
        named = [f'<span style="color:{color}">{name}</span>' for name, *_, color in lines]
        title += "<br>" + ", ".join(named)
    panel = Panel(title, {
        "xaxis": {"title": {"text": "t", "standoff": 2}, "range": rounded(marks[[0, -1]], 6)},
        "yaxis": {"type": "log", "exponentformat": "power"} if log else {"exponentformat": "power"},
    })  # fmt: skip
    if not log and largest - smallest < 1e-12 * max(1.0, abs(largest)):
        middle = 0.5 * (largest + smallest)
        reach = max(0.1 * abs(middle), 1e-3)
        panel.axes["yaxis"]["range"] = [middle - reach, middle + reach]
    for name, times, values, color in lines:
        panel.still(
            type="scatter", mode="lines", x=rounded(times, 6), y=rounded(values, 6), name=name,
            line={"color": color, "width": 1.4},
        )  # fmt: skip
    at = [[int(np.abs(times - t).argmin()) for _, times, _, _ in lines] for t in marks]
    frames = [
        {
            "x": rounded([line[1][k] for line, k in zip(lines, row, strict=True)], 6),
            "y": rounded([line[2][k] for line, k in zip(lines, row, strict=True)], 6),
        }
        for row in at
    ]
    colours = [color for *_, color in lines]
    panel.moving(
        frames, type="scatter", mode="markers", marker={"color": colours, "size": 8},
        hoverinfo="skip",
    )  # fmt: skip
    return panel


# Heights in pixels, gaps as shares of the width, and the most curves in a row.
TOP, TALL, LOW, BETWEEN, FOOT = 150, 360, 140, 95, 60
GAP, MOST = 0.07, 4


def _laid_out(panels: Sequence[Panel]) -> dict[str, Any]:
    """The slider at the top, two large panels, and the others in rows below."""
    below = len(panels) - 2
    rows_below = -(-below // MOST)
    per_row = -(-below // max(rows_below, 1))
    inner = TALL + rows_below * (LOW + BETWEEN)
    layout: dict[str, Any] = {
        "height": TOP + inner + FOOT, "margin": {"t": TOP, "b": FOOT, "l": 55, "r": 20},
        "template": "none", "uirevision": "kept", "annotations": [], "hovermode": "closest",
        "font": {"family": "system-ui, sans-serif", "size": 12}, "showlegend": False, "bargap": 0,
    }  # fmt: skip
    traces: list[dict[str, Any]] = []
    moves: dict[int, list[dict[str, Any]]] = {}
    for k, panel in enumerate(panels):
        count, column = (2, k) if k < 2 else (per_row, (k - 2) % per_row)
        high = 0 if k < 2 else TALL + BETWEEN + ((k - 2) // per_row) * (LOW + BETWEEN)
        width = (1 - GAP * (count - 1)) / count
        left = column * (width + GAP)
        tall = TALL if k < 2 else LOW
        across, up = [left, left + width], [1 - (high + tall) / inner, 1 - high / inner]
        where = _place(layout, panel, k + 1, across, up)
        layout["annotations"].append({
            "text": panel.title, "x": left + width / 2, "y": up[1], "xref": "paper",
            "yref": "paper", "xanchor": "center", "yanchor": "bottom", "yshift": 4,
            "showarrow": False, "font": {"size": 13},
        })  # fmt: skip
        for j, trace in enumerate(panel.traces):
            if j in panel.moves:
                moves[len(traces)] = panel.moves[j]
            if "colorbar" in trace:
                bar = {"x": left + width, "len": 0.8 * tall / inner, "y": sum(up) / 2}
                trace = {**trace, "colorbar": {**trace["colorbar"], **bar}}
            traces.append({**trace, **where})
    return {"data": traces, "layout": layout, "moves": moves}


def _place(
    layout: dict[str, Any], panel: Panel, number: int, across: list[float], up: list[float]
) -> dict[str, str]:
    """Put a panel's axes and legend into the layout; how its traces name them."""
    end = "" if number == 1 else str(number)
    if panel.solid:
        layout[f"scene{end}"] = {**panel.axes, "domain": {"x": across, "y": up}}
        return {"scene": f"scene{end}"}
    lines = {"showline": True, "linecolor": "#888", "ticks": "outside", "gridcolor": "#eee"}
    if "scaleanchor" in panel.axes["yaxis"]:
        panel.axes["yaxis"]["scaleanchor"] = f"x{end}"
    for axis, other, domain in (("x", "y", across), ("y", "x", up)):
        place = {"domain": domain, "anchor": f"{other}{end}", "zeroline": False}
        layout[f"{axis}axis{end}"] = {**lines, **place, **panel.axes[f"{axis}axis"]}
    return {"xaxis": f"x{end}", "yaxis": f"y{end}"}


def _frames(moves: dict[int, list[dict[str, Any]]], times: Array) -> list[dict[str, Any]]:
    """What changes at each time, named by its number."""
    numbers = list(moves)
    return [
        {"name": str(k), "traces": numbers, "data": [moves[i][k] for i in numbers]}
        for k in range(len(times))
    ]


def _controls(times: Array) -> dict[str, Any]:
    """The slider of time, and buttons to play and to pause."""
    how = {"mode": "immediate", "frame": {"duration": 0, "redraw": True},
           "transition": {"duration": 0}}  # fmt: skip
    steps = [
        {"label": f"{t:.4g}", "method": "animate", "args": [[str(k)], how]}
        for k, t in enumerate(times)
    ]
    slider = {
        "steps": steps, "x": 0.1, "len": 0.9, "y": 1, "yanchor": "bottom", "pad": {"b": 40, "t": 0},
        "currentvalue": {"prefix": "t = ", "xanchor": "left", "font": {"size": 14}},
    }  # fmt: skip
    play = {**how, "fromcurrent": True, "frame": {"duration": 120, "redraw": True}}
    buttons = [
        {"label": "▶ play", "method": "animate", "args": [None, play]},
        {"label": "❚❚ pause", "method": "animate", "args": [[None], how]},
    ]
    menu = {
        "type": "buttons", "buttons": buttons, "direction": "down", "showactive": False,
        "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 40},
    }  # fmt: skip
    return {"sliders": [slider], "updatemenus": [menu]} if len(times) > 1 else {}
