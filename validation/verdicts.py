"""Verdicts: what was expected, what was measured, and whether they agree within a stated tolerance."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

CLAIMS = (
    "exact_answers",
    "w2_circle",
    "w2_surfaces",
    "oscillator",
    "schemes",
    "concentration",
    "comparison",
    "equilibria",
    "temperature",
    "cures",
    "kills",
)


@dataclass(frozen=True)
class Verdict:
    """`measured` is claimed to lie within `tolerance` of `expected`."""

    claim: str
    measured: float
    expected: float
    tolerance: float

    @property
    def holds(self) -> bool:
        # Written so that a NaN never holds.
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        word = "holds" if self.holds else "FAILS"
        return f"  {word}  {self.claim}: {self.measured:.6g}, expected {self.expected:.6g} +- {self.tolerance:.2g}"


def run(names: Sequence[str], quick: bool, out: Path) -> int:
    """Run claims by name, print every verdict; the number of those that fail."""
    failed = 0
    for name in names:
        clock = perf_counter()
        module = importlib.import_module(f"validation.{name}")
        print(f"{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        verdicts = module.main(quick=quick, out=out)
        for verdict in verdicts:
            print(verdict, flush=True)
        failed += sum(not v.holds for v in verdicts)
        print(f"  {len(verdicts)} verdicts in {perf_counter() - clock:.1f} s", flush=True)
    print(f"{failed} of all verdicts fail" if failed else "every verdict holds")
    return failed


def command(names: Sequence[str] = CLAIMS, arguments: Sequence[str] | None = None) -> None:
    """The command line shared by all claims."""
    import argparse

    parser = argparse.ArgumentParser(description="Check the claims of the paper and of this package.")
    parser.add_argument("claims", nargs="*", help=f"which (default all): {', '.join(CLAIMS)}")
    parser.add_argument("--quick", action="store_true", help="fewer replicas and smaller sizes, wider error bars")
    parser.add_argument("--out", type=Path, default=Path("results/validation"), help="where pictures go")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.claims) - set(CLAIMS))
    if unknown:
        parser.error(f"no claim {', '.join(unknown)}; known are {', '.join(CLAIMS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if run(options.claims or names, options.quick, options.out) else 0)
