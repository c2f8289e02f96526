"""Exact equilibria and Nikaido-Isoda errors are exact.

Values of the paper's games by the double oracle are held against linear programs on grids of S^1 x
S^1, which may miss a bounded amount, and, where cvxpy is installed, against the moment relaxation:
the game's value as one semidefinite program, exact for quadratics on spheres. Wang & Chizat's
example 4.1 is known in closed form. Ends of runs polish to equilibria. NI by trust regions is held
against the paper's estimate, the best of 2000 gradient runs a player, at random measures and at the
ends of runs: the estimate never exceeds it, reaches it where the landscape is easy, and misses it
near equilibrium, where it matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.common import label
from validation.suite import Part

WHERE = ("random", "mirror descent", "WFR")
EASY = 20  # dimension up to which 1000 steps reach the best response to random measures


@dataclass(frozen=True)
class Settings:
    """Seeds of grid programs, dimensions of the other checks; what is wrong.

    forgotten: leave A3 and a1 out of the programs. tol: of `nash` and of the exactness asked of its
    certificate.
    """

    seeds: int
    programs: tuple[int, ...]
    polished: tuple[int, ...]
    runs: tuple[int, ...]
    games: int
    steps: tuple[int, ...] = (30, 100, 1000)
    forgotten: bool = False
    tol: float = 1e-9


QUICK = Settings(2, (2, 10, 20), (3, 10), (2, 5, 20), 2)
FULL = Settings(8, (2, 3, 5, 10, 20, 30, 50), (2, 3, 5, 10, 20, 50), (2, 5, 10, 20, 50, 100), 5)
_FEW = replace(QUICK, programs=(), polished=(), runs=(), seeds=1)
SABOTAGES = {
    "terms of y left out of the programs": replace(_FEW, forgotten=True),
    "a double oracle stopped early": replace(_FEW, tol=0.3),
}


def matrices(kind: str, d: int, seed: int, forgotten: bool) -> tuple[Array, ...]:
    """The arrays of l_a or l_b drawn as their definition says."""
    rng = np.random.default_rng(seed)
    A0, A1, A2, A3 = rng.standard_normal((4, d, d))
    a0, a1 = rng.standard_normal((2, d))
    if kind == "b":
        A0, A2, A3 = A0.T @ A0, A2.T @ A2, 0 * A3
    return (A0, A1, A2, 0 * A3, a0, 0 * a1) if forgotten else (A0, A1, A2, A3, a0, a1)


def grids(kind: str, seed: int, forgotten: bool, tol: float, N: int = 240) -> dict[str, Any]:
    """Value on S^1 x S^1 and on a grid of it, and the h^2/8 curvature by which these may differ."""
    from scipy.optimize import linprog

    A0, A1, A2, A3, a0, a1 = matrices(kind, 2, seed, forgotten)
    angle = np.arange(N) * 2 * np.pi / N
    z = np.stack([np.cos(angle), np.sin(angle)], 1)
    of_x, of_y = ((z @ A * z).sum(1) + z @ a for A, a in ((A0, a0), (A2, a1)))
    loss = of_x[:, None] + z @ A1 @ z.T + of_y + z**2 @ A3.T @ z.T
    value = linprog(
        np.r_[np.zeros(N), 1.0], A_ub=np.c_[loss.T, -np.ones(N)], b_ub=np.zeros(N),
        A_eq=np.r_[np.ones(N), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * N + [(None, None)],
    ).fun  # fmt: skip
    bend = 4 * sum(np.abs(A).sum() for A in (A0, A1, A2, A3)) + np.abs(a0).sum() + np.abs(a1).sum()
    exact = mf.nash(mf.games.polynomial(kind, dim=2, seed=seed), tol=tol)
    return {
        "off": abs(value - exact.value) / (bend * (2 * np.pi / N) ** 2 / 8),
        "certificate": exact.error,
    }


def program(kind: str, d: int, seed: int, forgotten: bool) -> dict[str, Any]:
    """The value by `nash` and by min <A0, M> + a0'm + max over y, trace M = 1, [[1, m'], [m, M]] >=
    0, the max dual.
    """
    import cvxpy

    # Players matter through E x and E xx' alone, and on the sphere the matrices [[1, m'], [m, M]]
    # >= 0 of trace M = 1 are exactly those moments' convex hull. The loss is scaled, or the solver
    # fails from d = 30 on.
    scale = np.sqrt(d) if kind == "a" else d
    A0, A1, A2, A3, a0, a1 = (A / scale for A in matrices(kind, d, seed, forgotten))
    Z, s, t = (
        cvxpy.Variable((d + 1, d + 1), symmetric=True),
        cvxpy.Variable((1, 1)),
        cvxpy.Variable(),
    )
    m, M = Z[1:, 0], Z[1:, 1:]
    q = cvxpy.reshape(A1.T @ m + A3 @ cvxpy.diag(M) + a1, (d, 1), order="C")
    inner = cvxpy.bmat([[s, -q.T / 2], [-q / 2, t * np.eye(d) - (A2 + A2.T) / 2]])
    objective = cvxpy.trace((A0 + A0.T) / 2 @ M) + a0 @ m + s[0, 0] + t
    problem = cvxpy.Problem(
        cvxpy.Minimize(objective), [Z >> 0, inner >> 0, Z[0, 0] == 1, cvxpy.trace(M) == 1]
    )
    problem.solve(solver="CLARABEL")
    exact = mf.nash(mf.games.polynomial(kind, dim=d, seed=seed))
    return {"off": abs(problem.value - exact.value / scale), "certificate": exact.error / scale}


def example() -> dict[str, Any]:
    """Distance of example 4.1's equilibrium from its closed form."""
    game = mf.games.wang_chizat()
    exact = mf.nash(game)
    gaps = [
        mf.w2(mu, nu)
        for mu, nu in zip((exact.x, exact.y), game.answers["equilibrium"], strict=True)
    ]
    return {"value": exact.value, "w2": np.max(gaps)}


