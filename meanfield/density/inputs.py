"""What engines ask of their input, those without diffusion above all."""

from __future__ import annotations

from typing import Any

from meanfield.checks import real
from meanfield.flows import Flow
from meanfield.manifolds import Manifold
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh
from meanfield.start import Law


def per_player(cells: Any) -> tuple[Any, Any]:
    """One number, a tuple a player, or what an engine takes (a Mesh) -> a pair."""
    return tuple(cells) if isinstance(cells, (tuple, list)) and len(cells) == 2 else (cells, cells)  # type: ignore[return-value]


def refuse_temperature(flow: Flow, name: str) -> None:
    """Raises ValueError for a flow with 1/beta > 0, naming the engine that can."""
    for player, rates in zip("xy", flow.players, strict=True):
        if rates.temperature > 0:
            raise ValueError(
                f'engine "{name}" solves flows at temperature 0, but that of {player} is {rates.temperature:g}; '
                'use engine="finite-volume"'
            )


def later(until: float, now: float) -> float:
    """`until` as a finite number; raises ValueError when it lies before `now`."""
    t = real("until", until)
    if t < now:
        raise ValueError(
            f"until is {t:g}, before the present time {now:g}; restore an earlier state to go back"
        )
    return t


def given_measure(law: Law) -> Measure | None:
    """The measure that a law was given as, or None for a law given by a density function."""
    held = getattr(law, "measure", None)
    return held if isinstance(held, Measure) else None


def mesh_for(manifold: Manifold, law: Law, cells: Any) -> Mesh:
    """The mesh that `cells` asks for; by default that of a density to start from, else the manifold's.

    Raises ValueError when a Mesh is given that covers another manifold.
    """
    if isinstance(cells, Mesh):
        if cells.manifold != manifold:
            raise ValueError(
                f"cells is a mesh of {cells.manifold}, but this player moves on {manifold}"
            )
        return cells
    held = given_measure(law)
    if cells is None and isinstance(held, Density):
        return held.mesh
    return mesh(manifold, cells)
