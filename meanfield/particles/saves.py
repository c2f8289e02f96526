"""What a save reads off the particles, each in one pass over their blocks: places and how far they
are from those saved before, and the sizes of costs and forces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.aligned import zeros
from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel, larger, separate, smaller
from meanfield.manifolds import Manifold
from meanfield.measures import Measure, as_is
from meanfield.particles.players import Flag, Player, State
from meanfield.particles.simd.product import product
from meanfield.particles.state import blocked, flat, known_to_kernels

# Up to so many coordinates it is faster to write one after the other than one particle after the
# other.
FEW = 4

# On tori an empty tuple, whose length is known before anything is compiled.
Axes = tuple[()] | Array
Survey = tuple[float, float, bool]  # the mean cost, the largest gradient, whether all is finite


@kernel
def surveys(
    w: Array, U: Array, G: Array, n: int, v: Array, V: Array, H: Array, m: int, r: Array
) -> tuple[Survey, Survey]:
    """What `survey` says of both players."""
    return survey(w, U, G, n, r), survey(v, V, H, m, r)


@kernel
def survey(w: Array, U: Array, G: Array, n: int, r: Array) -> Survey:
    """sum_i w_i U_i, max |G_i|, and whether everything is finite, over n particles.

    w, U (blocks, lanes), G (blocks, a, lanes); r (4, lanes or more) is room.
    """
    apart()
    lanes, mean, top, off = w.shape[1], 0.0, 0.0, 0.0
    for k in range(1, 4):
        for i in range(lanes):
            r[k, i] = 0.0
    for b in range(len(w)):
        count = smaller(lanes, n - b * lanes)
        for i in range(lanes):
            r[0, i] = 0.0
        for k in range(G.shape[1]):
            for i in range(lanes):
                r[0, i] = fma(G[b, k, i], G[b, k, i], r[0, i])
        for i in range(count):
            r[1, i] = fma(w[b, i], U[b, i], r[1, i])
            r[2, i] = larger(r[2, i], r[0, i])
            r[3, i] += 0.0 * (r[0, i] + U[b, i])
    for i in range(lanes):
        mean, top, off = mean + r[1, i], larger(top, r[2, i]), off + r[3, i]
    return mean, math.sqrt(top), off == 0.0


@kernel
def read_off(
    sphere: Flag, period: float, E: Axes, x: Array, w: Array, before: Array,
    points: Array, masses: Array, r: Array,
) -> float:  # fmt: skip
    """Write the particles of x (blocks, a, lanes) to points (n, a) and to `before`, which holds
    those of the save before, and their weights w to masses (n,); the farthest that one has got.

    They are turned by E (a, a), unless it is empty. Spheres' points are divided by their norms.
    r (4, lanes) is room, with a rows more where there is E.
    """
    apart()
    lanes, top = x.shape[2], 0.0
    near, far, norm, reach = r[0], r[1], r[2], r[3]
    for i in range(lanes):
        reach[i] = 0.0
    for b in range(len(x)):
        first = b * lanes
        count = smaller(lanes, len(points) - first)
        here = x[b]
        if len(E) > 0:
            here = r[4:]
            product(E, x[b], here)
        for i in range(lanes):
            near[i], far[i], norm[i] = 0.0, 0.0 if len(sphere) > 0 else 1.0, 0.0
        for k in range(x.shape[1] if len(sphere) > 0 else 0):
            for i in range(lanes):
                norm[i] = fma(here[k, i], here[k, i], norm[i])
        for i in range(lanes):
            norm[i] = math.sqrt(norm[i])
        for k in range(x.shape[1]):
            if len(sphere) > 0:
                along_sphere(here[k], before[b, k], norm, near, far)
            else:
                along_torus(period, here[k], before[b, k], near)
        if x.shape[1] > FEW:
            for i in range(count):
                for k in range(x.shape[1]):
                    points[first + i, k] = before[b, k, i]
        else:
            for k in range(x.shape[1]):
                for i in range(count):
                    points[first + i, k] = before[b, k, i]
        for i in range(count):
            masses[first + i] = w[b, i]
            reach[i] = larger(reach[i], near[i] / far[i])
    for i in range(lanes):
        top = larger(top, reach[i])
    # On a sphere the tangents of half the angles, squared.
    return 2.0 * math.atan(math.sqrt(top)) if len(sphere) > 0 else math.sqrt(top)


@kernel
def along_sphere(new: Array, old: Array, norm: Array, near: Array, far: Array) -> None:
    """One coordinate of a block, divided by norms, to `old`; what it adds to squared distances from
    what stood there, and from its antipodes.
    """
    separate()
    for i in range(len(norm)):
        at = new[i] / norm[i]
        across, gap = at + old[i], at - old[i]
        far[i] = fma(across, across, far[i])
        near[i] += gap * gap
        old[i] = at


@kernel
def along_torus(period: float, new: Array, old: Array, near: Array) -> None:
    """One coordinate of a block on a torus, likewise."""
    separate()
    for i in range(len(near)):
        gap = abs(new[i] - old[i])
        gap = smaller(gap, period - gap)
        near[i] += gap * gap
        old[i] = new[i]


class Reader:
    """Reads one player's particles off at saves, in the game's own axes.

    axes: those in which they move, if these are others. before: where they are, in the game's. From
    then on `before` holds where they were at the last save, and `gone` how far the farthest of them
    had got by then since the one before.
    """

    def __init__(self, me: Player, manifold: Manifold, axes: Array | None, before: Array) -> None:
        self.me, self.manifold, self.before, self.gone = me, manifold, before, 0.0
        none: Axes = np.empty((0, 0)) if me.sphere else ()  # both players' are of one type
        self.axes = none if axes is None else axes
        self.room = zeros((4 + len(self.axes), before.shape[2]))
        self.known = known_to_kernels(manifold)
        self.entry: Any = None  # of `read_off`

    def __call__(self, s: State, points: Array, masses: Array) -> Measure:
        """The measure of a state, in memory given for it."""
        if self.known:
            how = self.me.sphere, self.me.period, self.axes, s.x, s.w, self.before
            given = *how, points, masses, self.room
            self.entry = self.entry or read_off.entry(*given)
            self.gone = self.entry(*given)
            return as_is(Measure, points=points, masses=masses, manifold=self.manifold)
        n, M = len(masses), self.manifold
        found = Measure(flat(s.x, n), s.w.ravel()[:n].copy(), M)
        self.gone = float(M.distance(flat(self.before, n), found.points).max())
        self.before[:] = blocked(found.points)
        return found


class Room:
    """Memory for so many saves of both players' points, of these shapes, and masses, allocated in
    large pieces. Each piece comes from the system as a few large pages, in place of thousands of
    small ones, which took a fifth of the time of short runs.

    What is not used of a piece takes none of the machine's memory.
    """

    LEAST, MOST = 1 << 19, 1 << 20  # numbers in a piece; numpy asks for large pages from LEAST on

    def __init__(self, saves: int, shapes: Sequence[tuple[int, int]]) -> None:
        self.left, self.shapes = saves, [shape for n, a in shapes for shape in ((n, a), (n,))]
        self.saves: Any = iter(())

    def take(self) -> Any:
        """Of one save for each player arrays of points and masses, which hold nothing yet."""
        for arrays in self.saves:
            return arrays[:2], arrays[2:]
        self.saves = zip(*self._piece(), strict=True)
        return self.take()

    def _piece(self) -> list[Array]:
        """Arrays of several saves; of a single one where they are few or large."""
        sizes = [math.prod(shape) for shape in self.shapes]
        count = min(self.left, self.MOST // sum(sizes))
        few = count * sum(sizes) < 3 * self.LEAST // 4
        count = 1 if few else count
        memory = np.empty(sum(sizes) if few else max(count * sum(sizes), self.LEAST))
        self.left -= count
        ends = np.cumsum([0, *(count * size for size in sizes)])
        rows = zip(ends[:-1], ends[1:], self.shapes, strict=True)
        return [memory[begin:end].reshape(count, *shape) for begin, end, shape in rows]
