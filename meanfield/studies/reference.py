"""Runs of many particles in the mean field's place, where no W2 to a density is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.particles.ensemble import ensemble
from meanfield.start import Start
from meanfield.trajectory import Trajectory

REPLICAS = 4  # of either size
FURTHER = 8  # particles over the largest n
FIRST = 1 << 31  # their replicas' numbers, which no comparison's replicas have


@dataclass(frozen=True, eq=False)
class References:
    """Replicas of N particles, and of half as many."""

    full: list[Trajectory]
    half: list[Trajectory]

    @property
    def times(self) -> Array:
        return self.full[0].times


def has_exact_distance(M: Manifold) -> bool:
    """Whether W2 between atoms and a density is found on this manifold, not bounded."""
    return isinstance(M, (Torus, Sphere)) and M.dim <= 2


def reference_size(game: Game, sizes: Sequence[int], asked: int | None, field: Any) -> int | None:
    """How many particles stand for the mean field; None where it is solved.

    field: what is asked of the mean field, which leaves it a field where nothing else is said.
    """
    solved = any(value is not None for value in field.values())
    if asked is None:
        exact = all(map(has_exact_distance, game.manifolds))
        return None if exact or solved else FURTHER * max(sizes)
    if solved:
        raise ValueError("cells, engine and tol are a mean field's; leave out them or reference")
    N = whole("reference", asked)
    if N % 2 or 4 * max(sizes) > N:
        raise ValueError(
            f"reference must be even and at least 4 times the largest n, {4 * max(sizes):,}, "
            f"got {N:,}"
        )
    return N


def references(
    game: Game, flow: Flow, start: Start, N: int, seed: int, options: dict[str, Any]
) -> References:
    """The runs that are compared with."""
    numbers = [FIRST + r for r in range(REPLICAS)]

    def of(n: int) -> list[Trajectory]:
        how = {**options, "particles": n, "seed": seed_of(seed, n)}
        return list(ensemble(game, flow, start, replicas=numbers, progress=False, **how))

    return References(of(N), of(N // 2))


def nearer(full: Array, half: Array) -> Array:
    """Distances from N and from N/2 particles, without what is of first order in 1/N."""
    return 2 * full - half


def seed_of(seed: int, n: int) -> int:
    """The seed of all replicas of n particles, which depends on n and not on other sizes."""
    return int(np.random.SeedSequence([seed, n]).generate_state(1, np.uint64)[0])
