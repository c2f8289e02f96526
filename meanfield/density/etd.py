"""Time steps of two coupled sets of coefficients: exponential Runge-Kutta of order 4, controlled.

The coefficients are Fourier modes on tori or spherical harmonics, which differ in the drift alone.
The work arrays (ROWS, parts, total) of a player hold the real and imaginary parts of its modes, or
the real coefficients of its harmonics. Number j of n stands at centre + j; for modes, what lies
before the centre is their mirror image, and what lies between and behind them is zero: a shifted
coefficient is a shifted index.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meanfield.bundles import bundle
from meanfield.jit import kernel, larger, smaller

# Rows of the work arrays: state and drift at the start of a step, and a row for each stage. The
# first two change places with the last two after every step taken, so that nothing is copied.
STATE, N1, STAGE_A, STAGE_B, N2, N3, N4, NEXT, N5, COST = range(10)
ROWS = 10
CACHE = 8  # steps whose coefficients are stored

DONE, TAIL, STUCK, DIVERGED = range(4)
RUNGS = 4  # steps of the ladder an octave
NO_RUNG = -(2**31)  # no step was taken yet
# As in `engine`, for steps that cost less.
WINDOW, HOPELESS, GROWS = 256, 1e-5, 1.2

_SERIES = 1.0 / np.cumprod(np.concatenate([[6.0], np.arange(4.0, 21.0)]))  # 1 / (n + 3)!


@bundle
class SpectralPlayer(NamedTuple):
    """The constant arrays of one player, in Fourier modes (centre > 0) or harmonics (0)."""

    lam: Any  # (n,) eigenvalues of the diffusion
    tail: Any  # (n,) mask of the outer coefficients
    largest: Any  # (n,) what no coefficient (|re| + |im|) of a probability measure can pass
    size: int  # n
    harmonics: Any  # (True,) or (): a length is known before anything is compiled
    centre: int
    norm: float  # sqrt(norm times the sum of squares of all parts) bounds the L1 norm
    read: Any  # (J,) where the coefficients stand that the opponent reads
    cost: Any  # the opponent's of these -> the cost's: modes (2M, 2J), harmonics (8, 9)
    shifts: Any  # offsets (M, 1) of the cost's modes; harmonics: runs (R, 5) of `spherical.Drifts`
    drift: Any  # -gamma w^2 (k.m), (M, n); harmonics: the entries (1, V) of these runs


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
    """Rows of out (6, n): E(h/2), Q, E(h) and the three weights of ETDRK4.

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
        out[2, j] = e * e
        out[3, j] = h * (phi1 - 3.0 * phi2 + 4.0 * phi3)
        out[4, j] = h * (2.0 * phi2 - 4.0 * phi3)
        out[5, j] = h * (4.0 * phi3 - phi2)


@kernel
def _cached(h, players, caches, keys):
    """Where the coefficients for step h are; keys (CACHE + 1,) ends with the next slot to use."""
    for s in range(CACHE):
        if keys[s] == h:
            return s
    s = np.int64(keys[CACHE])
    coefficients(players[0].lam, h, caches[0][s])
    coefficients(players[1].lam, h, caches[1][s])
    keys[s] = h
    keys[CACHE] = (s + 1) % CACHE
    return s


@kernel
def _mirror(v, centre):
    """Modes -k from modes k: conj."""
    for i in range(1, centre + 1):
        v[0, centre - i] = v[0, centre + i]
        v[1, centre - i] = -v[1, centre + i]


@kernel
def _costs(A, read, centre, v, U):
    """Fourier coefficients of a cost at its M modes, into U (2, >= M), from the opponent's v."""
    M, J = len(A) // 2, len(read)
    for m in range(M):
        a = 0.0
        b = 0.0
        for j in range(J):
            c, s = v[0, centre + read[j]], -v[1, centre + read[j]]  # E cos, E sin
            a += A[m, j] * c + A[m, J + j] * s
            b += A[M + m, j] * c + A[M + m, J + j] * s
        U[0, m] = 0.5 * a
        U[1, m] = -0.5 * b


