"""A large matrix of costs as the product of two narrow ones, if no entry changes by more than 3e-14
of the largest.

Smooth losses often allow it: of the 5e7 costs between 12,288 and 4,096 points, a hundred rows and
columns determine the others. Adaptive cross approximation (Bebendorf 2000) subtracts one cross
after another, each made of a row and a column of what is left. It looks at few entries, so that its
result is only a guess; every entry is compared with it before it is used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meanfield.checks import Array
from meanfield.density.products import Products

# Relative to the largest entry: the error allowed in any entry, and the size up to which a row of
# what is left counts as zero.
TOLERANCE, ZERO = 3e-14, 3e-15
PROBES = 16  # rows, spread over the matrix, that must count as zero at the end
GAIN = 16  # how many times fewer numbers both factors must hold than the matrix
MOST = 512  # crosses; finding more would take as long as reading the matrix
EARLY = 32  # crosses after which a slow decay is given up
BLOCK = 1 << 18  # entries compared at a time


class Crossed:
    """A matrix (P, N) as left (P, R) times right (R, N), for products with a few columns."""

    def __init__(self, left: Array, right: Array) -> None:
        self.left = Products(len(left), lambda rows: left[rows])
        self.right = Products(len(right), lambda rows: right[rows])

    def __call__(self, columns: Array, size: int | None = None) -> Array:
        """As `Products` gives them."""
        return self.left(self.right(columns).T, size)


def crossed(
    P: int, N: int, rows: Callable[[slice], Array], columns: Callable[[slice], Array]
) -> Crossed | None:
    """The matrix (P, N) as such a product, None where an entry would be off.

    rows(slice) and columns(slice) give parts of it, (r, N) and (P, c).
    """
    guess = guessed(P, N, rows, columns)
    if guess is None:
        return None
    left, right, largest = guess
    step = max(1, BLOCK // N)
    for i in range(0, P, step):
        block = rows(slice(i, min(i + step, P)))
        largest = max(largest, float(np.abs(block).max()))
        off = np.abs(block - left[i : i + step] @ right).max()
        if not off <= TOLERANCE * largest < np.inf:
            return None
    return Crossed(left, right)


def guessed(
    P: int, N: int, rows: Callable[[slice], Array], columns: Callable[[slice], Array]
) -> tuple[Array, Array, float] | None:
    """left (P, R), right (R, N) and the largest entry seen; None where R would be too large."""
    most = min(MOST, P * N // (GAIN * (P + N)))
    left, right, used = np.empty((most, P)), np.empty((most, N)), np.zeros(P, dtype=bool)
    probes = iter(np.linspace(0, P - 1, PROBES + 2).astype(int).tolist()[1:-1])
    i, largest, highest, rank = 0, 0.0, 0.0, 0
    while rank < most:
        given = rows(slice(i, i + 1))[0]
        used[i] = True
        largest = max(largest, float(np.abs(given).max()))
        rest = given - np.einsum("r,rn->n", left[:rank, i], right[:rank])
        j = int(np.argmax(np.abs(rest)))
        pivot = float(rest[j])
        highest = max(highest, abs(pivot))
        if not np.isfinite(pivot) or (rank >= EARLY and slow(abs(pivot) / highest, rank / most)):
            return None
        if abs(pivot) > ZERO * largest:
            own = columns(slice(j, j + 1))[:, 0]
            largest = max(largest, float(np.abs(own).max()))
            left[rank] = own - np.einsum("rp,r->p", left[:rank], right[:rank, j])
            right[rank] = rest / pivot
            rank += 1
            i = int(np.argmax(np.where(used, 0.0, np.abs(left[rank - 1]))))
        elif (probe := next(probes, None)) is not None:
            i = probe
        else:
            break
    found = np.ascontiguousarray(left[:rank].T), right[:rank].copy(), largest
    return found if 0 < rank < most else None


def slow(pivot: float, share: float) -> bool:
    """Whether there will be more crosses than allowed, judged after this share of them by the last
    pivot over the highest: for smooth losses its logarithm falls at least like the root of the
    number of crosses.
    """
    return pivot > ZERO ** (0.7 * share**0.5)
