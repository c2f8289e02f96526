"""python -m figures [NAME ...] [--quick] [--out FOLDER]: compute what is missing, then draw.

Parts are kept as they are finished: the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from figures.store import computed, folder_of, stored
from meanfield.cores import cores

FIGURES = (
    "oscillator",
    "second_game",
    "phase",
    "cures",
    "search",
    "race",
    "figure1",
    "figure2",
    "figure3",
)  # the quickest first
# Figures that need more than the package does: the module, and what to do without.
NEEDS = {
    "figure2": ("torch", "mixtures of GANs need PyTorch: pip install '.[gan]'"),
    "figure3": ("torch", "mixtures of GANs need PyTorch: pip install '.[gan]'"),
}


def main(arguments: list[str] | None = None) -> int:
    """0 when every figure was made, 1 when one failed (the others are still made)."""
    parser = argparse.ArgumentParser(
        prog="python -m figures", description="Compute and draw the figures."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(FIGURES)}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer replicas: minutes, with wider error bars"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder to write to (default: results)"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(FIGURES))
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    names, pictures, left = options.names or FIGURES, [], []
    for k, name in enumerate(names, 1):
        print(f"{name} (figure {k} of {len(names)})", flush=True)
        if why := missing(name):
            print(f"  left out: {why}", flush=True)
            left.append(name)
            continue
        try:
            pictures.append(make(name, options.quick, options.out))
        except KeyboardInterrupt:
            print("stopped; finished parts are kept, the same command goes on", file=sys.stderr)
            return 130
        except Exception:
            traceback.print_exc()
    done = {*left, *(path.stem for path in pictures)}
    failed = [name for name in names if name not in done]
    if pictures:
        print("pictures, each with its caption in a .txt beside it:")
        print(*(f"  {path}" for path in pictures), sep="\n")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def missing(name: str) -> str:
    """Why a figure cannot be made here; empty where it can."""
    module, why = NEEDS.get(name, ("", ""))
    if module and find_spec(module) is None:
        return why
    return str(getattr(import_module(f"figures.{name}"), "missing", str)())


def make(name: str, quick: bool, out: Path) -> Path:
    """One figure: its data unless they are there, its picture from these alone."""
    figure, clock = import_module(f"figures.{name}"), perf_counter()
    settings, path = figure.settings(quick), out / f"{name}.npz"
    folder = folder_of(path, settings)

    def say(text: str) -> None:
        print(f"  {perf_counter() - clock:6.1f} s  {text}", flush=True)

    def compute() -> Any:
        parts = figure.parts(settings, folder)
        jobs = cores() if getattr(figure, "ONE_CORE", False) else 1
        return figure.joined(settings, computed(folder, settings, parts, say, jobs))

    picture: Path = figure.draw(stored(path, settings, compute))
    say(f"drew {picture}")
    return picture


if __name__ == "__main__":
    sys.exit(main())
