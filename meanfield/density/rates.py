"""Rates of the two-point-flux scheme for (7): jumps between cells in detailed balance with Gibbs.

On masses m the scheme is dm_i/dt = sum_j (k_ji m_j - k_ij m_i) over the cells j that share a face
with i, with

    k_ij = gamma T T_ij / vol_i * w_ij,     T = 1/beta the temperature, T_ij the transmissibility.

| weights | w_ij | |
|---|---|---|
| "sg" | B(beta (U_j - U_i)), B(z) = z / (e^z - 1) | Scharfetter and Gummel (1969); tame at any Peclet number |
| "face" | exp(beta (U_i - U_face)) | the most accurate while beta |dU| per face is below about 2 |
| "sqrt" | exp(beta (U_i - U_j) / 2) | needs no costs at faces |

U is the player's cost. All three have vol_i exp(-beta U_i) k_ij = vol_j exp(-beta U_j) k_ji, so that
the discrete Gibbs state is stationary; exponentials are of differences over one face only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from meanfield import flows
from meanfield.checks import Array
from meanfield.meshes import Index, Mesh

WEIGHTS = ("sg", "face", "sqrt")
PECLET = 2.0  # beta |dU| over a face beyond which "face" loses to "sg" and a mesh counts as coarse


class FaceRates:
    """Rates of one player on one mesh: costs at nodes (and at faces) -> jumps over each face.

    `weights` is one of "sg", "face", "sqrt".
    """

    def __init__(self, mesh: Mesh, player: flows.Rates, weights: str) -> None:
        self.code = WEIGHTS.index(weights)
        self.weights = weights
        self.beta = 1 / player.temperature
        self.first, self.second = (np.ascontiguousarray(side) for side in mesh.pairs.T)
        scale = player.gamma * player.temperature * mesh.transmissibilities
        self.scales = scale / mesh.volumes[self.first], scale / mesh.volumes[self.second]

    @property
    def needs_faces(self) -> bool:
        return self.weights == "face"

    def __call__(self, nodes: Array, faces: Array) -> tuple[Array, Array, float]:
        """(k_ij, k_ji, largest beta |U_j - U_i|) over the pairs (i, j), from U at nodes and at faces.

        `faces` is read by "face" weights only; any array does for the others.
        """
        return face_rates(self.code, self.beta, nodes, faces, self.first, self.second, *self.scales)


@njit(cache=True, nogil=True, error_model="numpy")
def face_rates(
    code: int, beta: float, nodes: Array, faces: Array, first: Index, second: Index, out: Array, back: Array
) -> tuple[Array, Array, float]:
    """Forward and backward rates over each face, and the largest cell Peclet number."""
    forward, backward = np.empty(len(first)), np.empty(len(first))
    peclet = 0.0
    for f in range(len(first)):
        here, there = nodes[first[f]], nodes[second[f]]
        z = beta * (there - here)
        peclet = max(peclet, abs(z))
        if code == 0:
            small = bernoulli(abs(z))
            large = small + abs(z)
            w, v = (small, large) if z > 0 else (large, small)
        elif code == 1:
            w, v = np.exp(beta * (here - faces[f])), np.exp(beta * (there - faces[f]))
        else:
            w, v = np.exp(-0.5 * z), np.exp(0.5 * z)
        forward[f] = out[f] * w
        backward[f] = back[f] * v
    return forward, backward, peclet


@njit(cache=True, nogil=True, error_model="numpy")
def bernoulli(z: float) -> float:
    """B(z) = z / (e^z - 1) for z >= 0; 0 where e^z overflows."""
    return z / np.expm1(z) if z > 0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def generate(forward: Array, backward: Array, first: Index, second: Index, m: Array) -> Array:
    """A m: each face's flux leaves one cell and enters the other, so that the sum is zero to rounding."""
    change = np.zeros(len(m))
    for f in range(len(first)):
        flux = forward[f] * m[first[f]] - backward[f] * m[second[f]]
        change[first[f]] -= flux
        change[second[f]] += flux
    return change


@njit(cache=True, nogil=True, error_model="numpy")
def mixed(f1: Array, b1: Array, f2: Array, b2: Array, dt: float) -> tuple[Array, Array, float]:
    """The two rates of CF4, (forward, backward) each, for rates at the Gauss points; and their least entry.

    dt/2 [(1/2 + 1/sqrt 3) k(t1) + (1/2 - 1/sqrt 3) k(t2)] and its mirror image.
    """
    near = 0.5 * dt * (0.5 + 1 / np.sqrt(3.0))
    far = 0.5 * dt * (0.5 - 1 / np.sqrt(3.0))
    early, late = np.empty((2, len(f1))), np.empty((2, len(f1)))
    least = np.inf
    for f in range(len(f1)):
        early[0, f] = near * f1[f] + far * f2[f]
        early[1, f] = near * b1[f] + far * b2[f]
        late[0, f] = far * f1[f] + near * f2[f]
        late[1, f] = far * b1[f] + near * b2[f]
        least = min(least, min(min(early[0, f], early[1, f]), min(late[0, f], late[1, f])))
    return early, late, least


@njit(cache=True, nogil=True, error_model="numpy")
def commutator(f1: Array, b1: Array, f2: Array, b2: Array, first: Index, second: Index, m: Array) -> float:
    """The L1 norm of (A2 A1 - A1 A2) m."""
    ahead = generate(f2, b2, first, second, generate(f1, b1, first, second, m))
    behind = generate(f1, b1, first, second, generate(f2, b2, first, second, m))
    return np.abs(ahead - behind).sum()
