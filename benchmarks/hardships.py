"""python -m benchmarks.hardships [NAME ...]: what becomes of results where a machine fails them.

    calls      every system call of a save fails once, with EIO, ENOSPC, EDQUOT and EINTR (strace)
    short      every write of a save writes fewer bytes than it was asked to (cc)
    full       the disk fills during checkpoints (root)
    readonly   the folder of the result, and every folder but that, cannot be written (root)
    memory     a run under a limit of memory, and what runs take against what they say
    handles    no file can be opened any more
    clock      the clock jumps by a year, back and ahead, while a run goes on (cc)
    hangup     the terminal is closed
    twice      two runs on one output
    elsewhere  another pid namespace looks for partial files beside a living writer (root)

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
from pathlib import Path
from typing import Any

import meanfield as mf
from benchmarks.failing_calls import calls
from meanfield.describe import same_result
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


# What stands before the C library: writes of files that do half of what they are asked or one byte,
# in turn, and a clock of the day that jumps by a year, ahead and back, every 50 ms.
SHORT = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
ssize_t write(int file, const void *from, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    static unsigned count;
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return real(file, from, file > 2 && size > 1 ? (++count % 2 ? size / 2 : 1) : size);
}"""
JUMPS = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static time_t jump(void) {
    struct timespec now;
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_MONOTONIC, &now);
    return ((now.tv_sec * 20 + now.tv_nsec / 50000000) % 3 - 1) * 31536000;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += jump();
    return done;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}"""


def before_libc(folder: Path, source: str) -> dict[str, str]:
    """The environment of a process in which these functions stand before those of the C library."""
    (folder / "before.c").write_text(source)
    cc = ["cc", "-shared", "-fPIC", "-o", str(folder / "before.so"), str(folder / "before.c")]
    subprocess.run([*cc, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(folder / "before.so")}


def short(folder: Path) -> None:
    env = before_libc(folder, SHORT)
    for name, how in (("short.h5", {"env": env}), ("whole.h5", {})):
        done = command("run", job(folder), "--quiet", "--out", folder / name, **how)
        assert done.returncode == 0, done.stderr
    same = same_result(mf.load(folder / "short.h5"), mf.load(folder / "whole.h5"))
    size = (folder / "short.h5").stat().st_size
    print(f"{size:,} bytes, no write of more than half of what was asked: {same}")
    assert same


# -- disks, memory, handles, clocks ---------------------------------------------------------------


def mounted(folder: Path, options: str) -> Path:
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    return disk


def full(folder: Path) -> None:
    for _ in range(3):
        disk = mounted(folder, "size=40m")
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
    for n, saves in ((1_000_000, 2), (300_000, 11)):
        run = job(folder, n, 0.01, 0.01 / (saves - 1))
        spent = "import resource, sys, meanfield.cli as cli\ncode = cli.main(sys.argv[1:])\n"
        spent += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\nsys.exit(code)"
        out = folder / f"{n}.h5"
        words = [sys.executable, "-c", spent, "run", str(run), "--out", str(out)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        promised = next(line for line in said.splitlines() if "of memory" in line).strip()
        held = 1024 * int(said.splitlines()[-1]) / 1e6
        print(f"{n:,} particles: {promised}; took {held:.0f} MB, {out.stat().st_size / 1e6:.1f} MB")
        amount, unit = promised.removeprefix("needs about ").split()[:2]
        assert abs(float(amount) * {"MB": 1, "GB": 1e3}[unit] / held - 1) < 0.1


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
    """Runs write, are stopped and go on while the time of day and the dates of files jump."""
    command("run", job(folder, 1000, 2.0), "--quiet", "--out", folder / "whole.h5")
    env = before_libc(folder, JUMPS)
    ask = "import time; seen = set()\nwhile len(seen) < 3: seen.add(time.gmtime().tm_year)"
    subprocess.run([sys.executable, "-c", ask], env=env, timeout=60, check=True)
    words = [sys.executable, "-m", "meanfield", "run", str(job(folder, 1000, 2.0)), "--quiet"]
    run = subprocess.Popen([*words, "--out", str(folder / "clock.h5")], env=env)
    while not (folder / "clock.h5").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    run.wait()
    for years in (1, -1):
        at = time.time() + years * 365 * 86400
        os.utime(folder / "clock.h5", (at, at))
        done = command("resume", folder / "clock.h5", "--quiet", env=env)
        print(f"the file is {years} year off:", last(done))
        assert done.returncode == 0
    assert same_result(*(mf.load(folder / f"{name}.h5") for name in ("whole", "clock")))


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


def twice(folder: Path) -> None:
    out = folder / "two.h5"
    run = [sys.executable, "-m", "meanfield", "run", str(job(folder, 1000, 2.0)), "--quiet"]
    run += ["--out", str(out), "--set"]
    both = [
        subprocess.Popen([*run, f"run.seed={seed}"], stderr=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]
    said = [one.communicate()[1].strip() for one in both]
    codes = [one.returncode for one in both]
    held = mf.load(out).provenance["seed"]
    print(f"exits {codes}, the file holds seed {held}; told: {max(said, key=len)[:150]}")
    assert sorted(codes) == [0, 2] and codes[held - 1] == 0
    assert "is being written by another run" in said[codes.index(2)]


def elsewhere(folder: Path) -> None:
    write = (
        "import sys, time\nfrom pathlib import Path\nfrom meanfield.storage import atomic\n"
        "def fill(p):\n p.write_bytes(b'x'); print('writing', flush=True); time.sleep(5)\n"
        "atomic.replace(Path(sys.argv[1]), fill)"
    )
    look = (
        "import sys\nfrom pathlib import Path\nfrom meanfield.storage import atomic\n"
        "atomic.sweep(Path(sys.argv[1]))"
    )
    out = folder / "a.h5"
    writer = subprocess.Popen(
        [sys.executable, "-c", write, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    away = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", look, str(folder)]
    subprocess.run(away, check=True)
    print(f"the writer ends with {writer.wait()}, its file holds {out.read_bytes()!r}")
    assert writer.returncode == 0 and out.read_bytes() == b"x"


ALL = {
    f.__name__: f
    for f in (
        calls, short, full, readonly, memory, handles, clock, hangup, twice, elsewhere
    )
}  # fmt: skip


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
