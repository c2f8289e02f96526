"""Every row beside its peers in one run: `python -m benchmarks`.

All contestants of a row run in turn, round after round, one thread each, by processor time; the ratio is
that of a peer's time to ours in the same round, its median and quartiles over rounds. Peers that are not
installed are named and left out. The mean-field engines have a race of their own, to equal errors
(`benchmarks.mean_field`), which follows with --densities.
"""
# ruff: noqa: E402  (threads are limited before numpy is loaded)

from __future__ import annotations

import argparse
import json
import os
import platform

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import generators, particles, transport
from benchmarks.race import Raced, Row, peaks, race

SHOWN = ("numpy", "scipy", "numba", "torch", "jax", "POT", "pysdot")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def record(raced: Raced, peak: dict[str, float]) -> list[dict[str, Any]]:
    """One entry a contestant."""
    row, out = raced.row, []
    for name, seconds in raced.seconds.items():
        least, median = min(seconds), sorted(seconds)[len(seconds) // 2]
        middle, low, high = raced.ratio(name)
        out.append(
            {"row": row.name, "contestant": name, "unit": row.unit, "least_ns": least / row.units * 1e9,
             "median_ns": median / row.units * 1e9, "ratio": middle, "ratio_quartiles": [low, high],
             "first_s": raced.first[name], "target": row.target if name == row.against else None,
             "of_dgemm": row.flops / median / peak["dgemm"] if row.flops else None,
             "of_stream": row.bytes / median / peak["stream"] if row.bytes else None, "rounds": len(seconds)}
        )  # fmt: skip
    return out


def show(entries: list[dict[str, Any]]) -> None:
    """Lines of a Markdown table."""
    for e in entries:
        share = "".join(f"{100 * e[k]:.0f}% of {k[3:]}" for k in ("of_dgemm", "of_stream") if e[k])
        low, high = e["ratio_quartiles"]
        goal = "" if e["target"] is None else f"{e['target']:g}"
        print(
            f"| {e['row']} | {e['contestant']} | {_time(e['median_ns'])} / {e['unit']} "
            f"| {e['ratio']:.2f} ({low:.2f}-{high:.2f}) | {goal} | {share} | {e['first_s']:.2f} |",
            flush=True,
        )


def _time(ns: float) -> str:
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= size:
            return f"{ns / size:.3g} {name}"
    return f"{ns:.3g} ns"


def draw(entries: list[dict[str, Any]], path: Path) -> None:
    """Ratios of all peers to ours, quartiles as bars, targets as marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    peers = [e for e in entries if e["ratio"] != 1.0][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(peers) + 1), layout="constrained")
    for i, e in enumerate(peers):
        low, high = e["ratio_quartiles"]
        axes.plot([low, high], [i, i], color="C0", lw=3, alpha=0.5)
        axes.plot(e["ratio"], i, "o", color="C0", ms=4)
        if e["target"] is not None:
            axes.plot(e["target"], i, "|", color="k", ms=10)
    axes.set_yticks(range(len(peers)), [f"{e['row']}: {e['contestant']}" for e in peers], fontsize=7)
    axes.axvline(1, color="0.6", lw=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time of the peer / time of meanfield (| the target)")
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", nargs="*", default=None, help="only rows whose name holds one of these")
    parser.add_argument("--densities", action="store_true", help="the mean-field engines after the rest")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(arguments)
    chosen: list[Row] = [
        r
        for r in (*particles.rows(), *generators.rows(), *transport.rows())
        if options.rows is None or any(w in r.name for w in options.rows)
    ]
    peak = peaks()
    print(
        f"one thread: dgemm {peak['dgemm'] / 1e9:.1f} Gflop/s, stream {peak['stream'] / 1e9:.1f} GB/s; {versions()}\n"
    )
    print("| row | contestant | time | ratio (quartiles) | target | of the peak | first call s |")
    print("|---|---|---|---|---|---|---|")
    entries: list[dict[str, Any]] = []
    for row in chosen:
        raced = race(row, options.rounds)
        entries += record(raced, peak)
        show(entries[-len(raced.seconds) :])
        for line in raced.missing:
            print(f"left out: {line}")
    options.out.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    content = {"machine": machine, "peaks": peak, "versions": versions(), "rows": entries}
    (options.out / "benchmarks.json").write_text(json.dumps(content, indent=1))
    draw(entries, options.out / "benchmarks.png")
    print(f"\nwritten to {options.out}")
    if options.densities:
        from benchmarks import mean_field

        mean_field.main(["--out", str(options.out / "mean_field.json")])


if __name__ == "__main__":
    main()
