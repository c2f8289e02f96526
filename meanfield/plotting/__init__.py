"""Pictures of measures, runs, fixed points, comparisons and sweeps, drawn from what is there.

Every function returns a matplotlib figure (`save_movie` and `save_page` the path of their file) and
needs no display.
"""

from meanfield.plotting.comparison import plot_comparison
from meanfield.plotting.interactive import save_page
from meanfield.plotting.measures import plot_measure
from meanfield.plotting.movies import save_movie
from meanfield.plotting.orbits import (
    plot_branch,
    plot_gibbs_branch,
    plot_nash_branch,
    plot_orbit,
)
from meanfield.plotting.pairs import plot_equilibrium, plot_gibbs, plot_pair, plot_spectrum
from meanfield.plotting.runs import plot_path, plot_trajectory
from meanfield.plotting.sweeps import plot_sweep

__all__ = [
    "plot_branch", "plot_comparison", "plot_equilibrium", "plot_gibbs", "plot_gibbs_branch",
    "plot_measure", "plot_nash_branch", "plot_orbit",
    "plot_pair", "plot_path", "plot_spectrum", "plot_sweep", "plot_trajectory",
    "save_movie", "save_page",
]  # fmt: skip
