"""One step of exponential Runge-Kutta of order 4, coefficient by coefficient.

ETDRK4 of Cox & Matthews (2002), from u with the drift N(u), h the step and E(h) = exp(h lam):

    a = E(h/2) u + Q N(u)
    b = E(h/2) u + Q N(a)
    c = E(h/2) a + Q (2 N(b) - N(u))
    u' = E(h) u + b1 N(u) + b2 (N(a) + N(b)) + b3 N(c)

Kernels of the drift hand each number of N(a) to `use`, and keep the others.
"""

from __future__ import annotations

import numpy as np

from meanfield.jit import kernel, separate

_SERIES = 1.0 / np.cumprod(np.concatenate([[6.0], np.arange(4.0, 21.0)]))  # 1 / (n + 3)!

# Rows of the work arrays (rows, 2, total): state and drift at the start of a step and at its end,
# which change places after every step taken, so that nothing is copied; the stages a, then c, and
# b; the drift at b, then at c; sums of some of the terms of a drift; the cost; on S^2 three rows of
# fluxes.
STATE, N1, NEXT, N5, STAGE, STAGE_B, N4, SUM, COST, FLUX = range(10)
FACTORS = 5  # of a step, see `use`

LANES = 8  # of a vector, a line of the caches: what stands in a row begins and ends with one


@kernel
def _phi(z):
    """exp(z), phi_1, phi_2, phi_3 for z <= 0, without the cancellation of their closed forms."""
    e = np.exp(z)
    if z < -1.0:
        phi1 = (e - 1.0) / z
        phi2 = (phi1 - 1.0) / z
        return e, phi1, phi2, (phi2 - 0.5) / z
    phi3 = 0.0
    for n in range(len(_SERIES) - 1, -1, -1):
        phi3 = _SERIES[n] + z * phi3
    phi2 = 0.5 + z * phi3
    return e, 1.0 + z * phi2, phi2, phi3


@kernel
def coefficients(lam, h, out):
    """Rows of out (FACTORS, n): E(h/2), Q and the three weights of ETDRK4.

    Cox & Matthews (2002), eq. 26-29. Evaluated stably, as Kassam & Trefethen (2005) ask: by series
    near 0, then by doubling, whose terms are all positive.
    """
    for j in range(len(lam)):
        e, a, b, c = _phi(0.5 * h * lam[j])
        phi1 = 0.5 * a * (e + 1.0)
        phi2 = 0.25 * (a * a + 2.0 * b)
        phi3 = 0.125 * (a * b + b + 2.0 * c)
        out[0, j] = e
        out[1, j] = 0.5 * h * a
        out[2, j] = h * (phi1 - 3.0 * phi2 + 4.0 * phi3)
        out[3, j] = h * (2.0 * phi2 - 4.0 * phi3)
        out[4, j] = h * (4.0 * phi3 - phi2)


@kernel(fastmath={"contract"})
def begin(c, u, n1, a, centre):
    """a from u and N(u)."""
    separate()
    shift = np.uint64(centre)
    for j in range(np.uint64(c.shape[1])):
        for i in range(2):
            a[i, shift + j] = c[0, j] * u[i, shift + j] + c[1, j] * n1[i, j]


@kernel(fastmath={"contract"})
def use(c, u, n1, b, end, part, j, l, d):
    """From d, the real (0) or imaginary (1) part of N(a) at place j, that part of b, and in `end`
    the terms of u' known so far; l = centre + j.

    c (FACTORS, n) are E(h/2), Q, b1, b2, b3.
    """
    E = c[0, j]
    b[part, l] = E * u[part, l] + c[1, j] * d
    end[part, l] = E * E * u[part, l] + c[2, j] * n1[part, j] + c[3, j] * d


@kernel(fastmath={"contract"})
def third(c, n1, d, a, end, centre):
    """c in the place of a, from d = N(b); b2 N(b) is added to u'."""
    separate()
    shift = np.uint64(centre)
    for j in range(np.uint64(c.shape[1])):
        for i in range(2):
            a[i, shift + j] = c[0, j] * a[i, shift + j] + c[1, j] * (2.0 * d[i, j] - n1[i, j])
            end[i, shift + j] += c[3, j] * d[i, j]


@kernel(fastmath={"contract"})
def fourth(c, d, end, centre):
    """b3 N(c) is added to u'."""
    separate()
    shift = np.uint64(centre)
    for j in range(np.uint64(c.shape[1])):
        for i in range(2):
            end[i, shift + j] += c[4, j] * d[i, j]


@kernel(fastmath={"contract", "reassoc"})
def judge(w, c, s, tail, largest, norm, centre):
    """A bound in L1 of b3 (N(c) - N(u')), the distance to the third-order result; the outer
    coefficients' share of the l1 norm, infinite for what is no probability measure.
    """
    off = 0.0
    outer = 0.0
    total = 0.0
    over = 0.0
    b3, n4, n5, v, shift = c[4], w[N4], w[N5 - s], w[NEXT - s], np.uint64(centre)
    for j in range(np.uint64(len(tail))):
        e, f = b3[j] * (n4[0, j] - n5[0, j]), b3[j] * (n4[1, j] - n5[1, j])
        off += e * e + f * f
        size = abs(v[0, shift + j]) + abs(v[1, shift + j])
        outer += tail[j] * size
        total += size if largest[j] < np.inf else 0.0
        over += 1.0 if size > largest[j] else 0.0
    good = over == 0.0 and total < np.inf
    return np.sqrt(norm * off), outer / total if good else np.inf
