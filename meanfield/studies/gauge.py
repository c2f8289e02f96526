"""What `compare` measures of one run, and the control variates that its coupled copies give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.measures import Measure
from meanfield.metrics import NikaidoIsoda, prepare, w2_squared
from meanfield.metrics.energies import ModeEnergy, has_modes
from meanfield.particles import later
from meanfield.particles.copies import Drive, copies
from meanfield.schedule import MOST
from meanfield.start import Start
from meanfield.trajectory import Trajectory

FEWEST = 8  # replicas for a control
MANY = 100  # replicas whose mean energy is near enough to normal to be too small, too
KEPT = 256e6  # bytes of the mean field's states that a control may keep
# Between the times at which the schemes' copies look at the mean field, in steps.
LOOKS = {"euler": 1.0, "strang": 0.5}
USED = "energies of copies"
TOO_FEW = f"fewer than {FEWEST} replicas"


def no_control(game: Game, flow: Flow, scheme: str, control: str | bool = True) -> str:
    """Why there are no copies whose energies' means are known; empty where there are. "auto" asks for cheap ones."""
    if flow.reacts:
        return "the copies of a flow with weights vary as much as they cost; leave control out"
    if later.needed(flow, scheme):
        return f"there are no copies under {flow}; leave control out"
    if not all(has_modes(M) for M in game.manifolds):
        return "energies of modes are for the circle, T^2 and S^2; leave control out"
    if control == "auto" and game.bases is None:
        return "copies of a game that is not low-rank look at all cells; control=True insists"
    return ""


def too_long(
    game: Game, flow: Flow, start: Start, time: float, gap: float, mean_field: dict[str, Any]
) -> str:
    """Why the mean field cannot be kept at every `gap` up to `time`; empty where it can."""
    from meanfield.density.solve import build

    states = time / gap
    size = (
        0.0
        if states > MOST
        else states * state_bytes(*build(game, flow, start, **mean_field).measures())
    )
    if states <= MOST and size <= KEPT:
        return ""
    room = f" of {size / 1e6:,.0f} MB" if size else ""
    return (
        f"copies need the mean field at every {gap:g}, {states:,.0f} states{room}: more than are kept; "
        "take a longer step or a shorter time, or leave control out"
    )


def state_bytes(x: Measure, y: Measure) -> float:
    """Bytes of one saved state more: densities on a mesh share their nodes, atoms that move do not."""
    return 8.0 * sum(len(m) * (1 if hasattr(m, "mesh") else 1 + m.manifold.ambient) for m in (x, y))


def controls_of(samples: dict[str, list[Array]]) -> tuple[list[Array | None], str]:
    """For each n the energies less their means (R, T), or None, and in words what was done.

    Copies of another law than the mean field's have energies that are too large, at the largest n first, or too
    small: few replicas, of skewed energies, do not tell the latter from chance.
    """
    sizes = len(samples["w2_squared"])
    if "energies" not in samples:
        return [None] * sizes, "none"
    found: list[Array | None] = []
    for energies, exact in zip(samples["energies"], samples["energy_means"], strict=True):
        off, R = energies - exact, len(energies)
        gap = off.mean(axis=0)
        far = np.abs(gap) if R >= MANY else gap
        if R >= FEWEST and (far > 4 * off.std(axis=0, ddof=1) / np.sqrt(R) + 1e-12 * exact).any():
            return [None] * sizes, (
                "control left out: the copies' energies are off their means, so that the mean field is not the "
                "particles' own; halve the step, or raise cells"
            )
        found.append(off if R >= FEWEST else None)
    return found, USED if any(f is not None for f in found) else f"none: {TOO_FEW}"


def thinned(field: Trajectory, times: Array) -> Trajectory:
    """The mean field at some of its times."""
    at = np.minimum(np.searchsorted(field.times, times - 1e-9 * times[-1]), len(field) - 1)
    kept = {name: values[at] for name, values in field.diagnostics.items()}
    x, y = ([mus[k] for k in at] for mus in (field.x, field.y))
    return replace(field, times=field.times[at], x=x, y=y, diagnostics=kept)


class Gauge:
    """Distances of one run from the mean field: what a replica is reduced to."""

    def __init__(
        self, game: Game, field_run: Trajectory, start: Start, driving: Trajectory | None = None
    ) -> None:
        self.start = start
        self.drive = None if driving is None else Drive(game, driving)
        self.energies = (
            [] if driving is None else [[ModeEnergy(m) for m in pair] for pair in field_run]
        )
        self.ni = NikaidoIsoda(game)
        self.field_ni = np.array([self.ni(*pair).value for pair in field_run])
        self.laws = [[_prepared(m) for m in pair] for pair in field_run]

    def __call__(self, run: Trajectory) -> tuple[Array, Array]:
        """W2^2 of each player (T, 2) and NI (T,)."""
        pairs = zip(run, self.laws, strict=True)
        squared = [
            [w2_squared(a, b) for a, b in zip(swarm, laws, strict=True)] for swarm, laws in pairs
        ]
        return np.array(squared), np.array([self.ni(*pair).value for pair in run])

    @property
    def energy_means(self) -> Array:
        """n times the exact means of both players' energies together, (T,)."""
        return np.array([sum(E.mean for E in pair) for pair in self.energies])

    def controlled(self, run: Trajectory) -> tuple[Array, Array, Array]:
        """The same, and the energies (T,) of the run's copies."""
        if self.drive is None:
            raise RuntimeError("no mean field was given to drive copies")
        how = {key: run.provenance[key] for key in COPIED}
        coupled = copies(run.game, run.flow, self.start, self.drive, float(run.times[-1]), **how)
        pairs = zip(self.energies, coupled, strict=True)
        energy = [sum(E(mu) for E, mu in zip(*pair, strict=True)) for pair in pairs]
        return *self(run), np.array(energy)


COPIED = ("step", "particles", "seed", "scheme", "save_every", "replica", "refine", "placement")


def _prepared(measure: Measure) -> Any:
    """Sorted once for many distances, where the distance sorts."""
    on_circle = isinstance(measure.manifold, Torus) and measure.manifold.d == 1
    return prepare(measure) if on_circle else measure
