"""Ours and peers in turn, by processor time: one row of the table is a `Row`, made ready once and
then raced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np

Work = Callable[[], Any]
LEAST = 0.05  # seconds a measurement: shorter work is repeated within it
LONG, LONGEST = 1.0, 5.0  # seconds from which on work runs in three rounds, and once


@dataclass(frozen=True)
class Row:
    """Named work; `ready` makes each contestant's function, or raises ImportError where its package
    is missing.

    The first contestant is ours. `units` is what one call does, `flops` and `bytes` what that needs
    at least. `target` is the ratio wanted of the contestant `against`; without one, of the fastest
    that is not ours.
    """

    name: str
    unit: str
    units: float
    ready: dict[str, Callable[[], Work]]
    target: float | None = None
    against: str = ""
    flops: float = 0.0
    bytes: float = 0.0


@dataclass
class Raced:
    """Seconds a call of every contestant, round by round, and what its work says about itself.

    `about` holds at least `first_s`: what the first call took (compilation).
    """

    row: Row
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def ratio(self, name: str) -> tuple[float, float, float]:
        """Median and quartiles, over rounds, of a contestant's time by ours of the same round."""
        theirs = self.seconds[name]
        ours = self.seconds[next(iter(self.row.ready))][: len(theirs)]
        low, middle, high = np.percentile(np.divide(theirs, ours), [25, 50, 75])
        return float(middle), float(low), float(high)

    @property
    def against(self) -> str:
        """The contestant that the target is about."""
        others = [
            n
            for n in self.seconds
            if not n.startswith("meanfield") and self.about[n].get("reached", True)
        ]
        fastest = min(others, key=lambda n: float(np.median(self.seconds[n])), default="")
        return self.row.against or fastest


def clock(work: Work, repeat: int) -> float:
    begun = process_time()
    for _ in range(repeat):
        work()
    return (process_time() - begun) / repeat


def race(row: Row, rounds: int) -> Raced:
    """All contestants in turn, `rounds` times, so that whatever else the machine does falls on all
    alike.
    """
    raced, works, repeat = Raced(row), {}, {}
    for name, ready in row.ready.items():
        try:
            work = ready()
        except (ImportError, SyntaxError) as error:  # not there, or for another Python
            raced.missing.append(f"{name}: {error}")
            continue
        known: float = getattr(work, "seconds", 0.0)  # of a run while it was tuned
        first = known if known > LONGEST else clock(work, 1)
        # The first call may have compiled; short work measured once only would be measured with
        # cold caches.
        once = clock(work, 1) if first <= LONGEST else first
        works[name], repeat[name] = work, max(1, math.ceil(LEAST / max(once, 1e-7)))
        raced.about[name] = {"first_s": first, **getattr(work, "about", {})}
        raced.seconds[name] = [known] if known > LONGEST else []
    for done in range(rounds):
        for name, work in works.items():
            held = raced.seconds[name]
            if not held or held[0] <= (LONG if done >= 3 else LONGEST):
                held.append(clock(work, repeat[name]))
    return raced


def peaks() -> dict[str, float]:
    """Measured peaks of one thread: dgemm in flops/s, a stream of a + s b in bytes/s."""
    a = np.random.default_rng(0).standard_normal((1200, 1200))
    out = np.empty_like(a)
    gemm = min(clock(lambda: np.matmul(a, a, out=out), 1) for _ in range(7))
    b, c, d = (np.ones(8_000_000) for _ in range(3))

    def stream() -> None:
        np.multiply(b, 3.0, out=c)
        np.add(c, d, out=c)

    triad = min(clock(stream, 1) for _ in range(7))
    return {"dgemm": 2 * 1200**3 / gemm, "stream": 5 * 8 * 8_000_000 / triad}