def polished(kind: str, d: int) -> dict[str, Any]:
    """NI of the end of a run of 100 particles, and of what it polishes to."""
    game = mf.games.polynomial(kind, dim=d, seed=3)
    run = mf.simulate(
        game, mf.WassersteinFisherRao(), mf.Start(), 3.0, step=1e-3, particles=100, seed=1
    )
    found = mf.polish(game, *run[-1])
    return {"before": found.before, "after": found.after}


def states(game: Game, seed: int) -> dict[str, tuple[mf.Measure, mf.Measure]]:
    """Where errors are looked at: random measures, and the ends of runs."""
    rng = np.random.default_rng(seed)
    x, y = (mf.Measure(M.sample(50, rng), None, M) for M in game.manifolds)
    ends = [
        mf.simulate(game, flow, mf.Start(), time, step=1e-3, particles=50, seed=seed)[-1]
        for flow, time in (
            (mf.MirrorDescent(), 5.0),
            (mf.WassersteinFisherRao(), 10.0 if game.X.ambient <= 20 else 5.0),
        )
    ]
    return dict(zip(WHERE, ((x, y), *ends), strict=True))


def missed(d: int, games: int, steps: tuple[int, ...]) -> dict[str, Any]:
    """1 - estimate/exact (games, places, steps); the most that an estimate exceeds the exact, over
    the largest loss.
    """
    shares, above = [], 0.0
    for seed in range(games):
        for kind in "ab":
            game = mf.games.polynomial(kind, dim=d, seed=seed)
            error, rows = mf.NikaidoIsoda(game), []
            for pair in states(game, seed).values():
                exact, size = (
                    error(*pair).value,
                    float(np.abs(game.loss(pair[0].points, pair[1].points)).max()),
                )
                seen = np.array([error.estimate(*pair, steps=count).value for count in steps])
                above = max(above, float((seen - exact).max()) / size)
                # An error at rounding is none to miss.
                rows.append(1 - seen / exact if exact > 1e-9 * size else 0 * seen)
            shares.append(rows)
    return {"missed": np.array(shares), "above": above}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {"example": partial(example)}
    for kind in "ab":
        found |= {
            label("grid", kind, k): partial(grids, kind, k, s.forgotten, s.tol)
            for k in range(s.seeds)
        }
        if find_spec("cvxpy"):
            found |= {
                label("program", kind, d): partial(program, kind, d, 0, s.forgotten)
                for d in s.programs
            }
        found |= {label("polished", kind, d): partial(polished, kind, d) for d in s.polished}
    return found | {label("missed", d): partial(missed, d, s.games, s.steps) for d in s.runs}


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    def worst(kind: str, what: str) -> list[float]:
        found = [float(held[what]) for name, held in data.items() if name.startswith(kind)]
        return [float(np.max(found))] if found else []

    verdicts = [
        below("example 4.1: W2 from its equilibrium", float(data["example"]["w2"]), 1e-7),
        Verdict("example 4.1: value", float(data["example"]["value"]), 0, 1e-12),
        *(
            below("grid programs on S^1: values off, over what a grid may miss", v, 1)
            for v in worst("grid", "off")
        ),
        *(below("the same games: certificates", v, 1e-9) for v in worst("grid", "certificate")),
        *(
            below("semidefinite programs: values off, over sqrt d or d", v, 1e-7)
            for v in worst("program", "off")
        ),
        *(below("the same games: certificates", v, 1e-10) for v in worst("program", "certificate")),
        *(below("NI after polishing ends of runs", v, 1e-11) for v in worst("polished", "after")),
        *(
            below("estimates above the exact NI, over the largest loss", v, 1e-13)
            for v in worst("missed", "above")
        ),
    ]
    if easy := [data[label("missed", d)]["missed"][:, 0, -1].max() for d in s.runs if d <= EASY]:
        what = (
            f"random measures, d up to {EASY}, {s.steps[-1]} steps: share of NI that 2000 runs miss"
        )
        verdicts.append(below(what, float(np.max(easy)), 1e-9))
    return verdicts


def note(data: dict[str, Data]) -> str:
    """Whether semidefinite programs were solved."""
    solved = any(name.startswith("program") for name in data)
    return (
        ""
        if solved
        else "semidefinite programs were left out: they need cvxpy (pip install '.[sdp]')"
    )


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """The share of NI that gradient runs miss, by place, dimension and steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, len(WHERE), sharey=True)
    for j, (ax, where) in enumerate(zip(axes, WHERE, strict=True)):
        for k, count in enumerate(s.steps):
            for d in s.runs:
                values = np.maximum(data[label("missed", d)]["missed"][:, j, k], 1e-16)
                ax.plot(np.full(len(values), d) * 1.06**k, values, "os^"[k], color=f"C{k}", ms=3)
            ax.plot([], [], "os^"[k], color=f"C{k}", ms=3, label=f"{count} steps")
        ax.set(xscale="log", yscale="log", xlabel="dimension $d$", title=where)
        ax.set_xticks(s.runs, [str(d) for d in s.runs])
        ax.minorticks_off()
    axes[0].set_ylabel("share of NI missed by 2000 runs")
    axes[0].legend(fontsize=8)
    return {"missed": figure}
