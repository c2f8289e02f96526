"""Ours and peers in turn, by processor time: one row of the table is a `Row`, made ready once and then raced."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np

Work = Callable[[], Any]
LEAST = 0.05  # seconds a measurement: shorter work is repeated within it


@dataclass(frozen=True)
class Row:
    """Named work; `ready` makes each contestant's function, or raises ImportError where its package is missing.

    The first contestant is ours. `units` is what one call does, `flops` and `bytes` what that needs at least.
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
    """Seconds a call of every contestant, round by round, and what the first call took (compilation)."""

    row: Row
    first: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def ratio(self, name: str) -> tuple[float, float, float]:
        """Median and quartiles, over rounds, of a contestant's time by ours of the same round."""
        ours = next(iter(self.row.ready))
        low, middle, high = np.percentile(np.divide(self.seconds[name], self.seconds[ours]), [25, 50, 75])
        return float(middle), float(low), float(high)


def clock(work: Work, repeat: int) -> float:
    begun = process_time()
    for _ in range(repeat):
        work()
    return (process_time() - begun) / repeat


def race(row: Row, rounds: int) -> Raced:
    """All contestants in turn, `rounds` times, so that whatever else the machine does falls on all alike."""
    raced, works = Raced(row), {}
    for name, ready in row.ready.items():
        try:
            works[name] = ready()
        except ImportError as error:
            raced.missing.append(f"{name}: {error}")
            continue
        raced.first[name] = clock(works[name], 1)
    repeat = {n: max(1, math.ceil(LEAST / max(clock(w, 1), 1e-7))) for n, w in works.items()}
    for _ in range(rounds):
        for name, work in works.items():
            raced.seconds.setdefault(name, []).append(clock(work, repeat[name]))
    return raced


def peaks() -> dict[str, float]:
    """Measured peaks of one thread: dgemm in flops a second, a stream of a + s b in bytes a second."""
    a = np.random.default_rng(0).standard_normal((1200, 1200))
    out = np.empty_like(a)
    gemm = min(clock(lambda: np.matmul(a, a, out=out), 1) for _ in range(7))
    b, c, d = (np.ones(8_000_000) for _ in range(3))

    def stream() -> None:
        np.multiply(b, 3.0, out=c)
        np.add(c, d, out=c)

    triad = min(clock(stream, 1) for _ in range(7))
    return {"dgemm": 2 * 1200**3 / gemm, "stream": 5 * 8 * 8_000_000 / triad}
