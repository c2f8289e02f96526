"""What is measured of one run of a comparison: its distances from the mean field."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from meanfield.checks import Array
from meanfield.describe import describe
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.metrics import NikaidoIsoda, prepare, w2_squared
from meanfield.metrics.mode_energy import ModeEnergy
from meanfield.metrics.sliced import sliced_w2_squared
from meanfield.particles.copies import Drive, copies
from meanfield.start import Start
from meanfield.storage.files import load, write_file
from meanfield.studies.averages import average_errors
from meanfield.studies.reference import References, nearer
from meanfield.trajectory import Trajectory

# What the copies of a run have in common with it.
SHARED = ("step", "particles", "seed", "scheme", "save_every", "replica", "refine", "placement")
Row = tuple[Array, ...]


class Distances:
    """The distances of one run from the mean field, to which each replica is reduced.

    driving: the mean field at every time that copies look at it, where they are used. average:
    whether the NI of time averages is taken too. `names` says what is measured, in order.
    """

    def __init__(
        self, game: Game, field: Trajectory, start: Start, driving: Trajectory | None = None,
        average: bool = False,
    ) -> None:  # fmt: skip
        self.start, self.field, self.average = start, field, average
        self.drive = None if driving is None else Drive(game, driving)
        energies = [[ModeEnergy(m) for m in pair] for pair in field] if driving else []
        self.energies: list[list[ModeEnergy]] = energies
        self.ni = NikaidoIsoda(game)
        self.field_ni, self.field_ni_average = self.of_field(field)
        self.laws = [[_prepared(m) for m in pair] for pair in field]

    @property
    def names(self) -> tuple[str, ...]:
        return ("w2_squared", "ni", *(("ni_average",) if self.average else ()))

    def of_field(self, field: Trajectory) -> tuple[Array, Array | None]:
        """NI of the mean field and, where asked for, of its averages."""
        found = self.errors(field, field, 0)
        return found[0], found[1] if self.average else None

    def __call__(self, run: Trajectory, since: int = 0) -> Row:
        """W2^2 of each player (T, 2), NI (T,) and, where asked for, NI of the averages (T,): at the
        times from number `since` on.
        """
        late = list(run)[since:]
        return (*self.transport(run, late, since), *self.errors(run, late, since))

    def transport(self, run: Trajectory, late: Any, since: int) -> Row:
        """W2^2 of each player, (T, 2)."""
        pairs = zip(late, self.laws[since:], strict=True)
        return (np.array([_squared(swarm, laws) for swarm, laws in pairs]),)

    def errors(self, run: Trajectory, late: Any, since: int) -> Row:
        found = np.array([self.ni(*pair).value for pair in late])
        return (found, average_errors(self.ni, run)[since:]) if self.average else (found,)

    @property
    def energy_means(self) -> Array:
        """n times the exact means of both players' energies together, (T,)."""
        return np.array([sum(E.mean for E in pair) for pair in self.energies])

    def controlled(self, run: Trajectory, since: int = 0) -> Row:
        """What is measured as above and, last, the energies (T,) of the run's copies."""
        if self.drive is None:
            raise RuntimeError("no mean field was given to drive copies")
        how = {key: run.provenance[key] for key in SHARED}
        coupled = copies(run.game, run.flow, self.start, self.drive, float(run.times[-1]), **how)
        pairs = zip(self.energies[since:], list(coupled)[since:], strict=True)
        energy = [sum(E(mu) for E, mu in zip(*pair, strict=True)) for pair in pairs]
        return *self(run, since), np.array(energy)


class FromParticles(Distances):
    """The same from runs of many particles, which stand for the mean field.

    Runs of N and of N/2 particles are compared with: 2 a(N) - a(N/2) is free of what the reference
    adds, to first order in 1/N.
    """

    def __init__(self, game: Game, held: References, start: Start, average: bool = False) -> None:
        self.held = held
        super().__init__(game, held.full[0], start, average=average)
        means = np.mean([self.errors(run, run, 0) for run in held.full], axis=0)
        self.field_ni, self.field_ni_average = means[0], means[1] if average else None

    @property
    def names(self) -> tuple[str, ...]:
        name, *errors = super().names
        return (name, "w2_squared_to_reference", "sliced", *errors)

    def transport(self, run: Trajectory, late: Any, since: int) -> Row:
        """W2^2 (T, 2) without the reference's part and with it; sliced W2^2 without it."""
        k, found = run.provenance["replica"], []
        for measure in (_squared, _sliced):
            sides = [
                [measure(a, b) for a, b in zip(late, list(of[k % len(of)])[since:], strict=True)]
                for of in (self.held.full, self.held.half)
            ]
            found += [nearer(*map(np.array, sides)), np.array(sides[0])]
        return tuple(found[:3])

    def apart(self) -> Array:
        """W2^2 between any two references of N particles, (pairs, T, 2)."""
        full = self.held.full
        pairs = [(a, b) for i, a in enumerate(full) for b in full[:i]]
        return np.array([[_squared(*two) for two in zip(a, b, strict=True)] for a, b in pairs])


def _squared(swarm: Any, laws: Any) -> list[float]:
    return [w2_squared(a, b) for a, b in zip(swarm, laws, strict=True)]


def _sliced(swarm: Any, laws: Any) -> list[float]:
    return [sliced_w2_squared(a, b) for a, b in zip(swarm, laws, strict=True)]


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


@dataclass(frozen=True)
class Compared:
    """What makes `Distances` of a solved mean field: times at which runs are compared with it.

    driven: whether it moves copies, too; averaged: whether the NI of time averages is taken.
    """

    start: Start
    times: Array
    driven: bool
    averaged: bool

    def __call__(self, game: Game, solved: Trajectory | References) -> Distances:
        if isinstance(solved, References):
            return FromParticles(game, solved, self.start, self.averaged)
        field = at_times(solved, self.times) if self.driven else solved
        return Distances(game, field, self.start, solved if self.driven else None, self.averaged)


@dataclass(frozen=True)
class Filed:
    """Distances in another process, from the mean field's file, which each process reads once."""

    file: str
    compared: Compared
    control: bool = False

    def __call__(self, run: Trajectory, since: int = 0) -> Row:
        with _one_reads:
            distances = _distances_of(self.file, self.compared, run.game)
        return distances.controlled(run, since) if self.control else distances(run, since)


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
def filed(solved: Trajectory | References, near: Path | None) -> Iterator[str]:
    """The mean field in a file of its own, for as long as workers read it."""
    folder = tempfile.gettempdir() if near is None else near.parent
    path = Path(folder) / f".field-{uuid4().hex}.h5"
    try:
        write_file(path, describe(solved))
        yield str(path)
    finally:
        path.unlink(missing_ok=True)
