"""W2 as users call it, and the choice of the solver."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import NotConverged, known_name, warn
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure, density_by
from meanfield.meshes import Mesh, mesh
from meanfield.meshes.harmonics import at_nodes, degrees, of_values
from meanfield.metrics.w2.circle import circle_transport, is_circle
from meanfield.metrics.w2.quantile import Prepared
from meanfield.metrics.w2.result import Transport

METHODS = ("auto", "semidiscrete", "discrete")
METRICS = ("geodesic", "extrinsic")
# On S^2 elements answer where mass travels farther than the root of FAR in the mean, as Laguerre
# cells are off by up to 5% there and by less than 0.3% nearer, from no more than MANY atoms.
FAR, MANY = 0.2, 1000
HIGH = 0.05  # by how much they are off at most, as far as is known
WRONG = 3e-3  # by how much they may be off in silence
HEXAGON = 5 / (36 * 3**0.5)  # variance along an axis of a regular hexagon of area one
RESIDUE = 1e-8  # negative mass of far tails that is cut in silence


def w2(
    a: Measure | Prepared, b: Measure | Prepared, method: str = "auto", metric: str = "geodesic"
) -> float:
    """The 2-Wasserstein distance, W2 = (min int d^2 dpi)^(1/2) over plans pi between a and b.

    Parameters
    ----------
    a, b : Measure
        On one manifold; on the circle also what `metrics.prepare` makes of them.
    method, metric : str
        As in `metrics.w2_details`, whose errors these are, too.

    Returns
    -------
    float

    Examples
    --------
    >>> import meanfield as mf
    >>> circle = mf.Torus(1)
    >>> far = mf.w2(mf.Measure([[1.0]], None, circle), mf.Measure([[3.0]], None, circle))
    >>> print(f"{far:.12g}")
    2
    """
    return float(np.sqrt(w2_squared(a, b, method, metric)))


def w2_squared(
    a: Measure | Prepared, b: Measure | Prepared, method: str = "auto", metric: str = "geodesic"
) -> float:
    """The square of the 2-Wasserstein distance.

    Parameters
    ----------
    a, b : Measure
    method, metric : str
        As in `w2_details`, whose errors these are, too.

    Returns
    -------
    float
    """
    return _solved(a, b, method, metric, bounded=False).squared


def w2_details(
    a: Measure | Prepared, b: Measure | Prepared, method: str = "auto", metric: str = "geodesic"
) -> Transport:
    """W2^2 between two measures on one manifold, with the method that found it and bounds.

    How near the bounds and how large the bias are: docs/explanation/distances.md.

    Parameters
    ----------
    a, b : Measure
    method : {"auto", "semidiscrete", "discrete"}
        "auto" takes the best solver for what a and b are:

        - on the circle shifted quantile functions, exact for atoms and densities alike;
        - between atoms a network simplex, exact;
        - between atoms and a `Density`, spread evenly over its cells, Laguerre cells: exact on T^2,
          but for atoms that nearly meet, which are taken for one, with bounds; on S^2 an upper
          bound (exact for one atom), taken where W2^2 <= 0.2, where it was off by less than 0.3%
          in all cases tried, or atoms are more than 1000 and not in one hemisphere
          (UnderResolved says so unless a lower bound within 0.3% is known). Elsewhere,
          and where they do not converge, small elements of the density bound W2^2 from both sides
          and `squared` lies between, mostly within 1e-4 of W2^2; bounds more than 1% apart warn
          UnderResolved. A density on a quadrature of S^2 is first
          spread over as many Voronoi cells, by its values at their nodes (`Density.on`);
        - otherwise (two densities off the circle, anything on T^3 or S^3) densities stand for atoms
          at their nodes, which biases distances smaller than the cells.

        "semidiscrete" and "discrete" ask for Laguerre cells or the network simplex.
    metric : {"geodesic", "extrinsic"}
        "extrinsic" for chords: |x - y| on spheres and, on tori of period P, the square root of the
        sum over axes of (P/pi)^2 sin^2(pi (x - y)/P). Exact between atoms; by elements between
        atoms and a density on a torus or S^2 and between densities on a torus.

    Returns
    -------
    Transport

    Raises
    ------
    TypeError
        For what is no measure.
    ValueError
        For measures on different manifolds, for what a method or metric does not cover and for
        discrete problems that are too large.
    NotConverged
    """
    return _solved(a, b, method, metric, bounded=True)


def _solved(
    a: Measure | Prepared, b: Measure | Prepared, method: str, metric: str, bounded: bool
) -> Transport:
    """The answer of the solver for these measures; bounded: also bounds that cost extra."""
    _check(a, b, method, metric)
    prepared = isinstance(a, Prepared) or isinstance(b, Prepared)
    if prepared or (method == "auto" and metric == "geodesic" and is_circle(a.manifold)):
        return circle_transport(a, b)
    densities = isinstance(a, Density) + isinstance(b, Density)
    if method == "discrete" or densities == 0:
        return _by_simplex(a, b, metric)
    if densities == 1:
        a, b = _in_voronoi_cells(a), _in_voronoi_cells(b)
    if metric == "extrinsic":
        return _by_elements(a, b, metric)
    if densities == 1 and _has_laguerre_cells(a.manifold):
        return _by_laguerre_cells(a, b, method, bounded)
    return _by_simplex(a, b, metric)


def _check(a: Measure | Prepared, b: Measure | Prepared, method: str, metric: str) -> None:
    for name, value in (("first", a), ("second", b)):
        if not isinstance(value, (Measure, Prepared)):
            raise TypeError(
                f"the {name} argument of w2 must be a meanfield.Measure, got {type(value).__name__}"
            )
    if a.manifold != b.manifold:
        raise ValueError(
            f"w2 compares measures on one manifold, got {a.manifold} and {b.manifold}; "
            "rebuild one of them with the other's manifold (and period)"
        )
    for name, chosen, known in (("method", method, METHODS), ("metric", metric, METRICS)):
        known_name(name, chosen, known)
    if isinstance(a, Prepared) or isinstance(b, Prepared):
        if metric != "geodesic":
            raise ValueError(
                "what `prepare` returns is for metric='geodesic'; pass the measures themselves"
            )
        if method != "auto":
            raise ValueError(
                f"what `prepare` returns is for method='auto', got {method!r}; pass the measures"
            )
    densities = isinstance(a, Density) + isinstance(b, Density)
    covered = metric == "geodesic" and densities == 1 and _has_laguerre_cells(a.manifold)
    if method == "semidiscrete" and not covered:
        raise ValueError(
            "method='semidiscrete' is between atoms and a Density on T^2 or S^2, "
            "metric='geodesic'; use method='auto'"
        )


def _has_laguerre_cells(manifold: object) -> bool:
    return isinstance(manifold, (Torus, Sphere)) and manifold.dim == 2


def _in_voronoi_cells(measure: Any) -> Any:
    """A density on a quadrature of S^2 on about as many Voronoi cells, anything else as it is."""
    if isinstance(measure, Density) and measure.mesh.by_parallels:
        return _sharpened(measure, _voronoi(len(measure)))
    return measure


def _sharpened(density: Density, cells: Mesh) -> Density:
    """Masses that, spread evenly over cells, have the moments of a density to fourth order.

    Spreading adds the variance s^2 of a cell along either axis: mean squares of distances grow by
    s^2 times the mean Laplacian of d^2, and sampling at the nodes takes back half of it. What
    p - s^2 Lap p / 2 is spread to is p + O(s^4): for a density 0.3 wide W2^2 from its middle was
    off by 4e-3, and is by 4e-5.
    """
    L = density.mesh.shape[0] - 1  # type: ignore[index]
    l, area = degrees(L), 4 * np.pi / len(cells)
    sharper = of_values(density.values, L) * (1 + 0.5 * HEXAGON * area * l * (l + 1))
    return density_by(at_nodes(sharper, cells), cells, "masses on Voronoi cells", RESIDUE)


@lru_cache(maxsize=2)
def _voronoi(cells: int) -> Mesh:
    return mesh(Sphere(2), cells)


# The solvers are imported where they are called: importing `meanfield.metrics` compiles nothing.


def _by_simplex(a: Any, b: Any, metric: str) -> Transport:
    from meanfield.metrics.w2.discrete import discrete_transport

    return discrete_transport(a, b, metric)


def _by_elements(a: Any, b: Any, metric: str, why: str = "") -> Transport:
    from meanfield.metrics.w2.elements import transport_by_elements

    return transport_by_elements(a, b, metric, why)


def _by_laguerre_cells(a: Any, b: Any, method: str, bounded: bool) -> Transport:
    """By elements where Laguerre cells fail or mislead and were not asked for by name."""
    from meanfield.metrics.w2.semidiscrete import semidiscrete_transport

    atoms, density = (a, b) if isinstance(b, Density) else (b, a)
    by_chords = FAR if method == "auto" else np.inf
    far = by_chords if len(atoms) <= MANY else np.inf
    try:
        found = semidiscrete_transport(atoms, density, bounded, far, by_chords)
        if isinstance(a.manifold, Sphere) and found.squared > FAR and not found.exact:
            _warn_if_high(found, len(atoms), bounded)
        return found
    except NotConverged as error:
        if method == "semidiscrete":
            raise
        return _by_elements(atoms, density, "geodesic", f"{error}; ")


def _warn_if_high(found: Transport, atoms: int, bounded: bool) -> None:
    """Say by how much an upper bound on S^2 may be too high where mass travels far."""
    high = found.upper / found.lower - 1 if found.lower > 0 else HIGH
    if high > WRONG:
        more = "" if bounded else "`w2_details` bounds it from both sides, and "
        warn(
            f"W2^2 = {found.squared:.3g} between {atoms} atoms and a density on S^2 is an upper "
            f"bound, up to {100 * high:.2g}% high; {more}up to {MANY} atoms have an answer between "
            "bounds"
        )
