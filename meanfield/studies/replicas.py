"""The runs of a comparison, and what is measured of each: its distances from the mean field."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from meanfield.checks import Array
from meanfield.describe import describe
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.metrics import NikaidoIsoda, prepare, w2_squared
from meanfield.metrics.mode_energy import ModeEnergy
from meanfield.particles.copies import Drive, copies
from meanfield.particles.ensemble import ensemble
from meanfield.start import Start
from meanfield.storage.files import load, write_file
from meanfield.storage.keeper import Keeper, Part
from meanfield.studies.averages import average_errors
from meanfield.trajectory import Trajectory

STREAMS = 1_000_000  # replicas of one n whose random streams have numbers of their own
# What the copies of a run have in common with it.
SHARED = ("step", "particles", "seed", "scheme", "save_every", "replica", "refine", "placement")


@dataclass(frozen=True, eq=False)
class Partial:
    """A comparison under way: the mean field as far as it got, and the finished replicas.

    rows: for each series of replicas, by name, what was measured of each.
    """

    field: Trajectory | None
    rows: dict[str, list[tuple[Array, ...]]]


class Distances:
    """The distances of one run from the mean field, to which each replica is reduced.

    driving: the mean field at every time that copies look at it, where they are used. average:
    whether the NI of time averages is taken too.
    """

    def __init__(
        self, game: Game, field: Trajectory, start: Start, driving: Trajectory | None = None,
        average: bool = False,
    ) -> None:  # fmt: skip
        self.start = start
        self.drive = None if driving is None else Drive(game, driving)
        energies = [[ModeEnergy(m) for m in pair] for pair in field] if driving else []
        self.energies: list[list[ModeEnergy]] = energies
        self.ni = NikaidoIsoda(game)
        self.field_ni = np.array([self.ni(*pair).value for pair in field])
        self.field_ni_average = average_errors(self.ni, field) if average else None
        self.laws = [[_prepared(m) for m in pair] for pair in field]

    def __call__(self, run: Trajectory) -> tuple[Array, ...]:
        """W2^2 of each player (T, 2), NI (T,) and, where asked for, NI of the averages (T,)."""
        squared = [
            [w2_squared(a, b) for a, b in zip(swarm, laws, strict=True)]
            for swarm, laws in zip(run, self.laws, strict=True)
        ]
        found = np.array(squared), np.array([self.ni(*pair).value for pair in run])
        if self.field_ni_average is None:
            return found
        return *found, average_errors(self.ni, run)

    @property
    def energy_means(self) -> Array:
        """n times the exact means of both players' energies together, (T,)."""
        return np.array([sum(E.mean for E in pair) for pair in self.energies])

    def controlled(self, run: Trajectory) -> tuple[Array, ...]:
        """What is measured as above and, last, the energies (T,) of the run's copies."""
        if self.drive is None:
            raise RuntimeError("no mean field was given to drive copies")
        how = {key: run.provenance[key] for key in SHARED}
        coupled = copies(run.game, run.flow, self.start, self.drive, float(run.times[-1]), **how)
        pairs = zip(self.energies, coupled, strict=True)
        energy = [sum(E(mu) for E, mu in zip(*pair, strict=True)) for pair in pairs]
        return *self(run), np.array(energy)


def _prepared(measure: Measure) -> Any:
    """Sorted once for many distances, where the distance sorts."""
    on_circle = isinstance(measure.manifold, Torus) and measure.manifold.d == 1
    return prepare(measure) if on_circle else measure


def at_times(field: Trajectory, times: Array) -> Trajectory:
    """The mean field at some of its times."""
    at = np.minimum(np.searchsorted(field.times, times - 1e-9 * times[-1]), len(field) - 1)
    recorded = {name: values[at] for name, values in field.diagnostics.items()}
    x, y = ([mus[k] for k in at] for mus in (field.x, field.y))
    return replace(field, times=field.times[at], x=x, y=y, diagnostics=recorded)


def mean_field(
    game: Game, flow: Flow, start: Start, time: float, how: dict[str, Any], done: Partial,
    keeper: Keeper | None,
) -> Trajectory:  # fmt: skip
    """The mean field: loaded, continued or solved."""
    from meanfield.density.solve import solve

    if done.field is not None and done.field.times[-1] == time:
        return done.field
    part = None if keeper is None else Part(keeper, lambda field: Partial(field, {}))
    found = solve(game, flow, start, time, **how, resume=done.field, checkpoint=part)
    if part is not None:
        part.offer(lambda: found)
    return found


