"""Equilibria: the Gibbs point (9), its path and stability, orbits, and exact sparse equilibria."""

from meanfield.equilibria.atoms import AtomStability
from meanfield.equilibria.branch import Branch, branch
from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.gibbs_branch import GibbsBranch
from meanfield.equilibria.nash import Equilibrium, nash
from meanfield.equilibria.nash_branch import NashBranch
from meanfield.equilibria.orbit import Orbit, orbit
from meanfield.equilibria.path import GibbsPath, gibbs_path
from meanfield.equilibria.polish import Polished, polish
from meanfield.equilibria.stability import Stability, stability

__all__ = [
    "AtomStability", "Branch", "Equilibrium", "GibbsBranch", "GibbsPath", "GibbsPoint",
    "NashBranch", "Orbit", "Polished", "Stability", "branch", "gibbs", "gibbs_path", "nash",
    "orbit", "polish", "stability",
]  # fmt: skip
