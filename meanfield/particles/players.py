"""What kernels know of a player: its constants, its particles and room to work in.

Particles of a player stand in blocks, x (blocks, a, lanes): one processor lane a particle. What
pads the last block has weight zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.aligned import copied, zeros
from meanfield.bundles import bundle
from meanfield.checks import Array
from meanfield.particles.noise import Flag, rows

# Of a block, at most: a multiple of product.TILE. Rows a power of two apart would share few places
# of the first cache.
LANES = 112


@bundle
class Player(NamedTuple):
    """What does not change for a player: manifold, features, the game's map, rates times dt,
    noise.
    """

    number: int
    sphere: Flag
    period: float
    # Wave vectors (J, d) on a torus, the form S (d, d) on a sphere, (1, d) where it is diagonal.
    matrix: Array
    modes: Array  # (J, d) whole numbers, the wave vectors over 2 pi / period; empty on a sphere
    top: Array  # (d,) the highest power of each angle that is tabulated, -1 for none
    squares: bool  # whether the opponent asks for the means of the squared coordinates of a sphere
    map: Array  # (K_p, K_opponent): c = map @ moments of the opponent
    transport: float  # gamma dt
    reaction: float  # alpha dt
    variance: float  # 2 gamma temperature dt
    seed: np.uint64
    replica: int
    refine: int
    single: Flag  # whether the noise is that of `simd.singles`, or of `simd.doubles`
    first: int  # the number of the first block that this thread moves
    size: int  # of its team
    gate: Array  # where the team meets


@bundle
class Scratch(NamedTuple):
    """Working arrays that move one player's blocks."""

    UG: Array  # cost and gradient (1 + a, lanes)
    Z: Array  # normals, then on a sphere the change of positions (a or more, lanes)
    t: Array  # (lanes,)
    u: Array  # (lanes,)


@bundle
class State(NamedTuple):
    """What moves: positions (blocks, a, lanes), log-weights, weights and their running sum (blocks,
    lanes), of the blocks of one thread; `totals` is room for numbers of all blocks.
    """

    x: Array
    logw: Array
    w: Array
    sums: Array
    totals: Array  # (2, all blocks)


def scratch(me: Player, s: State) -> Scratch:
    """Working arrays for these particles."""
    _, a, lanes = s.x.shape
    drawn = rows(me.single, a, me.refine), lanes
    return Scratch(*map(zeros, ((1 + a, lanes), drawn, lanes, lanes)))


def midpoint(s: State) -> State:
    """A copy to stand at within a step; the running sums are shared, for nothing is added to them
    there.
    """
    return s._replace(x=copied(s.x), logw=copied(s.logw), w=copied(s.w))


def own(s: State, blocks: slice) -> State:
    """The part of a state that is one thread's."""
    return s._replace(x=s.x[blocks], logw=s.logw[blocks], w=s.w[blocks], sums=s.sums[blocks])
