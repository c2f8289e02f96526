r"""
What a temperature costs
========================

The Gibbs point (9) followed in :math:`\beta`: at a low temperature it is nearer to equilibrium (NI
falls like :math:`1/\beta`), and the linearised flow relaxes more slowly. This is the trade-off that
the paper remarks on after Theorem 1, on one game.
"""

import numpy as np

import meanfield as mf

game = mf.games.benchmark("circle")
path = mf.gibbs_path(game, np.geomspace(0.5, 20.0, 7), cells=48, spectrum=True)
figure = path.plot()
