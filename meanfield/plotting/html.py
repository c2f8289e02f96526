"""The pieces of pages that need no network: style, tables, pictures within the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
  color: #222 }
table { border-collapse: collapse; margin: .7em 0; font-variant-numeric: tabular-nums }
td, th { padding: .15em .8em .15em 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e4e4e4 }
pre { background: #f6f6f4; padding: .8em; overflow-x: auto; font-size: 13px }
img { max-width: 100% }
.holds { color: #1a7f37 } .fails { color: #b42318; font-weight: 600 }
.inconclusive, .not { color: #9a6700 }
h2 { margin-top: 2.2em; border-top: 2px solid #ddd; padding-top: .6em } small { color: #666 }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    return f"{head}<style>{STYLE}</style>" + "\n".join(body) + "</html>\n"


def picture(png: bytes, name: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(png).decode()
    return f'<p><img alt="{escape(name)}" src="data:image/png;base64,{data}"></p>'


def word(outcome: str) -> str:
    """An outcome in its colour."""
    return f'<span class="{outcome.split()[0]}">{outcome}</span>'


def rows(pairs: Iterable[tuple[str, Any]]) -> str:
    """A table of names and values."""
    return grid([], [[escape(str(name)), escape(str(value))] for name, value in pairs])


def grid(head: list[str], lines: list[list[str]]) -> str:
    """A table of cells that are escaped already."""
    top = "<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>" if head else ""
    body = "\n".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines
    )
    return f"<table>{top}{body}</table>"
