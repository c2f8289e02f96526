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
from meanfield.sums import total


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
    """Laguerre cells of n atoms: masses (n,), costs (n,) = int_cell d^2 drho, H = dmasses/dpsi."""

    masses: Array
    costs: Array
    H: Laplacian


@kernel(counted=True)
def halves(H: Laplacian, order: Index) -> tuple[Laplacian, Laplacian]:
    """The atoms in this order, and of the neighbours of each those before it, and those after."""
    n, E = len(order), len(H.columns)
    place = np.empty(n, np.int64)
    first, second = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for i in range(n):
        place[order[i]] = i
    before, after = np.empty(E, np.int64), np.empty(E, np.int64)
    weights, others, count, rest = np.empty(E), np.empty(E), 0, 0
    for i in range(n):
        for k in range(H.starts[order[i]], H.starts[order[i] + 1]):
            j = place[H.columns[k]]
            if j < i:
                before[count], weights[count] = j, H.weights[k]
                count += 1
            elif j > i:
                after[rest], others[rest] = j, H.weights[k]
                rest += 1
        first[i + 1], second[i + 1] = count, rest
    return (
        Laplacian(first, before[:count], weights[:count]),
        Laplacian(second, after[:rest], others[:rest]),
    )


@kernel(counted=True)
def diagonals(before: Laplacian, after: Laplacian) -> tuple[Array, Array]:
    """The diagonal D of H and the pivots P of its factors (P - L) / P (P - L'), with H = D - L - L'
    and L from the neighbours before.

    What elimination would fill in is subtracted from the pivots, so that each row of the product
    has the sum that it has in H, plus 10/n of D: without this the last pivot would be zero
    (Gustafsson 1978).
    """
    n = len(before.starts) - 1
    D, P, ahead = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(n):
        for k in range(after.starts[i], after.starts[i + 1]):
            ahead[i] += after.weights[k]
        D[i], filled = ahead[i], 0.0
        for k in range(before.starts[i], before.starts[i + 1]):
            j = before.columns[k]
            D[i] += before.weights[k]
            filled += before.weights[k] * ahead[j] / P[j]
        P[i] = D[i] * (1.0 + 10.0 / n) - filled
    return D, P


@kernel
def around(rows: Laplacian, i: int, z: Array) -> float:
    """The sum of weights times z over the neighbours in row i."""
    total = 0.0
    for k in range(rows.starts[i], rows.starts[i + 1]):
        total += rows.weights[k] * z[rows.columns[k]]
    return total


@kernel(counted=True)
def conjugate_gradients(
    H: Laplacian, order: Index, r: Array, tolerance: float, limit: int
) -> tuple[Array, float]:
    """d with H d = r, r of sum zero, and the relative residual in the norm of the preconditioner.

    order: in which atoms are eliminated.

    With the factors of `diagonals` on both sides H is (P - L)^-1 H (P - L')^-1: a product with it
    takes one backward and one forward substitution and no product with H itself (Eisenstat 1981).
    In two dimensions the number of iterations grows about like n^(1/4) where the order goes along
    one axis; along boxes it is up to twice as large.
    """
    n = len(r)
    before, after = halves(H, order)
    D, P = diagonals(before, after)
    inverse, rest = np.zeros(n), np.empty(n)
    for i in range(n):  # atoms without neighbours stay where they are
        inverse[i], rest[i] = 1.0 / P[i] if P[i] > 0.0 else 0.0, 2.0 * P[i] - D[i]
    d, t, q, g, p = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.empty(n)
    first = 0.0
    for i in range(n):
        g[i] = (r[order[i]] + around(before, i, g)) * inverse[i]
        p[i] = P[i] * g[i]
        first += g[i] * p[i]
    rho = first
    if first == 0.0:
        return d, 0.0
    for _ in range(limit):
        for i in range(n - 1, -1, -1):
            t[i] = (p[i] + around(after, i, t)) * inverse[i]
        curvature = 0.0
        for i in range(n):
            q[i] = (p[i] - rest[i] * t[i] + around(before, i, q)) * inverse[i]
            curvature += (t[i] + q[i]) * p[i]
        if not curvature > 0.0:
            break
        a, new = rho / curvature, 0.0
        for i in range(n):
            d[i] += a * t[i]
            g[i] -= a * (t[i] + q[i])
            new += P[i] * g[i] * g[i]
        b, rho = new / rho, new
        if tolerance * tolerance * first >= rho:
            break
        for i in range(n):
            p[i] = P[i] * g[i] + b * p[i]
    out = np.empty(n)
    for i in range(n):
        out[order[i]] = d[i]
    return out, np.sqrt(rho / first)


TOLERANCE = 1e-10  # sum of the marginals' errors; the dual value is off by its square
STEPS = 150
NEAR = 1.0  # masses within a factor e of their targets: Newton aims at the targets themselves


def newton(
    cells: Callable[[Array], Cells],
    points: Array,
    target: Array,
    psi: Array,
    what: str,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
    now: Cells | None = None,
) -> tuple[Array, Cells]:
    """Potentials psi (n,) whose Laguerre cells have the masses `target`, and those cells.

    points (n, a): the atoms'; now: the cells for psi, if they are known.

    While some masses are far from their targets, a step aims at masses between in geometric mean:
    a cell that is too small by orders of magnitude grows by a factor a step. Going straight to the
    target would empty its neighbours. A step is halved until no cell keeps less than a tenth of its
    mass or aim and, near the targets, the sum of errors falls by a share of what it promises.

    Raises NotConverged above the tolerance; what: the problem's name in its message.
    """
    order, stride = np.argsort(points[:, 0], kind="stable"), np.log(8.0)
    now = cells(psi) if now is None else now
    for _ in range(steps):
        if not (now.masses > 0).all():
            raise NotConverged(f"{what}: {int((now.masses <= 0).sum())} cells hold no mass")
        error = float(np.abs(target - now.masses).sum())
        if error <= tolerance:
            return psi, now
        far = np.log(target / now.masses)
        worst = float(np.abs(far).max())
        near, aim = worst <= NEAR, target
        if not near:
            aim = now.masses * np.exp(min(1.0, stride / worst) * far)
            aim /= aim.sum()
        # The smallest cells need their digits; near the targets Newton's own error decides.
        least = float(now.masses.min()) * len(order)
        wanted = max(1e-6, min(0.1, 0.3 * error)) if near else max(1e-8, min(1e-4, 0.01 * least))
        d = _direction(now, order, aim, wanted)
        t, new = _longest_step(cells, psi, d, aim, now, target, near, what)
        if not near:
            stride = float(np.clip(stride * (2.0 if t == 1 else 0.5 if t < 0.3 else 1.0), 0.1, 5.0))
        psi, now = psi + t * d, new
    raise NotConverged(
        f"{what}: {steps} Newton steps leave the marginals off by {error:.2e} in total"
    )


def _direction(now: Cells, order: Index, aim: Array, tolerance: float) -> Array:
    """Newton's step d, H d = aim - masses, of mean zero."""
    r = aim - now.masses
    d, _ = conjugate_gradients(now.H, order, r - r.mean(), tolerance, 5000)
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
