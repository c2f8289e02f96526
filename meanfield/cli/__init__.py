"""The command line: `meanfield run | compare | check | figure | gibbs | nash | sweep | merge |
resume | show | examples |
schema | gan`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

EXIT_CODES = """exit codes:
  0    done
  1    the computation failed (it says why)
  2    the input is wrong: one line says what and where, nothing is written
  130  stopped by Ctrl-C; 143 by SIGTERM. `meanfield resume` goes on to the same bits; a sweep and
       a mixture of GANs by the same command
"""
OVERVIEW = """a first session:
  meanfield examples                    lists files to begin with
  meanfield examples oscillator.toml    copies one here
  meanfield run oscillator.toml         follows its flow, writes oscillator.h5
  meanfield show oscillator.h5          a summary, and the picture oscillator.png

"""
RUN_HELP = """A file has sections; every key has a default except the game, the flow and the time:

  [game]                     [flow]                       [start]
  name = "oscillator"        name = "Langevin"            x = {center = 1.1, std = 0.2}
  coupling = 3.0             beta = 25.0                  y = {density = "1 + 0.5*cos(y)"}

  [run]                      [output]
  level = "field"            file = "run.h5"
  time = 20.0                checkpoint_every = 30.0

games: oscillator, uniform_equilibrium, free, separable, double_well, wang_chizat, bilinear,
  benchmark, polynomial, polynomial_from, trigonometric, random_fourier,
  or expression = "cos(x - y)"
flows: Wasserstein, Langevin, WassersteinFisherRao, MirrorDescent, BestResponse, Flow
level: "field" solves the mean-field equation (cells, engine, step, tol; weights of finite-volume,
    order of staggered, refine of characteristics, limiter of muscl),
  "particles" follows particles (particles, step, seed, scheme, placement, replica, refine, device,
    precision)
both: save_every, record = ["ni"] for the Nikaido-Isoda error at every saved time

Stopped or killed, the same command goes on, and so does `meanfield resume RUN.h5`.

"""
COMPARE_HELP = """Replicas of particles at several n against the mean field: W2 and NI over time
with confidence bands, the exponent in n, and the bias of the time step. Section [compare]:

  time = 2.0                  particles = [100, 1000, 10000]    replicas = 100
  step = 0.01                 scheme = "strang"                 seed = 0

"""
SWEEP_HELP = """Section [sweep] names keys of the file and their values; every value of each is
taken with every value of the others:

  [sweep]
  "game.coupling" = [1.0, 2.0, 3.0]
  "flow.beta" = {logspace = [1, 100, 9]}        also linspace = [0, 1, 11]
  "run.seed" = {range = [0, 20]}                also range = [0, 20, 2]
  "run.particles, run.step" = [[100, 0.1], [1000, 0.01]]     together
  command = "run"                               compare, check, gibbs or nash
  keep = "all"                                  whole results, not their numbers alone
  replicas = 20                                 of runs of particles

The folder keeps every finished task: the same command, stopped, killed or given more values, goes
on with what is missing. Several may work in one folder at once. A task that fails is noted with
its traceback, and the others go on.

