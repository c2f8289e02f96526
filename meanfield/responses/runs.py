"""Many gradient runs from random points, the paper's estimate of best responses: a lower bound."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold
from meanfield.responses.costs import Cost, Response

LOOK = 10  # steps between looks at which runs have settled
PROBES = 64


def gradient_runs(
    cost: Cost,
    manifold: Manifold,
    starts: Array,
    steps: int,
    step: float | None = None,
    tol: float | None = 1e-6,
) -> Response:
    """Projected gradient descent x <- R(x - h grad U) from all `starts` (m, a) at once.

    A run ends when |grad U| falls below tol times the largest slope at the starts, or after
    `steps`; with tol = None it takes all its steps. step: h, by default 1 over the largest
    curvature at some of the starts.
    """
    x, ended = starts.copy(), []
    slope = cost.gradient(x)
    settled = -1.0 if tol is None else tol * float(np.sqrt((slope * slope).sum(axis=1).max()))
    h = _step(cost, starts) if step is None else step
    for k in range(steps):
        x = manifold.retract(x, -h * slope)
        slope = cost.gradient(x)
        if settled >= 0 and k % LOOK == LOOK - 1:
            moving = (slope * slope).sum(axis=1) > settled**2
            if not moving.all():
                ended.append(x[~moving])
                x, slope = x[moving], slope[moving]
            if not len(x):
                break
    left = len(x)
    points = np.concatenate([*ended, x])
    values = cost.values(points)
    order = np.argsort(values, kind="stable")
    short = f", {left} of them cut short" if left and settled >= 0 else ""
    method = f"{len(starts)} gradient runs of at most {steps} steps{short}, lower bound only"
    return Response(points[order], values[order], -np.inf, method)


def _step(cost: Cost, starts: Array) -> float:
    some = starts[:: max(1, len(starts) // PROBES)]
    return 1 / max(float(np.abs(np.linalg.eigvalsh(cost.hessian(some))).max()), 1e-300)
