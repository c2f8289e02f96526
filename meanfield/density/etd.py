"""Time stepping of two coupled sets of Fourier modes: exponential Runge-Kutta of order 4.

Each player is a tuple of arrays (see `meanfield.density.galerkin`)

    lam (n,), k (M, n), offsets (M,), A (2M, 2J), seen (J,), tail (n,), sizes (2,) = n, centre

and a block of work arrays (ROWS, 2, total), real and imaginary parts apart, whose first row is the
state. Mode number j of n sits at centre + j; what lies before the centre is its mirror image, and
what lies between and behind the modes is zero, so that a shifted coefficient is a shifted index.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STATE, STAGE_A, STAGE_B, NEXT, N1, N2, N3, N4, N5 = range(9)
ROWS = 9
CACHE = 8  # sets of coefficients kept, by step

DONE, TAIL, STUCK, DIVERGED = range(4)
RUNGS = 4  # steps of the ladder an octave


@njit(cache=True, nogil=True, error_model="numpy")
def _phi(z):
    """exp(z), phi_1, phi_2, phi_3 for z <= 0, without the cancellation of their closed forms."""
    if z < -1.0:
        e = np.exp(z)
        phi1 = (e - 1.0) / z
        phi2 = (phi1 - 1.0) / z
        return e, phi1, phi2, (phi2 - 0.5) / z
    phi3 = 1.0
    for n in range(19, 3, -1):  # sum of z^n / (n + 3)! by Horner; the first term left out is below 1e-19
        phi3 = 1.0 + z * phi3 / n
    phi3 /= 6.0
    phi2 = 0.5 + z * phi3
    phi1 = 1.0 + z * phi2
    return np.exp(z), phi1, phi2, phi3


@njit(cache=True, nogil=True, error_model="numpy")
def coefficients(lam, h, out):
    """Rows of out (6, n): E(h/2), Q, E(h) and the three weights of ETDRK4 (Cox & Matthews 2002, eq. 26-29).

    They are evaluated stably, as Kassam & Trefethen (2005) ask, by series for small arguments.
    """
    for j in range(len(lam)):
        half, phi, _, _ = _phi(0.5 * h * lam[j])
        full, phi1, phi2, phi3 = _phi(h * lam[j])
        out[0, j] = half
        out[1, j] = 0.5 * h * phi
        out[2, j] = full
        out[3, j] = h * (phi1 - 3.0 * phi2 + 4.0 * phi3)
        out[4, j] = h * (2.0 * phi2 - 4.0 * phi3)
        out[5, j] = h * (4.0 * phi3 - phi2)


@njit(cache=True, nogil=True, error_model="numpy")
def _cached(h, players, caches, keys):
    """Slot of the coefficients for step h; keys (CACHE + 1,) ends with the slot to overwrite next."""
    for s in range(CACHE):
        if keys[s] == h:
            return s
    s = int(keys[CACHE])
    for p in range(2):
        coefficients(players[p][0], h, caches[p][s])
    keys[s] = h
    keys[CACHE] = (s + 1) % CACHE
    return s


@njit(cache=True, nogil=True, error_model="numpy")
def _mirror(v, centre):
    """Modes -k from modes k: conj."""
    for i in range(1, centre + 1):
        v[0, centre - i] = v[0, centre + i]
        v[1, centre - i] = -v[1, centre + i]


@njit(cache=True, nogil=True, error_model="numpy")
def _costs(player, opponent, v, U):
    """Fourier coefficients of the player's cost at its modes, (2, M), from the opponent's modes v."""
    A, seen, centre = player[3], opponent[4], opponent[6][1]
    J, M = len(seen), U.shape[1]
    for m in range(M):
        a = 0.0
        b = 0.0
        for j in range(J):
            c, s = v[0, centre + seen[j]], -v[1, centre + seen[j]]  # E cos, E sin
            a += A[m, j] * c + A[m, J + j] * s
            b += A[M + m, j] * c + A[M + m, J + j] * s
        U[0, m] = 0.5 * a
        U[1, m] = -0.5 * b


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _drift(k, offsets, U, v, centre, out):
    """out_k = -gamma w^2 sum over pairs +-m of (k.m) U_m mu_(k-m): shifts of v."""
    n = np.uint64(k.shape[1])
    out[:, : k.shape[1]] = 0.0
    for m in range(len(offsets)):
        ur, ui = U[0, m], U[1, m]
        low, high = np.uint64(centre - offsets[m]), np.uint64(centre + offsets[m])
        for j in range(n):
            out[0, j] += k[m, j] * (ur * (v[0, low + j] - v[0, high + j]) - ui * (v[1, low + j] + v[1, high + j]))
        for j in range(n):
            out[1, j] += k[m, j] * (ur * (v[1, low + j] - v[1, high + j]) + ui * (v[0, low + j] + v[0, high + j]))


@njit(cache=True, nogil=True, error_model="numpy")
def _rhs(players, works, row, to):
    """Drift of both players at the modes in `row`, into `to`."""
    for p in range(2):
        _mirror(works[p][row], players[p][6][1])
    for p in range(2):
        player = players[p]
        U = np.empty((2, len(player[2])))
        _costs(player, players[1 - p], works[1 - p][row], U)
        _drift(player[1], player[2], U, works[p][row], player[6][1], works[p][to])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _stage(to, base, first, second, decay, weight, w1, w2, n, centre):
    """to = decay base + weight (w1 first + w2 second), mode by mode."""
    c, top = np.uint64(centre), np.uint64(n)
    for i in range(2):
        for j in range(top):
            to[i, c + j] = decay[j] * base[i, c + j] + weight[j] * (w1 * first[i, j] + w2 * second[i, j])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _combine(work, c, n, centre):
    """NEXT = E u + b1 N(u) + b2 (N(a) + N(b)) + b3 N(c)."""
    u, to, n1, n2, n3, n4 = work[STATE], work[NEXT], work[N1], work[N2], work[N3], work[N4]
    shift, top = np.uint64(centre), np.uint64(n)
    for i in range(2):
        for j in range(top):
            to[i, shift + j] = (
                c[2, j] * u[i, shift + j] + c[3, j] * n1[i, j] + c[4, j] * (n2[i, j] + n3[i, j]) + c[5, j] * n4[i, j]
            )


@njit(cache=True, nogil=True, error_model="numpy")
def _step(players, works, caches, slot):
    """One step of ETDRK4 from STATE (drift in N1) to NEXT (drift in N5)."""
    for p in range(2):
        w, c, n, o = works[p], caches[p][slot], players[p][6][0], players[p][6][1]
        _stage(w[STAGE_A], w[STATE], w[N1], w[N1], c[0], c[1], 1.0, 0.0, n, o)
    _rhs(players, works, STAGE_A, N2)
    for p in range(2):
        w, c, n, o = works[p], caches[p][slot], players[p][6][0], players[p][6][1]
        _stage(w[STAGE_B], w[STATE], w[N2], w[N2], c[0], c[1], 1.0, 0.0, n, o)
    _rhs(players, works, STAGE_B, N3)
    for p in range(2):
        w, c, n, o = works[p], caches[p][slot], players[p][6][0], players[p][6][1]
        _stage(w[STAGE_B], w[STAGE_A], w[N3], w[N1], c[0], c[1], 2.0, -1.0, n, o)
    _rhs(players, works, STAGE_B, N4)
    for p in range(2):
        _combine(works[p], caches[p][slot], players[p][6][0], players[p][6][1])
    _rhs(players, works, NEXT, N5)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _error(work, b3, n):
    """l2 norm of b3 (N(c) - N(u_next)), the distance to the third-order result; bounds its L1 norm."""
    total = 0.0
    for i in range(2):
        a, b = work[N4, i], work[N5, i]
        for j in range(n):
            e = b3[j] * (a[j] - b[j])
            total += e * e
    return np.sqrt(2.0 * total)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _watch(v, tail, n, centre):
    """(share of the outer third of modes in the l1 norm, largest coefficient) of NEXT."""
    outer = 0.0
    total = 0.0
    top = 0.0
    re, im = v[0, centre : centre + n], v[1, centre : centre + n]
    for j in range(n):
        size = abs(re[j]) + abs(im[j])
        outer += tail[j] * size
        total += size
        top = max(top, size)
    return outer / total, (top if np.isfinite(total) else np.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def _accept(players, works):
    for p in range(2):
        n, o = players[p][6][0], players[p][6][1]
        works[p][STATE, :, o : o + n] = works[p][NEXT, :, o : o + n]
        works[p][N1, :, :n] = works[p][N5, :, :n]


@njit(cache=True, nogil=True, error_model="numpy")
def _watch_both(players, works, tails):
    """Tails of NEXT into tails (2,); returns the largest coefficient of either player."""
    top = 0.0
    for p in range(2):
        tails[p], size = _watch(works[p][NEXT], players[p][5], players[p][6][0], players[p][6][1])
        top = max(top, size)
    return top


@njit(cache=True, nogil=True, error_model="numpy")
def fixed(players, works, caches, keys, t, until, count, tails, worst):
    """`count` equal steps from t to until. Returns (status, time reached)."""
    h = (until - t) / count
    slot = _cached(h, players, caches, keys)
    _rhs(players, works, STATE, N1)
    for s in range(count):
        _step(players, works, caches, slot)
        # Coefficients of a probability measure are at most one in modulus.
        if not _watch_both(players, works, tails) < 4.0:
            return DIVERGED, t + s * h
        _accept(players, works)
        worst[0], worst[1] = max(worst[0], tails[0]), max(worst[1], tails[1])
    return DONE, until


@njit(cache=True, nogil=True, error_model="numpy")
def first_rung(players, works, tol, span):
    """A careful first step: tol^(1/4) over the size of the drift, as a rung of the ladder."""
    _rhs(players, works, STATE, N1)
    rate = 1.0 / span
    for p in range(2):
        n = players[p][6][0]
        rate = max(rate, np.sqrt(2.0 * np.sum(works[p][N1, :, :n] ** 2)))
    return int(np.floor(RUNGS * np.log2(tol**0.25 / rate)))


@njit(cache=True, nogil=True, error_model="numpy")
def _rung(h, error, tol):
    """The highest rung whose step is expected to make an error below tol."""
    gain = 0.9 * (tol / max(error, 1e-300)) ** 0.25
    return int(np.floor(RUNGS * np.log2(h * min(max(gain, 0.1), 4.0)) + 1e-9))


@njit(cache=True, nogil=True, error_model="numpy")
def controlled(players, works, caches, keys, t, until, rung, tol, limits, tails, worst, counts):
    """From t to until with error at most tol a step; stops before a state whose tails exceed limits (2,).

    Steps are rungs 2^(r / RUNGS), so that coefficients are met again; the last one or two are
    fitted to end at `until`. counts (2,) gathers steps taken and refused.
    Returns (status, time reached, rung).
    """
    _rhs(players, works, STATE, N1)
    while t < until:
        h, left = 2.0 ** (rung / RUNGS), until - t
        fitted = left < 2.0 * h
        if fitted:
            h = left if left <= h * (1.0 + 1e-12) else 0.5 * left
        if t + h == t:
            return STUCK, t, rung
        slot = _cached(h, players, caches, keys)
        _step(players, works, caches, slot)
        error = max(_error(works[0], caches[0][slot, 5], players[0][6][0]),
                    _error(works[1], caches[1][slot, 5], players[1][6][0]))  # fmt: skip
        if not (error <= tol and _watch_both(players, works, tails) < 4.0):
            counts[1] += 1
            rung = min(_rung(h, error if np.isfinite(error) else np.inf, tol), rung - 1)
            continue
        if tails[0] > limits[0] or tails[1] > limits[1]:
            return TAIL, t, rung
        _accept(players, works)
        worst[0], worst[1] = max(worst[0], tails[0]), max(worst[1], tails[1])
        counts[0] += 1
        t = until if (fitted and h == left) else t + h
        if not fitted:
            rung = _rung(h, error, tol)
    return DONE, t, rung
