"""Exact discrete optimal transport with geodesic cost, on any manifold, through POT.

The network simplex's answer is believed only after its marginals and its dual certificate hold.
"""

from __future__ import annotations

import warnings

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure

LIMIT = 1 << 30  # bytes of the cost matrix; the solver itself takes about four times as much
TOLERANCE = 1e-9


def discrete_w2_squared(a: Measure, b: Measure, metric: str = "geodesic") -> float:
    """W2^2 of sum a_i delta(x_i) and sum b_j delta(y_j) for the squared geodesic (or extrinsic) distance.

    Raises ValueError when n m 8 bytes exceed 1 GiB, NotConverged when the solver warns, when
    its marginals are off by more than 1e-9, or when its duals prove a gap above 1e-9 relative.
    """
    (x, p), (y, q) = _support(a), _support(b)
    size = len(x) * len(y) * 8
    if size > LIMIT:
        raise ValueError(
            f"discrete transport of {len(x)} against {len(y)} atoms needs a cost matrix of {size / 2**30:.3g} GiB, "
            f"above the limit of {LIMIT / 2**30:g} GiB; use fewer points or coarser cells"
        )
    cost = np.empty((len(x), len(y)))
    for i in range(0, len(x), 256):
        cost[i : i + 256] = _squares(a.manifold, x[i : i + 256, None], y[None], metric)
    plan, v = _solve(p, q, cost)
    value = float(np.vdot(plan, cost))
    _certify(value, plan, v, p, q, cost)
    return value


def _squares(manifold: Manifold, x: Array, y: Array, metric: str) -> Array:
    if metric == "geodesic":
        return manifold.distance(x, y) ** 2
    if isinstance(manifold, Torus):
        return np.sum((manifold.period / np.pi * np.sin(np.pi / manifold.period * (x - y))) ** 2, axis=-1)
    return np.sum((x - y) ** 2, axis=-1)


def _support(measure: Measure) -> tuple[Array, Array]:
    held = measure.masses > 0
    masses = measure.masses[held]
    return measure.points[held], masses / masses.sum()


def _solve(p: Array, q: Array, cost: Array) -> tuple[Array, Array]:
    import ot

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            plan, log = ot.lp.emd(p, q, cost, numItermax=10_000_000, log=True)
        except Warning as warning:
            raise NotConverged(f"discrete transport ({len(p)} against {len(q)} atoms): {warning}") from None
    return plan, log["v"]


def _certify(value: float, plan: Array, v: Array, p: Array, q: Array, cost: Array) -> None:
    """Marginals and weak duality: sum u p + sum v q <= W2^2 for u + v <= cost."""
    off = max(np.abs(plan.sum(1) - p).max(), np.abs(plan.sum(0) - q).max())
    if off > TOLERANCE:
        raise NotConverged(f"discrete transport: the plan's marginals are off by {off:.2e}")
    # Duals made feasible again, so that the bound holds whatever the solver says.
    u = np.array([(cost[i] - v).min() for i in range(len(p))])
    gap = value - float(u @ p + v @ q)
    if gap > TOLERANCE * (value + cost.max() * 1e-3):
        raise NotConverged(f"discrete transport: {value:.12g} is proven only within {gap:.2e}")
