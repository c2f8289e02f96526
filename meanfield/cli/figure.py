"""`meanfield figure`: the paper's pictures for a file's game, as PDF and PNG with a caption."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from meanfield.cli import build
from meanfield.cli.check import chosen_folder
from meanfield.cli.schema import FIGURES
from meanfield.cli.spec import read


def figure(options: Any) -> int:
    """Draw: meanfield figure FILE.toml [--kind page|figure1] [--out DIR]."""
    from meanfield.storage.files import replace
    from meanfield.studies import figures

    spec = read(options.file, options.set)
    game = build.game(spec)
    start = build.start(spec, game)
    given = spec.section("figure", FIGURES[options.kind])
    folder = chosen_folder(spec, options)
    given["progress"] = False if options.quiet else None
    with build.placed(spec, "figure"):
        if options.kind == "page":
            flow = build.flow(spec)
            given.setdefault("time", spec.section("run").get("time", 10.0))
            drawn, caption = figures.page(game, flow, start, **given)
        else:
            drawn, caption = figures.figure1(game, start, **given)
    folder.mkdir(parents=True, exist_ok=True)
    wrote = [folder / f"{options.kind}{suffix}" for suffix in (".pdf", ".png", ".txt")]
    for path in wrote[:2]:
        replace(path, partial(_draw, drawn, path.suffix[1:]))
    replace(wrote[2], partial(_write, caption + "\n"))
    if not options.quiet:
        print(f"drew {', '.join(map(str, wrote))}")
    return 0


def _draw(drawn: Any, kind: str, path: Path) -> None:
    drawn.savefig(path, dpi=160, format=kind)


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
