"""python -m figures [NAME ...] [--quick] [--out FOLDER]: compute what is missing, then draw."""

from __future__ import annotations

import argparse
import sys
import traceback
from importlib import import_module
from pathlib import Path
from time import perf_counter

from figures.store import stored

FIGURES = ("figure1", "oscillator", "second_game")


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
    failed = [
        name for name in options.names or FIGURES if not make(name, options.quick, options.out)
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def make(name: str, quick: bool, out: Path) -> bool:
    """One figure: its data unless they are there, its picture from these alone.

    Whether it worked.
    """
    figure, clock = import_module(f"figures.{name}"), perf_counter()
    print(f"{name}: data ...", flush=True)
    try:
        settings = figure.settings(quick)
        path = stored(out / f"{name}.npz", settings, lambda: figure.compute(settings))
        computed = perf_counter() - clock
        picture = figure.draw(path)
    except Exception:
        traceback.print_exc()
        return False
    print(
        f"{name}: {path} ({computed:.1f} s), {picture} ({perf_counter() - clock - computed:.1f} s)",
        flush=True,
    )
    return True


if __name__ == "__main__":
    sys.exit(main())
