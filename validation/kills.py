"""Killed at random instants, every run is reopened and finished to the same bits.

Runs of every flow, at both levels, and a comparison are started from the command line and killed
with SIGKILL at a random time, again and again, each time gone on with from what the file holds. At
every kill the file must be absent (nothing had been written yet) or load; the finished result must
equal an uninterrupted one in every bit, wall time apart.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np

import meanfield as mf
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
    '[run]\nlevel = "particles"\nparticles = 2000\nstep = 0.001\nsave_every = 0.02\ntime = 1.0\n'
)
FIELD = '[run]\nlevel = "field"\nsave_every = 0.05\ntime = 2.0\ncells = 128\n'
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
        CIRCLE + WFR + FIELD.replace("2.0", "0.5").replace("0.05", "0.01"),
    ),
    "field, muscl": ("run", CIRCLE + WFR + FIELD + 'engine = "muscl"\n'),
    "field, mirror descent": ("run", CIRCLE + '[flow]\nname = "MirrorDescent"\n' + FIELD),
    "field, best response": ("run", CIRCLE + '[flow]\nname = "BestResponse"\n' + FIELD),
    "compare, Langevin": (
        "compare",
        CIRCLE
        + LANGEVIN
        + "[compare]\ntime = 0.5\nparticles = [100, 1000]\nreplicas = [40, 20]\nthreads = 2\n",
    ),
}


@dataclass(frozen=True)
class Settings:
    """Kills a case that leave a file; the cases; whether one bit of the finished run is flipped."""

    each: int
    cases: tuple[str, ...]
    flip: bool = False


FEW = ("particles, Langevin", "particles on a sphere, Wasserstein-Fisher-Rao", "field, galerkin")
QUICK = Settings(1, FEW)
FULL = Settings(4, tuple(CASES))
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
        whole, seconds = _uninterrupted(what, file)
        n, bare, bad, result = _killed(
            what, file, seconds, each, np.random.default_rng(crc32(name.encode()))
        )
        if flip:
            result.times[-1] = np.nextafter(result.times[-1], 0)
        left = len(list(Path(made).glob(".*.partial")))
        return {
            "kills": n,
            "bare": bare,
            "unreadable": bad,
            "different": not _bits(result, whole),
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
    ax.set(xlabel="kills", xticks=range(int((kept + bare).max()) + 1))
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return {"kills": figure}


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "meanfield.cli", *arguments, "--quiet"]


def _uninterrupted(what: str, file: Path) -> tuple[Any, float]:
    """The result without kills, and its wall time."""
    target = file.with_name(f"{file.stem}-whole.h5")
    clock = time.perf_counter()
    subprocess.run(_command(what, str(file), "--out", str(target)), check=True, capture_output=True)
    return _load(target), time.perf_counter() - clock


def _killed(
    what: str, file: Path, seconds: float, wanted: int, rng: Any
) -> tuple[int, int, int, Any]:
    """Kill until `wanted` kills have left a file, then finish: kills, bare ones, unreadable files,
    result.
    """
    target = file.with_name(f"{file.stem}-killed.h5")
    kills = bare = unreadable = 0
    while kills - bare < wanted:
        finished = target.exists() and read_header(target).finished
        if finished:  # it came to its end before enough kills: begin again
            target.unlink()
        go_on = (
            ("resume", str(target)) if target.exists() else (what, str(file), "--out", str(target))
        )
        process = subprocess.Popen(
            _command(*go_on), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=float(rng.uniform(0.2, 1.0)) * seconds)
            seconds *= 0.7  # too late: the first run had to compile, or the machine was busy
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kills += 1
        if not target.exists():
            bare += 1
            continue
        try:
            _load(target)
        except Exception as error:
            print(f"    unreadable: {error}")
            unreadable += 1
            target.unlink()
    go_on = ("resume", str(target)) if target.exists() else (what, str(file), "--out", str(target))
    subprocess.run(_command(*go_on), check=True, capture_output=True)
    return kills, bare, unreadable, _load(target)


def _load(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return mf.load(path)


def _bits(a: Any, b: Any) -> bool:
    return same_result(a, b)
