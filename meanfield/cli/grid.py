"""The [sweep] section: dotted keys of the file with the values they go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from meanfield.cli.schema import (
    SECTIONS,
    BadInput,
    Check,
    Key,
    many,
    nearest,
    number,
    one_of,
    text,
    whole,
)
from meanfield.cli.spec import Spec
from meanfield.studies.sweep.axes import MOST, Axis, axis, check_number

# The commands that can be swept, and the sections each reads besides its own.
READS = {
    **dict.fromkeys(("run", "compare", "check"), ("game", "flow", "start")),
    "gibbs": ("game", "flow"), "nash": ("game",),
}  # fmt: skip
COMMANDS = tuple(READS)
LIKE = (
    "must be a list such as [1, 5], or {range = [0, 20]}, {linspace = [0, 1, 11]}, "
    "{logspace = [1, 100, 9]}"
)
SETTINGS: dict[str, Check] = {
    "command": one_of(*COMMANDS), "keep": one_of("numbers", "all"), "folder": text,
    "replicas": whole,
}  # fmt: skip


def settings_of(spec: Spec) -> dict[str, Any]:
    """What [sweep] says besides its keys: command, keep, folder, replicas."""
    section = spec.content.get("sweep")
    if not section:
        raise BadInput(
            f'{spec.path}: there is no [sweep]; write one with lines such as "flow.beta" = [1, 5]'
        )
    found: dict[str, Any] = {"keep": "numbers"}
    for key in SETTINGS.keys() & section.keys():
        try:
            found[key] = SETTINGS[key](section[key])
        except BadInput as error:
            raise spec.fail(("sweep", key), str(error)) from None
    if "command" not in found:
        there = [name for name in COMMANDS if name in spec.content]
        if len(there) != 1:
            which = ", ".join(f"[{name}]" for name in there) or "none of its sections"
            raise spec.fail(
                ("sweep",), f'command is missing: the file has {which}; write command = "run"'
            )
        found["command"] = there[0]
    return found


def axes_of(spec: Spec) -> list[Axis]:
    """The axes, in the order of the file, replicas last. BadInput says which line is wrong."""
    settings, axes = settings_of(spec), []
    lengths: list[int] = []
    for key, value in _leaves(spec, spec.content["sweep"], ()):
        names = [name.strip() for name in ".".join(key).split(",")]
        for name in names:
            _check_name(spec, ("sweep", *key), name, settings["command"])
        try:
            axes.append(axis(",".join(names), _values(value)))
            check_number([*lengths, len(axes[-1].values)])
        except ValueError as error:
            raise spec.fail(("sweep", *key), str(error)) from None
        lengths.append(len(axes[-1].values))
    if "replicas" in settings:
        axes.append(_replicas(spec, settings, lengths))
    if not axes:
        raise spec.fail(("sweep",), 'holds no key to go through, such as "flow.beta" = [1, 5]')
    return axes


def _leaves(spec: Spec, table: dict[str, Any], above: Key) -> Iterator[tuple[Key, Any]]:
    """Keys with their values, whether written "flow.beta" or flow.beta."""
    for name, value in table.items():
        if not above and name in SETTINGS:
            continue
        key = (*above, *(part.strip() for part in name.split(".")))
        if isinstance(value, dict) and not (len(value) == 1 and set(value) <= set(RANGES)):
            if not value or len(key) > 8:
                raise spec.fail(("sweep", *key), "must be a list or a range")
            yield from _leaves(spec, value, key)
        else:
            yield key, value


def _check_name(spec: Spec, at: Key, name: str, command: str) -> None:
    """BadInput for a key that the command does not read."""
    first, *rest = name.split(".")
    allowed = (*READS[command], command)
    if not rest:
        hint = nearest(name, SETTINGS)
        raise spec.fail(at, f"{name!r} is no key; write section.key, such as flow.beta{hint}")
    if first not in allowed:
        other = f"; command = {first!r} reads it" if first in COMMANDS else nearest(first, allowed)
        raise spec.fail(at, f"{command} does not read [{first}]{other}")
    if command == "gibbs" and first == "flow" and "beta" in spec.content.get("gibbs", {}):
        raise spec.fail(at, "changes nothing: beta is given in [gibbs]; sweep gibbs.beta")
    known = SECTIONS[first]
    if first in COMMANDS and len(rest) > 1 and rest[0] in known:
        raise spec.fail(at, f"[{first}] holds no tables; {LIKE}")
    if known and rest[0] not in known:
        raise spec.fail(at, f"[{first}] has no key {rest[0]!r}{nearest(rest[0], known)}")


def _range(given: list[Any]) -> list[int]:
    if not 1 <= len(given) <= 3:
        raise BadInput(f"range must be [stop], [start, stop] or [start, stop, step], got {given!r}")
    numbers = [whole(v) for v in given]
    if len(numbers) == 3 and numbers[2] == 0:
        raise BadInput("range must have a step other than 0")
    values = range(*numbers)
    if not values:
        raise BadInput(f"range {given!r} is empty")
    _few(len(values))
    return list(values)


def _spaced(given: list[Any], logarithmic: bool) -> list[float]:
    name = "logspace" if logarithmic else "linspace"
    if len(given) != 3:
        raise BadInput(f"{name} must be [first, last, how many], got {given!r}")
    low, high, count = number(given[0]), number(given[1]), whole(given[2])
    if count < 1 or not np.isfinite([low, high]).all():
        raise BadInput(f"{name} needs finite ends and one value or more, got {given!r}")
    if logarithmic and min(low, high) <= 0:
        raise BadInput(f"logspace needs ends above 0, got {given!r}")
    _few(count)
    values = (np.geomspace if logarithmic else np.linspace)(low, high, count)
    return [float(f"{v:.15g}") for v in values]  # 16, not 15.999999999999993


def _few(count: int) -> None:
    if count > MOST:
        raise BadInput(f"has {count:.3g} values, more than {MOST:,}")


RANGES: dict[str, Callable[[list[Any]], list[Any]]] = {
    "range": _range,
    "linspace": lambda given: _spaced(given, False),
    "logspace": lambda given: _spaced(given, True),
}


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        ((name, given),) = value.items()
        if not isinstance(given, list):
            raise BadInput(f"{name} must be a list, got {given!r}")
        return RANGES[name](given)
    if not isinstance(value, list):
        raise BadInput(f"{LIKE}, got {value!r}")
    return many(lambda v: v)(value)


def _replicas(spec: Spec, settings: dict[str, Any], lengths: list[int]) -> Axis:
    """replicas = R: the runs of particles 0, ..., R - 1."""
    at = ("sweep", "replicas")
    level = spec.content.get("run", {}).get("level", "field")
    if settings["command"] != "run" or level != "particles":
        raise spec.fail(at, 'is for level = "particles" of [run]; elsewhere sweep the seed')
    count = settings["replicas"]
    if count < 1:
        raise spec.fail(at, f"must be at least 1, got {count}")
    try:
        check_number([*lengths, count])
    except ValueError as error:
        raise spec.fail(at, str(error)) from None
    return axis("run.replica", range(count))


def substituted(spec: Spec, labels: dict[str, Any]) -> Spec:
    """The file with these values in their places; its errors name the line in [sweep]."""
    content, lines = dict(spec.content), dict(spec.lines)
    for name, value in labels.items():
        *above, last = name.split(".")
        place: dict[str, Any] = content
        for k, part in enumerate(above):
            held = place.get(part, {})
            if not isinstance(held, dict):
                key = tuple(above[: k + 1])
                raise spec.fail(key, f"is a value, not a table, so that {name} cannot be swept")
            place[part] = dict(held)
            place = place[part]
        place[last] = value
        key = tuple(name.split("."))
        lines[key] = _line(spec, name)
        for k in range(2, len(key)):
            lines.setdefault(key[:k], lines[key])
    return replace(spec, content=content, lines=lines)


def _line(spec: Spec, name: str) -> int:
    """Where [sweep] gives a key, alone or with others; the section's own line for replicas."""
    for key, line in spec.lines.items():
        if key[:1] == ("sweep",) and name in [n.strip() for n in ".".join(key[1:]).split(",")]:
            return line
    return spec.lines.get(("sweep", "replicas"), spec.lines.get(("sweep",), 0))
