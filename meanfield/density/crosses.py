"""A large matrix of costs as the product of two narrow ones, where it is one to rounding.

Smooth losses are such: of 5e7 costs between 12,288 and 4,096 points a hundred rows and columns tell
the others. Crosses of a row and a column are taken off one after the other, each through the
largest entry that is known of what is left (adaptive cross approximation: Bebendorf 2000). As most
entries are not looked at, what comes out is a guess, and is held against every entry before it is
used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meanfield.checks import Array
from meanfield.density.products import Products

TOLERANCE = 3e-14  # of any entry, relative to the largest
LEFT = 3e-15  # the same of a row from which no cross is taken
PROBES = 16  # rows that must be right before a guess is made
GAIN = 16  # by how much both factors must be smaller than the matrix
MOST = 512  # crosses: to find more would take as long as the matrix
EARLY = 32  # crosses after which it is asked whether so many more will do
BLOCK = 1 << 18  # entries that are held against the product at a time


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
    """The matrix with these rows and columns, by number; None where it is no such product."""
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
    """left (P, R), right (R, N), and the largest entry seen; None where R would be too large."""
    most = min(MOST, P * N // (GAIN * (P + N)))
    left, right, used = np.empty((most, P)), np.empty((most, N)), np.zeros(P, dtype=bool)
    probes = iter(np.linspace(0, P - 1, PROBES + 2).astype(int).tolist()[1:-1])
    i, largest, highest, R = 0, 0.0, 0.0, 0
    while most > R:
        given = rows(slice(i, i + 1))[0]
        used[i] = True
        largest = max(largest, float(np.abs(given).max()))
        rest = given - np.einsum("r,rn->n", left[:R, i], right[:R])
        j = int(np.argmax(np.abs(rest)))
        pivot = float(rest[j])
        highest = max(highest, abs(pivot))
        if not np.isfinite(pivot) or (R >= EARLY and slow(abs(pivot) / highest, R / most)):
            return None
        if abs(pivot) > LEFT * largest:
            own = columns(slice(j, j + 1))[:, 0]
            largest = max(largest, float(np.abs(own).max()))
            left[R] = own - np.einsum("rp,r->p", left[:R], right[:R, j])
            right[R] = rest / pivot
            R += 1
            i = int(np.argmax(np.where(used, 0.0, np.abs(left[R - 1]))))
        elif (probe := next(probes, None)) is not None:
            i = probe
        else:
            break
    found = np.ascontiguousarray(left[:R].T), right[:R].copy(), largest
    return found if 0 < R < most else None


def slow(pivot: float, share: float) -> bool:
    """Whether pivots, relative to the highest, fall so slowly after this share of all crosses that
    there would be more of them: logarithms fall at least with the root of their number.
    """
    return pivot > LEFT ** (0.7 * share**0.5)
