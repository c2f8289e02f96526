"""n particles, their synchronously coupled copies and the mean field, side by side: the parts of
theorem 3's claim.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.metrics import prepare, w2_squared
from meanfield.metrics.mode_energy import ModeEnergy
from meanfield.studies.averages import average_moments
from meanfield.studies.theorems.averages import averaged

BETA = 10.0
# game, flow, T, step, comparisons after the first, area of both manifolds over 4 pi (None: the
# circle)
PROBLEMS: dict[str, tuple[str, str, float, float, int, float | None]] = {
    "S^1, Langevin": ("circle", "langevin", 1.0, 0.02, 5, None),
    "S^1, WFR": ("circle", "wfr", 0.5, 0.02, 5, None),
    "T^2, Langevin": ("torus", "langevin", 0.6, 0.025, 3, 2 * np.pi),
    "T^2, WFR": ("torus", "wfr", 0.42, 0.02, 3, 2 * np.pi),
    "S^2, Langevin": ("sphere", "langevin", 0.6, 0.025, 3, 2.0),
    "S^2, WFR": ("sphere", "wfr", 0.42, 0.02, 3, 2.0),
}


@lru_cache(maxsize=2)
def mean_field(name: str, beta: float, step: float, n: int) -> tuple[Any, ...]:
    """Game, flow, start, the field that drives (saved every step), indices of comparisons, laws to
    compare with.
    """
    which, kind, T, _, saves, _ = PROBLEMS[name]
    game = mf.games.benchmark(which)
    start = game.answers["start"]
    if kind == "langevin":
        cells = {"circle": 256, "torus": 80, "sphere": None}[which]
        field = mf.solve(game, mf.Langevin(beta), start, T, cells=cells, save_every=step, tol=1e-10)
        laws = list(field)
    else:
        # Labels for moments: 10 n^(1/2) of them put a floor of 1% under W2^2. On surfaces W2 needs
        # cells.
        cells = {"circle": max(300, int(10 * np.sqrt(n))), "torus": 64, "sphere": 2562}[which]
        field = mf.solve(game, mf.WassersteinFisherRao(), start, T, cells=cells, save_every=step)
        laws = list(field)
        if which != "circle":
            cells = {"torus": 128, "sphere": 10_242}[which]
            laws = list(
                mf.solve(game, field.flow, start, T, cells=cells, engine="muscl", save_every=step)
            )
    at = np.linspace(0, len(field) - 1, saves + 1).astype(int)
    ready = prepare if which == "circle" else (lambda mu: mu)
    flow = mf.Langevin(BETA) if kind == "langevin" else field.flow
    return game, flow, start, field, at, [[ready(mu) for mu in laws[k]] for k in at]


def thinned(run: mf.Trajectory, count: int) -> mf.Trajectory:
    """A run at its start and `count` times more, evenly."""
    at = np.linspace(0, len(run) - 1, count + 1).round().astype(int)
    return mf.Trajectory(
        run.times[at], [run.x[k] for k in at], [run.y[k] for k in at], run.game, run.flow
    )


def errors(run: mf.Trajectory, ni: mf.NikaidoIsoda, count: int) -> dict[str, list[float]]:
    """NI of the states at `count` times after the start and, where weights move, of the time
    averages over all saved times until then.
    """
    found = {"ni": [ni(*pair).value for pair in list(thinned(run, count))[1:]]}
    if run.flow.reacts:
        x, y = average_moments(run.game, run)
        at = np.linspace(0, len(run) - 1, count + 1).round().astype(int)[1:]
        found["ni_average"] = [ni(x[k], y[k]).value for k in at]
    return found


def levels(name: str) -> dict[str, Any]:
    """NI of the mean field's state at T, and of its time average, by another quadrature in time:
    Gauss nodes, each reached by the engine itself, instead of saved states.
    """
    which, _, T, *_ = PROBLEMS[name]
    game = mf.games.benchmark(which)
    pair = (game.answers["start"].x, game.answers["start"].y)
    ni, flow = mf.NikaidoIsoda(game), mf.WassersteinFisherRao()
    ((mean, now),) = averaged(game, flow, pair, [T], T / 2, tol=1e-7)
    return {"ni": ni(*now).value, "ni_average": ni(*mean).value}


def replicas(
    name: str,
    n: int,
    first: int,
    count: int,
    distances: int,
    scheme: str,
    coarser: float,
    beta: float,
    seed: int,
    swapped: bool = False,
) -> dict[str, Any]:
    """Of replicas first, first + 1, ..., at each comparison: the copies' energies (summed over the
    players), mean |x - copy|^2 and NI (after the start; `swapped` puts that of the states in the
    place of that of the averages, and the other way round); W2^2 of those numbered below
    `distances`,
    and on the circle that of their copies at the end.
    """
    h, T, saves = PROBLEMS[name][3] * coarser, PROBLEMS[name][2], PROBLEMS[name][4]
    game, flow, start, field, at, laws = mean_field(name, beta, h / 2, n)
    labels = [mu.masses if flow.reacts else None for mu in field[0]]
    gauges = [[ModeEnergy(mu, on) for mu, on in zip(field[k], labels, strict=True)] for k in at]
    drive, ni = mf.Drive(game, field), mf.NikaidoIsoda(game)
    rows: dict[str, list[Any]] = {key: [] for key in ("squared", "energy", "copies", "chaos")}
    errors_of = []
    for r in range(first, first + count):
        how = {"step": h, "scheme": scheme, "particles": n, "replica": r}
        # Time averages are over all steps; only the rest makes do with the comparisons.
        every = mf.simulate(
            game,
            flow,
            start,
            T,
            seed=0,
            progress=False,
            save_every=h if flow.reacts else T / saves,
            **how,
        )
        errors_of.append(errors(every, ni, saves))
        run = thinned(every, saves)
        copies = mf.copies(game, flow, start, drive, T, seed=seed, save_every=T / saves, **how)
        mass = copies.diagnostics.get("mass", np.ones((len(at), 2)))
        rows["chaos"].append(
            [
                sum(gap(a, b) for a, b in zip(*pair, strict=True))
                for pair in zip(run, copies, strict=True)
            ]
        )
        rows["energy"].append(
            [
                sum(E(mu, m) for E, mu, m in zip(*row, strict=True))
                for row in zip(gauges, copies, mass, strict=True)
            ]
        )
        if r < distances:
            rows["squared"].append(far(run, laws))
            if name == "S^1, Langevin":
                rows["copies"].append(
                    sum(w2_squared(a, b) for a, b in zip(copies[-1], laws[-1], strict=True))
                )
    exact = [sum(E.mean for E in pair) / n for pair in gauges]
    stepped = thinned(field, (len(field) - 1) // 2)  # the field is saved every half step
    of_field = errors(stepped, ni, saves)
    names = dict(zip(of_field, reversed(of_field) if swapped else of_field, strict=True))
    return {
        **rows,
        **{key: [row[held] for row in errors_of] for key, held in names.items()},
        **{f"field_{key}": of_field[held] for key, held in names.items()},
        "exact": exact,
        "times": field.times[at],
    }


def gap(a: mf.Measure, b: mf.Measure) -> float:
    """Mean squared distance of points from their copies."""
    return float(np.mean(a.manifold.distance(a.points, b.points) ** 2))


def far(run: mf.Trajectory, laws: list[Any]) -> list[float]:
    """W2^2_x + W2^2_y at every comparison."""
    return [
        sum(w2_squared(a, b) for a, b in zip(*pair, strict=True))
        for pair in zip(run, laws, strict=True)
    ]


def halved(
    name: str, n: int, count: int, scheme: str, coarser: float, beta: float
) -> dict[str, Any]:
    """W2^2 with the step and with half of it, on the same Brownian paths."""
    h, T = PROBLEMS[name][3] * coarser, PROBLEMS[name][2]
    game, flow, start, _, at, laws = mean_field(name, beta, h / 2, n)
    found: dict[str, list[Any]] = {"full": [], "half": []}
    for r in range(count):
        how = {
            "scheme": scheme,
            "particles": n,
            "replica": r,
            "save_every": T / (len(at) - 1),
            "progress": False,
        }
        found["full"].append(far(mf.simulate(game, flow, start, T, step=h, refine=2, **how), laws))
        found["half"].append(far(mf.simulate(game, flow, start, T, step=h / 2, **how), laws))
    return {key: np.array(rows) for key, rows in found.items()}


def independent(beta: float) -> dict[str, Any]:
    """n E W2^2 of n independent samples of the circle's mean field at T, both players."""
    field = mean_field("S^1, Langevin", beta, PROBLEMS["S^1, Langevin"][3] / 2, 1)[3]
    total = 0.0
    for mu in field[-1]:
        h = mu.mesh.volumes
        s, F = h / mu.values, np.cumsum(mu.masses) - mu.masses / 2
        paired = s @ (np.minimum(F[:, None], F) - F[:, None] * F) @ s
        total += float(s @ (F * (1 - F)) - paired / s.sum())
    return {"constant": total}
