"""Objects as plain data and back: what a file holds instead of code.

`describe` turns games, flows, starts, measures, meshes and records into trees of None, numbers,
text, arrays, lists, tuples, dictionaries and `Described` nodes, each a kind with its content.
`rebuild` goes back through the constructors listed here and no others: a file names a kind, never
a module or a class. A function of the user's is described by its name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.games.catalogue import CONSTRUCTORS, constructor
from meanfield.games.lowrank import LowRank
from meanfield.games.missing import MissingFunction, MissingGame
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, torus_mesh

# Records whose fields say all: kind -> home.
RECORDS = {
    "Torus": "manifolds", "Sphere": "manifolds",
    "Flow": "flows", "Memory": "flows", "Schedule": "flows",
    "Start": "start", "Concentrated": "start",
    "TextDensity": "games.formulas.densities",
    "TrigBasis": "games.bases", "QuadraticBasis": "games.bases",
    "Trajectory": "trajectory", "Interval": "studies.statistics", "Comparison": "studies.compare",
    "Partial": "studies.replicas", "GibbsPoint": "equilibria.gibbs",
    "Equilibrium": "equilibria.nash", "Stability": "equilibria.stability",
    "Polished": "equilibria.polish", "GibbsPath": "equilibria.path",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """An object as its kind and its content, itself plain data."""

    kind: str
    content: dict[str, Any]


def describe(value: Any) -> Any:
    """Plain data for `value`; raises TypeError for what no file can hold."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str)):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biufc":
            raise TypeError(f"arrays of {value.dtype} cannot be stored; use numbers")
        return value
    if type(value) in (list, tuple):
        return _sequence(value)
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"dictionaries need text as keys to be stored, got {odd[0]!r}")
        return {key: describe(item) for key, item in value.items()}
    return _object(value)


def _sequence(value: Any) -> Any:
    several = len(value) > 1 and all(isinstance(m, Measure) for m in value)
    packed = _measures(value) if several else None
    return packed or type(value)(map(describe, value))


def _object(value: Any) -> Described:
    kind = type(value).__name__
    if type(value).__module__ == f"meanfield.{RECORDS.get(kind, '')}":
        return _record(kind, value)
    if isinstance(value, Mesh):
        return _mesh(value)
    if isinstance(value, Measure):
        return _measure(value)
    if isinstance(value, Game):
        return _game(value)
    if callable(value):
        return Described("Function", {"name": str(getattr(value, "__name__", kind))})
    what = "numbers, text, arrays and what meanfield makes of them"
    raise TypeError(f"{kind} cannot be stored; files hold {what}")


def _record(kind: str, value: Any) -> Described:
    return Described(kind, {f.name: describe(getattr(value, f.name)) for f in fields(value)})


def _mesh(value: Mesh) -> Described:
    """A grid of a torus by its shape, any other mesh by its arrays; nodes for other readers."""
    if not _is_grid(value):
        return _record("Mesh", value)
    manifold = describe(value.manifold)
    return Described("Mesh", {"manifold": manifold, "nodes": value.nodes, "shape": value.shape})


def _is_grid(value: Mesh) -> bool:
    if value.shape is None or type(value.manifold).__name__ != "Torus":
        return False
    grid = torus_mesh(value.manifold, value.shape)  # type: ignore[arg-type]
    arrays = ("nodes", "volumes", "pairs", "transmissibilities", "faces")
    return all(np.array_equal(getattr(grid, name), getattr(value, name)) for name in arrays)


def _measure(value: Measure) -> Described:
    if isinstance(value, Density):
        return Described("Density", {"masses": value.masses, "mesh": _mesh(value.mesh)})
    return _record("Measure", value)


def _one_mesh(a: Mesh, b: Mesh) -> bool:
    return a is b or (a.same(b) and a.shape == b.shape)


def _measures(many: Any) -> Described | None:
    """Several measures of one player as stacked arrays: on one mesh, or atoms of one manifold."""
    first, kind = many[0], type(many).__name__
    if all(type(m) is Density for m in many):
        if not all(_one_mesh(m.mesh, first.mesh) for m in many):
            return None
        rows = np.stack([m.masses for m in many])
        return Described("Densities", {"as": kind, "masses": rows, "mesh": _mesh(first.mesh)})
    if not all(type(m) is Measure and m.manifold == first.manifold for m in many):
        return None
    counts = np.array([len(m) for m in many])
    about = {"as": kind, "manifold": describe(first.manifold)}
    points, masses = [m.points for m in many], [m.masses for m in many]
    if (counts != counts[0]).any():
        atoms = {"points": np.concatenate(points), "masses": np.concatenate(masses)}
        return Described("Atoms", {**about, "counts": counts, **atoms})
    if all(np.array_equal(m, first.masses) for m in masses):
        masses = [first.masses]
    return Described("Atoms", {**about, "points": np.stack(points), "masses": np.stack(masses)})


