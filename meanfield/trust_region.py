"""Exact best responses on spheres: the least value of a quadratic on the unit sphere.

This is the trust-region subproblem with the constraint active, More & Sorensen (1983). With
Q = U diag(w) U', b = U'c, a = |b|/2 and gaps delta_i = w_i - w_min, the minimiser of x'Qx + c'x is
x = -U (b_i/2) / (delta_i + sigma), where sigma >= 0 solves sum a_i^2 / (delta_i + sigma)^2 = 1, and

    w_min - sigma - sum a_i^2 / (delta_i + sigma)

is a lower bound for every sigma > 0. The multiplier is measured from the lowest eigenvalue because
in the hard case (b orthogonal to the lowest eigenspace, the limit at mixed equilibria) all digits
of sigma are there.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel

NEWTON_ROUNDS = 100


@kernel(counted=True)
def least(Q: Array, c: Array, w: Array, half: Array, axes: Array) -> tuple[Array, float, float, Array, float]:
    """The minimiser x (d,) of x'Qx + c'x over |x| = 1, its value, a certified lower bound, the twin and its value.

    w: the eigenvalues of Q (d, d), ascending; half = U'c/2; axes = U', the eigenvectors as rows. In the hard case there
    are two minimisers, mirror images in the lowest eigenvector: the twin is that mirror image on the sphere.
    """
    delta = w - w[0]
    sigma = multiplier(np.abs(half), delta)
    z = stationary(half, delta, sigma)
    rest = np.zeros(len(w))
    for k in range(1, len(w)):
        rest += z[k] * axes[k]
    x, twin = rest + z[0] * axes[0], rest - z[0] * axes[0]
    x /= np.sqrt(np.sum(x * x))
    twin /= np.sqrt(np.sum(twin * twin))
    value, other = quadratic(Q, c, x), quadratic(Q, c, twin)
    if other < value:
        x, twin, value, other = twin, x, other, value
    return x, value, min(dual(w[0], half, delta, sigma), value), twin, other


@kernel(counted=True)
def quadratic(Q: Array, c: Array, x: Array) -> float:
    """x'Qx + c'x."""
    image = c.copy()
    for i in range(len(x)):
        image += x[i] * Q[i]
    return float(np.sum(image * x))


@kernel(counted=True)
def multiplier(a: Array, delta: Array) -> float:
    """Newton's iteration on 1/|x(sigma)| = 1, increasing and concave: monotone from the left.

    |x_i| <= 1 for each i gives the start sigma >= a_i - delta_i; zero is the exact hard case.
    """
    sigma = max(np.max(a - delta), 0.0)
    if sigma == 0.0:
        least, length2 = np.inf, 0.0
        for i in range(len(a)):
            if delta[i] > 0:
                least = min(least, delta[i])
                length2 += (a[i] / delta[i]) ** 2
        if length2 <= 1:
            return 0.0
        sigma = 1e-16 * least
    for _ in range(NEWTON_ROUNDS):
        length2 = slope = 0.0
        for i in range(len(a)):
            ratio = a[i] / (delta[i] + sigma)
            length2 += ratio * ratio
            slope += ratio * ratio / (delta[i] + sigma)
        # d(1/|x|)/dsigma = slope / |x|^3
        move = (np.sqrt(length2) - 1) * length2 / slope
        if not move > 1e-16 * sigma:
            break
        sigma += move
    return sigma


@kernel(counted=True)
def stationary(half: Array, delta: Array, sigma: float) -> Array:
    """Coordinates (d,) of the minimiser in the eigenbasis; what the norm lacks goes to the lowest one."""
    z = np.zeros(len(half))
    length2 = 0.0
    for i in range(1, len(half)):
        if delta[i] + sigma > 0:
            z[i] = -half[i] / (delta[i] + sigma)
            length2 += z[i] ** 2
    z[0] = -np.copysign(np.sqrt(max(1 - length2, 0.0)), half[0])
    return z


@kernel(counted=True)
def dual(lowest: float, half: Array, delta: Array, sigma: float) -> float:
    """The lower bound that the multiplier proves."""
    total = 0.0
    for i in range(len(half)):
        if half[i] != 0:
            total += half[i] ** 2 / max(delta[i] + sigma, 1e-300)
    return lowest - sigma - total
