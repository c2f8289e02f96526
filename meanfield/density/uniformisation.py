"""exp(A) m for a generator A of jumps between cells, by uniformisation: positive at any size of A.

With q at least every cell's total rate, P = I + A/q has no negative entry and columns that sum to
one, and exp(A) = sum_k e^-q q^k/k! P^k (Jensen 1953; Grassmann 1977): a mean of the states that P
passes through, with Poisson weights.

- The weights start at the mode with the value one, run both ways by their ratios until they fall
  below 1e-17 of it, and are divided by their sum. That is stable for any q, nothing underflows, and
  the part cut off is below 1e-16.
- No term is negative: P's diagonal is 1 minus what leaves, cut at zero where rounding is below.
- Mass is kept by P to rounding in each product. What q products accumulate is taken out at the end
  by one factor, the mass before over the mass after (compensated sums). Its distance from one is
  returned.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array, warn
from meanfield.jit import kernel, larger, smaller
from meanfield.manifolds import Torus
from meanfield.meshes import Index, Mesh, torus_mesh

CELLS = 1024  # of a grid that are looked at together: all that is said of them stays in the cache
CUT = 1e-17
MOST = 1e8  # products in one exponential beyond which a step is refused
LONG = 1e8  # products, times cells, that take a tenth of a second


class Exponential:
    """m -> exp(A) m on one mesh, A given by the rates (F,) over its faces, times the duration."""

    def __init__(self, mesh: Mesh) -> None:
        self.told = False
        torus = mesh.manifold if isinstance(mesh.manifold, Torus) else None
        grid = torus_mesh(torus, mesh.shape) if torus and mesh.shape else None
        on_grid = grid is not None and np.array_equal(mesh.pairs, grid.pairs)
        self.shape = np.array(mesh.shape, dtype=np.int64) if on_grid else None
        if self.shape is not None:
            self.seams = grid_seams(tuple(mesh.shape))  # type: ignore[arg-type]
        else:
            self.other, self.face = mesh.neighbours

    def __call__(self, jump: Array, m: Array) -> tuple[Array, float]:
        """exp(A) m with nonnegative entries, and the relative mass error that was taken out.

        jump (2, F): k_ij and k_ji times the duration, nonnegative. Raises ValueError where they are
        not finite or would take more than 1e8 products.
        """
        most = MOST if self.told else min(MOST, LONG / len(m))
        size, new, error = self._apply(jump, m, most)
        if most < size <= MOST:
            self.told = True
            warn(
                f"a step takes {size:.1e} products with the jump matrix of {len(m)} cells, about "
                "one for each jump of a mass: costs are steep for this temperature, and the run "
                "may take very long. Fewer cells need fewer products, shorter steps do not"
            )
            size, new, error = self._apply(jump, m, MOST)
        if not size <= MOST:
            raise ValueError(
                f"one step would take {size:.1e} products with the jump matrix, about one for each "
                "jump of a mass; use a shorter step, fewer cells or, if they are "
                '"face" or "sqrt", other weights'
            )
        return new, error

    def _apply(self, jump: Array, m: Array, most: float) -> tuple[float, Array, float]:
        """What the kernels return that look for no more than so many products."""
        found: tuple[float, Array, float]
        if self.shape is None:
            found = table_exponential(jump, self.other, self.face, m, most)
        else:
            by_axis = jump.reshape(2, len(self.shape), -1)
            found = grid_exponential(by_axis, self.shape, *self.seams, m, most)
        return found


@kernel(counted=True)
def poisson(q):
    """The Poisson weights e^-q q^k/k! above 1e-17 of the largest, and the index of the first."""
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
    return low, weights / mass(weights)


@kernel
def mass(m):
    """Sum with Neumaier's compensation."""
    total, lost = 0.0, 0.0
    for i in range(len(m)):
        new = total + m[i]
        lost += (total - new) + m[i] if abs(total) >= abs(m[i]) else (m[i] - new) + total
        total = new
    return total + lost