@kernel(fastmath={"contract"})
def _drift(k, offsets, U, v, centre, out):
    """out_k = -gamma w^2 sum over the pairs +-m of (k.m) U_m mu_(k-m): shifts of v."""
    # Unsigned indices spare the test for negative ones, without which loops vectorise.
    n, whole = np.uint64(k.shape[1]), len(offsets) // 4 * 4
    for j in range(n):
        out[0, j] = 0.0
        out[1, j] = 0.0
    # Four at a time: half of what one at a time takes is reading and writing `out`.
    for m in range(0, whole, 4):
        a0, b0, p0, q0 = _pair(m, centre, offsets, U)
        a1, b1, p1, q1 = _pair(m + 1, centre, offsets, U)
        a2, b2, p2, q2 = _pair(m + 2, centre, offsets, U)
        a3, b3, p3, q3 = _pair(m + 3, centre, offsets, U)
        for j in range(n):
            r0, i0 = _pull(k[m, j], p0, q0, v, a0 + j, b0 + j)
            r1, i1 = _pull(k[m + 1, j], p1, q1, v, a1 + j, b1 + j)
            r2, i2 = _pull(k[m + 2, j], p2, q2, v, a2 + j, b2 + j)
            r3, i3 = _pull(k[m + 3, j], p3, q3, v, a3 + j, b3 + j)
            out[0, j] += (r0 + r1) + (r2 + r3)
            out[1, j] += (i0 + i1) + (i2 + i3)
    for m in range(whole, len(offsets)):
        low, high, ur, ui = _pair(m, centre, offsets, U)
        for j in range(n):
            r, i = _pull(k[m, j], ur, ui, v, low + j, high + j)
            out[0, j] += r
            out[1, j] += i


@kernel
def _pair(m, centre, offsets, U):
    """Where the modes -k and k of pair m stand, and U there."""
    low, high = np.uint64(centre - offsets[m, 0]), np.uint64(centre + offsets[m, 0])
    return low, high, U[0, m], U[1, m]


@kernel(fastmath={"contract"})
def _pull(speed, ur, ui, v, low, high):
    """speed (U mu_low - conj(U) mu_high), real and imaginary part."""
    ar, ai, br, bi = v[0, low], v[1, low], v[0, high], v[1, high]
    return speed * (ur * (ar - br) - ui * (ai + bi)), speed * (ur * (ai - bi) + ui * (ar + br))


@kernel(fastmath={"contract"})
def _harmonic_drift(B, low, opponent, runs, values, U, v, out):
    """The drift gamma div(mu grad U) of harmonics v, against the opponent's."""
    for k in range(8):
        U[k] = 0.0
        for j in range(9):
            U[k] += B[k, j] * opponent[low[j]]
    for i in range(len(out)):
        out[i] = 0.0
    for r in range(len(runs)):
        size = U[runs[r, 0]]
        here, there, at = np.uint64(runs[r, 1]), np.uint64(runs[r, 2]), np.uint64(runs[r, 3])
        for j in range(np.uint64(runs[r, 4])):
            out[here + j] += size * values[at + j] * v[there + j]


@kernel
def _rhs(harmonics, x, y, wx, wy, row, to):
    """Drift of both players at the coefficients in `row`, into row `to`."""
    if len(harmonics) > 0:
        v, u = wx[row, 0], wy[row, 0]
        _harmonic_drift(x.cost, y.read, u, x.shifts, x.drift[0], wx[COST, 0], v, wx[to, 0])
        _harmonic_drift(y.cost, x.read, v, y.shifts, y.drift[0], wy[COST, 0], u, wy[to, 0])
    else:
        _mirror(wx[row], x.centre)
        _mirror(wy[row], y.centre)
        _costs(x.cost, y.read, y.centre, wy[row], wx[COST])
        _costs(y.cost, x.read, x.centre, wx[row], wy[COST])
        _drift(x.drift, x.shifts, wx[COST], wx[row], x.centre, wx[to])
        _drift(y.drift, y.shifts, wy[COST], wy[row], y.centre, wy[to])


