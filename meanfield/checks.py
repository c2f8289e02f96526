"""Checks of input: each says what was wrong, where, and what to do."""

from __future__ import annotations

import difflib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import signature
from itertools import chain
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Given = ParamSpec("Given")
Made = TypeVar("Made")
_PACKAGE = os.path.dirname(__file__) + os.sep
LARGEST = 1e100  # of whole numbers
DEEPEST = 64  # lists within lists, as numpy's arrays have axes


class UnderResolved(UserWarning):
    """A mesh, a number of modes or a step is too coarse for the solution it carries."""


class NotConverged(RuntimeError):
    """An iteration ended above its tolerance; its value is withheld rather than returned."""


def warn(message: str, category: type[Warning] = UnderResolved) -> None:
    """Warn where the package was called, however deep inside it this is."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def allow_underflow(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """The function, for callers who made numpy raise: what underflows in it is as good as zero."""

    @wraps(function)
    def call(*args: Given.args, **options: Given.kwargs) -> Made:
        with np.errstate(under="ignore"):
            return function(*args, **options)

    return call


# What is often written for the package's words: symbols of the paper, and words of other packages.
_SYNONYMS = {
    "T": "time", "t": "time", "t_end": "time", "horizon": "time", "dt": "step", "h": "step",
    "n": "particles", "N": "particles", "width": "std", "sigma": "std", "variance": "std",
    "nodes": "cells", "grid": "cells", "modes": "cells", "method": "engine", "solver": "engine",
    "rng": "seed", "random_state": "seed", "rtol": "tol", "initial": "start", "workers": "threads",
}  # fmt: skip


def nearest(name: str, known: Iterable[str], alike: float = 0.5) -> str:
    """The known name that was most likely meant; empty where none is like it."""
    names = list(known)
    if (meant := _SYNONYMS.get(name)) in names:
        return str(meant)
    lower = {other.lower(): other for other in reversed(names)}
    near = difflib.get_close_matches(name.strip().lower(), list(lower), 1, alike)
    return lower[near[0]] if near else ""


def known_name(name: str, value: Any, known: Iterable[str]) -> str:
    """`value`, one of the known names; ValueError for anything else."""
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    what = f'"{names[0]}" or "{names[1]}"' if len(names) == 2 else f"one of {', '.join(names)}"
    meant = nearest(value, names) if isinstance(value, str) else ""
    hint = f"; did you mean {meant!r}?" if meant else ""
    raise ValueError(f"{name} must be {what}, got {value!r}{hint}")


def automatic(name: str, value: Any) -> str | bool:
    """`value`, which is "auto", True or False; ValueError for anything else."""
    if isinstance(value, bool) or (isinstance(value, str) and value == "auto"):
        return value
    raise ValueError(f'{name} must be "auto", True or False, got {value!r}')


def truth(name: str, value: Any) -> bool:
    """`value`, which is True or False; TypeError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def a_generator(name: str, value: Any) -> np.random.Generator:
    """`value`, numpy's generator of random numbers; TypeError for anything else."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(
            f"{name} must be a numpy generator such as numpy.random.default_rng(0), got {value!r}"
        )
    return value


def known_keywords(
    options: Iterable[str] = (), gone: Mapping[str, str] | None = None
) -> Callable[[Callable[Given, Made]], Callable[Given, Made]]:
    """The function, which tells a mistyped keyword itself, with the name that was meant.

    options: the names that it takes as **options. gone: what to do instead of names that it once
    took. Calls raise TypeError; the function's `keywords` are the names that it takes.
    """

    def checked(function: Callable[Given, Made]) -> Callable[Given, Made]:
        parameters = signature(function).parameters
        known = [*(n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD), *options]

        @wraps(function)
        def call(*args: Given.args, **given: Given.kwargs) -> Made:
            refuse_unknown(function.__name__, given, known, gone)
            return function(*args, **given)

        vars(call)["keywords"] = known
        return call

    return checked


def refuse_unknown(
    call: str, given: Iterable[str], known: Sequence[str], gone: Mapping[str, str] | None = None
) -> None:
    """TypeError for the first name given that a call does not take, with what was meant."""
    for name in given:
        if name not in known:
            near = nearest(name, known, 0.6)
            hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(known)}"
            hint = (gone or {}).get(name, hint)
            raise TypeError(f"{call}() has no argument {name!r}; {hint}")


def reals(value: Any) -> NDArray[Any]:
    """`value` as an array that floats can be made of.

    Raises TypeError for text, truth values and complex numbers, which numpy would turn into floats,
    and for masked arrays, whose mask it would drop.
    """
    array = unmasked(value)
    if array.dtype.kind == "O":
        _check_kinds(set(map(type, array.flat)))
    elif array.dtype.kind in "iuf" and isinstance(value, (list, tuple)):
        _check_kinds(_kinds(value))  # numpy makes numbers of what stands among numbers
    if array.dtype.kind not in "iufO":
        what, advice = _NOT_REAL.get(array.dtype.kind, (f"{array.dtype.name} entries", ""))
        raise TypeError(f"it holds {what}{advice}")
    return array


def _check_kinds(kinds: set[type]) -> None:
    """TypeError for types of entries that floats are made of, but that are no numbers."""
    if _among(kinds, str, bytes, bool, np.bool_, type(None)):
        raise TypeError("it holds text, truth values or None")
    if _among(kinds, np.timedelta64):
        raise TypeError("it holds spans of time")


# Kinds of numpy's arrays that hold no real numbers: what they hold, and what to do.
_TEXT = ("text", "; numbers that were read as text become numbers by np.asarray(value, float)")
_NOT_REAL = {
    "U": _TEXT,
    "S": _TEXT,
    "T": _TEXT,
    "b": ("truth values", "; np.asarray(value, float) makes them 0 and 1"),
    "c": ("complex numbers", "; give their real part, value.real"),
    "M": ("dates", ""),
    "m": ("spans of time", ""),
    "V": ("records", "; give one field of them, value[name]"),
}


def unmasked(value: Any) -> NDArray[Any]:
    """`value` as an array of any kind; TypeError where a mask would be dropped."""
    masked = isinstance(value, np.ma.MaskedArray)
    if masked or (isinstance(value, (list, tuple)) and _among(_kinds(value), np.ma.MaskedArray)):
        raise TypeError(
            "it is a masked array; give the entries that count, such as value.compressed()"
        )
    return np.asarray(value)


def _kinds(value: Any) -> set[type]:
    """The types of what stands in a list or a tuple, and in those within it; of an array's
    entries, too.
    """
    found: set[type] = set()
    level = [value]
    for _ in range(DEEPEST):
        kinds = set(map(type, level))
        found |= kinds
        if _among(kinds, np.ndarray):
            found |= {part.dtype.type for part in level if isinstance(part, np.ndarray)}
        if not _among(kinds, list, tuple):
            break
        level = list(chain.from_iterable(v for v in level if isinstance(v, (list, tuple))))
    return found


def _among(kinds: Iterable[type], *wanted: type) -> bool:
    return any(issubclass(kind, wanted) for kind in kinds)


def _number(value: Any) -> Any:
    """The array without axes that a number is; TypeError or ValueError for anything else."""
    array = reals(value)
    if array.ndim:
        raise TypeError("it has entries")
    return array


def as_tuple(value: Any) -> Any:
    """The entries of an array, a list or a tuple, and theirs, as a tuple; anything else as it
    is.
    """
    several = isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim)
    return tuple(map(as_tuple, value)) if several else value


def one_or_two(
    name: str, value: Any, checked: Callable[[Any], Made], what: str = "number"
) -> tuple[Made, Made]:
    """One of what is checked for both players, or one for each of them, as a pair."""
    given = as_tuple(value)
    values = given if isinstance(given, tuple) else (given, given)
    if len(values) != 2:
        raise ValueError(f"{name} must be one {what} or two (for x, for y), got {value!r}")
    return checked(values[0]), checked(values[1])


def finite_array(name: str, value: ArrayLike, shape: Sequence[int | None] | None = None) -> Array:
    """`value` as a float64 array; `shape` gives the wanted sizes, None standing for any size.

    Raises TypeError when it holds no numbers, ValueError for a wrong shape or for NaN and
    infinite entries (naming the first).
    """
    try:
        array = np.asarray(reals(value), dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"{name} must be an array of real numbers, got {type(value).__name__}: {error}"
        ) from None
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            want is None or have == want for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
            raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}{list(where)} is {array[where]}; every entry must be finite")
    return array


def precision(value: ArrayLike) -> float:
    """The relative rounding of numbers as they are given: 2^-52, more for single and half
    precision.
    """
    dtype = np.asarray(value).dtype
    return float(np.finfo(dtype).eps) if dtype in (np.float32, np.float16) else 2.0**-52


def read_only(array: Array) -> Array:
    """The same numbers as a user's function may see them: writing to them raises ValueError."""
    view = array.view()
    view.flags.writeable = False
    return view


