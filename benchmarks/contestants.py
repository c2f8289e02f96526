"""Solvers of (7) by problem: engines and peers, each with the settings among which its best is
sought.

The settings lie around the best ones that wider searches found (numbers of nodes, integrators,
steps).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from benchmarks.peers import (
    Run,
    Setting,
    by_dedalus,
    by_diffrax,
    by_exponax,
    by_fipy,
    by_pypde,
    by_shenfun,
)
from benchmarks.problems import BETA, TIME, Problem
from benchmarks.references import gauss
from meanfield.checks import Array
from meanfield.density.engine import Engine
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.fourier import Galerkin
from meanfield.density.harmonics import Harmonics
from meanfield.flows import Langevin
from meanfield.meshes import harmonics as spherical


@dataclass(frozen=True)
class Contestant:
    """`prepare` a setting once (compiling), then run it; its densities are at the points `where`
    (`references`).
    """

    name: str
    prepare: Callable[[Any, Setting], Run]
    candidates: Callable[[Problem, float], Iterator[Setting]]
    where: str = "nodes"


# -- ours -----------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _harmonics(L: int) -> Array:
    """Spherical harmonics at the Gauss points of L + 1 colatitudes, (N, (L + 1)^2)."""
    return spherical.values(gauss(2 * (L + 1) ** 2)[0], L)


def _densities(e: Engine) -> tuple[Array, Array]:
    if isinstance(e, Harmonics):
        c = e.coefficients(0), e.coefficients(1)
        x, y = (_harmonics(round(len(v) ** 0.5) - 1) @ v for v in c)
        return x, y
    a, b = e.measures()
    return a.values, b.values  # type: ignore[attr-defined]


def _engine(kind: Any, whole: bool = True) -> Callable[[Problem, Setting], Run]:
    """From laws to densities, or from a state at 0 to densities."""

    def prepare(problem: Problem, setting: Setting) -> Run:
        game, laws = problem.game, problem.start.laws(problem.manifold, problem.manifold)

        n, steps = (setting["n"],) * 2, setting.get("steps")
        chosen = {"tol": setting["tol"]} if steps is None else {"step": TIME / steps}

        def make() -> Engine:
            return kind(game, Langevin(BETA), laws, n, **chosen)

        held = make()
        state = held.state()

        def run() -> tuple[Array, Array]:
            if whole:
                e = make()
            else:
                e = held
                e.restore(state)
            e.advance(TIME)
            return _densities(e)

        return run

    return prepare


Sizes = dict[float, tuple[int | None, ...]]


def _grid(
    sizes: Sizes, factors: tuple[float, ...], equal: dict[float, tuple[int, ...]] | None = None
) -> Any:
    """Nodes (or degrees) by target; controlled steps, with tolerances as multiples of it, and
    numbers of equal steps, as of the peers that control none.
    """

    def candidates(problem: Problem, target: float) -> Iterator[Setting]:
        for n, factor in product(sizes[target], factors):
            yield {"n": n, "tol": factor * target}
        for n, steps in product(sizes[target], (equal or {}).get(target, ())):
            yield {"n": n, "steps": steps}

    return candidates


FREE = _grid({1e-4: (None,), 1e-6: (None,)}, (10, 5, 2, 1))
MODES = _grid(
    {1e-4: (48, 52, 56, 60), 1e-6: (64, 65, 66, 67, 68, 72, 76)},
    (12, 10, 8, 5, 2, 1),
    {1e-4: (24, 25, 27, 28), 1e-6: (81, 82, 83, 87)},
)
DEGREES = _grid(
    {1e-4: (19, 20, 21, 22), 1e-6: (25, 26, 27, 28)},
    (10, 5, 2, 1),
    {1e-4: (19, 20, 25), 1e-6: (62, 63, 64, 69)},
)
CELLS = _grid({1e-4: (128, 160, 192), 1e-6: (1280, 1536)}, (10, 3, 1))


# -- peers ----------------------------------------------------------------------------------------


def _steps(*tried: tuple[float, str, tuple[int, ...], tuple[int, ...]]) -> Any:
    """(target, method, nodes per axis, numbers of equal steps) of steppers without control."""

    def candidates(problem: Problem, target: float) -> Iterator[Setting]:
        for aim, method, nodes, steps in tried:
            for n, count in product(nodes, steps):
                if aim == target:
                    yield {"n": n, "method": method, "steps": count}

    return candidates


def _diffrax(method: str) -> Callable[[Problem, float], Iterator[Setting]]:
    """Explicit solvers: stability holds the step, so the fewest nodes that reach the target are the
    best.
    """

    def candidates(problem: Problem, target: float) -> Iterator[Setting]:
        for n, factor in product({1e-4: (52,), 1e-6: (68, 72)}[target], (1, 0.1, 0.01)):
            yield {"n": n, "method": method, "solver": "Tsit5", "tol": factor * target}

    return candidates


def _pypde(problem: Problem, target: float) -> Iterator[Setting]:
    # Order 2, and a step that falls like 1 / n^2: 1e-6 would take 8000 cells and more than an hour.
    yield {"n": {1e-4: 880, 1e-6: 512}[target], "tol": target}


# Of shenfun and of exponax, which take the same steps.
ETDRK4 = {
    "circle": _steps((1e-4, "ETDRK4", (52,), (28, 30, 34)), (1e-6, "ETDRK4", (68,), (86, 92, 100))),
    "torus": _steps(
        (1e-4, "ETDRK4", (52,), (28, 30, 34)), (1e-6, "ETDRK4", (66, 68, 72), (80, 86, 92))
    ),
}
DEDALUS = {
    "circle": _steps(
        (1e-4, "RKSMR", (52,), (40, 44, 50)), (1e-4, "RK443", (52,), (60,)),
        (1e-4, "SBDF3", (52,), (140, 160)),
        (1e-6, "SBDF4", (68,), (190, 200, 220)), (1e-6, "RK443", (68,), (240,)),
    ),
    "torus": _steps(
        (1e-4, "RKSMR", (52,), (50, 54)), (1e-4, "RK443", (52,), (50,)),
        (1e-4, "SBDF4", (52,), (80, 100, 120)),
        (1e-6, "SBDF4", (68, 72), (190, 200)),
    ),
    "sphere": _steps(
        (1e-4, "RKSMR", (22, 24), (40, 50)), (1e-4, "RK443", (22, 24), (40,)),
        (1e-4, "SBDF4", (22,), (160, 200)),
        (1e-6, "SBDF4", (28,), (220, 240, 260)), (1e-6, "RKSMR", (28,), (240,)),
    ),
}  # fmt: skip
FIPY = _steps(
    (1e-4, "ExponentialConvectionTerm", (208,), (170, 180)),
    (1e-6, "ExponentialConvectionTerm", (2048,), (1800,)),
)

CONTESTANTS: dict[str, tuple[Contestant, ...]] = {
    "circle": (
        Contestant("meanfield", _engine(Galerkin), MODES),
        Contestant("meanfield, from a state at 0", _engine(Galerkin, whole=False), MODES),
        Contestant("meanfield, modes adapted", _engine(Galerkin), FREE),
        Contestant("meanfield, finite volumes", _engine(FiniteVolumes), CELLS),
        Contestant("diffrax, FFT", by_diffrax.prepare, _diffrax("fft")),
        Contestant("diffrax, matrices", by_diffrax.prepare, _diffrax("matrices")),
        Contestant("exponax", by_exponax.prepare, ETDRK4["circle"]),
        Contestant("shenfun", by_shenfun.prepare, ETDRK4["circle"]),
        Contestant("Dedalus", by_dedalus.prepare, DEDALUS["circle"]),
        Contestant("FiPy", by_fipy.prepare, FIPY, "centres"),
        Contestant("py-pde", by_pypde.prepare, _pypde, "centres"),
    ),
    "torus": (
        Contestant("meanfield", _engine(Galerkin), MODES),
        Contestant("meanfield, from a state at 0", _engine(Galerkin, whole=False), MODES),
        Contestant("meanfield, modes adapted", _engine(Galerkin), FREE),
        Contestant("diffrax, FFT", by_diffrax.prepare, _diffrax("fft")),
        Contestant("diffrax, matrices", by_diffrax.prepare, _diffrax("matrices")),
        Contestant("exponax", by_exponax.prepare, ETDRK4["torus"]),
        Contestant("shenfun", by_shenfun.prepare, ETDRK4["torus"]),
        Contestant("Dedalus", by_dedalus.prepare, DEDALUS["torus"]),
    ),
    "sphere": (
        Contestant("meanfield", _engine(Harmonics), DEGREES, "gauss"),
        Contestant(
            "meanfield, from a state at 0", _engine(Harmonics, whole=False), DEGREES, "gauss"
        ),
        Contestant("meanfield, degrees adapted", _engine(Harmonics), FREE, "gauss"),
        Contestant("Dedalus", by_dedalus.prepare, DEDALUS["sphere"], "gauss"),
    ),
}
