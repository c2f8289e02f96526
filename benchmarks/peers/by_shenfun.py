"""shenfun: Fourier spaces and its own integrators; both players are the components of one state."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import Run, Setting, slopes, to_costs
from benchmarks.problems import BETA, TIME, TorusProblem
from meanfield.checks import Array
from meanfield.meshes import mesh


def _space(d: int, n: int) -> Any:
    """Both players' space of real Fourier series."""
    import shenfun
    from mpi4py import MPI

    one = [shenfun.FunctionSpace(n, "F", dtype="d" if a == d - 1 else "D") for a in range(d)]
    each = one[0] if d == 1 else shenfun.TensorProductSpace(MPI.COMM_SELF, tuple(one))
    return shenfun.CompositeSpace([each, each])


def prepare(problem: TorusProblem, setting: Setting) -> Run:
    """setting: nodes per axis n, method (an integrator in shenfun), steps."""
    import shenfun

    d, n = problem.manifold.d, setting["n"]
    grid, space = mesh(problem.manifold, n), _space(d, n)
    maps, pulls = to_costs(problem, grid.nodes, grid.volumes), slopes(problem, grid.nodes)
    k = np.meshgrid(*[np.fft.fftfreq(n, 1 / n)] * (d - 1), np.arange(n // 2 + 1.0), indexing="ij")
    heat = -sum(w**2 for w in k) / BETA
    # The derivative of the lone mode n/2 is zero at the nodes. `scalar_product` is `forward` here
    # (the mass matrix is the identity) without its question to sympy, each time, whether
    # coordinates are Cartesian.
    waves = [1j * w * (2 * np.abs(w) < n) for w in k]
    u, z, flux, part = (
        shenfun.Array(space),
        shenfun.Function(space),
        shenfun.Array(space),
        shenfun.Function(space),
    )

    def drift(_: Any, now: Any, modes: Any, rates: Any, **__: Any) -> Any:
        now = space.backward(modes, now)
        flat, out = np.asarray(now).reshape(2, -1), np.asarray(flux).reshape(2, -1)
        c = [maps[p] @ flat[1 - p] for p in range(2)]
        total: Any = 0.0
        for a in range(d):
            for p in range(2):
                np.multiply(c[p] @ pulls[p][:, a], flat[p], out=out[p])
            total = total + waves[a] * np.asarray(space.scalar_product(flux, part))
        rates[:] = total
        return rates

    integrator = getattr(shenfun, setting["method"])(space, L=lambda *_, **__: heat, N=drift)
    start, step = problem.density(grid.nodes).reshape((n,) * d), TIME / setting["steps"]

    def run() -> tuple[Array, Array]:
        u[:] = start
        space.forward(u, z)
        integrator.solve(u, z, step, (0.0, TIME))
        found = np.array(space.backward(z, u)).reshape(2, -1)
        return found[0], found[1]

    return run
