"""Exact discrete optimal transport between atoms, on any manifold: through POT, or on few arcs where there are many.

Either answer is believed only after its marginals and its dual certificate hold.
"""

from __future__ import annotations

import warnings

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Measure

DENSE = 4_000_000  # pairs up to which all costs are held at once
LIMIT = 10**11  # pairs up to which a plan is looked for at all
TOLERANCE = 1e-9


def discrete_w2_squared(a: Measure, b: Measure, metric: str = "geodesic") -> tuple[float, float]:
    """W2^2 of sum a_i delta(x_i) and sum b_j delta(y_j), and the sum of the marginals' errors.

    For the squared geodesic (or extrinsic) distance.

    Raises ValueError for more than 10^11 pairs, NotConverged when a solver says so, when marginals are off
    by more than 1e-9 in total, or when the duals prove a gap above 1e-9 relative.
    """
    (x, p), (y, q) = _support(a), _support(b)
    pairs = len(x) * len(y)
    if pairs > LIMIT:
        raise ValueError(
            f"discrete transport of {len(x)} against {len(y)} atoms has {pairs:.3g} pairs, "
            f"above the limit of {LIMIT:.0e}; use fewer points or coarser cells"
        )
    if pairs > DENSE:
        return _sparse(a.manifold, x, p, y, q, metric)
    cost = np.empty((len(x), len(y)))
    for i in range(0, len(x), 256):
        cost[i : i + 256] = _squares(a.manifold, x[i : i + 256, None], y[None], metric)
    plan, v = _solve(p, q, cost)
    value = float(np.vdot(plan, cost))
    u = np.array([(cost[i] - v).min() for i in range(len(p))])  # feasible whatever the solver says
    residual = float(np.abs(plan.sum(1) - p).sum() + np.abs(plan.sum(0) - q).sum())
    certify(value, float(u @ p + v @ q), residual, cost.max())
    return value, residual


def _sparse(
    manifold: Manifold, x: Array, p: Array, y: Array, q: Array, metric: str
) -> tuple[float, float]:
    from meanfield.metrics.sparse import Atoms, kind_of, sparse_transport

    plan = sparse_transport(
        Atoms(x, p, manifold), Atoms(y, q, manifold), *kind_of(manifold, metric)
    )
    certify(plan.value, plan.lower, plan.residual, plan.largest)
    return plan.value, plan.residual


def _squares(manifold: Manifold, x: Array, y: Array, metric: str) -> Array:
    if metric == "geodesic":
        return manifold.distance(x, y) ** 2
    if isinstance(manifold, Torus):
        return np.sum(
            (manifold.period / np.pi * np.sin(np.pi / manifold.period * (x - y))) ** 2, axis=-1
        )
    return np.sum((x - y) ** 2, axis=-1)


def _support(measure: Measure) -> tuple[Array, Array]:
    held = measure.masses > 0
    masses = measure.masses[held]
    return measure.points[held], masses / masses.sum()


def _solve(p: Array, q: Array, cost: Array) -> tuple[Array, Array]:
    """The plan and the second player's prices; costs are scaled, as the solver's tolerance is absolute."""
    import ot

    largest = float(cost.max()) or 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            plan, log = ot.lp.emd(p, q, cost / largest, numItermax=10_000_000, log=True)
        except Warning as warning:
            raise NotConverged(
                f"discrete transport ({len(p)} against {len(q)} atoms): {warning}"
            ) from None
    return plan, largest * log["v"]


def certify(value: float, lower: float, residual: float, largest: float) -> None:
    """Marginals and weak duality: NotConverged unless lower <= W2^2 <= value leave no doubt."""
    if residual > TOLERANCE:
        raise NotConverged(f"discrete transport: the plan's marginals are off by {residual:.2e}")
    if value - lower > TOLERANCE * (value + largest * 1e-3):
        raise NotConverged(
            f"discrete transport: {value:.12g} is proven only within {value - lower:.2e}"
        )
