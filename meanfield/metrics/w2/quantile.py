"""Quantile functions on the circle: what W2 there is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from meanfield.checks import Array
from meanfield.manifolds import Torus


class Quantile(NamedTuple):
    """The quantile function Q of n pieces in order along a circle of length one: atoms or segments.

    F (n + 1,): cumulative masses from 0 to 1. On F[i] <= q <= F[i + 1] the function runs from
    starts[i] to starts[i] + lengths[i] with slope dQ/dq = slopes[i]. Atoms have length and slope 0.
    """

    F: Array
    starts: Array
    lengths: Array
    slopes: Array


@dataclass(frozen=True, eq=False)
class Prepared:
    """A measure on a circle with its quantile function in units of the period, made by `prepare`.

    equal_atoms: whether it consists of atoms that all have the same mass.
    """

    manifold: Torus
    Q: Quantile
    equal_atoms: bool = False
