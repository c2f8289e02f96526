"""Rates of jumps between cells for (7), in detailed balance with the Gibbs measure.

On masses m the two-point-flux scheme is dm_i/dt = sum_j (k_ji m_j - k_ij m_i) over the cells j that
share a face with i, with

    k_ij = gamma T T_ij / vol_i * w_ij,     T = 1/beta the temperature, T_ij the transmissibility,

and at the player's cost U one of the weights

    "curved"  w_ij = 1 / mean exp(beta (U - U_i)), the mean along the segment from i to j over two
              straight pieces of U that enclose the area under the parabola through U_i, U_face, U_j
    "sg"      the same over one piece: B(beta (U_j - U_i)), B(z) = z / (e^z - 1), Scharfetter and
              Gummel (1969)
    "face"    w_ij = exp(beta (U_i - U_face))
    "sqrt"    w_ij = exp(beta (U_i - U_j) / 2)

All have vol_i exp(-beta U_i) k_ij = vol_j exp(-beta U_j) k_ji, so that the discrete Gibbs state is
stationary, and take exponentials of differences over one face only. The first two bear any
difference. "sg" and "sqrt" need no costs at faces.

Why "curved" is the default. With m = vol g u, g = exp(-beta U), (7) has the flux J = T g grad u. On
an interval of length h, without sources, it is exactly T (u_j - u_i) / int 1/g, which is what
"curved" computes to fourth order and what the others miss by a part of

    h^2/12 beta U" ("sg"),   h^2/24 (beta^2 U'^2 + beta U") ("face"),
    h^2/24 beta^2 U'^2 - h^2/12 beta U" ("sqrt").

What is left is common to all: with A the exact generator in one dimension, "curved" is
A + h^2/(12 T) A^2 + O(h^4). It is small where the density is slow, wherever that density stands:
rates of passage between wells are right to fourth order. "face" and "sqrt" carry a moving density
too fast by z^2/24, z = beta U' h, "sg" passes mass wrongly over every top. Errors of the four,
measured, are in docs/explanation/engines.md.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.density.equation import diffusion
from meanfield.density.generator import Generator
from meanfield.density.uniformisation import Exponential
from meanfield.fastmath import exp, exp_and_less
from meanfield.flows import Rates
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Mesh

WEIGHTS = ("curved", "sg", "face", "sqrt")
PECLET = 2.0  # beta |dU| over a face beyond which a mesh counts as coarse
MOST_CELLS = 1000.0  # times the cells: to take more is no advice
STEEP = 700.0  # the largest s for which exp(-s) is computed; it is 1e-304


class FaceRates(Generator):
    """Rates of one player on one mesh: k_ij and k_ji over the pairs (i, j) of cells.

    `weights` is one of "curved", "sg", "face", "sqrt"; "curved" and "face" read costs at faces.
    exponential: that of the same mesh, where there is one already.
    """

    tamer = 'weights="sg"'
    exponential: Exponential

    def __init__(
        self, mesh: Mesh, player: Rates, weights: str, exponential: Exponential | None = None
    ) -> None:
        self.weights, self.code = weights, WEIGHTS.index(weights)
        self.needs_faces, self.label = weights in ("curved", "face"), f'"{weights}" weights'
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
    cure = f"use about {peclet:.2g} times as many cells per axis"
    if peclet > MOST_CELLS:
        cure = "cells cannot follow such a beta, or such a loss: take a smaller one"
    return (
        f"beta |dU| reaches {peclet:.3g} over a face at time {time:g}; beyond {PECLET:g} the cells "
        "are too wide for the drift and accuracy falls to first order (the Gibbs state, mass and "
        f"sign stay exact): {cure}"
    )


@kernel(counted=True)
def face_rates(code, beta, nodes, faces, first, second, out, back):
    """Rates forward and backward over each face (S, 2, F), and the largest cell Peclet number."""
    jumps = np.empty((len(nodes), 2, len(first)))
    peclet = 0.0
    for s in range(len(nodes)):
        ahead, behind = jumps[s, 0], jumps[s, 1]
        steepest = slopes(code, beta, nodes[s], faces[s], first, second, ahead, behind)
        peclet = larger(peclet, steepest)
        if code == 0:
            over_pieces(ahead, behind, out, back)
        elif code == 1:
            over_one_piece(ahead, behind, out, back)
        else:
            at_middles(ahead, behind, out, back)
    return jumps, peclet


@kernel
def slopes(code, beta, nodes, faces, first, second, ahead, behind):
    """beta (U_m - U_i) and beta (U_j - U_m) for the cost U_m that stands for a face's middle,
    beta (U_j - U_i) instead of both for "sg"; and the largest beta |U_j - U_i|.
    """
    steepest = 0.0
    for f in range(len(first)):
        here, there = nodes[first[f]], nodes[second[f]]
        z = beta * (there - here)
        steepest = larger(steepest, abs(z))
        if code == 1:
            ahead[f] = z
        else:
            middle = 0.5 * (here + there)
            if code == 0:
                middle += (faces[f] - middle) * (4 / 3)
            elif code == 2:
                middle = faces[f]
            ahead[f], behind[f] = beta * (middle - here), beta * (there - middle)
    return steepest


@kernel
def at_middles(ahead, behind, out, back):
    """Rates by exp(-beta U) at one point of each face, in place of the slopes."""
    for f in range(len(ahead)):
        ahead[f], behind[f] = out[f] * exp(-ahead[f]), back[f] * exp(behind[f])


@kernel
def over_one_piece(ahead, behind, out, back):
    """Rates by 1 / mean exp(beta U) over a straight U, which rises by `ahead`."""
    for f in range(len(ahead)):
        z = ahead[f]
        low, mean = falling(abs(z))
        w, v = (low / mean, 1 / mean) if z > 0 else (1 / mean, low / mean)
        ahead[f], behind[f] = out[f] * w, back[f] * v


@kernel
def over_pieces(ahead, behind, out, back):
    """Rates by 1 / mean exp(beta U) over two straight pieces of U, which rises by `ahead` over the
    first and by `behind` over the second.

    exp(beta U) is taken over the larger of both ends', from the higher end down, so that nothing
    overflows.
    """
    for f in range(len(ahead)):
        a, b = ahead[f], behind[f]
        up = a + b > 0
        a, b = (-b, -a) if up else (a, b)
        fall, _ = falling(-(a + b))
        (p, mean_p), (q, mean_q) = falling(abs(a)), falling(abs(b))
        # Over a top in the middle, else down from the higher end, at the middle by p if it is not
        # below the lower end.
        high, low = (p, q) if a > 0 else (1.0, fall)
        mean = 0.5 * (mean_p + (1.0 if a > 0 else p if b < 0 else fall) * mean_q)
        high, low = high / mean, low / mean
        ahead[f], behind[f] = out[f] * (low if up else high), back[f] * (high if up else low)


@kernel
def falling(s):
    """exp(-s) and the mean of exp(-t) over 0 <= t <= s, for s >= 0."""
    e, less = exp_and_less(-smaller(s, STEEP))
    return e, (-less / s if s > 0 else 1.0)


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
    apart = 0.0
    for i in range(len(m)):
        apart += abs(ahead[i] - behind[i])
    return generate(jumps[2], first, second, m), apart
