"""n particles, their synchronously coupled copies and the mean field, side by side: the parts of
theorem 3's claim.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scipy.linalg import block_diag

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import prepare, w2_squared
from meanfield.studies.averages import average_moments
from meanfield.studies.theorems.averages import averaged
from validation.schemes_reference import Space, circle, sphere, torus

Parameters = tuple[float, float, float]  # beta, gamma, alpha
RIGHT: Parameters = (10.0, 1.0, 1.0)
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
MODES = {"circle": (circle, 8), "torus": (torus, 3), "sphere": (sphere, 4)}  # that are looked at


@cache
def space(which: str) -> Space:
    """The modes that are looked at."""
    build, K = MODES[which]
    return build(K)


def moments(which: str, pair: Any, masses: Any = (1.0, 1.0)) -> Array:
    """Of both players' measures, all modes but the constant one, (2 K,)."""
    at = space(which).at
    pairs = zip(pair, masses, strict=True)
    return np.concatenate([w * (mu.masses @ at(mu.points)[:, 1:]) for mu, w in pairs])


def covariance(which: str, pair: Any, labels: Any) -> tuple[Array, Array]:
    """Sigma, and the matrix A of H^-1(mu): W2^2 is eta' A^-1 eta to leading order. (2 K, 2 K) each.

    labels: masses of the points that the mean field's atoms started from, None for densities.
    """
    at, blocks, h = space(which).at, [], 1e-4
    for mu, label in zip(pair, labels, strict=True):
        M, m = mu.manifold, mu.masses / mu.masses.sum()
        w = m if label is None else m * m / (label / label.sum())
        off = at(mu.points)[:, 1:]
        off = off - m @ off
        frame = M.basis(mu.points)
        A = np.zeros((off.shape[1],) * 2)
        for k in range(M.dim):
            ends = [at(M.retract(mu.points, s * frame[:, k]))[:, 1:] for s in (h, -h)]
            slope = (ends[0] - ends[1]) / (2 * h)
            A += slope.T @ (m[:, None] * slope)
        blocks.append((off.T @ (w[:, None] * off), A))
    return tuple(block_diag(*some) for some in zip(*blocks, strict=True))


@lru_cache(maxsize=2)
def mean_field(name: str, of: Parameters, step: float, n: int) -> tuple[Any, ...]:
    """Game, the particles' flow, start, the field that drives (saved every step, with parameters
    `of`), indices of comparisons, laws to compare with.
    """
    which, kind, T, _, saves, _ = PROBLEMS[name]
    game = mf.games.benchmark(which)
    start = game.answers["start"]
    flow, moved = (flow_of(kind, *numbers) for numbers in (RIGHT, of))
    if kind == "langevin":
        cells = {"circle": 256, "torus": 80, "sphere": None}[which]
        field = mf.solve(game, moved, start, T, cells=cells, save_every=step, tol=1e-10)
        laws = list(field)
    else:
        # Labels for moments: 20 n^(1/2) of them put a floor of 0.25% under W2^2. On surfaces W2
        # needs cells.
        cells = {"circle": max(600, int(20 * np.sqrt(n))), "torus": 64, "sphere": 2562}[which]
        field = mf.solve(game, moved, start, T, cells=cells, save_every=step)
        laws = list(field)
        if which != "circle":
            cells = {"torus": 128, "sphere": 10_242}[which]
            laws = list(
                mf.solve(game, moved, start, T, cells=cells, engine="muscl", save_every=step)
            )
    at = np.linspace(0, len(field) - 1, saves + 1).astype(int)
    ready = prepare if which == "circle" else (lambda mu: mu)
    return game, flow, start, field, at, [[ready(mu) for mu in laws[k]] for k in at]


def flow_of(kind: str, beta: float, gamma: float, alpha: float) -> mf.flows.Flow:
    """The flow of a problem's kind."""
    return mf.Langevin(beta, gamma) if kind == "langevin" else mf.WassersteinFisherRao(gamma, alpha)


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
    of: Parameters,
    seed: int,
) -> dict[str, Any]:
    """Of replicas first, first + 1, ..., at each comparison: mean |x - copy|^2, the moments of
    particles and copies less the mean field's, and NI (after the start); W2^2 of those numbered
    below `distances`, and that of their copies at the end.
    """
    which, _, T, h, saves, _ = PROBLEMS[name]
    h *= coarser
    game, flow, start, field, at, laws = mean_field(name, of, h / 2, n)
    labels = [mu.masses if flow.reacts else None for mu in field[0]]
    normal = [covariance(which, field[k], labels) for k in at]
    exact = np.array([moments(which, field[k]) for k in at])
    drive, ni = mf.Drive(game, field), mf.NikaidoIsoda(game)
    rows: dict[str, list[Any]] = {k: [] for k in ("squared", "copies", "chaos", "eta", "zeta")}
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
        copies = mf.copies(
            game, field.flow, start, drive, T, seed=seed, save_every=T / saves, **how
        )
        mass = copies.diagnostics.get("mass", np.ones((len(at), 2)))
        pairs = zip(run, copies, strict=True)
        rows["chaos"].append([sum(gap(a, b) for a, b in zip(*p, strict=True)) for p in pairs])
        rows["eta"].append([moments(which, pair) for pair in run] - exact)
        weighted = zip(copies, mass, strict=True)
        rows["zeta"].append([moments(which, pair, m) for pair, m in weighted] - exact)
        if r < distances:
            rows["squared"].append(far(run, laws))
            rows["copies"].append(far([copies[-1]], laws[-1:])[0])
    stepped = thinned(field, (len(field) - 1) // 2)  # the field is saved every half step
    of_field = errors(stepped, ni, saves)
    return {
        **rows,
        **{key: [row[key] for row in errors_of] for key in of_field},
        **{f"field_{key}": found for key, found in of_field.items()},
        "sigma": [sigma for sigma, _ in normal],
        "metric": [A for _, A in normal],
        "times": field.times[at],
    }


def gap(a: mf.Measure, b: mf.Measure) -> float:
    """Mean squared distance of points from their copies."""
    return float(np.mean(a.manifold.distance(a.points, b.points) ** 2))


def far(run: Iterable[Any], laws: list[Any]) -> list[float]:
    """W2^2_x + W2^2_y at every comparison."""
    return [
        sum(w2_squared(a, b) for a, b in zip(*pair, strict=True))
        for pair in zip(run, laws, strict=True)
    ]


def halved(
    name: str, n: int, count: int, scheme: str, coarser: float, of: Parameters
) -> dict[str, Any]:
    """W2^2 with the step and with half of it, on the same Brownian paths; moments at T by which
    they differ.
    """
    which, _, T, h, *_ = PROBLEMS[name]
    h *= coarser
    game, flow, start, _, at, laws = mean_field(name, of, h / 2, n)
    found: dict[str, list[Any]] = {"full": [], "half": [], "moved": []}
    for r in range(count):
        how = {
            "scheme": scheme,
            "particles": n,
            "replica": r,
            "save_every": T / (len(at) - 1),
            "progress": False,
        }
        runs = [
            mf.simulate(game, flow, start, T, step=h, refine=2, **how),
            mf.simulate(game, flow, start, T, step=h / 2, **how),
        ]
        for key, run in zip(("full", "half"), runs, strict=True):
            found[key].append(far(run, laws))
        full, half = (moments(which, run[-1]) for run in runs)
        found["moved"].append(full - half)
    return {key: np.array(rows) for key, rows in found.items()}
