"""The fixed point (9) is as near to equilibrium as Theorem 1 says, and NI falls like 1/beta.

Theorem 1: at beta >= (4/eps) log(2 (1 - V)/V (2K/eps - 1)) the fixed point (9) is an eps-Nash
equilibrium. K is the range of l, V a lower bound of the volumes of balls of radius delta = eps/(2
Lip l). The bound needs volumes that are normalised to one: otherwise it changes with the unit of
length, and where V passes one it is no bound at all. Lip is what a grid sees and a hundredth more:
any larger constant will do too, at a larger beta.

Its epsilon is each player's. A ball of radius delta around the best response has V_x <= min V_x +
eps/2, so the points with V_x >= min V_x + 3 eps/4 weigh at most e^(-beta eps/4) (1 - V)/V against
it, which is below eps/(4K - 2 eps) at that beta; hence E V_x - min V_x <= eps, and NI <= 2 eps.
Measured: each player's regret and NI at that beta over decades of eps, and the smallest beta that
would do, which for nondegenerate minima in dimension d is d/(2 eps): the bound is loose by a factor
of 8/d times its logarithm (4/c, where beta times regret tends to c).

NI beta over decades tends to a constant known from the exact equilibrium, by Laplace's method: with
masses p_i and Hessians H_i at its atoms, c_i = -log(p_i sqrt(det H_i)), each player's beta times
regret tends to d/2 + sum_i p_i c_i - min c_i; d/2 for a pure equilibrium, and 1/4 instead of 1/2
where the minimum is of order four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.meshes import Mesh
from meanfield.studies.stored import Data
from meanfield.studies.theorems.epsilon import logarithm
from meanfield.studies.theorems.epsilon import regrets as of_pair
from meanfield.studies.theorems.problem import constants
from meanfield.studies.verdicts import Verdict, below
from validation.common import label, quadrature_mesh, random_trigonometric
from validation.suite import Part

LINEAR = partial(
    mf.games.polynomial_from, 0, np.zeros((3, 3)), 0, 0, [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]
)
SHARP = 200.0  # of the needle -exp(SHARP (cos x - 1)), a thirtieth of the circle wide


def alone(waves: list[tuple[int, float]], axes: int = 1, period: float = 2 * np.pi) -> Game:
    """l = f(x) - f(y) on a torus, f the sum of a cos kx over (k, a) and over the axes."""
    torus, zero = mf.Torus(axes, period), (0,) * axes
    modes = [(tuple(k * e), a) for k, a in waves for e in np.eye(axes, dtype=int)]
    return mf.games.trigonometric(
        [t for k, a in modes for t in ((k, zero, a, 0.0), (zero, k, -a, 0.0))], torus, torus
    )


def needle() -> Game:
    from scipy.special import ive

    return alone([(k, -(2.0 - (k == 0)) * float(ive(k, SHARP))) for k in range(110)])


def bessel(beta: float, axes: int = 1) -> float:
    """E cos + 1 under exp(-beta cos)/Z, for every axis."""
    from scipy.special import ive

    return axes * (1 - float(ive(1, beta) / ive(0, beta)))


def fisher(beta: float, size: float) -> float:
    """E a.x + |a| under exp(-beta a.x)/Z on S^2, |a| = size."""
    return 1 / beta - size * (1 / np.tanh(size * beta) - 1)


def by_quadrature(f: Callable[[float], float], beta: float) -> float:
    """E f - min f under exp(-beta f)/Z on the circle, min f = f(0), f even."""
    from scipy.integrate import quad

    def moment(power: int, x: float) -> float:
        return (f(x) - f(0)) ** power * np.exp(-beta * (f(x) - f(0)))

    near = [b for b in (beta**-0.5, beta**-0.25, 0.3, 1.0) if b < 3]
    options = {"points": near, "limit": 400, "epsabs": 0, "epsrel": 1e-11}
    mass, cost = (quad(partial(moment, power), 0, np.pi, **options)[0] for power in (0, 1))
    return cost / mass


def of_order_four(x: float) -> float:
    return float((1 - np.cos(x)) ** 2)


def of_needle(x: float) -> float:
    return -float(np.exp(SHARP * (np.cos(x) - 1)))


@dataclass(frozen=True)
class Case:
    """A game; nodes per axis over sqrt(beta); both regrets in closed form, and the limits of beta
    times them.
    """

    game: Callable[[], Game]
    nodes: float
    regret: tuple[Callable[[float], float], ...] = ()
    limits: tuple[float, ...] = ()


CASES = {
    "cosines": Case(partial(alone, [(1, 1.0)]), 10, (bessel,) * 2, (0.5, 0.5)),
    "long circle": Case(partial(alone, [(1, 1.0)], period=100.0), 10, (bessel,) * 2, (0.5, 0.5)),
    "order four": Case(
        partial(alone, [(1, -2.0), (2, 0.5)]),
        16,
        (partial(by_quadrature, of_order_four),) * 2,
        (0.25, 0.25),
    ),
    "needle": Case(needle, 100, (partial(by_quadrature, of_needle),) * 2, (0.5, 0.5)),
    "T^2": Case(partial(alone, [(1, 1.0)], 2), 10, (partial(bessel, axes=2),) * 2, (1.0, 1.0)),
    "S^2": Case(LINEAR, 6, (partial(fisher, size=1.0), partial(fisher, size=2.0)), (1.0, 1.0)),
    "mixed, circle": Case(partial(random_trigonometric, 1), 30),
    "mixed, l_a": Case(partial(mf.games.polynomial, "a", dim=3, seed=0), 10),
    "mixed, l_b": Case(partial(mf.games.polynomial, "b", dim=3, seed=5), 10),
}


@dataclass(frozen=True)
class Settings:
    """Curves (case, largest beta), bounds (case, smallest and largest epsilon); what is wrong.

    normalised: whether volumes are. share: of the bound's beta that is taken. fine: nodes over
    those needed.
    """

    curves: tuple[tuple[str, float], ...]
    bounds: tuple[tuple[str, float, float], ...]
    per_decade: int
    normalised: bool = True
    share: float = 1.0
    fine: float = 1.0


FULL = Settings(
    (
        ("cosines", 1e6), ("order four", 1e6), ("needle", 1e5), ("T^2", 2e3), ("S^2", 3e3),
        ("mixed, circle", 1e4), ("mixed, l_a", 300.0), ("mixed, l_b", 300.0),
    ),
    (
        ("cosines", 1e-3, 1.0), ("long circle", 1e-3, 1.0), ("order four", 1e-3, 1.0),
        ("needle", 1e-2, 0.9),
        ("T^2", 0.05, 2.0), ("S^2", 0.05, 1.0), ("mixed, circle", 1e-2, 2.0),
        ("mixed, l_a", 0.1, 3.0),
    ),
    12,
)  # fmt: skip
QUICK = Settings(
    (("cosines", 1e5), ("order four", 1e5), ("S^2", 300.0), ("mixed, circle", 1e4),
     ("mixed, l_a", 100.0)),
    (("cosines", 1e-2, 1.0), ("long circle", 1e-2, 1.0), ("order four", 0.1, 1.0),
     ("S^2", 0.2, 1.0)),
    6,
)  # fmt: skip
_FEW = replace(QUICK, curves=QUICK.curves[:1], bounds=QUICK.bounds[:2])
SABOTAGES = {
    "volumes that are not normalised": replace(_FEW, normalised=False),
    "a fiftieth of the bound's beta": replace(_FEW, share=0.02),
    "too few cells": replace(_FEW, fine=0.1),
}


def meshes(game: Game, nodes: float, beta: float) -> tuple[Mesh, Mesh]:
    """Meshes that resolve exp(-beta V)."""
    n = int(nodes * (beta**0.5 + 3)) + 4
    x, y = (
        quadrature_mesh(n) if isinstance(M, mf.Sphere) else mf.mesh(M, n) for M in game.manifolds
    )
    return x, y


def regrets(game: Game, nodes: float, beta: float, error: mf.NikaidoIsoda) -> list[float]:
    """Of the fixed point at beta: regret of x, of y, NI, its certified upper bound."""
    point = mf.gibbs(game, beta, meshes(game, nodes, beta), tol=1e-7)
    return of_pair(game, point.x, point.y, error)


def curve(name: str, top: float, per_decade: int, fine: float) -> dict[str, Any]:
    """Regrets along beta, in closed form too where there is one, and the limit of beta NI."""
    case = CASES[name]
    game = case.game()
    error = mf.NikaidoIsoda(game, tight=True)
    betas = np.geomspace(0.1, top, round(per_decade * np.log10(10 * top)) + 1)
    out: dict[str, Any] = {"beta": betas, "limits": case.limits or limits(game)}
    out["found"] = np.array([regrets(game, fine * case.nodes, b, error) for b in betas])
    if case.regret:
        out["closed"] = np.array([[regret(b) for regret in case.regret] for b in betas])
    return out


def limits(game: Game) -> list[float]:
    """beta times each player's regret as beta grows, by Laplace's method at the equilibrium."""
    exact, found = mf.nash(game), []
    assert exact.unique, "the limits are stated where there is one equilibrium"
    for p, (own, other) in enumerate(((exact.x, exact.y), (exact.y, exact.x))):
        c = -np.log(own.masses * np.sqrt(np.linalg.det(game.hessian(p, own.points, other))))
        found.append(own.manifold.dim / 2 + float(own.masses @ c - c.min()))
    return found


def bound(
    name: str, low: float, high: float, count: int, normalised: bool, share: float, fine: float
) -> dict[str, Any]:
    """Theorem 1's beta along epsilon, and the regrets of the fixed point there."""
    case = CASES[name]
    game = case.game()
    error = mf.NikaidoIsoda(game, tight=True)
    known = constants(game)
    K, slope = known.range, known.slope
    eps = np.geomspace(low, high, count)
    unit = 1.0 if normalised else game.X.volume
    V = np.array([unit * game.X.ball_fraction(e / (2 * slope)) for e in eps])
    logs = np.array([logarithm(e, K, v) for e, v in zip(eps, V, strict=True)])
    # A logarithm below zero claims that every beta will do.
    betas = np.maximum(share * 4 / eps * logs, 1e-3)
    found = np.array([regrets(game, fine * case.nodes, b, error) for b in betas])
    return {"eps": eps, "V": V, "log": logs, "beta": betas, "found": found, "K": K, "slope": slope}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {
        label("curve", name): partial(curve, name, top, s.per_decade, s.fine)
        for name, top in s.curves
    }
    for name, low, high in s.bounds:
        count = round(s.per_decade * np.log10(high / low)) + 1
        found[label("bound", name)] = partial(
            bound, name, low, high, count, s.normalised, s.share, s.fine
        )
    return found


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    verdicts = [v for name, _, _ in s.bounds for v in of_bound(name, data)]
    short, long = (data[label("bound", name)]["beta"] for name in ("cosines", "long circle"))
    off = float(np.abs(long / short - 1).max())
    verdicts.append(below("the bound's beta changes with the unit of length by", off, 1e-12))
    # Range and Lipschitz constant of l, V of delta: arcs weigh delta / pi, caps sin^2(delta / 2).
    by_hand = {"cosines": (4, 1), "order four": (8, 1.5 * 3**0.5), "S^2": (6, 2)}
    for name in (name for name, _, _ in s.bounds if name in by_hand):
        held, (K, Lip) = data[label("bound", name)], by_hand[name]
        eps, delta = held["eps"], held["eps"] / (2 * 1.01 * Lip)  # a hundredth more, see the top
        V = np.sin(delta / 2) ** 2 if name == "S^2" else delta / np.pi
        off = np.abs(
            held["beta"] / (4 / eps * np.log(2 * (1 - V) / V * (2 * K / eps - 1))) - 1
        ).max()
        verdicts.append(
            below(
                f"{name}: the bound's beta off Theorem 1's formula by hand, relative",
                float(off),
                1e-9,
            )
        )
    return verdicts + [
        v for name, _ in s.curves for v in of_curve(name, data[label("curve", name)])
    ]


