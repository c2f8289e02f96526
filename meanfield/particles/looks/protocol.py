"""What a step asks of a look, in Python and in compiled code: the methods of its type.

A compiled look is a NamedTuple whose methods are kernels, which numba finds by the type; a look in
Python is any object with these methods. `meanfield.particles.algorithms` says what each of them is
to do.
"""

from __future__ import annotations

import math
from typing import Any

from numba.extending import overload

from meanfield.jit import inside, shared


def see(look: Any, s: Any) -> None:
    look.see(s)


def aim(look: Any, opponent: Any) -> None:
    look.aim(opponent)


def push(look: Any, at: Any, to: Any, part: float, noise: float, k: int) -> Any:
    return look.push(at, to, part, noise, k)


def follow(look: Any, forces: Any, s: Any, k: int) -> None:
    look.follow(forces, s, k)


def diffuse(look: Any, s: Any, tick: int) -> None:
    look.diffuse(s, tick)


def set_cost(look: Any, c: Any) -> float:
    """Take coefficients c (K,) for the cost, for looks that have some; returns a constant that the
    cost leaves out.
    """
    return look.set_cost(c)  # type: ignore[no-any-return]


@shared
def deviation(look: Any) -> float:
    """Of the noise of one step, sqrt(2 gamma T dt)."""
    return math.sqrt(look.me.variance)


def _compiled(function: Any) -> None:
    """In kernels these are the methods of the type of a look."""

    @overload(function, jit_options=inside(), strict=False)  # type: ignore[untyped-decorator]
    def method(look: Any, *rest: Any) -> Any:
        return getattr(look.instance_class, function.__name__)


for _function in (see, aim, push, follow, diffuse, set_cost):
    _compiled(_function)
