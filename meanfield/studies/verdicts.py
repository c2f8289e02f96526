"""Verdicts: what was claimed, what was measured, and whether the two agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"


@dataclass(frozen=True)
class Verdict:
    """`measured`, known up to `error`, is claimed to lie within `tolerance` of `expected`.

    `error` is the half width of a 95% confidence interval (0 for what is not random), `tolerance`
    the deviation that would matter. The claim holds when the whole interval lies within the
    tolerance, fails when all of it lies beyond, and is inconclusive in between. `side` "below" or
    "above" bounds it on that side alone.
    """

    claim: str
    measured: float
    expected: float
    tolerance: float = 0.0
    error: float = 0.0
    side: str = "both"

    @property
    def outcome(self) -> str:
        off = float(self.measured - self.expected)
        off = {"both": abs(off), "below": off, "above": -off}[self.side]
        # Written so that a NaN never holds and is never excused as inconclusive.
        if off + self.error <= self.tolerance:
            return HOLDS
        return INCONCLUSIVE if off - self.error <= self.tolerance and math.isfinite(off) else FAILS

    @property
    def holds(self) -> bool:
        return self.outcome == HOLDS

    @property
    def found(self) -> str:
        """The measured value with its error."""
        return f"{self.measured:.6g}" + (f" +- {self.error:.2g}" if self.error else "")

    @property
    def allowed(self) -> str:
        """Where the claim wants it."""
        if self.side == "both":
            return f"{self.expected:.6g} +- {self.tolerance:.2g}"
        bound = self.expected + (self.tolerance if self.side == "below" else -self.tolerance)
        return f"{'at most' if self.side == 'below' else 'at least'} {bound:.6g}"

    def __str__(self) -> str:
        word = self.outcome if self.holds else self.outcome.upper()
        return f"  {word:<12}  {self.claim}: {self.found}, expected {self.allowed}"


def below(claim: str, measured: float, bound: float, error: float = 0.0) -> Verdict:
    """`measured` is claimed to be at most `bound`."""
    return Verdict(claim, measured, bound, 0.0, error, "below")


def above(claim: str, measured: float, bound: float, error: float = 0.0) -> Verdict:
    """`measured` is claimed to be at least `bound`."""
    return Verdict(claim, measured, bound, 0.0, error, "above")


def overall(verdicts: Iterable[Verdict]) -> str:
    """One failure fails a claim; without one, one inconclusive verdict (or none at all) leaves it
    open.
    """
    outcomes = {v.outcome for v in verdicts}
    return FAILS if FAILS in outcomes else HOLDS if outcomes == {HOLDS} else INCONCLUSIVE


@dataclass(frozen=True)
class Observation:
    """Something measured that no theorem claims a value for: `measured` up to `error`, and in
    `outcome`, a word or two, what it means ("limit cycle").
    """

    claim: str
    measured: float
    error: float
    outcome: str

    @property
    def found(self) -> str:
        """The measured value with its error."""
        return f"{self.measured:.6g}" + (f" +- {self.error:.2g}" if self.error else "")

    def __str__(self) -> str:
        return f"  {self.outcome:<12}  {self.claim}: {self.found}"
