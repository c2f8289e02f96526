"""A run as one page to look at: a slider of time moves both players and the marks on all curves."""

# ruff: noqa: RUF001  (mathematics is written in its own letters)

from __future__ import annotations

import gzip
import json
import os
import re
from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import Array, known_keywords, whole
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.metrics import w2
from meanfield.plotting import html
from meanfield.plotting.circle import circular, leading
from meanfield.plotting.comparison import of_comparison
from meanfield.plotting.layout import controls, framed, laid_out
from meanfield.plotting.runs import chosen_states, has_curve, of_labels, weights_move
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, PLAYERS, RED, shades
from meanfield.plotting.summary import rows as summary_rows
from meanfield.plotting.traces import Panel, player, rounded
from meanfield.plotting.words import of_run
from meanfield.storage.atomic import replace
from meanfield.storage.files import as_path
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


@known_keywords()
def save_page(
    result: Any, path: str | os.PathLike[str] | None = None, *, frames: int = 50,
    distances: Any = None,
) -> Path:  # fmt: skip
    """Write a run, or a comparison with its mean field, as one HTML page with a slider of time.

    The page needs no network and no server. It shows both players, spheres and tori as surfaces
    that can be turned, and marks on the curves of the value, the NI error, W2 and the moments
    that move along; below, where the run came from and what to cite. W2 is that to the last
    state, on circles and for few particles, unless other distances are given.

    Parameters
    ----------
    result : Trajectory or Comparison
    path : path, optional
        Ends in .html; by default run.html. A file of that name is replaced.
    frames : int
        The largest number of states shown, evenly spaced. Fifty of densities on surfaces make a
        page of 3 to 4 MB, of which plotly.js is 2 MB.
    distances : W2Curve, optional
        What is drawn of W2, such as `meanfield.w2_curve(swarm, field)`.

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
    drawn = figure(result, run, whole("frames", frames), distances)
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


def figure(result: Any, run: Trajectory, frames: int, distances: Any) -> dict[str, Any]:
    """The whole figure as plotly.js reads it: traces, layout and frames."""
    chosen = chosen_states(len(run), frames)
    times = run.times[chosen]
    panels = [
        player(
            [side[k] for k in chosen], name, color, weights_move(run, name), of_labels(run, name)
        )
        for side, (name, color) in zip((run.x, run.y), PLAYERS, strict=True)
    ]
    below = curves(result, run, chosen, distances) if len(run) > 1 else []
    drawn = laid_out([*panels, *below])
    drawn["frames"] = framed(drawn.pop("moves"), times)
    drawn["layout"] |= controls(times)
    drawn["config"] = {
        "responsive": True, "displaylogo": False, "modeBarButtons": [["toImage", "resetViews"]],
    }  # fmt: skip
    return drawn


# A line: its name, times, values and colour.
Line = tuple[str, Array, Array, str]


def curves(result: Any, run: Trajectory, chosen: Any, distances: Any) -> list[Panel]:
    """The panels below: value, NI, distances and moments, each with its marks at the frames."""
    found: list[tuple[str, list[Line], bool]] = []
    if has_curve(run, "value"):
        found.append(("value L(μ<sub>x</sub>, μ<sub>y</sub>)", [_recorded(run, "value")], False))
    if result is not run:
        found += _compared(result)
    elif has_curve(run, "ni"):
        found.append(("Nikaido-Isoda error", [_recorded(run, "ni")], True))
    found += [(title, lines, False) for title, lines in _distances(run, chosen, distances)]
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


def _distances(run: Trajectory, chosen: Any, distances: Any) -> list[tuple[str, list[Line]]]:
    """W2 to another run, or to the last state where it takes no time."""
    if distances is not None:
        of, title = [(distances.times, distances.x), (distances.times, distances.y)], ""
    else:
        ends = (leading(run.x), leading(run.y))
        if not (circular(*ends) or all(type(m) is Measure and len(m) <= FEW for m in ends)):
            return []
        times = run.times[chosen]
        of = [(times, np.array([w2(side[k], side[-1]) for k in chosen])) for side in (run.x, run.y)]
        title = " to the last state"
    lines = [(name, *curve, color) for curve, (name, color) in zip(of, PLAYERS, strict=True)]
    return [(f"W<sub>2</sub>{title}", lines)]


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
