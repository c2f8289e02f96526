"""Killed at random instants, every run is reopened and finished to the same bits.

Runs of every flow, at both levels, and a comparison are started from the command line and killed
with SIGKILL at a random time, again and again, each time gone on with from what the file holds. At
every kill the file must be absent (nothing had been written yet) or load; the finished result must
equal an uninterrupted one in every bit, wall time apart.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.describe import Described, describe, same
from meanfield.storage import read_header
from validation.verdicts import Verdict, command

CIRCLE = '[game]\nname = "oscillator"\n[start]\nx = {center = 1.1, width = 0.04}\ny = {center = 0.0, width = 0.04}\n'
FORMULA = '[game]\nexpression = "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)"\n'
SPHERE = '[game]\nname = "polynomial"\ndim = 5\n'
LANGEVIN = '[flow]\nname = "Langevin"\nbeta = 25.0\n'
WFR = '[flow]\nname = "WassersteinFisherRao"\nalpha = 0.5\n'
PARTICLES = '[run]\nlevel = "particles"\nparticles = 2000\nstep = 0.001\nsave_every = 0.02\ntime = 1.0\n'
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
    "field, characteristics": ("run", CIRCLE + WFR + FIELD.replace("2.0", "0.5").replace("0.05", "0.01")),
    "field, muscl": ("run", CIRCLE + WFR + FIELD + 'engine = "muscl"\n'),
    "field, mirror descent": ("run", CIRCLE + '[flow]\nname = "MirrorDescent"\n' + FIELD),
    "field, best response": ("run", CIRCLE + '[flow]\nname = "BestResponse"\n' + FIELD),
    "compare, Langevin": (
        "compare",
        CIRCLE + LANGEVIN + "[compare]\ntime = 0.5\nparticles = [100, 1000]\nreplicas = [40, 20]\nthreads = 2\n",
    ),
}


def main(quick: bool, out: Path) -> list[Verdict]:
    rng = np.random.default_rng(0)
    folder = out / "kills"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    each = 1 if quick else 4
    killed = unreadable = different = bare = left = 0
    print("  case                                             kills  before the first state  same bits")
    for k, (name, (what, source)) in enumerate(CASES.items()):
        file = folder / f"case{k}.toml"
        file.write_text(source + KEEP)
        whole, seconds = _uninterrupted(what, file)
        n, none, bad, result = _killed(what, file, seconds, each, rng)
        equal = _bits(result, whole)
        print(f"  {name:48} {n:5d}  {none:22d}  {'yes' if equal else 'NO'}", flush=True)
        killed, bare, unreadable, different = killed + n, bare + none, unreadable + bad, different + (not equal)
        left += len(list(folder.glob(".*.partial")))
    print(f"  {killed} kills, {bare} of them before anything was written; {left} partial files left behind")
    wanted = len(CASES) * each
    return [
        Verdict("random kills that left a file (at least those wanted)", min(killed - bare, wanted), wanted, 0),
        Verdict("files unreadable after a kill", unreadable, 0, 0),
        Verdict("runs finished to other bits", different, 0, 0),
        Verdict("partial files left behind", left, 0, 0),
    ]


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "meanfield.cli", *arguments, "--quiet"]


def _uninterrupted(what: str, file: Path) -> tuple[Any, float]:
    """The result without kills, and its wall time."""
    target = file.with_name(f"{file.stem}-whole.h5")
    clock = time.perf_counter()
    subprocess.run(_command(what, str(file), "--out", str(target)), check=True, capture_output=True)
    return _load(target), time.perf_counter() - clock


def _killed(what: str, file: Path, seconds: float, wanted: int, rng: Any) -> tuple[int, int, int, Any]:
    """Kill until `wanted` kills have left a file, then finish: kills, bare ones, unreadable files, result."""
    target = file.with_name(f"{file.stem}-killed.h5")
    kills = bare = unreadable = 0
    while kills - bare < wanted:
        finished = target.exists() and read_header(target).finished
        if finished:  # it came to its end before enough kills: begin again
            target.unlink()
        go_on = ("resume", str(target)) if target.exists() else (what, str(file), "--out", str(target))
        process = subprocess.Popen(_command(*go_on), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
    return same(_timeless(describe(a)), _timeless(describe(b)))


def _timeless(plain: Any) -> Any:
    """The same tree without wall times."""
    if isinstance(plain, Described):
        return Described(plain.kind, _timeless(plain.content))
    if isinstance(plain, dict):
        return {key: _timeless(value) for key, value in plain.items() if key != "wall_time"}
    if isinstance(plain, (list, tuple)):
        return type(plain)(map(_timeless, plain))
    return plain


if __name__ == "__main__":
    command(["kills"])
