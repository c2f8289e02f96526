"""python -m benchmarks.clusters [STUDY ...]: sweeps on executors whose workers die, stop and crawl.

Each study computes the same sweep as threads of this process do, and checks that every task is
done, once, and to the same bits. It starts and ends processes of this machine, and is run by hand:

    dask        a scheduler and three workers; one is killed in the middle of a task, one is stopped
                for a while, one gets half of a processor
    comparison  `compare` on the same
    parts       four jobs of an array at once in one folder, one of them killed and started again
    mpi         mpi4py.futures under mpiexec
    others      spawned processes, loky, executorlib and Parsl
    overhead    seconds a task, for tasks that do nothing

What is not installed is named and left out. The log is printed and kept as a file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from meanfield import executors
from meanfield.describe import describe, same
from meanfield.studies.sweep.folder import Folder, _rows

FILE = """\
[game]
name = "oscillator"

[flow]
name = "Langevin"
beta = 16.0

[run]
level = "particles"
time = 4.0
step = 0.002
particles = 2000
save_every = 0.5
record = ["ni"]

[sweep]
"flow.beta" = {logspace = [4, 64, 5]}
"run.seed" = {range = [0, 12]}
"""
TASKS = 60


class Log:
    """Lines with the seconds since the start, printed and kept."""

    def __init__(self, path: Path) -> None:
        self.path, self.begun = path, time.perf_counter()
        self.path.write_text("")

    def __call__(self, line: str) -> None:
        line = f"{time.perf_counter() - self.begun:7.1f} s  {line}"
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")


def swept(folder: Path | None = None, **more: Any) -> Any:
    """The sweep of FILE, from Python."""
    return mf.sweep(
        mf.simulate, mf.games.oscillator(), mf.Langevin, mf.Start(), folder=folder, time=4.0,
        step=0.002, particles=2000, save_every=0.5, record=["ni"],
        over={"flow.beta": [4.0, 8.0, 16.0, 32.0, 64.0], "seed": range(12)}, **more,
    )  # fmt: skip


def judged(found: Any, right: Any, folder: Path | None) -> str:
    """Whether every task is done, once, and right; raises AssertionError where one is not."""
    assert found.status == ["done"] * TASKS, found.status
    for name, values in right.numbers.items():
        assert np.array_equal(found.numbers[name], values), name
    for name, curves in right.curves.items():
        assert all(map(np.array_equal, found.curves[name], curves)), name
    once = ""
    if folder is not None:
        rows = [row.key for path in Folder(folder).tasks.glob("*.h5") for row in _rows(path)]
        assert len(rows) == len(set(rows)) == TASKS, (len(rows), len(set(rows)))
        once = ", each in the folder once"
    return f"{TASKS} tasks done{once}, all numbers and curves those of threads to the last bit"


@contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, killed at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[Any, list[subprocess.Popen[bytes]]]]:
    """A client, and three workers in processes of their own."""
    from distributed import Client

    where = folder / "scheduler.json"
    run = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    work = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where)]
    work += ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    with ExitStack() as stack:
        options = ["--scheduler-file", str(where), "--port", "0", "--no-dashboard"]
        stack.enter_context(started([*run, *options], folder / "scheduler.log"))
        while not where.exists():
            time.sleep(0.1)
        workers = [
            stack.enter_context(started([*work, "--name", name], folder / f"{name}.log"))
            for name in ("first", "second", "third")
        ]
        client = stack.enter_context(Client(scheduler_file=str(where)))
        client.wait_for_workers(3, timeout=120)
        yield client, workers


def troubled(client: Any, workers: list[subprocess.Popen[bytes]], log: Log) -> Any:
    """Kill the first while it computes, stop the second for ten seconds, slow the third."""
    first, second, third = workers
    ended = threading.Event()

    def busy(name: str) -> bool:
        held = client.processing()
        names = {w["id"]: address for address, w in client.scheduler_info()["workers"].items()}
        return bool(held.get(names.get(name), ()))

    def slow() -> None:
        while not ended.is_set() and third.poll() is None:
            for number in (signal.SIGSTOP, signal.SIGCONT):
                third.send_signal(number)
                time.sleep(0.1)

    def trouble() -> None:
        threading.Thread(target=slow, daemon=True).start()
        log("the third worker gets half of a processor")
        while not busy("first"):
            time.sleep(0.05)
        time.sleep(1.0)
        log(f"the first worker is killed; it had {'a task' if busy('first') else 'none'}")
        first.kill()
        log("the second worker is stopped")
        second.send_signal(signal.SIGSTOP)
        time.sleep(10)
        second.send_signal(signal.SIGCONT)
        log("the second worker goes on")

    thread = threading.Thread(target=trouble, daemon=True)
    thread.start()
    return thread, ended


def dask(right: Any, folder: Path, log: Log) -> None:
    with dask_cluster(folder) as (client, workers):
        log("a Dask scheduler and three workers run")
        thread, ended = troubled(client, workers, log)
        found = swept(folder / "sweep", executor=client.get_executor())
        thread.join()
        ended.set()
        log(f"sweep: {judged(found, right, folder / 'sweep')}")


def comparison(right: Any, folder: Path, log: Log) -> None:
    game = mf.games.oscillator(3.0)
    given = game, mf.Langevin(25.0), game.answers["start"]
    how: Any = {"time": 2.0, "particles": (100, 1000), "replicas": (64, 24), "step": 0.005}
    plain = mf.compare(*given, **how)
    with dask_cluster(folder) as (client, workers):
        thread, ended = troubled(client, workers, log)
        path = folder / "study.h5"
        found = mf.compare(*given, **how, executor=client.get_executor(), checkpoint=path)
        thread.join()
        ended.set()
    for name, arrays in plain.samples.items():
        assert all(map(np.array_equal, found.samples[name], arrays)), name
    assert same(describe(found.sup), describe(plain.sup))
    assert [p.name for p in folder.glob("*.h5")] == ["study.h5"]
    log("comparison: every replica's measurements and all intervals as by threads")


def parts(right: Any, folder: Path, log: Log) -> None:
    (folder / "s.toml").write_text(FILE)
    run = [sys.executable, "-m", "meanfield", "sweep", str(folder / "s.toml"), "--no-plot"]
    run += ["--out", str(folder / "sweep"), "--workers", "1", "--part"]
    with ExitStack() as stack:
        jobs = [
            stack.enter_context(started([*run, f"{i}/4"], folder / f"part-{i}.log"))
            for i in (1, 2, 3, 4)
        ]
        log("four jobs of an array run in one folder")
        while len(list((folder / "sweep" / "tasks").glob("*.h5"))) < 3:
            time.sleep(0.2)
        jobs[2].kill()
        jobs[2].wait()
        log("the third is killed")
        again = stack.enter_context(started([*run, "3/4"], folder / "part-3.log"))
        double = stack.enter_context(started([*run, "4/4"], folder / "part-4.log"))
        log("the third is started again, and the fourth a second time beside itself")
        codes = [job.wait(600) for job in (*jobs[:2], jobs[3], again, double)]
        assert codes == [0] * 5, codes
    found = mf.load(folder / "sweep" / "sweep.h5")
    log(f"parts: {judged(found, right, folder / 'sweep')}")


def mpi(right: Any, folder: Path, log: Log) -> None:
    mpiexec = shutil.which("mpiexec") or str(Path(sys.executable).with_name("mpiexec"))
    import mpi4py  # noqa: F401

    (folder / "s.toml").write_text(FILE)
    run = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", "meanfield", "sweep"]
    run += [str(folder / "s.toml"), "--no-plot", "--out", str(folder / "sweep")]
    # Open MPI refuses more processes than cores, and waits in loops, unless it is told.
    for name in ("rmaps_base_oversubscribe", "mpi_yield_when_idle"):
        os.environ[f"OMPI_MCA_{name}"] = "1"
    with started([*run, "--executor", "mpi"], folder / "mpi.log") as process:
        code = process.wait(600)
    assert code == 0, (folder / "mpi.log").read_text()[-2000:]
    found = mf.load(folder / "sweep" / "sweep.h5")
    log(f"mpi: {judged(found, right, folder / 'sweep')}")


@contextmanager
def _parsl(folder: Path) -> Iterator[Any]:
    from parsl.concurrent import ParslPoolExecutor
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor

    workers = HighThroughputExecutor(
        max_workers_per_node=2, cores_per_worker=1, address="127.0.0.1"
    )
    with ParslPoolExecutor(Config([workers], run_dir=str(folder / "parsl"))) as pool:
        yield pool


@contextmanager
def _executorlib(_: Path) -> Iterator[Any]:
    from executorlib import SingleNodeExecutor

    with SingleNodeExecutor(max_workers=2, block_allocation=True) as pool:
        yield pool


@contextmanager
def _loky(_: Path) -> Iterator[Any]:
    import loky

    yield loky.get_reusable_executor(max_workers=2)


@contextmanager
def _spawned(_: Path) -> Iterator[Any]:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield pool


@contextmanager
def _threads(_: Path) -> Iterator[Any]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@contextmanager
def _dask(folder: Path) -> Iterator[Any]:
    with dask_cluster(folder) as (client, _):
        yield client.get_executor()


POOLS: dict[str, Callable[[Path], Any]] = {
    "threads": _threads, "spawned": _spawned, "loky": _loky, "dask": _dask,
    "executorlib": _executorlib, "parsl": _parsl,
}  # fmt: skip


def others(right: Any, folder: Path, log: Log) -> None:
    for name in ("spawned", "loky", "executorlib", "parsl"):
        try:
            with POOLS[name](folder) as pool:
                clock = time.perf_counter()
                found = swept(executor=pool)
                log(f"{name}: {judged(found, right, None)}; {time.perf_counter() - clock:.1f} s")
        except ImportError as error:
            log(f"{name} left out: {error}")


def nothing(item: Any) -> Any:
    """The task of which only the overhead is left."""
    return item


def overhead(right: Any, folder: Path, log: Log) -> None:
    """Seconds a task that is sent by itself, two workers."""
    before, executors.BATCH = executors.BATCH, 0.0
    for name, make in POOLS.items():
        folder_of = Path(tempfile.mkdtemp(dir=folder))
        try:
            with make(folder_of) as pool:
                workers = executors.Workers(pool)
                list(executors.spread(nothing, range(50), workers, 50))
                clock = time.perf_counter()
                found = dict(executors.spread(nothing, range(500), workers, 500))
                seconds = (time.perf_counter() - clock) / 500
            assert found == {k: k for k in range(500)}
            log(f"overhead of {name}: {1e3 * seconds:.2f} ms a task")
        except ImportError as error:
            log(f"{name} left out: {error}")
    executors.BATCH = before


STUDIES = {f.__name__: f for f in (dask, comparison, parts, mpi, others, overhead)}


def main() -> int:
    """0 when every study completes with every value right."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.clusters", description=__doc__, formatter_class=layout
    )
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=", ".join(STUDIES))
    parser.add_argument("--out", type=Path, default=Path("results/clusters"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "log.txt")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    # Parsl starts its workers by name.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    right = swept()
    log(f"threads: {judged(right, right, None)}")
    for name in options.studies or STUDIES:
        folder = options.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            STUDIES[name](right, folder.resolve(), log)
        except ImportError as error:
            log(f"{name} left out: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
