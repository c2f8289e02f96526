"""Exact W2 on the circle between two sets of n equal atoms: the best of 2n + 1 cyclic shifts.

With both sets in order, C(j) = (1/n) sum_i (x_i - y_{i+j})^2 with y_{i+n} = y_i + 1 is the C of
`circle_shift` at theta = j/n, the kinks of that piecewise linear convex function. Such a sum runs
on vectors.
"""

from __future__ import annotations

from meanfield.checks import Array
from meanfield.jit import kernel, larger, smaller


@kernel(fastmath={"reassoc", "contract", "nnan", "nsz"})
def run_of(x: Array, y: Array, turn: float) -> tuple[float, float]:
    """sum (x_i - y_i - turn)^2 and what it rises by when y moves on by one; y (len(x) + 1,)."""
    C = D = 0.0
    for i in range(len(x)):
        off = y[i] + turn - x[i]
        gap = y[i + 1] - y[i]
        C += off * off
        D += gap * (gap + 2 * off)
    return C, D


@kernel
def at_shift(j: int, x: Array, y: Array) -> tuple[float, float]:
    """n C(j) and n (C(j + 1) - C(j)); y (n + 1,) ends with y_0 + 1."""
    n = len(x)
    turn = j // n
    k = j - turn * n
    C, D = run_of(x[: n - k], y[k:], float(turn))
    if k:
        c, d = run_of(x[n - k :], y[: k + 1], float(turn + 1))
        return C + c, D + d
    return C, D


@kernel
def best_cyclic(x: Array, y: Array) -> float:
    """The least C(j) over -n <= j <= n, where the rise of this convex function changes sign.

    From the shift of the means steps grow until the sign has changed. Then secants between the
    rises at the bracket's ends, halved where an end stays (the Illinois rule); every third step is
    a bisection.
    """
    n = len(x)
    guess = 0.0
    for i in range(n):
        guess += x[i] - y[i]
    lo, hi = -n, n  # the rise is negative before lo and not negative from hi on
    below, above = 0.0, 0.0  # rises at either end, 0 where none is known yet
    best, turn = at_shift(hi, x, y)[0], 0
    j = smaller(larger(round(guess), lo), hi - 1)
    while lo < hi:
        C, D = at_shift(j, x, y)
        best = smaller(best, C)
        if D < 0:
            lo, below, above = j + 1, D, 0.5 * above
        else:
            hi, below, above = j, 0.5 * below, D
        turn += 1
        if turn % 3 == 0:
            j = (lo + hi) // 2
        elif below < 0 < above:
            j = lo + int((hi - lo) * (below / (below - above)))
        else:
            leap = larger(n >> 9, 1) << (2 * turn)
            j = lo + leap if above == 0 else hi - leap
        j = smaller(larger(j, lo), hi - 1)
    return best / n
