r"""
Densities on the sphere
=======================

The mean field (7) in spherical harmonics, for a quadratic game on :math:`S^2 \times S^2`. Moments
and errors of what is returned are as exact as the coefficients.
"""

import meanfield as mf

game = mf.games.benchmark("sphere")
field = mf.solve(game, mf.Langevin(beta=10.0), game.answers["start"], time=2.0, save_every=0.5)
figure = field.plot(snapshots=3)

# %%
# The same as surfaces, each sphere seen from both sides.

surfaces = field.plot(snapshots=2, view="3d")
