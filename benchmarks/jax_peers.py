"""The same steps in JAX: compiled once, automatic derivatives of the mean loss over the n x n
pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.torch_peers import BETA, STEP
from meanfield.games.lowrank import LowRank


def _jax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def sphere_step(game: LowRank, kind: str, n: int, reacts: bool, times: int) -> Callable[[], None]:
    """`times` steps of Algorithm 1 (with noise) or 2 (with weights) on spheres, in one compiled
    loop.
    """
    jax = _jax()
    jnp, d = jax.numpy, game.X.ambient
    A0, A2 = (jnp.asarray(b.S) for b in game.bases)  # type: ignore[attr-defined]
    C = jnp.asarray(game.C)
    A1, A3, a0, a1 = (
        C[1 : d + 1, 1 : d + 1],
        C[d + 1 : -1, 1 : d + 1],
        C[1 : d + 1, 0],
        C[0, 1 : d + 1],
    )

    def loss(x: Any, y: Any, u: Any, v: Any) -> tuple[Any, Any]:
        facing = x @ A1 + (x**2) @ A3 if kind == "a" else x @ A1
        L = (
            (((x @ A0) * x).sum(1) + x @ a0)[:, None]
            + facing @ y.T
            + (((y @ A2) * y).sum(1) + y @ a1)[None, :]
        )
        return u @ L @ v, (L @ v, -(u @ L))

    def step(_: Any, held: Any) -> Any:
        x, y, logs, key = held
        u, v = (jnp.exp(log) for log in logs)
        (gx, gy), costs = jax.grad(loss, (0, 1), has_aux=True)(x, y, u, v)
        moved, fresh = [], []
        for z, g, weight, log, cost in (
            (x, gx, u, logs[0], costs[0]),
            (y, -gy, v, logs[1], costs[1]),
        ):
            w = -STEP * g / weight[:, None]
            if reacts:
                log = log - STEP * cost
                log = log - jax.scipy.special.logsumexp(log)
            else:
                key, one = jax.random.split(key)
                w = w + (2 * STEP / BETA) ** 0.5 * jax.random.normal(one, z.shape)
            w = z + w - (z * w).sum(1, keepdims=True) * z
            moved.append(w / jnp.linalg.norm(w, axis=1, keepdims=True))
            fresh.append(log)
        return moved[0], moved[1], tuple(fresh), key

    run = jax.jit(lambda held: jax.lax.fori_loop(0, times, step, held))
    rng = np.random.default_rng(0)
    logs = tuple(jnp.full(n, -np.log(n)) for _ in range(2))
    state = [(*(jnp.asarray(game.X.sample(n, rng)) for _ in range(2)), logs, jax.random.PRNGKey(0))]

    def work() -> None:
        state[0] = jax.block_until_ready(run(state[0]))

    return work


def circle_pairs(n: int) -> Callable[[], None]:
    """Forces and costs of exp(cos(x - y)) + 0.3 sin 2x cos y at n x n pairs."""
    jax = _jax()
    jnp = jax.numpy
    x, y = (jnp.asarray(v) for v in np.random.default_rng(0).uniform(0, 6.283, (2, n)))

    def total(x: Any, y: Any) -> Any:
        L = (
            jnp.exp(jnp.cos(x[:, None] - y[None, :]))
            + 0.3 * jnp.sin(2 * x)[:, None] * jnp.cos(y)[None, :]
        )
        return L.sum(), (L.sum(1), L.sum(0))

    run = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))
    return lambda: jax.block_until_ready(run(x, y))
