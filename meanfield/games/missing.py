"""What stands for a user's function that a file could only name."""

from __future__ import annotations

from typing import Any, NoReturn

from meanfield.games.base import Game
from meanfield.manifolds import Manifold


class MissingGame(Game):
    """A game whose loss was a function: its name and manifolds are known, its numbers are not.

    Runs that hold it can be looked at. Whatever needs the loss raises ValueError and says how to
    give it: `load(path, game=...)`.
    """

    def __init__(self, name: str, statement: str, X: Manifold, Y: Manifold) -> None:
        self.name, self.statement, self.X, self.Y, self.answers = name, statement, X, Y, {}

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            f"the game {self.name!r} was given as a function, which a file cannot hold; "
            "give it again: meanfield.load(path, game=...)"
        )

    loss = swapped = moment_matrix = cost_matrix = cost = gradient = _refuse


class MissingFunction:
    """A function known by its name: calling it raises ValueError and says how to give it."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<function {self.__name__}, not stored>"

    def __call__(self, *_: Any) -> NoReturn:
        raise ValueError(
            f"the function {self.__name__!r} of the start is not in the file; give the start "
            "again: meanfield.load(path, start=...)"
        )
