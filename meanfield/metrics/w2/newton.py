"""Damped Newton for semi-discrete transport, shared by the torus and the sphere.

The unknowns are the atoms' potentials psi; the dual is concave, with gradient target - masses of
the Laguerre cells, and minus its second derivative is the Laplacian of the cells' graph (Kitagawa,
Merigot, Thibert 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.jit import kernel
from meanfield.meshes import Index
from meanfield.metrics.w2.costs import total


class Laplacian(NamedTuple):
    """The matrix H of a weighted graph: H_ij = -weight of the edge from i to j, rows of sum zero.

    Row i has the neighbours columns[k] with weights[k] > 0 for starts[i] <= k < starts[i + 1].
    """

    starts: Index
    columns: Index
    weights: Array


def rows_of(parts: Sequence[Laplacian]) -> Laplacian:
    """The matrix whose rows are those of the parts, one after the other."""
    before = np.cumsum([0] + [len(H.columns) for H in parts])
    starts = [H.starts[1:] + at for H, at in zip(parts, before, strict=False)]
    columns, weights = ([H[k] for H in parts] for k in (1, 2))
    return Laplacian(*map(np.concatenate, ([np.zeros(1, np.int64), *starts], columns, weights)))


@dataclass(frozen=True, eq=False)
class Cells:
    """Laguerre cells of n atoms: masses (n,), costs (n,) = int_cell d^2 drho, H = d masses/d psi.

    ordered: atoms that follow each other are near.
    """

    masses: Array
    costs: Array
    H: Laplacian
    ordered: bool = False


@kernel(counted=True)
def between_groups(H: Laplacian, group: int, count: int) -> Array:
    """H summed over `count` groups of `group` atoms that follow each other, (count, count)."""
    A = np.zeros((count, count))
    for i in range(len(H.starts) - 1):
        for k in range(H.starts[i], H.starts[i + 1]):
            A[i // group, i // group] += H.weights[k]
            A[i // group, H.columns[k] // group] -= H.weights[k]
    return A


@kernel(counted=True)
def precondition(
    g: Array, inverse: Array, group: int, coarse: Array, sums: Array, z: Array
) -> None:
    """z = g over the diagonal, plus what the groups' own system makes of g."""
    for i in range(len(g)):
        z[i] = g[i] * inverse[i]
    if len(coarse) == 0:
        return
    sums[:] = 0.0
    for i in range(len(g)):
        sums[i // group] += g[i]
    answer = np.zeros(len(coarse))
    for k in range(len(coarse)):
        s = sums[k]
        for l in range(len(coarse)):
            answer[l] += coarse[k, l] * s
    for i in range(len(g)):
        z[i] += answer[i // group]


@kernel(counted=True)
def conjugate_gradients(
    H: Laplacian, r: Array, tolerance: float, limit: int, group: int, coarse: Array
) -> tuple[Array, float]:
    """d with H d = r, r of sum zero, and the relative residual.

    Preconditioned by the diagonal and, for errors that reach far, by the inverse `coarse` (m, m) of
    `between_groups`, of shape (0, 0) without groups.
    """
    n = len(r)
    d, Hp = np.zeros(n), np.empty(n)
    inverse = np.empty(n)
    for i in range(n):
        total = 0.0
        for k in range(H.starts[i], H.starts[i + 1]):
            total += H.weights[k]
        inverse[i] = 1.0 / total if total > 0 else 0.0
    g = r.copy()
    z, sums = np.empty(n), np.empty(len(coarse))
    precondition(g, inverse, group, coarse, sums, z)
    p = z.copy()
    first = rho = float(np.dot(g, z))
    if first == 0.0:
        return d, 0.0
    for _ in range(limit):
        curvature = 0.0
        for i in range(n):
            total = 0.0
            for k in range(H.starts[i], H.starts[i + 1]):
                total += H.weights[k] * (p[i] - p[H.columns[k]])
            Hp[i] = total
            curvature += total * p[i]
        if not curvature > 0.0:
            break
        a, new = rho / curvature, 0.0
        for i in range(n):
            d[i] += a * p[i]
            g[i] -= a * Hp[i]
        precondition(g, inverse, group, coarse, sums, z)
        for i in range(n):
            new += g[i] * z[i]
        b, rho = new / rho, new
        if tolerance * tolerance * first >= rho:
            break
        for i in range(n):
            p[i] = z[i] + b * p[i]
    return d, np.sqrt(rho / first)


TOLERANCE = 1e-10  # sum of the marginals' errors; the dual value is off by its square
STEPS = 150
MANY, GROUPS = 20_000, 400  # atoms from which on there are groups, and how many
NEAR = 1.0  # masses within a factor e of their targets: Newton aims at the targets themselves


def newton(
    cells: Callable[[Array], Cells], target: Array, psi: Array, what: str, steps: int = STEPS
) -> tuple[Array, Cells]:
    """Potentials psi (n,) whose Laguerre cells have the masses `target`, and those cells.

    While some masses are far from their targets, a step aims at masses between in geometric mean:
    a cell that is too small by orders of magnitude grows by a factor a step. Going straight to the
    target would empty its neighbours. A step is halved until no cell keeps less than a tenth of its
    mass or aim and, near the targets, the sum of errors falls by a share of what it promises.

    Raises NotConverged above TOLERANCE; what: the problem's name in its message.
    """
    now, stride = cells(psi), np.log(8.0)
    for _ in range(steps):
        if not (now.masses > 0).all():
            raise NotConverged(f"{what}: {int((now.masses <= 0).sum())} cells hold no mass")
        error = float(np.abs(target - now.masses).sum())
        if error <= TOLERANCE:
            return psi, now
        far = np.log(target / now.masses)
        worst = float(np.abs(far).max())
        near, aim = worst <= NEAR, target
        if not near:
            aim = now.masses * np.exp(min(1.0, stride / worst) * far)
            aim /= aim.sum()
        # The smallest cells need their digits; near the targets Newton's own error decides.
        d = _direction(now, aim, max(1e-6, min(0.1, 0.3 * error)) if near else 1e-8)
        t, new = _longest_step(cells, psi, d, aim, now, target, near, what)
        if not near:
            stride = float(np.clip(stride * (2.0 if t == 1 else 0.5 if t < 0.3 else 1.0), 0.1, 5.0))
        psi, now = psi + t * d, new
    raise NotConverged(
        f"{what}: {steps} Newton steps leave the marginals off by {error:.2e} in total"
    )


def _direction(now: Cells, aim: Array, tolerance: float) -> Array:
    """Newton's step d, H d = aim - masses, of mean zero."""
    r = aim - now.masses
    group, coarse = 1, np.empty((0, 0))
    if now.ordered and len(r) > MANY:
        group = -(-len(r) // GROUPS)
        A = between_groups(now.H, group, -(-len(r) // group))
        coarse = np.linalg.inv(A + A.trace() / len(A) ** 2)
    d, _ = conjugate_gradients(now.H, r - r.mean(), tolerance, 5000, group, coarse)
    return d - d.mean()  # type: ignore[no-any-return]


def _longest_step(
    cells: Callable[[Array], Cells],
    psi: Array,
    d: Array,
    aim: Array,
    now: Cells,
    target: Array,
    near: bool,
    what: str,
) -> tuple[float, Cells]:
    """The longest of the steps 1, 1/2, 1/4, ... along d that may be taken, and its cells."""
    floor = 0.1 * np.minimum(now.masses, aim)
    error = float(np.abs(target - now.masses).sum())
    t = 1.0
    while t > 1e-5:
        new = cells(psi + t * d)
        falls = not near or float(np.abs(target - new.masses).sum()) <= (1 - 0.25 * t) * error
        if falls and (new.masses >= floor).all():
            return t, new
        t *= 0.5
    raise NotConverged(f"{what}: Newton stalls with the marginals off by {error:.2e} in total")


def dual_value(psi: Array, target: Array, now: Cells) -> float:
    """sum costs + sum psi (target - masses), which is at most |target - masses|_1 max cost below
    the optimum.
    """
    return float(now.costs.sum()) + total(target - now.masses, psi)
