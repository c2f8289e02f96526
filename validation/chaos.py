"""n particles, their synchronously coupled copies and the mean field, side by side: the parts of theorem 3's claim."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

import meanfield as mf
from meanfield.metrics import prepare, w2_squared
from meanfield.metrics.energies import ModeEnergy

BETA = 10.0
# game, flow, T, step, comparisons after the first, area of both manifolds over 4 pi (None: the circle)
PROBLEMS: dict[str, tuple[str, str, float, float, int, float | None]] = {
    "S^1, Langevin": ("circle", "langevin", 1.0, 0.02, 5, None),
    "S^1, WFR": ("circle", "wfr", 0.5, 0.02, 5, None),
    "T^2, Langevin": ("torus", "langevin", 0.6, 0.025, 2, 2 * np.pi),
    "T^2, WFR": ("torus", "wfr", 0.4, 0.025, 2, 2 * np.pi),
    "S^2, Langevin": ("sphere", "langevin", 0.6, 0.025, 2, 2.0),
    "S^2, WFR": ("sphere", "wfr", 0.4, 0.025, 2, 2.0),
}


@lru_cache(maxsize=2)
def mean_field(name: str, beta: float, step: float, n: int) -> tuple[Any, ...]:
    """Game, flow, start, the field that drives (saved every step), indices of comparisons, laws to compare with."""
    which, kind, T, _, saves, _ = PROBLEMS[name]
    game = mf.games.benchmark(which)
    start = game.answers["start"]
    if kind == "langevin":
        cells = {"circle": 256, "torus": 80, "sphere": None}[which]
        field = mf.solve(game, mf.Langevin(beta), start, T, cells=cells, save_every=step, tol=1e-10)
        laws = list(field)
    else:
        # Labels for moments: 10 n^(1/2) of them put a floor of 1% under W2^2. On surfaces W2 needs cells.
        cells = {"circle": max(300, int(10 * np.sqrt(n))), "torus": 64, "sphere": 2562}[which]
        field = mf.solve(game, mf.WassersteinFisherRao(), start, T, cells=cells, save_every=step)
        laws = list(field)
        if which != "circle":
            cells = {"torus": 128, "sphere": 10_242}[which]
            laws = list(mf.solve(game, field.flow, start, T, cells=cells, engine="muscl", save_every=step))
    at = np.linspace(0, len(field) - 1, saves + 1).astype(int)
    ready = prepare if which == "circle" else (lambda mu: mu)
    flow = mf.Langevin(BETA) if kind == "langevin" else field.flow
    return game, flow, start, field, at, [[ready(mu) for mu in laws[k]] for k in at]


def thinned(field: mf.Trajectory, at: np.ndarray) -> mf.Trajectory:
    """The field at the times of the comparisons."""
    return mf.Trajectory(field.times[at], [field.x[k] for k in at], [field.y[k] for k in at], field.game, field.flow)


def errors(run: mf.Trajectory, ni: mf.NikaidoIsoda) -> list[float]:
    """NI at every saved time; of the time averages until then where weights move."""
    if not run.flow.reacts:
        return [ni(*pair).value for pair in run]
    return [ni(*run.average("measures", k)).value for k in range(len(run))]


def replicas(
    name: str, n: int, first: int, count: int, distances: int, scheme: str, coarser: float, beta: float, seed: int
) -> dict[str, Any]:
    """Of replicas first, first + 1, ..., at each comparison: W2^2 (summed over the players) and the copies' energies
    of those numbered below `distances`; mean |x - copy|^2 and NI of all. Of the first on the circle W2^2 of the copies.
    """
    h, T = PROBLEMS[name][3] * coarser, PROBLEMS[name][2]
    game, flow, start, field, at, laws = mean_field(name, beta, h / 2, n)
    labels = [mu.masses if flow.reacts else None for mu in field[0]]
    gauges = [[ModeEnergy(mu, on) for mu, on in zip(field[k], labels, strict=True)] for k in at]
    drive, ni = mf.Drive(game, field), mf.NikaidoIsoda(game)
    rows: dict[str, list[Any]] = {key: [] for key in ("squared", "energy", "copies", "chaos", "ni")}
    for r in range(first, first + count):
        how = {"step": h, "scheme": scheme, "particles": n, "replica": r, "save_every": T / (len(at) - 1)}
        run = mf.simulate(game, flow, start, T, seed=0, progress=False, **how)
        copies = mf.copies(game, flow, start, drive, T, seed=seed, **how)
        mass = copies.diagnostics.get("mass", np.ones((len(at), 2)))
        rows["chaos"].append(
            [sum(gap(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(run, copies, strict=True)]
        )
        rows["ni"].append(errors(run, ni))
        if r < distances:
            rows["squared"].append(far(run, laws))
            rows["energy"].append(
                [sum(E(mu, m) for E, mu, m in zip(*row, strict=True)) for row in zip(gauges, copies, mass, strict=True)]
            )
            if PROBLEMS[name][5] is None:
                rows["copies"].append(far(copies, laws))
    exact = [sum(E.mean for E in pair) / n for pair in gauges]
    return {**rows, "exact": exact, "field_ni": errors(thinned(field, at), ni), "times": field.times[at]}


def gap(a: mf.Measure, b: mf.Measure) -> float:
    """Mean squared distance of points from their copies."""
    return float(np.mean(a.manifold.distance(a.points, b.points) ** 2))


def far(run: mf.Trajectory, laws: list[Any]) -> list[float]:
    """W2^2_x + W2^2_y at every comparison."""
    return [sum(w2_squared(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(run, laws, strict=True)]


def halved(name: str, n: int, count: int, scheme: str, coarser: float, beta: float) -> dict[str, Any]:
    """W2^2 with the step and with half of it, on the same Brownian paths."""
    h, T = PROBLEMS[name][3] * coarser, PROBLEMS[name][2]
    game, flow, start, _, at, laws = mean_field(name, beta, h / 2, n)
    found: dict[str, list[Any]] = {"full": [], "half": []}
    for r in range(count):
        how = {"scheme": scheme, "particles": n, "replica": r, "save_every": T / (len(at) - 1), "progress": False}
        found["full"].append(far(mf.simulate(game, flow, start, T, step=h, refine=2, **how), laws))
        found["half"].append(far(mf.simulate(game, flow, start, T, step=h / 2, **how), laws))
    return {key: np.array(rows) for key, rows in found.items()}


def independent(beta: float) -> dict[str, Any]:
    """n E W2^2 of n independent samples of the circle's mean field (Langevin) at T, both players."""
    field = mean_field("S^1, Langevin", beta, PROBLEMS["S^1, Langevin"][3] / 2, 1)[3]
    total = 0.0
    for mu in field[-1]:
        h = mu.mesh.volumes
        s, F = h / mu.values, np.cumsum(mu.masses) - mu.masses / 2
        paired = s @ (np.minimum(F[:, None], F) - F[:, None] * F) @ s
        total += float(s @ (F * (1 - F)) - paired / s.sum())
    return {"constant": total}
