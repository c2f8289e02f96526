r"""
Two angles a player
===================

The mean field (7) on the torus :math:`T^2`, in Fourier modes: snapshots as maps, and the last
state as surfaces in space.
"""

import meanfield as mf
from meanfield.plotting import plot_measure

game = mf.games.benchmark("torus")
field = mf.solve(game, mf.Langevin(beta=10.0), game.answers["start"], time=2.0)
figure = field.plot(snapshots=4)

# %%
# The minimiser at the end.

surface = plot_measure(field.x[-1], view="3d")
