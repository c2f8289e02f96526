"""A TOML file and --set as they were written: values checked by the tables of `cli.schema`, and
errors that name the line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meanfield.cli.schema import SECTIONS, BadInput, Check, Key, nearest


@dataclass
class Spec:
    """A file's content with the lines that its keys stand on; line 0 stands for --set."""

    path: str
    content: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)

    def fail(self, key: Key, message: str) -> BadInput:
        """An error at a key, or at the nearest thing around it that has a line."""
        name = ".".join(key)
        said = message if message.startswith(f"{name} ") else f"{name}: {message}"
        around = (key[:k] for k in range(len(key), 0, -1))
        line = next((self.lines[part] for part in around if part in self.lines), None)
        if line == 0:
            return BadInput(f"--set {said}")
        return BadInput(f"{self.path}, line {line}: {said}" if line else f"{self.path}: {said}")

    def section(self, name: str, known: Mapping[str, Check] | None = None) -> dict[str, Any]:
        """A section's checked values; `known` replaces the keys of the table above."""
        known, checked = SECTIONS[name] if known is None else known, {}
        for key, value in self.content.get(name, {}).items():
            if key not in known:
                hint = nearest(key, known) or f"; known are {', '.join(known)}"
                raise self.fail((name, key), f"there is no such key{hint}")
            try:
                checked[key] = known[key](value)
            except BadInput as error:
                raise self.fail((name, key), str(error)) from None
        return checked


def read(path: str, settings: list[str]) -> Spec:
    """A file with the changes of --set; its sections are checked here, its keys when used."""
    file = Path(path)
    if file.is_dir():
        raise BadInput(f"{path} is a folder; give a file in it, such as {file / 'oscillator.toml'}")
    if not file.is_file():
        raise BadInput(f"there is no file {path}; `meanfield examples` lists files to begin with")
    try:
        source = file.read_text(encoding="utf-8-sig")
        content = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid TOML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise BadInput(f"{path} is nested too deeply") from None
    spec = Spec(path, content, positions(source))
    for setting in settings:
        _set(spec, setting)
    for name, value in spec.content.items():
        if name == "title":
            continue
        if name not in SECTIONS:
            hint = nearest(name, SECTIONS) or "; see meanfield --help"
            raise spec.fail((name,), f"there is no such section{hint}")
        if not isinstance(value, dict):
            raise spec.fail((name,), f"must be a section: write [{name}] and its keys below")
    return spec


def _set(spec: Spec, setting: str) -> None:
    """Apply one --set section.key=value, its value as in TOML or plain text."""
    found = re.fullmatch(r"\s*([\w-]+(?:\.[\w-]+)+)\s*=(.*)", setting, re.DOTALL)
    if not found:
        raise BadInput(
            f"--set {setting!r} must look like section.key=value, for example run.time=5"
        )
    *parents, last = found[1].split(".")
    try:
        value = tomllib.loads(f"v = {found[2].strip()}")["v"]
    except tomllib.TOMLDecodeError:
        value = _plain(found[2].strip())
    except RecursionError:
        raise BadInput(f"--set {'.'.join([*parents, last])} is nested too deeply") from None
    place = spec.content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set {setting!r}: {parent} is a value, not a section")
    place[last] = value
    spec.lines[(*parents, last)] = 0


def _plain(written: str) -> float | str:
    """What is not TOML: a number such as .5 or 5., or text without quotes."""
    try:
        return float(written)
    except ValueError:
        return written


_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_INNER = re.compile(r"[{,]\s*([\w-]+)\s*=")


def positions(source: str) -> dict[Key, int]:
    """The line of every section and key, as far as a look at the lines can tell."""
    found: dict[Key, int] = {}
    here: Key = ()
    for i, line in enumerate(source.splitlines(), 1):
        if header := _HEADER.match(line):
            here = _parts(header[1])
            found.setdefault(here, i)
        elif key := _KEY.match(line):
            path = (*here, *_parts(key[1]))
            found.setdefault(path, i)
            for inner in _INNER.finditer(line, key.end()):
                found.setdefault((*path, inner[1]), i)
    return found


def _parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
