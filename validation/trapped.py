"""Runs of the plain flow's two kinds of games, separable wells and the coupled game, and of what
does better there.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.games.base import Game

W, S, T, C = 0.4, 0.2, 0.3, 1.0
TILT = 0.3
WAVES = (
    ((1, 0.3, 0.2), (2, 0.5, -0.4), (3, -0.3, 0.6)),
    ((1, -0.2, 0.5), (3, 0.4, 0.3), (4, 0.2, -0.1)),
)


def coupled(c: float = C) -> Game:
    return mf.games.trigonometric([
        ((2,), (0,), W, 0.0), ((1,), (0,), 0.0, -S), ((0,), (2,), -W, 0.0), ((0,), (1,), 0.0, T),
        ((1,), (-1,), c / 2, 0.0), ((1,), (1,), -c / 2, 0.0),
    ])  # fmt: skip


def beyond_the_tops(points: Array) -> Array:
    """A density above and below the tops, nine tenths above; |sin| > 0.82 where the tops reach 0.75
    and 0.8125.
    """
    z = np.sin(points[:, 0])
    return 0.9 * np.maximum(z - 0.82, 0) ** 2 + 0.1 * np.maximum(-z - 0.82, 0) ** 2


STARTS = {"beyond the tops": mf.Start(x=beyond_the_tops, y=beyond_the_tops), "uniform": mf.Start()}


def plainly(alpha: float) -> mf.Flow:
    """(6), or (8) where something reacts."""
    return mf.WassersteinFisherRao(1.0, alpha) if alpha else mf.Wasserstein()


# -- parts ----------------------------------------------------------------------------------------


def distance(pair: Any) -> float:
    """W2 from the coupled game's equilibrium, both players."""
    known = mf.nash(coupled())
    return float(np.hypot(*(mf.w2(m, e) for m, e in zip(pair, (known.x, known.y), strict=True))))


def watched(game: Game, run: mf.Trajectory) -> dict[str, Any]:
    """times (S,), ni (S,), sines (S, 2)."""
    error = mf.NikaidoIsoda(game)
    sines = [[m.integrate(np.sin(m.points[:, 0])) for m in pair] for pair in run]
    return {"times": run.times, "ni": [error(*pair).value for pair in run], "sines": sines}


def separable(centre: float, alpha: float, n: int) -> dict[str, Any]:
    """The double well from two bumps by characteristics and by particles; other wells from the
    uniform law.
    """
    game, bump = mf.games.double_well(TILT), mf.concentrated(centre, std=0.05**0.5)
    start, plain = mf.Start(x=bump, y=bump), plainly(alpha)
    field = watched(game, mf.solve(game, plain, start, 30.0, save_every=0.5))
    swarm = watched(
        game, mf.simulate(game, plain, start, 30.0, step=0.02, particles=n, save_every=0.5)
    )
    other = mf.games.separable(*WAVES)
    spread = mf.NikaidoIsoda(other)(
        *mf.solve(other, plain, mf.Start(), 60.0, save_every=60.0)[-1]
    ).value
    return {"times": field["times"], "field": field["ni"], "swarm": swarm["ni"], "spread": spread}


def field(start: str, coupling: float, alpha: float, time: float) -> dict[str, Any]:
    """(6), or (8) with alpha > 0, by characteristics; W2 from the equilibrium at the end,
    averages'.
    """
    game = coupled(coupling)
    run = mf.solve(game, plainly(alpha), STARTS[start], time, save_every=time / 200)
    found, error = watched(game, run), mf.NikaidoIsoda(game)
    averaged = [error(*run.average(last=k)).value for k in range(20, 201, 20)] if alpha else []
    near = distance(run.average(last=200)) if alpha else np.nan
    return {**found, "distance": distance(run[-1]), "averaged": averaged, "near": near}


def swarms(
    start: str, coupling: float, alpha: float, n: int, replica: int, time: float = 60.0
) -> dict[str, Any]:
    game = coupled(coupling)
    run = mf.simulate(
        game, plainly(alpha), STARTS[start], time, step=0.02, particles=n, replica=replica,
        save_every=1.0,
    )  # fmt: skip
    averaged = [mf.NikaidoIsoda(game)(*run.average()).value] if alpha else []
    return watched(game, run) | {"averaged": averaged}


def langevin(beta: float, time: float, start: str) -> dict[str, Any]:
    """(7): NI, that of the Gibbs point, total variations from it at the end, W2 from the
    equilibrium.
    """
    game = coupled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # of the start, whose slope has corners
        run = mf.solve(
            game, mf.Langevin(beta), STARTS[start], time, cells=128, save_every=time / 200
        )
    fixed = mf.gibbs(game, beta, cells=128)
    away = [mf.total_variation(m, f) for m, f in zip(run[-1], (fixed.x, fixed.y), strict=True)]
    gibbs = mf.nikaido_isoda(game, fixed.x, fixed.y).value
    return watched(game, run) | {"gibbs": gibbs, "away": away, "distance": distance(run[-1])}


def langevin_swarm(beta: float, n: int, replica: int) -> dict[str, Any]:
    game = coupled()
    run = mf.simulate(
        game, mf.Langevin(beta), STARTS["beyond the tops"], 300.0, step=0.05, scheme="strang",
        particles=n,
        replica=replica, save_every=5.0,
    )  # fmt: skip
    return watched(game, run)


def equilibrium(beta: float) -> dict[str, Any]:
    """The exact equilibrium with its certificate; NI of the Gibbs point at a large beta."""
    game = coupled()
    found, fixed = mf.nash(game), mf.gibbs(game, beta, cells=512)
    return {
        "sines": [m.integrate(np.sin(m.points[:, 0])) for m in (found.x, found.y)],
        "value": found.value, "error": found.error, "alone": bool(found.certified and found.unique),
        "gibbs": mf.nikaido_isoda(game, fixed.x, fixed.y).value,
    }  # fmt: skip
