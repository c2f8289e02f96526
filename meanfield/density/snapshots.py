"""Coefficients of both players at several times, as densities and numbers about them.

Sums and tails of all times are one call of numpy each, which costs as much as it does for one time.
What is said of a time does not depend on the others, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import both
from meanfield.density.etd import RUNGS, Seen
from meanfield.meshes import Mesh


@dataclass(frozen=True, eq=False)
class Snapshots:
    """States at S times.

    bases, free: of each player the basis, and whether it adapts itself. seen: what `etd.run` keeps
    of them; counts: the steps taken and refused before. step: the given one, or None.
    """

    bases: Sequence[Any]
    free: Sequence[bool]
    times: Array
    seen: Seen
    counts: tuple[int, int]
    step: float | None

    @property
    def worst(self) -> Array:
        """The largest tails so far, (S, 2)."""
        return self.seen.marks[:, 3:]  # type: ignore[no-any-return]

    @cached_property
    def grids(self) -> tuple[Mesh, Mesh]:
        """The meshes that both players' densities are shown on."""
        return both(lambda p: self.bases[p].grid(self.free[p]))

    @cached_property
    def coefficients(self) -> tuple[Array, Array]:
        """Those of both players, (S, J)."""
        return both(lambda p: coefficients(self.bases[p], self.seen[p]))

    @cached_property
    def masses(self) -> tuple[Array, Array]:
        """The masses of both players at the nodes of their grids, (S, N)."""
        return both(lambda p: self.bases[p].masses(self.coefficients[p], self.grids[p]))

    @cached_property
    def tails(self) -> tuple[Array, Array]:
        """The outer coefficients' shares of both players, (S,)."""
        return both(lambda p: self.bases[p].tail(self.coefficients[p]))

    def diagnostics(self) -> list[dict[str, float]]:
        """At each time steps taken and refused, the present step; for each player the tail, the
        largest so far, the resolution and the smallest nodal mass.
        """
        rungs, *taken = self.seen.marks[:, :3].T
        steps, refused = (n + before for n, before in zip(taken, self.counts, strict=True))
        h = 2.0 ** (rungs / RUNGS) if self.step is None else np.full(len(rungs), self.step)
        columns = {"steps": steps.tolist(), "refused": refused.tolist(), "step": h.tolist()}
        for p, player in enumerate("xy"):
            basis = self.bases[p]
            columns[f"tail_{player}"] = self.tails[p].tolist()
            columns[f"worst_tail_{player}"] = self.worst[:, p].tolist()
            columns[f"{basis.unit}_{player}"] = [float(basis.resolution)] * len(self.times)
            columns[f"smallest_{player}"] = self.masses[p].min(axis=1).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def coefficients(basis: Any, rows: Array) -> Array:
    """The coefficients (..., J) in a basis from rows (..., 2, total) of the work arrays."""
    parts = rows.take(basis.places, axis=-1)
    z = np.empty((*parts.shape[:-2], len(basis.places)), dtype=complex)
    z.real, z.imag = parts[..., 0, :], parts[..., 1, :]
    return basis.unpacked(z)  # type: ignore[no-any-return]
