r"""
The paper's game on the sphere
==============================

The random game :math:`\ell_a` on :math:`S^2`: Wasserstein-Fisher-Rao particles (Algorithm 2) gather
at the atoms of the exact equilibrium, which ``nash`` finds with a certificate.
"""

import meanfield as mf

game = mf.games.polynomial("a", dim=3, seed=0)
run = mf.simulate(
    game, mf.WassersteinFisherRao(gamma=1.0, alpha=1.0), mf.Start(), time=4.0, step=2e-3,
    particles=400, seed=0,
)  # fmt: skip
figure = run.plot(snapshots=4)

# %%
# The exact equilibrium of the same game. Its value lies between the two bounds; the error of the
# particles' time average is measured exactly as well.

equilibrium = mf.nash(game)
print(equilibrium)
print("NI of the average:", mf.nikaido_isoda(game, *run.average()).value)
exact = equilibrium.plot()
