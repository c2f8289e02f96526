"""Rows of the finite-volume exponential exp(A) m, beside scipy's and a chain of sparse products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import expm_multiply

from benchmarks.race import Row, Work
from meanfield.checks import Array
from meanfield.density.uniformisation import Exponential, poisson
from meanfield.manifolds import Sphere, Torus
from meanfield.meshes import Mesh, mesh

PRODUCTS = 200.0  # of the largest total rate with the duration


def jumps(grid: Mesh) -> Array:
    """Scharfetter-Gummel rates (2, F) of a Fokker-Planck equation, so that about PRODUCTS products
    are needed.
    """
    V = np.cos(3 * grid.nodes[:, 0]) + np.sin(2 * grid.nodes[:, 1])
    i, j = grid.pairs.T
    z = 10.0 * (V[j] - V[i])
    weight = np.where(np.abs(z) < 1e-8, 1.0, z / np.expm1(np.where(z == 0, 1.0, z)))
    jump = grid.transmissibilities * np.stack(
        [weight / grid.volumes[i], (weight + z) / grid.volumes[j]]
    )
    leaving = np.bincount(np.concatenate([i, j]), jump.ravel(), len(grid))
    return jump * (PRODUCTS / leaving.max())


def matrix(grid: Mesh, jump: Array) -> Any:
    """The generator A: dm/dt = A m."""
    i, j = grid.pairs.T
    rates = csr_array(
        (np.concatenate([jump[0], jump[1]]), (np.concatenate([j, i]), np.concatenate([i, j])))
    )
    return csr_array(rates - diags_array(rates.sum(axis=0)))


def _row(name: str, grid: Mesh, width: int) -> Row:
    jump = jumps(grid)
    start = np.full(len(grid), 1 / len(grid))
    q = float(-matrix(grid, jump).diagonal().min())
    low, weights = poisson(q)
    count = low + len(weights) - 1

    def ours() -> Work:
        exponential = Exponential(grid)
        return lambda: exponential(jump, start)

    def scipys() -> Work:
        A = matrix(grid, jump)
        return lambda: expm_multiply(A, start)

    def chain() -> Work:
        P = csr_array(eye_array(len(grid)) + matrix(grid, jump) / q)

        def run() -> Array:
            v, total = start, np.zeros(len(grid))
            for k in range(count + 1):
                if k:
                    v = P @ v
                if k >= low:
                    total += weights[k - low] * v
            return total

        return run

    ready: dict[str, Callable[[], Work]] = {
        "meanfield": ours,
        "scipy expm_multiply": scipys,
        "scipy CSR products": chain,
    }
    # A product reads a rate per face of a cell (and its neighbour's number of four bytes where
    # there is no grid), what stays and the old state, and writes the new one; the weighted sum
    # reads and writes once more.
    size = 8.0 * (width + 3 + 3) + (0 if grid.shape else 4.0 * width)
    return Row(
        name, "product", count, ready, None, "scipy CSR products", bytes=count * size * len(grid)
    )


def rows() -> Iterator[Row]:
    yield _row("exponential of jumps, T^2, 256 x 256 cells", mesh(Torus(2), 256), 4)
    yield _row("exponential of jumps, S^2, 100,002 cells", mesh(Sphere(2), 100_002), 6)
