"""exponax: ETDRK4 in JAX on Fourier coefficients; both players are the channels of one state."""

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
    """setting: nodes per axis n, method "ETDRK4", steps."""
    solve = _solve(problem, setting["n"], setting["steps"])
    start = problem.density(mesh(problem.manifold, setting["n"]).nodes)

    def run() -> tuple[Array, Array]:
        u = np.asarray(solve(np.array([start, start])).block_until_ready())
        return u[0], u[1]

    return run


@lru_cache(maxsize=8)
def _solve(problem: TorusProblem, n: int, steps: int) -> Callable[[Array], Any]:
    """A jitted solve from nodal densities (2, n^d) at 0 to those at TIME."""
    import jax

    jax.config.update("jax_enable_x64", True)  # before arrays are made
    import exponax
    import jax.numpy as jnp

    d = problem.manifold.d
    grid = mesh(problem.manifold, n)
    maps = [jnp.array(m) for m in to_costs(problem, grid.nodes, grid.volumes)]
    pulls = [jnp.array(s) for s in slopes(problem, grid.nodes)]
    k = np.meshgrid(*[np.fft.fftfreq(n, 1 / n)] * (d - 1), np.arange(n // 2 + 1.0), indexing="ij")
    heat = jnp.array(-sum(w**2 for w in k) / BETA, complex)
    # The derivative of the lone mode n/2 is zero at the nodes.
    waves = [jnp.array(1j * w * (2 * np.abs(w) < n)) for w in k]

    class Drift(exponax.nonlin_fun.BaseNonlinearFun):  # type: ignore[misc,name-defined]
        def __call__(self, modes: Any) -> Any:
            now = self.ifft(modes)
            flat = now.reshape(2, -1)
            c = [maps[p] @ flat[1 - p] for p in range(2)]
            total: Any = 0.0
            for a in range(d):
                speed = jnp.stack([c[p] @ pulls[p][:, a] for p in range(2)])
                total = total + waves[a] * self.fft((speed * flat).reshape(now.shape))
            return total

    class Equation7(exponax.BaseStepper):  # type: ignore[misc,name-defined]
        def _build_linear_operator(self, derivative_operator: Any) -> Any:
            return jnp.stack([heat, heat])

        def _build_nonlinear_fun(self, derivative_operator: Any) -> Any:
            return Drift(d, n)

    stepper = Equation7(d, problem.manifold.period, n, TIME / steps, num_channels=2, order=4)
    several = exponax.repeat(stepper.step_fourier, steps)

    @jax.jit
    def solve(u: Any) -> Any:
        u = u.reshape((2,) + (n,) * d)
        modes = several(exponax.fft(u, num_spatial_dims=d))
        return exponax.ifft(modes, num_spatial_dims=d, num_points=n).reshape(2, -1)

    return solve  # type: ignore[no-any-return]