def _game(game: Game) -> Described:
    about = {key: describe(getattr(game, key)) for key in ("name", "statement", "X", "Y")}
    recipe = _recipe(game)
    if type(game) is LowRank and all(type(b).__name__ in RECORDS for b in game.bases):
        bases = [describe(b) for b in game.bases]
        return Described("LowRank", {**about, "bases": bases, "C": game.C, "recipe": recipe})
    if recipe is not None:
        return Described("Recipe", {**about, "recipe": recipe})
    return Described("MissingGame", about)


def _recipe(game: Game) -> dict[str, Any] | None:
    """The constructor's name and arguments, when a file can hold them."""
    if not hasattr(game, "recipe"):
        return None
    name, arguments = game.recipe
    try:
        plain = describe(arguments)
    except TypeError:
        return None
    fits = name in CONSTRUCTORS and not _has_function(plain)
    return {"name": name, "arguments": plain} if fits else None


def _has_function(plain: Any) -> bool:
    if isinstance(plain, Described):
        return plain.kind in ("Function", "MissingGame") or _has_function(plain.content)
    if isinstance(plain, dict):
        return any(map(_has_function, plain.values()))
    return isinstance(plain, (list, tuple)) and any(map(_has_function, plain))


# -- back -----------------------------------------------------------------------------------------


def rebuild(plain: Any) -> Any:
    """The object that plain data describe; ValueError for kinds and contents it does not know."""
    if isinstance(plain, (list, tuple)):
        return type(plain)(rebuild(item) for item in plain)
    if isinstance(plain, dict):
        return {key: rebuild(item) for key, item in plain.items()}
    if not isinstance(plain, Described):
        return plain
    content = {key: rebuild(item) for key, item in plain.content.items()}
    try:
        if plain.kind in RECORDS:
            module = import_module(f"meanfield.{RECORDS[plain.kind]}")
            return getattr(module, plain.kind)(**content)
        if plain.kind in _BUILDERS:
            return _BUILDERS[plain.kind](**content)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the stored {plain.kind} is damaged: {error}") from None
    raise ValueError(
        f"a stored object is a {plain.kind!r}, which this version of meanfield does not know"
    )


def _rebuilt_mesh(**content: Any) -> Mesh:
    if "volumes" in content:
        return Mesh(**content)
    return torus_mesh(content["manifold"], content["shape"])


def _rebuilt_measure(points: Array, masses: Array, manifold: Any) -> Measure:
    """A measure with these very bits: its constructor checks points, and normalises them anew."""
    made = Measure(points, masses, manifold)
    object.__setattr__(made, "points", np.asarray(points))
    return made


def _rebuilt_densities(masses: Array, mesh: Mesh, **content: Any) -> Any:
    return _SEQUENCES[content["as"]](Density(m, mesh) for m in masses)


def _rebuilt_atoms(points: Array, masses: Array, manifold: Any, **content: Any) -> Any:
    if "counts" in content:
        cuts = np.cumsum(content["counts"])[:-1]
        rows = zip(np.split(points, cuts), np.split(masses, cuts), strict=True)
    else:
        rows = zip(points, np.broadcast_to(masses, (len(points), masses.shape[1])), strict=True)
    return _SEQUENCES[content["as"]](_rebuilt_measure(x, m, manifold) for x, m in rows)


_SEQUENCES: dict[str, Callable[..., Any]] = {"tuple": tuple, "list": list}


def _rebuilt_lowrank(
    bases: Any, C: Array, name: str, statement: str, recipe: Any, **_: Any
) -> LowRank:
    """By its recipe, which knows the answers, if that gives this very game; else by its arrays."""
    phi, psi = bases
    stored = LowRank(phi, psi, C, name, statement)
    if recipe is not None:
        made = _rebuilt_recipe(recipe)
        if same(describe(made), describe(stored)):
            return made  # type: ignore[no-any-return]
    return stored


def _rebuilt_recipe(recipe: dict[str, Any], **_: Any) -> Any:
    return constructor(recipe["name"])(**recipe["arguments"])


_BUILDERS: dict[str, Callable[..., Any]] = {
    "Mesh": _rebuilt_mesh,
    "Density": Density,
    "Measure": _rebuilt_measure,
    "Densities": _rebuilt_densities,
    "Atoms": _rebuilt_atoms,
    "LowRank": _rebuilt_lowrank,
    "Recipe": _rebuilt_recipe,
    "MissingGame": MissingGame,
    "Function": MissingFunction,
}


def same(a: Any, b: Any) -> bool:
    """Whether two plain trees are equal: types, keys, text, and every number to its last bit."""
    if isinstance(a, Described) and isinstance(b, Described):
        if a.kind == b.kind == "LowRank":  # the arrays are the game, however it was made
            return same(*({k: v for k, v in d.content.items() if k != "recipe"} for d in (a, b)))
        return a.kind == b.kind and same(a.content, b.content)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))
