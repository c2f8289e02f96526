"""Equilibria: the Gibbs fixed point (9) of the regularised game."""

from meanfield.equilibria.gibbs import GibbsPoint, gibbs

__all__ = ["GibbsPoint", "gibbs"]
