"""What stands for a user's function or manifold that a file could only name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, real, whole
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


@dataclass(frozen=True)
class MissingManifold:
    """A manifold of a user's class: its name and sizes are known, so that points can be looked at.

    Whatever moves or measures points raises ValueError and says how to give the manifold:
    `load(path, game=...)`.
    """

    name: str
    dim: int
    ambient: int
    volume: float

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"a manifold's name must be text, got {self.name!r}")
        whole("dim", self.dim)
        whole("ambient", self.ambient)
        real("volume", self.volume, 0.0, strict=True)

    def __repr__(self) -> str:
        return self.name

    def check(self, name: str, points: ArrayLike) -> Array:
        """Points (n, a), whose shape alone can be checked."""
        return finite_array(name, points, (None, self.ambient))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            f"the manifold {self.name} is a class of its user's, which a file cannot hold; give it "
            "with its game: meanfield.load(path, game=...)"
        )

    reach = property(_refuse)
    project = retract = difference = distance = sample = ball_fraction = basis = _refuse


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
