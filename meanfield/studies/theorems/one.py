"""Theorem 1: if (7) converges, then to the one fixed point (9), which is nearly an equilibrium."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, UnderResolved
from meanfield.density.solve import build
from meanfield.equilibria import gibbs
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import unit
from meanfield.measures import Density
from meanfield.metrics import NikaidoIsoda
from meanfield.start import Start, concentrated
from meanfield.studies.stored import Data
from meanfield.studies.theorems.epsilon import epsilon, literal, regrets
from meanfield.studies.theorems.problem import Problem, betas, without_mesh
from meanfield.studies.theorems.settling import (
    CYCLES,
    FIRST,
    OPEN,
    SETTLED,
    decay_rate,
    follow,
    longest,
)
from meanfield.studies.theorems.slowest import linearised, slowest
from meanfield.studies.verdicts import Observation, Verdict, above, below

TITLE = "Theorem 1: where (7) converges, it does to the fixed point (9), a near-equilibrium"
Row = Verdict | Observation
REACHED = 1e-4  # total variation between the end of a run and the fixed point that would matter
SOLVED = 1e-8  # total variation by which a fixed point may miss (9), and others it
RATE = 0.05  # share by which the rate of approach may be off the eigenvalue's
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the flow's beta at which regrets are held against the bound
PAIRS = 3  # random pairs that Newton's method begins from


def refusal(game: Game, flow: Flow, start: Start) -> str:
    """Why theorem 1 does not speak of this flow or cannot be looked at; empty where it can."""
    plain = flow.memory is None and not flow.scheduled and not flow.reacts and not flow.responds
    if not plain or min(flow.gamma) == 0 or min(flow.temperature) == 0:
        return "it is about (7), Langevin(beta): transport and temperature of both players, no more"
    return without_mesh(game)


def starts(p: Problem) -> dict[str, Start]:
    """The start given, the uniform one and bumps; by their names."""
    found = {"the given start": p.start, "uniform": Start()}
    if p.start.uniform:
        del found["the given start"]
    for k in range(1 if p.quick and len(found) == 2 else 2):
        rng = np.random.default_rng((p.seed, 17, k))
        x, y = (concentrated(M.sample(1, rng)[0], std=0.3 * unit(M)) for M in p.game.manifolds)
        found[f"bumps {k + 1}"] = Start(x=x, y=y)
    return found


def parts(p: Problem) -> dict[str, Callable[[], Data]]:
    """What is computed, by name."""
    found: dict[str, Callable[[], Data]] = {
        "Gibbs pair": partial(pair, p), "slowest mode": partial(slowest, p),
    }  # fmt: skip
    for name, start in starts(p).items():
        found[f"(7) from {name}"] = partial(settled, p, start)
    return found


def pair(p: Problem) -> Data:
    """The Gibbs pair: whether it solves (9), alone, whether it is stable, and what it is worth."""
    beta, rng = betas(p.flow), np.random.default_rng((p.seed, 1))
    point = gibbs(p.game, beta, p.cells)
    found: dict[str, Any] = {"literal": literal(p.game, point.x, point.y, beta)}
    apart = [0.0]
    for _ in range(PAIRS):
        rough = [rng.random(len(mu)) ** 8 * mu.mesh.volumes for mu in (point.x, point.y)]
        x, y = (
            Density(r / r.sum(), mu.mesh) for r, mu in zip(rough, (point.x, point.y), strict=True)
        )
        other = gibbs(p.game, beta, (x.mesh, y.mesh), start=(x, y))
        apart.append(_apart((other.x, other.y), (point.x, point.y)))
    found |= {
        "alone": max(apart),
        **_stable(p),
        **_regrets(p, beta, (point.x.mesh, point.y.mesh)),
    }
    return {name: np.asarray(value) for name, value in found.items()}


def _apart(a: Any, b: Any) -> float:
    """The larger player's total variation between two pairs of measures on the same points."""
    return max(0.5 * float(np.abs(m.masses - n.masses).sum()) for m, n in zip(a, b, strict=True))