def real(name: str, value: Any, low: float | None = None, *, strict: bool = False) -> float:
    """`value` as a finite float, at least `low` (above it when `strict`).

    A number of single or half precision is the decimal number that it is written as: 0.1, not
    0.10000000149.
    """
    try:
        given = _number(value)
        short = given.dtype in (np.float32, np.float16)
        number = float(str(given[()]) if short else given)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if low is not None and (number < low or (strict and number == low)):
        raise ValueError(
            f"{name} must be {'above' if strict else 'at least'} {low:g}, got {number:g}"
        )
    return number


def whole(name: str, value: Any, low: float = 1) -> int:
    """`value` as an int, at least `low` and below 1e100 in size; a float with a fractional part is
    refused.
    """
    try:
        number = int(_number(value))
        exact = bool(number == value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    except (ValueError, OverflowError):  # NaN, infinities, ragged lists
        exact = False
    if not exact:
        shown = value.item() if isinstance(value, np.generic) else value
        raise ValueError(f"{name} must be a whole number, got {shown!r}")
    if abs(number) >= LARGEST:
        digits = int(number.bit_length() * math.log10(2)) + 1
        raise ValueError(f"{name} must be below {LARGEST:g}, got a number of {digits} digits")
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    return number


def memory() -> float:
    """Bytes that this process may have: the machine's, or the limit set for it; infinite where
    unknown.
    """
    held = math.inf
    if hasattr(os, "sysconf"):
        held = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        import resource
    except ImportError:  # not a Unix
        return held
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return held if limit == resource.RLIM_INFINITY else min(held, float(limit))


def within_memory(what: str, needed: float, advice: str) -> None:
    """ValueError where `needed` bytes for `what` are more than four fifths of the memory."""
    held = memory()
    if needed > 0.8 * held:
        raise ValueError(
            f"{what} need {needed / 1e9:.3g} GB, this machine has {held / 1e9:.3g} GB; {advice}"
        )
