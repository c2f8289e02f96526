"""What a TOML file may say: every key with its type, checked before anything runs.

An error names the file, the line, the key and what to do, in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meanfield import checks
from meanfield.density.solve import ENGINES
from meanfield.gan.scores import NAMED
from meanfield.gan.training import ORDERS, RULES
from meanfield.particles.schemes import SCHEMES

Check = Callable[[Any], Any]
Key = tuple[str, ...]


class BadInput(ValueError):
    """Something that the user can put right, said in one line; the command's exit code is 2."""


def nearest(name: str, known: Any) -> str:
    """The end of an error's message that asks for the most similar known name, if there is one."""
    found = checks.nearest(name, known)
    return f"; did you mean {found!r}?" if found else ""


def takes(json: Any) -> Callable[[Any], Any]:
    """Note on a check what it lets pass, as a JSON schema, for editors (`meanfield schema`)."""

    def noted(check: Any) -> Any:
        check.json = json
        return check

    return noted


def json_of(check: Check) -> dict[str, Any]:
    """What a check lets pass; anything where it does not say."""
    return getattr(check, "json", {})


def rows(item: dict[str, Any], least: int, most: int | None = None) -> dict[str, Any]:
    """The JSON schema of a list."""
    return {"type": "array", "items": item, "minItems": least} | (
        {} if most is None else {"maxItems": most}
    )


