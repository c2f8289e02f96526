"""Killed at random instants, whatever is computed is reopened and finished to the same bits.

Runs of every flow, at both levels and by every engine, comparisons, sweeps, checks and equilibria
are commands killed with SIGKILL at a random time, again and again, each time gone on with from what
is there. After every kill each file must be absent (nothing had been written yet) or load; the
finished result must equal an uninterrupted one in every bit, wall time apart.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
from tqdm import tqdm

import meanfield as mf
from meanfield.cli import main
from meanfield.describe import same_result
from meanfield.storage import read_header
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.suite import Part

CIRCLE = (
    '[game]\nname = "oscillator"\n[start]\nx = {center = 1.1, std = 0.2}\n'
    "y = {center = 0.0, std = 0.2}\n"
)
FORMULA = '[game]\nexpression = "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)"\n'
SPHERE = '[game]\nname = "polynomial"\ndim = 5\n'
LANGEVIN = '[flow]\nname = "Langevin"\nbeta = 25.0\n'
WFR = '[flow]\nname = "WassersteinFisherRao"\nalpha = 0.5\n'
PARTICLES = (
    '[run]\nlevel = "particles"\nparticles = 2000\nstep = 0.001\nsave_every = 0.02\ntime = 0.1\n'
)
FIELD = '[run]\nlevel = "field"\nsave_every = 0.05\ntime = 0.25\ncells = 128\n'
ANNEALED = LANGEVIN + 'cooling = {kind = "poly", scale = 1.0, power = 0.5}\n'
RESPONSE = '[flow]\nname = "EntropicBestResponse"\nbeta = 5.0\n'
SWEEP = '[sweep]\n"flow.beta" = [5.0, 10.0, 20.0, 40.0]\n'
KEEP = "[output]\ncheckpoint_every = 0.0\n"

CASES: dict[str, tuple[str, str]] = {
    "particles, Langevin": ("run", CIRCLE + LANGEVIN + PARTICLES),
    "particles, Langevin, strang": ("run", CIRCLE + LANGEVIN + PARTICLES + 'scheme = "strang"\n'),
    "particles, Wasserstein-Fisher-Rao": ("run", CIRCLE + WFR + PARTICLES + 'record = ["ni"]\n'),
    "particles, plain": ("run", CIRCLE + '[flow]\nname = "Wasserstein"\n' + PARTICLES),
    "particles, mirror descent": ("run", CIRCLE + '[flow]\nname = "MirrorDescent"\n' + PARTICLES),
    "particles on a sphere, Wasserstein-Fisher-Rao": ("run", SPHERE + WFR + PARTICLES),
    "particles, a formula": ("run", FORMULA + LANGEVIN + PARTICLES.replace("2000", "200")),
    "field, galerkin": ("run", CIRCLE + LANGEVIN + FIELD),
    "field, finite volumes": ("run", CIRCLE + LANGEVIN + FIELD + 'engine = "finite-volume"\n'),
    "field, characteristics": (
        "run",
        CIRCLE + WFR + FIELD.replace("0.05", "0.01").replace("0.25", "0.05"),
    ),
    "field, muscl": ("run", CIRCLE + WFR + FIELD + 'engine = "muscl"\n'),
    "field, mirror descent": ("run", CIRCLE + '[flow]\nname = "MirrorDescent"\n' + FIELD),
    "field, best response": ("run", CIRCLE + '[flow]\nname = "BestResponse"\n' + FIELD),
    "particles, a schedule": ("run", CIRCLE + ANNEALED + PARTICLES),
    "particles, averaged gradients": (
        "run", CIRCLE + '[flow]\nname = "AveragedLangevin"\nbeta = 25.0\n' + PARTICLES
    ),
    "particles, best responses": (
        "run", CIRCLE + RESPONSE + PARTICLES.replace("2000", "200")
    ),
    "particles, mirror-prox": (
        "run",
        CIRCLE + '[flow]\nname = "MirrorDescent"\n' + PARTICLES + 'scheme = "mirror-prox"\n',
    ),
    "field, staggered": (
        "run", CIRCLE + LANGEVIN + FIELD.replace("128", "192") + 'engine = "staggered"\n',
    ),
    "field, best responses with entropy": ("run", CIRCLE + RESPONSE + FIELD),
    "field, T^2": (
        "run", '[game]\nname = "benchmark"\nwhich = "torus"\n' + LANGEVIN
        + FIELD.replace("128", "16").replace("1.0", "0.5"),
    ),
    "field, S^2": (
        "run", '[game]\nname = "benchmark"\nwhich = "sphere"\n' + LANGEVIN.replace("25", "5")
        + FIELD.replace("cells = 128\n", "").replace("1.0", "0.5"),
    ),
    "compare, Langevin": (
        "compare",
        CIRCLE
        + LANGEVIN
        + "[compare]\ntime = 0.5\nparticles = [100, 1000]\nreplicas = [40, 20]\nthreads = 1\n",
    ),
    "compare, Wasserstein-Fisher-Rao": (
        "compare",
        CIRCLE + WFR + "[compare]\ntime = 0.3\nparticles = [100, 300]\nreplicas = 10\n"
        "threads = 1\naverage = true\n",
    ),
    "sweep of runs": ("sweep", CIRCLE + LANGEVIN + PARTICLES + SWEEP),
    "sweep of whole results": (
        "sweep",
        CIRCLE + LANGEVIN + FIELD + SWEEP + 'keep = "all"\n',
    ),
    "check": (
        "check", CIRCLE + LANGEVIN.replace("25", "3")
        + "[check]\ntheorems = [3]\ntime = 0.2\nparticles = [50, 100, 200]\nreplicas = 8\n",
    ),
    "gibbs": ("gibbs", CIRCLE + "[gibbs]\nbeta = 10.0\n"),
    "nash": ("nash", SPHERE),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Kills a case that leave a file; the cases; whether one bit of the finished run is flipped."""

    each: int
    cases: tuple[str, ...]
    flip: bool = False


