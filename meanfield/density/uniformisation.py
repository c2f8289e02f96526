"""exp(A) m for a generator A of jumps between cells, by uniformisation: positive at any size of A.

With q at least every cell's total rate, P = I + A/q has no negative entry and columns that sum to
one, and exp(A) = sum_k e^-q q^k/k! P^k (Jensen 1953; Grassmann 1977): a mean of the states that P
passes through, with Poisson weights.

- The weights start at the mode with the value one, run both ways by their ratios until they fall
  below 1e-17 of it, and are divided by their sum: stable for any q, nothing underflows, and the part
  cut off is below 1e-16.
- No term is negative: P's diagonal is 1 minus what leaves, cut at zero where rounding makes it less.
- Mass is kept by P to rounding in each product. What q products accumulate is taken out at the end by
  one factor, the mass before over the mass after (compensated sums); its distance from one is returned.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from meanfield.checks import Array
from meanfield.manifolds import Torus
from meanfield.meshes import Index, Mesh, torus_mesh

CUT = 1e-17
MOST = 1e8  # products in one exponential beyond which a step is refused


class Exponential:
    """m -> exp(A) m on one mesh, A given by the rates (F,) over its faces, times the duration."""

    def __init__(self, mesh: Mesh) -> None:
        grid = mesh.shape is not None and isinstance(mesh.manifold, Torus)
        if grid and not np.array_equal(mesh.pairs, torus_mesh(mesh.manifold, mesh.shape).pairs):  # type: ignore[arg-type]
            grid = False
        self.shape = np.array(mesh.shape, dtype=np.int64) if grid else None
        if self.shape is None:
            self.other, self.face = mesh.neighbours

    def __call__(self, forward: Array, backward: Array, m: Array) -> tuple[Array, float]:
        """exp(A) m with nonnegative entries, and the relative mass error that was taken out.

        forward, backward (F,): k_ij and k_ji times the duration, nonnegative. Raises ValueError
        where the rates are not finite or would take more than 1e8 products.
        """
        if self.shape is not None:
            d = len(self.shape)
            size, new, error = grid_exponential(forward.reshape(d, -1), backward.reshape(d, -1), self.shape, m)
        else:
            size, new, error = table_exponential(forward, backward, self.other, self.face, m)
        if not size <= MOST:
            raise ValueError(
                f"one step would take {size:.1e} products with the jump matrix: the costs change too much from cell "
                'to cell for these weights; use weights="sg", more cells, a larger temperature or a smaller step'
            )
        return new, error


@njit(cache=True, nogil=True, error_model="numpy")
def poisson(q: float) -> tuple[int, Array]:
    """First index and values of the Poisson weights e^-q q^k/k! above 1e-17 of the largest, sum one."""
    mode = int(q)
    w, low = 1.0, mode
    while low > 0 and w > CUT:
        w *= low / q
        low -= 1
    w, high = 1.0, mode
    while w > CUT:
        high += 1
        w *= q / high
    weights = np.empty(high - low + 1)
    weights[mode - low] = 1.0
    for k in range(mode - 1, low - 1, -1):
        weights[k - low] = weights[k - low + 1] * ((k + 1) / q)
    for k in range(mode + 1, high + 1):
        weights[k - low] = weights[k - low - 1] * (q / k)
    return low, weights / weights.sum()


@njit(cache=True, nogil=True, error_model="numpy")
def mass(m: Array) -> float:
    """Sum with Neumaier's compensation."""
    total, lost = 0.0, 0.0
    for i in range(len(m)):
        new = total + m[i]
        lost += (total - new) + m[i] if abs(total) >= abs(m[i]) else (m[i] - new) + total
        total = new
    return total + lost


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate(weight: float, term: Array, total: Array) -> None:
    for i in range(len(total)):
        total[i] += weight * term[i]


