"""diffrax: adaptive Runge-Kutta in JAX, its right-hand side by FFT or by matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.peers import Run, Setting, slopes, to_costs
from benchmarks.problems import BETA, TIME, TorusProblem
from meanfield.checks import Array
from meanfield.meshes import mesh


def prepare(problem: TorusProblem, setting: Setting) -> Run:
    """setting: nodes per axis n, method "fft" or "matrices", solver (a name in diffrax), tol."""
    solve = _solve(problem, setting["n"], setting["method"], setting["solver"])
    start = problem.density(mesh(problem.manifold, setting["n"]).nodes)

    def run() -> tuple[Array, Array]:
        u = np.asarray(solve(np.array([start, start]), setting["tol"]).block_until_ready())
        return u[0], u[1]

    return run


@lru_cache(maxsize=8)
def _solve(
    problem: TorusProblem, n: int, method: str, solver_name: str
) -> Callable[[Array, float], Any]:
    """A jitted solve from nodal densities (2, n^d) at 0 to those at TIME; compiled once for all
    tolerances.
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    d = problem.manifold.d
    axes = tuple(range(1, d + 1))
    grid = mesh(problem.manifold, n)
    maps = [jnp.array(m) for m in to_costs(problem, grid.nodes, grid.volumes)]
    pulls = [jnp.array(s) for s in slopes(problem, grid.nodes)]
    k = np.fft.fftfreq(n, 1 / n)
    first = k * (2 * np.abs(k) < n)  # the derivative of the lone mode n/2 is zero at the nodes

    def drift(u: Any, a: int) -> Any:
        flat = u.reshape(2, -1)
        return jnp.stack([(maps[p] @ flat[1 - p]) @ pulls[p][:, a] for p in range(2)]).reshape(
            u.shape
        )

    last = slice(0, n // 2 + 1)
    grids = np.meshgrid(*[first] * d, indexing="ij")
    waves = [jnp.array(1j * g[..., last]) for g in grids]
    heat = jnp.array(-sum(g**2 for g in np.meshgrid(*[k] * d, indexing="ij"))[..., last] / BETA)

    def by_fft(t: Any, u: Any, _: Any) -> Any:
        total = heat * jnp.fft.rfftn(u, axes=axes)
        for a in range(d):
            total = total + waves[a] * jnp.fft.rfftn(u * drift(u, a), axes=axes)
        return jnp.fft.irfftn(total, s=(n,) * d, axes=axes)

    modes = np.fft.fft(np.eye(n))
    D = jnp.array(np.fft.ifft(1j * first[:, None] * modes, axis=0).real)
    L = jnp.array(np.fft.ifft(-(k**2)[:, None] / BETA * modes, axis=0).real)

    def by_matrices(t: Any, u: Any, _: Any) -> Any:
        total = 0.0
        for a in axes:
            along = jnp.moveaxis(u * drift(u, a - 1), a, -1) @ D.T + jnp.moveaxis(u, a, -1) @ L.T
            total = total + jnp.moveaxis(along, -1, a)
        return total

    term = diffrax.ODETerm({"fft": by_fft, "matrices": by_matrices}[method])
    solver = getattr(diffrax, solver_name)()

    @jax.jit
    def solve(u: Any, tol: Any) -> Any:
        control = diffrax.PIDController(rtol=tol, atol=tol)
        done = diffrax.diffeqsolve(
            term, solver, 0.0, TIME, 1e-2, u.reshape((2,) + (n,) * d),
            stepsize_controller=control, max_steps=200_000, saveat=diffrax.SaveAt(t1=True),
        )  # fmt: skip
        return done.ys[0].reshape(2, -1)

    return solve  # type: ignore[no-any-return]
