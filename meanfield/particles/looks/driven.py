"""A player whose opponent is a given mean field: the look of `meanfield.particles.copies`."""

from __future__ import annotations

from typing import Any, NamedTuple

from meanfield.checks import Array
from meanfield.jit import kernel
from meanfield.particles.looks.protocol import diffuse, push, see, set_cost
from meanfield.particles.primitives import Player, State


@kernel
def see_driven(look: Driven, s: State) -> None:
    see(look.own, s)


@kernel
def aim_driven(look: Driven, opponent: Driven) -> None:
    """The costs of a step are given: see `push`."""


@kernel
def push_driven(look: Driven, at: State, to: State, part: float, noise: float, k: int) -> float:
    """Also adds up by how much log W grows: by what is taken off to make the weights sum to one, and its mean cost.

    What the costs leave out, being the same for all particles, moved nothing.
    """
    j = k - look.first
    left_out = set_cost(look.own, look.C[j])
    shift = push(look.own, at, to, part, noise, k)
    if part == 1.0:
        look.growth[0] += shift + look.me.reaction * (look.means[j] - left_out)
    return shift


@kernel
def diffuse_driven(look: Driven, s: State, tick: int) -> None:
    diffuse(look.own, s, tick)


class Driven(NamedTuple):
    """A player's own look, and its costs in steps first, first + 1, ..."""

    me: Player
    own: Any
    C: Array  # coefficients of the costs in its features, (steps, K)
    means: Array  # of the costs under the player's own mean field, (steps,)
    first: int
    growth: Array  # (1,) of the logarithm of the total mass

    see = see_driven
    aim = aim_driven
    push = push_driven
    diffuse = diffuse_driven
