"""Exact W2 between atoms, on any manifold, by the network simplex.

Between many atoms on tori and spheres of low dimension few arcs are looked at (`sparse`), otherwise
all of them. Either way the answer is believed only after the plan's marginals and its dual
certificate hold.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.metrics.w2.costs import ground_cost
from meanfield.metrics.w2.result import Transport
from meanfield.metrics.w2.sparse import Atoms, Plan, dense_transport, sparse_transport

MOST_PAIRS = 10**11  # on tori and spheres
MOST_COSTS = 10**7  # elsewhere, where all costs are in memory at once
DENSE = 4_000_000  # pairs for which all arcs are as quick in many dimensions
FEW_PAIRS = 1 << 16  # for which all arcs are as quick
LOW = 4  # coordinates up to which a search through boxes passes most of them over
TOLERANCE = 1e-9


def discrete_transport(a: Measure, b: Measure, metric: str = "geodesic") -> Transport:
    """W2^2 of sum a_i delta(x_i) and sum b_j delta(y_j), densities taken as atoms at their nodes.

    Raises ValueError for too many pairs of atoms, NotConverged when marginals are off by more than
    1e-9 in total, or when the duals prove a gap above 1e-9, relative.
    """
    plan = optimal_plan(a, b, metric)
    certify(plan)
    if isinstance(a, Density) or isinstance(b, Density):
        note = "densities taken as atoms at their nodes"
        return Transport(plan.value, "discrete", False, note, residual=plan.residual)
    return Transport.exactly(plan.value, "discrete", plan.residual)


def optimal_plan(a: Measure, b: Measure, metric: str) -> Plan:
    """The optimal plan between the atoms that have mass."""
    (x, p), (y, q), M = _support(a), _support(b), a.manifold
    pairs, searchable = len(x) * len(y), isinstance(M, (Torus, Sphere))
    limit = MOST_PAIRS if searchable else MOST_COSTS
    if pairs > limit:
        raise ValueError(
            f"discrete transport of {len(x)} against {len(y)} atoms has {pairs:.3g} pairs, "
            f"above the limit of {limit:.0e}; use fewer points or coarser cells"
        )
    if searchable and pairs > (FEW_PAIRS if M.ambient <= LOW else DENSE):
        return sparse_transport(Atoms(x, p, M), Atoms(y, q, M), ground_cost(M, metric))
    return dense_transport(_costs(M, x, y, metric), p, q)


def _support(measure: Measure) -> tuple[Array, Array]:
    charged = measure.masses > 0
    masses = measure.masses[charged]
    return measure.points[charged], masses / masses.sum()


def _costs(manifold: Manifold, x: Array, y: Array, metric: str) -> Array:
    """The squared distances (n, m)."""
    C = np.empty((len(x), len(y)))
    for i in range(0, len(x), 256):
        rows = x[i : i + 256, None]
        if metric == "geodesic":
            C[i : i + 256] = manifold.distance(rows, y) ** 2
            continue
        gap = rows - y
        if isinstance(manifold, Torus):
            wave = np.pi / manifold.period
            gap = np.sin(wave * gap) / wave
        C[i : i + 256] = np.sum(gap * gap, axis=-1)
    return C


def certify(plan: Plan) -> None:
    """Marginals and weak duality: NotConverged unless the plan's value is proven."""
    if plan.residual > TOLERANCE:
        raise NotConverged(
            f"discrete transport: the plan's marginals are off by {plan.residual:.2e}"
        )
    gap = plan.value - plan.lower
    if gap > TOLERANCE * (plan.value + plan.largest * 1e-3):
        raise NotConverged(f"discrete transport: {plan.value:.12g} is proven only within {gap:.2e}")
