"""The runs of a comparison, each reduced to what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.particles.ensemble import ensemble
from meanfield.start import Start
from meanfield.storage.keeper import Keeper, Part
from meanfield.studies.distances import Distances, Filed, FromParticles
from meanfield.studies.merge import Known, series
from meanfield.studies.reference import References, seed_of
from meanfield.trajectory import Trajectory

STREAMS = 1 << 31  # replicas of one n are numbered below


@dataclass(frozen=True, eq=False)
class Partial:
    """A comparison under way: the mean field as far as it got, and the finished replicas.

    rows: for each series of replicas, by name, what was measured of each.
    """

    field: Trajectory | References | None
    rows: dict[str, list[tuple[Array, ...]]]


def mean_field(
    game: Game, flow: Flow, start: Start, time: float, how: dict[str, Any], done: Partial,
    keeper: Keeper | None,
) -> Trajectory:  # fmt: skip
    """The mean field: loaded, continued or solved."""
    from meanfield.density.solve import solve

    begun = done.field if isinstance(done.field, Trajectory) else None
    if begun is not None and begun.times[-1] == time:
        return begun
    part = None if keeper is None else Part(keeper, lambda field: Partial(field, {}))
    found = solve(game, flow, start, time, **how, resume=begun, checkpoint=part)
    if part is not None:
        part.offer(lambda: found)
    return found


@dataclass(frozen=True)
class Replicas:
    """How replicas are run. Each n has a seed of its own, drawn from `seed`; `known` are those that
    an earlier comparison holds.
    """

    distances: Distances
    game: Game
    flow: Flow
    start: Start
    options: dict[str, Any]
    seed: int
    progressed: Any
    done: Partial
    keeper: Keeper | None
    filed: Filed | None = None
    first: int = 0
    known: Known | None = None

    def samples(
        self, sizes: Sequence[int], counts: Sequence[int], step: float
    ) -> dict[str, list[Array]]:
        """Every series of a comparison; the largest n a second time, with half the step."""
        d = self.distances
        # All runs follow the Brownian paths that half the step resolves, so that a run does not
        # depend on which n is the largest.
        drawn = [self(n, R, step, 2, True) for n, R in zip(sizes, counts, strict=True)]
        halved = self(sizes[-1], counts[-1], step / 2)
        found = {name: [rows[k] for rows in drawn] for k, name in enumerate(d.names)}
        found |= {f"{name}_half_step": [halved[k]] for k, name in enumerate(d.names)}
        if d.drive is not None:
            found["energies"] = [rows[-1] for rows in drawn]
            found["energy_means"] = [d.energy_means / n for n in sizes]
        if isinstance(d, FromParticles):
            found["apart"] = [d.apart()]
        return found

    def __call__(
        self, n: int, replicas: int, step: float, refine: int = 1, control: bool = False
    ) -> list[Array]:
        """Samples of W2^2 (R, T, 2), of NI (R, T) and of what else `Distances` measures (R, T).

        Replicas that are done already are not run again.
        """
        d, name = self.distances, series(n, step)
        rows = self.done.rows.setdefault(name, [])
        controlled = control and d.drive is not None
        measure: Any = d.controlled if controlled else d
        if self.filed is not None:
            measure = replace(self.filed, control=controlled)
        if self.known is not None:
            measure = self.known.continues(measure, name, rows, self.first)
        numbers = [self.first + r for r in range(len(rows), replicas)]
        self.progressed.update(n * len(rows))
        found = ensemble(
            self.game, self.flow, self.start, particles=n, replicas=numbers, step=step,
            refine=refine, reduce=measure, seed=seed_of(self.seed, n), progress=False,
            **self.options,
        )  # fmt: skip
        with closing(found):  # type: ignore[type-var]
            for row in found:
                rows.append(row)
                self.progressed.update(n)
                if self.keeper is not None:
                    self.keeper.offer(lambda: self.done)
        return [np.array(column) for column in zip(*rows[:replicas], strict=True)]
