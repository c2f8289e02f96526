"""Where (7) settles, it settles on the one fixed point (9).

Theorem 1: if the entropy-regularised flow (7) converges, its limit is the only pair with mu_x =
exp(-beta V_x)/Z_x, mu_y = exp(beta V_y)/Z_y (9). (7) need not converge: where it does not is
another claim. Here it does: from three starts on the circle, T^2 and S^2 (where "atoms" is the
atoms' expansion up to the degree that is carried, not the atoms) it runs until e^(-rate t) is far
below the tolerance. The rate is that of the leading eigenvalue of (7) linearised at the fixed point
of that beta (`meanfield.stability`): the time follows from it, 36 over the rate, and beta is such
that the time stays affordable, for rates get small where it is cold. The ends are held against a
fixed point found by other means, damped Picard iteration of (9), against (9) itself with the
potentials summed from the loss, and, for a separable game, against its closed form. On the way the
total variation falls at the eigenvalue's rate. That (9) has one solution is Theorem 1's, by
convexity; it is probed, not shown, by Newton's method from five pairs and Picard iteration from
two.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array, UnderResolved
from meanfield.density.solve import build
from meanfield.games.base import Game
from meanfield.meshes import Mesh
from meanfield.meshes import harmonics as spherical
from meanfield.metrics.energy import gibbs_masses
from meanfield.studies.stored import Data
from meanfield.studies.theorems.epsilon import literal
from meanfield.studies.theorems.settling import decay_rate
from meanfield.studies.verdicts import Verdict, below
from validation.common import label, quadrature_mesh, random_trigonometric
from validation.suite import Part

GAMES = {
    "circle benchmark": partial(mf.games.benchmark, "circle"),
    "random trigonometric": partial(random_trigonometric, 1),
    "oscillator": mf.games.oscillator,
    "double well": mf.games.double_well,
    "exponential": partial(
        mf.games.expression, "cos(x - y) + 0.3*exp(sin(x))*cos(y) + 0.4*sin(2*x) - 0.2*cos(3*y)"
    ),
    "T^2 benchmark": partial(mf.games.benchmark, "torus"),
    "T^2 rotated": partial(
        mf.games.trigonometric,
        [
            ((1, 0), (0, 1), 1.0, 0.4),
            ((0, 1), (-1, 0), 0.8, 0.0),
            ((1, 1), (0, 0), 0.5, 0.1),
            ((0, 0), (1, -1), 0, 0.6),
        ],
    ),
    "S^2 benchmark": partial(mf.games.benchmark, "sphere"),
    "l_a on S^2": partial(mf.games.polynomial, "a", dim=3, seed=0),
    "l_b on S^2": partial(mf.games.polynomial, "b", dim=3, seed=5),
}
STARTS = ("uniform", "bumps", "atoms")
SAVED = 160
FITTED = (
    1e-8,
    1e-4,
)  # total variations between which the decay is fitted: modes die out, rounding has not begun


@dataclass(frozen=True)
class Settings:
    """Cases (game, beta, nodes per axis or degree); what is wrong with the fixed point that the
    ends are held against.

    ratio: its beta over that of the flow. sign: of player y's exponent. cells: of the flow, 0 for
    the case's own.
    """

    cases: tuple[tuple[str, float, int], ...]
    ratio: float = 1.0
    sign: float = 1.0
    cells: int = 0


FULL = Settings((
    ("circle benchmark", 3.0, 96),
    ("circle benchmark", 10.0, 128),
    ("random trigonometric", 1.0, 96),
    ("random trigonometric", 3.0, 96),
    ("oscillator", 3.0, 96),
    ("oscillator", 10.0, 128),
    ("double well", 2.0, 96),
    ("exponential", 4.0, 128),
    ("T^2 benchmark", 3.0, 64),
    ("T^2 rotated", 5.0, 48),
    ("S^2 benchmark", 5.0, 32),
    ("l_a on S^2", 1.0, 32),
    ("l_b on S^2", 1.0, 32),
))  # fmt: skip
QUICK = Settings((
    ("random trigonometric", 1.0, 64),
    ("oscillator", 3.0, 96),
    ("double well", 2.0, 96),
    ("T^2 rotated", 2.0, 32),
    ("l_a on S^2", 1.0, 24),
))  # fmt: skip
_FEW = Settings(QUICK.cases[:1])
SABOTAGES = {
    "a fixed point colder by a thousandth": replace(_FEW, ratio=1.001),
    "player y's sign turned in (9)": replace(_FEW, sign=-1.0),
    "too few cells": replace(_FEW, cells=10),
}


def meshes(game: Game, cells: int) -> tuple[Mesh, Mesh]:
    """Grids of tori; on S^2 a product quadrature, on which integrals of harmonics are exact."""
    x, y = (
        quadrature_mesh(cells + 8) if isinstance(M, mf.Sphere) else mf.mesh(M, cells)
        for M in game.manifolds
    )
    return x, y


def picard(
    game: Game, on: tuple[Mesh, Mesh], beta: float, sign: float, begin: list[Array]
) -> list[Array]:
    """(9) by mu <- (1 - a) mu + a Gibbs(opponent), in turn, a halved where 200 rounds do not halve
    what is missed.
    """
    costs = [game.cost_matrix(p, on[p].nodes, on[1 - p].nodes) for p in (0, 1)]
    features = [game.moment_matrix(p, on[p].nodes) for p in (0, 1)]
    masses, a, before, missed = list(begin), 0.5, np.inf, [0.0, 0.0]
    for k in range(200 * 50):
        for p in (0, 1):
            other = masses[1 - p] if features[1 - p] is None else features[1 - p] @ masses[1 - p]
            change = gibbs_masses(beta * (1.0, sign)[p] * (costs[p] @ other), on[p]) - masses[p]
            masses[p], missed[p] = masses[p] + a * change, float(np.abs(change).sum())
        if max(missed) < 3e-15:
            break
        if k % 200 == 199:
            a, before = (a if max(missed) < 0.5 * before else a / 2), max(missed)
    return masses


def distance(a: Array, b: Array) -> float:
    return 0.5 * float(np.abs(a - b).sum())


def started(name: str, game: Game, cells: int) -> mf.Start:
    """One of the starts, far from one another and from every fixed point here.

    Bumps are as wide as solve accepts on few cells.
    """
    d = game.X.ambient
    if isinstance(game.X, mf.Sphere):
        x, y = [0.6, 0.0, 0.8], [0.0, -0.8, 0.6]
    else:
        x, y = [1.1] * d, [4.0] * d
    if name == "bumps":
        std = max(0.1**0.5, 7.5 / cells)
        return mf.Start(x=mf.concentrated(x, std=std), y=mf.concentrated(y, std=std))
    if name == "atoms":
        return mf.Start(x=mf.Measure([y], None, game.X), y=mf.Measure([x], None, game.Y))
    return mf.Start()


def followed(
    game: Game, beta: float, cells: int, start: mf.Start, times: Array
) -> Iterator[list[Array]]:
    """Nodal masses of (7) at the times, on `meshes(game, cells)`."""
    on, trigonometric = meshes(game, cells), game.bases is not None
    engine = None if trigonometric else "staggered"
    options = {"order": 8} if engine else {}
    moving = build(
        game, mf.Langevin(beta), start, cells, engine, tol=1e-11 if engine else 1e-13, **options
    )
    sphere = isinstance(game.X, mf.Sphere)
    harmonics = spherical.values(on[0].nodes, cells) if sphere else None
    for t in times:
        if t > 0:
            moving.advance(float(t))
        if harmonics is not None:
            yield [harmonics @ moving.coefficients(p) * on[p].volumes for p in (0, 1)]
        else:
            yield [mu.masses for mu in moving.measures()]


def settled(
    name: str, beta: float, cells: int, start: str, ratio: float, sign: float, few: int
) -> dict[str, Any]:
    """(7) from one start: its distances to the fixed point over time, and what its end misses."""
    game = GAMES[name]()
    used = few or cells
    on = meshes(game, used)
    found = mf.stability(game, beta, None if isinstance(game.X, mf.Sphere) else cells, count=2)
    # e^-36 = 2e-16, less what it takes to reach the linear regime.
    times = np.linspace(0, 36 / found.rate, SAVED + 1)
    target = picard(game, on, ratio * beta, sign, [m.volumes / m.volumes.sum() for m in on])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        path = list(followed(game, beta, used, started(start, game, used), times))
    tv = np.array(
        [[distance(m, t) for m, t in zip(masses, target, strict=True)] for masses in path]
    ).max(1)
    end = path[-1]
    ends = (mf.Density(m / m.sum(), c) for m, c in zip(end, on, strict=True))
    out = {"times": times, "tv": tv, "literal": literal(game, *ends, (beta, beta))}
    out |= {"rate": found.rate, "frequency": found.frequency}
    if game.X.dim == 1:
        pairs = zip(end, target, on, strict=True)
        out["w2"] = np.max(
            [mf.w2(mf.Density(m / m.sum(), c), mf.Density(t, c)) for m, t, c in pairs]
        )
    if name == "double well":
        exact = game.answers["f"].gibbs(on[0].nodes[:, 0], beta) * on[0].volumes
        out["closed"] = np.max([distance(m, exact) for m in end])
    return out


def alone(
    name: str, beta: float, cells: int, ratio: float, sign: float, few: int
) -> dict[str, Any]:
    """Fixed points by Newton's method from where the package begins and from elsewhere, against
    Picard's.
    """
    game = GAMES[name]()
    on = meshes(game, few or cells)
    rng = np.random.default_rng(0)
    begin: list[Any] = [None]
    for _ in range(3):
        rough = [rng.random(len(m)) ** 8 * m.volumes for m in on]
        begin.append(tuple(mf.Density(r / r.sum(), m) for r, m in zip(rough, on, strict=True)))
    corner = [np.eye(len(m))[rng.integers(len(m))] for m in on]
    begin.append(tuple(mf.Density(c, m) for c, m in zip(corner, on, strict=True)))
    target = picard(game, on, ratio * beta, sign, corner)
    missed = []
    for start in begin:
        point = mf.gibbs(game, ratio * beta, on, start=start)
        missed.append(
            [distance(mu.masses, t) for mu, t in zip((point.x, point.y), target, strict=True)]
        )
    other = picard(game, on, ratio * beta, sign, [m.volumes / m.volumes.sum() for m in on])
    return {
        "newton": missed,
        "picard": [distance(m, t) for m, t in zip(other, target, strict=True)],
    }


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for name, beta, cells in s.cases:
        wrong = s.ratio, s.sign, s.cells
        found[label(name, beta, "fixed points")] = partial(alone, name, beta, cells, *wrong)
        for start in STARTS:
            found[label(name, beta, start)] = partial(settled, name, beta, cells, start, *wrong)
    return found


def fitted_rate(held: Data) -> float:
    """Slope of -log TV while within FITTED."""
    return decay_rate(held["times"], held["tv"], *FITTED, float(held["frequency"]))


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for name, beta, _ in s.cases:
        runs = [data[label(name, beta, start)] for start in STARTS]
        what = f"{name}, beta = {beta:g}"
        worst = float(np.max([r["tv"][-1] for r in runs]))
        verdicts.append(
            below(f"{what}: TV to the fixed point, worst of {len(runs)} starts", worst, 1e-10)
        )
        verdicts.append(
            below(
                f"{what}: TV by which the ends miss (9)",
                np.max([r["literal"] for r in runs]),
                1e-10,
            )
        )
        if "w2" in runs[0]:
            verdicts.append(
                below(f"{what}: W2 to the fixed point", np.max([r["w2"] for r in runs]), 1e-10)
            )
        if "closed" in runs[0]:
            closed = float(np.max([r["closed"] for r in runs]))
            verdicts.append(below(f"{what}: TV to the closed form exp(-beta f)/Z", closed, 1e-10))
        slope = fitted_rate(runs[STARTS.index("bumps")])
        verdicts.append(
            Verdict(
                f"{what}: decay rate of TV over the eigenvalue's",
                slope / float(runs[0]["rate"]),
                1,
                0.01,
            )
        )
        found = data[label(name, beta, "fixed points")]
        gap = float(found["newton"].max())
        verdicts.append(
            below(f"{what}: TV between Newton's from 5 pairs and Picard's fixed point", gap, 1e-12)
        )
        verdicts.append(
            below(f"{what}: TV between Picard's from 2 pairs", float(found["picard"].max()), 1e-12)
        )
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Total variation to the fixed point, over time in units of the leading eigenvalue's rate."""
    from matplotlib.figure import Figure

    rows = -(-len(s.cases) // 5)
    figure = Figure(figsize=(12, 2.5 * rows), layout="constrained")
    axes = figure.subplots(
        rows, min(5, len(s.cases)), sharex=True, sharey=True, squeeze=False
    ).ravel()
    for ax, (name, beta, _) in zip(axes, s.cases, strict=False):
        for start in STARTS:
            held = data[label(name, beta, start)]
            t = held["times"] * float(held["rate"])
            # The modes that are kept of atoms are no measure at first: more than one is no total
            # variation.
            shown = np.where(held["tv"] <= 1.0, np.maximum(held["tv"], 1e-17), np.nan)
            ax.semilogy(t, shown, lw=1, label=start)
        ax.semilogy(t, np.exp(-t), "k--", lw=0.8, label=r"$e^{-\mathrm{rate}\, t}$")
        ax.set_title(rf"{name}, $\beta = {beta:g}$", fontsize=9)
    for ax in axes[len(s.cases) :]:
        ax.set_axis_off()
    axes[0].legend(fontsize=7)
    figure.supxlabel("time in units of 1/rate", fontsize=9)
    figure.supylabel("total variation to the fixed point", fontsize=9)
    return {"decay": figure}