def of_bound(name: str, data: dict[str, Data]) -> list[Verdict]:
    held = data[label("bound", name)]
    ratio = held["found"] / held["eps"][:, None]
    verdicts = [
        below(
            f"{name}: a player's regret over epsilon at the bound's beta, largest",
            float(ratio[:, :2].max()),
            1,
        ),
        # Theorem 1 read for NI itself; the proof above allows 2.
        below(f"{name}: certified NI over epsilon there, largest", float(ratio[:, 3].max()), 1),
    ]
    if (curve := data.get(label("curve", name))) is not None:
        loose = looseness(held, curve)
        verdicts.append(
            below(
                f"{name}: least beta that will do over the bound's, largest",
                float(1 / loose.min()),
                1,
            )
        )
        if name not in ("order four", "needle"):
            last = float(loose[0] * curve["limits"].max() / (4 * held["log"][0]))
            verdicts.append(
                Verdict(f"{name}: looseness over its limit at the least epsilon", last, 1, 0.1)
            )
    return verdicts


def looseness(held: Data, curve: Data) -> Array:
    """The bound's beta over the smallest at which both regrets are at most epsilon."""
    worst = curve["found"][:, :2].max(1)
    return held["beta"] / np.exp(
        np.interp(-np.log(held["eps"]), -np.log(worst), np.log(curve["beta"]))
    )


