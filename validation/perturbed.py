"""Small perturbations of Gibbs points along their leading modes: how densities and particles decay
and turn.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.equilibria import Stability
from meanfield.particles.ensemble import ensemble
from validation.common import random_trigonometric

TILT = 0.3  # of the double well f = cos 2x + tilt sin x
GAMES = {
    "double well": mf.games.double_well,
    "oscillator": mf.games.oscillator,
    "circle benchmark": partial(mf.games.benchmark, "circle"),
    **{f"random {seed}": partial(random_trigonometric, seed) for seed in range(3)},
    "S^2": partial(mf.games.benchmark, "sphere"),
}


class Amplitude:
    """The complex coefficient c of a small change Re(c mode) of both players' masses, by weighted
    least squares.
    """

    def __init__(self, found: Stability) -> None:
        point = found.point
        self.meshes, self.base = (
            (point.x.mesh, point.y.mesh),
            np.concatenate([point.x.masses, point.y.masses]),
        )
        mode = np.concatenate([found.modes_x[0], found.modes_y[0]])
        self.weight = 1 / np.sqrt(self.base)
        self.design = self.weight[:, None] * np.stack([mode.real, -mode.imag], 1)

    def __call__(self, pair: tuple[mf.Measure, mf.Measure]) -> complex:
        held = [
            mu if isinstance(mu, mf.Density) else mu.deposit(m)
            for mu, m in zip(pair, self.meshes, strict=True)
        ]
        change = np.concatenate([mu.masses for mu in held]) - self.base
        (re, im), *_ = np.linalg.lstsq(self.design, self.weight * change, rcond=None)
        return complex(re, im)


def densities(name: str, beta: float, ratio: float, cells: int) -> dict[str, Any]:
    """log(c(T)/c(0))/T of the mean field from a perturbation of 1e-4, and the eigenvalue."""
    game = GAMES[name]()
    found = mf.stability(game, beta, 256)
    amplitude, value = Amplitude(found), found.eigenvalues[0]
    x, y = found.perturbed(1e-4)
    run = mf.solve(
        game, mf.Langevin(beta), mf.Start(x=x, y=y), 1.5 / abs(value), cells=256, engine="galerkin",
        tol=1e-11,
        save_every=0.05 / abs(value),
    )  # fmt: skip
    c = np.array([amplitude(pair) for pair in run])
    claimed = mf.stability(game, beta * ratio, cells).eigenvalues[0]
    return {"measured": np.sum(np.log(c[1:] / c[:-1])) / run.times[-1], "claimed": claimed}


def coupled(
    name: str,
    beta: float,
    time: float,
    step: float,
    size: float,
    particles: int,
    first: int,
    count: int,
) -> dict[str, Any]:
    """c(t)/c(0) of particles from half the difference of opposite perturbations, which has no even
    orders.
    """
    game = GAMES[name]()
    cells = mf.mesh(game.X, 2562 if isinstance(game.X, mf.Sphere) else 256)
    found = mf.stability(game, beta, (cells, cells))
    amplitude, c = Amplitude(found), []
    for sign in (1.0, -1.0):
        x, y = found.perturbed(sign * size)
        runs = ensemble(
            game, mf.Langevin(beta), mf.Start(x=x, y=y), time, replicas=range(first, first + count),
            particles=particles, step=step, scheme="strang", save_every=time, threads=1,
            progress=False,
            reduce=lambda run: amplitude(run[-1]),
        )  # fmt: skip
        c.append(np.array(list(runs)))
    ratio = (c[0] - c[1]) / 2 / amplitude(found.perturbed(size))
    return {"ratio": ratio, "value": found.eigenvalues[0], "time": time}


def in_wells(beta: float, particles: int, replicas: int) -> dict[str, Any]:
    """c(T)/c(0) of particles between two wells, for replicas of either player (they never meet), T
    = 0.8/rate.
    """
    game = mf.games.double_well(TILT)
    point, rate = mf.gibbs(game, beta, 256), game.answers["f"].spectral_gap(beta)
    found = mf.stability(game, point, count=1)
    slow = found.modes_x[0].real / point.x.masses
    slow = (
        slow / np.abs(slow).max()
    )  # the slow mode of one player, whose mean decays like exp(-rate t)
    masses = point.x.masses * (1 + 0.9 * slow)
    law, time = mf.Density(masses / masses.sum(), point.x.mesh), 0.02 * round(40 / rate)
    runs = ensemble(
        game, mf.Langevin(beta), mf.Start(x=law, y=law), time, replicas=replicas,
        particles=particles, step=0.02,
        scheme="strang", save_every=time, threads=1, progress=False,
        reduce=lambda run: [float(slow @ mu.deposit(law.mesh).masses) for mu in run[-1]],
    )  # fmt: skip
    return {
        "ratio": np.array(list(runs)).ravel() / float(slow @ law.masses),
        "time": time,
        "rate": rate,
    }
