"""Time averages of runs, of which Theorem 3 (ii) speaks, and their Nikaido-Isoda errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.metrics import NikaidoIsoda
from meanfield.trajectory import Trajectory


def average_moments(game: Any, run: Trajectory) -> tuple[Array, Array]:
    """Both players' feature means, averaged over [0, t] for each saved time t: (T, K_x), (T, K_y).

    By the trapezoid rule over the saved times, as `Trajectory.average` has it; at the first time
    they are those of the start. For low-rank games, whose costs are linear in these means.
    """
    x, y = (
        _averages(run.times, np.array([game.moments(p, m.points, m.masses) for m in side]))
        for p, side in enumerate((run.x, run.y))
    )
    return x, y


def _averages(times: Array, values: Array) -> Array:
    """(1/t) int_0^t of values (T, K) for each of the times."""
    gaps = np.diff(times)[:, None]
    sums = np.cumsum(gaps * (values[1:] + values[:-1]) / 2, axis=0)
    return np.concatenate([values[:1], sums / (times[1:] - times[0])[:, None]])


def average_errors(ni: NikaidoIsoda, run: Trajectory) -> Array:
    """NI of the time averages over [0, t] of both players, at each saved time t, (T,).

    For games that are not low-rank the averages are measures on the points of all times together.
    """
    if ni.game.bases is None:
        return np.array([ni(*run.average(last=k)).value for k in range(len(run))])
    pairs = zip(*average_moments(ni.game, run), strict=True)
    return np.array([ni(*pair).value for pair in pairs])