@dataclass(frozen=True)
class Compared:
    """What makes `Distances` of a solved mean field: times at which runs are compared with it.

    driven: whether it moves copies, too; averaged: whether the NI of time averages is taken.
    """

    start: Start
    times: Array
    driven: bool
    averaged: bool

    def __call__(self, game: Game, solved: Trajectory) -> Distances:
        field = at_times(solved, self.times) if self.driven else solved
        return Distances(game, field, self.start, solved if self.driven else None, self.averaged)


@dataclass(frozen=True)
class Filed:
    """Distances in another process, from the mean field's file, which each process reads once."""

    file: str
    compared: Compared
    control: bool = False

    def __call__(self, run: Trajectory) -> tuple[Array, ...]:
        with _one_reads:
            distances = _distances_of(self.file, self.compared, run.game)
        return distances.controlled(run) if self.control else distances(run)


_one_reads = threading.Lock()
_read: dict[str, Distances] = {}


def _distances_of(file: str, compared: Compared, game: Game) -> Distances:
    """Those of the file read last are kept; its name belongs to one comparison."""
    if file not in _read:
        if not Path(file).is_file():
            raise FileNotFoundError(
                f"a worker does not see {file}, which holds the mean field: give checkpoint= in a "
                "folder that all machines share"
            )
        _read.clear()
        _read[file] = compared(game, load(file, game=game))
    return _read[file]


@contextmanager
def filed(solved: Trajectory, near: Path | None) -> Iterator[str]:
    """The mean field in a file of its own, for as long as workers read it."""
    folder = tempfile.gettempdir() if near is None else near.parent
    path = Path(folder) / f".field-{uuid4().hex}.h5"
    try:
        write_file(path, describe(solved))
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Replicas:
    """How replicas are run; `level` separates the random streams of different n."""

    distances: Distances
    game: Game
    flow: Flow
    start: Start
    options: dict[str, Any]
    progressed: Any
    done: Partial
    keeper: Keeper | None
    filed: Filed | None = None
    first: int = 0

    def samples(
        self, sizes: Sequence[int], counts: Sequence[int], step: float
    ) -> dict[str, list[Array]]:
        """Every series of a comparison; the largest n a second time, with half the step."""
        top = len(sizes) - 1
        # The runs of the largest n follow the Brownian paths that half the step resolves.
        drawn = [
            self(sizes[k], counts[k], k, step, 2 if k == top else 1, control=True)
            for k in range(top + 1)
        ]
        halved = self(sizes[top], counts[top], top, step / 2)
        found = {
            "w2_squared": [rows[0] for rows in drawn], "ni": [rows[1] for rows in drawn],
            "w2_squared_half_step": [halved[0]], "ni_half_step": [halved[1]],
        }  # fmt: skip
        if self.distances.field_ni_average is not None:
            found["ni_average"] = [rows[2] for rows in drawn]
        if self.distances.drive is not None:
            found["energies"] = [rows[-1] for rows in drawn]
            found["energy_means"] = [self.distances.energy_means / n for n in sizes]
        return found

    def __call__(
        self, n: int, replicas: int, level: int, step: float, refine: int = 1, control: bool = False
    ) -> list[Array]:
        """Samples of W2^2 (R, T, 2), of NI (R, T) and of what else `Distances` measures (R, T).

        Replicas that are done already are not run again.
        """
        d = self.distances
        rows = self.done.rows.setdefault(f"{n} particles, step {step:.17g}", [])
        numbers = [level * STREAMS + self.first + r for r in range(len(rows), replicas)]
        self.progressed.update(n * len(rows))
        controlled = control and d.drive is not None
        measure: Any = d.controlled if controlled else d
        if self.filed is not None:
            measure = replace(self.filed, control=controlled)
        found = ensemble(
            self.game, self.flow, self.start, particles=n, replicas=numbers, step=step,
            refine=refine, reduce=measure, progress=False, **self.options,
        )  # fmt: skip
        with closing(found):  # type: ignore[type-var]
            for row in found:
                rows.append(row)
                self.progressed.update(n)
                if self.keeper is not None:
                    self.keeper.offer(lambda: self.done)
        return [np.array(column) for column in zip(*rows, strict=True)]
