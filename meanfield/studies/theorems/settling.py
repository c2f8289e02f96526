"""Where (7) goes from a start: to a limit, round a cycle, or neither for as long as one looks.

Theorem 1 says what (7) tends to if it converges, so whether it does is asked of the run alone, not
of the fixed point. The run is looked at in windows that double in length. It has settled where the
distances that it still goes, taken as a geometric series over the window's quarters, add up to
nothing; it cycles where two windows, one twice as late, show the same period and size.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Torus
from meanfield.measures import Measure

FIRST = 40.0  # natural times in the first window
STATES = 1200  # recorded in a window, fewer where they are large
NUMBERS = 1e6  # of all recorded masses of a window
TARGET = 1e-6  # total variation still to go at which a run has settled
CREEP = 0.02  # by which the share of the quarter before grows within the window of a creep
LEAST = 1e-3  # total variation within a window that is no cycle's
AS_BEFORE = 1e-3  # relative change of a cycle's period and size from one window to the next
CROSSINGS, APART = 6, 12  # fewest upward crossings of a window, and states between two of them
# Natural times that a run takes at most at quick settings, by engine and dimension.
LONGEST = {("galerkin", 1): 4e4, ("galerkin", 2): 2e3, ("harmonics", 2): 2e3}
USUAL_LONGEST = 640.0
SETTLED, CYCLES, OPEN = "settled", "cycles", "open"


@dataclass(frozen=True, eq=False)
class Window:
    """Masses of both players side by side (S, N_x + N_y) at times (S,); split: N_x."""

    times: Array
    masses: Array
    split: int

    def apart(self, other: Array, rows: Any = slice(None)) -> Array:
        """Total variation between recorded states and a state (or as many), the larger player's."""
        gaps = 0.5 * np.abs(self.masses[rows] - other)
        return np.maximum(gaps[:, : self.split].sum(axis=1), gaps[:, self.split :].sum(axis=1))

    @property
    def ahead(self) -> float:
        """How far the run still goes, in total variation: the geometric series that the distances
        gone in the window's quarters begin.

        Infinite where the last quarter went nearly as far as the one before, and where they shrink
        less and less: a creep goes on as far again in twice the time.
        """
        last = len(self.times) - 1
        ends = [k * last // 4 for k in range(5)]
        gone = [float(self.apart(self.masses[b], slice(a, b)).max()) for a, b in pairwise(ends)]
        still = max(gone[2:])
        if still <= TARGET:
            return still
        shares = [now / before if before > 0 else np.inf for before, now in pairwise(gone)]
        share = shares[-1]
        creeps = share > 0.5 and share - shares[0] > CREEP
        return gone[-1] * share / (1 - share) if share < 0.9 and not creeps else np.inf


@dataclass(frozen=True)
class Cycle:
    """The period with its 95% interval, how many were seen, the size (the largest total variation
    from its first state), how far one turn ends from where it began, relatively, and the root mean
    square of its main component, which does not depend on the phase.
    """

    period: float
    low: float
    high: float
    turns: int
    size: float
    miss: float
    spread: float

    def same(self, later: Cycle) -> bool:
        off = abs(later.period / self.period - 1), abs(later.spread / self.spread - 1)
        return max(off) < AS_BEFORE and later.miss < 10 * AS_BEFORE


def cycle_in(window: Window) -> Cycle | None:
    """The cycle that a window shows; None where it comes back to nothing."""
    from scipy.interpolate import CubicSpline
    from scipy.stats import t

    size = float(window.apart(window.masses[0]).max())
    if size < LEAST:
        return None
    off = window.masses - window.masses.mean(axis=0)
    # The direction in which states differ most, from some of them.
    main = CubicSpline(
        window.times, off @ np.linalg.svd(off[:: len(off) // 100], full_matrices=False)[2][0]
    )
    zeros = np.array([z for z in main.roots(extrapolate=False) if main(z, 1) > 0])
    gap = (window.times[-1] - window.times[0]) / (len(window.times) - 1)
    if len(zeros) < CROSSINGS or np.diff(zeros).min() < APART * gap:
        return None
    periods = np.diff(zeros)
    at = CubicSpline(window.times, window.masses)(zeros)
    here = Window(zeros, at, window.split)
    miss = float(np.max([here.apart(at[k + 1], slice(k, k + 1))[0] for k in range(len(at) - 1)]))
    half = t.ppf(0.975, len(periods) - 1) * periods.std(ddof=1) / np.sqrt(len(periods))
    mean = float(periods.mean())
    turned = main(np.linspace(zeros[0], zeros[-1], 64 * len(periods), endpoint=False))
    spread = float(np.sqrt(np.mean(turned**2)))
    return Cycle(mean, mean - half, mean + half, len(periods), size, miss / size, spread)


def longest(engine: str, dim: int, quick: bool) -> float:
    """Natural times that a run of an engine takes at most."""
    return LONGEST.get((engine, dim), USUAL_LONGEST) * (1 if quick else 10)


def record(moving: Any, until: float, states: int) -> Window:
    """Move on to `until` and record states at equal distances, the present one first."""
    times = np.linspace(moving.time, until, states + 1)
    rows = []
    for time in times:
        if time > moving.time:
            moving.advance(float(time))
        pair = moving.measures()
        rows.append(np.concatenate([mu.masses for mu in pair]))
    return Window(times, np.array(rows), len(pair[0]))


def means(mu: Measure) -> Any:
    """(C, n): functions whose means draw an orbit, E f of a measure with n points: cosine and sine
    of each angle, or coordinates.
    """
    if isinstance(mu.manifold, Torus):
        turned = 2 * np.pi / mu.manifold.period * mu.points.T
        return np.concatenate([np.cos(turned), np.sin(turned)])
    return mu.points.T


def follow(moving: Any, target: Array, natural: float, longest: float) -> dict[str, Any]:
    """A run until it has settled, cycles, or is `longest` natural times old.

    moving: an engine near t = 0, where it has densities. target: masses (N_x + N_y,) of the fixed
    point. Returned are times and "tv", the total variation to it, thinned; "orbit" (S, C_x + C_y),
    means over the last window, C_x of them ("orbit_x") of x, with "orbit_times"; "end", the last
    masses; "fate", "ahead" and the numbers of "cycle".
    """
    pair = moving.measures()
    size = sum(map(len, pair))
    states = int(np.clip(NUMBERS / size, 200, STATES))
    end, before, found = FIRST * natural, None, None
    times, tv = [], []
    fate = OPEN
    while True:
        window = record(moving, end, states)
        kept = np.unique(np.geomspace(1, states, 100).astype(int))
        times.append(window.times[kept])
        tv.append(window.apart(target)[kept])
        found = cycle_in(window)
        if window.ahead <= TARGET:
            fate = SETTLED
        elif found is not None and before is not None and before.same(found):
            fate = CYCLES
        if fate != OPEN or end >= longest * natural:
            break
        before, end = found, 2 * end
    seen = [
        means(mu) @ window.masses[:, rows].T for mu, rows in zip(pair, _sides(window), strict=True)
    ]
    numbers = [np.nan] * 7 if found is None or fate != CYCLES else list(vars(found).values())
    return {
        "times": np.concatenate(times), "tv": np.concatenate(tv), "fate": fate,
        "ahead": window.ahead, "cycle": np.array(numbers, float), "end": window.masses[-1],
        "orbit_times": window.times, "orbit": np.concatenate(seen).T, "orbit_x": len(seen[0]),
    }  # fmt: skip


def _sides(window: Window) -> tuple[slice, slice]:
    return slice(0, window.split), slice(window.split, None)


def decay_rate(times: Array, tv: Array, low: float, high: float, frequency: float = 0.0) -> float:
    """Slope of -log TV while it is between `low` and `high`; a turning mode's periodic part is
    fitted with it. NaN where that are fewer than 12 times.
    """
    tv = np.maximum(tv, 1e-300)
    kept = (tv < high) & (np.cumsum(tv < low) == 0)
    if kept.sum() < 12:
        return np.nan
    t = times[kept]
    columns = [np.ones(len(t)), t]
    if frequency > 0:
        columns += [f(2 * k * frequency * t) for k in (1, 2, 3) for f in (np.cos, np.sin)]
    return -float(np.linalg.lstsq(np.stack(columns, 1), np.log(tv[kept]), rcond=None)[0][1])
