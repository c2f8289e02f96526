"""What a file can only name, functions above all: put in its place when it is given again."""

from __future__ import annotations

from typing import Any

from meanfield.checks import warn
from meanfield.describe import describe, rebuild, same
from meanfield.games.base import Game
from meanfield.games.missing import MissingFunction, MissingGame, MissingManifold
from meanfield.manifolds import Manifold
from meanfield.measures import Measure
from meanfield.meshes import Mesh
from meanfield.start import Start


def fill_in(found: Any, game: Game | None, start: Start | None, where: str) -> None:
    """Put the functions that a file could only name in their places, through nested records."""
    held = getattr(found, "game", None)
    if isinstance(held, MissingGame) and game is None:
        warn(
            f"the game {held.name!r} of {where} was a function, of which a file holds the name "
            "only: give it as load(path, game=...) to compute with it",
            UserWarning,
        )
    if isinstance(held, Game) and game is not None:
        agreed(held, game)
        known = dict(zip(held.manifolds, game.manifolds, strict=True))
        if any(isinstance(M, MissingManifold) for M in known):
            _fill_in_manifolds(vars(found), known)
        if isinstance(held, MissingGame) and hasattr(found, "check_game"):
            found.check_game(game, where)
        object.__setattr__(found, "game", game)
    provenance = getattr(found, "provenance", None)
    if start is not None and isinstance(provenance, dict) and "start" in provenance:
        provenance["start"] = start
    if hasattr(found, "field") and hasattr(found.field, "game"):
        fill_in(found.field, game, start, where)


def agreed(held: Game, game: Game) -> Game:
    """The given game, if it is the stored one as far as a file can tell."""
    if not same(describe(game.manifolds), describe(held.manifolds)):
        raise ValueError(
            f"game lives on {game.X} x {game.Y}, the stored one on {held.X} x {held.Y}"
        )
    if not isinstance(held, MissingGame) and not same(describe(held), describe(game)):
        raise ValueError(
            f"game is {game!r}, but the file holds {held!r}, which it can rebuild; leave game out"
        )
    return game


def _fill_in_manifolds(value: Any, known: dict[Manifold, Manifold]) -> None:
    """Put the manifolds of a game in the places of those that a file could only name."""
    if isinstance(getattr(value, "manifold", None), MissingManifold):
        object.__setattr__(value, "manifold", known.get(value.manifold, value.manifold))
    if isinstance(value, (Measure, Mesh, Start)):
        value = vars(value)
    if isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            _fill_in_manifolds(item, known)


def by_name(start: Start) -> bool:
    """Whether a file can only name this start."""
    return missing(rebuild(describe(start)))


def missing(start: Any) -> bool:
    """Whether a start holds a function that a file could only name."""
    return isinstance(start, Start) and any(
        isinstance(law, MissingFunction) for law in (start.x, start.y)
    )
