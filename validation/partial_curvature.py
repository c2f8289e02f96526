"""Near an equilibrium of atoms (8) returns at the rate of its linearisation, and what gamma/alpha
does to it.

Atoms x_i with weights w_i at a Nash equilibrium of the paper's games: small changes of both decay
as e^{-rt}, -r the largest real part in the spectrum of

    d x_i/dt = -gamma grad U(x_i),    d log w_i/dt = -alpha (U(x_i) - mean of U),

linearised there (`meanfield.stability(game, flow)`), U the player's cost. Weights alone turn and do
not settle; they are damped by positions that give way (Wang & Chizat 2023, partial curvature).

- r is that of particles (Algorithm 2), and of the mean field, in which each atom is a cloud.
- While alpha/gamma is small r is proportional to alpha: positions follow at once.
- While gamma/alpha is small r levels off at gamma times a rate of the curvature; where both players
  mix it may fall again, like gamma^2/alpha (l_b, d = 2).
- Where neither player mixes alpha does not matter.

This is what section 4.2 of the paper leaves open about large gamma/alpha, near an equilibrium.
Measured rates are those of the leading mode in what is left late in a run (dynamic mode
decomposition, Schmid 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.equilibria import Equilibrium
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.common import label
from validation.suite import Part

Named = tuple[Literal["a", "b"], int, int]  # the paper's loss, its dimension and seed
MAP = tuple(np.geomspace(1e-3, 1e4, 29))  # alpha at gamma = 1
PUSH, CLOUD, WIDTH = 1e-2, 6, 1e-3  # of the first changes; atoms in a cloud, its radius
BEGIN, END, LOOKS = 4.0, 8.0, 60  # the window of the fit in units of 1/r
KEPT = 1e-3  # directions that are told from rounding, relative to the largest


@dataclass(frozen=True)
class Settings:
    """The games, the alphas at which runs are made, the spectrum's own gamma and factor of alpha.

    falling: games in which both players mix and r falls again; pure: those in which neither does.
    """

    games: tuple[Named, ...]
    alphas: tuple[float, ...]
    falling: tuple[Named, ...] = (("b", 2, 0),)
    pure: tuple[Named, ...] = ()
    gamma: float = 1.0
    factor: float = 1.0


QUICK = Settings((("a", 2, 0), ("b", 2, 0), ("a", 10, 0)), (0.1, 1.0, 10.0), pure=(("a", 10, 0),))
FULL = replace(
    QUICK,
    games=tuple((k, d, seed) for k in "ab" for d in (2, 5, 10, 20) for seed in (0, 1)),
    alphas=(0.3, 1.0, 3.0, 10.0, 30.0),
    falling=(("b", 2, 0), ("b", 2, 1)),
    pure=(("a", 10, 0), ("a", 10, 1), ("b", 5, 0), ("b", 10, 0)),
)  # fmt: skip
SMALL = Settings((("b", 2, 0),), (1.0,))
SABOTAGES = {
    "the spectrum of half the gamma": replace(SMALL, gamma=0.5),
    "the spectrum of twice the alpha": replace(SMALL, factor=2.0),
}


def parts(s: Settings) -> dict[str, Part]:
    return {label(*game): partial(returns, game, s.alphas, s.gamma, s.factor) for game in s.games}


# -- one game -------------------------------------------------------------------------------------


def returns(game: Named, alphas: tuple[float, ...], gamma: float, factor: float) -> dict[str, Any]:
    """The rates of the spectrum over MAP, and at each alpha those of the spectrum and of runs."""
    loss = mf.games.polynomial(*game)
    point = mf.nash(loss)

    def spectrum(alpha: float) -> Any:
        return mf.stability(loss, mf.WassersteinFisherRao(gamma, factor * alpha), near=point)

    rates = [spectrum(alpha).rate for alpha in MAP]
    held = np.array([measured(loss, alpha, point, spectrum(alpha).rate) for alpha in alphas])
    return {
        "map": rates, "spectrum": [spectrum(alpha).rate for alpha in alphas],
        "particles": held[:, 0], "field": held[:, 1],
        "atoms": [len(point.x), len(point.y)],
    }  # fmt: skip


def measured(game: Any, alpha: float, point: Equilibrium, rate: float) -> tuple[float, float]:
    """The rates at which particles and the mean field return from a small change."""
    flow, end, every = mf.WassersteinFisherRao(1.0, alpha), END / rate, (END - BEGIN) / rate / LOOKS
    rng = np.random.default_rng(0)
    moved = [changed(mu, rng) for mu in (point.x, point.y)]
    clouds = [spread(mu, rng) for mu in moved]
    step = every / np.ceil(every / 0.01 * max(1.0, alpha))
    swarm = mf.simulate(
        game, flow, mf.Start(*moved), end, step, tuple(len(mu) for mu in moved), scheme="strang",
        placement="atoms", save_every=every,
    )  # fmt: skip
    field = mf.solve(game, flow, mf.Start(*clouds), end, engine="characteristics", save_every=every)
    return decay(swarm, point, 1, every), decay(field, point, CLOUD, every)


def changed(mu: mf.Measure, rng: np.random.Generator) -> mf.Measure:
    """The measure with its atoms and log-weights changed by PUSH."""
    kick = mu.manifold.project(mu.points, rng.standard_normal(mu.points.shape))
    masses = mu.masses * np.exp(PUSH * rng.standard_normal(len(mu)))
    points = mu.manifold.retract(mu.points, PUSH * kick)
    return mf.Measure(points, masses / masses.sum(), mu.manifold)


def spread(mu: mf.Measure, rng: np.random.Generator) -> mf.Measure:
    """Each atom as a cloud of CLOUD equal ones, one after the other."""
    points, masses = np.repeat(mu.points, CLOUD, axis=0), np.repeat(mu.masses, CLOUD) / CLOUD
    kick = mu.manifold.project(points, rng.standard_normal(points.shape))
    return mf.Measure(mu.manifold.retract(points, WIDTH * kick), masses, mu.manifold)


def decay(run: Any, point: Equilibrium, cloud: int, every: float) -> float:
    """The rate of the leading mode in the late part of a run."""
    late = [k for k, t in enumerate(run.times) if t >= run.times[-1] * BEGIN / END]
    off = np.array([
        np.concatenate([away(run.x[k], point.x, cloud), away(run.y[k], point.y, cloud)])
        for k in late
    ])  # fmt: skip
    U, sizes, V = np.linalg.svd(off[:-1].T, full_matrices=False)
    kept = sizes > KEPT * sizes[0]
    A = (U[:, kept].T @ off[1:].T @ V[kept].T) / sizes[kept]
    return float(-np.log(np.abs(np.linalg.eigvals(A)).max()) / every)


def away(mu: mf.Measure, rest: mf.Measure, cloud: int) -> Array:
    """How far clouds' centres and masses are from an equilibrium's atoms and weights."""
    masses = mu.masses.reshape(-1, cloud)
    points = mu.points.reshape(*masses.shape, -1)
    totals = masses.sum(axis=1)
    centres = np.einsum("nc,nca->na", masses, points) / totals[:, None]
    return np.concatenate([(centres - rest.points).ravel(), totals - rest.masses])


# -- verdicts -------------------------------------------------------------------------------------


def power(held: Data, low: float, high: float) -> float:
    """The fitted power of alpha in the spectrum's rates for alpha in [low, high]."""
    alpha = np.array(MAP)
    part = (alpha >= low) & (alpha <= high)
    return float(np.polyfit(np.log(alpha[part]), np.log(held["map"][part]), 1)[0])


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = []
    for game in s.games:
        held, name = data[label(*game)], f"l_{game[0]}, d = {game[1]}, seed {game[2]}"
        for k, alpha in enumerate(s.alphas):
            for level in ("particles", "field"):
                ratio = held[level][k] / held["spectrum"][k]
                verdicts.append(
                    Verdict(f"{name}, alpha = {alpha:g}: rate of the {level} over the spectrum's",
                            ratio, 1.0, 0.03)
                )  # fmt: skip
        if game in s.pure:
            change = np.ptp(held["map"]) / held["map"].max()
            verdicts.append(below(f"{name}: alpha changes the rate by a share of", change, 1e-6))
            continue
        verdicts.append(Verdict(f"{name}: power of alpha at small alpha", power(held, 0, 0.011),
                                1.0, 0.03))  # fmt: skip
        if game in s.falling:
            fall = power(held, 900, np.inf)
            verdicts.append(Verdict(f"{name}: power of alpha at large alpha", fall, -1.0, 0.05))
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """Rates over alpha: the spectrum's as lines, measured ones as dots and crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4 * len({g[0] for g in s.games}), 4.2), layout="constrained")
    kinds = sorted({game[0] for game in s.games})
    for ax, kind in zip(
        np.atleast_1d(figure.subplots(1, len(kinds), sharey=True)), kinds, strict=True
    ):
        for j, game in enumerate(g for g in s.games if g[0] == kind):
            held = data[label(*game)]
            n, m = held["atoms"]
            ax.loglog(MAP, held["map"], color=f"C{j}", lw=1.2,
                      label=f"d = {game[1]}, seed {game[2]}: {n} and {m} atoms")  # fmt: skip
            ax.loglog(s.alphas, held["particles"], "o", color=f"C{j}", ms=5, mfc="none")
            ax.loglog(s.alphas, held["field"], "x", color=f"C{j}", ms=4)
        ax.set(title=rf"$\ell_{kind}$ (o particles, x mean field)", xlabel=r"$\alpha/\gamma$",
               ylabel="rate $r$ at $\\gamma = 1$")  # fmt: skip
        ax.legend(fontsize=7)
    return {"rates": figure}