def _stable(p: Problem) -> dict[str, float]:
    """The rate and frequency of (7) linearised at the Gibbs pair, and the leading residual."""
    try:
        found = linearised(p)
    except NotConverged:
        return {"rate": np.nan, "frequency": np.nan, "rate_error": np.nan}
    return {
        "rate": found.rate, "frequency": found.frequency, "rate_error": float(found.residuals[0]),
    }  # fmt: skip


def _regrets(p: Problem, beta: Any, meshes: Any) -> Data:
    """Along shares of beta: regrets of x and y, NI, its upper bound, and the bound's epsilons."""
    error, c, rows = NikaidoIsoda(p.game, tight=True), p.constants, []
    for share in SHARES:
        cold = share * beta[0], share * beta[1]
        point = gibbs(p.game, cold, meshes, tol=1e-7)
        eps = [epsilon(b, M, c.range, c.slope) for b, M in zip(cold, p.game.manifolds, strict=True)]
        rows.append([cold[0], *regrets(p.game, point.x, point.y, error), *eps])
    return {"regrets": np.array(rows), "range": np.array(c.range), "slope": np.array(c.slope)}


def engine(p: Problem, start: Start) -> Any:
    """The engine of (7), with as many modes for the whole run as its beginning asks for.

    It stands at time zero, or a natural time on from atoms and from densities on nodes not its own,
    which come as they are given at first.
    """
    moving: Any = build(p.game, p.flow, start, p.cells)
    if not hasattr(moving, "bases"):
        return moving
    first = p.natural_time if any(map(moving.kind.rough, moving.laws)) else 0.0
    if p.cells is None:
        seen = []
        for time in (first, FIRST * p.natural_time):
            moving.advance(time)
            seen.append([basis.cells for basis in moving.bases])
        moving = build(p.game, p.flow, start, _finest(*seen))
    moving.advance(first)
    return moving


def _finest(before: Any, after: Any) -> tuple[Any, Any]:
    """Each player's larger cells at two times, along each axis."""
    x, y = (np.maximum(*pair).tolist() for pair in zip(before, after, strict=True))
    return x, y


