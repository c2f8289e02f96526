r"""
W2 between particles and the mean field
=======================================

The distance of n particles from the mean field falls like 1/n, uniformly in time (Theorem 3).
``compare`` runs replicas at each n, measures :math:`W_2^2` and the Nikaido-Isoda error with
confidence bands, fits the exponent and measures the bias of the time step.
"""

import meanfield as mf

game = mf.games.benchmark("circle")
comparison = mf.compare(
    game, mf.Langevin(beta=10.0), game.answers["start"], time=1.0,
    particles=(100, 1000, 10_000), replicas=(24, 12, 8), save_every=0.2, seed=0,
)  # fmt: skip
print(comparison)
figure = comparison.plot()
