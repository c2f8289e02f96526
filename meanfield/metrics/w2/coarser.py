"""Newton for many atoms, begun from the same problem with fewer (Merigot 2011).

From potentials of zero the steps that empty no cell grow shorter with the cells: their number grows
like n^(1/2). Here the atoms of one box of the tree are first one atom at their centre of mass. Its
potential is nearly a smooth function of the place, whose values at the atoms make cells with about
the masses of Voronoi cells against a uniform law; the few that are nearly empty are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.metrics.w2.costs import LEAF
from meanfield.metrics.w2.newton import STEPS, TOLERANCE, Cells, newton
from meanfield.metrics.w2.surfaces import Surface

MANY = 6000  # atoms from which on groups come first, where mass travels far
FEW = 500  # up to which they are not tried at all
ROUGH = 1e-2  # sum of the marginals' errors that is left to groups
NEIGHBOURS = 24  # groups that an atom's potential is fitted to
FITS = 4000  # at a time
ATOMS = 1000  # whose fits are worth a thread
POOR = 1e-2  # of its target: the mass up to which a cell is opened
ROUNDS = 6  # in which cells are opened, at most
SHARES = (0.7, 0.4)  # of the fitted potentials, tried where opening cells does not help
EMPTY = 0.01  # share of empty cells up to which they are opened
BOX = 64  # neighbouring atoms whose masses are compared with those of their cells
UNEVEN = 2.0  # ratio of the two from which on mass travels far


class CellFinder(Protocol):
    """Finds the cells of fixed atoms for given potentials.

    amid: about where the cells lie, in the form that `Surface.moved` returns; a good guess saves
    time and changes nothing else.
    """

    amid: Array

    def __call__(self, psi: Array) -> Cells: ...


Made = TypeVar("Made", bound=CellFinder)


class Problem(NamedTuple, Generic[Made]):
    """One transport problem, for any set of atoms.

    cells_of: makes the finder of their cells, none of which may be empty for potentials of zero;
    what: the problem's name in messages; steps: Newton's, at most.
    """

    cells_of: Callable[[Array], Made]
    on: Surface
    what: str
    steps: int = STEPS


def solve(
    asked: Problem[Made], x: Array, b: Array, tolerance: float = TOLERANCE
) -> tuple[Array, Cells, Made]:
    """What `newton` returns for atoms x (n, a) in `tree_order`, of masses b (n,), and the finder of
    their cells.

    Raises NotConverged.
    """
    cells, zero = asked.cells_of(x), np.zeros(len(x))
    now = cells(zero)

    def reached(psi: Array, now: Cells) -> tuple[Array, Cells, Made]:
        return *newton(cells, x, b, psi, asked.what, asked.steps, tolerance, now), cells

    directly = len(x) < MANY or not _uneven(now.masses, b)
    if directly:
        try:
            return reached(zero, now)
        except NotConverged:
            if len(x) < FEW:
                raise
    # Where Newton fails for groups it fails for their atoms.
    fitted, away = _from_groups(asked, x, b)
    cells.amid = asked.on.moved(x, away)
    with nullcontext() if directly else suppress(NotConverged):
        return reached(*_opened(cells, asked.on, x, b, fitted))
    return reached(zero, now)


def _uneven(masses: Array, b: Array) -> bool:
    """Whether cells for potentials of zero hold much more or less than their atoms anywhere."""
    starts = np.arange(0, len(b), BOX)
    ratio = np.add.reduceat(masses, starts) / np.add.reduceat(b, starts)
    return bool(ratio.max() > UNEVEN or ratio.min() < 1 / UNEVEN)


def _from_groups(asked: Problem[Made], x: Array, b: Array) -> tuple[Array, Array]:
    """Potentials (n,) of atoms, fitted to those of groups, and how far cells are away (n, 2)."""
    starts, on = np.arange(0, len(x), LEAF), asked.on
    masses = np.add.reduceat(b, starts)
    centres = on.centre(np.add.reduceat(b[:, None] * x, starts) / masses[:, None])
    psi, _, _ = solve(asked, centres, masses, ROUGH)
    around = on.nearest(x, centres, NEIGHBOURS)[1]

    def fitted(s: slice) -> tuple[Array, Array]:
        return fit(on.gaps(x[s], centres[around[s]]), psi[around[s]])

    parts = shares(len(x), -(-len(x) // FITS))
    found = by_threads(fitted, parts, threads_worth(len(x), ATOMS))
    values, slopes = (np.concatenate(part) for part in zip(*found, strict=True))
    # psi = min (c - phi) has the slope -2 v where its cell is seen along v.
    return values, -0.5 * slopes


def fit(gaps: Array, values: Array) -> tuple[Array, Array]:
    """At zero the parabolas (m,) nearest to values (m, k) at gaps (m, k, 2), and slopes (m, 2).

    By moving least squares (Lancaster & Salkauskas 1981): weights fall to zero where the farthest
    neighbour stands, so that the fits of near places make one smooth function.
    """
    reach = np.sqrt((gaps**2).sum(2).max(axis=1))[:, None]
    u, v = gaps[..., 0] / reach, gaps[..., 1] / reach
    weights = np.maximum(1 - u * u - v * v, 0.0) ** 2
    basis = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    weighted = (basis * weights[..., None]).transpose(0, 2, 1)
    middle = values.mean(axis=1, keepdims=True)
    A = weighted @ basis + 1e-9 * np.eye(6)  # neighbours may stand in a line
    found = np.linalg.solve(A, weighted @ (values - middle)[..., None])[..., 0]
    return middle[:, 0] + found[:, 0], found[:, 1:3] / reach


def _opened(
    cells: Callable[[Array], Cells], on: Surface, x: Array, b: Array, psi: Array
) -> tuple[Array, Cells]:
    """Potentials raised where a cell is nearly empty, and their cells.

    Where that takes too long, a share of all: without empty cells, potentials are a convex set that
    holds zero. Raises NotConverged where cells are empty at the end.

    The border to the nearest atom, at a distance d, moves by a tenth of a cell's width h when the
    potential rises by h d / 5.
    """
    rise = 0.2 * np.sqrt(on.area / len(x)) * on.nearest(x, x, 2)[0][:, 1]
    fitted, now = psi, cells(psi)
    most = empty = np.count_nonzero(now.masses <= 0)
    if empty > EMPTY * len(x):
        raise NotConverged(f"potentials of groups leave {empty} cells empty")
    for _ in range(ROUNDS):
        poor, empty = now.masses < POOR * b, np.count_nonzero(now.masses <= 0)
        if not poor.any() or empty > most:
            break
        psi, most = psi + np.where(poor, rise, 0.0), empty
        rise = np.where(poor, 2 * rise, rise)
        now = cells(psi)
    for share in SHARES:
        if (now.masses > 0).all():
            return psi, now
        psi = share * fitted
        now = cells(psi)
    if (now.masses > 0).all():
        return psi, now
    raise NotConverged("potentials of groups leave cells empty")
