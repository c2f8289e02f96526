"""`meanfield examples`: files to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from meanfield.cli.schema import BadInput, nearest


def shipped() -> dict[str, str]:
    """name -> content of every example file."""
    folder = files("meanfield") / "examples"
    found = [item for item in folder.iterdir() if item.name.endswith(".toml")]
    return {
        item.name: item.read_text(encoding="utf-8")
        for item in sorted(found, key=lambda item: item.name)
    }


def examples(options: Any) -> int:
    """meanfield examples [NAME ...]"""
    held = shipped()
    if not options.names:
        width = max(map(len, held))
        print(
            *(f"{name:{width}}  {_headline(content)}" for name, content in held.items()), sep="\n"
        )
        print(
            "\ncopy one here: meanfield examples oscillator.toml; then: meanfield run oscillator.toml"
        )
        return 0
    names = [name if name.endswith(".toml") else f"{name}.toml" for name in options.names]
    folder = Path(options.to)
    for name in names:
        if name not in held:
            raise BadInput(
                f"there is no example {name}{nearest(name, held)}; `meanfield examples` lists them"
            )
        if (folder / name).exists():
            raise BadInput(
                f"{folder / name} exists already; move it, or copy elsewhere with --to FOLDER"
            )
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; make it first")
    for name in names:
        (folder / name).write_text(held[name], encoding="utf-8")
        print(f"wrote {folder / name}; next: meanfield {_command(held[name])} {folder / name}")
    return 0


def _headline(content: str) -> str:
    return content.splitlines()[0].lstrip("# ")


def _command(content: str) -> str:
    return "run" if "\n[run]" in content else "nash"
