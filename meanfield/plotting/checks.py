"""What drawing functions are given: each refusal says what was wrong and what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import numpy as np

from meanfield.checks import Given, Made, known_keywords, known_name, real, truth, whole

VIEWS = ("map", "3d")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {value!r}")
    return value


def _color(name: str, value: Any) -> Any:
    from matplotlib.colors import is_color_like

    if isinstance(value, np.ma.MaskedArray) or not is_color_like(value):
        raise ValueError(
            f'{name} must be a colour of matplotlib, such as "tab:blue" or "#0072B2", got {value!r}'
        )
    return value


# How the options of drawing functions are checked, by name; each check returns what is drawn with.
OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "atoms": truth, "bins": whole, "color": _color, "label": _text, "name": _text,
    "number": _text, "snapshots": whole, "spread": truth, "symbol": _text, "title": _text,
    "top": lambda name, value: real(name, value, 0.0, strict=True),
    "view": lambda name, value: known_name(name, value, VIEWS),
}  # fmt: skip


def draws(
    what: str, *holds: str, kind: type = object, options: tuple[str, ...] = ()
) -> Callable[[Callable[Given, Made]], Callable[Given, Made]]:
    """A drawing function, which tells what it cannot draw, and options it does not take or know.

    what: what it draws, which is of this kind and `holds` such attributes. options: the names that
    it takes as **options. Calls raise TypeError or ValueError; None stands where it is the default.
    """

    def checked(function: Callable[Given, Made]) -> Callable[Given, Made]:
        drawing = signature(function)
        first, *_ = drawing.parameters
        defaults = {name: p.default for name, p in drawing.parameters.items()}

        @wraps(function)
        def call(*args: Given.args, **given: Given.kwargs) -> Made:
            try:
                found = drawing.bind(*args, **given)
            except TypeError as error:
                raise TypeError(f"{function.__name__}(): {error}") from None
            value = found.arguments[first]
            if not isinstance(value, kind) or not all(hasattr(value, name) for name in holds):
                got = type(value).__name__
                raise TypeError(f"{function.__name__} draws {what}, got {got}")
            for name, value in found.arguments.items():
                if name in OPTIONS and (value is not None or defaults[name] is not None):
                    found.arguments[name] = OPTIONS[name](name, value)
            return function(*found.args, **found.kwargs)

        return known_keywords(options)(call)

    return checked
