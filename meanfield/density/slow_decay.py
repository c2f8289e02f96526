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


def resolved(held: Held, law: Law, ceiling: float, rungs: int) -> Held:
    """The law in the first of a few finer bases with a light tail, or as it is held."""
    tried: Held | None = held
    for _ in range(rungs + 1):
        if tried is None:
            break
        basis, z = tried
        if basis.tail(z) < ceiling:
            return tried
        tried = finer(basis, law)
    return held


def spread(held: Held, law: Law, rates: Rates, until: float, ceiling: float) -> Held:
    """The law in a basis whose tail diffusion alone makes light until then, or in the finest."""
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


def coarsened(held: Held, lost: float) -> Held:
    """The coefficients in the coarsest basis that leaves out no larger share of their l1 norm."""
    basis, z = held
    most = (1.0 - lost) * np.abs(z).sum()
    while coarser := basis.coarser():
        few = basis.restricted(z, coarser)
        if np.abs(few).sum() < most:
            break
        basis, z = coarser, few.copy()
    return basis, z
