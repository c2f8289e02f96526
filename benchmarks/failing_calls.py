"""Every system call of a save fails once, alone; what became of the file (Linux, with strace)."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from threading import get_ident
from typing import Any

import meanfield as mf
from meanfield.describe import same_result
from meanfield.storage import atomic


def save_in_child(run: Any, target: Path, inject: str, call: str = "") -> tuple[str, str]:
    """A save in a process that strace looks at: what it said, and strace's log."""
    go, told = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go[0], 1)
        try:
            mf.save(run, target, overwrite=True)
            said = b"saved"
        except BaseException as error:
            said = f"told {type(error).__name__}: {error}".encode()
        os.write(told[1], said)
        os._exit(0)
    os.close(told[1])
    mark = f".{target.name}.{atomic._here()}.{child}.{get_ident()}.partial"
    paths = [p for path in (target, target.parent, target.with_name(mark)) for p in ("-P", path)]
    log = target.parent.parent / "strace.log"
    tracer = subprocess.Popen(
        ["strace", "-p", str(child), "-o", str(log), *map(str, paths),
         *(["-e", f"inject={call}:{inject}"] if inject else [])],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    while "attached" not in (line := tracer.stderr.readline()):
        assert line or tracer.poll() is None, "strace did not start"
    os.write(go[1], b"x")
    said = os.read(told[0], 4000).decode()
    status = os.waitpid(child, 0)[1]
    tracer.communicate()
    for end in (*go, told[0]):
        os.close(end)
    return said if status == 0 else f"DIED {status}: {said}", log.read_text()


def calls(folder: Path) -> None:
    game, flow = mf.games.oscillator(), mf.Langevin(25.0)
    run = mf.simulate(game, flow, mf.Start(), time=0.05, step=0.01, particles=2000, save_every=0.01)
    atoms = mf.Measure([[1.0], [2.0]], None, mf.Torus(1))
    for name, new, every in (("two atoms", atoms, 1), ("a run", run, 9)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        _fail_each(name, new, place / "run.h5", every)


def _fail_each(what: str, new: Any, target: Path, every: int) -> None:
    """Each call of a save fails once, alone; of `lseek` and `write` one in `every`."""
    old = mf.uniform(mf.Torus(1))
    mf.save(old, target)
    _, log = save_in_child(new, target, "")
    lines = [line.split("(")[0] for line in log.splitlines() if "(" in line and "+++" not in line]
    names = Counter(lines)
    print(f"a save of {what}, {target.stat().st_size:,} bytes: {len(lines)} calls, {dict(names)}")
    count: Counter[str] = Counter()
    for error in ("EIO", "ENOSPC", "EDQUOT", "EINTR"):
        for name, times in names.items():
            step = every if name in ("lseek", "write") else 1
            for n in range(1, times + 1, step):
                count[_fail(new, old, target, name, error, n)] += 1
    print(f"  {count.total()} failing calls: {dict(count)}", flush=True)


def _fail(new: Any, old: Any, target: Path, name: str, error: str, n: int) -> str:
    """What became of a save whose n-th call of this name fails; AssertionError for a lie."""
    for left in target.parent.iterdir():
        left.unlink()
    mf.save(old, target)
    said, log = save_in_child(new, target, f"error={error}:when={n}", name)
    assert "INJECTED" in log, (error, name, n)
    held = mf.load(target)
    there = "new" if same_result(held, new) else "old" if same_result(held, old) else "neither"
    right = there == "new" if said == "saved" else said.startswith("told") and there != "neither"
    assert right, f"{error} at call {n} of {name}: {said}; the file is {there}"
    kept = ", a partial file left" if len(list(target.parent.iterdir())) > 1 else ""
    return f"{said.split()[0]}, the {there} file whole{kept}"