def settled(p: Problem, start: Start) -> Data:
    """(7) from one start, against the Gibbs pair on its own mesh."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        moving = engine(p, start)
        x, y = moving.measures()
        point = gibbs(p.game, betas(p.flow), (x.mesh, y.mesh))
        target = np.concatenate([point.x.masses, point.y.masses])
        found = follow(moving, target, p.natural_time, longest(moving.name, max(p.dims), p.quick))
    fates = (SETTLED, CYCLES, OPEN)
    found["fate"] = fates.index(found["fate"])
    return {name: np.asarray(value) for name, value in found.items() if name != "end"}


# -- verdicts -------------------------------------------------------------------------------------


def judge(p: Problem, data: dict[str, Data]) -> list[Row]:
    """Verdicts on what was computed, and what was seen besides."""
    found: list[Row] = []
    for name, held in data.items():
        if name.startswith("(7)"):
            found.append(limit(name, held))
    if "Gibbs pair" in data:
        found += of_pair(data["Gibbs pair"])
        found += [v for name, held in data.items() if name.startswith("(7)")
                  for v in approach(name, held, data["Gibbs pair"])]  # fmt: skip
        if "slowest mode" in data:
            found += back(data["slowest mode"], data["Gibbs pair"])
    return found


def limit(name: str, held: Data) -> Row:
    """Whether a run that settles does so at the Gibbs pair; what else it does."""
    end, tv = float(held["times"][-1]), float(held["tv"][-1])
    fate = (SETTLED, CYCLES, OPEN)[int(held["fate"])]
    ahead = float(held["ahead"])
    if fate == SETTLED or (fate == OPEN and np.isfinite(ahead)):
        state = "converges" if fate == SETTLED else "is converging"
        claim = f"{name} {state} (t = {end:.3g}): total variation from its limit to the Gibbs pair"
        return below(claim, tv, REACHED, ahead)
    if fate == CYCLES:
        period, low, high, turns = held["cycle"][:4]
        return Observation(
            f"{name} does not converge: period of its cycle, {turns:.0f} turns to t = {end:.3g}",
            float(period), (float(high) - float(low)) / 2, "limit cycle",
        )  # fmt: skip
    what = f"{name} neither settles nor cycles by t = {end:.3g}: distance to the Gibbs pair"
    return Observation(what, tv, 0.0, "not settled")


def of_pair(held: Data) -> list[Row]:
    """The Gibbs pair: (9), alone, stable, its regrets against the bound."""
    rate = float(held["rate"])
    found: list[Row] = [
        below("the Gibbs pair misses (9), potentials summed over the loss, by a total variation of",
              float(held["literal"]), SOLVED),
        below(f"Newton's method from {PAIRS} random pairs finds another, total variation",
              float(held["alone"]), SOLVED),
    ]  # fmt: skip
    if np.isfinite(rate):
        claim = "(7) linearised at the Gibbs pair: rate of the slowest mode (stable where positive)"
        found.append(above(claim, rate, 0.0, float(held["rate_error"])))
    rows = held["regrets"]
    eps = rows[:, 5:7]
    said = np.isfinite(eps)
    if said.any():
        ratio = float(np.max(rows[:, 1:3][said] / eps[said]))
        found.append(below("a player's regret over the bound's epsilon, beta/8 to beta", ratio, 1))
        both = said.all(axis=1)
        upper = np.where(np.isfinite(rows[:, 4]), rows[:, 4], rows[:, 3])
        if both.any():
            worst = float(np.max(upper[both] / eps[both].sum(axis=1)))
            how = "certified " if np.isfinite(rows[:, 4]).all() else ""
            found.append(below(f"{how}NI over both players' epsilons of the bound", worst, 1))
    else:
        claim = "the bound says nothing at this beta, its epsilon exceeds the range of l: NI"
        found.append(Observation(claim, float(rows[-1, 3]), 0.0, "no bound"))
    return found


def approach(name: str, held: Data, point: Data) -> list[Row]:
    """How fast a run that settles does so, over the rate of the slowest mode: no more slowly. A
    start with little of that mode approaches faster for a while; `back` sees a wrong rate.
    """
    rate, tv = float(point["rate"]), held["tv"]
    if int(held["fate"]) != 0 or not rate > 0:
        return []
    low, high = max(1e-8, 30 * float(tv[-1])), 1e-3
    claim = f"{name}: rate of approach over the slowest mode's, or faster"
    plain = decay_rate(held["times"], tv, low, high)
    if not np.isfinite(plain):
        return []
    if plain > 1.5 * rate:  # a start without the slowest mode, by symmetry
        return [Observation(claim, plain / rate, 0.0, "faster")]
    edge = float(np.sqrt(low * high))
    whole, late, early = (decay_rate(held["times"], tv, *ends, float(point["frequency"])) / rate
                          for ends in ((low, high), (low, edge), (edge, high)))  # fmt: skip
    if not np.isfinite([whole, late, early]).all():
        return []
    half = abs(late - early) / 2 + float(point["rate_error"]) / rate
    return [above(claim, whole, 1 - RATE, half)]


def back(held: Data, point: Data) -> list[Row]:
    """The rate at which (7) returns from along its slowest mode, over the eigenvalue's."""
    rate, times, logs = float(point["rate"]), held["times"], np.log(held["size"])
    if not rate > 0:
        return []
    if not len(times):
        what = (
            "the rate of the slowest mode is checked from below alone: (7) is not followed from it"
        )
        return [Observation(what, rate, 0.0, "not followed")]
    middle = len(times) // 2
    parts = slice(None), slice(None, middle + 1), slice(middle, None)
    whole, early, late = (-np.polyfit(times[k], logs[k], 1)[0] / rate for k in parts)
    claim = "(7) from the Gibbs pair moved along its slowest mode: rate of return over the mode's"
    half = abs(float(late - early)) / 2 + float(point["rate_error"]) / rate
    return [Verdict(claim, float(whole), 1, RATE, half)]


def orbit_axes(orbit: Array, own: int) -> tuple[int, int]:
    """The columns of an orbit's means that vary most, one of each player; `own` are of x."""
    reach = np.ptp(orbit, axis=0)
    return int(np.argmax(reach[:own])), own + int(np.argmax(reach[own:]))