@kernel
def largest(rates):
    """The largest rate, or the first that is no number."""
    top = 0.0
    for i in range(len(rates)):
        if not rates[i] <= top:
            top = rates[i]
            if top != top:
                break
    return top


@kernel(counted=True)
def staying(leaving, q):
    """The share of each cell that a jump leaves where it is: 1 - leaving / q, not below 0."""
    inside = np.empty(len(leaving))
    for i in range(len(leaving)):
        inside[i] = larger(1.0 - leaving[i] / q, 0.0)
    return inside


@kernel
def accumulate(weight, term, total):
    for i in range(len(total)):
        total[i] += weight * term[i]


@kernel
def rescale(new, wanted):
    """Set the mass to what it was; returns the relative error that it had."""
    reached = mass(new)
    factor = wanted / reached
    for i in range(len(new)):
        new[i] *= factor
    return abs(reached / wanted - 1.0)


@kernel(counted=True)
def grid_exponential(jump, shape, wraps, begins, m, most):
    """On a torus's grid: face i of axis a lies between cell i and the next along a (C order).

    Returns (q, exp(A) m, mass error taken out); only q is meant where it is above `most` or not
    finite.
    """
    forward, backward = jump[0], jump[1]
    leaving = grid_leaving(forward, backward, shape)
    q = largest(leaving)
    if not q <= most or q == 0.0:
        return q, m.copy(), 0.0
    up, down, around = grid_entering(forward, backward, shape, wraps, q)
    inside = staying(leaving, q)
    low, weights = poisson(q)
    v, new, total = m.copy(), np.empty(len(m)), np.zeros(len(m))
    if low == 0:
        accumulate(weights[0], v, total)
    for k in range(1, low + len(weights)):
        for block in range(len(begins) - 1):
            begin, end = block * CELLS, smaller(block * CELLS + CELLS, len(m))
            grid_product(up, down, inside, shape, v, new, begin, end)
            for w in range(begins[block], begins[block + 1]):
                new[wraps[w, 0]] += around[w] * v[wraps[w, 1]]
            if k >= low:
                accumulate(weights[k - low], new[begin:end], total[begin:end])
        v, new = new, v
    return q, total, rescale(total, mass(m))


