"""What engines ask of their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meanfield.checks import as_tuple
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.laws import Law
from meanfield.manifolds import Manifold
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh


def per_player(cells: Any) -> tuple[Any, Any]:
    """One number, two (for x, for y), or what an engine takes (a Mesh) -> a pair."""
    cells = as_tuple(cells)
    return cells if isinstance(cells, tuple) and len(cells) == 2 else (cells, cells)


def fits(game: Game, kind: Callable[[Any], bool]) -> bool:
    """Whether the loss is a finite sum over features, those of both players of a kind."""
    return game.bases is not None and all(map(kind, game.bases))


def only_langevin(flow: Flow, engine: str, moves: bool = True) -> None:
    """Raises ValueError for flows that are not (7), and for gamma = 0 where the engine `moves`."""
    for player, rates in zip("xy", flow.players, strict=True):
        for name, rate in (("alpha", rates.alpha), ("response", rates.response)):
            if rate > 0:
                raise ValueError(
                    f'engine "{engine}" solves (7), without reaction or response, but {name} is '
                    f'{rate:g} for {player}; use engine="splitting", at temperature 0 '
                    '"characteristics" or "best-response"'
                )
        if rates.temperature == 0:
            raise ValueError(
                f'engine "{engine}" needs a temperature above 0, but that of {player} is 0: use '
                'Langevin(beta), or engine="characteristics" for flows without temperature'
            )
        if moves and rates.gamma == 0:
            raise ValueError(
                f'engine "{engine}" needs gamma above 0, but that of {player} is 0: use '
                'engine="finite-volume"'
            )


def refuse_temperature(flow: Flow, engine: str) -> None:
    """Raises ValueError for a flow with 1/beta > 0, naming the engine that can."""
    for player, rates in zip("xy", flow.players, strict=True):
        if rates.temperature > 0:
            raise ValueError(
                f'engine "{engine}" solves flows at temperature 0, but that of {player} is '
                f'{rates.temperature:g}; use engine="finite-volume"'
            )


def given_measure(law: Law) -> Measure | None:
    """The measure that a law was given as, or None for a law given by a density function."""
    measure = getattr(law, "measure", None)
    return measure if isinstance(measure, Measure) else None


def mesh_for(manifold: Manifold, law: Law, cells: Any) -> Mesh:
    """The mesh that `cells` asks for; by default that of a density to start from, else the usual.

    The quadratures of S^2 are not taken over from a density: their cells shrink at the poles.
    """
    given = given_measure(law)
    if cells is None and isinstance(given, Density) and not given.mesh.by_parallels:
        return given.mesh
    return mesh(manifold, cells)
