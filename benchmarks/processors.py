"""Inner loops on processors that are not here: `python -m benchmarks.processors`, by hand.

The package's kernels are compiled for each processor by the same compiler and passes as at run
time. In the innermost loops with the most arithmetic of every function, vectors that are put on the
stack are counted, and llvm-mca (of Debian's package llvm-19 or later) says how many cycles an
iteration takes when all data are in the first cache, and how many it would at least: as many as the
busiest of the processor's units needs for it, or its issue of instructions. What is above that is
waiting for results. The unit is one multiplication of one number, fused or not, of doubles, floats
or the generator's words, so that loops of different widths compare. Hand-written loops are also
shaped by the processor, by the width of its registers.

A kernel falls behind where it takes more than 1.5 times the cycles of the best processor with
vectors as wide. That is split into what the units are slower by, for whichever of the codes made
for that width suits them best, and what is beside: longer code, and waiting.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

from benchmarks.machine_code import PROCESSORS, Loop, assembly, loops, modules, named

BEHIND = 1.5  # times the cycles of the best processor with vectors as wide
FEWEST = 8  # multiplications an iteration of a loop that counts as arithmetic
KERNELS = {  # of steps; what else is compiled sets up, saves or takes little of a step
    "product.product": "products with features",
    "forms.tile": "steps of l_a and l_b",
    "features.features": "modes in several angles",
    "features.circle": "cosines and sines of angles",
    "features.powers": "their powers",
    "ladder.add_powers": "means of modes in one angle",
    "ladder.series": "their forces",
    "features.add_means": "moments",
    "doubles._uniforms": "words of normals",
    "doubles._radii": "their radii",
    "doubles._circle": "cosines and sines of their angles",
    "singles._words": "words of single normals",
    "singles._radii": "their radii",
    "singles._turns": "their angles",
    "primitives.weigh": "weights",
    "primitives.drift": "moves on circles",
    "single_modes.begin": "modes in single precision, their angles",
    "single_modes.slope": "their forces",
    "single_modes.add_means": "their moments",
    "formula.fill": "pairs of exp(cos(x - y))",
    "products.multiply": "costs on meshes",
}
_LEAVES = re.compile(r"^(call|ret|blr?\s)")


@cache
def judged(lines: tuple[str, ...], processor: str, mca: str) -> tuple[float, float] | None:
    """Cycles of one iteration, repeated, and as many as units and issue need alone; None where the
    processor does not know the instructions.
    """
    triple, _ = PROCESSORS[processor]
    text = "\n".join(lines)
    if triple.startswith("aarch64"):  # an address moved on by a store would wait for what is stored
        text = re.sub(r"(?m)^(\w+\t.*\[(\w+)\]), (#\d+)$", r"\1\nadd\t\2, \2, \3", text)
    done = subprocess.run(
        [mca, f"-mtriple={triple}", f"-mcpu={processor}", "-iterations=100"],
        input=text, capture_output=True, text=True,
    )  # fmt: skip
    if "not a recognized processor" in done.stderr:
        raise RuntimeError(f"{mca} does not know {processor}")
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    least = re.search(r"Block RThroughput:\s+([\d.]+)", done.stdout)
    if done.returncode or not total or not least:
        return None
    return int(total[1]) / 100, float(least[1])


def largest() -> dict[str, dict[str, list[Loop]]]:
    """Of every kernel the largest loops, on every processor."""
    import llvmlite.binding as llvm

    held = {}
    for bits in (128, 256, 512):  # decided when the package is imported
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            held[bits] = process.submit(modules, bits).result()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    found: dict[str, dict[str, list[Loop]]] = {}
    for processor, (_, bits) in PROCESSORS.items():
        by: dict[str, list[Loop]] = {}
        for text in held[bits]:
            for loop in loops(assembly(text, processor)):
                by.setdefault(named(loop.function), []).append(loop)
        for name, several in by.items():
            if large := _large(several):
                found.setdefault(name, {})[processor] = large
    return found


def _large(several: list[Loop]) -> list[Loop]:
    """Loops with at least half as much arithmetic as the largest, each once; what vectors leave
    over is done by smaller ones, and a loop with a call in it is not innermost.
    """
    inner = {x.lines: x for x in several if not any(map(_LEAVES.match, x.lines))}.values()
    most = max((x.times for x in inner), default=0)
    return [x for x in inner if most >= FEWEST and 2 * x.times >= most]


@dataclass(frozen=True)
class Row:
    """What a kernel takes on a processor, for a multiplication."""

    cycles: float
    bound: float  # what units and issue need alone
    stored: int
    loaded: int


def rows(by: dict[str, list[Loop]], mca: str) -> dict[str, Row]:
    """Of one kernel, on every processor."""
    return {p: _row(p, large, by, mca) for p, large in by.items()}


def _row(processor: str, large: list[Loop], by: dict[str, list[Loop]], mca: str) -> Row:
    own = _spent(large, processor, mca)
    if own is None:
        raise RuntimeError(f"{mca} on {large[0].function} for {processor}")
    others = [
        _spent(code, processor, mca)
        for p, code in by.items()
        if PROCESSORS[p] == PROCESSORS[processor]
    ]
    bound = min(each[1] for each in others if each)
    return Row(own[0], bound, max(x.stored for x in large), max(x.loaded for x in large))


def _spent(large: list[Loop], processor: str, mca: str) -> tuple[float, float] | None:
    """Cycles and their bound for a multiplication of these loops."""
    found = [judged(loop.lines, processor, mca) for loop in large]
    times = sum(loop.times for loop in large)
    if None in found:
        return None
    return tuple(sum(each[k] for each in found if each) / times for k in range(2))  # type: ignore[return-value]


def show(found: dict[str, dict[str, Row]]) -> None:
    """Lines of a Markdown table, and what is to be said of any kernel."""
    print("| loop |" + "".join(f" {p} |" for p in PROCESSORS))
    print("|---|" + "---|" * len(PROCESSORS))
    for kernel, what in KERNELS.items():
        cells = (_cell(by[p]) if p in (by := found.get(kernel, {})) else "" for p in PROCESSORS)
        print(f"| {what}, `{kernel}` |" + "".join(f" {c} |" for c in cells))
    for kernel in KERNELS:
        for processor in set(PROCESSORS) - set(found.get(kernel, {})):
            print(f"{kernel} on {processor}: is not in vectors")
    for kernel, by in sorted(found.items(), key=lambda item: item[0] not in KERNELS):
        for processor, row in by.items():
            alike = [r for p, r in by.items() if PROCESSORS[p][1] == PROCESSORS[processor][1]]
            for remark in remarks(row, alike):
                print(f"{kernel} on {processor}: {remark}")


def remarks(row: Row, alike: list[Row]) -> Iterator[str]:
    """On a kernel, beside its rows on processors with vectors as wide."""
    if row.stored:
        yield f"puts {row.stored} vectors on the stack in its loop"
    best = min(alike, key=lambda r: r.cycles)
    if row.cycles > BEHIND * best.cycles:
        units, all_in_all = row.bound / best.bound, row.cycles / best.cycles
        rest = all_in_all / units
        yield f"{all_in_all:.1f} times the best: {units:.1f} by its units, {rest:.1f} beside"


def _cell(row: Row) -> str:
    spills = f" ({row.stored} + {row.loaded})" * bool(row.stored or row.loaded)
    return f"{row.cycles:.2f} / {row.bound:.2f}" + spills


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    known = next(filter(shutil.which, ("llvm-mca-19", "llvm-mca")), "llvm-mca")
    parser.add_argument("--mca", default=known, help="llvm-mca 16 or later")
    mca = parser.parse_args().mca
    show({kernel: rows(by, mca) for kernel, by in largest().items()})


if __name__ == "__main__":
    main()
