"""How a game was made: its constructor's name and arguments, so that a file can hold the game."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Made = TypeVar("Made")


def recorded(build: Callable[P, Made]) -> Callable[P, Made]:
    """A constructor of games that notes its name and arguments on what it makes, as `recipe`."""
    signature = inspect.signature(build)
    variadic = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

    @functools.wraps(build)
    def recording(*args: P.args, **kwargs: P.kwargs) -> Made:
        game: Any = build(*args, **kwargs)
        given = dict(signature.bind(*args, **kwargs).arguments)
        for name in variadic:
            given |= given.pop(name, {})
        game.recipe = (build.__name__, given)
        return game  # type: ignore[no-any-return]

    return recording
