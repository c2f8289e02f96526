"""The page of the command line, from its argument parser (`meanfield.cli.parser`)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from toml_schema import written

from meanfield.cli import EXIT_CODES, parser

TITLE = """# Command line

`meanfield COMMAND ...` (or `python -m meanfield COMMAND ...`). What files say is described in
[TOML files](toml.md). This page is made from the program's argument parser.
"""


def commands(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Every command's own parser."""
    found = [a for a in whole._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices)


def literal(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def options(one: argparse.ArgumentParser) -> str:
    """A command's arguments as a table."""
    rows = ["| argument | meaning |", "|---|---|"]
    for action in one._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
        if action.choices:
            value = " or ".join(action.choices)
        names = [f"`{name}{' ' + str(value) if value else ''}`" for name in action.option_strings]
        rows.append(f"| {', '.join(names) or f'`{value}`'} | {action.help or ''} |")
    return "\n".join(rows) + "\n" if len(rows) > 2 else ""


def page() -> str:
    """The whole page in Markdown."""
    with patch.dict(os.environ, {"COLUMNS": "90", "NO_COLOR": "1"}):
        whole = parser()
        parts = [TITLE, literal(whole.format_usage()), literal(whole.epilog or "")]
        for name, one in commands(whole).items():
            more = (one.epilog or "").replace(EXIT_CODES, "").strip()
            said = one.description or ""
            parts += [f"## meanfield {name}\n", f"{said[:1].upper()}{said[1:]}.\n"]
            parts += [literal(one.format_usage()), options(one)]
            parts += [literal(more)] if more else []
    return "\n".join(parts)


def setup(app: Any) -> dict[str, Any]:
    target = Path(app.srcdir) / "reference" / "command-line.md"
    app.connect("builder-inited", lambda app: written(target, page()), priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
