"""The summary for the terminal and one self-contained HTML page: statements, numbers, pictures,
settings, times.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from meanfield.plotting.html import grid, page, picture, rows, word
from meanfield.studies.verdicts import FAILS
from meanfield.trajectory import versions
from validation.notation import equations, html, number, paragraphs
from validation.suite import Outcome, module

STYLE = """<style>
body { max-width: 68em; overflow-wrap: anywhere } th, td { overflow-wrap: break-word }
.number { white-space: nowrap } .formula { margin: .3em 2em; font-family: serif; font-size: 106% }
pre { white-space: pre-wrap } sup, sub { line-height: 0 }
td:first-child { max-width: 34em; overflow-wrap: anywhere }
summary { cursor: pointer }
</style>"""


def _paragraphs(name: str) -> list[str]:
    return (module(name).__doc__ or name).strip().split("\n\n")


def title(name: str) -> str:
    """The first paragraph of a claim's docstring."""
    return " ".join(_paragraphs(name)[0].split()).rstrip(".")


def statement(name: str) -> str:
    """The rest of it."""
    return "\n\n".join(_paragraphs(name)[1:])


def tally(outcome: Outcome) -> str:
    """How many of its verdicts hold, and what broken input did."""
    words = [f"{sum(v.holds for v in outcome.verdicts)}/{len(outcome.verdicts)} checks"]
    if outcome.sabotages:
        caught = sum(b.fails_by_a_number for b in outcome.sabotages.values())
        words.append(f"{caught}/{len(outcome.sabotages)} broken inputs caught")
    return ", ".join(words)


def table(outcomes: Sequence[Outcome]) -> str:
    """The terminal's summary: every verdict that does not hold, then one line a claim."""
    lines = []
    for o in outcomes:
        lines += [f"{o.name}:\n{v}" for v in o.verdicts if not v.holds]
        lines += [
            f"{o.name}: {part} could not be computed\n{text}" for part, text in o.failed.items()
        ]
        lines += [f"{o.name}: not computed: {', '.join(o.missing)}"] if o.missing else []
        lines += [f"{o.name}: {text}" for text in remarks(o)]
        for what, broken in o.sabotages.items():
            if not broken.fails_by_a_number:
                lines.append(f"{o.name}: broken input not caught: {what} ({broken.outcome})")
                lines += broken.failed.values()
    width = max(len(o.name) for o in outcomes)
    lines += [
        f"{o.name:<{width}}  {o.outcome:<12}  {sum(o.seconds.values()):7.1f} s  {tally(o)}"
        for o in outcomes
    ]
    return "\n".join(lines)


def write(path: Path, outcomes: Sequence[Outcome], mode: str, elapsed: float) -> None:
    """The report, whole or not at all."""
    about = {
        "mode": mode,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "this run": f"{elapsed:.0f} s",
        "computing, all parts": f"{sum(sum(o.seconds.values()) for o in outcomes):.0f} s",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "python": sys.version.split()[0],
    }
    summary = [
        [link(o), word(o.outcome), tally(o), f"{sum(o.seconds.values()):.1f}"] for o in outcomes
    ]
    body = [
        STYLE,
        "<h1>Mean-field two-player zero-sum games: claims and verdicts</h1>",
        rows(about.items()),
        "<p>A check holds when its whole 95% interval lies within the stated tolerance, fails "
        "when all of it lies "
        "beyond, and is inconclusive in between. A claim holds when all of its checks do.</p>",
        grid(["claim", "verdict", "checks", "seconds"], summary),
        equations(),
        *(section(o) for o in outcomes),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(page("Validation", body), encoding="utf-8")
    os.replace(partial, path)


def section(o: Outcome) -> str:
    """One claim: statement, checks, pictures, broken inputs, settings, times."""
    checks = [
        [html(v.claim), number(v.found), number(v.allowed), word(v.outcome)] for v in o.verdicts
    ]
    parts = [f"{part} {seconds:.1f} s" for part, seconds in o.seconds.items()]
    lines = [
        f'<h2 id="{o.name}">{html(title(o.name))}</h2>'
        f"<p>{word(o.outcome)} <small>{o.name}</small></p>",
        paragraphs(statement(o.name)),
        *(
            f"<p>{escape(part)} could not be computed</p><pre>{escape(text)}</pre>"
            for part, text in o.failed.items()
        ),
        f"<p>Not computed: {escape(', '.join(o.missing))}</p>" if o.missing else "",
        grid(["check", "measured", "expected", "verdict"], checks),
        *(f"<p>{html(text)}</p>" for text in remarks(o)),
        *(picture(path.read_bytes(), path.stem) for path in o.pictures),
        broken(o),
        f"<details><summary>settings and times</summary>{rows(plain(o.settings).items())}"
        f"<p>{escape(', '.join(parts))}</p></details>",
    ]
    return "\n".join(lines)


def remarks(o: Outcome) -> list[str]:
    """What a reader of the verdicts must know besides."""
    stale = f"stored by another state of the package: {', '.join(o.older)}" if o.older else ""
    return [text for text in (o.note, stale) if text]


def broken(o: Outcome) -> str:
    """What each deliberately broken input did."""
    if not o.sabotages:
        return ""
    lines = []
    for what, other in o.sabotages.items():
        bad = [v for v in other.verdicts if v.outcome == FAILS]
        first = "nothing"
        if bad:
            numbers = f"{number(bad[0].found)}, expected {number(bad[0].allowed)}"
            first = f"{html(bad[0].claim)}: {numbers}"
        lines.append([html(what), first, f"{len(bad)} of {len(other.verdicts)}"])
    return "<p>Deliberately broken inputs</p>" + grid(
        ["broken", "first check that fails", "failing"], lines
    )


def link(o: Outcome) -> str:
    said = re.sub("</?a[^>]*>", "", html(title(o.name)))  # no link within a link
    return f'<a href="#{o.name}">{said}</a>'


def plain(settings: Any) -> dict[str, Any]:
    return dataclasses.asdict(settings)
