"""Rows of the particle kernels: normals, the paper's polynomial games, pair losses, trigonometric
games.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from benchmarks import jax_peers, torch_peers
from benchmarks.race import Row, Work
from meanfield.flows import Langevin, WassersteinFisherRao
from meanfield.games.formulas.expressions import expression
from meanfield.games.lowrank import LowRank, polynomial, trigonometric
from meanfield.particles import noise
from meanfield.particles.eigenbasis import frame
from meanfield.particles.looks.compiled import march
from meanfield.particles.looks.forms import fits, form
from meanfield.particles.looks.modes import modes as by_modes
from meanfield.particles.state import place, player
from meanfield.start import Start

STEP = torch_peers.STEP


def steps(game: LowRank, flow: Any, n: int, per_call: int = 1) -> Callable[[], Work]:
    """Ours: steps of Euler's scheme of the compiled loop."""

    def ready() -> Work:
        moving: Any = frame(game, flow).game
        states = tuple(place(moving, Start(), (n, n), "iid", 0, 0))
        players: Any = tuple(
            player(moving, p, r, STEP, 0, 0, 1) for p, r in enumerate(flow.players)
        )
        at = count(0, per_call)

        def run() -> None:
            one, two = players
            s, t = states
            looks = (
                (form(one, two, s), form(two, one, t))
                if fits(players)
                else (by_modes(one, s), by_modes(two, t))
            )
            k = next(at)
            march((), 1, False, *looks, states, states, k, k + per_call)

        return run

    return ready


def numpy_steps(game: LowRank, reacts: bool, n: int) -> Callable[[], Work]:
    """The same step in numpy from the game's own features: no matrix of pairs."""

    def ready() -> Work:
        rng = np.random.default_rng(0)
        state = [m.sample(n, rng) for m in game.manifolds]
        logs = [np.full(n, -np.log(n)) for _ in range(2)]

        def step() -> None:
            w = [np.exp(v) for v in logs]
            means = [game.moments(p, state[p], w[p]) for p in range(2)]
            for p, c in enumerate([game.coefficients(0, means[1]), game.coefficients(1, means[0])]):
                v = -STEP * game.bases[p].gradient(state[p], c)
                if reacts:
                    new = logs[p] - STEP * (game.bases[p].values(state[p]) @ c)
                    top = new.max()
                    logs[p] = new - top - np.log(np.exp(new - top).sum())
                else:
                    xi = game.manifolds[p].project(state[p], rng.standard_normal(state[p].shape))
                    v = v + np.sqrt(2 * STEP / torch_peers.BETA) * xi
                state[p] = game.manifolds[p].retract(state[p], v)

        return step

    return ready


def _normals() -> Row:
    out, ticks = np.empty((1, 100_000)), count()

    def generator() -> Work:
        rng = np.random.default_rng(0)
        return lambda: rng.standard_normal(out=out)

    def ours() -> None:
        noise.fill((), out, 100_000, 0, next(ticks), 0, 0, np.uint64(1), 1)

    return Row(
        "normals, 1e5", "normal", 1e5, {"meanfield": lambda: ours, "numpy": generator}, 6.0, "numpy"
    )


def _polynomials() -> Iterator[Row]:
    for reacts, flow, short in (
        (False, Langevin(10.0), "L-DA"),
        (True, WassersteinFisherRao(1.0, 1.0), "WFR-DA"),
    ):
        for kind in "ab":
            for n in (100, 1000):
                game = polynomial(kind, 50)
                target = (
                    100.0
                    if n == 1000
                    else {"L-DA": (35.0, 80.0), "WFR-DA": (45.0, 100.0)}[short]["ab".index(kind)]
                )
                times = 200 if n == 100 else 10  # steps a call: runs are longer still
                step = partial(torch_peers.sphere_step, game, kind, n, reacts)
                ready: dict[str, Callable[[], Work]] = {
                    "meanfield": steps(game, flow, n, times),
                    "PyTorch autograd": _repeated(step, times),
                    "JAX": partial(jax_peers.sphere_step, game, kind, n, reacts, times),
                    "PyTorch moments": _repeated(partial(step, True), times),
                    "numpy features": _repeated(numpy_steps(game, reacts, n), times),
                }
                units = float(times)
                # The product with S of player x in l_a; all else (noise, passes) is not counted.
                yield Row(
                    f"{short}, l_{kind}, n={n}, d=50", "step", units, ready, target,
                    "PyTorch autograd",
                    flops=units * 2.0 * n * 50 * 50 if kind == "a" else 0.0,
                )  # fmt: skip


def _repeated(ready: Callable[[], Work], times: int) -> Callable[[], Work]:
    def again() -> Work:
        work = ready()

        def many() -> None:
            for _ in range(times):
                work()

        return many

    return again


def _pairs() -> Row:
    n = 4000
    text = "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y)"

    def ours() -> Work:
        game: Any = expression(text)
        x, y = np.random.default_rng(0).uniform(0, 6.283, (2, n, 1))
        w = np.full(n, 1 / n)
        return lambda: game.both_forces(x, y, w, w)

    def plain() -> Work:
        x, y = np.random.default_rng(0).uniform(0, 6.283, (2, n))

        def both() -> Any:
            a = x[:, None] - y[None, :]
            e = np.exp(np.cos(a))
            slope = -np.sin(a) * e
            L = e + 0.3 * np.sin(2 * x)[:, None] * np.cos(y)
            return L.mean(1), L.mean(0), slope.mean(1), slope.mean(0)

        return both

    ready = {
        "meanfield": ours,
        "PyTorch autograd": lambda: torch_peers.circle_pairs(n, False),
        "torch.compile": lambda: torch_peers.circle_pairs(n, True),
        "JAX": lambda: jax_peers.circle_pairs(n),
        "numpy": plain,
    }
    return Row(
        "pair loss on the circle, n=4000", "pair", float(n * n), ready, 80.0, "PyTorch autograd"
    )


def _trigonometric() -> Iterator[Row]:
    for modes in (4, 16):
        n = 1_000_000
        game = trigonometric([((k,), (-k,), 1.0 / k**2, 0.0) for k in range(1, modes + 1)])
        ready: dict[str, Callable[[], Work]] = {
            "meanfield": steps(game, Langevin(10.0), n),
            "PyTorch features": partial(torch_peers.trigonometric_step, modes, n),
            "numpy features": numpy_steps(game, False, n),
        }
        # Both players' points are read twice and written once.
        yield Row(
            f"trigonometric, {modes} modes, n=1e6", "particle", 2.0 * n, ready,
            30.0 if modes == 16 else None,
            "PyTorch features", bytes=2 * 3 * 8.0 * n,
        )  # fmt: skip


def _product() -> Row:
    from meanfield.particles.simd.product import product

    rng = np.random.default_rng(0)
    S, x = rng.standard_normal((50, 50)), rng.standard_normal((50, 112))
    out = np.empty_like(x)

    def ours() -> Work:
        def many() -> None:
            for _ in range(100):
                product(S, x, out)

        return many

    def blas() -> Work:
        def many() -> None:
            for _ in range(100):
                np.matmul(S, x, out=out)

        return many

    flops = 100 * 2.0 * 50 * 50 * 112
    return Row("matrix part, 50 x 50 by 112 lanes", "product", 100.0,
               {"meanfield": ours, "numpy (BLAS)": blas},
               None, "numpy (BLAS)", flops=flops)  # fmt: skip


def rows() -> Iterator[Row]:
    yield _normals()
    yield _product()
    yield from _polynomials()
    yield _pairs()
    yield from _trigonometric()
