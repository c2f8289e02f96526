"""python -m benchmarks.scaling [--out FOLDER]: what runs cost, and what more processes gain.

Seconds a step against n and against cells; weak scaling (as many tasks for each process) and strong
scaling (the same tasks for more processes) of sweeps of particles. Prints tables and the load of
the machine, and draws scaling.png. Run by hand on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import meanfield as mf

GAME, LANGEVIN, START = mf.games.oscillator(), mf.Langevin(16.0), mf.Start()
T2 = mf.Torus(2)
TORUS = mf.games.expression("cos(x1 - y1) + 0.5*sin(x2 + y2)", T2, T2)
PAIRS = mf.games.expression("exp(cos(x - y))")
TASKS = 12  # of about half a second


def best(call: Callable[[], Any], times: int = 3) -> float:
    """Seconds of the fastest of a few calls."""
    found = []
    for _ in range(times):
        clock = time.perf_counter()
        call()
        found.append(time.perf_counter() - clock)
    return min(found)


def steps(game: Any, n: int) -> float:
    """Microseconds a step of n + n particles."""
    count = max(10, min(2000, 2_000_000 // n)) if game.bases is not None else 10

    def run() -> None:
        mf.simulate(game, LANGEVIN, START, time=count * 1e-3, step=1e-3, particles=n, threads=1,
                    save_every=count * 1e-3, progress=False)  # fmt: skip

    return 1e6 * best(run) / count


def field(game: Any, engine: str, cells: int) -> float:
    """Milliseconds a step of a mean field on so many cells an axis."""

    def run() -> None:
        mf.solve(game, LANGEVIN, START, time=1e-3, step=1e-4, cells=cells, engine=engine,
                 save_every=1e-3, progress=False)  # fmt: skip

    return 1e3 * best(run) / 10


def swept(tasks: int, pool: Any) -> float:
    """Seconds of so many runs of 2,000 + 2,000 particles."""
    clock = time.perf_counter()
    mf.sweep(mf.simulate, GAME, LANGEVIN, START, over={"seed": range(tasks)}, time=10.0, step=2e-3,
             particles=2000, save_every=5.0, executor=pool, progress=False)  # fmt: skip
    return time.perf_counter() - clock


def processes(most: int) -> dict[int, tuple[float, float]]:
    """For each number of processes the seconds of TASKS tasks, and of as many for each process."""
    found = {}
    for k in range(1, most + 1):
        with ProcessPoolExecutor(k, get_context("spawn")) as pool:
            swept(4 * k, pool)  # processes start and compile
            found[k] = strong, weak = swept(TASKS, pool), swept(TASKS * k, pool)
        print(f"{k} processes: {TASKS} tasks {strong:.2f} s, {TASKS * k} tasks {weak:.2f} s")
    return found


def draw(particles: dict[str, Any], cells: dict[str, Any], sweeps: Any, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for ax, rows, x, y in zip(
        axes, (particles, cells), ("particles of a player", "cells of a player"),
        ("microseconds a step", "milliseconds a step"), strict=False,
    ):  # fmt: skip
        for name, row in rows.items():
            ax.loglog(list(row), list(row.values()), "o-", ms=3, label=name)
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.legend(fontsize=7)
    counts, (strong, weak) = list(sweeps), zip(*sweeps.values(), strict=True)
    axes[2].plot(counts, [strong[0] / s for s in strong], "o-", label="strong: the same tasks")
    axes[2].plot(counts, [k * weak[0] / s for k, s in zip(counts, weak, strict=True)], "s-",
                 label="weak: as many tasks a process")  # fmt: skip
    axes[2].plot(counts, counts, "k:", lw=1, label="perfect")
    axes[2].set_xlabel("processes")
    axes[2].set_ylabel("times as fast as one")
    axes[2].set_xticks(counts)
    axes[2].legend(fontsize=7)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    most = os.cpu_count() or 1
    print(f"{most} cores, load {os.getloadavg()[0]:.1f}")
    sizes = (100, 1000, 10_000, 100_000)
    particles = {
        "low-rank, 2 modes": {n: steps(GAME, n) for n in sizes},
        "all pairs": {n: steps(PAIRS, n) for n in (100, 1000, 4000)},
    }
    cells = {
        "Galerkin, circle": {k: field(GAME, "galerkin", k) for k in (64, 256, 1024)},
        "finite volumes, circle": {k: field(GAME, "finite-volume", k) for k in (64, 256, 1024)},
        "finite volumes, T^2": {
            k * k: field(TORUS, "finite-volume", k) for k in (16, 32, 64)
        },
    }  # fmt: skip
    for unit, rows in (("us", particles), ("ms", cells)):
        for name, row in rows.items():
            print(name, ", ".join(f"{k:,}: {v:.3g} {unit}" for k, v in row.items()), flush=True)
    sweeps = processes(most)
    draw(particles, cells, sweeps, options.out / "scaling.png")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
