"""Which engine solves a flow of a game, and the engine itself at time 0."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from inspect import signature
from typing import Any, TypedDict

from meanfield.checks import known_name
from meanfield.density.coupling import STORED
from meanfield.density.engine import Engine
from meanfield.density.inputs import fits, given_measure, per_player
from meanfield.flows import Flow
from meanfield.games.base import Game, a_game
from meanfield.laws import Law
from meanfield.manifolds import Manifold
from meanfield.meshes import cell_count
from meanfield.needs import Needs, of_densities
from meanfield.start import Start

# Where each engine is.
ENGINES = {
    "galerkin": ("fourier", "Galerkin"),
    "harmonics": ("harmonics", "Harmonics"),
    "staggered": ("staggered", "Staggered"),
    "finite-volume": ("finite_volumes", "FiniteVolumes"),
    "characteristics": ("characteristics", "Characteristics"),
    "muscl": ("muscl", "Muscl"),
    "best-response": ("best_response", "FictitiousPlay"),
    "splitting": ("splitting", "Splitting"),
    "primal-dual": ("primal_dual", "PrimalDual"),
}


class Options(TypedDict, total=False):
    """What single engines take besides: finite volumes, staggered, characteristics, muscl and
    primal-dual.
    """

    weights: str
    order: int
    refine: float
    limiter: str
    extrapolation: float


def default_engine(game: Game, flow: Flow) -> str:
    """The engine for a flow of a game, where none is asked for.

    Langevin flows: harmonics for quadratic games on S^2, Galerkin for trigonometric games on tori,
    finite volumes for any other loss. Flows without diffusion: characteristics. Best responses have
    their own, and flows with memory, schedules or several parts go by splitting.
    """
    if flow.composite:
        return "splitting"
    if flow.responds:
        return "best-response"
    if not flow.diffuses:
        return "characteristics"
    if flow.reacts:
        return "splitting"
    from meanfield.density.fourier import FourierModes
    from meanfield.density.harmonics import Degrees

    moving = min(flow.gamma) > 0 and min(flow.temperature) > 0
    if moving and fits(game, Degrees.fits):
        return "harmonics"
    small = max(M.dim for M in game.manifolds) <= 2
    return "galerkin" if moving and small and fits(game, FourierModes.fits) else "finite-volume"


def build(
    game: Game, flow: Flow, start: Start, cells: Any = None, engine: str | None = None,
    step: float | None = None, tol: float | None = None, saves: int = 1, file: bool = False,
    **options: Any,
) -> Engine:  # fmt: skip
    """The engine at t = 0, for those who want to drive it themselves. Arguments as in `solve`.

    ValueError, before anything large is built, where it and so many saved states, written to a file
    or not, need more memory than there is.
    """
    a_game(game)
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta), got {type(flow).__name__}"
        )
    if not isinstance(start, Start):
        raise TypeError(
            f"start must be a meanfield.Start(x=..., y=...), got {type(start).__name__}"
        )
    name = default_engine(game, flow) if engine is None else engine
    known_name("engine", name, ENGINES)
    if name != "splitting" and (flow.memory is not None or flow.scheduled or flow.softens):
        raise ValueError(
            f"engine {name!r} runs no flow with memory, schedules or Gibbs responses; use "
            '"splitting"'
        )
    if name != "splitting" and flow.responds != (name == "best-response"):
        raise ValueError(
            f"engine {name!r} does not run the flow {flow.name!r}; leave engine out, or see its "
            "docstring"
        )
    what, advice = (
        f"{saves} saved states of cells={cells!r}",
        "take fewer cells, or save less often",
    )
    needs(game, flow, start, cells, name, saves, file).check(what, advice)
    module, kind = ENGINES[name]
    laws = start.laws(game.X, game.Y)
    engine_class = getattr(import_module(f"meanfield.density.{module}"), kind)
    taken = signature(engine_class.begin).parameters
    if foreign := set(options) - set(taken):
        raise TypeError(f"engine {name!r} has no option {min(foreign)!r}; leave it out")
    # Defaults are given as any other value is, so that a run can say with what it was made.
    usual = {key: p.default for key, p in taken.items() if p.default not in (p.empty, None)}
    options = {**usual, **options}
    built: Engine = engine_class(game, flow, laws, per_player(cells), step, tol, **options)
    return built


def needs(
    game: Game, flow: Flow, start: Start, cells: Any = None, engine: str | None = None,
    saves: int = 1, file: bool = False, **_: Any,
) -> Needs:  # fmt: skip
    """What `solve` takes with these arguments, with or without a file; nothing is built for it.

    Where the engine chooses its cells, of as many as it usually takes.
    """
    name = default_engine(game, flow) if engine is None else engine
    asked = zip(game.manifolds, start.laws(game.X, game.Y), per_player(cells), strict=True)
    nodes = [_node_count(name, *one) for one in asked]
    return of_densities(game, name, nodes, saves, STORED, file)


def _node_count(engine: str, manifold: Manifold, law: Law, cells: Any) -> float:
    """How many nodes a player's measures have; 0 for what the engine will refuse."""
    given = given_measure(law)
    with suppress(TypeError, ValueError, OverflowError):
        if engine == "harmonics":
            from meanfield.density.harmonics import parallels

            return 2.0 * parallels(cells) ** 2
        if cells is None and engine != "galerkin" and given is not None:
            return len(given)
        return cell_count(manifold, cells)
    return 0.0
