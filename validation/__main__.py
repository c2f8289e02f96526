"""python -m validation [CLAIM ...] [--quick | --full]: compute what is missing, judge, draw,
report.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from meanfield.cli.schema import BadInput
from meanfield.cli.workers import EXECUTORS, executor
from meanfield.cores import cores
from meanfield.studies.verdicts import HOLDS
from validation import suite
from validation.report import table, write


def main(arguments: list[str] | None = None) -> int:
    """0 when every claim holds (and every broken input is caught), 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m validation", description="Check the claims, draw them, report."
    )
    parser.add_argument(
        "claims", nargs="*", metavar="CLAIM", help=f"which (default all): {', '.join(suite.CLAIMS)}"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="small sizes, wide error bars (the default)"
    )
    size.add_argument(
        "--full", action="store_true", help="full sizes; a stopped run goes on where it was"
    )
    parser.add_argument(
        "--sabotage", action="store_true", help="also check that deliberately broken inputs fail"
    )
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--stored", action="store_true", help="judge and draw what is stored, compute nothing"
    )
    data.add_argument(
        "--fresh", action="store_true", help="compute everything anew, whatever is stored"
    )
    parser.add_argument("--jobs", type=int, default=cores(), help="processes (default: all cores)")
    parser.add_argument(
        "--executor", choices=EXECUTORS[1:], default="processes", help="who computes the parts"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://10.0.0.1:1")
    parser.add_argument(
        "--out", type=Path, default=Path("results/validation"), help="folder to write to"
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.claims) - set(suite.CLAIMS)):
        parser.error(f"no claim {', '.join(unknown)}; known are {', '.join(suite.CLAIMS)}")
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    clock = perf_counter()
    try:
        outcomes = suite.run(
            options.claims or suite.CLAIMS,
            not options.full,
            options.out,
            jobs=options.jobs,
            stored=options.stored,
            fresh=options.fresh,
            sabotage=options.sabotage,
            executor=_executor(parser, options),
        )
    except KeyboardInterrupt:
        print("stopped; finished parts are kept, the same command goes on", file=sys.stderr)
        return 130
    elapsed = perf_counter() - clock
    print(table(outcomes))
    path = options.out / f"report-{'full' if options.full else 'quick'}.html"
    write(path, outcomes, "full" if options.full else "quick", elapsed)
    print(f"{path} in {elapsed:.0f} s")
    return 0 if all(o.outcome == HOLDS and o.caught for o in outcomes) else 1


def _executor(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Any:
    """What makes the executor asked for; None for the processes that the suite starts itself."""
    if options.executor == "processes" and not options.scheduler:
        return None
    options.workers, options.quiet = options.jobs, False
    try:
        return executor(options)
    except BadInput as error:
        return parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
