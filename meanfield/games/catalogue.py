"""Every name of `meanfield.games` and the module that defines it, in one table.

From it `meanfield.games` loads names on first use, the command line reads which games a file's
[game] section may name with which keys, and a stored game finds the constructor that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A name's module below `meanfield.games`; of a constructor, the keys of its [game] section.

    keys: key -> what stands there, in the words of `meanfield.cli.build.CHECKS`, or choices
    separated by "|"; None for what no file may name.
    """

    module: str
    keys: dict[str, str] | None = None


_MANIFOLDS = {"X": "manifold", "Y": "manifold"}
_COEFFICIENTS = ("A0", "A1", "A2", "A3", "a0", "a1")

CATALOGUE = {
    "Game": Entry("base"),
    "LowRank": Entry("lowrank"),
    "Pairwise": Entry("pairwise"),
    "Expression": Entry("formulas.expressions"),
    "ExpressionError": Entry("formulas.grammar"),
    "Function": Entry("functions"),
    "function": Entry("functions"),
    "density": Entry("formulas.densities"),
    "oscillator": Entry("known", {"coupling": "number"}),
    "uniform_equilibrium": Entry("known", {"amplitude": "number", "k": "whole numbers"}),
    "free": Entry("known", _MANIFOLDS),
    "separable": Entry("known", {"f": "waves", "g": "waves"}),
    "double_well": Entry("known", {"tilt": "number"}),
    "wang_chizat": Entry("known", {}),
    "bilinear": Entry("known", {"A": "matrix", "dim": "whole number"}),
    "benchmark": Entry("known", {"which": "circle|torus|sphere"}),
    "polynomial": Entry("lowrank", {"kind": "a|b", "dim": "whole number", "seed": "whole number"}),
    "polynomial_from": Entry("lowrank", dict.fromkeys(_COEFFICIENTS, "array")),
    "trigonometric": Entry("lowrank", {"terms": "terms", **_MANIFOLDS}),
    "expression": Entry(
        "formulas.expressions", {"expression": "text", "constants": "constants", **_MANIFOLDS}
    ),
}
CONSTRUCTORS = [name for name, entry in CATALOGUE.items() if entry.keys is not None]


def named(name: str) -> Any:
    """What `meanfield.games` calls by this name; KeyError for a name that it does not have."""
    return getattr(import_module(f"meanfield.games.{CATALOGUE[name].module}"), name)


def constructor(name: str) -> Callable[..., Any]:
    """The constructor of games of this name; ValueError for any other name."""
    if name not in CONSTRUCTORS:
        raise ValueError(
            f"a stored game was made by {name!r}, which this version of meanfield does not know"
        )
    return named(name)  # type: ignore[no-any-return]
