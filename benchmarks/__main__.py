"""Every row beside its peers in one run: `python -m benchmarks`.

All contestants of a row run in turn, round after round, one thread each, by processor time; the
ratio is that of a peer's time to ours in the same round, its median and quartiles over rounds.
Peers that are not installed are named and left out. Solvers of equation (7) are tuned first, each
to the same error (`benchmarks.mean_field`). Rows such as "simulate, ..." are calls as people make
them, beside the same without saves (`benchmarks.calls`). At the end come start-up times, of
processes of their own, and one run over several threads, by elapsed time.
"""
# ruff: noqa: E402  (threads are limited before numpy is loaded)

from __future__ import annotations

import argparse
import json
import os
import platform
import warnings

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import calls, generators, mean_field, particles, startup, transport
from benchmarks.race import Raced, Row, peaks, race
from meanfield.checks import UnderResolved

SHOWN = (
    "numpy",
    "scipy",
    "numba",
    "torch",
    "jax",
    "POT",
    "sdot",
    "diffrax",
    "exponax",
    "shenfun",
    "dedalus",
    "FiPy",
    "py-pde",
)


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
            {"row": row.name, "contestant": name, "unit": row.unit,
             "least_ns": least / row.units * 1e9,
             "median_ns": median / row.units * 1e9, "ratio": middle, "ratio_quartiles": [low, high],
             "target": row.target if name == raced.against else None,
             "of_dgemm": row.flops / median / peak["dgemm"] if row.flops else None,
             "of_stream": row.bytes / median / peak["stream"] if row.bytes else None,
             "rounds": len(seconds),
             **raced.about[name]}
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
            f"| {e['ratio']:.2f} ({low:.2f}-{high:.2f}) | {goal} | {share or _setting(e)} | "
            f"{e['first_s']:.2f} |",
            flush=True,
        )


def _setting(e: dict[str, Any]) -> str:
    """How a tuned contestant was run and what error that gave."""
    if "setting" not in e:
        return ""
    said = ", ".join(
        f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in e["setting"].items()
    )
    return f"error {e['error']:.1e}{'' if e['reached'] else ', NOT REACHED'}: {said}"


def _time(ns: float) -> str:
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= size:
            return f"{ns / size:.3g} {name}"
    return f"{ns:.3g} ns"


def draw(entries: list[dict[str, Any]], path: Path) -> None:
    """Ratios of all peers to ours, a band a row, in two columns of about equal height."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines: list[
        tuple[str, dict[str, Any] | None]
    ] = []  # (row, what runs beside ours; None: the row's title)
    named = [e["row"] for e in entries]
    for e in entries:
        if named.count(e["row"]) > 1:
            lines.append((e["row"], e if (e["row"], None) in lines else None))
    if not lines:
        return
    titles = [i for i, (_, e) in enumerate(lines) if e is None]
    middle = min(titles, key=lambda i: abs(i - len(lines) / 2)) or len(lines)
    columns = [c for c in (lines[:middle], lines[middle:]) if c]
    tall = 0.17 * max(map(len, columns)) + 0.8
    figure, axes = plt.subplots(
        1, len(columns), figsize=(6.5 * len(columns), tall), layout="constrained", squeeze=False
    )
    for ax, column in zip(axes[0], columns, strict=True):
        _column(ax, column)
    figure.supxlabel("time / time of meanfield, first solver; | the target; "
                     "green: others of ours; x: misses the error",
                     fontsize=9)  # fmt: skip
    figure.savefig(path, dpi=150)


def _column(ax: Any, lines: list[tuple[str, dict[str, Any] | None]]) -> None:
    """Ratios with quartiles as bars, targets as marks."""
    for i, (row, e) in enumerate(lines):
        if e is None:
            ax.axhspan(i - 0.5, i + 0.5, color="0.92", lw=0)
            ax.text(
                0.01,
                i,
                row,
                transform=ax.get_yaxis_transform(),
                fontsize=7.5,
                fontweight="bold",
                va="center",
            )
            continue
        reached = e.get("reached", True)
        colour = "C2" if e["contestant"].startswith("meanfield") else "C0" if reached else "C3"
        ax.plot(e["ratio_quartiles"], [i, i], color=colour, lw=3, alpha=0.5)
        ax.plot(e["ratio"], i, "o" if reached else "x", color=colour, ms=4)
        ax.text(
            1.01,
            i,
            f"{e['ratio']:{',.0f' if e['ratio'] >= 100 else '.3g'}}",
            transform=ax.get_yaxis_transform(),
            fontsize=7,
            va="center",
        )
        if e["target"] is not None:
            ax.plot(e["target"], i, "|", color="k", ms=9, mew=1.5)
    ax.set_yticks(
        range(len(lines)), ["" if e is None else e["contestant"] for _, e in lines], fontsize=7
    )
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.axvline(1, color="0.6", lw=0.8)
    ax.grid(axis="x", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.set_xscale("log")


def rows(words: list[str] | None, apart: bool) -> list[Row]:
    """All rows, or those whose name holds one of the words; without the mean field where it is left
    out.
    """
    found = [
        *particles.rows(),
        *generators.rows(),
        *transport.rows(),
        *calls.rows(),
        *(() if apart else mean_field.rows()),
    ]
    return [r for r in found if words is None or any(w in r.name for w in words)]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--rows",
        nargs="*",
        default=None,
        help="only rows whose name holds one of these; no start-up",
    )
    parser.add_argument("--no-densities", action="store_true", help="without solvers of (7)")
    parser.add_argument("--no-startup", action="store_true", help="without start-up times")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args(arguments)
    # Solvers of (7) are tuned to an error against a reference.
    warnings.simplefilter("ignore", UnderResolved)
    peak = peaks()
    print(
        f"one thread: dgemm {peak['dgemm'] / 1e9:.1f} Gflop/s, stream {peak['stream'] / 1e9:.1f} "
        f"GB/s; {versions()}\n"
    )
    print(
        "| row | contestant | time | ratio (quartiles) | target | of the peak, or error and "
        "setting | first call s |"
    )
    print("|---|---|---|---|---|---|---|")
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    content: dict[str, Any] = {
        "machine": machine,
        "peaks": peak,
        "versions": versions(),
        "rows": [],
        "starts": [],
    }
    options.out.mkdir(parents=True, exist_ok=True)

    def keep() -> None:
        (options.out / "benchmarks.json").write_text(json.dumps(content, indent=1))

    entries = content["rows"]
    for row in rows(options.rows, options.no_densities):
        raced = race(row, options.rounds)
        entries += record(raced, peak)
        keep()
        show(entries[-len(raced.seconds) :])
        for line in raced.missing:
            print(f"left out: {line}")
    if options.rows is None and not options.no_startup:
        content["starts"] = startup.table()
        content["threads"] = calls.scaling()
    content["reference_gaps"] = mean_field.gaps(entries)
    keep()
    draw(entries, options.out / "benchmarks.png")
    print(f"\nwritten to {options.out}")


if __name__ == "__main__":
    main()
