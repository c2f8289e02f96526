"""Control variates of `compare`: when coupled copies are used, and what their energies say."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.metrics.mode_energy import has_modes
from meanfield.particles.schemes import beyond_paper
from meanfield.schedule import MOST
from meanfield.start import Start

FEWEST = 8  # replicas for a control
MANY = 100  # replicas whose mean energy is near enough to normal to be judged too small as well
KEPT = 256e6  # bytes of the mean field's states that a control may keep
# Time between the looks of a scheme's copies at the mean field, in steps.
LOOKS = {"euler": 1.0, "strang": 0.5}
USED = "energies of copies"
TOO_FEW = f"fewer than {FEWEST} replicas"


def no_control(game: Game, flow: Flow, scheme: str, control: str | bool = True) -> str:
    """Why no copies have energies of known mean; empty where some have.

    control="auto" asks for copies that cost about as much as the particles.
    """
    if flow.reacts:
        return "the copies of a flow with weights vary as much as they cost; leave control out"
    if beyond_paper(flow, scheme):
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

    states, size = time / gap, 0.0
    if states <= MOST:
        size = states * state_bytes(*build(game, flow, start, **mean_field).measures())
        if size <= KEPT:
            return ""
    memory = f" of {size / 1e6:,.0f} MB" if size else ""
    return (
        f"copies need the mean field at every {gap:g}, {states:,.0f} states{memory}: more than are "
        "kept; take a longer step or a shorter time, or leave control out"
    )


def state_bytes(x: Measure, y: Measure) -> float:
    """Bytes of one more saved state; densities share their nodes, moving atoms do not."""
    return 8.0 * sum(len(m) * (1 if hasattr(m, "mesh") else 1 + m.manifold.ambient) for m in (x, y))


def controls_of(samples: dict[str, list[Array]]) -> tuple[list[Array | None], str]:
    """The control of each n, and in words what was done.

    A control is the energies less their means (R, T), None where replicas are few. All are left
    out where the copies' law is not the mean field's: then energies are too large, at the largest
    n first, or too small, which few replicas of skewed energies do not tell from chance.
    """
    sizes = len(samples["w2_squared"])
    if "energies" not in samples:
        return [None] * sizes, "none"
    found: list[Array | None] = []
    for energies, exact in zip(samples["energies"], samples["energy_means"], strict=True):
        off, R = energies - exact, len(energies)
        gap = off.mean(axis=0)
        far = np.abs(gap) if R >= MANY else gap
        # Skewed energies spread less where their mean is low by chance: as much as a right mean's.
        spread = off.std(axis=0, ddof=1) * np.maximum(1, exact / np.maximum(gap + exact, 1e-300))
        if R >= FEWEST and (far > 4 * spread / np.sqrt(R) + 1e-12 * exact).any():
            return [None] * sizes, (
                "control left out: the copies' energies are off their means, so that the mean "
                "field is not the particles' own; halve the step, or raise cells"
            )
        found.append(off if R >= FEWEST else None)
    return found, USED if any(f is not None for f in found) else f"none: {TOO_FEW}"
