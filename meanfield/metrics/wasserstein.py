"""W2 between any two measures on one manifold: circle, semi-discrete or discrete, by what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield.checks import Array, NotConverged, warn
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure

if TYPE_CHECKING:
    from meanfield.metrics.elements import Bracket


@dataclass(frozen=True, eq=False)
class Pieces:
    """A measure on a circle, sorted: what `w2` makes of each argument.

    cumulative (n + 1,) from 0 to 1; starts, lengths (n,) in units of the period; slopes = lengths
    over masses. An atom has length zero. `equal`: atoms of one mass.
    """

    manifold: Torus
    cumulative: Array
    starts: Array
    lengths: Array
    slopes: Array
    equal: bool = False


@dataclass(frozen=True)
class Transport:
    """What `w2_details` found: W2^2, how ("circle", "semidiscrete", "discrete", "elements"), and what to know of it.

    exact: whether `squared` is W2^2 of the two measures to rounding. Otherwise `note` says what it is.
    lower, upper: bounds of W2^2, equal to `squared` where it is exact: proven on tori and between atoms; on S^2
    with a density they hold up to quadrature, third order in the elements' width. residual: no more than this of
    the two masses, in total, was not where it should be.
    """

    squared: float
    method: str
    exact: bool
    note: str = ""
    lower: float = 0.0
    upper: float = np.inf
    residual: float = 0.0


def w2(
    a: Measure | Pieces, b: Measure | Pieces, method: str = "auto", metric: str = "geodesic"
) -> float:
    """The 2-Wasserstein distance, W2 = (min int d^2 dpi)^(1/2); arguments as in `w2_details`."""
    return float(np.sqrt(_transport(a, b, method, metric, False).squared))


def w2_squared(
    a: Measure | Pieces, b: Measure | Pieces, method: str = "auto", metric: str = "geodesic"
) -> float:
    """W2^2; arguments as in `w2_details`."""
    return _transport(a, b, method, metric, False).squared


def w2_details(
    a: Measure | Pieces, b: Measure | Pieces, method: str = "auto", metric: str = "geodesic"
) -> Transport:
    """W2^2 between two measures on one manifold, how it was found, and bounds.

    method "auto": on the circle exact for atoms and densities alike; on T^2 and S^2 between atoms and a
    `Density` semi-discrete, where the density is spread evenly over its cells: exact on T^2; on S^2 d^2
    on the optimal plan for -2 log cos d, an upper bound. Duality puts it, for n = 42 / 150 / 1000 uniform points
    against the uniform law, at most 1.5e-2 / 5e-4 / 2e-5 above W2^2, relatively; for 150 of them against a 28:1
    density at most 8e-2 (the farther mass travels, the looser). Where that does not converge: "elements", exact
    transport from small pieces of the density, which bounds W2^2 from both sides; `squared` lies midway, and
    bounds more than 1% apart warn UnderResolved. Between atoms exact. Between a density and whatever else
    (two densities off the circle, T^3, S^3) densities stand for atoms at their nodes. That biases W2^2 between n
    i.i.d. points and the law they come from: on T^2 against 64^2 cells by 1.2% / 5.8% / 22% of E W2^2 at
    n = 1e3 / 3e3 / 1e4.
    "semidiscrete", "discrete": that method or an error.

    metric "geodesic", or "extrinsic": chords, |x - y| on spheres and, with the period P, the sum over axes of
    (P/pi)^2 sin^2(pi (x - y)/P) on tori. Between atoms exact; between atoms and a density on a torus or S^2, or
    two densities on a torus, by "elements".

    Raises TypeError for what is no measure, ValueError for measures on different manifolds, for what a
    method or metric does not cover and for too large a discrete problem, NotConverged.
    """
    return _transport(a, b, method, metric, True)


def _transport(
    a: Measure | Pieces, b: Measure | Pieces, method: str, metric: str, bounded: bool
) -> Transport:
    """`bounded`: whether bounds that cost extra are wanted."""
    for name, value in (("first", a), ("second", b)):
        if not isinstance(value, (Measure, Pieces)):
            raise TypeError(
                f"the {name} argument of w2 must be a meanfield.Measure, got {type(value).__name__}"
            )
    if a.manifold != b.manifold:
        raise ValueError(
            f"w2 compares measures on one manifold, got {a.manifold} and {b.manifold}; "
            "rebuild one of them with the other's manifold (and period)"
        )
    for name, chosen, known in (("method", method, METHODS), ("metric", metric, METRICS)):
        if chosen not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {chosen!r}")
    prepared = isinstance(a, Pieces) or isinstance(b, Pieces)
    if metric == "geodesic" and (prepared or (method == "auto" and _circle(a.manifold))):
        if method != "auto":
            raise ValueError(
                f"what `prepare` returns is for method='auto', got {method!r}; pass the measures"
            )
        first, second = prepare(a), prepare(b)
        return _exactly(_on_circle(first, second) * first.manifold.period**2, "circle", 0.0)
    if prepared:
        raise ValueError(
            "what `prepare` returns is for metric='geodesic'; pass the measures themselves"
        )
    return _off_circle(a, b, method, metric, bounded)  # type: ignore[arg-type]


METHODS = ("auto", "semidiscrete", "discrete")
METRICS = ("geodesic", "extrinsic")


def _circle(manifold: object) -> bool:
    return isinstance(manifold, Torus) and manifold.d == 1


def _exactly(squared: float, method: str, residual: float) -> Transport:
    return Transport(squared, method, True, "", squared, squared, residual)


def _off_circle(a: Measure, b: Measure, method: str, metric: str, bounded: bool) -> Transport:
    spread = isinstance(a, Density) + isinstance(b, Density)
    flat = a.manifold.dim == 2 and isinstance(a.manifold, (Torus, Sphere))
    halfway = metric == "geodesic" and spread == 1 and flat
    if method == "semidiscrete" and not halfway:
        raise ValueError(
            "method='semidiscrete' is between atoms and a Density on T^2 or S^2, metric='geodesic'; use method='auto'"
        )
    if method != "discrete" and spread == 1 and (halfway or metric == "extrinsic"):
        atoms, density = (a, b) if isinstance(b, Density) else (b, a)
        return _between(atoms, density, method, metric, bounded)  # type: ignore[arg-type]
    if method == "auto" and spread and metric == "extrinsic":
        if not isinstance(a.manifold, Torus):
            raise ValueError(
                f"metric='extrinsic' between two densities is for tori, not {a.manifold}; they are taken as atoms "
                "at their nodes with method='discrete'"
            )
        from meanfield.metrics.elements import bracket_densities

        if a.mesh.same(b.mesh) and np.array_equal(a.masses, b.masses):  # type: ignore[attr-defined]
            return _exactly(0.0, "elements", 0.0)
        return _midway(bracket_densities(a, b, metric), MIDWAY)  # type: ignore[arg-type]
    from meanfield.metrics.transport import discrete_w2_squared

    squared, residual = discrete_w2_squared(a, b, metric)
    if not spread:
        return _exactly(squared, "discrete", residual)
    return Transport(
        squared, "discrete", False, "densities taken as atoms at their nodes", residual=residual
    )


def _between(
    atoms: Measure, density: Density, method: str, metric: str, bounded: bool
) -> Transport:
    """Atoms against a density off the circle: semi-discrete, else from elements of the density."""
    note = MIDWAY
    if metric == "geodesic":
        from meanfield.metrics.semidiscrete_w2 import semidiscrete_transport

        try:
            return semidiscrete_transport(atoms, density, bounded)
        except NotConverged as error:
            if method == "semidiscrete":
                raise
            note = f"{error}; {note}"
    from meanfield.metrics.elements import bracket, covered

    if not covered(atoms.manifold):
        raise ValueError(
            f"metric='extrinsic' between atoms and a density is for tori and S^2, not {atoms.manifold}; "
            "densities are taken as atoms at their nodes with method='discrete'"
        )
    return _midway(bracket(atoms, density, metric), note)


def _midway(found: Bracket, note: str) -> Transport:
    if found.upper - found.lower > WIDE * found.upper:
        apart = (found.upper - found.lower) / found.upper
        warn(f"W2^2 is known only between bounds {apart:.1%} apart ({note})")
    middle = 0.5 * (found.lower + found.upper)
    return Transport(middle, "elements", False, note, found.lower, found.upper, found.residual)


MIDWAY = "midway between bounds from elements of the density"
WIDE = 0.01  # of W2^2: how far apart bounds may be without a warning


def prepare(measure: Measure | Pieces) -> Pieces:
    """A measure on the circle made ready for many calls of `w2`: sorted and summed once.

    Masses so small that they vanish in the cumulative sum (below 1e-16 or so) are left out.
    """
    if isinstance(measure, Pieces):
        return measure
    if not (isinstance(measure.manifold, Torus) and measure.manifold.d == 1):
        raise ValueError(
            f"prepare sorts measures on a circle; {measure.manifold} is none, pass the measure itself"
        )
    from meanfield.metrics.circle import cumulate

    starts, lengths, masses = _sorted_pieces(measure)
    if masses is None:
        n = len(starts)
        atoms = not isinstance(measure, Density)
        return Pieces(measure.manifold, np.arange(n + 1) / n, starts, lengths, lengths * n, atoms)
    F = cumulate(masses)
    steps = np.diff(F)
    if not steps.all():
        kept = steps > 0
        F, starts, lengths, steps = (
            np.append(0.0, F[1:][kept]),
            starts[kept],
            lengths[kept],
            steps[kept],
        )
    # The bound keeps dQ/dq finite where a cell holds next to nothing.
    return Pieces(measure.manifold, F, starts, lengths, lengths / np.maximum(steps, 1e-300))


def _sorted_pieces(measure: Measure) -> tuple[Array, Array, Array | None]:
    """Starts, lengths and masses in order; masses None when all are equal."""
    circle, masses = measure.manifold, measure.masses
    x = measure.points[:, 0] / circle.period  # type: ignore[attr-defined]
    equal = bool(masses[0] == masses[-1]) and bool(masses.min() == masses.max())
    if not isinstance(measure, Density):
        if equal:
            return np.sort(x), np.zeros(len(x)), None
        order = np.argsort(x)
        return x[order], np.zeros(len(x)), masses[order]
    lengths = measure.mesh.volumes / circle.period  # type: ignore[attr-defined]
    starts = x - 0.5 * lengths
    if np.abs(np.diff(starts, append=starts[0] + 1) - lengths).max() > 1e-9:
        raise ValueError(
            "w2 needs cells in order along the circle and centred at their nodes; use meanfield.mesh"
        )
    return starts, lengths, None if equal else masses


def _on_circle(a: Pieces, b: Pieces) -> float:
    from meanfield.metrics.circle import best_shift

    if a.equal and b.equal and len(a.starts) == len(b.starts):
        from meanfield.metrics.circle_equal import best_cyclic

        return float(best_cyclic(a.starts, np.append(b.starts, b.starts[0] + 1.0)))
    # The first measure's gaps carry the derivative: atoms first makes C'' that of Newton's method.
    if b.slopes.min() < a.slopes.min():
        a, b = b, a
    curvature = float(b.slopes.min())
    value, _, turns = best_shift(
        a.cumulative,
        a.starts,
        a.lengths,
        a.slopes,
        b.cumulative,
        b.starts,
        b.lengths,
        b.slopes,
        curvature,
    )
    if turns < 0:
        raise NotConverged(
            f"W2 on the circle: the shift did not settle; best W2^2 so far {value:.16g} periods^2"
        )
    return float(value)
