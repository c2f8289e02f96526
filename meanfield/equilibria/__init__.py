"""Equilibria: the Gibbs fixed point (9) of the regularised game, and exact sparse equilibria."""

from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.nash import Equilibrium, nash

__all__ = ["Equilibrium", "GibbsPoint", "gibbs", "nash"]
