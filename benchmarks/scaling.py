"""python -m benchmarks.scaling [--out FOLDER] [--quick]: what a step costs as runs grow.

Seconds a step by one thread against particles n, dimension d, modes, cells and replicas, with the
exponent fitted over the last decade of each curve; what numpy has in use at most, beside what is
said before a run; where the numbers that a step visits leave a cache for the next one; what threads
gain for one run, and processes for sweeps of the same tasks (strong) or of as many for each (weak).
Prints tables and draws scaling.png. Run by hand on an idle machine: about three minutes.
"""

from __future__ import annotations

import argparse
import os
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import meanfield as mf
from benchmarks.problems import CIRCLE, SPHERE, TORUS
from meanfield.games.lowrank import polynomial, trigonometric
from meanfield.needs import PROCESS, of_particles
from meanfield.particles.ensemble import ensemble
from meanfield.particles.plan import make_plan
from meanfield.particles.stepper import Stepper
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure, styled

STEP, TIMES = 1e-4, 5
TASKS = 12  # of a sweep, of about half a second each
COLOURS = (BLUE, ORANGE, GREEN, RED)
LANGEVIN = mf.Langevin(25.0)
PAIRS = mf.games.expression("exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)")


@dataclass
class Curve:
    """Seconds a step (or what `unit` says) by size; held: bytes that a step visits, by size."""

    name: str
    measure: Callable[[int], float]
    sizes: Sequence[int]
    held: Callable[[int], float] | None = None
    found: dict[int, float] = field(default_factory=dict)

    def run(self) -> Curve:
        for size in self.sizes:
            self.found[size] = self.measure(size)
        return self

    @property
    def exponent(self) -> float:
        """Of the power of the size, by least squares over the last decade."""
        sizes, seconds = (np.array(list(v), float) for v in (self.found, self.found.values()))
        last = sizes >= sizes[-1] / 10
        return float(np.polyfit(np.log(sizes[last]), np.log(seconds[last]), 1)[0])

    def turns(self) -> list[tuple[str, float]]:
        """Where what a step visits is as large as a cache: its name, and the size of the run."""
        if self.held is None:
            return []
        sizes = np.array(self.sizes, float)
        held = np.array([self.held(int(n)) for n in sizes])
        return [
            (name, float(np.exp(np.interp(np.log(size), np.log(held), np.log(sizes)))))
            for name, size in caches()
            if held[0] < size < held[-1]
        ]


def caches() -> list[tuple[str, int]]:
    """This processor's caches of data as Linux tells them: name, bytes."""
    found, base = [], Path("/sys/devices/system/cpu/cpu0/cache")
    for folder in sorted(base.glob("index*")):
        if (folder / "type").read_text().strip() != "Instruction":
            kib = (folder / "size").read_text().strip().removesuffix("K")
            found.append((f"L{(folder / 'level').read_text().strip()}", int(kib) << 10))
    return found


def modes(count: int) -> Any:
    return trigonometric([((k,), (-k,), 1.0 / k**2, 0.1) for k in range(1, count + 1)])


