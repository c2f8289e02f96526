"""Rates of the two-point-flux scheme for (7): jumps between cells in detailed balance with Gibbs.

On masses m the scheme is dm_i/dt = sum_j (k_ji m_j - k_ij m_i) over the cells j that share a face
with i, with

    k_ij = gamma T T_ij / vol_i * w_ij,     T = 1/beta the temperature, T_ij the transmissibility.

    "sg"    w_ij = B(beta (U_j - U_i)), B(z) = z / (e^z - 1)    Scharfetter and Gummel (1969)
    "face"  w_ij = exp(beta (U_i - U_face))
    "sqrt"  w_ij = exp(beta (U_i - U_j) / 2)

"sg" is tame at any Peclet number. "face" makes half its error in slow relaxation, while beta |dU|
per face is small; "sqrt" needs no costs at faces. Moved at a speed, "face" carries masses too fast
by z^2/24, z = beta |dU| over a face, "sqrt" likewise; "sg" keeps the speed and diffuses too much by
z^2/12: it is the one for masses that go on moving (on the oscillator at 512 cells the period comes
out 0.04% long by "sg", 0.9% short by "face").

U is the player's cost. All three have vol_i exp(-beta U_i) k_ij = vol_j exp(-beta U_j) k_ji, so
that the discrete Gibbs state is stationary; exponentials are of differences over one face only.
"""

from __future__ import annotations

import numpy as np

from meanfield import flows
from meanfield.checks import Array
from meanfield.density.equation import diffusion
from meanfield.density.uniformisation import Exponential
from meanfield.jit import kernel
from meanfield.meshes import Mesh

WEIGHTS = ("sg", "face", "sqrt")
PECLET = 2.0  # beta |dU| over a face beyond which a mesh counts as coarse
TAME = 1.0  # beta |dU| over a face up to which "auto" takes "face" weights


class FaceRates:
    """Rates of one player on one mesh: costs at nodes (and at faces) -> jumps over each face.

    `weights` is one of "sg", "face", "sqrt". exponential: that of the same mesh, where there is one
    already.
    """

    def __init__(
        self, mesh: Mesh, player: flows.Rates, weights: str, exponential: Exponential | None = None
    ) -> None:
        self.code = WEIGHTS.index(weights)
        self.weights = weights
        self.beta = 1 / player.temperature
        self.first, self.second = (np.ascontiguousarray(side) for side in mesh.pairs.T)
        scale = diffusion(player, mesh.transmissibilities)
        self.scales = scale / mesh.volumes[self.first], scale / mesh.volumes[self.second]

        self.needs_faces = weights == "face"
        self.exponential = exponential or Exponential(mesh)

    def __call__(self, nodes: Array, faces: Array) -> tuple[Array, float]:
        """k_ij and k_ji over the pairs (i, j), (S, 2, F), and the largest beta |U_j - U_i|.

        U at nodes (S, N) and at faces (S, F); "face" weights alone read the latter, any width does
        for others.
        """
        return face_rates(self.code, self.beta, nodes, faces, self.first, self.second, *self.scales)

    def flow(self, nodes: Array, faces: Array, m: Array) -> tuple[Array, float]:
        """dm/dt (N,) at costs (1, N), (1, F), and the largest beta |U_j - U_i|.

        Raises ValueError where rates overflow, which only "face" and "sqrt" can.
        """
        jumps, peclet = self(nodes, faces)
        flow = generate(jumps[0], self.first, self.second, m)
        if not np.isfinite(flow).all():
            raise ValueError(
                f'"{self.weights}" weights overflow: beta |dU| reaches {peclet:.3g} over a face; '
                'use weights="sg" or more cells'
            )
        return flow, peclet

    def spent(self, jumps: Array, m: Array) -> tuple[Array, float]:
        """A3 m and |(A2 A1 - A1 A2) m| in L1, for the three generators of jumps (3, 2, F)."""
        return judge(jumps, self.first, self.second, m)


@kernel(counted=True)
def face_rates(code, beta, nodes, faces, first, second, out, back):
    """Rates forward and backward over each face (S, 2, F), and the largest cell Peclet number."""
    jumps = np.empty((len(nodes), 2, len(first)))
    peclet = 0.0
    for s in range(len(nodes)):
        for f in range(len(first)):
            here, there = nodes[s, first[f]], nodes[s, second[f]]
            z = beta * (there - here)
            peclet = max(peclet, abs(z))
            if code == 0:
                small = bernoulli(abs(z))
                large = small + abs(z)
                w, v = (small, large) if z > 0 else (large, small)
            elif code == 1:
                w, v = np.exp(beta * (here - faces[s, f])), np.exp(beta * (there - faces[s, f]))
            else:
                w, v = np.exp(-0.5 * z), np.exp(0.5 * z)
            jumps[s, 0, f] = out[f] * w
            jumps[s, 1, f] = back[f] * v
    return jumps, peclet


@kernel
def bernoulli(z):
    """B(z) = z / (e^z - 1) for z >= 0; 0 where e^z overflows."""
    return z / np.expm1(z) if z > 0 else 1.0


@kernel(counted=True)
def generate(jump, first, second, m):
    """A m for jump (2, F): each face's flux leaves one cell and enters the other, so that its sum
    is zero.
    """
    change = np.zeros(len(m))
    for f in range(len(first)):
        flux = jump[0, f] * m[first[f]] - jump[1, f] * m[second[f]]
        change[first[f]] -= flux
        change[second[f]] += flux
    return change


@kernel(counted=True)
def gauss_mixed(jumps, dt):
    """CF4's two sets of rates (2, F) from those at the Gauss points, times the duration; their
    least entry.

    dt/2 [(1/2 + 1/sqrt 3) k(t1) + (1/2 - 1/sqrt 3) k(t2)], and its mirror image.
    """
    near, far = 0.5 * dt * (0.5 + 1 / np.sqrt(3.0)), 0.5 * dt * (0.5 - 1 / np.sqrt(3.0))
    early, late = np.empty(jumps.shape[1:]), np.empty(jumps.shape[1:])
    least = np.inf
    for side in range(2):
        for f in range(jumps.shape[2]):
            k1, k2 = jumps[0, side, f], jumps[1, side, f]
            early[side, f] = near * k1 + far * k2
            late[side, f] = far * k1 + near * k2
            least = min(least, min(early[side, f], late[side, f]))
    return early, late, least


@kernel(counted=True)
def judge(jumps, first, second, m):
    ahead = generate(jumps[1], first, second, generate(jumps[0], first, second, m))
    behind = generate(jumps[0], first, second, generate(jumps[1], first, second, m))
    return generate(jumps[2], first, second, m), np.abs(ahead - behind).sum()


@kernel
def within(values, low, high):
    """Whether all entries lie in [low, high]; NaN does not."""
    good = True
    for s in range(values.shape[0]):
        for i in range(values.shape[1]):
            good = good and low <= values[s, i] <= high
    return good


@kernel
def gap(a, b):
    """|a - b| in L1."""
    total = 0.0
    for i in range(len(a)):
        total += abs(a[i] - b[i])
    return total
