"""--executor NAME: who computes the tasks of a command."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from meanfield.cores import cores

PATIENCE = 20  # seconds that a scheduler has to answer
EXECUTORS = ("threads", "processes", "loky", "dask", "mpi")


def add_options(add: Any) -> None:
    """--executor, --scheduler and --workers of a command."""
    add(
        "--executor", choices=EXECUTORS, default="threads",
        help="who computes (default: threads of this process); mpi needs "
        "`mpiexec -n 8 python -m mpi4py.futures -m meanfield ...`",
    )  # fmt: skip
    add("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://10.0.0.1:8786")
    add("--workers", type=int, metavar="N", help="threads or processes (default: all cores)")


def executor(options: Any) -> Callable[[], Executor] | None:
    """What makes the executor asked for; None for threads. BadInput where it is not installed."""
    from meanfield.cli.schema import BadInput

    name, count = options.executor, options.workers
    if options.scheduler and name != "dask":
        raise BadInput("--scheduler belongs to --executor dask")
    if count is not None and count < 1:
        raise BadInput(f"--workers must be at least 1, got {count}")
    if name == "threads":
        return None
    try:
        return {"processes": _processes, "loky": _loky, "dask": _dask, "mpi": _mpi}[name](
            count or cores(), options
        )
    except ImportError as error:
        wanted = {"loky": "loky", "dask": "distributed", "mpi": "mpi4py"}[name]
        raise BadInput(
            f"--executor {name} needs {wanted}: pip install {wanted} ({error})"
        ) from None


def _processes(count: int, _: Any) -> Callable[[], Executor]:
    return lambda: ProcessPoolExecutor(count, get_context("spawn"))


def _loky(count: int, _: Any) -> Callable[[], Executor]:
    import loky

    return lambda: loky.get_reusable_executor(max_workers=count)  # type: ignore[no-any-return]


def _dask(count: int, options: Any) -> Callable[[], Executor]:
    from distributed import Client

    from meanfield.cli.schema import BadInput

    if not (scheduler := options.scheduler):
        return lambda: Client(n_workers=count, threads_per_worker=1).get_executor()  # type: ignore[no-any-return]
    if not options.quiet:
        print(f"  asking {scheduler} for its Dask scheduler, up to {PATIENCE} s", flush=True)
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise BadInput(f"--scheduler {scheduler}: there is no Dask scheduler: {error}") from None
    return client.get_executor  # type: ignore[no-any-return]


def _mpi(_: int, __: Any) -> Callable[[], Executor]:
    from mpi4py.futures import MPIPoolExecutor

    return MPIPoolExecutor  # type: ignore[no-any-return]
