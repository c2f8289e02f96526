"""Rows of the metrics: W2 on the circle beside POT, on T^2 beside sdot, the exact Nikaido-Isoda
error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.race import Row, Work
from meanfield.games.lowrank import polynomial
from meanfield.manifolds import Torus
from meanfield.measures import Measure, density_on
from meanfield.meshes import mesh
from meanfield.metrics.nikaido import NikaidoIsoda
from meanfield.metrics.w2.distance import w2_squared
from meanfield.metrics.w2.newton import TOLERANCE


def _atoms(n: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(n)
    return rng.random(n), rng.beta(2.0, 3.0, n)


def _circle(n: int, target: float) -> Row:
    def ours() -> Work:
        a, b = (Measure(2 * np.pi * u[:, None], None, Torus(1)) for u in _atoms(n))
        return lambda: w2_squared(a, b)

    def pot() -> Work:
        import ot

        u, v = _atoms(n)
        return lambda: ot.binary_search_circle(u, v, p=2)

    return Row(
        f"W2 on the circle, n={n:g}",
        "distance",
        1.0,
        {"meanfield": ours, "POT": pot},
        target,
        "POT",
    )


def _torus(n: int, cells: int = 64) -> Row:
    """n atoms against a density of cells x cells squares; sdot succeeds pysdot and takes the same
    Newton steps.
    """
    grid = mesh(Torus(2, period=1.0), cells)
    masses = np.prod(1 + 0.5 * np.cos(2 * np.pi * grid.nodes), axis=1) / len(grid)
    points = np.random.default_rng(n).random((n, 2))

    def ours() -> Work:
        atoms, density = (
            Measure(points, None, Torus(2, period=1.0)),
            density_on(masses, grid, "masses"),
        )
        return lambda: w2_squared(atoms, density)

    def sdots() -> Work:
        from sdot import Image, Iterative, OtProblem, SumOfDiracs

        half = -0.5 / cells  # the first node is the centre of the first cell
        image = Image(
            masses.reshape(cells, cells) * cells**2, origin=[half, half], frame=[1.0, 1.0]
        )

        def solve() -> float:
            problem = OtProblem(SumOfDiracs(points), image, periodicity=True)
            return float(problem.solve(Iterative(tol=TOLERANCE)).cost)

        assert abs(solve() / ours()() - 1) < 1e-8
        return solve

    return Row(
        f"W2 on T^2, 64 x 64 cells, n={n:g}",
        "distance",
        1.0,
        {"meanfield": ours, "sdot": sdots},
        None,
        "sdot",
    )


def _nikaido(kind: str) -> Row:
    def made(exact: bool) -> Callable[[], Work]:
        def ready() -> Work:
            game = polynomial(kind, 50)
            rng = np.random.default_rng(0)
            mu, nu = (Measure(m.sample(100, rng), None, m) for m in game.manifolds)
            means = game.moments(0, mu.points, mu.masses), game.moments(1, nu.points, nu.masses)
            ni = NikaidoIsoda(game)
            return (lambda: ni(*means)) if exact else (lambda: ni.estimate(*means, runs=2000))

        return ready

    return Row(
        f"Nikaido-Isoda error, l_{kind}, d=50", "error", 1.0,
        {"meanfield, exact": made(True), "2000 gradient runs": made(False)}, 2000.0,
        "2000 gradient runs",
    )  # fmt: skip


def rows() -> Iterator[Row]:
    yield _circle(10_000, 60.0)
    yield _circle(1_000_000, 15.0)
    yield _torus(1_000)
    yield _torus(10_000)
    yield _nikaido("a")
    yield _nikaido("b")
