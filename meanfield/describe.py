"""Objects as plain data and back: what a file holds instead of code.

`describe` turns games, flows, starts, measures, meshes and records into trees of None, numbers,
text, arrays, lists, tuples, dictionaries and `Described` nodes, each a kind with its content.
`rebuild` goes back through the constructors listed here and in the catalogue of games, and no
others: a file names a kind, never a module or a class. A user's function is described by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.games.catalogue import CONSTRUCTORS
from meanfield.games.lowrank import LowRank
from meanfield.games.missing import MissingFunction, MissingGame
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, torus_mesh

Content = dict[str, Any]

# Records whose fields say all: kind -> module.
RECORDS = {
    "Torus": "manifolds", "Sphere": "manifolds", "MissingManifold": "games.missing",
    "Flow": "flows.base", "Memory": "flows.base", "Schedule": "flows.base",
    "Start": "start", "Concentrated": "start",
    "TextDensity": "games.formulas.densities", "TrigBasis": "games.bases",
    "QuadraticBasis": "games.bases", "Trajectory": "trajectory", "Interval": "studies.statistics",
    "Comparison": "studies.comparison", "Partial": "studies.replicas",
    "References": "studies.reference",
    "CheckResult": "studies.check", "Verdict": "studies.verdicts",
    "Observation": "studies.verdicts",
    "GibbsPoint": "equilibria.gibbs", "Equilibrium": "equilibria.nash",
    "Stability": "equilibria.stability", "Polished": "equilibria.polish",
    "GibbsPath": "equilibria.path", "AtomStability": "equilibria.atoms",
    "Orbit": "equilibria.orbit", "Branch": "equilibria.branch",
    "NashBranch": "equilibria.nash_branch", "GibbsBranch": "equilibria.gibbs_branch",
    "Sweep": "studies.sweep.table",
    "GanRun": "gan.run", "GanGame": "gan.recipes", "Network": "gan.recipes", "Ring": "gan.recipes",
    "Images": "gan.recipes", "Certificate": "gan.certificate",
    "Outcome": "studies.sweep.tasks", "Outcomes": "studies.sweep.tasks",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """An object as its kind and its content, itself plain data."""

    kind: str
    content: Content


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
        return _measures(value) or type(value)(describe(item) for item in value)
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"dictionaries need text as keys to be stored, got {odd[0]!r}")
        return {key: describe(item) for key, item in value.items()}
    return _object(value)


def _object(value: Any) -> Described:
    kind = type(value).__name__
    if type(value).__module__ == f"meanfield.{RECORDS.get(kind, '')}":
        return Described(kind, _fields(value))
    if isinstance(value, Mesh):
        return _mesh(value)
    if isinstance(value, Density):
        return Described("Density", {"masses": value.masses, "mesh": _mesh(value.mesh)})
    if isinstance(value, Measure):
        return Described("Measure", _fields(value))
    if isinstance(value, Game):
        return _game(value)
    if hasattr(value, "retract"):
        return _manifold(value)
    if callable(value):
        return Described("Function", {"name": str(getattr(value, "__name__", kind))})
    raise TypeError(
        f"{kind} cannot be stored; files hold numbers, text, arrays and what meanfield makes of "
        "them"
    )


def _manifold(value: Any) -> Described:
    """A manifold of a user's class by its name and sizes: no file can hold the class."""
    kind = type(value)
    name = kind.__name__ if kind.__repr__ is object.__repr__ else repr(value)
    sizes = {"dim": int(value.dim), "ambient": int(value.ambient), "volume": float(value.volume)}
    return Described("MissingManifold", {"name": name, **sizes})


def _fields(value: Any) -> Content:
    return {f.name: describe(getattr(value, f.name)) for f in fields(value)}


def _mesh(value: Mesh) -> Described:
    """A grid of a torus by its shape and, for other readers, nodes; another mesh by its arrays."""
    held, torus, shape = _fields(value), value.manifold, value.shape
    grid = torus_mesh(torus, shape) if shape and isinstance(torus, Torus) else None
    if grid is not None and same(held, _fields(grid)):
        held = {key: held[key] for key in ("manifold", "nodes", "shape")}
    return Described("Mesh", held)


def _measures(many: Sequence[Any]) -> Described | None:
    """Several measures as stacked arrays, on one mesh or as atoms of one manifold."""
    if len(many) < 2:
        return None
    first: Any = many[0]
    held: Content = {"as": type(many).__name__}
    if all(type(m) is Density for m in many):
        mesh = first.mesh
        if not all(m.mesh.same(mesh) and m.mesh.shape == mesh.shape for m in many):
            return None
        held["masses"] = np.stack([m.masses for m in many])
        return Described("Densities", {**held, "mesh": _mesh(mesh)})
    if not all(type(m) is Measure and m.manifold == first.manifold for m in many):
        return None
    held["manifold"] = describe(first.manifold)
    points, masses = [m.points for m in many], [m.masses for m in many]
    if len({len(m) for m in many}) > 1:
        atoms = {"points": np.concatenate(points), "masses": np.concatenate(masses)}
        return Described("Atoms", {**held, "counts": np.array(list(map(len, many))), **atoms})
    if all(np.array_equal(m, masses[0]) for m in masses):
        masses = masses[:1]
    return Described("Atoms", {**held, "points": np.stack(points), "masses": np.stack(masses)})


