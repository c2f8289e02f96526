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

from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array


@dataclass(frozen=True)
class SphereMinimum:
    """Minimiser `x` (d,), its `value`, a certified `lower` bound; `twin` is the other candidate.

    In the hard case there are two minimisers, mirror images in the lowest eigenvector; `twin` is
    the mirror image polished onto the sphere and `twin_value` its value.
    """

    x: Array
    value: float
    lower: float
    twin: Array
    twin_value: float


def spectrum(Q: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending) and eigenvectors of the symmetric matrix Q (d, d)."""
    return np.linalg.eigh(Q)


def minimise_on_sphere(Q: Array, c: Array, eigen: tuple[Array, Array] | None = None) -> SphereMinimum:
    """Least value of x'Qx + c'x over |x| = 1, certified; Q (d, d) symmetric, c (d,).

    `eigen` = spectrum(Q) may be given when Q stays the same from call to call: then O(d^2).
    """
    w, U = spectrum(Q) if eigen is None else eigen
    half = U.T @ c / 2
    delta = w - w[0]
    sigma = _multiplier(np.abs(half), delta)
    z = _stationary(half, delta, sigma)
    mirror = z.copy()
    mirror[0] = -z[0]
    x, twin = (_unit(U @ v) for v in (z, mirror))
    value, other = (_value(Q, c, v) for v in (x, twin))
    if other < value:
        x, twin, value, other = twin, x, other, value
    return SphereMinimum(x, value, min(_dual(w[0], half, delta, sigma), value), twin, other)


def _multiplier(a: Array, delta: Array) -> float:
    """Newton's iteration on 1/|x(sigma)| = 1, increasing and concave: monotone from the left.

    |x_i| <= 1 for each i gives the start sigma >= a_i - delta_i; zero is the exact hard case.
    """
    sigma = float(max(np.max(a - delta), 0.0))
    if sigma == 0.0:
        rest = delta > 0
        if np.sum((a[rest] / delta[rest]) ** 2) <= 1:
            return 0.0
        sigma = 1e-16 * float(delta[rest].min())
    for _ in range(100):
        ratio = a / (delta + sigma)
        length2 = float(ratio @ ratio)
        slope = float(ratio @ (ratio / (delta + sigma)))
        # d(1/|x|)/dsigma = slope / |x|^3
        move = (np.sqrt(length2) - 1) * length2 / slope
        if not move > 1e-16 * sigma:
            break
        sigma += move
    return sigma


def _stationary(half: Array, delta: Array, sigma: float) -> Array:
    """Coordinates of the minimiser in the eigenbasis; what the norm lacks goes to the lowest one."""
    z = np.zeros_like(half)
    regular = delta + sigma > 0
    z[regular] = -half[regular] / (delta[regular] + sigma)
    lacking = 1 - float(z[1:] @ z[1:])
    z[0] = -np.copysign(np.sqrt(max(lacking, 0.0)), half[0])
    return z


def _dual(lowest: float, half: Array, delta: Array, sigma: float) -> float:
    used = half != 0
    return float(lowest - sigma - np.sum(half[used] ** 2 / np.maximum(delta[used] + sigma, 1e-300)))


def _unit(v: Array) -> Array:
    return v / np.linalg.norm(v)


def _value(Q: Array, c: Array, x: Array) -> float:
    return float(x @ (Q @ x) + c @ x)
