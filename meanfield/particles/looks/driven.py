"""A player whose opponent is a given mean field: the look of `meanfield.particles.copies`."""

from __future__ import annotations

from typing import Any, NamedTuple

from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.particles.looks.protocol import diffuse, push, see, set_cost
from meanfield.particles.players import Player, State


@bundle
class Driven(NamedTuple):
    """A player's own look, and its costs in steps first, first + 1, ..."""

    me: Player
    own: Any
    C: Array  # coefficients of the costs in its features, (steps, K)
    means: Array  # of the costs under the player's own mean field, (steps,)
    first: int
    growth: Array  # (1,) of the logarithm of the total mass

    def see(self, s: State) -> None:
        see(self.own, s)

    def aim(self, opponent: Driven) -> None:
        """The costs of a step are given: see `push`."""

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        """Also adds up by how much log W grows: by what made the weights sum to one, and the mean
        of the cost.

        What the costs leave out, being the same for all particles, moved nothing.
        """
        j = k - self.first
        left_out = set_cost(self.own, self.C[j])
        shift: float = push(self.own, at, to, part, noise, k)
        if part == 1.0:
            self.growth[0] += shift + self.me.reaction * (self.means[j] - left_out)
        return shift

    def diffuse(self, s: State, tick: int) -> None:
        diffuse(self.own, s, tick)
