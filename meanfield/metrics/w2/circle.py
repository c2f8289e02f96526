"""Exact W2 on the circle, between atoms, densities, or one of each.

W2^2 is the least L2 distance of the two quantile functions over all shifts of one of them
(`circle_shift`). Between two sets of n equal atoms only 2n + 1 cyclic shifts matter
(`circle_equal`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.manifolds import Manifold, Torus
from meanfield.measures import Density, Measure
from meanfield.metrics.w2.quantile import Prepared, Quantile
from meanfield.metrics.w2.result import Transport


def is_circle(manifold: Manifold) -> bool:
    return isinstance(manifold, Torus) and manifold.d == 1


def circle_transport(a: Measure | Prepared, b: Measure | Prepared) -> Transport:
    """W2^2 on the circle, exact to rounding.

    Raises NotConverged where no shift is proven the best.
    """
    a, b = prepare(a), prepare(b)
    squared = _least_over_shifts(a, b) * a.manifold.period**2
    return Transport.exactly(squared, "circle")


def prepare(measure: Measure | Prepared) -> Prepared:
    """The quantile function of a measure on the circle: sorted and summed once for many `w2`.

    Masses that vanish in the cumulative sum (below about 1e-16) are left out.

    Parameters
    ----------
    measure : Measure

    Returns
    -------
    Prepared
        What `w2` takes in place of the measure.

    Raises
    ------
    ValueError
        Off the circle.
    """
    if isinstance(measure, Prepared):
        return measure
    if not isinstance(measure, Measure):
        raise TypeError(
            f"prepare takes a meanfield.Measure on a circle, got {type(measure).__name__}"
        )
    if not is_circle(measure.manifold):
        raise ValueError(
            f"prepare sorts measures on a circle; {measure.manifold} is none, pass the measure "
            "itself"
        )
    from meanfield.metrics.w2.circle_shift import cumulate

    circle: Any = measure.manifold
    starts, lengths, masses = _sorted_pieces(measure)
    if masses is None:
        n = len(starts)
        Q = Quantile(np.arange(n + 1) / n, starts, lengths, lengths * n)
        return Prepared(circle, Q, not isinstance(measure, Density))
    F = cumulate(masses)
    charged = np.diff(F) > 0
    if not charged.all():
        F, starts, lengths = np.append(0.0, F[1:][charged]), starts[charged], lengths[charged]
    # The bound keeps dQ/dq finite where a cell holds next to nothing.
    slopes = lengths / np.maximum(np.diff(F), 1e-300)
    return Prepared(circle, Quantile(F, starts, lengths, slopes))


def _sorted_pieces(measure: Measure) -> tuple[Array, Array, Array | None]:
    """Starts, lengths and masses in order, in units of the period; equal masses are None."""
    period, masses = measure.manifold.period, measure.masses  # type: ignore[attr-defined]
    x = measure.points[:, 0] / period
    equal = bool(masses[0] == masses[-1]) and bool(masses.min() == masses.max())
    if not isinstance(measure, Density):
        if equal:
            return np.sort(x), np.zeros(len(x)), None
        order = np.argsort(x)
        return x[order], np.zeros(len(x)), masses[order]
    lengths = measure.mesh.volumes / period
    starts = x - 0.5 * lengths
    if np.abs(np.diff(starts, append=starts[0] + 1) - lengths).max() > 1e-9:
        raise ValueError(
            "w2 needs cells in order along the circle and centred at their nodes; use "
            "meanfield.mesh"
        )
    return starts, lengths, None if equal else masses


def _least_over_shifts(a: Prepared, b: Prepared) -> float:
    """W2^2 on the circle of length one."""
    from meanfield.metrics.w2.circle_shift import best_shift

    if a.equal_atoms and b.equal_atoms and len(a.Q.starts) == len(b.Q.starts):
        from meanfield.metrics.w2.circle_equal import best_cyclic

        return float(best_cyclic(a.Q.starts, np.append(b.Q.starts, b.Q.starts[0] + 1.0)))
    # The first measure's gaps carry the derivative: atoms first makes C'' that of Newton's method.
    mu, nu = (b.Q, a.Q) if b.Q.slopes.min() < a.Q.slopes.min() else (a.Q, b.Q)
    value, _, evaluations = best_shift(mu, nu, float(nu.slopes.min()))
    if evaluations < 0:
        raise NotConverged(
            f"W2 on the circle: the shift did not settle; best W2^2 so far {value:.16g} periods^2"
        )
    return float(value)
