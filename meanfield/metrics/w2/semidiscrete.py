"""Semi-discrete W2 on T^2 and S^2: between atoms and a density spread evenly over mesh cells.

On T^2 it is exact. On S^2 the cells are those of the cost -2 log cos d or, where atoms lie in one
hemisphere or mass travels a quarter turn, of squared chords; d^2 on the cost's optimal plan is an
upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh
from meanfield.metrics.w2.costs import distinct
from meanfield.metrics.w2.elements import MOST, bounds, cut, dual_bound, parts_for, wanted
from meanfield.metrics.w2.laguerre_chords import centre, chord_transport
from meanfield.metrics.w2.laguerre_sphere import Voronoi, sphere_transport, voronoi
from meanfield.metrics.w2.laguerre_torus import torus_w2_squared
from meanfield.metrics.w2.newton import TOLERANCE
from meanfield.metrics.w2.result import Transport
from meanfield.metrics.w2.sphere_diagram import Aligned
from meanfield.sums import total

ATTEMPTS = 3
FEW = 100  # atoms for which cells by chords are quick wherever they lie
# Shares of the period: atoms of T^2 nearer than the first are taken for one, and where Newton's
# steps fail those nearer than the next.
MET = (1e-8, 1e-7, 1e-6)
TURN, AXIS = 1e-5, np.array([0.36, 0.48, 0.8])  # how atoms are turned where borders coincide
NEAR = 0.2  # W2^2 up to which prices of the cells' own cost bound that of d^2 well from below


def semidiscrete_transport(
    atoms: Measure,
    density: Density,
    bounded: bool = True,
    far: float = np.inf,
    far_by_chords: float = np.inf,
) -> Transport:
    """W2^2 between atoms and a density: exact on T^2, unless atoms are nearly at one place; on S^2
    an upper bound.

    bounded: whether a lower bound is wanted on S^2. Raises ValueError for meshes other than the
    equidistant grid of T^2 and Voronoi cells of S^2, NotConverged, also for an upper bound above
    `far` on S^2, `far_by_chords` where it is by chords.
    """
    m = atoms.masses
    atoms = Measure(atoms.points[m > 0], m[m > 0] / m.sum(), atoms.manifold)
    if isinstance(atoms.manifold, Torus):
        return _on_torus(atoms, density)
    mesh = density.mesh
    if mesh.radius is None:
        raise ValueError(
            f"semi-discrete W2 on S^2 needs a mesh of Voronoi cells (meanfield.mesh), got {mesh}"
        )
    heights, ground, masses = density.values, None, None
    if heights.max() - heights.min() > 1e-13 * heights.max():
        ground, masses = _voronoi(mesh), density.masses / density.masses.sum()
    try:
        upper, prices = _off_borders(sphere_transport, atoms, ground, masses)
        lower = 0.0
    except NotConverged:
        # One atom is reached by one plan, however far it is.
        far = far_by_chords if np.ptp(atoms.points, axis=0).any() else np.inf
        if np.isfinite(far):
            _refuse(atoms, density, far)
        upper, lower, prices = _off_borders(chord_transport, atoms, ground, masses)
    if upper > far:
        raise _too_far(upper)
    if lower == upper:
        return Transport.exactly(upper, "semidiscrete", TOLERANCE)
    if bounded:
        lower = max(lower, _lower_bound(atoms, density, upper, prices))
    note = "an upper bound, see `w2_details`"
    return Transport(upper, "semidiscrete", False, note, min(lower, upper), upper, TOLERANCE)


def _off_borders(find: Callable[..., Any], atoms: Measure, *density: Any) -> Any:
    """What `find` returns for atoms on S^2.

    Where borders of their cells lie on borders of the mesh it is the mean of what it returns for
    atoms turned by TURN one way and the other, which is off by the order of TURN^2.
    """
    try:
        return find(atoms.points, atoms.masses, *density)
    except Aligned:
        from scipy.spatial.transform import Rotation

        there = Rotation.from_rotvec(TURN * AXIS)
        both = (
            find(turn.apply(atoms.points), atoms.masses, *density) for turn in (there, there.inv())
        )
        return tuple(0.5 * (one + two) for one, two in zip(*both, strict=True))


def _lower_bound(atoms: Measure, density: Density, upper: float, prices: Array) -> float:
    """A lower bound of W2^2 on S^2 by duality, from the cells' prices where mass travels little.

    Where it travels far their cost is no longer like d^2: at W2^2 = 1.1 their bound is 20 times too
    low. Exact transport of elements has prices of d^2 itself, and takes about as long.
    """
    if upper > NEAR:
        with suppress(NotConverged):
            return bounds(atoms, cut(density, parts_for(density, wanted(atoms))), "geodesic").lower
    return dual_bound(atoms, cut(density, parts_for(density, MOST)), prices, "geodesic")


def _refuse(atoms: Measure, density: Density, far: float) -> None:
    """NotConverged where W2^2 > far or elements are quicker than cells by chords.

    They are against many atoms that lie much closer together than the density does: each cell is in
    two parts then, one on either side of the sphere, and boxes rule nothing out.
    """
    x, y = (centre(m.points, m.masses) for m in (density, atoms))
    between = float(np.sum((x - y) ** 2))  # about no more than W2^2
    if between > far:
        raise _too_far(between)
    if len(atoms) > FEW and 1 - np.sum(x**2) > 4 * (1 - np.sum(y**2)):
        raise NotConverged(f"{len(atoms)} atoms lie much closer together than the density")


def _too_far(squared: float) -> NotConverged:
    return NotConverged(
        f"mass travels by {np.sqrt(squared):.2g} on S^2, too far for Laguerre cells"
    )


@lru_cache(maxsize=2)
def _voronoi(mesh: Mesh) -> Voronoi:
    """A mesh's cells, which a run's distances ask for at every save."""
    return voronoi(mesh.nodes)


def joined(atoms: Measure, distance: float) -> tuple[Measure, float]:
    """Atoms of T^2 in one square of this width, a share of the period, or in squares that touch, as
    one at their centre of mass; and the root mean square of how far this moves them, which bounds
    W2 between the atoms before and after.

    Costs of atoms so near differ by less than rounding: no potentials give each of them its mass.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    period, m = atoms.manifold.period, atoms.masses  # type: ignore[attr-defined]
    x = np.mod(atoms.points / period, 1.0) % 1.0  # a point just below 0 is that at 0
    # Not by pairs of atoms, of which thousands at one place have millions.
    side = round(1 / distance)
    squares, place = distinct(np.floor(x * side) % side)
    touch = cKDTree(squares, boxsize=side).query_pairs(1.0, p=np.inf, output_type="ndarray")
    if len(squares) == len(x) and len(touch) == 0:
        return atoms, 0.0
    graph = coo_array((np.ones(len(touch)), touch.T), (len(squares), len(squares)))
    count, which = connected_components(graph, directed=False)
    which = which[place]
    first = np.empty(count, np.int64)
    first[which[::-1]] = np.arange(len(x))[::-1]
    from_first = x - x[first[which]]
    from_first -= np.round(from_first)
    mass = np.bincount(which, m)
    centre = np.stack([np.bincount(which, m * part) / mass for part in from_first.T], 1)
    moved = np.sqrt(total(m, np.sum((from_first - centre[which]) ** 2, axis=1)))
    if not from_first.any():  # at one place to the bit
        return atoms, 0.0
    points = (x[first] + centre) * period
    return Measure(points, mass / mass.sum(), atoms.manifold), float(moved) * period


