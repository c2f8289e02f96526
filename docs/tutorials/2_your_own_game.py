r"""
2. Your own game
================

A loss of one's own in three ways: as a formula, as coefficients, as a Python function.
"""

import numpy as np

import meanfield as mf

# %%
# As a formula
# ------------
#
# The text is read by a small grammar (nothing is evaluated), differentiated exactly and compiled.
# Coordinates are ``x`` and ``y`` on circles, ``x1, x2, ...`` where there are several.

game = mf.games.expression("cos(x - y) + a*exp(sin(x))*cos(y)", a=0.3)
print(game)

# %%
# What cannot be read is refused, and the message points at the place.

try:
    mf.games.expression("cos(x - y) + 0.3*foo(x)")
except mf.games.ExpressionError as error:
    print(error)

# %%
# Nothing else changes: the same flows, the same ``solve``, ``simulate`` and ``plot``. With no start
# given both players begin uniformly.

start = mf.Start(x=mf.games.density("1 + 0.5*cos(x)"), y="uniform")
field = mf.solve(game, mf.Langevin(beta=10.0), start, time=4.0)
figure = field.plot()

# %%
# Spaces need not be circles, nor equal. On a sphere the coordinates are the Cartesian ones of the
# space around it.

mixed = mf.games.expression("cos(x)*y1 + 0.5*sin(2*x)*y2", X=mf.Torus(1), Y=mf.Sphere(2))
start = mf.Start(y=mf.concentrated([0.6, 0.8, 0.0], std=0.5))
run = mf.simulate(
    mixed, mf.WassersteinFisherRao(), start, time=1.0, step=0.01, particles=300, seed=0
)
picture = run.plot(snapshots=3)

# %%
# As coefficients
# ---------------
#
# A trigonometric polynomial is a list of terms ``((k,), (l,), re, im)``, each
# re cos(kx + ly) - im sin(kx + ly). Such games are *low-rank*: n particles cost O(n) a step rather
# than O(n²), and mean fields are solved in Fourier modes. Formulas of this kind are recognised.

waves = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((2,), (1,), 0.0, 0.5)])
print(type(mf.games.expression("cos(x - y) - 0.5*sin(2*x + y)")).__name__, type(waves).__name__)

# %%
# As a function
# -------------
#
# A numpy function of points ``x`` of shape (n, 1, a) and ``y`` of shape (1, m, b) that returns
# (n, m). Gradients may be given; otherwise they are taken by differences, and a given one is
# compared with them.


def loss(x, y):
    return np.cos(x[..., 0] - y[..., 0]) + 0.3 * np.sin(x[..., 0]) ** 3


mine = mf.games.function(loss, mf.Torus(1), mf.Torus(1))
swarm = mf.simulate(mine, mf.Langevin(10.0), mf.Start(), time=0.5, step=0.01, particles=200, seed=0)
print("L at the start and at the end:", swarm.diagnostics["value"][[0, -1]])

# %%
# How far from equilibrium?
# -------------------------
#
# The Nikaido-Isoda error is what both players together could gain by changing their mind. It comes
# with a lower and an upper bound; where nothing is proven the upper bound is infinite and
# ``method`` says so.

error = mf.nikaido_isoda(game, *field[-1])
print(error.lower, error.upper, error.method)
