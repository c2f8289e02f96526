"""Games, flows and starts from the sections of a TOML file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

import meanfield.games as games
from meanfield import flows
from meanfield.cli.schema import (
    BadInput,
    Check,
    Spec,
    anything,
    many,
    nearest,
    number,
    one_of,
    one_or_many,
    pair_or_one,
    text,
    whole,
)
from meanfield.flows import Flow, Memory, Schedule
from meanfield.games.base import Game
from meanfield.games.catalogue import CATALOGUE, CONSTRUCTORS
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.start import Start, concentrated

FLOWS: dict[str, dict[str, Check]] = {
    "Wasserstein": {"gamma": pair_or_one(number)},
    "Langevin": {"beta": pair_or_one(number), "gamma": pair_or_one(number)},
    "WassersteinFisherRao": {"gamma": pair_or_one(number), "alpha": pair_or_one(number)},
    "MirrorDescent": {"alpha": pair_or_one(number)},
    "BestResponse": {"rate": pair_or_one(number)},
    "EntropicBestResponse": {"beta": pair_or_one(number), "rate": pair_or_one(number)},
    "TwoTimeScale": {"beta": pair_or_one(number), "ratio": number},
    "AveragedLangevin": {
        "beta": pair_or_one(number),
        "power": number,
        "gamma": pair_or_one(number),
    },
    "DiscountedLangevin": {
        "beta": pair_or_one(number),
        "rate": number,
        "gamma": pair_or_one(number),
    },
    "EntropicWassersteinFisherRao": {
        key: pair_or_one(number) for key in ("beta", "gamma", "alpha")
    },
    "Flow": {key: pair_or_one(number) for key in ("gamma", "alpha", "temperature", "response")},
}


NEEDED = {"ratio": "write ratio = 10.0", "rate": "write rate = 0.1", "beta": "write beta = 10.0"}


def memory(value: Any) -> Memory:
    """{power = 0} or {rate = 0.1}."""
    if not isinstance(value, dict) or set(value) not in ({"power"}, {"rate"}):
        raise BadInput(f"must be {{power = 0.0}} or {{rate = 0.1}}, got {value!r}")
    return _built(Memory, {key: number(item) for key, item in value.items()})  # type: ignore[no-any-return]


def schedule(value: Any) -> Schedule:
    """{kind = "log"} with scale, power and floor."""
    known: dict[str, Check] = {"kind": text, "scale": number, "power": number, "floor": number}
    if not isinstance(value, dict) or "kind" not in value or not set(value) <= set(known):
        raise BadInput(
            f'must be like {{kind = "log", scale = 1.0, power = 1.0, floor = 0.0}}, got {value!r}'
        )
    return _built(Schedule, {key: known[key](item) for key, item in value.items()})  # type: ignore[no-any-return]


def _built(kind: Any, given: dict[str, Any]) -> Any:
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise BadInput(one_line(error)) from None


# What any flow may have besides.
CHANGES: dict[str, Check] = {"memory": memory, "cooling": schedule, "speed": schedule}


def manifold(value: Any) -> Manifold:
    """{torus = 1, period = 6.28...} or {sphere = 2}."""
    if isinstance(value, dict) and set(value) in ({"torus"}, {"torus", "period"}):
        period = {"period": number(value["period"])} if "period" in value else {}
        return Torus(whole(value["torus"]), **period)
    if isinstance(value, dict) and set(value) == {"sphere"}:
        return Sphere(whole(value["sphere"]))
    raise BadInput(
        f"must be {{torus = 1}}, {{torus = 1, period = 1.0}} or {{sphere = 2}}, got {value!r}"
    )


def constants(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise BadInput(f"must be a table such as {{a = 1.5}}, got {value!r}")
    return {key: number(item) for key, item in value.items()}


# What the catalogue of games calls the values of its keys.
CHECKS: dict[str, Check] = {
    "number": number,
    "whole number": whole,
    "whole numbers": one_or_many(whole),
    "text": text,
    "constants": constants,
    "manifold": manifold,
    "waves": many(many(number)),
    "matrix": many(many(number)),
    "terms": many(anything),
    "array": anything,
}


def _keys(name: str) -> dict[str, Check]:
    """The keys of a game's section, each with its check."""
    keys = CATALOGUE[name].keys or {}
    return {key: CHECKS.get(word) or one_of(*word.split("|")) for key, word in keys.items()}


