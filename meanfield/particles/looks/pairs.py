"""The look of games that hand their forces in: all pairs of particles, whatever the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.cores import by_threads, shares
from meanfield.measures import Measure
from meanfield.particles.players import Player, State, scratch
from meanfield.particles.primitives import kick, push_along
from meanfield.particles.state import blocked, flat

SHARE = 1024  # atoms of x that a thread takes at a time, at most
Forces = tuple[Array, Array]  # costs (n,) and gradients (n, a) of one player


class Pairs:
    """A player whose n particles move along the forces that a game finds between the particles of
    both.

    game: anything with `both_forces(x, y, w_x, w_y)`, which visits each pair once for both players,
    with `forces(p, points, nodes, masses)`, or with a game's `cost` and `gradient`.
    """

    threads = 1  # that find the forces
    ahead: Forces | None = None  # at the particles seen next, where a save has found them already

    def __init__(self, game: Any, me: Player, s: State, n: int) -> None:
        self.game, self.me, self.n, self.r = game, me, n, scratch(me, s)
        self.found: Forces | None = None

    def see(self, s: State) -> None:
        self.points, self.masses = flat(s.x, self.n), s.w.ravel()[: self.n]
        self.found, self.ahead = self.ahead, None

    def aim(self, opponent: Pairs) -> None:
        # Whoever is first finds the forces of both.
        if self.found is None:
            one, two = (self, opponent) if self.me.number == 0 else (opponent, self)
            one.found, two.found = pair_forces(
                self.game, (one.points, two.points), (one.masses, two.masses), self.threads
            )

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        """Returns what `reweigh` took off the log-weights."""
        if part == 0.0:
            to.logw[:], to.x[:] = self.forces()
            return 0.0
        return self.along(*self.forces(), at, to, part, noise, k)

    def follow(self, forces: State, s: State, k: int) -> None:
        self.along(forces.logw, forces.x, s, s, 1.0, 0.0, k)

    def along(
        self, U: Array, G: Array, base: State, to: State, part: float, noise: float, k: int
    ) -> float:
        return push_along(self.me, U, G, base, to, part, noise, k, self.r)

    def diffuse(self, s: State, tick: int) -> None:
        kick(self.me, s, tick, self.r)

    def forces(self) -> Forces:
        """Costs (blocks, lanes) and gradients (blocks, a, lanes)."""
        U, G = self.found  # type: ignore[misc]
        return blocked(U[:, None])[:, 0, :].copy(), blocked(G)


def pair_forces(game: Any, points: Any, masses: Any, threads: int = 1) -> Any:
    """Costs (n,) and gradients (n, a) of both players against each other's atoms.

    Threads take up to `SHARE` atoms of x at a time; what y's atoms feel from each share is added in
    the order of shares, whoever took them.
    """
    if hasattr(game, "both_forces"):
        (x, y), (v, w) = points, masses
        held = shares(len(x), -(-len(x) // SHARE))
        if len(held) == 1 or getattr(game, "shares_pairs", False):
            return game.both_forces(x, y, v, w)
        sums = by_threads(lambda s: game.both_forces(x[s], y, v[s], w), held, threads)
        own = tuple(np.concatenate([one[k] for one, _ in sums]) for k in (0, 1))
        return own, tuple(sum(two[k] for _, two in sums) for k in (0, 1))
    return [forces_against(game, p, points[p], points[1 - p], masses[1 - p]) for p in range(2)]


def forces_against(game: Any, p: int, points: Array, nodes: Array, masses: Array) -> Forces:
    """Cost (n,) and gradient (n, a) of player p at points against atoms of the opponent."""
    if hasattr(game, "forces"):
        return game.forces(p, points, nodes, masses)  # type: ignore[no-any-return]
    opponent = Measure(nodes, masses / masses.sum(), game.manifolds[1 - p])
    return game.cost(p, points, opponent), game.gradient(p, points, opponent)


class Averaged(Pairs):
    """A player of a low-rank game with memory: its cost is that against the opponent's averaged
    moments.
    """

    mean: Array | None = None  # of the player's own moments over all steps so far, (K,)

    def moments(self, s: State) -> Array:
        """The player's own, (K,)."""
        return self.game.moments(self.me.number, flat(s.x, self.n), s.w.ravel()[: self.n])

    def aim(self, opponent: Any) -> None:
        p = self.me.number
        c = self.game.coefficients(p, opponent.mean)
        basis = self.game.bases[p]
        self.found = basis.values(self.points) @ c, basis.gradient(self.points, c)
