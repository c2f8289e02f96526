"""Equilibria: the Gibbs fixed point (9), its linear stability, and exact sparse equilibria."""

from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.nash import Equilibrium, nash
from meanfield.equilibria.stability import Stability, stability

__all__ = ["Equilibrium", "GibbsPoint", "Stability", "gibbs", "nash", "stability"]