@kernel(fastmath={"contract"})
def _stage(to, base, first, second, decay, weight, w1, w2, n, centre):
    """to = decay base + weight (w1 first + w2 second), mode by mode."""
    shift, top = np.uint64(centre), np.uint64(n)
    for i in range(len(to)):
        for j in range(top):
            to[i, shift + j] = decay[j] * base[i, shift + j] + weight[j] * (
                w1 * first[i, j] + w2 * second[i, j]
            )


@kernel(fastmath={"contract"})
def _combine(w, c, s, n, centre):
    """E u + b1 N(u) + b2 (N(a) + N(b)) + b3 N(c)."""
    u, to, n1 = w[STATE + s], w[NEXT - s], w[N1 + s]
    n2, n3, n4 = w[N2], w[N3], w[N4]
    shift, top = np.uint64(centre), np.uint64(n)
    for i in range(len(to)):
        for j in range(top):
            a = c[2, j] * u[i, shift + j] + c[3, j] * n1[i, j]
            to[i, shift + j] = a + c[4, j] * (n2[i, j] + n3[i, j]) + c[5, j] * n4[i, j]


@kernel
def _staged(w, c, s, n, o, stage):
    """The stages a, b and c of one player: from u and N(u), u and N(a), a and 2 N(b) - N(u)."""
    to, base, drift, w1, w2 = STAGE_B, STATE + s, N2, 1.0, 0.0
    if stage == 0:
        to, drift = STAGE_A, N1 + s
    elif stage == 2:
        base, drift, w1, w2 = STAGE_A, N3, 2.0, -1.0
    _stage(w[to], w[base], w[drift], w[N1 + s], c[0], c[1], w1, w2, n, o)


@kernel
def _step(x, y, wx, wy, cx, cy, s):
    """One step of ETDRK4 with coefficients cx, cy.

    s = 0: from STATE (drift in N1) to NEXT (drift in N5); s = 7: from NEXT and N5 to STATE and N1.
    """
    for stage in range(3):
        _staged(wx, cx, s, x.size, x.centre, stage)
        _staged(wy, cy, s, y.size, y.centre, stage)
        _rhs(x.harmonics, x, y, wx, wy, STAGE_A if stage == 0 else STAGE_B, N2 + stage)
    _combine(wx, cx, s, x.size, x.centre)
    _combine(wy, cy, s, y.size, y.centre)
    _rhs(x.harmonics, x, y, wx, wy, NEXT - s, N5 - s)


@kernel(fastmath={"contract", "reassoc"})
def _error(player, w, b3, s):
    """Bound in L1 of b3 (N(c) - N(u_next)), the distance to the third-order result."""
    total = 0.0
    a, b = w[N4], w[N5 - s]
    for i in range(len(a)):
        for j in range(np.uint64(player.size)):
            e = b3[j] * (a[i, j] - b[i, j])
            total += e * e
    return np.sqrt(player.norm * total)


@kernel(fastmath={"contract", "reassoc"})
def _watch(v, tail, largest, n, centre):
    """The outer coefficients' share of the l1 norm; infinite for what is no probability measure."""
    outer = 0.0
    total = 0.0
    over = 0.0
    shift, last = np.uint64(centre), len(v) - 1
    for j in range(np.uint64(n)):
        size = abs(v[0, shift + j]) + (abs(v[last, shift + j]) if last > 0 else 0.0)
        outer += tail[j] * size
        total += size
        over += 1.0 if size > largest[j] else 0.0
    return outer / total if over == 0.0 and total < np.inf else np.inf


@kernel
def _tails(x, y, wx, wy, row, tails):
    tails[0] = _watch(wx[row], x.tail, x.largest, x.size, x.centre)
    tails[1] = _watch(wy[row], y.tail, y.largest, y.size, y.centre)
    return tails[0] < np.inf and tails[1] < np.inf


