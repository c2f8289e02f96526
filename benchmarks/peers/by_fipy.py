"""FiPy: finite volumes with exponential weights, implicit midpoint steps.

A half step of implicit Euler and u_1 = 2 u_(1/2) - u_0 are the implicit midpoint rule: second order
for one linear solve a step, with cost gradients extrapolated to the midpoint.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import Run, Setting, to_costs
from benchmarks.problems import BETA, TIME, TorusProblem
from meanfield.checks import Array


def _equation(drift: Any, term: str) -> Any:
    import fipy

    return fipy.TransientTerm() + getattr(fipy, term)(coeff=drift) == fipy.DiffusionTerm(
        coeff=1 / BETA
    )


def prepare(problem: TorusProblem, setting: Setting) -> Run:
    """setting: cells n, method (a convection term in FiPy), steps."""
    import fipy
    from fipy.solvers.scipy import LinearLUSolver

    n, width = setting["n"], 2 * np.pi / setting["n"]
    grid = fipy.PeriodicGrid1D(nx=n, dx=width)
    centres = np.asarray(grid.cellCenters.value).T
    owner, neighbour = np.asarray(grid.faceCellIDs)
    maps = to_costs(problem, centres, np.full(n, width))
    features = [basis.values(centres) for basis in problem.game.bases]
    # -grad U at faces, from the cost at cell centres: the exact Gibbs state of the exponential
    # weights.
    pulls = [(f[owner] - f[neighbour]).T / width for f in features]
    start = problem.density(centres)
    u, v = (fipy.CellVariable(mesh=grid, value=start) for _ in range(2))
    drifts = [fipy.FaceVariable(mesh=grid, rank=1) for _ in range(2)]
    equations = [_equation(drift, setting["method"]) for drift in drifts]
    solver, half = LinearLUSolver(), 0.5 * TIME / setting["steps"]

    def run() -> tuple[Array, Array]:
        u.setValue(start)
        v.setValue(start)
        before = None
        for _ in range(setting["steps"]):
            now = [maps[0] @ v.value, maps[1] @ u.value]
            ahead = (
                now
                if before is None
                else [1.5 * a - 0.5 * b for a, b in zip(now, before, strict=True)]
            )
            before = now
            for p, moving in enumerate((u, v)):
                old = moving.value.copy()
                drifts[p].setValue((ahead[p] @ pulls[p])[None, :])
                equations[p].solve(var=moving, dt=half, solver=solver)
                moving.setValue(2 * moving.value - old)
        return u.value.copy(), v.value.copy()

    return run
