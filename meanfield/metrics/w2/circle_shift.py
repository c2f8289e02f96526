"""The best shift between two quantile functions on the circle of length one, compiled.

With quantile functions extended by Q(q + 1) = Q(q) + 1,

    W2^2 = min over theta of C(theta),   C(theta) = int_0^1 (Q_mu(q) - Q_nu(q + theta))^2 dq,

and C is convex (Delon, Salomon, Sobolevski 2010). Both quantile functions are linear between the
merged jumps of the two cumulative masses, where the integral is m (a^2 + a b + b^2)/3 for a
difference that goes from a to b: no digits cancel.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller
from meanfield.metrics.w2.quantile import Quantile

WIDTH = 4e-16  # shifts closer than this are one number
ROUNDS = 400


@kernel(counted=True)
def cumulate(masses: Array) -> Array:
    """Cumulative masses (n + 1,) from 0 to exactly 1, by compensated sums, never falling."""
    n = len(masses)
    F = np.empty(n + 1)
    F[0] = total = lost = 0.0
    for i in range(n):
        m = masses[i]
        new = total + m
        lost += (total - new) + m if total >= m else (m - new) + total
        total = new
        F[i + 1] = total + lost
    whole = F[n]
    for i in range(1, n + 1):
        F[i] = smaller(larger(F[i] / whole, F[i - 1]), 1.0)
    F[n] = 1.0
    return F


@kernel
def cost_at(theta: float, mu: Quantile, nu: Quantile) -> tuple[float, float, float]:
    """C, C'/2 and C''/2 at a shift theta, by one walk along both measures.

    C'/2 = -int (Q_mu - Q_nu(. + theta)) dQ_mu over the pieces and the gaps between them, a
    subgradient where C has a kink.
    """
    n, m = len(mu.starts), len(nu.starts)
    base = np.floor(theta)
    shift = theta - base
    j = piece_at(shift, nu)
    lap = 0.0
    x0 = mu.starts[0]
    y0 = base + nu.starts[j] + within(shift - nu.F[j], j, nu)
    q = C = D = E = 0.0
    i = 0
    while i < n:
        over = nu.F[j + 1] - shift + lap
        of_mu = mu.F[i + 1] <= over
        end = larger(mu.F[i + 1] if of_mu else over, q)
        x1 = mu.starts[i] + (mu.lengths[i] if of_mu else within(end - mu.F[i], i, mu))
        y1 = (
            base
            + nu.starts[j]
            + (nu.lengths[j] if over <= end else within(end + shift - lap - nu.F[j], j, nu))
        )
        a, b = x0 - y0, x1 - y1
        C += (end - q) * (a * a + a * b + b * b)
        D -= (x1 - x0) * (a + b) * 0.5
        E += (x1 - x0) * nu.slopes[j]
        q = end
        if of_mu:
            i += 1
            x0 = mu.starts[i] if i < n else mu.starts[0] + 1.0
            D += (x0 - x1) * (y1 - 0.5 * (x0 + x1))
            E += (x0 - x1) * nu.slopes[j]
            y0 = y1
        else:
            j += 1
            if j == m:
                j = 0
                lap += 1.0
                base += 1.0
            x0, y0 = x1, base + nu.starts[j]
    return C / 3.0, D, E


@kernel
def piece_at(q: float, nu: Quantile) -> int:
    """The piece of nu that holds the cumulative mass 0 <= q < 1."""
    j = first_above(nu.F, q, 0, len(nu.F)) - 1
    return smaller(larger(j, 0), len(nu.starts) - 1)


@kernel
def first_above(F: Array, q: float, begin: int, end: int) -> int:
    """The first of begin, ..., end - 1 where F is above q, or `end`; F never falls."""
    while begin < end:
        middle = (begin + end) >> 1
        if F[middle] <= q:
            begin = middle + 1
        else:
            end = middle
    return begin


@kernel
def within(mass: float, i: int, mu: Quantile) -> float:
    """How far into piece i of mu a mass reaches, no farther than its end."""
    return smaller(larger(mu.slopes[i] * mass, 0.0), mu.lengths[i])


@kernel(fastmath={"reassoc", "contract", "nnan", "nsz"})
def atoms_in_piece(
    first: int, last: int, mu: Quantile, cut: float, height: float, length: float, slope: float
) -> tuple[float, float, float]:
    """3C, C'/2 and the gaps' sum over atoms first <= i < last, which all end in one piece of nu.

    On it Q_nu(q + theta) = height + slope (q - cut), within its length. The sums' terms do not
    cancel and may be reordered, so that the loop runs on vectors.
    """
    F, x = mu.F, mu.starts
    C = D = gaps = 0.0
    for i in range(first, last):
        y0 = height + smaller(larger(slope * (F[i] - cut), 0.0), length)
        y1 = height + smaller(larger(slope * (F[i + 1] - cut), 0.0), length)
        a, b = x[i] - y0, x[i] - y1
        gap = x[i + 1] - x[i]
        C += (F[i + 1] - F[i]) * (a * a + a * b + b * b)
        D += gap * (y1 - 0.5 * (x[i] + x[i + 1]))
        gaps += gap
    return C, D, gaps


@kernel
def part_of_atom(
    i: int, q: float, over: float, mu: Quantile, cut: float, height: float, j: int, nu: Quantile
) -> tuple[float, float, float]:
    """3C, C'/2 and the gap of atom i from q to its end or to `over`, the end of nu's piece j.

    C'/2 and the gap belong to the atom's end.
    """
    end = smaller(mu.F[i + 1], over)
    x, length = mu.starts, nu.lengths[j]
    y0 = height + within(q - cut, j, nu)
    y1 = height + (length if over <= end else within(end - cut, j, nu))
    a, b = x[i] - y0, x[i] - y1
    C = (end - q) * (a * a + a * b + b * b)
    if mu.F[i + 1] > over:
        return C, 0.0, 0.0
    ahead = x[i + 1] if i + 1 < len(x) else x[0] + 1.0
    return C, (ahead - x[i]) * (y1 - 0.5 * (x[i] + ahead)), ahead - x[i]


@kernel
def cost_of_atoms(theta: float, mu: Quantile, nu: Quantile) -> tuple[float, float, float]:
    """`cost_at` where mu are atoms: piece after piece of nu, in each all of mu's atoms at once."""
    F, n = mu.F, len(mu.starts)
    base = np.floor(theta)
    shift = theta - base
    j = piece_at(shift, nu)
    q = C = D = E = 0.0
    i = 0
    while True:
        cut, height, over = nu.F[j] - shift, base + nu.starts[j], larger(nu.F[j + 1] - shift, q)
        if q > F[i]:  # an atom that began in an earlier piece
            c, d, gap = part_of_atom(i, q, over, mu, cut, height, j, nu)
            C, D, E = C + c, D + d, E + gap * nu.slopes[j]
            q = smaller(F[i + 1], over)
            i += F[i + 1] <= over
        if i < n and q == F[i]:
            stop = first_above(F, over, i + 1, n) - 1
            c, d, gap = atoms_in_piece(i, stop, mu, cut, height, nu.lengths[j], nu.slopes[j])
            C, D, E = C + c, D + d, E + gap * nu.slopes[j]
            i, q = stop, F[stop]
            c, d, gap = part_of_atom(i, q, over, mu, cut, height, j, nu)
            C, D, E = C + c, D + d, E + gap * nu.slopes[j]
            q = smaller(F[i + 1], over)
            i += F[i + 1] <= over
        if i == n:
            return C / 3.0, D, E
        j += 1
        if j == len(nu.starts):
            j = 0
            shift -= 1.0
            base += 1.0


