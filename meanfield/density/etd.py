"""Time steps of two coupled sets of coefficients: exponential Runge-Kutta of order 4, controlled.

The coefficients are Fourier modes on tori or spherical harmonics, which differ in the drift alone
(`shifts` and `spherical`); the loops of a step are in `stages`. The work arrays (rows, 2, total)
of a player hold real and imaginary parts. Number j of n stands at centre + j; before and behind are
mirror images and zeros, so that a neighbouring coefficient is a neighbouring place. Where no
coefficient stands, the eigenvalue is -inf and every factor of a step 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.density import shifts, spherical
from meanfield.density.stages import (
    COST,
    FACTORS,
    FLUX,
    N1,
    N4,
    N5,
    NEXT,
    STAGE,
    STAGE_B,
    STATE,
    SUM,
    begin,
    coefficients,
    fourth,
    judge,
    third,
)
from meanfield.jit import kernel, larger, smaller
from meanfield.meshes import Index

CACHE = 8  # steps whose coefficients are stored

DONE, TAIL, STUCK, DIVERGED = range(4)
RUNGS = 4  # steps of the ladder an octave
NO_RUNG = -(2**31)  # no step was taken yet
# As in `engine`, for steps that cost less.
WINDOW, HOPELESS, GROWS = 256, 1e-5, 1.2
# Places gone through, half a second, after which a user can interrupt; a twentieth, after which
# states that were reached are handed over.
AT_ONCE, TOGETHER = 3e7, 3e6


@bundle
class SpectralPlayer(NamedTuple):
    """The constant arrays of one player, in Fourier modes or harmonics.

    Of the n places those without a coefficient have the eigenvalue -inf, the tail 0 and an infinite
    largest.
    """

    levels: Any  # (r,) distinct eigenvalues of the diffusion
    level: Any  # (n,) which of them
    tail: Any  # (n,) mask of the outer coefficients
    largest: Any  # (n,) what no coefficient (|re| + |im|) of a probability measure can pass
    harmonics: Any  # (True,) or (): a length is known before anything is compiled
    centre: int
    norm: float  # sqrt(norm times the sum of squares of all parts) bounds the L1 norm
    read: Any  # (J,) where the coefficients stand that the opponent reads
    cost: Any  # the opponent's of these -> the cost's, (2M, 2J): modes; harmonics: see `gradients`
    shifts: Any  # offsets of the cost's modes; harmonics: the rows' starts
    waves: Any  # these modes, see `shifts.pull`
    together: Any  # (True,) * the number of waves taken at a time; harmonics: ()
    drift: Any  # velocities there; harmonics: the factors of `spherical.Rows`


@bundle
class Seen(NamedTuple):
    """What is kept of the states at several times."""

    x: Any  # (S, 2, total) their rows of the work arrays
    y: Any
    marks: Any  # (S, 5) the rung of the next step; steps taken, refused; the largest tails so far


@kernel
def _spread(player, h, levels, out):
    """The coefficients of step h, computed for the distinct eigenvalues."""
    coefficients(player.levels, h, levels)
    for i in range(FACTORS):
        for j in range(len(player.level)):
            out[i, j] = levels[i, player.level[j]]


@kernel
def _cached(h, players, caches, levels, keys):
    """Where the coefficients for step h are.

    keys (CACHE + 2,) ends with the next slot to use and with 1 where both players have the same
    coefficients, in the same arrays.
    """
    for s in range(CACHE):
        if keys[s] == h:
            return s
    s = np.int64(keys[CACHE])
    _spread(players[0], h, levels, caches[0][s])
    if keys[CACHE + 1] == 0.0:
        _spread(players[1], h, levels, caches[1][s])
    keys[s] = h
    keys[CACHE] = (s + 1) % CACHE
    return s


@kernel
def _costs(A, read, centre, v, U):
    """The M complex coefficients of a cost, into U (2, >= M), from the opponent's v."""
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