FEW = ("particles, Langevin", "particles on a sphere, Wasserstein-Fisher-Rao", "field, galerkin")
QUICK = Settings(1, FEW)
FULL = Settings(40, tuple(CASES))  # more than 1,000 kills
SABOTAGES = {
    "one bit flipped in the finished run": Settings(1, ("field, best response",), flip=True)
}


def killed(name: str, each: int, flip: bool) -> dict[str, Any]:
    """Kills, those before anything was written, unreadable files, other bits, partial files left
    behind.
    """
    what, source = CASES[name]
    with TemporaryDirectory() as made:
        file = Path(made) / "case.toml"
        file.write_text(source + KEEP)
        whole, seconds = uninterrupted(what, file)
        rng = np.random.default_rng(crc32(name.encode()))
        n, bare, bad, result = until_killed(what, file, seconds, each, rng)
        if flip:
            result.times[-1] = np.nextafter(result.times[-1], 0)
        left = len([*Path(made).rglob("*.partial"), *Path(made).rglob(".*.partial")])
        return {
            "kills": n,
            "bare": bare,
            "unreadable": bad,
            "different": not equal(result, whole),
            "left": left,
        }


def parts(s: Settings) -> dict[str, Part]:
    return {name: partial(killed, name, s.each, s.flip) for name in s.cases}


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    total = {
        key: sum(int(held[key]) for held in data.values())
        for key in ("unreadable", "different", "left")
    }
    return [
        below("files unreadable after a kill", total["unreadable"], 0),
        below("runs finished to other bits", total["different"], 0),
        below("partial files left behind", total["left"], 0),
    ]


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Kills by case, those before anything was written apart."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.8 + 0.3 * len(s.cases)), layout="constrained")
    ax = figure.subplots()
    bare = np.array([int(data[name]["bare"]) for name in s.cases])
    kept = np.array([int(data[name]["kills"]) for name in s.cases]) - bare
    ax.barh(s.cases, kept, label="left a file")
    ax.barh(s.cases, bare, left=kept, label="before the first state")
    ax.set(xlabel="kills", xlim=(0, None))
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return {"kills": figure}


# -- commands in processes of their own -----------------------------------------------------------


def context() -> Any:
    """Processes that begin as copies of this one, warm, where that is safe."""
    alone = hasattr(os, "fork") and threading.active_count() == 1
    return get_context("fork" if alone else "spawn")


def command(what: str, file: Path, target: Path) -> Any:
    """The process of a command, started."""
    return _started(_words(what, file, target))


def _words(what: str, file: Path, target: Path) -> list[str]:
    plain = ["--no-plot", "--workers", "1"] if what == "sweep" else []
    return [what, str(file), "--out", str(target), "--quiet", *plain]


