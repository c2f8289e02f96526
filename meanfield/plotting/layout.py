"""Where the panels of a page stand, and its slider of time, as plotly reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from meanfield.checks import Array
from meanfield.plotting.traces import Panel

# Heights in pixels, gaps as shares of the width, and the most curves in a row.
TOP, TALL, LOW, BETWEEN, FOOT = 150, 360, 140, 95, 60
GAP, MOST = 0.07, 4


def laid_out(panels: Sequence[Panel]) -> dict[str, Any]:
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


def framed(moves: dict[int, list[dict[str, Any]]], times: Array) -> list[dict[str, Any]]:
    """What changes at each time, named by its number."""
    numbers = list(moves)
    return [
        {"name": str(k), "traces": numbers, "data": [moves[i][k] for i in numbers]}
        for k in range(len(times))
    ]


def controls(times: Array) -> dict[str, Any]:
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