@kernel(forceinline=True)
def _prepare(harmonics, x, y, wx, wy, row):
    """Mirror images and costs of both players at the coefficients in `row`, for their drifts."""
    if len(harmonics) > 0:
        spherical.mirror(wx[row], x.shifts, x.centre)
        spherical.mirror(wy[row], y.shifts, y.centre)
    else:
        shifts.mirror(wx[row], x.centre)
        shifts.mirror(wy[row], y.centre)
    _costs(x.cost, y.read, y.centre, wy[row], wx[COST])
    _costs(y.cost, x.read, x.centre, wx[row], wy[COST])


@kernel(forceinline=True)
def _drift(harmonics, p, w, c, s, row, of_a, to):
    """The drift of one player at the coefficients in `row`, written to row `to`; where these are a,
    the stage b is written there instead, and the terms of u' known so far to its row.
    """
    u, n1, end = w[STATE + s], w[N1 + s], w[NEXT - s]
    U, v, out = w[COST], w[row], w[to]
    if len(harmonics) > 0:
        raised, lowered, upright = w[FLUX], w[FLUX + 1], w[FLUX + 2]
        spherical.fluxes(p.drift, p.shifts, p.centre, U, v, raised, lowered, upright)
        spherical.diverge(
            p.drift, p.shifts, p.centre, raised, lowered, upright, of_a, c, u, n1, out, end
        )
    else:
        shifts.pull(
            p.together, p.drift, p.waves, p.shifts, U, v, p.centre, w[SUM], of_a, c, u, n1, out, end
        )


@kernel(forceinline=True)
def _step(harmonics, x, y, wx, wy, cx, cy, s, tails):
    """One step of ETDRK4 with coefficients cx, cy; the larger error, and both tails."""
    begin(cx, wx[STATE + s], wx[N1 + s], wx[STAGE], x.centre)
    begin(cy, wy[STATE + s], wy[N1 + s], wy[STAGE], y.centre)
    a, b, n4, end = np.int64(STAGE), np.int64(STAGE_B), np.int64(N4), NEXT - s
    row, to = a, b
    for stage in range(4):
        if stage == 1:
            row, to = b, n4
        elif stage == 2:
            third(cx, wx[N1 + s], wx[N4], wx[STAGE], wx[end], x.centre)
            third(cy, wy[N1 + s], wy[N4], wy[STAGE], wy[end], y.centre)
            row = a
        elif stage == 3:
            fourth(cx, wx[N4], wx[end], x.centre)
            fourth(cy, wy[N4], wy[end], y.centre)
            row, to = end, N5 - s
        _prepare(harmonics, x, y, wx, wy, row)
        _drift(harmonics, x, wx, cx, s, row, stage == 0, to)
        _drift(harmonics, y, wy, cy, s, row, stage == 0, to)
    off_x, tails[0] = judge(wx, cx, s, x.tail, x.largest, x.norm, x.centre)
    off_y, tails[1] = judge(wy, cy, s, y.tail, y.largest, y.norm, y.centre)
    return larger(off_x, off_y)


@kernel
def _rung(h, error, tol):
    """The highest rung whose step is expected to make an error below tol."""
    gain = 0.9 * (tol / larger(error, 1e-300)) ** 0.25
    return np.int64(np.floor(RUNGS * np.log2(h * smaller(larger(gain, 0.1), 4.0)) + 1e-9))


@kernel
def _steps_until(
    x, y, wx, wy, cx, cy, levels, keys, t, until, count, s, rung, tol, limits, tails, worst, counts
):
    """See `run`: (status, time reached, s, rung). The state stands in row STATE + s, and its drift
    is put into row N1 + s.
    """
    begun, equal, taken = t, (until - t) / larger(count, 1), 0
    most = counts[0] + counts[1] + AT_ONCE / (len(x.level) + len(y.level))
    mark, before = t, 0.0
    status, first, to = DONE, STATE + s, N1 + s
    _prepare(x.harmonics, x, y, wx, wy, first)
    _drift(x.harmonics, x, wx, cx[0], s, first, False, to)
    _drift(x.harmonics, y, wy, cy[0], s, first, False, to)
    while t < until and counts[0] + counts[1] < most:
        h, left, fitted = equal, until - t, True
        if count == 0:
            h = 2.0 ** (rung / RUNGS)
            fitted = left < 2.0 * h
            if fitted:
                h = left if left <= h * (1.0 + 1e-12) else 0.5 * left
            if t + h == t:
                status = STUCK
                break
        slot = _cached(h, (x, y), (cx, cy), levels, keys)
        error = _step(x.harmonics, x, y, wx, wy, cx[slot], cy[slot], s, tails)
        good = tails[0] < np.inf and tails[1] < np.inf
        if count == 0:
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
            t = t + h if count == 0 else begun + taken * equal
        if not fitted:
            rung = ahead
        if count == 0 and taken % WINDOW == 0:
            gone = t - mark
            if gone < HOPELESS * (until - t) and gone < GROWS * before:
                status = STUCK
                break
            mark, before = t, gone
    return status, t, s, rung


