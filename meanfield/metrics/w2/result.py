"""What a solver of optimal transport answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meanfield.shown import Shown


@dataclass(frozen=True)
class Transport(Shown):
    """W2^2 of two measures, the solver that found it, and how far it can be trusted.

    Attributes
    ----------
    squared : float
        W2^2 where `exact`, to rounding; otherwise `note` says what it is.
    method : {"circle", "semidiscrete", "discrete", "elements"}
    exact : bool
    note : str
    lower, upper : float
        Bounds of W2^2, equal to `squared` where it is exact; they are proven on tori and between
        atoms, while on S^2 with a density they hold up to quadrature, third order in the elements'
        width, or, by cells for chords, to rounding.
    residual : float
        A bound on the sum over both measures of the mass that the plan leaves in the wrong place.
    """

    squared: float
    method: str
    exact: bool
    note: str = ""
    lower: float = 0.0
    upper: float = np.inf
    residual: float = 0.0

    @classmethod
    def exactly(cls, squared: float, method: str, residual: float = 0.0) -> Transport:
        return cls(squared, method, True, "", squared, squared, residual)
