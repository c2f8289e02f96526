"""What notebooks show of a result: its fields in a small table, and its picture folded in."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import fields
from html import escape
from typing import Any

import numpy as np

from meanfield.measures import Density, Measure

HIDDEN = {"state", "samples", "modes_x", "modes_y", "path", "points", "masses", "versions", "runs"}
LONGEST = 160  # characters of a value
CELL = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"


def summary(result: Any) -> str:
    """A table of a result's fields and, where it can be drawn, its picture, as HTML."""
    lines = "".join(
        f'<tr><th style="{CELL}">{escape(name)}</th><td style="{CELL}">{escape(said)}</td></tr>'
        for name, said in rows(result)
    )
    table = f"<b>{type(result).__name__}</b><table>{lines}</table>"
    if not hasattr(result, "plot"):
        return table
    try:
        data = b64encode(result.plot()._repr_png_()).decode()
    except ValueError:  # a sweep over three parameters, say, has no picture
        return table
    image = f'<img style="max-width:100%" src="data:image/png;base64,{data}">'
    return f"{table}<details><summary>picture</summary>{image}</details>"


def rows(result: Any) -> list[tuple[str, str]]:
    """The names of a result's fields and what they hold, in short."""
    if isinstance(result, Measure):
        where = [("manifold", str(result.manifold)), ("points", f"{len(result):,}")]
        if isinstance(result, Density):
            v = result.values
            return [*where, ("density", f"from {v.min():.4g} to {v.max():.4g}")]
        return [*where, ("masses", _array(result.masses))]
    table: dict[str, str] = {}  # provenance says some fields again
    for field in fields(result):
        value = getattr(result, field.name)
        hidden = field.name in HIDDEN or field.name.endswith(("_low", "_high"))
        if hidden or value is None or (isinstance(value, str) and not value):
            continue
        for name, v in (value if isinstance(value, dict) else {field.name: value}).items():
            if name not in HIDDEN:
                table.setdefault(name, cut(short(v)))
    return list(table.items())


def cut(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def short(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)}, the last {short(value[-1])}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(short, value))
    return repr(value).splitlines()[0] if not isinstance(value, str) else value


def _array(values: Any) -> str:
    """Few numbers as they are, many by their shape and range."""
    if values.size <= 4 or values.dtype.kind not in "biuf":
        return ", ".join(f"{v:.6g}" for v in values.ravel()[:8])
    shape = " x ".join(map(str, values.shape))
    return f"{shape} numbers from {values.min():.4g} to {values.max():.4g}"
