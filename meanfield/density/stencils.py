"""Staggered differences of order p = 4, 6, 8, 10 for (7) on tori, and their exponentials.

With D+ from nodes to faces, (D+ f)_(i+1/2) = (1/h) sum_s w_s (f_(i+s) - f_(i+1-s)), and D- =
-(D+)^T back,

    A m = gamma T sum_axes D-( exp(-beta U_face) D+( exp(beta U) m ) ),

w those of WEIGHTS. A is conservative, kills the Gibbs masses exp(-beta U), and is symmetric and
nonpositive in the Gibbs weight. Exponentials are of differences U_node - U_face over (p - 1)/2
cells at most.

Off-diagonals have both signs, so that uniformisation would have no positive terms. The spectrum is
real, in [-r, 0], and a Chebyshev sum serves:

    exp(A) = e^(-r/2) sum_k' 2 I_k(r/2) T_k(2A/r + 1),

about 6 sqrt(r) products to rounding, where a Taylor sum, in pieces short enough to keep its digits,
takes 9 r.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.density.equation import diffusion
from meanfield.density.generator import Generator
from meanfield.density.uniformisation import rescale
from meanfield.flows import Rates
from meanfield.jit import kernel, larger
from meanfield.manifolds import Torus
from meanfield.meshes import Mesh

WEIGHTS = {
    4: (9 / 8, -1 / 24),
    6: (75 / 64, -25 / 384, 3 / 640),
    8: (1225 / 1024, -245 / 3072, 49 / 5120, -5 / 7168),
    10: (19845 / 16384, -735 / 8192, 567 / 40960, -405 / 229376, 35 / 294912),
}
LARGEST = 1e8  # spectral bound beyond which a step is refused
# The interval is widened at both ends by this part of it, at most by MOST: combined generators are
# not quite symmetric.
SLACK, MOST = 0.01, 1.0
CUT = 1e-17


class StencilRates(Generator):
    """One player's staggered differences on one grid.

    Coefficients (2, d p/2 n) are w_s/h exp(beta (U_node - U_face)) of the s-th node ahead of each
    face and behind it, axis by axis; there is one face per node and axis, between it and the next.
    """

    lowest = -np.inf  # combined coefficients may have any sign
    label, tamer = "exponentials of staggered differences", 'engine="finite-volume"'

    def __init__(self, mesh: Mesh, player: Rates, order: int) -> None:
        assert mesh.shape is not None and isinstance(mesh.manifold, Torus)
        self.beta = 1 / player.temperature
        self.shape = np.array(mesh.shape, dtype=np.int64)
        weights, steps = np.array(WEIGHTS[order]), mesh.manifold.period / self.shape
        # D- is applied to what the coefficients give: gamma T w_s/h.
        self.back = diffusion(player, weights) / steps[:, None]
        self.ahead = weights / steps[:, None]

    def __call__(self, nodes: Array, faces: Array) -> tuple[Array, float]:
        return coefficients(self.beta, nodes, faces, self.ahead, self.shape)

    def apply(self, coefficients: Array, m: Array) -> Array:
        return apply(coefficients, self.back, self.shape, m)

    def judge(self, coefficients: Array, m: Array) -> tuple[Array, float]:
        return judge(coefficients, self.back, self.shape, m)

    def exponential(self, coefficients: Array, m: Array) -> tuple[Array, float]:
        """exp(A) m from the coefficients (2, P) times the duration, and the relative mass error
        taken out.

        Raises ValueError where A's bound is not finite or above 1e8.
        """
        from scipy.special import ive

        r = bound(coefficients, self.back, self.shape)
        if not r <= LARGEST:
            raise ValueError(
                f"the generator of one step is bounded by {r:.1e}: the costs change too much "
                "within a stencil; use more cells, a larger temperature, a smaller step or "
                'engine="finite-volume"'
            )
        if r == 0.0:
            return m.copy(), 0.0
        centre, half = -0.5 * r, 0.5 * r + min(SLACK * r, MOST)
        terms = 2 * ive(np.arange(30 + int(np.sqrt(90 * half))), half) * np.exp(centre + half)
        terms[0] /= 2
        needed = 1 + int(np.flatnonzero(terms > CUT * terms[0])[-1])
        new = chebyshev(coefficients, self.back, self.shape, m, terms[:needed], centre, half)
        return new, float(rescale(new, m.sum()))


@kernel(counted=True)
def coefficients(beta, nodes, faces, ahead, shape):
    """Two exponentials a face, over half a cell and over one, and products for farther nodes."""
    (d, q), size = ahead.shape, nodes.shape[1]
    A, over = np.empty((len(nodes), 2, d * q * size)), np.empty(size)
    peclet = 0.0
    for c in range(len(nodes)):
        stride = size
        for a in range(d):
            block, n = stride, shape[a]
            stride //= n
            for start in range(0, size, block):
                peclet = larger(peclet, _steps(beta, nodes[c, start : start + block], stride, over))
                for i in range(n):
                    for k in range(stride):
                        at = a * q * size + start + i * stride + k
                        here = start + i * stride + k
                        rear = np.exp(beta * (nodes[c, here] - faces[c, a * size + here]))
                        front = rear * over[i * stride + k]
                        A[c, 0, at], A[c, 1, at] = ahead[a, 0] * front, ahead[a, 0] * rear
                        for s in range(1, q):
                            front *= over[(i + s) % n * stride + k]
                            rear /= over[(i - s) % n * stride + k]
                            A[c, 0, at + s * size] = ahead[a, s] * front
                            A[c, 1, at + s * size] = ahead[a, s] * rear
    return A, peclet


@kernel
def _steps(beta, line, stride, over):
    """exp(beta dU) from each node to the next on a periodic line, into `over`; the largest
    beta |dU|.
    """
    largest = 0.0
    for j in range(len(line)):
        following = j + stride if j + stride < len(line) else j + stride - len(line)
        z = beta * (line[following] - line[j])
        largest = larger(largest, abs(z))
        over[j] = np.exp(z)
    return largest


@kernel
def _halo(line, width, padded):
    """A periodic line with `width` entries of the other end on either side."""
    n = len(line)
    for j in range(n):
        padded[width + j] = line[j]
    for j in range(width):
        padded[j] = line[(n - width + j) % n]
        padded[width + n + j] = line[j % n]


@kernel(fastmath={"contract"})
def _gather(front, rear, after, before, flux):
    for j in range(len(flux)):
        flux[j] += front[j] * after[j] - rear[j] * before[j]


@kernel(fastmath={"contract"})
def _scatter(weight, after, before, out):
    for j in range(len(out)):
        out[j] += weight * (after[j] - before[j])


@kernel
def product(A, back, shape, v, out, work):
    """out = A v, with `work` from `scratch`; lines are copied with halos, so that loops run on."""
    (d, q), size = back.shape, len(v)
    out[:] = 0.0
    stride = size
    for a in range(d):
        block = stride
        stride //= shape[a]
        width = q * stride
        for start in range(0, size, block):
            padded, around = work[0, : block + 2 * width], work[2, : block + 2 * width]
            flux = work[1, :block]
            _halo(v[start : start + block], width, padded)
            flux[:] = 0.0
            for s in range(q):
                at = (a * q + s) * size + start
                after, before = width + (s + 1) * stride, width - s * stride
                _gather(
                    A[0, at : at + block], A[1, at : at + block],
                    padded[after : after + block], padded[before : before + block], flux,
                )  # fmt: skip
            _halo(flux, width, around)
            for s in range(q):
                after, before = width + s * stride, width - (s + 1) * stride
                _scatter(
                    back[a, s], around[after : after + block], around[before : before + block],
                    out[start : start + block],
                )  # fmt: skip


@kernel(counted=True)
def scratch(back, size):
    return np.empty((3, size * (1 + 2 * back.shape[1])))


@kernel(counted=True)
def apply(A, back, shape, v):
    """A v."""
    out = np.empty(len(v))
    product(A, back, shape, v, out, scratch(back, len(v)))
    return out


@kernel(counted=True)
def judge(A, back, shape, m):
    ahead = apply(A[1], back, shape, apply(A[0], back, shape, m))
    behind = apply(A[0], back, shape, apply(A[1], back, shape, m))
    return apply(A[2], back, shape, m), np.abs(ahead - behind).sum()


@kernel(counted=True)
def bound(A, back, shape):
    """A bound of A in the norm of L1: columns of |D-| times columns of the coefficients."""
    (d, q), size = back.shape, A.shape[1] // back.size
    total = np.zeros(size)
    stride = size
    for a in range(d):
        block = stride
        stride //= shape[a]
        outward = 2 * np.abs(back[a]).sum()
        for s in range(q):
            after, before = (s + 1) * stride, s * stride
            for start in range(0, size, block):
                at = (a * q + s) * size + start
                for j in range(block):
                    front, rear = j + after, j - before
                    front -= block if front >= block else 0
                    rear += block if rear < 0 else 0
                    total[start + front] += outward * abs(A[0, at + j])
                    total[start + rear] += outward * abs(A[1, at + j])
    return total.max()


@kernel(fastmath={"contract"})
def _three_terms(image, centre, scale, now, old, term, total):
    """old = scale (A - centre) now - old, by its image A now; total += term old."""
    for i in range(len(now)):
        old[i] = scale * (image[i] - centre * now[i]) - old[i]
        total[i] += term * old[i]


@kernel(counted=True)
def chebyshev(A, back, shape, m, terms, centre, half):
    """sum_k terms_k T_k((A - centre)/half) m."""
    work, image = scratch(back, len(m)), np.empty(len(m))
    old, now, total = m.copy(), np.zeros(len(m)), terms[0] * m
    for k in range(1, len(terms)):
        product(A, back, shape, old, image, work)
        _three_terms(image, centre, (1.0 if k == 1 else 2.0) / half, old, now, terms[k], total)
        old, now = now, old
    return total