"""
# The commands that read a TOML file: what they do, and more on their help page.
COMPUTING = {
    "run": ("follow a flow with particles or densities", RUN_HELP),
    "compare": ("measure how far n particles are from the mean field", COMPARE_HELP),
    "gibbs": ("find the Gibbs fixed point (9): section [gibbs], or the flow's beta", ""),
    "nash": ("find a mixed Nash equilibrium with its certificate: section [nash]", ""),
}


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    from meanfield import __version__
    from meanfield.cli import theorems, workers

    layout: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    whole = argparse.ArgumentParser(
        "meanfield",
        description="Mean-field two-player zero-sum games.",
        epilog=OVERVIEW + EXIT_CODES,
        **layout,
    )
    whole.add_argument("--version", action="version", version=f"meanfield {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, file: str = "", more: str = "") -> Any:
        one = commands.add_parser(
            name, help=help, description=help, epilog=more + EXIT_CODES, **layout
        )
        if file:
            one.add_argument("file", metavar=file)
        return one.add_argument

    quiet: Any = {"action": "store_true", "help": "say nothing but errors"}
    for name, (help, more) in COMPUTING.items():
        add = command(name, help, "FILE.toml", more)
        add(
            "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
            help="change the file's value",
        )  # fmt: skip
        add("--out", metavar="RUN.h5", help="where the result goes (default: named after the file)")
        add("--quiet", **quiet)
        if name == "compare":
            add("--threads", type=int, help="how many replicas at a time (default: all cores)")
    theorems.add_check(command, quiet)
    theorems.add_figure(command, quiet)
    add = command(
        "sweep", "do any of these over a grid of the file's keys", "FILE.toml", SWEEP_HELP
    )
    add(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="change the file's value",
    )  # fmt: skip
    add("--out", metavar="FOLDER", help="where results go (default: the file's name, -sweep)")
    workers.add_options(add)
    add("--part", metavar="I/N", help="compute the I-th of N parts, one job of an array of N")
    add("--dry-run", action="store_true", help="say what is needed, compute nothing")
    add("--status", action="store_true", help="say what is done, compute nothing")
    add("--only-failed", action="store_true", help="compute those again that failed")
    add("--no-plot", action="store_true", help="draw nothing")
    add("--quiet", **quiet)
    add = command("merge", "put sweeps (folders or files) or comparisons together in one file")
    add("files", metavar="FILE", nargs="+")
    add("--out", metavar="MERGED.h5", required=True, help="where the result goes")
    add("--quiet", **quiet)
    add = command("resume", "finish a run that was stopped or killed, to the same bits", "RUN.h5")
    add("--quiet", **quiet)
    add = command("show", "print what a file holds and draw it; nothing is run again", "RUN.h5")
    add("--out", metavar="PICTURE.png", help="where the picture goes (default: beside the file)")
    add("--no-plot", action="store_true", help="print the summary only")
    add("--view", choices=("map", "3d"), default="map", help="spheres and tori as maps or surfaces")
    add(
        "--movie", nargs="?", const=True, metavar="MOVIE.gif",
        help="write a movie too, .mp4 (needs ffmpeg) or .gif (default: beside the file)",
    )  # fmt: skip
    add(
        "--html", nargs="?", const=True, metavar="PAGE.html",
        help="write a page with a slider of time too, for any browser (needs plotly; default: "
        "beside the file)",
    )  # fmt: skip
    add("--against", metavar="OTHER.h5", help="draw the page's W2 to this run; it is computed")
    add(
        "--export", metavar="FILE", action="append",
        help="write a .csv of the curves or a .npz of all arrays",
    )  # fmt: skip
    add(
        "--damaged", action="store_true",
        help="list what still reads of a damaged file, and what of it is as written; with "
        "--export FILE.npz keep it",
    )  # fmt: skip
    add("--cite", action="store_true", help="print what to cite for the paper and the methods used")
    theorems.add_gan(command, quiet)
    add = command("examples", "list the example files, or copy some here")
    add("names", metavar="NAME", nargs="*")
    add("--to", metavar="FOLDER", default=".", help="where to copy them (default: here)")
    command("warm", "compile what most runs need and keep it, for containers and lessons")
    command("schema", "print the JSON schema of TOML files, for editors")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after `meanfield`; those of the command line by default.

    Returns
    -------
    int
        The exit code, as `meanfield --help` lists them.
    """
    for stream in (sys.stdout, sys.stderr):
        # Names of files and formulas may hold letters that a pipe's encoding does not have.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    from meanfield.checks import NotConverged
    from meanfield.cli import (
        check,
        editors,
        examples,
        figure,
        gan,
        jobs,
        merge,
        show,
        sweeps,
        warm,
    )  # fmt: skip
    from meanfield.cli.build import one_line

    rooms: Any = {"show": show, "examples": examples, "merge": merge, "sweep": sweeps}
    rooms |= {"check": check, "figure": figure, "gan": gan, "warm": warm, "schema": editors}
    room: Any = rooms.get(options.command, jobs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _OneLineWarnings()
            code: int = getattr(room, options.command)(options)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Whoever read along has left; what is still in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (KeyboardInterrupt, SystemExit) as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else int(error.code or 0)
        if options.command == "sweep":
            return sweeps.stopped(options, code)
        if options.command == "gan":
            return gan.stop(options, code)
        return jobs.stopped(jobs.target(options), code)
    except (ValueError, TypeError, ImportError, PermissionError, FileNotFoundError) as error:
        print(f"meanfield: {one_line(error)}", file=sys.stderr)
        return 2
    except (NotConverged, ArithmeticError, MemoryError, OSError) as error:
        print(f"meanfield: {one_line(error) or 'out of memory'}", file=sys.stderr)
        return 1


class _OneLineWarnings:
    """Prints each warning on one line; of those that differ in their numbers alone, the first."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, message: Any, category: Any, *_: Any, **__: Any) -> None:
        line = " ".join(str(message).split())
        kind = re.sub(r"[-+.0-9e]+", "#", line)
        if kind not in self.seen:
            self.seen.add(kind)
            print(f"meanfield: {category.__name__}: {line}", file=sys.stderr)
