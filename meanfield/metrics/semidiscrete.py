"""Damped Newton for semi-discrete transport, shared by the torus and the sphere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, NotConverged
from meanfield.jit import kernel

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Laguerre cells of n atoms: masses (n,), costs (n,) = int_cell d^2 drho, and the dual's second derivative.

    Row i of the sparse matrix holds weights[k] > 0 for neighbours columns[k], starts[i] <= k < starts[i + 1]:
    d mass_i / d psi_j = -weight, and the sum of the row for j = i.
    """

    masses: Array
    costs: Array
    starts: Index
    columns: Index
    weights: Array


@kernel
def conjugate_gradients(
    starts: Index, columns: Index, weights: Array, ridge: Array, r: Array, tolerance: float, limit: int
) -> tuple[Array, float]:
    """d with (H + ridge) d = r, r of sum zero, and the relative residual; preconditioned by the diagonal."""
    n = len(r)
    d, Hp = np.zeros(n), np.empty(n)
    inverse = np.empty(n)
    for i in range(n):
        total = ridge[i]
        for k in range(starts[i], starts[i + 1]):
            total += weights[k]
        inverse[i] = 1.0 / total if total > 0 else 0.0
    g = r.copy()
    z = g * inverse
    p = z.copy()
    first = rho = float(np.dot(g, z))
    if first == 0.0:
        return d, 0.0
    for _ in range(limit):
        curvature = 0.0
        for i in range(n):
            total = ridge[i] * p[i]
            for k in range(starts[i], starts[i + 1]):
                total += weights[k] * (p[i] - p[columns[k]])
            Hp[i] = total
            curvature += total * p[i]
        if not curvature > 0.0:
            break
        a, new = rho / curvature, 0.0
        for i in range(n):
            d[i] += a * p[i]
            g[i] -= a * Hp[i]
            z[i] = g[i] * inverse[i]
            new += g[i] * z[i]
        b, rho = new / rho, new
        if tolerance * tolerance * first >= rho:
            break
        for i in range(n):
            p[i] = z[i] + b * p[i]
    return d, np.sqrt(rho / first)


TOLERANCE = 1e-10  # sum of the marginals' errors; the dual value is off by its square
STEPS = 200


def newton(
    cells: Callable[[Array], Cells], target: Array, psi: Array, what: str, tolerance: float = TOLERANCE
) -> tuple[Array, Cells]:
    """Potentials psi (n,) whose Laguerre cells have masses `target`, by damped Newton, and those cells.

    The dual is concave with gradient target - masses (Kitagawa, Merigot, Thibert 2019). A step is halved
    until the sum of errors falls by a fixed share of what the step promises and no cell loses more than
    nine tenths of the lesser of its mass and its target: relaxed from the fixed floor of that paper, which
    unequal weights make as small as the smallest of them. Raises NotConverged.
    """
    now = cells(psi)
    error = float(np.abs(target - now.masses).sum())
    none = np.zeros(len(target))
    for _ in range(STEPS):
        if error <= tolerance:
            return psi, now
        r = target - now.masses
        d, _ = conjugate_gradients(
            now.starts, now.columns, now.weights, none, r - r.mean(), max(1e-6, min(0.1, 0.3 * error)), 5000
        )
        d -= d.mean()
        floor = 0.1 * np.minimum(now.masses, target)
        t = 1.0
        while True:
            new = cells(psi + t * d)
            after = float(np.abs(target - new.masses).sum())
            if (new.masses >= floor).all() and after <= (1 - 0.25 * t) * error:
                break
            t *= 0.5
            if t < 1e-5:
                raise NotConverged(f"{what}: Newton stalls with the marginals off by {error:.2e} in total")
        psi, now, error = psi + t * d, new, after
    raise NotConverged(f"{what}: {STEPS} Newton steps leave the marginals off by {error:.2e} in total")


def dual_value(psi: Array, target: Array, now: Cells) -> float:
    """sum costs + sum psi (target - masses): below the optimum by at most |target - masses|_1 max cost."""
    return float(now.costs.sum() + psi @ (target - now.masses))
