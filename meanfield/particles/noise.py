"""Counter-based noise: any normal of any run can be had by its number alone.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
maps a counter of four 32-bit words to four random ones under a 64-bit key, the seed. Here

    counter = (number of the pair of particles, tick, 2 * coordinate + player, replica),

and Box-Muller makes its two 53-bit uniforms into the normals of particles 2q and 2q + 1. A tick is
one step of the Euler scheme or half a step of the Strang scheme. So the noise of a particle depends
neither on threads, nor on what was run before, nor on how many other particles there are. Games on
spheres are moved along axes of their own (`meanfield.particles.eigenbasis`), and so is the noise.

With `refine` = r the normal of tick t is (sum_{j < r} xi_{r t + j}) / sqrt(r): a run with step h
and refine 2 follows the Brownian path of a run with step h/2 and refine 1, and an Euler run with
refine 2r that of a Strang run with refine r. What differs between them is the bias of the time
step.
"""

from __future__ import annotations

import math

import numpy as np

from meanfield.checks import Array
from meanfield.jit import kernel
from meanfield.particles.simd import doubles, singles

# An empty tuple for no, (True,) for yes: a length is known before anything is compiled, and
# branches on the length of an argument that are not taken are left out.
Flag = tuple[()] | tuple[bool]


@kernel
def fill(
    single: Flag, Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int,
    refine: int,
) -> None:  # fmt: skip
    """Standard normals of `lanes` particles (a multiple of words.LANES), first, first + 1, ...
    (first even), in the rows of Z, of which there are as many as `rows` says.

    With refine > 1 coordinates are the upper half of the rows, the lower one is room.
    """
    if refine == 1:
        _once(single, Z, lanes, first, tick, player, replica, key)
        return
    half = len(Z) // 2
    _once(single, Z[:half], lanes, first, tick * refine, player, replica, key)
    for j in range(1, refine):
        _once(single, Z[half:], lanes, first, tick * refine + j, player, replica, key)
        for k in range(half):
            for i in range(lanes):
                Z[k, i] += Z[half + k, i]
    for k in range(half):
        for i in range(lanes):
            Z[k, i] /= math.sqrt(refine)


@kernel
def _once(
    single: Flag, Z: Array, lanes: int, first: int, tick: int, player: int, replica: int, key: int
) -> None:
    if len(single) > 0:
        singles.normals(Z, lanes, first, tick, player, replica, key)
    else:
        doubles.normals(Z, first, tick, player, replica, key)


def rows(single: Flag, coordinates: int, refine: int) -> int:
    """Rows of Z that `fill` needs: an even number where normals are single."""
    made = coordinates + coordinates % 2 if single else coordinates
    return made if refine == 1 else 2 * made


def initial_generator(seed: int, replica: int, player: int) -> np.random.Generator:
    """numpy's generator for the starting points of one player of one replica (Philox4x64, so no
    overlap).
    """
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, 2 * replica + player], dtype=np.uint64))
    )