@kernel
def _settle(wx, wy, s):
    """Bring the state to its row, if an odd number of steps left it in the other."""
    if s == NEXT:
        for w in (wx, wy):
            for i in range(w.shape[1]):
                for j in range(w.shape[2]):
                    w[STATE, i, j] = w[NEXT, i, j]


@kernel
def _size(out, n, norm):
    total = 0.0
    for i in range(len(out)):
        for j in range(n):
            total += out[i, j] * out[i, j]
    return np.sqrt(norm * total)


@kernel
def _first_rung(x, y, wx, wy, tol, span):
    """A careful first step: tol^(1/4) over the size of the drift, as a rung of the ladder."""
    fastest = larger(_size(wx[N1], x.size, x.norm), _size(wy[N1], y.size, y.norm))
    return np.int64(np.floor(RUNGS * np.log2(tol**0.25 / larger(1.0 / span, fastest))))


@kernel
def _rung(h, error, tol):
    """The highest rung whose step is expected to make an error below tol."""
    gain = 0.9 * (tol / larger(error, 1e-300)) ** 0.25
    return np.int64(np.floor(RUNGS * np.log2(h * smaller(larger(gain, 0.1), 4.0)) + 1e-9))


@kernel
def run(x, y, wx, wy, cx, cy, keys, t, until, count, rung, tol, limits, tails, worst, counts):
    """From t to until: in `count` equal steps or, where count is 0, with error at most tol a step.

    Stops before a state whose tails exceed limits (2,). Controlled steps are rungs 2^(r / RUNGS),
    so that coefficients are met again, from the one given or NO_RUNG on; the last one or two are
    fitted to end at `until`. counts (2,) gathers steps taken and refused. Returns (status, time
    reached, rung): STUCK where steps are so short that `until` is out of reach.
    """
    begin, equal, taken = t, (until - t) / larger(count, 1), 0
    mark, before = t, 0.0
    status, s = DONE, np.int64(0)
    _rhs(x.harmonics, x, y, wx, wy, STATE + s, N1 + s)  # numbers as in `_step`: compiled once
    if count == 0 and rung == NO_RUNG:
        rung = _first_rung(x, y, wx, wy, tol, until - t)
    while t < until:
        h, left, fitted = equal, until - t, True
        if count == 0:
            h = 2.0 ** (rung / RUNGS)
            fitted = left < 2.0 * h
            if fitted:
                h = left if left <= h * (1.0 + 1e-12) else 0.5 * left
            if t + h == t:
                status = STUCK
                break
        slot = _cached(h, (x, y), (cx, cy), keys)
        _step(x, y, wx, wy, cx[slot], cy[slot], s)
        good = _tails(x, y, wx, wy, NEXT - s, tails)
        if count == 0:
            error = larger(_error(x, wx, cx[slot, 5], s), _error(y, wy, cy[slot, 5], s))
            if not (good and error <= tol):
                counts[1] += 1
                lower = _rung(h, error if np.isfinite(error) else np.inf, tol)
                rung = smaller(lower, rung - 1)
                continue
            if not fitted:
                ahead = _rung(h, error, tol)
        if not good or tails[0] > limits[0] or tails[1] > limits[1]:
            status = TAIL if good else DIVERGED
            break
        s = NEXT - s
        worst[0], worst[1] = larger(worst[0], tails[0]), larger(worst[1], tails[1])
        counts[0] += 1
        taken += 1
        if taken == count or (count == 0 and fitted and h == left):
            t = until
        else:
            t = t + h if count == 0 else begin + taken * equal
        if not fitted:
            rung = ahead
        if count == 0 and taken % WINDOW == 0:
            gone = t - mark
            if gone < HOPELESS * (until - t) and gone < GROWS * before:
                status = STUCK
                break
            mark, before = t, gone
    _settle(wx, wy, s)
    return status, t, rung