def _game(game: Game) -> Described:
    """By its arrays, by its constructor and its arguments, or by its name alone."""
    about = {"name": game.name, "statement": game.statement}
    about |= {"X": describe(game.X), "Y": describe(game.Y)}
    recipe = _recipe(game)
    if type(game) is LowRank and all(type(b).__name__ in RECORDS for b in game.bases):
        bases = [describe(b) for b in game.bases]
        return Described("LowRank", {**about, "bases": bases, "C": game.C, "recipe": recipe})
    if recipe is not None:
        return Described("Recipe", {**about, "recipe": recipe})
    return Described("MissingGame", about)


def _recipe(game: Game) -> Content | None:
    """The constructor's name and arguments, when a file can hold them."""
    name, arguments = getattr(game, "recipe", ("", {}))
    try:
        held = describe(arguments)
    except TypeError:
        return None
    return (
        None
        if name not in CONSTRUCTORS or known_by_name(held)
        else {"name": name, "arguments": held}
    )


def known_by_name(plain: Any) -> bool:
    """Whether something in the tree is known by its name alone."""
    if isinstance(plain, Described):
        by_name = ("Function", "MissingGame", "MissingManifold")
        return plain.kind in by_name or known_by_name(plain.content)
    if isinstance(plain, dict):
        return any(map(known_by_name, plain.values()))
    return isinstance(plain, (list, tuple)) and any(map(known_by_name, plain))


# -- back -----------------------------------------------------------------------------------------


def rebuild(plain: Any) -> Any:
    """The object that plain data describe; ValueError for kinds and contents it does not know."""
    if isinstance(plain, (list, tuple)):
        return type(plain)(rebuild(item) for item in plain)
    if isinstance(plain, dict):
        return {key: rebuild(item) for key, item in plain.items()}
    if not isinstance(plain, Described):
        return plain
    kind, content = plain.kind, rebuild(plain.content)
    try:
        if kind in RECORDS:
            return getattr(import_module(f"meanfield.{RECORDS[kind]}"), kind)(**content)
        if kind in _BUILDERS:
            return _BUILDERS[kind](content)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"the stored {kind} is damaged, or of another version of meanfield: {error}"
        ) from None
    raise ValueError(
        f"a stored object is a {kind!r}, which this version of meanfield does not know"
    )


def _rebuilt_mesh(held: Content) -> Mesh:
    return Mesh(**held) if "volumes" in held else torus_mesh(held["manifold"], held["shape"])


def _exact(points: Array, masses: Array, manifold: Any) -> Measure:
    """A measure with these very bits: its constructor checks them, but normalises points anew."""
    made = Measure(points, masses, manifold)
    object.__setattr__(made, "points", np.asarray(points))
    return made


def _rebuilt_densities(held: Content) -> list[Measure] | tuple[Measure, ...]:
    made = (Density(m, held["mesh"]) for m in held["masses"])
    return tuple(made) if held["as"] == "tuple" else list(made)


def _rebuilt_atoms(held: Content) -> list[Measure] | tuple[Measure, ...]:
    points, masses = held["points"], held["masses"]
    if "counts" in held:
        cuts = np.cumsum(held["counts"])[:-1]
        points, masses = np.split(points, cuts), np.split(masses, cuts)
    else:
        masses = np.broadcast_to(masses, (len(points), masses.shape[1]))
    made = (_exact(x, m, held["manifold"]) for x, m in zip(points, masses, strict=True))
    return tuple(made) if held["as"] == "tuple" else list(made)


def _rebuilt_lowrank(held: Content) -> LowRank:
    """By its recipe, which knows the answers, if that gives this very game; else by arrays."""
    phi, psi = held["bases"]
    stored = LowRank(phi, psi, held["C"], held["name"], held["statement"])
    made = stored if held["recipe"] is None else _from_recipe(held["recipe"])
    return made if same(describe(made), describe(stored)) else stored  # type: ignore[no-any-return]


def _from_recipe(recipe: Content) -> Any:
    name = recipe["name"]
    if name not in CONSTRUCTORS:
        raise ValueError(
            f"a stored game was made by {name!r}, which this version of meanfield does not know"
        )
    module = import_module(f"meanfield.games.{CONSTRUCTORS[name]}")
    return getattr(module, name)(**recipe["arguments"])


_BUILDERS: dict[str, Callable[[Content], Any]] = {
    "Mesh": _rebuilt_mesh,
    "Density": lambda held: Density(**held),
    "Measure": lambda held: _exact(**held),
    "Densities": _rebuilt_densities,
    "Atoms": _rebuilt_atoms,
    "LowRank": _rebuilt_lowrank,
    "Recipe": lambda held: _from_recipe(held["recipe"]),
    "MissingGame": lambda held: MissingGame(**held),
    "Function": lambda held: MissingFunction(held["name"]),
}


def same(a: Any, b: Any) -> bool:
    """Whether two plain trees are equal: types, keys, text, and every number to its last bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b):
        return False
    if isinstance(a, Described):
        if a.kind == b.kind == "LowRank":  # the arrays are the game, however it was made
            a, b = (Described("", {**d.content, "recipe": None}) for d in (a, b))
        return a.kind == b.kind and same(a.content, b.content)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


# What results say of when, where, with what and how fast they were made.
CIRCUMSTANCES = ("wall_time", "versions", "made")


def same_result(a: Any, b: Any) -> bool:
    """Whether two results are equal to the last bit in all but their circumstances."""
    return same(_bare(describe(a)), _bare(describe(b)))


def _bare(plain: Any) -> Any:
    """The tree without circumstances."""
    if isinstance(plain, Described):
        return Described(plain.kind, _bare(plain.content))
    if isinstance(plain, dict):
        return {key: _bare(item) for key, item in plain.items() if key not in CIRCUMSTANCES}
    return type(plain)(map(_bare, plain)) if isinstance(plain, (list, tuple)) else plain