@njit(cache=True, nogil=True, error_model="numpy")
def rescale(new: Array, wanted: float) -> float:
    """Set the mass to what it was; returns the relative error that it had."""
    found = mass(new)
    factor = wanted / found
    for i in range(len(new)):
        new[i] *= factor
    return abs(found / wanted - 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def grid_exponential(forward: Array, backward: Array, shape: Index, m: Array) -> tuple[float, Array, float]:
    """On a torus's grid: face i of axis a lies between cell i and the next along a (C order).

    Returns (q, exp(A) m, mass error taken out); only q is meant where it is too large or not finite.
    """
    leaving = np.zeros(len(m))
    inside = np.ones(len(m))
    grid_leaving(forward, backward, shape, leaving)
    q = leaving.max()
    if not q <= MOST or q == 0.0:
        return q, m.copy(), 0.0
    f, b = forward / q, backward / q
    leaving[:] = 0.0
    grid_leaving(f, b, shape, leaving)
    for i in range(len(m)):
        inside[i] = max(0.0, 1.0 - leaving[i])
    low, weights = poisson(q)
    v, new, total = m.copy(), np.empty(len(m)), np.zeros(len(m))
    for k in range(low + len(weights)):
        if k > 0:
            grid_product(f, b, inside, shape, v, new)
            v, new = new, v
        if k >= low:
            accumulate(weights[k - low], v, total)
    return q, total, rescale(total, mass(m))


@njit(cache=True, nogil=True, error_model="numpy")
def grid_leaving(forward: Array, backward: Array, shape: Index, leaving: Array) -> None:
    """Adds to each cell the rates over its 2d faces."""
    size, stride = len(leaving), len(leaving)
    for a in range(len(shape)):
        block = stride
        stride //= shape[a]
        for start in range(0, size, block):
            for i in range(start, start + block):
                leaving[i] += forward[a, i]
                ahead = i + stride if i + stride < start + block else i + stride - block
                leaving[ahead] += backward[a, i]


@njit(cache=True, nogil=True, error_model="numpy")
def grid_product(f: Array, b: Array, inside: Array, shape: Index, v: Array, new: Array) -> None:
    """new = P v, axis by axis in contiguous runs: all but the ends of a block have neighbours at +-stride."""
    size, stride = len(v), len(v)
    for i in range(size):
        new[i] = inside[i] * v[i]
    for a in range(len(shape)):
        block = stride
        stride //= shape[a]
        for start in range(0, size, block):
            last = start + block - stride
            run(f[a, last : last + stride], v[last : last + stride], b[a, start:last],
                v[start + stride : start + 2 * stride], new[start : start + stride])  # fmt: skip
            run(f[a, start:last], v[start:last], b[a, start + stride : last],
                v[start + 2 * stride : start + block], new[start + stride : last])  # fmt: skip
            run(f[a, last - stride : last], v[last - stride : last], b[a, last : last + stride],
                v[start : start + stride], new[last : last + stride])  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def run(f: Array, left: Array, b: Array, right: Array, new: Array) -> None:
    for i in range(len(new)):
        new[i] += f[i] * left[i] + b[i] * right[i]


@njit(cache=True, nogil=True, error_model="numpy")
def table_exponential(
    forward: Array, backward: Array, other: Index, face: Index, m: Array
) -> tuple[float, Array, float]:
    """On any mesh, by its table of neighbours (N, k); returns as `grid_exponential`."""
    size, width = other.shape
    enter, leaving = np.zeros((size, width)), np.zeros(size)
    for i in range(size):
        for s in range(width):
            f = face[i, s]
            if other[i, s] >= 0:
                enter[i, s] = backward[f] if f >= 0 else forward[-2 - f]
                leaving[i] += forward[f] if f >= 0 else backward[-2 - f]
    q = leaving.max()
    if not q <= MOST or q == 0.0:
        return q, m.copy(), 0.0
    enter /= q
    inside = np.maximum(1.0 - leaving / q, 0.0)
    low, weights = poisson(q)
    v, new, total = m.copy(), np.empty(size), np.zeros(size)
    for k in range(low + len(weights)):
        if k > 0:
            for i in range(size):
                new[i] = inside[i] * v[i]
                for s in range(width):
                    if other[i, s] >= 0:
                        new[i] += enter[i, s] * v[other[i, s]]
            v, new = new, v
        if k >= low:
            accumulate(weights[k - low], v, total)
    return q, total, rescale(total, mass(m))
