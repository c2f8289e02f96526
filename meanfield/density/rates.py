"""Rates of jumps between cells for (7), in detailed balance with the Gibbs measure.

On masses m the two-point-flux scheme is dm_i/dt = sum_j (k_ji m_j - k_ij m_i) over the cells j that
share a face with i, with

    k_ij = gamma T T_ij / vol_i * w_ij,     T = 1/beta the temperature, T_ij the transmissibility,

and at the player's cost U one of the weights

    "sg"    w_ij = B(beta (U_j - U_i)), B(z) = z / (e^z - 1)    Scharfetter and Gummel (1969)
    "face"  w_ij = exp(beta (U_i - U_face))
    "sqrt"  w_ij = exp(beta (U_i - U_j) / 2)

All three have vol_i exp(-beta U_i) k_ij = vol_j exp(-beta U_j) k_ji, so that the discrete Gibbs
state is stationary, and take exponentials of differences over one face only. "sg" bears any
difference; "face" is more accurate while beta |dU| over a face is small; "sqrt" needs no costs at
faces. How they compare is measured in docs/explanation/engines.md.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.density.equation import diffusion
from meanfield.density.generator import Generator
from meanfield.density.uniformisation import Exponential
from meanfield.flows import Rates
from meanfield.jit import kernel
from meanfield.meshes import Mesh

WEIGHTS = ("sg", "face", "sqrt")
PECLET = 2.0  # beta |dU| over a face beyond which a mesh counts as coarse
TAME = 1.0  # beta |dU| over a face up to which "auto" takes "face" weights


class FaceRates(Generator):
    """Rates of one player on one mesh: k_ij and k_ji over the pairs (i, j) of cells.

    `weights` is one of "sg", "face", "sqrt"; "face" weights alone read costs at faces. exponential:
    that of the same mesh, where there is one already.
    """

    tamer = 'weights="sg"'
    exponential: Exponential

    def __init__(
        self, mesh: Mesh, player: Rates, weights: str, exponential: Exponential | None = None
    ) -> None:
        self.weights, self.code = weights, WEIGHTS.index(weights)
        self.needs_faces, self.label = weights == "face", f'"{weights}" weights'
        self.beta = 1 / player.temperature
        self.first, self.second = (np.ascontiguousarray(side) for side in mesh.pairs.T)
        scale = diffusion(player, mesh.transmissibilities)
        self.scales = scale / mesh.volumes[self.first], scale / mesh.volumes[self.second]
        self.exponential = exponential or Exponential(mesh)

    def __call__(self, nodes: Array, faces: Array) -> tuple[Array, float]:
        return face_rates(self.code, self.beta, nodes, faces, self.first, self.second, *self.scales)

    def apply(self, coefficients: Array, m: Array) -> Array:
        return generate(coefficients, self.first, self.second, m)

    def judge(self, coefficients: Array, m: Array) -> tuple[Array, float]:
        return judge(coefficients, self.first, self.second, m)


def too_wide(peclet: float, time: float) -> str:
    """The warning where beta |dU| over a face exceeds PECLET."""
    return (
        f"beta |dU| reaches {peclet:.3g} over a face at time {time:g}; beyond {PECLET:g} the cells "
        "are too wide for the drift and accuracy falls to first order (the Gibbs state, mass and "
        f"sign stay exact): use about {peclet:.2g} times as many cells per axis"
    )


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
    """A m for jump (2, F): what leaves one cell over a face enters the other, to the last bit."""
    change = np.zeros(len(m))
    for f in range(len(first)):
        flux = jump[0, f] * m[first[f]] - jump[1, f] * m[second[f]]
        change[first[f]] -= flux
        change[second[f]] += flux
    return change


@kernel(counted=True)
def judge(jumps, first, second, m):
    ahead = generate(jumps[1], first, second, generate(jumps[0], first, second, m))
    behind = generate(jumps[0], first, second, generate(jumps[1], first, second, m))
    return generate(jumps[2], first, second, m), np.abs(ahead - behind).sum()