def _started(words: list[str]) -> Any:
    process = context().Process(target=_in_silence, args=(words,))
    process.start()
    return process


def _in_silence(words: list[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.exit(main(words))


def done(process: Any) -> None:
    """Wait for the end of a command; RuntimeError unless it succeeds."""
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the command ended with {process.exitcode}")


def target_of(what: str, file: Path, name: str) -> Path:
    """Where a command's result goes: a file, or the folder of a sweep or check."""
    folder = what in ("sweep", "check")
    return file.with_name(f"{file.stem}-{name}" + ("" if folder else ".h5"))


def uninterrupted(what: str, file: Path) -> tuple[Any, float]:
    """The result without kills, and its wall time."""
    warm, target = (target_of(what, file, name) for name in ("warm", "whole"))
    tqdm.monitor_interval = 0  # whose thread would stand in the way of copies of this process
    if threading.active_count() == 1:  # compiled here, once, for all processes to come
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            main(_words(what, file, warm))
    clock = time.perf_counter()
    done(command(what, file, target))
    return result_of(target), time.perf_counter() - clock


def until_killed(
    what: str, file: Path, seconds: float, wanted: int, rng: Any
) -> tuple[int, int, int, Any]:
    """Kill until `wanted` kills have left something, or three times as many have not, then finish.

    Returns kills, bare ones, unreadable files and the result.
    """
    target = target_of(what, file, "killed")
    kills = bare = unreadable = 0
    too_early = False
    while kills - bare < wanted and kills < 4 * wanted:
        if _finished(target):  # it came to its end before enough kills: begin again
            _remove(target)
        resumes = target.is_file() and rng.random() < 0.5 and what in ("run", "compare")
        process = (
            _started(["resume", str(target), "--quiet"]) if resumes else command(what, file, target)
        )
        if too_early:  # the last kill came before the first file: wait for it
            _wait_for_a_file(process, target)
        process.join(timeout=float(rng.uniform(0.0 if too_early else 0.05, 1.0)) * seconds)
        if not process.is_alive():
            # Too late: the first run had to compile, or the machine was busy.
            seconds *= 0.7
            continue
        process.kill()
        process.join()
        kills += 1
        left = list(_files(target))
        too_early = not left
        bare += too_early
        for path in left:
            try:
                _load(path)
            except Exception as error:
                print(f"    unreadable: {error}")
                unreadable += 1
                path.unlink()
    done(command(what, file, target))
    return kills, bare, unreadable, result_of(target)


def _wait_for_a_file(process: Any, target: Path) -> None:
    while process.is_alive() and not any(_files(target)):
        time.sleep(0.002)


def _finished(target: Path) -> bool:
    if target.is_dir():
        return any((target / name).exists() for name in ("sweep.h5", "check.h5"))
    return target.exists() and read_header(target).finished


def _remove(target: Path) -> None:
    shutil.rmtree(target) if target.is_dir() else target.unlink()


def _files(target: Path) -> Iterator[Path]:
    """The result files, tables and pages that stand under a target by their own names."""
    for path in [target] if target.is_file() else target.rglob("*"):
        if path.suffix in (".h5", ".npz", ".csv", ".html", ".pdf") and path.is_file():
            yield path


def _load(path: Path) -> Any:
    """A file's content, read to its end."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as held:
            return dict(held)
    if path.suffix != ".h5":
        ends = {".csv": b"\n", ".html": b"</html>", ".pdf": b"%%EOF"}
        if not path.read_bytes().rstrip(b" \n").endswith(ends[path.suffix].rstrip()):
            raise ValueError(f"{path} has no end")
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return mf.load(path)


def result_of(target: Path) -> Any:
    """What a command has computed, without its times."""
    if not target.is_dir():
        return _load(target)
    if (target / "sweep.h5").exists():
        found = _load(target / "sweep.h5")
        kept = {path.name: _load(path) for path in (target / "results").glob("*.h5")}
        return {"numbers": found.numbers, "curves": found.curves, "status": found.status, **kept}
    return {"data": _load(target / "check.h5").data}


def equal(a: Any, b: Any) -> bool:
    """Whether two results are the same to the last bit."""
    return same_result(a, b)


if __name__ == "__main__":  # python -m validation.kills CASE KILLS, in a process without threads
    print(killed(sys.argv[1], int(sys.argv[2]), False))
