"""What a step asks of a look, in Python and in compiled code: the methods of its type.

A compiled look is a NamedTuple whose methods are kernels, which numba finds by the type; a look in Python is any
object with these methods. `meanfield.particles.algorithms` says what each of them is to do.
"""

from __future__ import annotations

import math
from typing import Any

from numba.extending import overload

from meanfield.jit import INSIDE, shared


def see(look: Any, s: Any) -> None:
    look.see(s)


def aim(look: Any, opponent: Any) -> None:
    look.aim(opponent)


def push(look: Any, at: Any, base: Any, to: Any, part: float, noise: float, k: int) -> Any:
    return look.push(at, base, to, part, noise, k)


def diffuse(look: Any, s: Any, tick: int) -> None:
    look.diffuse(s, tick)


def show(look: Any, s: Any, found: Any) -> None:
    look.show(s, found)


def set_cost(look: Any, c: Any) -> float:
    """Take coefficients c (K,) for the cost, for looks that have some; returns a constant that the cost leaves out."""
    return look.set_cost(c)  # type: ignore[no-any-return]


@shared
def deviation(look: Any) -> float:
    """Of the noise of one step, sqrt(2 gamma T dt)."""
    return math.sqrt(look.me.variance)


@overload(see, jit_options=INSIDE)
def _see(look: Any, s: Any) -> Any:
    method = look.instance_class.see
    return lambda look, s: method(look, s)


@overload(aim, jit_options=INSIDE)
def _aim(look: Any, opponent: Any) -> Any:
    method = look.instance_class.aim
    return lambda look, opponent: method(look, opponent)


@overload(push, jit_options=INSIDE)
def _push(look: Any, at: Any, base: Any, to: Any, part: Any, noise: Any, k: Any) -> Any:
    method = look.instance_class.push
    return lambda look, at, base, to, part, noise, k: method(look, at, base, to, part, noise, k)


@overload(diffuse, jit_options=INSIDE)
def _diffuse(look: Any, s: Any, tick: Any) -> Any:
    method = look.instance_class.diffuse
    return lambda look, s, tick: method(look, s, tick)


@overload(show, jit_options=INSIDE)
def _show(look: Any, s: Any, found: Any) -> Any:
    method = look.instance_class.show
    return lambda look, s, found: method(look, s, found)


@overload(set_cost, jit_options=INSIDE)
def _set_cost(look: Any, c: Any) -> Any:
    method = look.instance_class.set_cost
    return lambda look, c: method(look, c)
