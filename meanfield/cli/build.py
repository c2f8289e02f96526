"""Games, flows and starts from the sections of a TOML file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from meanfield import flows, games
from meanfield.cli.schema import (
    BadInput,
    Check,
    anything,
    constants,
    either,
    many,
    nearest,
    number,
    one_of,
    one_or_many,
    pair_or_one,
    table,
    takes,
    text,
    whole,
)
from meanfield.cli.spec import Spec
from meanfield.flows import Flow, Memory, Schedule
from meanfield.games.base import Game
from meanfield.games.catalogue import CONSTRUCTORS
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.start import Start, concentrated, law

KINDS = (
    "Wasserstein", "Langevin", "WassersteinFisherRao", "MirrorDescent", "BestResponse",
    "EntropicBestResponse", "TwoTimeScale", "Quasistatic", "AveragedLangevin", "DiscountedLangevin",
    "EntropicWassersteinFisherRao",
)  # fmt: skip


def _checks(flow: Callable[..., Flow]) -> dict[str, Check]:
    """How each number of a flow is checked: one for both players, or a pair where it may be one."""
    of = {"float": number, "Number": pair_or_one(number), "Literal['x', 'y']": one_of("x", "y")}
    return {key: of[p.annotation] for key, p in signature(flow).parameters.items()}


FLOWS: dict[str, dict[str, Check]] = {
    **{kind: _checks(getattr(flows, kind)) for kind in KINDS},
    "Flow": {key: pair_or_one(number) for key in ("gamma", "alpha", "temperature", "response")},
}
NEEDED = {"ratio": "write ratio = 10.0", "rate": "write rate = 0.1", "beta": "write beta = 10.0"}


@takes(table({"power": number, "rate": number}, minProperties=1, maxProperties=1))
def memory(value: Any) -> Memory:
    """A flow's memory, {power = 0} or {rate = 0.1}."""
    if not isinstance(value, dict) or set(value) not in ({"power"}, {"rate"}):
        raise BadInput(f"must be {{power = 0.0}} or {{rate = 0.1}}, got {value!r}")
    given = {key: number(item) for key, item in value.items()}
    return _built(Memory, given)  # type: ignore[no-any-return]


SCHEDULE: dict[str, Check] = {"kind": text, "scale": number, "power": number, "floor": number}


@takes(table(SCHEDULE, ("kind",)))
def schedule(value: Any) -> Schedule:
    """A flow's schedule, {kind = "log"} with scale, power and floor."""
    if not isinstance(value, dict) or "kind" not in value or not set(value) <= set(SCHEDULE):
        raise BadInput(
            f'must be like {{kind = "log", scale = 1.0, power = 1.0, floor = 0.0}}, got {value!r}'
        )
    given = {key: SCHEDULE[key](item) for key, item in value.items()}
    return _built(Schedule, given)  # type: ignore[no-any-return]


def _built(kind: Any, given: dict[str, Any]) -> Any:
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise BadInput(one_line(error)) from None


# What any flow may have besides its numbers.
CHANGES: dict[str, Check] = {"memory": memory, "cooling": schedule, "speed": schedule}


@takes(
    either(
        table({"torus": whole, "period": number}, ("torus",)), table({"sphere": whole}, ("sphere",))
    )
)
def manifold(value: Any) -> Manifold:
    """A manifold, {torus = 1, period = 6.28...} or {sphere = 2}."""
    if isinstance(value, dict) and set(value) in ({"torus"}, {"torus", "period"}):
        period = {"period": number(value["period"])} if "period" in value else {}
        return _built(Torus, {"d": whole(value["torus"]), **period})  # type: ignore[no-any-return]
    if isinstance(value, dict) and set(value) == {"sphere"}:
        return _built(Sphere, {"d": whole(value["sphere"])})  # type: ignore[no-any-return]
    raise BadInput(
        f"must be {{torus = 1}}, {{torus = 1, period = 1.0}} or {{sphere = 2}}, got {value!r}"
    )


SPACES: dict[str, Check] = {"X": manifold, "Y": manifold}
# How an argument of a game's constructor is checked, by its annotation.
ARGUMENTS: dict[str, Check] = {
    "float": number, "int": whole, "int | Sequence[int]": one_or_many(whole),
    "Manifold | None": manifold, "Torus | None": manifold,
    "ArrayLike": anything, "ArrayLike | None": many(many(number)), "Iterable[Term]": many(anything),
    "Sequence[Wave]": many(many(number)), "Sequence[Wave] | None": many(many(number)),
}  # fmt: skip


def arguments(name: str) -> dict[str, Check]:
    """The keys of a game of the catalogue."""
    if name == "expression":
        return {"expression": text, "constants": constants, **SPACES, "truncate": number}
    parameters = signature(getattr(games, name)).parameters.values()
    return {p.name: _argument(p.annotation) for p in parameters if p.kind is not p.VAR_KEYWORD}


def _argument(annotation: str) -> Check:
    if annotation.startswith("Literal"):
        return one_of(*re.findall(r"\w+(?=')", annotation))
    return ARGUMENTS[annotation]