def best(call: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few calls."""
    found = []
    for _ in range(TIMES):
        clock = perf_counter()
        call()
        found.append(perf_counter() - clock)
    return min(found)


def steps(n: int, game: Any, threads: int = 1) -> float:
    """Seconds a step of n + n particles."""
    count = 8 if game.bases is None else max(8, min(2000, 4_000_000 // n))
    how: dict[str, Any] = {"time": count * STEP, "save_every": count * STEP, "threads": threads}
    run = partial(mf.simulate, game, LANGEVIN, step=STEP, particles=n, progress=False, **how)
    return best(run) / count


def visited(n: int, game: Any) -> float:
    """Bytes of the states and of the working arrays of n + n particles."""
    how: dict[str, Any] = {"save_every": None, "replica": 0, "refine": 1, "placement": "iid"}
    plan = make_plan(time=STEP, step=STEP, particles=n, seed=0, scheme="euler", **how)
    stepper = Stepper(game, LANGEVIN, plan, mf.Start(), 1)
    stepper.measures()
    crew = stepper.hired()[0]
    arrays = {id(a): a.nbytes for a in leaves((crew.looks, crew.states))}
    return float(sum(arrays.values()))


def leaves(value: Any) -> Iterator[Any]:
    """All arrays in nested tuples."""
    if isinstance(value, tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, np.ndarray):
        yield value


def solved(size: int, problem: Any, engine: str, square: bool = False) -> float:
    """Seconds a step of a mean field; square: the size is of an axis squared."""
    cells = round(size**0.5) - (engine == "harmonics") if square else size
    how: dict[str, Any] = {"engine": engine, "cells": cells, "step": 1e-4, "progress": False}
    times = [
        best(partial(mf.solve, problem.game, LANGEVIN, problem.start, k * 1e-4,
                     save_every=k * 1e-4, **how))
        for k in (20, 220)
    ]  # fmt: skip
    return (times[1] - times[0]) / 200


def replicas(count: int) -> float:
    """Seconds of so many replicas by one thread."""
    how: dict[str, Any] = {"time": 0.1, "step": STEP, "particles": 1000, "threads": 1}
    return best(lambda: list(ensemble(modes(2), LANGEVIN, mf.Start(), replicas=count, **how)))


def memory(n: int, saves: int = 10) -> tuple[float, float]:
    """Bytes that a run of n + n particles had in use at most, and those that were said before."""
    plan = make_plan(time=saves * STEP, step=STEP, particles=n, seed=0, scheme="euler",
                     save_every=STEP, replica=0, refine=1, placement="iid")  # fmt: skip
    run = partial(mf.simulate, modes(16), LANGEVIN, time=saves * STEP, step=STEP, particles=n,
                  save_every=STEP, threads=1, progress=False)  # fmt: skip
    run()
    tracemalloc.start()
    kept = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(kept) == saves + 1
    said = of_particles(modes(16), LANGEVIN, plan.particles, saves + 1, False, False).memory
    return float(peak), said - PROCESS


def swept(tasks: int, pool: Any) -> float:
    """Seconds of so many runs of 2,000 + 2,000 particles."""
    clock = perf_counter()
    mf.sweep(mf.simulate, modes(2), LANGEVIN, mf.Start(), over={"seed": range(tasks)}, time=10.0,
             step=2e-3, particles=2000, save_every=5.0, executor=pool, progress=False)  # fmt: skip
    return perf_counter() - clock


def processes(most: int) -> dict[str, dict[int, float]]:
    """How many times as many tasks a second so many processes do as one."""
    seconds = {}
    for k in range(1, most + 1):
        with ProcessPoolExecutor(k, get_context("spawn")) as pool:
            swept(4 * k, pool)  # processes start and compile
            seconds[k] = swept(TASKS, pool), swept(TASKS * k, pool)
    (strong, weak) = seconds[1]
    return {
        "strong: the same tasks": {k: strong / s for k, (s, _) in seconds.items()},
        "weak: as many tasks a process": {k: k * weak / s for k, (_, s) in seconds.items()},
    }


def panels(quick: bool) -> dict[str, list[Curve]]:
    """The curves by what grows."""
    n = [100, 1000, 10_000] if quick else [100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000]
    few = [100, 1000] if quick else [100, 300, 1000, 3000, 10_000]
    games = {"16 modes": modes(16), "2 modes": modes(2)}
    l_a = polynomial("a", 50)
    return {
        "particles of a player, n": [
            *(Curve(k, partial(steps, game=g), n, partial(visited, game=g))
              for k, g in games.items()),
            Curve(r"$l_a$, $d = 50$", partial(steps, game=l_a), n[:-3] or n[:2],
                  partial(visited, game=l_a)),
            Curve("all pairs", partial(steps, game=PAIRS), few),
        ],
        "dimension, d": [
            Curve(f"${k}$, n = 1000", lambda d, v=v: steps(1000, polynomial(v, d)),
                  [10, 30, 100] if quick else [5, 10, 20, 50, 100, 200, 400])
            for k, v in (("l_a", "a"), ("l_b", "b"))
        ],
        "modes of the loss": [
            Curve("n = 10,000", lambda J: steps(10_000, modes(J)),
                  [1, 4, 16] if quick else [1, 2, 4, 8, 16, 32, 64, 128])
        ],
        "cells, modes or harmonics": [
            Curve("Galerkin, circle", partial(solved, problem=CIRCLE, engine="galerkin"),
                  [64, 256, 1024] if quick else [32, 64, 128, 256, 512, 1024, 2048, 4096]),
            Curve("finite volumes, circle", partial(solved, problem=CIRCLE, engine="finite-volume"),
                  [64, 256] if quick else [64, 128, 256, 512, 1024]),
            Curve(r"Galerkin, $T^2$", partial(solved, problem=TORUS, engine="galerkin",
                  square=True), [256, 1024] if quick else [256, 1024, 4096, 16_384]),
            Curve(r"harmonics, $S^2$", partial(solved, problem=SPHERE, engine="harmonics",
                  square=True), [81, 289] if quick else [81, 289, 1089, 4225]),
        ],
        "replicas of n = 1000": [
            Curve("1000 steps", replicas, [1, 4, 16] if quick else [1, 4, 16, 64, 256])
        ],
    }  # fmt: skip


def draw_curve(ax: Any, curve: Curve, colour: str) -> None:
    sizes, seconds = list(curve.found), list(curve.found.values())
    label = f"{curve.name}: {curve.exponent:.2f}"
    ax.loglog(sizes, seconds, "o-", ms=3, color=colour, label=label)
    for name, at in curve.turns():
        there = float(np.exp(np.interp(np.log(at), np.log(sizes), np.log(seconds))))
        ax.plot(at, there, "|", ms=12, color=colour)
        ax.annotate(name, (at, there), (3, -10), textcoords="offset points", fontsize=6, color=GREY)


def draw_gains(ax: Any, gains: dict[str, dict[int, float]], what: str) -> None:
    """How many times as fast several are as one."""
    for (name, times), colour in zip(gains.items(), COLOURS, strict=False):
        ax.plot(list(times), list(times.values()), "o-", ms=3, color=colour, label=name)
    ax.plot(list(times), list(times), ":", color=GREY)
    ax.set_xlabel(what)
    ax.set_ylabel("times as fast as one")
    ax.set_xticks(list(times))
    ax.legend(fontsize=7)


def draw(found: dict[str, list[Curve]], used: dict[int, tuple[float, float]],
         gains: dict[str, Any], path: Path) -> None:  # fmt: skip
    with styled():
        figure = new_figure(12, 6.4)
        axes = figure.subplots(2, 4).ravel()
        for ax, (what, curves) in zip(axes, found.items(), strict=False):
            for curve, colour in zip(curves, COLOURS, strict=False):
                draw_curve(ax, curve, colour)
            ax.set_xlabel(what)
            ax.set_ylabel("seconds" if "replicas" in what else "seconds a step")
            ax.set_ylim(top=ax.get_ylim()[1] * 4 ** len(curves))  # room for the legend
            ax.legend(title="exponent", title_fontsize=7, fontsize=7, loc="upper left")
        ns, (peak, said) = list(used), zip(*used.values(), strict=True)
        axes[5].loglog(ns, np.array(peak) / 1e6, "o-", ms=3, color=BLUE, label="in use at most")
        axes[5].loglog(ns, np.array(said) / 1e6, ":", color=GREY, label="said before")
        axes[5].set_xlabel("particles of a player, n")
        axes[5].set_ylabel("MB (16 modes, 11 states kept)")
        axes[5].legend()
        for ax, (what, gain) in zip(axes[6:], gains.items(), strict=True):
            draw_gains(ax, gain, what)
        figure.savefig(path, dpi=90)


def threaded(most: int) -> dict[str, dict[int, float]]:
    """How many times as fast so many threads take the steps of one run as one does."""
    runs = {
        "16 modes, n = 100,000": (100_000, modes(16)),
        "$l_a$, n = 10,000": (10_000, polynomial("a", 50)),
        "all pairs, n = 4000": (4000, PAIRS),
    }
    counts = [1, *(t for t in (2, 4, 8, 16) if t <= most)]
    seconds = {name: {t: steps(*run, t) for t in counts} for name, run in runs.items()}
    return {name: {t: row[1] / s for t, s in row.items()} for name, row in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true", help="few sizes, to see that it runs")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", UserWarning)  # starts at rest, coarse cells: the cost is asked
    most = os.cpu_count() or 1
    print(f"{most} cores, load {os.getloadavg()[0]:.1f}, caches {caches()}")
    found = panels(asked.quick)
    for what, curves in found.items():
        for curve in curves:
            rows = ", ".join(f"{k:,}: {v * 1e6:.3g} us" for k, v in curve.run().found.items())
            turns = "".join(f"; {name} full at {at:,.0f}" for name, at in curve.turns())
            print(f"{what}, {curve.name} (^{curve.exponent:.2f}): {rows}{turns}", flush=True)
    used = {n: memory(n) for n in ([1000, 10_000] if asked.quick else [100, 1000, 10_000, 100_000])}
    print("MB in use at most and said:", {n: (a / 1e6, b / 1e6) for n, (a, b) in used.items()})
    gains = {"threads of one run": threaded(most), "processes of a sweep": processes(most)}
    print(gains)
    draw(found, used, gains, asked.out / "scaling.png")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
