"""Exact best responses on spheres: the least value of a quadratic on the unit sphere.

This is the trust-region subproblem with the constraint active, More & Sorensen (1983), in
tridiagonal form Q = P T P', where every equation costs O(d). With w the least eigenvalue of T, v
its eigenvector and P'c/2 = a v + g, g orthogonal to v, the minimiser of x'Qx + c'x is x = P z,

    z = -(a / sigma) v - (T - w + sigma)^-1 g,   sigma >= 0 such that |z| = 1, and
    w - sigma - a^2 / sigma - g'(T - w + sigma)^-1 g

is a lower bound for every sigma > 0. The multiplier is measured from the lowest eigenvalue, and
that eigenvector taken out, because in the hard case (a = 0, the limit at mixed equilibria) all
digits of sigma are in a.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller

NEWTON_ROUNDS = 100
CONVERGED = 1e-8  # the last move of sigma, relative: Newton's error is the square of it
LANES = 8  # shifts tried side by side
EPS = 2.0**-52
MARGIN = 8 * EPS  # by which two ways to compute a pivot may differ, relative to T's size
SUMS = {"reassoc", "contract", "nsz"}  # sums over d in any order


class Tridiagonal(NamedTuple):
    """A symmetric matrix as Q = P T P' with T tridiagonal and P = H_0 ... H_{d-2}.

    T has diagonal (d,) and off-diagonal off (d - 1,). H_k = 1 - taus[k] u u', where u is zero up to
    k, one at k + 1, and ends as row k of `rows` (d, d). lowest and vector (d,) are the least
    eigenvalue of T and its eigenvector, spread bounds the distance to the largest eigenvalue.
    """

    diagonal: Array
    off: Array
    rows: Array
    taus: Array
    lowest: float
    spread: float
    vector: Array

    def scaled(self, factor: float) -> Tridiagonal:
        """The same of factor * Q, factor >= 0."""
        d, e, rows, taus, w, spread, v = self
        return Tridiagonal(factor * d, factor * e, rows, taus, factor * w, factor * spread, v)


def tridiagonal(Q: Array) -> Tridiagonal:
    """Householder's reduction of a symmetric matrix (d, d), d >= 2."""
    from scipy.linalg.lapack import dsytrd

    columns, diagonal, off, taus, _ = dsytrd(Q.T, lower=1)
    return Tridiagonal(diagonal, off, columns.T, taus, *lowest(diagonal, off))


@kernel(counted=True)
def lowest(diagonal: Array, off: Array) -> tuple[float, float, Array]:
    """The least eigenvalue of T from below, the spread above it (Gershgorin), its unit eigenvector.

    By sections: a shift lies below the spectrum if and only if all pivots of T - shift are positive
    (Sylvester). Then inverse iteration, from a vector without symmetries. The margin keeps pivots
    positive however they round.
    """
    d, low, high = len(diagonal), np.inf, -np.inf
    for i in range(d):
        radius = (abs(off[i - 1]) if i > 0 else 0.0) + (abs(off[i]) if i < d - 1 else 0.0)
        low, high = smaller(low, diagonal[i] - radius), larger(high, diagonal[i] + radius)
    width, size = (high - low) / (LANES + 1), larger(abs(low), abs(high))
    shift, pivot, smallest = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    while width > 0.5 * EPS * size:
        for j in range(LANES):
            shift[j] = low + (j + 1) * width
            pivot[j] = smallest[j] = diagonal[0] - shift[j]
        for i in range(1, d):
            for j in range(LANES):
                pivot[j] = diagonal[i] - shift[j] - off[i - 1] / pivot[j] * off[i - 1]
                smallest[j] = smaller(smallest[j], pivot[j])
        below = 0
        while below < LANES and smallest[below] > 0:
            below += 1
        if below > 0:
            low = shift[below - 1]
        width /= LANES + 1
    low -= MARGIN * size
    pivots, v = factors(diagonal, off, -low), np.empty(d)
    for i in range(d):
        v[i] = np.cos(i * i + 1.0)
    for _ in range(3):
        v = unit(solved(pivots, off, v))
    return low, high - low, v


@kernel(counted=True)
def least(Q: Array, c: Array, T: Tridiagonal) -> tuple[Array, float, float, Array, float]:
    """The minimiser x (d,) of x'Qx + c'x over |x| = 1, with its certificate and its twin.

    Returns x, its value, a certified lower bound, the twin and its value. In the hard case there
    are two minimisers, mirror images in the lowest eigenvector: the twin is that mirror image.
    """
    h, v = reflected(T, c, False), T.vector
    a = 0.5 * dot(v, h)
    g = plus(-0.5, h, a, v)
    sigma, z = multiplier(T, g, a)
    along = -a / sigma if sigma > 0 else np.sqrt(larger(1 - dot(z, z), 0.0))
    x = unit(reflected(T, plus(1.0, z, along, v), True))
    twin = unit(reflected(T, plus(1.0, z, -along, v), True))
    value, other = quadratic(Q, c, x), quadratic(Q, c, twin)
    if other < value:
        x, twin, value, other = twin, x, other, value
    bound = T.lowest - sigma - dot(g, z) - (a * (a / sigma) if sigma > 0 else 0.0)
    return x, value, smaller(bound, value), twin, other


