"""Rows of the calls that people make, with their defaults, beside the same work without what the
defaults add; and one run over several threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import meanfield as mf
from benchmarks.particles import STEP, steps
from benchmarks.problems import CIRCLE, SPHERE, TORUS
from benchmarks.race import Row, Work
from meanfield.games.lowrank import polynomial, trigonometric
from meanfield.particles.ensemble import ensemble

SIXTEEN = trigonometric([((k,), (-k,), 1.0 / k**2, 0.0) for k in range(1, 17)])
LANGEVIN, WFR = mf.Langevin(10.0), mf.WassersteinFisherRao(1.0, 1.0)
# Name, game, flow, particles, steps: twenty between default saves, as time=1.0 has at step=1e-3.
SIMULATED = (
    ("16 modes, n=1e5", SIXTEEN, LANGEVIN, 100_000, 100),
    ("16 modes, n=1e4", SIXTEEN, LANGEVIN, 10_000, 200),
    ("oscillator, n=1e4", mf.games.oscillator(), LANGEVIN, 10_000, 1000),
    ("L-DA, l_a, n=100, d=50", polynomial("a", 50), LANGEVIN, 100, 1000),
    ("L-DA, l_a, n=1000, d=50", polynomial("a", 50), LANGEVIN, 1000, 200),
    ("L-DA, l_b, n=100, d=50", polynomial("b", 50), LANGEVIN, 100, 1000),
    ("WFR-DA, l_a, n=100, d=50", polynomial("a", 50), WFR, 100, 1000),
)


def _simulate(game: Any, flow: Any, n: int, count: int, every: int) -> Callable[[], Work]:
    how = {"time": count * STEP, "step": STEP, "particles": n, "save_every": every * STEP}
    run = partial(mf.simulate, game, flow, threads=1, progress=False, **how)
    return lambda: run


def _simulated() -> Iterator[Row]:
    for name, game, flow, n, count in SIMULATED:
        often = partial(_simulate, game, flow, n, count)
        ready = {
            "meanfield, a save every 20 steps": often(20),
            "meanfield, the end alone": often(count),
            "meanfield, steps alone": steps(game, flow, n, count),
        }
        yield Row(f"simulate, {name}", "particle-step", 2.0 * n * count, ready)


def _solved() -> Iterator[Row]:
    for where, problem in (("the circle", CIRCLE), ("T^2", TORUS), ("S^2", SPHERE)):
        start, game = problem.start, problem.game
        run = partial(mf.solve, game, LANGEVIN, start, 5.0, progress=False)
        once = partial(run, save_every=5.0)
        ready = {"meanfield, 50 saves": lambda run=run: run}
        ready["meanfield, the end alone"] = lambda once=once: once
        yield Row(f"solve, (7) on {where}, T=5", "call", 1.0, ready)


def rows() -> Iterator[Row]:
    yield from _simulated()
    yield from _solved()
    game = mf.games.oscillator()
    how: dict[str, Any] = {"step": 1e-2, "particles": 1000, "progress": False}
    one = partial(mf.simulate, game, LANGEVIN, mf.Start(), 1.0, threads=1, **how)

    def several() -> Any:
        return list(ensemble(game, LANGEVIN, mf.Start(), 1.0, replicas=20, threads=1, **how))

    ready = {
        "meanfield": lambda: several,
        "meanfield, simulate 20 times": lambda: lambda: [one(replica=r) for r in range(20)],
    }
    yield Row("ensemble, oscillator, 20 replicas of n=1000", "replica", 20.0, ready)
    study = partial(
        mf.compare, game, LANGEVIN, mf.Start(), time=1.0, step=1e-2, particles=(100, 1000),
        replicas=8, threads=1, progress=False,
    )  # fmt: skip
    yield Row("compare, oscillator, n=100, 1000", "study", 1.0, {"meanfield": lambda: study})


def scaling(repeats: int = 15) -> list[dict[str, Any]]:
    """Elapsed seconds of one run by one thread and by several in turn, the least of each."""
    print("\n| one run over threads | threads | elapsed s | times as fast |\n|---|---|---|---|")
    found = []
    sizes = [1, *(t for t in (2, 4, 8, 16) if t <= (os.cpu_count() or 1))]
    for name, game, flow, n, count in SIMULATED:
        how = {"time": count * STEP, "step": STEP, "particles": n, "save_every": 20 * STEP}
        least = dict.fromkeys(sizes, float("inf"))
        for _ in range(repeats):
            for threads in sizes:
                begun = perf_counter()
                mf.simulate(game, flow, threads=threads, progress=False, **how)
                least[threads] = min(least[threads], perf_counter() - begun)
        for threads, seconds in least.items():
            faster = least[1] / seconds
            found.append({"run": name, "threads": threads, "elapsed_s": seconds, "faster": faster})
            print(f"| {name} | {threads} | {seconds:.4f} | {faster:.2f} |", flush=True)
    return found