@kernel
def _copy(row, to):
    for i in range(2):
        for j in range(row.shape[1]):
            to[i, j] = row[i, j]


@kernel
def _march(held, t, times, parts, rung, watched, seen):
    """See `run`. Also returns whether an odd number of steps left the state in row NEXT."""
    x, y, wx, wy, cx, cy, levels, keys = held
    tol, limits, tails, worst, counts = watched
    status, reached, s = DONE, 0, np.int64(0)
    most = TOGETHER / (len(x.level) + len(y.level))
    while reached < len(times) and (reached == 0 or counts[0] + counts[1] < most):
        until, count = times[reached], parts[reached]
        status, t, s, rung = _steps_until(
            x, y, wx, wy, cx, cy, levels, keys, t, until, count, s, rung, tol, limits, tails, worst,
            counts,
        )  # fmt: skip
        if t < until:
            break
        _copy(wx[STATE + s], seen.x[reached])
        _copy(wy[STATE + s], seen.y[reached])
        seen.marks[reached, 0] = rung
        for p in range(2):
            seen.marks[reached, 1 + p], seen.marks[reached, 3 + p] = counts[p], worst[p]
        reached += 1
    return status, t, rung, reached, s == NEXT


def run(
    held: tuple[Any, ...], t: float, times: Array, parts: Index, rung: int,
    watched: tuple[float, Array, Array, Array, Index], seen: Seen,
) -> tuple[int, float, int, int]:  # fmt: skip
    """From t through `times`: up to each in as many equal `parts` or, where these are 0, in steps
    with error at most tol.

    held: both players, their work arrays, coefficients of CACHE steps, then room for those of one,
    by eigenvalue, and their steps, see `_cached`. watched: tol, limits, tails, worst, counts.

    Stops before a state whose tails exceed limits (2,), and between times where it has gone through
    TOGETHER places; where AT_ONCE do not bring it to the next time, short of it. Controlled steps
    are rungs 2^(r / RUNGS), so that coefficients are met again; the last one or two are fitted to
    end at a time. counts (2,) gathers steps taken and refused. rung is NO_RUNG before the first
    step. Returns (status, time, rung, how many of the times were reached): STUCK where steps are so
    short that the next is out of reach.
    """
    x, y, wx, wy, *_ = held
    if parts[0] == 0 and rung == NO_RUNG:
        _march(held, t, np.array([t]), parts, rung, watched, seen)
        rung = _first_rung((x, y), (wx, wy), watched[0], times[0] - t)
    status, t, rung, reached, odd = _march(held, t, times, parts, rung, watched, seen)
    if odd:
        wx[STATE], wy[STATE] = wx[NEXT], wy[NEXT]
    return status, t, rung, reached


def _first_rung(
    players: tuple[SpectralPlayer, ...], works: tuple[Array, ...], tol: float, span: float
) -> int:
    """A careful first step: tol^(1/4) over the size of the drift, as a rung of the ladder."""
    fastest = 1.0 / span
    for player, work in zip(players, works, strict=True):
        drift = work[N1][:, : len(player.level)][:, player.largest < np.inf]
        fastest = max(fastest, float(np.sqrt(player.norm * np.sum(drift**2))))
    return int(np.floor(RUNGS * np.log2(tol**0.25 / fastest)))