@kernel
def quantile(q: float, nu: Quantile) -> tuple[float, float]:
    """Q_nu(q) and its slope, for any real q."""
    turn = np.floor(q)
    j = piece_at(q - turn, nu)
    return turn + nu.starts[j] + within(q - turn - nu.F[j], j, nu), nu.slopes[j]


@kernel
def mass_before(x: float, nu: Quantile) -> float:
    """The inverse of `quantile`, for any real x."""
    turn = np.floor(x - nu.starts[0])
    j = larger(first_above(nu.starts, x - turn, 0, len(nu.starts)) - 1, 0)
    inside = x - turn - nu.starts[j]
    return turn + (nu.F[j] + inside / nu.slopes[j] if inside < nu.lengths[j] else nu.F[j + 1])


@kernel
def widest(mu: Quantile) -> float:
    """The cumulative mass of mu at its widest gap or, without gaps, amid its thinnest piece."""
    F, x, length = mu.F, mu.starts, mu.lengths
    n = len(x)
    at, width, thin = 1.0, x[0] + 1.0 - x[n - 1] - length[n - 1], 0
    for i in range(n - 1):
        gap = x[i + 1] - x[i] - length[i]
        if gap > width:
            at, width = F[i + 1], gap
        if mu.slopes[i + 1] > mu.slopes[thin]:
            thin = i + 1
    return at if width > 1e-9 else 0.5 * (F[thin] + F[thin + 1])