def of_curve(name: str, held: Data) -> list[Verdict]:
    beta, found, limit = held["beta"], held["found"], float(held["limits"].sum())
    ni, top, decade = found[:, 2], beta[-1], beta >= beta[-1] / 10
    slope = np.polyfit(np.log(beta[decade]), np.log(ni[decade]), 1)[0]
    # Corrections are of relative order 1/beta, 1/sqrt(beta) where the minimum is of order four.
    tolerance = 0.02 if name.startswith("mixed, l") else 5e-3
    verdicts = [
        Verdict(f"{name}: exponent of NI in beta over the last decade", slope, -1, 0.02),
        Verdict(
            f"{name}: beta NI over its limit {limit:.6g}, beta = {top:g}",
            top * ni[-1] / limit,
            1,
            tolerance,
        ),
    ]
    if "closed" in held:
        off = float(np.abs(found[:, :2] / held["closed"] - 1).max())
        verdicts.append(below(f"{name}: regrets against their closed form, relative", off, 1e-6))
    return verdicts


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """beta NI along beta with its limits; regrets and NI at the bound's beta; how loose the bound
    is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for k, (name, _) in enumerate(s.curves):
        held = data[label("curve", name)]
        left.semilogx(held["beta"], held["beta"] * held["found"][:, 2], f"C{k}", label=name)
        left.semilogx(held["beta"][-1], held["limits"].sum(), f"C{k}o", ms=4)
    left.set(xlabel=r"$\beta$", title=r"$\beta$ NI of (9), dots: limits", ylim=(0, 4.5))
    left.legend(fontsize=7, ncols=2, loc="upper right")
    names = [name for name, _ in s.curves]
    for name, _, _ in s.bounds:
        held = data[label("bound", name)]
        color = f"C{names.index(name)}" if name in names else "k"
        dashes = "-" if name in names else ":"
        middle.loglog(held["eps"], held["found"][:, 2] / held["eps"], color, ls=dashes, label=name)
        if name in names:
            along = data[label("curve", name)]
            kept = (
                held["eps"] < along["found"][0, :2].max()
            )  # else less than the curve's least beta would do
            right.loglog(held["eps"][kept], looseness(held, along)[kept], color)
    middle.set(xlabel=r"$\epsilon$", title=r"NI$/\epsilon$ at Theorem 1's $\beta$ (1: sharp)")
    right.set(xlabel=r"$\epsilon$", title=r"Theorem 1's $\beta$ over the least that will do")
    middle.legend(fontsize=7)
    return {"epsilon": figure}
