"""Laguerre cells on S^2 for squared chords, whose borders are circles.

The cell of atom i, where |x - y_i|^2 - psi_i is least, is where x . y_i + psi_i / 2 is largest.
The cost 2 - 2 cos d = d^2 - d^4/12 + ... is finite everywhere: these cells are there wherever the
atoms are and however far mass travels. d^2 on the cost's optimal plan bounds W2^2 from above. The
cost is a concave function of d^2, so that by Jensen's inequality, of all plans the one of W2,

    2 - 2 cos W2 >= its least value,

which bounds W2 from below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array
from meanfield.cores import by_threads, shares, threads_worth
from meanfield.metrics.w2.chord_sums import ARC, BACK, CHORD, NONE, along_borders, along_mesh
from meanfield.metrics.w2.circle_diagram import CHORDS, Arcs, Regions, carve_all, of_great_circles
from meanfield.metrics.w2.costs import lift, nearest
from meanfield.metrics.w2.laguerre_sphere import ARCS, Voronoi, blocks
from meanfield.metrics.w2.laguerre_torus import FULL, STEPS, merged
from meanfield.metrics.w2.newton import Cells, Laplacian, dual_value, newton
from meanfield.metrics.w2.sparse import Points, cheapest_arcs
from meanfield.metrics.w2.sphere_diagram import NO_MESH, UNIFORM, of_sum_one, rows
from meanfield.metrics.w2.surfaces import UNIT_SPHERE, neighbours

Flags = NDArray[np.bool_]
ATOMS = 200  # that are worth a thread
FAR = -0.4  # cosine beyond which a cell comes near the point behind its atom
WITHIN = 0.9  # of the sphere's radius: how far from its middle first lines of sight may pass


class ChordCells:
    """The Laguerre cells of atoms y (n, 3), in `tree_order`, against a density.

    It is rho (N,) on the cells of a mesh, or uniform without one.
    """

    def __init__(self, y: Array, ground: Voronoi | None, rho: Array) -> None:
        self.y, self.rho, self.ground, self.atoms = y, rho, ground, Points(y)
        self.mesh, self.lines = of_great_circles(NO_MESH if ground is None else ground.mesh)
        self.back, self.behind = -y, np.zeros(len(y), dtype=np.int64)
        if ground is not None:
            # No arc of the mesh goes through a node.
            self.behind = ground.tree.query(-y)[1].astype(np.int64)
            self.back = ground.mesh.p[self.behind]
        self.likely = neighbours(UNIT_SPHERE, y)
        self.amid = y  # points amid the cells of the last call

    def __call__(self, psi: Array, moments: int = NONE) -> Cells:
        """Cells for potentials psi (n,); moments: whether costs are wanted, which take longer."""
        psi = psi - psi.max()
        regions, arcs, far, held = self._carved(psi)
        back = 2.0 if moments == CHORD else BACK
        z, B = np.where(far[:, None], -self.back, self.y), np.where(far, back, 0.0)
        mass, second, edge = self._summed(psi, regions, arcs, (self.y, z, B), moments)
        behind = np.where(far & held, 4 * np.pi * self.rho[self.behind], 0.0)
        starts, columns, arc = rows(arcs.pairs, len(psi))
        H = Laplacian(starts, columns, edge[arc])
        mass = of_sum_one(mass + behind, "W2 on S^2 by chords")
        return Cells(mass, second + back * behind, H)

    def _carved(self, psi: Array) -> tuple[Regions, Arcs, Flags, Flags]:
        """Cells and their arcs; which cells come near -y_i, and which hold `back`."""
        h, threads = 0.5 * psi, threads_worth(len(psi), ATOMS)
        held = shares(len(h), 1 if threads == 1 else 16 * threads)
        lift(self.y, psi, 2 * (self.y - self.amid), self.atoms.boxes)
        given = self.y, h, self.atoms.boxes, *self.likely, self.back
        parts = by_threads(lambda s: carve_all(*given, s.start, s.stop), held, threads)
        pairs, table, about = (np.concatenate(part) for part in zip(*parts, strict=True))
        middle, a, t = (np.ascontiguousarray(table[:, k : k + 3]) for k in (0, 3, 6))
        low, high = np.ascontiguousarray(table[:, 9:].T)
        starts, columns, _ = rows(pairs, len(h))
        self.likely, self.amid = (starts, columns), np.ascontiguousarray(about[:, :3])
        arcs = Arcs(pairs, middle, a, t, low, high)
        return Regions(self.y, h, starts, columns), arcs, about[:, 3] < FAR, about[:, 4] > 0

    def _summed(
        self, psi: Array, regions: Regions, arcs: Arcs, fans: tuple[Array, ...], moments: int
    ) -> tuple[Array, Array, Array]:
        """Masses, int d^2 drho and the arcs' weights: blocks' sums added up in order."""
        ends = arcs.middle + arcs.a * np.cos(arcs.low)[:, None] + arcs.t * np.sin(arcs.low)[:, None]
        first, at = np.zeros(len(ends), dtype=np.int64), np.zeros(0, dtype=np.int64)
        threads = threads_worth(len(ends) + len(self.lines.a), ARCS)
        if self.ground is not None:
            first = nearest(self.ground.tree, ends, 1)[1][:, 0]
            G = 2 * (self.y - self.amid)
            at = cheapest_arcs(self.lines.a, self.atoms, psi, G, CHORDS, 1)[1][:, 0]
        tasks = [(True, block) for block in blocks(len(ends))]
        tasks += [(False, block) for block in blocks(len(at))]

        def part(task: tuple[bool, slice]) -> tuple[Array, Array, Array]:
            borders, s = task
            if borders:
                given = *fans, arcs, self.mesh, self.rho, first, moments
                return along_borders(*given, s.start, s.stop)  # type: ignore[no-any-return]
            given = *fans, regions, self.lines, self.rho, at, moments
            return along_mesh(*given, s.start, s.stop)  # type: ignore[no-any-return]

        parts = by_threads(part, tasks, threads)
        mass, second = parts[0][0], parts[0][1]
        for more, moment, _ in parts[1:]:
            mass += more
            second += moment
        return mass, second, np.concatenate([edge for _, _, edge in parts])


def chord_transport(
    points: Array, weights: Array, ground: Voronoi | None, masses: Array | None
) -> tuple[float, float, Array]:
    """An upper and a lower bound of W2^2 on S^2 between atoms and a density, and prices (n,).

    Given what `sphere_transport` is given; the bounds are equal for one atom. Raises NotConverged.
    """
    y, b, place = merged(points, weights)
    rho, mean = UNIFORM, np.zeros(3)
    if ground is not None and masses is not None:
        rho = np.maximum(masses / ground.areas, FULL * UNIFORM)
        masses = rho * ground.areas
        rho, mean = rho / masses.sum(), centre(ground.mesh.p, masses)
    cells = ChordCells(y, ground, rho)
    psi, v = start(y, b, mean)
    cells.amid = y + v
    psi, _ = newton(cells, y, b, psi, f"W2 on S^2 of {len(y)} atoms by chords", STEPS)
    upper = dual_value(psi, b, cells(psi, ARC))
    if len(y) == 1:
        return upper, upper, psi[place]  # there is no other plan
    chords = dual_value(psi, b, cells(psi, CHORD))
    lower = float(4 * np.arcsin(0.5 * np.sqrt(chords)) ** 2)
    return upper, lower, psi[place]


def start(y: Array, b: Array, mean: Array) -> tuple[Array, Array]:
    """Potentials (n,) whose cells lie about as a density of this mean does, and the point v (3,).

    With psi_i = -2 v . y_i cell i holds the points seen from v in directions nearest to y_i. None
    is empty where the line from v along y_i meets the sphere.
    """
    middle = centre(y, b)
    wide = np.sqrt((1 - np.sum(mean**2)) / max(1 - float(np.sum(middle**2)), 1e-12))
    v = mean - wide * middle
    # How far from the sphere's middle the lines pass.
    past = np.sqrt(max(float(np.max(np.sum(v * v) - np.sum(v * y, 1) ** 2)), 1e-300))
    v *= min(1.0, WITHIN / past)
    return -2 * np.sum(v * (y - middle), 1), v


def centre(points: Array, masses: Array) -> Array:
    """The mean (3,) of points, summed in one order for any number of threads."""
    return np.sum(masses[:, None] * points, 0) / np.sum(masses)
