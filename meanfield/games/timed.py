"""The problems that mean-field schemes are timed on."""

from __future__ import annotations

from typing import Any, Literal

from meanfield.checks import known_name
from meanfield.games.catalogue import recorded
from meanfield.games.lowrank import LowRank, polynomial_from, trigonometric
from meanfield.start import Start


@recorded
def benchmark(which: Literal["circle", "torus", "sphere"] = "circle") -> LowRank:
    """The three problems that mean-field schemes are timed on.

    answers: "beta" 10, "time" 5, "start".

    Parameters
    ----------
    which : {"circle", "torus", "sphere"}
        The circle, T^2 or S^2.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.games.benchmark("sphere").answers["beta"]
    10.0
    """
    from meanfield.games.formulas.densities import density

    build, x, y, statement = _BENCHMARKS[known_name("which", which, _BENCHMARKS)]
    game: LowRank = build()
    game.name, game.statement = f"{which} benchmark", statement
    game.answers = {"beta": 10.0, "time": 5.0, "start": Start(x=density(x), y=density(y))}
    return game


def _circle_problem() -> LowRank:
    # 0.5 sin 2x cos y is half of sin(2x + y) + sin(2x - y), each entering as -im sin.
    return trigonometric([
        ((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.0, -0.25), ((2,), (-1,), 0.0, -0.25),
        ((0,), (3,), 0.3, 0.0),
    ])  # fmt: skip


def _torus_problem() -> LowRank:
    return trigonometric([
        ((1, 0), (-1, 0), 1.0, 0.0), ((0, 1), (0, -1), 0.7, 0.0),
        ((2, 1), (1, 0), 0.0, -0.25), ((2, 1), (-1, 0), 0.0, -0.25),
        ((0, 0), (0, 3), 0.3, 0.0),
        ((1, -1), (1, 1), 0.0, -0.2), ((-1, 1), (1, 1), 0.0, -0.2),
    ])  # fmt: skip


def _sphere_problem() -> LowRank:
    A = [[0.8, -0.5, 0.2], [0.3, 0.6, -0.7], [-0.2, 0.4, 0.5]]
    B = [[0.5, 0.2, 0.0], [0.2, -0.3, 0.1], [0.0, 0.1, -0.2]]
    return polynomial_from(B, A, 0, 0, [0.3, 0.0, 0.2], [0.0, -0.3, 0.1])


# How the game is built, the densities that x and y start from, and the statement.
_BENCHMARKS: dict[str, tuple[Any, str, str, str]] = {
    "circle": (
        _circle_problem,
        "1 + 0.5*cos(x)",
        "1 + 0.5*cos(y)",
        "l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y, both players from (1 + 0.5 cos)/(2 pi).",
    ),
    "torus": (
        _torus_problem,
        "(1 + 0.5*cos(x1))*(1 + 0.5*cos(x2))",
        "(1 + 0.5*cos(y1))*(1 + 0.5*cos(y2))",
        "l = cos(x1 - y1) + 0.7 cos(x2 - y2) + 0.5 sin(2 x1 + x2) cos y1 + 0.3 cos 3 y2 + "
        "0.4 cos(x1 - x2) sin(y1 + y2), both players from "
        "(1 + 0.5 cos x1)(1 + 0.5 cos x2)/(4 pi^2).",
    ),
    "sphere": (
        _sphere_problem,
        "1 + 0.5*x3",
        "1 + 0.5*y1",
        "l = x'Ay + a'x + b'y + x'Bx on the unit spheres of R^3, from (1 + 0.5 x_3)/(4 pi) and "
        "(1 + 0.5 y_1)/(4 pi).",
    ),
}
