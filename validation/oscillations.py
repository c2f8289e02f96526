"""Runs of the oscillator: its cycle at both levels, mixtures of cycle and Gibbs point, bisections
between fates.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array, UnderResolved
from meanfield.games.wells import Wells
from meanfield.studies.stored import Data

START = mf.games.oscillator().answers["start"]
WELLS = ((1, -2 / 3, 0.0), (2, 5 / 12, 0.0))  # V
PERIOD = 4.0343
CENTRE = 0.15  # norm below which a path has left every cycle seen for the Gibbs point
LONGER = 300.0  # how long a path is followed beyond its decision
AGES = 1000.0  # time after which an undecided path counts as one on a cycle

Pair = tuple[mf.Density, mf.Density]


def sines(x: mf.Measure, y: mf.Measure) -> list[float]:
    return [float(m.integrate(np.sin(m.points[:, 0]))) for m in (x, y)]


def told(run: mf.Trajectory) -> dict[str, Array]:
    """times (S,) and path (S, 2), the vector (E sin x, E sin y)."""
    return {"times": run.times, "path": np.array([sines(*pair) for pair in run])}


def solved(
    coupling: float, beta: float, start: mf.Start, time: float, every: float, **how: Any
) -> mf.Trajectory:
    """(7); where it is under-resolved it is meant to be, or finer runs stand beside it."""
    if how.get("engine") == "finite-volume":
        how = {"weights": "sg", "tol": 1e-5} | how
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        return mf.solve(
            mf.games.oscillator(coupling), mf.Langevin(beta), start, time, save_every=every, **how
        )


def begin(pair: Pair) -> mf.Start:
    """A start from a pair of densities, without the rounding errors below zero."""
    kept = [np.maximum(m.masses, 0.0) for m in pair]
    return mf.Start(*(mf.Density(m / m.sum(), mu.mesh) for m, mu in zip(kept, pair, strict=True)))


def mixed(share: float, gibbs: Pair, cycle: Pair) -> Pair:
    x, y = (
        mf.Density((1 - share) * a.masses + share * b.masses, a.mesh)
        for a, b in zip(gibbs, cycle, strict=True)
    )
    return x, y


def both(
    coupling: float, beta: float, turns: float, engine: str, cells: int
) -> tuple[Pair, Pair, Array]:
    """The Gibbs point, a state on the cycle, `turns` later than another, and the norms on the last
    turns before it.
    """
    time = 60.0 if beta > 20 and coupling > 2 else 300.0
    fixed = mf.gibbs(mf.games.oscillator(coupling), beta, cells=cells)
    run = solved(coupling, beta, START, time + turns * PERIOD, 0.05, engine=engine, cells=cells)
    norms = np.linalg.norm(told(run)["path"], axis=1)[run.times > run.times[-1] - 20]
    return (fixed.x, fixed.y), run[-1], norms


# -- parts ----------------------------------------------------------------------------------------


def cycle(
    coupling: float, beta: float, time: float = 60.0, every: float = 0.02, **how: Any
) -> dict[str, Array]:
    return told(solved(coupling, beta, START, time, every, **how))


def late(coupling: float, beta: float, time: float) -> dict[str, Array]:
    """The path over 40 time units from `time` on, its times counted from 20."""
    run = solved(coupling, beta, START, time, time, cells=128)
    path = told(solved(coupling, beta, begin(run[-1]), 40.0, 0.02, cells=128))
    return path | {"times": 20.0 + path["times"]}


def basin(
    engine: str, cells: int, starts: tuple[tuple[float, float, float], ...]
) -> dict[str, Array]:
    """Mean norm over the last 40 of 200 time units from bumps (centre of x, of y, variance) at
    coupling 3, beta = 25.
    """
    found = []
    for x, y, variance in starts:
        std = variance**0.5
        start = mf.Start(x=mf.concentrated(x, std=std), y=mf.concentrated(y, std=std))
        path = told(solved(3.0, 25.0, start, 200.0, 0.1, engine=engine, cells=cells))["path"]
        found.append(np.linalg.norm(path[-400:], axis=1).mean())
    return {"norms": np.array(found)}


def swarm(n: int, replica: int, share: float | None = None) -> dict[str, Array]:
    """Particles at coupling 3, beta = 25 from the two bumps, or from a mixture."""
    start = START
    if share is not None:
        fixed, far, _ = both(3.0, 25.0, 0.0, "galerkin", 256)
        start = begin(mixed(share, fixed, far))
    return told(
        mf.simulate(
            mf.games.oscillator(), mf.Langevin(25.0), start, 60.0, step=0.02, scheme="strang",
            particles=n,
            save_every=0.2, replica=replica,
        )
    )  # fmt: skip


def decay(share: float, time: float) -> dict[str, Array]:
    """The path from a mixture to the Gibbs point."""
    fixed, far, _ = both(3.0, 25.0, 0.0, "galerkin", 128)
    return told(solved(3.0, 25.0, begin(mixed(share, fixed, far)), time, 1.0, cells=128, tol=1e-9))


def spectrum(coupling: float, beta: float) -> dict[str, Any]:
    """The leading eigenvalue at the Gibbs point, and the spectral gap of V found another way."""
    leading = mf.stability(mf.games.oscillator(coupling), beta, 256).eigenvalues[0]
    return {"leading": leading, "gap": Wells.of("V", WELLS).spectral_gap(beta)}


def edge(
    coupling: float, beta: float, engine: str, cells: int, turns: float, bracket: float
) -> dict[str, Any]:
    """Bisection between the shares that settle on the Gibbs point and on the cycle; the paths of
    both ends.

    settled: how both go on beyond their decision, norm from below and mean norm from above.
    """
    fixed, far, norms = both(coupling, beta, turns, engine, cells)

    def decided(t: float, x: mf.Measure, y: mf.Measure) -> bool:
        return t > 5 and not CENTRE < np.hypot(*sines(x, y)) < norms.min()

    def followed(share: float) -> dict[str, Array]:
        start = begin(mixed(share, fixed, far))
        run = solved(coupling, beta, start, AGES, 0.25, engine=engine, cells=cells, stop=decided)
        last[share] = begin(run[-1])
        return told(run)

    def later(share: float) -> Array:
        run = solved(coupling, beta, last[share], LONGER, 0.25, engine=engine, cells=cells)
        return np.linalg.norm(told(run)["path"][-80:], axis=1)

    last: dict[float, mf.Start] = {}
    ends = {0.0: followed(0.0), 1.0: followed(1.0)}
    low, high = 0.0, 1.0
    while high - low > bracket:
        middle = (low + high) / 2
        ends[middle] = followed(middle)
        up = np.hypot(*ends[middle]["path"][-1]) > CENTRE
        low, high = (low, middle) if up else (middle, high)
    paths = {"times": ends[low]["times"], "below": ends[low]["path"], "above": ends[high]["path"]}
    settled = [later(low)[-1], later(high).mean()]
    return {"low": low, "high": high, "norms": norms, "settled": settled, **paths}


def fold(
    what: str, engine: str, cells: int, low: float, high: float, bracket: float
) -> dict[str, Any]:
    """Bisection between where the cycle dies and where it has settled, each time from the last that
    has settled.
    """

    def tried(value: float, start: mf.Start) -> tuple[mf.Start | None, float]:
        return remains(*((3.0, value) if what == "beta" else (value, 25.0)), start, engine, cells)

    dead, _ = tried(low, START)
    start, norm = tried(high, START)
    if dead is not None or start is None:
        return {"low": np.nan, "high": np.nan, "norm": np.nan}
    while high - low > bracket:
        middle = (low + high) / 2
        found, mean = tried(middle, start)
        if found is None:
            low = middle
        else:
            start, norm, high = found, mean, middle
    return {"low": low, "high": high, "norm": norm}


def remains(
    coupling: float, beta: float, start: mf.Start, engine: str, cells: int
) -> tuple[mf.Start | None, float]:
    """The state on the cycle once its mean norm has settled, and that norm; None where the cycle
    dies.
    """
    before = np.inf
    while True:
        run = solved(coupling, beta, start, 100.0, 0.25, engine=engine, cells=cells)
        norms, start = np.linalg.norm(told(run)["path"], axis=1), begin(run[-1])
        mean = float(np.average(norms, weights=np.hanning(len(norms))))
        if norms[-1] < CENTRE:
            return None, 0.0
        if abs(mean - before) < 1e-5:
            return start, mean
        before = mean


# -- what a path is -------------------------------------------------------------------------------


def summary(held: Data) -> Array:
    """Least and greatest norm, signed period by the angle's slope, period by crossings, mean norm,
    from t = 20 on.
    """
    late = held["times"] >= 20 - 1e-9
    t, (x, y) = held["times"][late], held["path"][late].T
    norms = np.hypot(x, y)
    slope = np.polyfit(t, np.unwrap(np.arctan2(y, x)), 1)[0]
    up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    crossings = t[up] - x[up] * (t[up + 1] - t[up]) / (x[up + 1] - x[up])
    period = np.mean(np.diff(crossings)) if len(up) > 1 else np.inf
    return np.array([norms.min(), norms.max(), 2 * np.pi / slope, period, norms.mean()])


def unstable(held: Data) -> Array:
    """Least and greatest norm of the path at the threshold while the bracket's two ends agree to
    1e-3.
    """
    shared = min(len(held["below"]), len(held["above"]))
    lower, upper, t = held["below"][:shared], held["above"][:shared], held["times"][:shared]
    norms = np.linalg.norm(lower, axis=1)[(t > 15) & (np.linalg.norm(lower - upper, axis=1) < 1e-3)]
    return np.array([norms.min(), norms.max()]) if len(norms) else np.full(2, np.nan)


def approach(held: Data, begin: float) -> tuple[float, float]:
    """Decay and frequency of E sin x + i E sin y from t = `begin` on."""
    late = held["times"] >= begin
    t, z = held["times"][late], held["path"][late] @ (1, 1j)
    return float(np.polyfit(t, np.log(np.abs(z)), 1)[0]), float(
        np.polyfit(t, np.unwrap(np.angle(z)), 1)[0]
    )
