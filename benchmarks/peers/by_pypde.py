"""py-pde: second-order finite differences, its numba backend, adaptive Runge-Kutta."""

from __future__ import annotations

import numpy as np

from benchmarks.peers import Run, Setting
from benchmarks.problems import BETA, TIME, TorusProblem
from meanfield.checks import Array


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


def prepare(problem: TorusProblem, setting: Setting) -> Run:
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
    solver = pde.RungeKuttaSolver(
        equation, adaptive=True, tolerance=setting["tol"], backend="numba"
    )
    stepper = solver.make_stepper(state.copy(), dt=1e-4)

    def run() -> tuple[Array, Array]:
        moving = state.copy()
        stepper(moving, 0.0, TIME)
        return moving[0].data.copy(), moving[1].data.copy()

    return run
