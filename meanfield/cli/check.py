"""`meanfield check`: the paper's theorems put to the test on a file's game."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from meanfield.cli import build
from meanfield.cli.schema import BadInput
from meanfield.cli.spec import Spec, read
from meanfield.storage.atomic import replace


def check(options: Any) -> int:
    """Put the theorems to the test: meanfield check FILE.toml [--full] [--out DIR]."""
    from meanfield.studies.check import check as study

    spec = read(options.file, options.set)
    game, flow = build.game(spec), build.flow(spec)
    start, given = build.start(spec, game), spec.section("check")
    folder, say = chosen_folder(spec, options), (lambda *_, **__: None) if options.quiet else print
    size = "full sizes, which may take hours" if options.full else "quick sizes"
    say(f"{spec.path}: theorems on {game.name}, {flow.name}; {size}", flush=True)
    say(f"  keeps finished parts in {folder}; after Ctrl-C the same command goes on", flush=True)
    clock, progress = perf_counter(), False if options.quiet else None
    with build.placed(spec, "check"):
        result = study(
            game, flow, start, quick=not options.full, progress=progress, out=folder, **given
        )
    say(result)
    wrote = written(result, folder)
    say(f"wrote {', '.join(map(str, wrote))} in {perf_counter() - clock:.1f} s")
    say(f"next: open {wrote[0]} in a browser")
    if result.missing:
        return 130
    return 1 if any(result.outcome(theorem) == "fails" for theorem in result.rows) else 0


def chosen_folder(spec: Spec, options: Any) -> Path:
    """The folder that a command's pages and pictures go to."""
    folder = Path(options.out or f"{Path(spec.path).stem}-{options.command}")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; give a folder with --out DIR")
    return folder


def written(result: Any, folder: Path) -> list[Path]:
    """The page, the table, the result itself and a picture of each theorem, in the folder."""
    paths = [result.page(folder / "check.html"), result.to_csv(folder / "check.csv")]
    paths.append(result.save(folder / "check.h5", overwrite=True))
    for theorem in result.rows:
        if result.data.get(theorem):
            paths.append(folder / f"theorem{theorem}.pdf")
            replace(paths[-1], partial(result.plot(theorem).savefig, format="pdf"))
    return paths