def _name(spec: Spec, what: str, default: str | None, known: Collection[str]) -> str:
    """The name that a section gives, which must be known."""
    section = spec.content.get(what, {})
    name = section.get("name", default)
    if not isinstance(name, str) or name not in known:
        hint = nearest(str(name), known) or f"; known are {', '.join(known)}"
        key = (what, "name") if "name" in section else (what,)
        if name is None:
            raise spec.fail(key, f"give the {what} a name: one of {', '.join(known)}")
        raise spec.fail(key, f"there is no {what} {name!r}{hint}")
    return name


def game(spec: Spec) -> Game:
    """The [game] section: a name with its parameters, or an expression."""
    section = spec.content.get("game", {})
    if not section:
        raise BadInput(
            f'{spec.path}: there is no [game]; begin with name = "oscillator" or '
            'expression = "cos(x - y)"'
        )
    name = _name(spec, "game", "expression" if "expression" in section else None, CONSTRUCTORS)
    given = spec.section("game", {"name": text, **arguments(name)})
    given.pop("name", None)
    try:
        return _made(name, dict(given))
    except (ValueError, TypeError) as error:
        formula = isinstance(error, games.ExpressionError)
        place = ("game", "expression") if formula else _culprit("game", given, error)
        raise spec.fail(place, one_line(error)) from None


def _made(name: str, given: dict[str, Any]) -> Game:
    if name == "expression":
        if "expression" not in given:
            raise BadInput('expression = "..." is missing')
        given = {"text": given.pop("expression"), **given.pop("constants", {}), **given}
    elif name == "polynomial_from":
        given = {key: given.get(key, 0) for key in arguments(name)}
    return getattr(games, name)(**given)  # type: ignore[no-any-return]


def flow(spec: Spec) -> Flow:
    """The [flow] section: a name with its numbers."""
    name = _name(spec, "flow", None, FLOWS)
    given = spec.section("flow", {"name": text, **FLOWS[name], **CHANGES})
    given.pop("name")
    for key, p in signature(getattr(flows, name)).parameters.items():
        if p.default is p.empty and key not in given:
            what = "beta, the inverse temperature" if key == "beta" else key
            raise spec.fail(("flow",), f"{name} needs {what}; {NEEDED[key]}")
    changes = {key: given.pop(key) for key in CHANGES if key in given}
    try:
        return replace(getattr(flows, name)(**given), **changes)  # type: ignore[no-any-return]
    except (ValueError, TypeError) as error:
        raise spec.fail(_culprit("flow", given, error), one_line(error)) from None


def start(spec: Spec, on: Game) -> Start:
    """The [start] section, "uniform" where it says nothing, checked on the game's manifolds."""
    section, found = spec.section("start"), {}
    for name, space in (("x", on.X), ("y", on.Y)):
        try:
            found[name] = _initial(section.get(name, "uniform"), space)
            one = law(found[name], space, f"start.{name}")
            one.density(space.sample(3, np.random.default_rng(0)))
        except (ValueError, TypeError) as error:
            if "has no density" not in str(error):
                raise spec.fail(("start", name), one_line(error)) from None
    return Start(**found)


def _initial(value: Any, space: Manifold) -> Any:
    """What `Start` takes for one player."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        keys = set(value)
        if keys == {"center", "width"}:
            raise BadInput(
                "a bump takes no width, which was a variance: give its root, "
                f"std = {max(number(value['width']), 0.0) ** 0.5:.6g}"
            )
        if keys == {"center", "std"}:
            return concentrated(value["center"], number(value["std"]))
        if keys in ({"density"}, {"density", "constants"}):
            return games.density(text(value["density"]), **constants(value.get("constants", {})))
        if keys in ({"points"}, {"points", "masses"}):
            return Measure(value["points"], value.get("masses"), space)
    raise BadInput(
        'must be "uniform", {center = 1.0, std = 0.3}, {density = "1 + 0.5*cos(x)"} or '
        f"{{points = [[0.0]], masses = [1.0]}}, got {value!r}"
    )


@contextmanager
def placed(spec: Spec, section: str) -> Iterator[None]:
    """Give errors that begin with a key of the section the line that the key stands on."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, TypeError) as error:
        key = _culprit(section, spec.content.get(section, {}), error)
        if len(key) == 1:
            raise
        raise spec.fail(key, one_line(error)) from None


def _culprit(section: str, given: dict[str, Any], error: Exception) -> tuple[str, ...]:
    """The key that a constructor's message begins with, if it names one."""
    first = str(error).split()[0].split("[")[0].rstrip(":") if str(error) else ""
    return (section, first) if first in given else (section,)


def one_line(error: BaseException) -> str:
    """An error's message on one line; a marked place in a formula becomes a quotation of it."""
    lines = str(error).splitlines() or [type(error).__name__]
    if len(lines) == 3 and set(lines[2].strip()) == {"^"}:
        begin = lines[2].index("^")
        place = lines[1][begin : begin + lines[2].count("^")]
        column = begin - (len(lines[1]) - len(lines[1].lstrip())) + 1
        return f"{lines[0]} (at {place!r}, column {column} of {lines[1].strip()!r})"
    return " ".join(line.strip() for line in lines)
