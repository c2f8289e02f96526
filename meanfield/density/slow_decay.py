"""The bases in which laws move whose coefficients decay slowly, as of laws with jumps, or not at
all, as those of atoms, before diffusion makes them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Rates
from meanfield.laws import Law

Held = tuple[Any, Array]  # a basis and the coefficients in it


def finer(basis: Any, law: Law) -> Held | None:
    """The law in the next basis; None where there is none."""
    more = basis.finer()
    return None if more is None else (more, more.project(law, True))


def resolved(basis: Any, law: Law, ceiling: float, rungs: int) -> Held:
    """The law in a basis or the first of a few finer ones where its tail is light; where there is
    none, in the first whose cells are not too wide for it.

    Raises ValueError for a law that is too narrow for all of them.
    """
    first: Held | None = None
    refused: list[ValueError] = []
    for _ in range(rungs + 1):
        try:
            held = basis, basis.project(law, True)
        except ValueError as error:
            refused.append(error)
        else:
            if basis.tail(held[1]) < ceiling:
                return held
            first = first or held
        if (basis := basis.finer()) is None:
            break
    if first is None:
        raise refused[0]
    return first


def resolved_by_diffusion(held: Held, law: Law, rates: Rates, until: float, ceiling: float) -> Held:
    """The law in the first basis whose tail is light after diffusion alone up to the time `until`,
    or in the finest.
    """
    basis, z = held
    while basis.tail(z * basis.diffused(rates, until)) > ceiling and (more := finer(basis, law)):
        basis, z = more
    return basis, z


def settled(now: Held, before: Held | None, ceiling: float) -> bool:
    """Whether a tail is light, and coefficients as they were found in a basis no finer."""
    basis, z = now
    if before is None or basis.tail(z) > ceiling:
        return False
    return bool(np.abs(basis.restricted(z, before[0]) - before[1]).max() <= ceiling)


def coarsened(held: Held, lost: float, calm: float) -> Held:
    """The coefficients in the coarsest basis that leaves out no larger share of their l1 norm and
    has a tail below `calm`.
    """
    basis, z = held
    while coarser := basis.coarser():
        few = basis.restricted(z, coarser)
        if np.abs(few).sum() < (1.0 - lost) * np.abs(held[1]).sum() or coarser.tail(few) > calm:
            break
        basis, z = coarser, few.copy()
    return basis, z
