"""What every mean-field row is measured against: a refined solution of each problem, at the nodes
of any solver.

A grid is named by the number of its points and by what they are: "nodes" (regular, from 0) and
"centres" (half a cell later) on tori, "gauss" on S^2.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmarks.problems import BETA, PROBLEMS, TIME, Problem, TorusProblem
from meanfield.checks import Array
from meanfield.density.fourier import Galerkin
from meanfield.density.harmonics import Harmonics
from meanfield.flows import Langevin

RESOLVED = {
    "circle": (192, 176),
    "torus": (112, 96),
    "sphere": (40, 36),
}  # modes per axis, degrees; and fewer
STEPS = {"circle": 1 / 1024, "torus": 1 / 1024, "sphere": 1 / 512}  # and twice that with fewer


@lru_cache
def reference(name: str) -> tuple[Galerkin | Harmonics, float]:
    """A run refined in modes and in time, and how far it is from one with twice its step and fewer
    modes.
    """
    problem, runs = PROBLEMS[name], []
    laws = problem.start.laws(problem.manifold, problem.manifold)
    engine = Galerkin if isinstance(problem, TorusProblem) else Harmonics
    for cells, step in zip(RESOLVED[name], (STEPS[name], 2 * STEPS[name]), strict=True):
        runs.append(engine(problem.game, Langevin(BETA), laws, (cells, cells), step))
        runs[-1].advance(TIME)
    size, where = (
        (64**problem.manifold.d, "nodes")
        if isinstance(problem, TorusProblem)
        else (2 * 48**2, "gauss")
    )
    gap = [
        np.abs(np.subtract(*(values(run, problem, p, size, where) for run in runs)))
        for p in range(2)
    ]
    return runs[0], max(float(g @ weights(problem, size, where)) for g in gap)


def values(run: Galerkin | Harmonics, problem: Problem, p: int, size: int, where: str) -> Array:
    """The density of player p at the points of a grid, from the sum over modes itself."""
    if isinstance(run, Harmonics):
        return run.density(p, gauss(size)[0])
    assert isinstance(problem, TorusProblem)
    return _series(run, problem, p, round(size ** (1 / problem.manifold.d)), where)


def _series(run: Galerkin, problem: TorusProblem, p: int, n: int, where: str) -> Array:
    """A Fourier series at n nodes (or cell centres) per axis."""
    torus, k, z = problem.manifold, run.wave_numbers(p), run.modes(p)
    reach = int(np.abs(k).max())
    full = np.zeros((2 * reach + 1,) * torus.d, dtype=complex)
    full[tuple((k + reach).T)] = z
    full[tuple((reach - k).T)] = z.conj()
    at = np.arange(n) + (0.5 if where == "centres" else 0.0)
    wave = np.exp(2j * np.pi * np.outer(at / n, np.arange(-reach, reach + 1)))
    for axis in range(torus.d):
        full = np.moveaxis(np.tensordot(wave, full, (1, axis)), 0, axis)
    return np.asarray(full.real.ravel() / torus.volume)


@lru_cache
def gauss(size: int) -> tuple[Array, Array]:
    """Nodes (2 n^2, 3) and volumes of Gauss's quadrature on S^2: 2 n longitudes, n colatitudes from
    the south.
    """
    n = round((size / 2) ** 0.5)
    height, weight = np.polynomial.legendre.leggauss(n)
    phi, z = np.meshgrid(np.arange(2 * n) * np.pi / n, height, indexing="ij")
    across = np.sqrt(1 - z**2)
    nodes = np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=-1).reshape(-1, 3)
    return nodes, np.tile(weight * np.pi / n, 2 * n)


@lru_cache
def weights(problem: Problem, size: int, where: str) -> Array:
    """Volumes of the cells of a grid."""
    return gauss(size)[1] if where == "gauss" else np.full(size, problem.manifold.volume / size)


@lru_cache
def _exact(name: str, p: int, size: int, where: str) -> Array:
    return values(reference(name)[0], PROBLEMS[name], p, size, where)


def error(problem: Problem, found: tuple[Array, Array], where: str) -> float:
    """The larger player's L1 distance of nodal densities from the reference; infinite for what is
    not a number.
    """
    off = []
    for p, density in enumerate(found):
        exact = _exact(problem.name, p, density.size, where)
        off.append(float(np.abs(density - exact) @ weights(problem, density.size, where)))
    return max(off) if np.isfinite(off).all() else float("inf")
