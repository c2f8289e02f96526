"""`meanfield schema`: the JSON schema of TOML files, by which editors complete and check them.

It is made of the tables that check a file (`cli.schema`, `cli.build`, `cli.grid`): what stands
there shows up here.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from meanfield import flows, games
from meanfield.cli.build import CHANGES, FLOWS, arguments
from meanfield.cli.grid import RANGES, SETTINGS
from meanfield.cli.schema import SECTIONS, either, json_of, rows, table, text
from meanfield.games.catalogue import CONSTRUCTORS

NAME = "meanfield.schema.json"


def schema(options: Any) -> int:
    """Print it: meanfield schema > meanfield.schema.json."""
    print(written(), end="")
    return 0


def written() -> str:
    """The schema as the text of a file."""
    return json.dumps(of_files(), indent=1) + "\n"


def of_files() -> dict[str, Any]:
    """The schema of a whole file: its sections, each by its table or by the names it may hold."""
    special: dict[str, Callable[[], dict[str, Any]]]
    special = {"game": _games, "flow": _flows, "sweep": _sweep}
    sections = {
        name: special[name]() if name in special else table(known)
        for name, known in SECTIONS.items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "meanfield",
        "type": "object",
        "properties": {"title": json_of(text), **sections},
        "additionalProperties": False,
    }


def _games() -> dict[str, Any]:
    return either(*(_named(name, games, arguments(name)) for name in CONSTRUCTORS))


def _flows() -> dict[str, Any]:
    return either(*(_named(name, flows, {**known, **CHANGES}) for name, known in FLOWS.items()))


def _named(name: str, module: Any, known: Any) -> dict[str, Any]:
    """The table of one game or flow, with what it cannot do without."""
    made = getattr(module, name)
    needed = [
        key for key, p in inspect.signature(made).parameters.items()
        if p.default is p.empty and key in known and name != "polynomial_from"
    ]  # fmt: skip
    # An expression may be given without its name.
    needed = ["expression"] if name == "expression" else ["name", *needed]
    found = table(known, needed, description=(inspect.getdoc(made) or "").split("\n")[0])
    found["properties"] = {"name": {"const": name}, **found["properties"]}
    return found


def _sweep() -> dict[str, Any]:
    """Settings, and values of keys written "flow.beta" or flow.beta."""
    values = [rows({}, 1), *({"type": "object", "required": [name]} for name in RANGES)]
    return {
        **table(SETTINGS),
        "additionalProperties": either(*values, {"type": "object"}),
    }
