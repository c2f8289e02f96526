"""Losses l(x, y) on X x Y, their first variations and gradients. Names load on first use."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Game": "base",
    "LowRank": "lowrank", "trigonometric": "lowrank", "polynomial": "lowrank", "polynomial_from": "lowrank",
    "Pairwise": "pairwise",
    "expression": "expressions", "Expression": "expressions", "ExpressionError": "grammar",
    "function": "functions", "Function": "functions", "density": "densities",
    "uniform_equilibrium": "known", "free": "known", "separable": "known", "double_well": "known",
    "wang_chizat": "known", "oscillator": "known", "bilinear": "known", "benchmark": "known",
}  # fmt: skip

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'meanfield.games' has no attribute {name!r}")
    value = getattr(import_module(f"meanfield.games.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
