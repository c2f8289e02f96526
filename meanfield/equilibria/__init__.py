"""Equilibria: the Gibbs point (9), its path and stability, and exact sparse equilibria."""

from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.nash import Equilibrium, nash
from meanfield.equilibria.path import GibbsPath, gibbs_path
from meanfield.equilibria.polish import Polished, polish
from meanfield.equilibria.stability import Stability, stability

__all__ = [
    "Equilibrium", "GibbsPath", "GibbsPoint", "Polished", "Stability", "gibbs", "gibbs_path",
    "nash", "polish", "stability",
]  # fmt: skip
