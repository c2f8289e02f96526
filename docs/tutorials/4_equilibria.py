r"""
4. Equilibria and certificates
==============================

An equilibrium that is only approached is a hope; one with a certificate is a fact. This lesson
finds equilibria with and without temperature, and says for each how well it is known.
"""

import numpy as np

import meanfield as mf

game = mf.games.expression("cos(x - y) + 0.6*cos(2*x + y) + 0.4*sin(2*x) - 0.5*cos(3*y)")

# %%
# A sparse equilibrium
# --------------------
#
# ``nash`` finds finitely many atoms for each player by a double oracle (a linear program on the
# supports, best responses added until none gains) and refines them by Newton's method. The value of
# the game lies between ``lower`` and ``upper``, which are proven by best responses that are
# themselves certified.

found = mf.nash(game)
print(found)
figure = found.plot()

# %%
# Its Nikaido-Isoda error is zero up to the certificate.

error = mf.nikaido_isoda(game, found.x, found.y)
print("NI lies in", [error.lower, error.upper])

# %%
# With temperature
# ----------------
#
# At inverse temperature :math:`\beta` each strategy is the Gibbs measure of its potential, equation
# (9); Theorem 1 says that this fixed point is unique. ``residual`` is how far the returned pair is
# from being its own Gibbs response, in total variation.

gibbs = mf.gibbs(game, beta=20.0)
print(gibbs)
densities = gibbs.plot()

# %%
# Colder means nearer to the equilibrium and slower to get there: NI falls like :math:`1/\beta`, and
# so does the rate of the linearised flow, in many games far faster.

path = mf.gibbs_path(game, np.geomspace(1.0, 20.0, 5), cells=96, spectrum=True)
tradeoff = path.plot()

# %%
# Is it stable?
# -------------
#
# The eigenvalues of the linearised flow at the Gibbs point. In every zero-sum game they lie on the
# left: the point attracts what is near it. What starts far away may do something else; see the
# explanation of the cycle.

print(mf.stability(game, 20.0, cells=128))

# %%
# From a run to an equilibrium
# ----------------------------
#
# Particles of a Wasserstein-Fisher-Rao flow come near an equilibrium. ``polish`` merges them into
# atoms and finds the exact equilibrium nearby, with its error before and after.

run = mf.simulate(
    game, mf.WassersteinFisherRao(), mf.Start(), time=8.0, step=0.01, particles=200, seed=0
)
polished = mf.polish(game, *run[-1])
print(polished)
