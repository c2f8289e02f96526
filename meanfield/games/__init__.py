"""Losses l(x, y) on X x Y, their first variations and gradients. Names load on first use."""

from importlib import import_module
from typing import Any

from meanfield.games.catalogue import HOMES

__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'meanfield.games' has no attribute {name!r}")
    value = getattr(import_module(f"meanfield.games.{HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
