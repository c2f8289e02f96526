"""Games, flows and starts on their way to other processes, and digests of what decides a result."""

from __future__ import annotations

import hashlib
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.describe import Described, describe, known_by_name, rebuild
from meanfield.games.base import Game
from meanfield.start import Start

KEPT = 16  # objects that a worker keeps ready
_opened: OrderedDict[str, Any] = OrderedDict()
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Packed:
    """An object as plain data with their digest; one that holds a Python function, as it is.

    Functions are left to the executor: by their place in a module (processes), or by value
    (loky, Dask and others that use cloudpickle).
    """

    token: str
    content: Any

    def open(self) -> Any:
        """The object; made once in every process, since formulas are compiled."""
        if not self.token:
            return self.content
        with _one_at_a_time:
            if self.token not in _opened:
                _opened[self.token] = rebuild(self.content)
                while len(_opened) > KEPT:
                    _opened.popitem(last=False)
            _opened.move_to_end(self.token)
            return _opened[self.token]


def pack(value: Any) -> Packed:
    """See `Packed`; ValueError for a function that no other process could find by its name."""
    plain = describe(value)
    if not known_by_name(plain):
        return Packed(digest(plain), plain)
    return Packed("", value)


def check_findable(value: Any, pool: Any) -> None:
    """ValueError where `value` holds a function that the pool's processes cannot find by its name.

    Those of `concurrent.futures` are told a function's place in its module, and no more.
    """
    if not type(pool).__module__.startswith("concurrent.futures"):
        return
    for function in functions_of(value):
        module, name = function.__module__, function.__qualname__
        typed = module == "__main__" and not hasattr(sys.modules["__main__"], "__file__")
        if "<" in name or typed:
            raise ValueError(
                f"the function {name!r} stands in no file that another process could import: "
                "define it at the top of a module, or use an executor that sends functions by "
                "value, such as loky's or Dask's"
            )


def threads_for(threads: int | None, *held: Any) -> int | None:
    """The threads asked for; one, where none are and some of these hold functions of a user, which
    may not be made for several.
    """
    if threads is None:
        with suppress(TypeError):  # whoever runs these tells what is wrong with them
            return 1 if known_by_name(describe(list(held))) else None
    return threads


def functions_of(value: Any) -> Iterator[Any]:
    """The Python functions in a game of functions, or in a start."""
    held = [getattr(value, name, None) for name in ("function", "x", "y")]
    for item in [*held, *getattr(value, "gradients", ())]:
        if hasattr(item, "__qualname__") and hasattr(item, "__module__"):
            yield item


def digest(plain: Any) -> str:
    """A SHA-256 of plain data: types, keys, text, and every number to its last bit."""
    into = hashlib.sha256()
    for piece in _pieces(plain):
        into.update(struct.pack("<q", len(piece)) + piece)
    return into.hexdigest()


def _pieces(plain: Any) -> Iterator[bytes]:
    if isinstance(plain, np.ndarray):
        yield from (b"array", plain.dtype.str.encode(), repr(plain.shape).encode())
        yield plain.tobytes()
    elif isinstance(plain, Described):
        yield from (b"kind", plain.kind.encode())
        content = plain.content
        if plain.kind == "LowRank":  # the arrays are the game, however it was made
            content = {**content, "recipe": None}
        yield from _pieces(content)
    elif isinstance(plain, dict):
        yield b"table"
        for key in sorted(plain):
            yield key.encode()
            yield from _pieces(plain[key])
        yield b"end"
    elif isinstance(plain, (list, tuple)):
        yield b"row"
        for item in plain:
            yield from _pieces(item)
        yield b"end"
    elif isinstance(plain, float):
        yield b"float" + struct.pack("<d", plain)
    else:
        yield f"{type(plain).__name__} {plain!r}".encode()


def fingerprint(game: Game, start: Start | None = None) -> list[Any]:
    """What tells a game and a start apart that hold functions: their values at fixed points.

    Losses at 12 x 12 points, initial densities at 12; empty where plain data say all.
    """
    rng, found = np.random.default_rng(20), []
    if known_by_name(describe(game)):
        found.append(game.loss(game.X.sample(12, rng), game.Y.sample(12, rng)))
    if start is not None and known_by_name(describe(start)):
        pairs = zip((start.x, start.y), start.laws(game.X, game.Y), game.manifolds, strict=True)
        found += [law.density(M.sample(12, rng)) for given, law, M in pairs if callable(given)]
    return found