@kernel
def all_atoms(mu: Quantile) -> bool:
    """Whether no piece of mu has a length."""
    i, n = 0, len(mu.lengths)
    while i < n and mu.lengths[i] == 0.0:
        i += 1
    return i == n


@kernel
def cost(theta: float, mu: Quantile, nu: Quantile) -> tuple[float, float, float]:
    """C, C'/2 and C''/2 by the quicker of the two walks."""
    if len(mu.starts) > 4 * len(nu.starts) and all_atoms(mu):
        return cost_of_atoms(theta, mu, nu)
    return cost_at(theta, mu, nu)


@kernel
def enclose(ends: Array, theta: float, C: float, D: float) -> None:
    """Make theta the bracket's lower or upper end, by the sign of C'.

    The other end moves on by one where it is not on its side of theta any more.
    """
    side = 1 if D > 0 else 0
    ends[side, 0], ends[side, 1], ends[side, 2], ends[side, 3] = theta, C, D, 1.0
    if ends[0, 0] >= ends[1, 0]:
        ends[1 - side, 0] = theta + 1.0 - 2.0 * side
        for k in range(1, 4):
            ends[1 - side, k] = 0.0


@kernel
def tangents(ends: Array) -> tuple[float, float]:
    """Where the tangents at the bracket's ends meet, and their value there: a lower bound of C."""
    lo, C_lo, D_lo = ends[0, 0], ends[0, 1], ends[0, 2]
    hi, C_hi, D_hi = ends[1, 0], ends[1, 1], ends[1, 2]
    ahead = (C_hi - C_lo - 2 * D_hi * (hi - lo)) / (2 * (D_lo - D_hi))
    return lo + ahead, C_lo + 2 * D_lo * ahead


@kernel(counted=True)
def best_shift(mu: Quantile, nu: Quantile, curvature: float) -> tuple[float, float, int]:
    """The least C, the shift it is at, and the evaluations used (-1 when they ran out).

    Newton from theta = 0 within a bracket. Its unknown is the point y = Q_nu(q + theta) that faces
    mu's widest gap: C' is nearly linear in y, while theta varies with y over many decades where
    measures are concentrated. Where C has kinks the tangents at the bracket's ends take over, or a
    secant in y, and bisection where three steps did not halve the bracket.

    It ends on a proof: C'' >= 2 curvature gives C - min C <= (C'/2)^2 / curvature, and the point
    where the tangents meet lies below min C.
    """
    middle = widest(mu)
    # Rows: theta, C, C'/2, and 1 where C and C' are known.
    ends = np.empty((2, 4))
    for side in range(2):
        ends[side, 0] = 2.0 * side - 1.0
        for k in range(1, 4):
            ends[side, k] = 0.0
    theta, best, at, last, mark = 0.0, np.inf, 0.0, np.inf, np.inf
    for turn in range(ROUNDS):
        C, D, E = cost(theta, mu, nu)
        if best > C:
            best, at = C, theta
        enclose(ends, theta, C, D)
        lo, hi = ends[0, 0], ends[1, 0]
        if D == 0.0 or curvature * larger(1e-17 * C, 1e-34) >= D * D or hi - lo <= WIDTH:
            return best, at, turn + 1
        slow = False
        if turn % 3 == 2:
            slow, mark = hi - lo > 0.5 * mark, hi - lo
        y, thinness = quantile(middle + theta, nu)
        newton = mass_before(y - D * thinness / E, nu) - middle if E > 0 else np.nan
        gains, last = abs(D) < 0.5 * last, abs(D)
        if slow:
            theta = np.nan
        elif gains and lo < newton < hi:
            theta = newton
        elif ends[0, 3] + ends[1, 3] < 2:
            theta = hi if ends[0, 3] else lo
            continue
        else:
            theta, floor = tangents(ends)
            if best - floor <= 1e-15 * best:
                return best, at, turn + 1
            if curvature > 0 and turn % 2 == 0:
                below, above = quantile(middle + lo, nu)[0], quantile(middle + hi, nu)[0]
                share = ends[0, 2] / (ends[0, 2] - ends[1, 2])
                theta = mass_before(below + (above - below) * share, nu) - middle
        if not lo < theta < hi:
            theta = lo + 0.5 * (hi - lo)
            if not lo < theta < hi:
                return best, at, turn + 1
    return best, at, -1
