"""Losses l(x, y) on X x Y, their first variations and gradients. Names load on first use."""

from typing import Any

from meanfield.games.catalogue import CATALOGUE, named

__all__ = list(CATALOGUE)


def __getattr__(name: str) -> Any:
    if name not in CATALOGUE:
        raise AttributeError(f"module 'meanfield.games' has no attribute {name!r}")
    globals()[name] = named(name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
