"""Dedalus 3: Fourier series on tori, spin-weighted harmonics on S^2; diffusion implicit, the drift
explicit.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from benchmarks.peers import Run, Setting, slopes, to_costs
from benchmarks.problems import BETA, TIME, Problem, SphereProblem
from meanfield.checks import Array


def _public() -> Any:
    logging.getLogger().setLevel(logging.ERROR)
    import dedalus.public

    for name in ("dedalus", "subsystems", "solvers", "numexpr"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for handler in logging.getLogger("dedalus").handlers:
        handler.setLevel(logging.ERROR)
    return dedalus.public


def _torus(d3: Any, d: int, n: int) -> tuple[Any, Any, tuple[Any, ...], Array, Array]:
    """Coordinates, distributor, bases, nodes (N, d) and their quadrature."""
    names = [f"x{a}" for a in range(d)]
    coords = d3.CartesianCoordinates(*names)
    dist = d3.Distributor(coords, dtype=np.float64)
    bases = tuple(d3.RealFourier(coords[a], size=n, bounds=(0, 2 * np.pi)) for a in names)
    axes = [np.ravel(dist.local_grid(b)) for b in bases]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    return coords, dist, bases, nodes, np.full(len(nodes), (2 * np.pi / n) ** d)


def _sphere(d3: Any, n: int) -> tuple[Any, Any, tuple[Any, ...], Array, Array, Array]:
    """The same on S^2 with n colatitudes; and the frame (N, 2, 3) of longitude and colatitude."""
    from benchmarks.references import gauss

    coords = d3.S2Coordinates("phi", "theta")
    dist = d3.Distributor(coords, dtype=np.float64)
    basis = d3.SphereBasis(coords, shape=(2 * n, n), radius=1, dtype=np.float64)
    phi, theta = (np.ravel(g) for g in dist.local_grids(basis))
    f, t = (g.ravel() for g in np.meshgrid(phi, theta, indexing="ij"))
    along = np.stack([-np.sin(f), np.cos(f), 0 * f], axis=-1)
    down = np.stack([np.cos(t) * np.cos(f), np.cos(t) * np.sin(f), -np.sin(t)], axis=-1)
    nodes = np.stack([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t)], axis=-1)
    expected, volumes = gauss(len(nodes))
    assert np.abs(nodes - expected).max() < 1e-12
    return coords, dist, (basis,), nodes, volumes, np.stack([along, down], axis=1)


def _durations(method: str, steps: int) -> list[float]:
    """Equal steps; multistep schemes, which begin with order one, grow into theirs from a step 100
    times shorter.
    """
    sizes = np.ones(steps)
    if method.startswith("SBDF"):
        sizes = np.concatenate([0.01 * 1.5 ** np.arange(11), sizes])
    return [float(h) for h in TIME * sizes / sizes.sum()]


def prepare(problem: Problem, setting: Setting) -> Run:
    """setting: nodes per axis (colatitudes on S^2) n, method (a time stepper in Dedalus), steps."""
    d3, n = _public(), setting["n"]
    if isinstance(problem, SphereProblem):
        coords, dist, bases, nodes, volumes, frame = _sphere(d3, n)
        pulls = [np.einsum("kan,nia->kin", s, frame) for s in slopes(problem, nodes)]
    else:
        coords, dist, bases, nodes, volumes = _torus(d3, problem.manifold.d, n)
        pulls = slopes(problem, nodes)
    u, v = (dist.Field(name=name, bases=bases) for name in "uv")
    maps, tables = to_costs(problem, nodes, volumes), [s.reshape(len(s), -1) for s in pulls]
    shape = u["g"].shape

    def flux(own: Any, other: Any, p: int) -> Array:
        """mu grad U of player p at the nodes: the drift needs the opponent's moments only."""
        pull = ((maps[p] @ other.data.ravel()) @ tables[p]).reshape(-1, *shape)
        return pull * own.data

    def flow(p: int) -> Any:
        args = ((u, v, 0), (v, u, 1))[p]
        return d3.GeneralFunction(dist, u.domain, (coords,), np.float64, "g", flux, args=args)

    F, G, D = flow(0), flow(1), 1 / BETA
    names = {"u": u, "v": v, "F": F, "G": G, "D": D, "lap": d3.lap, "div": d3.div}
    equations = d3.IVP([u, v], namespace=names)
    equations.add_equation("dt(u) - D*lap(u) = div(F)")
    equations.add_equation("dt(v) - D*lap(v) = div(G)")
    # All modes in one matrix: one (diagonal or banded) solve a stage instead of one a mode.
    solver = equations.build_solver(
        getattr(d3, setting["method"]), matrix_coupling=[True] * len(shape)
    )
    durations = _durations(setting["method"], setting["steps"])
    starts = [law(nodes).reshape(shape) for law in problem.densities]

    def run() -> tuple[Array, Array]:
        u["g"], v["g"] = starts
        solver.timestepper._iteration = 0  # a multistep scheme begins again from its first step
        for duration in durations:
            solver.step(duration)
        return u["g"].ravel().copy(), v["g"].ravel().copy()

    return run