def _on_torus(atoms: Measure, density: Density) -> Transport:
    """Newton from Voronoi cells; where it fails, from prices by exact transport of small elements.

    The elements are halved until Newton converges, ATTEMPTS times at most.
    """
    grid, period = _grid(density), atoms.manifold.period  # type: ignore[attr-defined]

    def solved(few: Measure, moved: float, prices: Array | None = None) -> Transport:
        x = np.mod(few.points / period, 1.0)
        squared = torus_w2_squared(x, few.masses, grid, prices) * period**2
        if moved == 0.0:
            return Transport.exactly(squared, "semidiscrete", TOLERANCE)
        root = math.sqrt(squared)
        low, high = max(0.0, root - moved) ** 2, (root + moved) ** 2
        note = f"atoms that nearly met are one: off by less than {high - squared:.1g}"
        return Transport(squared, "semidiscrete", False, note, low, high, TOLERANCE)

    few, moved = joined(atoms, MET[0])
    with suppress(NotConverged):
        return solved(few, moved)
    for distance in MET[1:]:
        fewer = joined(atoms, distance)
        if len(fewer[0]) < len(few):
            with suppress(NotConverged):
                return solved(*fewer)
    parts = parts_for(density, wanted(few))
    for attempt in range(ATTEMPTS):
        prices = bounds(few, cut(density, parts << attempt), "geodesic").prices / period**2
        try:
            return solved(few, moved, prices)
        except NotConverged as error:
            last = error
    raise last


def _grid(density: Density) -> Array:
    """Cell masses (A, B) on the equidistant grid of T^2."""
    mesh, period = density.mesh, density.manifold.period  # type: ignore[attr-defined]
    if mesh.shape is not None and len(mesh.shape) == 2:
        A, B = mesh.shape
        nodes = np.indices((A, B)).reshape(2, -1).T / mesh.shape
        if np.abs(mesh.nodes / period - nodes).max() < 1e-9:
            return density.masses.reshape(A, B)
    raise ValueError(
        f"semi-discrete W2 on T^2 needs the equidistant grid (meanfield.mesh), got {mesh}"
    )
