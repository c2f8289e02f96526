"""Theorem 3: as their number grows, particles follow the mean field, uniformly over [0, T]."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import Array, UnderResolved
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.games.functions import Function
from meanfield.measures import Density, Measure
from meanfield.start import Start
from meanfield.studies.compare import compare
from meanfield.studies.comparison import Comparison
from meanfield.studies.controls import controls_of
from meanfield.studies.curves import pack
from meanfield.studies.plan import plan, usual_replicas
from meanfield.studies.reference import has_exact_distance
from meanfield.studies.statistics import Interval, exponent
from meanfield.studies.stored import Data
from meanfield.studies.theorems.problem import Problem
from meanfield.studies.verdicts import Observation, Verdict, below

TITLE = "Theorem 3: n particles follow the mean field, uniformly over [0, T]"
Row = Verdict | Observation
SPAN = 2.5  # natural times in [0, T]: instabilities multiply fluctuations
STEPS, SAVES = 50, 5
SCHEME = "strang"
# By dimension, 0 where losses are summed over pairs, -1 where Python sums them: particles, and
# replicas of each.
QUICK = {
    -1: ((50, 150, 450), (48, 32, 24)),
    0: ((50, 150, 450), (160, 120, 80)),
    1: ((100, 700, 5000), (160, 100, 60)),
    2: ((50, 200, 800), (40, 24, 12)),
}
FULL = {
    0: ((100, 700, 5000), (200, 80, 24)),
    1: ((100, 1000, 10_000, 100_000), (400, 200, 100, 24)),
    2: ((100, 1000, 10_000), (200, 80, 24)),
}
# Against many more particles, by exact transport, which is slow.
ALONE, ALONE_SAVES = ((12, 36, 96), (64, 40, 24)), 2
# How far above its limit an exponent may be, log n staying in; half of it in more dimensions.
WITHIN = {1: 0.15, 2: 0.3}
NI_WITHIN = 0.2
BIAS = 0.05  # of the time step, over E W2^2 at the largest n
ENERGY = 0.3  # relative, of the copies' energies


def refusal(game: Game, flow: Flow, start: Start) -> str:
    """Why theorem 3 does not speak of this flow; empty where it does."""
    langevin = flow.diffuses and not flow.reacts
    weights = not flow.diffuses and max(flow.temperature) == 0
    plain = flow.memory is None and not flow.scheduled and not flow.responds
    if plain and (langevin or weights):
        return ""
    return (
        "it is about (4) and (7), Langevin(beta), and (5) and (8), WassersteinFisherRao(gamma, "
        "alpha), MirrorDescent and Wasserstein among them"
    )


def sizes(p: Problem) -> dict[str, Any]:
    """Time, step, numbers of particles and replicas of what is run."""
    time = float(f"{SPAN * p.natural_time:.2g}") if p.time is None else p.time
    step = time / STEPS if p.step is None else p.step
    n: tuple[int, ...]
    R: tuple[int, ...]
    if all(map(has_exact_distance, p.game.manifolds)):
        kind = max(p.dims)
        if p.game.bases is None:
            kind = -1 if p.quick and isinstance(p.game, Function) else 0
        (n, R), saves = (QUICK if p.quick else FULL)[kind], SAVES
    else:
        (n, R), saves = ALONE, ALONE_SAVES
    every = step * max(1, round(time / step / saves))
    if p.particles is not None:
        n = tuple(p.particles)
        R = tuple(map(int, usual_replicas(n)))
    counts = R if p.replicas is None else p.replicas
    return {"time": time, "step": step, "save_every": every, "particles": n, "replicas": counts}


def checked(p: Problem) -> None:
    """What `compare` would refuse is refused before anything runs."""
    plan(
        p.game, p.flow, p.start, scheme=SCHEME, engine=None, tol=None, control="auto",
        cells=p.cells, seed=p.seed, threads=p.threads, **sizes(p),
    )  # fmt: skip


def parts(p: Problem, folder: Path | None = None) -> dict[str, Callable[[], Data]]:
    """What is computed, by name. folder: where an unfinished comparison is kept."""
    return {"particles against the mean field": partial(compared, p, folder)}


def compared(p: Problem, folder: Path | None) -> Data:
    """Replicas at several n against the mean field."""
    s = sizes(p)
    kept = None if folder is None else folder / "comparison.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)  # what they say is judged
        found = compare(
            p.game, p.flow, p.start, **s, scheme=SCHEME, cells=p.cells, seed=p.seed,
            threads=p.threads, executor=p.executor, progress=p.progress, checkpoint=kept,
        )  # fmt: skip
    return pack(found) | slopes(found)


def slopes(c: Comparison) -> Data:
    """Exponents in n with their intervals: of the sup over [0, T] and at T alone."""
    controls = controls_of(c.samples)[0]
    totals = [s.sum(axis=2) for s in c.samples["w2_squared"]]
    found = {
        "w2": _exponent(c.particles, totals, controls),
        "w2_at_T": _exponent(c.particles, *_last(totals, controls)),
        **_of_errors("ni", c.particles, c.samples["ni"], c.field_ni),
    }
    if c.field_ni_average is not None:
        exact = c.field_ni_average
        found |= _of_errors("ni_average", c.particles, c.samples["ni_average"], exact)
    if c.energy is not None:
        found["energy"] = _three(c.energy)
    return {f"slope_{name}": value for name, value in found.items()}


def _last(samples: list[Array], controls: list[Any]) -> tuple[list[Array], list[Any]]:
    return [s[:, -1:] for s in samples], [None if c is None else c[:, -1:] for c in controls]


def _of_errors(name: str, n: Any, samples: list[Array], exact: Array) -> Data:
    """Of |NI - NI*| after the start, where particles are no samples any more, and at T."""
    gaps = [np.abs(s - exact)[:, 1:] for s in samples]
    ends = [g[:, -1:] for g in gaps]
    return {name: _exponent(n, gaps), f"{name}_at_T": _exponent(n, ends)}


def _exponent(n: Any, samples: list[Array], controls: Any = None) -> Array:
    """(value, low, high); NaN for one n, and for what vanishes."""
    if len(n) < 2 or any(not s.any() for s in samples):
        return np.full(3, np.nan)
    return _three(exponent(n, samples, controls=controls))


def _three(v: Interval) -> Array:
    return np.array([v.value, v.low, v.high])


# -- verdicts -------------------------------------------------------------------------------------


def expected(p: Problem) -> float:
    """The exponent of E W2^2 for samples of the starts: -1 for densities, -1/2 for several atoms,
    between which weights fluctuate; -2/d at most in d > 2 dimensions.
    """
    found = -2 / max(2, *p.dims)
    for given in (p.start.x, p.start.y):
        if isinstance(given, Measure) and not isinstance(given, Density) and len(given) > 1:
            found = max(found, -0.5)
    return found


def judge(p: Problem, data: dict[str, Data]) -> list[Row]:
    """Verdicts on what was computed, and what was seen besides."""
    return [v for held in data.values() for v in judged(p, held)]


def judged(p: Problem, held: Data) -> list[Row]:
    n = [int(k) for k in held["particles"]]
    span, T = f"n = {n[0]} to {n[-1]}", float(held["times"][-1])
    found: list[Row] = []
    limit = expected(p)
    within = WITHIN.get(max(p.dims), -limit / 2)
    against = f", against {held['reference']:,} particles" if "reference" in held else ""
    for key, of in (("w2", f"sup over [0, {T:g}] of"), ("w2_at_T", f"at T = {T:g}:")):
        claim = (
            f"exponent in n, {of} E [W2^2 of x + W2^2 of y]{against}, {span}; {limit:g} expected"
        )
        found += at_most(claim, held[f"slope_{key}"], limit + within)
    top, bias = float(held["sup"][-1, 0]), held["step_bias"]
    claim = f"bias of the time step over E W2^2 at n = {n[-1]}"
    half = float(bias[2] - bias[1]) / 2 / top
    found.append(below(claim, abs(float(bias[0])) / top, BIAS, half))
    if "slope_energy" in held:
        value, low, high = held["slope_energy"]
        claim = "energy of copies that follow the mean field, over its exact mean"
        found.append(Verdict(claim, float(value), 1, ENERGY, float(high - low) / 2))
    for key, of in (("ni", "states"), ("ni_average", "time averages")):
        if f"slope_{key}" in held:
            for end, when in (("", "sup after the start of"), ("_at_T", "at T:")):
                claim = f"exponent in n, {when} E |NI - NI*| of {of}; -0.5 expected"
                found += at_most(claim, held[f"slope_{key}{end}"], -0.5 + NI_WITHIN)
    return found


def at_most(claim: str, interval: Array, bound: float) -> list[Row]:
    """An exponent with its interval; nothing where there is none."""
    value, low, high = map(float, interval)
    if not np.isfinite(value):
        return []
    return [below(claim, value, bound, (high - low) / 2)]