def either(*kinds: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a value of one of these kinds."""
    return {"anyOf": list(kinds)}


def table(known: Mapping[str, Check], required: Iterable[str] = (), **more: Any) -> dict[str, Any]:
    """The JSON schema of a table of checked keys and no others."""
    keys = {key: json_of(check) for key, check in known.items()}
    found = {"type": "object", "properties": keys, "additionalProperties": False, **more}
    return {**found, "required": list(required)} if required else found


@takes({"type": "number"})
def number(value: Any) -> float:
    """A number, whole or not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"must be a number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise BadInput("must be a number below 1.8e308") from None


@takes({"type": "integer"})
def whole(value: Any) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(f"must be a whole number, got {value!r}")
    return value


@takes({"type": "string"})
def text(value: Any) -> str:
    """Text in quotes."""
    if not isinstance(value, str):
        raise BadInput(f"must be text in quotes, got {value!r}")
    return value


@takes({"type": "boolean"})
def truth(value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise BadInput(f"must be true or false, got {value!r}")
    return value


def anything(value: Any) -> Any:
    """A value that is checked by the constructor that takes it."""
    return value


def one_of(*names: str) -> Check:
    """One of these names."""

    @takes({"enum": list(names)})
    def check(value: Any) -> str:
        if value not in names:
            hint = nearest(str(value), names)
            raise BadInput(f"must be one of {', '.join(names)}, got {value!r}{hint}")
        return str(value)

    return check


def pair_or_one(item: Check) -> Check:
    """A value for both players, or [for x, for y]."""

    @takes(either(json_of(item), rows(json_of(item), 2, 2)))
    def check(value: Any) -> Any:
        if not isinstance(value, list):
            return item(value)
        if len(value) != 2:
            raise BadInput(f"must be one value or two (for x, for y), got {len(value)}")
        return item(value[0]), item(value[1])

    return check


def many(item: Check, least: int = 1) -> Check:
    """A list of values."""

    @takes(rows(json_of(item), least))
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) < least:
            raise BadInput(f"must be a list such as [1, 2], got {value!r}")
        return [item(v) for v in value]

    return check


def one_or_many(item: Check) -> Check:
    """A value or a list of them."""

    @takes(either(json_of(item), rows(json_of(item), 1)))
    def check(value: Any) -> Any:
        return (many(item) if isinstance(value, list) else item)(value)

    return check


_AXES = either({"type": "integer"}, rows({"type": "integer"}, 1))


@takes(either({"type": "integer"}, rows(_AXES, 2, 2)))
def cells(value: Any) -> Any:
    """A number per axis, or [for x, for y], each a number or [one for each axis]."""
    if isinstance(value, list):
        if len(value) != 2:
            raise BadInput(f"must be one whole number or two (for x, for y), got {value!r}")
        return tuple(tuple(map(whole, v)) if isinstance(v, list) else whole(v) for v in value)
    return whole(value)


@takes({"enum": [True, False, "auto"]})
def auto_or_not(value: Any) -> Any:
    """true, false or "auto"."""
    if value != "auto" and not isinstance(value, bool):
        raise BadInput(f'must be true, false or "auto", got {value!r}')
    return value


@takes({"type": "object", "additionalProperties": json_of(number)})
def constants(value: Any) -> dict[str, float]:
    """The named numbers of a formula, {a = 1.5}."""
    if not isinstance(value, dict):
        raise BadInput(f"must be a table such as {{a = 1.5}}, got {value!r}")
    return {key: number(item) for key, item in value.items()}


POINTS = rows(either(json_of(number), rows(json_of(number), 1)), 1)


@takes(
    either(
        {"const": "uniform"},
        table({"center": anything, "std": number}, ("center", "std")),
        table({"density": text, "constants": constants}, ("density",)),
        table({"points": takes(POINTS)(lambda value: value), "masses": many(number)}, ("points",)),
    )
)
def law(value: Any) -> Any:
    """A law, checked where its space is known."""
    return value


RUN = {
    "level": one_of("field", "particles"), "time": number, "save_every": number,
    "record": many(one_of("ni")),
}  # fmt: skip
# The options of a single engine: option -> (engine, check).
OPTIONS: dict[str, tuple[str, Check]] = {
    "weights": ("finite-volume", one_of("curved", "sg", "face", "sqrt")),
    "order": ("staggered", whole),
    "refine": ("characteristics", number),
    "limiter": ("muscl", one_of("positive", "van Leer", "monotonized central")),
    "extrapolation": ("primal-dual", number),
}
FIELD = {
    "cells": cells, "engine": one_of(*ENGINES), "step": number, "tol": number,
    **{key: check for key, (_, check) in OPTIONS.items()},
}  # fmt: skip
PARTICLES = {
    "step": number, "particles": pair_or_one(whole), "seed": whole,
    "scheme": one_of(*SCHEMES), "replica": whole, "refine": whole,
    "placement": one_of("iid", "quantile", "atoms"), "device": one_of("cpu", "cuda"),
    "precision": one_of("float64", "float32"), "check_step": truth, "inner": whole,
    "bandwidth": number, "exploration": number, "extrapolation": number,
}  # fmt: skip
COMPARE = {
    "time": number, "particles": many(whole), "replicas": one_or_many(whole), "step": number,
    "scheme": one_of("euler", "strang"), "save_every": number, "cells": cells,
    "engine": FIELD["engine"], "tol": number, "seed": whole, "threads": whole,
    "first_replica": whole, "confidence": number, "control": auto_or_not, "average": auto_or_not,
    "reference": whole,
}  # fmt: skip
CHECK = {
    "theorems": many(whole), "time": number, "particles": many(whole),
    "replicas": one_or_many(whole), "step": number, "cells": cells, "seed": whole,
    "threads": whole,
}  # fmt: skip
# [figure] by the kind of picture.
FIGURES: dict[str, dict[str, Check]] = {
    "page": {
        "time": number, "particles": whole, "step": number, "save_every": number, "cells": cells,
        "seed": whole, "sizes": many(whole), "replicas": one_or_many(whole),
        "compare_time": number,
    },
    "figure1": {
        "time": number, "step": number, "sizes": many(whole), "betas": many(number),
        "beta": number, "gamma": number, "alpha": number, "replicas": whole, "seed": whole,
        "saves": whole,
    },
}  # fmt: skip
# Mixtures of GANs (meanfield gan).
DATA = {
    "kind": one_of("ring", "mnist", "cifar10"), "modes": whole, "std": number, "radius": number,
    "folder": text, "part": one_of("train", "test"), "name": text,
}  # fmt: skip
NETWORK = {
    "kind": one_of("mlp", "dcgan", "resnet"), "width": whole, "depth": whole, "norm": truth,
    "bound": number,
}  # fmt: skip
GAME_OF_GAN = {"noise": whole, "clip": number, "penalty": number}
TRAIN = {
    "steps": whole, "step": number, "generators": whole, "critics": whole, "batch": whole,
    "fakes": whole, "rule": one_of(*RULES), "order": one_of(*ORDERS), "betas": many(number),
    "warm_up": whole,
    "average": number, "seed": whole, "save_every": whole,
    "scores": many(one_of(*NAMED), 0),
    "compile": truth, "device": text, "threads": whole,
}  # fmt: skip
SECTIONS: dict[str, Mapping[str, Check]] = {
    "game": {},
    "flow": {},
    "start": {"x": law, "y": law},
    "run": {**RUN, **PARTICLES, **FIELD},
    "compare": COMPARE,
    "check": CHECK,
    "figure": {**FIGURES["page"], **FIGURES["figure1"]},
    "gibbs": {"beta": pair_or_one(number), "cells": whole, "tol": number},
    "nash": {"tol": number, "rounds": whole, "seed": whole},
    "output": {"file": text, "checkpoint_every": number},
    "sweep": {},
    "data": DATA,
    "generator": NETWORK,
    "critic": NETWORK,
    "gan": GAME_OF_GAN,
    "train": TRAIN,
}