def game(spec: Spec) -> Game:
    """The [game] section: a name with its parameters, or an expression."""
    held = dict(spec.content.get("game", {}))
    if not held:
        raise BadInput(
            f'{spec.path}: there is no [game]; begin with name = "oscillator" or expression = "cos(x - y)"'
        )
    name = "expression" if "expression" in held and "name" not in held else held.get("name")
    if not isinstance(name, str) or name not in CONSTRUCTORS:
        key = ("game", "name") if "name" in held else ("game",)
        known = f"; known are {', '.join(CONSTRUCTORS)}"
        hint = nearest(str(name), CONSTRUCTORS) or known
        raise spec.fail(key, f"there is no game {name!r}{hint}")
    given = spec.section("game", {"name": text, **_keys(name)})
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
        named = given.pop("constants", {})
        return games.expression(given.pop("expression"), **given, **named)  # type: ignore[no-any-return]
    if name == "polynomial_from":
        return games.polynomial_from(**{key: given.get(key, 0) for key in _keys(name)})  # type: ignore[no-any-return]
    return getattr(games, name)(**given)  # type: ignore[no-any-return]


def flow(spec: Spec) -> Flow:
    """The [flow] section: a name with its numbers."""
    held = spec.content.get("flow", {})
    name = held.get("name")
    if not isinstance(name, str) or name not in FLOWS:
        key = ("flow", "name") if "name" in held else ("flow",)
        raise spec.fail(
            key,
            "there is no flow "
            f"{name!r}{nearest(str(name), FLOWS) or '; known are ' + ', '.join(FLOWS)}",
        )
    given = spec.section("flow", {"name": text, **FLOWS[name], **CHANGES})
    given.pop("name")
    for missing in _needed(getattr(flows, name)):
        if missing not in given:
            what = "beta, the inverse temperature" if missing == "beta" else missing
            raise spec.fail(("flow",), f"{name} needs {what}; {NEEDED[missing]}")
    changes = {key: given.pop(key) for key in CHANGES if key in given}
    try:
        return replace(getattr(flows, name)(**given), **changes)  # type: ignore[no-any-return]
    except (ValueError, TypeError) as error:
        raise spec.fail(_culprit("flow", given, error), one_line(error)) from None


def _needed(made: Any) -> list[str]:
    """The arguments of a constructor that have no default."""
    return [key for key, p in signature(made).parameters.items() if p.default is p.empty]


def start(spec: Spec, on: Game) -> Start:
    """The [start] section, "uniform" where it says nothing, checked on the game's manifolds."""
    spec.section("start")
    laws: dict[str, Any] = {}
    for name, space in (("x", on.X), ("y", on.Y)):
        key = ("start", name)
        try:
            laws[name] = _law(spec.content.get("start", {}).get(name, "uniform"), space)
            Start(**{name: laws[name]}).laws(on.X, on.Y)[name == "y"].density(
                space.sample(3, _generator())
            )
        except (ValueError, TypeError) as error:
            if "has no density" in str(error):
                continue
            raise spec.fail(key, one_line(error)) from None
    return Start(**laws)


def _generator() -> Any:
    import numpy as np

    return np.random.default_rng(0)


def _law(value: Any, space: Manifold) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        keys = set(value)
        if keys == {"center", "width"}:
            return concentrated(value["center"], number(value["width"]))
        if keys in ({"density"}, {"density", "constants"}):
            return games.density(text(value["density"]), **constants(value.get("constants", {})))
        if keys in ({"points"}, {"points", "masses"}):
            return Measure(value["points"], value.get("masses"), space)
    raise BadInput(
        'must be "uniform", {center = 1.0, width = 0.1}, {density = "1 + 0.5*cos(x)"} or '
        f"{{points = [[0.0]], masses = [1.0]}}, got {value!r}"
    )


@contextmanager
def placed(spec: Spec, section: str) -> Iterator[None]:
    """Errors that begin with a key of the section are told with its line."""
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
    """An error's message in one line; a marked place in a formula becomes a quotation of it."""
    lines = str(error).splitlines() or [type(error).__name__]
    if len(lines) == 3 and set(lines[2].strip()) == {"^"}:
        begin = lines[2].index("^")
        place = lines[1][begin : begin + lines[2].count("^")]
        column = begin - (len(lines[1]) - len(lines[1].lstrip())) + 1
        return f"{lines[0]} (at {place!r}, column {column} of {lines[1].strip()!r})"
    return " ".join(line.strip() for line in lines)
