"""Other software on the same problems, each at its best: a method here has a `prepare` that compiles.

`prepare(problem, setting)` returns a function without arguments that goes from nodal densities at 0
to nodal densities at TIME, and the nodes' shift in units of a cell (0, or 1/2 for cell centres).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.problems import BETA, TIME, TorusProblem
from meanfield.checks import Array
from meanfield.games.bases import TrigBasis
from meanfield.meshes import mesh

Setting = dict[str, Any]
Run = Callable[[], tuple[Array, Array]]


# -- diffrax: adaptive Runge-Kutta in JAX, the right-hand side by FFT or by differentiation matrices --


def _linear_maps(problem: TorusProblem, n: int) -> tuple[list[Array], list[list[Array]]]:
    """Per player: masses of the opponent -> coefficients of its cost (K, n^d), and gradients of its features."""
    game, grid = problem.game, mesh(problem.torus, n)
    to_costs, gradients = [], []
    for p in range(2):
        own, other = game.bases[p], game.bases[1 - p]
        assert isinstance(own, TrigBasis)
        A = game.coefficients(p, np.eye(other.size))
        to_costs.append(A @ other.values(grid.nodes).T * grid.volumes)
        each = [own.gradient(grid.nodes, e) for e in np.eye(own.size)]
        gradients.append([np.array([g[:, a] for g in each]) for a in range(problem.torus.d)])
    return to_costs, gradients


def prepare_diffrax(problem: TorusProblem, setting: Setting) -> Run:
    """setting: nodes per axis n, method "fft" or "matrices", solver (a name in diffrax), tol."""
    solve = _diffrax_solve(problem, setting["n"], setting["method"], setting["solver"])
    start = problem.density(mesh(problem.torus, setting["n"]).nodes)

    def run() -> tuple[Array, Array]:
        u = np.asarray(solve(np.array([start, start]), setting["tol"]).block_until_ready())
        return u[0], u[1]

    return run


@lru_cache(maxsize=8)
def _diffrax_solve(problem: TorusProblem, n: int, method: str, solver_name: str) -> Callable[[Array, float], Any]:
    """A jitted solve from nodal densities (2, n^d) at 0 to those at TIME; compiled once for all tolerances."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    d = problem.torus.d
    axes = tuple(range(1, d + 1))
    to_costs, gradients = _linear_maps(problem, n)
    maps = [jnp.array(m) for m in to_costs]
    slopes = [[jnp.array(g) for g in per] for per in gradients]
    k = np.fft.fftfreq(n, 1 / n)
    first = k * (2 * np.abs(k) < n)  # the derivative of the lone mode n/2 is zero at the nodes

    def drift(u: Any, a: int) -> Any:
        flat = u.reshape(2, -1)
        return jnp.stack([(maps[p] @ flat[1 - p]) @ slopes[p][a] for p in range(2)]).reshape(u.shape)

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


# -- py-pde: second-order finite differences, its numba backend, adaptive Runge-Kutta -----------------


def _force(problem: TorusProblem, p: int) -> str:
    """Derivative of the cost of player p, as py-pde writes it (dimension one)."""
    opponent, sign, parts = "vu"[p], (1.0, -1.0)[p], []
    for k, m, re, im in problem.terms:
        own, other = (k[0], m[0]) if p == 0 else (m[0], k[0])
        if own == 0:
            continue
        C = f"integral({opponent}*cos({other}*x))" if other else f"integral({opponent})"
        S = f"integral({opponent}*sin({other}*x))" if other else "0"
        sine = f"(sin({own}*x)*{C} + cos({own}*x)*{S})" if other else f"sin({own}*x)*{C}"
        cosine = f"(cos({own}*x)*{C} - sin({own}*x)*{S})" if other else f"cos({own}*x)*{C}"
        parts += [f"({-sign * own * c})*{f}" for c, f in ((re, sine), (im, cosine)) if c]
    return " + ".join(parts)


def prepare_pypde(problem: TorusProblem, setting: Setting) -> Run:
    """setting: cells n, tol of the adaptive Runge-Kutta-Fehlberg stepper."""
    import pde

    n = setting["n"]
    grid = pde.CartesianGrid([[0, 2 * np.pi]], n, periodic=True)
    equation = pde.PDE(
        {
            "u": f"{1 / BETA}*laplace(u) + d_dx(u*({_force(problem, 0)}))",
            "v": f"{1 / BETA}*laplace(v) + d_dx(v*({_force(problem, 1)}))",
        }
    )
    start = problem.density(grid.axes_coords[0][:, None])
    state = pde.FieldCollection([pde.ScalarField(grid, start), pde.ScalarField(grid, start)])
    solver = pde.RungeKuttaSolver(equation, adaptive=True, tolerance=setting["tol"], backend="numba")
    stepper = solver.make_stepper(state.copy(), dt=1e-4)

    def run() -> tuple[Array, Array]:
        moving = state.copy()
        stepper(moving, 0.0, TIME)
        return moving[0].data.copy(), moving[1].data.copy()

    return run
