"""Equation (7) in space: the generator A of a player's masses, dm/dt = A m at a given cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from meanfield.checks import Array


class Generator(ABC):
    """One player's generators on one mesh, each stored as its coefficients (2, P).

    Combinations of coefficients are generators too, as long as none is below `lowest`.
    """

    beta: float
    needs_faces = True  # whether costs at the mesh's faces are read
    lowest = 0.0
    label, tamer = "", ""  # what overflows where costs are too steep, and what helps
    exponential: Callable[[Array, Array], tuple[Array, float]]
    """exp(A) m from A's coefficients times the duration, and the relative mass error taken out."""

    @abstractmethod
    def __call__(self, nodes: Array, faces: Array) -> tuple[Array, float]:
        """Coefficients (S, 2, P) at S costs, given at nodes (S, N) and faces (S, F).

        Also returns the largest beta |U_j - U_i| between neighbouring nodes.
        """

    @abstractmethod
    def apply(self, coefficients: Array, m: Array) -> Array:
        """A m (N,), for the coefficients (2, P) of A."""

    def flow(self, nodes: Array, faces: Array, m: Array) -> tuple[Array, float]:
        """dm/dt (N,) at one cost, and the largest beta |U_j - U_i| between neighbouring nodes.

        Raises ValueError where exponentials overflow.
        """
        coefficients, peclet = self(nodes, faces)
        flow = self.apply(coefficients[0], m)
        if not np.isfinite(flow).all():
            raise ValueError(
                f"{self.label} overflow: beta |dU| reaches {peclet:.3g} from node to node; use "
                f"more cells or {self.tamer}"
            )
        return flow, peclet

    @abstractmethod
    def judge(self, coefficients: Array, m: Array) -> tuple[Array, float]:
        """A3 m and |(A2 A1 - A1 A2) m| in L1, for three generators (3, 2, P)."""
