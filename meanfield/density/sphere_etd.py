"""Steps of two coupled sets of spherical harmonics, by the ETDRK4 of `meanfield.density.etd`.

Each player is a tuple of arrays, made by `meanfield.density.harmonics`:

    lam (n,)        eigenvalues of the diffusion      runs (R, 5), values: the drift (`spherical.Drifts`)
    low (9,)        where degrees 0, 1 and 2 stand    B (8, 9)     the opponent's of these -> the cost's, times gamma
    tail (n,)       mask of the outer degrees         limits (n,)  what coefficients of a probability cannot pass

and a block of work arrays (ROWS, 1, n) whose rows are those of `etd`.
"""

from __future__ import annotations

import numpy as np

from meanfield.density.etd import (
    COST,
    N1,
    N2,
    N4,
    N5,
    NEXT,
    STAGE_A,
    STAGE_B,
    STATE,
    _cached,
    _combine,
    _half,
)
from meanfield.jit import kernel


@kernel(fastmath={"contract"})
def _drift(player, opponent, w, u, row, to):
    """div(mu grad U) of a player's coefficients in `row` of w, against the opponent's in u, into row `to`."""
    runs, values, B, low = player[1], player[2], player[4], opponent[3]
    U, v, out, seen = w[COST, 0], w[row, 0], w[to, 0], u[row, 0]
    for k in range(8):
        U[k] = 0.0
        for j in range(9):
            U[k] += B[k, j] * seen[low[j]]
    for i in range(len(out)):
        out[i] = 0.0
    for r in range(len(runs)):
        size = U[runs[r, 0]]
        # Unsigned indices spare the test for negative ones, without which loops vectorise.
        here, there, at = np.uint64(runs[r, 1]), np.uint64(runs[r, 2]), np.uint64(runs[r, 3])
        for j in range(np.uint64(runs[r, 4])):
            out[here + j] += size * values[at + j] * v[there + j]


@kernel
def rhs(x, y, wx, wy, row, to):
    """Drift of both players."""
    _drift(x, y, wx, wy, row, to)
    _drift(y, x, wy, wx, row, to)


@kernel
def _miss(w, b3, s):
    """sqrt(4 pi) times the l2 norm of b3 (N(c) - N(u_next)): bounds the L1 distance to the third-order result."""
    a, b = w[N4, 0], w[N5 - s, 0]
    total = 0.0
    for j in range(len(a)):
        total += (b3[j] * (a[j] - b[j])) ** 2
    return np.sqrt(4 * np.pi * total)


@kernel
def _watch(v, tail, limits):
    """The outer degrees' share of the l1 norm; infinite for what is no probability measure."""
    outer, total = 0.0, 0.0
    good = True
    for j in range(len(v)):
        size = abs(v[j])
        good = good and size <= limits[j]
        outer += tail[j] * size
        total += size
    return outer / total if good else np.inf


@kernel
def attempt(x, y, wx, wy, cx, cy, keys, h, s, tails):
    """One step of length h: from STATE (drift in N1) to NEXT (drift in N5) for s = 0; back for s = NEXT.

    Returns the error estimate; both tails go to `tails`.
    """
    slot = _cached(h, (x, y), (cx, cy), keys)
    sizes_x, sizes_y = (len(x[0]), 0), (len(y[0]), 0)
    for stage in range(3):
        _half(wx, cx[slot], s, sizes_x, stage)
        _half(wy, cy[slot], s, sizes_y, stage)
        rhs(x, y, wx, wy, STAGE_A if stage == 0 else STAGE_B, N2 + stage)
    _combine(wx, cx[slot], s, sizes_x[0], 0)
    _combine(wy, cy[slot], s, sizes_y[0], 0)
    rhs(x, y, wx, wy, NEXT - s, N5 - s)
    tails[0] = _watch(wx[NEXT - s, 0], x[5], x[6])
    tails[1] = _watch(wy[NEXT - s, 0], y[5], y[6])
    return max(_miss(wx, cx[slot, 5], s), _miss(wy, cy[slot, 5], s))


@kernel(counted=True)
def speed(x, y, wx, wy, s):
    """Size of the drift at the state, which it sets; bounds its L1 norm."""
    rhs(x, y, wx, wy, STATE + s, N1 + s)
    a, b = wx[N1 + s, 0], wy[N1 + s, 0]
    return np.sqrt(4 * np.pi * max(np.sum(a * a), np.sum(b * b)))
