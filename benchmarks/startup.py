"""Start-up: processor time of a process from its start to a first result, with nothing compiled and
with all.

Each line runs in processes of its own. The cold one is given an empty directory for what is
compiled (numba's, ours, torch's); the warm ones the directory that it filled. What is shown is user
and system time of the process and of those it starts, so that the rest of the machine does not
matter; elapsed seconds stand beside in the file.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

CACHES = ("NUMBA_CACHE_DIR", "MEANFIELD_CACHE", "TORCHINDUCTOR_CACHE_DIR")

OURS = "import meanfield as mf\n"
FORMULA = "mf.games.expression('exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)')"
CIRCLE = (
    "mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.0, -0.25), "
    "((2,), (-1,), 0.0, -0.25)])"
)


def _particles(game: str) -> str:
    how = "time=0.01, step=1e-3, particles=100, seed=0"
    return f"{OURS}mf.simulate({game}, mf.Langevin(beta=25.0), mf.Start(), {how})\n"


_LOSS = "exp(cos(x[:, None] - y[None, :])) + 0.3 * sin(2 * x)[:, None] * cos(y)[None, :]"
_TORCH_LOSS = (
    _LOSS.replace("exp", "torch.exp").replace("cos", "torch.cos").replace("sin", "torch.sin")
)
_JAX_LOSS = _TORCH_LOSS.replace("torch.", "jnp.")
_TORCH = (
    "import torch\ntorch.set_num_threads(1)\nx, y = (torch.rand(100, requires_grad=True) for _ in "
    "range(2))\n"
    f"def loss(x, y):\n    return ({_TORCH_LOSS}).mean()\n"
)
_JAX = (
    "import jax\nimport jax.numpy as jnp\nx, y = jnp.linspace(0, 6, 100), jnp.linspace(1, 5, 100)\n"
    f"def loss(x, y):\n    return ({_JAX_LOSS}).mean()\n"
)

# Name, package, program.
LINES: tuple[tuple[str, str, str], ...] = (
    ("import meanfield", "meanfield", OURS),
    ("oscillator, particles", "meanfield", _particles("mf.games.oscillator(coupling=3.0)")),
    ("l_a in dimension 50, particles", "meanfield", _particles("mf.games.polynomial('a', 50)")),
    ("a formula on the circle, particles", "meanfield", _particles(FORMULA)),
    (
        "(7) on the circle",
        "meanfield",
        f"{OURS}mf.solve({CIRCLE}, mf.Langevin(beta=10.0), mf.Start(), time=1.0)\n",
    ),
    ("import torch", "torch", "import torch\n"),
    ("the formula, autograd", "torch", f"{_TORCH}torch.autograd.grad(loss(x, y), (x, y))\n"),
    (
        "the formula, torch.compile",
        "torch",
        f"{_TORCH}torch.autograd.grad(torch.compile(loss)(x, y), (x, y))\n",
    ),
    ("import jax", "jax", "import jax\n"),
    (
        "the formula, jitted",
        "jax",
        f"{_JAX}jax.block_until_ready(jax.jit(jax.grad(loss, (0, 1)))(x, y))\n",
    ),
)


@dataclass(frozen=True)
class Spent:
    """Seconds of one process: of processors, and elapsed."""

    processor: float
    elapsed: float


def spent(program: str, cache: str) -> Spent:
    """Run a program; RuntimeError with the last line it said where it fails."""
    where = {name: os.path.join(cache, name) for name in CACHES}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **where, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    elapsed, after = perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, elapsed)


def measure(name: str, package: str, program: str, repeats: int = 3) -> dict[str, Any]:
    """One cold start and the median of warm ones."""
    with tempfile.TemporaryDirectory() as cache:
        cold = spent(program, cache)
        warm = [spent(program, cache) for _ in range(repeats)]
    return {
        "start": name, "package": package, "cold_s": cold.processor, "cold_elapsed_s": cold.elapsed,
        "warm_s": median(w.processor for w in warm),
        "warm_elapsed_s": median(w.elapsed for w in warm),
    }  # fmt: skip


def table() -> list[dict[str, Any]]:
    """Measure and print all lines whose package is there."""
    print("\n| from the start of a process to | package | cold s | warm s |\n|---|---|---|---|")
    found = []
    for name, package, program in LINES:
        if find_spec(package) is None:
            print(f"left out: {name}: {package} is not installed")
            continue
        try:
            found.append(measure(name, package, program))
        except RuntimeError as error:
            print(f"left out: {name}, {package}: {error}")
            continue
        print(
            f"| {name} | {package} | {found[-1]['cold_s']:.2f} | {found[-1]['warm_s']:.2f} |",
            flush=True,
        )
    return found