def grid_seams(shape: tuple[int, ...]) -> tuple[Index, Index]:
    """Jumps over a torus grid's seam, rows (to, from, axis, 0 for forward or 1 for backward), by
    blocks of CELLS cells that they enter, and where the blocks' rows begin.
    """
    number = np.arange(np.prod(shape)).reshape(shape)
    rows = []
    for a in range(len(shape)):
        start, end = np.take(number, 0, a).ravel(), np.take(number, -1, a).ravel()
        rows.append(np.stack([start, end, np.full_like(start, a), np.zeros_like(start)], 1))
        rows.append(np.stack([end, start, np.full_like(start, a), np.ones_like(start)], 1))
    wraps = np.concatenate(rows)
    block = wraps[:, 0] // CELLS
    order = np.argsort(block, kind="stable")
    return wraps[order], np.searchsorted(block[order], np.arange(-(-number.size // CELLS) + 1))


@kernel(counted=True)
def grid_leaving(forward, backward, shape):
    """Each cell's total rate over its 2d faces."""
    size = stride = forward.shape[1]
    leaving = np.zeros(size)
    for a in range(len(shape)):
        block = stride
        stride //= shape[a]
        for start in range(0, size, block):
            for i in range(start, start + block):
                following = i + stride if i + stride < start + block else i + stride - block
                leaving[i] += forward[a, i]
                leaving[following] += backward[a, i]
    return leaving


@kernel(counted=True)
def grid_entering(forward, backward, shape, wraps, q):
    """Rates over q into each cell from the cells before and after it along each axis, and over the
    seam.
    """
    d, size = forward.shape
    up, down, around = np.zeros((d, size)), np.empty((d, size)), np.empty(len(wraps))
    stride = size
    for a in range(d):
        stride //= shape[a]
        for i in range(size):
            down[a, i] = backward[a, i] / q
        for i in range(stride, size):
            up[a, i] = forward[a, i - stride] / q
    for w in range(len(wraps)):
        to, origin, a, side = wraps[w, 0], wraps[w, 1], wraps[w, 2], wraps[w, 3]
        if side == 0:
            around[w] = forward[a, origin] / q
            up[a, to] = 0.0
        else:
            around[w] = backward[a, to] / q
            down[a, to] = 0.0
    return up, down, around


@kernel
def grid_product(up, down, inside, shape, v, new, begin, end):
    """new = P v in cells begin, ..., end - 1, but for the jumps over the seam, whose rates are zero
    in `up` and `down`.
    """
    d, n = up.shape
    left, right = up[d - 1], down[d - 1]
    i, j = larger(begin, 1), smaller(end, n - 1)
    before, after = v[i - 1 : j - 1], v[i + 1 : j + 1]
    three(inside[i:j], v[i:j], left[i:j], before, right[i:j], after, new[i:j])
    if begin == 0:
        new[0] = inside[0] * v[0] + right[0] * v[1]
    if end == n:
        new[n - 1] = inside[n - 1] * v[n - 1] + left[n - 1] * v[n - 2]
    stride = n
    for a in range(d - 1):
        stride //= shape[a]
        if begin < stride:
            j = smaller(end, stride)
            one(down[a, begin:j], v[begin + stride : j + stride], new[begin:j])
        i, j = larger(begin, stride), smaller(end, n - stride)
        if i < j:
            before, after = v[i - stride : j - stride], v[i + stride : j + stride]
            two(up[a, i:j], before, down[a, i:j], after, new[i:j])
        i = larger(begin, n - stride)
        if i < end:
            one(up[a, i:end], v[i - stride : end - stride], new[i:end])


@kernel
def three(c, v, up, left, down, right, new):
    for i in range(len(new)):
        new[i] = c[i] * v[i] + up[i] * left[i] + down[i] * right[i]


@kernel
def two(up, before, down, after, new):
    for i in range(len(new)):
        new[i] = new[i] + up[i] * before[i] + down[i] * after[i]


@kernel
def one(rate, v, new):
    for i in range(len(new)):
        new[i] += rate[i] * v[i]


@kernel(counted=True)
def table_exponential(jump, other, face, m, most):
    """On any mesh, by its table of neighbours (N, k); returns as `grid_exponential`."""
    size, width = other.shape
    forward, backward = jump[0], jump[1]
    # A neighbour that is not there is the cell itself at rate 0. Half the bytes of an index, and a
    # number that cannot be negative, save a third of a product's time.
    enter, near = np.zeros((size, width)), np.empty((size, width), np.uint32)
    leaving = np.zeros(size)
    for i in range(size):
        for s in range(width):
            f = face[i, s]
            near[i, s] = i
            if other[i, s] >= 0:
                near[i, s] = other[i, s]
                enter[i, s] = backward[f] if f >= 0 else forward[-2 - f]
                leaving[i] += forward[f] if f >= 0 else backward[-2 - f]
    q = largest(leaving)
    if not q <= most or q == 0.0:
        return q, m.copy(), 0.0
    for i in range(size):
        for s in range(width):
            enter[i, s] /= q
    inside = staying(leaving, q)
    low, weights = poisson(q)
    v, new, total = m.copy(), np.empty(size), np.zeros(size)
    if low == 0:
        accumulate(weights[0], v, total)
    for k in range(1, low + len(weights)):
        table_product(enter, near, inside, v, new, weights[k - low] if k >= low else 0.0, total)
        v, new = new, v
    return q, total, rescale(total, mass(m))


@kernel
def table_product(enter, near, inside, v, new, weight, total):
    """new = P v, and weight times it to the total."""
    for i in range(len(v)):
        entered = inside[i] * v[i]
        for s in range(near.shape[1]):
            entered += enter[i, s] * v[near[i, s]]
        new[i] = entered
        total[i] += weight * entered