@kernel(fastmath=SUMS)
def quadratic(Q: Array, c: Array, x: Array) -> float:
    """x'Qx + c'x."""
    total = 0.0
    for i in range(len(x)):
        image = 0.0
        for j in range(len(x)):
            image += Q[i, j] * x[j]
        total += (c[i] + image) * x[i]
    return total


@kernel(counted=True, fastmath=SUMS)
def reflected(T: Tridiagonal, vector: Array, back: bool) -> Array:
    """P'vector (d,), or P vector to come back."""
    moved, d = vector.copy(), len(vector)
    for s in range(d - 1):
        k = d - 2 - s if back else s
        row, product = T.rows[k], moved[k + 1]
        for i in range(k + 2, d):
            product += row[i] * moved[i]
        product *= T.taus[k]
        moved[k + 1] -= product
        for i in range(k + 2, d):
            moved[i] -= product * row[i]
    return moved


@kernel(counted=True)
def multiplier(T: Tridiagonal, g: Array, a: float) -> tuple[float, Array]:
    """sigma and the part z (d,) of the minimiser orthogonal to v, from -g.

    By Newton's iteration on 1/|z(sigma)| = 1, increasing and concave in sigma: monotone from the
    left. |z| >= |a| / sigma and |z| >= |g| / (spread + sigma) give the start; zero is the exact
    hard case.
    """
    sigma = larger(abs(a), np.sqrt(dot(g, g)) - T.spread)
    if sigma <= 0:
        z = inner(T, factors(T.diagonal, T.off, -T.lowest), g)
        if dot(z, z) <= 1:
            return 0.0, z
        sigma = EPS * larger(T.spread, abs(T.lowest))
    z = g
    for _ in range(NEWTON_ROUNDS):
        pivots = factors(T.diagonal, T.off, sigma - T.lowest)
        z = inner(T, pivots, g)
        bent = inner(T, pivots, z)  # -dz/dsigma
        length2 = dot(z, z) + (a / sigma) ** 2
        # d(1/|z|)/dsigma = slope / |z|^3
        slope = dot(z, bent) + (a / sigma) ** 2 / sigma
        move = (np.sqrt(length2) - 1) * length2 / slope
        sigma += move
        z = plus(1.0, z, -move, bent)
        if not move > CONVERGED * sigma:
            break
    return sigma, z


@kernel(counted=True)
def inner(T: Tridiagonal, pivots: Array, right: Array) -> Array:
    """(T + shift)^-1 right (d,) among the vectors orthogonal to v, to which `right` belongs."""
    z = solved(pivots, T.off, right)
    return plus(1.0, z, -dot(T.vector, z), T.vector)


@kernel(counted=True)
def factors(diagonal: Array, off: Array, shift: float) -> Array:
    """One over the pivots (d,) of T + shift, which is positive."""
    inverse, tiny = np.empty(len(diagonal)), 1e-290  # for the zero matrix
    inverse[0] = 1 / larger(diagonal[0] + shift, tiny)
    for i in range(1, len(diagonal)):
        pivot = diagonal[i] + shift - off[i - 1] * inverse[i - 1] * off[i - 1]
        inverse[i] = 1 / larger(pivot, tiny)
    return inverse


@kernel(counted=True)
def solved(inverse: Array, off: Array, right: Array) -> Array:
    """(T + shift)^-1 right (d,), from the pivots' inverses."""
    x, last = right.copy(), len(right) - 1
    for i in range(last):
        x[i + 1] -= off[i] * (inverse[i] * x[i])
    x[last] *= inverse[last]
    for i in range(last - 1, -1, -1):
        x[i] = (x[i] - off[i] * x[i + 1]) * inverse[i]
    return x


@kernel(fastmath=SUMS)
def dot(a: Array, b: Array) -> float:
    """a'b."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@kernel(counted=True)
def plus(s: float, a: Array, t: float, b: Array) -> Array:
    """s a + t b."""
    total = np.empty(len(a))
    for i in range(len(a)):
        total[i] = s * a[i] + t * b[i]
    return total


@kernel(counted=True)
def unit(x: Array) -> Array:
    """x, in place, as a unit vector; its squares may overflow."""
    largest = 0.0
    for i in range(len(x)):
        largest = larger(largest, abs(x[i]))
    for i in range(len(x)):
        x[i] /= largest
    length = np.sqrt(dot(x, x))
    for i in range(len(x)):
        x[i] /= length
    return x
