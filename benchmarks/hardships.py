"""python -m benchmarks.hardships [NAME ...]: what becomes of results where a machine fails them.

    calls      every system call of a save fails once, with EIO, ENOSPC, EDQUOT and EINTR (strace)
    full       the disk fills during checkpoints (root)
    readonly   the folder of the result, and every folder but that, cannot be written (root)
    memory     a run under a limit of memory
    handles    no file can be opened any more
    clock      the clock jumps back a year and ahead a year between checkpoints
    hangup     the terminal is closed

Linux only; run by hand. Each prints what happened and ends with an error where a result was lost,
or was said to be written and is not.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import get_ident
from typing import Any

import meanfield as mf
from meanfield.describe import same_result
from meanfield.storage import atomic
from meanfield.storage.seal import check_seal

JOB = """[game]
name = "oscillator"
[flow]
name = "Langevin"
beta = 25.0
[run]
level = "particles"
particles = {n}
step = 0.001
save_every = {every}
time = {time}
[output]
checkpoint_every = 0.0
"""


def job(folder: Path, n: int = 1000, time: float = 0.2, every: float = 0.02) -> Path:
    path = folder / "job.toml"
    path.write_text(JOB.format(n=n, time=time, every=every))
    return path


def command(*words: Any, **how: Any) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "meanfield", *map(str, words)]
    return subprocess.run(run, capture_output=True, text=True, timeout=300, **how)


def last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines() or [""]
    assert "Traceback" not in done.stderr, done.stderr
    return f"exit {done.returncode}, {len(lines)} lines, the last: {lines[-1][:150]}"


# -- every system call ----------------------------------------------------------------------------


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


# -- disks, memory, handles, clocks ---------------------------------------------------------------


def mounted(folder: Path, options: str) -> Path:
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    return disk


def full(folder: Path) -> None:
    for _ in range(3):
        disk = mounted(folder, "size=3m")
        try:
            run = subprocess.Popen(
                [sys.executable, "-m", "meanfield", "run", str(job(folder, 5000, 2.0)), "--quiet",
                 "--out", str(disk / "o.h5")], stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            while not (disk / "o.h5").exists() and run.poll() is None:
                time.sleep(0.01)
            try:
                with (disk / "fill").open("wb") as fill:
                    while run.poll() is None:
                        fill.write(b"x" * 4096)
                        fill.flush()
            except OSError:
                pass
            said = run.communicate()[1].strip().splitlines()
            held = len(mf.load(disk / "o.h5"))
            print(f"exit {run.returncode}: {said[-1][:160]}; the checkpoint loads, {held} saves")
            assert run.returncode == 1 and len(said) == 1
            assert [p.name for p in disk.iterdir() if "partial" in p.name] == []
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def readonly(folder: Path) -> None:
    disk = mounted(folder, "size=3m")
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = command("run", job(folder), "--quiet", "--out", disk / "o.h5")
        print("the folder cannot be written:", last(done))
        assert done.returncode in (1, 2)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    homes = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MEANFIELD_CACHE")
    bare = {key: value for key, value in os.environ.items() if key not in homes}
    formula = ["--set", 'game.expression="exp(cos(x-y))"', "--set", "game.name=expression"]
    for name, env in (("no HOME", bare), ("HOME is /dev/null", {**bare, "HOME": "/dev/null"})):
        out = folder / f"{name.split()[0]}-{len(name)}.h5"
        env = {
            **env,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "MPLCONFIGDIR": "/dev/null/no",
        }
        done = command("run", job(folder, 100, 0.05), "--out", out, *formula, env=env)
        print(f"{name}:", last(done))
        assert done.returncode == 0 and len(mf.load(out)) == 4


def memory(folder: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    done = command(
        "run", job(folder, 10**8, 0.2), "--quiet", "--out", folder / "big.h5", preexec_fn=limited
    )
    print("too large for the limit:", last(done))
    assert done.returncode in (1, 2) and not (folder / "big.h5").exists()


def handles(folder: Path) -> None:
    run = mf.simulate(mf.games.oscillator(), mf.Langevin(5.0), mf.Start(), time=0.01, particles=10)
    held, before = [], resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        run.save(folder / "handles.h5")
        raise AssertionError("saved without handles")
    except OSError as error:
        print("no handles left:", error)
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not list(folder.glob("*handles*"))
    assert same_result(mf.load(run.save(folder / "handles.h5")), run)


def clock(folder: Path) -> None:
    """Dates of files lie a year ahead and a year back; runs go on all the same."""
    done = command("run", job(folder), "--quiet", "--out", folder / "whole.h5")
    part = job(folder, 1000, 5.0)
    words = [sys.executable, "-m", "meanfield", "run", str(part), "--quiet"]
    words += ["--out", str(folder / "clock.h5")]
    run = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while not (folder / "clock.h5").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    run.wait()
    for years in (1, -1):
        at = time.time() + years * 365 * 86400
        os.utime(folder / "clock.h5", (at, at))
        done = command("resume", folder / "clock.h5", "--quiet")
        print(f"the file is {years} year off:", last(done))
        assert done.returncode == 0


def hangup(folder: Path) -> None:
    out = folder / "hup.h5"
    long = str(job(folder, 2000, 100.0, 1.0))
    run = subprocess.Popen([sys.executable, "-m", "meanfield", "run", long, "--quiet",
                            "--out", str(out)], stderr=subprocess.DEVNULL)  # fmt: skip
    while not out.exists():
        time.sleep(0.05)
    time.sleep(1.0)
    run.send_signal(signal.SIGHUP)
    code = run.wait()
    print(f"SIGHUP: exit {code}, steps kept {mf.load(out).state['step']:,}")
    assert code == 129
    check_seal(out)


ALL = {f.__name__: f for f in (calls, full, readonly, memory, handles, clock, hangup)}


def main() -> int:
    """0 when nothing was lost."""
    layout: Any = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hardships", description=__doc__, formatter_class=layout
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    failed = 0
    for name in parser.parse_args().names or ALL:
        with tempfile.TemporaryDirectory() as folder:
            print(f"-- {name}", flush=True)
            try:
                ALL[name](Path(folder))
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"FAILED: {error!r}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
