"""The parts of a check: computed in turn, kept in a folder, read from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from zlib import crc32

import numpy as np

from meanfield.checks import warn
from meanfield.measures import Measure
from meanfield.progress import bar
from meanfield.studies.stored import Data, held, keep, key, package
from meanfield.studies.theorems.problem import Problem

Part = Callable[[], Data]


class Store:
    """The folder of one check's finished parts."""

    def __init__(self, out: Path, p: Problem) -> None:
        self.key = key([package(), fingerprint(p)])
        self.folder = out / "parts" / f"{crc32(self.key.encode()):08x}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, theorem: str, part: str) -> Path:
        safe = "".join(c if c.isalnum() else "_" for c in part)
        return self.folder / f"theorem{theorem}-{safe}.npz"


def fingerprint(p: Problem) -> list[str]:
    """What tells one check from another: values of the loss and of the starting densities too, for
    functions have no more than a name.
    """
    rng = np.random.default_rng(0)
    points = [M.sample(64, rng) for M in p.game.manifolds]
    numbers = [p.game.loss(*points)]
    for given, law, at in zip(
        (p.start.x, p.start.y), p.start.laws(*p.game.manifolds), points, strict=True
    ):
        if isinstance(given, Measure):
            numbers += [given.points, given.masses]
        else:
            numbers.append(law.density(at))
    values = [f"{crc32(np.ascontiguousarray(v).tobytes()):08x}" for v in numbers]
    sizes = [p.quick, p.seed, p.time, p.step, p.particles, p.replicas, p.cells]
    return [*values, repr(p.game), repr(p.flow), repr(sizes)]


class Done:
    """The parts that are done, and what became of the others."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Data]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.stopped = False

    def compute(
        self, parts: dict[tuple[str, str], Part], store: Store | None, progress: bool | None
    ) -> None:
        """Every part in turn: those of the folder are read, Ctrl-C ends it."""
        with bar(len(parts), "check", progress) as shown:
            try:
                for (theorem, name), part in parts.items():
                    shown.set_description(f"theorem {theorem}: {name}")
                    self._one(theorem, name, part, store)
                    shown.update()
            except KeyboardInterrupt:
                self.stopped = True
                go_on = "" if store is None else "; the same call goes on"
                warn(f"check was stopped; it returns what is done so far{go_on}", UserWarning)

    def _one(self, theorem: str, name: str, part: Part, store: Store | None) -> None:
        kept = None if store is None else held(store.path(theorem, name), store.key)
        if kept is not None:
            found, seconds = kept
        else:
            clock = perf_counter()
            try:
                found = part()
            except (ValueError, RuntimeError, MemoryError) as error:
                self.failed[f"theorem {theorem}, {name}"] = f"{type(error).__name__}: {error}"
                return
            seconds = perf_counter() - clock
            if store is not None:
                keep(store.path(theorem, name), store.key, found, seconds)
        self.data.setdefault(theorem, {})[name] = found
        self.seconds[f"theorem {theorem}, {name}"] = seconds
