"""`meanfield examples`: files to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from meanfield.cli import editors
from meanfield.cli.schema import BadInput, nearest


def shipped() -> dict[str, str]:
    """The content of every example file by its name."""
    found = (files("meanfield") / "examples").iterdir()
    texts = {f.name: f.read_text(encoding="utf-8") for f in found if f.name.endswith(".toml")}
    return dict(sorted(texts.items()))


def examples(options: Any) -> int:
    """List the example files, or copy those that are named: meanfield examples [NAME ...]."""
    known = shipped()
    if not options.names:
        width = max(map(len, known))
        for name, content in known.items():
            print(f"{name:{width}}  {content.splitlines()[1].lstrip('# ')}")
        print(
            "\ncopy one here: meanfield examples oscillator.toml; then: meanfield run "
            "oscillator.toml"
        )
        return 0
    names = [name if name.endswith(".toml") else f"{name}.toml" for name in options.names]
    folder = Path(options.to)
    for name in names:
        if name not in known:
            raise BadInput(
                f"there is no example {name}{nearest(name, known)}; `meanfield examples` lists them"
            )
        if (folder / name).exists():
            raise BadInput(
                f"{folder / name} exists already; move it, or copy elsewhere with --to FOLDER"
            )
    if not folder.is_dir():
        raise BadInput(f"there is no folder {folder}; make it first")
    # What their first line names, for editors.
    (folder / editors.NAME).write_text(editors.written(), encoding="utf-8")
    for name in names:
        (folder / name).write_text(known[name], encoding="utf-8")
        sections = {"sweep": "sweep", "check": "check", "run": "run", "train": "gan train"}
        command = next((c for s, c in sections.items() if f"\n[{s}]" in known[name]), "nash")
        print(f"wrote {folder / name}; next: meanfield {command} {folder / name}")
    return 0
