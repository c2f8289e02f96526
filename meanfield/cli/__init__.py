"""The command line: `meanfield run | compare | gibbs | nash | resume | show | examples`."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

EXIT_CODES = """exit codes:
  0    done
  1    the computation failed (it says why)
  2    the input is wrong: one line says what and where, nothing is written
  130  stopped by Ctrl-C; 143 by SIGTERM. `meanfield resume` goes on to the same bits
"""
OVERVIEW = """a first session:
  meanfield examples                    lists files to begin with
  meanfield examples oscillator.toml    copies one here
  meanfield run oscillator.toml         follows its flow, writes oscillator.h5
  meanfield show oscillator.h5          a summary, and the picture oscillator.png

"""
RUN_HELP = """A file has sections; every key has a default except the game, the flow and the time:

  [game]                     [flow]                       [start]
  name = "oscillator"        name = "Langevin"            x = {center = 1.1, width = 0.04}
  coupling = 3.0             beta = 25.0                  y = {density = "1 + 0.5*cos(y)"}

  [run]                      [output]
  level = "field"            file = "run.h5"
  time = 20.0                checkpoint_every = 30.0

games: oscillator, uniform_equilibrium, free, separable, double_well, wang_chizat, bilinear,
  benchmark, polynomial, polynomial_from, trigonometric, or expression = "cos(x - y)"
flows: Wasserstein, Langevin, WassersteinFisherRao, MirrorDescent, BestResponse, Flow
level: "field" solves the mean-field equation (cells, engine, step, tol; weights of finite-volume,
    order of staggered, refine of characteristics, limiter of muscl),
  "particles" follows particles (particles, step, seed, scheme, placement, replica, refine, device,
    precision)
both: save_every, record = ["ni"] for the Nikaido-Isoda error at every saved time

Stopped or killed, the same command goes on, and so does `meanfield resume RUN.h5`.
"""
COMPARE_HELP = """Replicas of particles at several n against the mean field: W2 and NI over time with
confidence bands, the exponent in n, and what the time step itself moves. Section [compare]:

  time = 2.0                  particles = [100, 1000, 10000]    replicas = 100
  step = 0.01                 scheme = "strang"                 seed = 0
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    raw = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(
        "meanfield",
        description="Mean-field two-player zero-sum games.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=raw,
    )
    whole.add_argument("--version", action="version", version=f"meanfield {_version()}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, more: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help, description=help, epilog=more + EXIT_CODES, formatter_class=raw
        )

    for name, help, more in (
        ("run", "follow a flow with particles or densities", RUN_HELP),
        ("compare", "measure how far n particles are from the mean field", COMPARE_HELP),
        ("gibbs", "find the Gibbs fixed point (9): section [gibbs], or the flow's beta", ""),
        ("nash", "find a mixed Nash equilibrium with its certificate: section [nash]", ""),
    ):
        one = command(name, help, more + "\n" if more else "")
        one.add_argument("file", metavar="FILE.toml")
        one.add_argument(
            "--set",
            metavar="SECTION.KEY=VALUE",
            action="append",
            default=[],
            help="change the file's value",
        )
        one.add_argument(
            "--out", metavar="RUN.h5", help="where the result goes (default: named after the file)"
        )
        one.add_argument("--quiet", action="store_true", help="say nothing but errors")
        if name == "compare":
            one.add_argument(
                "--threads", type=int, help="how many replicas at a time (default: all cores)"
            )
    one = command("resume", "finish a run that was stopped or killed, to the same bits")
    one.add_argument("file", metavar="RUN.h5")
    one.add_argument("--quiet", action="store_true", help="say nothing but errors")
    one = command("show", "print what a file holds and draw it; nothing is computed")
    one.add_argument("file", metavar="RUN.h5")
    one.add_argument(
        "--out", metavar="PICTURE.png", help="where the picture goes (default: beside the file)"
    )
    one.add_argument("--no-plot", action="store_true", help="print the summary only")
    one.add_argument(
        "--view", choices=("map", "3d"), default="map", help="spheres and tori as maps or surfaces"
    )
    one.add_argument(
        "--movie", nargs="?", const=True, metavar="MOVIE.gif",
        help="write a movie too, .mp4 (needs ffmpeg) or .gif (default: beside the file)",
    )  # fmt: skip
    one.add_argument(
        "--export",
        metavar="FILE",
        action="append",
        help="write a .csv of the curves or a .npz of all arrays",
    )
    one.add_argument(
        "--cite", action="store_true", help="print what to cite for the paper and the methods used"
    )
    one = command("examples", "list the example files, or copy some here")
    one.add_argument("names", metavar="NAME", nargs="*")
    one.add_argument(
        "--to", metavar="FOLDER", default=".", help="where to copy them (default: here)"
    )
    return whole


def _version() -> str:
    from meanfield import __version__

    return __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    options = parser().parse_args(arguments)
    from meanfield.checks import NotConverged
    from meanfield.cli import jobs
    from meanfield.cli.build import one_line

    written = options.file if options.command == "resume" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _Told()
            code = _command(options.command)(options)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Whoever read along has left; what is still in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return jobs.stopped(written or _target(options), 130)
    except SystemExit as error:
        return jobs.stopped(written or _target(options), int(error.code or 0))
    except (ValueError, TypeError, PermissionError, FileNotFoundError) as error:
        print(f"meanfield: {one_line(error)}", file=sys.stderr)
        return 2
    except (NotConverged, MemoryError, OSError) as error:
        print(f"meanfield: {one_line(error) or 'out of memory'}", file=sys.stderr)
        return 1


def _command(name: str) -> Callable[[Any], int]:
    from meanfield.cli import examples, jobs, show

    found: Any = {"show": show.show, "examples": examples.examples}
    return found.get(name) or getattr(jobs, name)  # type: ignore[no-any-return]


def _target(options: Any) -> str | None:
    """The file that a stopped command was writing."""
    from meanfield.cli import jobs

    if options.command not in ("run", "compare"):
        return None
    try:
        return str(jobs.problem(options, options.command).out)
    except ValueError:
        return None


class _Told:
    """Warnings in one line each; of those that differ in their numbers alone, the first."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, message: Any, category: Any, *_: Any, **__: Any) -> None:
        line = " ".join(str(message).split())
        kind = re.sub(r"[-+.0-9e]+", "#", line)
        if kind not in self.seen:
            self.seen.add(kind)
            print(f"meanfield: {category.__name__}: {line}", file=sys.stderr)
